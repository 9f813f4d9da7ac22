//! Archives in local folders, and on an S3 that refuses.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{Method, StatusCode};
use eddy_aws::{ConnectionSettings, bucket};
use eddy_harness::serve;
use eddy_record::{PartitionId, Position, RawRecord, StreamIdentity};
use eddy_sinks::{ArchiveSettings, ArchiveSink, ArchivedRecords};
use eddy_stream::{Archive as _, ArchiveStart, Archived, ErrorKind, StreamError};
use futures::TryStreamExt as _;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt as _};

use crate::json;
use crate::support::rows;

fn start(after: Option<u64>, run: u64) -> ArchiveStart {
    ArchiveStart {
        stream: StreamIdentity { name: "s".to_owned(), created_ms: 1 },
        partition: PartitionId::new("p"),
        start_ms: None,
        after: after.map(|n| Position::new(n.into())),
        after_ms: None,
        run,
    }
}

async fn sink(store: &Arc<InMemory>, change: impl FnOnce(&mut ArchiveSettings)) -> ArchiveSink {
    let mut settings = ArchiveSettings::new("s3://archive");
    change(&mut settings);
    let store = Arc::clone(store) as Arc<dyn ObjectStore>;
    ArchiveSink::open(store, &settings).await.expect("good settings")
}

/// The lines of every object by its path.
async fn objects(store: &InMemory) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    let all: Vec<_> = store.list(None).try_collect().await.expect("listed");
    for object in all {
        let bytes = store.get(&object.location).await.expect("there");
        let bytes = bytes.bytes().await.expect("there");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("gzip");
        found.insert(object.location.to_string(), text.lines().map(str::to_owned).collect());
    }
    found
}

fn lines(rows: &[eddy_record::ScoredRecord]) -> Vec<String> {
    rows.iter().map(json).collect()
}

#[tokio::test]
async fn objects_stand_in_their_hour_and_are_cut_by_size_and_by_commits() {
    let store = Arc::new(InMemory::new());
    let sink = sink(&store, |settings| settings.max_object_bytes = 2000).await;
    let mut archive = sink.open(&start(None, 1));
    let rows = rows(100);
    assert!(!archive.write(Archived::Rows(&rows[..10])).await.expect("taken"), "not full");
    assert!(archive.write(Archived::Rows(&rows[10..50])).await.expect("taken"), "full");
    assert!(!archive.write(Archived::Rows(&rows[50..55])).await.expect("taken"));
    archive.flush(Some(&Position::new(54.into()))).await.expect("written");
    assert!(!archive.write(Archived::Rows(&rows[55..60])).await.expect("taken"));
    archive.flush(Some(&Position::new(59.into()))).await.expect("written");
    archive.flush(Some(&Position::new(59.into()))).await.expect("nothing to write");
    // The rows are of 2026-11-23, from noon on.
    let expected = [
        ("2026/11/23/12/s-1-p-54-1-0.ndjson.gz", lines(&rows[55..60])),
        ("2026/11/23/12/s-1-p-start-1-0.ndjson.gz", lines(&rows[..50])),
        ("2026/11/23/12/s-1-p-start-1-1.ndjson.gz", lines(&rows[50..55])),
    ];
    let expected: BTreeMap<_, _> =
        expected.map(|(name, lines)| (name.to_owned(), lines)).into_iter().collect();
    assert_eq!(objects(&store).await, expected);
}

#[tokio::test]
async fn a_replay_that_cuts_differently_leaves_nothing_of_the_run_before() {
    let store = Arc::new(InMemory::new());
    let rows = rows(100);
    let small = sink(&store, |settings| settings.max_object_bytes = 1).await;
    let mut died = small.open(&start(None, 1));
    died.write(Archived::Rows(&rows[..10])).await.expect("taken");
    died.flush(Some(&Position::new(9.into()))).await.expect("written, and committed");
    for part in rows[10..60].chunks(10) {
        assert!(died.write(Archived::Rows(part)).await.expect("taken"), "an object each");
    }
    drop(died);
    assert_eq!(objects(&store).await.len(), 6);

    let large = sink(&store, |_| {}).await;
    let mut replay = large.open(&start(Some(9), 2));
    replay.flush(Some(&Position::new(9.into()))).await.expect("a commit at the start");
    replay.write(Archived::Rows(&rows[10..60])).await.expect("taken");
    replay.flush(Some(&Position::new(59.into()))).await.expect("written");
    let objects = objects(&store).await;
    let names: Vec<&String> = objects.keys().collect();
    assert_eq!(
        names,
        ["2026/11/23/12/s-1-p-9-2-0.ndjson.gz", "2026/11/23/12/s-1-p-start-1-0.ndjson.gz"]
    );
    assert_eq!(objects["2026/11/23/12/s-1-p-9-2-0.ndjson.gz"], lines(&rows[10..60]));
}

#[tokio::test]
async fn what_an_earlier_owner_left_goes_although_commits_come_before_the_first_object() {
    let store = Arc::new(InMemory::new());
    let sink = sink(&store, |settings| settings.max_object_bytes = 1).await;
    let rows = rows(20);
    let mut died = sink.open(&start(Some(9), 1));
    died.write(Archived::Rows(&rows[10..])).await.expect("taken");
    drop(died);
    // Of the records up to 14 no row is left to archive this time.
    let mut replay = sink.open(&start(Some(9), 2));
    replay.flush(Some(&Position::new(14.into()))).await.expect("nothing to write");
    replay.write(Archived::Rows(&rows[15..])).await.expect("taken");
    replay.flush(Some(&Position::new(19.into()))).await.expect("written");
    let objects = objects(&store).await;
    let names: Vec<&String> = objects.keys().collect();
    assert_eq!(names, ["2026/11/23/12/s-1-p-14-2-0.ndjson.gz"]);
}

#[tokio::test]
async fn an_owner_that_has_lost_the_partition_destroys_nothing() {
    let store = Arc::new(InMemory::new());
    let sink = sink(&store, |_| {}).await;
    let rows = rows(20);
    let mut lost = sink.open(&start(None, 1));
    lost.write(Archived::Rows(&rows[..5])).await.expect("taken");
    let mut owner = sink.open(&start(None, 2));
    owner.write(Archived::Rows(&rows)).await.expect("taken");
    owner.flush(Some(&Position::new(19.into()))).await.expect("written, and committed");
    lost.flush(Some(&Position::new(4.into()))).await.expect("written late; the commit is refused");
    let kept = objects(&store).await;
    assert_eq!(kept["2026/11/23/12/s-1-p-start-2-0.ndjson.gz"], lines(&rows));
}

#[tokio::test]
async fn payloads_are_kept_as_they_came_a_line_each() {
    let store = Arc::new(InMemory::new());
    let sink = sink(&store, |settings| settings.records = ArchivedRecords::Raw).await;
    assert!(sink.keeps_payloads());
    let raw = |n: u64, data: &'static str| RawRecord {
        partition_key: "k".into(),
        position: Position::new(n.into()),
        arrival_ms: 1_795_435_200_040,
        data: data.into(),
    };
    let mut archive = sink.open(&start(None, 1));
    let payloads = [raw(0, "{\"a\":1}"), raw(1, "{\"a\":2}\n"), raw(2, "torn {")];
    archive.write(Archived::Payloads(&payloads)).await.expect("taken");
    archive.flush(Some(&Position::new(2.into()))).await.expect("written");
    let objects: Vec<Vec<String>> = objects(&store).await.into_values().collect();
    assert_eq!(objects, [["{\"a\":1}", "{\"a\":2}", "torn {"]]);
}

/// An S3 endpoint that answers writes with these statuses, then well; and everything else well.
async fn s3(
    answers: &'static [u16],
    on_list: u16,
    code: &'static str,
) -> (ConnectionSettings, Arc<AtomicUsize>) {
    let n_writes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&n_writes);
    let router = Router::new().fallback(move |method: Method| {
        let status = if method == Method::PUT {
            *answers.get(count.fetch_add(1, Ordering::SeqCst)).unwrap_or(&200)
        } else {
            on_list
        };
        let body = match status {
            200 => {
                "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>".to_owned()
            }
            _ => format!("<Error><Code>{code}</Code><Message>no</Message></Error>"),
        };
        let status = StatusCode::from_u16(status).expect("a status");
        async move { (status, [("etag", "\"e\"")], body) }
    });
    let address = serve(router).await;
    (ConnectionSettings::local(&format!("http://{address}")), n_writes)
}

async fn archive_of_one_row(
    connection: &ConnectionSettings,
    give_up_after_ms: u64,
) -> Result<(), StreamError> {
    let store = bucket("archive", connection).await.expect("a region and credentials");
    let settings = ArchiveSettings { give_up_after_ms, ..ArchiveSettings::new("s3://archive") };
    let sink = ArchiveSink::open(Arc::new(store), &settings).await?;
    let mut archive = sink.open(&start(None, 1));
    archive.write(Archived::Rows(&rows(1))).await?;
    archive.flush(Some(&Position::new(0.into()))).await
}

#[tokio::test]
async fn a_store_that_is_away_for_a_while_is_waited_for() {
    let (connection, n_writes) = s3(&[503, 500, 503, 503, 503], 200, "SlowDown").await;
    archive_of_one_row(&connection, 60_000).await.expect("written in the end");
    assert_eq!(n_writes.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn patience_has_an_end_and_the_partition_starts_again() {
    let (connection, _) = s3(&[503; 1000], 200, "SlowDown").await;
    let error = archive_of_one_row(&connection, 100).await.expect_err("given up");
    assert_eq!(error.kind(), ErrorKind::Retry);
    assert!(error.to_string().contains("is the store away, or the disk full?"), "{error}");
}

#[tokio::test]
async fn what_no_retry_can_mend_is_fatal_and_says_what_to_do() {
    for (on_write, on_list, code, says) in [
        (&[403_u16][..], 200, "AccessDenied", "s3:PutObject"),
        (&[], 403, "AccessDenied", "s3:ListBucket"),
        (&[], 404, "NoSuchBucket", "create the bucket"),
        (&[], 301, "PermanentRedirect", "connection.region"),
        (&[404], 200, "NoSuchBucket", "create the bucket"),
    ] {
        let (connection, _) = s3(on_write, on_list, code).await;
        let error = archive_of_one_row(&connection, 60_000).await.expect_err(code);
        assert_eq!(error.kind(), ErrorKind::Fatal, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    for (settings, field) in [
        (ArchiveSettings { max_object_bytes: 0, ..ArchiveSettings::new("a") }, "max_object_bytes"),
        (ArchiveSettings { object_interval_ms: 0, ..ArchiveSettings::new("a") }, "interval_ms"),
    ] {
        let error = settings.validate().expect_err("refused");
        assert!(error.to_string().contains(field), "{error}");
    }
}
