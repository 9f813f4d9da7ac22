//! The seams of a pipeline: where records come from, where rows go, where positions and models are
//! kept, and what time it is.
//!
//! - [`Source`] lists a stream's partitions and opens readers; [`PartitionReader`] delivers
//!   [`Batch`]es in order. Checkpoints are not its business: a reader starts where it is told.
//! - [`Sink`] takes rows and returns only when they are durable, or says which it refuses for good;
//!   [`Archive`] gathers rows or payloads into objects, durable at the latest before a commit.
//! - [`StateStore`] keeps a partition's position and models; a commit is atomic, and an owner that
//!   has lost the partition cannot commit.
//! - [`Clock`] tells the time, so that a test can; [`Backoff`] is the wait between two attempts,
//!   and [`FailureLog`] says when it is time to warn that they keep failing.
//!
//! Data flows from source to sink; nothing flows back but the knowledge that a write is durable.
//! This crate names no service: implementations for files, standard input and memory are here,
//! those for Kinesis, Firehose and OpenSearch are in crates of their own.

mod backoff;
mod clock;
mod error;
mod failure_log;
mod files;
mod lines;
mod memory;
mod sink;
mod source;
mod state;
mod uses;

pub use backoff::Backoff;
pub use clock::{Clock, SystemClock};
pub use error::{ErrorKind, StreamError};
pub use failure_log::FailureLog;
pub use files::{DeadLetterFile, FileSink, RowFormat, StdoutClosed, StdoutSink};
pub use lines::{FileSource, InputSource};
pub use memory::{MemoryDeadLetters, MemorySink, MemorySource, MemoryStateStore};
pub use sink::{Archive, ArchiveStart, Archived, DeadLetterSink, PartitionArchive, Rejected, Sink};
pub use source::{Assignment, Batch, Partition, PartitionReader, Source, Start};
pub use state::{PartitionState, StateChange, StateStore, StateView};
pub use uses::{named_twice, resolved};
