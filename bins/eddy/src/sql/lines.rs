//! Blocks of lines, read by a thread of their own so that time can pass while none come.

use std::fs::File;
use std::io::{Read, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A block's size; a longer line is a block of its own.
const BLOCK_BYTES: usize = 64 << 10;
/// Blocks that wait to be taken.
const MAX_BLOCKS: usize = 16;
/// A line that is longer is no record: the decoder takes half of it.
const MAX_LINE_BYTES: usize = 1 << 20;
/// How much of the input a schema is made from.
const SAMPLE_BYTES: usize = 1 << 20;
const SAMPLE_LINES: usize = 1000;

/// Whole lines.
#[derive(Debug)]
pub(super) struct Block(Vec<u8>);

impl Block {
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// The lines of a source.
#[derive(Debug)]
pub(super) struct LineReader {
    blocks: Receiver<Result<Block>>,
    // Read for the schema already.
    sampled: std::collections::VecDeque<Block>,
    preprocess: Option<Child>,
}

impl LineReader {
    /// Opens standard input or a file, and puts a command behind it.
    pub(super) fn open(source: &str, preprocess: Option<&str>) -> Result<Self> {
        let mut input: Box<dyn Read + Send> = match source {
            "-" => Box::new(std::io::stdin()),
            file => Box::new(File::open(file).with_context(|| format!("cannot read {file}"))?),
        };
        let mut child = None;
        if let Some(command) = preprocess {
            let mut started = Command::new("sh")
                .args(["-c", command])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .with_context(|| format!("cannot start --preprocess {command}"))?;
            let mut into = started.stdin.take().expect("it was asked for");
            let from = started.stdout.take().expect("it was asked for");
            std::thread::spawn(move || {
                // The command says by its own end what it thinks of its input's.
                let _ = copy(&mut input, &mut into);
            });
            input = Box::new(from);
            child = Some(started);
        }
        let (sender, blocks) = sync_channel(MAX_BLOCKS);
        std::thread::spawn(move || read(input, &sender));
        Ok(Self { blocks, sampled: std::collections::VecDeque::new(), preprocess: child })
    }

    /// The next lines; waits so long for them.
    pub(super) fn next(&mut self, wait: Duration) -> Result<Result<Block>, RecvTimeoutError> {
        match self.sampled.pop_front() {
            Some(block) => Ok(Ok(block)),
            None => self.blocks.recv_timeout(wait),
        }
    }

    /// The first lines, which are read again afterwards.
    pub(super) fn sample(&mut self) -> Result<Vec<Vec<u8>>> {
        let (mut lines, mut n_bytes) = (Vec::new(), 0);
        while n_bytes < SAMPLE_BYTES && lines.len() < SAMPLE_LINES {
            let Ok(block) = self.blocks.recv() else { break };
            let block = block?;
            n_bytes += block.0.len();
            let whole = block.lines().filter(|line| !line.trim_ascii().is_empty());
            lines.extend(whole.map(<[u8]>::to_vec));
            self.sampled.push_back(block);
        }
        if lines.is_empty() {
            // A command that failed says more than that there is nothing.
            self.wait_for_command()?;
        }
        Ok(lines)
    }

    /// The command's last word.
    pub(super) fn finish(mut self) -> Result<()> {
        self.wait_for_command()
    }

    fn wait_for_command(&mut self) -> Result<()> {
        if let Some(child) = &mut self.preprocess {
            let status = child.wait()?;
            if !status.success() {
                bail!("--preprocess ended with {status}");
            }
        }
        Ok(())
    }
}

/// Copies whatever comes at once, so that a live command gets it at once.
fn copy(input: &mut dyn Read, out: &mut std::process::ChildStdin) -> std::io::Result<()> {
    let mut bytes = vec![0; BLOCK_BYTES];
    loop {
        match input.read(&mut bytes)? {
            0 => return Ok(()),
            n_bytes => out.write_all(&bytes[..n_bytes])?,
        }
    }
}

/// Sends whole lines until the input ends or nobody takes them. Of a line that is longer than any
/// record the beginning is sent, which the decoder refuses, and the rest is dropped.
fn read(mut input: Box<dyn Read + Send>, sender: &SyncSender<Result<Block>>) {
    let mut rest: Vec<u8> = Vec::new();
    let mut drops_line = false;
    let mut bytes = vec![0; BLOCK_BYTES];
    loop {
        let mut new = match input.read(&mut bytes) {
            Ok(0) => break,
            Ok(n_bytes) => &bytes[..n_bytes],
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let _ = sender.send(Err(error.into()));
                return;
            }
        };
        if drops_line {
            let Some(end) = new.iter().position(|byte| *byte == b'\n') else { continue };
            new = &new[end + 1..];
            drops_line = false;
        }
        let block = match new.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => {
                let (lines, tail) = new.split_at(end + 1);
                rest.extend_from_slice(lines);
                std::mem::replace(&mut rest, tail.to_vec())
            }
            None => {
                rest.extend_from_slice(new);
                drops_line = rest.len() > MAX_LINE_BYTES;
                if !drops_line {
                    continue;
                }
                std::mem::take(&mut rest)
            }
        };
        if sender.send(Ok(Block(block))).is_err() {
            return;
        }
    }
    if !rest.is_empty() {
        // The reader may be gone: then nobody wants it.
        let _ = sender.send(Ok(Block(rest)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes at a time.
    struct Pieces(std::io::Cursor<Vec<u8>>, usize);

    impl Read for Pieces {
        fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
            let most = bytes.len().min(self.1);
            self.0.read(&mut bytes[..most])
        }
    }

    #[test]
    fn lines_come_whole_and_one_that_is_too_long_takes_no_other_along() {
        let mut text = b"a\nbb\r\n\n".to_vec();
        text.resize(text.len() + 3 * MAX_LINE_BYTES, b'x');
        text.extend_from_slice(b"\nccc\nend");
        for piece in [1 << 10, 50_000, BLOCK_BYTES] {
            let (sender, blocks) = sync_channel(1000);
            let input = Pieces(std::io::Cursor::new(text.clone()), piece);
            read(Box::new(input), &sender);
            drop(sender);
            let mut lines: Vec<Vec<u8>> = Vec::new();
            for block in blocks {
                let block = block.expect("readable");
                lines.extend(block.lines().filter(|line| !line.is_empty()).map(<[u8]>::to_vec));
            }
            let long: Vec<usize> = lines.iter().map(Vec::len).filter(|len| *len > 100).collect();
            let [length] = long[..] else { panic!("{long:?}") };
            assert!((MAX_LINE_BYTES..2 * MAX_LINE_BYTES).contains(&length), "{length}");
            lines.retain(|line| line.len() <= 100);
            assert_eq!(lines, [b"a".to_vec(), b"bb".to_vec(), b"ccc".to_vec(), b"end".to_vec()]);
        }
    }
}
