//! A `_bulk` endpoint and a delivery stream that keep what has come by its number only.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use eddy_harness::Random;
use serde::Deserialize;
use serde_json::{Value, json};

/// The delivery stream's name.
pub const DELIVERY_STREAM: &str = "scored";

/// What has come to one destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// Different readings.
    pub distinct: u64,
    /// Readings that came again under the id that they had: stored once all the same.
    pub again: u64,
    /// Readings that came again under another id, or that nobody put.
    pub wrong: u64,
}

struct Seen {
    // By a reading's number: its id's hash, 0 for none.
    ids: Vec<u32>,
    arrived: Arrived,
}

impl Seen {
    fn new(n_readings: usize) -> Self {
        let mut ids = vec![1; n_readings];
        // Written, so that the memory is resident from the start and not part of a trend.
        ids.fill(0);
        Self { ids, arrived: Arrived::default() }
    }

    fn take(&mut self, n: u64, id: u32) {
        let place = usize::try_from(n).ok().and_then(|n| self.ids.get_mut(n));
        match place {
            Some(seen) if *seen == 0 => {
                *seen = id;
                self.arrived.distinct += 1;
            }
            Some(seen) if *seen == id => self.arrived.again += 1,
            _ => self.arrived.wrong += 1,
        }
    }
}

/// Both destinations.
#[derive(Clone)]
pub struct Receiver {
    index: Arc<Mutex<Seen>>,
    firehose: Arc<Mutex<Seen>>,
    // One request in so many fails.
    storm: Arc<Mutex<(Random, u64)>>,
}

/// What a request meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Well,
    Refused,
    AnswerLost,
    SomeEntries,
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    /// For so many readings, numbered from 0; one request in `one_in` fails, none where it is 0.
    pub fn new(n_readings: usize, seed: u64, one_in: u64) -> Self {
        let seen = || Arc::new(Mutex::new(Seen::new(n_readings)));
        let storm = Arc::new(Mutex::new((Random::new(seed), one_in)));
        Self { index: seen(), firehose: seen(), storm }
    }

    /// From now on nothing fails.
    pub fn calm(&self) {
        locked(&self.storm).1 = 0;
    }

    /// What the index has.
    pub fn in_index(&self) -> Arrived {
        locked(&self.index).arrived
    }

    /// What the delivery stream has; it has no ids, so nothing comes under another one.
    pub fn in_firehose(&self) -> Arrived {
        locked(&self.firehose).arrived
    }

    /// The routes of both.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/_bulk", post(bulk))
            .route("/", post(firehose))
            .layer(DefaultBodyLimit::disable())
            .with_state(self.clone())
    }

    fn fate(&self) -> Fate {
        let mut storm = locked(&self.storm);
        let one_in = storm.1;
        if !storm.0.one_in(one_in) {
            return Fate::Well;
        }
        *storm.0.pick(&[Fate::Refused, Fate::AnswerLost, Fate::SomeEntries])
    }
}

#[derive(Deserialize)]
struct Row {
    n: u64,
}

#[derive(Deserialize)]
struct Action {
    index: Meta,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "_id")]
    id: String,
}

/// FNV-1a, and never 0.
fn hash(id: &str) -> u32 {
    let hash = id
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.max(1)
}

async fn bulk(State(receiver): State<Receiver>, body: Bytes) -> Response {
    let fate = receiver.fate();
    if fate == Fate::Refused {
        return (StatusCode::TOO_MANY_REQUESTS, "{}").into_response();
    }
    let mut lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut items = Vec::new();
    let mut seen = locked(&receiver.index);
    while let (Some(action), Some(row)) = (lines.next(), lines.next()) {
        let (Ok(action), Ok(row)) =
            (serde_json::from_slice::<Action>(action), serde_json::from_slice::<Row>(row))
        else {
            return (StatusCode::BAD_REQUEST, "{}").into_response();
        };
        if fate == Fate::SomeEntries && items.len() % 3 == 0 {
            let error = json!({"type": "es_rejected_execution_exception", "reason": "busy"});
            items.push(json!({"index": {"status": 429, "error": error}}));
            continue;
        }
        seen.take(row.n, hash(&action.index.id));
        items.push(json!({"index": {"status": 201}}));
    }
    drop(seen);
    if fate == Fate::AnswerLost {
        return (StatusCode::BAD_GATEWAY, "{}").into_response();
    }
    let answer = json!({"took": 1, "errors": fate == Fate::SomeEntries, "items": items});
    ([("content-type", "application/json")], answer.to_string()).into_response()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecordBatch {
    records: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    data: String,
}

async fn firehose(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Response {
    let aws = |status: StatusCode, answer: Value| {
        (status, [("content-type", "application/x-amz-json-1.1")], answer.to_string())
            .into_response()
    };
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    if target == Some("Firehose_20150804.DescribeDeliveryStream") {
        let description = json!({"DeliveryStreamName": DELIVERY_STREAM,
            "DeliveryStreamARN": "arn:aws:firehose:us-east-1:000000000000:deliverystream/scored",
            "DeliveryStreamStatus": "ACTIVE", "DeliveryStreamType": "DirectPut",
            "VersionId": "1", "Destinations": [], "HasMoreDestinations": false});
        return aws(StatusCode::OK, json!({"DeliveryStreamDescription": description}));
    }
    let fate = receiver.fate();
    let failure = json!({"__type": "ServiceUnavailableException", "message": "busy"});
    if fate == Fate::Refused {
        return aws(StatusCode::SERVICE_UNAVAILABLE, failure);
    }
    let Ok(request) = serde_json::from_slice::<PutRecordBatch>(&body) else {
        return aws(StatusCode::BAD_REQUEST, json!({"__type": "SerializationException"}));
    };
    let mut n_failed = 0;
    let mut seen = locked(&receiver.firehose);
    let responses: Vec<Value> = request
        .records
        .iter()
        .enumerate()
        .map(|(entry_idx, entry)| {
            if fate == Fate::SomeEntries && entry_idx % 3 == 0 {
                n_failed += 1;
                return json!({"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "busy"});
            }
            let row = STANDARD.decode(&entry.data).ok();
            let row = row.and_then(|row| serde_json::from_slice::<Row>(&row).ok());
            seen.take(row.map_or(u64::MAX, |row| row.n), 1);
            json!({"RecordId": "taken"})
        })
        .collect();
    drop(seen);
    if fate == Fate::AnswerLost {
        return aws(StatusCode::SERVICE_UNAVAILABLE, failure);
    }
    aws(
        StatusCode::OK,
        json!({"FailedPutCount": n_failed, "Encrypted": false, "RequestResponses": responses}),
    )
}
