//! Records as the bytes of an object.

use std::io::Write as _;

use eddy_stream::{Archived, StreamError};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::ArchiveFormat;

/// An object being filled.
pub(super) enum Encoder {
    Gzip(Box<GzipLines>),
    #[cfg(feature = "parquet")]
    Parquet(super::parquet::Table),
}

impl Encoder {
    pub(super) fn new(format: ArchiveFormat) -> Result<Self, StreamError> {
        match format {
            ArchiveFormat::NdjsonGz => Ok(Self::Gzip(Box::new(GzipLines::new()))),
            #[cfg(feature = "parquet")]
            ArchiveFormat::Parquet => Ok(Self::Parquet(super::parquet::Table::default())),
            #[cfg(not(feature = "parquet"))]
            ArchiveFormat::Parquet => Err(StreamError::fatal("there is no parquet here")),
        }
    }

    pub(super) fn add(&mut self, records: Archived<'_>) -> Result<(), StreamError> {
        match self {
            Self::Gzip(lines) => lines.add(records),
            #[cfg(feature = "parquet")]
            Self::Parquet(table) => table.add(records)?,
        }
        Ok(())
    }

    /// Bytes so far, before compression.
    pub(super) fn size_bytes(&self) -> usize {
        match self {
            Self::Gzip(lines) => lines.size_bytes,
            #[cfg(feature = "parquet")]
            Self::Parquet(table) => table.size_bytes(),
        }
    }

    /// The object.
    pub(super) fn finish(self) -> Result<Vec<u8>, StreamError> {
        match self {
            Self::Gzip(lines) => Ok(lines.encoder.finish().expect("a Vec takes everything")),
            #[cfg(feature = "parquet")]
            Self::Parquet(table) => table.finish(),
        }
    }
}

impl ArchiveFormat {
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::NdjsonGz => "ndjson.gz",
            Self::Parquet => "parquet",
        }
    }
}

/// Lines on their way through gzip.
pub(super) struct GzipLines {
    encoder: GzEncoder<Vec<u8>>,
    line: Vec<u8>,
    size_bytes: usize,
}

impl GzipLines {
    fn new() -> Self {
        // No time in the header: the same records make the same bytes.
        let encoder = GzEncoder::new(Vec::new(), Compression::default());
        Self { encoder, line: Vec::new(), size_bytes: 0 }
    }

    fn add(&mut self, records: Archived<'_>) {
        match records {
            Archived::Rows(rows) => {
                for row in rows {
                    self.line.clear();
                    row.write_json(&mut self.line);
                    self.end_line();
                }
            }
            Archived::Payloads(payloads) => {
                for raw in payloads {
                    self.line.clear();
                    self.line.extend_from_slice(&raw.data);
                    self.end_line();
                }
            }
        }
    }

    fn end_line(&mut self) {
        if !self.line.ends_with(b"\n") {
            self.line.push(b'\n');
        }
        self.encoder.write_all(&self.line).expect("a Vec takes everything");
        self.size_bytes += self.line.len();
    }
}
