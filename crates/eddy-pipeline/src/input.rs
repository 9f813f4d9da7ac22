//! Raw records on their way to the detector: each gets its ROWTIME, and where rows leave ordered
//! within their second, records wait here until their second has passed.
//!
//! They wait undecoded and unlearnt, so that position and models always belong together and nothing
//! waiting needs to be saved: a replay reads it again.

use eddy_detect::RowClock;
use eddy_record::{PartitionId, Position, RawRecord};

use crate::checkpoint::Watermark;

/// Records that wait for their second to pass, at most; beyond it they go on without the rest.
pub(crate) const MAX_HELD_RECORDS: usize = 100_000;
/// Their payload bytes, at most.
const MAX_HELD_BYTES: usize = 64 << 20;
const SECOND_MS: i64 = 1000;

/// A raw record with its ROWTIME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timed {
    /// The shard that it comes from.
    pub(crate) partition: PartitionId,
    pub(crate) rowtime_ms: i64,
    pub(crate) clamped: bool,
    pub(crate) raw: RawRecord,
}

/// What holds a partition's records back.
#[derive(Debug)]
pub(crate) struct Input {
    clock: RowClock,
    partition: PartitionId,
    // Whether records wait until their second has passed.
    per_second: bool,
    held: Vec<Timed>,
    held_bytes: usize,
    // A watermark of an earlier run that has still to be met in the replay.
    replayed: Option<Watermark>,
}

impl Input {
    pub(crate) fn new(
        partition: PartitionId,
        per_second: bool,
        rowtime_ms: Option<i64>,
        replayed: Option<Watermark>,
    ) -> Self {
        let clock = RowClock::resume(rowtime_ms);
        Self { clock, partition, per_second, held: Vec::new(), held_bytes: 0, replayed }
    }

    /// Takes records in order and returns those that may go on, in order.
    pub(crate) fn push(&mut self, records: Vec<RawRecord>) -> Vec<Timed> {
        let mut ready = Vec::with_capacity(if self.per_second { 0 } else { records.len() });
        for raw in records {
            if let Some(watermark) = self.replayed.take_if(|seen| raw.position > seen.after) {
                self.clock.advance(watermark.ms);
                self.release_before(watermark.ms, &mut ready);
            }
            let (rowtime_ms, clamped) = self.clock.rowtime(raw.arrival_ms);
            let partition = self.partition.clone();
            let timed = Timed { partition, rowtime_ms, clamped, raw };
            if !self.per_second {
                ready.push(timed);
                continue;
            }
            self.release_before(rowtime_ms, &mut ready);
            self.held_bytes += timed.raw.data.len();
            self.held.push(timed);
            if self.held.len() >= MAX_HELD_RECORDS || self.held_bytes >= MAX_HELD_BYTES {
                self.release_all(&mut ready);
            }
        }
        ready
    }

    /// The watermark to commit before [`Input::advance`] may release what waits, if it releases
    /// anything.
    pub(crate) fn releases(&self, watermark_ms: i64) -> Option<Watermark> {
        let last = self.held.last()?;
        (second(last.rowtime_ms) < second(watermark_ms))
            .then(|| Watermark { ms: watermark_ms, after: last.raw.position.clone() })
    }

    /// Lets time pass to a committed watermark and returns the records it releases.
    pub(crate) fn advance(&mut self, watermark: &Watermark) -> Vec<Timed> {
        let mut ready = Vec::new();
        self.clock.advance(watermark.ms);
        self.release_before(watermark.ms, &mut ready);
        ready
    }

    /// The partition has ended: nothing waits any longer.
    pub(crate) fn finish(&mut self) -> Vec<Timed> {
        let mut ready = Vec::new();
        self.release_all(&mut ready);
        ready
    }

    fn release_before(&mut self, now_ms: i64, ready: &mut Vec<Timed>) {
        // ROWTIMEs do not go back: when the newest waits in a passed second, all do.
        if self.held.last().is_some_and(|last| second(last.rowtime_ms) < second(now_ms)) {
            self.release_all(ready);
        }
    }

    fn release_all(&mut self, ready: &mut Vec<Timed>) {
        ready.append(&mut self.held);
        self.held_bytes = 0;
    }
}

/// The second that a ROWTIME lies in.
pub(crate) fn second(rowtime_ms: i64) -> i64 {
    rowtime_ms.div_euclid(SECOND_MS)
}

/// The position and ROWTIME behind which everything of `records` lies.
pub(crate) fn end_of(records: &[Timed]) -> Option<(Position, i64)> {
    records.last().map(|last| (last.raw.position.clone(), last.rowtime_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(sequence: u64, arrival_ms: i64) -> RawRecord {
        let position = Position::new(sequence.into());
        RawRecord { partition_key: "".into(), position, arrival_ms, data: "x".into() }
    }

    fn sequences(records: &[Timed]) -> Vec<String> {
        records.iter().map(|timed| timed.raw.position.sequence.to_string()).collect()
    }

    #[test]
    fn without_an_order_nothing_waits() {
        let mut input = Input::new(PartitionId::new("p"), false, None, None);
        let ready = input.push(vec![raw(1, 10), raw(2, 5)]);
        assert_eq!(sequences(&ready), ["1", "2"]);
        assert_eq!((ready[1].rowtime_ms, ready[1].clamped), (10, true));
    }

    #[test]
    fn a_second_leaves_when_a_record_of_a_later_one_arrives() {
        let mut input = Input::new(PartitionId::new("p"), true, None, None);
        assert!(input.push(vec![raw(1, 1000), raw(2, 1999)]).is_empty());
        assert_eq!(sequences(&input.push(vec![raw(3, 2000)])), ["1", "2"]);
        assert_eq!(sequences(&input.finish()), ["3"]);
    }

    #[test]
    fn a_quiet_partition_releases_by_watermark_and_a_replay_meets_the_same_times() {
        let mut input = Input::new(PartitionId::new("p"), true, None, None);
        input.push(vec![raw(1, 1000), raw(2, 1500)]);
        assert_eq!(input.releases(1999), None);
        let watermark = input.releases(3000).expect("the second has passed");
        assert_eq!(sequences(&input.advance(&watermark)), ["1", "2"]);
        let late = input.push(vec![raw(3, 2500)]);
        assert!(late.is_empty());
        let expected = input.finish();
        assert_eq!((expected[0].rowtime_ms, expected[0].clamped), (3000, true));

        // The process died behind the commit of the watermark and before that of the rows.
        let mut replay = Input::new(PartitionId::new("p"), true, None, Some(watermark));
        let released = replay.push(vec![raw(1, 1000), raw(2, 1500), raw(3, 2500)]);
        assert_eq!(sequences(&released), ["1", "2"]);
        assert_eq!(released.last().map(|timed| timed.rowtime_ms), Some(1500));
        assert_eq!(replay.finish(), expected);
    }

    #[test]
    fn a_burst_within_one_second_is_bounded() {
        let mut input = Input::new(PartitionId::new("p"), true, None, None);
        let n_records = MAX_HELD_RECORDS as u64 + 1;
        let ready = input.push((0..n_records).map(|sequence| raw(sequence, 5)).collect());
        assert_eq!(ready.len(), MAX_HELD_RECORDS);
    }
}
