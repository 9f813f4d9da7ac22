//! Saved models as a whole: taken over from parents, checked against the settings, given up.

use eddy_detect::Detector;
use eddy_record::StreamIdentity;
use eddy_stream::{Partition, PartitionState, StateChange, StateStore, StreamError};

use crate::checkpoint::{Checkpoint, MODEL_PREFIX, fingerprint_change, load_fingerprint};
use crate::settings::OnUnreadableModel;

/// Bytes of models that are in memory at once while they are copied or given up.
const PAGE_BYTES: usize = 8 << 20;

/// Copies the models of a partition's parents into its state: of several parents all, where two
/// have one of the same key the later parent's. Returns the parents of this stream whose last
/// record was not settled when their state was last written.
///
/// A model's key is a column of the records, not the partition key that chose their shard: which of
/// the models a child will need cannot be known, so it gets all. One that is never asked for is
/// never read into memory.
pub(crate) async fn inherit_models(
    store: &dyn StateStore,
    stream: &StreamIdentity,
    partition: &Partition,
    state: &dyn PartitionState,
) -> Result<Vec<String>, StreamError> {
    let mut unfinished = Vec::new();
    for id in &partition.parents {
        let Some(parent) = store.view(&stream.name, id).await? else {
            tracing::info!(partition = %partition.id, parent = %id, "the parent has no state: nothing is taken over from it");
            continue;
        };
        let checkpoint = Checkpoint::load(parent.as_ref()).await?;
        if checkpoint.is_some_and(|parent| parent.stream == *stream && !parent.finished) {
            unfinished.push(id.as_str().to_owned());
        }
        let Some(fingerprint) = load_fingerprint(parent.as_ref()).await? else { continue };
        let fingerprint = String::from_utf8_lossy(&fingerprint).into_owned();
        let mut after = None;
        loop {
            let models = parent.page(MODEL_PREFIX, after.as_deref(), PAGE_BYTES).await?;
            let Some((last, _)) = models.last() else { break };
            after = Some(last.clone());
            let mut changes: Vec<StateChange> = models
                .into_iter()
                .map(|(key, value)| StateChange { key, value: Some(value) })
                .collect();
            changes.push(fingerprint_change(&fingerprint));
            state.commit(changes).await?;
        }
    }
    Ok(unfinished)
}

/// Models that learnt by other settings are refused or given up, as the settings say.
pub(crate) async fn check_models(
    state: &dyn PartitionState,
    detector: &Detector,
    on_unreadable: OnUnreadableModel,
) -> Result<(), StreamError> {
    let Some(saved) = load_fingerprint(state).await? else { return Ok(()) };
    if saved == detector.fingerprint().as_bytes() {
        return Ok(());
    }
    if on_unreadable == OnUnreadableModel::Refuse {
        return Err(StreamError::fatal(format!(
            "the saved models learnt by other settings: {}. Restore these, set \
             on_unreadable_model = \"restart\" to start the models afresh, or choose another state",
            String::from_utf8_lossy(&saved)
        )));
    }
    tracing::warn!(earlier = %String::from_utf8_lossy(&saved), "the detector's settings have changed: its models start afresh");
    forget_models(state).await
}

/// Removes every model.
pub(crate) async fn forget_models(state: &dyn PartitionState) -> Result<(), StreamError> {
    loop {
        let models = state.page(MODEL_PREFIX, None, PAGE_BYTES).await?;
        if models.is_empty() {
            return Ok(());
        }
        let gone = models.into_iter().map(|(key, _)| StateChange { key, value: None });
        state.commit(gone.collect()).await?;
    }
}
