//! `eddy run` killed at any moment, twenty times, under load: source and destination are outside of
//! its process.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use eddy_harness::{BulkDouble, Random, serve};
use eddy_kinesis::{ConnectionSettings, Producer, ProducerSettings, client, ensure_stream};
use ferrokinesis::store::StoreOptions;
use serde_json::Value;

const STREAM: &str = "readings";
const N_KILLS: usize = 20;
/// Longer than anything takes, so that a test that hangs ends.
const PATIENCE: Duration = Duration::from_secs(120);

/// `eddy run` at work; killed when dropped.
struct Running(Child);

impl Running {
    fn start(settings: &Path) -> Self {
        let mut eddy = Command::new(env!("CARGO_BIN_EXE_eddy"));
        eddy.args(["run"]).arg(settings).stdin(Stdio::null());
        Self(eddy.spawn().expect("starts"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // As `kill -9` does it; fails where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn settings(folder: &Path, kinesis: &str, cluster: &str) -> std::path::PathBuf {
    let path = folder.join("eddy.toml");
    let text = format!(
        r#"
dead_letters = "{folder}/dead-letters.ndjson"
[source]
type = "kinesis"
stream = "{STREAM}"
connection = {{ endpoint_url = "{kinesis}" }}
read = {{ min_read_interval_ms = 20, poll_interval_ms = 20, max_records = 100 }}
[detector]
key = "iotName"
trees = 20
sample_size = 64
[pipeline]
commit_records = 150
[[sinks]]
type = "opensearch"
url = "{cluster}"
[state]
path = "{folder}/state"
"#,
        folder = folder.display()
    );
    std::fs::write(&path, text).expect("written");
    path
}

/// The documents by id.
fn documents(cluster: &BulkDouble) -> BTreeMap<String, Value> {
    let mut by_id = BTreeMap::new();
    for ((index, id), document) in cluster.documents() {
        assert!(by_id.insert(id.clone(), document).is_none(), "{id} is also in {index}");
    }
    by_id
}

async fn wait_for(eddy: &mut Running, cluster: &BulkDouble, n_documents: usize) {
    let start = Instant::now();
    while cluster.documents().len() < n_documents {
        let n = cluster.documents().len();
        assert!(start.elapsed() < PATIENCE, "{n} of {n_documents}");
        assert_eq!(eddy.0.try_wait().expect("a child"), None, "it ended by itself");
        // Lets the servers work in between.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_under_load_lose_nothing_and_deliver_nothing_twice() {
    let options = StoreOptions { create_stream_ms: 0, shard_limit: 50, ..Default::default() };
    let (app, _) = ferrokinesis::create_app(options);
    let kinesis = format!("http://{}", serve(app).await);
    let client = client(&ConnectionSettings::local(&kinesis)).await;
    ensure_stream(&client, STREAM, 2).await.expect("created");
    let producer = Producer::new(client, ProducerSettings::new(STREAM));

    let mut random = Random::new(9);
    let mut n_put = 0_usize;
    let cluster = BulkDouble::default();
    let address = format!("http://{}", serve(cluster.router()).await);
    let folder = tempfile::tempdir().expect("a folder");
    let killed = settings(folder.path(), &kinesis, &address);
    for _ in 0..N_KILLS {
        for _ in 0..200 {
            let value = if random.one_in(60) { 300 } else { random.below(20) };
            let reading = format!("{{\"iotName\":\"s{}\",\"iotValue\":{value}}}", n_put % 5);
            producer.put(&format!("s{}", n_put % 5), reading.into()).await.expect("accepted");
            n_put += 1;
        }
        let before = cluster.documents().len();
        let mut eddy = Running::start(&killed);
        // Some die while they start, some between writes, some with nothing left to do.
        let more = usize::try_from(random.below(260)).expect("small").min(n_put - before);
        wait_for(&mut eddy, &cluster, before + more).await;
        drop(eddy);
    }
    let counts = producer.flush().await;
    assert_eq!((counts.acknowledged, counts.failed), (n_put as u64, 0));
    let mut eddy = Running::start(&killed);
    wait_for(&mut eddy, &cluster, n_put).await;
    drop(eddy);

    let calm_cluster = BulkDouble::default();
    let address = format!("http://{}", serve(calm_cluster.router()).await);
    let folder = tempfile::tempdir().expect("a folder");
    let mut eddy = Running::start(&settings(folder.path(), &kinesis, &address));
    wait_for(&mut eddy, &calm_cluster, n_put).await;
    drop(eddy);
    let (stormy, calm) = (documents(&cluster), documents(&calm_cluster));
    assert_eq!(stormy.len(), n_put);
    for (id, document) in &calm {
        assert_eq!(stormy.get(id), Some(document), "{id}");
    }
    let n_ids: usize = cluster.requests().iter().map(Vec::len).sum();
    assert!(n_ids > n_put, "no kill came between a delivery and its commit: {n_ids} of {n_put}");
}
