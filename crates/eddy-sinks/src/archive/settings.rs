//! What an archive is told.

use eddy_aws::ConnectionSettings;
use eddy_stream::StreamError;
use serde::{Deserialize, Serialize};

use crate::limits::{ARCHIVE_OBJECT_BYTES, GIVE_UP_AFTER_MS, MAX_ARCHIVE_OBJECT_BYTES};

/// Settings of an [`ArchiveSink`](crate::ArchiveSink).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveSettings {
    /// Where objects go: `s3://bucket`, `s3://bucket/path`, or a local folder.
    pub url: String,
    /// How to reach the bucket.
    #[serde(default)]
    pub connection: ConnectionSettings,
    /// What an object holds. Default: `scored`.
    #[serde(default)]
    pub records: ArchivedRecords,
    /// How. Default: `ndjson_gz`.
    #[serde(default)]
    pub format: ArchiveFormat,
    /// Bytes of an object before it is compressed, 1..=512 MiB; a longer batch may exceed it.
    /// Default: 32 MiB.
    #[serde(default = "max_object_bytes")]
    pub max_object_bytes: usize,
    /// How long an object gathers records, in milliseconds, at least 1: positions are committed no
    /// more often, for that ends an object. Default: 60 000.
    #[serde(default = "object_interval_ms")]
    pub object_interval_ms: u64,
    /// How long an object is tried again before the partition starts again at its last commit, in
    /// milliseconds. Default: 300 000.
    #[serde(default = "give_up_after_ms")]
    pub give_up_after_ms: u64,
}

/// What an archive keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchivedRecords {
    /// Rows with their scores.
    #[default]
    Scored,
    /// Payloads as they came, before they are decoded, whatever becomes of them.
    Raw,
}

/// How an archive writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveFormat {
    /// A line a record, compressed by gzip. A payload is a line as it is.
    #[default]
    NdjsonGz,
    /// Apache Parquet; only in programs built with the feature `parquet`.
    Parquet,
}

fn max_object_bytes() -> usize {
    ARCHIVE_OBJECT_BYTES
}

fn object_interval_ms() -> u64 {
    60_000
}

fn give_up_after_ms() -> u64 {
    GIVE_UP_AFTER_MS
}

impl ArchiveSettings {
    /// The defaults.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            connection: ConnectionSettings::default(),
            records: ArchivedRecords::default(),
            format: ArchiveFormat::default(),
            max_object_bytes: max_object_bytes(),
            object_interval_ms: object_interval_ms(),
            give_up_after_ms: give_up_after_ms(),
        }
    }

    /// Checks what can be checked without the store.
    ///
    /// # Errors
    /// A field is out of its range; the error names it.
    pub fn validate(&self) -> Result<(), StreamError> {
        if !(1..=MAX_ARCHIVE_OBJECT_BYTES).contains(&self.max_object_bytes) {
            return Err(StreamError::fatal(format!(
                "max_object_bytes must be within 1..={MAX_ARCHIVE_OBJECT_BYTES}, found {}",
                self.max_object_bytes
            )));
        }
        if self.object_interval_ms == 0 {
            return Err(StreamError::fatal("object_interval_ms must be at least 1, found 0"));
        }
        if self.format == ArchiveFormat::Parquet && !cfg!(feature = "parquet") {
            return Err(StreamError::fatal(
                "this program was built without the feature parquet: build it with --features \
                 parquet, or set format = \"ndjson_gz\"",
            ));
        }
        Ok(())
    }
}
