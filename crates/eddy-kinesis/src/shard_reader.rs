//! One shard being read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{Record as KinesisRecord, ShardIteratorType};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use bytes::Bytes;
use eddy_aws::{CallError, Failure};
use eddy_record::{PartitionId, Position, RawRecord, SequenceNumber};
use eddy_stream::{Backoff, Batch, FailureLog, PartitionReader, Start, StreamError};
use tokio::time::Instant;

use crate::aggregate::disaggregate;
use crate::counters::SourceCounters;
use crate::source::{ReadSettings, named, resource};

/// How long reading may fail, other than by throttling, before the caller hears of it.
const GIVE_UP_AFTER: Duration = Duration::from_secs(120);
/// No server time was seen.
const NO_DATE: i64 = i64::MIN;
/// An answer's Date has whole seconds: the moment it was given may be that much later.
const DATE_RESOLUTION_MS: i64 = 1000;

/// Reads a shard from a start on, by polling.
pub(crate) struct ShardReader {
    client: Client,
    stream: String,
    shard: PartitionId,
    settings: ReadSettings,
    counters: Arc<SourceCounters>,
    // Where the next iterator starts: behind everything delivered.
    start: Start,
    iterator: Option<String>,
    ended: bool,
    next_read: Instant,
    pause: Backoff,
    failures: FailureLog,
    date_ms: Arc<AtomicI64>,
}

impl ShardReader {
    pub(crate) fn new(
        client: Client,
        stream: String,
        shard: PartitionId,
        start: Start,
        settings: ReadSettings,
        counters: Arc<SourceCounters>,
    ) -> Self {
        let pause =
            Backoff::new(Duration::from_millis(200), Duration::from_secs(10), shard.as_str());
        Self {
            client,
            stream,
            shard,
            settings,
            counters,
            start,
            iterator: None,
            ended: false,
            next_read: Instant::now(),
            pause,
            failures: FailureLog::default(),
            date_ms: Arc::new(AtomicI64::new(NO_DATE)),
        }
    }

    /// An iterator at the start, or behind what was delivered.
    async fn take_iterator(&self) -> Result<Option<String>, CallError> {
        let (name, arn) = named(&self.stream);
        let call = self
            .client
            .get_shard_iterator()
            .set_stream_name(name)
            .set_stream_arn(arn)
            .shard_id(self.shard.as_str());
        let call = match &self.start {
            Start::TrimHorizon => call.shard_iterator_type(ShardIteratorType::TrimHorizon),
            Start::Latest => call.shard_iterator_type(ShardIteratorType::Latest),
            Start::AtTimestamp(from_ms) => call
                .shard_iterator_type(ShardIteratorType::AtTimestamp)
                .timestamp(DateTime::from_millis(*from_ms)),
            // At, not behind: the record may be an aggregate of which a part is still to come.
            Start::After(position) => call
                .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
                .starting_sequence_number(position.sequence.as_str()),
        };
        let call = call.customize().interceptor(ServerDate(Arc::clone(&self.date_ms)));
        let answer = call.send().await.map_err(CallError::new)?;
        Ok(answer.shard_iterator)
    }

    /// Makes the moment of the first answer to [`ShardReader::take_iterator`], a refusal included,
    /// the start of a reader that starts at the latest record: a second iterator at what is then the
    /// latest would skip what has come between. What came shortly before may be delivered too.
    fn pin_latest(&mut self) {
        let date_ms = self.date_ms.load(Ordering::Relaxed);
        if self.start == Start::Latest && date_ms != NO_DATE {
            self.start = Start::AtTimestamp(date_ms - DATE_RESOLUTION_MS);
        }
    }

    /// One read, without retries; `None` where the shard has ended.
    async fn read(&mut self) -> Result<Option<Batch>, CallError> {
        if self.iterator.is_none() {
            let taken = self.take_iterator().await;
            self.pin_latest();
            match taken? {
                Some(iterator) => self.iterator = Some(iterator),
                None => return Ok(None),
            }
        }
        let answer = self
            .client
            .get_records()
            .set_shard_iterator(self.iterator.clone())
            .limit(self.settings.max_records)
            .customize()
            .interceptor(ServerDate(Arc::clone(&self.date_ms)))
            .send()
            .await
            .map_err(CallError::new)?;
        // From here to the end nothing waits: a cancelled read has changed nothing.
        let mut batch = Batch { behind_ms: answer.millis_behind_latest, ..Batch::default() };
        for record in answer.records {
            self.deliver(record, &mut batch.records);
        }
        if let Some(last) = batch.records.last() {
            self.start = Start::After(last.position.clone());
        }
        self.counters.add_reads(1);
        self.counters.add_records(batch.records.len() as u64);
        self.counters.add_bytes(batch.bytes() as u64);
        let date_ms = self.date_ms.load(Ordering::Relaxed);
        if batch.behind_ms == Some(0) && date_ms != NO_DATE {
            batch.watermark_ms = Some(date_ms - self.settings.watermark_slack_ms);
        }
        self.ended = answer.next_shard_iterator.is_none();
        self.iterator = answer.next_shard_iterator;
        let caught_up = batch.behind_ms.is_none_or(|behind_ms| behind_ms == 0);
        let pause_ms = if caught_up {
            self.settings.poll_interval_ms.max(self.settings.min_read_interval_ms)
        } else {
            self.settings.min_read_interval_ms
        };
        self.next_read = Instant::now() + Duration::from_millis(pause_ms);
        Ok(Some(batch))
    }

    /// Appends a record, or the records inside it, leaving out what was delivered before.
    fn deliver(&self, record: KinesisRecord, out: &mut Vec<RawRecord>) {
        let Ok(sequence) = record.sequence_number.parse::<SequenceNumber>() else {
            tracing::error!(number = record.sequence_number, "a sequence number is no number");
            return;
        };
        let arrival = record.approximate_arrival_timestamp;
        let arrival_ms = arrival.map_or(0, |at| whole_milliseconds(at.as_nanos()));
        let data = Bytes::from(record.data.into_inner());
        let mut push = |sub_sequence, partition_key: String, data| {
            let position = Position { sequence: sequence.clone(), sub_sequence };
            let delivered = matches!(&self.start, Start::After(last) if position <= *last);
            if !delivered {
                let partition_key = partition_key.into_boxed_str();
                out.push(RawRecord { partition_key, position, arrival_ms, data });
            }
        };
        match disaggregate(&data) {
            Some(parts) if !parts.is_empty() => {
                for (sub_sequence, part) in (0..).zip(parts) {
                    push(sub_sequence, part.partition_key, part.data);
                }
            }
            // An aggregate of nothing is a record all the same, and becomes a dead letter.
            _ => push(0, record.partition_key.unwrap_or_default(), data),
        }
    }
}

/// A moment's milliseconds. It comes as seconds in a floating-point number, off by a fraction of a
/// microsecond, and cutting off the rest of one that was whole would make it the one before.
fn whole_milliseconds(nanoseconds: i128) -> i64 {
    let microseconds = (nanoseconds + 500).div_euclid(1000);
    i64::try_from(microseconds.div_euclid(1000)).unwrap_or(0)
}

#[async_trait]
impl PartitionReader for ShardReader {
    async fn next(&mut self) -> Result<Option<Batch>, StreamError> {
        if self.ended {
            return Ok(None);
        }
        loop {
            tokio::time::sleep_until(self.next_read).await;
            let error = match self.read().await {
                Ok(batch) => {
                    self.pause.reset();
                    if let Some(failed_for) = self.failures.succeeded() {
                        tracing::info!(shard = %self.shard, ?failed_for, "the shard is read again");
                    }
                    return Ok(batch);
                }
                Err(error) => error,
            };
            if let Some(failing_for) = self.failures.failed() {
                tracing::warn!(
                    stream = self.stream, shard = %self.shard, reason = %error, ?failing_for,
                    "reading the shard keeps failing; it is tried again",
                );
            }
            match error.failure {
                Failure::ExpiredIterator => {
                    self.counters.add_expired_iterators(1);
                    self.iterator = None;
                }
                Failure::Throttled => {
                    self.counters.add_throttled(1);
                    self.pause.wait().await;
                }
                Failure::Passing if self.pause.failing_for() < GIVE_UP_AFTER => {
                    self.counters.add_retries(1);
                    tracing::debug!(shard = %self.shard, %error, "reading again");
                    self.pause.wait().await;
                }
                _ => return Err(error.into_stream_error("GetRecords", &resource(&self.stream))),
            }
        }
    }
}

/// Notes the server's time of each answer: the only clock that may say a shard is caught up.
#[derive(Debug)]
struct ServerDate(Arc<AtomicI64>);

impl Intercept for ServerDate {
    fn name(&self) -> &'static str {
        "ServerDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok());
        if let Some(date) = date {
            self.0.store(date.timestamp_millis(), Ordering::Relaxed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_in_seconds_keeps_its_milliseconds() {
        for ms in 1_795_634_576_000..1_795_634_577_000 {
            #[expect(clippy::cast_precision_loss, reason = "as the service's JSON has it")]
            let seconds = ms as f64 / 1000.0;
            let parsed = DateTime::from_secs_f64(seconds);
            assert_eq!(whole_milliseconds(parsed.as_nanos()), ms);
        }
        assert_eq!(whole_milliseconds(1_999_400), 1);
    }
}
