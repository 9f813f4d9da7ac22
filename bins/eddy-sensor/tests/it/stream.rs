//! The binary against a Kinesis in this process.

use std::process::Output;
use std::sync::mpsc;

use eddy_kinesis::{ConnectionSettings, KinesisSource, ReadSettings, client};
use eddy_sensors::{SensorSettings, Sensors};
use eddy_stream::{Source, Start};
use ferrokinesis::store::StoreOptions;

use crate::{command, stderr};

/// Serves Kinesis on a thread of its own, so that tests may wait for the binary.
fn serve() -> String {
    let (ready, address) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async move {
            let options = StoreOptions { create_stream_ms: 0, ..StoreOptions::default() };
            let (app, _) = ferrokinesis::create_app(options);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            ready.send(listener.local_addr().expect("bound")).expect("the test waits");
            axum::serve(listener, app).await
        })
    });
    format!("http://{}", address.recv().expect("the server starts"))
}

fn run(endpoint: &str, arguments: &[&str]) -> Output {
    let mut command = command(arguments);
    command.args(["--endpoint-url", endpoint]).output().expect("the binary starts")
}

async fn stored(endpoint: &str, n_records: usize) -> Vec<(String, Vec<u8>)> {
    let client = client(&ConnectionSettings::local(endpoint)).await;
    let source = KinesisSource::new(client, "RawStreamData", ReadSettings::default());
    let partition = source.partitions().await.expect("listed").remove(0);
    let mut reader = source.open(&partition.id, &Start::TrimHorizon).await.expect("open");
    let mut stored = Vec::new();
    while stored.len() < n_records {
        let batch = reader.next().await.expect("read").expect("an open shard");
        let records = batch.records.into_iter();
        stored.extend(records.map(|raw| (raw.partition_key.into_string(), raw.data.to_vec())));
    }
    stored
}

#[tokio::test]
async fn readings_arrive_in_order_in_a_stream_created_on_first_use() {
    let endpoint = serve();
    let arguments = ["--rate", "0", "--count", "2000", "--sensors", "2", "--seed", "7"];
    let output = run(&endpoint, &arguments);
    let text = stderr(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("created the stream RawStreamData at"), "{text}");

    let settings = SensorSettings { n_sensors: 2, seed: 7, ..SensorSettings::default() };
    let readings: Vec<_> = Sensors::new(settings).expect("valid").take(2000).collect();
    let n_anomalies = readings.iter().filter(|reading| reading.anomaly).count();
    let counts =
        format!("generated 2000, acknowledged 2000, failed 0, retried 0, labelled {n_anomalies}");
    assert_eq!(text.lines().last(), Some(counts.as_str()));
    let expected: Vec<_> =
        readings.iter().map(|reading| (reading.name.to_string(), reading.to_json())).collect();
    assert_eq!(stored(&endpoint, 2000).await, expected);
}

#[tokio::test]
async fn aggregates_are_read_back_as_the_readings_that_went_in() {
    let endpoint = serve();
    let arguments = [
        "--rate",
        "0",
        "--count",
        "3000",
        "--sensors",
        "3",
        "--aggregate",
        "--shard-limits",
        "true",
    ];
    let output = run(&endpoint, &arguments);
    let text = stderr(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("generated 3000, acknowledged 3000, failed 0, retried 0"), "{text}");
    let settings = SensorSettings { n_sensors: 3, ..SensorSettings::default() };
    let readings = Sensors::new(settings).expect("valid").take(3000);
    let mut expected: Vec<_> =
        readings.map(|reading| (reading.name.to_string(), reading.to_json())).collect();
    // In order of each sensor.
    expected.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut found = stored(&endpoint, 3000).await;
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert_eq!(found, expected);
}

#[cfg(unix)]
#[test]
fn ctrl_c_finishes_what_is_under_way_and_counts_it() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let endpoint = serve();
    let mut child = command(&["--rate", "20", "--endpoint-url", &endpoint])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let mut line = || lines.next().expect("a line").expect("text");
    while !line().starts_with("{\"iotName\"") {}
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.expect("kill starts").success());
    let last = std::iter::from_fn(|| Some(line())).find(|line| line.starts_with("generated "));
    assert!(child.wait().expect("an end").success());
    let numbers: Vec<u64> = last
        .expect("counts")
        .split(", ")
        .filter_map(|part| part.rsplit(' ').next()?.parse().ok())
        .collect();
    assert!(numbers[0] >= 1 && numbers[1] == numbers[0] && numbers[2] == 0, "{numbers:?}");
}

#[test]
fn a_stream_that_does_not_exist_on_aws_is_not_created_unasked() {
    // Of a name with dots before a path the binary cannot know that it is not of AWS.
    let endpoint = format!("{}/?.amazonaws.com", serve());
    let output = run(&endpoint, &["--count", "1", "--region", "us-east-1"]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("--create-stream"), "{text}");
    assert!(text.contains("aws kinesis create-stream --stream-name RawStreamData"), "{text}");
}
