//! `_bulk`: lines of actions and documents, answered one by one.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use serde_json::{Map, Value, json};

use crate::document::{Document, fresh_id, validate_id};
use crate::http::{cause_json, outcome_parts, shards};
use crate::limits::MAX_BULK_OPERATIONS;
use crate::query::{known, object};
use crate::write::{Action, Operation};
use crate::{Index, IndexError, names};

/// What the path and the parameters of a bulk request say of its items.
pub(crate) struct Defaults {
    pub(crate) index: Option<String>,
    pub(crate) require_alias: bool,
}

struct Item {
    verb: &'static str,
    index: Arc<str>,
    id: String,
    operation: Result<Operation, IndexError>,
}

/// Runs a bulk request.
///
/// A line that cannot be understood as an action refuses the whole request, as in Elasticsearch:
/// nothing behind it can be told apart.
pub(crate) async fn run(
    index: &Arc<Index>,
    defaults: Defaults,
    body: Bytes,
) -> Result<Value, IndexError> {
    let start = Instant::now();
    let items = index.blocking(move |index| parse(&defaults, index.alias(), &body)).await?;
    let mut operations = Vec::with_capacity(items.len());
    let mut refused = Vec::with_capacity(items.len());
    for item in items {
        let error = match item.operation {
            Ok(operation) => {
                operations.push(operation);
                None
            }
            Err(error) => Some(error),
        };
        refused.push((item.verb, item.index, item.id, error));
    }
    let mut done = index.write(operations).await?.into_iter();
    let mut errors = false;
    let mut answers = Vec::with_capacity(refused.len());
    for (verb, asked, id, error) in refused {
        let result = match error {
            Some(error) => Err(error),
            None => done.next().unwrap_or(Err(IndexError::Closed)),
        };
        let answer = match result {
            Ok((name, outcome)) => {
                let (status, result) = outcome_parts(outcome);
                json!({"_index": *name, "_id": id, "result": result, "_shards": shards(1),
                       "status": status})
            }
            Err(error) => {
                errors = true;
                json!({"_index": *asked, "_id": id, "status": error.status(),
                       "error": cause_json(&error)})
            }
        };
        answers.push(json!({verb: answer}));
    }
    let took = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(json!({"took": took, "errors": errors, "items": answers}))
}

fn parse(defaults: &Defaults, alias: &str, body: &[u8]) -> Result<Vec<Item>, IndexError> {
    let mut items = Vec::new();
    let mut lines = body.split(|byte| *byte == b'\n').enumerate();
    while let Some((number, line)) = lines.next() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let malformed = |what: &str| {
            IndexError::illegal(format!("Malformed action/metadata line [{}], {what}", number + 1))
        };
        let action: Map<String, Value> =
            serde_json::from_slice(line).map_err(|error| malformed(&error.to_string()))?;
        let mut entries = action.iter();
        let (Some((verb, meta)), None) = (entries.next(), entries.next()) else {
            return Err(malformed("expected exactly one action"));
        };
        let verb = match verb.as_str() {
            "index" => "index",
            "create" => "create",
            "update" => "update",
            "delete" => "delete",
            other => return Err(malformed(&format!("unknown action [{other}]"))),
        };
        let keys = ["_index", "_id", "_type", "require_alias", "retry_on_conflict"];
        let meta = known(meta, verb, &keys)?;
        let index =
            meta.get("_index").map_or(Ok(defaults.index.as_deref()), |name| match name {
                Value::String(name) => Ok(Some(name.as_str())),
                _ => Err(malformed("[_index] must be a string")),
            })?;
        let index: Arc<str> = index.ok_or_else(|| malformed("an index is missing"))?.into();
        let id = match meta.get("_id") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(Value::Number(id)) => Some(id.to_string()),
            Some(_) => return Err(malformed("[_id] must be a string")),
        };
        let source = match verb {
            "delete" => "",
            _ => {
                let (_, source) =
                    lines.next().ok_or_else(|| malformed("its document is missing"))?;
                std::str::from_utf8(source).map_err(|_| malformed("its document is not UTF-8"))?
            }
        };
        if items.len() == MAX_BULK_OPERATIONS {
            return Err(IndexError::TooLarge {
                reason: format!("a bulk request has at most {MAX_BULK_OPERATIONS} operations"),
            });
        }
        let require_alias = match meta.get("require_alias") {
            None => defaults.require_alias,
            Some(Value::Bool(value)) => *value,
            Some(_) => return Err(malformed("[require_alias] must be a boolean")),
        };
        // Only what stores a document can make an id for it.
        let id = id.or_else(|| matches!(verb, "index" | "create").then(fresh_id));
        let operation = if require_alias && *index != *alias {
            Err(IndexError::IndexNotFound { index: index.to_string() })
        } else {
            operation(verb, &index, id.as_deref(), source.trim())
        };
        items.push(Item { verb, index, id: id.unwrap_or_default(), operation });
    }
    if items.is_empty() {
        return Err(IndexError::illegal("request body is required"));
    }
    Ok(items)
}

fn operation(
    verb: &str,
    index: &Arc<str>,
    id: Option<&str>,
    source: &str,
) -> Result<Operation, IndexError> {
    names::validate(index)?;
    let id = id.ok_or_else(|| IndexError::illegal("id is missing"))?;
    validate_id(id)?;
    let action = match verb {
        "index" => Action::Index(Document::parse(id, source)?),
        "create" => Action::Create(Document::parse(id, source)?),
        "delete" => Action::Delete { id: id.into() },
        _ => {
            let body = serde_json::from_str(source)
                .map_err(|error| IndexError::parsing(format!("failed to parse: {error}")))?;
            update(id, &body)?
        }
    };
    Ok(Operation { index: Arc::clone(index), action })
}

/// Reads the body of an update.
pub(crate) fn update(id: &str, body: &Value) -> Result<Action, IndexError> {
    let body = known(body, "update", &["doc", "doc_as_upsert", "upsert"])?;
    let partial = body
        .get("doc")
        .ok_or_else(|| IndexError::parsing("an update needs [doc]"))
        .and_then(|doc| object(doc, "doc"))?
        .clone();
    let upsert = match body.get("upsert") {
        Some(upsert) => Some(object(upsert, "upsert")?.clone()),
        None => {
            body.get("doc_as_upsert").is_some_and(|value| value == true).then(|| partial.clone())
        }
    };
    Ok(Action::Update { id: id.into(), partial, upsert })
}
