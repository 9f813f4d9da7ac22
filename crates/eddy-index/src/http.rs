//! The endpoint: Elasticsearch's paths over an [`Index`].

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::bulk;
use crate::document::Document;
use crate::limits::MAX_BODY_BYTES;
use crate::write::{Action, Operation, Outcome};
use crate::{Index, IndexError};

/// The routes of the endpoint, to be nested under a path or served as they are.
///
/// Bodies are bounded by [`MAX_BODY_BYTES`]; every answer carries `X-Elastic-Product`.
pub fn router(index: Arc<Index>) -> Router {
    Router::new().fallback(handle).with_state(index)
}

/// An answer: a status and a JSON value, or text.
enum Answer {
    Json(u16, Value),
    Text(String),
}

async fn handle(State(index): State<Arc<Index>>, request: Request) -> Response {
    let is_head = request.method() == Method::HEAD;
    let answer = match route(&index, request).await {
        Ok(answer) => answer,
        Err(error) => error_answer(&error),
    };
    let mut response = match answer {
        Answer::Json(status, value) => {
            let body = if is_head { Body::empty() } else { Body::from(value.to_string()) };
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Answer::Text(text) => {
            ([(header::CONTENT_TYPE, "text/plain; charset=UTF-8")], text).into_response()
        }
    };
    response.headers_mut().insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    response
}

fn error_answer(error: &IndexError) -> Answer {
    Answer::Json(error.status(), error_json(error))
}

pub(crate) fn cause_json(error: &IndexError) -> Value {
    let mut cause = json!({"type": error.kind(), "reason": error.reason()});
    if let IndexError::IndexNotFound { index } = error {
        cause["index"] = json!(index);
        cause["resource.type"] = json!("index_or_alias");
        cause["resource.id"] = json!(index);
    }
    cause
}

fn error_json(error: &IndexError) -> Value {
    let cause = cause_json(error);
    let mut body = cause.clone();
    body["root_cause"] = json!([cause]);
    json!({"error": body, "status": error.status()})
}

fn not_allowed(method: &Method, path: &str) -> Answer {
    let reason = format!("Incorrect HTTP method for uri [{path}] and method [{method}]");
    Answer::Json(405, json!({"error": reason, "status": 405}))
}

async fn route(index: &Arc<Index>, request: Request) -> Result<Answer, IndexError> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let segments: Vec<String> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(decode)
        .collect::<Result<_, _>>()?;
    let params: Vec<(String, String)> = parts
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(&key.replace('+', " "))?, decode(&value.replace('+', " "))?))
        })
        .collect::<Result<_, IndexError>>()?;
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        let reason = format!("the request body is longer than {MAX_BODY_BYTES} bytes");
        let cause = json!({"type": "content_too_long_exception", "reason": reason});
        return Ok(Answer::Json(413, json!({"error": cause, "status": 413})));
    };
    let call = Call { index, method: parts.method, path: &path, params, body };
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    call.dispatch(&segments).await
}

struct Call<'a> {
    index: &'a Arc<Index>,
    method: Method,
    path: &'a str,
    params: Vec<(String, String)>,
    body: Bytes,
}

impl Call<'_> {
    async fn dispatch(&self, segments: &[&str]) -> Result<Answer, IndexError> {
        let (get, post) = (self.is(&[Method::GET, Method::HEAD]), self.is(&[Method::POST]));
        let put_or_post = self.is(&[Method::PUT, Method::POST]);
        Ok(match segments {
            [] if get => Answer::Json(200, root()),
            ["_bulk"] if put_or_post => self.bulk(None).await?,
            [name, "_bulk"] if put_or_post => self.bulk(Some(name)).await?,
            ["_search"] if get || post => self.search("").await?,
            [name, "_search"] if get || post => self.search(name).await?,
            ["_count"] if get || post => self.count("").await?,
            [name, "_count"] if get || post => self.count(name).await?,
            ["_refresh"] if get || post => self.refresh("")?,
            [name, "_refresh"] if get || post => self.refresh(name)?,
            ["_cluster", "health"] if get => Answer::Json(200, health(self.index)),
            ["_cat", "indices"] if get => self.cat()?,
            [name, "_mapping"] if get => self.mapping(name)?,
            [name, "_doc", id] if get => self.get_document(name, id).await?,
            [name, "_doc", id] if put_or_post => self.put_document(name, id, false).await?,
            [name, "_create", id] if put_or_post => self.put_document(name, id, true).await?,
            [name, "_doc", id] if self.method == Method::DELETE => {
                self.delete_document(name, id).await?
            }
            [name] if self.method == Method::DELETE && !name.starts_with('_') => {
                self.delete_index(name).await?
            }
            [name] if self.method == Method::HEAD => {
                self.index.store().resolve(name)?;
                Answer::Json(200, Value::Null)
            }
            []
            | ["_bulk" | "_search" | "_count" | "_refresh"]
            | [_, "_bulk" | "_search" | "_count" | "_refresh" | "_mapping"]
            | [_, "_doc" | "_create", _]
            | ["_cluster", "health"]
            | ["_cat", "indices"] => not_allowed(&self.method, self.path),
            _ => {
                return Err(IndexError::unsupported(format!(
                    "[{}] on [{}]",
                    self.method, self.path
                )));
            }
        })
    }

    fn is(&self, methods: &[Method]) -> bool {
        methods.contains(&self.method)
    }

    fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Refuses parameters that would change the answer and are not supported.
    fn only(&self, known: &[&str]) -> Result<(), IndexError> {
        const HARMLESS: [&str; 11] = [
            "pretty",
            "human",
            "error_trace",
            "refresh",
            "timeout",
            "ignore_unavailable",
            "allow_no_indices",
            "expand_wildcards",
            "preference",
            "request_cache",
            "wait_for_active_shards",
        ];
        let all = |key: &str| known.contains(&key) || HARMLESS.contains(&key);
        match self.params.iter().find(|(key, _)| !all(key)) {
            Some((key, _)) => Err(IndexError::unsupported(format!("the parameter [{key}]"))),
            None => Ok(()),
        }
    }

    fn json(&self) -> Result<Value, IndexError> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(json!({}));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| IndexError::parsing(format!("the body is not JSON: {error}")))
    }

    fn request(&self) -> Result<Map<String, Value>, IndexError> {
        let Value::Object(mut body) = self.json()? else {
            return Err(IndexError::parsing("the body must be an object"));
        };
        if let Some(text) = self.param("q") {
            body.insert("query".to_owned(), json!({"query_string": {"query": text}}));
        }
        Ok(body)
    }

    async fn search(&self, pattern: &str) -> Result<Answer, IndexError> {
        self.only(&["q", "size", "from", "sort", "_source", "track_total_hits"])?;
        let mut body = self.request()?;
        for key in ["size", "from", "track_total_hits"] {
            if let Some(text) = self.param(key) {
                let value = serde_json::from_str(text).map_err(|_| {
                    IndexError::illegal(format!("failed to parse [{key}] with value [{text}]"))
                })?;
                body.insert(key.to_owned(), value);
            }
        }
        if let Some(text) = self.param("sort") {
            body.insert("sort".to_owned(), text.split(',').map(Value::from).collect());
        }
        match self.param("_source") {
            None => {}
            Some(text @ ("true" | "false")) => {
                body.insert("_source".to_owned(), json!(text == "true"));
            }
            Some(text) => {
                body.insert("_source".to_owned(), text.split(',').map(Value::from).collect());
            }
        }
        let answer = self.index.search_async(pattern.to_owned(), Value::Object(body)).await?;
        Ok(Answer::Json(200, answer))
    }

    async fn count(&self, pattern: &str) -> Result<Answer, IndexError> {
        self.only(&["q"])?;
        let (body, pattern) = (Value::Object(self.request()?), pattern.to_owned());
        let count = self.index.blocking(move |index| index.count(&pattern, &body)).await?;
        Ok(Answer::Json(200, json!({"count": count, "_shards": shards(1)})))
    }

    /// Everything acknowledged is searchable already.
    fn refresh(&self, pattern: &str) -> Result<Answer, IndexError> {
        let n_shards = self.index.store().resolve(pattern)?.len();
        Ok(Answer::Json(200, json!({"_shards": shards(n_shards)})))
    }

    async fn bulk(&self, index: Option<&str>) -> Result<Answer, IndexError> {
        self.only(&["_source", "filter_path"])?;
        Ok(Answer::Json(200, bulk::run(self.index, index, &self.body).await?))
    }

    async fn get_document(&self, name: &str, id: &str) -> Result<Answer, IndexError> {
        let (pattern, wanted) = (name.to_owned(), id.to_owned());
        let found = self
            .index
            .blocking(move |index| {
                for shard in index.store().resolve(&pattern)? {
                    if let Some(source) = shard.source(&wanted)? {
                        return Ok(Some((Arc::clone(&shard.name), source)));
                    }
                }
                Ok(None)
            })
            .await?;
        let Some((index, source)) = found else {
            return Ok(Answer::Json(404, json!({"_index": name, "_id": id, "found": false})));
        };
        let source: Value = serde_json::from_str(&source)
            .map_err(|error| IndexError::Internal { reason: error.to_string() })?;
        let body = json!({"_index": *index, "_id": id, "found": true, "_source": source});
        Ok(Answer::Json(200, body))
    }

    async fn put_document(
        &self,
        name: &str,
        id: &str,
        only_new: bool,
    ) -> Result<Answer, IndexError> {
        self.only(&["op_type"])?;
        let source = std::str::from_utf8(&self.body)
            .map_err(|_| IndexError::document("the document is not UTF-8"))?;
        let document = Document::parse(id, source)?;
        let action = if only_new || self.param("op_type") == Some("create") {
            Action::Create(document)
        } else {
            Action::Index(document)
        };
        self.one(name, id, action).await
    }

    async fn delete_document(&self, name: &str, id: &str) -> Result<Answer, IndexError> {
        self.one(name, id, Action::Delete { id: id.into() }).await
    }

    async fn one(&self, name: &str, id: &str, action: Action) -> Result<Answer, IndexError> {
        let operation = Operation { index: name.into(), action };
        let done = self.index.write(vec![operation]).await?.pop().ok_or(IndexError::Closed)?;
        let (index, outcome) = done?;
        let (status, result) = outcome_parts(outcome);
        let body = json!({"_index": *index, "_id": id, "result": result, "_shards": shards(1)});
        Ok(Answer::Json(status, body))
    }

    async fn delete_index(&self, name: &str) -> Result<Answer, IndexError> {
        if name.contains('*') || name == self.index.alias() {
            return Err(IndexError::illegal("deleting needs the exact names of indices"));
        }
        let names = self.index.store().resolve(name)?;
        self.index.remove(names.iter().map(|shard| Arc::clone(&shard.name)).collect()).await?;
        Ok(Answer::Json(200, json!({"acknowledged": true})))
    }

    fn mapping(&self, pattern: &str) -> Result<Answer, IndexError> {
        let mut mappings = Map::new();
        for shard in self.index.store().resolve(pattern)? {
            mappings
                .insert(shard.name.to_string(), json!({"mappings": crate::mapping::of(&shard)?}));
        }
        Ok(Answer::Json(200, Value::Object(mappings)))
    }

    fn cat(&self) -> Result<Answer, IndexError> {
        let rows: Vec<(Arc<str>, u64)> = self
            .index
            .store()
            .resolve("")?
            .iter()
            .map(|shard| (Arc::clone(&shard.name), shard.reader.searcher().num_docs()))
            .collect();
        if self.param("format") == Some("json") {
            let rows = rows.iter().map(|(name, count)| {
                json!({"health": "green", "status": "open", "index": **name, "pri": "1", "rep": "0",
                       "docs.count": count.to_string()})
            });
            return Ok(Answer::Json(200, rows.collect()));
        }
        let lines = rows.iter().map(|(name, count)| format!("green open {name} 1 0 {count}\n"));
        Ok(Answer::Text(lines.collect()))
    }
}

/// The status and `result` of one operation.
pub(crate) fn outcome_parts(outcome: Outcome) -> (u16, &'static str) {
    match outcome {
        Outcome::Created => (201, "created"),
        Outcome::Updated => (200, "updated"),
        Outcome::Deleted => (200, "deleted"),
        Outcome::NotFound => (404, "not_found"),
    }
}

pub(crate) fn shards(n_shards: usize) -> Value {
    json!({"total": n_shards, "successful": n_shards, "skipped": 0, "failed": 0})
}

fn root() -> Value {
    json!({
        "name": "eddy",
        "cluster_name": "eddy",
        "cluster_uuid": "eddy-embedded-index",
        "version": {
            "number": "8.15.0",
            "build_flavor": "default",
            "build_type": "embedded",
            "build_hash": env!("CARGO_PKG_VERSION"),
            "build_snapshot": false,
            "lucene_version": "9.11.1",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0"
        },
        "tagline": "You Know, for Search"
    })
}

fn health(index: &Index) -> Value {
    let n_shards = index.store().resolve("").map_or(0, |shards| shards.len());
    json!({
        "cluster_name": "eddy", "status": "green", "timed_out": false, "number_of_nodes": 1,
        "number_of_data_nodes": 1, "active_primary_shards": n_shards, "active_shards": n_shards,
        "relocating_shards": 0, "initializing_shards": 0, "unassigned_shards": 0,
        "active_shards_percent_as_number": 100.0
    })
}

/// Percent-decodes a part of a URL.
fn decode(text: &str) -> Result<String, IndexError> {
    let bad = || IndexError::illegal(format!("[{text}] is not percent-encoded UTF-8"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let hex =
                tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()).ok_or_else(bad)?;
            bytes.push(u8::from_str_radix(hex, 16).map_err(|_| bad())?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).map_err(|_| bad())
}
