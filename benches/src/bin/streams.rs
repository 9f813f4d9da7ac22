//! Kinesis in, Firehose and OpenSearch out: records a second, CPU time and memory by stage, one JSON
//! line each.
//!
//! The pipeline is that of `eddy run` with its defaults (the service's pauses between reads, 100
//! trees of 256, a model a sensor, state in a folder), in a process of its own: CPU time and memory
//! are of that process alone. Kinesis and what is behind the sinks are servers in this one, on one
//! thread. `source` reads every shard, `score` also decodes, scores and keeps its state, `chain` also
//! delivers to `_bulk` and Firehose; they begin with a stream that holds all records. Then four shards
//! at the rate that fills them (`put_per_s`), and `score-from-memory`, where no server takes part, with
//! one and two threads. Records a second depend on what else the machine does, CPU time hardly does.
//!
//! `cargo run --release -p eddy-benches --bin streams`

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Parser;
use eddy_benches::chain::{N_SENSORS, Readings, STREAM, Services};
use eddy_benches::child::{Child, ChildOptions, Report, Stage, work_if_child};
use eddy_benches::process::runtime;
use eddy_benches::receiver::Receiver;
use eddy_kinesis::{Client, Producer, ProducerCounts, ProducerSettings};

/// Of one shard, in records a second; with records of 1000 bytes also in bytes.
const SHARD_RATE: u32 = 1000;
/// Bytes of a record.
const RECORD_BYTES: usize = 1000;
/// How long one measurement may take.
const MEASURED_WITHIN: Duration = Duration::from_secs(600);

/// Measures the chain by stage.
#[derive(Clone, Copy, Debug, Parser)]
struct Options {
    /// Records a run, each of 1000 bytes.
    #[arg(long, default_value_t = 120_000)]
    records: usize,
    /// For how long four shards are filled, in seconds.
    #[arg(long, default_value_t = 30)]
    paced_seconds: u32,
    /// Only this stage.
    #[arg(long)]
    only: Option<Stage>,
}

#[derive(Clone, Copy)]
struct Run {
    stage: Stage,
    n_shards: i32,
    n_threads: usize,
    n_records: usize,
    put_per_s: Option<u32>,
}

fn main() -> Result<()> {
    if work_if_child()?.is_some() {
        return Ok(());
    }
    let options = Options::parse();
    let n_records = options.records;
    let run =
        |stage, n_shards, n_threads| Run { stage, n_shards, n_threads, n_records, put_per_s: None };
    let mut runs = Vec::new();
    for stage in [Stage::Source, Stage::Score, Stage::Chain] {
        runs.extend([1, 4, 16].map(|n_shards| run(stage, n_shards, 2)));
    }
    let rate = 4 * SHARD_RATE;
    let n_paced = (rate * options.paced_seconds) as usize;
    runs.push(Run { n_records: n_paced, put_per_s: Some(rate), ..run(Stage::Chain, 4, 2) });
    runs.extend([1, 2].map(|n_threads| run(Stage::ScoreFromMemory, 16, n_threads)));
    for run in runs {
        if options.only.is_none_or(|only| only == run.stage) {
            run.measure()?;
        }
    }
    Ok(())
}

impl Run {
    fn measure(self) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let servers = runtime("servers", 1)?;
        let sensors = runtime("producer", 1)?;
        let receiver = Receiver::new(self.n_records, 1, 0);
        let services = servers.block_on(Services::start(self.n_shards, &receiver, 1, 0))?;
        let client = sensors.block_on(services.client());
        let options = ChildOptions {
            stage: self.stage,
            threads: self.n_threads,
            shards: self.n_shards,
            records: self.n_records,
            bytes: RECORD_BYTES,
            settings: services.write_settings(folder.path())?,
        };
        let needs_stream = self.stage != Stage::ScoreFromMemory;
        let mut child;
        if self.put_per_s.is_some() {
            child = Child::start(&options)?;
            sensors.block_on(self.put(client))?;
        } else {
            if needs_stream {
                sensors.block_on(self.put(client))?;
            }
            child = Child::start(&options)?;
        }
        child.drain();
        let report = child.wait(MEASURED_WITHIN)?;
        ensure!(report.records == self.n_records as u64, "not all came: {report:?}");
        if self.stage == Stage::Chain {
            for arrived in [receiver.in_index(), receiver.in_firehose()] {
                let all = arrived.distinct == self.n_records as u64 && arrived.wrong == 0;
                ensure!(all, "not all arrived: {arrived:?}");
            }
        }
        self.print(&report);
        Ok(())
    }

    async fn put(self, client: Client) -> Result<ProducerCounts> {
        // The keys do not fill all shards alike, and what is measured is what comes behind.
        let producer = Producer::new(client, ProducerSettings::unlimited(STREAM));
        let start = Instant::now();
        let readings = Readings::new(1, N_SENSORS, RECORD_BYTES).take(self.n_records);
        for (n, (key, payload)) in (0_u32..).zip(readings) {
            if let Some(rate) = self.put_per_s
                && n.is_multiple_of(rate / 100)
            {
                let due = Duration::from_secs(1) * n / rate;
                tokio::time::sleep(due.saturating_sub(start.elapsed())).await;
            }
            producer.put(&key, payload).await?;
        }
        let counts = producer.flush().await;
        ensure!(counts.acknowledged == self.n_records as u64, "not all put: {counts:?}");
        Ok(counts)
    }

    fn print(self, report: &Report) {
        let n = self.n_records as f64;
        let line = serde_json::json!({
            "stage": self.stage.name(),
            "shards": self.n_shards,
            "threads": self.n_threads,
            "records": self.n_records,
            "put_per_s": self.put_per_s,
            "records_per_s": (n / report.seconds).round(),
            "cpu_us_per_record": (1e7 * report.cpu_s / n).round() / 10.0,
            "cores": (100.0 * report.cpu_s / report.seconds).round() / 100.0,
            "peak_mib": report.peak_mib.round(),
        });
        println!("{line}");
    }
}
