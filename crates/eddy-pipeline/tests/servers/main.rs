//! State and archives on an S3 that is not of our making: ministack at `MINISTACK_URL`, which
//! `.ci/servers` starts.

mod kills;
#[path = "../it/support.rs"]
mod support;

use std::env::var;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use eddy_aws::{ConnectionSettings, bucket};
use eddy_pipeline::{PipelineSettings, SlateStateStore};
use eddy_record::{PartitionId, ScoredRecord};
use eddy_sinks::{ArchiveSettings, ArchiveSink};
use eddy_stream::{ErrorKind, MemorySource, Rejected, Sink, StateChange, StateStore, StreamError};
use futures::TryStreamExt as _;
use futures::future::join_all;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode};

use support::{World, partition, readings, run, stream};

fn connection() -> ConnectionSettings {
    let url = var("MINISTACK_URL").expect("MINISTACK_URL is set: run .ci/servers");
    ConnectionSettings::local(&url)
}

async fn state(path: &str) -> SlateStateStore {
    let url = format!("s3://eddy-tests/{path}");
    SlateStateStore::in_bucket(&url, &connection()).await.expect("a bucket with conditional writes")
}

/// A folder that no earlier run has used.
fn fresh(name: &str) -> Path {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Path::from(format!("{name}-{}", now.as_nanos()))
}

fn set(key: &'static str, value: &'static str) -> StateChange {
    StateChange { key: key.into(), value: Some(value.into()) }
}

#[tokio::test]
async fn what_was_committed_is_there_without_a_close() {
    let partition = PartitionId::new("shardId-000000000000");
    let opened = state("committed").await.open("s", &partition).await.expect("opens");
    opened.commit(vec![set("model/a", "1"), set("position", "7")]).await.expect("commits");
    let delete = StateChange { key: "model/a".into(), value: None };
    opened.commit(vec![delete, set("model/b", "2")]).await.expect("commits");
    drop(opened);
    let again = state("committed").await.open("s", &partition).await.expect("opens again");
    assert_eq!(again.get(b"position").await.expect("reads"), Some("7".into()));
    let models = again.page(b"model/", None, 100).await.expect("reads");
    assert_eq!(models, [("model/b".into(), "2".into())]);
}

#[tokio::test]
async fn an_owner_that_lost_its_partition_cannot_commit() {
    let partition = PartitionId::new("p");
    let store = state("fenced").await;
    let first = store.open("s", &partition).await.expect("opens");
    first.commit(vec![set("k", "1")]).await.expect("the only owner");
    let second = state("fenced").await.open("s", &partition).await.expect("opens");
    let error = first.commit(vec![set("k", "2")]).await.expect_err("fenced");
    assert_eq!(error.kind(), ErrorKind::Lost, "{error:?}");
    assert_eq!(second.get(b"k").await.expect("reads"), Some("1".into()));
    second.commit(vec![set("k", "3")]).await.expect("the owner now");
}

#[tokio::test]
async fn of_many_that_create_an_object_at_once_one_does() {
    let store = bucket("eddy-tests", &connection()).await.expect("opens");
    let folder = fresh("race");
    for round in 0..20 {
        let path = Path::from(format!("{folder}/{round}"));
        let create = |n: usize| store.put_opts(&path, n.to_string().into(), PutMode::Create.into());
        let created = join_all((0..16).map(create)).await;
        let n_created = created.iter().filter(|created| created.is_ok()).count();
        assert_eq!(n_created, 1, "round {round}");
        let refused =
            |created: &Result<_, Error>| matches!(created, Err(Error::AlreadyExists { .. }));
        assert_eq!(created.iter().filter(|created| refused(created)).count(), 15);
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_named() {
    let missing = SlateStateStore::in_bucket("s3://eddy-nowhere/x", &connection()).await;
    let error = missing.expect_err("missing");
    assert!(error.to_string().contains("there is no bucket for the state"), "{error}");
    let store = bucket("eddy-nowhere", &connection()).await.expect("opens");
    let settings = ArchiveSettings::new("s3://eddy-nowhere");
    let error = ArchiveSink::open(Arc::new(store), &settings).await.err().expect("missing");
    assert!(error.to_string().contains("create the bucket"), "{error}");
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

#[tokio::test]
async fn each_row_is_archived_once_with_state_on_s3_whatever_fails() {
    let world = World::default();
    let source =
        MemorySource::new(stream(1), 50).with_partition(partition("p", &[]), readings(0..600));
    let settings = PipelineSettings { commit_records: 100, ..PipelineSettings::default() };
    let sink = Stormy { to: world.rows.clone(), n_calls: AtomicUsize::new(0) };
    let mut pipeline = world.pipeline(Arc::new(source), settings);
    pipeline.outputs.sinks = vec![Arc::new(sink)];
    pipeline.state = Arc::new(state(fresh("state").as_ref()).await);
    let bucket = bucket("eddy-archive", &connection()).await.expect("opens");
    let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(bucket, fresh("archive")));
    let archive =
        ArchiveSettings { max_object_bytes: 4000, ..ArchiveSettings::new("s3://eddy-archive") };
    let archive = ArchiveSink::open(Arc::clone(&store), &archive).await.expect("opens");
    pipeline.outputs.archives = vec![Arc::new(archive)];
    run(pipeline).await.expect("runs");
    assert!(world.counters.totals().restarts > 0);

    let mut archived = Vec::new();
    let objects: Vec<_> = store.list(None).try_collect().await.expect("listed");
    assert!(objects.len() > 6, "{objects:?}");
    for object in objects {
        let bytes = store.get(&object.location).await.expect("there").bytes().await.expect("there");
        let mut text = String::new();
        let mut gzip = flate2::read::GzDecoder::new(&bytes[..]);
        std::io::Read::read_to_string(&mut gzip, &mut text).expect("gzip");
        archived.extend(text.lines().map(str::to_owned));
    }
    archived.sort();
    let mut rows: Vec<String> = world.json().into_values().collect();
    rows.sort();
    assert_eq!(archived, rows);
}

/// Reference data as a definition names it.
#[cfg(feature = "sql")]
#[tokio::test]
async fn reference_data_is_fetched_and_what_is_missing_is_named() {
    use eddy_pipeline::fetch_reference;
    use eddy_record::{RecordFormat, Schema};
    use eddy_sql::DefinedReference;

    let folder = fresh("reference");
    let store = bucket("eddy-tests", &connection()).await.expect("opens");
    let object = Path::from(format!("{folder}/places.csv"));
    store.put(&object, "a,attic\n\"b, c\",cellar\n".into()).await.expect("written");
    let mut schema = Schema::walkthrough();
    schema.format =
        RecordFormat::Csv { row_delimiter: "\n".to_owned(), column_delimiter: ",".to_owned() };
    schema.columns[1].sql_type = schema.columns[0].sql_type;
    let of = |bucket: &str, key: String| DefinedReference {
        table: "PLACES".to_owned(),
        schema: schema.clone(),
        bucket_arn: format!("arn:aws:s3:::{bucket}"),
        key,
    };
    let found = of("eddy-tests", object.to_string());
    let table = fetch_reference(&found, &connection()).await.expect("it is there");
    assert_eq!(table.n_rows(), 2);
    for (bucket, key, words) in [
        ("eddy-tests", format!("{folder}/other.csv"), "there is no object"),
        ("eddy-nowhere", "places.csv".to_owned(), "there is no bucket"),
    ] {
        let error = fetch_reference(&of(bucket, key), &connection()).await.expect_err("missing");
        assert!(error.to_string().contains(words), "{error}");
    }
}
