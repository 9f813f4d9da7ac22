//! The mapping that an index shows: the fields that its documents have.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tantivy::schema::Type;

use crate::IndexError;
use crate::fields::{CREATED, SCORE, name_of_column};
use crate::limits::MAX_DOCUMENT_DEPTH;
use crate::store::Shard;

/// The fields of one index by their names, each with its type; where documents disagree, the first
/// type in the order of numbers, booleans, keywords.
pub(crate) fn fields(shard: &Shard) -> Result<BTreeMap<String, &'static str>, IndexError> {
    let mut fields = BTreeMap::new();
    fields.insert(CREATED.to_owned(), "date");
    fields.insert(SCORE.to_owned(), "double");
    for field in shard.engine.fields_metadata()? {
        let Some(name) = name_of_column(&field.field_name) else { continue };
        let kind = match field.typ {
            Type::F64 | Type::I64 | Type::U64 => "double",
            Type::Bool => "boolean",
            Type::Str => "keyword",
            _ => continue,
        };
        let rank =
            |kind: &str| ["date", "double", "boolean", "keyword"].iter().position(|k| *k == kind);
        let found = fields.entry(name).or_insert(kind);
        if rank(kind) < rank(found) {
            *found = kind;
        }
    }
    Ok(fields)
}

/// The mapping of one index.
pub(crate) fn of(shard: &Shard) -> Result<Value, IndexError> {
    let mut properties = Map::new();
    for (name, kind) in fields(shard)? {
        insert(&mut properties, &name, kind, 1);
    }
    Ok(json!({"properties": properties}))
}

/// Folders may hold names with more dots than documents may have now: what lies deeper stays one
/// name.
fn insert(properties: &mut Map<String, Value>, name: &str, kind: &str, depth: usize) {
    match name.split_once('.').filter(|_| depth < MAX_DOCUMENT_DEPTH) {
        None => {
            properties.entry(name).or_insert_with(|| json!({"type": kind}));
        }
        Some((first, rest)) => {
            let inner = properties.entry(first).or_insert_with(|| json!({}));
            if let Some(inner) = inner.as_object_mut() {
                let inner = inner.entry("properties").or_insert_with(|| json!({}));
                if let Some(inner) = inner.as_object_mut() {
                    insert(inner, rest, kind, depth + 1);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_very_many_dots_makes_a_mapping_of_bounded_depth() {
        let mut properties = Map::new();
        insert(&mut properties, &vec!["a"; 100].join("."), "double", 1);
        let (mut at, mut depth) = (Value::Object(properties), 0);
        while let Some(inner) = at.get_mut("a").and_then(|inner| inner.get_mut("properties")) {
            (at, depth) = (inner.take(), depth + 1);
        }
        assert_eq!(depth, MAX_DOCUMENT_DEPTH - 1);
        let rest = vec!["a"; 100 - depth].join(".");
        assert_eq!(at, json!({rest: {"type": "double"}}));
    }
}
