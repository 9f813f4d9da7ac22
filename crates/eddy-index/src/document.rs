//! A document on its way into an index: its source as it came, and its values as the engine keeps
//! them.

use std::borrow::Borrow;
use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use eddy_record::{ScoredRecord, Value as Cell};
use serde_json::{Map, Value};

use crate::fields::{CREATED, FieldKind, SCORE, is_valid_name, kind, path};
use crate::limits::{
    MAX_DOCUMENT_DEPTH, MAX_DOCUMENT_VALUES, MAX_FIELD_NAME_BYTES, MAX_ID_BYTES, MAX_KEYWORD_BYTES,
};
use crate::row_layout::RowLayout;
use crate::{IndexError, dates};

/// A document that fits the index.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) texts: Texts,
    pub(crate) created_ms: Option<i64>,
    pub(crate) score: Option<f64>,
    // The engine's paths of the fields, by the numbers that `values` has.
    pub(crate) paths: Arc<[Box<str>]>,
    pub(crate) values: Vec<(usize, Kept)>,
}

/// A value of a dynamic field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kept {
    /// Where in the document's texts.
    Text(Range<usize>),
    Number(f64),
    Boolean(bool),
}

impl Kept {
    /// Whether it is in the inverted index.
    pub(crate) fn is_keyword(&self) -> bool {
        !matches!(self, Self::Number(_))
    }
}

/// An id, the source that is stored under it and the texts among its values, in one allocation: many
/// small ones, made by one thread and freed by another, cost more than what is in them. Compared by
/// id.
#[derive(Clone, Debug)]
pub(crate) struct Texts {
    all: Arc<str>,
    id_end: usize,
    source_end: usize,
}

impl Texts {
    /// An id without a source.
    pub(crate) fn of_id(id: &str) -> Self {
        Self { all: id.into(), id_end: id.len(), source_end: id.len() }
    }

    pub(crate) fn id(&self) -> &str {
        &self.all[..self.id_end]
    }

    pub(crate) fn source(&self) -> &str {
        &self.all[self.id_end..self.source_end]
    }

    pub(crate) fn value(&self, range: &Range<usize>) -> &str {
        &self.all[range.clone()]
    }

    pub(crate) fn n_bytes(&self) -> usize {
        self.all.len()
    }
}

impl Borrow<str> for Texts {
    fn borrow(&self) -> &str {
        self.id()
    }
}

impl Hash for Texts {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl PartialEq for Texts {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Texts {}

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
        let mut fields = Fields::new(id, source);
        fields.object("", &object, 1)?;
        Ok(fields.finish(id.len(), id.len() + source.len()))
    }

    /// Takes a scored row, whose source is its JSON. `text` is scratch.
    ///
    /// # Errors
    /// A value does not fit the index.
    pub(crate) fn from_row(
        row: &ScoredRecord,
        layout: &mut RowLayout,
        text: &mut Vec<u8>,
    ) -> Result<Self, IndexError> {
        layout.fit(&row.schema);
        text.clear();
        text.extend_from_slice(row.id.as_str().as_bytes());
        let id_end = text.len();
        layout.json.write(row, text);
        let source_end = text.len();
        let mut values = Vec::with_capacity(row.values.len());
        let mut score = None;
        // What JSON cells hold has names of its own.
        let mut nested: Option<Fields> = None;
        for (column_idx, cell) in row.values.iter().enumerate() {
            let Some(kind) = layout.kinds.get(column_idx) else { break };
            let mut keep_text = |kept: &str, values: &mut Vec<(usize, Kept)>| {
                if kept.len() <= MAX_KEYWORD_BYTES {
                    let from = text.len();
                    text.extend_from_slice(kept.as_bytes());
                    values.push((column_idx, Kept::Text(from..text.len())));
                }
            };
            match (cell, kind) {
                (Cell::Null, _) | (Cell::TimestampMs(_), FieldKind::Date) => {}
                (Cell::Double(number), FieldKind::Score) => score = Some(*number),
                (Cell::Integer(_) | Cell::Decimal(_), FieldKind::Score) => score = cell.as_f64(),
                (Cell::Text(kept), FieldKind::Dynamic) => keep_text(kept, &mut values),
                (Cell::TimestampMs(ms), FieldKind::Dynamic) => {
                    keep_text(&dates::format_ms(*ms), &mut values);
                }
                (Cell::Boolean(value), FieldKind::Dynamic) => {
                    values.push((column_idx, Kept::Boolean(*value)));
                }
                (Cell::Json(json), FieldKind::Dynamic) => {
                    let name = &row.schema.columns[column_idx].name;
                    let value: Value = serde_json::from_str(json).map_err(|error| {
                        IndexError::document(format!("failed to parse field [{name}]: {error}"))
                    })?;
                    nested.get_or_insert_with(|| Fields::new("", "")).value(name, &value, 1)?;
                }
                (cell, FieldKind::Dynamic) if cell.as_f64().is_some() => {
                    values.push((column_idx, Kept::Number(cell.as_f64().unwrap_or_default())));
                }
                _ => {
                    return Err(IndexError::document(format!(
                        "failed to parse field [{}]: the type does not fit",
                        row.schema.columns[column_idx].name
                    )));
                }
            }
        }
        if row.created_ms.checked_mul(1_000_000).is_none() {
            return Err(IndexError::document("failed to parse field [created]: out of range"));
        }
        let mut paths = Arc::clone(&layout.paths);
        if let Some(nested) = nested {
            let (first_path, first_byte) = (paths.len(), text.len());
            text.extend_from_slice(nested.text.as_bytes());
            paths = paths.iter().cloned().chain(nested.paths).collect();
            values.extend(nested.values.into_iter().map(|(path_idx, kept)| {
                let kept = match kept {
                    Kept::Text(at) => Kept::Text(at.start + first_byte..at.end + first_byte),
                    other => other,
                };
                (path_idx + first_path, kept)
            }));
        }
        check_n_values(values.len())?;
        let all = std::str::from_utf8(text)
            .map_err(|error| IndexError::document(error.to_string()))?
            .into();
        let texts = Texts { all, id_end, source_end };
        Ok(Self { texts, created_ms: Some(row.created_ms), score, paths, values })
    }
}

fn check_n_values(n_values: usize) -> Result<(), IndexError> {
    if n_values > MAX_DOCUMENT_VALUES {
        return Err(IndexError::document(format!(
            "the document has more than {MAX_DOCUMENT_VALUES} values"
        )));
    }
    Ok(())
}

/// The fields of a JSON object as they are found.
struct Fields {
    // Id and source, then the texts among the values.
    text: String,
    created_ms: Option<i64>,
    score: Option<f64>,
    paths: Vec<Box<str>>,
    values: Vec<(usize, Kept)>,
}

impl Fields {
    fn new(id: &str, source: &str) -> Self {
        let text = [id, source].concat();
        Self { text, created_ms: None, score: None, paths: Vec::new(), values: Vec::new() }
    }

    fn finish(self, id_end: usize, source_end: usize) -> Document {
        Document {
            texts: Texts { all: self.text.into(), id_end, source_end },
            created_ms: self.created_ms,
            score: self.score,
            paths: self.paths.into(),
            values: self.values,
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
            (_, Value::Bool(value)) => self.keep(name, Kept::Boolean(*value)),
            (_, Value::Number(number)) => {
                let number = number.as_f64().ok_or_else(|| unfit("double"))?;
                self.keep(name, Kept::Number(number))
            }
            (_, Value::String(text)) => self.text(name, text),
            (_, Value::Object(object)) => self.object(name, object, depth + 1),
            (_, Value::Array(values)) => {
                if depth > MAX_DOCUMENT_DEPTH {
                    return Err(unfit("array of limited depth"));
                }
                values.iter().try_for_each(|value| self.value(name, value, depth + 1))
            }
        }
    }

    fn text(&mut self, name: &str, text: &str) -> Result<(), IndexError> {
        if text.len() > MAX_KEYWORD_BYTES {
            return Ok(());
        }
        let from = self.text.len();
        self.text.push_str(text);
        self.keep(name, Kept::Text(from..self.text.len()))
    }

    fn keep(&mut self, name: &str, kept: Kept) -> Result<(), IndexError> {
        check_n_values(self.values.len() + 1)?;
        // The values of an array come one behind the other.
        let path = path(name);
        if self.paths.last().is_none_or(|last| **last != *path) {
            self.paths.push(path.into());
        }
        self.values.push((self.paths.len() - 1, kept));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_keeps_its_source_to_the_byte() {
        let source = r#"{ "b" : 1.50, "a":[ "x", {"c":null} ] }"#;
        let document = Document::parse("1", source).expect("fits");
        assert_eq!((document.texts.id(), document.texts.source()), ("1", source));
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
