//! Aggregations that make buckets: their requests read, their buckets printed.

use serde_json::{Map, Value, json};

use crate::aggs::{Kind, field, whole};
use crate::calendar::{Calendar, CalendarUnit};
use crate::date_format::DateFormat;
use crate::dates::{self, Rounding};
use crate::fields::{FieldKind, column, kind};
use crate::limits::MAX_BUCKETS;
use crate::query::{QueryParser, known, object, utc_only};
use crate::{IndexError, filters};

/// A kind, and the engine's request where it has one.
pub(crate) type Parsed = Result<(Kind, Value), IndexError>;

/// Copies what is there.
pub(crate) fn copy(from: &Map<String, Value>, keys: &[&str], into: &mut Map<String, Value>) {
    for key in keys {
        if let Some(value) = from.get(*key) {
            into.insert((*key).to_owned(), value.clone());
        }
    }
}

pub(crate) fn date_histogram(body: &Value, now_ms: i64) -> Parsed {
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
    let format = match body.get("format") {
        None => DateFormat::Iso,
        Some(Value::String(format)) => DateFormat::parse(format)?,
        Some(_) => return Err(IndexError::parsing("[format] must be a string")),
    };
    let mut engine = Map::new();
    let mut bounds = Map::new();
    for key in ["extended_bounds", "hard_bounds"] {
        let Some(value) = body.get(key) else { continue };
        let value = known(value, key, &["min", "max"])?;
        let bound = |end: &str| {
            value
                .get(end)
                .and_then(|value| dates::from_query(value, now_ms, Rounding::Down))
                .ok_or_else(|| IndexError::parsing(format!("[{key}] needs the date [{end}]")))
        };
        let (min, max) = (bound("min")?, bound("max")?);
        if min > max {
            return Err(IndexError::illegal(format!("[{key}] end before they start")));
        }
        bounds.insert(key.to_owned(), json!({"min": min, "max": max}));
    }
    let is_fixed = body.contains_key("fixed_interval");
    let (fixed, week_offset_ms) = match interval {
        fixed if is_fixed => (fixed, 0),
        "second" | "1s" => ("1s", 0),
        "minute" | "1m" => ("1m", 0),
        "hour" | "1h" => ("1h", 0),
        "day" | "1d" => ("1d", 0),
        // The epoch began on a Thursday, weeks begin on Mondays.
        "week" | "1w" => ("7d", 4 * 86_400_000),
        calendar => match CalendarUnit::parse(calendar) {
            Some(unit) => {
                if body.contains_key("offset") || body.contains_key("hard_bounds") {
                    return Err(IndexError::unsupported(format!(
                        "[offset] or [hard_bounds] with calendar_interval [{calendar}]"
                    )));
                }
                let min_doc_count = match body.get("min_doc_count") {
                    None => 0,
                    Some(count) => count.as_u64().ok_or_else(|| {
                        IndexError::illegal(format!("[min_doc_count] cannot be [{count}]"))
                    })?,
                };
                let bounds = bounds
                    .get("extended_bounds")
                    .and_then(|bounds| Some((bounds["min"].as_i64()?, bounds["max"].as_i64()?)));
                let column = column(field);
                let calendar = Calendar { column, unit, format, min_doc_count, bounds };
                return Ok((Kind::Calendar(calendar), Value::Null));
            }
            // The legacy `interval` takes fixed ones too.
            None if body.contains_key("interval") => (calendar, 0),
            None => {
                return Err(IndexError::illegal(format!(
                    "The supplied interval [{calendar}] could not be parsed as a calendar interval."
                )));
            }
        },
    };
    let interval_ms = span_ms(fixed).filter(|ms| *ms > 0).ok_or_else(|| {
        IndexError::parsing(format!("[{name}] cannot have interval [{interval}]"))
    })?;
    let offset_ms = match body.get("offset") {
        None => 0,
        Some(offset) => offset.as_str().and_then(signed_span_ms).ok_or_else(|| {
            IndexError::parsing(format!("[{name}] cannot have offset [{offset}]"))
        })?,
    };
    let offset_ms = offset_ms.saturating_add(week_offset_ms).rem_euclid(interval_ms);
    engine.insert("field".to_owned(), json!(column(field)));
    engine.insert("fixed_interval".to_owned(), json!(format!("{interval_ms}ms")));
    if offset_ms > 0 {
        engine.insert("offset".to_owned(), json!(format!("{offset_ms}ms")));
    }
    copy(body, &["min_doc_count"], &mut engine);
    for (key, value) in bounds {
        let ends = value["max"].as_i64().zip(value["min"].as_i64());
        // The engine makes these buckets before it counts them.
        let n_buckets = ends.map_or(0, |(max, min)| max.saturating_sub(min) / interval_ms);
        if key == "extended_bounds" && n_buckets > i64::from(MAX_BUCKETS) {
            return Err(too_many_buckets());
        }
        engine.insert(key, value);
    }
    Ok((Kind::DateHistogram { format }, json!({name: engine})))
}

/// The refusal of too many buckets.
pub(crate) fn too_many_buckets() -> IndexError {
    IndexError::illegal(format!(
        "Trying to create too many buckets. Must be less than or equal to: [{MAX_BUCKETS}]"
    ))
}

/// A span such as `15m`, in milliseconds.
pub(crate) fn span_ms(text: &str) -> Option<i64> {
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

fn signed_span_ms(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(span) => span_ms(span).map(|ms| -ms),
        None => span_ms(text.strip_prefix('+').unwrap_or(text)),
    }
}

pub(crate) fn histogram(body: &Value) -> Parsed {
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
        if n_buckets.is_none_or(|n_buckets| n_buckets > f64::from(MAX_BUCKETS)) {
            return Err(IndexError::illegal("[extended_bounds] make too many buckets"));
        }
    }
    let mut engine = Map::new();
    engine.insert("field".to_owned(), json!(column(field)));
    copy(body, &keys[1..], &mut engine);
    Ok((Kind::Histogram, json!({name: engine})))
}

/// A range of numbers that was asked for.
pub(crate) struct Range {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) key: Option<String>,
}

pub(crate) fn range(body: &Value, queries: &mut QueryParser) -> Parsed {
    let name = "range";
    let body = known(body, name, &["field", "ranges", "keyed"])?;
    let field = field(body, name)?;
    if kind(field) == FieldKind::Date {
        return Err(IndexError::unsupported("[range] on a date: use [date_range]"));
    }
    let keyed = keyed_flag(body, name)?;
    let mut ranges = Vec::new();
    for range in ranges_of(body, name)? {
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
        ranges.push(Range { from, to, key: key_of(range)? });
    }
    ranges
        .sort_by(|left, right| left.from.total_cmp(&right.from).then(left.to.total_cmp(&right.to)));
    if ranges.windows(2).any(|pair| pair[0].to > pair[1].from || pair[0].from == pair[1].from) {
        return filters::overlapping(field, &ranges, keyed, queries);
    }
    let list: Vec<Value> = ranges
        .iter()
        .map(|range| {
            let mut engine = Map::new();
            if range.from.is_finite() {
                engine.insert("from".to_owned(), json!(range.from));
            }
            if range.to.is_finite() {
                engine.insert("to".to_owned(), json!(range.to));
            }
            engine.extend(range.key.as_ref().map(|key| ("key".to_owned(), json!(key))));
            Value::Object(engine)
        })
        .collect();
    let engine = json!({name: {"field": column(field), "ranges": list}});
    let asked = ranges.iter().map(|range| (range.from, range.to)).collect();
    Ok((Kind::Range { asked, keyed }, engine))
}

pub(crate) fn keyed_flag(body: &Map<String, Value>, name: &str) -> Result<bool, IndexError> {
    match body.get("keyed") {
        None => Ok(false),
        Some(Value::Bool(keyed)) => Ok(*keyed),
        Some(_) => Err(IndexError::parsing(format!("[keyed] in [{name}] must be a boolean"))),
    }
}

pub(crate) fn ranges_of<'a>(
    body: &'a Map<String, Value>,
    name: &str,
) -> Result<&'a Vec<Value>, IndexError> {
    body.get("ranges")
        .and_then(Value::as_array)
        .filter(|ranges| !ranges.is_empty() && ranges.len() <= 1_000)
        .ok_or_else(|| IndexError::parsing(format!("[{name}] needs [ranges], 1 to 1000")))
}

pub(crate) fn key_of(range: &Map<String, Value>) -> Result<Option<String>, IndexError> {
    match range.get("key") {
        None => Ok(None),
        Some(Value::String(key)) => Ok(Some(key.clone())),
        Some(_) => Err(IndexError::parsing("[key] of a range must be a string")),
    }
}

/// Buckets as an object by their keys.
pub(crate) fn keyed(list: Value) -> Value {
    let Value::Array(list) = list else { return list };
    let named = list.into_iter().filter_map(|mut bucket| {
        let Value::String(key) = bucket.as_object_mut()?.remove("key")? else { return None };
        Some((key, bucket))
    });
    Value::Object(named.collect())
}

pub(crate) fn terms(body: &Value) -> Parsed {
    let name = "terms";
    let keys =
        ["field", "size", "shard_size", "min_doc_count", "order", "missing", "include", "exclude"];
    let body = known(body, name, &keys)?;
    let field = field(body, name)?;
    let size = match body.get("size") {
        None => 10,
        Some(size) => size
            .as_u64()
            .filter(|size| (1..=u64::from(MAX_BUCKETS)).contains(size))
            .ok_or_else(|| IndexError::illegal(format!("[size] of [terms] cannot be [{size}]")))?,
    };
    if body.get("min_doc_count").is_some_and(|count| count == 0) {
        return Err(IndexError::unsupported("[min_doc_count] 0 in [terms]"));
    }
    let mut engine = Map::new();
    engine.insert("field".to_owned(), json!(column(field)));
    engine.insert("size".to_owned(), json!(size));
    copy(body, &["shard_size", "min_doc_count", "missing", "include", "exclude"], &mut engine);
    match body.get("order") {
        None => {}
        Some(Value::Array(list)) if list.len() == 1 => {
            engine.insert("order".to_owned(), list[0].clone());
        }
        Some(Value::Array(_)) => {
            return Err(IndexError::unsupported("[order] by several keys in [terms]"));
        }
        Some(order) => {
            object(order, "order")?;
            engine.insert("order".to_owned(), order.clone());
        }
    }
    let is_date = kind(field) == FieldKind::Date;
    Ok((Kind::Terms { is_date }, json!({name: engine})))
}

pub(crate) fn range_key(from: f64, to: f64) -> String {
    let print = |end: f64| if end.is_finite() { format!("{end:?}") } else { "*".to_owned() };
    format!("{}-{}", print(from), print(to))
}

/// The key of a bucket as Elasticsearch prints it.
pub(crate) fn mend_key(kind: &Kind, bucket: &mut Value) {
    match kind {
        Kind::DateHistogram { format } => {
            if let Some(key) = bucket.get("key").and_then(Value::as_f64) {
                let ms = whole(key);
                bucket["key"] = json!(ms);
                bucket["key_as_string"] = json!(format.print(ms));
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
            let print =
                |end: Option<f64>| end.map_or_else(|| "*".to_owned(), |end| end.to_string());
            let (from, to) = (end("from"), end("to"));
            let plain = format!("{}-{}", print(from), print(to));
            if bucket.get("key").and_then(Value::as_str) == Some(plain.as_str()) {
                let (from, to) = (from.unwrap_or(f64::NEG_INFINITY), to.unwrap_or(f64::INFINITY));
                bucket["key"] = json!(range_key(from, to));
            }
        }
        _ => {}
    }
}
