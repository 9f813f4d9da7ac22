//! Rows and dead letters into files and standard output.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
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

/// A file of lines that only this process writes, as long as it is open.
///
/// Nothing is cut off that may not be ours. What a failed write of this process left is; what a
/// crash left, or whatever else ends without a newline, stays as a torn line of its own: a newline
/// is put behind it first.
struct LineFile {
    path: PathBuf,
    file: File,
}

impl LineFile {
    fn open(path: &Path) -> Result<Self, StreamError> {
        let failed = |error| {
            StreamError::fatal(format!("cannot write {}", path.display())).with_source(error)
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(path);
        let file = file.map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(StreamError::fatal(format!("{} is no regular file", path.display())));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StreamError::retry(format!(
                    "{} is being written by another process or another sink: stop that, or choose \
                     another file",
                    path.display()
                )));
            }
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
                tracing::warn!(
                    path = %path.display(),
                    "this file system has no locks: see that nothing else writes the file",
                );
            }
            Err(TryLockError::Error(error)) => {
                let context = format!("cannot lock {}", path.display());
                return Err(StreamError::fatal(context).with_source(error));
            }
        }
        Ok(Self { path: path.to_owned(), file })
    }

    /// Appends whole lines, behind `header` where the file is empty; they are on disk when it
    /// returns.
    fn append(&mut self, header: &[u8], lines: &[u8]) -> Result<(), StreamError> {
        let failed = |error| {
            StreamError::retry(format!("cannot write {}", self.path.display())).with_source(error)
        };
        let length = self.file.metadata().map_err(failed)?.len();
        let before: &[u8] = match self.last_byte(length).map_err(failed)? {
            None => header,
            Some(b'\n') => b"",
            Some(_) => b"\n",
        };
        let mut file = &self.file;
        let written = file
            .write_all(before)
            .and_then(|()| file.write_all(lines))
            .and_then(|()| file.sync_data());
        written.map_err(|error| {
            // If this fails too, the next write sees the torn line and puts a newline behind it.
            let _ = file.set_len(length);
            failed(error)
        })
    }

    fn last_byte(&self, length: u64) -> std::io::Result<Option<u8>> {
        if length == 0 {
            return Ok(None);
        }
        // Where reading stands does not matter to writes: they append.
        let mut file = &self.file;
        let mut last = [0];
        file.seek(SeekFrom::Start(length - 1))?;
        file.read_exact(&mut last)?;
        Ok(Some(last[0]))
    }
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
///
/// While it is open no other sink, in this or another process, can open the file. A file that does
/// not end with a newline (a crash tore its last line, or it is not ours) keeps what it has: the
/// rows begin on a line of their own behind it.
pub struct FileSink {
    file: Arc<Mutex<LineFile>>,
    format: RowFormat,
}

impl FileSink {
    /// Opens or makes the file and its folders.
    ///
    /// # Errors
    /// The file cannot be written, or another process or sink is writing it.
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
        blocking(move || lock(&file).append(&header, &lines)).await?;
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
            out.write_all(&lines).and_then(|()| out.flush()).map_err(no_stdout)
        };
        blocking(write).await?;
        Ok(Vec::new())
    }
}

/// Whoever read standard output has seen enough: the source of a [`StdoutSink`]'s error, which tells
/// it from a connection that broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StdoutClosed;

impl std::fmt::Display for StdoutClosed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("standard output was closed")
    }
}

impl std::error::Error for StdoutClosed {}

fn no_stdout(error: std::io::Error) -> StreamError {
    let failed = StreamError::fatal("cannot write to standard output");
    match error.kind() {
        ErrorKind::BrokenPipe => failed.with_source(StdoutClosed),
        _ => failed.with_source(error),
    }
}

/// Dead letters as NDJSON in a file; on disk when a write returns. The file is held as
/// [`FileSink`] holds its own.
pub struct DeadLetterFile {
    file: Arc<Mutex<LineFile>>,
}

impl DeadLetterFile {
    /// Opens or makes the file and its folders.
    ///
    /// # Errors
    /// The file cannot be written, or another process or sink is writing it.
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
        blocking(move || lock(&file).append(b"", &lines)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_in(folder: &tempfile::TempDir) -> (PathBuf, LineFile) {
        let path = folder.path().join("deep/rows.ndjson");
        let file = LineFile::open(&path).expect("opens");
        (path, file)
    }

    #[test]
    fn a_torn_line_stays_as_a_line_of_its_own() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, mut file) = open_in(&folder);
        file.append(b"", b"{\"a\":1}\n").expect("written");
        drop(file);
        let mut torn = OpenOptions::new().append(true).open(&path).expect("there");
        torn.write_all(b"{\"torn").expect("written");
        open_in(&folder).1.append(b"", b"{\"b\":2}\n").expect("written");
        let text = std::fs::read_to_string(&path).expect("there");
        assert_eq!(text, "{\"a\":1}\n{\"torn\n{\"b\":2}\n");
    }

    #[test]
    fn a_file_without_a_newline_is_not_wiped_by_opening_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "a user's only copy").expect("writable");
        let mut file = LineFile::open(&path).expect("opens");
        assert_eq!(std::fs::read(&path).expect("there"), b"a user's only copy");
        file.append(b"a header\n", b"row\n").expect("written");
        assert_eq!(std::fs::read(&path).expect("there"), b"a user's only copy\nrow\n");
    }

    #[test]
    fn two_writers_of_one_file_do_not_destroy_each_other_s_lines() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, mut first) = open_in(&folder);
        let second = FileSink::open(&path, RowFormat::Csv).err().expect("locked");
        assert_eq!(second.kind(), crate::ErrorKind::Retry);
        assert!(second.to_string().contains("rows.ndjson is being written by another process"));
        assert!(DeadLetterFile::open(&path).is_err());
        first.append(b"", b"a\n").expect("written");
        drop(first);
        open_in(&folder).1.append(b"", b"b\n").expect("written");
        assert_eq!(std::fs::read(&path).expect("there"), b"a\nb\n");
    }

    #[test]
    fn an_external_truncation_leaves_no_hole() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, mut file) = open_in(&folder);
        file.append(b"h\n", b"a\n").expect("written");
        std::fs::write(&path, "").expect("truncated, as a rotation by copying does");
        file.append(b"h\n", b"b\n").expect("written");
        assert_eq!(std::fs::read(&path).expect("there"), b"h\nb\n");
    }

    #[test]
    fn only_a_broken_pipe_says_that_standard_output_was_closed() {
        let says_closed = |error: &StreamError| {
            std::error::Error::source(error).expect("a source").is::<StdoutClosed>()
        };
        assert!(says_closed(&no_stdout(ErrorKind::BrokenPipe.into())));
        assert!(!says_closed(&no_stdout(ErrorKind::StorageFull.into())));
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
        let mut full = LineFile { path: "/dev/full".into(), file };
        let error = full.append(b"", b"x\n").expect_err("full");
        assert_eq!(error.kind(), crate::ErrorKind::Retry);
    }
}
