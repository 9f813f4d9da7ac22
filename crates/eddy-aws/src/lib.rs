//! What all AWS clients of Eddy share: how a service is reached, and what a failed call means.
//!
//! It stands at the doors of the flow, below the Kinesis source and the sinks.
//!
//! - [`ConnectionSettings`] and [`connect`] make the SDK's configuration: one TLS stack, time-outs
//!   of our own, no retries by the SDK (it knows nothing of partial failures, positions and order),
//!   and no credentials needed for an endpoint on this machine. [`connect_over`] makes one for a
//!   service in the same process.
//! - [`CallError`] sorts a failed call by what the caller does about it, and becomes a
//!   [`StreamError`](eddy_stream::StreamError) that names the permission or the resource to mend.
//!
//! - [`bucket`] is an S3 bucket as an object store, with the same connection and credentials;
//!   [`KeptCredentials`] are for requests that no SDK client signs.
//!
//! It calls no service itself.
//!
//! ```
//! use eddy_aws::ConnectionSettings;
//!
//! assert!(ConnectionSettings::local("http://127.0.0.1:4567").is_local());
//! assert!(!ConnectionSettings::default().is_local());
//! ```

mod bucket;
mod connection;
mod credentials;
mod error;

pub use aws_config::SdkConfig;
pub use bucket::bucket;
pub use connection::{ConnectionSettings, connect, connect_over};
pub use credentials::KeptCredentials;
pub use error::{CallError, Failure, Resource};
