//! Several shards as one partition: their records in order of arrival time, then shard, then
//! sequence number, the same order at every replay.
//!
//! A shard's own order is that of its sequence numbers, so a record counts as having arrived no
//! earlier than the one before it; that time is its ROWTIME. A record may leave when no shard can
//! have an earlier one any more: each has a later one waiting, or says that it is caught up, and so
//! how much time has passed there. What a shard says is used only once it is durable, as a [`Mark`]
//! that later records of the shard are clamped to: then the order of all records is decided by what
//! is stored, not by when it was read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use eddy_record::{PartitionId, Position};
use eddy_stream::Batch;
use serde::{Deserialize, Serialize};

use crate::checkpoint::ShardProgress;
use crate::input::Timed;

/// Time that passed in a shard without a record: records behind `after` are not before `ms`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The last record before it; `None`: it is before the first.
    pub(crate) after: Option<Position>,
    pub(crate) ms: i64,
}

/// Time that has passed without records: durable before anything that it lets go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Passed {
    /// Where the shards were, and how far their time is.
    pub(crate) marks: BTreeMap<PartitionId, Mark>,
    /// How far the time of the whole is, where the engine is to know: it is told before the first
    /// record whose time is not before this.
    pub(crate) watermark_ms: Option<i64>,
}

/// What leaves next.
#[derive(Debug, Default)]
pub(crate) struct Released {
    pub(crate) records: Vec<Timed>,
    /// Behind the records, the time is this far.
    pub(crate) watermark_ms: Option<i64>,
}

#[derive(Debug)]
struct Shard {
    // No record that is still to be read is before this time.
    clock_ms: i64,
    // What the shard has said and is not durable.
    claim_ms: i64,
    last_read: Option<Position>,
    // Marks behind records that are still to be read, in a replay.
    marks: VecDeque<Mark>,
    queue: VecDeque<Timed>,
    ended: bool,
}

impl Shard {
    /// The time of its next record, or before which it has none.
    fn bound_ms(&self) -> i64 {
        self.queue.front().map_or(self.clock_ms, |timed| timed.rowtime_ms)
    }

    /// The same with what the shard says.
    fn claimed_ms(&self) -> i64 {
        let claimed = self.clock_ms.max(self.claim_ms);
        self.queue.front().map_or(claimed, |timed| timed.rowtime_ms)
    }

    /// Takes up the marks that everything read so far is before.
    fn take_marks(&mut self) {
        while let Some(mark) = self.marks.pop_front_if(|mark| mark.after <= self.last_read) {
            self.clock_ms = self.clock_ms.max(mark.ms);
        }
    }
}

/// The shards' heads.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    shards: BTreeMap<PartitionId, Shard>,
    // Watermarks that are durable and not yet passed on.
    watermarks: BTreeSet<i64>,
    // The time of what left last.
    now_ms: Option<i64>,
}

impl Merge {
    /// Goes on behind `now_ms`, with watermarks that are not yet passed on.
    pub(crate) fn resume(now_ms: Option<i64>, watermarks: BTreeSet<i64>) -> Self {
        Self { now_ms, watermarks, ..Self::default() }
    }

    /// Adds a shard at its beginning or where it was.
    pub(crate) fn add(&mut self, id: PartitionId, progress: &ShardProgress) {
        let mut shard = Shard {
            clock_ms: progress.clock_ms.unwrap_or(i64::MIN),
            claim_ms: i64::MIN,
            last_read: progress.position.clone(),
            marks: progress.marks.clone(),
            queue: VecDeque::new(),
            ended: false,
        };
        shard.take_marks();
        self.shards.insert(id, shard);
    }

    /// Takes what was read of a shard.
    pub(crate) fn push(&mut self, id: &PartitionId, batch: Batch) {
        let Some(shard) = self.shards.get_mut(id) else { return };
        for raw in batch.records {
            shard.take_marks();
            let rowtime_ms = shard.clock_ms.max(raw.arrival_ms);
            shard.clock_ms = rowtime_ms;
            shard.last_read = Some(raw.position.clone());
            let clamped = rowtime_ms > raw.arrival_ms;
            shard.queue.push_back(Timed { partition: id.clone(), rowtime_ms, clamped, raw });
        }
        shard.take_marks();
        if let Some(watermark_ms) = batch.watermark_ms {
            shard.claim_ms = shard.claim_ms.max(watermark_ms);
        }
    }

    /// A shard has no more to read.
    pub(crate) fn end(&mut self, id: &PartitionId) {
        if let Some(shard) = self.shards.get_mut(id) {
            shard.ended = true;
        }
    }

    /// Whether more of a shard is needed.
    pub(crate) fn needs(&self, id: &PartitionId) -> bool {
        self.shards.get(id).is_some_and(|shard| shard.queue.is_empty() && !shard.ended)
    }

    /// Whether nothing waits here.
    pub(crate) fn is_empty(&self) -> bool {
        self.shards.values().all(|shard| shard.queue.is_empty())
    }

    /// Shards that have ended and of which everything has left, with their last times: they hold the
    /// others until they are removed, so that their children can take their places.
    pub(crate) fn drained(&self) -> Vec<(PartitionId, i64)> {
        let drained = self.shards.iter().filter(|(_, it)| it.ended && it.queue.is_empty());
        drained.map(|(id, shard)| (id.clone(), shard.clock_ms)).collect()
    }

    pub(crate) fn remove(&mut self, id: &PartitionId) {
        self.shards.remove(id);
    }

    /// The shard that records of others wait for.
    pub(crate) fn holder(&self) -> Option<&PartitionId> {
        let (waiting, _) = self.first_head()?;
        let empty = self.shards.iter().filter(|(_, shard)| shard.queue.is_empty());
        let (id, shard) = empty.min_by_key(|(id, shard)| (shard.clock_ms, (*id).clone()))?;
        ((shard.clock_ms, id) <= waiting).then_some(id)
    }

    /// The place in the order of the first record that waits, and its shard.
    fn first_head(&self) -> Option<((i64, &PartitionId), &PartitionId)> {
        let heads = self.shards.iter().filter(|(_, shard)| !shard.queue.is_empty());
        let first = heads.map(|(id, shard)| (shard.bound_ms(), id)).min()?;
        Some((first, first.1))
    }

    /// Whatever may leave now, up to the next watermark; empty where nothing may.
    pub(crate) fn release(&mut self) -> Released {
        let mut released = Released::default();
        loop {
            let next_watermark = self.watermarks.first().copied();
            if let Some(watermark_ms) = next_watermark
                && self.shards.values().all(|shard| shard.bound_ms() >= watermark_ms)
            {
                self.watermarks.pop_first();
                if self.now_ms.is_none_or(|now_ms| now_ms < watermark_ms) {
                    self.now_ms = Some(watermark_ms);
                    released.watermark_ms = Some(watermark_ms);
                    return released;
                }
                continue;
            }
            let Some((_, first)) = self.first_head() else { return released };
            let first = first.clone();
            let others = self.shards.iter().filter(|(id, _)| **id != first);
            // The place in the order before which the others have nothing.
            let limit = others.map(|(id, shard)| (shard.bound_ms(), id)).min();
            let limit = limit.map(|(ms, id)| (ms, id.clone()));
            let shard = self.shards.get_mut(&first).expect("it has a head");
            let n_before = released.records.len();
            while let Some(timed) = shard.queue.pop_front_if(|timed| {
                let key = (timed.rowtime_ms, &first);
                limit.as_ref().is_none_or(|(ms, id)| key < (*ms, id))
                    && next_watermark.is_none_or(|next| timed.rowtime_ms < next)
            }) {
                self.now_ms = Some(timed.rowtime_ms);
                released.records.push(timed);
            }
            if released.records.len() == n_before {
                return released;
            }
        }
    }

    /// What would have to be durable for more to leave: records that wait for shards that are caught
    /// up, or what the engine holds until `due_ms`.
    pub(crate) fn wants(&self, due_ms: Option<i64>) -> Option<Passed> {
        if self.shards.values().any(|shard| shard.ended && shard.queue.is_empty()) {
            return None;
        }
        let frees = self.first_head().is_some_and(|(waiting, _)| {
            let mut empty = self.shards.iter().filter(|(_, shard)| shard.queue.is_empty());
            let held = empty.clone().any(|(id, shard)| (shard.clock_ms, id) <= waiting);
            held && empty.all(|(id, shard)| (shard.claimed_ms(), id) > waiting)
        });
        let passed_ms = self.shards.values().map(Shard::claimed_ms).min();
        let watermark_ms = passed_ms.filter(|passed_ms| {
            // In a replay those of the last run come first.
            self.watermarks.is_empty()
                && due_ms.is_some_and(|due_ms| due_ms <= *passed_ms)
                && self.now_ms.is_none_or(|now_ms| now_ms < *passed_ms)
        });
        if !frees && watermark_ms.is_none() {
            return None;
        }
        let claims = self.shards.iter().filter(|(_, it)| !it.ended && it.claim_ms > it.clock_ms);
        let mark = |shard: &Shard| Mark { after: shard.last_read.clone(), ms: shard.claim_ms };
        let marks = claims.map(|(id, shard)| (id.clone(), mark(shard))).collect();
        Some(Passed { marks, watermark_ms })
    }

    /// Takes up what is durable.
    pub(crate) fn pass(&mut self, passed: &Passed) {
        for (id, mark) in &passed.marks {
            if let Some(shard) = self.shards.get_mut(id) {
                shard.marks.push_back(mark.clone());
                shard.take_marks();
            }
        }
        self.watermarks.extend(passed.watermark_ms);
    }
}

#[cfg(test)]
mod tests {
    use eddy_record::RawRecord;

    use super::*;

    fn raw(sequence: u64, arrival_ms: i64) -> RawRecord {
        let position = Position::new(sequence.into());
        RawRecord { partition_key: "".into(), position, arrival_ms, data: "x".into() }
    }

    fn batch(records: &[(u64, i64)], watermark_ms: Option<i64>) -> Batch {
        let records = records.iter().map(|(sequence, at_ms)| raw(*sequence, *at_ms)).collect();
        Batch { records, watermark_ms, behind_ms: None }
    }

    fn merge(shards: &[&str]) -> Merge {
        let mut merge = Merge::default();
        for shard in shards {
            merge.add(PartitionId::new(*shard), &ShardProgress::default());
        }
        merge
    }

    fn push(merge: &mut Merge, shard: &str, records: &[(u64, i64)], watermark_ms: Option<i64>) {
        merge.push(&PartitionId::new(shard), batch(records, watermark_ms));
    }

    /// What leaves: `a1@5` for a record of shard a, `|7` for a watermark.
    fn released(merge: &mut Merge) -> String {
        let mut text = Vec::new();
        loop {
            let released = merge.release();
            let record = |it: &Timed| {
                format!("{}{}@{}", it.partition, it.raw.position.sequence, it.rowtime_ms)
            };
            text.extend(released.records.iter().map(record));
            match released.watermark_ms {
                Some(watermark_ms) => text.push(format!("|{watermark_ms}")),
                None => return text.join(" "),
            }
        }
    }

    fn pass(merge: &mut Merge, due_ms: Option<i64>) -> Option<Passed> {
        let passed = merge.wants(due_ms)?;
        merge.pass(&passed);
        Some(passed)
    }

    #[test]
    fn records_leave_by_time_then_shard_then_sequence_number() {
        let mut merge = merge(&["a", "b"]);
        push(&mut merge, "b", &[(1, 5), (2, 5), (3, 9)], None);
        assert_eq!(released(&mut merge), "");
        push(&mut merge, "a", &[(7, 5), (8, 6), (9, 3)], None);
        // 9 arrived behind 8 of its shard, and counts as having arrived with it.
        assert_eq!(released(&mut merge), "a7@5 b1@5 b2@5 a8@6 a9@6");
        assert_eq!(merge.holder(), Some(&PartitionId::new("a")));
        assert!(merge.needs(&PartitionId::new("a")) && !merge.needs(&PartitionId::new("b")));
    }

    #[test]
    fn one_shard_waits_for_nothing() {
        let mut merge = merge(&["a"]);
        push(&mut merge, "a", &[(1, 5), (2, 4)], Some(3));
        assert_eq!(released(&mut merge), "a1@5 a2@5");
        assert_eq!(merge.wants(None), None);
    }

    #[test]
    fn what_a_shard_says_counts_once_it_is_durable_and_clamps_what_comes_behind() {
        let mut merge = merge(&["a", "b"]);
        push(&mut merge, "a", &[(1, 5)], None);
        push(&mut merge, "b", &[], Some(5));
        assert_eq!(released(&mut merge), "");
        let passed = pass(&mut merge, None).expect("a record waits for it");
        let mark = Mark { after: None, ms: 5 };
        assert_eq!(passed.marks, [(PartitionId::new("b"), mark)].into());
        assert_eq!(released(&mut merge), "a1@5");
        push(&mut merge, "b", &[(1, 2), (2, 8)], None);
        push(&mut merge, "a", &[(2, 7)], None);
        assert_eq!(released(&mut merge), "b1@5 a2@7");
        // At one time the shard's name decides: b's word of 7 says nothing of a's 7.
        assert_eq!(merge.wants(None), None);
    }

    #[test]
    fn a_watermark_has_its_place_in_the_order_also_in_a_replay() {
        let mut first = merge(&["a", "b"]);
        push(&mut first, "a", &[(1, 5)], Some(20));
        push(&mut first, "b", &[(1, 6)], Some(30));
        assert_eq!(released(&mut first), "a1@5");
        let freed = pass(&mut first, None).expect("b's record waits for a");
        assert_eq!(released(&mut first), "b1@6");
        assert_eq!(first.wants(Some(21)), None, "nothing is due");
        let due = pass(&mut first, Some(15)).expect("due");
        assert_eq!((due.watermark_ms, due.marks.len()), (Some(20), 0));
        assert_eq!(released(&mut first), "|20");
        push(&mut first, "a", &[(2, 8), (3, 25)], None);
        push(&mut first, "b", &[(2, 31)], None);
        assert_eq!(released(&mut first), "a2@20 a3@25");

        let mut replay = merge(&["a", "b"]);
        [&freed, &due].into_iter().for_each(|passed| replay.pass(passed));
        push(&mut replay, "b", &[(1, 6), (2, 31)], None);
        push(&mut replay, "a", &[(1, 5), (2, 8), (3, 25)], None);
        assert_eq!(released(&mut replay), "a1@5 b1@6 |20 a2@20 a3@25");
    }

    #[test]
    fn a_shard_that_has_ended_holds_the_others_until_its_children_are_there() {
        let mut merge = merge(&["a", "b"]);
        push(&mut merge, "a", &[(1, 5)], None);
        push(&mut merge, "b", &[(1, 9)], Some(9));
        merge.end(&PartitionId::new("a"));
        assert_eq!(released(&mut merge), "a1@5");
        assert_eq!(merge.drained(), [(PartitionId::new("a"), 5)]);
        assert_eq!(merge.wants(Some(0)), None);
        let child = ShardProgress { clock_ms: Some(5), ..ShardProgress::default() };
        merge.add(PartitionId::new("c"), &child);
        merge.remove(&PartitionId::new("a"));
        assert_eq!(released(&mut merge), "");
        push(&mut merge, "c", &[(1, 3), (2, 10)], None);
        assert_eq!(released(&mut merge), "c1@5 b1@9");
    }
}
