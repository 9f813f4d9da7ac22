//! The index at one moment.

use eddy_index::{ScanRequest, date_ms};
use serde_json::{Value, json};

use crate::support::{Endpoint, reading};

#[tokio::test]
async fn later_writes_do_not_change_a_snapshot() {
    let endpoint = Endpoint::new();
    let of = |day: u32, name: &str, value: f64| {
        reading(&format!("2026-11-{day}T12:00:00Z"), name, value, value / 10.0)
    };
    let mut documents = vec![of(23, "a", 1.0), of(24, "b", 2.0), of(23, "a", 3.0)];
    documents.push(json!({"created": "2026-11-24T00:00:00Z", "iotName": 7}));
    endpoint.fill(&documents).await;
    let snapshot = endpoint.index.snapshot("anomalies").expect("there");
    // One is replaced, one is new.
    documents[0] = of(23, "c", 50.0);
    documents.push(of(25, "d", 60.0));
    endpoint.fill(&documents).await;

    let all = json!({"match_all": {}});
    let request = ScanRequest { query: &all, key: Some("iotName"), value: Some("iotValue") };
    let mut rows = Vec::new();
    let names = snapshot.scan(&request, &mut |row| rows.push(*row)).expect("scanned");
    let mut found: Vec<(&str, Option<f64>, Option<f64>)> = rows
        .iter()
        .map(|row| (names[row.name_idx as usize].as_str(), row.value, row.score))
        .collect();
    found.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
    let expected = [
        ("7", None, None),
        ("a", Some(1.0), Some(0.1)),
        ("a", Some(3.0), Some(0.3)),
        ("b", Some(2.0), Some(0.2)),
    ];
    assert_eq!(found, expected);
    assert!(rows.iter().all(|row| row.created_ms >= date_ms("2026-11-23", 0).expect("a date")));

    let sort = json!([{"iotValue": "desc"}]);
    let (total, places) = snapshot.ranked(&all, &sort, 2).expect("ranked");
    assert_eq!((total, places.len()), (4, 2));
    let values: Vec<Value> = places
        .into_iter()
        .map(|place| {
            let (_, source) = snapshot.read(place).expect("read");
            serde_json::from_str::<Value>(&source).expect("JSON")["iotValue"].clone()
        })
        .collect();
    assert_eq!(values, [json!(3.0), json!(2.0)]);
    assert!(snapshot.ranked(&json!({"none": {}}), &sort, 1).is_err());
    assert!(endpoint.index.snapshot("nothing").is_err());
}
