//! A `_bulk` endpoint that keeps what it is given, templates and policies included.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
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
    is_elasticsearch: bool,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    documents: BTreeMap<(String, String), Value>,
    // The ids of every request that was read, as they came.
    requests: Vec<Vec<String>>,
    authorization: Option<String>,
    // What was put elsewhere, by path, with the number of times.
    installed: BTreeMap<String, (Value, u64)>,
    // Ids given to documents that came without one.
    n_own_ids: u64,
}

impl BulkDouble {
    /// A double that calls itself Elasticsearch, not OpenSearch.
    pub fn elasticsearch() -> Self {
        Self { is_elasticsearch: true, ..Self::default() }
    }

    /// A double that answers larger requests with 413.
    pub fn taking_at_most(max_request_bytes: usize) -> Self {
        Self { max_request_bytes: Some(max_request_bytes), ..Self::default() }
    }

    /// The double's routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/_bulk", post(answer))
            .fallback(administer)
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

    /// Templates and policies by their paths, each with the number of times that it was put.
    pub fn installed(&self) -> BTreeMap<String, (Value, u64)> {
        self.lock().installed.clone()
    }

    /// The Authorization header of the last request.
    pub fn authorization(&self) -> Option<String> {
        self.lock().authorization.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Documents are whole between statements, whatever a panicking holder did.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is done and said where nothing fails.
    fn administered(&self, method: Method, uri: &Uri, body: &[u8]) -> Response {
        let mut kept = self.lock();
        let path = uri.path().to_owned();
        let there = kept.installed.get(&path).cloned();
        let answer = match (method, path.as_str(), there) {
            (Method::GET, "/", _) if self.is_elasticsearch => {
                json!({"version": {"number": "8.15.0"}})
            }
            (Method::GET, "/", _) => {
                json!({"version": {"number": "2.19.1", "distribution": "opensearch"}})
            }
            (Method::GET, _, Some((mut body, n_puts))) => {
                body["_seq_no"] = n_puts.into();
                body["_primary_term"] = 1.into();
                body
            }
            (Method::PUT, _, there) => {
                let n_puts = there.map_or(0, |(_, n_puts)| n_puts);
                let number = uri.query().unwrap_or_default();
                let expected = format!("if_seq_no={n_puts}&if_primary_term=1");
                if path.contains("/_ism/") && n_puts > 0 && number != expected {
                    return refusal(409);
                }
                let Ok(body) = serde_json::from_slice(body) else { return refusal(400) };
                kept.installed.insert(path, (body, n_puts + 1));
                json!({"acknowledged": true})
            }
            _ => return refusal(404),
        };
        ([("content-type", "application/json")], answer.to_string()).into_response()
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

fn refusal(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let error = json!({"error": {"type": "double", "reason": "on command"}});
    (status, error.to_string()).into_response()
}

/// `GET /`, and `PUT` and `GET` of templates and policies. A policy of index state management is
/// replaced only under its number, as the plugin has it.
async fn administer(
    State(double): State<BulkDouble>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response {
    // A fault of entries is for requests that have some: it waits.
    match double.faults.next_of(|fault| !matches!(fault, Fault::Entries { .. })) {
        None | Some(Fault::Entries { .. }) => {}
        Some(Fault::Status(status) | Fault::Refused { status, .. }) => return refusal(status),
        Some(Fault::Hang) => return std::future::pending().await,
        Some(Fault::AnswerLost) => {
            double.administered(method, &uri, &body);
            return refusal(500);
        }
    }
    double.administered(method, &uri, &body)
}

async fn answer(
    State(double): State<BulkDouble>,
    headers: axum::http::HeaderMap,
    body: Bytes,
) -> Response {
    let kind = headers.get("content-type").and_then(|value| value.to_str().ok());
    if !matches!(kind, Some("application/x-ndjson" | "application/json")) {
        return refusal(406);
    }
    if double.max_request_bytes.is_some_and(|most| body.len() > most) {
        return refusal(413);
    }
    let actions = parse(&body, &mut double.lock().n_own_ids);
    let Some(actions) = actions else { return refusal(400) };
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

/// The actions of a request; `None` where a line cannot be understood. A document without an id gets
/// one that no other has, as the services do it: one that comes again is there twice.
fn parse(body: &[u8], n_own_ids: &mut u64) -> Option<Vec<Action>> {
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
        let id = match meta.get("_id") {
            Some(id) => id.as_str()?.to_owned(),
            None => {
                *n_own_ids += 1;
                format!("auto-{n_own_ids}")
            }
        };
        actions.push(Action { verb, index, id, document });
    }
    Some(actions)
}
