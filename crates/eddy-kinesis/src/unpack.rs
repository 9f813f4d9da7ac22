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
    let arrival_ms = arrival.map_or(0, |at| whole_milliseconds(at.as_nanos()));
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

/// A moment's milliseconds. It comes as seconds in a floating-point number, off by a fraction of a
/// microsecond, and cutting off the rest of one that was whole would make it the one before.
fn whole_milliseconds(nanoseconds: i128) -> i64 {
    let microseconds = (nanoseconds + 500).div_euclid(1000);
    i64::try_from(microseconds.div_euclid(1000)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use aws_sdk_kinesis::primitives::DateTime;

    use super::*;

    #[test]
    fn a_moment_in_seconds_keeps_its_milliseconds() {
        for ms in 1_795_634_576_000..1_795_634_577_000 {
            #[expect(clippy::cast_precision_loss, reason = "as the service's JSON has it")]
            let seconds = ms as f64 / 1000.0;
            let parsed = DateTime::from_secs_f64(seconds);
            assert_eq!(whole_milliseconds(parsed.as_nanos()), ms);
        }
        assert_eq!(whole_milliseconds(1_999_400), 1);
    }
}
