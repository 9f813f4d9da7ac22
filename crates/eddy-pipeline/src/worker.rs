//! One partition from its source to its sinks: the loop at the heart of Eddy.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eddy_detect::{Detector, RestoreError};
use eddy_record::{DeadLetter, Decoder, DocumentId, PartitionId, Record, ScoredRecord, Stage};
use eddy_stream::{Batch, PartitionState, Source, StateChange, StreamError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::checkpoint::{Checkpoint, fingerprint_change, model_key};
use crate::counters::{Counters, Totals};
use crate::delivery::Delivery;
use crate::input::{Input, MAX_HELD_RECORDS, Timed, end_of, second};
use crate::outputs::Step;
use crate::prefetch::{PREFETCH_BATCHES, Reading};
use crate::settings::{OnUnreadableModel, PipelineSettings};

/// Rows and letters handed over together at most, so that a payload or a read that holds very many
/// does not make as many wait in memory. Rows ordered within their second wait for it: see `input.rs`.
const MAX_STEP_ROWS: usize = 20_000;
/// Records decoded and scored before other tasks of the thread get their turn: a few milliseconds.
const RECORDS_A_TURN: usize = 256;

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
    pub(crate) reader: Reading,
    pub(crate) input: Input,
    pub(crate) decoder: Arc<Decoder>,
    pub(crate) detector: Detector,
    pub(crate) delivery: Delivery,
    pub(crate) state: Box<dyn PartitionState>,
    // What the next commit says; the state holds an earlier one.
    pub(crate) checkpoint: Checkpoint,
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
            let quiet = batch.records.is_empty() && batch.behind_ms.is_none_or(|ms| ms == 0);
            let ready = self.take(batch).await?;
            self.process(ready).await?;
            self.commit_if_due().await?;

            // Batches read ahead may be older than the wish to drain: only reads behind them count.
            quiet_reads = if quiet && draining { quiet_reads + 1 } else { 0 };
            if quiet_reads > PREFETCH_BATCHES + 1 {
                break Rest::Stopped;
            }
        };
        if rest == Rest::Finished || *self.stop.borrow() == Stop::Drained {
            let held = self.input.finish();
            self.process(held).await?;
        }
        self.checkpoint.finished = rest == Rest::Finished && !self.may_grow;
        self.commit().await?;
        if self.checkpoint.finished {
            self.source.finished(&self.partition);
        }
        Ok(rest)
    }

    /// The next batch, or how the partition comes to rest. Meanwhile sinks answer and commits become
    /// due.
    async fn next_batch(&mut self) -> Result<Result<Batch, Rest>, StreamError> {
        if matches!(self.reader, Reading::InStep(_)) {
            // Its conversation is not broken off for an answer or a commit: it returns in time.
            self.delivery.wait_for_sinks().await?;
            return tokio::select! {
                biased;
                () = told_to_stop(&mut self.stop) => Ok(Err(Rest::Stopped)),
                batch = self.reader.next() => Ok(batch?.ok_or(Rest::Finished)),
            };
        }
        let commit_interval = Duration::from_millis(self.settings.commit_interval_ms);
        loop {
            tokio::select! {
                biased;
                () = told_to_stop(&mut self.stop) => return Ok(Err(Rest::Stopped)),
                batch = self.reader.next() => return Ok(batch?.ok_or(Rest::Finished)),
                answer = self.delivery.answer(), if self.delivery.is_waiting() => {
                    self.delivery.settle(answer?).await?;
                }
                () = tokio::time::sleep_until(self.last_commit + commit_interval), if self.uncommitted > 0 => {
                    self.commit().await?;
                }
            }
        }
    }

    /// Gives a batch's records their ROWTIME and returns those that need not wait.
    async fn take(&mut self, batch: Batch) -> Result<Vec<Timed>, StreamError> {
        let (payloads, bytes) = (batch.records.len() as u64, batch.bytes() as u64);
        self.counters.update(|totals| {
            totals.payloads += payloads;
            totals.bytes += bytes;
        });
        self.counters.update_partition(&self.partition, |status| {
            status.behind_ms = batch.behind_ms;
            status.models = self.detector.n_models();
            status.waiting_rows = self.delivery.waiting();
        });
        let mut ready = self.input.push(batch.records);
        let released = batch.watermark_ms.and_then(|ms| self.input.releases(ms));
        if let Some(watermark) = released {
            // A replay must meet the same times: the watermark is durable before what it releases.
            self.process(std::mem::take(&mut ready)).await?;
            self.checkpoint.watermark = Some(watermark.clone());
            self.commit().await?;
            ready = self.input.advance(&watermark);
        }
        Ok(ready)
    }

    /// Decodes and scores records and hands them over to the sinks' queues.
    async fn process(&mut self, records: Vec<Timed>) -> Result<(), StreamError> {
        let most_rows =
            if self.settings.order.is_per_second() { MAX_HELD_RECORDS } else { MAX_STEP_ROWS };
        let mut step = Step::default();
        let mut totals = Totals::default();
        let mut undelivered = &records[..];
        let mut n_scored = 0;
        for turn in records.chunks(RECORDS_A_TURN) {
            for timed in turn {
                self.score(timed, &mut step, &mut totals).await?;
                n_scored += 1;
                if step.rows.len() + step.letters.len() >= most_rows || self.detector.is_crowded() {
                    let (delivered, rest) = undelivered.split_at(n_scored);
                    (undelivered, n_scored) = (rest, 0);
                    let (step, totals) = (std::mem::take(&mut step), std::mem::take(&mut totals));
                    self.deliver(delivered, step, totals).await?;
                    if self.detector.is_crowded() {
                        self.commit().await?;
                    }
                }
            }
            tokio::task::yield_now().await;
        }
        self.deliver(undelivered, step, totals).await
    }

    /// Hands over what was made of `records`: the next commit waits for it.
    async fn deliver(
        &mut self,
        records: &[Timed],
        mut step: Step,
        totals: Totals,
    ) -> Result<(), StreamError> {
        let Some((position, rowtime_ms)) = end_of(records) else { return Ok(()) };
        if self.settings.order.is_per_second() {
            sort_within_seconds(&mut step, self.detector.score_idx());
        }
        if self.delivery.keeps_payloads() {
            step.payloads = records.iter().map(|timed| timed.raw.clone()).collect();
        }
        let start = Instant::now();
        self.delivery.deliver(step, totals).await?;
        self.counters.update(|sum| sum.deliver_ns += nanoseconds(start));

        self.uncommitted += records.len() as u64;
        self.checkpoint.position = Some(position);
        self.checkpoint.rowtime_ms = Some(rowtime_ms);
        // Once a record behind it is handed over, the watermark's effect is in `rowtime_ms`.
        let position = &self.checkpoint.position;
        self.checkpoint.watermark.take_if(|seen| position.as_ref() > Some(&seen.after));
        Ok(())
    }

    /// Turns one payload into rows and letters.
    async fn score(
        &mut self,
        timed: &Timed,
        step: &mut Step,
        totals: &mut Totals,
    ) -> Result<(), StreamError> {
        let mut decoded = Vec::new();
        let start = Instant::now();
        self.decoder.decode(&timed.raw.data, &mut decoded);
        totals.decode_ns += nanoseconds(start);
        totals.clamped += u64::from(timed.clamped);
        let n_letters = step.letters.len();
        if decoded.is_empty() {
            // An empty array holds no record, and still must not be silently gone.
            step.letters.push(DeadLetter {
                stream: self.checkpoint.stream.clone(),
                partition: self.partition.clone(),
                position: timed.raw.position.clone(),
                output_idx: 0,
                arrival_ms: timed.raw.arrival_ms,
                stage: Stage::Decode,
                reason: "the payload holds no record".to_owned(),
                raw: timed.raw.data.clone(),
            });
        }
        for (output_idx, record) in decoded.into_iter().enumerate() {
            let output_idx = u32::try_from(output_idx).unwrap_or(u32::MAX);
            // One payload may make very many letters: only its first carries it.
            let has_letter = step.letters.len() > n_letters;
            let payload = || if has_letter { Bytes::new() } else { timed.raw.data.clone() };
            let letter = |stage, reason: String, raw: Bytes| DeadLetter {
                stream: self.checkpoint.stream.clone(),
                partition: self.partition.clone(),
                position: timed.raw.position.clone(),
                output_idx,
                arrival_ms: timed.raw.arrival_ms,
                stage,
                reason,
                raw,
            };
            let record: Record = match record {
                Ok(record) => record,
                Err(error) => {
                    step.letters.push(letter(Stage::Decode, error.to_string(), payload()));
                    continue;
                }
            };
            let origin = letter(Stage::Deliver, String::new(), Bytes::new());
            let id = DocumentId::new(
                &self.checkpoint.stream,
                &self.partition,
                &timed.raw.position,
                output_idx,
            );
            restore_model(
                &mut self.detector,
                self.state.as_ref(),
                &record,
                self.settings.on_unreadable_model,
            )
            .await?;
            let start = Instant::now();
            let scored = self.detector.score(&record);
            totals.score_ns += nanoseconds(start);
            let scored = match scored {
                Ok(scored) => scored,
                Err(error) => {
                    step.letters.push(DeadLetter {
                        stage: Stage::Detect,
                        reason: error.to_string(),
                        raw: payload(),
                        ..origin
                    });
                    continue;
                }
            };
            match scored.score {
                None => totals.unscored += 1,
                Some(0.0) => totals.warming_up += 1,
                Some(score) => {
                    totals.scored += 1;
                    totals.anomalies += u64::from(score >= self.settings.threshold);
                }
            }
            step.rows.push(ScoredRecord {
                id,
                created_ms: timed.rowtime_ms,
                schema: Arc::clone(self.detector.output_schema()),
                values: self.detector.output_values(record, &scored, timed.rowtime_ms),
            });
            step.origins.push(origin);
        }
        Ok(())
    }

    async fn commit_if_due(&mut self) -> Result<(), StreamError> {
        let commit_interval = Duration::from_millis(self.settings.commit_interval_ms);
        let due = self.uncommitted >= self.settings.commit_records
            || self.last_commit.elapsed() >= commit_interval;
        if self.uncommitted > 0 && due { self.commit().await } else { Ok(()) }
    }

    /// Saves position and models in one write, once everything before the position is durable.
    pub(crate) async fn commit(&mut self) -> Result<(), StreamError> {
        let start = Instant::now();
        self.delivery.flush(self.checkpoint.position.as_ref()).await?;
        self.counters.update(|totals| totals.deliver_ns += nanoseconds(start));
        let start = Instant::now();
        let mut changes: Vec<StateChange> = self
            .detector
            .take_changed()
            .into_iter()
            .map(|(key, saved)| StateChange { key: model_key(&key), value: Some(saved.into()) })
            .collect();
        changes.push(fingerprint_change(&self.detector.fingerprint()));
        changes.push(self.checkpoint.change());
        self.state.commit(changes).await?;
        if let Some(position) = &self.checkpoint.position {
            self.source.committed(&self.partition, position);
        }
        self.detector.evict();
        self.counters.update_partition(&self.partition, |status| {
            status.models = self.detector.n_models();
            status.model_bytes = self.detector.size_bytes();
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
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Reads the model of a record back where it is not in memory.
async fn restore_model(
    detector: &mut Detector,
    state: &dyn PartitionState,
    record: &Record,
    on_unreadable: OnUnreadableModel,
) -> Result<(), StreamError> {
    let Some(key) = detector.absent_model(record) else { return Ok(()) };
    let Some(saved) = state.get(&model_key(&key)).await? else { return Ok(()) };
    match (detector.restore(key.clone(), &saved), on_unreadable) {
        (Ok(()), _) => Ok(()),
        (Err(error), OnUnreadableModel::Restart) => {
            tracing::warn!(?key, error = %error, "a saved model cannot be used and starts afresh");
            Ok(())
        }
        (Err(error @ RestoreError::OtherSettings), OnUnreadableModel::Refuse) => {
            Err(StreamError::fatal("cannot go on with the saved models").with_source(error))
        }
        (Err(error), OnUnreadableModel::Refuse) => Err(StreamError::fatal(
            "cannot read a saved model; restore the state or set on_unreadable_model = \"restart\"",
        )
        .with_source(error)),
    }
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
