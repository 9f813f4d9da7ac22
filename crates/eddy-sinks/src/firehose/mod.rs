//! Rows into a delivery stream of Amazon Data Firehose.

mod request;
mod service;
mod settings;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use eddy_aws::{CallError, Failure, Resource, SdkConfig, connect};
use eddy_record::ScoredRecord;
use eddy_stream::{Backoff, FailureLog, Rejected, Sink, StreamError};

use request::Entry;
use service::Service;
use tokio::time::Instant;

pub use settings::FirehoseSettings;

/// Puts rows into a delivery stream, a line of JSON or CSV a record.
///
/// Requests follow one another, and failed entries are put again before later rows, so rows of one
/// partition arrive in order. Firehose has no ids: what was delivered and not yet committed when
/// the process died is delivered again.
pub struct FirehoseSink {
    service: Service,
    settings: FirehoseSettings,
}

impl FirehoseSink {
    /// Connects; nothing is sent yet.
    pub async fn open(settings: &FirehoseSettings) -> Self {
        Self::over(settings, &connect(&settings.connection).await)
    }

    /// The same over a configuration of the caller's.
    pub fn over(settings: &FirehoseSettings, config: &SdkConfig) -> Self {
        Self { service: Service::over(settings, config), settings: settings.clone() }
    }

    /// Asks for the delivery stream, so that a wrong name, wrong credentials or a wrong address are
    /// known at the start. Where asking is not allowed (`firehose:DescribeDeliveryStream`) or is
    /// answered with another failure, the first rows will tell.
    ///
    /// # Errors
    /// The delivery stream does not exist, the credentials are missing or not accepted, or no answer
    /// came within `answer_within_ms`.
    pub async fn check(&self) -> Result<(), StreamError> {
        let Err(error) = self.described().await else { return Ok(()) };
        let name = &self.settings.delivery_stream;
        if error.is_unanswered() && error.failure == Failure::Passing {
            return Err(StreamError::fatal(format!(
                "Firehose, with the delivery stream {name}, has not answered for {} ms: check the \
                 sink's connection (region, endpoint_url), AWS_ENDPOINT_URL_FIREHOSE, and that this \
                 machine reaches it (network, proxy, VPC endpoint); for one that comes up later, \
                 raise answer_within_ms",
                self.settings.answer_within_ms
            ))
            .with_source(error.to_string()));
        }
        let will_fail = match error.failure {
            Failure::NotFound => true,
            Failure::Denied => !error.lacks_permission(),
            _ => false,
        };
        if will_fail {
            let resource = Resource { service: "firehose", kind: "the delivery stream", name };
            return Err(error.into_stream_error("DescribeDeliveryStream", &resource));
        }
        tracing::info!(delivery_stream = name, reason = %error, "cannot look at it before the start");
        Ok(())
    }

    /// Asks until there is an answer, or has been none for too long.
    async fn described(&self) -> Result<(), CallError> {
        let name = &self.settings.delivery_stream;
        let answer_within = Duration::from_millis(self.settings.answer_within_ms);
        let start = Instant::now();
        let mut pause = Backoff::new(Duration::from_millis(200), Duration::from_secs(5), name);
        let mut failures = FailureLog::default();
        loop {
            let Err(error) = self.service.describe().await else { return Ok(()) };
            let may_come = error.is_unanswered() && error.failure == Failure::Passing;
            if !may_come || start.elapsed() >= answer_within {
                return Err(error);
            }
            if let Some(failing_for) = failures.failed() {
                tracing::warn!(
                    delivery_stream = name, reason = %error, ?failing_for,
                    "Firehose does not answer; asking again",
                );
            }
            pause.wait().await;
        }
    }

    /// Puts lines of the caller's, each with its end, until the service has them or `error` says
    /// why it has not.
    pub async fn put(&self, lines: &[Bytes]) -> FirehosePut {
        let (batches, rejected) = request::batches(lines.iter().cloned());
        let mut put = FirehosePut::default();
        for refused in rejected {
            put.failed.push(refused.row_idx);
            put.error = Some(StreamError::fatal(refused.reason));
        }
        for mut batch in batches {
            let n_entries = batch.len();
            // After the first batch that was given up no other is tried.
            let gave_up = put.gave_up;
            if !gave_up && let Err(error) = self.settle(&mut batch, &mut put.retried).await {
                put.gave_up = true;
                put.error = Some(error);
            }
            put.failed.extend(batch.iter().map(|entry| entry.idx));
            put.acknowledged += (n_entries - batch.len()) as u64;
        }
        put.failed.sort_unstable();
        put
    }

    /// Puts a batch until the service has all of it; what it has not is left in `batch`.
    async fn settle(&self, batch: &mut Vec<Entry>, retried: &mut u64) -> Result<(), StreamError> {
        let name = &self.settings.delivery_stream;
        let resource = Resource { service: "firehose", kind: "the delivery stream", name };
        let give_up_after = Duration::from_millis(self.settings.give_up_after_ms);
        let mut pause = Backoff::new(Duration::from_millis(100), Duration::from_secs(10), name);
        let mut failures = FailureLog::default();
        loop {
            let reason = match self.service.put(batch).await {
                Ok(failed) => {
                    if failed.entries.len() < batch.len() {
                        pause.reset();
                    }
                    *batch = failed.entries;
                    if batch.is_empty() {
                        return Ok(());
                    }
                    failed.reason
                }
                Err(error) => {
                    let passing = matches!(error.failure, Failure::Passing | Failure::Throttled);
                    if !passing || pause.failing_for() >= give_up_after {
                        return Err(error.into_stream_error("PutRecordBatch", &resource));
                    }
                    error.to_string()
                }
            };
            if pause.failing_for() >= give_up_after {
                let context = format!("{resource} keeps refusing {} records", batch.len());
                return Err(StreamError::retry(context).with_source(reason));
            }
            if let Some(failing_for) = failures.failed() {
                let n_left = batch.len();
                tracing::warn!(
                    delivery_stream = name,
                    n_left,
                    reason,
                    ?failing_for,
                    "putting again"
                );
            }
            *retried += batch.len() as u64;
            pause.wait().await;
        }
    }
}

/// What became of lines that were [put](FirehoseSink::put).
#[derive(Debug, Default)]
pub struct FirehosePut {
    /// How many the service has.
    pub acknowledged: u64,
    /// Attempts of single lines beyond their first.
    pub retried: u64,
    /// The places of those that it has not, in order.
    pub failed: Vec<usize>,
    /// Why it has not the last of them.
    pub error: Option<StreamError>,
    gave_up: bool,
}

#[async_trait]
impl Sink for FirehoseSink {
    fn name(&self) -> &str {
        "firehose"
    }

    async fn write(&self, rows: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        let (batches, rejected) =
            request::batches(rows.iter().map(|row| request::line(row, self.settings.format)));
        for mut batch in batches {
            self.settle(&mut batch, &mut 0).await?;
        }
        Ok(rejected)
    }
}
