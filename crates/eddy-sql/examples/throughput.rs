//! How fast applications are, in process and on one thread, from bytes to bytes. Prints a JSON line a
//! measurement.
//!
//! - `walkthrough`: the original walkthrough's application, against a loop that decodes the same
//!   JSON, drives the forest and writes the same lines;
//! - `tumbling`: COUNT and AVG of a minute by one of 100 keys;
//! - `latency`: from the watermark that passes a second's (a window's) end to the rows as bytes.
//!
//! `cargo run --release -p eddy-sql --example throughput [-- RECORDS]`

use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use eddy_record::{DecodeLimits, Decoder, Schema, Value, format_timestamp_ms, write_f64};
use eddy_sql::{Application, Arrival, Options};
use rcf::ForestSettings;

const WALKTHROUGH: &str = r#"
CREATE OR REPLACE STREAM "TEMP_STREAM" ("iotName" varchar (40), "iotValue" DOUBLE, "ANOMALY_SCORE" DOUBLE);
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" ("iotName" varchar(40), "iotValue" DOUBLE, "ANOMALY_SCORE" DOUBLE, "created" TimeStamp);
CREATE OR REPLACE PUMP "STREAM_PUMP_1" AS INSERT INTO "TEMP_STREAM"
SELECT STREAM "iotName", "iotValue", ANOMALY_SCORE FROM TABLE(RANDOM_CUT_FOREST(CURSOR(SELECT STREAM * FROM "SOURCE_SQL_STREAM_001")));
CREATE OR REPLACE PUMP "OUTPUT_PUMP" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM "iotName", "iotValue", ANOMALY_SCORE, ROWTIME FROM "TEMP_STREAM"
ORDER BY FLOOR("TEMP_STREAM".ROWTIME TO SECOND), ANOMALY_SCORE DESC;"#;

const TUMBLING: &str = r#"
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" ("iotName" varchar(40), n BIGINT, a DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM "iotName", COUNT(*), AVG("iotValue") FROM "SOURCE_SQL_STREAM_001" s
GROUP BY "iotName", STEP(s.ROWTIME BY INTERVAL '60' SECOND);"#;

/// Rows pushed together.
const BATCH: usize = 8192;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let n_records: usize = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => 1_000_000,
    };
    let one_key = records(n_records, 1);
    let (mut sql, mut own) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        sql.push(seconds(|| application(WALKTHROUGH, &one_key))?);
        own.push(seconds(|| by_hand(&one_key))?);
    }
    #[expect(clippy::cast_precision_loss, reason = "for a rate")]
    let rate = |seconds: f64| (n_records as f64 / seconds).round();
    let (sql, own) = (median(sql), median(own));
    println!(
        "{}",
        serde_json::json!({ "bench": "walkthrough", "records": n_records, "records_per_s": rate(sql),
            "loop_records_per_s": rate(own), "ratio": (own / sql * 1000.0).round() / 1000.0 })
    );
    let hundred_keys = records(n_records, 100);
    let mut tumbling = Vec::new();
    for _ in 0..3 {
        tumbling.push(seconds(|| application(TUMBLING, &hundred_keys))?);
    }
    let tumbling = rate(median(tumbling));
    println!(
        "{}",
        serde_json::json!({ "bench": "tumbling", "records": n_records, "records_per_s": tumbling })
    );
    for (name, text) in [("walkthrough", WALKTHROUGH), ("tumbling", TUMBLING)] {
        let (p50, p99, most) = latency(text)?;
        println!(
            "{}",
            serde_json::json!({ "bench": "latency", "application": name,
                "p50_ms": p50, "p99_ms": p99, "max_ms": most })
        );
    }
    Ok(())
}

/// A record a millisecond.
fn records(n_records: usize, n_keys: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for row in 0..n_records {
        let value = if row % 997 == 996 { 110 } else { 10 + row * 7 % 11 };
        let key = row * 31 % n_keys;
        writeln!(text, "{{\"iotName\":\"Sensor{key}\",\"iotValue\":{value}}}")
            .expect("a Vec takes everything");
    }
    text
}

fn seconds(
    run: impl FnOnce() -> Result<usize, Box<dyn std::error::Error>>,
) -> Result<f64, Box<dyn std::error::Error>> {
    let start = Instant::now();
    let n_bytes = run()?;
    assert!(n_bytes > 0, "nothing came out");
    Ok(start.elapsed().as_secs_f64())
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn decoder() -> Decoder {
    Decoder::new(Arc::new(Schema::walkthrough()), DecodeLimits::default()).expect("a valid schema")
}

/// Bytes of NDJSON through an application; the length of what comes out.
fn application(text: &str, input: &[u8]) -> Result<usize, Box<dyn std::error::Error>> {
    let mut application = Application::new(text, Options::new(Schema::walkthrough()))?;
    let (decoder, mut decoded) = (decoder(), Vec::new());
    let (mut batch, mut out, mut n_bytes) = (application.batch(), Vec::new(), 0);
    for (time_ms, line) in (0..).zip(input.split(|byte| *byte == b'\n')) {
        if line.is_empty() {
            continue;
        }
        decoder.decode(line, &mut decoded);
        for record in decoded.drain(..) {
            batch.push(&record?, &Arrival { time_ms, ..Arrival::default() });
        }
        if batch.len() >= BATCH {
            application.push(&mut batch)?.write_ndjson(&mut out);
            n_bytes += out.len();
            out.clear();
        }
    }
    application.push(&mut batch)?.write_ndjson(&mut out);
    application.finish()?.write_ndjson(&mut out);
    Ok(n_bytes + out.len())
}

/// The walkthrough written out: decode, score, sort by second and score, write.
fn by_hand(input: &[u8]) -> Result<usize, Box<dyn std::error::Error>> {
    let mut settings = ForestSettings::new(1);
    (settings.n_trees, settings.time_decay, settings.seed) = (100, Some(0.000_01), 1);
    let mut forest = settings.build()?;
    let (decoder, mut decoded) = (decoder(), Vec::new());
    let (mut out, mut n_bytes) = (Vec::new(), 0);
    let mut second: Vec<(f64, i64, Box<[Value]>)> = Vec::new();
    let mut write = |second: &mut Vec<(f64, i64, Box<[Value]>)>, out: &mut Vec<u8>| {
        second.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (score, time_ms, values) in second.drain(..) {
            let time = format_timestamp_ms(time_ms);
            let [Value::Text(name), Value::Double(value)] = &*values else { continue };
            out.extend_from_slice(b"{\"stream\":\"DESTINATION_SQL_STREAM\",\"rowtime\":\"");
            out.extend_from_slice(time.as_bytes());
            out.extend_from_slice(b"\",\"row\":{\"iotName\":");
            serde_json::to_writer(&mut *out, name.as_ref()).expect("a text is JSON");
            out.extend_from_slice(b",\"iotValue\":");
            write_f64(*value, out);
            out.extend_from_slice(b",\"ANOMALY_SCORE\":");
            write_f64(score, out);
            out.extend_from_slice(b",\"created\":\"");
            out.extend_from_slice(time.as_bytes());
            out.extend_from_slice(b"\"}}\n");
        }
        n_bytes += out.len();
        out.clear();
    };
    for (time_ms, line) in (0_i64..).zip(input.split(|byte| *byte == b'\n')) {
        if line.is_empty() {
            continue;
        }
        decoder.decode(line, &mut decoded);
        for record in decoded.drain(..) {
            let record = record?;
            let Value::Double(value) = record.values[1] else { continue };
            #[expect(clippy::cast_possible_truncation, reason = "points are f32")]
            let score = forest.score_and_update(&[value as f32])?;
            if second.first().is_some_and(|(_, first, _)| first / 1000 < time_ms / 1000) {
                write(&mut second, &mut out);
            }
            second.push((score, time_ms, record.values));
        }
    }
    write(&mut second, &mut out);
    Ok(n_bytes)
}

/// Milliseconds from the watermark to the rows, at 1000 records a second: median, p99, most.
fn latency(text: &str) -> Result<(f64, f64, f64), Box<dyn std::error::Error>> {
    let mut application = Application::new(text, Options::new(Schema::walkthrough()))?;
    let (decoder, mut decoded, mut batch) = (decoder(), Vec::new(), application.batch());
    let input = records(300_000, 100);
    let mut out = Vec::new();
    let mut waits = Vec::new();
    for (time_ms, line) in (0_i64..).zip(input.split(|byte| *byte == b'\n')) {
        if line.is_empty() {
            continue;
        }
        decoder.decode(line, &mut decoded);
        for record in decoded.drain(..) {
            batch.push(&record?, &Arrival { time_ms, ..Arrival::default() });
        }
        if time_ms % 1000 == 999 {
            application.push(&mut batch)?.write_ndjson(&mut out);
            let start = Instant::now();
            out.clear();
            application.advance_watermark(time_ms + 1)?.write_ndjson(&mut out);
            if !out.is_empty() {
                waits.push(start.elapsed().as_secs_f64() * 1000.0);
            }
        }
    }
    waits.sort_by(f64::total_cmp);
    let at = |part: usize| (waits[(waits.len() - 1) * part / 100] * 1000.0).round() / 1000.0;
    Ok((at(50), at(99), at(100)))
}
