//! Event time: the source's rows wait until the watermark has reached their times, and go on in the
//! order of those. The watermark is the latest time seen less the lateness that is allowed.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMillisecondArray};
use arrow::compute::interleave;
use arrow::datatypes::{SchemaRef, TimestampMillisecondType};

use super::Chunk;
use super::errors::Errors;
use super::state::{Reader, Writer};
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
    // Rows that wait, by time and arrival: their run, and their place in it.
    waiting: BTreeMap<(i64, u64), (u64, usize)>,
    // Rows that came together, by their first one's arrival, until the last of them has left.
    runs: BTreeMap<u64, Run>,
    n_arrived: u64,
    // Of all runs.
    n_held: usize,
    n_bytes: usize,
}

#[derive(Debug)]
struct Run {
    chunk: Chunk,
    n_bytes: usize,
    n_waiting: usize,
}

/// What leaves at one call: rows by run and place, each at a tick of its own, and watermarks.
#[derive(Debug, Default)]
struct Leaving {
    rows: Vec<(u64, usize)>,
    ticks: Vec<u32>,
    watermarks: Vec<i64>,
}

impl Leaving {
    fn tick(&mut self, watermark: i64) -> u32 {
        self.watermarks.push(watermark);
        u32::try_from(self.watermarks.len() - 1).expect("a batch has fewer ticks")
    }
}

impl EventTime {
    pub(crate) fn new(lateness_ms: i64, schema: SchemaRef, has_ids: bool) -> Self {
        Self {
            lateness_ms,
            schema,
            has_ids,
            watermark: i64::MIN,
            waiting: BTreeMap::new(),
            runs: BTreeMap::new(),
            n_arrived: 0,
            n_held: 0,
            n_bytes: 0,
        }
    }

    /// How far the time is: `i64::MIN` before the first row.
    pub(crate) fn watermark(&self) -> i64 {
        self.watermark
    }

    /// Takes rows with their times in the order of arrival, and returns those that the watermark has
    /// reached, in the order of their times and, where those are alike, of arrival. Late ones are
    /// reported.
    pub(crate) fn take(
        &mut self,
        columns: Vec<ArrayRef>,
        ids: Option<ArrayRef>,
        times: Vec<i64>,
        errors: &mut Errors<'_>,
    ) -> Result<Chunk, RunError> {
        let run = self.n_arrived;
        let mut leaving = Leaving::default();
        // The rows' ticks matter only where they are late.
        let mut arrivals = Vec::with_capacity(times.len());
        let mut late = Vec::new();
        let mut n_waiting = 0;
        for (row, time) in times.iter().enumerate() {
            if *time < self.watermark {
                late.push((row, self.watermark - time));
                arrivals.push(leaving.tick(self.watermark));
                continue;
            }
            self.waiting.insert((*time, self.n_arrived + row as u64), (run, row));
            n_waiting += 1;
            let reached = time.saturating_sub(self.lateness_ms);
            let advances = reached > self.watermark;
            self.watermark = self.watermark.max(reached);
            self.release(&mut leaving);
            if advances && leaving.watermarks.last() != Some(&self.watermark) {
                leaving.tick(self.watermark);
            }
            arrivals.push(0);
        }
        let rowtimes: ArrayRef = Arc::new(TimestampMillisecondArray::from(times));
        let watermarks: Arc<[i64]> = leaving.watermarks.as_slice().into();
        let chunk = Chunk { columns, rowtimes, ids, ticks: arrivals, watermarks };
        for (row, behind_ms) in late {
            let message = format!(
                "its time is {behind_ms} ms behind the watermark, which is the latest time less \
                 the allowed lateness of {} ms",
                self.lateness_ms
            );
            errors.late(&chunk, row, &message);
        }
        self.n_arrived += chunk.n_rows() as u64;
        self.hold(run, chunk, n_waiting);
        let out = self.chunk(leaving)?;
        let what = "the allowed lateness of the source";
        errors.check_rows(what, self.n_held, errors.limits.held_rows)?;
        errors.check_bytes(what, self.n_bytes, errors.limits.held_bytes)?;
        Ok(out)
    }

    /// Time has passed without a row.
    pub(crate) fn advance(&mut self, watermark: i64) -> Result<Chunk, RunError> {
        let mut leaving = Leaving::default();
        self.watermark = self.watermark.max(watermark);
        self.release(&mut leaving);
        leaving.tick(self.watermark);
        self.chunk(leaving)
    }

    fn hold(&mut self, run: u64, chunk: Chunk, n_waiting: usize) {
        if n_waiting > 0 {
            let n_bytes = chunk.n_bytes();
            self.n_held += chunk.n_rows();
            self.n_bytes += n_bytes;
            self.runs.insert(run, Run { chunk, n_bytes, n_waiting });
        }
    }

    /// Rows that the watermark has reached leave, at ticks of their own: as though they had come in
    /// that order.
    fn release(&mut self, leaving: &mut Leaving) {
        while let Some(first) = self.waiting.first_entry() {
            let time = first.key().0;
            if time > self.watermark {
                break;
            }
            leaving.rows.push(first.remove());
            let tick = leaving.tick(time);
            leaving.ticks.push(tick);
        }
    }

    /// The rows that leave; runs whose last row has left are forgotten.
    fn chunk(&mut self, leaving: Leaving) -> Result<Chunk, RunError> {
        let Leaving { rows, ticks, watermarks } = leaving;
        let watermarks: Arc<[i64]> = watermarks.into();
        if rows.is_empty() {
            return Ok(Chunk::empty(&self.schema, self.has_ids, watermarks));
        }
        let out = self.gather(&rows)?;
        for (run, _) in rows {
            let Some(held) = self.runs.get_mut(&run) else { continue };
            held.n_waiting -= 1;
            if held.n_waiting == 0 {
                self.n_held -= held.chunk.n_rows();
                self.n_bytes -= held.n_bytes;
                self.runs.remove(&run);
            }
        }
        Ok(Chunk { ticks, watermarks, ..out })
    }

    /// Rows in that order. There is one.
    fn gather(&self, rows: &[(u64, usize)]) -> Result<Chunk, RunError> {
        let mut places: BTreeMap<u64, usize> = BTreeMap::new();
        let mut chunks: Vec<&Chunk> = Vec::new();
        let mut indices = Vec::with_capacity(rows.len());
        for (run, row) in rows {
            let place = *places.entry(*run).or_insert_with(|| {
                chunks.push(&self.runs[run].chunk);
                chunks.len() - 1
            });
            indices.push((place, *row));
        }
        let gathered = |of: &dyn for<'c> Fn(&'c Chunk) -> &'c ArrayRef| {
            let arrays: Vec<&dyn Array> = chunks.iter().map(|chunk| of(chunk).as_ref()).collect();
            interleave(&arrays, &indices)
        };
        let columns = (0..chunks[0].columns.len())
            .map(|idx| gathered(&|chunk| &chunk.columns[idx]))
            .collect::<Result<_, _>>()?;
        let ids = chunks[0]
            .ids
            .is_some()
            .then(|| gathered(&|chunk| chunk.ids.as_ref().expect("all chunks have ids or none")));
        Ok(Chunk {
            columns,
            rowtimes: gathered(&|chunk| &chunk.rowtimes)?,
            ids: ids.transpose()?,
            ticks: vec![0; rows.len()],
            watermarks: Arc::from([]),
        })
    }

    pub(crate) fn save(&self, writer: &mut Writer) -> Result<(), RunError> {
        writer.number(self.watermark);
        let rows: Vec<(u64, usize)> = self.waiting.values().copied().collect();
        writer.count(usize::from(!rows.is_empty()));
        if !rows.is_empty() {
            writer.rows(&self.gather(&rows)?)?;
        }
        Ok(())
    }

    pub(crate) fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), RunError> {
        self.watermark = reader.number()?;
        if reader.count()? > 0 {
            let chunk = reader.rows()?;
            let times = chunk.rowtimes.as_primitive::<TimestampMillisecondType>();
            for (row, time) in times.values().iter().enumerate() {
                self.waiting.insert((*time, row as u64), (0, row));
            }
            self.n_arrived = chunk.n_rows() as u64;
            let n_waiting = chunk.n_rows();
            self.hold(0, chunk, n_waiting);
        }
        Ok(())
    }
}
