//! The pipeline's way in.

use std::sync::Arc;

use eddy_index::IndexSink;
use eddy_record::{
    Column, DocumentId, PartitionId, Position, RecordFormat, Schema, ScoredRecord, SqlType,
    StreamIdentity, Value as Cell,
};
use eddy_stream::Sink as _;
use serde_json::json;

use crate::support::Endpoint;

pub(crate) fn rows(n_rows: u64, created_ms: i64) -> Vec<ScoredRecord> {
    let column = |name: &str, sql_type| Column {
        name: name.to_owned(),
        sql_type,
        mapping: None,
        nullable: true,
    };
    let schema = Arc::new(Schema {
        columns: vec![
            column("iotName", SqlType::Varchar { max_chars: 16 }),
            column("iotValue", SqlType::Integer),
            column("ANOMALY_SCORE", SqlType::Double),
            column("created", SqlType::Timestamp),
        ],
        format: RecordFormat::Json { row_path: "$".to_owned() },
    });
    let stream = StreamIdentity { name: "s".to_owned(), created_ms: 1 };
    (0..n_rows)
        .map(|n| (n, created_ms + i64::try_from(n).expect("small") * 1_000))
        .map(|(n, created_ms)| ScoredRecord {
            id: DocumentId::new(&stream, &PartitionId::new("p"), &Position::new(n.into()), 0),
            created_ms,
            schema: Arc::clone(&schema),
            values: vec![
                Cell::Text("DemoSensor".into()),
                Cell::Integer(i64::try_from(n % 10).expect("small")),
                Cell::Double(1.5),
                Cell::TimestampMs(created_ms),
            ]
            .into(),
        })
        .collect()
}

#[tokio::test]
async fn rows_go_to_their_day_and_a_replay_changes_nothing() {
    let endpoint = Endpoint::new();
    let sink = IndexSink::new(Arc::clone(&endpoint.index));
    let mut live = endpoint.index.subscribe();
    let rows = rows(100, 1_795_478_350_000);
    assert_eq!(sink.write(&rows).await.expect("written"), []);
    assert_eq!(sink.write(&rows).await.expect("written"), []);
    let first = live.recv().await.expect("live");
    assert_eq!(first.len(), 100);
    assert_eq!(&*first[0].id, rows[0].id.as_str());
    assert_eq!(&*first[0].index, "anomalies-2026.11.23");
    let count = |pattern: &str| endpoint.index.count(pattern, &json!({})).expect("counts");
    assert_eq!(count("anomalies"), 100);
    assert_eq!((count("anomalies-2026.11.23"), count("anomalies-2026.11.24")), (50, 50));
    let answer = endpoint.search(json!({"size": 1, "sort": "created"})).await;
    let source = &answer["hits"]["hits"][0]["_source"];
    assert_eq!(source["iotName"], "DemoSensor");
    assert_eq!(source["ANOMALY_SCORE"], 1.5);
    assert!(source["created"].as_str().is_some_and(|at| at.starts_with("2026-11-23T23:59:10")));
}
