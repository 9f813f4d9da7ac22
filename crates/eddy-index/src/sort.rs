//! `sort` and `search_after` of a search, and the order of hits.

use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::fields::{FieldKind, is_valid_name, kind};
use crate::limits::MAX_SORT_CLAUSES;
use crate::query::known;
use crate::{IndexError, dates};

/// What a clause sorts by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SortBy {
    /// The order of writing.
    Doc,
    /// The score, which is the same for all.
    Score,
    Field(String),
}

/// One clause of a sort.
#[derive(Clone, Debug)]
pub(crate) struct SortClause {
    pub(crate) by: SortBy,
    pub(crate) descending: bool,
    pub(crate) missing_first: bool,
}

/// A value that a hit was sorted by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SortValue {
    Number(f64),
    DateMs(i64),
    Bool(bool),
    Text(String),
    Missing,
}

impl SortValue {
    fn rank(&self) -> u8 {
        match self {
            Self::Number(_) => 1,
            Self::DateMs(_) => 2,
            Self::Bool(_) => 3,
            Self::Text(_) => 4,
            Self::Missing => 5,
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Number(number) => json!(number),
            Self::DateMs(ms) => json!(ms),
            Self::Bool(value) => json!(value),
            Self::Text(text) => json!(text),
            Self::Missing => Value::Null,
        }
    }
}

/// Parses `sort` of a search.
pub(crate) fn parse(sort: &Value) -> Result<Vec<SortClause>, IndexError> {
    let list = match sort {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut clauses = Vec::with_capacity(list.len());
    for entry in list {
        match entry {
            // Objects have no order here: only beside `_doc`, which can but be the last, there is
            // no doubt.
            Value::Object(object) if object.len() == 2 && object.contains_key("_doc") => {
                for (name, body) in object.iter().filter(|(name, _)| *name != "_doc") {
                    clauses.push(clause(&json!({name: body}))?);
                }
                clauses.push(clause(&json!({"_doc": object["_doc"]}))?);
            }
            entry => clauses.push(clause(entry)?),
        }
    }
    if clauses.len() > MAX_SORT_CLAUSES {
        return Err(IndexError::illegal(format!("more than {MAX_SORT_CLAUSES} sort clauses")));
    }
    Ok(clauses)
}

fn clause(clause: &Value) -> Result<SortClause, IndexError> {
    match clause {
        Value::String(text) => match text.split_once(':') {
            Some((name, order)) => make(name, Some(order), None),
            None => make(text, None, None),
        },
        Value::Object(object) => {
            let mut entries = object.iter();
            let (Some((name, body)), None) = (entries.next(), entries.next()) else {
                return Err(IndexError::parsing("a sort clause needs exactly one field"));
            };
            if let Value::String(order) = body {
                return make(name, Some(order), None);
            }
            let keys = ["order", "missing", "unmapped_type", "format"];
            let body = known(body, "sort", &keys)?;
            if body.contains_key("format") {
                return Err(IndexError::unsupported("[format] in [sort]"));
            }
            let text = |key: &str| match body.get(key) {
                None => Ok(None),
                Some(Value::String(text)) => Ok(Some(text.as_str())),
                Some(other) => Err(IndexError::unsupported(format!("[{key}] {other} in [sort]"))),
            };
            make(name, text("order")?, text("missing")?)
        }
        _ => Err(IndexError::parsing("a sort clause must be a string or an object")),
    }
}

fn make(name: &str, order: Option<&str>, missing: Option<&str>) -> Result<SortClause, IndexError> {
    let by = match name {
        "_doc" | "_shard_doc" => SortBy::Doc,
        "_score" => SortBy::Score,
        _ if kind(name) == FieldKind::Id => return Err(IndexError::unsupported("sort by [_id]")),
        _ if !is_valid_name(name) => return Err(IndexError::illegal("a sort field has no name")),
        _ => SortBy::Field(name.to_owned()),
    };
    let descending = match order {
        None => by == SortBy::Score,
        Some("asc") => false,
        Some("desc") => true,
        Some(other) => return Err(IndexError::illegal(format!("unknown sort order [{other}]"))),
    };
    let missing_first = match missing {
        None | Some("_last") => false,
        Some("_first") => true,
        Some(other) => return Err(IndexError::unsupported(format!("missing [{other}] in [sort]"))),
    };
    Ok(SortClause { by, descending, missing_first })
}

/// Reads `search_after`: a value for each clause.
pub(crate) fn parse_after(
    clauses: &[SortClause],
    values: &Value,
) -> Result<Vec<SortValue>, IndexError> {
    let values =
        values.as_array().ok_or_else(|| IndexError::parsing("[search_after] must be an array"))?;
    if clauses.is_empty() {
        return Err(IndexError::illegal("Sort must contain at least one field."));
    }
    if values.len() != clauses.len() {
        return Err(IndexError::illegal(format!(
            "search_after has {} value(s) but sort has {}.",
            values.len(),
            clauses.len()
        )));
    }
    clauses.iter().zip(values).map(|(clause, value)| clause.after_value(value)).collect()
}

impl SortClause {
    pub(crate) fn is_order_of_writing(&self) -> bool {
        self.by == SortBy::Score || (self.by == SortBy::Doc && !self.descending)
    }

    /// A value of this clause as a hit prints it.
    pub(crate) fn to_json(&self, value: &SortValue) -> Value {
        match (&self.by, value) {
            (SortBy::Score, _) => json!(1.0),
            (_, SortValue::Missing) => self.missing_json(),
            (_, value) => value.to_json(),
        }
    }

    /// What Elasticsearch takes in the place of a missing value: the least or the greatest of the
    /// field's type; where the type is the documents', nothing.
    fn missing_json(&self) -> Value {
        let is_least = self.missing_first != self.descending;
        match &self.by {
            SortBy::Field(field) => match kind(field) {
                FieldKind::Score => json!(if is_least { "-Infinity" } else { "Infinity" }),
                FieldKind::Date => json!(if is_least { i64::MIN } else { i64::MAX }),
                _ => Value::Null,
            },
            _ => Value::Null,
        }
    }

    fn after_value(&self, value: &Value) -> Result<SortValue, IndexError> {
        let unfit = || IndexError::illegal(format!("[search_after] cannot be behind [{value}]"));
        let field = match &self.by {
            SortBy::Field(field) => field,
            SortBy::Score => return Ok(SortValue::Missing),
            SortBy::Doc => return Err(IndexError::unsupported("[search_after] on [_doc]")),
        };
        if *value == self.missing_json() {
            return Ok(SortValue::Missing);
        }
        Ok(match (kind(field), value) {
            (_, Value::Null) => SortValue::Missing,
            (FieldKind::Date, value) => {
                SortValue::DateMs(dates::from_document(value).ok_or_else(unfit)?)
            }
            (_, Value::Number(number)) => SortValue::Number(number.as_f64().ok_or_else(unfit)?),
            (FieldKind::Score, Value::String(text)) => {
                SortValue::Number(text.parse().map_err(|_| unfit())?)
            }
            (FieldKind::Dynamic, Value::Bool(value)) => SortValue::Bool(*value),
            (FieldKind::Dynamic, Value::String(text)) => SortValue::Text(text.clone()),
            _ => return Err(unfit()),
        })
    }

    fn compare(&self, left: &SortValue, right: &SortValue) -> Ordering {
        let missing = |value: &SortValue| *value == SortValue::Missing;
        match (missing(left), missing(right)) {
            (true, true) => return Ordering::Equal,
            (true, false) | (false, true) => {
                let order = missing(left).cmp(&missing(right));
                return if self.missing_first { order.reverse() } else { order };
            }
            _ => {}
        }
        let order = match (left, right) {
            (SortValue::Number(left), SortValue::Number(right)) => left.total_cmp(right),
            (SortValue::DateMs(left), SortValue::DateMs(right)) => left.cmp(right),
            (SortValue::Bool(left), SortValue::Bool(right)) => left.cmp(right),
            (SortValue::Text(left), SortValue::Text(right)) => left.cmp(right),
            _ => left.rank().cmp(&right.rank()),
        };
        if self.descending { order.reverse() } else { order }
    }
}

/// Compares two hits by all clauses.
pub(crate) fn compare(clauses: &[SortClause], left: &[SortValue], right: &[SortValue]) -> Ordering {
    clauses
        .iter()
        .zip(left.iter().zip(right))
        .map(|(clause, (left, right))| clause.compare(left, right))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}
