//! What an SQL application makes in a pipeline, one behaviour a test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use eddy_detect::DetectorSettings;
use eddy_harness::{BulkDouble, serve};
use eddy_kinesis::{
    ConnectionSettings, KinesisSource, Producer, ProducerSettings, ReadSettings, client,
};
use eddy_pipeline::{
    EngineSettings, OnUnreadableModel, Outputs, Pipeline, PipelineSettings, Routes, Settings,
    SlateStateStore, Stop, build,
};
use eddy_record::{PartitionId, Position, RawRecord, ScoredRecord, StreamIdentity};
use eddy_sql::{Application, Arrival, Options};
use eddy_stream::{
    Batch, Clock, MemorySink, MemorySource, Partition, PartitionReader, Rejected, Sink, Source,
    Start, StreamError,
};
use ferrokinesis::store::StoreOptions;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::application::engine;
use crate::crashes::Unending;
use crate::simulation::{Action, End, STREAM, World as Simulated};
use crate::support::{World, partition, raw, readings, run, stream};

/// The original walkthrough's application, with its last query's order.
const WALKTHROUGH: &str = include_str!("../../../eddy-sql/tests/golden/walkthrough/app.sql");

const SUMS: &str = r#"
CREATE STREAM "SUMS" ("iotName" VARCHAR(64), "n" BIGINT, "sum" DOUBLE);
CREATE PUMP "P" AS INSERT INTO "SUMS" SELECT STREAM "iotName", COUNT(*), SUM("iotValue")
  FROM "SOURCE_SQL_STREAM_001" s GROUP BY "iotName", STEP(s.ROWTIME BY INTERVAL '10' SECOND);
"#;

const QUOTIENTS: &str = r#"
CREATE STREAM "QUOTIENTS" ("iotName" VARCHAR(64), "q" DOUBLE);
CREATE STREAM "NAMES" ("iotName" VARCHAR(64));
CREATE PUMP "Q" AS INSERT INTO "QUOTIENTS" SELECT STREAM "iotName", 100 / CAST("iotValue" - 15 AS INTEGER)
  FROM "SOURCE_SQL_STREAM_001" WHERE "iotValue" < 100;
CREATE PUMP "N" AS INSERT INTO "NAMES" SELECT STREAM "iotName" FROM "SOURCE_SQL_STREAM_001";
"#;

/// Commits after every batch.
fn eager() -> PipelineSettings {
    PipelineSettings { commit_records: 1, ..PipelineSettings::default() }
}

fn pipeline(world: &World, source: impl Source + 'static, engine: EngineSettings) -> Pipeline {
    Pipeline { engine, ..world.pipeline(Arc::new(source), eager()) }
}

fn one(records: Vec<RawRecord>) -> MemorySource {
    MemorySource::new(stream(1), 7).with_partition(partition("p", &[]), records)
}

fn json(row: &ScoredRecord) -> String {
    let mut out = Vec::new();
    row.write_json(&mut out);
    let row: Value = serde_json::from_slice(&out).expect("JSON");
    row.to_string()
}

/// What the filter writes for records in order, without each line's time.
fn filtered(text: &str, records: &[RawRecord]) -> Vec<String> {
    let schema = Arc::new(eddy_record::Schema::walkthrough());
    let decoder = eddy_record::Decoder::new(Arc::clone(&schema), Default::default()).expect("ok");
    let mut application = Application::new(text, Options::new((*schema).clone())).expect("runs");
    let (mut batch, mut decoded) = (application.batch(), Vec::new());
    for raw in records {
        decoder.decode(&raw.data, &mut decoded);
        for record in decoded.drain(..).flatten() {
            let time_ms = raw.arrival_ms;
            batch.push(&record, &Arrival { time_ms, ..Arrival::default() });
        }
    }
    let mut lines = Vec::new();
    application.push(&mut batch).expect("goes on").write_ndjson(&mut lines);
    application.finish().expect("ends").write_ndjson(&mut lines);
    let lines = String::from_utf8(lines).expect("UTF-8");
    let row = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["row"].to_string();
    lines.lines().map(row).collect()
}

#[tokio::test]
async fn two_shards_to_their_ends_are_one_order_and_the_output_is_the_filters() {
    let all = readings(0..1000);
    for text in [WALKTHROUGH, SUMS] {
        let world = World::default();
        let of = |shard: u64| {
            let mine = all.iter().zip(0_u64..).filter(|(_, n)| (n / 5) % 2 == shard);
            mine.map(|(record, _)| record.clone()).collect::<Vec<_>>()
        };
        let source = MemorySource::new(stream(1), 7)
            .with_partition(partition("a", &[]), of(0))
            .with_partition(partition("b", &[]), of(1));
        run(pipeline(&world, source, engine(text, ""))).await.expect("runs");
        let rows: Vec<String> = world.rows.writes().iter().map(json).collect();
        assert_eq!(rows, filtered(text, &all));
        assert_eq!(world.rows.rows().len(), rows.len());
    }
}

#[tokio::test]
async fn children_come_behind_their_parents() {
    let all = readings(0..300);
    let (world, text) = (World::default(), WALKTHROUGH);
    let source = MemorySource::new(stream(1), 7)
        .with_partition(partition("z", &[]), all[..100].to_vec())
        .with_partition(partition("a", &["z"]), all[100..200].to_vec())
        .with_partition(partition("b", &["a", "gone"]), all[200..].to_vec());
    run(pipeline(&world, source, engine(text, ""))).await.expect("runs");
    assert_eq!(world.rows.writes().iter().map(json).collect::<Vec<_>>(), filtered(text, &all));
}

#[tokio::test]
async fn a_stop_and_a_restart_in_the_middle_of_a_window_change_nothing() {
    let all = readings(0..600);
    let whole = World::default();
    run(pipeline(&whole, one(all.clone()), engine(SUMS, ""))).await.expect("runs");
    let pieces = World::default();
    for end in [37, 38, 333, 600] {
        let open = Unending(one(all[..end].to_vec()));
        let (_tell, stop) = watch::channel(Stop::Drained);
        pipeline(&pieces, open, engine(SUMS, "")).run(stop).await.expect("runs");
    }
    // What is open stays in the state.
    let n_open = whole.json().len() - pieces.json().len();
    assert!((1..=3).contains(&n_open), "{n_open}");
    run(pipeline(&pieces, one(all), engine(SUMS, ""))).await.expect("ends");
    assert_eq!(pieces.json(), whole.json());
    let n_writes = pieces.rows.writes().len();
    assert_eq!(n_writes, whole.json().len(), "each row is written once");
}

#[tokio::test]
async fn another_text_is_refused_or_starts_afresh_where_reading_stopped() {
    let world = World::default();
    let open = |end: usize| Unending(one(readings(0..600)[..end].to_vec()));
    let drained = || watch::channel(Stop::Drained);
    let (_tell, stop) = drained();
    pipeline(&world, open(150), engine(SUMS, "")).run(stop).await.expect("runs");
    let n_rows = world.json().len();

    let changed = SUMS.replace("SUM(", "MAX(");
    for other in [engine(&changed, ""), engine(SUMS, "seed = 2")] {
        let (_tell, stop) = drained();
        let error = pipeline(&world, open(600), other).run(stop).await.expect_err("another");
        let error = error.to_string();
        assert!(error.contains("another application"), "{error}");
        assert!(error.contains("on_unreadable_model = \"restart\""), "{error}");
        assert_eq!(world.json().len(), n_rows);
    }
    let (_tell, stop) = drained();
    let mut afresh = pipeline(&world, open(600), engine(&changed, ""));
    afresh.settings.on_unreadable_model = OnUnreadableModel::Restart;
    afresh.run(stop).await.expect("starts afresh");
    let counted: i64 = world.rows.writes()[n_rows..]
        .iter()
        .map(|row| serde_json::from_str::<Value>(&json(row)).expect("JSON")["n"].as_i64())
        .map(|n| n.expect("a count"))
        .sum();
    // The records behind the first 150, but for the last window's 100: it is open.
    assert_eq!(counted, 600 - 150 - 100);
}

#[tokio::test]
async fn streams_go_where_they_are_wanted_errors_too_and_the_counters_add_up() {
    let world = World::default();
    let sinks: Vec<Arc<MemorySink>> = (0..3).map(|_| Arc::default()).collect();
    let mut records = readings(0..200);
    records[10] = raw(10, "{\"iotName\":\"s\",\"iotVal");
    let wants =
        |streams: &[&str]| Some(streams.iter().map(ToString::to_string).collect::<BTreeSet<_>>());
    let engine = engine(QUOTIENTS, "[[sinks]]\ntype = \"stdout\"\nstreams = [\"error_stream\"]");
    let mut pipeline = pipeline(&world, one(records), engine);
    pipeline.outputs = Outputs {
        sinks: sinks.iter().map(|sink| Arc::clone(sink) as Arc<dyn Sink>).collect(),
        routes: Routes {
            streams: vec![wants(&["QUOTIENTS"]), wants(&["error_stream"]), wants(&[])],
        },
        ..pipeline.outputs
    };
    run(pipeline).await.expect("runs");
    let totals = world.counters.totals();
    assert_eq!((totals.payloads, totals.rows_in, totals.dead_decode), (200, 199, 1));
    let by_stream = |stream: &str| totals.rows_out_by_stream[stream];
    assert_eq!(by_stream("NAMES"), 199);
    assert_eq!(totals.unrouted, 199, "nobody wants the names");
    // The other 199 are in QUOTIENTS, in the error stream or filtered by WHERE.
    assert!(totals.failed > 0 && totals.filtered > 0);
    assert_eq!(by_stream("QUOTIENTS") + totals.failed + totals.filtered, 199);
    assert_eq!(by_stream("error_stream"), totals.failed + totals.dead_decode);
    assert_eq!(totals.rows_out, totals.delivered + totals.unrouted);
    assert_eq!(totals.records, totals.delivered + totals.dead_lettered());
    assert_eq!(sinks[0].rows().len() as u64, by_stream("QUOTIENTS"));
    assert_eq!(sinks[1].rows().len() as u64, by_stream("error_stream"));
    assert!(sinks[2].rows().is_empty());
    let errors: Vec<String> = sinks[1].rows().values().map(json).collect();
    assert!(errors.iter().any(|error| error.contains("\"PUMP_NAME\":\"Q\"")), "{errors:?}");
    assert!(errors.iter().any(|error| error.contains("does not fit the schema")), "{errors:?}");
}

#[tokio::test]
async fn a_forest_of_sql_scores_as_the_detector_to_the_last_bit() {
    let text = r#"CREATE STREAM "OUT" ("iotValue" DOUBLE, "ANOMALY_SCORE" DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM "iotValue", ANOMALY_SCORE FROM TABLE(
        RANDOM_CUT_FOREST(CURSOR(SELECT STREAM "iotValue" FROM "SOURCE_SQL_STREAM_001")))"#;
    let all = readings(0..1000);
    let (sql, detector) = (World::default(), World::default());
    run(pipeline(&sql, one(all.clone()), engine(text, "seed = 7"))).await.expect("runs");
    let settings = DetectorSettings { seed: 7, ..DetectorSettings::default() };
    let settings = EngineSettings::Detector(settings);
    run(pipeline(&detector, one(all), settings)).await.expect("runs");
    let scores = |world: &World| -> Vec<u64> {
        let score = |row: &ScoredRecord| {
            let names = row.schema.columns.iter();
            let at = names.into_iter().position(|it| it.name == "ANOMALY_SCORE").expect("there");
            row.values[at].as_f64().expect("a score").to_bits()
        };
        world.rows.writes().iter().map(score).collect()
    };
    assert_eq!(scores(&sql), scores(&detector));
    assert!(scores(&sql).iter().any(|score| f64::from_bits(*score) > 2.0));
}

/// Notes when rows arrive.
struct Noting<C>(C, Mutex<BTreeMap<i64, i64>>);

#[async_trait]
impl<C: Clock> Sink for Noting<C> {
    fn name(&self) -> &str {
        "noting"
    }

    async fn write(&self, rows: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        let now_ms = self.0.now_ms();
        for row in rows {
            self.1.lock().expect("no panic").entry(row.created_ms).or_insert(now_ms);
        }
        Ok(Vec::new())
    }
}

#[test]
fn a_window_of_a_quiet_stream_closes_within_slack_poll_and_a_second() {
    let mut world = Simulated::new(1);
    let put = |at_ms: i64, first, n| (at_ms, Action::Put { first, n });
    let start_ms = world.time.now_ms();
    world.scenario.script =
        [put(start_ms + 1000, 0, 20), put(start_ms + 14_000, 20, 20), put(start_ms + 60_000, 0, 0)]
            .into();
    world.engine = Some(engine(SUMS, ""));
    let noting = Arc::new(Noting(world.time.clone(), Mutex::default()));
    world.more_sinks.push(noting.clone());
    assert_eq!(world.live(None), End::Drained);
    let closed = noting.1.lock().expect("no panic").clone();
    assert_eq!(closed.len(), 2, "{closed:?}");
    for (end_ms, arrived_ms) in closed {
        let late_ms = arrived_ms - end_ms;
        // Slack and the resolution of the service's time are a second each, reads 700 ms apart.
        assert!((0..=2700).contains(&late_ms), "{late_ms}");
    }
    assert!(!world.kinesis.open_shards(STREAM).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_walkthrough_from_two_shards_to_an_index_is_what_the_filter_says() {
    let (app, _) = ferrokinesis::create_app(StoreOptions {
        create_stream_ms: 0,
        shard_limit: 10,
        ..Default::default()
    });
    let kinesis = format!("http://{}", serve(app).await);
    let client = client(&ConnectionSettings::local(&kinesis)).await;
    eddy_kinesis::ensure_stream(&client, "RawStreamData", 2).await.expect("created");
    let bulk = BulkDouble::default();
    let index = serve(bulk.router()).await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("app.sql"), WALKTHROUGH).expect("written");
    let at = folder.path().display();
    let settings = format!(
        r#"
        dead_letters = "{at}/dead-letters.ndjson"
        state = {{ path = "{at}/state" }}
        source = {{ type = "kinesis", stream = "RawStreamData", connection = {{ endpoint_url = "{kinesis}" }}, read = {{ poll_interval_ms = 10, min_read_interval_ms = 1 }} }}
        [application]
        sql = "app.sql"
        [[sinks]]
        type = "opensearch"
        url = "http://{index}"
        streams = ["DESTINATION_SQL_STREAM"]
        "#
    );
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, settings).expect("written");
    let settings = Settings::load(&file).expect("good settings");

    let producer = Producer::new(client.clone(), ProducerSettings::new("RawStreamData"));
    for raw in readings(0..500) {
        producer.put(&format!("key {}", raw.position), raw.data).await.expect("accepted");
    }
    assert_eq!(producer.flush().await.acknowledged, 500);
    let built = build(&settings).await.expect("opens");
    let (_tell, stop) = watch::channel(Stop::Drained);
    built.pipeline.run(stop).await.expect("drains");

    let source = KinesisSource::new(client, "RawStreamData", ReadSettings::default());
    let mut stored = Vec::new();
    for shard in source.partitions().await.expect("listed") {
        let mut reader = source.open(&shard.id, &Start::TrimHorizon).await.expect("opens");
        let batch = reader.next().await.expect("reads").expect("open");
        assert!(!batch.records.is_empty(), "both shards have records");
        stored.extend(batch.records.into_iter().map(|raw| (raw.arrival_ms, shard.id.clone(), raw)));
    }
    stored.sort_by_key(|(ms, shard, raw)| (*ms, shard.clone(), raw.position.clone()));
    let stored: Vec<RawRecord> = stored.into_iter().map(|(_, _, raw)| raw).collect();
    let mut expected = filtered(WALKTHROUGH, &stored);
    let mut found: Vec<String> = bulk.documents().values().map(Value::to_string).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(found.len(), 500);
}

/// A stream that says what it is told to say.
struct Told(tokio::sync::Mutex<Option<mpsc::Receiver<Batch>>>);

struct ToldReader(mpsc::Receiver<Batch>);

#[async_trait]
impl Source for Told {
    async fn identity(&self) -> Result<StreamIdentity, StreamError> {
        Ok(stream(1))
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StreamError> {
        Ok(vec![partition("p", &[])])
    }

    async fn open(
        &self,
        _: &PartitionId,
        _: &Start,
    ) -> Result<Box<dyn PartitionReader>, StreamError> {
        Ok(Box::new(ToldReader(self.0.lock().await.take().expect("it is opened once"))))
    }
}

#[async_trait]
impl PartitionReader for ToldReader {
    async fn next(&mut self) -> Result<Option<Batch>, StreamError> {
        Ok(self.0.recv().await)
    }
}

/// Tells when rows arrive.
struct Telling(mpsc::UnboundedSender<Instant>);

#[async_trait]
impl Sink for Telling {
    fn name(&self) -> &str {
        "telling"
    }

    async fn write(&self, _: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        // Nobody listens once the test is over.
        let _ = self.0.send(Instant::now());
        Ok(Vec::new())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_leaves_within_100_ms_of_the_watermark_that_lets_it_go() {
    const N_WINDOWS: i64 = 50;
    let world = World::default();
    let (say, said) = mpsc::channel(1);
    let (tell, mut told) = mpsc::unbounded_channel();
    let folder = tempfile::tempdir().expect("a folder");
    let source = Told(tokio::sync::Mutex::new(Some(said)));
    let sink = Arc::new(Telling(tell));
    let pipeline = Pipeline {
        engine: engine(SUMS, ""),
        // On disk, as it is in production: the watermark is durable before the row leaves.
        state: Arc::new(SlateStateStore::in_folder(folder.path()).expect("opens")),
        ..world.pipeline_to(Arc::new(source), sink, PipelineSettings::default())
    };
    let (_stop, stopped) = watch::channel(Stop::No);
    let running = tokio::spawn(pipeline.run(stopped));
    let mut took = Vec::new();
    for window in 0..N_WINDOWS {
        let begin_ms = 10_000 * window;
        let of_window = |raw: RawRecord| {
            let n = u64::try_from(100 * window).expect("small");
            let position = raw.position.sequence.as_str().parse::<u64>().expect("a number") + n;
            let arrival_ms = begin_ms + (raw.arrival_ms - 1_000_000) / 10;
            RawRecord { position: Position::new(position.into()), arrival_ms, ..raw }
        };
        let records = readings(0..100).into_iter().map(of_window).collect();
        say.send(Batch { records, ..Batch::default() }).await.expect("running");
        let n_payloads = 100 * u64::try_from(window + 1).expect("small");
        while world.counters.totals().payloads < n_payloads {
            tokio::task::yield_now().await;
        }
        let start = Instant::now();
        let watermark_ms = Some(begin_ms + 10_000);
        say.send(Batch { watermark_ms, ..Batch::default() }).await.expect("running");
        took.push(told.recv().await.expect("a row").duration_since(start));
    }
    took.sort();
    let median = took[took.len() / 2];
    assert!(median < Duration::from_millis(100), "{took:?}");
    running.abort();
}
