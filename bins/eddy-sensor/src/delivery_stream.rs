//! Records into a delivery stream of Amazon Data Firehose.

use anyhow::{Result, bail};
use bytes::Bytes;
use eddy_kinesis::ConnectionSettings;
use eddy_sinks::limits::{MAX_FIREHOSE_REQUEST_BYTES, MAX_FIREHOSE_REQUEST_RECORDS};
use eddy_sinks::{FirehoseSettings, FirehoseSink};

use crate::report::Counts;

/// A delivery stream as a receiver of records.
pub(crate) struct DeliveryStream {
    sink: FirehoseSink,
    gathered: Vec<Bytes>,
    n_bytes: usize,
    // The number of the first that is gathered.
    n_before: u64,
    counts: Counts,
    failed: Vec<u64>,
    last_error: Option<String>,
}

impl DeliveryStream {
    /// Connects and sees to it that the delivery stream is there.
    pub(crate) async fn open(name: &str, connection: ConnectionSettings) -> Result<Self> {
        let settings = FirehoseSettings { connection, ..FirehoseSettings::new(name) };
        let sink = FirehoseSink::open(&settings).await;
        sink.check().await?;
        Ok(Self {
            sink,
            gathered: Vec::new(),
            n_bytes: 0,
            n_before: 0,
            counts: Counts::default(),
            failed: Vec::new(),
            last_error: None,
        })
    }

    /// Takes a record, as a line: Firehose puts nothing between records.
    pub(crate) async fn put(&mut self, record: &[u8]) -> Result<()> {
        self.go_on()?;
        let mut line = Vec::with_capacity(record.len() + 1);
        line.extend_from_slice(record);
        line.push(b'\n');
        if self.gathered.len() == MAX_FIREHOSE_REQUEST_RECORDS
            || self.n_bytes + line.len() > MAX_FIREHOSE_REQUEST_BYTES
        {
            self.flush().await;
            // What came behind records that are lost would go out of order, and be tried as long.
            self.go_on()?;
        }
        self.n_bytes += line.len();
        self.gathered.push(line.into());
        Ok(())
    }

    /// The first record that is given up ends the work.
    fn go_on(&self) -> Result<()> {
        match self.last_error.as_ref().filter(|_| self.counts.failed > 0) {
            Some(reason) => bail!("records could not be delivered: {reason}"),
            None => Ok(()),
        }
    }

    /// Sends what was gathered.
    pub(crate) async fn flush(&mut self) {
        let lines = std::mem::take(&mut self.gathered);
        let put = self.sink.put(&lines).await;
        self.counts.acknowledged += put.acknowledged;
        self.counts.retried += put.retried;
        self.counts.failed += put.failed.len() as u64;
        self.failed.extend(put.failed.iter().map(|idx| self.n_before + *idx as u64));
        if let Some(error) = put.error {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            self.last_error = Some(format!("{error}{}", source.unwrap_or_default()));
        }
        self.n_before += lines.len() as u64;
        self.n_bytes = 0;
    }

    pub(crate) fn take_failed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.failed)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Why the last record that failed did.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.last_error.clone()
    }
}
