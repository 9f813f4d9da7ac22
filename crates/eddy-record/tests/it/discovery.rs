//! A discovered schema takes the data that it was made from.

use std::sync::Arc;

use eddy_record::{DecodeLimits, Decoder, Schema, SqlType, discover};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Decodes the samples under the schema found in them: how many records and how many errors.
fn decode_own(samples: &[Vec<u8>]) -> Option<(usize, usize, usize, usize)> {
    let found = discover(samples.iter().map(Vec::as_slice)).ok()?;
    let decoder =
        Decoder::new(Arc::new(found.schema), DecodeLimits::default()).expect("a valid schema");
    let mut out = Vec::new();
    samples.iter().for_each(|sample| decoder.decode(sample, &mut out));
    let n_records = out.iter().filter(|record| record.is_ok()).count();
    Some((n_records, found.n_records, out.len() - n_records, found.n_skipped))
}

#[test]
fn the_walkthroughs_readings_give_the_walkthroughs_columns() {
    let samples = [10, 12, 118].map(|n| format!(r#"{{"iotName":"DemoSensor","iotValue":{n}}}"#));
    let found = discover(samples.iter().map(|sample| sample.as_bytes())).expect("a schema");
    let schema: Schema = found.schema;
    let types: Vec<_> = schema.columns.iter().map(|column| column.sql_type).collect();
    assert_eq!(types, [SqlType::Varchar { max_chars: 20 }, SqlType::Integer]);
    let again = Schema::from_input_schema_value(&schema.to_input_schema_json());
    assert_eq!(again.expect("a schema").columns[1].mapping.as_deref(), Some("$.iotValue"));
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "[a-z0-9 .é\"\\\\]{0,6}".prop_map(Value::from),
        Just(json!("1992-02-14 18:35:44.0")),
        Just(json!([1, {"a": 2}])),
    ]
}

fn object() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec!["a", "b", "a_b", "c d", "e.f", "", "x'y"]);
    scalar().prop_recursive(4, 24, 4, move |inner| {
        prop::collection::vec((key.clone(), inner), 0..4).prop_map(|entries| {
            Value::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
        })
    })
}

proptest! {
    #[test]
    fn a_schema_found_in_json_decodes_every_sample(
        values in prop::collection::vec(object(), 1..8),
    ) {
        let samples: Vec<Vec<u8>> =
            values.iter().map(|value| value.to_string().into_bytes()).collect();
        if let Some((decoded, counted, failed, skipped)) = decode_own(&samples) {
            prop_assert_eq!((decoded, failed), (counted, skipped));
        }
    }

    #[test]
    fn a_schema_found_in_csv_decodes_every_sample(
        rows in prop::collection::vec(
            prop::collection::vec(prop::sample::select(vec![
                "", "1", "-2.5", "9999999999", "1e999", "007", "true", "False", "1992-02-14", "NaN",
                "text", "\"\"", "\"a, b\"", " 5 ", "name", "a;b", "\"open",
            ]), 1..4),
            1..8,
        ),
        one_payload: bool,
    ) {
        let lines: Vec<String> = rows.iter().map(|row| row.join(",")).collect();
        let samples: Vec<Vec<u8>> = if one_payload {
            vec![lines.join("\n").into_bytes()]
        } else {
            lines.into_iter().map(String::into_bytes).collect()
        };
        if let Some((decoded, counted, failed, skipped)) = decode_own(&samples) {
            prop_assert_eq!((decoded, failed), (counted, skipped));
        }
    }

    #[test]
    fn any_bytes_are_discovered_or_not_without_a_panic(
        samples in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..5),
    ) {
        if let Some((decoded, counted, failed, skipped)) = decode_own(&samples) {
            prop_assert_eq!((decoded, failed), (counted, skipped));
        }
    }
}
