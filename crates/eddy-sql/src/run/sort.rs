//! ORDER BY: rows wait until the time has passed what the first term rounds it down to, and leave
//! sorted by the others; and the T-sort, which puts late rows into the order of a column.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::{SortOptions, concat};
use arrow::datatypes::{SchemaRef, TimestampMillisecondType};

use super::chunk::array_bytes;
use super::errors::Errors;
use super::evaluate::Expressions;
use super::ranks::sort_rows;
use super::state::{Reader, Writer, damaged};
use super::waiting::{At, Waiting};
use super::{Chunk, Operator};
use crate::error::RunError;
use crate::expr::Typed;
use crate::expr::time::Step;

/// What the first term of ORDER BY is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Within {
    /// Time rounded down: rows of one step leave together when the time has passed it.
    Step(Step),
    /// The value that a window's rows have in common: they come together and leave at once.
    Window,
}

/// ORDER BY.
#[derive(Debug)]
pub(crate) struct Sort {
    within: Within,
    // The time, then the other terms.
    keys: Expressions,
    options: Vec<SortOptions>,
    held: Vec<Held>,
    n_held: usize,
    n_bytes: usize,
}

#[derive(Debug)]
struct Held {
    chunk: Chunk,
    // The time, then the other terms.
    keys: Vec<ArrayRef>,
    // When the first of the rows may leave.
    earliest: i64,
}

impl Sort {
    pub(crate) fn new(
        within: Within,
        time: Typed,
        terms: Vec<(Typed, SortOptions)>,
        schema: SchemaRef,
    ) -> Self {
        let (terms, options): (Vec<Typed>, Vec<SortOptions>) = terms.into_iter().unzip();
        let keys = Expressions::new([time].into_iter().chain(terms), schema);
        Self { within, keys, options, held: Vec::new(), n_held: 0, n_bytes: 0 }
    }

    /// When a row of that time may leave.
    fn leaves(&self, time: i64) -> i64 {
        match self.within {
            Within::Step(step) => step.next(time),
            Within::Window => i64::MIN,
        }
    }

    fn hold(&mut self, chunk: Chunk, keys: Vec<ArrayRef>) {
        if chunk.n_rows() == 0 {
            return;
        }
        let times = keys[0].as_primitive::<TimestampMillisecondType>();
        let earliest = times.iter().map(|time| time.map_or(i64::MIN, |time| self.leaves(time)));
        let earliest = earliest.min().unwrap_or(i64::MAX);
        self.n_held += chunk.n_rows();
        self.n_bytes += chunk.n_bytes() + keys.iter().map(array_bytes).sum::<usize>();
        self.held.push(Held { chunk, keys, earliest });
    }

    fn check(&self, errors: &Errors<'_>) -> Result<(), RunError> {
        errors.check_rows("ORDER BY", self.n_held, errors.limits.held_rows)?;
        errors.check_bytes("ORDER BY", self.n_bytes, errors.limits.held_bytes)
    }
}

impl Operator for Sort {
    fn process(
        &mut self,
        mut inputs: Vec<Chunk>,
        errors: &mut Errors<'_>,
    ) -> Result<Chunk, RunError> {
        let (chunk, keys) = self.keys.evaluate(inputs.remove(0), errors)?;
        let nothing = chunk.slice(0, 0);
        let time = chunk.watermark();
        let watermarks = match self.within {
            Within::Step(step) => chunk
                .watermarks
                .iter()
                .map(|time| if *time == i64::MAX { i64::MAX } else { step.floor(*time) })
                .collect(),
            Within::Window => Arc::clone(&chunk.watermarks),
        };
        let all_watermarks = Arc::clone(&chunk.watermarks);
        // Rows that were held came before this batch.
        for held in &mut self.held {
            held.chunk.ticks.fill(0);
        }
        self.hold(chunk, keys);
        if !self.held.iter().any(|held| held.earliest <= time) {
            self.check(errors)?;
            return Ok(Chunk { watermarks, ..nothing });
        }
        let held = std::mem::take(&mut self.held);
        (self.n_held, self.n_bytes) = (0, 0);
        let chunks: Vec<Chunk> = held.iter().map(|held| held.chunk.clone()).collect();
        let all = Chunk { watermarks: Arc::clone(&all_watermarks), ..Chunk::concat(&chunks)? };
        let n_keys = held[0].keys.len();
        let keys: Vec<ArrayRef> = (0..n_keys)
            .map(|idx| {
                let parts: Vec<&dyn Array> = held.iter().map(|it| it.keys[idx].as_ref()).collect();
                concat(&parts)
            })
            .collect::<Result<_, _>>()?;
        let times = keys[0].as_primitive::<TimestampMillisecondType>();
        let mut ticks = Vec::with_capacity(all.n_rows());
        let (mut leaving, mut stays) = (Vec::with_capacity(all.n_rows()), Vec::new());
        // Rows of one step leave together.
        let mut known = None;
        for (row, key) in (0_u32..).zip(times) {
            let leaves = key.map_or(i64::MIN, |time| self.leaves(time));
            let tick = match known {
                Some((of, tick)) if of == leaves => tick,
                _ => known.insert((leaves, all.tick_of(leaves))).1,
            };
            let came = all.ticks[row as usize];
            ticks.push(tick.map_or(u32::MAX, |tick| tick.max(came)));
            if tick.is_some() { leaving.push(row) } else { stays.push(row) }
        }
        if !stays.is_empty() {
            let rows = UInt32Array::from(stays.clone());
            let kept = all.take(&stays, vec![0; stays.len()])?;
            let keys = keys.iter().map(|key| arrow::compute::take(key, &rows, None));
            let keys = keys.collect::<Result<_, _>>()?;
            self.hold(kept, keys);
        }
        self.check(errors)?;
        let time = |row: usize| times.is_valid(row).then(|| times.value(row));
        let leaves = |row: u32| (ticks[row as usize], time(row as usize));
        sort_rows(&mut leaving, leaves, &keys[1..], &self.options)?;
        let leaving_ticks = leaving.iter().map(|row| ticks[*row as usize]).collect();
        Ok(Chunk { watermarks, ..all.take(&leaving, leaving_ticks)? })
    }

    fn due_ms(&self) -> i64 {
        self.held.iter().map(|held| held.earliest).min().unwrap_or(i64::MAX)
    }

    fn save(&mut self) -> Result<Vec<u8>, RunError> {
        let mut writer = Writer::default();
        writer.count(self.held.len());
        for held in &self.held {
            writer.rows(&held.chunk)?;
            writer.arrays(&held.keys)?;
        }
        Ok(writer.0)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), RunError> {
        let mut reader = Reader(state);
        for _ in 0..reader.count()? {
            let chunk = reader.rows(self.keys.schema())?;
            let keys = reader.arrays_of(&self.keys.types()?)?;
            if keys[0].len() != chunk.n_rows() {
                return Err(damaged());
            }
            self.hold(chunk, keys);
        }
        reader.end()
    }
}

/// `ORDER BY t WITHIN INTERVAL ..`: a row leaves when one has come that is later by the interval; a
/// row that is further behind is late. The column becomes the rows' ROWTIME.
#[derive(Debug)]
pub(crate) struct TimeSort {
    key: Expressions,
    within_ms: i64,
    // The latest time seen.
    latest: i64,
    waiting: Waiting,
}

impl TimeSort {
    pub(crate) fn new(key: Typed, within_ms: i64, schema: SchemaRef) -> Self {
        Self {
            key: Expressions::new([key], schema),
            within_ms,
            latest: i64::MIN,
            waiting: Waiting::default(),
        }
    }

    fn threshold(&self) -> i64 {
        self.latest.saturating_sub(self.within_ms)
    }
}

impl Operator for TimeSort {
    fn process(
        &mut self,
        mut inputs: Vec<Chunk>,
        errors: &mut Errors<'_>,
    ) -> Result<Chunk, RunError> {
        let (chunk, keys) = self.key.evaluate(inputs.remove(0), errors)?;
        let times = keys[0].as_primitive::<TimestampMillisecondType>();
        let mut watermarks = Vec::with_capacity(chunk.watermarks.len());
        let (mut out, mut ticks): (Vec<At>, _) = (Vec::new(), Vec::new());
        let mut row = 0;
        let run = self.waiting.arrive(Chunk { rowtimes: Arc::clone(&keys[0]), ..chunk.clone() });
        for (tick, time) in chunk.watermarks.iter().enumerate() {
            let tick = u32::try_from(tick).expect("a batch has fewer ticks");
            while row < chunk.n_rows() && chunk.ticks[row] == tick {
                match times.is_valid(row).then(|| times.value(row)) {
                    None => {
                        errors.report(&chunk, row, "Late row", "its time is NULL");
                        self.waiting.forget(run);
                    }
                    Some(time) if time < self.threshold() => {
                        let message = if self.within_ms == 0 {
                            "its time is behind the latest"
                        } else {
                            "its time is further behind than WITHIN INTERVAL allows"
                        };
                        errors.late(&chunk, row, message);
                        self.waiting.forget(run);
                    }
                    Some(time) => {
                        self.latest = self.latest.max(time);
                        self.waiting.wait(time, (run, row));
                    }
                }
                row += 1;
            }
            let threshold = if *time == i64::MAX { i64::MAX } else { self.threshold() };
            while self.waiting.first_time().is_some_and(|time| time <= threshold) {
                out.extend(self.waiting.pop());
                ticks.push(tick);
            }
            self.waiting.check("ORDER BY .. WITHIN", errors)?;
            watermarks.push(threshold);
        }
        let watermarks: Arc<[i64]> = watermarks.into();
        let out = self.waiting.leave(&out)?;
        self.waiting.compact()?;
        Ok(match out {
            Some(rows) => Chunk { watermarks, ticks, ..rows },
            None => Chunk { watermarks, ..chunk.slice(0, 0) },
        })
    }

    fn save(&mut self) -> Result<Vec<u8>, RunError> {
        let mut writer = Writer::default();
        writer.number(self.latest);
        let rows = self.waiting.all()?;
        writer.count(usize::from(rows.is_some()));
        rows.iter().try_for_each(|rows| writer.rows(rows))?;
        Ok(writer.0)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), RunError> {
        let mut reader = Reader(state);
        self.latest = reader.number()?;
        if reader.count()? > 0 {
            let rows = reader.rows(self.key.schema())?;
            let times = rows.rowtimes().clone();
            let run = self.waiting.arrive(rows);
            for (row, time) in times.values().iter().enumerate() {
                self.waiting.wait(*time, (run, row));
            }
        }
        reader.end()
    }
}
