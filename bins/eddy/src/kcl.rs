//! `eddy kcl SETTINGS.toml`: one shard of a fleet, started by Amazon's MultiLangDaemon.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use eddy_pipeline::{Stop, fleet};
use tokio::sync::watch;

use crate::run::load;

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
        let stop = on_signals()?;
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

/// The first signal is the daemon's to act on, which gets it too where a terminal or a service
/// manager sends it to all: it gives its shards up in order. The second settles what was read and
/// ends, the third ends at once.
fn on_signals() -> Result<watch::Receiver<Stop>> {
    let (tell, told) = watch::channel(Stop::No);
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::spawn(async move {
        for n_signals in 1.. {
            #[cfg(unix)]
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            #[cfg(not(unix))]
            if tokio::signal::ctrl_c().await.is_err() {
                return;
            }
            match n_signals {
                1 => tracing::info!("the daemon ends this process; once more to end without it"),
                2 => {
                    tell.send_replace(Stop::Now);
                }
                _ => std::process::exit(130),
            }
        }
    });
    Ok(told)
}
