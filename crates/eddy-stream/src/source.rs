//! Where records come from.

use async_trait::async_trait;
use eddy_record::{PartitionId, Position, RawRecord, StreamIdentity};

use crate::StreamError;

/// Where a reader starts in its partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record that the stream still has.
    TrimHorizon,
    /// At the first record that arrives after the reader was opened.
    Latest,
    /// At the first record that arrived at or after this moment (milliseconds since the epoch).
    AtTimestamp(i64),
    /// Behind this record; the records of its own aggregate that follow it are delivered.
    After(Position),
}

/// A partition as the source lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its name.
    pub id: PartitionId,
    /// The partitions whose records come before this one's: the parents of a split or merged
    /// shard, as far as the stream still lists them.
    pub parents: Vec<PartitionId>,
}

/// Records of one partition in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The records, each behind the one before it; may be empty.
    pub records: Vec<RawRecord>,
    /// Where the read says that the partition is caught up: the moment (milliseconds since the
    /// epoch, the server's time less the slack) before which no further record can arrive.
    pub watermark_ms: Option<i64>,
    /// How far the last record is behind the partition's newest, as the source tells.
    pub behind_ms: Option<i64>,
}

impl Batch {
    /// The payload bytes of the batch.
    pub fn bytes(&self) -> usize {
        self.records.iter().map(|record| record.data.len()).sum()
    }
}

/// What a fleet's coordinator says of the partition that it has given to this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The last record that the coordinator knows to be settled, by whichever process; `None`: it
    /// knows of none. Records up to here are not delivered again.
    pub settled: Option<Position>,
}

/// A stream.
#[async_trait]
pub trait Source: Send + Sync {
    /// Which stream this is. Asked once, at the start.
    ///
    /// # Errors
    /// The stream does not exist or cannot be asked.
    async fn identity(&self) -> Result<StreamIdentity, StreamError>;

    /// All partitions that can be read now, in any order. Asked at the start, whenever a reader has
    /// come to its end, and now and then.
    ///
    /// # Errors
    /// The stream cannot be asked.
    async fn partitions(&self) -> Result<Vec<Partition>, StreamError>;

    /// Whether a partition whose reader has come to its end may have more records in a later run, as
    /// a file may. A closed shard has none.
    fn may_grow(&self) -> bool {
        false
    }

    /// Where partitions are given out one a process: what is said of this one, the only one that
    /// [`Source::partitions`] lists. Its reader is not asked for more before the sinks have all that
    /// it delivered, but for what waits for its second, and must return, with no records if need be,
    /// within seconds: commits wait for it.
    fn assignment(&self) -> Option<Assignment> {
        None
    }

    /// Takes note that everything up to `position` is settled and committed: whoever else keeps
    /// count of it may be told.
    fn committed(&self, partition: &PartitionId, position: &Position) {
        let _ = (partition, position);
    }

    /// Takes note that the partition has ended and that its state says so: children may start.
    fn finished(&self, partition: &PartitionId) {
        let _ = partition;
    }

    /// Opens a partition at `start`.
    ///
    /// # Errors
    /// The partition is gone or cannot be read.
    async fn open(
        &self,
        partition: &PartitionId,
        start: &Start,
    ) -> Result<Box<dyn PartitionReader>, StreamError>;
}

/// One partition being read.
#[async_trait]
pub trait PartitionReader: Send {
    /// The next records; waits where there are none for as long as the source sees fit, then
    /// returns an empty batch. `None`: the partition has ended (a closed shard, a file's end) and
    /// every record was delivered.
    ///
    /// # Errors
    /// Reading failed for longer than the reader retries.
    async fn next(&mut self) -> Result<Option<Batch>, StreamError>;
}
