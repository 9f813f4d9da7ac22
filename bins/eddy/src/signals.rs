//! What a person or a service manager says to a running process, and a reader that has gone.

use anyhow::Result;
use eddy_pipeline::Stop;
use tokio::sync::watch;

/// Tells of the first Ctrl-C (or SIGTERM) with [`Stop::Drained`] and of the second with
/// [`Stop::Abort`]; a third ends the process at once.
pub(crate) fn on_signals() -> Result<watch::Receiver<Stop>> {
    each_signal(|n_signals, tell| match n_signals {
        1 => {
            tracing::info!("finishing what is in flight; once more to stop at once");
            tell.send_replace(Stop::Drained);
        }
        2 => {
            tell.send_replace(Stop::Abort);
        }
        _ => std::process::exit(130),
    })
}

/// The first signal is the daemon's to act on, which gets it too where a terminal or a service
/// manager sends it to all: it gives its shards up in order. The second settles what was read and
/// ends, the third ends at once.
pub(crate) fn on_signals_in_a_fleet() -> Result<watch::Receiver<Stop>> {
    each_signal(|n_signals, tell| match n_signals {
        1 => tracing::info!("the daemon ends this process; once more to end without it"),
        2 => {
            tell.send_replace(Stop::Now);
        }
        _ => std::process::exit(130),
    })
}

/// Has each Ctrl-C or SIGTERM answered, by its number.
fn each_signal(
    answer: impl Fn(u32, &watch::Sender<Stop>) + Send + 'static,
) -> Result<watch::Receiver<Stop>> {
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
            answer(n_signals, &tell);
        }
    });
    Ok(told)
}

/// Whether whoever read the output has seen enough.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
