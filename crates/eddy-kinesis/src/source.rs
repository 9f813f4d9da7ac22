//! A stream as a source: its shards.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::StreamDescriptionSummary;
use eddy_aws::{CallError, Failure, Resource};
use eddy_record::{PartitionId, StreamIdentity};
use eddy_stream::{Backoff, FailureLog, Partition, PartitionReader, Source, Start, StreamError};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use crate::counters::SourceCounters;
use crate::limits::{MAX_READ_RECORDS, MIN_READ_INTERVAL_MS};
use crate::retries::Retries;
use crate::shard_reader::ShardReader;
use crate::subscription::{SubscriptionReader, consumer_arn};

/// How long a call of the source itself is tried again before the caller hears of it.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// How shards are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadSettings {
    /// The pause between reads of a shard that is caught up, in milliseconds, at least
    /// `min_read_interval_ms`. Default: 250.
    pub poll_interval_ms: u64,
    /// The pause between reads of a shard that is behind, in milliseconds. The service allows five
    /// reads a second. Default: 200.
    pub min_read_interval_ms: u64,
    /// Records a read at most, 1..=10 000. Default: 10 000.
    pub max_records: i32,
    /// How much earlier than the server's time a caught-up shard's watermark is, in milliseconds.
    /// Default: 1000.
    pub watermark_slack_ms: i64,
    /// The name of a consumer with enhanced fan-out, which is registered if it does not exist: the
    /// service then sends records as they come, with a throughput of 2 MB/s a shard of the
    /// consumer's own, for a price. Default: none, shards are polled.
    pub consumer: Option<String>,
}

impl Default for ReadSettings {
    fn default() -> Self {
        Self {
            poll_interval_ms: 250,
            min_read_interval_ms: MIN_READ_INTERVAL_MS,
            max_records: MAX_READ_RECORDS,
            watermark_slack_ms: 1000,
            consumer: None,
        }
    }
}

/// A Kinesis stream.
#[derive(Debug)]
pub struct KinesisSource {
    client: Client,
    // A name or an ARN.
    stream: String,
    settings: ReadSettings,
    counters: Arc<SourceCounters>,
    // Of the consumer with enhanced fan-out.
    consumer_arn: OnceCell<String>,
}

impl KinesisSource {
    /// Reads a stream, given by its name or its ARN.
    pub fn new(client: Client, stream: &str, settings: ReadSettings) -> Self {
        Self {
            client,
            stream: stream.to_owned(),
            settings,
            counters: Arc::default(),
            consumer_arn: OnceCell::new(),
        }
    }

    /// What has been read.
    pub fn counters(&self) -> Arc<SourceCounters> {
        Arc::clone(&self.counters)
    }

    /// The stream as the two fields of a request: its name, or its ARN.
    fn named(&self) -> (Option<String>, Option<String>) {
        named(&self.stream)
    }

    /// The ARN of a consumer with enhanced fan-out.
    async fn consumer(&self, name: &str) -> Result<&str, StreamError> {
        let found = self.consumer_arn.get_or_try_init(|| async {
            let stream_arn = self.describe().await?.stream_arn;
            let register = || consumer_arn(&self.client, &stream_arn, name);
            self.patiently("RegisterStreamConsumer", register).await
        });
        Ok(found.await?)
    }

    async fn describe(&self) -> Result<StreamDescriptionSummary, StreamError> {
        let described = self.patiently("DescribeStreamSummary", || async {
            let (name, arn) = self.named();
            let call =
                self.client.describe_stream_summary().set_stream_name(name).set_stream_arn(arn);
            call.send().await.map_err(CallError::new)
        });
        described.await?.stream_description_summary.ok_or_else(|| {
            StreamError::retry("DescribeStreamSummary answered without a description")
        })
    }

    /// Tries a call until it succeeds, is refused, or has failed for too long.
    async fn patiently<T, F>(&self, action: &str, call: impl Fn() -> F) -> Result<T, StreamError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let mut pause =
            Backoff::new(Duration::from_millis(100), Duration::from_secs(10), &self.stream);
        let mut failures = FailureLog::default();
        loop {
            match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    let passing = matches!(error.failure, Failure::Passing | Failure::Throttled);
                    if !passing || pause.failing_for() > GIVE_UP_AFTER {
                        return Err(error.into_stream_error(action, &resource(&self.stream)));
                    }
                    self.counters.add_retries(1);
                    if let Some(failing_for) = failures.failed() {
                        let (stream, reason) = (&self.stream, &error);
                        tracing::warn!(
                            stream, action, %reason, ?failing_for,
                            "a call keeps failing; it is tried again",
                        );
                    }
                    tracing::debug!(action, %error, "trying again");
                    pause.wait().await;
                }
            }
        }
    }
}

/// A stream in messages.
pub(crate) fn resource(stream: &str) -> Resource<'_> {
    Resource { service: "kinesis", kind: "the stream", name: stream }
}

/// A stream's name or ARN as the fields of a request.
pub(crate) fn named(stream: &str) -> (Option<String>, Option<String>) {
    if stream.starts_with("arn:") {
        (None, Some(stream.to_owned()))
    } else {
        (Some(stream.to_owned()), None)
    }
}

#[async_trait]
impl Source for KinesisSource {
    async fn identity(&self) -> Result<StreamIdentity, StreamError> {
        let summary = self.describe().await?;
        // The name, not what it was called by: the same stream is the same by name and by ARN.
        let created_ms = summary.stream_creation_timestamp().to_millis().unwrap_or(0);
        Ok(StreamIdentity { name: summary.stream_name().to_owned(), created_ms })
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StreamError> {
        let mut partitions = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let page = self.patiently("ListShards", || async {
                let call = self.client.list_shards();
                // A token stands for the stream: the two must not be sent together.
                let call = match &next {
                    Some(token) => call.next_token(token),
                    None => {
                        let (name, arn) = self.named();
                        call.set_stream_name(name).set_stream_arn(arn)
                    }
                };
                call.send().await.map_err(CallError::new)
            });
            let page = page.await?;
            for shard in page.shards() {
                let parents = [shard.parent_shard_id(), shard.adjacent_parent_shard_id()];
                partitions.push(Partition {
                    id: PartitionId::new(shard.shard_id()),
                    parents: parents.into_iter().flatten().map(PartitionId::new).collect(),
                });
            }
            match page.next_token() {
                Some(token) if !token.is_empty() => next = Some(token.to_owned()),
                _ => return Ok(partitions),
            }
        }
    }

    async fn open(
        &self,
        partition: &PartitionId,
        start: &Start,
    ) -> Result<Box<dyn PartitionReader>, StreamError> {
        if let Some(consumer) = &self.settings.consumer {
            let counters = Arc::clone(&self.counters);
            return Ok(Box::new(SubscriptionReader::new(
                self.client.clone(),
                self.consumer(consumer).await?.to_owned(),
                partition.clone(),
                start.clone(),
                self.settings.watermark_slack_ms,
                Arc::clone(&counters),
                Retries::new(self.stream.clone(), partition.clone(), counters),
            )));
        }
        Ok(Box::new(ShardReader::new(
            self.client.clone(),
            self.stream.clone(),
            partition.clone(),
            start.clone(),
            self.settings.clone(),
            Arc::clone(&self.counters),
        )))
    }
}
