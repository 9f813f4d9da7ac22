//! Putting records: batched, held to what each shard takes, retried one by one, in the order of
//! each partition key.

mod bucket;
mod lanes;
mod worker;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_kinesis::Client;
use bytes::Bytes;
use eddy_stream::StreamError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::counters::ProducerCounts;
use crate::limits::{
    MAX_PARTITION_KEY_CHARS, MAX_RECORD_BYTES, SHARD_BYTES_PER_S, SHARD_RECORDS_PER_S,
};
use worker::Worker;

/// What one record counts for beside its bytes, so that empty records are bounded too.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// What one shard takes in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardLimits {
    /// Records, an aggregate as one. Default: 1000.
    pub records_per_s: u32,
    /// Payload and partition keys, in bytes. Default: 1 MiB.
    pub bytes_per_s: u32,
}

impl Default for ShardLimits {
    fn default() -> Self {
        Self { records_per_s: SHARD_RECORDS_PER_S, bytes_per_s: SHARD_BYTES_PER_S }
    }
}

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
    /// What is sent to one shard in a second, after a burst of as much: more would only be refused.
    /// The shards are listed for it (`kinesis:ListShards`; where that is denied, a line says so and
    /// the service's refusals are the only limit) and listed again when the stream was resharded.
    /// `None` for a server that sets no limits. Default: the service's limits.
    pub shard_limits: Option<ShardLimits>,
    /// Whether records of one partition key that wait together are put as one record of the stream,
    /// in the format of Amazon's Kinesis Producer Library, which consumers must know. Default: false.
    pub aggregate: bool,
}

impl ProducerSettings {
    /// The defaults.
    pub fn new(stream: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            linger_ms: 20,
            max_buffered_bytes: 16 << 20,
            give_up_after_ms: 300_000,
            shard_limits: Some(ShardLimits::default()),
            aggregate: false,
        }
    }

    /// The defaults for a server that sets no limits, as the endpoint of the embedded default.
    pub fn unlimited(stream: &str) -> Self {
        Self { shard_limits: None, ..Self::new(stream) }
    }
}

/// Records given up whose numbers are kept until somebody asks: more than wait in any buffer of
/// ordinary size.
const MAX_FAILED_KEPT: usize = 65_536;

/// A record handed over.
struct Handed {
    partition_key: String,
    data: Bytes,
    room: OwnedSemaphorePermit,
}

enum Message {
    Put(Handed),
    Flush(oneshot::Sender<()>),
}

/// What the worker tells.
#[derive(Debug, Default)]
struct Told {
    counts: ProducerCounts,
    // The first of them, by their numbers.
    failed: Vec<u64>,
    last_error: Option<String>,
}

impl Told {
    /// Counts records as given up.
    fn give_up(&mut self, ordinals: impl Iterator<Item = u64>) {
        for ordinal in ordinals {
            self.counts.failed += 1;
            if self.failed.len() < MAX_FAILED_KEPT {
                self.failed.push(ordinal);
            }
        }
    }
}

fn locked(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    // Counts are whole between statements, whatever a panicking holder did.
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A record that the stream has taken, and where it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged<'a> {
    /// Which of the records that were put, from 0.
    pub nth: u64,
    /// The shard.
    pub shard_id: &'a str,
    /// Its number there.
    pub sequence_number: &'a str,
}

type Listener = Box<dyn Fn(Acknowledged<'_>) + Send>;

/// Puts records into a stream.
///
/// One request is under way at a time, so records of one partition key arrive in the order in which
/// they were put, also when some had to be tried again: a failed entry goes into a later request
/// before all newer ones of its shard. A shard that is full holds up no other until the buffer is
/// full of its records. Dropping the producer lets what waits go on in the background;
/// [`Producer::flush`] waits for it.
#[derive(Debug)]
pub struct Producer {
    messages: mpsc::UnboundedSender<Message>,
    // Bounds the messages: every entry holds its bytes' permits.
    room: Arc<Semaphore>,
    max_buffered_bytes: u32,
    told: Arc<Mutex<Told>>,
}

impl Producer {
    /// Starts a producer.
    pub fn new(client: Client, settings: ProducerSettings) -> Self {
        Self::start(client, settings, None)
    }

    fn start(client: Client, settings: ProducerSettings, listener: Option<Listener>) -> Self {
        let (messages, queue) = mpsc::unbounded_channel();
        let told = Arc::default();
        let room = Arc::new(Semaphore::new(settings.max_buffered_bytes as usize));
        let max_buffered_bytes = settings.max_buffered_bytes;
        tokio::spawn(Worker::new(client, settings, queue, Arc::clone(&told), listener).run());
        Self { messages, room, max_buffered_bytes, told }
    }

    /// Starts a producer that tells of every record that the stream has taken on its own.
    pub fn telling(
        client: Client,
        settings: ProducerSettings,
        listener: impl Fn(Acknowledged<'_>) + Send + 'static,
    ) -> Self {
        Self::start(client, settings, Some(Box::new(listener)))
    }

    /// Hands a record over; waits while the buffer is full.
    ///
    /// # Errors
    /// The record is larger than a stream takes, or its key is empty or too long; it was not put and
    /// is not counted.
    pub async fn put(&self, partition_key: &str, data: Bytes) -> Result<(), StreamError> {
        let n_chars = partition_key.chars().count();
        if n_chars == 0 || n_chars > MAX_PARTITION_KEY_CHARS {
            return Err(StreamError::fatal(format!(
                "a partition key has {n_chars} characters, a stream takes 1 to \
                 {MAX_PARTITION_KEY_CHARS}"
            )));
        }
        let bytes = partition_key.len() + data.len();
        if bytes > MAX_RECORD_BYTES {
            return Err(StreamError::fatal(format!(
                "a record has {bytes} bytes, a stream takes at most {MAX_RECORD_BYTES}"
            )));
        }
        let share = u32::try_from(bytes + RECORD_OVERHEAD_BYTES).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(share.min(self.max_buffered_bytes));
        let stopped = || StreamError::fatal("the producer has stopped");
        let handed = Handed {
            partition_key: partition_key.to_owned(),
            data,
            room: room.await.map_err(|_| stopped())?,
        };
        // Before the worker can count what becomes of it.
        locked(&self.told).counts.put += 1;
        self.messages.send(Message::Put(handed)).map_err(|_| {
            locked(&self.told).counts.put -= 1;
            stopped()
        })
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
        locked(&self.told).counts
    }

    /// The records that were given up since this was asked last, by their number among all that
    /// were put, from 0; at most 65 536 are kept.
    pub fn take_failed(&self) -> Vec<u64> {
        std::mem::take(&mut locked(&self.told).failed)
    }

    /// Why the last record that failed did.
    pub fn last_error(&self) -> Option<String> {
        locked(&self.told).last_error.clone()
    }
}
