//! Lines of any bytes, without their ends.

use std::io::{BufRead, BufReader, Read, Result};

/// An iterator over lines that lends each.
pub(crate) struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    first: bool,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(input: BufReader<R>) -> Self {
        Self { input, line: Vec::new(), first: true }
    }

    /// The next line; a quoted CSV field may span several. `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>> {
        self.line.clear();
        if self.input.read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        }
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        if std::mem::take(&mut self.first) && self.line.starts_with("\u{feff}".as_bytes()) {
            self.line.drain(..3);
        }
        Ok(Some(&self.line))
    }

    /// Whether the next line may have to be waited for.
    pub(crate) fn would_read(&self) -> bool {
        !self.input.buffer().contains(&b'\n')
    }
}
