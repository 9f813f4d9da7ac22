//! An application as it is seen from outside while it runs: its streams and pumps, how many rows
//! went through each, each stream's latest rows.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eddy_record::{Value, format_timestamp_ms};
use serde_json::json;

use crate::Counters;
use crate::plan::Graph;
use crate::run::{Chunk, StreamRows};

/// Rows of a stream that are kept, the latest.
const MAX_LATEST: usize = 20;

/// What is seen of an application; shared by it and by those who look.
#[derive(Debug, Default)]
pub struct Watched(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    counters: Counters,
    streams: Vec<Stream>,
    pumps: Vec<Pump>,
}

#[derive(Debug)]
struct Stream {
    name: Arc<str>,
    is_source: bool,
    is_output: bool,
    // By column: its name, or nothing for one that the application adds itself.
    columns: Vec<Option<String>>,
    n_rows: u64,
    // The latest last: ROWTIME and one value a column.
    latest: VecDeque<(i64, Box<[Value]>)>,
}

#[derive(Debug)]
struct Pump {
    name: String,
    reads: Vec<usize>,
    into: usize,
    n_rows: u64,
}

impl Watched {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        // It is whole between statements, whatever a panicking holder did.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins with an application's graph; counts go on where it is the same one again.
    pub(crate) fn begin(&self, graph: &Graph) {
        let mut seen = self.seen();
        let names = graph.streams.iter().map(|stream| stream.name.as_str());
        if names.eq(seen.streams.iter().map(|stream| &*stream.name)) {
            return;
        }
        let streams = graph.streams.iter().map(|stream| Stream {
            name: stream.name.as_str().into(),
            is_source: stream.is_source,
            is_output: stream.is_output,
            columns: stream
                .fields
                .iter()
                .map(|field| (!field.hidden).then(|| field.name.clone()))
                .collect(),
            n_rows: 0,
            latest: VecDeque::new(),
        });
        let pumps = graph.pumps.iter().map(|pump| Pump {
            name: pump.name.clone(),
            reads: pump.reads.clone(),
            into: pump.into,
            n_rows: 0,
        });
        (seen.streams, seen.pumps) = (streams.collect(), pumps.collect());
    }

    /// A step: what each pump made and what went through each stream.
    pub(crate) fn step(&self, counters: &Counters, pumped: &[usize], chunks: &[Chunk]) {
        let mut seen = self.seen();
        seen.counters = *counters;
        for (pump, n_rows) in seen.pumps.iter_mut().zip(pumped) {
            pump.n_rows += *n_rows as u64;
        }
        for (stream, chunk) in seen.streams.iter_mut().zip(chunks) {
            let n_rows = chunk.n_rows();
            if n_rows == 0 {
                continue;
            }
            stream.n_rows += n_rows as u64;
            let (name, columns) = (Arc::clone(&stream.name), Arc::from([]));
            let rows = StreamRows { stream: name, columns, chunk: chunk.clone() };
            for row in n_rows.saturating_sub(MAX_LATEST)..n_rows {
                let row = rows.row(row);
                stream.latest.push_back((row.rowtime_ms, row.values));
            }
            let over = stream.latest.len().saturating_sub(MAX_LATEST);
            stream.latest.drain(..over);
        }
    }

    /// A record that did not fit.
    pub(crate) fn count(&self, counters: &Counters) {
        self.seen().counters = *counters;
    }

    /// The counters.
    pub fn counters(&self) -> Counters {
        self.seen().counters
    }

    /// All of it: `counters`, `streams` (`name`, `is_source`, `is_output`, `columns`, `rows`,
    /// `latest` with the latest first), `pumps` (`name`, `reads`, `into`, `rows`).
    pub fn to_json(&self) -> serde_json::Value {
        let seen = self.seen();
        let name = |idx: usize| seen.streams.get(idx).map(|stream| &*stream.name);
        let streams = seen.streams.iter().map(|stream| {
            let is_shown = |idx: usize| stream.columns.get(idx).is_some_and(Option::is_some);
            let latest = stream.latest.iter().rev().map(|(rowtime_ms, values)| {
                let shown = values.iter().enumerate().filter(|(idx, _)| is_shown(*idx));
                let values: Vec<_> = shown.map(|(_, value)| value_json(value)).collect();
                json!({"rowtime_ms": rowtime_ms, "values": values})
            });
            json!({
                "name": &*stream.name, "is_source": stream.is_source, "is_output": stream.is_output,
                "columns": stream.columns.iter().flatten().collect::<Vec<_>>(),
                "rows": stream.n_rows, "latest": latest.collect::<Vec<_>>(),
            })
        });
        let pumps = seen.pumps.iter().map(|pump| {
            let reads: Vec<_> = pump.reads.iter().map(|idx| name(*idx)).collect();
            json!({"name": pump.name, "reads": reads, "into": name(pump.into), "rows": pump.n_rows})
        });
        json!({
            "counters": seen.counters,
            "streams": streams.collect::<Vec<_>>(), "pumps": pumps.collect::<Vec<_>>(),
        })
    }
}

fn value_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Boolean(value) => json!(value),
        Value::Integer(value) => json!(value),
        Value::Double(value) => json!(value),
        Value::TimestampMs(ms) => json!(format_timestamp_ms(*ms)),
        Value::Text(text) => json!(&**text),
        Value::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(&**text)),
        other => other.as_f64().map_or(serde_json::Value::Null, |number| json!(number)),
    }
}

#[cfg(test)]
mod tests {
    use eddy_record::{Column, RecordFormat, Schema, SqlType};

    use super::*;
    use crate::{Application, Arrival, Options};

    const SQL: &str = r#"
        CREATE OR REPLACE STREAM "HIGH" ("v" DOUBLE);
        CREATE OR REPLACE STREAM "TWICE" ("w" DOUBLE);
        CREATE OR REPLACE PUMP "P1" AS INSERT INTO "HIGH"
          SELECT STREAM "v" FROM "SOURCE_SQL_STREAM_001" WHERE "v" >= 50;
        CREATE OR REPLACE PUMP "P2" AS INSERT INTO "TWICE" SELECT STREAM "v" * 2 FROM "HIGH";"#;

    #[test]
    fn every_stream_and_pump_is_counted_and_the_latest_rows_are_there() {
        let column =
            Column { name: "v".into(), sql_type: SqlType::Double, mapping: None, nullable: true };
        let schema = Schema { columns: vec![column], format: RecordFormat::json() };
        let mut application = Application::new(SQL, Options::new(schema.clone())).expect("planned");
        let watched = Arc::new(Watched::default());
        application.watch(&watched);
        let decoder =
            eddy_record::Decoder::new(Arc::new(schema), eddy_record::DecodeLimits::default());
        let mut records = Vec::new();
        let decoder = decoder.expect("a schema");
        for value in 0..100 {
            decoder.decode(format!("{{\"v\":{value}}}").as_bytes(), &mut records);
        }
        let mut batch = application.batch();
        for (record, time_ms) in records.iter().zip(0..) {
            let record = record.as_ref().expect("decodes");
            batch.push(record, &Arrival { time_ms, arrival_ms: time_ms, ..Arrival::default() });
        }
        application.push(&mut batch).expect("runs");
        let json = watched.to_json();
        let rows: Vec<_> = (0..3).map(|idx| json["streams"][idx]["rows"].clone()).collect();
        assert_eq!(rows, [json!(100), json!(50), json!(50)], "{json}");
        assert_eq!(json["pumps"][1]["reads"], json!(["HIGH"]));
        assert_eq!(json["pumps"][1]["rows"], 50);
        let latest = json["streams"][2]["latest"].as_array().expect("rows");
        assert_eq!((latest.len(), &latest[0]["values"]), (20, &json!([198.0])));
        assert_eq!(json["counters"]["rows_in"], 100);
    }
}
