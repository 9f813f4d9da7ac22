//! The pipeline as a process of its own, so that its CPU time and memory are not those of the servers
//! and that a kill is a kill. A measurement starts its own program again for it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use clap::{Parser, ValueEnum};
use eddy_kinesis::{KinesisSource, client};
use eddy_pipeline::{Counters, Pipeline, Settings, SourceSettings, Stop, build};
use eddy_record::{PartitionId, Position, RawRecord, ScoredRecord, SequenceNumber, StreamIdentity};
use eddy_stream::{MemorySource, Partition, Rejected, Sink, Source, Start, StreamError};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::chain::{N_SENSORS, Readings};
use crate::process::{peak_mib, process_cpu_seconds, resident_mib, runtime};

/// How often a child reports.
const REPORT_EVERY: Duration = Duration::from_millis(250);
/// Records of a batch of the stream in memory: about those of a read of the service.
const MEMORY_BATCH: usize = 1000;

/// How much of the chain runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// The source alone: every shard read side by side.
    Source,
    /// Source, decoder, forests and state; the rows go nowhere.
    Score,
    /// The same with records that lie in memory.
    ScoreFromMemory,
    /// All of it, to `_bulk` and to Firehose.
    Chain,
}

impl Stage {
    /// Its name in reports.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// What a child is told.
#[derive(Clone, Debug, Parser)]
pub struct ChildOptions {
    /// How much of the chain runs.
    #[arg(long)]
    pub stage: Stage,
    /// Threads of the pipeline.
    #[arg(long)]
    pub threads: usize,
    /// Shards of the stream.
    #[arg(long)]
    pub shards: i32,
    /// Records that the stream holds, for stages that end by themselves.
    #[arg(long)]
    pub records: usize,
    /// Bytes a record.
    #[arg(long)]
    pub bytes: usize,
    /// The pipeline's settings.
    #[arg(long)]
    pub settings: PathBuf,
}

/// How a child stands. The counters are those of one moment.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Report {
    /// Since it began to work.
    pub seconds: f64,
    /// Of the whole process, since it began to work.
    pub cpu_s: f64,
    /// Resident now.
    pub resident_mib: f64,
    /// The most that was resident.
    pub peak_mib: f64,
    /// Records read, or settled where there are sinks.
    pub records: u64,
    /// Delivered to every sink.
    pub delivered: u64,
    /// Dead letters.
    pub dead_lettered: u64,
    /// Times that a partition started again.
    pub restarts: u64,
    /// By shard, the sequence number up to which everything is settled and committed.
    pub settled: BTreeMap<String, String>,
}

const CHILD: &str = "--child";

/// Does the work of a child where this process is one. `None`: it is not.
///
/// # Errors
/// The work failed.
pub fn work_if_child() -> Result<Option<()>> {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    if arguments.next().as_deref() != Some(CHILD) {
        return Ok(None);
    }
    let options = ChildOptions::parse_from(std::iter::once(program).chain(arguments));
    work(&options).map(Some)
}

fn work(options: &ChildOptions) -> Result<()> {
    let text = std::fs::read_to_string(&options.settings)?;
    let settings = Settings::parse(&text, "measured").context("the settings")?;
    let runtime = runtime("pipeline", options.threads)?;
    let read = Arc::new(AtomicU64::new(0));
    if options.stage == Stage::Source {
        let from = Beginning::now();
        runtime.block_on(read_all(&settings, options.records, &read))?;
        return report(&from.report(read.load(Ordering::Relaxed), &Counters::default()));
    }
    let mut pipeline = runtime.block_on(build(&settings))?.pipeline;
    if options.stage != Stage::Chain {
        pipeline.outputs.sinks = vec![Arc::new(Nowhere)];
    }
    if options.stage == Stage::ScoreFromMemory {
        pipeline.source = Arc::new(in_memory(options));
    }
    let counters = Arc::clone(&pipeline.counters);
    let from = Beginning::now();
    let ended = runtime.block_on(run(pipeline, &from, &counters));
    report(&from.report(0, &counters))?;
    ended
}

/// Runs until standard input ends, then until everything is settled; reports all the while.
async fn run(pipeline: Pipeline, from: &Beginning, counters: &Counters) -> Result<()> {
    let (tell, told) = watch::channel(Stop::No);
    // A thread of its own: a runtime waits for its blocking reads at its end.
    std::thread::spawn(move || {
        let _line = std::io::stdin().read_line(&mut String::new());
        let _ended = tell.send(Stop::Drained);
    });
    let mut running = tokio::spawn(pipeline.run(told));
    let mut every = tokio::time::interval(REPORT_EVERY);
    loop {
        tokio::select! {
            ended = &mut running => return Ok(ended??),
            _ = every.tick() => report(&from.report(0, counters))?,
        }
    }
}

fn report(report: &Report) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(report)?)?;
    Ok(out.flush()?)
}

/// When the work began.
struct Beginning {
    at: Instant,
    cpu_s: f64,
}

impl Beginning {
    fn now() -> Self {
        Self { at: Instant::now(), cpu_s: process_cpu_seconds() }
    }

    fn report(&self, read: u64, counters: &Counters) -> Report {
        let totals = counters.totals();
        let settled = counters.partitions().into_iter().filter_map(|(partition, status)| {
            Some((partition.as_str().to_owned(), status.settled?.sequence.as_str().to_owned()))
        });
        Report {
            seconds: self.at.elapsed().as_secs_f64(),
            cpu_s: process_cpu_seconds() - self.cpu_s,
            resident_mib: resident_mib(),
            peak_mib: peak_mib(),
            records: totals.records + read,
            delivered: totals.delivered,
            dead_lettered: totals.dead_lettered(),
            restarts: totals.restarts,
            settled: settled.collect(),
        }
    }
}

/// Reads every shard of the stream, side by side, until there are so many records.
async fn read_all(settings: &Settings, n_records: usize, read: &Arc<AtomicU64>) -> Result<()> {
    let SourceSettings::Kinesis { stream, connection, read: how, .. } = &settings.source else {
        bail!("the source is no Kinesis stream");
    };
    let source = Arc::new(KinesisSource::new(client(connection).await, stream, how.clone()));
    let mut readers = tokio::task::JoinSet::new();
    for partition in source.partitions().await? {
        let (source, read) = (Arc::clone(&source), Arc::clone(read));
        readers.spawn(async move {
            let mut reader = source.open(&partition.id, &Start::TrimHorizon).await?;
            while read.load(Ordering::Relaxed) < n_records as u64
                && let Some(batch) = reader.next().await?
            {
                read.fetch_add(batch.records.len() as u64, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    // The first that sees the end of all ends it; the others may wait between two reads.
    while let Some(ended) = readers.join_next().await {
        ended??;
        if read.load(Ordering::Relaxed) >= n_records as u64 {
            break;
        }
    }
    Ok(())
}

/// The same readings in memory, the sensors shared out among the partitions.
fn in_memory(options: &ChildOptions) -> MemorySource {
    let n_partitions = usize::try_from(options.shards).unwrap_or(1);
    let mut partitions = vec![Vec::new(); n_partitions];
    let readings = Readings::new(1, N_SENSORS, options.bytes).take(options.records);
    for ((n, sensor), (key, data)) in (0_u32..).zip((0..N_SENSORS).cycle()).zip(readings) {
        let position = Position::new(SequenceNumber::from(u64::from(n)));
        let arrival_ms = i64::from(n);
        let record = RawRecord { partition_key: key.into(), position, arrival_ms, data };
        let of = usize::try_from(sensor).unwrap_or(0) % n_partitions;
        partitions[of].push(record);
    }
    let identity = StreamIdentity { name: "memory".into(), created_ms: 0 };
    let source = MemorySource::new(identity, MEMORY_BATCH);
    partitions.into_iter().enumerate().fold(source, |source, (n, records)| {
        let id = PartitionId::new(format!("memory-{n}"));
        source.with_partition(Partition { id, parents: Vec::new() }, records)
    })
}

/// Takes rows and forgets them.
struct Nowhere;

#[async_trait]
impl Sink for Nowhere {
    fn name(&self) -> &str {
        "nowhere"
    }

    async fn write(&self, _rows: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        Ok(Vec::new())
    }
}

/// A child from the outside.
pub struct Child {
    process: std::process::Child,
    reports: Arc<Mutex<Vec<Report>>>,
    reading: Option<std::thread::JoinHandle<()>>,
}

impl Child {
    /// Starts this program again as a child.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(options: &ChildOptions) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(CHILD)
            .args(["--stage", &options.stage.name()])
            .args(["--threads", &options.threads.to_string()])
            .args(["--shards", &options.shards.to_string()])
            .args(["--records", &options.records.to_string()])
            .args(["--bytes", &options.bytes.to_string()])
            .arg("--settings")
            .arg(Path::new(&options.settings))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(process.stdout.take().context("standard output")?).lines();
        let reports = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&reports);
        let reading = std::thread::spawn(move || {
            // A line that a kill cut off is no report.
            for report in lines.map_while(Result::ok).filter_map(|l| serde_json::from_str(&l).ok())
            {
                told.lock().unwrap_or_else(PoisonError::into_inner).push(report);
            }
        });
        Ok(Self { process, reports, reading: Some(reading) })
    }

    /// The last report, an empty one before the first.
    pub fn report(&self) -> Report {
        let reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.last().cloned().unwrap_or_default()
    }

    /// All reports so far.
    pub fn reports(&self) -> Vec<Report> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it has ended by itself.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.process.try_wait()?.is_some())
    }

    /// Tells it to settle everything that the stream holds.
    pub fn drain(&mut self) {
        drop(self.process.stdin.take());
    }

    /// Waits for its end, and returns its last report.
    ///
    /// # Errors
    /// It failed, or takes longer than that.
    pub fn wait(&mut self, at_most: Duration) -> Result<Report> {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.process.try_wait()? {
                break status;
            }
            ensure!(start.elapsed() < at_most, "what was put does not arrive: {:?}", self.report());
            std::thread::sleep(Duration::from_millis(10));
        };
        self.read_to_the_end();
        ensure!(status.success(), "the pipeline ended with {status}");
        Ok(self.report())
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        self.read_to_the_end();
        Ok(())
    }

    fn read_to_the_end(&mut self) {
        if let Some(reading) = self.reading.take() {
            let _read = reading.join();
        }
    }
}

impl Drop for Child {
    /// A measurement that failed leaves no process behind.
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let _killed = self.kill();
        }
    }
}
