//! Where records go.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use eddy_kinesis::ConnectionSettings;
use eddy_sensors::{Output, SceneRecord};
use tokio::time::Instant;

use crate::delivery_stream::DeliveryStream;
use crate::lines::{Lines, Reader};
use crate::options::Options;
use crate::report::Counts;
use crate::stream::Stream;

/// How long records for Firehose wait for others.
const LINGER: Duration = Duration::from_millis(500);

/// A receiver of records.
pub(crate) enum Receiver {
    Lines(Lines),
    Stream(Stream),
    Firehose { stream: DeliveryStream, flushed: Instant },
}

impl Receiver {
    /// Connects; a header goes before lines.
    pub(crate) async fn open(
        options: &Options,
        output: &Output,
        connection: &ConnectionSettings,
        header: Option<&[u8]>,
    ) -> Result<Self> {
        let mut lines = match output {
            Output::Stdout => Lines::stdout(),
            Output::File { path } => Lines::file(Path::new(path))?,
            Output::Kinesis { stream } => {
                return Stream::open(options, stream, connection).await.map(Self::Stream);
            }
            Output::Firehose { delivery_stream } => {
                let stream = DeliveryStream::open(delivery_stream, connection.clone()).await?;
                return Ok(Self::Firehose { stream, flushed: Instant::now() });
            }
        };
        if let Some(header) = header {
            lines.head(header)?;
        }
        Ok(Self::Lines(lines))
    }

    /// Whether it did not exist before.
    pub(crate) fn created(&self) -> bool {
        matches!(self, Self::Stream(stream) if stream.created())
    }

    pub(crate) async fn put(&mut self, record: &SceneRecord) -> Result<Reader> {
        match self {
            Self::Lines(lines) => return lines.put(&record.data),
            Self::Stream(stream) => stream.put(record).await?,
            Self::Firehose { stream, .. } => stream.put(&record.data).await?,
        }
        Ok(Reader::Listens)
    }

    /// Nothing comes before `until`: nobody waits for a full buffer while there is nothing to do.
    pub(crate) async fn idle(&mut self, until: Instant) -> Result<Reader> {
        match self {
            Self::Lines(lines) => return lines.flush(),
            // The producer sends what it holds in its own time.
            Self::Stream(_) => {}
            Self::Firehose { stream, flushed } => {
                if until.saturating_duration_since(*flushed) > LINGER {
                    stream.flush().await;
                    *flushed = Instant::now();
                }
            }
        }
        Ok(Reader::Listens)
    }

    /// Waits until all records handed over are sent or given up; whether that went well, and those
    /// that were given up since it was asked last, by their numbers in order.
    pub(crate) async fn settle(&mut self) -> (Result<Reader>, Vec<u64>) {
        let mut failed = match self {
            Self::Lines(lines) => {
                let flushed = lines.flush();
                return (flushed, lines.failed());
            }
            Self::Stream(stream) => {
                stream.flush().await;
                stream.take_failed()
            }
            Self::Firehose { stream, .. } => {
                stream.flush().await;
                stream.take_failed()
            }
        };
        failed.sort_unstable();
        (Ok(Reader::Listens), failed)
    }

    pub(crate) fn counts(&self) -> Counts {
        match self {
            Self::Lines(lines) => {
                let (acknowledged, failed) = lines.counts();
                Counts { acknowledged, failed, retried: 0 }
            }
            Self::Stream(stream) => stream.counts(),
            Self::Firehose { stream, .. } => stream.counts(),
        }
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        match self {
            Self::Lines(_) => None,
            Self::Stream(stream) => stream.last_error(),
            Self::Firehose { stream, .. } => stream.last_error(),
        }
    }
}
