//! One shard of a stream that a fleet of processes shares: the pipeline on a lease of Amazon's
//! Kinesis Client Library.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use eddy_kcl::{Connection, Ending, KclSource};
use eddy_record::PartitionId;
use eddy_stream::{Backoff, Clock, ErrorKind, StreamError, SystemClock};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::parts::{build_on, source};
use crate::settings::{Settings, SettingsError, SinkSettings, SourceSettings};
use crate::{Counters, Pipeline, Stop};

/// How long the shard's files may still be held by the process that had it before.
const FILES_WITHIN: Duration = Duration::from_secs(30);
/// How long what was read may take to settle when the daemon is gone.
const SETTLE_WITHIN: Duration = Duration::from_secs(30);

impl Settings {
    /// Whether these settings can be those of a process of a fleet.
    ///
    /// # Errors
    /// The source is not Kinesis, or a part wants what only one process has.
    pub fn check_fleet(&self) -> Result<(), SettingsError> {
        let refused = |reason: &str| Err(SettingsError::Invalid { reason: reason.to_owned() });
        if !matches!(self.source, SourceSettings::Kinesis { .. }) {
            return refused(
                "source.type must be kinesis: the Kinesis Client Library shares shards",
            );
        }
        if self.application.is_some() {
            return refused(
                "an SQL application makes one order of all shards, in one process: use `eddy run`",
            );
        }
        if self.pipeline.merge {
            return refused(
                "pipeline.merge makes one order of all shards, in one process: use `eddy run`",
            );
        }
        for sink in &self.sinks {
            match &sink.sink {
                SinkSettings::Stdout { .. } => {
                    return refused(
                        "a sink of type stdout cannot be used here: the daemon reads standard output",
                    );
                }
                SinkSettings::Index { .. } => {
                    return refused(
                        "a sink of type index belongs to one process, and here each shard has its \
                         own: use opensearch",
                    );
                }
                _ => {}
            }
        }
        if self.page.is_some() {
            return refused("[page] belongs to one process, and here each shard has its own");
        }
        Ok(())
    }

    /// The settings of one shard's process: what only one process may write is its own.
    #[must_use]
    pub(crate) fn of_partition(&self, partition: &PartitionId) -> Self {
        let mut settings = self.clone();
        for sink in &mut settings.sinks {
            if let SinkSettings::File { path, .. } = &mut sink.sink {
                *path = own_path(path, partition);
            }
        }
        settings.dead_letters = own_path(&settings.dead_letters, partition);
        settings
    }
}

/// The path with the shard's id before its extension.
fn own_path(path: &Path, partition: &PartitionId) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(".");
    name.push(partition.as_str());
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Works on the shard that the daemon at the other end of `input` and `output` gives to this
/// process, until it takes it away or is gone. Returns what was done, `None` where no shard was
/// given.
///
/// # Errors
/// The settings cannot be used; the stream, a sink or the state failed for good; the state is behind
/// the lease and is not to start afresh.
pub async fn run(
    settings: &Settings,
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
    stop: watch::Receiver<Stop>,
) -> Result<Option<Arc<Counters>>, StreamError> {
    settings.check_fleet().map_err(|error| {
        StreamError::fatal("the settings are not for a fleet").with_source(error)
    })?;
    let Some((connection, lease)) = Connection::accept(input, output).await? else {
        return Ok(None);
    };
    let checkpoint = lease.checkpoint.as_ref().map(ToString::to_string);
    tracing::info!(shard = %lease.shard, checkpoint, "the daemon gives this process a shard");
    let settings = settings.of_partition(&lease.shard);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let stream = source(&settings.source, &clock).await;
    let source = Arc::new(KclSource::new(stream, connection.clone(), lease));
    let mut pause = Backoff::new(Duration::from_millis(200), Duration::from_secs(2), "files");
    let pipeline = loop {
        match build_on(&settings, source.clone(), Arc::clone(&clock)).await {
            Ok(built) => break built.pipeline,
            Err(error)
                if error.kind() == ErrorKind::Retry && pause.failing_for() < FILES_WITHIN =>
            {
                tracing::info!(reason = %error, "trying again");
                pause.wait().await;
            }
            Err(error) => return Err(error),
        }
    };
    let counters = Arc::clone(&pipeline.counters);
    work(pipeline, &connection, stop).await?;
    Ok(Some(counters))
}

/// Runs a pipeline whose source is the [`KclSource`] of `connection`, until the daemon takes the
/// shard away, is gone, or `stop` says so; then does what the daemon still waits for.
///
/// # Errors
/// The pipeline's, but for a lease that was lost; a shard's end that the lease cannot be told.
pub async fn work(
    pipeline: Pipeline,
    connection: &Connection,
    stop: watch::Receiver<Stop>,
) -> Result<(), StreamError> {
    let (tell, told) = watch::channel(Stop::No);
    let telling = tokio::spawn(tell_stop(connection.ending(), stop, tell));
    let outcome = pipeline.run(told).await;
    telling.abort();
    connection.finish(outcome).await
}

/// Turns what ends the work into the word that stops the pipeline.
async fn tell_stop(
    mut ending: watch::Receiver<Ending>,
    mut stop: watch::Receiver<Stop>,
    tell: watch::Sender<Stop>,
) {
    let stopped = async {
        // Nobody who could say so is left: the daemon decides.
        if stop.wait_for(|stop| *stop != Stop::No).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = ending.wait_for(|ending| *ending != Ending::No) => {}
        () = stopped => {}
    }
    tell.send_replace(Stop::Now);
    if ending.wait_for(|ending| *ending == Ending::Closed).await.is_ok() {
        // The daemon is gone, and the shard's next owner is on its way.
        tokio::time::sleep(SETTLE_WITHIN).await;
        tell.send_replace(Stop::Abort);
    }
    tell.closed().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_has_files_of_its_own() {
        let shard = PartitionId::new("shardId-000000000007");
        for (path, own) in [
            ("/data/rows.ndjson", "/data/rows.shardId-000000000007.ndjson"),
            ("rows", "rows.shardId-000000000007"),
            ("./a.b/rows.tar.gz", "./a.b/rows.tar.shardId-000000000007.gz"),
        ] {
            assert_eq!(own_path(Path::new(path), &shard), Path::new(own));
        }
    }

    #[test]
    fn what_one_process_has_is_refused() {
        let check = |text: &str| {
            let kinesis = "[source]\ntype = \"kinesis\"\nstream = \"s\"\n";
            let text = if text.contains("[source]") { text } else { &format!("{kinesis}{text}") };
            Settings::parse(text, "settings.toml").expect("readable").check_fleet()
        };
        check("[[sinks]]\ntype = \"file\"\npath = \"rows.ndjson\"\n").expect("good");
        for (text, word) in [
            ("[[sinks]]\ntype = \"stdout\"\n", "stdout"),
            ("[[sinks]]\ntype = \"index\"\n", "index"),
            ("[[sinks]]\ntype = \"index\"\n[page]\n", "index"),
            ("[source]\ntype = \"stdin\"\n[[sinks]]\ntype = \"file\"\npath = \"r\"\n", "kinesis"),
        ] {
            let error = check(text).expect_err("refused").to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
