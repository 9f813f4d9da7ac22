//! Kinesis Data Streams: reading every shard of a stream, and putting records.
//!
//! It stands at the front of the flow (`Kinesis -> KinesisSource -> pipeline`) and behind the sensor
//! simulator (`sensors -> Producer -> Kinesis`).
//!
//! - [`ConnectionSettings`] and [`client`] make the SDK's client; an endpoint on this machine needs
//!   no credentials.
//! - [`KinesisSource`] lists shards with their parents and opens readers that renew iterators, back
//!   off, take KPL aggregates apart and keep within the service's limits.
//! - [`Producer`] batches records, in aggregates if asked, keeps within what each shard takes,
//!   retries exactly the entries that failed, keeps the order of each partition key and counts what
//!   became of every record.
//!
//! AWS types do not leave this crate but for the client, which only it can use. It does not decode
//! payloads, keeps no position (a reader starts where it is told) and starts no child before its
//! parents: that is the pipeline's part.
//!
//! ```no_run
//! # async fn example() -> Result<(), eddy_stream::StreamError> {
//! use eddy_kinesis::{ConnectionSettings, Producer, ProducerSettings, client};
//!
//! let client = client(&ConnectionSettings::local("http://127.0.0.1:4567")).await;
//! let producer = Producer::new(client, ProducerSettings::new("RawStreamData"));
//! producer.put("DemoSensor", br#"{"iotName":"DemoSensor","iotValue":15}"#.to_vec().into()).await?;
//! assert_eq!(producer.flush().await.acknowledged, 1);
//! # Ok(())
//! # }
//! ```

mod aggregate;
mod client;
mod counters;
mod limits;
mod producer;
mod retries;
mod server_date;
mod shard_reader;
mod shards;
mod sink;
mod source;
mod subscription;
mod unpack;

pub use client::{client, ensure_stream};
pub use counters::{ProducerCounts, SourceCounters};
pub use limits::{MAX_RECORD_BYTES, MAX_REQUEST_BYTES, MAX_REQUEST_RECORDS};
pub use producer::{Acknowledged, Producer, ProducerSettings, ShardLimits};
pub use sink::{KinesisSink, KinesisSinkSettings};
pub use source::{KinesisSource, ReadSettings};

/// A connection to Kinesis: what [`client`] makes.
pub use aws_sdk_kinesis::Client;
pub use eddy_aws::ConnectionSettings;
