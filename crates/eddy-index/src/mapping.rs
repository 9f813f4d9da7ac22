//! The mapping that an index shows: the fields that its documents have.

use serde_json::{Map, Value, json};
use tantivy::schema::Type;

use crate::IndexError;
use crate::fields::{CREATED, SCORE};
use crate::store::Shard;

/// The mapping of one index.
pub(crate) fn of(shard: &Shard) -> Result<Value, IndexError> {
    let mut properties = Map::new();
    properties.insert(CREATED.to_owned(), json!({"type": "date"}));
    properties.insert(SCORE.to_owned(), json!({"type": "double"}));
    for field in shard.engine.fields_metadata()? {
        let Some(name) = field.field_name.strip_prefix("values.") else { continue };
        let kind = match field.typ {
            Type::F64 | Type::I64 | Type::U64 => "double",
            Type::Bool => "boolean",
            Type::Str => "keyword",
            _ => continue,
        };
        insert(&mut properties, name, kind);
    }
    Ok(json!({"properties": properties}))
}

fn insert(properties: &mut Map<String, Value>, name: &str, kind: &str) {
    match name.split_once('.') {
        None => {
            properties.entry(name).or_insert_with(|| json!({"type": kind}));
        }
        Some((first, rest)) => {
            let inner = properties.entry(first).or_insert_with(|| json!({}));
            if let Some(inner) = inner.as_object_mut() {
                let inner = inner.entry("properties").or_insert_with(|| json!({}));
                if let Some(inner) = inner.as_object_mut() {
                    insert(inner, rest, kind);
                }
            }
        }
    }
}
