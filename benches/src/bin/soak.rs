//! The whole chain for a fixed time on services that fail by a seed, with kills: nothing lost, nothing
//! twice, counters that add up, memory that is bounded and does not grow. Exit code 1 otherwise.
//!
//! Sensors put readings of about 500 bytes at a steady rate into a stream of several shards in this
//! process; the pipeline of `eddy run`, a process of its own, scores them, a model a sensor, and sends
//! them to `_bulk` and to Firehose. One request in fifty to the receivers and one in a hundred to
//! Kinesis fails: refused, in part, or with its answer lost. In the first third of the time the
//! pipeline is killed (`kill -9`) every 20 to 60 seconds and goes on at its last commit; then one
//! lives to the end, and its memory must not grow.
//!
//! `cargo run --release -p eddy-benches --bin soak -- --minutes 10`

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Parser;
use eddy_benches::chain::{Readings, STREAM, Services};
use eddy_benches::child::{Child, ChildOptions, Report, Stage, work_if_child};
use eddy_benches::process::runtime;
use eddy_benches::receiver::Receiver;
use eddy_harness::Random;
use eddy_kinesis::{Producer, ProducerCounts, ProducerSettings};

const RECORD_BYTES: usize = 500;
/// What the in-process stream holds of settled records.
const MAX_STREAM_BYTES: u64 = 16 << 20;
/// How long what was put last may take to arrive.
const DRAINED_WITHIN: Duration = Duration::from_secs(300);
/// The share of the time in which the pipeline is killed now and then, and the share of its last life
/// that counts as warm-up.
const A_THIRD: f64 = 1.0 / 3.0;

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
    /// The most that the pipeline's process may have resident at any time, in MiB.
    #[arg(long, default_value_t = 300.0)]
    max_resident: f64,
    /// How much more than at its start may be resident at the end of the last life, behind the first
    /// third of it, by a straight line through all samples, in percent.
    #[arg(long, default_value_t = 10.0)]
    max_growth: f64,
}

fn main() -> Result<ExitCode> {
    if work_if_child()?.is_some() {
        return Ok(ExitCode::SUCCESS);
    }
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
    // The reports of each life of the pipeline.
    lives: Vec<Vec<Report>>,
    // When readings ceased to come, in the last life's time.
    last_life_s: f64,
    receiver: Receiver,
    seconds: f64,
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
        let receiver = Receiver::new(n_readings, options.seed ^ 1, 50);
        let services =
            servers.block_on(Services::start(options.shards, &receiver, options.seed ^ 2, 100))?;
        let services = Arc::new(services);
        let pipeline = ChildOptions {
            stage: Stage::Chain,
            threads: 2,
            shards: options.shards,
            records: n_readings,
            bytes: RECORD_BYTES,
            settings: services.write_settings(folder.path())?,
        };
        let settled: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
        let (trimmed, of) = (Arc::clone(&services), Arc::clone(&settled));
        servers.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                let settled = of.lock().unwrap_or_else(PoisonError::into_inner).clone();
                trimmed.trim(&settled, MAX_STREAM_BYTES).await;
            }
        });

        let start = Instant::now();
        let client = sensors.block_on(services.client());
        let putting = sensors.spawn(put(options, client, n_readings));
        let mut random = Random::new(options.seed ^ 3);
        let mut lives = Vec::new();
        let end = Duration::from_secs_f64(seconds);
        loop {
            let mut child = Child::start(&pipeline)?;
            let born = start.elapsed();
            let is_last = born.as_secs_f64() >= seconds * A_THIRD;
            let life = Duration::from_secs(20 + random.below(40));
            let until = if is_last { end } else { born + life };
            while start.elapsed() < until {
                if child.has_ended()? {
                    bail!("the pipeline ended by itself: {:?}", child.report());
                }
                let report = child.report();
                settled.lock().unwrap_or_else(PoisonError::into_inner).extend(report.settled);
                std::thread::sleep(Duration::from_millis(100));
            }
            let at = start.elapsed().as_secs_f64();
            eprintln!("{at:.0} s: {:.0} MiB resident", child.report().resident_mib);
            if !is_last {
                child.kill()?;
                lives.push(child.reports());
                continue;
            }
            // What comes now is neither load nor storm, and counts for no trend.
            let last_life_s = child.report().seconds;
            let put = sensors.block_on(putting)??;
            receiver.calm();
            child.drain();
            child.wait(DRAINED_WITHIN)?;
            lives.push(child.reports());
            return Ok(Self { put, lives, last_life_s, receiver, seconds });
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
        for report in self.lives.iter().flatten() {
            check(
                report.records == report.delivered + report.dead_lettered,
                format!("a pipeline's counters do not add up: {report:?}"),
            );
            check(report.dead_lettered == 0, format!("there are dead letters: {report:?}"));
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
        let peak = self.peak_mib();
        check(
            peak <= options.max_resident,
            format!("{peak:.0} MiB were resident, more than {}", options.max_resident),
        );
        let growth = self.growth_percent();
        check(
            growth <= options.max_growth,
            format!("the resident memory grows: {growth:.1} % behind the warm-up"),
        );
        problems
    }

    fn peak_mib(&self) -> f64 {
        self.lives.iter().flatten().map(|report| report.peak_mib).fold(0.0, f64::max)
    }

    /// Seconds and MiB of the last life behind its warm-up.
    fn behind_warm_up(&self) -> impl Iterator<Item = (f64, f64)> {
        let reports = self.lives.last().into_iter().flatten();
        let behind = A_THIRD * self.last_life_s..self.last_life_s;
        reports
            .filter(move |report| behind.contains(&report.seconds))
            .map(|report| (report.seconds, report.resident_mib))
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
        let width = self.last_life_s * (1.0 - A_THIRD);
        100.0 * slope * width / (y - slope * width / 2.0)
    }

    fn report(&self) -> String {
        let last = || self.lives.iter().filter_map(|reports| reports.last());
        let sum = |of: fn(&Report) -> u64| last().map(of).sum::<u64>();
        let cpu_s: f64 = last().map(|report| report.cpu_s).sum();
        let (index, firehose) = (self.receiver.in_index(), self.receiver.in_firehose());
        let tenths: Vec<f64> = (0..10)
            .map(|tenth| {
                let from = self.last_life_s * f64::from(tenth) / 10.0;
                let part = from..from + self.last_life_s / 10.0;
                let reports = self.lives.last().into_iter().flatten();
                let of_part = reports.filter(|report| part.contains(&report.seconds));
                of_part.map(|report| report.resident_mib.round()).fold(0.0, f64::max)
            })
            .collect();
        let mut behind: Vec<f64> = self.behind_warm_up().map(|(_, mib)| mib).collect();
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
            "last_life_s": self.last_life_s.round(),
            "delivered": sum(|report| report.delivered),
            "restarts_of_partitions": sum(|report| report.restarts),
            "index": {"distinct": index.distinct, "again": index.again, "wrong": index.wrong},
            "firehose": {"distinct": firehose.distinct, "again": firehose.again, "wrong": firehose.wrong},
            "resident_mib_behind_warm_up": {"least": at(0.0), "median": at(0.5), "most": at(1.0)},
            "resident_mib_by_tenth_of_last_life": tenths,
            "resident_mib_peak": self.peak_mib().round(),
            "growth_percent": (self.growth_percent() * 10.0).round() / 10.0,
            "pipeline_cpu_us_a_record": (1e7 * cpu_s / self.put.put as f64).round() / 10.0,
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
