//! One shard being read.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::ShardIteratorType;
use eddy_aws::{CallError, Failure};
use eddy_record::PartitionId;
use eddy_stream::{Batch, PartitionReader, Start, StreamError};
use tokio::time::Instant;

use crate::counters::SourceCounters;
use crate::retries::Retries;
use crate::server_date::ServerDate;
use crate::source::{ReadSettings, named};
use crate::unpack::unpack;

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
    retries: Retries,
    date: ServerDate,
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
        let retries = Retries::new(stream.clone(), shard.clone(), Arc::clone(&counters));
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
            retries,
            date: ServerDate::default(),
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
        let call = call.customize().interceptor(self.date.clone());
        let answer = call.send().await.map_err(CallError::new)?;
        Ok(answer.shard_iterator)
    }

    /// One read, without retries; `None` where the shard has ended.
    async fn read(&mut self) -> Result<Option<Batch>, CallError> {
        if self.iterator.is_none() {
            let taken = self.take_iterator().await;
            self.date.pin_latest(&mut self.start);
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
            .interceptor(self.date.clone())
            .send()
            .await
            .map_err(CallError::new)?;
        // From here to the end nothing waits: a cancelled read has changed nothing.
        let mut batch = Batch { behind_ms: answer.millis_behind_latest, ..Batch::default() };
        for record in answer.records {
            unpack(record, &self.start, &mut batch.records);
        }
        if let Some(last) = batch.records.last() {
            self.start = Start::After(last.position.clone());
        }
        self.counters.add_reads(1);
        self.counters.add_records(batch.records.len() as u64);
        self.counters.add_bytes(batch.bytes() as u64);
        self.ended = answer.next_shard_iterator.is_none();
        // Time does not pass in a closed shard: its children may have records from its end on.
        if batch.behind_ms == Some(0) && !self.ended {
            batch.watermark_ms =
                self.date.get().map(|date_ms| date_ms - self.settings.watermark_slack_ms);
        }
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
}

#[async_trait]
impl PartitionReader for ShardReader {
    async fn next(&mut self) -> Result<Option<Batch>, StreamError> {
        if self.ended {
            return Ok(None);
        }
        loop {
            tokio::time::sleep_until(self.next_read).await;
            match self.read().await {
                Ok(batch) => {
                    self.retries.succeeded();
                    return Ok(batch);
                }
                Err(error) => {
                    if error.failure == Failure::ExpiredIterator {
                        self.iterator = None;
                    }
                    self.retries.failed("GetRecords", error).await?;
                }
            }
        }
    }
}
