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
/// The longest line.
const MAX_LINE_BYTES: usize = 64 << 20;
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
        Ok(lines)
    }

    /// The command's last word.
    pub(super) fn finish(self) -> Result<()> {
        if let Some(mut child) = self.preprocess {
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

/// Sends whole lines until the input ends or nobody takes them.
fn read(mut input: Box<dyn Read + Send>, sender: &SyncSender<Result<Block>>) {
    let mut rest: Vec<u8> = Vec::new();
    let mut bytes = vec![0; BLOCK_BYTES];
    loop {
        match input.read(&mut bytes) {
            Ok(0) => break,
            Ok(n_bytes) => {
                rest.extend_from_slice(&bytes[..n_bytes]);
                let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else {
                    if rest.len() > MAX_LINE_BYTES {
                        let error = anyhow::anyhow!("a line is longer than {MAX_LINE_BYTES} bytes");
                        let _ = sender.send(Err(error));
                        return;
                    }
                    continue;
                };
                let tail = rest.split_off(end + 1);
                if sender.send(Ok(Block(std::mem::replace(&mut rest, tail)))).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                let _ = sender.send(Err(error.into()));
                return;
            }
        }
    }
    if !rest.is_empty() {
        // The reader may be gone: then nobody wants it.
        let _ = sender.send(Ok(Block(rest)));
    }
}
