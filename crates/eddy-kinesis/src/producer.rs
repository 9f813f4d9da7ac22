//! Putting records: batched, retried one by one, in the order of each partition key.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use bytes::Bytes;
use eddy_aws::{CallError, Failure};
use eddy_stream::{Backoff, FailureLog, StreamError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use crate::counters::ProducerCounts;
use crate::limits::{MAX_RECORD_BYTES, MAX_REQUEST_BYTES, MAX_REQUEST_RECORDS};
use crate::source::{named, resource};

/// What one record counts for beside its bytes, so that empty records are bounded too.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// How records are put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerSettings {
    /// The stream's name or ARN.
    pub stream: String,
    /// How long a record waits for others, in milliseconds. Default: 20.
    pub linger_ms: u64,
    /// Bytes that wait at most; beyond them [`Producer::put`] waits. Default: 16 MiB.
    pub max_buffered_bytes: u32,
    /// How long records are tried again before they are given up, in milliseconds. Default: 300 000.
    pub give_up_after_ms: u64,
}

impl ProducerSettings {
    /// The defaults.
    pub fn new(stream: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            linger_ms: 20,
            max_buffered_bytes: 16 << 20,
            give_up_after_ms: 300_000,
        }
    }
}

struct Entry {
    partition_key: String,
    data: Bytes,
    // Its share of the buffer, given back when the record is settled.
    _room: OwnedSemaphorePermit,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.partition_key.len() + self.data.len()
    }
}

enum Message {
    Put(Entry),
    Flush(oneshot::Sender<()>),
}

/// Puts records into a stream.
///
/// One request is under way at a time, so records of one partition key arrive in the order in which
/// they were put, also when some had to be tried again: a failed entry goes into the next request
/// before all newer ones. Dropping the producer lets what waits go on in the background;
/// [`Producer::flush`] waits for it.
#[derive(Debug)]
pub struct Producer {
    messages: mpsc::UnboundedSender<Message>,
    // Bounds the messages: every entry holds its bytes' permits.
    room: Arc<Semaphore>,
    max_buffered_bytes: u32,
    counts: Arc<Mutex<ProducerCounts>>,
    last_error: Arc<Mutex<Option<String>>>,
}

impl Producer {
    /// Starts a producer.
    pub fn new(client: Client, settings: ProducerSettings) -> Self {
        let (messages, queue) = mpsc::unbounded_channel();
        let counts = Arc::default();
        let last_error = Arc::default();
        let room = Arc::new(Semaphore::new(settings.max_buffered_bytes as usize));
        let max_buffered_bytes = settings.max_buffered_bytes;
        let pause =
            Backoff::new(Duration::from_millis(50), Duration::from_secs(5), &settings.stream);
        let worker = Worker {
            client,
            settings,
            queue,
            counts: Arc::clone(&counts),
            last_error: Arc::clone(&last_error),
            pause,
            failures: FailureLog::default(),
        };
        tokio::spawn(worker.run());
        Self { messages, room, max_buffered_bytes, counts, last_error }
    }

    /// Hands a record over; waits while the buffer is full.
    ///
    /// # Errors
    /// The record is larger than a stream takes; it was not put and is not counted.
    pub async fn put(&self, partition_key: &str, data: Bytes) -> Result<(), StreamError> {
        let bytes = partition_key.len() + data.len();
        if bytes > MAX_RECORD_BYTES {
            return Err(StreamError::fatal(format!(
                "a record has {bytes} bytes, a stream takes at most {MAX_RECORD_BYTES}"
            )));
        }
        let share = u32::try_from(bytes + RECORD_OVERHEAD_BYTES).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(share.min(self.max_buffered_bytes));
        let stopped = || StreamError::fatal("the producer has stopped");
        let entry = Entry {
            partition_key: partition_key.to_owned(),
            data,
            _room: room.await.map_err(|_| stopped())?,
        };
        self.messages.send(Message::Put(entry)).map_err(|_| stopped())
    }

    /// Waits until every record handed over is acknowledged or given up, and counts all so far.
    pub async fn flush(&self) -> ProducerCounts {
        let (done, wait) = oneshot::channel();
        if self.messages.send(Message::Flush(done)).is_ok() {
            // The worker ends only after it has answered or when its runtime is gone.
            let _ = wait.await;
        }
        self.counts()
    }

    /// What has become of records so far.
    pub fn counts(&self) -> ProducerCounts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the last record that failed did.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Worker {
    client: Client,
    settings: ProducerSettings,
    queue: mpsc::UnboundedReceiver<Message>,
    counts: Arc<Mutex<ProducerCounts>>,
    last_error: Arc<Mutex<Option<String>>>,
    pause: Backoff,
    failures: FailureLog,
}

impl Worker {
    async fn run(mut self) {
        let mut waiting: Vec<Entry> = Vec::new();
        let mut next: Option<Message> = None;
        while let Some(message) = match next.take() {
            Some(message) => Some(message),
            None => self.queue.recv().await,
        } {
            let mut flushes = Vec::new();
            let mut bytes = 0;
            let deadline = Instant::now() + Duration::from_millis(self.settings.linger_ms);
            let mut message = Some(message);
            // Fills a request until it is full, the linger is over or somebody waits for it.
            while let Some(current) = message.take() {
                match current {
                    Message::Flush(done) => flushes.push(done),
                    Message::Put(entry) => {
                        if bytes + entry.bytes() > MAX_REQUEST_BYTES {
                            next = Some(Message::Put(entry));
                            break;
                        }
                        bytes += entry.bytes();
                        waiting.push(entry);
                    }
                }
                if waiting.len() == MAX_REQUEST_RECORDS || !flushes.is_empty() {
                    break;
                }
                message = match self.queue.try_recv() {
                    Ok(message) => Some(message),
                    Err(_) => tokio::time::timeout_at(deadline, self.queue.recv())
                        .await
                        .unwrap_or_default(),
                };
            }
            self.settle(std::mem::take(&mut waiting)).await;
            for done in flushes {
                // Whoever asked may have gone.
                let _ = done.send(());
            }
        }
    }

    /// Puts entries until each is acknowledged or given up.
    async fn settle(&mut self, entries: Vec<Entry>) {
        // What is left, the next last.
        let mut work = vec![entries];
        while let Some(entries) = work.pop() {
            if entries.is_empty() {
                continue;
            }
            let n_tried = entries.len();
            let (mut left, error) = self.put(entries).await;
            if left.len() < n_tried {
                self.progress();
            }
            if left.is_empty() {
                continue;
            }
            let n_left = left.len() as u64;
            let failure = error.as_ref().map(|error| error.failure);
            if let Some(error) = error {
                self.note(error);
            }
            if failure == Some(Failure::TooLarge) && left.len() > 1 {
                // An endpoint with a smaller limit than the service's.
                let second_half = left.split_off(left.len() / 2);
                work.extend([second_half, left]);
                self.count(|counts| counts.retried += n_left);
                continue;
            }
            let given_up =
                self.pause.failing_for() >= Duration::from_millis(self.settings.give_up_after_ms);
            let passing = matches!(failure, None | Some(Failure::Passing | Failure::Throttled));
            if given_up || !passing {
                self.count(|counts| counts.failed += n_left);
                continue;
            }
            self.count(|counts| counts.retried += n_left);
            self.warn_if_due(n_left);
            work.push(left);
            self.pause.wait().await;
        }
    }

    /// Some records were taken.
    fn progress(&mut self) {
        self.pause.reset();
        if let Some(failed_for) = self.failures.succeeded() {
            let stream = &self.settings.stream;
            tracing::info!(stream, ?failed_for, "the stream takes records again");
        }
    }

    fn warn_if_due(&mut self, n_records: u64) {
        if let Some(failing_for) = self.failures.failed() {
            let reason = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let (stream, reason) = (&self.settings.stream, reason.unwrap_or_default());
            tracing::warn!(
                stream,
                n_records,
                reason,
                ?failing_for,
                "putting records keeps failing; it is tried again",
            );
        }
    }

    /// Keeps why a request failed.
    fn note(&self, error: CallError) {
        let text = error.into_stream_error("PutRecords", &resource(&self.settings.stream));
        let text = match std::error::Error::source(&text) {
            Some(source) => format!("{text}: {source}"),
            None => text.to_string(),
        };
        tracing::debug!(error = text, "records were not taken");
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    /// One request; returns the entries that were not taken.
    ///
    /// When an entry fails, later entries of its key in the same request may have been taken: the
    /// service has no answer that undoes them. They keep their order among themselves.
    async fn put(&self, entries: Vec<Entry>) -> (Vec<Entry>, Option<CallError>) {
        let (name, arn) = named(&self.settings.stream);
        let records = entries.iter().map(|entry| {
            PutRecordsRequestEntry::builder()
                .partition_key(&entry.partition_key)
                .data(Blob::new(entry.data.to_vec()))
                .build()
                .expect("key and data are set")
        });
        let call = self
            .client
            .put_records()
            .set_stream_name(name)
            .set_stream_arn(arn)
            .set_records(Some(records.collect()));
        let answer = match call.send().await {
            Ok(answer) => answer,
            Err(error) => return (entries, Some(CallError::new(error))),
        };
        let mut left = Vec::new();
        let (mut acknowledged, mut bytes) = (0, 0);
        let mut reason = None;
        let mut results = answer.records.into_iter();
        for entry in entries {
            // An answer that is too short acknowledges nothing.
            match results.next() {
                Some(result) if result.error_code.is_none() && result.sequence_number.is_some() => {
                    acknowledged += 1;
                    bytes += entry.data.len() as u64;
                }
                other => {
                    reason = other.and_then(|result| result.error_message).or(reason);
                    left.push(entry);
                }
            }
        }
        self.count(|counts| {
            counts.acknowledged += acknowledged;
            counts.bytes += bytes;
        });
        if let Some(reason) = reason {
            *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        }
        (left, None)
    }

    fn count(&self, change: impl FnOnce(&mut ProducerCounts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
