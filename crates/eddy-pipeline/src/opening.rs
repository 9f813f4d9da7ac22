//! Partitions where they were: checkpoint, engine and readers put together.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use eddy_record::{PartitionId, StreamIdentity};
use eddy_stream::{ArchiveStart, Partition, PartitionState, Start, StreamError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Pipeline;
use crate::checkpoint::{Checkpoint, Journal, Merged};
use crate::delivery::Delivery;
use crate::engine::Engine;
use crate::input::Input;
use crate::merging::{MERGED, Merging};
use crate::models::{check_models, forget_models, inherit_models};
use crate::prefetch::{Prefetch, Reading};
use crate::shards::Shards;
use crate::worker::{Inflow, Rest, Stop, Worker};

/// How much earlier than this machine's time the latest records of merged shards begin.
const LATEST_SLACK_MS: i64 = 1000;

/// Opens a partition at its last commit and works on it.
pub(crate) async fn work(
    pipeline: &Pipeline,
    stream: StreamIdentity,
    partition: &Partition,
    configured: Start,
    stop: watch::Receiver<Stop>,
    run: &AtomicU64,
) -> Result<Rest, StreamError> {
    let state = pipeline.state.open(&stream.name, &partition.id).await?;
    let mut engine = open_engine(pipeline, &stream)?;
    let assignment = pipeline.source.assignment();
    let mut saved = Checkpoint::load(state.as_ref()).await?;
    if let Some(settled) = assignment.as_ref().and_then(|told| told.settled.as_ref()) {
        let known = saved.as_ref().filter(|saved| saved.stream == stream);
        let known = known.and_then(|saved| saved.position.as_ref());
        if known < Some(settled) {
            let found = known.map_or("nothing".to_owned(), |known| format!("up to {known}"));
            let problem = format!(
                "the state of {} has {found} settled and the lease says {settled}: the state was \
                 lost, is an older one, or is not where the partition's last owner kept it",
                partition.id
            );
            pipeline.on_lost_state(&problem)?;
            forget_models(state.as_ref()).await?;
            let mut afresh = Checkpoint::new(stream.clone(), None);
            afresh.run = saved.map_or(0, |saved| saved.run);
            afresh.position = Some(settled.clone());
            saved = Some(afresh);
        }
    }
    if saved.is_none() && !partition.parents.is_empty() {
        let store = pipeline.state.as_ref();
        let unfinished = inherit_models(store, &stream, partition, state.as_ref()).await?;
        // Who works on all partitions starts no child before its parents are finished.
        if assignment.is_some() && !unfinished.is_empty() {
            let problem = format!(
                "the lease of {} says that its parents have ended, and the state of {} ends before: \
                 it was lost, is an older one, or is not where the parent's last owner kept it",
                partition.id,
                unfinished.join(", ")
            );
            pipeline.on_lost_state(&problem)?;
            forget_models(state.as_ref()).await?;
        }
    }
    check_models(state.as_ref(), &engine.fingerprint(), pipeline.settings.on_unreadable_model)
        .await?;
    engine.restore(state.as_ref()).await?;

    let (mut checkpoint, start) = match saved.filter(|saved| saved.stream == stream) {
        // A fleet's coordinator may not know it yet: the reader is told to the end.
        Some(saved) if saved.finished && assignment.is_none() => {
            state.close().await?;
            return Ok(Rest::Finished);
        }
        Some(saved) => {
            let start = match (&saved.position, saved.start_ms) {
                (Some(position), _) => Start::After(position.clone()),
                (None, Some(start_ms)) => Start::AtTimestamp(start_ms),
                (None, None) => Start::TrimHorizon,
            };
            (saved, start)
        }
        None => {
            if assignment.is_none() {
                tell_of_merged(pipeline, &stream).await?;
            }
            let start_ms = match configured {
                Start::Latest => Some(pipeline.clock.now_ms()),
                Start::AtTimestamp(start_ms) => Some(start_ms),
                Start::TrimHorizon | Start::After(_) => None,
            };
            (Checkpoint::new(stream, start_ms), configured)
        }
    };
    checkpoint.run += 1;
    run.store(checkpoint.run, Ordering::Relaxed);
    let reader = pipeline.source.open(&partition.id, &start).await?;
    let input = Input::new(
        partition.id.clone(),
        pipeline.settings.order.is_per_second(),
        checkpoint.rowtime_ms,
        checkpoint.watermark.clone(),
    );
    tracing::info!(partition = %partition.id, ?start, "reading");
    let reader = match assignment {
        Some(_) => Reading::InStep(reader),
        None => Reading::Ahead(Prefetch::new(reader)),
    };
    let opened = Opened {
        inflow: Inflow::Single { reader, input },
        engine,
        state,
        checkpoint,
        journal: Journal::default(),
    };
    opened.work(pipeline, &partition.id, stop).await
}

/// Opens all shards as one partition at their last commit and works on them.
pub(crate) async fn work_merged(
    pipeline: &Pipeline,
    stream: StreamIdentity,
    partition: &Partition,
    first_listing: HashSet<PartitionId>,
    stop: watch::Receiver<Stop>,
) -> Result<Rest, StreamError> {
    let state = pipeline.state.open(&stream.name, &partition.id).await?;
    let mut engine = open_engine(pipeline, &stream)?;
    check_models(state.as_ref(), &engine.fingerprint(), pipeline.settings.on_unreadable_model)
        .await?;
    engine.restore(state.as_ref()).await?;
    let (journal, passed) = Journal::load(state.as_ref()).await?;
    let saved = Checkpoint::load(state.as_ref()).await?.filter(|saved| saved.stream == stream);
    let mut checkpoint = match saved {
        Some(saved) if saved.finished => {
            state.close().await?;
            return Ok(Rest::Finished);
        }
        Some(mut saved) => {
            let merged = saved.merged.get_or_insert_default();
            passed.iter().for_each(|passed| merged.pass(passed));
            saved
        }
        None => {
            if !pipeline.engine.merges() {
                tell_of_shards(pipeline, &stream, &first_listing).await?;
            }
            // One moment for all shards, also of a later start before their first records.
            let start_ms = match pipeline.settings.start {
                // The service's clock may be behind this one, and refuses moments to come.
                Start::Latest => Some(pipeline.clock.now_ms() - LATEST_SLACK_MS),
                Start::AtTimestamp(start_ms) => Some(start_ms),
                Start::TrimHorizon | Start::After(_) => None,
            };
            let mut checkpoint = Checkpoint::new(stream, start_ms);
            checkpoint.merged = Some(Merged::default());
            checkpoint
        }
    };
    checkpoint.run += 1;
    let source = Arc::clone(&pipeline.source);
    let shards = Shards::new(source, first_listing, checkpoint.start_ms);
    let merged = checkpoint.merged.get_or_insert_default();
    let inflow = Inflow::Merged(Box::new(Merging::open(shards, merged).await?));
    let opened = Opened { inflow, engine, state, checkpoint, journal };
    opened.work(pipeline, &partition.id, stop).await
}

/// Shards that were read one by one have positions and models of their own, which the merged order
/// does not go on with.
async fn tell_of_shards(
    pipeline: &Pipeline,
    stream: &StreamIdentity,
    shards: &HashSet<PartitionId>,
) -> Result<(), StreamError> {
    for shard in shards {
        let Some(state) = pipeline.state.view(&stream.name, shard).await? else { continue };
        if Checkpoint::load(state.as_ref()).await?.is_some_and(|saved| saved.stream == *stream) {
            tracing::warn!(
                %shard,
                "merge = true is new for a stream that was read before: reading starts where a \
                 first run does, with new models; what is known of each shard is left as it is",
            );
            return Ok(());
        }
    }
    Ok(())
}

/// The same the other way round.
async fn tell_of_merged(pipeline: &Pipeline, stream: &StreamIdentity) -> Result<(), StreamError> {
    let merged = PartitionId::new(MERGED);
    let Some(state) = pipeline.state.view(&stream.name, &merged).await? else { return Ok(()) };
    if Checkpoint::load(state.as_ref()).await?.is_some_and(|saved| saved.stream == *stream) {
        tracing::warn!(
            "merge = false is new for a stream that was read before: reading starts where a first \
             run does, with new models; what is known of the merged order is left as it is",
        );
    }
    Ok(())
}

fn open_engine(
    pipeline: &Pipeline,
    stream: &StreamIdentity,
) -> Result<Box<dyn Engine>, StreamError> {
    pipeline.engine.open(stream, &pipeline.decoder, &pipeline.schema, &pipeline.settings)
}

/// A partition at its last commit.
struct Opened {
    inflow: Inflow,
    engine: Box<dyn Engine>,
    state: Box<dyn PartitionState>,
    checkpoint: Checkpoint,
    journal: Journal,
}

impl Opened {
    async fn work(
        self,
        pipeline: &Pipeline,
        partition: &PartitionId,
        stop: watch::Receiver<Stop>,
    ) -> Result<Rest, StreamError> {
        let Self { inflow, engine, state, checkpoint, journal } = self;
        let archived = ArchiveStart {
            stream: checkpoint.stream.clone(),
            partition: partition.clone(),
            start_ms: checkpoint.start_ms,
            after: checkpoint.position.clone(),
            after_ms: checkpoint.rowtime_ms,
            run: checkpoint.run,
        };
        pipeline.counters.update_partition(partition, |_| {});
        let mut worker = Worker {
            partition: partition.clone(),
            source: Arc::clone(&pipeline.source),
            inflow,
            engine,
            delivery: Delivery::new(&pipeline.outputs, &archived, Arc::clone(&pipeline.counters)),
            state,
            checkpoint,
            journal,
            may_grow: pipeline.source.may_grow(),
            settings: pipeline.settings.clone(),
            counters: Arc::clone(&pipeline.counters),
            stop,
            last_commit: Instant::now(),
            uncommitted: 0,
        };
        // From here on the partition is known: a restart before the first record starts at this
        // moment.
        worker.commit().await?;
        worker.run().await
    }
}
