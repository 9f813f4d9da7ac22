//! Queries find what a plain filter over the documents finds.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::Endpoint;

#[derive(Clone, Debug)]
struct Reading {
    name: String,
    value: f64,
    at_ms: i64,
}

fn reading() -> impl Strategy<Value = Reading> {
    let name = prop_oneof![Just("a"), Just("b"), Just("é \\\"."), Just("1")];
    // Three days around midnight, whole and broken numbers.
    (name, -20..20_i32, any::<bool>(), 0..200_000_000_i64).prop_map(|(name, value, half, at)| {
        let value = f64::from(value) + if half { 0.5 } else { 0.0 };
        Reading { name: name.to_owned(), value, at_ms: 1_795_392_000_000 + at }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn range_and_term_equal_a_filter(
        readings in prop::collection::vec(reading(), 1..40),
        low in -25.0..25.0_f64,
        width in 0.0..20.0_f64,
        from in 0..200_000_000_i64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let endpoint = Endpoint::new();
            let documents: Vec<Value> = readings
                .iter()
                .map(|r| {
                    let value = if r.value.fract() == 0.0 { json!(format!("{}", r.value).parse::<i64>().expect("whole")) } else { json!(r.value) };
                    json!({"created": r.at_ms, "name": r.name, "value": value})
                })
                .collect();
            endpoint.fill(&documents).await;
            let from_ms = 1_795_392_000_000 + from;
            let name = &readings[0].name;
            let query = json!({"bool": {
                "filter": [{"range": {"value": {"gte": low, "lt": low + width}}},
                           {"range": {"created": {"gt": from_ms}}}],
                "should": [{"term": {"name": name}}, {"term": {"value": readings[0].value}}],
                "minimum_should_match": 1}});
            let mut found = endpoint.ids(query).await;
            found.sort_by_key(|id| id.parse::<usize>().expect("a number"));
            let expected: Vec<String> = readings
                .iter()
                .enumerate()
                .filter(|(_, r)| {
                    r.value >= low && r.value < low + width && r.at_ms > from_ms
                        && (r.name == *name || r.value.to_bits() == readings[0].value.to_bits())
                })
                .map(|(id, _)| id.to_string())
                .collect();
            assert_eq!(found, expected);
        });
    }
}
