//! Aggregations: Elasticsearch's requests rewritten for the engine, and its answers mended.
//!
//! The engine speaks Elasticsearch's JSON with gaps: no `calendar_interval`, `format`, `filters` or
//! `date_range`, and keys that print differently. Requests are checked here first, so that nothing is
//! ignored. An aggregation that is made of queries is several of the engine's, a `filter` each; one by
//! months is a range for each month that the query finds something in.

use serde_json::{Map, Value, json};
use tantivy::aggregation::agg_req::Aggregations;
use tantivy::aggregation::agg_result::AggregationResults;

use crate::buckets;
use crate::calendar::Calendar;
use crate::date_format::DateFormat;
use crate::fields::{FieldKind, column, is_valid_name, kind};
use crate::filters::{self, FilterPart};
use crate::histogram_guard::Extent;
use crate::limits::{
    MAX_AGGREGATION_NAME_BYTES, MAX_ENGINE_AGGREGATIONS, MAX_QUERY_DEPTH,
    MAX_REPEATED_AGGREGATION_BYTES,
};
use crate::query::{QueryParser, known, object};
use crate::{IndexError, dates};

/// What is needed of an aggregation to ask the engine and to mend its answer.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    DateHistogram {
        format: DateFormat,
    },
    /// By months, quarters or years.
    Calendar(Calendar),
    Histogram,
    /// With the ranges asked for: the engine answers the gaps between them too.
    Range {
        asked: Vec<(f64, f64)>,
        keyed: bool,
    },
    /// A bucket for each query.
    Filters {
        parts: Vec<FilterPart>,
        shape: Shape,
    },
    Terms {
        is_date: bool,
    },
    Metric {
        is_date: bool,
    },
    Percentiles,
}

/// How the buckets of queries are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The one bucket itself.
    One,
    List,
    Keyed,
}

/// An aggregation as it was asked for.
pub(crate) struct Aggregation {
    name: String,
    kind: Kind,
    // The engine's request, without those below; null where `kind` makes it.
    engine: Value,
    below: Vec<Aggregation>,
}

impl Aggregation {
    pub(crate) fn below(&self) -> &[Aggregation] {
        &self.below
    }

    /// Whether the engine's request depends on the least and the greatest date that are found.
    pub(crate) fn needs_extent(&self) -> bool {
        matches!(self.kind, Kind::Calendar(_)) || self.below.iter().any(Self::needs_extent)
    }

    /// A histogram that shows its empty buckets.
    pub(crate) fn gapless_histogram(&self) -> Option<Gapless<'_>> {
        let body = match self.kind {
            Kind::DateHistogram { .. } => &self.engine["date_histogram"],
            Kind::Histogram => &self.engine["histogram"],
            _ => return None,
        };
        if body["min_doc_count"].as_u64().is_some_and(|least| least > 0) {
            return None;
        }
        let interval = body["interval"].as_f64().or_else(|| {
            #[expect(clippy::cast_precision_loss, reason = "a bound need not be exact")]
            buckets::span_ms(body["fixed_interval"].as_str()?).map(|ms| ms as f64)
        });
        let bounds = |key: &str| Some((body[key]["min"].as_f64()?, body[key]["max"].as_f64()?));
        Some(Gapless {
            column: body["field"].as_str()?,
            interval: interval?,
            extended: bounds("extended_bounds"),
            hard: bounds("hard_bounds"),
        })
    }
}

/// What decides how many buckets a histogram makes; dates and their intervals in milliseconds.
pub(crate) struct Gapless<'a> {
    pub(crate) column: &'a str,
    pub(crate) interval: f64,
    /// There are buckets at least in here.
    pub(crate) extended: Option<(f64, f64)>,
    /// There are none outside of here.
    pub(crate) hard: Option<(f64, f64)>,
}

/// Parses `aggs` of a search.
pub(crate) fn parse(
    aggs: &Value,
    queries: &mut QueryParser,
) -> Result<Vec<Aggregation>, IndexError> {
    level(aggs, queries, 0)
}

/// What the engine's request will be made of: an aggregation below `filters` is in it once for each
/// filter, so that few of them nested would make a request that no memory holds.
#[derive(Default)]
struct Made {
    n_aggregations: usize,
    n_repeated_bytes: usize,
}

impl Made {
    fn add(
        &mut self,
        aggs: &[Aggregation],
        extent: Extent,
        n_copies: usize,
    ) -> Result<(), IndexError> {
        for agg in aggs {
            let (n_parts, n_bytes) = match &agg.kind {
                Kind::Calendar(calendar) => {
                    (1, calendar.engine(extent)?.map_or(0, |body| body.to_string().len()))
                }
                Kind::Filters { parts, .. } => {
                    (parts.len(), parts.iter().map(FilterPart::n_bytes).sum())
                }
                _ => (1, agg.engine.to_string().len()),
            };
            let n_made = n_copies.saturating_mul(n_parts);
            self.n_aggregations = self.n_aggregations.saturating_add(n_made);
            let n_repeated_bytes = (n_copies - 1).saturating_mul(n_bytes);
            self.n_repeated_bytes = self.n_repeated_bytes.saturating_add(n_repeated_bytes);
            if self.n_aggregations > MAX_ENGINE_AGGREGATIONS
                || self.n_repeated_bytes > MAX_REPEATED_AGGREGATION_BYTES
            {
                return Err(IndexError::illegal(format!(
                    "aggregations below filters make more than {MAX_ENGINE_AGGREGATIONS} \
                     aggregations or {MAX_REPEATED_AGGREGATION_BYTES} bytes"
                )));
            }
            self.add(&agg.below, extent, n_made)?;
        }
        Ok(())
    }
}

fn level(
    aggs: &Value,
    queries: &mut QueryParser,
    depth: usize,
) -> Result<Vec<Aggregation>, IndexError> {
    if depth > MAX_QUERY_DEPTH {
        return Err(IndexError::illegal(format!(
            "aggregations are nested deeper than {MAX_QUERY_DEPTH} levels"
        )));
    }
    object(aggs, "aggs")?.iter().map(|(name, body)| one(name, body, queries, depth)).collect()
}

fn one(
    name: &str,
    body: &Value,
    queries: &mut QueryParser,
    depth: usize,
) -> Result<Aggregation, IndexError> {
    if name.is_empty() || name.contains(['[', ']', '>']) {
        return Err(IndexError::illegal(format!(
            "Invalid aggregation name [{name}]. Aggregation names can contain any character except \
             '[', ']', and '>'"
        )));
    }
    if name.len() > MAX_AGGREGATION_NAME_BYTES {
        return Err(IndexError::illegal(format!(
            "an aggregation's name has at most {MAX_AGGREGATION_NAME_BYTES} bytes"
        )));
    }
    let mut below = Vec::new();
    let mut own = None;
    for (key, value) in object(body, name)? {
        match key.as_str() {
            "aggs" | "aggregations" => below = level(value, queries, depth + 1)?,
            "meta" => {
                return Err(IndexError::unsupported(format!("[meta] in aggregation [{name}]")));
            }
            _ if own.is_some() => {
                return Err(IndexError::parsing(format!("aggregation [{name}] has two kinds")));
            }
            _ => own = Some((key.as_str(), value)),
        }
    }
    let (key, body) = own.ok_or_else(|| {
        IndexError::parsing(format!("Missing definition for aggregation [{name}]"))
    })?;
    let (kind, engine) = match key {
        "date_histogram" => buckets::date_histogram(body, queries.now_ms())?,
        "histogram" => buckets::histogram(body)?,
        "range" => buckets::range(body, queries)?,
        "date_range" => filters::date_range(body, queries)?,
        "filter" => filters::filter(body, queries)?,
        "filters" => filters::filters(body, queries)?,
        "missing" => filters::missing(body, queries)?,
        "terms" => buckets::terms(body)?,
        "min" | "max" | "sum" | "avg" | "stats" | "value_count" => metric(key, body)?,
        "extended_stats" => extended_stats(body)?,
        "cardinality" => {
            let body = known(body, key, &["field", "precision_threshold"])?;
            (Kind::Metric { is_date: false }, json!({key: {"field": column(field(body, key)?)}}))
        }
        "percentiles" => percentiles(body)?,
        other => return Err(IndexError::unsupported(format!("aggregation [{other}]"))),
    };
    if !below.is_empty() && matches!(kind, Kind::Metric { .. } | Kind::Percentiles) {
        return Err(IndexError::parsing(format!(
            "Aggregator [{name}] of type [{key}] cannot accept sub-aggregations"
        )));
    }
    Ok(Aggregation { name: name.to_owned(), kind, engine, below })
}

/// The field that an aggregation is about.
pub(crate) fn field<'a>(body: &'a Map<String, Value>, key: &str) -> Result<&'a str, IndexError> {
    let field = body
        .get("field")
        .and_then(Value::as_str)
        .ok_or_else(|| IndexError::parsing(format!("[{key}] needs [field]")))?;
    if !is_valid_name(field) {
        return Err(IndexError::illegal(format!("field name is null or empty: [{field}]")));
    }
    if kind(field) == FieldKind::Id {
        return Err(IndexError::unsupported("an aggregation on [_id]"));
    }
    Ok(field)
}

fn metric(name: &str, body: &Value) -> Result<(Kind, Value), IndexError> {
    let body = known(body, name, &["field"])?;
    let field = field(body, name)?;
    let is_date = kind(field) == FieldKind::Date && matches!(name, "min" | "max");
    if kind(field) == FieldKind::Date && matches!(name, "sum" | "avg" | "stats") {
        return Err(IndexError::unsupported(format!("[{name}] on a date")));
    }
    Ok((Kind::Metric { is_date }, json!({name: {"field": column(field)}})))
}

fn extended_stats(body: &Value) -> Result<(Kind, Value), IndexError> {
    let name = "extended_stats";
    let body = known(body, name, &["field", "sigma"])?;
    let field = field(body, name)?;
    if kind(field) == FieldKind::Date {
        return Err(IndexError::unsupported(format!("[{name}] on a date")));
    }
    let mut engine = json!({"field": column(field)});
    if let Some(sigma) = body.get("sigma") {
        let sigma = number(sigma).filter(|sigma| *sigma >= 0.0);
        engine["sigma"] = json!(sigma.ok_or_else(|| {
            IndexError::illegal("[sigma] must be greater than or equal to 0")
        })?);
    }
    Ok((Kind::Metric { is_date: false }, json!({name: engine})))
}

fn percentiles(body: &Value) -> Result<(Kind, Value), IndexError> {
    let name = "percentiles";
    let body = known(body, name, &["field", "percents", "keyed"])?;
    let field = field(body, name)?;
    if kind(field) == FieldKind::Date {
        return Err(IndexError::unsupported("[percentiles] on a date"));
    }
    let mut engine = Map::new();
    engine.insert("field".to_owned(), json!(column(field)));
    if let Some(percents) = body.get("percents") {
        let percents: Option<Vec<f64>> = percents
            .as_array()
            .filter(|list| list.len() <= 1_000)
            .and_then(|list| list.iter().map(number).collect());
        let percents = percents
            .filter(|list| !list.is_empty() && list.iter().all(|p| (0.0..=100.0).contains(p)));
        engine.insert(
            "percents".to_owned(),
            json!(percents.ok_or_else(|| {
                IndexError::illegal("[percents] must be numbers from 0 to 100")
            })?),
        );
    }
    buckets::copy(body, &["keyed"], &mut engine);
    Ok((Kind::Percentiles, json!({name: engine})))
}

/// A number, also as text, as some clients send it.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|number| number.is_finite())
}

/// The engine's request, for a query that finds dates of that extent.
pub(crate) fn to_engine(aggs: &[Aggregation], extent: Extent) -> Result<Aggregations, IndexError> {
    Made::default().add(aggs, extent, 1)?;
    serde_json::from_value(engine_json(aggs, extent)?)
        .map_err(|error| IndexError::parsing(error.to_string()))
}

fn engine_json(aggs: &[Aggregation], extent: Extent) -> Result<Value, IndexError> {
    let mut all = Map::new();
    for agg in aggs {
        let below = engine_json(&agg.below, extent)?;
        let with_below = |mut body: Value| {
            if !agg.below.is_empty() {
                body["aggs"] = below.clone();
            }
            body
        };
        match &agg.kind {
            Kind::Filters { parts, .. } => {
                for (part_idx, part) in parts.iter().enumerate() {
                    all.insert(part_name(&agg.name, part_idx), with_below(part.engine()));
                }
            }
            Kind::Calendar(calendar) => {
                if let Some(body) = calendar.engine(extent)? {
                    all.insert(agg.name.clone(), with_below(body));
                }
            }
            _ => {
                all.insert(agg.name.clone(), with_below(agg.engine.clone()));
            }
        }
    }
    Ok(Value::Object(all))
}

/// No name that a request gives has this form.
fn part_name(name: &str, part_idx: usize) -> String {
    format!("{name}>{part_idx}")
}

/// The engine's results as Elasticsearch prints them.
pub(crate) fn mend(
    aggs: &[Aggregation],
    extent: Extent,
    results: &AggregationResults,
) -> Result<Value, IndexError> {
    let mut results = serde_json::to_value(results)
        .map_err(|error| IndexError::Internal { reason: error.to_string() })?;
    mend_level(aggs, extent, &mut results);
    Ok(results)
}

fn mend_level(aggs: &[Aggregation], extent: Extent, results: &mut Value) {
    for agg in aggs {
        match &agg.kind {
            Kind::Filters { parts, shape } => {
                let mut made = Vec::with_capacity(parts.len());
                for (part_idx, part) in parts.iter().enumerate() {
                    let name = part_name(&agg.name, part_idx);
                    let found = results.as_object_mut().and_then(|object| object.remove(&name));
                    let mut bucket = found.unwrap_or_else(|| json!({"doc_count": 0}));
                    mend_level(&agg.below, extent, &mut bucket);
                    made.push((part, bucket));
                }
                results[&agg.name] = filters::shaped(made, *shape);
            }
            Kind::Calendar(calendar) => {
                let found = results.get_mut(&agg.name).map(Value::take);
                let mut buckets = calendar.buckets(extent, found);
                for bucket in &mut buckets {
                    mend_level(&agg.below, extent, bucket);
                }
                results[&agg.name] = json!({"buckets": buckets});
            }
            _ => {
                if let Some(result) = results.get_mut(&agg.name) {
                    mend_one(agg, extent, result);
                }
            }
        }
    }
}

fn mend_one(agg: &Aggregation, extent: Extent, result: &mut Value) {
    match &agg.kind {
        Kind::Metric { is_date: true } => {
            // The engine counts nanoseconds.
            if let Some(ns) = result.get("value").and_then(Value::as_f64) {
                let ms = whole(ns / 1e6);
                *result = json!({"value": ms as f64, "value_as_string": dates::format_ms(ms)});
            }
        }
        Kind::Metric { is_date: false } => {
            for key in ["count", "value"] {
                let is_count = key == "count"
                    || agg.engine.get("value_count").is_some()
                    || agg.engine.get("cardinality").is_some();
                if let Some(value) = result.get(key).and_then(Value::as_f64).filter(|_| is_count) {
                    result[key] = json!(whole(value));
                }
            }
        }
        Kind::Percentiles => {}
        kind => {
            if matches!(kind, Kind::Terms { .. })
                && let Some(result) = result.as_object_mut()
            {
                // The engine leaves it out where the order is not by count; it cuts nothing then.
                result.entry("doc_count_error_upper_bound").or_insert_with(|| json!(0));
            }
            if let Some(list) = result.get_mut("buckets").and_then(Value::as_array_mut) {
                if let Kind::Range { asked, .. } = kind {
                    let end = |bucket: &Value, key: &str| bucket.get(key).and_then(Value::as_f64);
                    list.retain(|bucket| {
                        let from = end(bucket, "from").unwrap_or(f64::NEG_INFINITY);
                        let to = end(bucket, "to").unwrap_or(f64::INFINITY);
                        asked.contains(&(from, to))
                    });
                }
                for bucket in list {
                    buckets::mend_key(kind, bucket);
                    mend_level(&agg.below, extent, bucket);
                }
            }
            if let Kind::Range { keyed: true, .. } = kind {
                let list = result["buckets"].take();
                result["buckets"] = buckets::keyed(list);
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "counts and milliseconds are far below 2^53")]
pub(crate) fn whole(value: f64) -> i64 {
    value.round() as i64
}
