//! Aggregations whose buckets are made by queries: `filter`, `filters`, `missing`, `date_range`, and
//! ranges of numbers that overlap.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tantivy::aggregation::bucket::QueryBuilder;
use tantivy::query::Query;
use tantivy::schema::Schema;
use tantivy::tokenizer::TokenizerManager;

use crate::IndexError;
use crate::aggs::{Kind, Shape, field};
use crate::buckets::{Parsed, Range, key_of, keyed_flag, range_key, ranges_of};
use crate::date_format::DateFormat;
use crate::dates::{self, Rounding};
use crate::fields::{FieldKind, kind};
use crate::limits::{MAX_AGGREGATION_NAME_BYTES, MAX_FILTERS};
use crate::query::{QueryParser, known, utc_only};

/// A bucket that a query makes.
#[derive(Clone, Debug)]
pub(crate) struct FilterPart {
    query: Value,
    now_ms: i64,
    key: String,
    // What the bucket says of itself besides its key.
    head: Map<String, Value>,
}

impl FilterPart {
    /// The engine's aggregation.
    pub(crate) fn engine(&self) -> Value {
        json!({"filter": {"type": "eddy_query", "query": self.query, "now_ms": self.now_ms}})
    }

    /// What it takes in the engine's request.
    pub(crate) fn n_bytes(&self) -> usize {
        self.query.to_string().len()
    }
}

/// A query in the form in which the engine takes it inside of an aggregation.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct JsonQuery {
    query: Value,
    now_ms: i64,
}

#[typetag::serde(name = "eddy_query")]
impl QueryBuilder for JsonQuery {
    fn build_query(
        &self,
        _schema: &Schema,
        _tokenizers: &TokenizerManager,
    ) -> tantivy::Result<Box<dyn Query>> {
        QueryParser::new(self.now_ms)
            .parse(&self.query)
            .map_err(|error| tantivy::TantivyError::InvalidArgument(error.reason()))
    }

    fn box_clone(&self) -> Box<dyn QueryBuilder> {
        Box::new(self.clone())
    }
}

/// The engine refuses ranges that overlap: here each is a query.
pub(crate) fn overlapping(
    field: &str,
    ranges: &[Range],
    keyed: bool,
    queries: &mut QueryParser,
) -> Parsed {
    let mut parts = Vec::with_capacity(ranges.len());
    for range in ranges {
        let (mut bounds, mut head) = (Map::new(), Map::new());
        if range.from.is_finite() {
            bounds.insert("gte".to_owned(), json!(range.from));
            head.insert("from".to_owned(), json!(range.from));
        }
        if range.to.is_finite() {
            bounds.insert("lt".to_owned(), json!(range.to));
            head.insert("to".to_owned(), json!(range.to));
        }
        let key = range.key.clone().unwrap_or_else(|| range_key(range.from, range.to));
        parts.push(part(json!({"range": {field: bounds}}), key, head, queries)?);
    }
    filters_kind(parts, if keyed { Shape::Keyed } else { Shape::List })
}

pub(crate) fn date_range(body: &Value, queries: &mut QueryParser) -> Parsed {
    let name = "date_range";
    let body = known(body, name, &["field", "ranges", "keyed", "format", "time_zone"])?;
    let field = field(body, name)?;
    if kind(field) != FieldKind::Date {
        return Err(IndexError::illegal(format!("[{name}] needs a date field, not [{field}]")));
    }
    if let Some(zone) = body.get("time_zone") {
        utc_only(zone)?;
    }
    let format = match body.get("format") {
        None => DateFormat::Iso,
        Some(Value::String(format)) => DateFormat::parse(format)?,
        Some(_) => return Err(IndexError::parsing("[format] must be a string")),
    };
    let keyed = keyed_flag(body, name)?;
    let mut ranges = Vec::new();
    for range in ranges_of(body, name)? {
        let range = known(range, "ranges", &["from", "to", "key"])?;
        let end = |key: &str| match range.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                dates::from_query(value, queries.now_ms(), Rounding::Down).map(Some).ok_or_else(
                    || IndexError::parsing(format!("failed to parse date field [{value}]")),
                )
            }
        };
        ranges.push((end("from")?, end("to")?, key_of(range)?));
    }
    ranges.sort_by_key(|(from, to, _)| (from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX)));
    let mut parts = Vec::with_capacity(ranges.len());
    for (from, to, key) in ranges {
        let (mut bounds, mut head) = (Map::new(), Map::new());
        for (end, name, bound) in [(from, "from", "gte"), (to, "to", "lt")] {
            let Some(ms) = end else { continue };
            bounds.insert(bound.to_owned(), json!(ms));
            #[expect(clippy::cast_precision_loss, reason = "milliseconds are far below 2^53")]
            head.insert(name.to_owned(), json!(ms as f64));
            head.insert(format!("{name}_as_string"), json!(format.print(ms)));
        }
        let print = |end: Option<i64>| end.map_or_else(|| "*".to_owned(), |ms| format.print(ms));
        let key = key.unwrap_or_else(|| format!("{}-{}", print(from), print(to)));
        parts.push(part(json!({"range": {field: bounds}}), key, head, queries)?);
    }
    filters_kind(parts, if keyed { Shape::Keyed } else { Shape::List })
}

pub(crate) fn filter(body: &Value, queries: &mut QueryParser) -> Parsed {
    let part = part(body.clone(), String::new(), Map::new(), queries)?;
    filters_kind(vec![part], Shape::One)
}

pub(crate) fn missing(body: &Value, queries: &mut QueryParser) -> Parsed {
    let body = known(body, "missing", &["field"])?;
    let field = field(body, "missing")?;
    let query = json!({"bool": {"must_not": {"exists": {"field": field}}}});
    let part = part(query, String::new(), Map::new(), queries)?;
    filters_kind(vec![part], Shape::One)
}

pub(crate) fn filters(body: &Value, queries: &mut QueryParser) -> Parsed {
    let name = "filters";
    let body = known(body, name, &["filters", "other_bucket", "other_bucket_key"])?;
    let (named, shape): (Vec<(String, &Value)>, Shape) = match body.get("filters") {
        Some(Value::Object(named)) => {
            (named.iter().map(|(key, query)| (key.clone(), query)).collect(), Shape::Keyed)
        }
        Some(Value::Array(list)) => {
            (list.iter().map(|query| (String::new(), query)).collect(), Shape::List)
        }
        _ => return Err(IndexError::parsing("[filters] needs [filters]")),
    };
    let other = match (body.get("other_bucket_key"), body.get("other_bucket")) {
        (Some(Value::String(key)), _) => Some(key.clone()),
        (None, Some(Value::Bool(true))) => Some("_other_".to_owned()),
        (None, None | Some(Value::Bool(false))) => None,
        _ => return Err(IndexError::parsing("[other_bucket] must be a boolean")),
    };
    let mut parts = Vec::with_capacity(named.len() + 1);
    for (key, query) in &named {
        parts.push(part((*query).clone(), key.clone(), Map::new(), queries)?);
    }
    if let Some(key) = other {
        let none: Vec<&Value> = named.iter().map(|(_, query)| *query).collect();
        let key = if shape == Shape::Keyed { key } else { String::new() };
        parts.push(part(json!({"bool": {"must_not": none}}), key, Map::new(), queries)?);
    }
    if parts.is_empty() {
        return Err(IndexError::parsing("[filters] cannot be empty"));
    }
    filters_kind(parts, shape)
}

fn part(
    query: Value,
    key: String,
    head: Map<String, Value>,
    queries: &mut QueryParser,
) -> Result<FilterPart, IndexError> {
    if key.len() > MAX_AGGREGATION_NAME_BYTES {
        return Err(IndexError::illegal(format!(
            "a bucket's key has at most {MAX_AGGREGATION_NAME_BYTES} bytes"
        )));
    }
    // Refused now, where the whole request still can be.
    queries.parse(&query)?;
    Ok(FilterPart { query, now_ms: queries.now_ms(), key, head })
}

fn filters_kind(parts: Vec<FilterPart>, shape: Shape) -> Parsed {
    if parts.len() > MAX_FILTERS {
        return Err(IndexError::illegal(format!(
            "an aggregation has at most {MAX_FILTERS} filters or date ranges"
        )));
    }
    Ok((Kind::Filters { parts, shape }, Value::Null))
}

/// The buckets of queries in the form that was asked for.
pub(crate) fn shaped(made: Vec<(&FilterPart, Value)>, shape: Shape) -> Value {
    let with_head = |part: &FilterPart, mut bucket: Value| {
        if let Some(bucket) = bucket.as_object_mut() {
            bucket.extend(part.head.clone());
            if shape == Shape::List && !part.key.is_empty() {
                bucket.insert("key".to_owned(), json!(part.key));
            }
        }
        bucket
    };
    match shape {
        Shape::One => made.into_iter().next().map_or(Value::Null, |(_, bucket)| bucket),
        Shape::List => {
            let list: Vec<Value> =
                made.into_iter().map(|(part, bucket)| with_head(part, bucket)).collect();
            json!({"buckets": list})
        }
        Shape::Keyed => {
            let named: Map<String, Value> = made
                .into_iter()
                .map(|(part, bucket)| (part.key.clone(), with_head(part, bucket)))
                .collect();
            json!({"buckets": named})
        }
    }
}
