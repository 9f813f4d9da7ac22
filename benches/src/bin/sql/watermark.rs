//! How soon rows leave once the time has passed.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use eddy_record::{DecodeLimits, Decoder, Schema};
use eddy_sql::{Application, Arrival, Options};
use serde_json::json;

use crate::throughput::readings;
use crate::{TUMBLING, WALKTHROUGH, percentiles};

const N_RECORDS: usize = 300_000;

/// From a watermark to the rows that it lets go, as bytes, at 1000 records a second.
pub(crate) fn measure() -> Result<()> {
    for (name, text) in [("walkthrough", WALKTHROUGH), ("tumbling", TUMBLING)] {
        let [p50, p99, max] = percentiles(waits_ms(text)?)?;
        println!(
            "{}",
            json!({ "work": "watermark", "application": name, "records_per_s": 1000,
                "p50_ms": p50, "p99_ms": p99, "max_ms": max })
        );
    }
    Ok(())
}

fn waits_ms(text: &str) -> Result<Vec<f64>> {
    let mut application = Application::new(text, Options::new(Schema::walkthrough()))?;
    let decoder = Decoder::new(Arc::new(Schema::walkthrough()), DecodeLimits::default())?;
    let (mut decoded, mut batch) = (Vec::new(), application.batch());
    let input = readings(N_RECORDS, 100);
    let (mut out, mut waits_ms) = (Vec::new(), Vec::new());
    for (time_ms, line) in (0_i64..).zip(input.split(|byte| *byte == b'\n')) {
        if line.is_empty() {
            continue;
        }
        decoder.decode(line, &mut decoded);
        for record in decoded.drain(..) {
            batch.push(&record?, &Arrival { time_ms, ..Arrival::default() });
        }
        if time_ms % 1000 == 999 {
            application.push(&mut batch)?;
            let start = Instant::now();
            out.clear();
            application.advance_watermark(time_ms + 1)?.write_ndjson(&mut out);
            if !out.is_empty() {
                waits_ms.push(start.elapsed().as_secs_f64() * 1000.0);
            }
        }
    }
    Ok(waits_ms)
}
