//! The wire: JSON 1.1 by the header `x-amz-target`.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::DateTime;
use serde_json::{Map, Value, json};

use super::KinesisDouble;
use super::stream::{Shard, Stream};
use crate::Fault;

const MAX_ENTRIES: usize = 500;
const MAX_REQUEST_BYTES: usize = 10 << 20;
const MAX_RECORD_BYTES: usize = 1 << 20;
const MAX_READ_RECORDS: usize = 10_000;
const MAX_READ_BYTES: usize = 10 << 20;

/// An error's type and message.
struct Refusal(u16, &'static str, String);

fn refused<T>(kind: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(400, kind, message.into()))
}

fn invalid<T>(message: impl Into<String>) -> Result<T, Refusal> {
    refused("InvalidArgumentException", message)
}

/// A request's fields.
struct Asked(Map<String, Value>);

impl Asked {
    fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field).and_then(Value::as_str)
    }

    fn needed(&self, field: &str) -> Result<&str, Refusal> {
        match self.text(field) {
            Some(text) => Ok(text),
            None => refused("ValidationException", format!("{field} is missing")),
        }
    }

    fn number(&self, field: &str) -> Option<usize> {
        self.0.get(field).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok())
    }

    /// The stream's name, given as it is or in an ARN.
    fn stream(&self) -> Option<&str> {
        let by_arn = || self.text("StreamARN").and_then(|arn| arn.rsplit('/').next());
        self.text("StreamName").or_else(by_arn)
    }
}

pub(super) async fn answer(
    State(double): State<KinesisDouble>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = double.faults.next();
    if fault == Some(Fault::Hang) {
        std::future::pending::<()>().await;
    }
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let operation = target.and_then(|target| target.strip_prefix("Kinesis_20131202."));
    let answer = match fault {
        Some(Fault::Status(status)) => {
            Err(Refusal(status, "InternalFailure", "on command".to_owned()))
        }
        // Only a read has an iterator that can expire.
        Some(Fault::Refused { kind: "ExpiredIteratorException", .. })
            if operation != Some("GetRecords") =>
        {
            double.act(operation, &body, None)
        }
        Some(Fault::Refused { status, kind }) => {
            Err(Refusal(status, kind, "on command".to_owned()))
        }
        fault => double.act(operation, &body, fault),
    };
    let seconds = DateTime::from_timestamp_millis((double.now_ms)()).unwrap_or_default();
    let headers = [
        ("content-type", "application/x-amz-json-1.1".to_owned()),
        ("date", seconds.format("%a, %d %b %Y %H:%M:%S GMT").to_string()),
    ];
    match answer {
        Ok(answer) => (headers, answer.to_string()).into_response(),
        Err(Refusal(status, kind, message)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let body = json!({"__type": kind, "message": message}).to_string();
            (status, headers, body).into_response()
        }
    }
}

impl KinesisDouble {
    fn act(
        &self,
        operation: Option<&str>,
        body: &[u8],
        fault: Option<Fault>,
    ) -> Result<Value, Refusal> {
        let Ok(asked) = serde_json::from_slice(body).map(Asked) else {
            return refused("SerializationException", "the request cannot be read");
        };
        let answer = match operation {
            Some("CreateStream") => {
                let name = asked.needed("StreamName")?;
                if self.lock().contains_key(name) {
                    return refused("ResourceInUseException", format!("{name} exists already"));
                }
                self.create(name, asked.number("ShardCount").unwrap_or(1));
                json!({})
            }
            Some("DescribeStreamSummary") => self.with(&asked, |name, stream| {
                Ok(json!({"StreamDescriptionSummary": {
                    "StreamName": name,
                    "StreamARN": arn(name),
                    "StreamStatus": "ACTIVE",
                    "RetentionPeriodHours": 24,
                    "StreamCreationTimestamp": stream.created_ms as f64 / 1000.0,
                    "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
                    "EncryptionType": "NONE",
                    "OpenShardCount": stream.open_shards().len(),
                    "ConsumerCount": 0,
                }}))
            })?,
            Some("ListShards") => self.list_shards(&asked)?,
            Some("GetShardIterator") => self.with(&asked, |name, stream| {
                let from = start(stream, &asked)?;
                let shard = asked.needed("ShardId")?;
                Ok(json!({"ShardIterator": iterator(name, shard, from, (self.now_ms)())}))
            })?,
            Some("GetRecords") => self.get_records(&asked)?,
            Some("PutRecords") => self.put_records(&asked, fault.as_ref())?,
            Some("SplitShard") => self.with(&asked, |_, stream| {
                let shard = asked.needed("ShardToSplit")?;
                let from = asked.needed("NewStartingHashKey")?.parse();
                let Ok(from) = from else { return invalid("NewStartingHashKey is no number") };
                stream.split(shard, Some(from)).or_else(invalid)?;
                Ok(json!({}))
            })?,
            Some("MergeShards") => self.with(&asked, |_, stream| {
                let adjacent = asked.needed("AdjacentShardToMerge")?;
                stream.merge(asked.needed("ShardToMerge")?, adjacent).or_else(invalid)?;
                Ok(json!({}))
            })?,
            _ => {
                let message = format!("the double does not know {}", operation.unwrap_or("this"));
                return refused("UnknownOperationException", message);
            }
        };
        if fault == Some(Fault::AnswerLost) {
            return Err(Refusal(500, "InternalFailure", "on command".to_owned()));
        }
        Ok(answer)
    }

    fn with(
        &self,
        asked: &Asked,
        act: impl FnOnce(&str, &mut Stream) -> Result<Value, Refusal>,
    ) -> Result<Value, Refusal> {
        let Some(name) = asked.stream() else { return invalid("no stream is named") };
        match self.lock().get_mut(name) {
            Some(stream) => act(name, stream),
            None => refused("ResourceNotFoundException", format!("there is no stream {name}")),
        }
    }

    fn list_shards(&self, asked: &Asked) -> Result<Value, Refusal> {
        let (name, from) = match (asked.text("NextToken"), asked.stream()) {
            (Some(_), Some(_)) => return invalid("NextToken and a stream exclude each other"),
            (Some(token), None) => match token.rsplit_once('|') {
                Some((name, from)) => (name, from.parse().unwrap_or(0)),
                None => return refused("ExpiredNextTokenException", "no such token"),
            },
            (None, Some(name)) => (name, 0),
            (None, None) => return invalid("no stream is named"),
        };
        let streams = self.lock();
        let Some(stream) = streams.get(name) else {
            return refused("ResourceNotFoundException", format!("there is no stream {name}"));
        };
        let page = asked.number("MaxResults").unwrap_or(self.page).min(self.page);
        let shards: Vec<Value> =
            stream.shards.iter().skip(from).take(page).map(described).collect();
        let end = from + shards.len();
        let mut answer = json!({"Shards": shards});
        if end < stream.shards.len() {
            answer["NextToken"] = format!("{name}|{end}").into();
        }
        Ok(answer)
    }

    fn get_records(&self, asked: &Asked) -> Result<Value, Refusal> {
        let now_ms = (self.now_ms)();
        let token = asked.needed("ShardIterator")?;
        let Some((name, shard_id, from, issued_ms)) = read_iterator(token) else {
            return invalid("no such iterator");
        };
        if now_ms - issued_ms > self.iterator_life_ms {
            return refused("ExpiredIteratorException", "the iterator has expired");
        }
        let streams = self.lock();
        let shard = streams.get(&name).and_then(|stream| {
            let shard = stream.shards.iter().find(|shard| shard.id == shard_id)?;
            Some((stream, shard))
        });
        let Some((stream, shard)) = shard else {
            return refused("ResourceNotFoundException", format!("there is no {shard_id}"));
        };
        let limit = asked.number("Limit").unwrap_or(MAX_READ_RECORDS);
        if limit == 0 || limit > MAX_READ_RECORDS {
            return invalid("Limit must be within 1..=10000");
        }
        let mut bytes = 0;
        let records: Vec<Value> = shard.records[from..]
            .iter()
            .take(limit)
            .take_while(|record| {
                bytes += record.data.len();
                bytes <= MAX_READ_BYTES
            })
            .map(|record| {
                json!({
                    "SequenceNumber": record.sequence,
                    "PartitionKey": record.key,
                    "Data": STANDARD.encode(&record.data),
                    "ApproximateArrivalTimestamp": record.arrival_ms as f64 / 1000.0,
                })
            })
            .collect();
        let end = from + records.len();
        let behind_ms = shard.records.get(end).map_or(0, |next| (now_ms - next.arrival_ms).max(1));
        let mut answer = json!({"Records": records, "MillisBehindLatest": behind_ms});
        if shard.last_sequence.is_some() && end == shard.records.len() {
            let of = |child: &&Shard| child.parents.contains(&shard.id);
            let children: Vec<Value> = stream
                .shards
                .iter()
                .filter(of)
                .map(|child| {
                    json!({"ShardId": child.id, "ParentShards": child.parents,
                           "HashKeyRange": range(child)})
                })
                .collect();
            answer["ChildShards"] = children.into();
        } else {
            answer["NextShardIterator"] = iterator(&name, &shard_id, end, now_ms).into();
        }
        Ok(answer)
    }

    fn put_records(&self, asked: &Asked, fault: Option<&Fault>) -> Result<Value, Refusal> {
        let none = Vec::new();
        let entries = asked.0.get("Records").and_then(Value::as_array).unwrap_or(&none);
        if entries.is_empty() || entries.len() > MAX_ENTRIES {
            return invalid("a request has 1 to 500 records");
        }
        let mut records = Vec::new();
        let mut bytes = 0;
        for entry in entries {
            let key = entry["PartitionKey"].as_str().unwrap_or_default();
            let Ok(data) = STANDARD.decode(entry["Data"].as_str().unwrap_or_default()) else {
                return refused("SerializationException", "a record is not base64");
            };
            let size = key.len() + data.len();
            if key.is_empty() || key.len() > 256 || size > MAX_RECORD_BYTES {
                return invalid("a record exceeds a limit");
            }
            bytes += size;
            let hash = entry["ExplicitHashKey"].as_str().and_then(|hash| hash.parse().ok());
            records.push((key, hash, Bytes::from(data)));
        }
        if bytes > MAX_REQUEST_BYTES {
            return invalid("the request exceeds a limit");
        }
        let now_ms = (self.now_ms)();
        self.with(asked, |_, stream| {
            let mut n_failed = 0;
            let results: Vec<Value> = (0..)
                .zip(records)
                .map(|(entry_idx, (key, hash, data))| {
                    if let Some(Fault::Entries { at, kind, .. }) = fault
                        && at.contains(&entry_idx)
                    {
                        n_failed += 1;
                        return json!({"ErrorCode": kind, "ErrorMessage": "on command"});
                    }
                    let (shard, sequence) = match hash {
                        Some(hash) => stream.put_at(now_ms, key, hash, data),
                        None => stream.put(now_ms, key, data),
                    };
                    json!({"ShardId": shard, "SequenceNumber": sequence})
                })
                .collect();
            Ok(json!({"FailedRecordCount": n_failed, "Records": results, "EncryptionType": "NONE"}))
        })
    }
}

fn arn(name: &str) -> String {
    format!("arn:aws:kinesis:us-east-1:000000000000:stream/{name}")
}

fn range(shard: &Shard) -> Value {
    let (first, last) = shard.hashes;
    json!({"StartingHashKey": first.to_string(), "EndingHashKey": last.to_string()})
}

fn described(shard: &Shard) -> Value {
    let mut described = json!({
        "ShardId": shard.id,
        "HashKeyRange": range(shard),
        "SequenceNumberRange": {"StartingSequenceNumber": shard.first_sequence},
    });
    if let Some(last) = &shard.last_sequence {
        described["SequenceNumberRange"]["EndingSequenceNumber"] = last.as_str().into();
    }
    for (field, parent) in ["ParentShardId", "AdjacentParentShardId"].iter().zip(&shard.parents) {
        described[field] = parent.as_str().into();
    }
    described
}

/// The place in the shard where a new iterator stands.
fn start(stream: &Stream, asked: &Asked) -> Result<usize, Refusal> {
    let id = asked.needed("ShardId")?;
    let Some(shard) = stream.shards.iter().find(|shard| shard.id == id) else {
        return refused("ResourceNotFoundException", format!("there is no {id}"));
    };
    let behind = |before: &dyn Fn(&str) -> bool| {
        shard.records.iter().take_while(|record| before(&record.sequence)).count()
    };
    let sequence = asked.text("StartingSequenceNumber").unwrap_or_default();
    // All have the same length.
    match asked.needed("ShardIteratorType")? {
        "TRIM_HORIZON" => Ok(0),
        "LATEST" => Ok(shard.records.len()),
        "AT_SEQUENCE_NUMBER" => Ok(behind(&|number| number < sequence)),
        "AFTER_SEQUENCE_NUMBER" => Ok(behind(&|number| number <= sequence)),
        "AT_TIMESTAMP" => {
            let Some(seconds) = asked.0.get("Timestamp").and_then(Value::as_f64) else {
                return invalid("Timestamp is missing");
            };
            let earlier = |arrival_ms: i64| (arrival_ms as f64) < seconds * 1000.0;
            Ok(shard.records.iter().take_while(|record| earlier(record.arrival_ms)).count())
        }
        other => invalid(format!("there is no iterator type {other}")),
    }
}

fn iterator(stream: &str, shard: &str, from: usize, now_ms: i64) -> String {
    STANDARD.encode(format!("{stream}|{shard}|{from}|{now_ms}"))
}

fn read_iterator(token: &str) -> Option<(String, String, usize, i64)> {
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let mut parts = text.split('|');
    let (stream, shard) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    Some((stream, shard, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
