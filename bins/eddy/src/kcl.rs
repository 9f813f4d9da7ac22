//! `eddy kcl SETTINGS.toml`: one shard of a fleet, started by Amazon's MultiLangDaemon.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use eddy_pipeline::fleet;

use crate::run::load;
use crate::signals::on_signals_in_a_fleet;

/// The arguments of `eddy kcl`.
#[derive(Args, Debug)]
pub(crate) struct KclArgs {
    /// The settings file, TOML
    settings: PathBuf,
}

/// Works on the shard that the daemon gives, until it takes it away.
///
/// Standard output is the daemon's: nothing else in this program may write to it.
pub(crate) fn run(args: &KclArgs) -> Result<()> {
    let settings = load(&args.settings)?;
    settings.check_fleet()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(async {
        let stop = on_signals_in_a_fleet()?;
        let done = fleet::run(&settings, tokio::io::stdin(), tokio::io::stdout(), stop).await?;
        match done {
            Some(counters) => {
                let totals = counters.totals();
                tracing::info!(
                    records = totals.records,
                    delivered = totals.delivered,
                    dead_lettered = totals.dead_lettered(),
                    anomalies = totals.anomalies,
                    commits = totals.commits,
                    restarts = totals.restarts,
                    "the work on the shard has ended",
                );
            }
            None => tracing::info!("the daemon has given no shard"),
        }
        Ok(())
    });
    // A read of standard input cannot be cancelled: it must not hold the end up.
    runtime.shutdown_background();
    done
}
