//! The whole chain for a fixed time on services that fail by a seed, with stops in between: nothing
//! lost, nothing twice, counters that add up, memory that is bounded and does not grow. Exit code 1
//! otherwise.
//!
//! Sensors put readings of about 500 bytes at a steady rate into a stream of several shards in this
//! process; the pipeline of `eddy run` scores them, a model a sensor, and sends them to `_bulk` and
//! to Firehose. One request in fifty to the receivers and one in a hundred to Kinesis fails: refused,
//! in part, or with its answer lost. About once a minute the pipeline is aborted as it stands, and
//! goes on at its last commit.
//!
//! `cargo run --release -p eddy-benches --bin soak -- --minutes 10`

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use eddy_benches::chain::{Readings, STREAM, Services};
use eddy_benches::process::{cpu_seconds, peak_mib, resident_mib, runtime};
use eddy_benches::receiver::Receiver;
use eddy_harness::Random;
use eddy_kinesis::{Producer, ProducerCounts, ProducerSettings};
use eddy_pipeline::{Counters, Stop, Totals, build};
use tokio::sync::watch;

const RECORD_BYTES: usize = 500;
/// What the in-process stream holds of settled records.
const MAX_STREAM_BYTES: u64 = 16 << 20;
/// How long what was put last may take to arrive.
const DRAINED_WITHIN: Duration = Duration::from_secs(300);

/// Runs the whole chain for a while and says whether it held.
#[derive(Clone, Copy, Debug, Parser)]
struct Options {
    /// For how long readings come.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Readings a second.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// Shards.
    #[arg(long, default_value_t = 4)]
    shards: i32,
    /// Sensors, each with a model.
    #[arg(long, default_value_t = 100)]
    sensors: u64,
    /// What fails, and when.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The most that may be resident at any time, servers included, in MiB.
    #[arg(long, default_value_t = 400.0)]
    max_resident: f64,
    /// How much more than at its start may be resident at the end of the time behind the warm-up (the
    /// first third), by a straight line through all samples, in percent.
    #[arg(long, default_value_t = 10.0)]
    max_growth: f64,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let soak = Soak::run(options)?;
    let problems = soak.problems(options);
    for problem in &problems {
        eprintln!("{problem}");
    }
    println!("{}", soak.report());
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Soak {
    put: ProducerCounts,
    // Of each life of the pipeline.
    lives: Vec<Totals>,
    receiver: Receiver,
    // Seconds and MiB.
    resident: Vec<(f64, f64)>,
    seconds: f64,
    pipeline_cpu_s: f64,
}

impl Soak {
    fn run(options: Options) -> Result<Self> {
        let seconds = options.minutes * 60.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a time in minutes"
        )]
        let n_readings = (seconds * f64::from(options.rate)) as usize;
        let folder = tempfile::tempdir()?;
        let servers = runtime("servers", 1)?;
        let sensors = runtime("producer", 1)?;
        let pipeline = runtime("pipeline", 2)?;
        let receiver = Receiver::new(n_readings, options.seed ^ 1, 50);
        let services =
            servers.block_on(Services::start(options.shards, &receiver, options.seed ^ 2, 100))?;
        let services = Arc::new(services);
        let settings = services.settings(folder.path())?;
        let current: Arc<Mutex<Arc<Counters>>> = Arc::default();
        let (trimmed, of) = (Arc::clone(&services), Arc::clone(&current));
        servers.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                let counters = Arc::clone(&of.lock().unwrap_or_else(PoisonError::into_inner));
                trimmed.trim(&counters, MAX_STREAM_BYTES).await;
            }
        });

        let start = Instant::now();
        let client = sensors.block_on(services.client());
        let putting = sensors.spawn(put(options, client, n_readings));
        let sampling = Arc::new(AtomicBool::new(true));
        let sampler = std::thread::spawn({
            let sampling = Arc::clone(&sampling);
            move || {
                let mut resident = Vec::new();
                while sampling.load(Ordering::Relaxed) {
                    resident.push((start.elapsed().as_secs_f64(), resident_mib()));
                    std::thread::sleep(Duration::from_secs(1));
                }
                resident
            }
        });

        let mut random = Random::new(options.seed ^ 3);
        let mut lives = Vec::new();
        let end = Duration::from_secs_f64(seconds);
        loop {
            let built = pipeline.block_on(build(&settings))?;
            let counters = Arc::clone(&built.pipeline.counters);
            *current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&counters);
            let (tell, told) = watch::channel(Stop::No);
            let running = pipeline.spawn(built.pipeline.run(told));
            let life = Duration::from_secs(30 + random.below(60));
            let is_last = start.elapsed() + life >= end;
            let until = if is_last { end } else { start.elapsed() + life };
            while start.elapsed() < until && !running.is_finished() {
                std::thread::sleep(Duration::from_millis(100));
            }
            if running.is_finished() {
                sampling.store(false, Ordering::Relaxed);
                let ended = pipeline.block_on(running)?;
                bail!("the pipeline ended by itself: {ended:?}");
            }
            if !is_last {
                tell.send(Stop::Abort)?;
                let aborted = pipeline.block_on(running)?;
                if aborted.is_ok() {
                    bail!("an abort settled everything");
                }
                lives.push(counters.totals());
                eprintln!(
                    "{:.0} s: aborted, {:.0} MiB",
                    start.elapsed().as_secs_f64(),
                    resident_mib()
                );
                continue;
            }
            // What comes now must not grow the memory any more, nor count.
            sampling.store(false, Ordering::Relaxed);
            let put = sensors.block_on(putting)??;
            receiver.calm();
            tell.send(Stop::Drained)?;
            let drained =
                pipeline.block_on(async { tokio::time::timeout(DRAINED_WITHIN, running).await });
            drained.context("what was put does not arrive")???;
            lives.push(counters.totals());
            let resident = sampler.join().map_err(|_| anyhow::anyhow!("the sampler panicked"))?;
            let pipeline_cpu_s = cpu_seconds("pipeline");
            return Ok(Self { put, lives, receiver, resident, seconds, pipeline_cpu_s });
        }
    }

    fn problems(&self, options: Options) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |holds: bool, problem: String| {
            if !holds {
                problems.push(problem);
            }
        };
        let put = &self.put;
        check(
            put.put == put.acknowledged && put.failed == 0,
            format!("the producer's counts do not add up, or records failed: {put:?}"),
        );
        for totals in &self.lives {
            check(
                totals.records == totals.delivered + totals.dead_lettered(),
                format!("a pipeline's counters do not add up: {totals:?}"),
            );
            check(totals.dead_lettered() == 0, format!("there are dead letters: {totals:?}"));
        }
        for (place, arrived) in
            [("_bulk", self.receiver.in_index()), ("Firehose", self.receiver.in_firehose())]
        {
            check(
                arrived.distinct == put.acknowledged,
                format!("{place} has {} of {} readings", arrived.distinct, put.acknowledged),
            );
            check(
                arrived.wrong == 0,
                format!("{place} has {} readings twice, by their ids", arrived.wrong),
            );
        }
        check(
            peak_mib() <= options.max_resident,
            format!("{:.0} MiB were resident, more than {}", peak_mib(), options.max_resident),
        );
        let growth = self.growth_percent();
        check(
            growth <= options.max_growth,
            format!("the resident memory grows: {growth:.1} % behind the warm-up"),
        );
        problems
    }

    fn behind_warm_up(&self) -> impl Iterator<Item = &(f64, f64)> {
        self.resident.iter().filter(|(at, _)| *at > self.seconds / 3.0)
    }

    /// How much the line of least squares rises behind the warm-up, of what it has there at first.
    fn growth_percent(&self) -> f64 {
        let n = self.behind_warm_up().count() as f64;
        let (x, y) =
            self.behind_warm_up().fold((0.0, 0.0), |(x, y), (at, mib)| (x + at / n, y + mib / n));
        let (mut xx, mut xy) = (0.0, 0.0);
        for (at, mib) in self.behind_warm_up() {
            xx += (at - x) * (at - x);
            xy += (at - x) * (mib - y);
        }
        let slope = if xx > 0.0 { xy / xx } else { 0.0 };
        let width = self.seconds * 2.0 / 3.0;
        100.0 * slope * width / (y - slope * width / 2.0)
    }

    fn report(&self) -> String {
        let sum = |of: fn(&Totals) -> u64| self.lives.iter().map(of).sum::<u64>();
        let (index, firehose) = (self.receiver.in_index(), self.receiver.in_firehose());
        let mut behind: Vec<f64> = self.behind_warm_up().map(|(_, mib)| *mib).collect();
        behind.sort_by(f64::total_cmp);
        let at = |share: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a place in a list"
            )]
            let place = ((behind.len().saturating_sub(1)) as f64 * share) as usize;
            behind.get(place).map_or(0.0, |mib| mib.round())
        };
        serde_json::json!({
            "seconds": self.seconds,
            "put": self.put.put,
            "acknowledged": self.put.acknowledged,
            "retried": self.put.retried,
            "throttled": self.put.throttled,
            "lives": self.lives.len(),
            "delivered": sum(|totals| totals.delivered),
            "restarts_of_partitions": sum(|totals| totals.restarts),
            "index": {"distinct": index.distinct, "again": index.again, "wrong": index.wrong},
            "firehose": {"distinct": firehose.distinct, "again": firehose.again, "wrong": firehose.wrong},
            "resident_mib_behind_warm_up": {"least": at(0.0), "median": at(0.5), "most": at(1.0)},
            "resident_mib_peak": peak_mib().round(),
            "growth_percent": (self.growth_percent() * 10.0).round() / 10.0,
            "pipeline_cpu_us_a_record": (1e7 * self.pipeline_cpu_s / self.put.put as f64).round() / 10.0,
        })
        .to_string()
    }
}

/// Puts readings at a steady rate, and waits for the last to be acknowledged.
async fn put(
    options: Options,
    client: eddy_kinesis::Client,
    n_readings: usize,
) -> Result<ProducerCounts> {
    let producer = Producer::new(client, ProducerSettings::new(STREAM));
    let start = Instant::now();
    let a_turn = (options.rate / 50).max(1);
    let readings = Readings::new(options.seed, options.sensors, RECORD_BYTES);
    for (n, (key, payload)) in (0_u32..).zip(readings.take(n_readings)) {
        if n.is_multiple_of(a_turn) {
            let due = Duration::from_secs_f64(f64::from(n) / f64::from(options.rate));
            tokio::time::sleep(due.saturating_sub(start.elapsed())).await;
        }
        producer.put(&key, payload).await?;
    }
    Ok(producer.flush().await)
}
