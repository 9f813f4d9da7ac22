//! Dead letters as JSON, and back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    DeadLetter, DeadLetterError, PartitionId, Position, SequenceNumber, Stage, StreamIdentity,
    format_timestamp_ms, parse_timestamp_ms,
};

#[derive(Serialize, Deserialize)]
struct Letter {
    stream: String,
    stream_created_ms: i64,
    partition: PartitionId,
    sequence_number: SequenceNumber,
    sub_sequence_number: u64,
    output_idx: u32,
    arrival: String,
    stage: Stage,
    reason: String,
    raw: String,
}

impl DeadLetter {
    /// Appends the letter as one JSON object on one line, without a line end: `stream`,
    /// `stream_created_ms`, `partition`, `sequence_number` (a string: it has up to 56 digits),
    /// `sub_sequence_number`, `output_idx`, `arrival` (ISO 8601), `stage`, `reason`, and `raw` in
    /// base64.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let letter = Letter {
            stream: self.stream.name.clone(),
            stream_created_ms: self.stream.created_ms,
            partition: self.partition.clone(),
            sequence_number: self.position.sequence.clone(),
            sub_sequence_number: self.position.sub_sequence,
            output_idx: self.output_idx,
            arrival: format_timestamp_ms(self.arrival_ms),
            stage: self.stage,
            reason: self.reason.clone(),
            raw: STANDARD.encode(&self.raw),
        };
        serde_json::to_writer(out, &letter).expect("a Vec takes everything and a letter is JSON");
    }

    /// Reads a letter that [`DeadLetter::write_json`] wrote.
    ///
    /// # Errors
    ///
    /// The text is no such JSON, or its time or base64 do not read.
    pub fn from_json(text: &[u8]) -> Result<Self, DeadLetterError> {
        let letter: Letter = serde_json::from_slice(text)?;
        let Some(arrival_ms) = parse_timestamp_ms(&letter.arrival) else {
            return Err(DeadLetterError::Arrival { found: letter.arrival });
        };
        Ok(Self {
            stream: StreamIdentity { name: letter.stream, created_ms: letter.stream_created_ms },
            partition: letter.partition,
            position: Position {
                sequence: letter.sequence_number,
                sub_sequence: letter.sub_sequence_number,
            },
            output_idx: letter.output_idx,
            arrival_ms,
            stage: letter.stage,
            reason: letter.reason,
            raw: Bytes::from(STANDARD.decode(letter.raw)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> DeadLetter {
        DeadLetter {
            stream: StreamIdentity { name: "RawStreamData".to_owned(), created_ms: 1 },
            partition: PartitionId::new("shardId-000000000000"),
            position: Position { sequence: 7_u64.into(), sub_sequence: 3 },
            output_idx: 2,
            arrival_ms: 1_795_435_200_040,
            stage: Stage::Decode,
            reason: "missing column \"iotValue\"".to_owned(),
            raw: Bytes::from_static(b"{\"iotName\":\xff\n"),
        }
    }

    #[test]
    fn a_letter_is_one_line_of_json() {
        let mut out = Vec::new();
        letter().write_json(&mut out);
        assert_eq!(
            String::from_utf8(out).expect("text"),
            r#"{"stream":"RawStreamData","stream_created_ms":1,"partition":"shardId-000000000000","sequence_number":"7","sub_sequence_number":3,"output_idx":2,"arrival":"2026-11-23T12:00:00.040Z","stage":"decode","reason":"missing column \"iotValue\"","raw":"eyJpb3ROYW1lIjr/Cg=="}"#
        );
    }

    #[test]
    fn a_letter_reads_back_with_its_raw_bytes() {
        let mut out = Vec::new();
        letter().write_json(&mut out);
        assert_eq!(DeadLetter::from_json(&out).expect("a letter"), letter());
    }

    #[test]
    fn what_is_no_letter_is_refused() {
        let mut out = Vec::new();
        letter().write_json(&mut out);
        let text = String::from_utf8(out).expect("text");
        for (from, to) in
            [("decode", "elsewhere"), ("2026-11-23T", "soon"), ("eyJ", "??"), ("}", "")]
        {
            assert!(DeadLetter::from_json(text.replace(from, to).as_bytes()).is_err(), "{to}");
        }
    }
}
