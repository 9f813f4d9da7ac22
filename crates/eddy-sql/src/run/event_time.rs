//! Event time: the source's rows wait until the watermark has reached their times, and go on in the
//! order of those. The watermark is the latest time seen less the lateness that is allowed.

use std::sync::Arc;

use arrow::array::{ArrayRef, TimestampMillisecondArray};
use arrow::datatypes::SchemaRef;

use super::Chunk;
use super::errors::Errors;
use super::state::{Reader, Writer, damaged};
use super::waiting::{At, Waiting};
use crate::error::RunError;

/// Puts the rows of the source into the order of their times.
#[derive(Debug)]
pub(crate) struct EventTime {
    lateness_ms: i64,
    // The source's columns, then ROWTIME.
    schema: SchemaRef,
    has_ids: bool,
    // No row comes any more whose time is less: what does is late.
    watermark: i64,
    // The watermark as it was last told.
    told: i64,
    waiting: Waiting,
    // Rows that have come and are not looked at yet: their run, and the first of them.
    arriving: Option<At>,
}

/// What leaves in one part: rows by run and place, each at a tick of its own, and watermarks.
#[derive(Debug, Default)]
struct Leaving {
    rows: Vec<At>,
    ticks: Vec<u32>,
    watermarks: Vec<i64>,
}

impl EventTime {
    pub(crate) fn new(lateness_ms: i64, schema: SchemaRef, has_ids: bool) -> Self {
        Self {
            lateness_ms,
            schema,
            has_ids,
            watermark: i64::MIN,
            told: i64::MIN,
            waiting: Waiting::default(),
            arriving: None,
        }
    }

    /// How far the time is: `i64::MIN` before the first row.
    pub(crate) fn watermark(&self) -> i64 {
        self.watermark
    }

    /// Rows with their times in the order of arrival. Nothing may be left of those before.
    pub(crate) fn arrive(
        &mut self,
        columns: Vec<ArrayRef>,
        ids: Option<ArrayRef>,
        times: Vec<i64>,
    ) {
        let ticks = vec![0; times.len()];
        let rowtimes: ArrayRef = Arc::new(TimestampMillisecondArray::from(times));
        self.put(Chunk { columns, rowtimes, ids, ticks, watermarks: Arc::from([]) });
    }

    fn put(&mut self, chunk: Chunk) {
        if chunk.n_rows() > 0 {
            self.arriving = Some((self.waiting.arrive(chunk), 0));
        }
    }

    /// Time has passed without a row.
    pub(crate) fn advance(&mut self, watermark: i64) {
        self.watermark = self.watermark.max(watermark);
        self.told = i64::MIN;
    }

    /// Whether there is more for [`EventTime::next`].
    pub(crate) fn has_more(&self) -> bool {
        self.arriving.is_some() || self.is_due()
    }

    fn is_due(&self) -> bool {
        self.waiting.first_time().is_some_and(|time| time <= self.watermark)
    }

    /// The next rows that the watermark has reached, a bounded number, in the order of their times
    /// and, where those are alike, of arrival. Late ones are reported.
    pub(crate) fn next(&mut self, errors: &mut Errors<'_>) -> Result<Chunk, RunError> {
        let most = errors.limits.released_rows.max(1);
        let what = "the allowed lateness of the source";
        let mut leaving = Leaving::default();
        let mut late = Vec::new();
        let mut all_left = self.release(&mut leaving, most);
        while all_left
            && leaving.watermarks.len() < 2 * most
            && let Some((run, row)) = self.arriving
        {
            let Some(chunk) = self.waiting.run(run) else { break };
            let time = chunk.rowtimes().value(row);
            self.arriving = (row + 1 < chunk.n_rows()).then_some((run, row + 1));
            if time < self.watermark {
                let one = Chunk { ticks: vec![0], ..chunk.slice(row, 1) };
                let tick = self.tick(&mut leaving, self.watermark);
                late.push((one, tick, self.watermark));
                self.waiting.forget(run);
                continue;
            }
            self.waiting.wait(time, (run, row));
            self.watermark = self.watermark.max(time.saturating_sub(self.lateness_ms));
            all_left = self.release(&mut leaving, most);
            if all_left {
                self.waiting.check(what, errors)?;
            }
        }
        for (row, tick, watermark) in late {
            let message = format!(
                "its time is {} ms behind the watermark, which is the latest time less the allowed \
                 lateness of {} ms",
                watermark - row.rowtimes().value(0),
                self.lateness_ms
            );
            errors.late(&Chunk { watermarks: Arc::from([watermark]), ..row }, 0, &message);
            if let Some(error) = errors.rows.last_mut() {
                error.tick = tick;
            }
        }
        let Leaving { rows, ticks, watermarks } = leaving;
        let watermarks: Arc<[i64]> = watermarks.into();
        let out = match self.waiting.leave(&rows)? {
            Some(rows) => Chunk { ticks, watermarks, ..rows },
            None => Chunk::empty(&self.schema, self.has_ids, watermarks),
        };
        if self.arriving.is_none() {
            self.waiting.compact()?;
        }
        Ok(out)
    }

    fn tick(&mut self, leaving: &mut Leaving, watermark: i64) -> u32 {
        self.told = watermark;
        leaving.watermarks.push(watermark);
        u32::try_from(leaving.watermarks.len() - 1).expect("a part has fewer ticks")
    }

    /// Rows that the watermark has reached leave, at ticks of their own: as though they had come in
    /// that order. Behind the last one the watermark is told. Whether all have left.
    fn release(&mut self, leaving: &mut Leaving, most: usize) -> bool {
        while let Some(time) = self.waiting.first_time().filter(|time| *time <= self.watermark) {
            if leaving.rows.len() >= most {
                return false;
            }
            leaving.rows.extend(self.waiting.pop());
            let tick = self.tick(leaving, time);
            leaving.ticks.push(tick);
        }
        if self.told != self.watermark {
            self.tick(leaving, self.watermark);
        }
        true
    }

    pub(crate) fn save(&self, writer: &mut Writer) -> Result<(), RunError> {
        writer.number(self.watermark);
        let waiting = self.waiting.all()?;
        let arriving = self.arriving.and_then(|(run, row)| {
            let chunk = self.waiting.run(run)?;
            Some(chunk.slice(row, chunk.n_rows() - row))
        });
        // 1: there are rows that wait, 2: there are some that are not looked at yet.
        writer.count(usize::from(waiting.is_some()) + 2 * usize::from(arriving.is_some()));
        waiting.iter().chain(&arriving).try_for_each(|rows| writer.rows(rows))
    }

    pub(crate) fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), RunError> {
        self.watermark = reader.number()?;
        let parts = reader.count()?;
        if parts > 3 {
            return Err(damaged());
        }
        let mut rows = || {
            let chunk = reader.rows(&self.schema)?;
            if chunk.ids.is_some() == self.has_ids { Ok(chunk) } else { Err(damaged()) }
        };
        if parts & 1 != 0 {
            let chunk = rows()?;
            let times = chunk.rowtimes().clone();
            let run = self.waiting.arrive(chunk);
            for (row, time) in times.values().iter().enumerate() {
                self.waiting.wait(*time, (run, row));
            }
        }
        let arriving = if parts & 2 != 0 { Some(rows()?) } else { None };
        arriving.into_iter().for_each(|chunk| self.put(chunk));
        // Saved between two parts: the watermark is told behind the rows that it has reached.
        self.told = if self.is_due() { i64::MIN } else { self.watermark };
        Ok(())
    }
}
