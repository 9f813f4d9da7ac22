//! How long rows wait in a pipeline on the in-process Kinesis endpoint.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use eddy_benches::chain::{Readings, STREAM, Services};
use eddy_benches::process::runtime;
use eddy_benches::receiver::Receiver;
use eddy_kinesis::{Producer, ProducerSettings, ReadSettings};
use eddy_pipeline::{Settings, Stop, build};
use eddy_record::ScoredRecord;
use eddy_stream::{Rejected, Sink, StreamError};
use serde_json::json;
use tokio::sync::watch;

use crate::{WALKTHROUGH, percentiles};

/// Readings a second, for so many seconds; then none until all rows have left.
const RATE: u32 = 100;
const BUSY: Duration = Duration::from_secs(30);
const QUIET: Duration = Duration::from_secs(10);
/// Kinesis' own pauses, and those of the embedded default.
const POLL_MS: [(u64, u64); 2] = [(250, 200), (100, 10)];

/// From the next second's first arrival to the row, and from the second's end where there is none.
pub(crate) fn measure() -> Result<()> {
    for n_shards in [1, 4] {
        for (poll_ms, min_read_ms) in POLL_MS {
            run(n_shards, poll_ms, min_read_ms)?;
        }
    }
    Ok(())
}

fn run(n_shards: i32, poll_ms: u64, min_read_ms: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (servers, pipeline) = (runtime("servers", 1)?, runtime("pipeline", 1)?);
    let receiver = Receiver::new(1, 1, 0);
    let services = servers.block_on(Services::start(n_shards, &receiver, 1, 0))?;
    let settings = settings(&services, folder.path(), poll_ms, min_read_ms)?;
    let mut built = pipeline.block_on(build(&settings))?;
    let left = Arc::new(Left::default());
    built.pipeline.outputs.sinks = vec![Arc::clone(&left) as Arc<dyn Sink>];
    let (tell, told) = watch::channel(Stop::No);
    let running = pipeline.spawn(built.pipeline.run(told));
    let n_put = servers.block_on(async {
        let producer = Producer::new(services.client().await, ProducerSettings::unlimited(STREAM));
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
        let n_readings = RATE * u32::try_from(BUSY.as_secs())?;
        for (key, payload) in Readings::new(1, 400, 100).take(n_readings as usize) {
            ticks.tick().await;
            producer.put(&key, payload).await?;
        }
        let counts = producer.flush().await;
        tokio::time::sleep(QUIET).await;
        anyhow::Ok(counts.acknowledged)
    })?;
    tell.send(Stop::Now)?;
    servers.block_on(running)??;

    let rows = left.0.lock().unwrap_or_else(PoisonError::into_inner);
    ensure!(rows.len() as u64 == n_put, "{} rows of {n_put} records", rows.len());
    let (busy, quiet) = waits_ms(&rows);
    for (work, waits) in [("stream", busy), ("stream at rest", quiet)] {
        let [p50, p99, max] = percentiles(waits)?;
        println!(
            "{}",
            json!({ "work": work, "shards": n_shards, "records_per_s": RATE,
                "poll_interval_ms": poll_ms, "min_read_interval_ms": min_read_ms,
                "watermark_slack_ms": ReadSettings::default().watermark_slack_ms,
                "p50_ms": p50, "p99_ms": p99, "max_ms": max })
        );
    }
    Ok(())
}

/// The walkthrough's application as `eddy run SETTINGS.toml` reads it; the sink is replaced.
fn settings(
    services: &Services,
    folder: &Path,
    poll_ms: u64,
    min_read_ms: u64,
) -> Result<Settings> {
    std::fs::write(folder.join("app.sql"), WALKTHROUGH)?;
    let (folder, kinesis) = (folder.display(), services.kinesis);
    let text = format!(
        r#"
        dead_letters = "{folder}/dead-letters.ndjson"
        state = {{ path = "{folder}/state" }}
        application = {{ sql = "{folder}/app.sql" }}

        [source]
        type = "kinesis"
        stream = "{STREAM}"
        connection = {{ endpoint_url = "http://{kinesis}" }}
        read = {{ poll_interval_ms = {poll_ms}, min_read_interval_ms = {min_read_ms} }}

        [[sinks]]
        type = "stdout"
        "#
    );
    Settings::parse(&text, "measured").context("the settings")
}

/// Rows by their ROWTIME and when they came, both in milliseconds since the epoch.
#[derive(Default)]
struct Left(Mutex<Vec<(i64, i64)>>);

#[async_trait]
impl Sink for Left {
    fn name(&self) -> &str {
        "measured"
    }

    async fn write(&self, rows: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.extend(rows.iter().map(|row| (row.created_ms, now_ms)));
        Ok(Vec::new())
    }
}

/// What rows waited from the first arrival in the next second, and, where none came any more, from
/// their second's end.
fn waits_ms(rows: &[(i64, i64)]) -> (Vec<f64>, Vec<f64>) {
    let second = |ms: i64| ms.div_euclid(1000);
    let mut first: BTreeMap<i64, i64> = BTreeMap::new();
    for (rowtime_ms, _) in rows {
        let known = first.entry(second(*rowtime_ms)).or_insert(*rowtime_ms);
        *known = (*known).min(*rowtime_ms);
    }
    let (mut busy, mut quiet) = (Vec::new(), Vec::new());
    for (rowtime_ms, left_ms) in rows {
        let next = first.range(second(*rowtime_ms) + 1..).next();
        match next {
            Some((_, next_ms)) => busy.push((left_ms - next_ms) as f64),
            None => quiet.push((left_ms - 1000 * (second(*rowtime_ms) + 1)) as f64),
        }
    }
    (busy, quiet)
}
