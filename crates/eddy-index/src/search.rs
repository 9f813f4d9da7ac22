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
use tantivy::{DocAddress, Searcher};

use crate::IndexError;
use crate::aggs::{self, Aggregation};
use crate::fetch::FetchedFields;
use crate::fields::CREATED;
use crate::histogram_guard::{self, Extent};
use crate::limits::{
    DEFAULT_TRACK_TOTAL_HITS, MAX_AGGREGATION_BYTES, MAX_BUCKETS, MAX_RESULT_WINDOW,
};
use crate::query::{QueryParser, known};
use crate::sort::{self, SortBy, SortClause, SortValue};
use crate::source::SourceFilter;
use crate::store::{Shard, stored};
use crate::top_hits::{After, Best, Ties, TopHits};
use crate::walk::Snapshot;

/// A search as it was asked for.
pub(crate) struct Request {
    pub(crate) query: Box<dyn Query>,
    from: usize,
    pub(crate) size: usize,
    sort: Vec<SortClause>,
    // Whether the request asked for a sort: then hits say what they were sorted by, and no score.
    is_sorted: bool,
    // Every hit's score is 1.
    has_score: bool,
    search_after: Option<Vec<SortValue>>,
    source: SourceFilter,
    fields: FetchedFields,
    track_total_hits: Option<u64>,
    aggs: Vec<Aggregation>,
}

/// What a pass over indices has found.
pub(crate) struct Collected {
    pub(crate) total: u64,
    /// The best, each with the number of its index.
    pub(crate) hits: Vec<(usize, Best)>,
    pub(crate) aggregations: Option<Value>,
}

impl Request {
    pub(crate) fn parse(body: &Value) -> Result<Self, IndexError> {
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
                "search_after",
                "docvalue_fields",
                "fields",
                "script_fields",
                "track_scores",
                "timeout",
                "version",
                "seq_no_primary_term",
                "explain",
                "profile",
            ],
        )?;
        for key in ["version", "seq_no_primary_term", "explain", "profile", "script_fields"] {
            // Clients send them when they do not want them, too.
            if body.get(key).is_some_and(|value| *value != false && *value != json!({})) {
                return Err(IndexError::unsupported(format!("[{key}] in [search]")));
            }
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
        let search_after =
            body.get("search_after").map(|values| sort::parse_after(&sort, values)).transpose()?;
        if search_after.is_some() && from > 0 {
            return Err(IndexError::illegal(
                "`from` parameter must be set to 0 when `search_after` is used",
            ));
        }
        let mut fields = FetchedFields::default();
        for key in ["docvalue_fields", "fields"] {
            if let Some(list) = body.get(key) {
                fields.add(list, key)?;
            }
        }
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
        let is_sorted = sort.iter().any(|clause| clause.by != SortBy::Score);
        let track_scores = match body.get("track_scores") {
            None => false,
            Some(value) => value
                .as_bool()
                .ok_or_else(|| IndexError::parsing("[track_scores] must be a boolean"))?,
        };
        Ok(Self {
            query,
            from,
            size,
            is_sorted,
            has_score: !is_sorted || track_scores,
            sort,
            search_after,
            fields,
            source: SourceFilter::parse(body.get("_source"))?,
            track_total_hits,
            aggs,
        })
    }

    /// The request of a scroll, which always counts exactly; what has no meaning page by page is
    /// refused.
    pub(crate) fn into_scroll(mut self, body: &Value) -> Result<Self, IndexError> {
        let wrong = if self.from > 0 {
            "using [from] is not allowed in a scroll context"
        } else if self.size == 0 {
            "[size] cannot be [0] in a scroll context"
        } else if self.search_after.is_some() {
            "`search_after` cannot be used in a scroll context"
        } else if body.get("track_total_hits").is_some_and(|value| *value != true) {
            "disabling [track_total_hits] is not allowed in a scroll context"
        } else {
            self.track_total_hits = Some(u64::MAX);
            return Ok(self);
        };
        Err(IndexError::illegal(wrong))
    }

    /// Whether hits come in the order of writing.
    pub(crate) fn is_in_order_of_writing(&self) -> bool {
        self.sort.iter().all(SortClause::is_order_of_writing)
    }

    /// A hit in the order of writing.
    pub(crate) fn unsorted(&self, address: DocAddress) -> Best {
        let values = self.sort.iter().map(|_| SortValue::Number(f64::from(address.doc_id)));
        Best { address, values: values.collect() }
    }
}

/// Runs `work` so that a panic in the engine is an error of this request alone.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(IndexError::Internal { reason: "the engine gave this request up".to_owned() })
    })
}

/// Answers a count.
pub(crate) fn count(shards: &[Arc<Shard>], body: &Value) -> Result<u64, IndexError> {
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
        for shard in shards {
            count += shard.reader.searcher().search(&*query, &Count)? as u64;
        }
        Ok(count)
    })
}

/// Answers a search.
pub(crate) fn search(shards: &[Arc<Shard>], body: &Value) -> Result<Value, IndexError> {
    let start = Instant::now();
    let request = Request::parse(body)?;
    let snapshot = Snapshot::of(shards);
    let mut answer = guarded(|| {
        let n_hits = if request.size == 0 { 0 } else { request.from + request.size };
        let after = |_| {
            let values = request.search_after.clone()?;
            Some(After { values, ties: Ties::Excluded })
        };
        let found = collect(&snapshot, &request, n_hits, true, after)?;
        let hits = found.hits.get(request.from..).unwrap_or_default();
        let mut answer = answer(&snapshot, &request, found.total, hits)?;
        answer.extend(found.aggregations.map(|results| ("aggregations".to_owned(), results)));
        Ok(answer)
    })?;
    let took = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    answer.insert("took".to_owned(), json!(took));
    Ok(Value::Object(answer))
}

/// Counts what the query finds, and collects the best of it, behind `after` of each index where it
/// says something, and, if wanted, the aggregations.
pub(crate) fn collect(
    snapshot: &Snapshot,
    request: &Request,
    n_hits: usize,
    with_aggs: bool,
    after: impl Fn(usize) -> Option<After>,
) -> Result<Collected, IndexError> {
    let with_aggs = with_aggs && !request.aggs.is_empty();
    let searchers: Vec<&Searcher> = snapshot.shards.iter().map(|(_, searcher)| searcher).collect();
    let mut extent = Extent::EMPTY;
    if with_aggs {
        histogram_guard::check(&request.aggs, &*request.query, &searchers)?;
        if request.aggs.iter().any(Aggregation::needs_extent) {
            extent = histogram_guard::found(CREATED, &*request.query, &searchers)?;
        }
    }
    // Its size is bounded, but not small: it is made only where it is wanted.
    let wanted = if with_aggs { request.aggs.as_slice() } else { &[] };
    let engine_aggs = aggs::to_engine(wanted, extent)?;
    let limits = AggregationLimitsGuard::new(Some(MAX_AGGREGATION_BYTES), Some(MAX_BUCKETS));
    let mut merged: Option<IntermediateAggregationResults> = None;
    let mut total = 0;
    let mut hits: Vec<(usize, Best)> = Vec::new();
    for (shard_idx, searcher) in searchers.iter().enumerate() {
        let top = TopHits { clauses: request.sort.clone(), n_hits, after: after(shard_idx) };
        let context = AggContextParams::new(limits.clone(), TokenizerManager::default());
        let aggs = with_aggs
            .then(|| DistributedAggregationCollector::from_aggs(engine_aggs.clone(), context));
        let ((count, best), fruit) = searcher.search(&*request.query, &(top, aggs))?;
        total += count;
        hits.extend(best.into_iter().map(|hit| (shard_idx, hit)));
        if let Some(fruit) = fruit {
            match &mut merged {
                Some(merged) => merged.merge_fruits(fruit)?,
                None => merged = Some(fruit),
            }
        }
    }
    hits.sort_by(|(left_idx, left), (right_idx, right)| {
        sort::compare(&request.sort, &left.values, &right.values)
            .then(left_idx.cmp(right_idx))
            .then(left.address.cmp(&right.address))
    });
    hits.truncate(n_hits);
    let aggregations = if with_aggs {
        let results = merged.unwrap_or_default().into_final_result(engine_aggs, limits)?;
        Some(aggs::mend(&request.aggs, extent, &results)?)
    } else {
        None
    };
    Ok(Collected { total, hits, aggregations })
}

/// The answer that holds these hits.
pub(crate) fn answer(
    snapshot: &Snapshot,
    request: &Request,
    total: u64,
    best: &[(usize, Best)],
) -> Result<Map<String, Value>, IndexError> {
    let mut hits = Vec::with_capacity(best.len());
    for (shard_idx, hit) in best {
        let (name, searcher) = &snapshot.shards[*shard_idx];
        let (id, source) = stored(searcher, hit.address)?;
        hits.push(hit_json(request, name, &id, &source, hit)?);
    }
    let has_score = request.has_score && !hits.is_empty();
    let mut found = Map::new();
    if let Some(most) = request.track_total_hits {
        let relation = if total > most { "gte" } else { "eq" };
        found.insert("total".to_owned(), json!({"value": total.min(most), "relation": relation}));
    }
    found.insert("max_score".to_owned(), if has_score { json!(1.0) } else { Value::Null });
    found.insert("hits".to_owned(), Value::Array(hits));
    let mut answer = Map::new();
    answer.insert("timed_out".to_owned(), json!(false));
    answer.insert("_shards".to_owned(), crate::http::shards(snapshot.shards.len()));
    answer.insert("hits".to_owned(), Value::Object(found));
    Ok(answer)
}

fn hit_json(
    request: &Request,
    index: &Arc<str>,
    id: &str,
    source: &str,
    hit: &Best,
) -> Result<Value, IndexError> {
    let score = if request.has_score { json!(1.0) } else { Value::Null };
    let mut json = Map::new();
    json.insert("_index".to_owned(), json!(**index));
    json.insert("_id".to_owned(), json!(id));
    json.insert("_score".to_owned(), score);
    if let Some(source) = request.source.apply(source)? {
        json.insert("_source".to_owned(), source);
    }
    if let Some(fields) = request.fields.of(source)?.filter(|fields| !fields.is_empty()) {
        json.insert("fields".to_owned(), Value::Object(fields));
    }
    if request.is_sorted {
        let values =
            request.sort.iter().zip(&hit.values).map(|(clause, value)| clause.to_json(value));
        json.insert("sort".to_owned(), values.collect());
    }
    Ok(Value::Object(json))
}
