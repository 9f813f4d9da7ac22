//! Records that wait, a lane for each shard, and the requests made of them.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use bytes::Bytes;
use eddy_stream::{Backoff, FailureLog};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::ShardLimits;
use super::bucket::TokenBucket;
use crate::aggregate::{self, MAX_AGGREGATE_BYTES, PACK_OVERHEAD_BYTES, PART_OVERHEAD_BYTES};
use crate::limits::{MAX_REQUEST_BYTES, MAX_REQUEST_RECORDS};
use crate::shards::{OpenShard, hash_of};

/// A record on its way.
pub(super) struct Entry {
    pub(super) partition_key: String,
    pub(super) data: Bytes,
    /// Records are numbered as they come.
    pub(super) ordinal: u64,
    /// When it has waited long enough for others.
    pub(super) due: Instant,
    // Its share of the buffer, given back when the record is settled.
    pub(super) _room: OwnedSemaphorePermit,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.partition_key.len() + self.data.len()
    }
}

/// What waits for one shard, or for a stream whose shards are not known, the oldest first.
pub(super) struct Lane {
    shard: Option<OpenShard>,
    bucket: Option<TokenBucket>,
    // Always by ascending ordinals.
    entries: VecDeque<Entry>,
    not_before: Instant,
    pub(super) pause: Backoff,
    pub(super) failures: FailureLog,
}

impl Lane {
    fn new(shard: Option<OpenShard>, limits: Option<ShardLimits>, now: Instant) -> Self {
        let salt = shard.as_ref().map_or("", |shard| &shard.id);
        let pause = Backoff::new(Duration::from_millis(50), Duration::from_secs(5), salt);
        let bucket = limits.filter(|_| shard.is_some()).map(|limits| TokenBucket::new(limits, now));
        let failures = FailureLog::default();
        Self { shard, bucket, entries: VecDeque::new(), not_before: now, pause, failures }
    }

    /// The shard's id, where it is known.
    pub(super) fn shard_id(&self) -> Option<&str> {
        self.shard.as_ref().map(|shard| shard.id.as_str())
    }

    /// Entries that were not taken wait again, before all newer ones.
    pub(super) fn put_back(&mut self, mut left: Vec<Entry>) {
        left.sort_unstable_by_key(|entry| entry.ordinal);
        for entry in left.into_iter().rev() {
            self.entries.push_front(entry);
        }
    }

    /// The shard has refused entries: nothing goes to it for a while.
    pub(super) fn back_off(&mut self, now: Instant) {
        if let Some(bucket) = &mut self.bucket {
            bucket.drain(now);
        }
        self.not_before = now + self.pause.next_pause();
    }
}

/// One record of the stream: one entry, or several of one partition key as an aggregate.
///
/// Of one key only, so that an aggregate is in the right shard also behind a split that nobody here
/// knows of yet: Amazon's KCL leaves out parts whose key is not of the shard.
pub(super) struct Pack {
    pub(super) lane_idx: usize,
    pub(super) entries: Vec<Entry>,
    // As it is charged: at least what is sent.
    bytes: usize,
}

impl Pack {
    /// As the service takes it.
    pub(super) fn to_request_entry(&self) -> PutRecordsRequestEntry {
        let data = match self.entries.as_slice() {
            [single] => single.data.to_vec(),
            several => aggregate::encode(
                several.iter().map(|entry| (entry.partition_key.as_str(), entry.data.as_ref())),
            ),
        };
        PutRecordsRequestEntry::builder()
            .partition_key(&self.entries[0].partition_key)
            .data(Blob::new(data))
            .build()
            .expect("key and data are set")
    }
}

/// How requests are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packing {
    /// Whether records of a key are put together.
    pub(super) aggregate: bool,
    /// How long a shard without tokens is let be, so that what goes then is more than one record.
    pub(super) pause: Duration,
    /// Entries of one request.
    pub(super) max_entries: usize,
}

/// All lanes of a stream, by their hash ranges.
pub(super) struct Lanes {
    limits: Option<ShardLimits>,
    lanes: Vec<Lane>,
    // Where the next request begins, so that no lane always comes first.
    first_idx: usize,
    n_entries: usize,
    n_bytes: usize,
}

impl Lanes {
    /// One lane, as the shards are not known yet.
    pub(super) fn new(limits: Option<ShardLimits>, now: Instant) -> Self {
        let lanes = vec![Lane::new(None, limits, now)];
        Self { limits, lanes, first_idx: 0, n_entries: 0, n_bytes: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.n_entries == 0
    }

    pub(super) fn lane(&mut self, lane_idx: usize) -> &mut Lane {
        &mut self.lanes[lane_idx]
    }

    /// Whether a request could be filled, tokens aside.
    pub(super) fn fills_a_request(&self, max_entries: usize, aggregate: bool) -> bool {
        // How many records aggregates make is not known before.
        let enough = if aggregate { usize::MAX } else { MAX_REQUEST_RECORDS };
        self.n_entries >= enough.min(max_entries) || self.n_bytes >= MAX_REQUEST_BYTES
    }

    /// The oldest record that waits.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.lanes.iter().filter_map(|lane| lane.entries.front()).map(|entry| entry.ordinal).min()
    }

    /// When something is to be sent; `hurry` for what may be sent earlier than it is due.
    pub(super) fn wake_at(&self, hurry: bool) -> Option<Instant> {
        let of_lane = |lane: &Lane| {
            let due = lane.entries.front()?.due;
            Some(if hurry { lane.not_before } else { due.max(lane.not_before) })
        };
        self.lanes.iter().filter_map(of_lane).min()
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.n_entries += 1;
        self.n_bytes += entry.bytes();
        let lane_idx = self.lane_of(&entry.partition_key);
        self.lanes[lane_idx].entries.push_back(entry);
    }

    fn lane_of(&self, partition_key: &str) -> usize {
        if self.lanes.len() == 1 {
            return 0;
        }
        let hash = hash_of(partition_key);
        let starts_before =
            |lane: &Lane| lane.shard.as_ref().is_some_and(|shard| shard.hashes.0 <= hash);
        self.lanes.partition_point(starts_before).saturating_sub(1)
    }

    /// The stream has these shards now. Those that it had keep their tokens.
    pub(super) fn reshard(&mut self, shards: Vec<OpenShard>, now: Instant) {
        let mut waiting: Vec<Entry> = Vec::new();
        let mut known = HashMap::new();
        for mut lane in self.lanes.drain(..) {
            waiting.extend(lane.entries.drain(..));
            if let Some(shard) = lane.shard.clone() {
                known.insert(shard.id, lane);
            }
        }
        let limits = self.limits;
        self.lanes = shards
            .into_iter()
            .map(|shard| match known.remove(&shard.id) {
                Some(lane) => Lane { shard: Some(shard), ..lane },
                None => Lane::new(Some(shard), limits, now),
            })
            .collect();
        self.first_idx = 0;
        waiting.sort_unstable_by_key(|entry| entry.ordinal);
        for entry in waiting {
            let lane_idx = self.lane_of(&entry.partition_key);
            self.lanes[lane_idx].entries.push_back(entry);
        }
    }

    /// Entries wait again, each in its lane.
    pub(super) fn put_back(&mut self, packs: Vec<Pack>) {
        let mut left: HashMap<usize, Vec<Entry>> = HashMap::new();
        for pack in packs {
            left.entry(pack.lane_idx).or_default().extend(pack.entries);
        }
        for (lane_idx, entries) in left {
            self.put_back_into(lane_idx, entries);
        }
    }

    /// Entries of one lane wait again.
    pub(super) fn put_back_into(&mut self, lane_idx: usize, entries: Vec<Entry>) {
        self.n_entries += entries.len();
        self.n_bytes += entries.iter().map(Entry::bytes).sum::<usize>();
        self.lanes[lane_idx].put_back(entries);
    }

    /// Takes what one request may hold now, of each lane the oldest.
    pub(super) fn take_request(&mut self, now: Instant, packing: Packing) -> Vec<Pack> {
        let mut request = Request { packing, packs: Vec::new(), n_entries: 0, bytes: 0 };
        let n_lanes = self.lanes.len();
        for at in 0..n_lanes {
            let lane_idx = (self.first_idx + at) % n_lanes;
            if !request.fill(lane_idx, &mut self.lanes[lane_idx], now) {
                break;
            }
        }
        self.first_idx = (self.first_idx + 1) % n_lanes;
        let taken = request.packs.iter().flat_map(|pack| &pack.entries);
        let (n_entries, n_bytes) = taken.fold((0, 0), |(n, bytes), e| (n + 1, bytes + e.bytes()));
        self.n_entries -= n_entries;
        self.n_bytes -= n_bytes;
        request.packs
    }
}

/// A request being filled.
struct Request {
    packing: Packing,
    packs: Vec<Pack>,
    n_entries: usize,
    bytes: usize,
}

impl Request {
    /// Takes what a lane may send; says whether there is room for more.
    fn fill(&mut self, lane_idx: usize, lane: &mut Lane, now: Instant) -> bool {
        if lane.not_before > now {
            return true;
        }
        // The aggregates that still have room, by their keys.
        let mut open: HashMap<Box<str>, usize> = HashMap::new();
        while let Some(entry) = lane.entries.front() {
            if self.n_entries >= self.packing.max_entries {
                return false;
            }
            let joined = open.get(entry.partition_key.as_str()).copied().and_then(|pack_idx| {
                let pack: &Pack = &self.packs[pack_idx];
                let first = if pack.entries.len() == 1 {
                    PACK_OVERHEAD_BYTES + PART_OVERHEAD_BYTES + entry.partition_key.len()
                } else {
                    0
                };
                let bytes = first + PART_OVERHEAD_BYTES + entry.data.len();
                (pack.bytes + bytes <= MAX_AGGREGATE_BYTES).then_some((pack_idx, bytes))
            });
            let (n_records, bytes) = match joined {
                Some((_, bytes)) => (0, bytes),
                None => (1, entry.bytes()),
            };
            if self.packs.len() + n_records as usize > MAX_REQUEST_RECORDS
                || self.bytes + bytes > MAX_REQUEST_BYTES
            {
                return false;
            }
            if let Some(bucket) = &mut lane.bucket
                && let Err(wait) = bucket.take(now, n_records, bytes)
            {
                lane.not_before = now + wait.max(self.packing.pause);
                return true;
            }
            let Some(entry) = lane.entries.pop_front() else { return true };
            self.n_entries += 1;
            self.bytes += bytes;
            if let Some((pack_idx, _)) = joined {
                let pack = &mut self.packs[pack_idx];
                pack.bytes += bytes;
                pack.entries.push(entry);
                continue;
            }
            if self.packing.aggregate {
                open.insert(entry.partition_key.as_str().into(), self.packs.len());
            }
            self.packs.push(Pack { lane_idx, entries: vec![entry], bytes });
        }
        true
    }
}
