//! Whether the index that the next rows go to can take them.

use eddy_record::{Schema, SqlType};
use serde_json::Value;

/// Types of fields that take no text, whatever it says: texts may be numbers, points or binary.
const NOT_TEXT: &[&str] = &["object", "nested", "flattened", "flat_object", "alias"];
/// Types of fields that hold no plain value.
const NOT_SCALAR: &[&str] = &[
    "object",
    "nested",
    "flattened",
    "flat_object",
    "boolean",
    "geo_point",
    "geo_shape",
    "point",
    "shape",
    "alias",
    "join",
    "binary",
    "dense_vector",
    "knn_vector",
    "percolator",
    "rank_feature",
];
/// Types that take numbers and no text that is a time.
const NUMERIC: &[&str] = &[
    "long",
    "integer",
    "short",
    "byte",
    "unsigned_long",
    "double",
    "float",
    "half_float",
    "scaled_float",
    "boolean",
];

/// Whether a service that denies a signed request says that it does not know who asks. Other words
/// deny to look, and to write may be allowed.
pub(super) fn names_credentials(answer: &str) -> bool {
    let answer = answer.to_lowercase();
    ["signature", "security token", "credential should be"].iter().any(|it| answer.contains(it))
}

/// The first column that the mapping of an index refuses whatever its value, with the reason.
/// Columns of which only some values are refused are left to the rows.
pub(super) fn conflict(mappings: &Value, schema: &Schema) -> Option<String> {
    let is_strict = mappings["dynamic"] == "strict";
    schema.columns.iter().find_map(|column| {
        let name = &column.name;
        let field = &mappings["properties"][name];
        if field.is_null() {
            // A name with dots is a path.
            let unknown = is_strict && !name.contains('.');
            return unknown.then(|| format!("it is strict and has no field {name}"));
        }
        // A field with fields of its own is an object without saying so.
        let kind = field["type"].as_str().unwrap_or("object");
        let fits = match column.sql_type {
            SqlType::Json => ["object", "nested", "flattened", "flat_object"].contains(&kind),
            SqlType::Boolean => {
                kind == "boolean" || !NOT_SCALAR.contains(&kind) && !NUMERIC.contains(&kind)
            }
            SqlType::Varchar { .. } => !NOT_TEXT.contains(&kind),
            SqlType::Timestamp => !NOT_SCALAR.contains(&kind) && !NUMERIC.contains(&kind),
            _ => !NOT_SCALAR.contains(&kind),
        };
        (!fits)
            .then(|| format!("its field {name} is of type {kind}, the column {}", column.sql_type))
    })
}

#[cfg(test)]
mod tests {
    use eddy_record::{Column, RecordFormat};
    use serde_json::json;

    use super::*;

    #[test]
    fn only_words_about_signature_or_token_are_about_the_credentials() {
        for (answer, expected) in [
            ("The security token included in the request is invalid.", true),
            ("Signature expired: 20261128T000000Z is now earlier than 20261128T001000Z", true),
            ("Credential should be scoped to a valid region.", true),
            ("User: arn:aws:iam::1:role/r is not authorized to perform: es:ESHttpGet", false),
            ("no permissions for [indices:admin/mappings/get] and User [name=writer]", false),
            ("<html>403 Forbidden</html>", false),
        ] {
            assert_eq!(names_credentials(answer), expected, "{answer}");
        }
    }

    #[test]
    fn only_what_refuses_every_value_is_a_conflict() {
        let column =
            |sql_type| Column { name: "c".to_owned(), sql_type, mapping: None, nullable: true };
        let text = SqlType::Varchar { max_chars: 9 };
        for (sql_type, field, conflicts) in [
            (text, json!({"type": "keyword"}), false),
            // Texts may be numbers, and numbers may be small.
            (text, json!({"type": "long"}), false),
            (SqlType::Integer, json!({"type": "byte"}), false),
            (text, json!({"properties": {"x": {"type": "long"}}}), true),
            (text, json!({"type": "boolean"}), false),
            (text, json!({"type": "geo_point"}), false),
            (text, json!({"type": "alias", "path": "x"}), true),
            (SqlType::Double, json!({"type": "boolean"}), true),
            (SqlType::Double, json!({"type": "double"}), false),
            (SqlType::Timestamp, json!({"type": "date"}), false),
            (SqlType::Timestamp, json!({"type": "long"}), true),
            (SqlType::Boolean, json!({"type": "boolean"}), false),
            (SqlType::Boolean, json!({"type": "double"}), true),
            (SqlType::Json, json!({"type": "keyword"}), true),
            (SqlType::Json, json!({"properties": {}}), false),
        ] {
            let schema = Schema { columns: vec![column(sql_type)], format: RecordFormat::json() };
            let mappings = json!({"properties": {"c": field}});
            assert_eq!(conflict(&mappings, &schema).is_some(), conflicts, "{sql_type} {field}");
        }
        let schema = Schema { columns: vec![column(text)], format: RecordFormat::json() };
        let strict = json!({"dynamic": "strict", "properties": {}});
        assert!(conflict(&strict, &schema).is_some());
        assert_eq!(conflict(&json!({}), &schema), None);
    }
}
