//! One shard being read by enhanced fan-out: the service sends, with a throughput of the consumer's
//! own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{
    ConsumerStatus, ShardIteratorType, StartingPosition, SubscribeToShardEvent,
    SubscribeToShardEventStream,
};
use eddy_aws::{CallError, Failure};
use eddy_record::PartitionId;
use eddy_stream::{Backoff, Batch, PartitionReader, Start, StreamError};
use tokio::time::Instant;

use crate::counters::SourceCounters;
use crate::retries::Retries;
use crate::server_date::ServerDate;
use crate::unpack::unpack;

/// The service sends an event at least every five seconds, with or without records.
const SILENCE: Duration = Duration::from_secs(30);
/// An event that takes longer than this to come has not waited here while earlier ones were worked on:
/// it says what is so now.
const WAITED: Duration = Duration::from_millis(20);
/// How long a new consumer may take to become active.
const ACTIVE_WITHIN: Duration = Duration::from_secs(120);

/// Registers a consumer if it does not exist, waits until it is active, and returns its ARN.
pub(crate) async fn consumer_arn(
    client: &Client,
    stream_arn: &str,
    name: &str,
) -> Result<String, CallError> {
    let mut pause = Backoff::new(Duration::from_millis(100), Duration::from_secs(2), name);
    let mut registered = false;
    loop {
        let described =
            client.describe_stream_consumer().stream_arn(stream_arn).consumer_name(name);
        match described.send().await.map_err(CallError::new) {
            Ok(described) => {
                let consumer = described.consumer_description();
                let active = consumer
                    .filter(|consumer| *consumer.consumer_status() == ConsumerStatus::Active);
                if let Some(consumer) = active {
                    return Ok(consumer.consumer_arn().to_owned());
                }
            }
            Err(error) if error.failure == Failure::NotFound && !registered => {
                let call = client.register_stream_consumer().stream_arn(stream_arn);
                match call.consumer_name(name).send().await {
                    // Somebody else registers it.
                    Err(error)
                        if error
                            .as_service_error()
                            .is_some_and(|error| error.is_resource_in_use_exception()) => {}
                    answer => drop(answer.map_err(CallError::new)?),
                }
                registered = true;
            }
            Err(error) if error.failure == Failure::NotFound => {}
            Err(error) => return Err(error),
        }
        if pause.failing_for() > ACTIVE_WITHIN {
            let message = format!("the consumer {name} does not become active");
            return Err(CallError::passing(message));
        }
        pause.wait().await;
    }
}

/// Receives a shard's records from a start on.
pub(crate) struct SubscriptionReader {
    client: Client,
    consumer_arn: String,
    shard: PartitionId,
    slack_ms: i64,
    counters: Arc<SourceCounters>,
    // Behind everything delivered.
    start: Start,
    // Where the last event of the last session ended.
    continuation: Option<String>,
    session: Option<SubscribeToShardOutput>,
    // The service's time when the session began, and when that was by a clock that only runs.
    began: Option<(i64, Instant)>,
    // The service's time when an event was last waited for: those that come behind it are not older.
    now_ms: Option<i64>,
    ended: bool,
    retries: Retries,
    date: ServerDate,
}

impl SubscriptionReader {
    pub(crate) fn new(
        client: Client,
        consumer_arn: String,
        shard: PartitionId,
        start: Start,
        slack_ms: i64,
        counters: Arc<SourceCounters>,
        retries: Retries,
    ) -> Self {
        Self {
            client,
            consumer_arn,
            shard,
            slack_ms,
            counters,
            start,
            continuation: None,
            session: None,
            began: None,
            now_ms: None,
            ended: false,
            retries,
            date: ServerDate::default(),
        }
    }

    fn position(&self) -> StartingPosition {
        let position = StartingPosition::builder();
        let position = match (&self.continuation, &self.start) {
            // At, for it may be the number of the next record; what was delivered is left out.
            (Some(sequence), _) => {
                position.r#type(ShardIteratorType::AtSequenceNumber).sequence_number(sequence)
            }
            (None, Start::TrimHorizon) => position.r#type(ShardIteratorType::TrimHorizon),
            (None, Start::Latest) => position.r#type(ShardIteratorType::Latest),
            (None, Start::AtTimestamp(from_ms)) => position
                .r#type(ShardIteratorType::AtTimestamp)
                .timestamp(DateTime::from_millis(*from_ms)),
            // At, not behind: the record may be an aggregate of which a part is still to come.
            (None, Start::After(last)) => position
                .r#type(ShardIteratorType::AtSequenceNumber)
                .sequence_number(last.sequence.as_str()),
        };
        position.build().expect("the type is set")
    }

    /// The next event, of a new session where there is none; `None` where a session has ended, as
    /// each does after five minutes.
    async fn receive(&mut self) -> Result<Option<SubscribeToShardEvent>, CallError> {
        if self.session.is_none() {
            let call = self
                .client
                .subscribe_to_shard()
                .consumer_arn(&self.consumer_arn)
                .shard_id(self.shard.as_str())
                .starting_position(self.position())
                .customize()
                .interceptor(self.date.clone());
            let opened = call.send().await;
            self.date.pin_latest(&mut self.start);
            self.session = Some(opened.map_err(CallError::new)?);
            self.began = self.date.get().map(|date_ms| (date_ms, Instant::now()));
            self.now_ms = self.began.map(|(date_ms, _)| date_ms);
            self.counters.add_reads(1);
        }
        let Some(session) = &mut self.session else { return Ok(None) };
        let asked = Instant::now();
        let received = tokio::time::timeout(SILENCE, session.event_stream.recv()).await;
        let event = match received {
            Ok(Ok(event)) => event,
            Ok(Err(error)) => {
                self.session = None;
                return Err(CallError::in_stream(error));
            }
            Err(_) => {
                self.session = None;
                let message = format!("the subscription was silent for {} s", SILENCE.as_secs());
                return Err(CallError::passing(message));
            }
        };
        if asked.elapsed() >= WAITED {
            self.now_ms = self.began.map(|(date_ms, at)| {
                date_ms + i64::try_from(at.elapsed().as_millis()).unwrap_or(0)
            });
        }
        match event {
            Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)) => Ok(Some(event)),
            Some(_) => Ok(None),
            None => {
                self.session = None;
                Ok(None)
            }
        }
    }

    fn batch(&mut self, event: SubscribeToShardEvent) -> Batch {
        let behind_ms = Some(event.millis_behind_latest);
        let n_records = event.records.len();
        let mut batch = Batch { behind_ms, ..Batch::default() };
        for record in event.records {
            unpack(record, &self.start, &mut batch.records);
        }
        if let Some(last) = batch.records.last() {
            self.start = Start::After(last.position.clone());
        }
        self.counters.add_records(batch.records.len() as u64);
        self.counters.add_bytes(batch.bytes() as u64);
        // The service ends with an event that goes on nowhere; a double with empty ones that name
        // the children.
        let has_children = event.child_shards.is_some_and(|children| !children.is_empty());
        self.ended =
            event.continuation_sequence_number.is_empty() || (has_children && n_records == 0);
        self.continuation = Some(event.continuation_sequence_number);
        // Time does not pass in a closed shard: its children may have records from its end on.
        if behind_ms == Some(0) && !has_children && !self.ended {
            batch.watermark_ms = self.now_ms.map(|now_ms| now_ms - self.slack_ms);
        }
        batch
    }
}

#[async_trait]
impl PartitionReader for SubscriptionReader {
    async fn next(&mut self) -> Result<Option<Batch>, StreamError> {
        while !self.ended {
            match self.receive().await {
                Ok(Some(event)) => {
                    self.retries.succeeded();
                    return Ok(Some(self.batch(event)));
                }
                Ok(None) => {}
                Err(error) => self.retries.failed("SubscribeToShard", error).await?,
            }
        }
        Ok(None)
    }
}
