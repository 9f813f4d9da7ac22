//! States in slatedb: one database a partition, in a local folder or on an object store.

use std::ops::Bound;
use std::path::Path as FolderPath;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use eddy_aws::ConnectionSettings;
use eddy_record::PartitionId;
use eddy_stream::{ErrorKind, PartitionState, StateChange, StateStore, StateView, StreamError};
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode};
use slatedb::config::{GarbageCollectorDirectoryOptions, GarbageCollectorOptions, Settings};
use slatedb::{CloseReason, Db, DbReadOps, DbReader, DbReaderMode, WriteBatch};

use crate::objects::{open_folder, open_objects};

/// What a database keeps in memory before it writes a table, in bytes: a restart replays up to this
/// much of its log.
const MEMTABLE_BYTES: usize = 8 << 20;
/// How often unneeded log and table files are looked for, and how old they must be. slatedb keeps
/// what a fenced writer could still need; these only shorten its defaults.
const GARBAGE_INTERVAL: Duration = Duration::from_secs(60);
const GARBAGE_MIN_AGE: Duration = Duration::from_secs(120);

/// How long opening, committing and closing may take. slatedb waits for ever where a disk is full or
/// a store is away; an operator should hear of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Partitions' states in one object store.
///
/// A commit is one atomic write to the database's log, durable when it returns (with fsync in a
/// local folder). Opening a partition fences whoever had it open before.
#[derive(Clone, Debug)]
pub struct SlateStateStore {
    objects: Arc<dyn ObjectStore>,
}

impl SlateStateStore {
    /// States in a local folder, which is made if it does not exist.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn in_folder(folder: &FolderPath) -> Result<Self, StreamError> {
        Ok(Self { objects: open_folder(folder)? })
    }

    /// States in a bucket, such as `s3://bucket/path`, which must know conditional writes
    /// (`If-None-Match`): they are what fences a lost owner. That is tried here, under
    /// `_conditional-writes`.
    ///
    /// # Errors
    /// The bucket does not exist, is denied or cannot be reached, or does not know such writes.
    pub async fn in_bucket(
        url: &str,
        connection: &ConnectionSettings,
    ) -> Result<Self, StreamError> {
        let objects = open_objects(url, connection).await?;
        check_conditional_writes(url, objects.as_ref()).await?;
        check_reading(url, objects.as_ref()).await?;
        Ok(Self { objects })
    }
}

/// What conditional writes are tried with.
const TRIED_AT_THE_START: &str = "_conditional-writes";

/// Sees whether the store can be listed and read, as every state is when it is opened.
async fn check_reading(url: &str, objects: &dyn ObjectStore) -> Result<(), StreamError> {
    let path = Path::from(TRIED_AT_THE_START);
    let listed = objects.list(Some(&path)).try_next().await;
    listed.map_err(|error| unusable(url, error))?;
    objects.get(&path).await.map_err(|error| unusable(url, error))?;
    Ok(())
}

/// Sees whether the store refuses to write over what must not be there: one that ignores the
/// condition would let two owners of a partition commit.
async fn check_conditional_writes(url: &str, objects: &dyn ObjectStore) -> Result<(), StreamError> {
    let path = Path::from(TRIED_AT_THE_START);
    let create = || objects.put_opts(&path, "created only once".into(), PutMode::Create.into());
    for _ in 0..2 {
        match create().await {
            // Not there before: the second attempt tells.
            Ok(_) => {}
            Err(Error::AlreadyExists { .. }) => return Ok(()),
            Err(error) => return Err(unusable(url, error)),
        }
    }
    Err(StreamError::fatal(format!(
        "the store of {url} ignores conditional writes (If-None-Match), without which two owners \
         of a partition could both commit: use one that knows them, or state.path"
    )))
}

fn unusable(url: &str, error: Error) -> StreamError {
    let said = error.to_string();
    // Of a listing the store tells no kind, only the text.
    let denied = ["403 Forbidden", "401 Unauthorized"].iter().any(|code| said.contains(code));
    let error = match &error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => denied_state(url),
        _ if denied => denied_state(url),
        Error::NotFound { .. } => StreamError::fatal(format!(
            "there is no bucket for the state {url} in this region: create it, or correct url, \
             connection.region or connection.endpoint_url"
        )),
        // A fleet's process waits a while for it.
        _ => StreamError::retry(format!(
            "cannot use the state {url}: is the store away, or are connection.region or \
             connection.endpoint_url wrong?"
        )),
    };
    error.with_source(said)
}

fn denied_state(url: &str) -> StreamError {
    StreamError::fatal(format!(
        "the state {url} is denied: check the credentials, and that they allow s3:ListBucket on the \
         bucket and s3:GetObject, s3:PutObject and s3:DeleteObject in it"
    ))
}

#[async_trait]
impl StateStore for SlateStateStore {
    async fn open(
        &self,
        stream_name: &str,
        partition: &PartitionId,
    ) -> Result<Box<dyn PartitionState>, StreamError> {
        let path = path(stream_name, partition);
        let garbage = Some(GarbageCollectorDirectoryOptions {
            interval: Some(GARBAGE_INTERVAL),
            min_age: GARBAGE_MIN_AGE,
            dry_run: false,
        });
        let settings = Settings {
            // Every commit flushes: nothing waits for a timer.
            flush_interval: None,
            l0_sst_size_bytes: MEMTABLE_BYTES,
            garbage_collector_options: Some(GarbageCollectorOptions {
                manifest_options: garbage,
                wal_options: garbage,
                compacted_options: garbage,
                ..GarbageCollectorOptions::default()
            }),
            ..Settings::default()
        };
        let db = Db::builder(path, Arc::clone(&self.objects)).with_settings(settings);
        let db =
            patiently("open", async { db.build().await.map_err(|error| failed("open", error)) });
        let db = db.await?;
        Ok(Box::new(SlateState { db }))
    }
    async fn view(
        &self,
        stream_name: &str,
        partition: &PartitionId,
    ) -> Result<Option<Box<dyn StateView>>, StreamError> {
        let path = path(stream_name, partition);
        patiently("read", async {
            let mut files = self.objects.list(Some(&path.clone().join("manifest")));
            let manifest = files.try_next().await.map_err(|error| {
                StreamError::retry("cannot read a partition's state").with_source(error)
            })?;
            if manifest.is_none() {
                return Ok(None);
            }
            let reader = DbReader::builder(path, Arc::clone(&self.objects))
                // Nothing is written: whoever works on the partition is not disturbed.
                .with_reader_mode(DbReaderMode::FollowLatest)
                .build()
                .await
                .map_err(|error| failed("read", error))?;
            let reader = Arc::new(reader);
            Ok(Some(Box::new(SlateView { reader }) as Box<dyn StateView>))
        })
        .await
    }
}

/// Where a partition's database is.
fn path(stream_name: &str, partition: &PartitionId) -> Path {
    Path::from_iter([stream_name, partition.as_str()])
}

struct SlateView {
    reader: Arc<DbReader>,
}

impl Drop for SlateView {
    /// A reader that is only dropped goes on following its database.
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let reader = Arc::clone(&self.reader);
        runtime.spawn(async move {
            if let Err(error) = reader.close().await {
                tracing::debug!(%error, "cannot close the reader of a state");
            }
        });
    }
}

#[async_trait]
impl StateView for SlateView {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StreamError> {
        self.reader.get(key).await.map_err(|error| failed("read", error))
    }

    async fn page(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StreamError> {
        page(self.reader.as_ref(), prefix, after, max_bytes).await
    }
}

struct SlateState {
    db: Db,
}

#[async_trait]
impl StateView for SlateState {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StreamError> {
        self.db.get(key).await.map_err(|error| failed("read", error))
    }

    async fn page(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StreamError> {
        page(&self.db, prefix, after, max_bytes).await
    }
}

/// Entries with that prefix, behind the key `after`, until they have more than `max_bytes`.
async fn page(
    database: &(impl DbReadOps + Sync),
    prefix: &[u8],
    after: Option<&[u8]>,
    max_bytes: usize,
) -> Result<Vec<(Bytes, Bytes)>, StreamError> {
    let after = after.and_then(|after| after.strip_prefix(prefix));
    let from = after.map_or(Bound::Unbounded, |suffix| Bound::Excluded(suffix.to_vec()));
    let entries = database.scan_prefix(prefix, (from, Bound::Unbounded)).await;
    let mut entries = entries.map_err(|error| failed("read", error))?;
    let mut page = Vec::new();
    let mut n_bytes = 0;
    while n_bytes <= max_bytes
        && let Some(entry) = entries.next().await.map_err(|error| failed("read", error))?
    {
        n_bytes += entry.key.len() + entry.value.len();
        page.push((entry.key, entry.value));
    }
    Ok(page)
}

#[async_trait]
impl PartitionState for SlateState {
    async fn commit(&self, changes: Vec<StateChange>) -> Result<(), StreamError> {
        let mut batch = WriteBatch::new();
        for StateChange { key, value } in changes {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        patiently("write", async {
            self.db.write(batch).await.map_err(|error| failed("write", error))?;
            self.db.flush().await.map_err(|error| failed("write", error))
        })
        .await
    }

    async fn close(self: Box<Self>) -> Result<(), StreamError> {
        patiently("close", async { self.db.close().await.map_err(|error| failed("close", error)) })
            .await
    }
}

/// Waits for an operation, but not for ever.
async fn patiently<T>(
    doing: &str,
    operation: impl Future<Output = Result<T, StreamError>>,
) -> Result<T, StreamError> {
    match tokio::time::timeout(PATIENCE, operation).await {
        Ok(done) => done,
        Err(_) => Err(StreamError::retry(format!(
            "cannot {doing} a partition's state within {} s: is the disk full, or the store away?",
            PATIENCE.as_secs()
        ))),
    }
}

fn failed(doing: &str, error: slatedb::Error) -> StreamError {
    let kind = match error.kind() {
        slatedb::ErrorKind::Closed(CloseReason::Fenced) => ErrorKind::Lost,
        slatedb::ErrorKind::Unavailable
        | slatedb::ErrorKind::Transaction
        | slatedb::ErrorKind::Closed(_) => ErrorKind::Retry,
        _ => ErrorKind::Fatal,
    };
    StreamError::new(kind, format!("cannot {doing} a partition's state")).with_source(error)
}

#[cfg(test)]
mod tests {
    use futures::stream::BoxStream;
    use object_store::memory::InMemory;
    use object_store::throttle::{ThrottleConfig, ThrottledStore};
    use object_store::{
        CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
        PutMultipartOptions, PutOptions, PutPayload, PutResult,
    };

    use super::*;

    fn set(key: &'static str, value: &'static str) -> StateChange {
        StateChange { key: key.into(), value: Some(value.into()) }
    }

    #[tokio::test]
    async fn what_was_committed_is_there_without_a_close() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let partition = PartitionId::new("shardId-000000000000");
        let store = SlateStateStore::in_folder(folder.path()).expect("opens");
        let state = store.open("s", &partition).await.expect("opens");
        state.commit(vec![set("model/a", "1"), set("position", "7")]).await.expect("commits");
        let delete = StateChange { key: "model/a".into(), value: None };
        state.commit(vec![delete, set("model/b", "2")]).await.expect("commits");
        drop(state);

        let store = SlateStateStore::in_folder(folder.path()).expect("opens");
        let state = store.open("s", &partition).await.expect("opens again");
        assert_eq!(state.get(b"position").await.expect("reads"), Some("7".into()));
        let models = state.page(b"model/", None, 100).await.expect("reads");
        assert_eq!(models, [(Bytes::from("model/b"), Bytes::from("2"))]);
    }

    /// Writes whatever the condition says, as some servers do.
    #[derive(Debug)]
    struct Careless(InMemory);

    impl std::fmt::Display for Careless {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("careless")
        }
    }

    #[async_trait]
    impl ObjectStore for Careless {
        async fn put_opts(
            &self,
            path: &Path,
            payload: PutPayload,
            mut options: PutOptions,
        ) -> object_store::Result<PutResult> {
            options.mode = PutMode::Overwrite;
            self.0.put_opts(path, payload, options).await
        }

        async fn put_multipart_opts(
            &self,
            path: &Path,
            options: PutMultipartOptions,
        ) -> object_store::Result<Box<dyn MultipartUpload>> {
            self.0.put_multipart_opts(path, options).await
        }

        async fn get_opts(
            &self,
            path: &Path,
            options: GetOptions,
        ) -> object_store::Result<GetResult> {
            self.0.get_opts(path, options).await
        }

        fn delete_stream(
            &self,
            paths: BoxStream<'static, object_store::Result<Path>>,
        ) -> BoxStream<'static, object_store::Result<Path>> {
            self.0.delete_stream(paths)
        }

        fn list(
            &self,
            prefix: Option<&Path>,
        ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
            self.0.list(prefix)
        }

        async fn list_with_delimiter(
            &self,
            prefix: Option<&Path>,
        ) -> object_store::Result<ListResult> {
            self.0.list_with_delimiter(prefix).await
        }

        async fn copy_opts(
            &self,
            from: &Path,
            to: &Path,
            options: CopyOptions,
        ) -> object_store::Result<()> {
            self.0.copy_opts(from, to, options).await
        }
    }

    #[tokio::test]
    async fn a_store_that_ignores_conditions_is_refused() {
        let (good, careless) = (InMemory::new(), Careless(InMemory::new()));
        // At the first start, and when the object is there.
        for _ in 0..2 {
            check_conditional_writes("s3://b", &good).await.expect("it knows them");
            let careless = check_conditional_writes("s3://b", &careless).await;
            let error = careless.expect_err("two owners could commit");
            assert_eq!(error.kind(), ErrorKind::Fatal);
            assert!(error.to_string().contains("ignores conditional writes"), "{error}");
        }
    }

    #[test]
    fn a_store_that_denies_is_told_from_one_that_is_away() {
        let said = |said: &str| Error::Generic { store: "S3", source: said.into() };
        for (error, kind, word) in [
            (said("status 403 Forbidden: AccessDenied"), ErrorKind::Fatal, "s3:ListBucket"),
            (said("connection refused"), ErrorKind::Retry, "is the store away"),
        ] {
            let error = unusable("s3://b", error);
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[tokio::test]
    async fn who_has_looked_leaves_nothing_at_work() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let partition = PartitionId::new("shardId-000000000000");
        let store = SlateStateStore::in_folder(folder.path()).expect("opens");
        let state = store.open("s", &partition).await.expect("opens");
        state.commit(vec![set("position", "7")]).await.expect("commits");
        let n_tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = n_tasks();
        for _ in 0..10 {
            let view = store.view("s", &partition).await.expect("reads").expect("is there");
            assert_eq!(view.get(b"position").await.expect("reads"), Some("7".into()));
        }
        let all_gone = async {
            while n_tasks() > before {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, all_gone).await.expect("readers stop");
    }

    #[tokio::test]
    async fn who_looks_at_a_state_finds_what_was_committed_and_does_not_take_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let partition = PartitionId::new("shardId-000000000000");
        let store = SlateStateStore::in_folder(folder.path()).expect("opens");
        assert!(store.view("s", &partition).await.expect("reads").is_none());
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
        let owner = store.open("s", &partition).await.expect("opens");
        let models = [("model/a", "1"), ("model/b", "2"), ("model/c", "3"), ("n", "4")];
        let changes = models.iter().map(|(key, value)| set(key, value)).collect();
        owner.commit(changes).await.expect("commits");
        for _ in 0..2 {
            let view = store.view("s", &partition).await.expect("reads").expect("is there");
            assert_eq!(view.get(b"n").await.expect("reads"), Some("4".into()));
            let first = view.page(b"model/", None, 10).await.expect("reads");
            let entry = |(key, value): (&'static str, &'static str)| (key.into(), value.into());
            assert_eq!(first, models[..2].iter().copied().map(entry).collect::<Vec<_>>());
            let rest = view.page(b"model/", Some(b"model/b"), 10).await.expect("reads");
            assert_eq!(rest, [entry(models[2])]);
            assert!(view.page(b"model/", Some(b"model/c"), 10).await.expect("reads").is_empty());
            owner.commit(vec![set("k", "1")]).await.expect("still the owner");
        }
        owner.close().await.expect("closes");
        let view = store.view("s", &partition).await.expect("reads").expect("is there");
        assert_eq!(view.get(b"k").await.expect("reads"), Some("1".into()));
    }

    #[tokio::test]
    async fn a_store_that_hangs_is_an_error_that_can_pass() {
        let objects = Arc::new(ThrottledStore::new(InMemory::new(), ThrottleConfig::default()));
        let store = SlateStateStore { objects: Arc::clone(&objects) as Arc<dyn ObjectStore> };
        let state = store.open("s", &PartitionId::new("p")).await.expect("opens");
        state.commit(vec![set("k", "1")]).await.expect("commits");
        objects.config_mut(|config| config.wait_put_per_call = Duration::from_secs(1 << 20));
        tokio::time::pause();
        let error = state.commit(vec![set("k", "2")]).await.expect_err("hangs");
        assert_eq!(error.kind(), ErrorKind::Retry);
        assert!(error.to_string().contains("is the disk full"), "{error}");
    }

    #[tokio::test]
    async fn an_owner_that_lost_its_partition_cannot_commit() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let partition = PartitionId::new("a/b c:d");
        let store = SlateStateStore::in_folder(folder.path()).expect("opens");
        let first = store.open("s", &partition).await.expect("opens");
        first.commit(vec![set("k", "1")]).await.expect("the only owner");
        let second = store.open("s", &partition).await.expect("opens");
        let error = first.commit(vec![set("k", "2")]).await.expect_err("fenced");
        assert_eq!(error.kind(), ErrorKind::Lost, "{error:?}");
        assert_eq!(second.get(b"k").await.expect("reads"), Some("1".into()));
        second.commit(vec![set("k", "3")]).await.expect("the owner now");
    }
}
