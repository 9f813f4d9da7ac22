//! Rows as the records of PutRecordBatch requests.

use bytes::Bytes;
use eddy_record::{RowText, ScoredRecord};
use eddy_stream::Rejected;

use crate::limits::{
    MAX_FIREHOSE_RECORD_BYTES, MAX_FIREHOSE_REQUEST_BYTES, MAX_FIREHOSE_REQUEST_RECORDS,
};

/// Rows in order as batches that fit a request, each record a line with its end (Firehose
/// puts nothing between records); and the rows that no request can hold.
pub(super) fn batches(rows: &[ScoredRecord], text: RowText) -> (Vec<Vec<Bytes>>, Vec<Rejected>) {
    let mut batches: Vec<Vec<Bytes>> = Vec::new();
    let mut rejected = Vec::new();
    let mut room = 0;
    for (row_idx, row) in rows.iter().enumerate() {
        let mut line = Vec::new();
        row.write_as(text, &mut line);
        line.push(b'\n');
        if line.len() > MAX_FIREHOSE_RECORD_BYTES {
            let reason = format!(
                "the row has {} bytes, a Firehose record at most {MAX_FIREHOSE_RECORD_BYTES}",
                line.len()
            );
            rejected.push(Rejected { row_idx, reason });
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
        batches.last_mut().expect("pushed where there was none").push(line.into());
    }
    (batches, rejected)
}
