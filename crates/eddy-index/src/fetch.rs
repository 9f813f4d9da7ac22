//! What a hit holds besides its source: `docvalue_fields` and `fields`, taken from the source.

use serde_json::{Map, Value};

use crate::date_format::DateFormat;
use crate::fields::{FieldKind, kind};
use crate::query::known;
use crate::{IndexError, dates, names};

/// Fields that a search asks for.
#[derive(Default)]
pub(crate) struct FetchedFields(Vec<(String, DateFormat)>);

impl FetchedFields {
    /// Adds the list of `docvalue_fields` or `fields`.
    pub(crate) fn add(&mut self, list: &Value, key: &str) -> Result<(), IndexError> {
        let wrong = || IndexError::parsing(format!("[{key}] must be an array of fields"));
        for entry in list.as_array().ok_or_else(wrong)? {
            let (field, format) = match entry {
                Value::String(field) => (field.as_str(), None),
                entry => {
                    let entry = known(entry, key, &["field", "format"])?;
                    let field = entry.get("field").and_then(Value::as_str).ok_or_else(wrong)?;
                    (field, entry.get("format").and_then(Value::as_str))
                }
            };
            let format = format.map_or(Ok(DateFormat::Iso), DateFormat::parse)?;
            self.0.push((field.to_owned(), format));
        }
        Ok(())
    }

    /// The values of a source, each field's as an array; none where no field is asked for.
    pub(crate) fn of(&self, source: &str) -> Result<Option<Map<String, Value>>, IndexError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let source: Value = serde_json::from_str(source).map_err(|error| IndexError::Internal {
            reason: format!("a source is not JSON: {error}"),
        })?;
        let mut all = Map::new();
        flatten("", &source, &mut all);
        let mut found = Map::new();
        for (name, values) in all {
            let asked = self.0.iter().find(|(pattern, _)| names::matches(pattern, &name));
            let Some((_, format)) = asked else { continue };
            let Value::Array(mut values) = values else { continue };
            if kind(&name) == FieldKind::Date {
                for value in &mut values {
                    if let Some(ms) = dates::from_document(value) {
                        *value = Value::String(format.print(ms));
                    }
                }
            }
            found.insert(name, Value::Array(values));
        }
        Ok(Some(found))
    }
}

fn flatten(name: &str, value: &Value, into: &mut Map<String, Value>) {
    match value {
        Value::Null => {}
        Value::Object(object) => {
            for (key, value) in object {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(&name, value, into);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| flatten(name, value, into)),
        value => {
            let values = into.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(values) = values {
                values.push(value.clone());
            }
        }
    }
}
