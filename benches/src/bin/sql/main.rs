//! SQL applications: throughput from bytes to bytes, and how long rows wait. A JSON line a
//! measurement.
//!
//! - `walkthrough`, `loop`: the original walkthrough's application over readings of one sensor, NDJSON
//!   in memory to NDJSON in memory, and a loop by hand that decodes the same lines, drives the same
//!   forest and writes the same bytes (which is checked). In turn, five times; `records_per_s` and
//!   `cpu_us_per_record` are medians of the thread's CPU time, `ratio` is that of the medians;
//! - `tumbling`: COUNT and AVG of a minute by one of 100 keys, from bytes to bytes;
//! - `watermark`: from the watermark that passes a second's or a window's end to its rows as bytes;
//! - `stream`: the walkthrough's application as a pipeline on the in-process Kinesis endpoint, from
//!   the arrival of a record in the next second to the row in the sink, and, where no record comes
//!   any more, from the end of the row's second.
//!
//! `cargo run --release -p eddy-benches --bin sql [-- RECORDS [WORK..]]`

mod stream;
mod throughput;
mod watermark;

use anyhow::{Context, Result, ensure};

/// The original walkthrough's application.
const WALKTHROUGH: &str = r#"
-- Creates a temporary stream.
CREATE OR REPLACE STREAM "TEMP_STREAM" (
    "iotName"        varchar (40),
    "iotValue"       DOUBLE,
    "ANOMALY_SCORE"  DOUBLE);
-- Creates another stream for application output.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" (
    "iotName"       varchar(40),
    "iotValue"      DOUBLE,
    "ANOMALY_SCORE" DOUBLE,
    "created" TimeStamp);
-- Compute an anomaly score for each record in the input stream using Random Cut Forest.
CREATE OR REPLACE PUMP "STREAM_PUMP_1" AS INSERT INTO "TEMP_STREAM"
SELECT STREAM "iotName", "iotValue", ANOMALY_SCORE FROM
TABLE(RANDOM_CUT_FOREST(
    CURSOR(SELECT STREAM * FROM "SOURCE_SQL_STREAM_001")
));
-- Sort records by descending anomaly score, insert into output stream.
CREATE OR REPLACE PUMP "OUTPUT_PUMP" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM "iotName", "iotValue", ANOMALY_SCORE, ROWTIME FROM "TEMP_STREAM"
ORDER BY FLOOR("TEMP_STREAM".ROWTIME TO SECOND), ANOMALY_SCORE DESC;
"#;

/// COUNT and AVG of a minute by key.
const TUMBLING: &str = r#"
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" ("iotName" varchar(40), n BIGINT, a DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM "iotName", COUNT(*), AVG("iotValue") FROM "SOURCE_SQL_STREAM_001" s
GROUP BY "iotName", STEP(s.ROWTIME BY INTERVAL '60' SECOND);"#;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let n_records: usize = match args.next() {
        Some(text) => text.parse().context("usage: sql [RECORDS [WORK..]]")?,
        None => 1_000_000,
    };
    let works: Vec<String> = args.collect();
    let known = ["walkthrough", "tumbling", "watermark", "stream"];
    for work in &works {
        ensure!(known.contains(&work.as_str()), "no such work: {work}; there is {known:?}");
    }
    let is_wanted = |work: &str| works.is_empty() || works.iter().any(|it| it == work);
    if is_wanted("walkthrough") {
        throughput::walkthrough(n_records)?;
    }
    if is_wanted("tumbling") {
        throughput::tumbling(n_records)?;
    }
    if is_wanted("watermark") {
        watermark::measure()?;
    }
    if is_wanted("stream") {
        stream::measure()?;
    }
    Ok(())
}

/// The median, the 99th of a hundred and the greatest, in milliseconds.
fn percentiles(mut waits_ms: Vec<f64>) -> Result<[f64; 3]> {
    ensure!(!waits_ms.is_empty(), "nothing was measured");
    waits_ms.sort_by(f64::total_cmp);
    let at = |part: usize| {
        let wait_ms = waits_ms[(waits_ms.len() - 1) * part / 100];
        (wait_ms * 1000.0).round() / 1000.0
    };
    Ok([at(50), at(99), at(100)])
}
