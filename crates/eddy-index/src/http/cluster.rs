//! Paths about indices and the endpoint itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Answer, Call, shards};
use crate::limits::MAX_RESULT_WINDOW;
use crate::store::Shard;
use crate::{IndexError, mapping, names};

pub(super) fn root() -> Value {
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

impl Call<'_> {
    pub(super) fn health(&self, pattern: &str) -> Result<Answer, IndexError> {
        // Nothing ever has to be waited for.
        self.only(&[
            "wait_for_status",
            "wait_for_nodes",
            "wait_for_no_relocating_shards",
            "wait_for_no_initializing_shards",
            "wait_for_events",
            "level",
        ])?;
        let n_shards = self.resolve(pattern)?.len();
        Ok(Answer::ok(json!({
            "cluster_name": "eddy", "status": "green", "timed_out": false, "number_of_nodes": 1,
            "number_of_data_nodes": 1, "active_primary_shards": n_shards,
            "active_shards": n_shards, "relocating_shards": 0, "initializing_shards": 0,
            "unassigned_shards": 0, "delayed_unassigned_shards": 0, "number_of_pending_tasks": 0,
            "number_of_in_flight_fetch": 0, "task_max_waiting_in_queue_millis": 0,
            "active_shards_percent_as_number": 100.0
        })))
    }

    /// Everything acknowledged is searchable and durable already.
    pub(super) fn refresh(&self, pattern: &str) -> Result<Answer, IndexError> {
        self.only(&["force", "wait_if_ongoing"])?;
        let n_shards = self.resolve(pattern)?.len();
        Ok(Answer::ok(json!({"_shards": shards(n_shards)})))
    }

    pub(super) async fn cat(&self, pattern: &str) -> Result<Answer, IndexError> {
        self.only(&["format", "v", "h", "s", "bytes"])?;
        for key in ["h", "s", "bytes"] {
            if self.param(key).is_some() {
                return Err(IndexError::unsupported(format!("the parameter [{key}] of [_cat]")));
            }
        }
        let found = self.resolve(pattern)?;
        let row = |shard: &Arc<Shard>| {
            let n_documents = shard.reader.searcher().num_docs();
            Ok((Arc::clone(&shard.name), n_documents, shard.n_bytes()?))
        };
        let rows: Vec<(Arc<str>, u64, u64)> =
            self.index.blocking(move |_| found.iter().map(row).collect()).await?;
        if self.param("format") == Some("json") {
            let rows = rows.iter().map(|(name, count, n_bytes)| {
                json!({"health": "green", "status": "open", "index": **name, "pri": "1", "rep": "0",
                       "docs.count": count.to_string(), "store.size": n_bytes.to_string()})
            });
            return Ok(Answer::ok(rows.collect()));
        }
        let header = match self.flag("v")? {
            Some(true) => "health status index pri rep docs.count store.size\n",
            _ => "",
        };
        let lines = rows
            .iter()
            .map(|(name, count, n_bytes)| format!("green open {name} 1 0 {count} {n_bytes}\n"));
        Ok(Answer::Text(std::iter::once(header.to_owned()).chain(lines).collect()))
    }

    pub(super) async fn mapping(&self, pattern: &str) -> Result<Answer, IndexError> {
        self.only(&["include_type_name"])?;
        if self.flag("include_type_name")? == Some(true) {
            return Err(IndexError::unsupported("[include_type_name]"));
        }
        let found = self.resolve(pattern)?;
        let mappings = self
            .index
            .blocking(move |_| {
                let one = |shard: &Arc<Shard>| {
                    Ok((shard.name.to_string(), json!({"mappings": mapping::of(shard)?})))
                };
                found.iter().map(one).collect::<Result<Map<_, _>, IndexError>>()
            })
            .await?;
        Ok(Answer::ok(Value::Object(mappings)))
    }

    pub(super) fn settings(&self, pattern: &str) -> Result<Answer, IndexError> {
        self.only(&["flat_settings", "include_defaults"])?;
        for key in ["flat_settings", "include_defaults"] {
            if self.flag(key)? == Some(true) {
                return Err(IndexError::unsupported(format!("the parameter [{key}]")));
            }
        }
        let found = self.resolve(pattern)?;
        let settings = found.iter().map(|shard| (shard.name.to_string(), settings_of(shard)));
        Ok(Answer::ok(Value::Object(settings.collect())))
    }

    pub(super) fn aliases(&self, pattern: &str, alias: &str) -> Result<Answer, IndexError> {
        self.only(&[])?;
        let own = self.index.alias();
        let is_asked = alias.split(',').any(|alias| alias == "_all" || names::matches(alias, own));
        let mut found = Map::new();
        for shard in self.resolve(pattern)? {
            let has = is_asked && names::is_daily(own, &shard.name);
            if has || alias == "*" {
                let aliases = if has { json!({own: {}}) } else { json!({}) };
                found.insert(shard.name.to_string(), json!({"aliases": aliases}));
            }
        }
        if found.is_empty() && alias != "*" {
            let error = format!("alias [{alias}] missing");
            return Ok(Answer::Json(404, json!({"error": error, "status": 404})));
        }
        Ok(Answer::ok(Value::Object(found)))
    }

    pub(super) async fn field_caps(&self, pattern: &str) -> Result<Answer, IndexError> {
        self.only(&["fields", "include_unmapped"])?;
        if self.flag("include_unmapped")? == Some(true) {
            return Err(IndexError::unsupported("[include_unmapped]"));
        }
        let body = self.request()?;
        if let Some(key) = body.keys().find(|key| *key != "fields") {
            return Err(IndexError::unsupported(format!("[{key}] in [_field_caps]")));
        }
        let asked: Vec<String> = match (self.param("fields"), body.get("fields")) {
            (Some(fields), _) => fields.split(',').map(str::to_owned).collect(),
            (None, Some(Value::String(field))) => vec![field.clone()],
            (None, Some(Value::Array(fields))) => {
                fields.iter().filter_map(|field| field.as_str().map(str::to_owned)).collect()
            }
            _ => return Err(IndexError::illegal("no fields specified")),
        };
        let found = self.resolve(pattern)?;
        let names: Vec<String> = found.iter().map(|shard| shard.name.to_string()).collect();
        let fields = self
            .index
            .blocking(move |_| {
                let mut all: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
                for shard in &found {
                    for (name, kind) in mapping::fields(shard)? {
                        if asked.iter().any(|pattern| names::matches(pattern, &name)) {
                            all.entry(name).or_default().entry(kind).or_insert_with(|| {
                                json!({"type": kind, "metadata_field": false, "searchable": true,
                                       "aggregatable": true})
                            });
                        }
                    }
                }
                Ok(all)
            })
            .await?;
        Ok(Answer::ok(json!({"indices": names, "fields": fields})))
    }

    /// What an index, or each of several, is.
    pub(super) async fn describe(&self, pattern: &str) -> Result<Answer, IndexError> {
        self.only(&["features", "flat_settings", "include_defaults"])?;
        let own = self.index.alias().to_owned();
        let found = self.resolve(pattern)?;
        let is_pattern = pattern.contains('*') || pattern == own;
        if found.is_empty() && !is_pattern {
            return Err(IndexError::IndexNotFound { index: pattern.to_owned() });
        }
        let described = self
            .index
            .blocking(move |_| {
                let one = |shard: &Arc<Shard>| {
                    let aliases = if names::is_daily(&own, &shard.name) {
                        json!({&own: {}})
                    } else {
                        json!({})
                    };
                    let mut body = settings_of(shard);
                    body["aliases"] = aliases;
                    body["mappings"] = mapping::of(shard)?;
                    Ok((shard.name.to_string(), body))
                };
                found.iter().map(one).collect::<Result<Map<_, _>, IndexError>>()
            })
            .await?;
        Ok(Answer::ok(Value::Object(described)))
    }

    /// Creates an index; all have the same settings and mapping, so that it takes none.
    pub(super) async fn create_index(&self, name: &str) -> Result<Answer, IndexError> {
        self.only(&[])?;
        if let Some(key) = self.request()?.keys().next() {
            return Err(IndexError::unsupported(format!("[{key}] of a new index")));
        }
        if name == self.index.alias() {
            return Err(IndexError::IndexName {
                index: name.to_owned(),
                reason: "already exists as alias",
            });
        }
        self.index.create(name).await?;
        let answer = json!({"acknowledged": true, "shards_acknowledged": true, "index": name});
        Ok(Answer::ok(answer))
    }

    pub(super) async fn delete_index(&self, name: &str) -> Result<Answer, IndexError> {
        self.only(&[])?;
        // Part by part, as names are resolved: an empty one stands for all indices.
        let is_exact = |part: &str| {
            !part.is_empty()
                && !part.starts_with('_')
                && !part.contains('*')
                && part != self.index.alias()
        };
        if !name.split(',').map(str::trim).all(is_exact) {
            return Err(IndexError::illegal("deleting needs the exact names of indices"));
        }
        let names = self.resolve(name)?;
        self.index.remove(names.iter().map(|shard| Arc::clone(&shard.name)).collect()).await?;
        Ok(Answer::ok(json!({"acknowledged": true})))
    }
}

fn settings_of(shard: &Shard) -> Value {
    json!({"settings": {"index": {
        "number_of_shards": "1", "number_of_replicas": "0", "provided_name": *shard.name,
        "max_result_window": MAX_RESULT_WINDOW.to_string()
    }}})
}
