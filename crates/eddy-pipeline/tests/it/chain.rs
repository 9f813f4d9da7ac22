//! The original walkthrough's chain: sensors, producer, in-process Kinesis, forest, Firehose, index.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use eddy_harness::{Buffer, Fault, FirehoseDouble, serve};
use eddy_index::{Index, IndexSettings};
use eddy_kinesis::{ConnectionSettings, Producer, ProducerSettings, client};
use eddy_pipeline::embedded::{Embedded, EmbeddedSettings, STREAM};
use eddy_pipeline::{Settings, Stop, build};
use eddy_sensors::{SensorSettings, Sensors};
use ferrokinesis::store::StoreOptions;
use rcf::ForestSettings;
use serde_json::{Value, json};
use tokio::sync::watch;

const N_READINGS: usize = 20_000;

fn settings(folder: &tempfile::TempDir) -> EmbeddedSettings {
    EmbeddedSettings {
        sensors: false,
        kinesis_listen: ([127, 0, 0, 1], 0).into(),
        data_dir: folder.path().to_owned(),
        ..EmbeddedSettings::default()
    }
}

/// Starts the embedded default, puts payloads, drains, and gives the index to `look`.
async fn run<T>(
    settings: &EmbeddedSettings,
    payloads: impl IntoIterator<Item = Vec<u8>>,
    look: impl FnOnce(&Index) -> T,
) -> T {
    let embedded = Embedded::start(settings).await.expect("starts");
    let index = embedded.index.clone();
    let endpoint = ConnectionSettings::local(&format!("http://{}", embedded.kinesis));
    let producer = Producer::new(client(&endpoint).await, ProducerSettings::unlimited(STREAM));
    let (tell, told) = watch::channel(Stop::No);
    let running = tokio::spawn(embedded.run(told));
    let mut n_put = 0;
    for payload in payloads {
        producer.put("DemoSensor", payload.into()).await.expect("accepted");
        n_put += 1;
    }
    let counts = producer.flush().await;
    assert_eq!((counts.acknowledged, counts.failed), (n_put, 0));
    tell.send(Stop::Drained).expect("running");
    running.await.expect("no panic").expect("drains");
    look(&index)
}

fn all(index: &Index) -> Vec<Value> {
    let mut rows = Vec::new();
    for low in (0..130).step_by(1) {
        // In slices: one answer has at most 10 000 hits.
        let query =
            json!({"size": 10_000, "query": {"range": {"iotValue": {"gte": low, "lt": low + 1}}}});
        let found = index.search("anomalies", &query).expect("searches");
        rows.extend(found["hits"]["hits"].as_array().expect("hits").iter().cloned());
    }
    rows
}

/// A stream in this process, a Firehose that delivers to an index of its own, and the embedded index
/// beside it.
struct Chain {
    kinesis: ConnectionSettings,
    firehose: FirehoseDouble,
    // What Firehose delivers to.
    behind_firehose: Arc<Index>,
    folder: tempfile::TempDir,
}

impl Chain {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (app, _) =
            ferrokinesis::create_app(StoreOptions { create_stream_ms: 0, ..Default::default() });
        let kinesis = ConnectionSettings::local(&format!("http://{}", serve(app).await));
        let client = client(&kinesis).await;
        eddy_kinesis::ensure_stream(&client, STREAM, 1).await.expect("created");
        let index = IndexSettings::new(folder.path().join("behind-firehose"));
        let behind_firehose = Index::open(index).expect("opens");
        // The walkthrough's buffer: 1 MiB or 60 s.
        let buffer = Buffer { bytes: 1 << 20, age: Duration::from_secs(60) };
        let firehose = FirehoseDouble::new("scored").delivering_to(
            eddy_index::router(Arc::clone(&behind_firehose)),
            "anomalies",
            buffer,
        );
        Self { kinesis, firehose, behind_firehose, folder }
    }

    async fn settings(&self) -> Settings {
        let folder = self.folder.path().display();
        let text = format!(
            r#"
            dead_letters = "{folder}/dead-letters.ndjson"
            state = {{ path = "{folder}/state" }}
            source = {{ type = "kinesis", stream = "{STREAM}", connection = {{ endpoint_url = "{}" }}, read = {{ poll_interval_ms = 10, min_read_interval_ms = 1 }} }}

            [[sinks]]
            type = "firehose"
            delivery_stream = "scored"
            connection = {{ endpoint_url = "http://{}" }}

            [[sinks]]
            type = "index"
            path = "{folder}/index"
            "#,
            self.kinesis.endpoint_url.as_deref().expect("local"),
            serve(self.firehose.router()).await,
        );
        Settings::parse(&text, "chain.toml").expect("good settings")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_readings_arrive_once_with_the_scores_of_the_forest() {
    let sensors =
        Sensors::new(SensorSettings { seed: 7, ..SensorSettings::default() }).expect("ok");
    let readings: Vec<_> = sensors.take(N_READINGS).collect();
    let chain = Chain::start().await;
    // Firehose refuses now and then: a part of a request, or all of it.
    let kind = "ServiceUnavailableException";
    for _ in 0..5 {
        let entries = Fault::Entries { at: vec![0, 3, 200], status: 500, kind };
        chain.firehose.faults.then(entries).then_well().then(Fault::Status(503)).then_well();
    }
    let built = build(&chain.settings().await).await.expect("opens");
    let index = built.index.expect("there is an index sink");
    let counters = Arc::clone(&built.pipeline.counters);
    let producer = Producer::new(client(&chain.kinesis).await, ProducerSettings::unlimited(STREAM));
    let (tell, told) = watch::channel(Stop::No);
    let running = tokio::spawn(built.pipeline.run(told));
    for reading in &readings {
        producer.put(&reading.name, reading.to_json().into()).await.expect("accepted");
    }
    let counts = producer.flush().await;
    assert_eq!((counts.acknowledged, counts.failed), (N_READINGS as u64, 0));
    tell.send(Stop::Drained).expect("running");
    running.await.expect("no panic").expect("drains");
    chain.firehose.flush().await;

    let totals = counters.totals();
    assert_eq!((totals.records, totals.delivered), (N_READINGS as u64, N_READINGS as u64));
    assert_eq!(chain.firehose.faults.n_left(), 0);
    assert_eq!(chain.firehose.undeliverable(), Vec::<Value>::new());
    assert_eq!(chain.firehose.records().len(), N_READINGS);
    let rows = all(&index);
    assert_eq!(rows.len(), N_READINGS);

    // The order of the stream is the order of the sequence numbers in the ids.
    let by_position: BTreeMap<Vec<u8>, &Value> = rows
        .iter()
        .map(|row| {
            let id = row["_id"].as_str().expect("an id");
            (id.split(':').nth(3).expect("a sequence number").as_bytes().to_vec(), &row["_source"])
        })
        .collect();
    assert_eq!(by_position.len(), N_READINGS);
    let mut forest = ForestSettings::new(1);
    forest.n_trees = 100;
    forest.time_decay = Some(0.00001);
    forest.seed = 1;
    let mut forest = forest.build().expect("valid");
    for (at, (row, reading)) in by_position.values().zip(&readings).enumerate() {
        let value = row["iotValue"].as_f64().expect("a number");
        assert_eq!(value, f64::from(reading.value));
        let score = row["ANOMALY_SCORE"].as_f64().expect("a score");
        let expected = forest.score_and_update(&[reading.value as f32]).expect("finite");
        assert_eq!(score.to_bits(), expected.to_bits(), "reading {at}");
        if at >= 1000 {
            assert!(if reading.anomaly { score > 2.0 } else { score < 1.2 }, "{value}: {score}");
        }
        assert_eq!(row["iotName"], "DemoSensor");
        assert!(row["created"].as_str().expect("a time").ends_with('Z'));
    }

    // What came through Firehose is the same, under ids of Firehose's own.
    let sorted = |rows: &[Value]| {
        let mut sources: Vec<String> = rows.iter().map(|row| row["_source"].to_string()).collect();
        sources.sort();
        sources
    };
    assert_eq!(sorted(&all(&chain.behind_firehose)), sorted(&rows));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_start_keeps_index_and_models() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sensors = Sensors::new(SensorSettings::default()).expect("valid");
    let payloads: Vec<Vec<u8>> = sensors.take(600).map(|reading| reading.to_json()).collect();
    let count = |index: &Index| all(index).len();
    assert_eq!(run(&settings(&folder), payloads[..300].to_vec(), count).await, 300);
    let rows = run(&settings(&folder), payloads[300..].to_vec(), all).await;
    assert_eq!(rows.len(), 600);
    // A model that had forgotten would score 0 while it learns again.
    let unscored = rows.iter().filter(|row| row["_source"]["ANOMALY_SCORE"] == 0).count();
    assert_eq!(unscored, 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_payloads_are_dead_letters_and_the_stream_flows_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let good =
        |n: usize| format!("{{\"iotName\":\"a\",\"iotValue\":{}}}", 10 + n % 11).into_bytes();
    let large = [b"{\"iotValue\":1,\"iotName\":\"".to_vec(), vec![b'x'; 1 << 19], b"\"}".to_vec()];
    let corpus: Vec<Vec<u8>> = vec![
        b"{\"iotName\":\"a\",\"iotVal".to_vec(),
        b"{\"iotName\":\"a\",\"iotValue\":\"twelve\"}".to_vec(),
        b"{\"iotName\":\"a\",\"iotValue\":NaN}".to_vec(),
        b"{\"iotName\":\"a\",\"iotValue\":1e999}".to_vec(),
        b"{\"iotName\":\"a\",\"iotValue\":1e300}".to_vec(),
        large.concat(),
        b" ".to_vec(),
        b"{\"iotName\":\"\xff\",\"iotValue\":1}".to_vec(),
        [vec![b'['; 10_000], vec![b']'; 10_000]].concat(),
    ];
    let n_bad = corpus.len();
    let mixed: Vec<Vec<u8>> =
        corpus.into_iter().enumerate().flat_map(|(n, bad)| [good(n), bad]).collect();
    let rows = run(&settings(&folder), mixed, all).await;
    assert_eq!(rows.len(), n_bad);
    let letters = std::fs::read_to_string(folder.path().join("dead-letters.ndjson")).expect("kept");
    let letters: Vec<Value> =
        letters.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(letters.len(), n_bad);
    assert!(letters.iter().all(|letter| letter["reason"].as_str().is_some_and(|r| !r.is_empty())));
}
