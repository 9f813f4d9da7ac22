//! Streams, sinks and states in memory: for tests, examples and simulations.
//!
//! They keep the contracts of their traits, fencing included, so that what runs on them runs on the
//! real ones.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use eddy_record::{DeadLetter, PartitionId, RawRecord, ScoredRecord, StreamIdentity};

use crate::{
    Batch, DeadLetterSink, ErrorKind, Partition, PartitionReader, PartitionState, Rejected, Sink,
    Source, Start, StateChange, StateStore, StateView, StreamError,
};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The data is whole between statements, whatever a panicking holder did.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A finite stream in memory. Its readers end behind the last record.
#[derive(Clone, Debug)]
pub struct MemorySource {
    identity: StreamIdentity,
    partitions: Vec<(Partition, Vec<RawRecord>)>,
    batch_records: usize,
}

impl MemorySource {
    /// A stream of no partitions whose batches have at most `batch_records` (at least 1).
    pub fn new(identity: StreamIdentity, batch_records: usize) -> Self {
        Self { identity, partitions: Vec::new(), batch_records: batch_records.max(1) }
    }

    /// Adds a partition; `records` are in the order of their positions.
    #[must_use]
    pub fn with_partition(mut self, partition: Partition, records: Vec<RawRecord>) -> Self {
        self.partitions.push((partition, records));
        self
    }
}

#[async_trait]
impl Source for MemorySource {
    async fn identity(&self) -> Result<StreamIdentity, StreamError> {
        Ok(self.identity.clone())
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StreamError> {
        Ok(self.partitions.iter().map(|(partition, _)| partition.clone()).collect())
    }

    async fn open(
        &self,
        id: &PartitionId,
        start: &Start,
    ) -> Result<Box<dyn PartitionReader>, StreamError> {
        let (_, records) = self
            .partitions
            .iter()
            .find(|(partition, _)| partition.id == *id)
            .ok_or_else(|| StreamError::fatal(format!("there is no partition {id}")))?;
        let records = records.iter().filter(|record| match start {
            Start::TrimHorizon => true,
            Start::Latest => false,
            Start::AtTimestamp(from_ms) => record.arrival_ms >= *from_ms,
            Start::After(position) => record.position > *position,
        });
        let records = records.cloned().collect();
        Ok(Box::new(MemoryReader { records, batch_records: self.batch_records }))
    }
}

struct MemoryReader {
    records: VecDeque<RawRecord>,
    batch_records: usize,
}

#[async_trait]
impl PartitionReader for MemoryReader {
    async fn next(&mut self) -> Result<Option<Batch>, StreamError> {
        let n_records = self.records.len().min(self.batch_records);
        let records: Vec<RawRecord> = self.records.drain(..n_records).collect();
        Ok((!records.is_empty()).then(|| Batch { records, ..Batch::default() }))
    }
}

/// Keeps rows by id, as an index does.
#[derive(Debug, Default)]
pub struct MemorySink {
    rows: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    by_id: BTreeMap<String, ScoredRecord>,
    in_order: Vec<ScoredRecord>,
}

impl MemorySink {
    /// The rows by id: what an index holds.
    pub fn rows(&self) -> BTreeMap<String, ScoredRecord> {
        lock(&self.rows).by_id.clone()
    }

    /// Every row as it was written, replays included.
    pub fn writes(&self) -> Vec<ScoredRecord> {
        lock(&self.rows).in_order.clone()
    }
}

#[async_trait]
impl Sink for MemorySink {
    fn name(&self) -> &str {
        "memory"
    }

    async fn write(&self, rows: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        let mut written = lock(&self.rows);
        for row in rows {
            written.by_id.insert(row.id.as_str().to_owned(), row.clone());
            written.in_order.push(row.clone());
        }
        Ok(Vec::new())
    }
}

/// Keeps dead letters.
#[derive(Debug, Default)]
pub struct MemoryDeadLetters {
    letters: Mutex<Vec<DeadLetter>>,
}

impl MemoryDeadLetters {
    /// The letters so far.
    pub fn letters(&self) -> Vec<DeadLetter> {
        lock(&self.letters).clone()
    }
}

#[async_trait]
impl DeadLetterSink for MemoryDeadLetters {
    async fn write(&self, letters: &[DeadLetter]) -> Result<(), StreamError> {
        lock(&self.letters).extend_from_slice(letters);
        Ok(())
    }
}

/// States in memory; they live as long as the store.
#[derive(Clone, Debug, Default)]
pub struct MemoryStateStore {
    partitions: Arc<Mutex<States>>,
}

type States = HashMap<(String, PartitionId), Arc<Mutex<Entries>>>;

#[derive(Debug, Default)]
struct Entries {
    // Counts the owners so far; only the last may commit.
    epoch: u64,
    entries: BTreeMap<Bytes, Bytes>,
}

impl MemoryStateStore {
    fn entries(&self, stream_name: &str, partition: &PartitionId) -> Arc<Mutex<Entries>> {
        let key = (stream_name.to_owned(), partition.clone());
        Arc::clone(lock(&self.partitions).entry(key).or_default())
    }
}

#[async_trait]
impl StateStore for MemoryStateStore {
    async fn open(
        &self,
        stream_name: &str,
        partition: &PartitionId,
    ) -> Result<Box<dyn PartitionState>, StreamError> {
        let entries = self.entries(stream_name, partition);
        let mut owned = lock(&entries);
        owned.epoch += 1;
        let epoch = owned.epoch;
        drop(owned);
        Ok(Box::new(MemoryState { epoch, entries }))
    }

    async fn view(
        &self,
        stream_name: &str,
        partition: &PartitionId,
    ) -> Result<Option<Box<dyn StateView>>, StreamError> {
        let entries = self.entries(stream_name, partition);
        let owned = lock(&entries);
        let (epoch, exists) = (owned.epoch, owned.epoch > 0);
        drop(owned);
        Ok(exists.then(|| Box::new(MemoryState { epoch, entries }) as Box<dyn StateView>))
    }
}

struct MemoryState {
    epoch: u64,
    entries: Arc<Mutex<Entries>>,
}

#[async_trait]
impl StateView for MemoryState {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StreamError> {
        Ok(lock(&self.entries).entries.get(key).cloned())
    }

    async fn page(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StreamError> {
        let entries = lock(&self.entries);
        let from = match after {
            Some(after) => Bound::Excluded(Bytes::copy_from_slice(after)),
            None => Bound::Included(Bytes::copy_from_slice(prefix)),
        };
        let found = entries.entries.range((from, Bound::Unbounded));
        let mut n_bytes = 0;
        let page = found.take_while(|(key, value)| {
            let begins = n_bytes <= max_bytes;
            n_bytes += key.len() + value.len();
            begins && key.starts_with(prefix)
        });
        Ok(page.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

#[async_trait]
impl PartitionState for MemoryState {
    async fn commit(&self, changes: Vec<StateChange>) -> Result<(), StreamError> {
        let mut entries = lock(&self.entries);
        if entries.epoch != self.epoch {
            return Err(StreamError::new(
                ErrorKind::Lost,
                "another owner has opened the partition",
            ));
        }
        for StateChange { key, value } in changes {
            match value {
                Some(value) => entries.entries.insert(key, value),
                None => entries.entries.remove(&key),
            };
        }
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<(), StreamError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(key: &'static str, value: &'static str) -> StateChange {
        StateChange { key: key.into(), value: Some(value.into()) }
    }

    #[tokio::test]
    async fn only_the_last_owner_commits() {
        let store = MemoryStateStore::default();
        let partition = PartitionId::new("p");
        let first = store.open("s", &partition).await.expect("opens");
        first.commit(vec![set("k", "1")]).await.expect("the only owner");
        let second = store.open("s", &partition).await.expect("opens");
        let error = first.commit(vec![set("k", "2")]).await.expect_err("fenced");
        assert_eq!(error.kind(), ErrorKind::Lost);
        assert_eq!(second.get(b"k").await.expect("readable"), Some("1".into()));
    }

    #[tokio::test]
    async fn pages_have_what_begins_with_a_prefix_in_order() {
        let store = MemoryStateStore::default();
        let state = store.open("s", &PartitionId::new("p")).await.expect("opens");
        let changes = vec![set("m/b", "2"), set("m/a", "1"), set("n", "3"), set("l", "0")];
        state.commit(changes).await.expect("owner");
        let found = state.page(b"m/", None, 100).await.expect("readable");
        assert_eq!(found, [("m/a".into(), "1".into()), ("m/b".into(), "2".into())]);
        let first = state.page(b"m/", None, 3).await.expect("readable");
        assert_eq!(first, [("m/a".into(), "1".into())]);
        let second = state.page(b"m/", Some(b"m/a"), 3).await.expect("readable");
        assert_eq!(second, [("m/b".into(), "2".into())]);
        assert_eq!(state.page(b"m/", Some(b"m/b"), 3).await.expect("readable"), []);
    }

    #[tokio::test]
    async fn who_looks_at_a_state_does_not_take_it() {
        let store = MemoryStateStore::default();
        let partition = PartitionId::new("p");
        assert!(store.view("s", &partition).await.expect("readable").is_none());
        let owner = store.open("s", &partition).await.expect("opens");
        let view = store.view("s", &partition).await.expect("readable").expect("is there");
        owner.commit(vec![set("k", "1")]).await.expect("still the owner");
        assert_eq!(view.get(b"k").await.expect("readable"), Some("1".into()));
    }
}
