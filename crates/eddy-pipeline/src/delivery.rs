//! One partition's rows on their way: a queue to each destination, all empty before a commit.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use eddy_record::{DeadLetter, Position};
use eddy_stream::{ArchiveStart, DeadLetterSink, StreamError};
use futures::future::try_join_all;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::counters::{Counters, Totals};
use crate::outputs::{Outputs, Routes, Step};
use crate::queue::{Part, Queue, Report, queue};

/// Letters written at once: each may carry a whole payload.
const MAX_LETTERS_A_WRITE: usize = 100;

/// What a partition has handed over and what has become of it. Dropping it stops all writes.
pub(crate) struct Delivery {
    // To the sinks, then to the archives.
    queues: Vec<Queue>,
    n_sinks: usize,
    tasks: JoinSet<Result<(), StreamError>>,
    reports: mpsc::UnboundedReceiver<Report>,
    keeps_payloads: bool,
    routes: Routes,
    dead_letters: Arc<dyn DeadLetterSink>,
    counters: Arc<Counters>,
    unsettled: VecDeque<Unsettled>,
    last_step: u64,
}

/// A step that not every destination has done with. Its rows are in the queues; what is kept here
/// of each row goes when all sinks have answered, so the queues bound that too.
struct Unsettled {
    step: u64,
    totals: Totals,
    n_rows: usize,
    origins: Vec<DeadLetter>,
    refused: BTreeMap<usize, (String, Bytes)>,
}

impl Delivery {
    /// Queues behind a partition's last commit.
    pub(crate) fn new(outputs: &Outputs, from: &ArchiveStart, counters: Arc<Counters>) -> Self {
        let (sender, reports) = mpsc::unbounded_channel();
        let mut queues = Vec::new();
        let mut tasks = JoinSet::new();
        for sink in &outputs.sinks {
            let (queue, end) = queue(queues.len(), sink.name(), false, &sender);
            queues.push(queue);
            tasks.spawn(end.write_to_sink(Arc::clone(sink)));
        }
        for archive in &outputs.archives {
            let (queue, end) =
                queue(queues.len(), archive.name(), archive.keeps_payloads(), &sender);
            queues.push(queue);
            tasks.spawn(end.write_to_archive(archive.open(from)));
        }
        Self {
            queues,
            n_sinks: outputs.sinks.len(),
            tasks,
            reports,
            keeps_payloads: outputs.keeps_payloads(),
            routes: outputs.routes.clone(),
            dead_letters: Arc::clone(&outputs.dead_letters),
            counters,
            unsettled: VecDeque::new(),
            last_step: 0,
        }
    }

    /// Whether steps need their payloads.
    pub(crate) fn keeps_payloads(&self) -> bool {
        self.keeps_payloads
    }

    /// Writes the letters of a step and hands its rows over; waits where a queue is full. The
    /// `totals` of the step count when its last row is durable everywhere.
    pub(crate) async fn deliver(&mut self, step: Step, totals: Totals) -> Result<(), StreamError> {
        if !self.routes.are_needed() {
            return self.deliver_to(None, step, totals).await;
        }
        let mut totals = Some(totals);
        for (stream, step) in step.by_stream() {
            let totals = totals.take().unwrap_or_default();
            self.deliver_to(stream.as_deref(), step, totals).await?;
        }
        Ok(())
    }

    /// The same for rows that only those get who want their stream.
    async fn deliver_to(
        &mut self,
        stream: Option<&str>,
        mut step: Step,
        mut totals: Totals,
    ) -> Result<(), StreamError> {
        let mut queues = self.queues.iter().enumerate();
        let routes = &self.routes;
        let wants_rows =
            queues.any(|(idx, queue)| !queue.keeps_payloads && routes.take(idx, stream));
        if stream.is_some() && !wants_rows {
            totals.unrouted += step.rows.len() as u64;
            (step.rows, step.origins) = Default::default();
        }
        self.write_letters(&step.letters).await?;
        self.last_step += 1;
        self.unsettled.push_back(Unsettled {
            step: self.last_step,
            totals,
            n_rows: step.rows.len(),
            origins: step.origins,
            refused: BTreeMap::new(),
        });
        let rows = Part::Rows(Arc::new(step.rows));
        let payloads = Part::Payloads(Arc::new(step.payloads));
        let routes = &self.routes;
        let wanted =
            self.queues.iter_mut().enumerate().filter(|(queue_idx, queue)| {
                queue.keeps_payloads || routes.take(*queue_idx, stream)
            });
        let step = self.last_step;
        // One that has failed is not left waiting until another has room.
        let pushed = try_join_all(wanted.map(async |(_, queue)| {
            let part = if queue.keeps_payloads { &payloads } else { &rows };
            if queue.push(step, part).await { Ok(()) } else { Err(()) }
        }));
        if pushed.await.is_err() {
            return Err(failed(&mut self.tasks).await);
        }
        while let Ok(report) = self.reports.try_recv() {
            self.note(report);
        }
        self.count().await
    }

    /// Whether a destination has still to answer.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// What a destination answers next. Cancelling loses nothing.
    pub(crate) async fn answer(&mut self) -> Result<Report, StreamError> {
        tokio::select! {
            biased;
            Some(report) = self.reports.recv() => Ok(report),
            error = failed(&mut self.tasks) => Err(error),
        }
    }

    /// Takes an answer into account.
    pub(crate) async fn settle(&mut self, answer: Report) -> Result<(), StreamError> {
        self.note(answer);
        self.count().await
    }

    /// Returns when the sinks have answered everything handed over; an archive keeps what it has until
    /// [`Delivery::flush`].
    pub(crate) async fn wait_for_sinks(&mut self) -> Result<(), StreamError> {
        while self.done(&self.queues[..self.n_sinks]) < self.last_step {
            let answer = self.answer().await?;
            self.note(answer);
        }
        self.count().await
    }

    /// Returns when everything handed over is durable in every destination or, like the letters, in
    /// the dead letters. What comes next stands behind `committed`.
    pub(crate) async fn flush(&mut self, committed: Option<&Position>) -> Result<(), StreamError> {
        self.last_step += 1;
        for archive in &mut self.queues[self.n_sinks..] {
            if !archive.flush(self.last_step, committed.cloned()) {
                return Err(failed(&mut self.tasks).await);
            }
        }
        while self.done(&self.queues) < self.last_step {
            let answer = self.answer().await?;
            self.note(answer);
        }
        self.count().await
    }

    /// Returns when no write is under way any more, without beginning another: after an error, what
    /// a destination is still writing must not overlap with the replay.
    pub(crate) async fn stop(mut self) {
        self.queues.clear();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Rows that wait in each queue or are being written, by the destination's name.
    pub(crate) fn waiting(&self) -> BTreeMap<String, usize> {
        let mut waiting = BTreeMap::new();
        for queue in &self.queues {
            *waiting.entry(queue.name.clone()).or_default() += queue.n_waiting();
        }
        waiting
    }

    fn done(&self, queues: &[Queue]) -> u64 {
        queues.iter().map(|queue| queue.done(self.last_step)).min().unwrap_or(self.last_step)
    }

    fn note(&mut self, report: Report) {
        let name = &self.queues[report.queue_idx].name;
        for refused in report.refused {
            let at = self.unsettled.binary_search_by_key(&refused.step, |step| step.step);
            let at = at.expect("a step is settled behind the last answer to it");
            let step = &mut self.unsettled[at];
            let (reasons, row) = step.refused.entry(refused.row_idx).or_default();
            let separator = if reasons.is_empty() { "" } else { "; " };
            reasons.push_str(&format!("{separator}{name}: {}", refused.reason));
            *row = refused.row;
        }
        self.queues[report.queue_idx].report(report.step);
    }

    /// Writes the letters of refused rows of steps that all sinks have answered, and counts the
    /// steps that are durable everywhere.
    async fn count(&mut self) -> Result<(), StreamError> {
        let answered = self.done(&self.queues[..self.n_sinks]);
        let durable = self.done(&self.queues);
        let mut letters = Vec::new();
        for step in self.unsettled.iter_mut().take_while(|step| step.step <= answered) {
            let origins = std::mem::take(&mut step.origins);
            for (row_idx, (reason, raw)) in std::mem::take(&mut step.refused) {
                letters.push(DeadLetter { reason, raw, ..origins[row_idx].clone() });
                step.n_rows -= 1;
            }
        }
        self.write_letters(&letters).await?;
        while let Some(mut step) = self.unsettled.pop_front_if(|step| step.step <= durable) {
            step.totals.delivered = step.n_rows as u64;
            step.totals.records = step.totals.delivered;
            self.counters.update(|sum| sum.add(&step.totals));
        }
        Ok(())
    }

    /// Writes letters and counts them.
    async fn write_letters(&self, letters: &[DeadLetter]) -> Result<(), StreamError> {
        for some in letters.chunks(MAX_LETTERS_A_WRITE) {
            self.dead_letters.write(some).await?;
            let mut dead = Totals::default();
            some.iter().for_each(|letter| dead.add_dead(letter.stage));
            dead.records = some.len() as u64;
            self.counters.update(|sum| sum.add(&dead));
        }
        Ok(())
    }
}

/// Waits for the queue's task that has ended while it was needed, and says why it did.
async fn failed(tasks: &mut JoinSet<Result<(), StreamError>>) -> StreamError {
    match tasks.join_next().await {
        Some(Ok(Err(error))) => error,
        Some(Err(panic)) => StreamError::fatal("a sink panicked").with_source(panic),
        None | Some(Ok(Ok(()))) => StreamError::fatal("a sink's queue ended too early"),
    }
}
