//! Reading a shard again after a failure.

use std::sync::Arc;
use std::time::Duration;

use eddy_aws::{CallError, Failure};
use eddy_record::PartitionId;
use eddy_stream::{Backoff, FailureLog, StreamError};

use crate::counters::SourceCounters;
use crate::source::resource;

/// How long reading may fail, other than by throttling, before the caller hears of it.
const GIVE_UP_AFTER: Duration = Duration::from_secs(120);

/// The failures of one shard's reader.
pub(crate) struct Retries {
    stream: String,
    shard: PartitionId,
    counters: Arc<SourceCounters>,
    pause: Backoff,
    failures: FailureLog,
}

impl Retries {
    pub(crate) fn new(stream: String, shard: PartitionId, counters: Arc<SourceCounters>) -> Self {
        let pause =
            Backoff::new(Duration::from_millis(200), Duration::from_secs(10), shard.as_str());
        Self { stream, shard, counters, pause, failures: FailureLog::default() }
    }

    /// A read has succeeded.
    pub(crate) fn succeeded(&mut self) {
        self.pause.reset();
        if let Some(failed_for) = self.failures.succeeded() {
            tracing::info!(shard = %self.shard, ?failed_for, "the shard is read again");
        }
    }

    /// A read has failed; returns when it should be tried again.
    ///
    /// # Errors
    /// It should not.
    pub(crate) async fn failed(
        &mut self,
        action: &str,
        error: CallError,
    ) -> Result<(), StreamError> {
        if let Some(failing_for) = self.failures.failed() {
            tracing::warn!(
                stream = self.stream, shard = %self.shard, reason = %error, ?failing_for,
                "reading the shard keeps failing; it is tried again",
            );
        }
        match error.failure {
            Failure::ExpiredIterator => self.counters.add_expired_iterators(1),
            Failure::Throttled => {
                self.counters.add_throttled(1);
                self.pause.wait().await;
            }
            Failure::Passing if self.pause.failing_for() < GIVE_UP_AFTER => {
                self.counters.add_retries(1);
                tracing::debug!(shard = %self.shard, %error, "reading again");
                self.pause.wait().await;
            }
            _ => return Err(error.into_stream_error(action, &resource(&self.stream))),
        }
        Ok(())
    }
}
