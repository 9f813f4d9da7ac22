//! Doubles of the services at both ends of the flow, for tests: they speak the services' wire, keep
//! what they were given, and fail on command.
//!
//! - [`FirehoseDouble`]: the API of Amazon Data Firehose in front of a buffer by size and time that
//!   is delivered by `_bulk`, as the service does it.
//! - [`BulkDouble`]: the `_bulk` of OpenSearch and Elasticsearch.
//! - [`KinesisDouble`]: the API of Kinesis Data Streams by a clock of the caller's.
//! - [`S3Double`]: objects of S3, to be read.
//! - [`Faults`]: what a double does to its next requests, on command or by a seed.
//! - [`Network`]: carries requests to doubles without sockets, with accidents by a seed, for a
//!   process that dies at any of its steps.
//! - [`serve`]: any router on a free port of this machine.
//!
//! Not published, and no part of the product: only tests import it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use eddy_harness::{BulkDouble, Fault, serve};
//!
//! let double = BulkDouble::default();
//! double.faults.then(Fault::Status(503));
//! let address = serve(double.router()).await;
//! assert!(address.ip().is_loopback());
//! # }
//! ```

mod bulk;
mod faults;
mod firehose;
mod kinesis;
mod network;
mod random;
mod s3;
mod served;

pub use bulk::BulkDouble;
pub use faults::{Fault, Faults};
pub use firehose::{Buffer, FirehoseDouble};
pub use kinesis::{KinesisDouble, Stored};
pub use network::{Broken, Network};
pub use random::Random;
pub use s3::S3Double;
pub use served::serve;
