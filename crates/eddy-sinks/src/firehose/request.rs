//! Rows as the records of PutRecordBatch requests.

use bytes::Bytes;
use eddy_record::{RowText, ScoredRecord};
use eddy_stream::Rejected;

use crate::limits::{
    MAX_FIREHOSE_RECORD_BYTES, MAX_FIREHOSE_REQUEST_BYTES, MAX_FIREHOSE_REQUEST_RECORDS,
};

/// A line with its place among those handed over.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) idx: usize,
    pub(super) line: Bytes,
}

/// A row as a line with its end: Firehose puts nothing between records.
pub(super) fn line(row: &ScoredRecord, text: RowText) -> Bytes {
    let mut line = Vec::new();
    row.write_as(text, &mut line);
    line.push(b'\n');
    line.into()
}

/// Lines in order as batches that fit a request; and those that no request can hold.
pub(super) fn batches(lines: impl Iterator<Item = Bytes>) -> (Vec<Vec<Entry>>, Vec<Rejected>) {
    let mut batches: Vec<Vec<Entry>> = Vec::new();
    let mut rejected = Vec::new();
    let mut room = 0;
    for (idx, line) in lines.enumerate() {
        if line.len() > MAX_FIREHOSE_RECORD_BYTES {
            let reason = format!(
                "the row has {} bytes, a Firehose record at most {MAX_FIREHOSE_RECORD_BYTES}",
                line.len()
            );
            rejected.push(Rejected { row_idx: idx, reason });
            continue;
        }
        let full = batches
            .last()
            .is_none_or(|batch| batch.len() == MAX_FIREHOSE_REQUEST_RECORDS || line.len() > room);
        if full {
            batches.push(Vec::new());
            room = MAX_FIREHOSE_REQUEST_BYTES;
        }
        room -= line.len();
        batches.last_mut().expect("pushed where there was none").push(Entry { idx, line });
    }
    (batches, rejected)
}
