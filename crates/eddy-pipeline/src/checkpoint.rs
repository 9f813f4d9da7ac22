//! What a partition's state says: how far it is, and by which settings its models learnt.

use bytes::Bytes;
use eddy_record::{Position, StreamIdentity};
use eddy_stream::{PartitionState, StateChange, StreamError};
use serde::{Deserialize, Serialize};

/// The version of [`Checkpoint`]'s format; older ones stay readable.
const VERSION: u32 = 1;

const CHECKPOINT: &[u8] = b"checkpoint";
const FINGERPRINT: &[u8] = b"fingerprint";
/// Before the keys of all models.
pub(crate) const MODEL_PREFIX: &[u8] = b"model/";

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
        }
    }

    pub(crate) async fn load(state: &dyn PartitionState) -> Result<Option<Self>, StreamError> {
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
    state: &dyn PartitionState,
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
