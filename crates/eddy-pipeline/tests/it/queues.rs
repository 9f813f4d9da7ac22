//! Several sinks at once: each at its own pace, none ahead of what a commit may say.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use eddy_pipeline::{PipelineSettings, Stop};
use eddy_record::ScoredRecord;
use eddy_stream::{MemorySource, Rejected, Sink, StreamError};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::support::{World, partition, readings, stream};

/// Writes only while its gate is open, and counts.
struct Gated {
    gate: Semaphore,
    n_calls: AtomicUsize,
    n_rows: AtomicUsize,
    fails_first: bool,
}

impl Gated {
    fn new(open: bool, fails_first: bool) -> Arc<Self> {
        let gate = Semaphore::new(if open { Semaphore::MAX_PERMITS } else { 0 });
        let (n_calls, n_rows) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { gate, n_calls, n_rows, fails_first })
    }

    fn calls(&self) -> usize {
        self.n_calls.load(Ordering::SeqCst)
    }

    fn rows(&self) -> usize {
        self.n_rows.load(Ordering::SeqCst)
    }

    fn open(&self) {
        self.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    }
}

#[async_trait]
impl Sink for Gated {
    fn name(&self) -> &str {
        "gated"
    }

    async fn write(&self, rows: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        let n_calls = self.n_calls.fetch_add(1, Ordering::SeqCst) + 1;
        self.gate.acquire().await.expect("never closed").forget();
        if self.fails_first && n_calls == 1 {
            return Err(StreamError::retry("on command"));
        }
        self.n_rows.fetch_add(rows.len(), Ordering::SeqCst);
        Ok(Vec::new())
    }
}

fn start(
    world: &World,
    sinks: Vec<Arc<dyn Sink>>,
    n_records: u64,
) -> (JoinHandle<Result<(), StreamError>>, watch::Sender<Stop>) {
    let records = readings(0..n_records);
    let source = MemorySource::new(stream(1), 1000).with_partition(partition("p", &[]), records);
    let late = PipelineSettings { commit_records: 1 << 40, ..PipelineSettings::default() };
    let mut pipeline = world.pipeline(Arc::new(source), late);
    pipeline.outputs.sinks = sinks;
    let (tell, stop) = watch::channel(Stop::No);
    (tokio::spawn(pipeline.run(stop)), tell)
}

/// Returns when every task waits for something: only then does paused time pass.
async fn all_wait() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_sink_holds_the_others_only_when_its_queue_is_full_and_no_position_moves() {
    let world = World::default();
    let (slow, quick) = (Gated::new(false, false), Gated::new(true, false));
    let (running, _tell) = start(&world, vec![slow.clone(), quick.clone()], 50_000);
    all_wait().await;
    // The queue has room for 20 000 rows, and a step of 1000 waits for room.
    assert_eq!((slow.calls(), slow.rows()), (1, 0));
    assert_eq!(quick.rows(), 21_000);
    let totals = world.counters.totals();
    assert_eq!((totals.records, totals.delivered, totals.commits), (0, 0, 1));
    let status = world.counters.partitions().into_values().next().expect("one partition");
    assert_eq!(status.settled, None);
    slow.open();
    running.await.expect("no panic").expect("runs");
    assert_eq!((slow.rows(), quick.rows()), (50_000, 50_000));
    assert_eq!(world.counters.totals().delivered, 50_000);
    // What had waited went in few requests.
    assert!(slow.calls() < quick.calls(), "{} calls, {}", slow.calls(), quick.calls());
}

#[tokio::test(start_paused = true)]
async fn a_restart_waits_for_writes_under_way_and_begins_no_others() {
    let world = World::default();
    let (slow, failing) = (Gated::new(false, false), Gated::new(true, true));
    let (running, _tell) = start(&world, vec![slow.clone(), failing.clone()], 10_000);
    all_wait().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((slow.calls(), failing.calls()), (1, 1), "the first write is still under way");
    assert_eq!(world.counters.totals().restarts, 0);
    slow.open();
    running.await.expect("no panic").expect("runs");
    let totals = world.counters.totals();
    assert_eq!((totals.restarts, totals.delivered), (1, 10_000));
    // The one write that was under way, then all rows again.
    assert_eq!(slow.rows(), 11_000);
    assert_eq!(failing.rows(), 10_000);
}

/// Panics.
struct Broken;

#[async_trait]
impl Sink for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    async fn write(&self, _: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        panic!("a fault of the sink's own")
    }
}

#[tokio::test]
async fn a_sink_that_panics_stops_the_pipeline() {
    let world = World::default();
    let (running, _tell) = start(&world, vec![Arc::new(Broken)], 100_000);
    let error = running.await.expect("the pipeline itself does not").expect_err("stopped");
    assert_eq!(error.to_string(), "a sink panicked");
}
