//! One partition's queue to one destination, and the task that empties it.

use std::sync::Arc;

use bytes::Bytes;
use eddy_record::{Position, RawRecord, ScoredRecord};
use eddy_stream::{Archived, PartitionArchive, Sink, StreamError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Rows that a queue holds at most, those being written included: as many as two full reads of a
/// shard, so that one is scored while the other is written. A larger step goes alone.
const MAX_QUEUE_ROWS: u32 = 20_000;
/// Their bytes in memory. With hundreds of shards a process may have as many such queues a sink.
const MAX_QUEUE_BYTES: u32 = 16 << 20;

/// The part of a step that a destination gets.
#[derive(Clone)]
pub(crate) enum Part {
    Rows(Arc<Vec<ScoredRecord>>),
    Payloads(Arc<Vec<RawRecord>>),
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.len(),
            Self::Payloads(payloads) => payloads.len(),
        }
    }

    fn size_bytes(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.iter().map(ScoredRecord::size_bytes).sum(),
            Self::Payloads(payloads) => {
                payloads.iter().map(|raw| size_of::<RawRecord>() + raw.data.len()).sum()
            }
        }
    }
}

/// What waits in a queue.
pub(crate) enum Job {
    /// Records to write, and the room that they take until they are durable or with the archive.
    Write { step: u64, part: Part, room: Taken },
    /// Everything before is to become durable; what follows is behind `committed`.
    Flush { step: u64, committed: Option<Position> },
}

/// What a destination has done.
pub(crate) struct Report {
    pub(crate) queue_idx: usize,
    /// Everything of this step and of those before it is durable there, or refused.
    pub(crate) step: u64,
    pub(crate) refused: Vec<Refused>,
}

/// A row that a sink refuses.
pub(crate) struct Refused {
    pub(crate) step: u64,
    pub(crate) row_idx: usize,
    pub(crate) reason: String,
    /// The row as JSON.
    pub(crate) row: Bytes,
}

/// Room in a queue, given back when this is dropped.
pub(crate) struct Taken {
    _rows: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

/// The room of a queue; closed, it says that nothing more is to be written.
#[derive(Clone)]
struct Room {
    rows: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

impl Room {
    fn new() -> Self {
        let all = |n: u32| Arc::new(Semaphore::new(n as usize));
        Self { rows: all(MAX_QUEUE_ROWS), bytes: all(MAX_QUEUE_BYTES) }
    }

    /// Waits for room; `None` where the queue is closed.
    async fn take(&self, part: &Part) -> Option<Taken> {
        let at_most = |n: usize, most: u32| u32::try_from(n).unwrap_or(most).min(most);
        let rows = at_most(part.len(), MAX_QUEUE_ROWS);
        let bytes = at_most(part.size_bytes(), MAX_QUEUE_BYTES);
        Some(Taken {
            _rows: Arc::clone(&self.rows).acquire_many_owned(rows).await.ok()?,
            _bytes: Arc::clone(&self.bytes).acquire_many_owned(bytes).await.ok()?,
        })
    }

    fn close(&self) {
        self.rows.close();
        self.bytes.close();
    }

    fn is_closed(&self) -> bool {
        self.rows.is_closed()
    }
}

/// Closes the room when the task ends, however it does: nobody is to wait for it.
struct CloseOnDrop(Room);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The worker's end of a queue. Dropping it lets the task finish the write under way and no more.
pub(crate) struct Queue {
    pub(crate) name: String,
    pub(crate) keeps_payloads: bool,
    jobs: mpsc::UnboundedSender<Job>,
    room: Room,
    // The last step sent, and the last that the destination has done.
    sent: u64,
    done: u64,
}

/// The task's end of a queue.
pub(crate) struct QueueEnd {
    queue_idx: usize,
    jobs: mpsc::UnboundedReceiver<Job>,
    reports: mpsc::UnboundedSender<Report>,
    room: CloseOnDrop,
}

/// A queue, whose room bounds it, and its other end.
pub(crate) fn queue(
    queue_idx: usize,
    name: &str,
    keeps_payloads: bool,
    reports: &mpsc::UnboundedSender<Report>,
) -> (Queue, QueueEnd) {
    let (sender, jobs) = mpsc::unbounded_channel();
    let room = Room::new();
    let reports = reports.clone();
    let end = QueueEnd { queue_idx, jobs, reports, room: CloseOnDrop(room.clone()) };
    let name = name.to_owned();
    (Queue { name, keeps_payloads, jobs: sender, room, sent: 0, done: 0 }, end)
}

impl Queue {
    /// Waits for room and queues a part of a step. False where the task has ended: its result says
    /// why.
    pub(crate) async fn push(&mut self, step: u64, part: &Part) -> bool {
        if part.len() == 0 {
            return true;
        }
        match self.room.take(part).await {
            Some(room) => self.send(step, Job::Write { step, part: part.clone(), room }),
            None => false,
        }
    }

    /// Asks an archive to make everything durable. False as of [`push`](Self::push).
    pub(crate) fn flush(&mut self, step: u64, committed: Option<Position>) -> bool {
        self.send(step, Job::Flush { step, committed })
    }

    fn send(&mut self, step: u64, job: Job) -> bool {
        self.sent = step;
        self.jobs.send(job).is_ok()
    }

    pub(crate) fn report(&mut self, step: u64) {
        self.done = step;
    }

    /// The last step of which everything is done here, `last` being the last there is.
    pub(crate) fn done(&self, last: u64) -> u64 {
        if self.done == self.sent { last } else { self.done }
    }

    /// Rows that wait or are being written, up to the bound.
    pub(crate) fn n_waiting(&self) -> usize {
        MAX_QUEUE_ROWS as usize - self.room.rows.available_permits()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.room.close();
    }
}

impl QueueEnd {
    async fn next(&mut self) -> Option<Job> {
        let job = self.jobs.recv().await?;
        (!self.room.0.is_closed()).then_some(job)
    }

    fn report(&self, step: u64, refused: Vec<Refused>) {
        // Nobody listens once the partition has come to rest.
        let _ = self.reports.send(Report { queue_idx: self.queue_idx, step, refused });
    }

    /// Writes what waits, all of it at once: the slower the sink, the larger its requests.
    pub(crate) async fn write_to_sink(mut self, sink: Arc<dyn Sink>) -> Result<(), StreamError> {
        while let Some(job) = self.next().await {
            let mut waiting = vec![job];
            while let Ok(job) = self.jobs.try_recv() {
                waiting.push(job);
            }
            let mut last_step = 0;
            let mut steps = Vec::new();
            let mut rooms = Vec::new();
            for job in waiting {
                match job {
                    Job::Write { step, part: Part::Rows(rows), room } => {
                        last_step = step;
                        steps.push((step, rows));
                        rooms.push(room);
                    }
                    // A sink gets rows, and what it has written is durable.
                    Job::Write { step, .. } | Job::Flush { step, .. } => last_step = step,
                }
            }
            let refused = write_steps(sink.as_ref(), steps).await?;
            drop(rooms);
            self.report(last_step, refused);
        }
        Ok(())
    }

    /// Hands everything to an archive.
    pub(crate) async fn write_to_archive(
        mut self,
        mut archive: Box<dyn PartitionArchive>,
    ) -> Result<(), StreamError> {
        while let Some(job) = self.next().await {
            match job {
                Job::Write { step, part, room } => {
                    let records = match &part {
                        Part::Rows(rows) => Archived::Rows(rows),
                        Part::Payloads(payloads) => Archived::Payloads(payloads),
                    };
                    let durable = archive.write(records).await?;
                    drop(room);
                    if durable {
                        self.report(step, Vec::new());
                    }
                }
                Job::Flush { step, committed } => {
                    archive.flush(committed.as_ref()).await?;
                    self.report(step, Vec::new());
                }
            }
        }
        Ok(())
    }
}

/// Writes the rows of several steps in one call.
async fn write_steps(
    sink: &dyn Sink,
    steps: Vec<(u64, Arc<Vec<ScoredRecord>>)>,
) -> Result<Vec<Refused>, StreamError> {
    let gathered: Vec<ScoredRecord>;
    let rows: &[ScoredRecord] = match &steps[..] {
        [] => return Ok(Vec::new()),
        [(_, rows)] => rows,
        several => {
            gathered = several.iter().flat_map(|(_, rows)| rows.iter().cloned()).collect();
            &gathered
        }
    };
    let rejected = sink.write(rows).await?;
    let mut refused = Vec::with_capacity(rejected.len());
    for rejected in rejected {
        let mut row_idx = rejected.row_idx;
        let step = steps.iter().find(|(_, rows)| {
            let is_here = row_idx < rows.len();
            row_idx -= if is_here { 0 } else { rows.len() };
            is_here
        });
        let Some((step, _)) = step else {
            let name = sink.name();
            return Err(StreamError::fatal(format!("{name} refuses a row that it was not given")));
        };
        let mut row = Vec::new();
        rows[rejected.row_idx].write_json(&mut row);
        refused.push(Refused { step: *step, row_idx, reason: rejected.reason, row: row.into() });
    }
    Ok(refused)
}
