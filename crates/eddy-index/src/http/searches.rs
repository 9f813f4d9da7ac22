//! Paths that search: one search, many, page by page.

use serde_json::{Value, json};

use super::{Answer, Call, error_json, shards};
use crate::limits::{MAX_SEARCHES, MAX_SEARCHES_BYTES};
use crate::query::known;
use crate::{Index, IndexError, search, typed_keys};

/// Parameters that say how a cluster goes about a search.
const HARMLESS: [&str; 6] = [
    // Read where it says something.
    "typed_keys",
    "batched_reduce_size",
    "ccs_minimize_roundtrips",
    "max_concurrent_shard_requests",
    "max_concurrent_searches",
    "allow_partial_search_results",
];

/// What a value takes in memory for each byte of its text: 4 KB for a hit of 290, measured.
const VALUE_BYTES_PER_BYTE: usize = 14;

/// The answer to one of many searches.
struct One {
    text: String,
    // Where it is asked for.
    value: Option<Value>,
}

impl Call<'_> {
    pub(super) async fn search(&self, pattern: &str) -> Result<Answer, IndexError> {
        let mut allowed = vec![
            "q",
            "default_operator",
            "analyze_wildcard",
            "lenient",
            "size",
            "from",
            "sort",
            "_source",
            "_source_includes",
            "_source_excludes",
            "track_total_hits",
            "scroll",
            "search_type",
        ];
        allowed.extend(HARMLESS);
        self.only(&allowed)?;
        check_search_type(self.param("search_type"))?;
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
        if let Some(filter) = self.source_param() {
            body.insert("_source".to_owned(), filter);
        }
        let (found, body) = (self.resolve(pattern)?, Value::Object(body));
        let keep_alive = self.param("scroll").map(str::to_owned);
        let has_typed_keys = self.flag("typed_keys")? == Some(true);
        let answer = self
            .index
            .blocking(move |index| {
                let mut answer = match keep_alive {
                    Some(keep_alive) => index.scrolls().open(&found, &body, &keep_alive)?,
                    None => search::search(&found, &body)?,
                };
                if has_typed_keys {
                    typed_keys::apply(&body, &mut answer);
                }
                Ok(answer)
            })
            .await?;
        Ok(Answer::ok(answer))
    }

    pub(super) async fn count(&self, pattern: &str) -> Result<Answer, IndexError> {
        self.only(&["q", "default_operator", "analyze_wildcard", "lenient"])?;
        let (found, body) = (self.resolve(pattern)?, Value::Object(self.request()?));
        let n_shards = found.len();
        let count = self.index.blocking(move |_| search::count(&found, &body)).await?;
        Ok(Answer::ok(json!({"count": count, "_shards": shards(n_shards)})))
    }

    pub(super) async fn scroll(&self, id: Option<&str>) -> Result<Answer, IndexError> {
        self.only(&["scroll", "scroll_id"])?;
        let body = Value::Object(self.request()?);
        let body = known(&body, "scroll", &["scroll", "scroll_id"])?;
        let of = |key: &str| body.get(key).and_then(Value::as_str).or(self.param(key));
        let id = id.or(of("scroll_id")).map(str::to_owned);
        let id = id.ok_or_else(|| IndexError::illegal("scrollId is missing"))?;
        let keep_alive = of("scroll").map(str::to_owned);
        let answer = self
            .index
            .blocking(move |index| index.scrolls().next(&id, keep_alive.as_deref()))
            .await?;
        Ok(Answer::ok(answer))
    }

    pub(super) fn clear_scroll(&self, id: Option<&str>) -> Result<Answer, IndexError> {
        self.only(&["scroll_id"])?;
        let body = Value::Object(self.request()?);
        let body = known(&body, "scroll", &["scroll_id"])?;
        let ids: Vec<&str> = match (id.or(self.param("scroll_id")), body.get("scroll_id")) {
            (Some(ids), _) => ids.split(',').collect(),
            (None, Some(Value::String(id))) => vec![id],
            (None, Some(Value::Array(ids))) => ids.iter().filter_map(Value::as_str).collect(),
            _ => return Err(IndexError::illegal("no scroll ids specified")),
        };
        let is_all = ids == ["_all"];
        let n_freed = self.index.scrolls().clear(&ids);
        // As in Elasticsearch: none found is a 404, though the contexts are gone either way.
        let status = if n_freed > 0 || is_all { 200 } else { 404 };
        Ok(Answer::Json(status, json!({"succeeded": true, "num_freed": n_freed})))
    }

    pub(super) async fn multi_search(&self, pattern: &str) -> Result<Answer, IndexError> {
        let mut allowed = vec!["search_type"];
        allowed.extend(HARMLESS);
        self.only(&allowed)?;
        check_search_type(self.param("search_type"))?;
        let start = std::time::Instant::now();
        let text = self.body.strip_suffix(b"\n").unwrap_or(&self.body);
        let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        // As values they take many times the bytes that are sent: only for a filter they are kept.
        let is_filtered = self.param("filter_path").is_some();
        let per_byte = if is_filtered { VALUE_BYTES_PER_BYTE } else { 1 };
        let (mut n_responses, mut n_bytes) = (0, 0);
        let (mut values, mut written) = (Vec::new(), String::new());
        while let Some(header) = lines.next() {
            let Some(body) = lines.next() else {
                if header.is_empty() {
                    break;
                }
                return Err(IndexError::parsing("a search of [_msearch] has no body"));
            };
            // An empty header says nothing of its own.
            let header: &[u8] = if header.is_empty() { b"{}" } else { header };
            if n_responses == MAX_SEARCHES {
                return Err(IndexError::illegal(format!(
                    "[_msearch] has more than {MAX_SEARCHES} searches"
                )));
            }
            let answer = if n_bytes > MAX_SEARCHES_BYTES {
                let reason = format!(
                    "the answers of [_msearch] before this one have more than \
                     {MAX_SEARCHES_BYTES} bytes: ask for fewer hits or in several requests"
                );
                Err(IndexError::TooLarge { reason })
            } else {
                self.one_of_many(pattern, header, body, is_filtered).await
            };
            let One { text, value } = answer.unwrap_or_else(|error| {
                let value = error_json(&error);
                One { text: value.to_string(), value: is_filtered.then_some(value) }
            });
            n_responses += 1;
            n_bytes += text.len() * per_byte;
            if is_filtered {
                values.extend(value);
            } else {
                written.push_str(if n_responses > 1 { "," } else { "" });
                written.push_str(&text);
            }
        }
        if n_responses == 0 {
            return Err(IndexError::illegal("no requests added"));
        }
        let took = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(if is_filtered {
            Answer::ok(json!({"took": took, "responses": values}))
        } else {
            Answer::Written(format!("{{\"took\":{took},\"responses\":[{written}]}}"))
        })
    }

    async fn one_of_many(
        &self,
        pattern: &str,
        header: &[u8],
        body: &[u8],
        keeps_value: bool,
    ) -> Result<One, IndexError> {
        let parse = |bytes: &[u8]| -> Result<Value, IndexError> {
            serde_json::from_slice(bytes)
                .map_err(|error| IndexError::parsing(format!("a line is not JSON: {error}")))
        };
        let (header, body) = (parse(header)?, parse(body)?);
        let keys = [
            "index",
            "indices",
            "ignore_unavailable",
            "allow_no_indices",
            "expand_wildcards",
            "search_type",
            "preference",
            "request_cache",
            "max_concurrent_shard_requests",
            "ccs_minimize_roundtrips",
            "allow_partial_search_results",
        ];
        let header = known(&header, "header", &keys)?;
        check_search_type(header.get("search_type").and_then(Value::as_str))?;
        let pattern = match header.get("index").or(header.get("indices")) {
            None | Some(Value::Null) => pattern.to_owned(),
            Some(Value::String(pattern)) => pattern.clone(),
            Some(Value::Array(list)) => {
                let list: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
                list.join(",")
            }
            Some(_) => return Err(IndexError::parsing("[index] must be a string or an array")),
        };
        let lenient = header.get("ignore_unavailable").is_some_and(|value| value == true);
        let found = self.index.store().resolve(&pattern, lenient)?;
        let has_typed_keys = self.flag("typed_keys")? == Some(true);
        let search = move |_: &Index| {
            let mut answer = search::search(&found, &body)?;
            if has_typed_keys {
                typed_keys::apply(&body, &mut answer);
            }
            answer["status"] = json!(200);
            Ok(One { text: answer.to_string(), value: keeps_value.then_some(answer) })
        };
        self.index.blocking(search).await
    }
}

fn check_search_type(search_type: Option<&str>) -> Result<(), IndexError> {
    match search_type {
        None | Some("query_then_fetch" | "dfs_query_then_fetch") => Ok(()),
        Some(other) => Err(IndexError::unsupported(format!("search_type [{other}]"))),
    }
}
