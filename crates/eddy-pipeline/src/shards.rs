//! The shards of a stream, read side by side for a merge.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::task::Poll;

use eddy_record::PartitionId;
use eddy_stream::{Batch, Partition, Source, Start, StreamError};

use crate::checkpoint::{Merged, ShardProgress};
use crate::merge::Merge;
use crate::prefetch::Prefetch;

/// What was read of a shard; `None`: it has ended.
pub(crate) type Read = (PartitionId, Option<Batch>);

/// Readers of all shards whose parents are finished.
pub(crate) struct Shards {
    source: Arc<dyn Source>,
    readers: BTreeMap<PartitionId, Prefetch>,
    // The shards that start where the settings say; later ones start at their beginning.
    first_listing: HashSet<PartitionId>,
    start_ms: Option<i64>,
    // Shards that have come to their end in this run.
    ended: HashSet<PartitionId>,
    // Reads in a row that found a shard at rest.
    quiet_reads: HashMap<PartitionId, usize>,
    // The shard after which the next look begins, so that each gets its turn.
    last: Option<PartitionId>,
}

impl Shards {
    pub(crate) fn new(
        source: Arc<dyn Source>,
        first_listing: HashSet<PartitionId>,
        start_ms: Option<i64>,
    ) -> Self {
        Self {
            source,
            readers: BTreeMap::new(),
            first_listing,
            start_ms,
            ended: HashSet::new(),
            quiet_reads: HashMap::new(),
            last: None,
        }
    }

    /// Opens every shard that can be read now and is not yet: those that are not finished and whose
    /// parents are.
    pub(crate) async fn open(
        &mut self,
        merged: &mut Merged,
        merge: &mut Merge,
    ) -> Result<(), StreamError> {
        let listed = self.source.partitions().await?;
        let ids: HashSet<&PartitionId> = listed.iter().map(|partition| &partition.id).collect();
        for (id, progress) in &mut merged.shards {
            // Whoever is still read says by itself when it ends.
            let is_open = self.readers.contains_key(id);
            if !ids.contains(id) && !progress.finished && !is_open {
                tracing::warn!(shard = %id, "the stream no longer has the shard: what was left in it is lost");
                progress.finished = true;
            }
        }
        // A shard's time is what its children begin with.
        let is_needed = |id: &PartitionId, merged: &Merged| {
            ids.contains(id)
                || listed.iter().any(|child| {
                    child.parents.contains(id) && !merged.shards.contains_key(&child.id)
                })
        };
        let gone: Vec<PartitionId> =
            merged.shards.keys().filter(|id| !is_needed(id, merged)).cloned().collect();
        gone.iter().for_each(|id| _ = merged.shards.remove(id));
        for partition in &listed {
            let is_open = self.readers.contains_key(&partition.id);
            if !is_open && self.is_ready(partition, &ids, merged) {
                self.open_one(partition, merged, merge).await?;
            }
        }
        Ok(())
    }

    /// Whether a shard is to be read and its parents are settled.
    fn is_ready(
        &self,
        partition: &Partition,
        listed: &HashSet<&PartitionId>,
        merged: &Merged,
    ) -> bool {
        let is_settled = |id: &PartitionId| {
            self.ended.contains(id) || merged.shards.get(id).is_some_and(|it| it.finished)
        };
        let is_unknown = |id: &PartitionId| !listed.contains(id) && !merged.shards.contains_key(id);
        !is_settled(&partition.id)
            && partition.parents.iter().all(|parent| is_settled(parent) || is_unknown(parent))
    }

    async fn open_one(
        &mut self,
        partition: &Partition,
        merged: &mut Merged,
        merge: &mut Merge,
    ) -> Result<(), StreamError> {
        let id = &partition.id;
        let parents = partition.parents.iter().filter_map(|parent| merged.shards.get(parent));
        let clock_ms = parents.filter_map(|parent| parent.clock_ms).max();
        let start_ms = self.start_ms.filter(|_| self.first_listing.contains(id));
        merged.add(id, start_ms, clock_ms);
        let progress = &merged.shards[id];
        let start = start_of(progress);
        tracing::info!(shard = %id, ?start, "reading");
        let reader = self.source.open(id, &start).await?;
        merge.add(id.clone(), progress);
        self.readers.insert(id.clone(), Prefetch::new(reader));
        Ok(())
    }

    /// The next batch of a shard of which the merge needs more, or that it has ended; `None` where
    /// no shard is left. Cancelling loses nothing.
    pub(crate) async fn next(&mut self, merge: &Merge) -> Result<Option<Read>, StreamError> {
        if self.readers.is_empty() {
            return Ok(None);
        }
        let last = self.last.clone();
        let (id, batch) = std::future::poll_fn(|cx| {
            let turn = |id: &PartitionId| last.as_ref().is_some_and(|last| id <= last);
            for first_round in [true, false] {
                for (id, reader) in &mut self.readers {
                    if turn(id) == first_round || !merge.needs(id) {
                        continue;
                    }
                    if let Poll::Ready(batch) = reader.poll_next(cx) {
                        return Poll::Ready((id.clone(), batch));
                    }
                }
            }
            Poll::Pending
        })
        .await;
        let batch = batch?;
        let is_quiet = batch
            .as_ref()
            .is_none_or(|it| it.records.is_empty() && it.behind_ms.is_none_or(|ms| ms == 0));
        let quiet_reads = self.quiet_reads.entry(id.clone()).or_default();
        *quiet_reads = if is_quiet { *quiet_reads + 1 } else { 0 };
        self.last = Some(id.clone());
        Ok(Some((id, batch)))
    }

    /// Whether the last reads of every shard found it at rest, more than `n_reads` each.
    pub(crate) fn are_quiet(&self, n_reads: usize) -> bool {
        let quiet = |id| self.quiet_reads.get(id).is_some_and(|n_quiet| *n_quiet > n_reads);
        self.readers.keys().all(quiet)
    }

    /// Forgets what the last reads found.
    pub(crate) fn look_again(&mut self) {
        self.quiet_reads.clear();
    }

    /// Children take the places of shards that have ended and of which everything is settled.
    pub(crate) async fn retire(
        &mut self,
        drained: Vec<(PartitionId, i64)>,
        merged: &mut Merged,
        merge: &mut Merge,
    ) -> Result<(), StreamError> {
        for (id, _) in &drained {
            tracing::info!(shard = %id, "the shard has ended and is settled");
            self.readers.remove(id);
            if let Some(progress) = merged.shards.get_mut(id) {
                progress.finished = !self.source.may_grow();
            }
            self.ended.insert(id.clone());
        }
        self.open(merged, merge).await?;
        for (id, _) in &drained {
            merge.remove(id);
        }
        Ok(())
    }
}

fn start_of(progress: &ShardProgress) -> Start {
    match (&progress.position, progress.start_ms) {
        (Some(position), _) => Start::After(position.clone()),
        (None, Some(start_ms)) => Start::AtTimestamp(start_ms),
        (None, None) => Start::TrimHorizon,
    }
}

#[cfg(test)]
mod tests {
    use eddy_record::StreamIdentity;
    use eddy_stream::MemorySource;

    use super::*;

    fn shard(id: &str) -> PartitionId {
        PartitionId::new(id)
    }

    fn shards(listed: &[(&str, &[&str])], first: &[&str]) -> Shards {
        let identity = StreamIdentity { name: "s".to_owned(), created_ms: 0 };
        let mut source = MemorySource::new(identity, 1);
        for (id, parents) in listed {
            let parents = parents.iter().map(|parent| shard(parent)).collect();
            source = source.with_partition(Partition { id: shard(id), parents }, Vec::new());
        }
        Shards::new(Arc::new(source), first.iter().map(|id| shard(id)).collect(), Some(7))
    }

    fn settled(clock_ms: i64) -> ShardProgress {
        ShardProgress { clock_ms: Some(clock_ms), finished: true, ..ShardProgress::default() }
    }

    #[tokio::test]
    async fn a_child_begins_with_its_parents_time_once_all_of_them_are_settled() {
        let (mut merged, mut merge) = (Merged::default(), Merge::default());
        merged.shards.insert(shard("a"), settled(50));
        merged.shards.insert(shard("b"), ShardProgress::default());
        let mut shards = shards(&[("a", &[]), ("b", &[]), ("c", &["a", "b"])], &["a", "b"]);
        shards.open(&mut merged, &mut merge).await.expect("opens");
        assert!(merge.needs(&shard("b")) && !merge.needs(&shard("c")));
        assert!(!merged.shards.contains_key(&shard("c")));

        merge.end(&shard("b"));
        merged.shards.insert(shard("b"), ShardProgress { clock_ms: Some(40), ..settled(0) });
        shards.retire(merge.drained(), &mut merged, &mut merge).await.expect("opens");
        let child = &merged.shards[&shard("c")];
        // It is not of the first listing: it starts at its beginning.
        assert_eq!((child.clock_ms, child.start_ms), (Some(50), None));
        assert!(merge.needs(&shard("c")) && !merge.needs(&shard("b")));
    }

    #[tokio::test]
    async fn shards_of_the_first_listing_start_where_the_settings_say_and_old_ones_are_forgotten() {
        let (mut merged, mut merge) = (Merged::default(), Merge::default());
        merged.shards.insert(shard("old"), settled(50));
        let mut shards = shards(&[("a", &["unknown"]), ("b", &[])], &["a"]);
        shards.open(&mut merged, &mut merge).await.expect("opens");
        assert_eq!(merged.shards[&shard("a")].start_ms, Some(7));
        assert_eq!(merged.shards[&shard("b")].start_ms, None);
        assert!(!merged.shards.contains_key(&shard("old")));
    }
}
