//! From the service's records to ours.

use aws_sdk_kinesis::types::Record as KinesisRecord;
use bytes::Bytes;
use eddy_record::{Position, RawRecord, SequenceNumber};
use eddy_stream::Start;

use crate::aggregate::disaggregate;

/// Appends a record, or the records inside it, leaving out what was delivered before `start`.
pub(crate) fn unpack(record: KinesisRecord, start: &Start, out: &mut Vec<RawRecord>) {
    let Ok(sequence) = record.sequence_number.parse::<SequenceNumber>() else {
        tracing::error!(number = record.sequence_number, "a sequence number is no number");
        return;
    };
    let arrival = record.approximate_arrival_timestamp;
    let arrival_ms = arrival.and_then(|at| at.to_millis().ok()).unwrap_or(0);
    let data = Bytes::from(record.data.into_inner());
    let mut push = |sub_sequence, partition_key: String, data| {
        let position = Position { sequence: sequence.clone(), sub_sequence };
        let delivered = matches!(start, Start::After(last) if position <= *last);
        if !delivered {
            let partition_key = partition_key.into_boxed_str();
            out.push(RawRecord { partition_key, position, arrival_ms, data });
        }
    };
    match disaggregate(&data) {
        Some(parts) if !parts.is_empty() => {
            for (sub_sequence, part) in (0..).zip(parts) {
                push(sub_sequence, part.partition_key, part.data);
            }
        }
        // An aggregate of nothing is a record all the same, and becomes a dead letter.
        _ => push(0, record.partition_key.unwrap_or_default(), data),
    }
}
