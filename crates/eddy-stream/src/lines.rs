//! Files and standard input: one record a line.

use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;
use eddy_record::{PartitionId, Position, RawRecord, StreamIdentity};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, BufReader};
use tokio::sync::Mutex;

use crate::{Batch, Clock, Partition, PartitionReader, Source, Start, StreamError};

/// Records a batch at most, so that the first rows of a long file leave soon.
const MAX_BATCH_RECORDS: usize = 1_000;
/// Payload bytes a batch at most (one line may exceed it).
const MAX_BATCH_BYTES: usize = 4 << 20;
/// What is kept of a longer line: more than any decoder takes, so that it is refused as oversize,
/// with its beginning in the dead letter.
const MAX_LINE_BYTES: usize = 2 << 20;

/// A file as a stream of one partition; a record's sequence number is its line's byte offset.
///
/// The file may grow between runs, not change: a second run goes on where the first one stopped, and
/// refuses a file in which that place is gone. ROWTIMEs are the time of reading. Empty lines are
/// skipped.
///
/// A last line without its newline is delivered, for the file may be complete, and ends the run.
/// Its position's sub-sequence number is the number of its bytes (that of any other line is 0). If
/// the line is longer when a later run comes back to it, all of it is delivered again, as a new
/// record whose sub-sequence number is the number of bytes that it has then.
pub struct FileSource {
    path: PathBuf,
    skip_header: bool,
    clock: Arc<dyn Clock>,
}

impl FileSource {
    /// Reads `path`; with `skip_header` its first line is not a record.
    pub fn new(path: impl Into<PathBuf>, skip_header: bool, clock: Arc<dyn Clock>) -> Self {
        Self { path: path.into(), skip_header, clock }
    }

    fn partition(&self) -> PartitionId {
        PartitionId::new(self.path.display().to_string())
    }
}

#[async_trait]
impl Source for FileSource {
    async fn identity(&self) -> Result<StreamIdentity, StreamError> {
        check_readable(&self.path).await?;
        Ok(StreamIdentity { name: self.path.display().to_string(), created_ms: 0 })
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StreamError> {
        Ok(vec![Partition { id: self.partition(), parents: Vec::new() }])
    }

    fn may_grow(&self) -> bool {
        true
    }

    async fn open(
        &self,
        _partition: &PartitionId,
        start: &Start,
    ) -> Result<Box<dyn PartitionReader>, StreamError> {
        let file =
            tokio::fs::File::open(&self.path).await.map_err(|e| cannot_read(&self.path, e))?;
        let what = self.path.display().to_string();
        let mut reader = LineReader {
            input: BufReader::new(file),
            offset: 0,
            what,
            clock: Arc::clone(&self.clock),
            may_grow: true,
            grown: None,
            ended: false,
        };
        match start {
            Start::After(position) => self.go_on_behind(position, &mut reader).await?,
            _ if self.skip_header => _ = reader.read_line().await?,
            _ => {}
        }
        Ok(Box::new(reader))
    }
}

impl FileSource {
    /// Puts the reader behind the line at `position`, or before that line if it has grown since.
    async fn go_on_behind(
        &self,
        position: &Position,
        reader: &mut LineReader<BufReader<tokio::fs::File>>,
    ) -> Result<(), StreamError> {
        let changed = || self.changed(position);
        let offset = position.sequence.as_str().parse().map_err(|_| changed())?;
        self.seek_line(offset, &mut reader.input).await?.ok_or_else(changed)?;
        reader.offset = offset;
        let line = reader.read_line().await?.ok_or_else(changed)?;
        let known_bytes = position.sub_sequence;
        if known_bytes > 0 && line.n_bytes < known_bytes {
            return Err(changed());
        }
        if known_bytes > 0 && line.n_bytes > known_bytes {
            tracing::warn!(
                path = %self.path.display(), offset, known_bytes, n_bytes = line.n_bytes,
                "a line was read before it was complete: all of it is read again, as a new record",
            );
            reader.grown = Some(line);
        }
        Ok(())
    }

    /// Goes to the line that starts at `offset`; `None` where none does.
    async fn seek_line(
        &self,
        offset: u64,
        input: &mut BufReader<tokio::fs::File>,
    ) -> Result<Option<()>, StreamError> {
        let cannot_read = |error| cannot_read(&self.path, error);
        if offset >= input.get_ref().metadata().await.map_err(cannot_read)?.len() {
            return Ok(None);
        }
        if offset > 0 {
            let before = std::io::SeekFrom::Start(offset - 1);
            input.seek(before).await.map_err(cannot_read)?;
            if input.read_u8().await.map_err(cannot_read)? != b'\n' {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    fn changed(&self, position: &Position) -> StreamError {
        StreamError::fatal(format!(
            "{} is not the file that was read before: the line read last, at byte {}, is not in it \
             (was it truncated or rotated?). Restore the file, or remove the state folder or choose \
             another one to read this file from its beginning",
            self.path.display(),
            position.sequence
        ))
    }
}

/// Standard input, or any other bytes that can be read once, as a stream of one partition.
pub struct InputSource<R> {
    name: String,
    created_ms: i64,
    input: Mutex<Option<R>>,
    skip_header: bool,
    clock: Arc<dyn Clock>,
}

impl<R: AsyncBufRead + Send + Unpin + 'static> InputSource<R> {
    /// Reads `input` under a name. Each run is a stream of its own, created now.
    pub fn new(name: &str, input: R, skip_header: bool, clock: Arc<dyn Clock>) -> Self {
        let created_ms = clock.now_ms();
        Self {
            name: name.to_owned(),
            created_ms,
            input: Mutex::new(Some(input)),
            skip_header,
            clock,
        }
    }
}

#[async_trait]
impl<R: AsyncBufRead + Send + Unpin + 'static> Source for InputSource<R> {
    async fn identity(&self) -> Result<StreamIdentity, StreamError> {
        Ok(StreamIdentity { name: self.name.clone(), created_ms: self.created_ms })
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StreamError> {
        Ok(vec![Partition { id: PartitionId::new(self.name.as_str()), parents: Vec::new() }])
    }

    async fn open(
        &self,
        _partition: &PartitionId,
        _start: &Start,
    ) -> Result<Box<dyn PartitionReader>, StreamError> {
        let input = self.input.lock().await.take().ok_or_else(|| {
            StreamError::fatal(format!("{} can be read only once; start again", self.name))
        })?;
        let clock = Arc::clone(&self.clock);
        let mut reader = LineReader {
            input,
            offset: 0,
            what: self.name.clone(),
            clock,
            may_grow: false,
            grown: None,
            ended: false,
        };
        if self.skip_header {
            reader.read_line().await?;
        }
        Ok(Box::new(reader))
    }
}

struct LineReader<R> {
    input: R,
    // The byte offset of the next line.
    offset: u64,
    what: String,
    clock: Arc<dyn Clock>,
    // Whether a line without its end may get one later.
    may_grow: bool,
    // A line delivered in part by an earlier run, to be delivered first.
    grown: Option<Line>,
    // A line without its end was delivered: what is behind it belongs to it.
    ended: bool,
}

struct Line {
    offset: u64,
    // Without its end, kept to a bound.
    text: Vec<u8>,
    // How long the text is in the input.
    n_bytes: u64,
    is_complete: bool,
}

impl<R: AsyncBufRead + Send + Unpin> LineReader<R> {
    /// The next line; `None` at the input's end.
    async fn read_line(&mut self) -> Result<Option<Line>, StreamError> {
        let offset = self.offset;
        let mut text = Vec::new();
        loop {
            let available = self.input.fill_buf().await.map_err(|e| {
                StreamError::retry(format!("cannot read {}", self.what)).with_source(e)
            })?;
            if available.is_empty() {
                let n_bytes = self.offset - offset;
                let line = Line { offset, text, n_bytes, is_complete: false };
                return Ok((n_bytes > 0).then_some(line));
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(available.len(), |end| end + 1);
            let piece = &available[..end.unwrap_or(available.len())];
            let room = MAX_LINE_BYTES.saturating_sub(text.len());
            text.extend_from_slice(&piece[..piece.len().min(room)]);
            self.input.consume(taken);
            self.offset += taken as u64;
            if end.is_some() {
                let mut n_bytes = self.offset - offset - 1;
                if text.last() == Some(&b'\r') {
                    text.pop();
                    n_bytes -= 1;
                }
                return Ok(Some(Line { offset, text, n_bytes, is_complete: true }));
            }
        }
    }

    /// Whether the next line, or the input's end, is there without waiting. A pipe may be silent for
    /// hours behind a line, which must not wait for others to fill its batch.
    async fn has_line(&mut self) -> bool {
        if self.may_grow {
            // A file has what it has.
            return true;
        }
        let input = &mut self.input;
        poll_fn(|cx| {
            Poll::Ready(match Pin::new(&mut *input).poll_fill_buf(cx) {
                Poll::Ready(Ok(available)) => available.is_empty() || available.contains(&b'\n'),
                Poll::Ready(Err(_)) => true,
                Poll::Pending => false,
            })
        })
        .await
    }

    /// A line as a record.
    fn record(&mut self, line: Line, is_grown: bool) -> RawRecord {
        self.ended = !line.is_complete;
        let counts_bytes = is_grown || (self.may_grow && !line.is_complete);
        RawRecord {
            partition_key: "".into(),
            position: Position {
                sequence: line.offset.into(),
                sub_sequence: if counts_bytes { line.n_bytes } else { 0 },
            },
            arrival_ms: self.clock.now_ms(),
            data: Bytes::from(line.text),
        }
    }
}

#[async_trait]
impl<R: AsyncBufRead + Send + Unpin> PartitionReader for LineReader<R> {
    async fn next(&mut self) -> Result<Option<Batch>, StreamError> {
        let mut batch = Batch::default();
        let mut bytes = 0;
        if let Some(line) = self.grown.take() {
            bytes += line.text.len();
            batch.records.push(self.record(line, true));
        }
        while !self.ended && batch.records.len() < MAX_BATCH_RECORDS && bytes < MAX_BATCH_BYTES {
            if !batch.records.is_empty() && !self.has_line().await {
                break;
            }
            let Some(line) = self.read_line().await? else { break };
            if !line.text.is_empty() {
                bytes += line.text.len();
                batch.records.push(self.record(line, false));
            }
        }
        Ok((!batch.records.is_empty()).then_some(batch))
    }
}

async fn check_readable(path: &Path) -> Result<(), StreamError> {
    let metadata = tokio::fs::metadata(path).await.map_err(|e| cannot_read(path, e))?;
    if metadata.is_dir() {
        return Err(StreamError::fatal(format!("{} is a folder, not a file", path.display())));
    }
    Ok(())
}

fn cannot_read(path: &Path, error: std::io::Error) -> StreamError {
    StreamError::fatal(format!("cannot read {}", path.display())).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemClock;

    async fn drain(mut reader: Box<dyn PartitionReader>) -> Vec<(String, Position)> {
        let mut found = Vec::new();
        while let Some(batch) = reader.next().await.expect("readable") {
            for record in batch.records {
                let line = String::from_utf8_lossy(&record.data).into_owned();
                found.push((line, record.position));
            }
        }
        found
    }

    #[tokio::test]
    async fn a_line_does_not_wait_for_others_to_fill_its_batch() {
        use tokio::io::AsyncWriteExt as _;
        let (mut writer, input) = tokio::io::duplex(1 << 10);
        let source = InputSource::new("pipe", BufReader::new(input), false, Arc::new(SystemClock));
        let partition = &source.partitions().await.expect("listed")[0].id;
        let mut reader = source.open(partition, &Start::TrimHorizon).await.expect("opened");
        let mut next = async |text: &[u8], lines: &[&[u8]]| {
            writer.write_all(text).await.expect("taken");
            let batch = reader.next().await.expect("readable").expect("there are lines");
            let found: Vec<&[u8]> = batch.records.iter().map(|it| it.data.as_ref()).collect();
            assert_eq!(found, lines);
        };
        // The pipe stays open, and a line is written in part only.
        next(b"a\nb\nc", &[b"a", b"b"]).await;
        next(b"c\n\nd\n", &[b"cc", b"d"]).await;
    }

    #[tokio::test]
    async fn a_file_is_resumed_behind_any_of_its_lines() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("readings.ndjson");
        std::fs::write(&path, "a\n\nbb\r\nccc").expect("writable");
        let source = FileSource::new(&path, false, Arc::new(SystemClock));
        let partition = &source.partitions().await.expect("listed")[0].id;
        let all = drain(source.open(partition, &Start::TrimHorizon).await.expect("opens")).await;
        let lines: Vec<&str> = all.iter().map(|(line, _)| line.as_str()).collect();
        assert_eq!(lines, ["a", "bb", "ccc"]);
        for (line_idx, (_, position)) in all.iter().enumerate() {
            let rest =
                source.open(partition, &Start::After(position.clone())).await.expect("opens");
            assert_eq!(drain(rest).await, all[line_idx + 1..]);
        }
    }

    #[tokio::test]
    async fn the_header_is_skipped_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("readings.csv");
        std::fs::write(&path, "name,value\na,1\nb,2\n").expect("writable");
        let source = FileSource::new(&path, true, Arc::new(SystemClock));
        let partition = &source.partitions().await.expect("listed")[0].id;
        let all = drain(source.open(partition, &Start::TrimHorizon).await.expect("opens")).await;
        assert_eq!(all[0].0, "a,1");
        let start = Start::After(all[0].1.clone());
        assert_eq!(drain(source.open(partition, &start).await.expect("opens")).await, all[1..]);
    }

    #[tokio::test]
    async fn a_line_without_end_is_kept_to_a_bound_and_the_next_line_is_whole() {
        let mut input = vec![b'x'; 3 * MAX_LINE_BYTES];
        input.extend_from_slice(b"\nnext\n");
        let input = std::io::Cursor::new(input);
        let source = InputSource::new("stdin", input, false, Arc::new(SystemClock));
        let partition = &source.partitions().await.expect("listed")[0].id;
        let all = drain(source.open(partition, &Start::TrimHorizon).await.expect("opens")).await;
        assert_eq!(all[0].0.len(), MAX_LINE_BYTES);
        assert_eq!(all[1].0, "next");
        assert!(source.open(partition, &Start::TrimHorizon).await.is_err());
    }

    /// A file and its source; the folder goes with the first.
    fn file_of(text: &str) -> (tempfile::TempDir, PathBuf, FileSource) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("readings.ndjson");
        std::fs::write(&path, text).expect("writable");
        let source = FileSource::new(&path, false, Arc::new(SystemClock));
        (folder, path, source)
    }

    async fn read(source: &FileSource, start: &Start) -> Vec<(String, Position)> {
        drain(source.open(&source.partition(), start).await.expect("opens")).await
    }

    fn behind(found: &[(String, Position)]) -> Start {
        Start::After(found.last().expect("a record").1.clone())
    }

    #[tokio::test]
    async fn a_last_line_read_before_it_was_complete_is_read_again() {
        let (_folder, path, source) = file_of("a\nb1");
        let first = read(&source, &Start::TrimHorizon).await;
        assert_eq!(first[1].0, "b1");
        assert_eq!(read(&source, &behind(&first)).await, []);

        std::fs::write(&path, "a\nb12").expect("writable");
        let grown = read(&source, &behind(&first)).await;
        assert_eq!(grown.len(), 1);
        assert_eq!(grown[0].0, "b12");
        assert!(grown[0].1 > first[1].1, "{} {}", grown[0].1, first[1].1);

        std::fs::write(&path, "a\nb123\nc\n").expect("writable");
        for earlier in [&first, &grown] {
            let complete = read(&source, &behind(earlier)).await;
            let lines: Vec<&str> = complete.iter().map(|(line, _)| line.as_str()).collect();
            assert_eq!(lines, ["b123", "c"]);
            assert!(complete[0].1 > behind_position(earlier) && complete[1].1 > complete[0].1);
            assert_eq!(read(&source, &behind(&complete[..1])).await, complete[1..]);
        }
    }

    fn behind_position(found: &[(String, Position)]) -> Position {
        found.last().expect("a record").1.clone()
    }

    #[tokio::test]
    async fn a_last_line_that_only_got_its_end_is_not_read_again() {
        for end in ["\n", "\r\n"] {
            let (_folder, path, source) = file_of("a\nb1");
            let first = read(&source, &Start::TrimHorizon).await;
            std::fs::write(&path, format!("a\nb1{end}c\n")).expect("writable");
            let rest = read(&source, &behind(&first)).await;
            assert_eq!(rest.len(), 1);
            assert_eq!(rest[0].0, "c");
        }
    }

    #[tokio::test]
    async fn what_is_written_behind_an_incomplete_line_while_it_is_read_is_no_record_of_its_own() {
        let (_folder, path, source) = file_of("a\nb1");
        let mut reader =
            source.open(&source.partition(), &Start::TrimHorizon).await.expect("opens");
        let batch = reader.next().await.expect("readable").expect("two records");
        assert_eq!(batch.records.len(), 2);
        std::fs::write(&path, "a\nb123\n").expect("writable");
        assert_eq!(reader.next().await.expect("readable"), None);
        let start = Start::After(batch.records[1].position.clone());
        assert_eq!(read(&source, &start).await[0].0, "b123");
    }

    #[tokio::test]
    async fn a_truncated_or_rotated_file_is_fatal_and_says_what_to_do() {
        let (_folder, path, source) = file_of("first\nsecond\nthird\nfour");
        let all = read(&source, &Start::TrimHorizon).await;
        for (line_idx, other) in [
            (1, "x\n"),
            (1, "first\n"),
            (2, "another first line\n"),
            (3, "first\nsecond\nthird\nfo"),
        ] {
            std::fs::write(&path, other).expect("writable");
            let start = behind(&all[..=line_idx]);
            let error = source.open(&source.partition(), &start).await.err().expect("changed");
            assert_eq!(error.kind(), crate::ErrorKind::Fatal);
            let text = error.to_string();
            assert!(text.contains("readings.ndjson") && text.contains("Restore"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_missing_file_is_fatal_and_named() {
        let source = FileSource::new("/no/such/file", false, Arc::new(SystemClock));
        let error = source.identity().await.expect_err("missing");
        assert!(error.to_string().contains("/no/such/file"));
    }
}
