//! Rows as the documents of `_bulk` requests.

use eddy_record::ScoredRecord;

use super::index_name::index_name;
use super::{OpenSearchSettings, WriteAs};
use crate::limits::MAX_BULK_DOCUMENTS;

/// A row as the two lines of its action.
pub(super) struct Document {
    pub(super) row_idx: usize,
    pub(super) lines: Vec<u8>,
}

/// Rows in order as batches that fit a request.
pub(super) fn batches(settings: &OpenSearchSettings, rows: &[ScoredRecord]) -> Vec<Vec<Document>> {
    let mut batches: Vec<Vec<Document>> = Vec::new();
    let mut bytes = 0;
    for (row_idx, row) in rows.iter().enumerate() {
        let lines = lines(settings, row);
        let full = batches.last().is_none_or(|batch| {
            batch.len() == MAX_BULK_DOCUMENTS || bytes + lines.len() > settings.max_request_bytes
        });
        if full {
            batches.push(Vec::new());
            bytes = 0;
        }
        bytes += lines.len();
        batches.last_mut().expect("pushed where there was none").push(Document { row_idx, lines });
    }
    batches
}

/// `{"index":{"_index":"anomalies-2026-11-23","_id":".."}}` and the row. No `_type`: Elasticsearch
/// 7 does without, later ones refuse it.
fn lines(settings: &OpenSearchSettings, row: &ScoredRecord) -> Vec<u8> {
    let verb = match settings.write_as {
        WriteAs::Index => "index",
        WriteAs::Create => "create",
    };
    let index = index_name(&settings.index, settings.rotation, row.created_ms);
    let mut meta = serde_json::json!({ "_index": index });
    if settings.ids {
        meta["_id"] = row.id.as_str().into();
    }
    let mut lines = serde_json::json!({ verb: meta }).to_string().into_bytes();
    lines.push(b'\n');
    row.write_json(&mut lines);
    lines.push(b'\n');
    lines
}
