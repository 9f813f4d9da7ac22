//! What a source and a producer have done.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of a source since its start, over all shards.
#[derive(Debug, Default)]
pub struct SourceCounters {
    reads: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
    expired_iterators: AtomicU64,
    throttled: AtomicU64,
    retries: AtomicU64,
}

macro_rules! counter {
    ($name:ident, $add:ident, $doc:literal) => {
        #[doc = $doc]
        pub fn $name(&self) -> u64 {
            self.$name.load(Ordering::Relaxed)
        }

        pub(crate) fn $add(&self, n: u64) {
            self.$name.fetch_add(n, Ordering::Relaxed);
        }
    };
}

impl SourceCounters {
    counter!(reads, add_reads, "Successful GetRecords calls.");
    counter!(records, add_records, "Records, those inside aggregates each.");
    counter!(bytes, add_bytes, "Payload bytes.");
    counter!(expired_iterators, add_expired_iterators, "Iterators that expired and were renewed.");
    counter!(throttled, add_throttled, "Calls refused because a limit was exceeded.");
    counter!(retries, add_retries, "Other calls that failed and were tried again.");
}

/// What became of the records that were put: `put` are `acknowledged`, `failed`, or wait. A record in
/// an aggregate counts as itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProducerCounts {
    /// Records handed over.
    pub put: u64,
    /// Records that the stream has acknowledged.
    pub acknowledged: u64,
    /// Records given up.
    pub failed: u64,
    /// Attempts of single records beyond their first.
    pub retried: u64,
    /// Attempts that a shard refused because it was full.
    pub throttled: u64,
    /// Payload bytes acknowledged.
    pub bytes: u64,
    /// Records of the stream that were acknowledged, an aggregate as one.
    pub stream_records: u64,
}
