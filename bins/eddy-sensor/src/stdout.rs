//! Readings to standard output, one a line.

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};

use eddy_sensors::Reading;

use crate::report::Delivered;

/// Lines are gathered up to so many bytes while readings are due.
const BUFFER_BYTES: usize = 64 * 1024;

/// Whether anybody still reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    Listens,
    /// The pipe is closed, which ends the work but is no error.
    Gone,
}

/// Standard output as a receiver of readings.
pub(crate) struct Lines {
    out: BufWriter<StdoutLock<'static>>,
    line: Vec<u8>,
    n_lines: u64,
}

impl Lines {
    pub(crate) fn new() -> Self {
        let out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
        Self { out, line: Vec::new(), n_lines: 0 }
    }

    pub(crate) fn put(&mut self, reading: &Reading) -> io::Result<Reader> {
        self.line.clear();
        reading.write_json(&mut self.line);
        self.line.push(b'\n');
        self.n_lines += 1;
        listens(self.out.write_all(&self.line))
    }

    /// Hands over what was gathered.
    pub(crate) fn flush(&mut self) -> io::Result<Reader> {
        listens(self.out.flush())
    }

    pub(crate) fn delivered(&self) -> Delivered {
        Delivered { acknowledged: self.n_lines, ..Delivered::default() }
    }
}

fn listens(written: io::Result<()>) -> io::Result<Reader> {
    match written {
        Ok(()) => Ok(Reader::Listens),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(error),
    }
}
