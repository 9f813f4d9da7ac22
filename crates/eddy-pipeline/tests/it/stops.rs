//! How a pipeline ends when it is told to stop and Firehose does not answer. What tells it is in
//! `bins/eddy/src/signals.rs`: the first signal says [`Stop::Drained`] (to `eddy run` [`Stop::Now`]),
//! the second [`Stop::Abort`]; the third ends the process.

use std::sync::Arc;
use std::time::Duration;

use eddy_harness::{Fault, FirehoseDouble, serve};
use eddy_kinesis::{ConnectionSettings, Producer, ProducerSettings, client};
use eddy_pipeline::{Counters, Settings, Stop, build};
use eddy_stream::StreamError;
use ferrokinesis::store::StoreOptions;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const STREAM: &str = "readings";
const N_READINGS: usize = 100;
/// Longer than anything here takes unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// A stream that holds readings, and a folder for the state.
struct World {
    kinesis: String,
    folder: tempfile::TempDir,
}

/// A pipeline at work.
struct Run {
    running: JoinHandle<Result<(), StreamError>>,
    tell: watch::Sender<Stop>,
    counters: Arc<Counters>,
}

impl World {
    async fn start() -> Self {
        let (app, _) =
            ferrokinesis::create_app(StoreOptions { create_stream_ms: 0, ..Default::default() });
        let kinesis = format!("http://{}", serve(app).await);
        let client = client(&ConnectionSettings::local(&kinesis)).await;
        eddy_kinesis::ensure_stream(&client, STREAM, 1).await.expect("created");
        let producer = Producer::new(client, ProducerSettings::unlimited(STREAM));
        for n in 0..N_READINGS {
            let payload = format!("{{\"iotName\":\"a\",\"iotValue\":{n}}}");
            producer.put("a", payload.into_bytes().into()).await.expect("accepted");
        }
        assert_eq!(producer.flush().await.acknowledged, N_READINGS as u64);
        Self { kinesis, folder: tempfile::tempdir().expect("a temporary folder") }
    }

    async fn run(&self, firehose: &FirehoseDouble) -> Run {
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
            "#,
            self.kinesis,
            serve(firehose.router()).await,
        );
        let settings = Settings::parse(&text, "stops.toml").expect("good settings");
        let built = build(&settings).await.expect("opens");
        let counters = Arc::clone(&built.pipeline.counters);
        let (tell, told) = watch::channel(Stop::No);
        Run { running: tokio::spawn(built.pipeline.run(told)), tell, counters }
    }
}

impl Run {
    /// Waits for it to end.
    async fn end(self) -> Result<(), StreamError> {
        let ended = tokio::time::timeout(PATIENCE, self.running).await;
        ended.expect("it ends").expect("no panic")
    }
}

/// Returns once Firehose has a request that it does not answer.
async fn a_request_hangs(firehose: &FirehoseDouble) {
    let asked = async {
        while firehose.request_sizes().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("a request comes");
}

async fn hangs_for_good(first: Stop) {
    let world = World::start().await;
    let hanging = FirehoseDouble::new("scored");
    for _ in 0..100 {
        hanging.faults.then(Fault::Hang);
    }
    let mut run = world.run(&hanging).await;
    a_request_hangs(&hanging).await;

    // The first waits for what is in flight, which never is settled.
    run.tell.send(first).expect("running");
    let waits = tokio::time::timeout(Duration::from_secs(1), &mut run.running).await;
    assert!(waits.is_err(), "{waits:?}");
    assert_eq!(run.counters.totals().delivered, 0);

    // The second does not: much sooner than the request's own time is over.
    run.tell.send(Stop::Abort).expect("running");
    let ended = tokio::time::timeout(Duration::from_secs(10), run.running).await;
    let error = ended.expect("it ends").expect("no panic").expect_err("not all is settled");
    assert!(error.to_string().contains("the rest is read again"), "{error}");
    assert!(hanging.records().is_empty());

    // Nothing was committed, so nothing is lost.
    let well = FirehoseDouble::new("scored");
    let again = world.run(&well).await;
    again.tell.send(Stop::Drained).expect("running");
    again.end().await.expect("drains");
    assert_eq!(well.records().len(), N_READINGS);
}

#[tokio::test]
async fn the_second_stop_gives_up_a_firehose_that_hangs_and_the_next_run_delivers_all() {
    tokio::join!(hangs_for_good(Stop::Drained), hangs_for_good(Stop::Now));
}

async fn hangs_once(first: Stop) {
    let world = World::start().await;
    let firehose = FirehoseDouble::new("scored");
    // The client gives a request up after a while (15 s) and tries again.
    firehose.faults.then(Fault::Hang);
    let run = world.run(&firehose).await;
    a_request_hangs(&firehose).await;
    run.tell.send(first).expect("running");
    let counters = Arc::clone(&run.counters);
    run.end().await.expect("all is settled");
    assert_eq!(firehose.records().len(), N_READINGS);
    let totals = counters.totals();
    assert_eq!((totals.records, totals.delivered), (N_READINGS as u64, N_READINGS as u64));
    assert_eq!(firehose.faults.n_left(), 0);
}

#[tokio::test]
async fn the_first_stop_waits_for_a_firehose_that_answers_again() {
    tokio::join!(hangs_once(Stop::Drained), hangs_once(Stop::Now));
}
