//! A search: the request parsed whole, every index asked, the answers merged.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use eddy_stream::{Clock, SystemClock};
use serde_json::{Map, Value, json};
use tantivy::aggregation::intermediate_agg_result::IntermediateAggregationResults;
use tantivy::aggregation::{
    AggContextParams, AggregationLimitsGuard, DistributedAggregationCollector,
};
use tantivy::collector::Count;
use tantivy::query::{AllQuery, Query};
use tantivy::tokenizer::TokenizerManager;

use crate::IndexError;
use crate::aggs::{self, Aggregation};
use crate::histogram_guard;
use crate::limits::{
    DEFAULT_TRACK_TOTAL_HITS, MAX_AGGREGATION_BYTES, MAX_BUCKETS, MAX_RESULT_WINDOW,
};
use crate::query::{QueryParser, known};
use crate::sort::{self, Best, SortBy, SortClause, TopHits};
use crate::source::SourceFilter;
use crate::store::{Store, stored};

struct Request {
    query: Box<dyn Query>,
    from: usize,
    size: usize,
    sort: Vec<SortClause>,
    // Whether the request asked for a sort: then hits say what they were sorted by, and no score.
    is_sorted: bool,
    source: SourceFilter,
    track_total_hits: Option<u64>,
    aggs: Vec<Aggregation>,
}

impl Request {
    fn parse(body: &Value) -> Result<Self, IndexError> {
        let empty = json!({});
        let body = if body.is_null() { &empty } else { body };
        let body = known(
            body,
            "search",
            &[
                "query",
                "from",
                "size",
                "sort",
                "_source",
                "track_total_hits",
                "aggs",
                "aggregations",
                "track_scores",
                "timeout",
                "version",
            ],
        )?;
        if body.get("version").is_some_and(|version| version != false) {
            return Err(IndexError::unsupported("[version] in [search]"));
        }
        let number = |key: &str, default: usize| match body.get(key) {
            None => Ok(default),
            Some(value) => value.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(|| {
                IndexError::illegal(format!(
                    "[{key}] parameter cannot be negative, found [{value}]"
                ))
            }),
        };
        let (from, size) = (number("from", 0)?, number("size", 10)?);
        if from.saturating_add(size) > MAX_RESULT_WINDOW {
            return Err(IndexError::illegal(format!(
                "Result window is too large, from + size must be less than or equal to: \
                 [{MAX_RESULT_WINDOW}] but was [{}]",
                from.saturating_add(size)
            )));
        }
        let mut queries = QueryParser::new(SystemClock.now_ms());
        let query = match body.get("query") {
            Some(query) => queries.parse(query)?,
            None => Box::new(AllQuery),
        };
        let sort = body.get("sort").map(sort::parse).transpose()?.unwrap_or_default();
        let track_total_hits = match body.get("track_total_hits") {
            None => Some(DEFAULT_TRACK_TOTAL_HITS),
            Some(Value::Bool(true)) => Some(u64::MAX),
            Some(Value::Bool(false)) => None,
            Some(value) => Some(value.as_u64().ok_or_else(|| {
                IndexError::parsing("[track_total_hits] must be a boolean or a number")
            })?),
        };
        let aggs = match body.get("aggs").or_else(|| body.get("aggregations")) {
            Some(aggs) => aggs::parse(aggs, &mut queries)?,
            None => Vec::new(),
        };
        Ok(Self {
            query,
            from,
            size,
            is_sorted: sort.iter().any(|clause| clause.by != SortBy::Score),
            sort,
            source: SourceFilter::parse(body.get("_source"))?,
            track_total_hits,
            aggs,
        })
    }
}

/// Runs `work` so that a panic in the engine is an error of this request alone.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(IndexError::Internal { reason: "the engine gave this request up".to_owned() })
    })
}

/// Answers a count.
pub(crate) fn count(store: &Store, pattern: &str, body: &Value) -> Result<u64, IndexError> {
    let query = match body {
        Value::Null => None,
        body => known(body, "count", &["query"])?.get("query"),
    };
    let query = match query {
        Some(query) => QueryParser::new(SystemClock.now_ms()).parse(query)?,
        None => Box::new(AllQuery),
    };
    guarded(|| {
        let mut count = 0;
        for shard in store.resolve(pattern)? {
            count += shard.reader.searcher().search(&*query, &Count)? as u64;
        }
        Ok(count)
    })
}

/// Answers a search.
pub(crate) fn search(store: &Store, pattern: &str, body: &Value) -> Result<Value, IndexError> {
    let start = Instant::now();
    let request = Request::parse(body)?;
    let mut answer = guarded(|| run(store, pattern, &request))?;
    let took = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    answer.insert("took".to_owned(), json!(took));
    Ok(Value::Object(answer))
}

fn run(store: &Store, pattern: &str, request: &Request) -> Result<Map<String, Value>, IndexError> {
    let shards = store.resolve(pattern)?;
    let engine_aggs = aggs::to_engine(&request.aggs)?;
    let limits = AggregationLimitsGuard::new(Some(MAX_AGGREGATION_BYTES), Some(MAX_BUCKETS));
    let mut merged: Option<IntermediateAggregationResults> = None;
    let mut total = 0;
    let n_hits = if request.size == 0 { 0 } else { request.from + request.size };
    let mut best: Vec<(usize, Best)> = Vec::new();
    let searchers: Vec<_> = shards.iter().map(|shard| shard.reader.searcher()).collect();
    histogram_guard::check(&request.aggs, &*request.query, &searchers)?;
    for (shard_idx, searcher) in searchers.iter().enumerate() {
        let hits = TopHits { clauses: request.sort.clone(), n_hits };
        let context = AggContextParams::new(limits.clone(), TokenizerManager::default());
        let aggs = (!request.aggs.is_empty())
            .then(|| DistributedAggregationCollector::from_aggs(engine_aggs.clone(), context));
        let ((count, shard_best), fruit) = searcher.search(&*request.query, &(hits, aggs))?;
        total += count;
        best.extend(shard_best.into_iter().map(|hit| (shard_idx, hit)));
        if let Some(fruit) = fruit {
            match &mut merged {
                Some(merged) => merged.merge_fruits(fruit)?,
                None => merged = Some(fruit),
            }
        }
    }
    best.sort_by(|(left_idx, left), (right_idx, right)| {
        sort::compare(&request.sort, &left.values, &right.values)
            .then(left_idx.cmp(right_idx))
            .then(left.address.cmp(&right.address))
    });
    let mut hits = Vec::new();
    for (shard_idx, hit) in best.into_iter().skip(request.from).take(request.size) {
        let (id, source) = stored(&searchers[shard_idx], hit.address)?;
        hits.push(hit_json(request, &shards[shard_idx].name, &id, &source, &hit)?);
    }
    let has_score = !request.is_sorted && !hits.is_empty();
    let mut found = Map::new();
    if let Some(most) = request.track_total_hits {
        let relation = if total > most { "gte" } else { "eq" };
        found.insert("total".to_owned(), json!({"value": total.min(most), "relation": relation}));
    }
    found.insert("max_score".to_owned(), if has_score { json!(1.0) } else { Value::Null });
    found.insert("hits".to_owned(), Value::Array(hits));
    let mut answer = Map::new();
    answer.insert("timed_out".to_owned(), json!(false));
    answer.insert(
        "_shards".to_owned(),
        json!({"total": shards.len(), "successful": shards.len(), "skipped": 0, "failed": 0}),
    );
    answer.insert("hits".to_owned(), Value::Object(found));
    if !request.aggs.is_empty() {
        let results = merged.unwrap_or_default().into_final_result(engine_aggs, limits)?;
        answer.insert("aggregations".to_owned(), aggs::mend(&request.aggs, &results)?);
    }
    Ok(answer)
}

fn hit_json(
    request: &Request,
    index: &Arc<str>,
    id: &str,
    source: &str,
    hit: &Best,
) -> Result<Value, IndexError> {
    let score = if request.is_sorted { Value::Null } else { json!(1.0) };
    let mut json = Map::new();
    json.insert("_index".to_owned(), json!(**index));
    json.insert("_id".to_owned(), json!(id));
    json.insert("_score".to_owned(), score);
    if let Some(source) = request.source.apply(source)? {
        json.insert("_source".to_owned(), source);
    }
    if request.is_sorted {
        let values = request.sort.iter().zip(&hit.values).map(|(clause, value)| match clause.by {
            SortBy::Score => json!(1.0),
            _ => value.to_json(),
        });
        json.insert("sort".to_owned(), values.collect());
    }
    Ok(Value::Object(json))
}
