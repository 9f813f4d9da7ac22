//! Aggregations: Elasticsearch's requests rewritten for the engine, and its answers mended.
//!
//! The engine speaks Elasticsearch's JSON with gaps: no `calendar_interval`, `format` or `filters`
//! and keys that print differently. Requests are checked here first, so that nothing is ignored.

use serde_json::{Map, Value, json};
use tantivy::aggregation::agg_req::Aggregations;
use tantivy::aggregation::agg_result::AggregationResults;

use crate::IndexError;
use crate::dates::{self, Rounding};
use crate::fields::{FieldKind, column, is_valid_name, kind};
use crate::limits::MAX_QUERY_DEPTH;
use crate::query::{QueryParser, known, object, utc_only};

/// What is needed of an aggregation to mend its answer.
#[derive(Clone, Debug, PartialEq)]
enum Kind {
    DateHistogram {
        epoch_millis: bool,
    },
    Histogram,
    /// With the ranges asked for: the engine answers the gaps between them too.
    Range {
        asked: Vec<(f64, f64)>,
    },
    Terms {
        is_date: bool,
    },
    Metric {
        is_date: bool,
    },
    Percentiles,
}

/// An aggregation as it was asked for.
pub(crate) struct Aggregation {
    name: String,
    kind: Kind,
    // The engine's request, without those below.
    engine: Value,
    below: Vec<Aggregation>,
}

impl Aggregation {
    pub(crate) fn below(&self) -> &[Aggregation] {
        &self.below
    }

    /// The column and the interval (dates: milliseconds) of a histogram that shows its empty
    /// buckets.
    pub(crate) fn gapless_histogram(&self) -> Option<(&str, f64)> {
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
            span_ms(body["fixed_interval"].as_str()?).map(|ms| ms as f64)
        });
        Some((body["field"].as_str()?, interval?))
    }
}

/// Parses `aggs` of a search.
pub(crate) fn parse(
    aggs: &Value,
    queries: &mut QueryParser,
) -> Result<Vec<Aggregation>, IndexError> {
    level(aggs, queries, 0)
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
    let mut below = Vec::new();
    let mut own = None;
    for (key, value) in object(body, name)? {
        match key.as_str() {
            "aggs" | "aggregations" => below = level(value, queries, depth + 1)?,
            // Clients keep notes there; it has no effect on the answer's numbers.
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
        "date_histogram" => date_histogram(body)?,
        "histogram" => histogram(body)?,
        "range" => range(body)?,
        "terms" => terms(body)?,
        "min" | "max" | "sum" | "avg" | "stats" | "value_count" => metric(key, body)?,
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

fn field<'a>(body: &'a Map<String, Value>, key: &str) -> Result<&'a str, IndexError> {
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

fn copy(from: &Map<String, Value>, keys: &[&str], into: &mut Map<String, Value>) {
    for key in keys {
        if let Some(value) = from.get(*key) {
            into.insert((*key).to_owned(), value.clone());
        }
    }
}

fn date_histogram(body: &Value) -> Result<(Kind, Value), IndexError> {
    let name = "date_histogram";
    let keys = [
        "field",
        "fixed_interval",
        "calendar_interval",
        "interval",
        "format",
        "time_zone",
        "offset",
        "min_doc_count",
        "extended_bounds",
        "hard_bounds",
    ];
    let body = known(body, name, &keys)?;
    let field = field(body, name)?;
    if kind(field) != FieldKind::Date {
        return Err(IndexError::illegal(format!("[{name}] needs a date field, not [{field}]")));
    }
    if let Some(zone) = body.get("time_zone") {
        utc_only(zone)?;
    }
    let given: Vec<&str> = ["fixed_interval", "calendar_interval", "interval"]
        .into_iter()
        .filter_map(|key| body.get(key).and_then(Value::as_str))
        .collect();
    let [interval] = given[..] else {
        return Err(IndexError::parsing(format!("[{name}] needs exactly one interval")));
    };
    let fixed = if body.contains_key("fixed_interval") { interval } else { calendar(interval)? };
    let interval_ms = span_ms(fixed).filter(|ms| *ms > 0).ok_or_else(|| {
        IndexError::parsing(format!("[{name}] cannot have interval [{interval}]"))
    })?;
    let epoch_millis = match body.get("format").and_then(Value::as_str) {
        Some("epoch_millis") => true,
        None | Some("strict_date_optional_time" | "date_optional_time" | "strict_date_time") => {
            false
        }
        Some(format) => return Err(IndexError::unsupported(format!("date format [{format}]"))),
    };
    let mut engine = Map::new();
    engine.insert("field".to_owned(), json!(column(field)));
    engine.insert("fixed_interval".to_owned(), json!(format!("{interval_ms}ms")));
    copy(body, &["min_doc_count", "offset"], &mut engine);
    let now_ms = eddy_stream::Clock::now_ms(&eddy_stream::SystemClock);
    for key in ["extended_bounds", "hard_bounds"] {
        let Some(bounds) = body.get(key) else { continue };
        let bounds = known(bounds, key, &["min", "max"])?;
        let bound = |end: &str, rounding| {
            bounds
                .get(end)
                .and_then(|value| dates::from_query(value, now_ms, rounding))
                .ok_or_else(|| IndexError::parsing(format!("[{key}] needs the date [{end}]")))
        };
        let (min, max) = (bound("min", Rounding::Down)?, bound("max", Rounding::Up)?);
        // The engine makes these buckets before it counts them.
        let n_buckets = max.saturating_sub(min) / interval_ms;
        if key == "extended_bounds" && n_buckets > i64::from(crate::limits::MAX_BUCKETS) {
            return Err(IndexError::illegal(format!(
                "Trying to create too many buckets. Must be less than or equal to: [{}]",
                crate::limits::MAX_BUCKETS
            )));
        }
        engine.insert(key.to_owned(), json!({"min": min, "max": max}));
    }
    Ok((Kind::DateHistogram { epoch_millis }, json!({"date_histogram": engine})))
}

/// Calendar units that are fixed in UTC.
fn calendar(interval: &str) -> Result<&str, IndexError> {
    match interval {
        "second" => Ok("1s"),
        "minute" => Ok("1m"),
        "hour" => Ok("1h"),
        "day" => Ok("1d"),
        "week" | "1w" | "month" | "1M" | "quarter" | "1q" | "year" | "1y" => {
            Err(IndexError::unsupported(format!("calendar_interval [{interval}]")))
        }
        fixed => Ok(fixed),
    }
}

fn span_ms(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit_ms = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let ms = text[..digits].parse::<i64>().ok()?.checked_mul(unit_ms)?;
    ms.checked_mul(1_000_000).map(|_| ms)
}

fn histogram(body: &Value) -> Result<(Kind, Value), IndexError> {
    let name = "histogram";
    let keys = ["field", "interval", "offset", "min_doc_count", "extended_bounds", "hard_bounds"];
    let body = known(body, name, &keys)?;
    let field = field(body, name)?;
    if kind(field) == FieldKind::Date {
        return Err(IndexError::unsupported("[histogram] on a date: use [date_histogram]"));
    }
    let interval = body.get("interval").and_then(Value::as_f64).filter(|interval| *interval > 0.0);
    let interval =
        interval.ok_or_else(|| IndexError::parsing("[interval] must be >0 for [histogram]"))?;
    if let Some(bounds) = body.get("extended_bounds") {
        let end = |key| bounds.get(key).and_then(Value::as_f64);
        let n_buckets = end("max").zip(end("min")).map(|(max, min)| (max - min) / interval);
        if n_buckets.is_none_or(|n_buckets| n_buckets > f64::from(crate::limits::MAX_BUCKETS)) {
            return Err(IndexError::illegal("[extended_bounds] make too many buckets"));
        }
    }
    let mut engine = Map::new();
    engine.insert("field".to_owned(), json!(column(field)));
    copy(body, &keys[1..], &mut engine);
    Ok((Kind::Histogram, json!({name: engine})))
}

fn range(body: &Value) -> Result<(Kind, Value), IndexError> {
    let name = "range";
    let body = known(body, name, &["field", "ranges", "keyed"])?;
    let field = field(body, name)?;
    if kind(field) == FieldKind::Date {
        return Err(IndexError::unsupported("[range] on a date"));
    }
    if body.get("keyed").is_some_and(|keyed| keyed != false) {
        return Err(IndexError::unsupported("[keyed] in [range]"));
    }
    let ranges = body
        .get("ranges")
        .and_then(Value::as_array)
        .filter(|ranges| !ranges.is_empty() && ranges.len() <= 1_000)
        .ok_or_else(|| IndexError::parsing("[range] needs [ranges]"))?;
    let mut ends = Vec::with_capacity(ranges.len());
    for range in ranges {
        let range = known(range, "ranges", &["from", "to", "key"])?;
        let end = |key: &str, open: f64| match range.get(key) {
            None | Some(Value::Null) => Ok(open),
            Some(value) => value
                .as_f64()
                .ok_or_else(|| IndexError::parsing(format!("[{key}] of a range must be a number"))),
        };
        let (from, to) = (end("from", f64::NEG_INFINITY)?, end("to", f64::INFINITY)?);
        if from > to {
            return Err(IndexError::illegal("a range ends before it starts"));
        }
        ends.push((from, to));
    }
    ends.sort_by(|left, right| left.0.total_cmp(&right.0));
    if ends.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        return Err(IndexError::unsupported("overlapping ranges in [range]"));
    }
    let engine = json!({name: {"field": column(field), "ranges": ranges}});
    Ok((Kind::Range { asked: ends }, engine))
}

fn terms(body: &Value) -> Result<(Kind, Value), IndexError> {
    let name = "terms";
    let keys =
        ["field", "size", "shard_size", "min_doc_count", "order", "missing", "include", "exclude"];
    let body = known(body, name, &keys)?;
    let field = field(body, name)?;
    let size = match body.get("size") {
        None => 10,
        Some(size) => size
            .as_u64()
            .filter(|size| (1..=u64::from(crate::limits::MAX_BUCKETS)).contains(size))
            .ok_or_else(|| IndexError::illegal(format!("[size] of [terms] cannot be [{size}]")))?,
    };
    if body.get("min_doc_count").is_some_and(|count| count == 0) {
        return Err(IndexError::unsupported("[min_doc_count] 0 in [terms]"));
    }
    let mut engine = Map::new();
    engine.insert("field".to_owned(), json!(column(field)));
    engine.insert("size".to_owned(), json!(size));
    copy(body, &keys[2..], &mut engine);
    let is_date = kind(field) == FieldKind::Date;
    Ok((Kind::Terms { is_date }, json!({name: engine})))
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

fn percentiles(body: &Value) -> Result<(Kind, Value), IndexError> {
    let name = "percentiles";
    let body = known(body, name, &["field", "percents", "keyed"])?;
    let field = field(body, name)?;
    if kind(field) == FieldKind::Date {
        return Err(IndexError::unsupported("[percentiles] on a date"));
    }
    let mut engine = Map::new();
    engine.insert("field".to_owned(), json!(column(field)));
    copy(body, &["percents", "keyed"], &mut engine);
    Ok((Kind::Percentiles, json!({name: engine})))
}

/// The engine's request.
pub(crate) fn to_engine(aggs: &[Aggregation]) -> Result<Aggregations, IndexError> {
    serde_json::from_value(engine_json(aggs))
        .map_err(|error| IndexError::parsing(error.to_string()))
}

fn engine_json(aggs: &[Aggregation]) -> Value {
    let all = aggs.iter().map(|agg| {
        let mut body = agg.engine.clone();
        if !agg.below.is_empty() {
            body["aggs"] = engine_json(&agg.below);
        }
        (agg.name.clone(), body)
    });
    Value::Object(all.collect())
}

/// The engine's results as Elasticsearch prints them.
pub(crate) fn mend(
    aggs: &[Aggregation],
    results: &AggregationResults,
) -> Result<Value, IndexError> {
    let mut results = serde_json::to_value(results)
        .map_err(|error| IndexError::Internal { reason: error.to_string() })?;
    mend_level(aggs, &mut results);
    Ok(results)
}

fn mend_level(aggs: &[Aggregation], results: &mut Value) {
    for agg in aggs {
        if let Some(result) = results.get_mut(&agg.name) {
            mend_one(agg, result);
        }
    }
}

fn mend_one(agg: &Aggregation, result: &mut Value) {
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
            if let Some(buckets) = result.get_mut("buckets").and_then(Value::as_array_mut) {
                if let Kind::Range { asked } = kind {
                    let end = |bucket: &Value, key: &str| bucket.get(key).and_then(Value::as_f64);
                    buckets.retain(|bucket| {
                        let from = end(bucket, "from").unwrap_or(f64::NEG_INFINITY);
                        let to = end(bucket, "to").unwrap_or(f64::INFINITY);
                        asked.contains(&(from, to))
                    });
                }
                for bucket in buckets {
                    mend_key(kind, bucket);
                    mend_level(&agg.below, bucket);
                }
            }
        }
    }
}

fn mend_key(kind: &Kind, bucket: &mut Value) {
    match kind {
        Kind::DateHistogram { epoch_millis } => {
            if let Some(key) = bucket.get("key").and_then(Value::as_f64) {
                let ms = whole(key);
                bucket["key"] = json!(ms);
                bucket["key_as_string"] =
                    if *epoch_millis { json!(ms.to_string()) } else { json!(dates::format_ms(ms)) };
            }
        }
        Kind::Terms { is_date: true } => {
            if let Some(text) = bucket.get("key_as_string").or(bucket.get("key")).cloned()
                && let Some(ms) = dates::from_document(&text)
            {
                bucket["key"] = json!(ms);
                bucket["key_as_string"] = json!(dates::format_ms(ms));
            }
        }
        Kind::Range { .. } => {
            // `*-1` becomes `*-1.0`; a key that the request gave stays.
            let end = |key: &str| bucket.get(key).and_then(Value::as_f64);
            let print = |end: Option<f64>, digits: bool| match end {
                None => "*".to_owned(),
                Some(end) if digits => format!("{end:?}"),
                Some(end) => end.to_string(),
            };
            let plain = format!("{}-{}", print(end("from"), false), print(end("to"), false));
            if bucket.get("key").and_then(Value::as_str) == Some(plain.as_str()) {
                let key = format!("{}-{}", print(end("from"), true), print(end("to"), true));
                bucket["key"] = json!(key);
            }
        }
        _ => {}
    }
}

#[expect(clippy::cast_possible_truncation, reason = "counts and milliseconds are far below 2^53")]
fn whole(value: f64) -> i64 {
    value.round() as i64
}
