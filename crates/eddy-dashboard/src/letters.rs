//! Dead letters, the newest first: pages of the file in which the pipeline keeps them, read from
//! its end.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::Page;
use crate::params::pairs;
use crate::query::refused;

/// Letters of one page at most.
const MAX_LETTERS: usize = 100;
/// Bytes that are read for one page: a letter may carry a megabyte.
const MAX_BYTES: u64 = 4 << 20;

/// Lines before a place in a file.
#[derive(Debug, PartialEq)]
struct Lines {
    // The newest first, with where each begins.
    lines: Vec<(u64, Vec<u8>)>,
    /// Where the next page ends; `None` at the beginning of the file.
    before: Option<u64>,
    size: u64,
}

/// `GET /api/letters?before=OFFSET&size=N`.
pub(crate) async fn letters(State(page): State<Page>, RawQuery(query): RawQuery) -> Response {
    let Some(path) = page.parts.letters.clone() else {
        let reason = "this pipeline keeps no dead letters in a file";
        return refused(StatusCode::NOT_FOUND, reason).into_response();
    };
    let (mut before, mut size) = (None, 50);
    for (name, value) in pairs(&query.unwrap_or_default()) {
        match name.as_str() {
            "before" => before = value.parse().ok(),
            "size" => size = value.parse().unwrap_or(size).min(MAX_LETTERS),
            _ => {}
        }
    }
    let path: PathBuf = path.to_path_buf();
    match tokio::task::spawn_blocking(move || tail(&path, before, size)).await {
        Ok(Ok(found)) => {
            let letters: Vec<Value> =
                found.lines.iter().map(|(at, line)| letter(*at, line)).collect();
            let answer =
                json!({"letters": letters, "before": found.before, "file_bytes": found.size});
            ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
        }
        Ok(Err(error)) => {
            refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()).into_response()
        }
        Err(error) => {
            refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()).into_response()
        }
    }
}

/// A line as it is shown; one that a kill tore is shown as its text.
fn letter(at: u64, line: &[u8]) -> Value {
    match serde_json::from_slice::<Value>(line) {
        Ok(Value::Object(mut letter)) => {
            letter.insert("at".to_owned(), json!(at));
            Value::Object(letter)
        }
        _ => json!({"at": at, "torn": String::from_utf8_lossy(line)}),
    }
}

/// The last lines that end at `before` or earlier.
fn tail(path: &Path, before: Option<u64>, n: usize) -> io::Result<Lines> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Lines { lines: Vec::new(), before: None, size: 0 });
        }
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    let end = before.unwrap_or(size).min(size);
    let start = end.saturating_sub(MAX_BYTES);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(end - start).read_to_end(&mut bytes)?;
    // What is being written has no end yet.
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut rest = &bytes[..whole];
    let mut lines = Vec::new();
    while let Some(without_end) = rest.strip_suffix(b"\n") {
        if lines.len() == n {
            break;
        }
        let from = without_end.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        // A line that begins before what was read comes with the next page; the longest is cut.
        if from == 0 && start > 0 && !lines.is_empty() {
            break;
        }
        if !without_end[from..].is_empty() {
            lines.push((start + from as u64, without_end[from..].to_vec()));
        }
        rest = &rest[..from];
    }
    let left = start + rest.len() as u64;
    Ok(Lines { lines, before: (left > 0).then_some(left), size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(found: &Lines) -> Vec<String> {
        found.lines.iter().map(|(_, line)| String::from_utf8_lossy(line).into_owned()).collect()
    }

    #[test]
    fn pages_go_from_the_end_to_the_beginning() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("letters");
        assert_eq!(tail(&path, None, 5).expect("nothing").lines, []);
        std::fs::write(&path, "1\n22\n333\n\n4444\n55").expect("written");
        let last = tail(&path, None, 2).expect("read");
        assert_eq!(texts(&last), ["4444", "333"]);
        let first = tail(&path, last.before, 9).expect("read");
        assert_eq!((texts(&first), first.before), (vec!["22".to_owned(), "1".to_owned()], None));
    }

    #[test]
    fn a_page_reads_a_bounded_part_of_a_large_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("letters");
        let line = format!("{}\n", "x".repeat(1 << 20));
        std::fs::write(&path, line.repeat(10)).expect("written");
        let mut n_lines = 0;
        let mut before = None;
        for _ in 0..20 {
            let found = tail(&path, before, 50).expect("read");
            assert!(found.lines.len() <= 4, "{}", found.lines.len());
            n_lines += found.lines.len();
            before = found.before;
            if before.is_none() {
                break;
            }
        }
        assert_eq!((n_lines, before), (10, None));
    }

    #[test]
    fn what_was_torn_is_shown_as_it_is() {
        assert_eq!(letter(7, b"{\"torn"), json!({"at": 7, "torn": "{\"torn"}));
        assert_eq!(letter(0, b"{\"reason\":\"r\"}"), json!({"at": 0, "reason": "r"}));
    }
}
