//! Files and standard input: one record a line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use eddy_record::{PartitionId, Position, RawRecord, StreamIdentity};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncSeekExt, BufReader};
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
/// The file may grow between runs, not change: a second run goes on where the first one stopped.
/// ROWTIMEs are the time of reading. Empty lines are skipped.
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
        let mut file =
            tokio::fs::File::open(&self.path).await.map_err(|e| cannot_read(&self.path, e))?;
        let (offset, mut n_skipped) = match start {
            // A number that is no offset is behind any file's end.
            Start::After(position) => {
                (position.sequence.as_str().parse().unwrap_or(u64::MAX >> 1), 1)
            }
            _ => (0, usize::from(self.skip_header)),
        };
        if offset > 0 {
            n_skipped = 1;
            file.seek(std::io::SeekFrom::Start(offset))
                .await
                .map_err(|e| cannot_read(&self.path, e))?;
        }
        let what = self.path.display().to_string();
        let mut reader = LineReader {
            input: BufReader::new(file),
            offset,
            what,
            clock: Arc::clone(&self.clock),
        };
        for _ in 0..n_skipped {
            reader.read_line().await?;
        }
        Ok(Box::new(reader))
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
        let mut reader = LineReader { input, offset: 0, what: self.name.clone(), clock };
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
}

impl<R: AsyncBufRead + Send + Unpin> LineReader<R> {
    /// The next line without its end, and its offset; `None` at the input's end.
    async fn read_line(&mut self) -> Result<Option<(u64, Vec<u8>)>, StreamError> {
        let offset = self.offset;
        let mut line = Vec::new();
        loop {
            let available = self.input.fill_buf().await.map_err(|e| {
                StreamError::retry(format!("cannot read {}", self.what)).with_source(e)
            })?;
            if available.is_empty() {
                return Ok((self.offset > offset).then_some((offset, line)));
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(available.len(), |end| end + 1);
            let text = &available[..end.unwrap_or(available.len())];
            let room = MAX_LINE_BYTES.saturating_sub(line.len());
            line.extend_from_slice(&text[..text.len().min(room)]);
            self.input.consume(taken);
            self.offset += taken as u64;
            if end.is_some() {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(Some((offset, line)));
            }
        }
    }
}

#[async_trait]
impl<R: AsyncBufRead + Send + Unpin> PartitionReader for LineReader<R> {
    async fn next(&mut self) -> Result<Option<Batch>, StreamError> {
        let mut batch = Batch::default();
        let mut bytes = 0;
        while batch.records.len() < MAX_BATCH_RECORDS && bytes < MAX_BATCH_BYTES {
            let Some((offset, line)) = self.read_line().await? else {
                return Ok((!batch.records.is_empty()).then_some(batch));
            };
            if line.is_empty() {
                continue;
            }
            bytes += line.len();
            batch.records.push(RawRecord {
                partition_key: "".into(),
                position: Position::new(offset.into()),
                arrival_ms: self.clock.now_ms(),
                data: Bytes::from(line),
            });
        }
        Ok(Some(batch))
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

    #[tokio::test]
    async fn a_missing_file_is_fatal_and_named() {
        let source = FileSource::new("/no/such/file", false, Arc::new(SystemClock));
        let error = source.identity().await.expect_err("missing");
        assert!(error.to_string().contains("/no/such/file"));
    }
}
