//! Which part of a document's source an answer holds.

use serde_json::{Map, Value};

use crate::query::known;
use crate::{IndexError, names};

/// `_source` of a search.
pub(crate) struct SourceFilter {
    none: bool,
    includes: Vec<String>,
    excludes: Vec<String>,
}

impl SourceFilter {
    pub(crate) fn parse(value: Option<&Value>) -> Result<Self, IndexError> {
        let mut filter = Self { none: false, includes: Vec::new(), excludes: Vec::new() };
        match value {
            None | Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => filter.none = true,
            Some(Value::Object(_)) => {
                let body = known(
                    value.unwrap_or(&Value::Null),
                    "_source",
                    &["includes", "include", "excludes", "exclude"],
                )?;
                for (key, value) in body {
                    let patterns = patterns(value)?;
                    if key.starts_with('i') {
                        filter.includes.extend(patterns);
                    } else {
                        filter.excludes.extend(patterns);
                    }
                }
            }
            Some(value) => filter.includes = patterns(value)?,
        }
        Ok(filter)
    }

    /// The filtered source; none where the request wants none.
    pub(crate) fn apply(&self, source: &str) -> Result<Option<Value>, IndexError> {
        if self.none {
            return Ok(None);
        }
        let source: Value = serde_json::from_str(source).map_err(|error| IndexError::Internal {
            reason: format!("a source is not JSON: {error}"),
        })?;
        match source {
            Value::Object(object) if !(self.includes.is_empty() && self.excludes.is_empty()) => {
                Ok(Some(Value::Object(self.object("", object))))
            }
            source => Ok(Some(source)),
        }
    }

    fn object(&self, prefix: &str, object: Map<String, Value>) -> Map<String, Value> {
        let mut kept = Map::new();
        for (key, value) in object {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            let fits = |patterns: &[String]| patterns.iter().any(|pattern| covers(pattern, &path));
            if fits(&self.excludes) {
                continue;
            }
            let included = self.includes.is_empty() || fits(&self.includes);
            match value {
                Value::Object(inner) => {
                    let was_empty = inner.is_empty();
                    let inner = self.object(&path, inner);
                    if !inner.is_empty() || (included && was_empty) {
                        kept.insert(key, Value::Object(inner));
                    }
                }
                value if included => {
                    kept.insert(key, value);
                }
                _ => {}
            }
        }
        kept
    }
}

/// Whether the pattern names the path or one of the objects above it.
fn covers(pattern: &str, path: &str) -> bool {
    names::matches(pattern, path)
        || path.match_indices('.').any(|(at, _)| names::matches(pattern, &path[..at]))
}

fn patterns(value: &Value) -> Result<Vec<String>, IndexError> {
    let list = match value {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    list.iter()
        .map(|pattern| pattern.as_str().map(str::to_owned))
        .collect::<Option<_>>()
        .ok_or_else(|| IndexError::parsing("[_source] needs names of fields"))
}
