//! The labels of records that were sent, in a file beside them.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use eddy_sensors::SceneRecord;

/// Labels wait until it is certain that their records were sent: so many, or so long.
const MAX_WAITING: usize = 1000;
const MAX_WAIT: Duration = Duration::from_secs(1);

/// A file of labels, one a line.
pub(crate) struct Labels {
    out: Option<BufWriter<File>>,
    path: String,
    // Labels of records that are under way, with the records' numbers.
    waiting: Vec<(u64, Vec<u8>)>,
    waiting_since: Instant,
    n_written: u64,
}

impl Labels {
    /// Creates the file; without a path labels are only counted.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let out = match path {
            Some(path) => {
                let file = File::create(path).with_context(|| {
                    format!("cannot write labels to {}: choose another --labels", path.display())
                })?;
                Some(BufWriter::new(file))
            }
            None => None,
        };
        Ok(Self {
            out,
            path: path.map(|path| path.display().to_string()).unwrap_or_default(),
            waiting: Vec::new(),
            waiting_since: Instant::now(),
            n_written: 0,
        })
    }

    /// Keeps the label of a record that is under way, if it has one.
    pub(crate) fn add(&mut self, n_record: u64, record: &SceneRecord) {
        if !record.is_labelled() {
            return;
        }
        let mut line = Vec::new();
        record.write_label(n_record, &mut line);
        line.push(b'\n');
        if self.waiting.is_empty() {
            self.waiting_since = Instant::now();
        }
        self.waiting.push((n_record, line));
    }

    /// Whether it is time to find out which records were sent.
    pub(crate) fn are_due(&self) -> bool {
        self.waiting.len() >= MAX_WAITING
            || !self.waiting.is_empty() && self.waiting_since.elapsed() >= MAX_WAIT
    }

    /// When that is, if any label waits.
    pub(crate) fn due_at(&self) -> Option<tokio::time::Instant> {
        (!self.waiting.is_empty()).then(|| (self.waiting_since + MAX_WAIT).into())
    }

    /// Writes the labels of all records but those that failed, whose numbers are in order.
    pub(crate) fn settle(&mut self, failed: &[u64]) -> Result<()> {
        for (n_record, line) in self.waiting.drain(..) {
            if failed.binary_search(&n_record).is_ok() {
                continue;
            }
            self.n_written += 1;
            if let Some(out) = &mut self.out {
                out.write_all(&line).with_context(|| format!("writing labels to {}", self.path))?;
            }
        }
        if let Some(out) = &mut self.out {
            out.flush().with_context(|| format!("writing labels to {}", self.path))?;
        }
        Ok(())
    }

    /// Labels of records that were sent.
    pub(crate) fn n_written(&self) -> u64 {
        self.n_written
    }
}
