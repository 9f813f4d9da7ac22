//! An SQL application from a Kinesis stream to where its rows go.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use eddy_harness::{S3Double, serve};
use eddy_kinesis::{Client, ConnectionSettings, Producer, ProducerSettings, client, ensure_stream};
use ferrokinesis::store::StoreOptions;
use serde_json::Value;

use crate::support::stdout;

const TEXT: &str = r#"CREATE STREAM "OUT" ("name" VARCHAR(8), "n" BIGINT, "high" DOUBLE);
CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM "name", COUNT(*), MAX("value")
  FROM "SOURCE_SQL_STREAM_001" s GROUP BY "name", FLOOR(s.ROWTIME TO MINUTE);"#;
const SCHEMA: &str = r#"{"RecordColumns":[{"Name":"name","SqlType":"VARCHAR(8)","Mapping":"$.name"},
    {"Name":"value","SqlType":"DOUBLE","Mapping":"$.value"}],"RecordFormat":{"RecordFormatType":"JSON"}}"#;
/// Longer than anything takes, so that a test that hangs ends.
const PATIENCE: Duration = Duration::from_secs(120);

/// Ten records a minute.
fn readings(numbers: std::ops::Range<u64>) -> Vec<String> {
    let line = |n: u64| {
        let (minute, second) = (n / 10, n % 10 * 6);
        let (name, value) = (n % 3, n * 7 % 11);
        format!(
            "{{\"at\":\"2026-11-23T12:{minute:02}:{second:02}Z\",\"name\":\"s{name}\",\"value\":{value}}}"
        )
    };
    numbers.map(line).collect()
}

/// A Kinesis in this process.
struct Kinesis {
    url: String,
    client: Client,
}

impl Kinesis {
    async fn start(streams: &[&str]) -> Self {
        let (app, _) =
            ferrokinesis::create_app(StoreOptions { create_stream_ms: 0, ..Default::default() });
        let url = format!("http://{}", serve(app).await);
        let client = client(&ConnectionSettings::local(&url)).await;
        for stream in streams {
            ensure_stream(&client, stream, 1).await.expect("created");
        }
        Self { url, client }
    }

    async fn put(&self, stream: &str, lines: Vec<String>) {
        let producer = Producer::new(self.client.clone(), ProducerSettings::new(stream));
        for line in lines {
            producer.put("k", line.into_bytes().into()).await.expect("accepted");
        }
        assert_eq!(producer.flush().await.failed, 0);
    }

    /// Everything in the first shard of a stream.
    async fn records(&self, stream: &str) -> Vec<String> {
        let shards = self.client.list_shards().stream_name(stream).send().await.expect("listed");
        let kind = "TRIM_HORIZON".into();
        let call = self.client.get_shard_iterator().stream_name(stream).shard_iterator_type(kind);
        let call = call.shard_id(shards.shards()[0].shard_id());
        let iterator = call.send().await.expect("there").shard_iterator;
        let call = self.client.get_records().set_shard_iterator(iterator);
        let records = call.send().await.expect("read").records;
        let text = |record: &[u8]| String::from_utf8_lossy(record).into_owned();
        records.iter().map(|record| text(record.data().as_ref())).collect()
    }
}

/// `eddy run` at work; killed when dropped.
struct Running(Child);

impl Running {
    fn start(folder: &Path, file: &str, kinesis: &Kinesis) -> Self {
        Self::with(folder, file, &[("AWS_ENDPOINT_URL_KINESIS", &kinesis.url)])
    }

    fn with(folder: &Path, file: &str, endpoints: &[(&str, &str)]) -> Self {
        let mut eddy = Command::new(env!("CARGO_BIN_EXE_eddy"));
        eddy.args(["run", file]).current_dir(folder).stdin(Stdio::null());
        // As an operator with credentials has it.
        eddy.envs(endpoints.iter().copied());
        eddy.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "a");
        Self(eddy.spawn().expect("starts"))
    }

    fn interrupt(mut self) {
        let id = self.0.id().to_string();
        let told = Command::new("kill").args(["-INT", &id]).status().expect("there is a kill");
        assert!(told.success());
        let status = self.0.wait().expect("ends");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // As `kill -9` does it; fails where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn rows(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What the filter says of the same records, but for the windows that are open at the end.
fn filtered(folder: &Path, lines: &[String], n_rows: usize) -> Vec<Value> {
    let at = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
    let (app, schema) = (at("app.sql"), at("schema.json"));
    let args =
        ["run", &app, "--source", "-", "--sink", "-", "--schema", &schema, "--rowtime", "at"];
    let found = stdout(&args, lines.join("\n"));
    let row = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["row"].take();
    found.lines().map(row).take(n_rows).collect()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("app.sql"), TEXT).expect("written");
    std::fs::write(folder.path().join("schema.json"), SCHEMA).expect("written");
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_with_an_application_stop_and_go_on_in_the_middle_of_a_window() {
    let kinesis = Kinesis::start(&["readings"]).await;
    let folder = folder();
    let settings = format!(
        r#"
        source = {{ type = "kinesis", stream = "readings", connection = {{ endpoint_url = "{}" }}, read = {{ poll_interval_ms = 20, min_read_interval_ms = 20 }} }}
        schema = {{ input_schema = "{}" }}
        application = {{ sql = "app.sql", rowtime = "at" }}
        [[sinks]]
        type = "file"
        path = "rows.ndjson"
        "#,
        kinesis.url,
        folder.path().join("schema.json").display(),
    );
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, settings).expect("written");
    let checked = stdout(&["check", file.to_str().expect("UTF-8")], "");
    assert!(checked.contains("[P] -> OUT ->") && checked.contains("OUT => file"), "{checked}");

    let found = folder.path().join("rows.ndjson");
    let all = readings(0..100);
    // Three names a minute; the last minute is open.
    for (range, n_rows) in [(0..35, 9), (35..52, 15), (52..78, 21), (78..100, 27)] {
        let eddy = Running::start(folder.path(), "settings.toml", &kinesis);
        kinesis.put("readings", all[range].to_vec()).await;
        let start = Instant::now();
        while rows(&found).len() < n_rows {
            assert!(start.elapsed() < PATIENCE, "{:?}", rows(&found));
            tokio::task::yield_now().await;
        }
        eddy.interrupt();
    }
    assert_eq!(rows(&found), filtered(folder.path(), &all, 27));

    std::fs::write(folder.path().join("app.sql"), TEXT.replace("MAX", "MIN")).expect("written");
    let eddy = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(["run", "settings.toml"])
        .current_dir(folder.path())
        .output()
        .expect("ends");
    let said = String::from_utf8_lossy(&eddy.stderr);
    assert!(!eddy.status.success() && said.contains("another application"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_in_the_middle_of_a_window_change_no_row() {
    let kinesis = Kinesis::start(&["readings"]).await;
    let folder = folder();
    let settings = format!(
        r#"
        source = {{ type = "kinesis", stream = "readings", connection = {{ endpoint_url = "{}" }}, read = {{ poll_interval_ms = 20, min_read_interval_ms = 20 }} }}
        schema = {{ input_schema = "{}" }}
        application = {{ sql = "app.sql", rowtime = "at" }}
        pipeline = {{ commit_records = 7, commit_interval_ms = 20 }}
        [[sinks]]
        type = "file"
        path = "rows.ndjson"
        "#,
        kinesis.url,
        folder.path().join("schema.json").display(),
    );
    std::fs::write(folder.path().join("settings.toml"), settings).expect("written");
    // No two windows' rows are alike.
    let text = TEXT.replace("\"high\" DOUBLE", "\"high\" DOUBLE, \"minute\" TIMESTAMP");
    let text = text.replace("(\"value\")", "(\"value\"), FLOOR(s.ROWTIME TO MINUTE)");
    std::fs::write(folder.path().join("app.sql"), text).expect("written");
    let found = folder.path().join("rows.ndjson");
    // A file has no ids: rows that were not committed come again. A kill may tear a line.
    let different = || {
        let text = std::fs::read_to_string(&found).unwrap_or_default();
        let mut rows: Vec<Value> = Vec::new();
        for row in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
        rows
    };
    let all = readings(0..100);
    for (range, n_rows) in [(0..35, 9), (35..52, 15), (52..78, 21), (78..100, 27)] {
        let eddy = Running::start(folder.path(), "settings.toml", &kinesis);
        kinesis.put("readings", all[range].to_vec()).await;
        let start = Instant::now();
        while different().len() < n_rows {
            assert!(start.elapsed() < PATIENCE, "{:?}", different());
            tokio::task::yield_now().await;
        }
        // As `kill -9` does it.
        drop(eddy);
    }
    let mut expected = filtered(folder.path(), &all, 27);
    let mut found = different();
    for rows in [&mut expected, &mut found] {
        rows.sort_by_key(Value::to_string);
    }
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_alone_runs_from_its_stream_to_its_stream() {
    let kinesis = Kinesis::start(&["readings", "highs"]).await;
    let folder = folder();
    let arn = |stream: &str| format!("arn:aws:kinesis:us-east-1:000000000000:stream/{stream}");
    let definition = serde_json::json!({"ApplicationDetail": {
        "ApplicationName": "app", "ApplicationCode": TEXT.replace("MINUTE", "SECOND"),
        "InputDescriptions": [{"NamePrefix": "SOURCE_SQL_STREAM",
            "KinesisStreamsInputDescription": {"ResourceARN": arn("readings")},
            "InputSchema": serde_json::from_str::<Value>(SCHEMA).expect("JSON")}],
        "OutputDescriptions": [{"Name": "OUT",
            "KinesisStreamsOutputDescription": {"ResourceARN": arn("highs")},
            "DestinationSchema": {"RecordFormatType": "JSON"}}]}});
    std::fs::write(folder.path().join("app.json"), definition.to_string()).expect("written");
    kinesis.put("readings", readings(0..10)).await;
    let eddy = Running::start(folder.path(), "app.json", &kinesis);
    let start = Instant::now();
    // ROWTIME is the time of arrival: the stream's time has to pass its second.
    let counted = |rows: &[String]| {
        let n = |row: &String| serde_json::from_str::<Value>(row).expect("JSON")["n"].as_u64();
        rows.iter().filter_map(n).sum::<u64>()
    };
    while counted(&kinesis.records("highs").await) < 10 {
        assert!(start.elapsed() < PATIENCE);
        tokio::task::yield_now().await;
    }
    eddy.interrupt();
    let highs = kinesis.records("highs").await;
    assert_eq!(counted(&highs), 10, "{highs:?}");
}

/// A definition that joins its records with reference data in S3, and writes CSV.
fn joined(bucket: &str, key: &str, format: &str) -> String {
    let arn = |stream: &str| format!("arn:aws:kinesis:us-east-1:000000000000:stream/{stream}");
    let text = r#"CREATE STREAM "OUT" ("name" VARCHAR(8), "value" DOUBLE, "place" VARCHAR(16));
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM s."name", s."value", t."place"
        FROM "SOURCE_SQL_STREAM_001" s LEFT JOIN "PLACES" t ON s."name" = t."name""#;
    let columns = serde_json::json!([
        {"Name": "name", "SqlType": "VARCHAR(8)", "Mapping": "$.name"},
        {"Name": "place", "SqlType": "VARCHAR(16)", "Mapping": "$.place"}]);
    serde_json::json!({"ApplicationDetail": {
        "ApplicationName": "app", "ApplicationCode": text,
        "InputDescriptions": [{"NamePrefix": "SOURCE_SQL_STREAM",
            "KinesisStreamsInputDescription": {"ResourceARN": arn("readings")},
            "InputSchema": serde_json::from_str::<Value>(SCHEMA).expect("JSON")}],
        "OutputDescriptions": [{"Name": "OUT",
            "KinesisStreamsOutputDescription": {"ResourceARN": arn("highs")},
            "DestinationSchema": {"RecordFormatType": "CSV"}}],
        "ReferenceDataSourceDescriptions": [{"TableName": "PLACES",
            "S3ReferenceDataSourceDescription":
                {"BucketARN": format!("arn:aws:s3:::{bucket}"), "FileKey": key},
            "ReferenceSchema": {"RecordColumns": columns,
                "RecordFormat": {"RecordFormatType": format}}}]}})
    .to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_with_reference_data_in_s3_writes_csv() {
    let kinesis = Kinesis::start(&["readings", "highs"]).await;
    let places = "s0,\"attic, left\"\ns1,\"the \"\"cellar\"\"\"\n";
    let s3 = serve(S3Double::default().with("places", "a/places.csv", places).router()).await;
    let folder = folder();
    let definition = joined("places", "a/places.csv", "CSV");
    std::fs::write(folder.path().join("app.json"), definition).expect("written");
    kinesis.put("readings", readings(0..4)).await;
    let s3 = format!("http://{s3}");
    let endpoints =
        [("AWS_ENDPOINT_URL_KINESIS", kinesis.url.as_str()), ("AWS_ENDPOINT_URL_S3", &s3)];
    let eddy = Running::with(folder.path(), "app.json", &endpoints);
    let start = Instant::now();
    while kinesis.records("highs").await.len() < 4 {
        assert!(start.elapsed() < PATIENCE);
        tokio::task::yield_now().await;
    }
    eddy.interrupt();
    assert_eq!(
        kinesis.records("highs").await,
        ["s0,0,\"attic, left\"", "s1,7,\"the \"\"cellar\"\"\"", "s2,3,", "s0,10,\"attic, left\""]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reference_data_that_cannot_be_read_is_named_at_the_start() {
    let places = r#"{"name":"s0","place":"attic"}{"name":"s1","place":"cellar"}"#;
    let double = S3Double::default().with("places", "places.json", places).denying("secret");
    let s3 = format!("http://{}", serve(double.router()).await);
    let folder = folder();
    let run = |bucket: &str, key: &str, more: &[&str]| {
        std::fs::write(folder.path().join("app.json"), joined(bucket, key, "JSON"))
            .expect("written");
        let mut eddy = Command::new(env!("CARGO_BIN_EXE_eddy"));
        eddy.args(["run", "app.json", "--source", "in.ndjson", "--sink", "-", "--rowtime", "at"]);
        eddy.args(more).current_dir(folder.path()).stdin(Stdio::null());
        eddy.env("AWS_ENDPOINT_URL_S3", &s3);
        eddy.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "a");
        let output = eddy.output().expect("ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    std::fs::write(folder.path().join("in.ndjson"), readings(0..3).join("\n")).expect("written");
    let (good, rows, said) = run("places", "places.json", &[]);
    assert!(good && rows.contains("attic") && rows.contains("cellar"), "{rows}{said}");
    for (bucket, key, words) in [
        ("nowhere", "places.json", ["no bucket", "s3://nowhere/places.json"]),
        ("places", "other.json", ["no object", "s3://places/other.json"]),
        ("secret", "places.json", ["s3:GetObject", "s3://secret/places.json"]),
        ("", "places.json", ["does not say in which bucket", "--reference PLACES=FILE"]),
    ] {
        let (good, rows, said) = run(bucket, key, &[]);
        assert!(!good && rows.is_empty(), "{rows}");
        assert!(words.iter().all(|word| said.contains(word)) && said.contains("PLACES"), "{said}");
    }
    // A file in its place needs no bucket; a check looks at neither.
    std::fs::write(folder.path().join("own.json"), places.replace("attic", "roof"))
        .expect("written");
    let (good, rows, said) = run("nowhere", "places.json", &["--reference", "PLACES=own.json"]);
    assert!(good && rows.contains("roof"), "{rows}{said}");
    let app = folder.path().join("app.json");
    let checked = stdout(&["check", app.to_str().expect("UTF-8")], "");
    assert!(checked.contains("OUT"), "{checked}");
}
