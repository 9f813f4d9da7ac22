//! The embedded default with sensors unthrottled: records a second through producer, in-process
//! Kinesis, forest and index. Prints one JSON line.
//!
//! `cargo run --release -p eddy-benches --bin end_to_end [-- RECORDS]`

use std::time::Instant;

use anyhow::{Context, Result};
use eddy_kinesis::{KinesisSettings, Producer, ProducerSettings, client};
use eddy_pipeline::Stop;
use eddy_pipeline::embedded::{Embedded, EmbeddedSettings, STREAM};
use eddy_sensors::{SensorSettings, Sensors};
use tokio::sync::watch;

#[tokio::main]
async fn main() -> Result<()> {
    let n_records: usize = match std::env::args().nth(1) {
        Some(text) => text.parse().context("usage: end_to_end [RECORDS]")?,
        None => 200_000,
    };
    let folder = tempfile::tempdir()?;
    let settings = EmbeddedSettings {
        sensors: false,
        kinesis_listen: ([127, 0, 0, 1], 0).into(),
        data_dir: folder.path().to_owned(),
        ..EmbeddedSettings::default()
    };
    let embedded = Embedded::start(&settings).await?;
    let counters = embedded.pipeline.counters.clone();
    let endpoint = KinesisSettings::local(&format!("http://{}", embedded.kinesis));
    let producer = Producer::new(client(&endpoint).await, ProducerSettings::new(STREAM));
    let (tell, told) = watch::channel(Stop::No);
    let start = Instant::now();
    let running = tokio::spawn(embedded.run(told));
    for reading in Sensors::new(SensorSettings::default())?.take(n_records) {
        producer.put(&reading.name, reading.to_json().into()).await?;
    }
    let counts = producer.flush().await;
    let put_s = start.elapsed().as_secs_f64();
    tell.send(Stop::Drained)?;
    running.await??;
    let all_s = start.elapsed().as_secs_f64();
    let totals = counters.totals();
    let n = n_records as f64;
    println!(
        "{}",
        serde_json::json!({
            "records": n_records,
            "acknowledged": counts.acknowledged,
            "delivered": totals.delivered,
            "records_per_s": (n / all_s).round(),
            "put_per_s": (n / put_s).round(),
            "cpu_us_per_record": (1e7 * cpu_seconds() / n).round() / 10.0,
            "peak_mib": peak_mib(),
        })
    );
    Ok(())
}

/// User and system time of this process; 0 where /proc does not tell.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may hold spaces: fields 14 and 15, in hundredths of a second.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The largest memory of this process; 0 where /proc does not tell.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
