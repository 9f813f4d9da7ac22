//! `eddy-sensor`: simulated sensors whose records go into a Kinesis stream, to Firehose, into a file
//! or to standard output.

mod delivery_stream;
mod labels;
mod lines;
mod options;
mod pace;
mod receiver;
mod report;
mod run;
mod stop;
mod stream;

use std::io::Write;
use std::process::ExitCode;

use crate::options::Options;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::read();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::builder()
                .with_default_directive(tracing_subscriber::filter::LevelFilter::WARN.into())
                .from_env_lossy(),
        )
        .with_writer(std::io::stderr)
        .init();
    match run::run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // When nobody listens on standard error either, nothing is to be done.
            let _ = writeln!(std::io::stderr(), "eddy-sensor: {error:#}");
            ExitCode::FAILURE
        }
    }
}
