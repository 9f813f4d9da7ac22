//! Saved models as a whole: taken over from parents, checked against the settings, given up.

use eddy_record::StreamIdentity;
use eddy_stream::{Partition, PartitionState, StateChange, StateStore, StreamError};

use crate::checkpoint::{Checkpoint, MODEL_PREFIX, fingerprint_change, load_fingerprint};
use crate::settings::OnUnreadableModel;

/// What the fingerprint of an SQL application begins with.
pub(crate) const APPLICATION: &str = "SQL application ";
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

/// What was saved by other settings is refused or given up, as the settings say.
pub(crate) async fn check_models(
    state: &dyn PartitionState,
    fingerprint: &str,
    on_unreadable: OnUnreadableModel,
) -> Result<(), StreamError> {
    let Some(saved) = load_fingerprint(state).await? else { return Ok(()) };
    if saved == fingerprint {
        return Ok(());
    }
    let saved = String::from_utf8_lossy(&saved);
    let is_application = fingerprint.starts_with(APPLICATION);
    if on_unreadable == OnUnreadableModel::Refuse {
        let (whose, of_what) = if is_application {
            (
                "the saved windows, sorts and forests are of another application, or of this one with \
              another text, schema, seed or other outputs",
                "them",
            )
        } else {
            ("the saved models learnt by other settings", "the models")
        };
        return Err(StreamError::fatal(format!(
            "{whose}: {saved}. Restore these, set on_unreadable_model = \"restart\" in [pipeline] \
             to start {of_what} afresh where reading stopped, or choose another state"
        )));
    }
    let what = if is_application {
        "application has changed: its windows, sorts and forests start"
    } else {
        "detector's settings have changed: its models start"
    };
    tracing::warn!(earlier = %saved, "the {what} afresh");
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
