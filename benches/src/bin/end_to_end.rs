//! The embedded default with sensors unthrottled: records a second through producer, in-process
//! Kinesis, forest and index, CPU by stage and peak memory. Prints one JSON line.
//!
//! Producer, endpoint and pipeline run as in the embedded default, but each on threads of its own
//! name, so that Linux tells their CPU time apart. `decode` and `score` are measured inside the
//! pipeline's threads; `pipeline` is the rest of these: reading, writing rows as text, committing.
//!
//! `cargo run --release -p eddy-benches --bin end_to_end [-- RECORDS]`

use std::time::Instant;

use anyhow::{Context, Result};
use eddy_benches::process::{cpu_seconds, peak_mib, runtime};
use eddy_kinesis::{ConnectionSettings, Producer, ProducerSettings, client};
use eddy_pipeline::embedded::{EmbeddedSettings, STREAM, serve_kinesis};
use eddy_pipeline::{Stop, build};
use eddy_sensors::{SensorSettings, Sensors};
use tokio::sync::watch;

fn main() -> Result<()> {
    let n_records: usize = match std::env::args().nth(1) {
        Some(text) => text.parse().context("usage: end_to_end [RECORDS]")?,
        None => 200_000,
    };
    let folder = tempfile::tempdir()?;
    let settings =
        EmbeddedSettings { data_dir: folder.path().to_owned(), ..EmbeddedSettings::default() };
    let server = runtime("endpoint", 1)?;
    let sensors = runtime("producer", 1)?;
    let pipeline = runtime("pipeline", 2)?;

    let kinesis = server.block_on(serve_kinesis(([127, 0, 0, 1], 0).into()))?.address;
    let built = pipeline.block_on(build(&settings.pipeline(kinesis)))?;
    let counters = built.pipeline.counters.clone();
    let (tell, told) = watch::channel(Stop::No);
    let start = Instant::now();
    let running = pipeline.spawn(built.pipeline.run(told));
    let putting = sensors.spawn(async move {
        let endpoint = ConnectionSettings::local(&format!("http://{kinesis}"));
        let producer = Producer::new(client(&endpoint).await, ProducerSettings::unlimited(STREAM));
        for reading in Sensors::new(SensorSettings::default())?.take(n_records) {
            producer.put(&reading.name, reading.to_json().into()).await?;
        }
        anyhow::Ok(producer.flush().await)
    });
    let counts = server.block_on(putting)??;
    let put_s = start.elapsed().as_secs_f64();
    tell.send(Stop::Drained)?;
    server.block_on(running)??;
    let all_s = start.elapsed().as_secs_f64();

    let totals = counters.totals();
    let n = n_records as f64;
    let us = |seconds: f64| (1e7 * seconds / n).round() / 10.0;
    let (decode_s, score_s) = (totals.decode_ns as f64 / 1e9, totals.score_ns as f64 / 1e9);
    let pipeline_s = cpu_seconds("pipeline");
    println!(
        "{}",
        serde_json::json!({
            "records": n_records,
            "acknowledged": counts.acknowledged,
            "delivered": totals.delivered,
            "records_per_s": (n / all_s).round(),
            "put_per_s": (n / put_s).round(),
            "cpu_us_per_record": {
                "total": us(cpu_seconds("")),
                "producer": us(cpu_seconds("producer")),
                "endpoint": us(cpu_seconds("endpoint")),
                "decode": us(decode_s),
                "score": us(score_s),
                "pipeline": us(pipeline_s - decode_s - score_s),
                "index": us(cpu_seconds("thrd-tantivy") + cpu_seconds("merge_thread")),
            },
            "peak_mib": peak_mib().round(),
        })
    );
    Ok(())
}
