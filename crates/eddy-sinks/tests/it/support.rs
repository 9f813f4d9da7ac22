//! Rows.

use std::sync::Arc;

use eddy_record::{
    Column, DocumentId, PartitionId, Position, RecordFormat, Schema, ScoredRecord, SqlType,
    StreamIdentity, Value,
};

/// 2026-11-23T12:00:00Z.
pub(crate) const NOON_MS: i64 = 1_795_435_200_000;

fn schema() -> Arc<Schema> {
    let column = |name: &str, sql_type| Column {
        name: name.to_owned(),
        sql_type,
        mapping: None,
        nullable: true,
    };
    Arc::new(Schema {
        columns: vec![
            column("iotName", SqlType::Varchar { max_chars: 10_000_000 }),
            column("iotValue", SqlType::Integer),
            column("ANOMALY_SCORE", SqlType::Double),
            column("created", SqlType::Timestamp),
        ],
        format: RecordFormat::json(),
    })
}

/// Rows a second apart, the names of which have `name_chars` characters.
pub(crate) fn rows_named(n_rows: u64, name_chars: usize) -> Vec<ScoredRecord> {
    let schema = schema();
    let stream = StreamIdentity { name: "s".to_owned(), created_ms: 1 };
    let name: Box<str> = "x".repeat(name_chars).into();
    let created_ms = |n: u64| NOON_MS + i64::try_from(n).expect("small") * 1000;
    (0..n_rows)
        .map(|n| ScoredRecord {
            id: DocumentId::new(&stream, &PartitionId::new("p"), &Position::new(n.into()), 0),
            created_ms: created_ms(n),
            schema: Arc::clone(&schema),
            values: [
                Value::Text(name.clone()),
                Value::Integer(i64::try_from(n).expect("small")),
                Value::Double(0.875),
                Value::TimestampMs(created_ms(n)),
            ]
            .into(),
        })
        .collect()
}

pub(crate) fn rows(n_rows: u64) -> Vec<ScoredRecord> {
    rows_named(n_rows, 4)
}
