//! One shard of a Kinesis stream, given to this process by Amazon's Kinesis Client Library.
//!
//! The library shares a stream's shards among any number of machines by leases in a DynamoDB table.
//! For programs that are not Java it runs as the MultiLangDaemon, which starts a process for each
//! shard that it holds and talks to it in lines of JSON: records come on standard input, and answers
//! go to standard output.
//!
//! - [`Connection::accept`] waits until the daemon says which shard this is: the [`Lease`].
//! - [`KclSource`] is that shard as a source of the pipeline: it delivers what the daemon sends,
//!   tells the daemon how far everything is settled, always behind the pipeline's own commit, and
//!   gives what is not settled again to a partition that starts again.
//! - [`Connection::ending`] says when the pipeline has to stop, [`Connection::finish`] does what
//!   remains when it has: the last checkpoint, and the answers that the daemon waits for.
//!
//! What the stream is (its identity, a shard's parents) it asks of another [`Source`]. It does not
//! know how records are scored nor where positions are kept. The pipeline's own state is the truth
//! about what is settled; the library's checkpoint may be behind it and is never ahead.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), eddy_stream::StreamError> {
//! use eddy_kcl::Connection;
//!
//! let input = concat!(
//!     r#"{"action":"initialize","shardId":"shardId-000000000000","#,
//!     r#""sequenceNumber":"4959","subSequenceNumber":0}"#,
//!     "\n"
//! );
//! let accepted = Connection::accept(input.as_bytes(), tokio::io::sink()).await?;
//! let (_connection, lease) = accepted.expect("the daemon gives a shard");
//! assert_eq!(lease.shard.as_str(), "shardId-000000000000");
//! assert_eq!(lease.checkpoint.expect("records were settled").to_string(), "4959:0");
//! # Ok(())
//! # }
//! ```
//!
//! Not done: no checkpoint is prepared in advance, and de-aggregation is the daemon's.
//!
//! The protocol is documented in the package `software.amazon.kinesis.multilang` of
//! <https://github.com/awslabs/amazon-kinesis-client>.
//!
//! [`Source`]: eddy_stream::Source

mod connection;
mod lines;
mod messages;
mod session;
mod source;

pub use connection::{Connection, Ending};
pub use lines::MAX_LINE_BYTES;
pub use messages::Lease;
pub use source::KclSource;
