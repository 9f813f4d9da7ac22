//! Writing: one thread applies what callers hand in, commits, and answers when it is durable and
//! searchable. Calls that wait while a commit runs share the next one.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use serde_json::{Map, Value};
use tantivy::IndexWriter;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tokio::sync::{mpsc, oneshot};

use crate::document::Document;
use crate::group::{Group, conflict};
use crate::limits::{MAX_GROUP_OPERATIONS, MAX_OPEN_WRITERS};
use crate::live::{Live, LiveDocument};
use crate::store::{Shard, Store};
use crate::{IndexError, names};

/// What to do with one document.
pub(crate) enum Action {
    /// Store it, in place of any of its id.
    Index(Document),
    /// Store it unless there is one of its id.
    Create(Document),
    /// Merge `partial` into the document of that id, or store `upsert`.
    Update { id: Box<str>, partial: Map<String, Value>, upsert: Option<Map<String, Value>> },
    /// Remove the document of that id.
    Delete { id: Box<str> },
    /// Remove the document of that id if its source is still the one with that digest.
    DeleteUnchanged { id: Box<str>, digest: u64 },
}

/// Tells sources apart that were read at different moments.
pub(crate) fn digest(source: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    hasher.finish()
}

/// An action and the index, or the alias, that it is for.
pub(crate) struct Operation {
    pub(crate) index: Arc<str>,
    pub(crate) action: Action,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Created,
    Updated,
    /// An update that would have changed nothing.
    Unchanged,
    Deleted,
    NotFound,
}

/// The index that an operation went to, and how it ended.
pub(crate) type Done = Result<(Arc<str>, Outcome), IndexError>;

/// What callers ask of the committer.
pub(crate) enum Job {
    /// Apply these in order.
    Write { operations: Vec<Operation>, reply: Reply },
    /// Create an index.
    Create { name: Arc<str>, reply: oneshot::Sender<Result<(), IndexError>> },
    /// Remove the indices that the settings do not keep.
    Retain,
    /// Remove whole indices.
    Remove { names: Vec<Arc<str>>, reply: oneshot::Sender<Result<(), IndexError>> },
}

/// The thread's state.
pub(crate) struct Committer {
    pub(crate) store: Arc<Store>,
    pub(crate) live: Arc<Live>,
    // The one used last stands last.
    writers: Vec<(Arc<Shard>, IndexWriter<Document>)>,
}

/// Where a job's answer goes.
type Reply = oneshot::Sender<Result<Vec<Done>, IndexError>>;

/// The index that holds a document, and its source.
type Found = Option<(Arc<Shard>, String)>;

impl Committer {
    pub(crate) fn new(store: Arc<Store>, live: Arc<Live>) -> Self {
        Self { store, live, writers: Vec::new() }
    }

    /// Serves jobs until every sender is gone.
    pub(crate) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut next = jobs.blocking_recv();
        while let Some(job) = next.take() {
            match job {
                Job::Create { name, reply } => {
                    // The caller may have left; the index stands.
                    let _ = reply.send(self.create(&name));
                }
                Job::Retain => self.retain(),
                Job::Remove { names, reply } => {
                    // The caller may have left; the removal stands.
                    let _ = reply.send(self.remove(&names));
                }
                Job::Write { operations, reply } => {
                    let mut n_operations = operations.len();
                    let mut group = vec![(operations, reply)];
                    while n_operations < MAX_GROUP_OPERATIONS {
                        match jobs.try_recv() {
                            Ok(Job::Write { operations, reply }) => {
                                n_operations += operations.len();
                                group.push((operations, reply));
                            }
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.write(group);
                }
            }
            if next.is_none() {
                next = jobs.blocking_recv();
            }
        }
    }

    fn create(&self, name: &str) -> Result<(), IndexError> {
        if self.store.get(name).is_some() {
            return Err(IndexError::AlreadyExists { index: name.to_owned() });
        }
        self.store.get_or_create(name).map(|_| ())
    }

    /// Removes what the settings do not keep; what fails is tried again the next time.
    fn retain(&mut self) {
        let removed = crate::retention::expired(&self.store).and_then(|names| {
            if !names.is_empty() {
                tracing::info!(?names, "removing the indices of days that are not kept");
            }
            self.remove(&names)
        });
        if let Err(error) = removed {
            tracing::warn!(reason = error.reason(), "cannot remove the indices of old days");
        }
    }

    fn remove(&mut self, names: &[Arc<str>]) -> Result<(), IndexError> {
        for name in names {
            self.put_away(|shard| shard.name == *name);
            self.store.remove(name)?;
        }
        Ok(())
    }

    /// Closes writers, which forget what they have not committed, when their merges have ended: those
    /// write into a folder that may be removed next.
    fn put_away(&mut self, is: impl Fn(&Shard) -> bool) {
        for (shard, writer) in self.writers.extract_if(.., |(shard, _)| is(shard)) {
            if let Err(error) = writer.wait_merging_threads() {
                tracing::warn!(%error, index = %shard.name, "a writer's merge failed");
            }
        }
    }

    fn write(&mut self, jobs: Vec<(Vec<Operation>, Reply)>) {
        let mut group = Group::default();
        let mut replies = Vec::with_capacity(jobs.len());
        let mut failure: Option<String> = None;
        for (operations, reply) in jobs {
            let mut done = Vec::with_capacity(operations.len());
            for operation in operations {
                if failure.is_some() {
                    break;
                }
                match self.apply(operation, &mut group) {
                    Err(error) if error.status() >= 500 => failure = Some(error.reason()),
                    item => done.push(item),
                }
            }
            replies.push((done, reply));
        }
        if failure.is_none() {
            failure = self.finish(&mut group).err().map(|error| error.reason());
        }
        if let Some(reason) = failure {
            tracing::error!(reason, "writing to the index failed");
            // A writer that is dropped forgets what it has not committed.
            let touched = group.touched();
            self.put_away(|shard| touched.contains(&shard.name));
            for (_, reply) in replies {
                let _ = reply.send(Err(IndexError::Internal { reason: reason.clone() }));
            }
            return;
        }
        if self.store.has_new_index() {
            self.retain();
        }
        for (done, reply) in replies {
            let _ = reply.send(Ok(done));
        }
        self.live.send(&group.live);
    }

    fn finish(&mut self, group: &mut Group) -> Result<(), IndexError> {
        for at in 0..group.len() {
            self.hand_over(at, group)?;
        }
        self.commit(&group.touched())?;
        let mut touched = BTreeSet::new();
        // Two folders are two commits: a kill in between leaves both versions and never none.
        for at in 0..group.len() {
            if group.at(at).delete_moved() {
                touched.insert(Arc::clone(&group.at(at).shard.name));
                self.hand_over(at, group)?;
            }
        }
        self.commit(&touched)
    }

    fn commit(&mut self, touched: &BTreeSet<Arc<str>>) -> Result<(), IndexError> {
        for (shard, writer) in &mut self.writers {
            if touched.contains(&shard.name) {
                writer.commit()?;
                shard.reader.reload()?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, operation: Operation, group: &mut Group) -> Done {
        let Operation { index, action } = operation;
        match action {
            Action::Index(document) => self.put(&index, document, false, group),
            Action::Create(document) => self.put(&index, document, true, group),
            Action::Delete { id } => self.delete(index, id, None, group),
            Action::DeleteUnchanged { id, digest } => self.delete(index, id, Some(digest), group),
            Action::Update { id, partial, upsert } => {
                let Some((shard, source)) = self.current(&index, &id, group)? else {
                    let upsert =
                        upsert.ok_or_else(|| IndexError::Missing { id: id.to_string() })?;
                    let document = Document::parse(&id, &Value::Object(upsert).to_string())?;
                    return self.put(&index, document, false, group);
                };
                let mut merged: Value = serde_json::from_str(&source).map_err(|error| {
                    IndexError::Internal { reason: format!("a source is not JSON: {error}") }
                })?;
                let before = merged.clone();
                merge(&mut merged, Value::Object(partial));
                if merged == before {
                    return Ok((Arc::clone(&shard.name), Outcome::Unchanged));
                }
                let document = Document::parse(&id, &merged.to_string())?;
                let is_of_a_day = self.is_day(&shard) && document.created_ms.is_some();
                self.put(if is_of_a_day { &index } else { &shard.name }, document, false, group)
            }
        }
    }

    fn delete(
        &mut self,
        index: Arc<str>,
        id: Box<str>,
        only: Option<u64>,
        group: &mut Group,
    ) -> Done {
        let mut done = None;
        // More than once where a kill has left it in two days.
        while let Some((shard, source)) = self.current(&index, &id, group)? {
            if done.is_some() && !self.is_day(&shard) {
                break;
            }
            if only.is_some_and(|only| only != digest(&source)) {
                return Err(IndexError::Changed { id: id.into() });
            }
            let at = group.place(&shard);
            group.at(at).delete(&id);
            let name = Arc::clone(&shard.name);
            done.get_or_insert(name);
        }
        Ok(done.map_or((index, Outcome::NotFound), |name| (name, Outcome::Deleted)))
    }

    /// The index that a document goes to: the named one, or the alias's of its day.
    fn target(&self, index: &Arc<str>, document: &Document) -> Result<Arc<Shard>, IndexError> {
        if **index != *self.store.settings.alias {
            return self.store.get_or_create(index);
        }
        let created_ms = document.created_ms.ok_or_else(|| {
            IndexError::document(format!(
                "failed to parse: a document for the alias [{index}] needs the date field [created]"
            ))
        })?;
        self.store.get_or_create(&names::daily(index, created_ms))
    }

    fn put(
        &mut self,
        index: &Arc<str>,
        document: Document,
        only_new: bool,
        group: &mut Group,
    ) -> Done {
        let at = match group.place_of(index) {
            Some(at) => at,
            None => group.place(&self.target(index, &document)?),
        };
        let texts = document.texts.clone();
        let others = self.others(index, at, texts.id(), group)?;
        if only_new && !others.is_empty() {
            return Err(conflict(texts.id()));
        }
        let exists = group.at(at).put(document, only_new)? || !others.is_empty();
        let name = Arc::clone(&group.at(at).shard.name);
        for other in others {
            group.at(other).move_away(texts.id());
        }
        if self.live.is_watched() {
            group.live.push(LiveDocument {
                index: Arc::clone(&name),
                id: texts.id().into(),
                source: texts.source().into(),
            });
        }
        if group.at(at).is_batch() {
            self.hand_over(at, group)?;
        }
        Ok((name, if exists { Outcome::Updated } else { Outcome::Created }))
    }

    /// Gives an index's writer what it has not been given yet.
    fn hand_over(&mut self, at: usize, group: &mut Group) -> Result<(), IndexError> {
        let operations = group.at(at).take_operations();
        if !operations.is_empty() {
            let shard = Arc::clone(&group.at(at).shard);
            self.writer(&shard, group)?.run(operations)?;
        }
        Ok(())
    }

    /// Whether an index is one of the alias's days, not only named like them.
    fn is_day(&self, shard: &Shard) -> bool {
        names::day(&self.store.settings.alias, &shard.name).is_some()
    }

    /// The alias's other days that hold a document of that id: under the alias an id is one document.
    fn others(
        &self,
        index: &str,
        at: usize,
        id: &str,
        group: &mut Group,
    ) -> Result<Vec<usize>, IndexError> {
        let mut others = Vec::new();
        if index == self.store.settings.alias {
            for other in self.store.resolve(index, false)? {
                if self.is_day(&other) {
                    let other = group.place(&other);
                    if other != at && group.at(other).holds(id)? {
                        others.push(other);
                    }
                }
            }
        }
        Ok(others)
    }

    /// The index, among those that the name stands for, that holds the document, and its source.
    fn current(&self, index: &str, id: &str, group: &Group) -> Result<Found, IndexError> {
        let shards = if index == self.store.settings.alias {
            self.store.newest_first(index, false)?
        } else {
            self.store.get(index).into_iter().collect()
        };
        for shard in shards {
            let source = match group.source(&shard.name, id) {
                Some(source) => source,
                None => shard.source(id)?,
            };
            if let Some(source) = source {
                return Ok(Some((shard, source)));
            }
        }
        Ok(None)
    }

    fn writer(
        &mut self,
        shard: &Arc<Shard>,
        group: &Group,
    ) -> Result<&mut IndexWriter<Document>, IndexError> {
        if let Some(at) = self.writers.iter().position(|(open, _)| open.name == shard.name) {
            if at + 1 < self.writers.len() {
                let used = self.writers.remove(at);
                self.writers.push(used);
            }
        } else {
            if self.writers.len() >= MAX_OPEN_WRITERS {
                let (oldest, writer) = &mut self.writers[0];
                let name = Arc::clone(&oldest.name);
                if group.touched().contains(&name) {
                    writer.commit()?;
                    oldest.reader.reload()?;
                }
                self.put_away(|shard| shard.name == name);
            }
            let options = IndexWriterOptions::builder()
                .num_worker_threads(1)
                .num_merge_threads(1)
                .memory_budget_per_thread(self.store.settings.writer_memory_bytes)
                .build();
            let writer = shard.engine.writer_with_options(options)?;
            let mut policy = LogMergePolicy::default();
            policy.set_del_docs_ratio_before_merge(0.3);
            writer.set_merge_policy(Box::new(policy));
            self.writers.push((Arc::clone(shard), writer));
        }
        self.writers
            .last_mut()
            .map(|(_, writer)| writer)
            .ok_or_else(|| IndexError::Internal { reason: "no writer is open".to_owned() })
    }
}

/// Objects are merged field by field, everything else is replaced.
fn merge(into: &mut Value, partial: Value) {
    match (into, partial) {
        (Value::Object(into), Value::Object(partial)) => {
            for (key, value) in partial {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, partial) => *into = partial,
    }
}
