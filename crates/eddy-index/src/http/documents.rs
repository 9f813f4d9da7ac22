//! Paths about documents: written, read, deleted.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Answer, Call, cause_json, error_json, shards};
use crate::document::{Document, fresh_id};
use crate::limits::MAX_TERMS;
use crate::source::SourceFilter;
use crate::write::{Action, Operation, Outcome};
use crate::{IndexError, bulk};

/// A document that was read: its index and source.
type Found = Option<(Arc<str>, String)>;

impl Call<'_> {
    pub(super) async fn bulk(&self, index: Option<&str>) -> Result<Answer, IndexError> {
        self.only(&["_source", "require_alias"])?;
        let require_alias = self.flag("require_alias")?.unwrap_or(false);
        let defaults = bulk::Defaults { index: index.map(str::to_owned), require_alias };
        Ok(Answer::ok(bulk::run(self.index, defaults, self.body.clone()).await?))
    }

    async fn find(&self, name: &str, id: &str) -> Result<Found, IndexError> {
        let (found, wanted) = (self.newest_first(name)?, id.to_owned());
        self.index
            .blocking(move |_| {
                for shard in found {
                    if let Some(source) = shard.source(&wanted)? {
                        return Ok(Some((Arc::clone(&shard.name), source)));
                    }
                }
                Ok(None)
            })
            .await
    }

    pub(super) async fn get_document(&self, name: &str, id: &str) -> Result<Answer, IndexError> {
        self.only(&["_source", "_source_includes", "_source_excludes", "realtime"])?;
        let filter = SourceFilter::parse(self.source_param().as_ref())?;
        Ok(match self.find(name, id).await? {
            None => Answer::Json(404, json!({"_index": name, "_id": id, "found": false})),
            Some((index, source)) => Answer::ok(found_json(&index, id, &source, &filter)?),
        })
    }

    pub(super) async fn get_source(&self, name: &str, id: &str) -> Result<Answer, IndexError> {
        self.only(&["_source", "_source_includes", "_source_excludes", "realtime"])?;
        let filter = SourceFilter::parse(self.source_param().as_ref())?;
        match self.find(name, id).await? {
            None => Err(IndexError::SourceNotFound { index: name.to_owned(), id: id.to_owned() }),
            Some((_, source)) => {
                Ok(Answer::ok(filter.apply(&source)?.unwrap_or_else(|| json!({}))))
            }
        }
    }

    pub(super) async fn get_many(&self, index: Option<&str>) -> Result<Answer, IndexError> {
        self.only(&["_source", "_source_includes", "_source_excludes", "realtime"])?;
        let filter = SourceFilter::parse(self.source_param().as_ref())?;
        let body = self.request()?;
        let empty = Vec::new();
        let list = |key: &str| body.get(key).and_then(Value::as_array).unwrap_or(&empty);
        let mut wanted: Vec<(String, String)> = Vec::new();
        for doc in list("docs") {
            let doc = crate::query::known(doc, "docs", &["_index", "_id"])?;
            let name = doc.get("_index").and_then(Value::as_str).or(index);
            let (Some(name), Some(id)) = (name, doc.get("_id").and_then(Value::as_str)) else {
                return Err(IndexError::illegal("a document of [_mget] needs [_index] and [_id]"));
            };
            wanted.push((name.to_owned(), id.to_owned()));
        }
        for id in list("ids") {
            let (Some(name), Some(id)) = (index, id.as_str()) else {
                return Err(IndexError::illegal("[ids] of [_mget] needs an index and strings"));
            };
            wanted.push((name.to_owned(), id.to_owned()));
        }
        if wanted.is_empty() || wanted.len() > MAX_TERMS {
            return Err(IndexError::illegal(format!(
                "[_mget] needs 1 to {MAX_TERMS} documents, found {}",
                wanted.len()
            )));
        }
        let mut docs = Vec::with_capacity(wanted.len());
        for (name, id) in wanted {
            docs.push(match self.find(&name, &id).await {
                Ok(Some((index, source))) => found_json(&index, &id, &source, &filter)?,
                Ok(None) => json!({"_index": name, "_id": id, "found": false}),
                Err(error) => {
                    let mut answer = error_json(&error);
                    json!({"_index": name, "_id": id, "error": answer["error"].take()})
                }
            });
        }
        Ok(Answer::ok(json!({"docs": docs})))
    }

    pub(super) async fn put_document(
        &self,
        name: &str,
        id: Option<&str>,
        only_new: bool,
    ) -> Result<Answer, IndexError> {
        self.only(&["op_type", "require_alias"])?;
        self.check_alias(name)?;
        let only_new = match self.param("op_type") {
            None => only_new,
            Some("create") => true,
            Some("index") if !only_new => false,
            Some(other) => {
                return Err(IndexError::illegal(format!("opType not allowed, found [{other}]")));
            }
        };
        let source = std::str::from_utf8(&self.body)
            .map_err(|_| IndexError::document("the document is not UTF-8"))?;
        let id = id.map_or_else(fresh_id, str::to_owned);
        let document = Document::parse(&id, source)?;
        let action = if only_new { Action::Create(document) } else { Action::Index(document) };
        self.one(name, &id, action).await
    }

    pub(super) async fn update_document(&self, name: &str, id: &str) -> Result<Answer, IndexError> {
        self.only(&["retry_on_conflict", "require_alias"])?;
        self.check_alias(name)?;
        let action = bulk::update(id, &Value::Object(self.request()?))?;
        self.one(name, id, action).await
    }

    pub(super) async fn delete_document(&self, name: &str, id: &str) -> Result<Answer, IndexError> {
        self.only(&[])?;
        self.one(name, id, Action::Delete { id: id.into() }).await
    }

    fn check_alias(&self, name: &str) -> Result<(), IndexError> {
        if self.flag("require_alias")? == Some(true) && name != self.index.alias() {
            return Err(IndexError::IndexNotFound { index: name.to_owned() });
        }
        Ok(())
    }

    async fn one(&self, name: &str, id: &str, action: Action) -> Result<Answer, IndexError> {
        let operation = Operation { index: name.into(), action };
        let done = self.index.write(vec![operation]).await?.pop().ok_or(IndexError::Closed)?;
        let (index, outcome) = done?;
        let (status, result) = outcome_parts(outcome);
        let body = json!({"_index": *index, "_id": id, "result": result, "_shards": shards(1)});
        Ok(Answer::Json(status, body))
    }

    pub(super) async fn delete_by_query(&self, name: &str) -> Result<Answer, IndexError> {
        self.only(&[
            "q",
            "default_operator",
            "conflicts",
            "wait_for_completion",
            "scroll_size",
            "slices",
        ])?;
        if self.flag("wait_for_completion")? == Some(false) {
            return Err(IndexError::unsupported("[wait_for_completion] false"));
        }
        let goes_on = match self.param("conflicts") {
            None | Some("abort") => false,
            Some("proceed") => true,
            Some(other) => {
                let reason =
                    format!("conflicts may only be \"proceed\" or \"abort\" but was [{other}]");
                return Err(IndexError::illegal(reason));
            }
        };
        let body = self.request()?;
        let start = std::time::Instant::now();
        let found = self.index.delete_by_query(self.resolve(name)?, body, goes_on).await?;
        let took = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let n_conflicts = found.conflicts.len();
        let failures: Vec<Value> = if goes_on {
            Vec::new()
        } else {
            let failure = |(index, error): &(Arc<str>, IndexError)| json!({"index": **index, "cause": cause_json(error), "status": error.status()});
            found.conflicts.iter().map(failure).collect()
        };
        let status = if failures.is_empty() { 200 } else { 409 };
        Ok(Answer::Json(
            status,
            json!({
                "took": took, "timed_out": false, "total": found.n_deleted + n_conflicts as u64,
                "deleted": found.n_deleted, "version_conflicts": n_conflicts, "noops": 0,
                "retries": {"bulk": 0, "search": 0}, "failures": failures
            }),
        ))
    }

    /// What the parameters `_source`, `_source_includes` and `_source_excludes` ask for.
    pub(super) fn source_param(&self) -> Option<Value> {
        let list = |text: &str| text.split(',').map(Value::from).collect::<Value>();
        let includes = self.param("_source_includes").map(list);
        let excludes = self.param("_source_excludes").map(list);
        if includes.is_some() || excludes.is_some() {
            let mut filter = Map::new();
            filter.extend(includes.map(|includes| ("includes".to_owned(), includes)));
            filter.extend(excludes.map(|excludes| ("excludes".to_owned(), excludes)));
            return Some(Value::Object(filter));
        }
        match self.param("_source")? {
            text @ ("true" | "false") => Some(json!(text == "true")),
            text => Some(list(text)),
        }
    }
}

fn found_json(
    index: &str,
    id: &str,
    source: &str,
    filter: &SourceFilter,
) -> Result<Value, IndexError> {
    let mut body = json!({"_index": index, "_id": id, "found": true});
    if let Some(source) = filter.apply(source)? {
        body["_source"] = source;
    }
    Ok(body)
}

/// The status and `result` of one operation.
pub(crate) fn outcome_parts(outcome: Outcome) -> (u16, &'static str) {
    match outcome {
        Outcome::Created => (201, "created"),
        Outcome::Updated => (200, "updated"),
        Outcome::Unchanged => (200, "noop"),
        Outcome::Deleted => (200, "deleted"),
        Outcome::NotFound => (404, "not_found"),
    }
}
