//! What can be set about an index.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::IndexError;

/// Settings of an [`Index`](crate::Index).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexSettings {
    /// The folder that holds the index; created where it is missing. One process at a time.
    pub path: PathBuf,
    /// Memory of one daily index's writer, in bytes, before it writes a segment: 15 MB to 4 GB,
    /// default 50 MB. At most [`MAX_OPEN_WRITERS`](crate::limits::MAX_OPEN_WRITERS) are open.
    #[serde(default = "default_writer_memory_bytes")]
    pub writer_memory_bytes: usize,
    /// The alias under which scored rows are searched, and with `-YYYY.MM.DD` the name of their
    /// daily indices. Default `anomalies`.
    #[serde(default = "default_alias")]
    pub alias: String,
    /// Days that are kept, today included: older daily indices are removed whole. Default: all.
    #[serde(default)]
    pub keep_days: Option<u32>,
    /// Bytes that the daily indices may take together: beyond, the oldest are removed whole, never
    /// the newest. Default: no bound.
    #[serde(default)]
    pub keep_bytes: Option<u64>,
}

fn default_writer_memory_bytes() -> usize {
    50_000_000
}

fn default_alias() -> String {
    "anomalies".to_owned()
}

impl IndexSettings {
    /// The defaults, in that folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            writer_memory_bytes: default_writer_memory_bytes(),
            alias: default_alias(),
            keep_days: None,
            keep_bytes: None,
        }
    }

    /// # Errors
    /// [`IndexError::Settings`] with the field and its range.
    pub fn validate(&self) -> Result<(), IndexError> {
        let range = 15_000_000..=4_000_000_000;
        if !range.contains(&self.writer_memory_bytes) {
            return Err(IndexError::Settings {
                reason: format!(
                    "writer_memory_bytes must be within {range:?}, found {}",
                    self.writer_memory_bytes
                ),
            });
        }
        for (name, is_zero) in
            [("keep_days", self.keep_days == Some(0)), ("keep_bytes", self.keep_bytes == Some(0))]
        {
            if is_zero {
                return Err(IndexError::Settings {
                    reason: format!("{name} must be at least 1: leave it out to keep everything"),
                });
            }
        }
        crate::names::validate(&self.alias)
            .map_err(|error| IndexError::Settings { reason: format!("alias: {error}") })
    }
}
