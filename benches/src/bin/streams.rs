//! Kinesis in, Firehose and OpenSearch out, at the rates of full shards: records a second and CPU
//! time by stage, as a table in Markdown.
//!
//! The pipeline is that of `eddy run` with its defaults (the service's pauses between reads, 100
//! trees of 256, a model a sensor, state in a folder); Kinesis and what is behind the sinks are
//! servers in this process, on one thread of their own that is not counted with the chain. First
//! streams of 1, 2, 4 and 8 shards as fast as they go, with one and two threads for the pipeline,
//! then four shards at the rate that fills them. Records a second count until the last one is at both
//! receivers; they depend on what else the machine does, CPU time is what threads used whatever that
//! is.
//!
//! `cargo run --release -p eddy-benches --bin streams [-- RECORDS]`

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use eddy_benches::chain::{Readings, STREAM, Services};
use eddy_benches::process::{cpu_seconds, peak_mib, runtime};
use eddy_benches::receiver::{Arrived, Receiver};
use eddy_kinesis::{Producer, ProducerSettings};
use eddy_pipeline::{Stop, build};
use tokio::sync::watch;

const N_SENSORS: u64 = 400;
const RECORD_BYTES: usize = 1000;
/// Of one shard, in records a second; with records of 1000 bytes also in bytes.
const SHARD_RATE: u32 = 1000;
const PACED_SECONDS: u32 = 30;

struct Run {
    n_shards: i32,
    n_records: usize,
    records_per_s: Option<u32>,
    n_threads: usize,
}

fn main() -> Result<()> {
    let n_records = match std::env::args().nth(1) {
        Some(text) => text.parse().context("usage: streams [RECORDS]")?,
        None => 120_000,
    };
    println!(
        "| shards | threads | records | put/s | records/s | CPU us a record: producer | pipeline | \
         servers | producer and pipeline, in cores | peak MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for n_threads in [1, 2] {
        for n_shards in [1, 2, 4, 8] {
            Run { n_shards, n_records, records_per_s: None, n_threads }.measure()?;
        }
    }
    let rate = 4 * SHARD_RATE;
    let n_records = (rate * PACED_SECONDS) as usize;
    Run { n_shards: 4, n_records, records_per_s: Some(rate), n_threads: 2 }.measure()
}

impl Run {
    fn measure(&self) -> Result<()> {
        let Self { n_shards, n_records, records_per_s, n_threads } = *self;
        let folder = tempfile::tempdir()?;
        let servers = runtime("servers", 1)?;
        let sensors = runtime("producer", 1)?;
        let pipeline = runtime("pipeline", n_threads)?;
        let receiver = Receiver::new(n_records, 1, 0);
        let services = servers.block_on(Services::start(n_shards, &receiver, 1, 0))?;
        let built = pipeline.block_on(build(&services.settings(folder.path())?))?;
        let counters = built.pipeline.counters.clone();
        let client = sensors.block_on(services.client());
        let (tell, told) = watch::channel(Stop::No);
        let start = Instant::now();
        let running = pipeline.spawn(built.pipeline.run(told));
        let putting = sensors.spawn(async move {
            // The keys do not fill all shards alike, and what is measured is what comes behind.
            let producer = Producer::new(client, ProducerSettings::unlimited(STREAM));
            for (n, (key, payload)) in (0_u32..).zip(Readings::new(1, N_SENSORS, RECORD_BYTES)) {
                if n as usize == n_records {
                    break;
                }
                if let Some(rate) = records_per_s
                    && n.is_multiple_of(rate / 100)
                {
                    let due = Duration::from_secs(1) * n / rate;
                    tokio::time::sleep(due.saturating_sub(start.elapsed())).await;
                }
                producer.put(&key, payload).await?;
            }
            anyhow::Ok(producer.flush().await)
        });
        let counts = servers.block_on(putting)??;
        let put_s = start.elapsed().as_secs_f64();
        let has_all = |arrived: Arrived| arrived.distinct == n_records as u64;
        while !has_all(receiver.in_index()) || !has_all(receiver.in_firehose()) {
            ensure!(!running.is_finished(), "the pipeline ended by itself");
            std::thread::sleep(Duration::from_millis(5));
        }
        let seconds = start.elapsed().as_secs_f64();
        let (producer_s, pipeline_s) = (cpu_seconds("producer"), cpu_seconds("pipeline"));
        let servers_s = cpu_seconds("servers");
        tell.send(Stop::Drained)?;
        servers.block_on(running)??;

        let n = n_records as f64;
        ensure!(counts.acknowledged == n_records as u64, "not all put: {counts:?}");
        for arrived in [receiver.in_index(), receiver.in_firehose()] {
            ensure!(has_all(arrived) && arrived.wrong == 0, "{arrived:?}");
        }
        let totals = counters.totals();
        ensure!(totals.records == totals.delivered, "counters do not add up: {totals:?}");
        let us = |seconds: f64| format!("{:.1}", 1e6 * seconds / n);
        println!(
            "| {n_shards} | {n_threads} | {n_records} | {:.0} | {:.0} | {} | {} | {} | {:.2} | {:.0} |",
            n / put_s,
            n / seconds,
            us(producer_s),
            us(pipeline_s),
            us(servers_s),
            (producer_s + pipeline_s) / seconds,
            peak_mib(),
        );
        Ok(())
    }
}
