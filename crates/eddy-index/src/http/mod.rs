//! The endpoint: Elasticsearch's paths over an [`Index`].

mod cluster;
mod documents;
mod searches;

use std::io::Read as _;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use serde_json::{Map, Value, json};
use tokio::sync::OwnedSemaphorePermit;

use crate::limits::{MAX_BODIES_BYTES, MAX_BODY_BYTES};
use crate::source::FilterPath;
use crate::store::Shard;
use crate::{Index, IndexError};

pub(crate) use documents::outcome_parts;

/// The routes of the endpoint, to be nested under a path or served as they are.
///
/// Bodies are bounded by [`MAX_BODY_BYTES`], also behind `Content-Encoding: gzip`; every answer
/// carries `X-Elastic-Product`.
pub fn router(index: Arc<Index>) -> Router {
    Router::new().fallback(handle).with_state(index)
}

/// An answer: a status and a JSON value, or text.
enum Answer {
    Json(u16, Value),
    /// JSON as it is sent, of answers too large to be kept as values.
    Written(String),
    Text(String),
}

impl Answer {
    fn ok(value: Value) -> Self {
        Self::Json(200, value)
    }
}

async fn handle(State(index): State<Arc<Index>>, request: Request) -> Response {
    let is_head = request.method() == Method::HEAD;
    let answer = match route(&index, request).await {
        Ok(answer) => answer,
        Err(error) => Answer::Json(error.status(), error_json(&error)),
    };
    let mut response = match answer {
        Answer::Json(status, value) => {
            let body = if is_head { Body::empty() } else { Body::from(value.to_string()) };
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Answer::Written(text) => {
            let body = if is_head { Body::empty() } else { Body::from(text) };
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Answer::Text(text) => {
            ([(header::CONTENT_TYPE, "text/plain; charset=UTF-8")], text).into_response()
        }
    };
    response.headers_mut().insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    response
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
    let (body, mut room) = read(index, body).await?;
    let headers = parts.headers;
    let (body, _room) = match headers.get(header::CONTENT_ENCODING) {
        None => (body, room),
        Some(_) => {
            let decompress =
                move |index: &Index| Ok((decompressed(index, &headers, body, &mut room)?, room));
            index.blocking(decompress).await?
        }
    };
    let call = Call { index, method: parts.method, path: &path, params, body };
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    // Before the work: a request that is refused has changed nothing.
    let filter = call.param("filter_path").map(FilterPath::parse).transpose()?;
    let answer = call.dispatch(&segments).await?;
    Ok(match (filter, answer) {
        (Some(filter), Answer::Json(status, value)) => {
            Answer::Json(status, index.blocking(move |_| Ok(filter.apply(value))).await?)
        }
        (_, answer) => answer,
    })
}

fn too_long() -> IndexError {
    IndexError::TooLarge {
        reason: format!("the request body is longer than {MAX_BODY_BYTES} bytes"),
    }
}

/// Room in memory for a body, given back when the request is answered.
type Room = Vec<OwnedSemaphorePermit>;

fn make_room(index: &Index, n_bytes: usize, room: &mut Room) -> Result<(), IndexError> {
    let n_bytes = u32::try_from(n_bytes).map_err(|_| too_long())?;
    let permit = Arc::clone(&index.bodies)
        .try_acquire_many_owned(n_bytes)
        .map_err(|_| IndexError::TooBusy { most: MAX_BODIES_BYTES })?;
    match room.first_mut() {
        Some(first) => first.merge(permit),
        None => room.push(permit),
    }
    Ok(())
}

async fn read(index: &Index, body: Body) -> Result<(Bytes, Room), IndexError> {
    let (mut all, mut room) = (Vec::new(), Room::new());
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| IndexError::illegal(format!("a body ended: {error}")))?;
        if all.len() + part.len() > MAX_BODY_BYTES {
            return Err(too_long());
        }
        make_room(index, part.len(), &mut room)?;
        all.extend_from_slice(&part);
    }
    Ok((all.into(), room))
}

fn decompressed(
    index: &Index,
    headers: &HeaderMap,
    body: Bytes,
    room: &mut Room,
) -> Result<Bytes, IndexError> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    match encoding {
        None | Some(b"identity") => Ok(body),
        Some(b"gzip") => {
            const PART_BYTES: usize = 1024 * 1024;
            let mut plain = Vec::new();
            let mut decoder = flate2::read::MultiGzDecoder::new(&body[..]);
            loop {
                make_room(index, PART_BYTES, room)?;
                let n_read = decoder
                    .by_ref()
                    .take(PART_BYTES as u64)
                    .read_to_end(&mut plain)
                    .map_err(|error| IndexError::parsing(format!("no gzip: {error}")))?;
                if plain.len() > MAX_BODY_BYTES {
                    return Err(too_long());
                }
                if n_read == 0 {
                    return Ok(plain.into());
                }
            }
        }
        Some(other) => Err(IndexError::unsupported(format!(
            "Content-Encoding [{}]",
            String::from_utf8_lossy(other)
        ))),
    }
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
        let delete = self.is(&[Method::DELETE]);
        Ok(match segments {
            [] if get => Answer::ok(cluster::root()),
            ["_bulk"] if put_or_post => self.bulk(None).await?,
            [name, "_bulk"] if put_or_post => self.bulk(Some(name)).await?,
            ["_search"] if get || post => self.search("").await?,
            [name, "_search"] if get || post => self.search(name).await?,
            ["_search", "scroll"] if get || post => self.scroll(None).await?,
            ["_search", "scroll", id] if get || post => self.scroll(Some(id)).await?,
            ["_search", "scroll"] if delete => self.clear_scroll(None)?,
            ["_search", "scroll", id] if delete => self.clear_scroll(Some(id))?,
            ["_msearch"] if get || post => self.multi_search("").await?,
            [name, "_msearch"] if get || post => self.multi_search(name).await?,
            ["_count"] if get || post => self.count("").await?,
            [name, "_count"] if get || post => self.count(name).await?,
            ["_field_caps"] if get || post => self.field_caps("").await?,
            [name, "_field_caps"] if get || post => self.field_caps(name).await?,
            [name, "_delete_by_query"] if post => self.delete_by_query(name).await?,
            ["_refresh" | "_flush"] if get || post => self.refresh("")?,
            [name, "_refresh" | "_flush"] if get || post => self.refresh(name)?,
            ["_cluster", "health"] if get => self.health("")?,
            ["_cluster", "health", name] if get => self.health(name)?,
            ["_cat", "indices"] if get => self.cat("").await?,
            ["_cat", "indices", name] if get => self.cat(name).await?,
            ["_mapping" | "_mappings"] if get => self.mapping("").await?,
            [name, "_mapping" | "_mappings"] if get => self.mapping(name).await?,
            ["_settings"] if get => self.settings("")?,
            [name, "_settings"] if get => self.settings(name)?,
            ["_alias" | "_aliases"] if get => self.aliases("", "*")?,
            ["_alias", alias] if get => self.aliases("", alias)?,
            [name, "_alias" | "_aliases"] if get => self.aliases(name, "*")?,
            [name, "_alias", alias] if get => self.aliases(name, alias)?,
            ["_mget"] if get || post => self.get_many(None).await?,
            [name, "_mget"] if get || post => self.get_many(Some(name)).await?,
            [name, "_doc"] if post => self.put_document(name, None, false).await?,
            [name, "_doc", id] if get => self.get_document(name, id).await?,
            [name, "_source", id] if get => self.get_source(name, id).await?,
            [name, "_doc", id] if put_or_post => self.put_document(name, Some(id), false).await?,
            [name, "_create", id] if put_or_post => self.put_document(name, Some(id), true).await?,
            [name, "_update", id] if post => self.update_document(name, id).await?,
            [name, "_doc", id] if delete => self.delete_document(name, id).await?,
            [name] if !name.starts_with('_') && delete => self.delete_index(name).await?,
            [name] if !name.starts_with('_') && self.is(&[Method::PUT]) => {
                self.create_index(name).await?
            }
            [name] if !name.starts_with('_') && get => self.describe(name).await?,
            []
            | [
                "_bulk" | "_search" | "_count" | "_refresh" | "_flush" | "_msearch" | "_field_caps",
            ]
            | ["_search", "scroll", ..]
            | [_, "_bulk" | "_search" | "_count" | "_refresh" | "_flush" | "_msearch"]
            | [_, "_field_caps" | "_delete_by_query"]
            | [_, "_doc" | "_create" | "_update" | "_source", _]
            | ["_cluster", "health", ..]
            | ["_cat", "indices", ..] => not_allowed(&self.method, self.path),
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

    /// A parameter that is on or off; alone, without a value, it is on.
    fn flag(&self, name: &str) -> Result<Option<bool>, IndexError> {
        match self.param(name) {
            None => Ok(None),
            Some("" | "true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(IndexError::illegal(format!(
                "Failed to parse value [{other}] of [{name}] as only [true] or [false] are allowed."
            ))),
        }
    }

    /// Refuses parameters that would change the answer and are not supported.
    fn only(&self, known: &[&str]) -> Result<(), IndexError> {
        // `refresh`: everything acknowledged is searchable. The others say how a cluster works.
        const HARMLESS: [&str; 15] = [
            "pretty",
            "human",
            "error_trace",
            "filter_path",
            "refresh",
            "timeout",
            "master_timeout",
            "cluster_manager_timeout",
            "ignore_unavailable",
            "allow_no_indices",
            "expand_wildcards",
            "preference",
            "request_cache",
            "wait_for_active_shards",
            "local",
        ];
        let all = |key: &str| known.contains(&key) || HARMLESS.contains(&key);
        match self.params.iter().find(|(key, _)| !all(key)) {
            Some((key, _)) => Err(IndexError::unsupported(format!("the parameter [{key}]"))),
            None => Ok(()),
        }
    }

    /// The indices that a path names, with `ignore_unavailable` and `allow_no_indices`.
    fn resolve(&self, pattern: &str) -> Result<Vec<Arc<Shard>>, IndexError> {
        let lenient = self.flag("ignore_unavailable")?.unwrap_or(false);
        self.allowed(pattern, self.index.store().resolve(pattern, lenient)?)
    }

    /// The same in the order in which an id is looked for.
    fn newest_first(&self, pattern: &str) -> Result<Vec<Arc<Shard>>, IndexError> {
        let lenient = self.flag("ignore_unavailable")?.unwrap_or(false);
        self.allowed(pattern, self.index.store().newest_first(pattern, lenient)?)
    }

    fn allowed(
        &self,
        pattern: &str,
        found: Vec<Arc<Shard>>,
    ) -> Result<Vec<Arc<Shard>>, IndexError> {
        if found.is_empty() && self.flag("allow_no_indices")? == Some(false) {
            return Err(IndexError::IndexNotFound { index: pattern.to_owned() });
        }
        Ok(found)
    }

    fn json(&self) -> Result<Value, IndexError> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(json!({}));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| IndexError::parsing(format!("the body is not JSON: {error}")))
    }

    /// The body as an object, with the query that `q` and its companions make.
    fn request(&self) -> Result<Map<String, Value>, IndexError> {
        let Value::Object(mut body) = self.json()? else {
            return Err(IndexError::parsing("the body must be an object"));
        };
        if let Some(text) = self.param("q") {
            let mut query = Map::new();
            query.insert("query".to_owned(), json!(text));
            for key in ["default_operator", "analyze_wildcard", "lenient"] {
                if let Some(value) = self.param(key) {
                    query.insert(key.to_owned(), json!(value));
                }
            }
            body.insert("query".to_owned(), json!({"query_string": query}));
        }
        Ok(body)
    }
}

pub(crate) fn shards(n_shards: usize) -> Value {
    json!({"total": n_shards, "successful": n_shards, "skipped": 0, "failed": 0})
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
