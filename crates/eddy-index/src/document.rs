//! A document on its way into an index: its source as it came, and its values as the engine keeps
//! them.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use eddy_record::{ScoredRecord, Value as Cell};
use serde_json::{Map, Value};
use tantivy::TantivyDocument;
use tantivy::schema::OwnedValue;

use crate::fields::{CREATED, FIELDS, FieldKind, SCORE, date, is_valid_name, kind, path};
use crate::limits::{
    MAX_DOCUMENT_DEPTH, MAX_DOCUMENT_VALUES, MAX_FIELD_NAME_BYTES, MAX_ID_BYTES, MAX_KEYWORD_BYTES,
};
use crate::{IndexError, dates};

/// A document that fits the index.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) id: Arc<str>,
    pub(crate) source: Arc<str>,
    pub(crate) created_ms: Option<i64>,
    score: Option<f64>,
    values: Vec<(String, OwnedValue)>,
}

/// Refuses ids that Elasticsearch refuses.
pub(crate) fn validate_id(id: &str) -> Result<(), IndexError> {
    if id.is_empty() || id.len() > MAX_ID_BYTES {
        return Err(IndexError::illegal(format!(
            "id must have 1 to {MAX_ID_BYTES} bytes but has {}",
            id.len()
        )));
    }
    Ok(())
}

/// An id for a document that came without: the time, a number within it, and what tells this process
/// from others.
pub(crate) fn fresh_id() -> String {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(()));
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let now_ms = eddy_stream::Clock::now_ms(&eddy_stream::SystemClock);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{now_ms:012x}{number:08x}{:016x}", *PROCESS)
}

impl Document {
    /// Reads a document's source; the text is kept as it is.
    ///
    /// # Errors
    /// The text is not a JSON object, or a field's value does not fit.
    pub(crate) fn parse(id: &str, source: &str) -> Result<Self, IndexError> {
        validate_id(id)?;
        let object: Map<String, Value> = serde_json::from_str(source)
            .map_err(|error| IndexError::document(format!("failed to parse: {error}")))?;
        let mut document = Self::empty(id, source);
        document.object("", &object, 1)?;
        Ok(document)
    }

    /// Takes a scored row; `source` is its JSON.
    ///
    /// # Errors
    /// A value does not fit the index.
    pub(crate) fn from_row(row: &ScoredRecord, source: &str) -> Result<Self, IndexError> {
        let mut document = Self::empty(row.id.as_str(), source);
        for (column, cell) in row.schema.columns.iter().zip(&row.values) {
            let name = &column.name;
            match (cell, kind(name)) {
                (Cell::Null, _) => {}
                (Cell::Double(number), FieldKind::Score) => document.score = Some(*number),
                (Cell::Text(text), FieldKind::Dynamic) => {
                    document.field(name, OwnedValue::Str(text.as_ref().to_owned()))?;
                }
                (Cell::Boolean(value), FieldKind::Dynamic) => {
                    document.field(name, OwnedValue::Bool(*value))?;
                }
                (Cell::TimestampMs(ms), FieldKind::Dynamic) => {
                    document.field(name, OwnedValue::Str(dates::format_ms(*ms)))?;
                }
                (Cell::Json(text), FieldKind::Dynamic) => {
                    let value: Value = serde_json::from_str(text).map_err(|error| {
                        IndexError::document(format!("failed to parse field [{name}]: {error}"))
                    })?;
                    document.value(name, &value, 1)?;
                }
                (cell, FieldKind::Dynamic) if cell.as_f64().is_some() => {
                    document.field(name, OwnedValue::F64(cell.as_f64().unwrap_or_default()))?;
                }
                (Cell::Integer(_) | Cell::Decimal(_), FieldKind::Score) => {
                    document.score = cell.as_f64();
                }
                (Cell::TimestampMs(_), FieldKind::Date) => {}
                _ => {
                    return Err(IndexError::document(format!(
                        "failed to parse field [{name}]: the type does not fit"
                    )));
                }
            }
        }
        if row.created_ms.checked_mul(1_000_000).is_none() {
            return Err(IndexError::document("failed to parse field [created]: out of range"));
        }
        document.created_ms = Some(row.created_ms);
        Ok(document)
    }

    fn empty(id: &str, source: &str) -> Self {
        Self {
            id: id.into(),
            source: source.into(),
            created_ms: None,
            score: None,
            values: Vec::with_capacity(8),
        }
    }

    fn object(
        &mut self,
        prefix: &str,
        object: &Map<String, Value>,
        depth: usize,
    ) -> Result<(), IndexError> {
        if depth > MAX_DOCUMENT_DEPTH {
            return Err(IndexError::document(format!(
                "objects are nested deeper than {MAX_DOCUMENT_DEPTH} levels"
            )));
        }
        for (key, value) in object {
            if prefix.is_empty() {
                self.value(key, value, depth)?;
            } else {
                self.value(&format!("{prefix}.{key}"), value, depth)?;
            }
        }
        Ok(())
    }

    fn value(&mut self, name: &str, value: &Value, depth: usize) -> Result<(), IndexError> {
        if !is_valid_name(name) {
            return Err(IndexError::document("field name cannot be an empty string"));
        }
        if name.len() > MAX_FIELD_NAME_BYTES {
            return Err(IndexError::document(format!(
                "a field's name has at most {MAX_FIELD_NAME_BYTES} bytes"
            )));
        }
        // A dot in a name is an object too.
        if name.split('.').count() > MAX_DOCUMENT_DEPTH {
            return Err(IndexError::document(format!(
                "the field [{name}] is nested deeper than {MAX_DOCUMENT_DEPTH} levels"
            )));
        }
        let unfit = |expected: &str| {
            IndexError::document(format!("failed to parse field [{name}] of type [{expected}]"))
        };
        match (kind(name), value) {
            (_, Value::Null) => Ok(()),
            (FieldKind::Id, _) => Err(IndexError::document(
                "Field [_id] is a metadata field and cannot be added inside a document",
            )),
            (FieldKind::Date, _) if name == CREATED => {
                self.created_ms = Some(dates::from_document(value).ok_or_else(|| unfit("date"))?);
                Ok(())
            }
            (FieldKind::Score, _) if name == SCORE => {
                self.score = Some(value.as_f64().ok_or_else(|| unfit("double"))?);
                Ok(())
            }
            (_, Value::Bool(value)) => self.field(name, OwnedValue::Bool(*value)),
            (_, Value::Number(number)) => {
                let number = number.as_f64().ok_or_else(|| unfit("double"))?;
                self.field(name, OwnedValue::F64(number))
            }
            (_, Value::String(text)) => self.field(name, OwnedValue::Str(text.clone())),
            (_, Value::Object(object)) => self.object(name, object, depth + 1),
            (_, Value::Array(values)) => {
                if depth > MAX_DOCUMENT_DEPTH {
                    return Err(unfit("array of limited depth"));
                }
                values.iter().try_for_each(|value| self.value(name, value, depth + 1))
            }
        }
    }

    fn field(&mut self, name: &str, value: OwnedValue) -> Result<(), IndexError> {
        if matches!(&value, OwnedValue::Str(text) if text.len() > MAX_KEYWORD_BYTES) {
            return Ok(());
        }
        if self.values.len() == MAX_DOCUMENT_VALUES {
            return Err(IndexError::document(format!(
                "the document has more than {MAX_DOCUMENT_VALUES} values"
            )));
        }
        self.values.push((path(name), value));
        Ok(())
    }

    /// The document as the engine takes it.
    pub(crate) fn into_engine(self) -> TantivyDocument {
        let mut document = TantivyDocument::new();
        document.add_text(FIELDS.id, &self.id);
        document.add_text(FIELDS.source, &self.source);
        if let Some(created_ms) = self.created_ms {
            document.add_date(FIELDS.created, date(created_ms));
        }
        if let Some(score) = self.score {
            document.add_f64(FIELDS.score, score);
        }
        let keywords: Vec<_> = self
            .values
            .iter()
            .filter(|(_, value)| !matches!(value, OwnedValue::F64(_)))
            .cloned()
            .collect();
        if !keywords.is_empty() {
            document.add_field_value(FIELDS.keywords, &OwnedValue::Object(keywords));
        }
        if !self.values.is_empty() {
            document.add_field_value(FIELDS.values, &OwnedValue::Object(self.values));
        }
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_keeps_its_source_to_the_byte() {
        let source = r#"{ "b" : 1.50, "a":[ "x", {"c":null} ] }"#;
        let document = Document::parse("1", source).expect("fits");
        assert_eq!(&*document.source, source);
        assert_eq!(document.values.len(), 2);
    }

    #[test]
    fn what_does_not_fit_names_the_field() {
        for (source, part) in [
            (r#"{"created":"soon"}"#, "created"),
            (r#"{"ANOMALY_SCORE":"high"}"#, "ANOMALY_SCORE"),
            (r#"{"_id":1}"#, "_id"),
            (r#"{"":1}"#, "empty"),
            ("[1]", "parse"),
            ("{", "parse"),
        ] {
            let error = Document::parse("1", source).expect_err(source);
            assert!(error.to_string().contains(part), "{source}: {error}");
        }
        let deep = format!("{}1{}", r#"{"a":"#.repeat(30), "}".repeat(30));
        assert!(Document::parse("1", &deep).is_err());
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100), "]".repeat(100));
        assert!(Document::parse("1", &deep).is_err());
        assert!(Document::parse(&"x".repeat(513), "{}").is_err());
    }

    #[test]
    fn dots_in_names_nest_as_objects_do() {
        for (n_dots, fits) in [(MAX_DOCUMENT_DEPTH - 1, true), (MAX_DOCUMENT_DEPTH, false)] {
            let flat = format!(r#"{{"{}a":1}}"#, "a.".repeat(n_dots));
            assert_eq!(Document::parse("1", &flat).is_ok(), fits, "{flat}");
            let mixed = format!(r#"{{"a":{{"{}a":1}}}}"#, "a.".repeat(n_dots - 1));
            assert_eq!(Document::parse("1", &mixed).is_ok(), fits, "{mixed}");
        }
        for (n_bytes, fits) in [(MAX_FIELD_NAME_BYTES, true), (MAX_FIELD_NAME_BYTES + 1, false)] {
            let source = format!(r#"{{"{}":1}}"#, "a".repeat(n_bytes));
            assert_eq!(Document::parse("1", &source).is_ok(), fits, "{n_bytes}");
        }
    }
}
