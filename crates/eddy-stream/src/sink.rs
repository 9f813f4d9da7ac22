//! Where rows go.

use async_trait::async_trait;
use eddy_record::{DeadLetter, ScoredRecord};

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

/// Where given-up records go.
#[async_trait]
pub trait DeadLetterSink: Send + Sync {
    /// Writes letters and returns when they are durable.
    ///
    /// # Errors
    /// They could not be written: the partition must not move on.
    async fn write(&self, letters: &[DeadLetter]) -> Result<(), StreamError>;
}
