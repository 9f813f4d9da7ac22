//! The index as the rest of the program sees it.

use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::limits::{DELETE_BATCH, MAX_BODIES_BYTES, MAX_QUEUED_WRITES, REQUESTS_PER_CORE};
use crate::live::{Live, LiveDocument};
use crate::scroll::Scrolls;
use crate::store::{Shard, Store};
use crate::walk::Walk;
use crate::write::{Committer, Done, Job, Operation, Outcome};
use crate::{IndexError, IndexSettings};

/// An open index folder.
///
/// Dropping it waits for the commit that runs, if any; what was acknowledged is durable before.
pub struct Index {
    store: Arc<Store>,
    live: Arc<Live>,
    scrolls: Arc<Scrolls>,
    // None only while dropping.
    jobs: Option<mpsc::Sender<Job>>,
    committer: Mutex<Option<JoinHandle<()>>>,
    // Dropped to end the thread beside it.
    ends_housekeeping: Option<std::sync::mpsc::Sender<()>>,
    housekeeping: Mutex<Option<JoinHandle<()>>>,
    // What the bodies of all requests at work may still take, in bytes.
    pub(crate) bodies: Arc<tokio::sync::Semaphore>,
    // How many more requests may be at work.
    at_work: tokio::sync::Semaphore,
}

/// What became of the documents that a query found.
#[derive(Default)]
pub(crate) struct DeletedByQuery {
    pub(crate) n_deleted: u64,
    /// The indices of those that were changed meanwhile.
    pub(crate) conflicts: Vec<(Arc<str>, IndexError)>,
}

/// How often scrolls are ended and old days removed without an occasion.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(60);

impl Index {
    /// Opens the folder, creating it where it is missing.
    ///
    /// # Errors
    /// [`IndexError::InUse`] where another process has it open; [`IndexError::Format`] where a
    /// newer version wrote it; [`IndexError::Settings`]; or the folder cannot be read.
    pub fn open(settings: IndexSettings) -> Result<Arc<Self>, IndexError> {
        let store = Arc::new(Store::open(settings)?);
        for name in crate::retention::expired(&store)? {
            store.remove(&name)?;
        }
        let live = Arc::new(Live::new());
        let (jobs, queue) = mpsc::channel(MAX_QUEUED_WRITES);
        let committer = Committer::new(Arc::clone(&store), Arc::clone(&live));
        let committer = std::thread::Builder::new()
            .name("eddy-index-commit".to_owned())
            .spawn(move || committer.run(queue))
            .map_err(IndexError::io("start the committer"))?;
        let committer = Mutex::new(Some(committer));
        let scrolls: Arc<Scrolls> = Arc::default();
        let (ends_housekeeping, ended) = std::sync::mpsc::channel();
        let (old_scrolls, retain) = (Arc::clone(&scrolls), jobs.clone());
        let housekeeping = std::thread::Builder::new()
            .name("eddy-index-keep".to_owned())
            .spawn(move || {
                while ended.recv_timeout(HOUSEKEEPING_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    old_scrolls.end_old();
                    if retain.blocking_send(Job::Retain).is_err() {
                        break;
                    }
                }
            })
            .map_err(IndexError::io("start the index's housekeeping"))?;
        let n_cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Arc::new(Self {
            store,
            live,
            scrolls,
            jobs: Some(jobs),
            committer,
            ends_housekeeping: Some(ends_housekeeping),
            housekeeping: Mutex::new(Some(housekeeping)),
            bodies: Arc::new(tokio::sync::Semaphore::new(MAX_BODIES_BYTES)),
            at_work: tokio::sync::Semaphore::new(REQUESTS_PER_CORE * n_cores),
        }))
    }

    /// The alias under which scored rows are searched.
    pub fn alias(&self) -> &str {
        &self.store.settings.alias
    }

    /// Documents as they become searchable, in the order of their writing. A receiver that lags
    /// more than [`MAX_LIVE_MESSAGES`](crate::limits::MAX_LIVE_MESSAGES) loses the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<[LiveDocument]>> {
        self.live.subscribe()
    }

    /// Answers a search: `pattern` names indices as Elasticsearch's paths do, `body` is its query
    /// JSON, the answer is its answer JSON. Blocks; on an async thread use
    /// [`search_async`](Self::search_async).
    ///
    /// # Errors
    /// The indices do not exist, or the request is not understood or not supported; the reason
    /// names the feature.
    pub fn search(&self, pattern: &str, body: &Value) -> Result<Value, IndexError> {
        crate::search::search(&self.store.resolve(pattern, false)?, body)
    }

    /// Counts what a query matches; `body` may hold `query` only. Blocks.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn count(&self, pattern: &str, body: &Value) -> Result<u64, IndexError> {
        crate::search::count(&self.store.resolve(pattern, false)?, body)
    }

    /// What the indices of `pattern` hold now: several questions to it agree.
    ///
    /// # Errors
    /// The indices do not exist.
    pub fn snapshot(&self, pattern: &str) -> Result<crate::Snapshot, IndexError> {
        crate::Snapshot::of(&self.store, pattern)
    }

    /// [`search`](Self::search) on a thread where blocking is allowed.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub async fn search_async(
        self: &Arc<Self>,
        pattern: String,
        body: Value,
    ) -> Result<Value, IndexError> {
        self.blocking(move |index| index.search(&pattern, &body)).await
    }

    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, IndexError> + Send + 'static,
    ) -> Result<T, IndexError> {
        // Never closed.
        let _permit = self.at_work.acquire().await;
        let index = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&index))
            .await
            .map_err(|error| IndexError::Internal { reason: error.to_string() })?
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Applies operations in order; returns when all are durable and searchable.
    pub(crate) async fn write(&self, operations: Vec<Operation>) -> Result<Vec<Done>, IndexError> {
        if operations.is_empty() {
            return Ok(Vec::new());
        }
        let (reply, answer) = oneshot::channel();
        self.send(Job::Write { operations, reply }).await?;
        answer.await.map_err(|_| IndexError::Closed)?
    }

    pub(crate) fn scrolls(&self) -> &Arc<Scrolls> {
        &self.scrolls
    }

    /// Deletes what a query finds, a batch at a time. What is written meanwhile stays, also where it
    /// replaces what was found: a conflict, which ends it unless it `goes_on`.
    pub(crate) async fn delete_by_query(
        self: &Arc<Self>,
        shards: Vec<Arc<Shard>>,
        body: Map<String, Value>,
        goes_on: bool,
    ) -> Result<DeletedByQuery, IndexError> {
        self.delete_found(Walk::of_request(&shards, &Value::Object(body))?, goes_on).await
    }

    async fn delete_found(
        self: &Arc<Self>,
        mut walk: Walk,
        goes_on: bool,
    ) -> Result<DeletedByQuery, IndexError> {
        let mut found = DeletedByQuery::default();
        loop {
            let batch;
            (batch, walk) =
                self.blocking(move |_| Ok((walk.deletions(DELETE_BATCH)?, walk))).await?;
            let names: Vec<Arc<str>> =
                batch.iter().map(|operation| Arc::clone(&operation.index)).collect();
            for (name, done) in names.into_iter().zip(self.write(batch).await?) {
                match done {
                    Ok((_, outcome)) => found.n_deleted += u64::from(outcome == Outcome::Deleted),
                    Err(error @ IndexError::Changed { .. }) => found.conflicts.push((name, error)),
                    Err(error) => return Err(error),
                }
            }
            if walk.is_at_end() || !(goes_on || found.conflicts.is_empty()) {
                return Ok(found);
            }
        }
    }

    /// Creates an index.
    pub(crate) async fn create(&self, name: &str) -> Result<(), IndexError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Create { name: name.into(), reply }).await?;
        answer.await.map_err(|_| IndexError::Closed)?
    }

    /// Removes whole indices.
    pub(crate) async fn remove(&self, names: Vec<Arc<str>>) -> Result<(), IndexError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Remove { names, reply }).await?;
        answer.await.map_err(|_| IndexError::Closed)?
    }

    async fn send(&self, job: Job) -> Result<(), IndexError> {
        let jobs = self.jobs.as_ref().ok_or(IndexError::Closed)?;
        jobs.send(job).await.map_err(|_| IndexError::Closed)
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        // The housekeeping holds a sender of jobs: it ends first.
        self.ends_housekeeping = None;
        let housekeeping = self.housekeeping.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(housekeeping) = housekeeping
            && housekeeping.join().is_err()
        {
            tracing::error!("the housekeeping of the index had stopped unexpectedly");
        }
        self.jobs = None;
        let committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(committer) = committer
            && committer.join().is_err()
        {
            tracing::error!("the committer of the index had stopped unexpectedly");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::document::Document;
    use crate::write::Action;

    async fn put(index: &Index, id: &str, status: &str) {
        let document = Document::parse(id, &json!({"status": status}).to_string()).expect("fits");
        let operation = Operation { index: "x".into(), action: Action::Index(document) };
        index.write(vec![operation]).await.expect("writes").remove(0).expect("is written");
    }

    #[tokio::test]
    async fn what_is_rewritten_while_a_query_deletes_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let index = Index::open(IndexSettings::new(folder.path())).expect("opens");
        for goes_on in [false, true] {
            for id in ["1", "2", "3"] {
                put(&index, id, "old").await;
            }
            let body = json!({"query": {"term": {"status": "old"}}});
            let shards = index.store.resolve("x", false).expect("exists");
            let walk = Walk::of_request(&shards, &body).expect("a query");
            put(&index, "2", "new").await;
            let found = index.delete_found(walk, goes_on).await.expect("deletes");
            assert_eq!(found.n_deleted, 2);
            let reasons: Vec<String> =
                found.conflicts.iter().map(|(_, error)| error.reason()).collect();
            assert_eq!(reasons, ["[2]: version conflict, the document was changed meanwhile"]);
            let left = index.search("x", &json!({})).expect("answers");
            assert_eq!(left["hits"]["total"]["value"], 1);
            assert_eq!(left["hits"]["hits"][0]["_source"], json!({"status": "new"}));
        }
    }
}
