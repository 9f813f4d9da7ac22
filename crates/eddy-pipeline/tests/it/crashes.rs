//! Nothing lost, nothing twice, the same scores: whatever fails in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use eddy_detect::DetectorSettings;
use eddy_pipeline::{EngineSettings, OnUnreadableModel, Order, Pipeline, PipelineSettings};
use eddy_record::ScoredRecord;
use eddy_stream::{ErrorKind, MemorySource, Rejected, Sink, StreamError};

use crate::support::{World, detector, partition, raw, readings, run, stream};

/// Commits after every batch.
fn eager() -> PipelineSettings {
    PipelineSettings { commit_records: 1, ..PipelineSettings::default() }
}

fn source(batch_records: usize) -> MemorySource {
    MemorySource::new(stream(1), batch_records)
}

/// The same pipeline with other settings of the detector.
fn with_detector(mut pipeline: Pipeline, detector: DetectorSettings) -> Pipeline {
    pipeline.engine = EngineSettings::Detector(detector);
    pipeline
}

/// A sink that fails, by turns before and after it has written.
struct Failing {
    to: Arc<dyn Sink>,
    n_calls: AtomicUsize,
    every: usize,
    kind: ErrorKind,
}

#[async_trait]
impl Sink for Failing {
    fn name(&self) -> &str {
        "failing"
    }

    async fn write(&self, rows: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        let n_calls = self.n_calls.fetch_add(1, Ordering::SeqCst) + 1;
        let fails = n_calls.is_multiple_of(self.every);
        if !fails || (n_calls / self.every).is_multiple_of(2) {
            self.to.write(rows).await?;
        }
        if fails { Err(StreamError::new(self.kind, "on command")) } else { Ok(Vec::new()) }
    }
}

#[tokio::test]
async fn rows_do_not_depend_on_batches_nor_on_where_runs_end() {
    let whole = World::default();
    let all = readings(0..1000);
    let once = source(1000).with_partition(partition("p", &[]), all.clone());
    run(whole.pipeline(Arc::new(once), eager())).await.expect("runs");
    assert_eq!(whole.json().len(), 1000);

    let pieces = World::default();
    for (end, batch) in [(10, 1), (300, 7), (301, 3), (1000, 64)] {
        // The stream's partition ends where the data ends, so each run has its own.
        let part = source(batch).with_partition(partition("p", &[]), all[..end].to_vec());
        let open = Unending(part);
        let (tell, stop) = tokio::sync::watch::channel(eddy_pipeline::Stop::Drained);
        pieces.pipeline(Arc::new(open), eager()).run(stop).await.expect("runs");
        drop(tell);
        assert_eq!(pieces.json().len(), end);
    }
    assert_eq!(pieces.json(), whole.json());
}

/// A stream whose partitions never end: behind the last record come empty batches.
pub(crate) struct Unending(pub(crate) MemorySource);

#[async_trait]
impl eddy_stream::Source for Unending {
    async fn identity(&self) -> Result<eddy_record::StreamIdentity, StreamError> {
        self.0.identity().await
    }

    async fn partitions(&self) -> Result<Vec<eddy_stream::Partition>, StreamError> {
        self.0.partitions().await
    }

    async fn open(
        &self,
        partition: &eddy_record::PartitionId,
        start: &eddy_stream::Start,
    ) -> Result<Box<dyn eddy_stream::PartitionReader>, StreamError> {
        Ok(Box::new(UnendingReader(self.0.open(partition, start).await?)))
    }
}

struct UnendingReader(Box<dyn eddy_stream::PartitionReader>);

#[async_trait]
impl eddy_stream::PartitionReader for UnendingReader {
    async fn next(&mut self) -> Result<Option<eddy_stream::Batch>, StreamError> {
        tokio::task::yield_now().await;
        Ok(Some(self.0.next().await?.unwrap_or_default()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_now_and_then_gets_every_row_with_the_same_score() {
    let whole = World::default();
    let calm = source(50).with_partition(partition("p", &[]), readings(0..1000));
    run(whole.pipeline(Arc::new(calm), eager())).await.expect("runs");
    for commit_records in [1, 100, 100_000] {
        let world = World::default();
        let sink = Failing {
            to: world.rows.clone(),
            n_calls: AtomicUsize::new(0),
            every: 3,
            kind: ErrorKind::Retry,
        };
        let settings = PipelineSettings { commit_records, commit_interval_ms: 1 << 40, ..eager() };
        // With no commit between, every run starts anew: it must get through before it fails.
        let batch = if commit_records == 100_000 { 600 } else { 50 };
        let stormy = source(batch).with_partition(partition("p", &[]), readings(0..1000));
        run(world.pipeline_to(Arc::new(stormy), Arc::new(sink), settings)).await.expect("runs");
        assert_eq!(world.json(), whole.json(), "commit_records {commit_records}");
    }
}

#[tokio::test]
async fn a_sink_that_fails_for_good_stops_the_pipeline() {
    let world = World::default();
    let to = world.rows.clone();
    let sink = Failing { to, n_calls: AtomicUsize::new(0), every: 1, kind: ErrorKind::Fatal };
    let one = source(10).with_partition(partition("p", &[]), readings(0..100));
    let error = run(world.pipeline_to(Arc::new(one), Arc::new(sink), eager())).await;
    assert_eq!(error.expect_err("fatal").to_string(), "on command");
}

/// Refuses every seventh row.
struct Picky(Arc<dyn Sink>);

#[async_trait]
impl Sink for Picky {
    fn name(&self) -> &str {
        "picky"
    }

    async fn write(&self, rows: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        self.0.write(rows).await?;
        let refused = (0..rows.len()).filter(|row_idx| row_idx % 7 == 0);
        Ok(refused.map(|row_idx| Rejected { row_idx, reason: "no".to_owned() }).collect())
    }
}

#[tokio::test]
async fn every_record_is_delivered_or_a_dead_letter_and_the_counters_add_up() {
    let world = World::default();
    let mut records = readings(0..100);
    records[10] = raw(10, "{\"iotName\":\"s\",\"iotVal");
    records[20] = raw(20, "{\"iotName\":\"s\",\"iotValue\":1e300}");
    records[30] = raw(30, "[]");
    records[40] = raw(40, "{\"iotName\":\"s\",\"iotValue\":\"x\"}");
    let sink = Picky(world.rows.clone());
    let one = source(50).with_partition(partition("p", &[]), records);
    run(world.pipeline_to(Arc::new(one), Arc::new(sink), eager())).await.expect("runs");
    let totals = world.counters.totals();
    assert_eq!(totals.payloads, 100);
    assert_eq!((totals.dead_decode, totals.dead_detect), (3, 1));
    assert_eq!(totals.records, totals.delivered + totals.dead_lettered());
    assert_eq!(totals.records, 100);
    let letters = world.letters.letters();
    assert_eq!(letters.len() as u64, totals.dead_lettered());
    let refused = letters.iter().find(|l| l.stage == eddy_record::Stage::Deliver).expect("some");
    assert_eq!(refused.reason, "picky: no");
    assert!(refused.raw.starts_with(b"{\"iotName\""));
    let torn = letters.iter().find(|l| l.position.sequence.as_str() == "10").expect("kept");
    assert_eq!(&torn.raw[..], b"{\"iotName\":\"s\",\"iotVal");
    let beyond = letters.iter().find(|l| l.position.sequence.as_str() == "20").expect("kept");
    assert!(beyond.reason.contains("iotValue"), "{}", beyond.reason);
}

#[tokio::test]
async fn children_go_on_with_their_parents_models() {
    let one = World::default();
    let all = readings(0..600);
    let whole = source(50).with_partition(partition("a", &[]), all.clone());
    run(one.pipeline(Arc::new(whole), eager())).await.expect("runs");

    let split = World::default();
    let child = |id: &str, key: u64| {
        let records = all[300..].iter().enumerate().filter(|(at, _)| *at as u64 % 3 == key);
        (partition(id, &["a"]), records.map(|(_, record)| record.clone()).collect())
    };
    let mut stream = source(50).with_partition(partition("a", &[]), all[..300].to_vec());
    for (partition, records) in [child("b", 0), child("c", 1), child("d", 2)] {
        stream = stream.with_partition(partition, records);
    }
    run(split.pipeline(Arc::new(stream), eager())).await.expect("runs");
    let scores = |world: &World| {
        let mut rows: Vec<String> = world.json().into_values().collect();
        rows.sort();
        rows
    };
    assert_eq!(scores(&split), scores(&one));
}

#[tokio::test]
async fn a_stream_made_anew_is_read_from_its_beginning_with_the_models_kept() {
    let world = World::default();
    let first = source(50).with_partition(partition("p", &[]), readings(0..200));
    run(world.pipeline(Arc::new(first), eager())).await.expect("runs");
    let anew =
        MemorySource::new(stream(2), 50).with_partition(partition("p", &[]), readings(0..200));
    run(world.pipeline(Arc::new(anew), eager())).await.expect("runs");
    let rows = world.json();
    assert_eq!(rows.len(), 400);
    let first_again = rows.get("readings:2:p:0:0:0").expect("read again");
    assert!(!first_again.contains("\"ANOMALY_SCORE\":0,"), "{first_again}");
}

#[tokio::test]
async fn models_of_other_settings_are_refused_or_given_up_as_the_settings_say() {
    let world = World::default();
    let first = || {
        let part = source(50).with_partition(partition("p", &[]), readings(0..200));
        Arc::new(Unending(part))
    };
    let drained = || tokio::sync::watch::channel(eddy_pipeline::Stop::Drained);
    let (_tell, stop) = drained();
    world.pipeline(first(), eager()).run(stop).await.expect("runs");
    let eleven = || DetectorSettings { trees: 11, ..detector() };
    let changed = with_detector(world.pipeline(first(), eager()), eleven());
    let (_tell, stop) = drained();
    let error = changed.run(stop).await.expect_err("other settings");
    assert!(error.to_string().contains("on_unreadable_model"), "{error}");
    let settings = PipelineSettings { on_unreadable_model: OnUnreadableModel::Restart, ..eager() };
    let changed = with_detector(world.pipeline(first(), settings), eleven());
    let (_tell, stop) = drained();
    changed.run(stop).await.expect("starts afresh");
}

#[tokio::test]
async fn rows_may_leave_by_descending_score_within_each_second() {
    let world = World::default();
    let settings = PipelineSettings { order: Order::ScorePerSecond, ..eager() };
    let one = source(7).with_partition(partition("p", &[]), readings(0..1000));
    run(world.pipeline(Arc::new(one), settings)).await.expect("runs");
    let writes = world.rows.writes();
    assert_eq!(writes.len(), 1000);
    let score = |row: &ScoredRecord| row.values[2].as_f64().expect("a score");
    for pair in writes.windows(2) {
        let seconds = (pair[0].created_ms / 1000, pair[1].created_ms / 1000);
        assert!(
            seconds.0 < seconds.1 || seconds.0 == seconds.1 && score(&pair[0]) >= score(&pair[1])
        );
    }
}

#[tokio::test]
async fn models_beyond_the_limit_are_written_out_and_read_back() {
    let roomy = World::default();
    let all = || source(10).with_partition(partition("p", &[]), readings(0..600));
    run(roomy.pipeline(Arc::new(all()), eager())).await.expect("runs");
    let tight = World::default();
    let one = DetectorSettings { max_models: 1, ..detector() };
    let pipeline = with_detector(tight.pipeline(Arc::new(all()), eager()), one);
    run(pipeline).await.expect("runs");
    assert_eq!(tight.json(), roomy.json());
}

#[tokio::test]
async fn a_payload_of_very_many_bad_records_is_kept_once() {
    let world = World::default();
    let payload = format!("[{}]", vec!["1"; 50_000].join(","));
    let records = vec![raw(0, &payload), raw(1, "{\"iotName\":\"s\",\"iotValue\":15}")];
    let one = source(10).with_partition(partition("p", &[]), records);
    run(world.pipeline(Arc::new(one), eager())).await.expect("runs");
    let letters = world.letters.letters();
    assert_eq!(letters.len(), 50_000);
    assert_eq!(letters[0].raw, payload);
    assert!(letters[1..].iter().all(|letter| letter.raw.is_empty() && !letter.reason.is_empty()));
    assert_eq!(world.json().len(), 1);
}

#[tokio::test]
async fn many_new_models_are_written_out_before_the_next_commit_is_due() {
    let world = World::default();
    let reading = |n: u64| raw(n, &format!("{{\"iotName\":\"s{n}\",\"iotValue\":15}}"));
    let all = source(1000).with_partition(partition("p", &[]), (0..1000).map(reading).collect());
    let late = PipelineSettings { commit_records: 1 << 40, commit_interval_ms: 1 << 40, ..eager() };
    let ten = DetectorSettings { max_models: 10, ..detector() };
    let pipeline = with_detector(world.pipeline(Arc::new(all), late), ten);
    run(pipeline).await.expect("runs");
    assert_eq!(world.json().len(), 1000);
    // 10 models may stay, 79 at most wait to be written out.
    let commits = world.counters.totals().commits;
    assert!((13..=20).contains(&commits), "{commits}");
}

/// Never answers.
struct Hanging;

#[async_trait]
impl Sink for Hanging {
    fn name(&self) -> &str {
        "hanging"
    }

    async fn write(&self, _: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_second_word_stops_a_pipeline_whose_sink_hangs_and_nothing_is_lost() {
    let world = World::default();
    let all = || source(10).with_partition(partition("p", &[]), readings(0..100));
    let (tell, stop) = tokio::sync::watch::channel(eddy_pipeline::Stop::No);
    let hanging = world.pipeline_to(Arc::new(all()), Arc::new(Hanging), eager());
    let running = tokio::spawn(hanging.run(stop));
    tell.send(eddy_pipeline::Stop::Abort).expect("running");
    let error = running.await.expect("no panic").expect_err("stopped at once");
    assert!(error.to_string().contains("read again"), "{error}");
    run(world.pipeline(Arc::new(all()), eager())).await.expect("runs");
    assert_eq!(world.json().len(), 100);
}
