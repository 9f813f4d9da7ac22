//! Archives: every row and every payload in exactly one object, whatever fails in between.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use eddy_pipeline::{PipelineSettings, Settings, build};
use eddy_record::ScoredRecord;
use eddy_sinks::{ArchiveSettings, ArchiveSink, ArchivedRecords};
use eddy_stream::{Archive, MemorySource, Rejected, Sink, StreamError};
use object_store::local::LocalFileSystem;

use crate::support::{World, partition, raw, readings, run, stream};

/// The lines of all objects below a folder, by the objects' names.
fn objects(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(objects(&path));
            continue;
        }
        let mut text = String::new();
        let file = std::fs::File::open(&path).expect("readable");
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        found.insert(name, text.lines().map(str::to_owned).collect());
    }
    found
}

fn sorted(objects: BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut lines: Vec<String> = objects.into_values().flatten().collect();
    lines.sort();
    lines
}

async fn archive(folder: &Path, records: ArchivedRecords, max_bytes: usize) -> Arc<dyn Archive> {
    std::fs::create_dir_all(folder).expect("writable");
    let settings = ArchiveSettings {
        records,
        max_object_bytes: max_bytes,
        ..ArchiveSettings::new(&folder.display().to_string())
    };
    let store = LocalFileSystem::new_with_prefix(folder).expect("a folder");
    Arc::new(ArchiveSink::open(Arc::new(store), &settings).await.expect("opens"))
}

/// Fails every fourth time, after it has written.
struct Stormy {
    to: Arc<dyn Sink>,
    n_calls: AtomicUsize,
}

#[async_trait]
impl Sink for Stormy {
    fn name(&self) -> &str {
        "stormy"
    }

    async fn write(&self, rows: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        self.to.write(rows).await?;
        match self.n_calls.fetch_add(1, Ordering::SeqCst) % 4 {
            3 => Err(StreamError::retry("on command")),
            _ => Ok(Vec::new()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_row_and_payload_is_archived_once_whatever_fails() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let world = World::default();
    let mut records = readings(0..1000);
    records[500] = raw(500, "not JSON");
    let payloads: Vec<String> =
        records.iter().map(|raw| String::from_utf8_lossy(&raw.data).into_owned()).collect();
    let source = MemorySource::new(stream(1), 40).with_partition(partition("p", &[]), records);
    // A commit waits for several steps, and objects are cut between.
    let settings = PipelineSettings { commit_records: 100, ..PipelineSettings::default() };
    let sink = Stormy { to: world.rows.clone(), n_calls: AtomicUsize::new(0) };
    let mut pipeline = world.pipeline_to(Arc::new(source), Arc::new(sink), settings);
    let (scored, all) = (folder.path().join("scored"), folder.path().join("raw"));
    pipeline.outputs.archives = vec![
        archive(&scored, ArchivedRecords::Scored, 5000).await,
        archive(&all, ArchivedRecords::Raw, 3000).await,
    ];
    run(pipeline).await.expect("runs");
    assert!(world.counters.totals().restarts > 3);

    let mut rows: Vec<String> = world.json().into_values().collect();
    rows.sort();
    let archived = objects(&scored);
    assert!(archived.len() > 10, "cut by commits and size: {}", archived.len());
    assert!(archived.keys().all(|name| name.starts_with("readings-1-p-")), "{archived:?}");
    assert_eq!(sorted(archived), rows);
    let mut expected = payloads;
    expected.sort();
    assert_eq!(sorted(objects(&all)), expected);
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let archive = "[[sinks]]\ntype = \"archive\"\n";
    for (sinks, state, says) in [
        (format!("{archive}url = \"gs://b\""), "", "archive sink: url must be such as s3://"),
        (format!("{archive}url = \"s3://\""), "", "names no bucket"),
        (format!("{archive}url = \"a\"\nmax_object_bytes = 0"), "", "max_object_bytes"),
        (format!("{archive}url = \"a\"\n{archive}url = \"a/\""), "", "each needs one of its own"),
        (format!("{archive}url = \"a\""), "url = \"./folder\"", "a folder is state.path"),
        (format!("{archive}url = \"a\""), "url = \"s3:///x\"", "state.url s3:///x names no bucket"),
    ] {
        let text = format!("source = {{ type = \"stdin\" }}\nstate = {{ {state} }}\n{sinks}");
        let error = Settings::parse(&text, "bad.toml").expect_err(says);
        assert!(error.to_string().contains(says), "{says}: {error}");
    }
}

#[tokio::test]
async fn a_settings_file_archives_scored_rows_and_raw_records() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = folder.path().display();
    let lines =
        ["{\"iotName\":\"a\",\"iotValue\":1}", "broken", "{\"iotName\":\"b\",\"iotValue\":2}"];
    std::fs::write(folder.path().join("in.ndjson"), lines.join("\n")).expect("writable");
    let text = format!(
        r#"
        dead_letters = "{at}/dead-letters.ndjson"
        source = {{ type = "file", path = "{at}/in.ndjson" }}
        state = {{ path = "{at}/state" }}
        [[sinks]]
        type = "archive"
        url = "{at}/scored"
        [[sinks]]
        type = "archive"
        url = "{at}/raw"
        records = "raw"
        "#
    );
    let settings = Settings::parse(&text, "archive.toml").expect("good settings");
    let built = build(&settings).await.expect("opens");
    assert_eq!(built.pipeline.settings.commit_interval_ms, 60_000, "a commit ends an object");
    let counters = Arc::clone(&built.pipeline.counters);
    run(built.pipeline).await.expect("runs");
    let scored = objects(&folder.path().join("scored"));
    assert_eq!(scored.len(), 1);
    let rows = scored.into_values().next().expect("one object");
    assert_eq!(rows.len(), 2);
    assert!(
        rows[1].starts_with("{\"iotName\":\"b\",\"iotValue\":2,\"ANOMALY_SCORE\":"),
        "{}",
        rows[1]
    );
    let all = objects(&folder.path().join("raw"));
    assert_eq!(all.into_values().next().expect("one object"), lines);
    assert_eq!(counters.totals().records, 3);
    assert_eq!((counters.totals().delivered, counters.totals().dead_decode), (2, 1));
}
