//! Where rows go.

use async_trait::async_trait;
use eddy_record::{DeadLetter, PartitionId, Position, RawRecord, ScoredRecord, StreamIdentity};

use crate::StreamError;

/// A row that a sink refuses for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The row's index in the slice that was written.
    pub row_idx: usize,
    /// The destination's reason.
    pub reason: String,
}

/// A destination of scored rows. Shared by all partitions: calls may overlap.
#[async_trait]
pub trait Sink: Send + Sync {
    /// The sink's name in metrics, dead letters and logs.
    fn name(&self) -> &str;

    /// Writes rows in order and returns when each is durable at the destination or is in the
    /// answer. Writing a row again has, where the destination has ids, no further effect.
    ///
    /// # Errors
    /// The destination could not take the rows for longer than the sink retries; any number of them
    /// may have arrived.
    async fn write(&self, rows: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError>;
}

/// A destination that keeps many records in one object, and so holds them until an object is full
/// or a commit waits for it.
pub trait Archive: Send + Sync {
    /// The archive's name in metrics and logs.
    fn name(&self) -> &str;

    /// Whether it keeps payloads as they came; otherwise it keeps scored rows.
    fn keeps_payloads(&self) -> bool;

    /// Opens a partition behind its last commit. Objects that an earlier owner left there without
    /// having committed them are replaced.
    fn open(&self, from: &ArchiveStart) -> Box<dyn PartitionArchive>;
}

/// Where a partition's archive goes on: what objects are named after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveStart {
    /// The stream.
    pub stream: StreamIdentity,
    /// The partition.
    pub partition: PartitionId,
    /// Where reading began (milliseconds since the epoch); `None` for the oldest record.
    pub start_ms: Option<i64>,
    /// The last record committed; `None` before the first.
    pub after: Option<Position>,
    /// Its ROWTIME, in milliseconds since the epoch.
    pub after_ms: Option<i64>,
    /// Counts the partition's owners, so that one that has lost it writes over nothing.
    pub run: u64,
}

/// Records of one kind, in order.
#[derive(Clone, Copy, Debug)]
pub enum Archived<'a> {
    /// Payloads, for an archive that keeps them.
    Payloads(&'a [RawRecord]),
    /// Scored rows, for the others.
    Rows(&'a [ScoredRecord]),
}

/// One partition's archive.
#[async_trait]
pub trait PartitionArchive: Send {
    /// Takes records behind those before. Returns whether all taken so far are durable.
    ///
    /// # Errors
    /// An object could not be written for longer than the archive retries.
    async fn write(&mut self, records: Archived<'_>) -> Result<bool, StreamError>;

    /// Returns when everything taken is durable. What comes next stands behind `committed`.
    ///
    /// # Errors
    /// As of [`write`](Self::write).
    async fn flush(&mut self, committed: Option<&Position>) -> Result<(), StreamError>;
}

/// Where given-up records go.
#[async_trait]
pub trait DeadLetterSink: Send + Sync {
    /// Writes letters and returns when they are durable.
    ///
    /// # Errors
    /// They could not be written: the partition must not move on.
    async fn write(&self, letters: &[DeadLetter]) -> Result<(), StreamError>;
}
