//! How fast is the index on this machine?
//!
//! `cargo run --release -p eddy-index --example measure -- [DOCUMENTS]` writes that many scored
//! rows (default 1 000 000) through the sink, asks the page's queries over them, and prints one
//! JSON line: rows per second, the median time of a write of 1 000 rows, milliseconds a query.

use std::sync::Arc;
use std::time::Instant;

use eddy_index::{Index, IndexSettings, IndexSink};
use eddy_record::{
    Column, DocumentId, PartitionId, Position, RecordFormat, Schema, ScoredRecord, SqlType,
    StreamIdentity, Value as Cell,
};
use eddy_stream::Sink as _;
use serde_json::json;

const BATCH_ROWS: u64 = 10_000;
const START_MS: i64 = 1_795_392_000_000;

fn rows(from: u64, n_rows: u64, schema: &Arc<Schema>) -> Vec<ScoredRecord> {
    let stream = StreamIdentity { name: "RawStreamData".to_owned(), created_ms: START_MS };
    let shard = PartitionId::new("shardId-000000000000");
    (from..from + n_rows)
        .map(|n| {
            // A multiplicative hash stands in for chance, so that every run writes the same rows.
            let chance = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            let score = f64::from(u32::try_from(chance).unwrap_or(0)) / f64::from(1 << 24) * 3.0;
            let created_ms = START_MS + i64::try_from(n / 20).unwrap_or(0);
            let sequence = format!("4959033827149025660855969253836157109592157598913{n:012}");
            let values = vec![
                Cell::Text(format!("Sensor{}", chance % 20).into()),
                Cell::Integer(i64::try_from(10 + chance % 11).unwrap_or(0)),
                Cell::Double(score),
                Cell::TimestampMs(created_ms),
            ];
            let position = Position::new(sequence.parse().expect("digits"));
            let id = DocumentId::new(&stream, &shard, &position, 0);
            ScoredRecord { id, created_ms, schema: Arc::clone(schema), values: values.into() }
        })
        .collect()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let n_rows: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let column = |name: &str, sql_type| Column {
        name: name.to_owned(),
        sql_type,
        mapping: None,
        nullable: true,
    };
    let schema = Arc::new(Schema {
        columns: vec![
            column("iotName", SqlType::Varchar { max_chars: 32 }),
            column("iotValue", SqlType::Integer),
            column("ANOMALY_SCORE", SqlType::Double),
            column("created", SqlType::Timestamp),
        ],
        format: RecordFormat::Json { row_path: "$".to_owned() },
    });
    let folder = tempfile::tempdir()?;
    let index = Index::open(IndexSettings::new(folder.path()))?;
    let sink = IndexSink::new(Arc::clone(&index));

    let mut writing_ms = 0.0;
    for from in (0..n_rows).step_by(usize::try_from(BATCH_ROWS)?) {
        let batch = rows(from, BATCH_ROWS.min(n_rows - from), &schema);
        let start = Instant::now();
        sink.write(&batch).await?;
        writing_ms += start.elapsed().as_secs_f64() * 1e3;
    }
    let mut small_ms = Vec::new();
    for batch in 0..50 {
        let batch = rows(n_rows + batch * 1_000, 1_000, &schema);
        let start = Instant::now();
        sink.write(&batch).await?;
        small_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    small_ms.sort_by(f64::total_cmp);

    let median = |body: serde_json::Value| {
        let mut times: Vec<f64> = (0..9)
            .map(|_| {
                let start = Instant::now();
                index.search("anomalies", &body).expect("answers");
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times[4]
    };
    let minutes = |below: serde_json::Value| {
        json!({"size": 0, "track_total_hits": true, "aggs": {"m": {
            "date_histogram": {"field": "created", "fixed_interval": "1m"}, "aggs": below}}})
    };
    let ranges = json!([{"to": 1}, {"from": 1, "to": 2}, {"from": 2}]);
    #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
    let rows_per_s = (n_rows as f64 / writing_ms * 1e3).round();
    let answer = json!({
        "rows": n_rows,
        "rows_per_s": rows_per_s,
        "write_1000_rows_ms": small_ms[small_ms.len() / 2],
        "minutes_by_score_ms": median(minutes(json!({"s": {"range": {"field": "ANOMALY_SCORE", "ranges": ranges}}}))),
        "minutes_max_ms": median(minutes(json!({"s": {"max": {"field": "ANOMALY_SCORE"}}}))),
        "top_10_ms": median(json!({"sort": {"ANOMALY_SCORE": "desc"}})),
        "term_ms": median(json!({"query": {"term": {"iotName": "Sensor7"}}, "size": 10})),
    });
    println!("{answer}");
    Ok(())
}
