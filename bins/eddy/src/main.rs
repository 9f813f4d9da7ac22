//! `eddy`: finds disturbances in data streams.
//!
//! Without arguments it runs the embedded default: sensors, a Kinesis endpoint, the pipeline, the
//! index and the page in one process. The subcommands are in modules of their own.

mod dashboards;
mod discover;
mod embedded;
mod files;
mod kcl;
mod run;
mod score;
mod serve;
mod signals;
#[cfg(feature = "sql")]
mod sql;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Finds disturbances in data streams: reads readings, scores each with a random cut forest,
/// explains the score, delivers the scored records.
///
/// Without a command: simulated sensors, an in-process Kinesis endpoint, the pipeline, the index
/// and the live page, with nothing to install or to set.
#[derive(Parser, Debug)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    embedded: embedded::EmbeddedArgs,
    /// Say only what goes wrong
    #[arg(long, global = true)]
    quiet: bool,
    /// Write logs as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run a pipeline by a settings file, or an SQL application
    Run(run::RunArgs),
    /// Work on one shard of a fleet, started by Amazon's MultiLangDaemon
    Kcl(kcl::KclArgs),
    /// Say whether a settings file or an SQL application can be used, and what is wrong with it
    Check(run::CheckArgs),
    /// Score CSV or NDJSON from standard input
    Score(score::ScoreArgs),
    /// Dashboards for Kibana, OpenSearch Dashboards and Grafana over scored rows
    Dashboards(dashboards::DashboardsArgs),
    /// Infer a schema from records on standard input and print it as an input schema
    Discover,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(cli.quiet, cli.json);
    let done = match &cli.command {
        None => embedded::run(&cli.embedded),
        Some(Command::Run(args)) => run::run(args),
        Some(Command::Kcl(args)) => kcl::run(args),
        Some(Command::Check(args)) => run::check(args),
        Some(Command::Score(args)) => score::run(args),
        Some(Command::Dashboards(args)) => dashboards::run(args),
        Some(Command::Discover) => discover::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("eddy: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Logs go to standard error, at the level of `RUST_LOG` where that is set.
fn log_to_stderr(quiet: bool, json: bool) {
    let level = if quiet { "error" } else { "warn,eddy=info,eddy_pipeline=info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if json {
        log.json().init();
    } else {
        log.with_target(false).init();
    }
}
