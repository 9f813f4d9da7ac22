//! Doubles of the services at the end of the flow, for tests: they speak the services' wire, keep
//! what they were given, and fail on command.
//!
//! - [`FirehoseDouble`]: the API of Amazon Data Firehose in front of a buffer by size and time that
//!   is delivered by `_bulk`, as the service does it.
//! - [`BulkDouble`]: the `_bulk` of OpenSearch and Elasticsearch.
//! - [`Faults`]: what a double does to its next requests.
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
mod served;

pub use bulk::BulkDouble;
pub use faults::{Fault, Faults};
pub use firehose::{Buffer, FirehoseDouble};
pub use served::serve;
