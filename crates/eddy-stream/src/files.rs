//! Rows and dead letters into files and standard output.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use eddy_record::{DeadLetter, ScoredRecord, write_csv_header};

use crate::{DeadLetterSink, Rejected, Sink, StreamError};

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowFormat {
    /// One JSON object a line.
    #[default]
    Ndjson,
    /// Comma-separated values, with a header where the file is empty.
    Csv,
}

/// A file of whole lines: what a write did not finish is cut off, at once or at the next open.
struct LineFile {
    path: PathBuf,
    file: File,
    // Whole, durable lines end here.
    length: u64,
}

impl LineFile {
    fn open(path: &Path) -> Result<Self, StreamError> {
        let failed = |error| {
            StreamError::fatal(format!("cannot write {}", path.display())).with_source(error)
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        let length = whole_lines(&mut file).map_err(failed)?;
        file.set_len(length).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, length })
    }

    fn append(&mut self, lines: &[u8]) -> Result<(), StreamError> {
        let mut write = || {
            self.file.seek(SeekFrom::Start(self.length))?;
            self.file.write_all(lines)?;
            self.file.sync_data()
        };
        if let Err(error) = write() {
            // If this fails too, the next open cuts the torn line off.
            let _ = self.file.set_len(self.length);
            let context = format!("cannot write {}", self.path.display());
            return Err(StreamError::retry(context).with_source(error));
        }
        self.length += lines.len() as u64;
        Ok(())
    }
}

/// The length of a file up to the end of its last whole line.
fn whole_lines(file: &mut File) -> std::io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut block = [0; 4096];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let piece = &mut block[..usize::try_from(end - start).unwrap_or(0)];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(piece)?;
        if let Some(at) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Runs file work where it may block.
async fn blocking(
    work: impl FnOnce() -> Result<(), StreamError> + Send + 'static,
) -> Result<(), StreamError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| StreamError::fatal("a write was interrupted").with_source(error))?
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A file is consistent between calls, whatever a panicking holder did.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn rows_as_lines(rows: &[ScoredRecord], format: RowFormat) -> Vec<u8> {
    let mut lines = Vec::new();
    for row in rows {
        match format {
            RowFormat::Ndjson => row.write_json(&mut lines),
            RowFormat::Csv => row.write_csv_row(&mut lines),
        }
        lines.push(b'\n');
    }
    lines
}

fn header_of(rows: &[ScoredRecord]) -> Vec<u8> {
    let mut header = Vec::new();
    if let Some(row) = rows.first() {
        write_csv_header(&row.schema, &mut header);
        header.push(b'\n');
    }
    header
}

/// Appends rows to a file; they are on disk when a write returns. A replay appends rows again.
pub struct FileSink {
    file: Arc<Mutex<LineFile>>,
    format: RowFormat,
}

impl FileSink {
    /// Opens or makes the file and its folders.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn open(path: &Path, format: RowFormat) -> Result<Self, StreamError> {
        Ok(Self { file: Arc::new(Mutex::new(LineFile::open(path)?)), format })
    }
}

#[async_trait]
impl Sink for FileSink {
    fn name(&self) -> &str {
        "file"
    }

    async fn write(&self, rows: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        let lines = rows_as_lines(rows, self.format);
        let header = if self.format == RowFormat::Csv { header_of(rows) } else { Vec::new() };
        let file = Arc::clone(&self.file);
        let write = move || {
            let mut file = lock(&file);
            let lines = if file.length == 0 { [header, lines].concat() } else { lines };
            file.append(&lines)
        };
        blocking(write).await?;
        Ok(Vec::new())
    }
}

/// Writes rows to standard output and flushes.
pub struct StdoutSink {
    format: RowFormat,
    header_written: Arc<Mutex<bool>>,
}

impl StdoutSink {
    /// A sink on this process's standard output.
    pub fn new(format: RowFormat) -> Self {
        Self { format, header_written: Arc::default() }
    }
}

#[async_trait]
impl Sink for StdoutSink {
    fn name(&self) -> &str {
        "stdout"
    }

    async fn write(&self, rows: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        let mut lines = rows_as_lines(rows, self.format);
        if self.format == RowFormat::Csv
            && !std::mem::replace(&mut *lock(&self.header_written), true)
        {
            lines = [header_of(rows), lines].concat();
        }
        let write = move || {
            let mut out = std::io::stdout().lock();
            out.write_all(&lines).and_then(|()| out.flush()).map_err(|error| {
                StreamError::fatal("standard output was closed").with_source(error)
            })
        };
        blocking(write).await?;
        Ok(Vec::new())
    }
}

/// Dead letters as NDJSON in a file; on disk when a write returns.
pub struct DeadLetterFile {
    file: Arc<Mutex<LineFile>>,
}

impl DeadLetterFile {
    /// Opens or makes the file and its folders.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn open(path: &Path) -> Result<Self, StreamError> {
        Ok(Self { file: Arc::new(Mutex::new(LineFile::open(path)?)) })
    }
}

#[async_trait]
impl DeadLetterSink for DeadLetterFile {
    async fn write(&self, letters: &[DeadLetter]) -> Result<(), StreamError> {
        let mut lines = Vec::new();
        for letter in letters {
            letter.write_json(&mut lines);
            lines.push(b'\n');
        }
        let file = Arc::clone(&self.file);
        blocking(move || lock(&file).append(&lines)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_cut_off_at_the_next_open() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("deep/rows.ndjson");
        LineFile::open(&path).and_then(|mut file| file.append(b"{\"a\":1}\n")).expect("written");
        let mut torn = OpenOptions::new().append(true).open(&path).expect("there");
        torn.write_all(&vec![b'x'; 10_000]).expect("written");
        LineFile::open(&path).and_then(|mut file| file.append(b"{\"b\":2}\n")).expect("written");
        assert_eq!(std::fs::read(&path).expect("there"), b"{\"a\":1}\n{\"b\":2}\n");
    }

    #[tokio::test]
    async fn csv_has_one_header_and_a_line_a_row() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("rows.csv");
        let schema = Arc::new(eddy_record::Schema::walkthrough());
        let stream = eddy_record::StreamIdentity { name: "s".to_owned(), created_ms: 0 };
        let partition = eddy_record::PartitionId::new("p");
        let row = |n: u64| ScoredRecord {
            id: eddy_record::DocumentId::new(
                &stream,
                &partition,
                &eddy_record::Position::new(n.into()),
                0,
            ),
            created_ms: 0,
            schema: Arc::clone(&schema),
            values: [eddy_record::Value::Text("a".into()), eddy_record::Value::Double(1.5)].into(),
        };
        for n in [1, 2] {
            let sink = FileSink::open(&path, RowFormat::Csv).expect("opens");
            sink.write(&[row(n)]).await.expect("written");
        }
        let text = std::fs::read_to_string(&path).expect("there");
        assert_eq!(text, "iotName,iotValue\na,1.5\na,1.5\n");
    }

    #[test]
    fn a_full_disk_is_an_error_that_can_pass() {
        // Linux's /dev/full refuses every write as a full disk does.
        let file = OpenOptions::new().write(true).open("/dev/full");
        let Ok(file) = file else { return };
        let mut full = LineFile { path: "/dev/full".into(), file, length: 0 };
        let error = full.append(b"x\n").expect_err("full");
        assert_eq!(error.kind(), crate::ErrorKind::Retry);
        assert_eq!(full.length, 0);
    }
}
