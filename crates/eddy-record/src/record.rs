//! Records on their way: as delivered, as decoded, as scored, and as given up.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{DocumentId, PartitionId, Position, Schema, StreamIdentity, Value};

/// A record as the source delivered it, not yet decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord {
    /// The key that chose the partition; empty where the source has none.
    pub partition_key: Box<str>,
    /// Where the record stands in its partition.
    pub position: Position,
    /// When the stream accepted the record (for standard input and files: when it was read), in
    /// milliseconds since the Unix epoch.
    pub arrival_ms: i64,
    /// The payload.
    pub data: Bytes,
}

/// A decoded record: one value a column of its schema, in the schema's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The values, as many as the schema has columns.
    pub values: Box<[Value]>,
}

/// A row on its way to the sinks.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredRecord {
    /// The id under which every replay stores this row.
    pub id: DocumentId,
    /// The row's ROWTIME, in milliseconds since the Unix epoch: what its `created` column says and
    /// what chooses its daily index.
    pub created_ms: i64,
    /// The names and types of `values`, shared by all rows of one detector.
    pub schema: Arc<Schema>,
    /// One value a column of `schema`.
    pub values: Box<[Value]>,
}

impl ScoredRecord {
    /// About how many bytes of memory the row takes.
    pub fn size_bytes(&self) -> usize {
        let texts: usize = self.values.iter().map(Value::text_bytes).sum();
        size_of::<Self>() + size_of_val(&*self.values) + self.id.as_str().len() + texts
    }
}

/// Where a record was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The payload does not fit the schema.
    Decode,
    /// The record has no point that a forest can take.
    Detect,
    /// A sink refused the row for good.
    Deliver,
}

impl Stage {
    /// The stage's name in dead letters and counters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Detect => "detect",
            Self::Deliver => "deliver",
        }
    }
}

/// A record that cannot go on, with everything needed to mend it and send it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The stream it came from.
    pub stream: StreamIdentity,
    /// The partition it came from.
    pub partition: PartitionId,
    /// Its place there.
    pub position: Position,
    /// The place among the records of one payload, from 0.
    pub output_idx: u32,
    /// When the stream accepted it, in milliseconds since the Unix epoch.
    pub arrival_ms: i64,
    /// Where it was given up.
    pub stage: Stage,
    /// Why, in a sentence that names the column where there is one.
    pub reason: String,
    /// The payload as it came (for [`Stage::Deliver`] the row as JSON); empty in all but the first
    /// letter of one payload.
    pub raw: Bytes,
}
