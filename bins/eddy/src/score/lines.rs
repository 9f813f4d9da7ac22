//! Lines of any bytes, without their ends.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result};

/// The longest line that is read: a longer one is no row but an input without line ends.
const MAX_LINE_BYTES: usize = 64 << 20;

/// An iterator over lines that lends each.
pub(crate) struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    first: bool,
    n_lines: u64,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(input: BufReader<R>) -> Self {
        Self { input, line: Vec::new(), first: true, n_lines: 0 }
    }

    /// The next line, which is a row also where a quoted field would go on in the next. `None` at the
    /// end.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>> {
        self.line.clear();
        let mut bounded = (&mut self.input).take(MAX_LINE_BYTES as u64 + 1);
        if bounded.read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        self.n_lines += 1;
        if self.line.len() > MAX_LINE_BYTES {
            let n_lines = self.n_lines;
            let what = format!("line {n_lines} is longer than {MAX_LINE_BYTES} bytes");
            return Err(Error::new(ErrorKind::InvalidData, what));
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
