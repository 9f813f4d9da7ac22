//! Records to standard output or a file, one a line.

use std::collections::VecDeque;
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
    out: BufWriter<Counted>,
    name: String,
    n_put: u64,
    // Bytes of all lines so far.
    n_bytes: u64,
    // Where the records end that are not written for certain, the first of them first.
    ends: VecDeque<u64>,
}

/// Counts the bytes that were really written.
struct Counted {
    out: Box<dyn Write>,
    n_bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n_bytes = self.out.write(bytes)?;
        self.n_bytes += n_bytes as u64;
        Ok(n_bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
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
        let out = BufWriter::with_capacity(BUFFER_BYTES, Counted { out, n_bytes: 0 });
        Self { out, name, n_put: 0, n_bytes: 0, ends: VecDeque::new() }
    }

    /// Writes a line that is no record.
    pub(crate) fn head(&mut self, line: &[u8]) -> Result<Reader> {
        self.write(line)
    }

    pub(crate) fn put(&mut self, record: &[u8]) -> Result<Reader> {
        let reader = self.write(record)?;
        if reader == Reader::Listens {
            self.n_put += 1;
            self.ends.push_back(self.n_bytes);
            self.forget_written();
        }
        Ok(reader)
    }

    fn write(&mut self, line: &[u8]) -> Result<Reader> {
        let written = self.out.write_all(line).and_then(|()| self.out.write_all(b"\n"));
        self.n_bytes += line.len() as u64 + 1;
        self.listens(written)
    }

    /// Hands over what was gathered.
    pub(crate) fn flush(&mut self) -> Result<Reader> {
        let flushed = self.out.flush();
        self.forget_written();
        self.listens(flushed)
    }

    fn forget_written(&mut self) {
        let n_written = self.out.get_ref().n_bytes;
        while self.ends.front().is_some_and(|end| *end <= n_written) {
            self.ends.pop_front();
        }
    }

    /// Records that were handed over whole, and those that were not.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let n_open = self.ends.len() as u64;
        (self.n_put - n_open, n_open)
    }

    /// The numbers of the records that were not handed over.
    pub(crate) fn failed(&self) -> Vec<u64> {
        (self.counts().0..self.n_put).collect()
    }

    fn listens(&self, written: io::Result<()>) -> Result<Reader> {
        match written {
            Ok(()) => Ok(Reader::Listens),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
            Err(error) => Err(error).with_context(|| format!("writing to {}", self.name)),
        }
    }
}
