//! Scored rows to services: Amazon Data Firehose, OpenSearch or Elasticsearch, and archives on S3.
//!
//! It stands at the end of the flow (`detector -> Sink -> service`). The sinks keep the contract
//! of [`eddy_stream::Sink`]: a write returns when every row is durable at the service or is in the
//! answer with the service's reason. A 200 answer may hold failed rows; exactly these are tried
//! again, with full jitter, until a bound of time is over and the partition starts again at its
//! last commit.
//!
//! - [`FirehoseSink`] with [`FirehoseSettings`]: PutRecordBatch, one line of JSON a record.
//!   Firehose has no ids: a replay after a crash delivers again what was not committed.
//! - [`OpenSearchSink`] with [`OpenSearchSettings`]: `_bulk` of OpenSearch 1 to 3 and
//!   Elasticsearch 7 to 9, with ids made of positions, so that a replay overwrites.
//! - [`Dashboards`]: saved objects for Kibana and OpenSearch Dashboards over such rows, and a
//!   dashboard of Grafana.
//! - [`ArchiveSink`] with [`ArchiveSettings`]: rows or raw payloads in compressed objects of an S3
//!   bucket or a local folder, named by hour as Firehose names them.
//!
//! The bounds are in [`limits`], each with the page that states it. Files, standard output and dead
//! letters are in `eddy-stream`, the embedded index in `eddy-index`.
//!
//! It creates no delivery stream and no bucket.
//!
//! ```no_run
//! # async fn example() -> Result<(), eddy_stream::StreamError> {
//! use eddy_sinks::{OpenSearchSettings, OpenSearchSink};
//! use eddy_stream::Sink;
//!
//! let sink = OpenSearchSink::open(&OpenSearchSettings::new("http://127.0.0.1:9200")).await?;
//! let refused = sink.write(&[]).await?;
//! assert!(refused.is_empty());
//! # Ok(())
//! # }
//! ```

mod archive;
mod firehose;
pub mod limits;
mod opensearch;

pub use archive::{ArchiveFormat, ArchiveSettings, ArchiveSink, ArchivedRecords};
pub use firehose::{FirehosePut, FirehoseSettings, FirehoseSink};
pub use opensearch::{
    Auth, Dashboards, Imported, InstallSettings, OpenSearchSettings, OpenSearchSink, Rotation,
    Transport, WriteAs,
};
