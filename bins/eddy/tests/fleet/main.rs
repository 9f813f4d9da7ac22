//! A fleet whole: two of Amazon's MultiLangDaemons share a stream of four shards under load, and one
//! is killed with all its processes.
//!
//! `.ci/fleet` fetches and starts what is not of our making: a Kinesis, DynamoDB and S3 API at
//! `FLEET_AWS_URL`, where the bucket `fleet` exists, and the daemon's jars in `FLEET_JARS`.
#![cfg(unix)]

use std::collections::{BTreeMap, BTreeSet};
use std::env::var;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use eddy_harness::{BulkDouble, serve};
use eddy_kinesis::{
    Client, ConnectionSettings, Producer, ProducerCounts, ProducerSettings, client, ensure_stream,
};
use serde_json::Value;

const STREAM: &str = "fleet";
const SHARDS: i32 = 4;
const DEVICES: u64 = 48;
const RECORDS_A_SECOND: u64 = 200;
/// The index that the fleet writes, and that of the run by one process.
const SHARED: &str = "shared";
const ALONE: &str = "alone";
/// Longer than anything takes, so that a test that hangs ends.
const PATIENCE: Duration = Duration::from_secs(240);

/// One daemon and the processes that it starts, a process group.
struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    fn start(folder: &Path, name: &str, aws_url: &str, settings: &Path) -> Self {
        let properties = folder.join(format!("{name}.properties"));
        let eddy = env!("CARGO_BIN_EXE_eddy");
        let text = format!(
            "executableName = {eddy} kcl {}\n\
             streamName = {STREAM}\n\
             applicationName = eddy-fleet\n\
             workerId = {name}\n\
             AwsCredentialsProvider = DefaultCredentialsProvider\n\
             initialPositionInStream = TRIM_HORIZON\n\
             regionName = us-east-1\n\
             kinesisEndpoint = {aws_url}\n\
             dynamoDBEndpoint = {aws_url}\n\
             metricsLevel = NONE\n\
             idleTimeBetweenReadsInMillis = 250\n\
             failoverTimeMillis = 5000\n\
             shardSyncIntervalMillis = 5000\n\
             shutdownGraceMillis = 30000\n\
             clientVersionConfig = CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X\n",
            settings.display()
        );
        std::fs::write(&properties, text).expect("written");
        let log = folder.join(format!("{name}.log"));
        let out = File::create(&log).expect("created");
        let jars = var("FLEET_JARS").expect("FLEET_JARS is set: run .ci/fleet");
        let child = Command::new("java")
            .args(["-Xmx400m", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8"])
            .args(["-Daws.cborEnabled=false", "-cp", &format!("{jars}/*")])
            .args(["software.amazon.kinesis.multilang.MultiLangDaemon", "--properties-file"])
            .arg(&properties)
            .env("AWS_CBOR_DISABLE", "true")
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("cloned"))
            .stderr(out)
            .process_group(0)
            .spawn()
            .expect("starts java");
        Self { child, log }
    }

    /// The processes that work on a shard for this daemon now.
    fn processes(&self) -> usize {
        let group = self.child.id().to_string();
        let stats = std::fs::read_dir("/proc").expect("a /proc").flatten();
        stats
            .filter(|entry| {
                let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
                    return false;
                };
                // The fields behind the name, which may hold anything: state, parent, group.
                let Some((name, rest)) = stat.rsplit_once(") ") else { return false };
                let mut fields = rest.split(' ');
                let running = fields.next() != Some("Z");
                running && name.ends_with("(eddy") && fields.nth(1) == Some(group.as_str())
            })
            .count()
    }

    /// Sends a signal to the daemon, or to it and all its processes.
    fn signal(&self, signal: &str, all: bool) {
        let to = if all { format!("-{}", self.child.id()) } else { self.child.id().to_string() };
        let sent = Command::new("kill").args([signal, "--", &to]).status().expect("runs");
        assert!(sent.success(), "kill {signal} {to}");
    }

    /// How many of its processes have given their shard up in order.
    fn ended_in_order(&self) -> usize {
        let log = std::fs::read_to_string(&self.log).expect("a log");
        let lines = log.lines().filter(|line| line.contains("Received error line"));
        lines.filter(|line| line.contains("the work on the shard has ended")).count()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        // It may have ended.
        let _ = Command::new("kill").args(["-9", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(60)..];
            eprintln!("== the end of {}\n{}", self.log.display(), last.join("\n"));
        }
    }
}

fn settings(aws_url: &str, sink_url: &str, index: &str, state: &str, letters: &Path) -> String {
    format!(
        "dead_letters = \"{}\"\n\
         [source]\ntype = \"kinesis\"\nstream = \"{STREAM}\"\n\
         connection = {{ endpoint_url = \"{aws_url}\" }}\n\
         [schema.inline]\nformat = \"json\"\ncolumns = [\n\
         {{ name = \"device\", type = \"VARCHAR(16)\" }},\n\
         {{ name = \"celsius\", type = \"DOUBLE\" }},\n\
         {{ name = \"n\", type = \"BIGINT\" }},\n]\n\
         [detector]\nkey = \"device\"\ncolumns = [\"celsius\"]\ntrees = 20\nsample_size = 64\n\
         [pipeline]\ncommit_interval_ms = 2000\n\
         [[sinks]]\ntype = \"opensearch\"\nurl = \"{sink_url}\"\nindex = \"{index}\"\n\
         rotation = \"no_rotation\"\n\
         [state]\n{state}\n",
        letters.display()
    )
}

/// Puts readings until told to stop: the `n`-th from device `n % DEVICES`, now and then one that is
/// far off.
async fn load(kinesis: Client, stop: Arc<AtomicBool>) -> ProducerCounts {
    let producer = Producer::new(kinesis, ProducerSettings::new(STREAM));
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        tick.tick().await;
        for _ in 0..RECORDS_A_SECOND / 10 {
            let device = n % DEVICES;
            let celsius = if n % 997 == 996 { 90 } else { 15 + (n * 7 + device) % 11 };
            let reading = format!("{{\"device\":\"d{device}\",\"celsius\":{celsius},\"n\":{n}}}");
            producer.put(&format!("d{device}"), reading.into()).await.expect("takes it");
            n += 1;
        }
    }
    let counts = producer.flush().await;
    assert_eq!((counts.acknowledged, counts.failed), (n, 0), "{counts:?}");
    counts
}

/// Waits until something is so; says what was waited for when it never is.
async fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("{:5.1} s until {what}", start.elapsed().as_secs_f64());
}

/// What an index holds, by id.
fn held(double: &BulkDouble, index: &str) -> BTreeMap<String, Value> {
    let documents = double.documents().into_iter();
    documents.filter(|((of, _), _)| of == index).map(|((_, id), document)| (id, document)).collect()
}

/// The numbers of the records that no row is made of.
fn missing_of(rows: &BTreeMap<String, Value>, n_records: u64) -> Vec<u64> {
    let there: BTreeSet<u64> = rows.values().filter_map(|row| row["n"].as_u64()).collect();
    (0..n_records).filter(|n| !there.contains(n)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_loses_and_doubles_nothing_when_a_worker_is_killed() {
    let aws_url = var("FLEET_AWS_URL").expect("FLEET_AWS_URL is set: run .ci/fleet");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kinesis = client(&ConnectionSettings::local(&aws_url)).await;
    ensure_stream(&kinesis, STREAM, SHARDS).await.expect("a stream");
    let double = BulkDouble::default();
    let sink_url = format!("http://{}", serve(double.router()).await);
    let state = format!(
        "url = \"s3://fleet/state\"\nconnection = {{ region = \"us-east-1\", endpoint_url = \"{aws_url}\" }}"
    );
    let done = Arc::new(AtomicBool::new(false));
    let loading = tokio::spawn(load(kinesis, Arc::clone(&done)));
    let [first, mut second] = ["first", "second"].map(|name| {
        // Two machines have their own files.
        let letters = folder.path().join(name).join("letters.ndjson");
        let path = folder.path().join(format!("{name}.toml"));
        let text = settings(&aws_url, &sink_url, SHARED, &state, &letters);
        std::fs::write(&path, text).expect("written");
        Daemon::start(folder.path(), name, &aws_url, &path)
    });
    wait_for("each worker works on two shards", || {
        first.processes() == 2 && second.processes() == 2
    })
    .await;
    let before = double.requests().len();
    wait_for("rows flow", || double.requests().len() >= before + 20).await;
    first.signal("-9", true);
    let held_at_kill = held(&double, SHARED).len();
    println!("killed a worker and its processes with {held_at_kill} rows delivered");
    wait_for("the other works on all shards", || second.processes() == 4).await;
    let before = double.requests().len();
    wait_for("rows flow", || double.requests().len() >= before + 20).await;
    done.store(true, Ordering::Relaxed);
    let counts = loading.await.expect("no panic");
    let acknowledged = usize::try_from(counts.acknowledged).expect("small");
    let (start, mut missing) = (Instant::now(), Vec::new());
    wait_for("every acknowledged record is delivered, or none comes any more", || {
        let before = missing.len();
        missing = missing_of(&held(&double, SHARED), counts.acknowledged);
        missing.is_empty() || start.elapsed() > PATIENCE / 2 && missing.len() == before
    })
    .await;
    assert!(missing.is_empty(), "{} of {acknowledged} missing: {missing:?}", missing.len());

    // The daemon gives its shards up in order.
    let before = second.ended_in_order();
    second.signal("-TERM", false);
    wait_for("the other has ended", || {
        second.child.try_wait().expect("may be waited for").is_some()
    })
    .await;
    wait_for("its processes have ended", || second.processes() == 0).await;
    assert_eq!(second.ended_in_order() - before, 4, "each in order");

    let rows = held(&double, SHARED);
    let numbers: BTreeSet<u64> = rows.values().filter_map(|row| row["n"].as_u64()).collect();
    assert_eq!(rows.len(), acknowledged, "a document a record");
    assert_eq!(numbers, (0..counts.acknowledged).collect(), "a record a document");
    let shards: BTreeSet<&str> = rows.keys().filter_map(|id| id.split(':').nth(2)).collect();
    assert_eq!(shards.len(), 4);
    let written: usize = double.requests().iter().map(Vec::len).sum();
    println!(
        "{acknowledged} records acknowledged, {} documents, {} of them written again with the same \
         id; {} records came after the kill",
        rows.len(),
        written - rows.len(),
        acknowledged - held_at_kill,
    );

    let alone = folder.path().join("alone.toml");
    let state = format!("path = \"{}\"", folder.path().join("state").display());
    let letters = folder.path().join("letters-alone.ndjson");
    std::fs::write(&alone, settings(&aws_url, &sink_url, ALONE, &state, &letters))
        .expect("written");
    let mut process = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(["run", "--quiet"])
        .arg(&alone)
        .stdout(Stdio::null())
        .spawn()
        .expect("starts");
    wait_for("one process alone has read it all", || held(&double, ALONE).len() >= acknowledged)
        .await;
    process.kill().expect("was there");
    process.wait().expect("ends");
    let expected = held(&double, ALONE);
    let scored = rows.values().filter(|row| row["ANOMALY_SCORE"].as_f64() > Some(0.0)).count();
    assert!(scored > acknowledged / 2, "{scored} of {acknowledged} have a score above 0");
    for (id, row) in &rows {
        assert_eq!(Some(row), expected.get(id), "{id} from one process");
    }
    assert_eq!(rows.len(), expected.len());
    println!("all {acknowledged} rows, {scored} with a score above 0, are those of one process");
}
