//! What a partition's state says: how far it is, and by which settings its models learnt.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use eddy_record::{PartitionId, Position, StreamIdentity};
use eddy_stream::{StateChange, StateView, StreamError};
use serde::{Deserialize, Serialize};

use crate::input::Timed;
use crate::merge::{Mark, Passed};

/// The version of [`Checkpoint`]'s format; older ones stay readable.
const VERSION: u32 = 1;

/// Bytes of the journal that are read at once.
const JOURNAL_PAGE_BYTES: usize = 1 << 20;

const CHECKPOINT: &[u8] = b"checkpoint";
const FINGERPRINT: &[u8] = b"fingerprint";
/// Before the keys of what passed since the last commit, in order.
const JOURNAL_PREFIX: &[u8] = b"passed/";
/// Before the keys of all models.
pub(crate) const MODEL_PREFIX: &[u8] = b"model/";
/// The snapshot of an SQL application, with the models given up where these are.
#[cfg(feature = "sql")]
pub(crate) const APPLICATION_KEY: &[u8] = b"model/application";

/// How far a partition is: everything up to `position` is durable in every sink or is a dead
/// letter, and the models saved beside it have learnt exactly that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) version: u32,
    /// The stream that `position` belongs to.
    pub(crate) stream: StreamIdentity,
    /// The last record settled; `None` before the first.
    pub(crate) position: Option<Position>,
    /// Where reading starts while `position` is `None`: milliseconds since the epoch, or `None` for
    /// the oldest record.
    pub(crate) start_ms: Option<i64>,
    /// The ROWTIME of the last record settled.
    pub(crate) rowtime_ms: Option<i64>,
    /// A watermark that has released rows, and the last record before it.
    pub(crate) watermark: Option<Watermark>,
    /// Whether the partition has ended and everything in it is settled.
    pub(crate) finished: bool,
    /// Counts the partition's owners: what one of them leaves undone another can tell from its own.
    #[serde(default)]
    pub(crate) run: u64,
    /// The shards that are merged here; `position` then counts their records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) merged: Option<Merged>,
    /// Whether what waited at the input's end has left, with nothing read since.
    #[serde(default)]
    pub(crate) closed: bool,
}

/// How far shards are that are merged into one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Merged {
    /// Records settled.
    pub(crate) n_records: u64,
    pub(crate) shards: BTreeMap<PartitionId, ShardProgress>,
    /// The time of the last record or watermark settled.
    pub(crate) now_ms: Option<i64>,
    /// Watermarks behind it.
    pub(crate) watermarks: BTreeSet<i64>,
    /// Marks of shards that are not known yet.
    pub(crate) early: BTreeMap<PartitionId, VecDeque<Mark>>,
}

/// How far one of them is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardProgress {
    /// The last record settled; `None` before the first.
    pub(crate) position: Option<Position>,
    /// Where reading starts while `position` is `None`: milliseconds since the epoch, or `None` for
    /// the oldest record.
    pub(crate) start_ms: Option<i64>,
    /// The time before which no later record counts as having arrived.
    pub(crate) clock_ms: Option<i64>,
    /// What is known of its time behind `position`.
    pub(crate) marks: VecDeque<Mark>,
    /// Whether it has ended and everything in it is settled.
    pub(crate) finished: bool,
}

impl ShardProgress {
    fn pass_by(&mut self, ms: i64) {
        self.clock_ms = self.clock_ms.max(Some(ms));
    }

    fn take_marks(&mut self) {
        while let Some(mark) = self.marks.pop_front_if(|mark| mark.after <= self.position) {
            self.pass_by(mark.ms);
        }
    }
}

impl Merged {
    /// Adds a shard that was not known, unless it is.
    pub(crate) fn add(&mut self, id: &PartitionId, start_ms: Option<i64>, clock_ms: Option<i64>) {
        let early = &mut self.early;
        self.shards.entry(id.clone()).or_insert_with(|| {
            let marks = early.remove(id).unwrap_or_default();
            let mut progress =
                ShardProgress { start_ms, clock_ms, marks, ..ShardProgress::default() };
            progress.take_marks();
            progress
        });
    }

    /// Records are settled.
    pub(crate) fn settle(&mut self, records: &[Timed]) {
        for timed in records {
            let Some(shard) = self.shards.get_mut(&timed.partition) else { continue };
            shard.position = Some(timed.raw.position.clone());
            shard.pass_by(timed.rowtime_ms);
            shard.take_marks();
        }
        self.n_records += records.len() as u64;
        if let Some(last) = records.last() {
            self.now_ms = Some(last.rowtime_ms);
            self.watermarks.retain(|waiting| *waiting > last.rowtime_ms);
        }
    }

    /// Time has passed, and that is durable.
    pub(crate) fn pass(&mut self, passed: &Passed) {
        for (id, mark) in &passed.marks {
            match self.shards.get_mut(id) {
                Some(shard) => {
                    shard.marks.push_back(mark.clone());
                    shard.take_marks();
                }
                None => self.early.entry(id.clone()).or_default().push_back(mark.clone()),
            }
        }
        self.watermarks.extend(passed.watermark_ms);
    }

    /// A watermark is settled.
    pub(crate) fn settle_watermark(&mut self, watermark_ms: i64) {
        self.watermarks.retain(|waiting| *waiting > watermark_ms);
        self.now_ms = Some(watermark_ms);
    }
}

/// What has passed since the last commit of everything: small, so that it can be durable at once.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    next: u64,
    keys: Vec<Bytes>,
}

impl Journal {
    /// Reads what an earlier run has left.
    pub(crate) async fn load(
        state: &(impl StateView + ?Sized),
    ) -> Result<(Self, Vec<Passed>), StreamError> {
        let (mut journal, mut all) = (Self::default(), Vec::new());
        let mut after: Option<Bytes> = None;
        loop {
            let page = state.page(JOURNAL_PREFIX, after.as_deref(), JOURNAL_PAGE_BYTES).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, value) in page {
                let passed = serde_json::from_slice(&value).map_err(|error| {
                    StreamError::fatal("the saved watermarks cannot be read; restore the state")
                        .with_source(error)
                })?;
                all.push(passed);
                let digits = std::str::from_utf8(&key[JOURNAL_PREFIX.len()..]).unwrap_or_default();
                journal.next = digits.parse::<u64>().map_or(journal.next, |number| number + 1);
                journal.keys.push(key);
            }
        }
        Ok((journal, all))
    }

    /// One entry more.
    pub(crate) fn append(&mut self, passed: &Passed) -> StateChange {
        let key: Bytes = [JOURNAL_PREFIX, format!("{:020}", self.next).as_bytes()].concat().into();
        self.next += 1;
        self.keys.push(key.clone());
        let value = serde_json::to_vec(passed).expect("what passed is plain data");
        StateChange { key, value: Some(value.into()) }
    }

    /// The checkpoint says it all: no entry is needed any more.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = StateChange> {
        self.keys.drain(..).map(|key| StateChange { key, value: None })
    }
}

/// A moment that a quiet partition has passed: ROWTIMEs behind `after` are not before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watermark {
    pub(crate) ms: i64,
    pub(crate) after: Position,
}

impl Checkpoint {
    pub(crate) fn new(stream: StreamIdentity, start_ms: Option<i64>) -> Self {
        Self {
            version: VERSION,
            stream,
            position: None,
            start_ms,
            rowtime_ms: None,
            watermark: None,
            finished: false,
            run: 0,
            merged: None,
            closed: false,
        }
    }

    pub(crate) async fn load(
        state: &(impl StateView + ?Sized),
    ) -> Result<Option<Self>, StreamError> {
        let Some(bytes) = state.get(CHECKPOINT).await? else { return Ok(None) };
        let checkpoint: Self = serde_json::from_slice(&bytes).map_err(|error| {
            StreamError::fatal("the saved position cannot be read; restore the state or remove it")
                .with_source(error)
        })?;
        if checkpoint.version > VERSION {
            return Err(StreamError::fatal(format!(
                "the state has version {} and this program reads up to {VERSION}: use a newer one",
                checkpoint.version
            )));
        }
        Ok(Some(checkpoint))
    }

    pub(crate) fn change(&self) -> StateChange {
        let bytes = serde_json::to_vec(self).expect("a checkpoint is plain data");
        StateChange { key: Bytes::from_static(CHECKPOINT), value: Some(bytes.into()) }
    }
}

/// The fingerprint of the detector whose models are saved.
pub(crate) async fn load_fingerprint(
    state: &(impl StateView + ?Sized),
) -> Result<Option<Bytes>, StreamError> {
    state.get(FINGERPRINT).await
}

pub(crate) fn fingerprint_change(fingerprint: &str) -> StateChange {
    let value = Some(Bytes::copy_from_slice(fingerprint.as_bytes()));
    StateChange { key: Bytes::from_static(FINGERPRINT), value }
}

pub(crate) fn model_key(key: &eddy_detect::ModelKey) -> Bytes {
    [MODEL_PREFIX, &key.to_bytes()].concat().into()
}
