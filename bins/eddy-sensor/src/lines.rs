//! Records to standard output or a file, one a line.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// Lines are gathered up to so many bytes while records are due.
const BUFFER_BYTES: usize = 64 * 1024;

/// Whether anybody still reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    Listens,
    /// The pipe is closed, which ends the work but is no error.
    Gone,
}

/// A receiver of lines.
pub(crate) struct Lines {
    out: BufWriter<Box<dyn Write>>,
    name: String,
    n_put: u64,
    n_flushed: u64,
}

impl Lines {
    pub(crate) fn stdout() -> Self {
        Self::new(Box::new(io::stdout().lock()), "standard output".to_owned())
    }

    /// A new file in the place of one that is there.
    pub(crate) fn file(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::create(path)
            .with_context(|| format!("cannot write to {name}: choose another --file"))?;
        Ok(Self::new(Box::new(file), name))
    }

    fn new(out: Box<dyn Write>, name: String) -> Self {
        Self { out: BufWriter::with_capacity(BUFFER_BYTES, out), name, n_put: 0, n_flushed: 0 }
    }

    /// Writes a line that is no record.
    pub(crate) fn head(&mut self, line: &[u8]) -> Result<Reader> {
        self.write(line)
    }

    pub(crate) fn put(&mut self, record: &[u8]) -> Result<Reader> {
        self.n_put += 1;
        self.write(record)
    }

    fn write(&mut self, line: &[u8]) -> Result<Reader> {
        let written = self.out.write_all(line).and_then(|()| self.out.write_all(b"\n"));
        self.listens(written)
    }

    /// Hands over what was gathered.
    pub(crate) fn flush(&mut self) -> Result<Reader> {
        let flushed = self.out.flush();
        if flushed.is_ok() {
            self.n_flushed = self.n_put;
        }
        self.listens(flushed)
    }

    /// Records that were handed over for certain, and those that may not have been.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.n_flushed, self.n_put - self.n_flushed)
    }

    fn listens(&self, written: io::Result<()>) -> Result<Reader> {
        match written {
            Ok(()) => Ok(Reader::Listens),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
            Err(error) => Err(error).with_context(|| format!("writing to {}", self.name)),
        }
    }
}
