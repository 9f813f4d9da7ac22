//! What the pipeline has done, in numbers that add up at any moment.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use eddy_record::{PartitionId, Position, Stage};
use serde::Serialize;

/// Totals since the start of the process. Replayed records count again.
///
/// `records == delivered + dead_decode + dead_detect + dead_deliver` at any moment: a record is
/// counted when it is settled. Where an SQL application makes rows, `records` and `delivered` count
/// these, `rows_in` what it took, and `rows_out == delivered + dead_deliver + unrouted` when
/// everything is settled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Payloads read from the source.
    pub payloads: u64,
    /// Bytes of these payloads.
    pub bytes: u64,
    /// Records settled: delivered or dead-lettered. A payload may hold several.
    pub records: u64,
    /// Records given a score above 0.
    pub scored: u64,
    /// Records scored 0 because their model is learning.
    pub warming_up: u64,
    /// Records that passed without a score because a column of the point was NULL.
    pub unscored: u64,
    /// Scores of at least the threshold.
    pub anomalies: u64,
    /// Rows durable in every sink and archive.
    pub delivered: u64,
    /// Records that did not fit the schema.
    pub dead_decode: u64,
    /// Records without a point.
    pub dead_detect: u64,
    /// Rows that a sink refused.
    pub dead_deliver: u64,
    /// Records whose ROWTIME was moved up because they arrived behind.
    pub clamped: u64,
    /// Records that an SQL application took.
    pub rows_in: u64,
    /// Rows that a WHERE or HAVING of it left out.
    pub filtered: u64,
    /// Rows that became part of a group.
    pub aggregated: u64,
    /// Rows of the error stream: an expression failed.
    pub failed: u64,
    /// Rows of the error stream that were later than a T-sort or the allowed lateness permits.
    pub late: u64,
    /// Rows that left, all streams together.
    pub rows_out: u64,
    /// The same by stream.
    pub rows_out_by_stream: BTreeMap<String, u64>,
    /// Rows of streams that no sink wants.
    pub unrouted: u64,
    /// Commits of positions and models.
    pub commits: u64,
    /// Watermarks made durable because something waited for them.
    pub watermarks: u64,
    /// Times a partition was started again after an error.
    pub restarts: u64,
    /// Nanoseconds spent decoding payloads.
    pub decode_ns: u64,
    /// Nanoseconds spent scoring, learning and explaining.
    pub score_ns: u64,
    /// Nanoseconds that partitions waited for dead letters, for room in the sinks' queues, and for
    /// rows to be durable before a commit.
    pub deliver_ns: u64,
    /// Nanoseconds of commits, waiting included.
    pub commit_ns: u64,
}

impl Totals {
    /// All dead letters.
    pub fn dead_lettered(&self) -> u64 {
        self.dead_decode + self.dead_detect + self.dead_deliver
    }

    /// Adds other totals to these.
    pub(crate) fn add(&mut self, other: &Self) {
        // Taken apart without `..`, so that a new counter cannot be forgotten here.
        let Self {
            payloads,
            bytes,
            records,
            scored,
            warming_up,
            unscored,
            anomalies,
            delivered,
            dead_decode,
            dead_detect,
            dead_deliver,
            clamped,
            rows_in,
            filtered,
            aggregated,
            failed,
            late,
            rows_out,
            rows_out_by_stream,
            unrouted,
            commits,
            watermarks,
            restarts,
            decode_ns,
            score_ns,
            deliver_ns,
            commit_ns,
        } = other;
        self.payloads += payloads;
        self.bytes += bytes;
        self.records += records;
        self.scored += scored;
        self.warming_up += warming_up;
        self.unscored += unscored;
        self.anomalies += anomalies;
        self.delivered += delivered;
        self.dead_decode += dead_decode;
        self.dead_detect += dead_detect;
        self.dead_deliver += dead_deliver;
        self.clamped += clamped;
        self.rows_in += rows_in;
        self.filtered += filtered;
        self.aggregated += aggregated;
        self.failed += failed;
        self.late += late;
        self.rows_out += rows_out;
        for (stream, n_rows) in rows_out_by_stream {
            *self.rows_out_by_stream.entry(stream.clone()).or_default() += n_rows;
        }
        self.unrouted += unrouted;
        self.commits += commits;
        self.watermarks += watermarks;
        self.restarts += restarts;
        self.decode_ns += decode_ns;
        self.score_ns += score_ns;
        self.deliver_ns += deliver_ns;
        self.commit_ns += commit_ns;
    }

    /// Adds a dead letter of that stage.
    pub(crate) fn add_dead(&mut self, stage: Stage) {
        match stage {
            Stage::Decode => self.dead_decode += 1,
            Stage::Detect => self.dead_detect += 1,
            Stage::Deliver => self.dead_deliver += 1,
        }
    }
}

/// How a partition stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// How far reading is behind the newest record, in milliseconds, where the source tells.
    pub behind_ms: Option<i64>,
    /// Models in memory.
    pub models: usize,
    /// Their memory in bytes, at the last commit.
    pub model_bytes: usize,
    /// The last record that is settled and committed.
    pub settled: Option<Position>,
    /// How long records of other shards have waited for this one, in milliseconds; `None` where
    /// they do not.
    pub holds_merge_ms: Option<u64>,
    /// Rows that wait in the queue to each sink or are being written, by the sink's name.
    pub waiting_rows: BTreeMap<String, usize>,
}

/// The counters of a pipeline, shared by its partitions.
#[derive(Debug, Default)]
pub struct Counters {
    inner: Mutex<(Totals, BTreeMap<PartitionId, PartitionStatus>)>,
}

impl Counters {
    /// The totals, all of one moment.
    pub fn totals(&self) -> Totals {
        self.lock().0.clone()
    }

    /// The partitions being read.
    pub fn partitions(&self) -> BTreeMap<PartitionId, PartitionStatus> {
        self.lock().1.clone()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Totals)) {
        change(&mut self.lock().0);
    }

    pub(crate) fn update_partition(
        &self,
        partition: &PartitionId,
        change: impl FnOnce(&mut PartitionStatus),
    ) {
        change(self.lock().1.entry(partition.clone()).or_default());
    }

    pub(crate) fn remove_partition(&self, partition: &PartitionId) {
        self.lock().1.remove(partition);
    }

    fn lock(&self) -> MutexGuard<'_, (Totals, BTreeMap<PartitionId, PartitionStatus>)> {
        // Totals are whole between statements, whatever a panicking holder did.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
