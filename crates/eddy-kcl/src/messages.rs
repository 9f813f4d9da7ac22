//! The daemon's messages as they stand in a line, and ours.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eddy_record::{PartitionId, Position, RawRecord, SequenceNumber};
use eddy_stream::StreamError;
use serde::{Deserialize, Serialize};

/// The shard that the daemon gives to this process, and how far it knows it to be settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The shard.
    pub shard: PartitionId,
    /// The lease's checkpoint; `None` where no record of the shard has been checkpointed.
    pub checkpoint: Option<Position>,
}

/// A message of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Initialize(Lease),
    Records {
        records: Vec<RawRecord>,
        behind_ms: Option<i64>,
    },
    /// The answer to a checkpoint: the name of an exception, or none.
    Checkpoint {
        error: Option<String>,
    },
    LeaseLost,
    ShardEnded,
    ShutdownRequested,
}

impl Message {
    /// The message's name where the daemon waits for a status that bears it.
    pub(crate) fn action(&self) -> Option<&'static str> {
        match self {
            Self::Initialize(_) => Some("initialize"),
            Self::Records { .. } => Some("processRecords"),
            Self::Checkpoint { .. } => None,
            Self::LeaseLost => Some("leaseLost"),
            Self::ShardEnded => Some("shardEnded"),
            Self::ShutdownRequested => Some("shutdownRequested"),
        }
    }
}

/// Any message: the fields of all.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    action: String,
    shard_id: Option<String>,
    sequence_number: Option<String>,
    sub_sequence_number: Option<u64>,
    records: Option<Vec<RecordFields>>,
    millis_behind_latest: Option<i64>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordFields {
    data: Option<String>,
    partition_key: Option<String>,
    sequence_number: String,
    sub_sequence_number: Option<u64>,
    approximate_arrival_timestamp: Option<i64>,
}

#[derive(Deserialize)]
struct Action {
    action: String,
}

/// Reads a line. `Ok(None)`: it is no message, or one that this protocol does not have; the daemon
/// waits for nothing.
///
/// # Errors
/// It is a message that must be understood and cannot be.
pub(crate) fn read(line: &[u8]) -> Result<Option<Message>, StreamError> {
    // A daemon that was started with another encoding than UTF-8 sends partition keys that are none.
    let line = String::from_utf8_lossy(line);
    let line = line.trim();
    if line.is_empty() {
        return Ok(None);
    }
    let unreadable =
        |what: &str| StreamError::fatal(format!("a message of the daemon cannot be read: {what}"));
    let fields: Fields = match serde_json::from_str(line) {
        Ok(fields) => fields,
        Err(error) => {
            let action = serde_json::from_str(line).map(|Action { action }| action);
            let known = ["initialize", "processRecords", "checkpoint"];
            return match action {
                Ok(action) if known.contains(&action.as_str()) => {
                    Err(unreadable(&action).with_source(error))
                }
                _ => {
                    tracing::warn!(bytes = line.len(), %error, "skipped a line that is no message");
                    Ok(None)
                }
            };
        }
    };
    let message = match fields.action.as_str() {
        "initialize" => {
            let shard = fields.shard_id.ok_or_else(|| unreadable("it names no shard"))?;
            let checkpoint = checkpoint(fields.sequence_number, fields.sub_sequence_number)?;
            Message::Initialize(Lease { shard: PartitionId::new(shard), checkpoint })
        }
        "processRecords" => Message::Records {
            records: fields
                .records
                .unwrap_or_default()
                .into_iter()
                .map(record)
                .collect::<Result<_, _>>()?,
            behind_ms: fields.millis_behind_latest,
        },
        "checkpoint" => Message::Checkpoint { error: fields.error },
        "leaseLost" => Message::LeaseLost,
        "shardEnded" => Message::ShardEnded,
        "shutdownRequested" => Message::ShutdownRequested,
        action => {
            tracing::warn!(action, "skipped a message that is not known");
            return Ok(None);
        }
    };
    Ok(Some(message))
}

/// A lease's checkpoint: a record, or a word for a place where reading starts the first time.
fn checkpoint(
    sequence_number: Option<String>,
    sub_sequence: Option<u64>,
) -> Result<Option<Position>, StreamError> {
    match sequence_number.as_deref() {
        None | Some("TRIM_HORIZON" | "LATEST" | "AT_TIMESTAMP") => Ok(None),
        Some(number) => {
            let sequence: SequenceNumber = number.parse().map_err(|error| {
                StreamError::fatal("the lease's checkpoint cannot be read").with_source(error)
            })?;
            Ok(Some(Position { sequence, sub_sequence: sub_sequence.unwrap_or(0) }))
        }
    }
}

fn record(fields: RecordFields) -> Result<RawRecord, StreamError> {
    let failed = || {
        let number = &fields.sequence_number;
        StreamError::fatal(format!("a record of the daemon cannot be read: {number:?}"))
    };
    let sequence = fields.sequence_number.parse();
    let sequence: SequenceNumber = sequence.map_err(|error| failed().with_source(error))?;
    let data = STANDARD.decode(fields.data.unwrap_or_default());
    let data = data.map_err(|error| failed().with_source(error))?;
    let sub_sequence = fields.sub_sequence_number.unwrap_or(0);
    Ok(RawRecord {
        partition_key: fields.partition_key.unwrap_or_default().into(),
        position: Position { sequence, sub_sequence },
        arrival_ms: fields.approximate_arrival_timestamp.unwrap_or(0),
        data: data.into(),
    })
}

/// A message to the daemon.
#[derive(Debug, Serialize)]
#[serde(tag = "action", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Answer<'a> {
    /// The message of that name has been dealt with.
    Status { response_for: &'a str },
    /// The record up to which everything is settled; without a number, the shard's end.
    Checkpoint { sequence_number: Option<&'a str>, sub_sequence_number: Option<u64> },
}

impl<'a> Answer<'a> {
    pub(crate) fn checkpoint(at: Option<&'a Position>) -> Self {
        Self::Checkpoint {
            sequence_number: at.map(|at| at.sequence.as_str()),
            sub_sequence_number: at.map(|at| at.sub_sequence),
        }
    }

    pub(crate) fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("an answer is plain data");
        line.push(b'\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(sequence: &str, sub_sequence: u64) -> Position {
        Position { sequence: sequence.parse().expect("a number"), sub_sequence }
    }

    fn message(line: &str) -> Message {
        read(line.as_bytes()).expect("readable").expect("a message")
    }

    #[test]
    fn a_lease_has_a_checkpoint_where_records_were_settled() {
        for word in ["\"TRIM_HORIZON\"", "\"LATEST\"", "\"AT_TIMESTAMP\"", "null"] {
            let line = format!(
                "{{\"action\":\"initialize\",\"shardId\":\"shardId-000000000001\",\
                 \"sequenceNumber\":{word},\"subSequenceNumber\":0}}"
            );
            let shard = PartitionId::new("shardId-000000000001");
            assert_eq!(message(&line), Message::Initialize(Lease { shard, checkpoint: None }));
        }
        let line = r#"{"action":"initialize","shardId":"s","sequenceNumber":"49590338271490256608559692538361571095921575989136588898","subSequenceNumber":2}"#;
        let Message::Initialize(lease) = message(line) else { panic!("an initialize message") };
        let number = "49590338271490256608559692538361571095921575989136588898";
        assert_eq!(lease.checkpoint, Some(position(number, 2)));
        let end = r#"{"action":"initialize","shardId":"s","sequenceNumber":"SHARD_END"}"#;
        assert!(read(end.as_bytes()).is_err());
    }

    #[test]
    fn records_are_decoded_with_their_places_in_aggregates() {
        let line = r#"{"action":"processRecords","records":[{"data":"eyJ2IjoxfQ==","partitionKey":"dev-1","sequenceNumber":"7","approximateArrivalTimestamp":1700000000123,"subSequenceNumber":0,"action":"record"},{"data":null,"partitionKey":"dev-2","sequenceNumber":"7","approximateArrivalTimestamp":null,"subSequenceNumber":1,"action":"record"}],"millisBehindLatest":12}"#;
        let Message::Records { records, behind_ms } = message(line) else { panic!("records") };
        assert_eq!(behind_ms, Some(12));
        assert_eq!(records[0].data, r#"{"v":1}"#);
        assert_eq!(records[0].position, position("7", 0));
        assert_eq!(
            (records[0].arrival_ms, &*records[0].partition_key),
            (1_700_000_000_123, "dev-1")
        );
        assert_eq!((records[1].position.clone(), records[1].data.len()), (position("7", 1), 0));
    }

    #[test]
    fn what_is_no_message_is_skipped_and_what_must_be_understood_is_not() {
        for line in ["", "  ", "SLF4J: no logger", "{", "[]", "{\"action\":\"dance\"}", "{\"a\":1}"]
        {
            assert_eq!(read(line.as_bytes()).expect("skipped"), None, "{line}");
        }
        assert_eq!(read(b"\xff\xfe").expect("skipped"), None);
        for line in [
            r#"{"action":"processRecords","records":[{"data":"!","sequenceNumber":"1"}]}"#,
            r#"{"action":"processRecords","records":[{"data":"","sequenceNumber":"x"}]}"#,
            r#"{"action":"processRecords","records":[{"data":""}]}"#,
            r#"{"action":"processRecords","records":7}"#,
            r#"{"action":"initialize"}"#,
        ] {
            assert!(read(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn a_partition_key_in_another_encoding_does_not_lose_its_record() {
        let line = b"{\"action\":\"processRecords\",\"records\":[{\"data\":\"\",\"partitionKey\":\"\xe9\",\"sequenceNumber\":\"1\"}]}";
        let message = read(line).expect("readable").expect("a message");
        let Message::Records { records, .. } = message else { panic!("records") };
        assert_eq!(&*records[0].partition_key, "\u{fffd}");
    }

    #[test]
    fn answers_have_the_fields_that_the_daemon_reads() {
        let text = |answer: Answer| String::from_utf8(answer.to_line()).expect("UTF-8");
        assert_eq!(
            text(Answer::Status { response_for: "processRecords" }),
            "{\"action\":\"status\",\"responseFor\":\"processRecords\"}\n"
        );
        assert_eq!(
            text(Answer::checkpoint(Some(&position("7", 1)))),
            "{\"action\":\"checkpoint\",\"sequenceNumber\":\"7\",\"subSequenceNumber\":1}\n"
        );
        assert_eq!(
            text(Answer::checkpoint(None)),
            "{\"action\":\"checkpoint\",\"sequenceNumber\":null,\"subSequenceNumber\":null}\n"
        );
    }
}
