//! A `_bulk` endpoint that keeps what it is given.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{Fault, Faults};

/// OpenSearch's or Elasticsearch's `_bulk`, as far as a sink meets it.
#[derive(Clone, Default)]
pub struct BulkDouble {
    /// What happens to the next requests.
    pub faults: Faults,
    // More is a 413.
    max_request_bytes: Option<usize>,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    documents: BTreeMap<(String, String), Value>,
    // The ids of every request that was read, as they came.
    requests: Vec<Vec<String>>,
    authorization: Option<String>,
}

impl BulkDouble {
    /// A double that answers larger requests with 413.
    pub fn taking_at_most(max_request_bytes: usize) -> Self {
        Self { max_request_bytes: Some(max_request_bytes), ..Self::default() }
    }

    /// The double's routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/_bulk", post(answer))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(self.clone())
    }

    /// The documents by index and id.
    pub fn documents(&self) -> BTreeMap<(String, String), Value> {
        self.lock().documents.clone()
    }

    /// The ids of every request, in the order in which requests came.
    pub fn requests(&self) -> Vec<Vec<String>> {
        self.lock().requests.clone()
    }

    /// The Authorization header of the last request.
    pub fn authorization(&self) -> Option<String> {
        self.lock().authorization.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Documents are whole between statements, whatever a panicking holder did.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the documents that no fault names, and says what became of each.
    fn take(&self, actions: Vec<Action>, fault: Option<&Fault>) -> Value {
        let mut errors = false;
        let mut items = Vec::new();
        let mut kept = self.lock();
        for (entry_idx, action) in actions.into_iter().enumerate() {
            let Action { verb, index, id, document } = action;
            if let Some(Fault::Entries { at, status, kind }) = fault
                && at.contains(&entry_idx)
            {
                errors = true;
                let error = json!({"type": kind, "reason": "on command"});
                let item = json!({"_index": index, "_id": id, "status": status, "error": error});
                items.push(json!({ verb: item }));
                continue;
            }
            let key = (index.clone(), id.clone());
            let there = kept.documents.contains_key(&key);
            if there && verb == "create" {
                errors = true;
                let error = json!({"type": "version_conflict_engine_exception",
                                   "reason": "document already exists"});
                items.push(json!({"create": {"_index": index, "_id": id, "status": 409,
                                             "error": error}}));
                continue;
            }
            kept.documents.insert(key, document);
            let (status, result) = if there { (200, "updated") } else { (201, "created") };
            items.push(json!({verb: {"_index": index, "_id": id, "status": status,
                                     "result": result}}));
        }
        json!({"took": 1, "errors": errors, "items": items})
    }
}

struct Action {
    verb: String,
    index: String,
    id: String,
    document: Value,
}

async fn answer(
    State(double): State<BulkDouble>,
    headers: axum::http::HeaderMap,
    body: Bytes,
) -> Response {
    let refusal = |status: u16| {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, json!({"error": {"type": "double", "reason": "on command"}}).to_string())
            .into_response()
    };
    let kind = headers.get("content-type").and_then(|value| value.to_str().ok());
    if !matches!(kind, Some("application/x-ndjson" | "application/json")) {
        return refusal(406);
    }
    if double.max_request_bytes.is_some_and(|most| body.len() > most) {
        return refusal(413);
    }
    let Some(actions) = parse(&body) else { return refusal(400) };
    {
        let mut kept = double.lock();
        kept.requests.push(actions.iter().map(|action| action.id.clone()).collect());
        kept.authorization =
            headers.get("authorization").and_then(|value| value.to_str().ok()).map(str::to_owned);
    }
    match double.faults.next() {
        Some(Fault::Status(status) | Fault::Refused { status, .. }) => refusal(status),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::AnswerLost) => {
            double.take(actions, None);
            refusal(500)
        }
        fault => (
            [("content-type", "application/json")],
            double.take(actions, fault.as_ref()).to_string(),
        )
            .into_response(),
    }
}

/// The actions of a request; `None` where a line cannot be understood.
fn parse(body: &[u8]) -> Option<Vec<Action>> {
    let mut lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut actions = Vec::new();
    while let Some(line) = lines.next() {
        let meta: BTreeMap<String, Value> = serde_json::from_slice(line).ok()?;
        let (verb, meta) = meta.into_iter().next()?;
        if !matches!(verb.as_str(), "index" | "create") {
            return None;
        }
        let document = serde_json::from_slice(lines.next()?).ok()?;
        let index = meta["_index"].as_str()?.to_owned();
        // A document without an id gets one, as the services do it.
        let id = match meta.get("_id") {
            Some(id) => id.as_str()?.to_owned(),
            None => format!("auto-{}", actions.len()),
        };
        actions.push(Action { verb, index, id, document });
    }
    Some(actions)
}
