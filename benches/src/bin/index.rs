//! The embedded index beside SQLite: scored rows in, the page's queries out, one JSON line each.
//!
//! Rows go in as the pipeline hands them over, through the sink, 20 000 at a time, as many as its
//! queue holds, and are durable and searchable when a write returns; SQLite gets the same rows in
//! transactions as large, with `synchronous = FULL` on a write-ahead log, its id as the primary key
//! and covering indices for the queries below. Times are CPU time, of all threads of the process for
//! writing and of the asking thread for queries (the median of nine, to a scheduler's tick), so that
//! other work on the machine hardly shows.
//!
//! `cargo run --release -p eddy-benches --bin index`

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use eddy_benches::process::{process_cpu_seconds, thread_cpu_seconds};
use eddy_index::{Index, IndexSettings, IndexSink};
use eddy_record::{
    Column, DocumentId, PartitionId, Position, RecordFormat, Schema, ScoredRecord, SqlType,
    StreamIdentity, Value as Cell,
};
use eddy_stream::Sink as _;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

/// As many as wait for a sink at most before it takes them in one write.
const BATCH_ROWS: usize = 20_000;
const START_MS: i64 = 1_795_392_000_000;
/// Rows of one millisecond: a million rows are 14 hours of one day.
const ROWS_PER_S: u64 = 20;
const DURABLE_WRITES: usize = 50;

/// Measures the embedded index beside SQLite.
#[derive(Clone, Copy, Debug, Parser)]
struct Options {
    /// Rows that are written and asked about.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Only ours, for a profiler.
    #[arg(long)]
    only_ours: bool,
}

fn schema() -> Arc<Schema> {
    let column = |name: &str, sql_type| Column {
        name: name.to_owned(),
        sql_type,
        mapping: None,
        nullable: true,
    };
    Arc::new(Schema {
        columns: vec![
            column("iotName", SqlType::Varchar { max_chars: 32 }),
            column("iotValue", SqlType::Integer),
            column("ANOMALY_SCORE", SqlType::Double),
            column("created", SqlType::Timestamp),
        ],
        format: RecordFormat::Json { row_path: "$".to_owned() },
    })
}

fn rows(from: u64, n_rows: usize, schema: &Arc<Schema>) -> Result<Vec<ScoredRecord>> {
    let stream = StreamIdentity { name: "RawStreamData".to_owned(), created_ms: START_MS };
    let shard = PartitionId::new("shardId-000000000000");
    let row = |n: u64| {
        // A multiplicative hash stands in for chance, so that every run writes the same rows.
        let chance = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let score = f64::from(u32::try_from(chance)?) / f64::from(1 << 24) * 3.0;
        let created_ms = START_MS + i64::try_from(n * 1_000 / ROWS_PER_S)?;
        let sequence = format!("4959033827149025660855969253836157109592157598913{n:012}");
        let values = vec![
            Cell::Text(format!("Sensor{}", chance % 20).into()),
            Cell::Integer(i64::try_from(10 + chance % 11)?),
            Cell::Double(score),
            Cell::TimestampMs(created_ms),
        ];
        let position = Position::new(sequence.parse()?);
        let id = DocumentId::new(&stream, &shard, &position, 0);
        Ok(ScoredRecord { id, created_ms, schema: Arc::clone(schema), values: values.into() })
    };
    (from..from + n_rows as u64).map(row).collect()
}

/// The work of one side.
struct Side {
    records_per_s: f64,
    write_1000_ms: f64,
    n_bytes: u64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let schema = schema();
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let index = Index::open(IndexSettings::new(folder.path().join("index")))?;
    let sink = IndexSink::new(Arc::clone(&index));
    let ours = measured(options.rows, &schema, |batch| {
        anyhow::ensure!(runtime.block_on(sink.write(batch))?.is_empty(), "a row was refused");
        Ok(())
    })?;
    let ours = Side { n_bytes: size(&folder.path().join("index"))?, ..ours };
    let ask = |body: &Value| -> Result<Value> { Ok(index.search("anomalies", body)?) };

    let database = folder.path().join("rows.sqlite");
    let mut sqlite = Sqlite::open(&database)?;
    let theirs = if options.only_ours {
        None
    } else {
        let side = measured(options.rows, &schema, |batch| sqlite.write(batch))?;
        Some(Side { n_bytes: size(folder.path())? - ours.n_bytes, ..side })
    };
    let mut line = json!({"work": "index", "rows": options.rows,
        "records_per_s": ours.records_per_s.round(), "write_1000_ms": ours.write_1000_ms,
        "bytes_per_record": ours.n_bytes / options.rows});
    if let Some(theirs) = theirs {
        line["sqlite_records_per_s"] = json!(theirs.records_per_s.round());
        line["sqlite_write_1000_ms"] = json!(theirs.write_1000_ms);
        line["sqlite_bytes_per_record"] = json!(theirs.n_bytes / options.rows);
    }
    println!("{line}");

    for (work, body, sql) in questions() {
        let (ours_ms, found) = median(|| ask(&body))?;
        let mut line = json!({"work": work, "ours_ms": ours_ms});
        if !options.only_ours {
            let (sqlite_ms, expected) = median(|| sqlite.ask(sql))?;
            check(work, &found, &expected)?;
            line["sqlite_ms"] = json!(sqlite_ms);
        }
        println!("{line}");
    }
    Ok(())
}

/// Writes the rows in large batches and then some small ones; the sizes are not filled in.
fn measured(
    n_rows: u64,
    schema: &Arc<Schema>,
    mut write: impl FnMut(&[ScoredRecord]) -> Result<()>,
) -> Result<Side> {
    let start_s = process_cpu_seconds();
    let mut making_ms = 0.0;
    for from in (0..n_rows).step_by(BATCH_ROWS) {
        let n_batch = BATCH_ROWS.min(usize::try_from(n_rows - from)?);
        // Making them is not measured; what the threads behind do meanwhile is.
        let start_ms = 1e3 * thread_cpu_seconds();
        let batch = rows(from, n_batch, schema)?;
        making_ms += 1e3 * thread_cpu_seconds() - start_ms;
        write(&batch)?;
        let start_ms = 1e3 * thread_cpu_seconds();
        drop(batch);
        making_ms += 1e3 * thread_cpu_seconds() - start_ms;
    }
    let cpu_s = process_cpu_seconds() - start_s - making_ms / 1e3;
    let mut small_ms = Vec::with_capacity(DURABLE_WRITES);
    for batch_idx in 0..DURABLE_WRITES as u64 {
        let batch = rows(n_rows + batch_idx * 1_000, 1_000, schema)?;
        let start = std::time::Instant::now();
        write(&batch)?;
        small_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    small_ms.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
    let records_per_s = n_rows as f64 / cpu_s;
    Ok(Side { records_per_s, write_1000_ms: round(small_ms[small_ms.len() / 2]), n_bytes: 0 })
}

/// What is asked: the index's JSON, and the same in SQL.
fn questions() -> Vec<(&'static str, Value, &'static str)> {
    let minutes = |below: Value| {
        json!({"size": 0, "track_total_hits": true, "aggs": {"m": {
            "date_histogram": {"field": "created", "fixed_interval": "1m"}, "aggs": below}}})
    };
    let ranges = json!([{"to": 1}, {"from": 1, "to": 2}, {"from": 2}]);
    let hour =
        json!({"range": {"created": {"gte": START_MS + 36_000_000, "lt": START_MS + 39_600_000}}});
    vec![
        (
            "histogram",
            minutes(json!({"s": {"range": {"field": "ANOMALY_SCORE", "ranges": ranges}}})),
            "SELECT created / 60000, sum(score < 1), sum(score >= 1 AND score < 2), sum(score >= 2) \
             FROM rows GROUP BY 1 ORDER BY 1",
        ),
        (
            "histogram_max",
            minutes(json!({"s": {"max": {"field": "ANOMALY_SCORE"}}})),
            "SELECT created / 60000, max(score) FROM rows GROUP BY 1 ORDER BY 1",
        ),
        (
            "top",
            json!({"sort": {"ANOMALY_SCORE": "desc"}, "size": 10}),
            "SELECT id, source FROM rows ORDER BY score DESC LIMIT 10",
        ),
        (
            "max_by_sensor",
            json!({"size": 0, "aggs": {"m": {"terms": {"field": "iotName", "size": 100, "order": {"_key": "asc"}},
                "aggs": {"s": {"max": {"field": "ANOMALY_SCORE"}}}}}}),
            "SELECT name, max(score) FROM rows GROUP BY name ORDER BY name",
        ),
        (
            "latest_of_a_sensor",
            json!({"query": {"term": {"iotName": "Sensor7"}}, "sort": {"created": "desc"}, "size": 10}),
            "SELECT id, source FROM rows WHERE name = 'Sensor7' ORDER BY created DESC LIMIT 10",
        ),
        (
            "an_hour",
            json!({"size": 0, "query": hour, "aggs": {"m": {
                "date_histogram": {"field": "created", "fixed_interval": "1m"},
                "aggs": {"s": {"max": {"field": "ANOMALY_SCORE"}}}}}}),
            "SELECT created / 60000, max(score) FROM rows \
             WHERE created >= 1795428000000 AND created < 1795431600000 GROUP BY 1 ORDER BY 1",
        ),
    ]
}

/// Both sides have answered the same: as many rows, and the same first one.
fn check(work: &str, found: &Value, expected: &[Vec<Value>]) -> Result<()> {
    let (n_found, first) = match found["aggregations"]["m"]["buckets"].as_array() {
        Some(buckets) => {
            let first = buckets.first().context("a bucket")?;
            let first = match first["s"]["buckets"].as_array() {
                Some(ranges) => ranges[0]["doc_count"].clone(),
                None => first["s"]["value"].clone(),
            };
            (buckets.len(), first)
        }
        None => {
            let hits = found["hits"]["hits"].as_array().context("hits")?;
            (hits.len(), hits[0]["_id"].clone())
        }
    };
    let column = usize::from(found["aggregations"].is_object());
    let theirs = expected.first().and_then(|row| row.get(column)).context("a row")?;
    let same = match (first.as_f64(), theirs.as_f64()) {
        (Some(ours), Some(theirs)) => ours.to_bits() == theirs.to_bits(),
        _ => first == *theirs,
    };
    anyhow::ensure!(
        n_found == expected.len() && same,
        "{work}: {n_found} rows beginning with {first}, SQLite has {} beginning with {theirs}",
        expected.len()
    );
    Ok(())
}

fn median<T>(mut ask: impl FnMut() -> Result<T>) -> Result<(f64, T)> {
    let mut times = Vec::with_capacity(9);
    let mut answer = None;
    for _ in 0..9 {
        let start_ms = 1e3 * thread_cpu_seconds();
        answer = Some(ask()?);
        times.push(1e3 * thread_cpu_seconds() - start_ms);
    }
    times.sort_by(f64::total_cmp);
    Ok((round(times[4]), answer.context("asked nine times")?))
}

fn round(ms: f64) -> f64 {
    (ms * 100.0).round() / 100.0
}

fn size(folder: &std::path::Path) -> Result<u64> {
    let mut n_bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        n_bytes += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(n_bytes)
}

struct Sqlite(Connection);

impl Sqlite {
    fn open(path: &std::path::Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -100000;
             CREATE TABLE rows (id TEXT PRIMARY KEY, created INTEGER, name TEXT, value REAL,
                                score REAL, source TEXT) WITHOUT ROWID;
             CREATE INDEX by_created ON rows (created, score);
             CREATE INDEX by_score ON rows (score);
             CREATE INDEX by_name ON rows (name, created, score);",
        )?;
        Ok(Self(connection))
    }

    fn write(&mut self, batch: &[ScoredRecord]) -> Result<()> {
        let transaction = self.0.transaction()?;
        {
            let mut insert = transaction
                .prepare("INSERT OR REPLACE INTO rows VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
            let mut json = Vec::new();
            for row in batch {
                json.clear();
                row.write_json(&mut json);
                let Cell::Text(name) = &row.values[0] else { anyhow::bail!("no name") };
                insert.execute(params![
                    row.id.as_str(),
                    row.created_ms,
                    name.as_ref(),
                    row.values[1].as_f64(),
                    row.values[2].as_f64(),
                    std::str::from_utf8(&json)?
                ])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn ask(&self, sql: &str) -> Result<Vec<Vec<Value>>> {
        let mut statement = self.0.prepare(sql)?;
        let n_columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            (0..n_columns)
                .map(|column| {
                    Ok(match row.get::<_, rusqlite::types::Value>(column)? {
                        rusqlite::types::Value::Integer(number) => json!(number),
                        rusqlite::types::Value::Real(number) => json!(number),
                        rusqlite::types::Value::Text(text) => json!(text),
                        _ => Value::Null,
                    })
                })
                .collect::<rusqlite::Result<Vec<Value>>>()
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
