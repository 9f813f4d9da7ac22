//! The table as a file: every row of the query in its order, written as it is read.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use eddy_index::{IndexError, Place, Snapshot};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::Page;
use crate::query::{Refusal, asked, blocking, parsed, refused};

/// Rows of one file: their places are in memory, about 100 bytes each while they are sorted.
pub(crate) const MAX_EXPORTED: usize = 1_000_000;
/// Downloads at once: each has a thread and the places of its rows while it lasts.
pub(crate) const MAX_EXPORTS: usize = 4;
/// How long a reader may take nothing before its download is given up.
const STALLED: Duration = Duration::from_secs(60);
/// Rows whose columns make the header of a CSV.
const HEADER_ROWS: usize = 1_000;
/// Bytes of one piece of the answer.
const PIECE_BYTES: usize = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    Ndjson,
}

/// `GET /api/export`.
pub(crate) async fn export(
    State(page): State<Page>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let (subject, params) = asked(&page, query.as_deref())?;
    let Ok(permit) = Arc::clone(&page.exports).try_acquire_owned() else {
        let reason = format!("{MAX_EXPORTS} downloads are under way: try again when one has ended");
        return Err(refused(StatusCode::SERVICE_UNAVAILABLE, &reason));
    };
    let format = match params.format.as_deref() {
        Some("csv") => Format::Csv,
        Some("ndjson") | None => Format::Ndjson,
        Some(other) => {
            let reason = format!("format: csv or ndjson, found {other:?}");
            return Err(refused(StatusCode::BAD_REQUEST, &reason));
        }
    };
    let work = move || {
        let snapshot = subject.index.snapshot(subject.index.alias())?;
        let query = params.query(subject.key.as_ref(), &[]);
        let (total, places) = snapshot.ranked(&query, &params.sort, MAX_EXPORTED)?;
        let columns = match format {
            Format::Csv => columns(&snapshot, &places)?,
            Format::Ndjson => Vec::new(),
        };
        Ok((snapshot, total, places, columns))
    };
    let (snapshot, total, places, columns) = blocking(&page, work).await?;
    let (kind, name) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "eddy.csv"),
        Format::Ndjson => ("application/x-ndjson", "eddy.ndjson"),
    };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::HeaderName::from_static("x-eddy-rows"), places.len().to_string()),
        (header::HeaderName::from_static("x-eddy-total"), total.to_string()),
    ];
    // Two pieces wait at most: a reader that is slow holds the writer up.
    let (pieces, receiver) = mpsc::channel::<Result<Bytes, IndexError>>(2);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let mut writer = Writer { format, columns, pieces, piece: Vec::new(), runtime };
        if let Err(error) = writer.write(&snapshot, &places) {
            // The answer ends in the middle, which a client sees; one that is gone sees nothing.
            writer.hand_on(Err(error));
        }
    });
    let body = futures::stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    });
    Ok((headers, Body::from_stream(body)).into_response())
}

/// The fields of the first rows, in the order in which they come.
fn columns(snapshot: &Snapshot, places: &[Place]) -> Result<Vec<String>, IndexError> {
    let mut columns: Vec<String> = Vec::new();
    for place in places.iter().take(HEADER_ROWS) {
        let Value::Object(row) = parsed(&snapshot.read(*place)?.1) else { continue };
        for name in row.keys() {
            if !columns.contains(name) {
                columns.push(name.clone());
            }
        }
    }
    columns.insert(0, "_id".to_owned());
    Ok(columns)
}

struct Writer {
    format: Format,
    columns: Vec<String>,
    pieces: mpsc::Sender<Result<Bytes, IndexError>>,
    piece: Vec<u8>,
    runtime: Handle,
}

impl Writer {
    fn write(&mut self, snapshot: &Snapshot, places: &[Place]) -> Result<(), IndexError> {
        if self.format == Format::Csv {
            let names = std::mem::take(&mut self.columns);
            self.line(names.iter().map(|name| name.as_str().into()));
            self.columns = names;
        }
        for place in places {
            let (id, source) = snapshot.read(*place)?;
            match self.format {
                // As it was written: numbers keep their digits.
                Format::Ndjson => {
                    let id = Value::from(id);
                    let one_line = source.replace(['\n', '\r'], " ");
                    let line = format!("{{\"_id\":{id},\"_source\":{one_line}}}\n");
                    self.piece.extend_from_slice(line.as_bytes());
                }
                Format::Csv => {
                    let row = parsed(&source);
                    let columns = std::mem::take(&mut self.columns);
                    let rest = columns[1..].iter().map(|name| field(&row[name.as_str()]));
                    self.line(std::iter::once(id).chain(rest));
                    self.columns = columns;
                }
            }
            if self.piece.len() >= PIECE_BYTES && !self.send() {
                return Ok(());
            }
        }
        self.send();
        Ok(())
    }

    fn line(&mut self, fields: impl Iterator<Item = String>) {
        for (idx, text) in fields.enumerate() {
            if idx > 0 {
                self.piece.push(b',');
            }
            if text.contains([',', '"', '\n', '\r']) {
                let quoted = text.replace('"', "\"\"");
                self.piece.extend_from_slice(format!("\"{quoted}\"").as_bytes());
            } else {
                self.piece.extend_from_slice(text.as_bytes());
            }
        }
        self.piece.extend_from_slice(b"\r\n");
    }

    /// Hands on what is written; false when nobody reads any more.
    fn send(&mut self) -> bool {
        let piece = std::mem::take(&mut self.piece);
        piece.is_empty() || self.hand_on(Ok(piece.into()))
    }

    /// False where nobody reads any more, or has taken nothing for too long: the answer ends then.
    fn hand_on(&self, piece: Result<Bytes, IndexError>) -> bool {
        let sent = self.runtime.block_on(timeout(STALLED, self.pieces.send(piece)));
        sent.is_ok_and(|sent| sent.is_ok())
    }
}

/// A value as a field of a CSV. A text that a spreadsheet would run as a formula begins with an
/// apostrophe.
fn field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
            format!("'{text}")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_keep_numbers_and_disarm_formulas() {
        assert_eq!(field(&json!(-1.5)), "-1.5");
        assert_eq!(field(&json!("=HYPERLINK(1)")), "'=HYPERLINK(1)");
        assert_eq!(field(&json!({"a": 1})), "{\"a\":1}");
        assert_eq!(field(&Value::Null), "");
    }
}
