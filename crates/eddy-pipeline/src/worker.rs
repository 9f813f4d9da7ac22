//! One partition from its source to its sinks: the loop at the heart of Eddy.

use std::sync::Arc;
use std::time::Duration;

use eddy_record::{PartitionId, Position, ScoredRecord};
use eddy_stream::{Batch, PartitionState, Source, StreamError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::checkpoint::{Checkpoint, Journal, fingerprint_change};
use crate::counters::Counters;
use crate::delivery::Delivery;
use crate::engine::{Engine, Made};
use crate::input::{Input, MAX_HELD_RECORDS, Timed, end_of, second};
use crate::merging::{HOLDER_INTERVAL, Merging};
use crate::outputs::Step;
use crate::prefetch::{PREFETCH_BATCHES, Reading};
use crate::settings::PipelineSettings;
use crate::shards::Read;

/// Rows and letters handed over together at most, so that a payload or a read that holds very many
/// does not make as many wait in memory. Rows ordered within their second wait for it: see `input.rs`.
const MAX_STEP_ROWS: usize = 20_000;

/// How a pipeline is asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// Not yet.
    #[default]
    No,
    /// When everything that the stream holds is settled.
    Drained,
    /// When what has been read is settled.
    Now,
    /// At once: what is not committed will be read again.
    Abort,
}

/// How a partition came to rest, everything read so far being settled and committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Its last record is settled: children may start.
    Finished,
    /// It was asked to stop.
    Stopped,
}

/// Where a worker's records come from.
pub(crate) enum Inflow {
    /// One partition.
    Single {
        /// Its reader.
        reader: Reading,
        /// What gives its records their times.
        input: Input,
    },
    /// All shards as one partition.
    Merged(Box<Merging>),
}

/// Returns when told to stop; never where nobody is left who could tell.
pub(crate) async fn told_to_stop(stop: &mut watch::Receiver<Stop>) {
    if stop.wait_for(|stop| *stop == Stop::Now).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A partition being worked on.
pub(crate) struct Worker {
    pub(crate) partition: PartitionId,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) inflow: Inflow,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) delivery: Delivery,
    pub(crate) state: Box<dyn PartitionState>,
    // What the next commit says; the state holds an earlier one.
    pub(crate) checkpoint: Checkpoint,
    // What the state holds beside its checkpoint of what has passed since.
    pub(crate) journal: Journal,
    // Whether the partition's end is only the end of this run.
    pub(crate) may_grow: bool,
    pub(crate) settings: PipelineSettings,
    pub(crate) counters: Arc<Counters>,
    pub(crate) stop: watch::Receiver<Stop>,
    pub(crate) last_commit: Instant,
    pub(crate) uncommitted: u64,
}

impl Worker {
    /// Works until the partition ends or a stop is asked for. When it returns, no write is under way.
    pub(crate) async fn run(mut self) -> Result<Rest, StreamError> {
        let worked = self.work().await;
        self.delivery.stop().await;
        let rest = worked?;
        self.counters.remove_partition(&self.partition);
        for shard in self.checkpoint.merged.iter().flat_map(|merged| merged.shards.keys()) {
            self.counters.remove_partition(shard);
        }
        self.state.close().await?;
        Ok(rest)
    }

    /// Takes batches: decode, score, hand over, commit.
    async fn work(&mut self) -> Result<Rest, StreamError> {
        let mut quiet_reads = 0;
        let rest = loop {
            let draining = *self.stop.borrow() == Stop::Drained;
            let batch = match self.next_batch().await? {
                Ok(batch) => batch,
                Err(rest) => break rest,
            };
            let quiet = is_quiet(&batch);
            let ready = self.take(batch).await?;
            self.process(ready).await?;
            self.commit_if_due().await?;

            // Batches read ahead may be older than the wish to drain: only reads behind them count.
            quiet_reads = if quiet && draining { quiet_reads + 1 } else { 0 };
            let at_rest = match &mut self.inflow {
                Inflow::Single { .. } => quiet_reads > PREFETCH_BATCHES + 1,
                Inflow::Merged(merging) => draining && merging.is_drained(),
            };
            if at_rest {
                break Rest::Stopped;
            }
        };
        if let Inflow::Single { input, .. } = &mut self.inflow
            && (rest == Rest::Finished || *self.stop.borrow() == Stop::Drained)
        {
            let held = input.finish();
            self.process(held).await?;
        }
        if rest == Rest::Finished && self.engine.holds_rows() && !self.checkpoint.closed {
            self.finish().await?;
        } else {
            self.checkpoint.finished = rest == Rest::Finished && !self.may_grow;
            self.commit().await?;
        }
        if self.checkpoint.finished {
            self.source.finished(&self.partition);
        }
        Ok(rest)
    }

    /// The input has ended: what waits leaves. The engine is saved as it was before, for the input
    /// may grow until the next run; the rows have the same ids then.
    async fn finish(&mut self) -> Result<(), StreamError> {
        self.commit().await?;
        let mut made = Made::default();
        self.engine.finish(&mut made)?;
        self.drain(&mut made).await?;
        self.hand_over(made).await?;
        self.delivery.flush(self.checkpoint.position.as_ref()).await?;
        self.checkpoint.closed = true;
        self.checkpoint.finished = !self.may_grow;
        self.state.commit(vec![self.checkpoint.change()]).await?;
        self.counters.update(|totals| totals.commits += 1);
        Ok(())
    }

    /// The next batch, or how the partition comes to rest. Meanwhile sinks answer and commits become
    /// due.
    async fn next_batch(&mut self) -> Result<Result<Read, Rest>, StreamError> {
        if let Inflow::Single { reader: reader @ Reading::InStep(_), .. } = &mut self.inflow {
            // Its conversation is not broken off for an answer or a commit: it returns in time.
            self.delivery.wait_for_sinks().await?;
            let batch = tokio::select! {
                biased;
                () = told_to_stop(&mut self.stop) => return Ok(Err(Rest::Stopped)),
                batch = reader.next() => batch?,
            };
            let batch = batch.map(|batch| (self.partition.clone(), Some(batch)));
            return Ok(batch.ok_or(Rest::Finished));
        }
        let commit_interval = Duration::from_millis(self.settings.commit_interval_ms);
        loop {
            let merges = matches!(self.inflow, Inflow::Merged(_));
            tokio::select! {
                biased;
                () = told_to_stop(&mut self.stop) => return Ok(Err(Rest::Stopped)),
                batch = next_of(&mut self.inflow, &self.partition) => {
                    return Ok(batch?.ok_or(Rest::Finished));
                }
                answer = self.delivery.answer(), if self.delivery.is_waiting() => {
                    self.delivery.settle(answer?).await?;
                }
                () = tokio::time::sleep_until(self.last_commit + commit_interval), if self.uncommitted > 0 => {
                    self.commit().await?;
                }
                () = tokio::time::sleep(HOLDER_INTERVAL), if merges => self.note_holder(),
            }
        }
    }

    /// Gives a batch's records their ROWTIME and returns those that need not wait.
    async fn take(&mut self, (shard, batch): Read) -> Result<Vec<Timed>, StreamError> {
        if let Some(batch) = &batch {
            self.count(&shard, batch);
        }
        let Inflow::Single { input, .. } = &mut self.inflow else {
            return self.take_merged((shard, batch)).await;
        };
        let Some(batch) = batch else { return Ok(Vec::new()) };
        let mut ready = input.push(batch.records);
        let released = batch.watermark_ms.and_then(|ms| input.releases(ms));
        if let Some(watermark) = released {
            // A replay must meet the same times: the watermark is durable before what it releases.
            self.process(std::mem::take(&mut ready)).await?;
            self.checkpoint.watermark = Some(watermark.clone());
            self.commit().await?;
            if let Inflow::Single { input, .. } = &mut self.inflow {
                ready = input.advance(&watermark);
            }
        }
        Ok(ready)
    }

    fn count(&self, shard: &PartitionId, batch: &Batch) {
        let (payloads, bytes) = (batch.records.len() as u64, batch.bytes() as u64);
        self.counters.update(|totals| {
            totals.payloads += payloads;
            totals.bytes += bytes;
        });
        self.counters.update_partition(shard, |status| status.behind_ms = batch.behind_ms);
        self.counters.update_partition(&self.partition, |status| {
            status.models = self.engine.n_models();
            status.waiting_rows = self.delivery.waiting();
        });
    }

    /// Has rows made of records and hands them over to the sinks' queues.
    pub(crate) async fn process(&mut self, records: Vec<Timed>) -> Result<(), StreamError> {
        let most_rows =
            if self.settings.order.is_per_second() { MAX_HELD_RECORDS } else { MAX_STEP_ROWS };
        let mut made = Made::default();
        let mut undelivered = &records[..];
        let mut n_taken = 0;
        for turn in records.chunks(self.engine.records_a_turn()) {
            for timed in turn {
                self.engine.take(timed, self.state.as_ref(), &mut made).await?;
                n_taken += 1;
                if made.len() >= most_rows || self.engine.is_crowded() {
                    self.engine.end_turn(&mut made)?;
                    self.drain(&mut made).await?;
                    let (delivered, rest) = undelivered.split_at(n_taken);
                    (undelivered, n_taken) = (rest, 0);
                    self.deliver(delivered, std::mem::take(&mut made)).await?;
                    if self.engine.is_crowded() {
                        self.commit().await?;
                    }
                }
            }
            self.engine.end_turn(&mut made)?;
            self.drain(&mut made).await?;
            tokio::task::yield_now().await;
        }
        self.deliver(undelivered, made).await
    }

    /// Has everything leave that the engine has let go. Steps stay bounded and other tasks get their
    /// turns; the position stays where it is, so that no commit falls between the parts. Says whether
    /// something was handed over.
    pub(crate) async fn drain(&mut self, made: &mut Made) -> Result<bool, StreamError> {
        let mut handed_over = false;
        while self.engine.more(made)? {
            if made.len() >= MAX_STEP_ROWS {
                self.hand_over(std::mem::take(made)).await?;
                handed_over = true;
            }
            tokio::task::yield_now().await;
        }
        Ok(handed_over)
    }

    /// Hands over what was made of `records`: the next commit waits for it.
    async fn deliver(&mut self, records: &[Timed], mut made: Made) -> Result<(), StreamError> {
        let Some((position, rowtime_ms)) = end_of(records) else { return Ok(()) };
        if self.settings.order.is_per_second()
            && let Some(score_idx) = self.engine.score_idx()
        {
            sort_within_seconds(&mut made.step, score_idx);
        }
        if self.delivery.keeps_payloads() {
            made.step.payloads = records.iter().map(|timed| timed.raw.clone()).collect();
        }
        self.hand_over(made).await?;

        self.uncommitted += records.len() as u64;
        self.checkpoint.closed = false;
        self.checkpoint.rowtime_ms = Some(rowtime_ms);
        if let Some(merged) = &mut self.checkpoint.merged {
            merged.settle(records);
            self.checkpoint.position = Some(Position::new(merged.n_records.into()));
            return Ok(());
        }
        self.checkpoint.position = Some(position);
        // Once a record behind it is handed over, the watermark's effect is in `rowtime_ms`.
        let position = &self.checkpoint.position;
        self.checkpoint.watermark.take_if(|seen| position.as_ref() > Some(&seen.after));
        Ok(())
    }

    /// Gives rows to the sinks' queues.
    pub(crate) async fn hand_over(&mut self, made: Made) -> Result<(), StreamError> {
        let start = Instant::now();
        self.delivery.deliver(made.step, made.totals).await?;
        self.counters.update(|sum| sum.deliver_ns += nanoseconds(start));
        Ok(())
    }

    async fn commit_if_due(&mut self) -> Result<(), StreamError> {
        let commit_interval = Duration::from_millis(self.settings.commit_interval_ms);
        let due = self.uncommitted >= self.settings.commit_records
            || self.last_commit.elapsed() >= commit_interval;
        if self.uncommitted > 0 && due { self.commit().await } else { Ok(()) }
    }

    /// Saves positions and the engine in one write, once everything before the positions is durable.
    pub(crate) async fn commit(&mut self) -> Result<(), StreamError> {
        let start = Instant::now();
        self.delivery.flush(self.checkpoint.position.as_ref()).await?;
        self.counters.update(|totals| totals.deliver_ns += nanoseconds(start));
        let start = Instant::now();
        let mut changes = self.engine.changes()?;
        changes.push(fingerprint_change(&self.engine.fingerprint()));
        changes.push(self.checkpoint.change());
        changes.extend(self.journal.clear());
        self.state.commit(changes).await?;
        self.tell_committed();
        self.engine.saved();
        self.counters.update_partition(&self.partition, |status| {
            status.models = self.engine.n_models();
            status.model_bytes = self.engine.size_bytes();
            status.settled = self.checkpoint.position.clone();
            status.waiting_rows = self.delivery.waiting();
        });
        self.counters.update(|totals| {
            totals.commits += 1;
            totals.commit_ns += nanoseconds(start);
        });
        self.uncommitted = 0;
        self.last_commit = Instant::now();
        Ok(())
    }

    /// Whoever else keeps count of positions is told.
    fn tell_committed(&self) {
        let Some(merged) = &self.checkpoint.merged else {
            if let Some(position) = &self.checkpoint.position {
                self.source.committed(&self.partition, position);
            }
            return;
        };
        for (shard, progress) in &merged.shards {
            let Some(position) = &progress.position else { continue };
            self.source.committed(shard, position);
            self.counters.update_partition(shard, |it| it.settled = Some(position.clone()));
        }
    }
}

/// Whether a read found its shard at rest.
fn is_quiet((_, batch): &Read) -> bool {
    batch.as_ref().is_none_or(|it| it.records.is_empty() && it.behind_ms.is_none_or(|ms| ms == 0))
}

/// The next batch of whichever shard.
async fn next_of(
    inflow: &mut Inflow,
    partition: &PartitionId,
) -> Result<Option<Read>, StreamError> {
    match inflow {
        Inflow::Single { reader, .. } => {
            Ok(reader.next().await?.map(|batch| (partition.clone(), Some(batch))))
        }
        Inflow::Merged(merging) => merging.next().await,
    }
}

pub(crate) fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Orders rows by descending score within each second, rows of one score as they came.
fn sort_within_seconds(step: &mut Step, score_idx: usize) {
    let score = |row: &ScoredRecord| row.values[score_idx].as_f64().unwrap_or(f64::NEG_INFINITY);
    let mut paired: Vec<_> = step.rows.drain(..).zip(step.origins.drain(..)).collect();
    paired.sort_by(|(a, _), (b, _)| {
        second(a.created_ms).cmp(&second(b.created_ms)).then(score(b).total_cmp(&score(a)))
    });
    (step.rows, step.origins) = paired.into_iter().unzip();
}
