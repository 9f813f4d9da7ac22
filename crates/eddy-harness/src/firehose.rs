//! Firehose's API in front of a buffer that is delivered by `_bulk`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{Fault, Faults};

const MAX_RECORDS: usize = 500;
const MAX_REQUEST_BYTES: usize = 4 << 20;
const MAX_RECORD_BYTES: usize = 1000 << 10;

/// When a buffer is delivered.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// When it holds this many bytes (the service: 1 to 100 MiB)
    pub bytes: usize,
    /// or its first record is this old (the service: 60 to 900 s).
    pub age: Duration,
}

/// A delivery stream with direct PUT as its source and a search index as its destination.
#[derive(Clone)]
pub struct FirehoseDouble {
    /// What happens to the next PutRecordBatch requests.
    pub faults: Faults,
    name: String,
    buffer: Buffer,
    // Answers `_bulk` below the index's name.
    destination: Option<(Router, String)>,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    records: Vec<Bytes>,
    request_sizes: Vec<usize>,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    // Tells buffers apart, so that a timer delivers only the one that it was started for.
    n_buffers: u64,
    n_delivered: u64,
    undeliverable: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecordBatch {
    delivery_stream_name: String,
    records: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    data: String,
}

impl FirehoseDouble {
    /// A delivery stream that keeps its records and delivers nowhere.
    pub fn new(name: &str) -> Self {
        Self {
            faults: Faults::default(),
            name: name.to_owned(),
            buffer: Buffer { bytes: 1 << 20, age: Duration::from_secs(60) },
            destination: None,
            kept: Arc::default(),
        }
    }

    /// Delivers each buffer by `POST /{index}/_bulk` to `destination`, with ids of its own.
    #[must_use]
    pub fn delivering_to(mut self, destination: Router, index: &str, buffer: Buffer) -> Self {
        self.destination = Some((destination, index.to_owned()));
        self.buffer = buffer;
        self
    }

    /// The double's routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", post(answer))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(self.clone())
    }

    /// Every record taken, in order.
    pub fn records(&self) -> Vec<Bytes> {
        self.lock().records.clone()
    }

    /// How many records each request had, refused ones included.
    pub fn request_sizes(&self) -> Vec<usize> {
        self.lock().request_sizes.clone()
    }

    /// Documents that the destination has refused: what the service writes to S3.
    pub fn undeliverable(&self) -> Vec<Value> {
        self.lock().undeliverable.clone()
    }

    /// Delivers what waits, without waiting for size or age.
    pub async fn flush(&self) {
        let (waiting, first_id) = {
            let mut kept = self.lock();
            let waiting = std::mem::take(&mut kept.waiting);
            kept.waiting_bytes = 0;
            kept.n_buffers += 1;
            let first_id = kept.n_delivered;
            kept.n_delivered += waiting.len() as u64;
            (waiting, first_id)
        };
        let Some((router, index)) = self.destination.clone().filter(|_| !waiting.is_empty()) else {
            return;
        };
        let mut body = Vec::new();
        for (id, record) in (first_id..).zip(&waiting) {
            let meta = json!({"index": {"_id": format!("{}.{id}", self.name)}});
            body.extend_from_slice(format!("{meta}\n").as_bytes());
            body.extend_from_slice(record.trim_ascii_end());
            body.push(b'\n');
        }
        let request = Request::post(format!("/{index}/_bulk"))
            .header("content-type", "application/x-ndjson")
            .body(Body::from(body))
            .expect("a plain request");
        let response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
        let answer = axum::body::to_bytes(response.into_body(), usize::MAX).await;
        let answer: Value =
            answer.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let items = answer["items"].as_array().cloned().unwrap_or_default();
        let mut kept = self.lock();
        for (item_idx, record) in waiting.iter().enumerate() {
            let status = items.get(item_idx).and_then(|item| item["index"]["status"].as_u64());
            if !status.is_some_and(|status| (200..300).contains(&status)) {
                let record = String::from_utf8_lossy(record);
                kept.undeliverable.push(json!({"record": record, "answer": items.get(item_idx)}));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Records are whole between statements, whatever a panicking holder did.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the records that no fault names; says whether the buffer is full.
    fn take(&self, records: Vec<Bytes>, fault: Option<&Fault>) -> (Value, bool) {
        let mut kept = self.lock();
        let starts = kept.waiting.is_empty();
        let mut n_failed = 0;
        let mut responses = Vec::new();
        for (entry_idx, record) in records.into_iter().enumerate() {
            if let Some(Fault::Entries { at, kind, .. }) = fault
                && at.contains(&entry_idx)
            {
                n_failed += 1;
                responses.push(json!({"ErrorCode": kind, "ErrorMessage": "Slow down."}));
                continue;
            }
            responses.push(json!({"RecordId": format!("record-{}", kept.records.len())}));
            kept.waiting_bytes += record.len();
            kept.waiting.push(record.clone());
            kept.records.push(record);
        }
        if starts && !kept.waiting.is_empty() {
            let (double, buffer) = (self.clone(), kept.n_buffers);
            tokio::spawn(async move {
                tokio::time::sleep(double.buffer.age).await;
                let still_waits = double.lock().n_buffers == buffer;
                if still_waits {
                    double.flush().await;
                }
            });
        }
        let answer = json!({"FailedPutCount": n_failed, "Encrypted": false,
                            "RequestResponses": responses});
        (answer, kept.waiting_bytes >= self.buffer.bytes)
    }
}

fn error(status: u16, kind: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({"__type": kind, "message": message}).to_string();
    (status, [("content-type", "application/x-amz-json-1.1")], body).into_response()
}

/// As far as a sink looks: whether the stream is there.
fn describe(double: &FirehoseDouble, body: &[u8]) -> Response {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let name = &request["DeliveryStreamName"];
    if *name != double.name.as_str() {
        return error(400, "ResourceNotFoundException", "no such delivery stream");
    }
    let arn = format!("arn:aws:firehose:us-east-1:000000000000:deliverystream/{}", double.name);
    let description = json!({"DeliveryStreamName": name, "DeliveryStreamARN": arn,
        "DeliveryStreamStatus": "ACTIVE", "DeliveryStreamType": "DirectPut", "VersionId": "1",
        "Destinations": [], "HasMoreDestinations": false});
    let answer = json!({"DeliveryStreamDescription": description}).to_string();
    ([("content-type", "application/x-amz-json-1.1")], answer).into_response()
}

async fn answer(State(double): State<FirehoseDouble>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    if target == Some("Firehose_20150804.DescribeDeliveryStream") {
        return describe(&double, &body);
    }
    if target != Some("Firehose_20150804.PutRecordBatch") {
        return error(400, "UnknownOperationException", "the double knows PutRecordBatch only");
    }
    let Ok(request) = serde_json::from_slice::<PutRecordBatch>(&body) else {
        return error(400, "SerializationException", "the request cannot be read");
    };
    if request.delivery_stream_name != double.name {
        return error(400, "ResourceNotFoundException", "no such delivery stream");
    }
    let records: Result<Vec<Bytes>, _> =
        request.records.iter().map(|entry| STANDARD.decode(&entry.data).map(Bytes::from)).collect();
    let Ok(records) = records else {
        return error(400, "SerializationException", "a record is not base64");
    };
    double.lock().request_sizes.push(records.len());
    let n_bytes: usize = records.iter().map(Bytes::len).sum();
    if records.is_empty()
        || records.len() > MAX_RECORDS
        || n_bytes > MAX_REQUEST_BYTES
        || records.iter().any(|record| record.len() > MAX_RECORD_BYTES)
    {
        return error(400, "InvalidArgumentException", "the request exceeds a limit");
    }
    let fault = double.faults.next();
    match fault {
        Some(Fault::Status(status)) => {
            let kind =
                if status == 400 { "AccessDeniedException" } else { "ServiceUnavailableException" };
            return error(status, kind, "on command");
        }
        Some(Fault::Refused { status, kind }) => return error(status, kind, "on command"),
        Some(Fault::Hang) => return std::future::pending().await,
        _ => {}
    }
    let (answer, full) = double.take(records, fault.as_ref());
    if full {
        double.flush().await;
    }
    if fault == Some(Fault::AnswerLost) {
        return error(500, "InternalFailure", "on command");
    }
    ([("content-type", "application/x-amz-json-1.1")], answer.to_string()).into_response()
}
