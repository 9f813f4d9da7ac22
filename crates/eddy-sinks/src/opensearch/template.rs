//! What the installation of a sink sends: an index template and a lifecycle policy.

use eddy_record::{Schema, SqlType};
use serde_json::{Map, Value, json};

use super::{OpenSearchSettings, Rotation};

/// Above the templates that Elasticsearch and OpenSearch bring along, which have 100 at most.
const PRIORITY: u32 = 200;
/// The longest text that a keyword field indexes, in characters: the engine refuses terms of more
/// than 32 766 bytes, and a character takes up to four.
const MAX_KEYWORD_CHARS: u32 = 8191;

/// The names of the indices that the settings make: every rotation goes on with the year. Those of
/// a neighbour, such as `scores-raw` beside `scores`, are not among them.
pub(super) fn pattern(settings: &OpenSearchSettings) -> String {
    match settings.rotation {
        Rotation::NoRotation => settings.index.clone(),
        _ => format!("{}-2*", settings.index),
    }
}

/// The name of template and policy.
pub(super) fn name(settings: &OpenSearchSettings) -> String {
    format!("eddy-{}", settings.index)
}

/// The body of `PUT _index_template/NAME`: one field a column and no others, so that no row widens
/// the mapping.
pub(super) fn index_template(
    settings: &OpenSearchSettings,
    schema: &Schema,
    ilm_policy: Option<&str>,
) -> Value {
    let mut properties = Map::new();
    let mut numbers = Vec::new();
    for column in &schema.columns {
        let field = match column.sql_type {
            SqlType::Varchar { .. } => {
                json!({"type": "keyword", "ignore_above": MAX_KEYWORD_CHARS})
            }
            SqlType::TinyInt | SqlType::SmallInt | SqlType::Integer | SqlType::BigInt => {
                json!({"type": "long"})
            }
            SqlType::Double | SqlType::Float | SqlType::Real | SqlType::Decimal { .. } => {
                json!({"type": "double"})
            }
            SqlType::Boolean => json!({"type": "boolean"}),
            SqlType::Timestamp => json!({"type": "date"}),
            SqlType::Json => {
                // A first whole number would make a field of whole numbers.
                numbers.push(json!({format!("numbers of {}", column.name): {
                    "path_match": format!("{}.*", column.name),
                    "match_mapping_type": "long",
                    "mapping": {"type": "double"},
                }}));
                json!({"type": "object", "dynamic": true})
            }
        };
        properties.insert(column.name.clone(), field);
    }
    let mut index_settings = Map::new();
    if let Some(policy) = ilm_policy {
        index_settings.insert("index.lifecycle.name".to_owned(), policy.into());
    }
    json!({
        "index_patterns": [pattern(settings)],
        "priority": PRIORITY,
        "template": {
            "settings": index_settings,
            "mappings": {
                "dynamic": false,
                "dynamic_templates": numbers,
                "properties": properties,
            },
        },
        "_meta": {"description": "scored rows of Eddy"},
    })
}

/// The body of `PUT _ilm/policy/NAME` of Elasticsearch.
pub(super) fn ilm_policy(retention_days: u32) -> Value {
    json!({"policy": {"phases": {
        "hot": {"actions": {}},
        "delete": {"min_age": format!("{retention_days}d"), "actions": {"delete": {}}},
    }}})
}

/// The body of `PUT _plugins/_ism/policies/NAME` of OpenSearch; it takes charge of new indices by
/// their names.
pub(super) fn ism_policy(settings: &OpenSearchSettings, retention_days: u32) -> Value {
    json!({"policy": {
        "description": format!("Eddy: delete {} after {retention_days} days", pattern(settings)),
        "default_state": "kept",
        "states": [
            {
                "name": "kept",
                "actions": [],
                "transitions": [{
                    "state_name": "deleted",
                    "conditions": {"min_index_age": format!("{retention_days}d")},
                }],
            },
            {"name": "deleted", "actions": [{"delete": {}}], "transitions": []},
        ],
        "ism_template": [{"index_patterns": [pattern(settings)], "priority": PRIORITY}],
    }})
}
