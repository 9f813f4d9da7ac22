//! A stream's partitions at work: which start, in what order, and what follows an error.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use eddy_record::{Decoder, PartitionId, Schema, StreamIdentity};
use eddy_stream::{
    Clock, ErrorKind, Partition, PartitionState, Source, Start, StateChange, StateStore,
    StreamError,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::checkpoint::Checkpoint;
use crate::counters::Counters;
use crate::engine::EngineSettings;
use crate::merging::MERGED;
use crate::opening::{work, work_merged};
use crate::outputs::Outputs;
use crate::settings::{OnLostState, PipelineSettings};
use crate::worker::{Rest, Stop, told_to_stop};

/// How often the partitions are listed again while all is well.
const LIST_INTERVAL: Duration = Duration::from_secs(30);
/// The pause before a failed partition starts again: doubled by every failure up to the longest,
/// and short again once it has worked for a while.
const RESTART_PAUSE: Duration = Duration::from_millis(250);
const WORKED_WELL: Duration = Duration::from_secs(60);
const LONGEST_RESTART_PAUSE: Duration = Duration::from_secs(30);
/// Where a stream's first listing is kept, beside its partitions' states.
const STREAM_STATE: &str = "_stream";
const FIRST_LISTING: &[u8] = b"first-listing";

/// A pipeline: what it is made of, ready to run.
pub struct Pipeline {
    /// Where records come from.
    pub source: Arc<dyn Source>,
    /// What they look like.
    pub decoder: Arc<Decoder>,
    /// The schema that the decoder decodes to.
    pub schema: Arc<Schema>,
    /// What makes rows of them.
    pub engine: EngineSettings,
    /// Where rows and dead letters go.
    pub outputs: Outputs,
    /// Where positions and models are kept.
    pub state: Arc<dyn StateStore>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The rest.
    pub settings: PipelineSettings,
    /// What has been done, for whoever wants to know.
    pub counters: Arc<Counters>,
}

impl Pipeline {
    /// Works until every partition has ended or a stop is asked for. When it returns without an
    /// error, everything read is settled and committed, but for a partition that was told to stop
    /// while it waited to start again after an error: the next run reads that again.
    ///
    /// # Errors
    /// The settings do not fit together; the source, a sink or the state failed for good.
    pub async fn run(self, stop: watch::Receiver<Stop>) -> Result<(), StreamError> {
        let start = async {
            let stream = self.source.identity().await?;
            // A fleet's coordinator says where partitions start.
            let first_listing = match self.source.assignment() {
                Some(_) => HashSet::new(),
                None => self.first_listing(&stream).await?,
            };
            Ok::<_, StreamError>((stream, first_listing))
        };
        let mut told = stop.clone();
        let (stream, first_listing) = tokio::select! {
            biased;
            started = start => started?,
            // Nothing was read: there is nothing to settle, and a stream that cannot be reached may
            // take long to say so.
            Ok(_) = told.wait_for(|stop| matches!(stop, Stop::Now | Stop::Abort)) => return Ok(()),
        };
        let pipeline = Arc::new(self);
        let mut run = Run {
            pipeline,
            stream,
            first_listing,
            stop,
            workers: JoinSet::new(),
            started: HashSet::new(),
            finished: HashSet::new(),
            resting: HashSet::new(),
            pauses: HashMap::new(),
            runs: HashMap::new(),
        };
        let mut aborted = run.stop.clone();
        let result = tokio::select! {
            biased;
            result = run.supervise() => result,
            Ok(_) = aborted.wait_for(|stop| *stop == Stop::Abort) => Err(StreamError::fatal(
                "stopped before everything that was read was settled; the rest is read again at \
                 the next start",
            )),
        };
        run.workers.shutdown().await;
        result
    }

    /// The partitions that were there when the stream was first seen: these start where the
    /// settings say, later ones at their beginning, so that a reshard loses nothing.
    async fn first_listing(
        &self,
        stream: &StreamIdentity,
    ) -> Result<HashSet<PartitionId>, StreamError> {
        let state = self.state.open(&stream.name, &PartitionId::new(STREAM_STATE)).await?;
        let listing = match load_listing(state.as_ref()).await? {
            Some((of, listing)) if of == *stream => listing,
            earlier => {
                if let Some((of, _)) = earlier {
                    tracing::info!(%stream, earlier = %of, "the stream was created anew: reading starts at its beginning, models are kept");
                }
                let listing: Vec<PartitionId> =
                    self.source.partitions().await?.into_iter().map(|p| p.id).collect();
                let value = serde_json::to_vec(&(stream, &listing)).expect("plain data");
                let change = StateChange { key: FIRST_LISTING.into(), value: Some(value.into()) };
                state.commit(vec![change]).await?;
                listing
            }
        };
        state.close().await?;
        Ok(listing.into_iter().collect())
    }

    /// Whether all shards are one partition.
    pub(crate) fn merges(&self) -> bool {
        self.settings.merge || self.engine.merges()
    }

    /// What follows a state that does not have what it should have.
    pub(crate) fn on_lost_state(&self, problem: &str) -> Result<(), StreamError> {
        if self.settings.on_lost_state == OnLostState::Refuse {
            return Err(StreamError::fatal(format!(
                "{problem}. Restore it, or set on_lost_state = \"restart\" to go on from the lease \
                 with models that start afresh"
            )));
        }
        tracing::warn!("{problem}; the models start afresh");
        Ok(())
    }
}

/// The stream that was last seen under this name.
pub(crate) async fn last_identity(
    state: &dyn StateStore,
    stream_name: &str,
) -> Result<Option<StreamIdentity>, StreamError> {
    let state = state.open(stream_name, &PartitionId::new(STREAM_STATE)).await?;
    let listing = load_listing(state.as_ref()).await?;
    state.close().await?;
    Ok(listing.map(|(stream, _)| stream))
}

async fn load_listing(
    state: &dyn PartitionState,
) -> Result<Option<(StreamIdentity, Vec<PartitionId>)>, StreamError> {
    let saved = state.get(FIRST_LISTING).await?;
    Ok(saved.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// A partition that came to rest, or failed, and when it had started.
type Ended = (Partition, Instant, Result<Rest, StreamError>);

/// A pipeline at work.
struct Run {
    pipeline: Arc<Pipeline>,
    stream: StreamIdentity,
    first_listing: HashSet<PartitionId>,
    stop: watch::Receiver<Stop>,
    workers: JoinSet<Ended>,
    // At work, or waiting to start again.
    started: HashSet<PartitionId>,
    finished: HashSet<PartitionId>,
    // Drained or told to stop, not at their end: their children do not start.
    resting: HashSet<PartitionId>,
    pauses: HashMap<PartitionId, Duration>,
    // As which of its owners this process last opened a partition; 0 before the first time.
    runs: HashMap<PartitionId, Arc<AtomicU64>>,
}

impl Run {
    /// The partitions of the stream; all of them as one where the engine wants that.
    async fn partitions(&self) -> Result<Vec<Partition>, StreamError> {
        if self.pipeline.merges() {
            return Ok(vec![Partition { id: PartitionId::new(MERGED), parents: Vec::new() }]);
        }
        self.pipeline.source.partitions().await
    }

    async fn supervise(&mut self) -> Result<(), StreamError> {
        loop {
            let stopping = *self.stop.borrow() == Stop::Now;
            let mut told = self.stop.clone();
            let all_finished = stopping
                || tokio::select! {
                    biased;
                    all_finished = self.start_ready() => all_finished?,
                    () = told_to_stop(&mut told) => continue,
                };
            if self.workers.is_empty() && all_finished {
                return Ok(());
            }
            tokio::select! {
                biased;
                ended = self.workers.join_next(), if !self.workers.is_empty() => match ended {
                    Some(Ok(ended)) => self.ended(ended)?,
                    Some(Err(panic)) => return Err(StreamError::fatal("a partition's worker panicked").with_source(panic)),
                    None => {}
                },
                () = tokio::time::sleep(LIST_INTERVAL), if !stopping => {}
                Ok(()) = self.stop.changed() => {}
            }
        }
    }

    /// Starts every partition whose parents are finished; says whether all are finished.
    async fn start_ready(&mut self) -> Result<bool, StreamError> {
        let listed = match self.partitions().await {
            Ok(listed) => listed,
            Err(error) if error.kind() == ErrorKind::Retry && self.has_begun() => {
                tracing::warn!(error = %error, "cannot list the partitions; trying again later");
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let ids: HashSet<&PartitionId> = listed.iter().map(|partition| &partition.id).collect();
        let mut all_finished = true;
        for partition in &listed {
            let rests = |id| self.resting.contains(id);
            let done = self.finished.contains(&partition.id) || rests(&partition.id);
            if done || partition.parents.iter().any(rests) {
                continue;
            }
            all_finished = false;
            let waits = partition
                .parents
                .iter()
                .any(|parent| ids.contains(parent) && !self.finished.contains(parent));
            if !waits && self.started.insert(partition.id.clone()) {
                self.spawn(partition.clone(), Duration::ZERO);
            }
        }
        Ok(all_finished)
    }

    fn has_begun(&self) -> bool {
        !self.started.is_empty() || !self.finished.is_empty()
    }

    fn spawn(&mut self, partition: Partition, pause: Duration) {
        let pipeline = Arc::clone(&self.pipeline);
        let stream = self.stream.clone();
        let run = Arc::clone(self.runs.entry(partition.id.clone()).or_default());
        let start = if self.first_listing.contains(&partition.id) {
            pipeline.settings.start.clone()
        } else {
            Start::TrimHorizon
        };
        let first_listing = self.first_listing.clone();
        let mut stop = self.stop.clone();
        self.workers.spawn(async move {
            if !pause.is_zero()
                && tokio::time::timeout(pause, told_to_stop(&mut stop)).await.is_ok()
            {
                return (partition, Instant::now(), Ok(Rest::Stopped));
            }
            let start_of_work = Instant::now();
            let worked = if let Err(error) = still_owns(&pipeline, &stream, &partition, &run).await
            {
                Err(error)
            } else if pipeline.merges() {
                work_merged(&pipeline, stream, &partition, first_listing, stop).await
            } else {
                work(&pipeline, stream, &partition, start, stop, &run).await
            };
            (partition, start_of_work, worked)
        });
    }

    fn ended(&mut self, (partition, start, worked): Ended) -> Result<(), StreamError> {
        match worked {
            Ok(Rest::Finished) => {
                tracing::info!(partition = %partition.id, "the partition has ended and is settled");
                self.started.remove(&partition.id);
                self.finished.insert(partition.id);
                Ok(())
            }
            Ok(Rest::Stopped) => {
                self.started.remove(&partition.id);
                self.resting.insert(partition.id);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Retry && *self.stop.borrow() != Stop::Now => {
                if start.elapsed() > WORKED_WELL {
                    self.pauses.remove(&partition.id);
                }
                let pause = self.pauses.entry(partition.id.clone()).or_insert(RESTART_PAUSE);
                let now = *pause;
                *pause = (now * 2).min(LONGEST_RESTART_PAUSE);
                self.pipeline.counters.update(|totals| totals.restarts += 1);
                tracing::warn!(
                    partition = %partition.id, error = &error as &dyn std::error::Error,
                    pause = ?now, "starting again at the last commit",
                );
                self.spawn(partition, now);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether a partition that this process has worked on is still its own. To open its state would
/// shut out the owner that a fleet's coordinator has given it to since, which nobody has told this
/// process of: while it starts again it hears nothing.
async fn still_owns(
    pipeline: &Pipeline,
    stream: &StreamIdentity,
    partition: &Partition,
    run: &AtomicU64,
) -> Result<(), StreamError> {
    let run = run.load(Ordering::Relaxed);
    if run == 0 || pipeline.source.assignment().is_none() {
        return Ok(());
    }
    let Some(state) = pipeline.state.view(&stream.name, &partition.id).await? else {
        return Ok(());
    };
    let saved = Checkpoint::load(state.as_ref()).await?;
    if saved.is_some_and(|saved| saved.run > run) {
        return Err(StreamError::new(
            ErrorKind::Lost,
            "another process has opened the partition's state",
        ));
    }
    Ok(())
}
