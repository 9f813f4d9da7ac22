//! Where a partition's position and models are kept.

use async_trait::async_trait;
use bytes::Bytes;
use eddy_record::PartitionId;

use crate::StreamError;

/// One entry to set (`Some`) or to delete (`None`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The entry's key.
    pub key: Bytes,
    /// Its new value.
    pub value: Option<Bytes>,
}

/// The states of a stream's partitions, by the stream's name: they outlive a stream that is deleted
/// and created anew.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Opens a partition's state and becomes its only owner: whoever had it open before can no
    /// longer commit.
    ///
    /// # Errors
    /// The state cannot be read, or was written by a newer version.
    async fn open(
        &self,
        stream_name: &str,
        partition: &PartitionId,
    ) -> Result<Box<dyn PartitionState>, StreamError>;

    /// Looks at a partition's state without becoming its owner; `None` where there is none. What it
    /// shows of a partition that somebody is working on may be of any moment.
    ///
    /// # Errors
    /// The state cannot be read, or was written by a newer version.
    async fn view(
        &self,
        stream_name: &str,
        partition: &PartitionId,
    ) -> Result<Option<Box<dyn StateView>>, StreamError>;
}

/// One partition's entries, to read.
#[async_trait]
pub trait StateView: Send + Sync {
    /// The entry's value.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StreamError>;

    /// The entries whose key starts with `prefix` and is behind `after`, in key order: as many as
    /// hold `max_bytes`, and one more. Empty: there are no further ones.
    ///
    /// # Errors
    /// The store cannot be read.
    async fn page(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StreamError>;
}

/// One partition's entries, with their owner.
#[async_trait]
pub trait PartitionState: StateView {
    /// Applies all changes or none, and returns when they are durable.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`](crate::ErrorKind::Lost) where another owner has opened the partition.
    async fn commit(&self, changes: Vec<StateChange>) -> Result<(), StreamError>;

    /// Releases the partition.
    ///
    /// # Errors
    /// Something committed before could not be made durable.
    async fn close(self: Box<Self>) -> Result<(), StreamError>;
}
