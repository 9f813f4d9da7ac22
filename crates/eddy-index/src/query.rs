//! Elasticsearch's query JSON as the engine's queries.
//!
//! Every query scores 1: documents are found and sorted by their fields. What is not supported is
//! an error that names it.

use std::ops::Bound;

use serde_json::{Map, Value};
use tantivy::Term;
use tantivy::query::{
    AllQuery, BooleanQuery, ConstScoreQuery, EmptyQuery, ExistsQuery, Occur, Query, RangeQuery,
    TermQuery, TermSetQuery,
};
use tantivy::schema::IndexRecordOption;

use crate::dates::{self, Rounding};
use crate::fields::{
    FieldKind, bool_term, column, date_term, id_term, is_valid_name, keyword_term, kind,
    number_term, only, string_column_term,
};
use crate::limits::{MAX_CLAUSES, MAX_QUERY_DEPTH, MAX_TERMS};
use crate::{IndexError, querystring};

type Parsed = Result<Box<dyn Query>, IndexError>;

/// Parses queries of one request: one `now` for all, and bounds over all.
pub(crate) struct QueryParser {
    now_ms: i64,
    n_clauses: usize,
}

impl QueryParser {
    pub(crate) fn new(now_ms: i64) -> Self {
        Self { now_ms, n_clauses: 0 }
    }

    /// What `now` stands for.
    pub(crate) fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Parses one query object.
    pub(crate) fn parse(&mut self, query: &Value) -> Parsed {
        self.query(query, 0)
    }

    fn query(&mut self, query: &Value, depth: usize) -> Parsed {
        if depth > MAX_QUERY_DEPTH {
            return Err(IndexError::illegal(format!(
                "the query is nested deeper than {MAX_QUERY_DEPTH} levels"
            )));
        }
        self.n_clauses += 1;
        if self.n_clauses > MAX_CLAUSES {
            return Err(IndexError::illegal(format!(
                "the query has more than {MAX_CLAUSES} clauses"
            )));
        }
        let object = object(query, "query")?;
        let mut entries = object.iter();
        let (Some((name, body)), None) = (entries.next(), entries.next()) else {
            return Err(IndexError::parsing("a query needs exactly one field, its kind"));
        };
        match name.as_str() {
            "match_all" => {
                known(body, name, &["boost"])?;
                Ok(Box::new(AllQuery))
            }
            "match_none" => Ok(Box::new(EmptyQuery)),
            "bool" => self.bool(body, depth),
            "constant_score" => {
                let body = known(body, name, &["filter", "boost"])?;
                let filter = body
                    .get("filter")
                    .ok_or_else(|| IndexError::parsing("[constant_score] needs [filter]"))?;
                self.query(filter, depth + 1)
            }
            "term" => {
                let (field, body) = field_of(body, name)?;
                self.equal(field, value_of(body, name, &["value", "boost"])?)
            }
            "match" | "match_phrase" => {
                let (field, body) = field_of(body, name)?;
                if let Some(operator) = body.get("operator").and_then(Value::as_str)
                    && !operator.eq_ignore_ascii_case("or")
                    && !operator.eq_ignore_ascii_case("and")
                {
                    return Err(IndexError::parsing(format!("unknown operator [{operator}]")));
                }
                self.equal(field, value_of(body, name, &["query", "boost", "operator"])?)
            }
            "terms" => self.terms(body),
            "ids" => {
                let body = known(body, name, &["values", "boost"])?;
                let ids = strings(body.get("values"), "[ids] needs [values], an array of strings")?;
                Ok(scored(TermSetQuery::new(ids.iter().map(|id| id_term(id)))))
            }
            "exists" => {
                let body = known(body, name, &["field", "boost"])?;
                let field = body
                    .get("field")
                    .and_then(Value::as_str)
                    .ok_or_else(|| IndexError::parsing("[exists] needs [field]"))?;
                exists(field)
            }
            "range" => {
                let (field, body) = field_of(body, name)?;
                self.range(field, body)
            }
            "prefix" => {
                let (field, body) = field_of(body, name)?;
                let value = value_of(body, name, &["value", "boost"])?;
                let prefix =
                    value.as_str().ok_or_else(|| IndexError::parsing("[prefix] needs a string"))?;
                prefix_query(field, prefix)
            }
            "query_string" => {
                let query = querystring::parse(body, name)?;
                self.query(&query, depth + 1)
            }
            other => Err(IndexError::unsupported(format!("query [{other}]"))),
        }
    }

    fn bool(&mut self, body: &Value, depth: usize) -> Parsed {
        let kinds = ["must", "filter", "should", "must_not", "minimum_should_match", "boost"];
        let body = known(body, "bool", &kinds)?;
        let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        let mut should: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        for name in &kinds[..4] {
            let list = match body.get(*name) {
                None => continue,
                Some(Value::Array(list)) => list.as_slice(),
                Some(one) => std::slice::from_ref(one),
            };
            for clause in list {
                let query = self.query(clause, depth + 1)?;
                match *name {
                    "should" => should.push((Occur::Should, query)),
                    "must_not" => clauses.push((Occur::MustNot, query)),
                    _ => clauses.push((Occur::Must, query)),
                }
            }
        }
        let has_required = clauses.iter().any(|(occur, _)| *occur == Occur::Must);
        let least = match body.get("minimum_should_match") {
            None => usize::from(!has_required),
            Some(value) => value
                .as_u64()
                .or_else(|| value.as_str()?.parse().ok())
                .and_then(|least| usize::try_from(least).ok())
                .ok_or_else(|| {
                    IndexError::unsupported(format!("minimum_should_match [{value}]"))
                })?,
        };
        if !should.is_empty() && least > 0 {
            let query = match least {
                1 => BooleanQuery::new(should),
                least if least > should.len() => BooleanQuery::new(Vec::new()),
                least => BooleanQuery::with_minimum_required_clauses(should, least),
            };
            clauses.push((Occur::Must, Box::new(query)));
        }
        if !clauses.iter().any(|(occur, _)| *occur == Occur::Must) {
            clauses.push((Occur::Must, Box::new(AllQuery)));
        }
        Ok(scored(BooleanQuery::new(clauses)))
    }

    fn terms(&self, body: &Value) -> Parsed {
        let mut body = object(body, "terms")?.clone();
        body.remove("boost");
        let body = Value::Object(body);
        let (field, values) = field_of(&body, "terms")?;
        let values = values
            .as_array()
            .ok_or_else(|| IndexError::unsupported("[terms] other than an array of values"))?;
        if values.len() > MAX_TERMS {
            return Err(IndexError::illegal(format!(
                "the number of terms [{}] is over the maximum of [{MAX_TERMS}]",
                values.len()
            )));
        }
        let (texts, others): (Vec<&Value>, Vec<&Value>) =
            values.iter().partition(|v| v.is_string());
        let mut any: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        if kind(field) == FieldKind::Dynamic || kind(field) == FieldKind::Id {
            let terms = texts.iter().filter_map(|text| text.as_str()).map(|text| {
                if kind(field) == FieldKind::Id { id_term(text) } else { keyword_term(field, text) }
            });
            any.push((Occur::Should, Box::new(TermSetQuery::new(terms))));
        } else {
            for text in texts {
                any.push((Occur::Should, self.equal(field, text)?));
            }
        }
        for value in others {
            any.push((Occur::Should, self.equal(field, value)?));
        }
        if any.is_empty() { Ok(Box::new(EmptyQuery)) } else { Ok(scored(BooleanQuery::new(any))) }
    }

    fn equal(&self, field: &str, value: &Value) -> Parsed {
        valid_field(field)?;
        let unfit = || IndexError::illegal(format!("failed to create query: [{field}] = {value}"));
        let term: Term = match (kind(field), value) {
            (_, Value::Null | Value::Array(_) | Value::Object(_)) => return Err(unfit()),
            (FieldKind::Id, value) => id_term(&text_of(value)),
            (FieldKind::Date, value) => {
                let low =
                    dates::from_query(value, self.now_ms, Rounding::Down).ok_or_else(unfit)?;
                let high = dates::from_query(value, self.now_ms, Rounding::Up).ok_or_else(unfit)?;
                return Ok(scored(RangeQuery::new(
                    Bound::Included(date_term(low)),
                    Bound::Included(date_term(high)),
                )));
            }
            (FieldKind::Score, value) => {
                return number_equal(field, number_of(value).ok_or_else(unfit)?);
            }
            (FieldKind::Dynamic, Value::Number(number)) => {
                return number_equal(field, number.as_f64().ok_or_else(unfit)?);
            }
            (FieldKind::Dynamic, Value::Bool(value)) => bool_term(field, *value),
            (FieldKind::Dynamic, Value::String(text)) => {
                let keyword = keyword_term(field, text);
                let mut any: Vec<(Occur, Box<dyn Query>)> = vec![(Occur::Should, exact(keyword))];
                // The value may have come through text (a URL, a form) while the field is typed.
                if let Some(number) = number_of(value) {
                    any.push((Occur::Should, number_equal(field, number)?));
                }
                if let Ok(value) = text.parse::<bool>() {
                    any.push((Occur::Should, exact(bool_term(field, value))));
                }
                return Ok(scored(BooleanQuery::new(any)));
            }
        };
        Ok(scored(TermQuery::new(term, IndexRecordOption::Basic)))
    }

    fn range(&self, field: &str, body: &Value) -> Parsed {
        valid_field(field)?;
        let keys = ["gte", "gt", "lte", "lt", "boost", "format", "time_zone", "relation"];
        let body = known(body, "range", &keys)?;
        if let Some(zone) = body.get("time_zone") {
            utc_only(zone)?;
        }
        if let Some(format) = body.get("format").and_then(Value::as_str)
            && !format.split("||").all(|format| {
                format == "epoch_millis"
                    || format.starts_with("strict_date")
                    || format.starts_with("date_")
            })
        {
            return Err(IndexError::unsupported(format!("date format [{format}] in [range]")));
        }
        if body.contains_key("relation") {
            return Err(IndexError::unsupported("[relation] in [range]"));
        }
        let bound = |key: &str, rounding: Rounding| -> Result<Option<Term>, IndexError> {
            match body.get(key) {
                None | Some(Value::Null) => Ok(None),
                Some(value) => self.range_term(field, value, rounding).map(Some),
            }
        };
        let low = match (bound("gte", Rounding::Down)?, bound("gt", Rounding::Up)?) {
            (Some(_), Some(_)) => return Err(IndexError::parsing("[range] has both gte and gt")),
            (Some(term), None) => Bound::Included(term),
            (None, Some(term)) => Bound::Excluded(term),
            (None, None) => Bound::Unbounded,
        };
        let high = match (bound("lte", Rounding::Up)?, bound("lt", Rounding::Down)?) {
            (Some(_), Some(_)) => return Err(IndexError::parsing("[range] has both lte and lt")),
            (Some(term), None) => Bound::Included(term),
            (None, Some(term)) => Bound::Excluded(term),
            (None, None) => Bound::Unbounded,
        };
        if matches!((&low, &high), (Bound::Unbounded, Bound::Unbounded)) {
            return exists(field);
        }
        Ok(scored(RangeQuery::new(low, high)))
    }

    fn range_term(
        &self,
        field: &str,
        value: &Value,
        rounding: Rounding,
    ) -> Result<Term, IndexError> {
        let unfit =
            || IndexError::parsing(format!("failed to parse [{value}] in a range of [{field}]"));
        match (kind(field), value) {
            (FieldKind::Id, _) => Err(IndexError::unsupported("[range] on [_id]")),
            (FieldKind::Date, value) => {
                dates::from_query(value, self.now_ms, rounding).map(date_term).ok_or_else(unfit)
            }
            (FieldKind::Dynamic, Value::String(text)) => match number_of(value) {
                Some(number) => Ok(number_term(field, number)),
                None => Ok(string_column_term(field, text)),
            },
            (_, value) => {
                number_of(value).map(|number| number_term(field, number)).ok_or_else(unfit)
            }
        }
    }
}

fn scored(query: impl Query + 'static) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(Box::new(query), 1.0))
}

fn exact(term: Term) -> Box<dyn Query> {
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

fn number_equal(field: &str, number: f64) -> Parsed {
    let (low, high) = only(number_term(field, number));
    Ok(scored(RangeQuery::new(low, high)))
}

fn exists(field: &str) -> Parsed {
    valid_field(field)?;
    match kind(field) {
        FieldKind::Id => Ok(Box::new(AllQuery)),
        _ => Ok(scored(ExistsQuery::new(column(field), kind(field) == FieldKind::Dynamic))),
    }
}

/// The strings from the prefix up to the first that no longer has it, by the column's order.
fn prefix_query(field: &str, prefix: &str) -> Parsed {
    valid_field(field)?;
    if kind(field) != FieldKind::Dynamic {
        return Err(IndexError::unsupported(format!("[prefix] on [{field}]")));
    }
    let low = Bound::Included(string_column_term(field, prefix));
    let mut above = prefix.to_owned();
    above.push(char::MAX);
    Ok(scored(RangeQuery::new(low, Bound::Included(string_column_term(field, &above)))))
}

fn valid_field(field: &str) -> Result<(), IndexError> {
    if is_valid_name(field) {
        return Ok(());
    }
    Err(IndexError::illegal(format!("field name is null or empty: [{field}]")))
}

fn number_of(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|number| number.is_finite())
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The one field that a leaf query is about, and what it says of it.
fn field_of<'a>(body: &'a Value, name: &str) -> Result<(&'a str, &'a Value), IndexError> {
    let body = object(body, name)?;
    let mut entries = body.iter();
    match (entries.next(), entries.next()) {
        (Some((field, body)), None) => Ok((field, body)),
        _ => Err(IndexError::parsing(format!("[{name}] query needs exactly one field"))),
    }
}

/// The value of `{"field": value}` or `{"field": {"value": value}}`.
fn value_of<'a>(body: &'a Value, name: &str, keys: &[&str]) -> Result<&'a Value, IndexError> {
    if !body.is_object() {
        return Ok(body);
    }
    known(body, name, keys)?
        .get(keys[0])
        .ok_or_else(|| IndexError::parsing(format!("[{name}] needs [{}]", keys[0])))
}

/// A value that must be an object.
pub(crate) fn object<'a>(
    value: &'a Value,
    name: &str,
) -> Result<&'a Map<String, Value>, IndexError> {
    value.as_object().ok_or_else(|| IndexError::parsing(format!("[{name}] must be an object")))
}

/// An object that has none but these keys.
pub(crate) fn known<'a>(
    value: &'a Value,
    name: &str,
    keys: &[&str],
) -> Result<&'a Map<String, Value>, IndexError> {
    let object = object(value, name)?;
    match object.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => Err(IndexError::unsupported(format!("[{key}] in [{name}]"))),
        None => Ok(object),
    }
}

fn strings(value: Option<&Value>, reason: &str) -> Result<Vec<String>, IndexError> {
    let list = value.and_then(Value::as_array).filter(|list| list.len() <= MAX_TERMS);
    list.and_then(|list| list.iter().map(|v| v.as_str().map(str::to_owned)).collect())
        .ok_or_else(|| IndexError::parsing(reason))
}

/// Time zones other than UTC are an error.
pub(crate) fn utc_only(zone: &Value) -> Result<(), IndexError> {
    match zone.as_str() {
        Some("UTC" | "utc" | "Z" | "+00:00" | "Etc/UTC" | "GMT") => Ok(()),
        _ => Err(IndexError::unsupported(format!("time_zone [{zone}]"))),
    }
}
