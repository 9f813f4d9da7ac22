//! Rows that wait for their time, kept in the arrays that they came in.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::interleave;

use super::Chunk;
use super::errors::Errors;
use crate::error::RunError;
use crate::limits::WAITING_ROW_BYTES;

/// A row's run, and its place in it.
pub(super) type At = (u64, usize);

/// Rows in the order of their times and, where those are alike, of arrival.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    order: BTreeMap<(i64, u64), At>,
    // Rows that came together, by the number of the first, until none of them is needed.
    runs: BTreeMap<u64, Run>,
    n_arrived: u64,
    // Of all runs: rows that wait, and rows that do not any more.
    n_held: usize,
    // Of rows that wait.
    n_bytes: usize,
}

#[derive(Debug)]
struct Run {
    chunk: Chunk,
    row_bytes: usize,
    // Rows that wait, or of which it is not said yet whether they do.
    n_needed: usize,
}

impl Waiting {
    /// Takes rows that came together; each then waits ([`Waiting::wait`]) or not
    /// ([`Waiting::forget`]).
    pub(super) fn arrive(&mut self, chunk: Chunk) -> u64 {
        let (run, n_needed) = (self.n_arrived, chunk.n_rows());
        if let Some(values) = chunk.n_bytes().checked_div(n_needed) {
            let row_bytes = values + WAITING_ROW_BYTES;
            self.n_arrived += n_needed as u64;
            self.n_held += n_needed;
            self.runs.insert(run, Run { chunk, row_bytes, n_needed });
        }
        run
    }

    pub(super) fn wait(&mut self, time: i64, (run, row): At) {
        self.order.insert((time, run + row as u64), (run, row));
        self.n_bytes += self.runs.get(&run).map_or(0, |held| held.row_bytes);
    }

    /// A row is not needed any more.
    pub(super) fn forget(&mut self, run: u64) {
        let Some(held) = self.runs.get_mut(&run) else { return };
        held.n_needed -= 1;
        if held.n_needed == 0 {
            self.n_held -= held.chunk.n_rows();
            self.runs.remove(&run);
        }
    }

    /// Rows that came together, while one of them is needed.
    pub(super) fn run(&self, run: u64) -> Option<&Chunk> {
        self.runs.get(&run).map(|held| &held.chunk)
    }

    pub(super) fn first_time(&self) -> Option<i64> {
        self.order.first_key_value().map(|((time, _), _)| *time)
    }

    /// The first row waits no more; it stays until it is taken by [`Waiting::leave`].
    pub(super) fn pop(&mut self) -> Option<At> {
        let (_, at) = self.order.pop_first()?;
        self.n_bytes -= self.runs.get(&at.0).map_or(0, |held| held.row_bytes);
        Some(at)
    }

    /// What was popped, in that order; `None` where that is nothing.
    pub(super) fn leave(&mut self, rows: &[At]) -> Result<Option<Chunk>, RunError> {
        let out = self.gather(rows)?;
        rows.iter().for_each(|(run, _)| self.forget(*run));
        Ok(out)
    }

    /// All rows that wait, in order.
    pub(super) fn all(&self) -> Result<Option<Chunk>, RunError> {
        self.gather(&self.order.values().copied().collect::<Vec<_>>())
    }

    /// Checks what waits against the bounds: no other rows count, whatever batches they came in.
    pub(super) fn check(&self, what: &str, errors: &Errors<'_>) -> Result<(), RunError> {
        errors.check_rows(what, self.order.len(), errors.limits.held_rows)?;
        errors.check_bytes(what, self.n_bytes, errors.limits.held_bytes)
    }

    /// Puts all that waits into one run where more than half of what is held waits no more, or where
    /// runs are many and small. So memory is in proportion to what waits, and a row is moved a
    /// bounded number of times on average. Of every row it must be said whether it waits.
    pub(super) fn compact(&mut self) -> Result<(), RunError> {
        let (n_waiting, n_runs) = (self.order.len(), self.runs.len());
        if self.n_held <= 2 * n_waiting + 8192 && (n_runs <= 1024 || n_runs <= n_waiting / 64) {
            return Ok(());
        }
        let Some(chunk) = self.all()? else { return Ok(()) };
        let row_bytes = chunk.n_bytes() / n_waiting + WAITING_ROW_BYTES;
        for (row, at) in self.order.values_mut().enumerate() {
            *at = (0, row);
        }
        (self.n_held, self.n_bytes) = (n_waiting, n_waiting * row_bytes);
        self.runs = BTreeMap::from([(0, Run { chunk, row_bytes, n_needed: n_waiting })]);
        Ok(())
    }

    fn gather(&self, rows: &[At]) -> Result<Option<Chunk>, RunError> {
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
        let Some(first) = chunks.first() else { return Ok(None) };
        let gathered = |of: &dyn for<'c> Fn(&'c Chunk) -> &'c ArrayRef| {
            let arrays: Vec<&dyn Array> = chunks.iter().map(|chunk| of(chunk).as_ref()).collect();
            interleave(&arrays, &indices)
        };
        let columns = (0..first.columns.len())
            .map(|idx| gathered(&|chunk| &chunk.columns[idx]))
            .collect::<Result<_, _>>()?;
        let ids = first
            .ids
            .is_some()
            .then(|| gathered(&|chunk| chunk.ids.as_ref().expect("all chunks have ids or none")));
        Ok(Some(Chunk {
            columns,
            rowtimes: gathered(&|chunk| &chunk.rowtimes)?,
            ids: ids.transpose()?,
            ticks: vec![0; rows.len()],
            watermarks: Arc::from([]),
        }))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, TimestampMillisecondArray};

    use super::*;

    fn rows(times: &[i64]) -> Chunk {
        let values: Float64Array = times.iter().map(|time| Some(*time as f64)).collect();
        Chunk {
            columns: vec![Arc::new(values)],
            rowtimes: Arc::new(TimestampMillisecondArray::from(times.to_vec())),
            ids: None,
            ticks: vec![0; times.len()],
            watermarks: Arc::from([]),
        }
    }

    #[test]
    fn what_is_held_is_in_proportion_to_what_waits() {
        let mut waiting = Waiting::default();
        // One row in a hundred stays of every batch, the others leave.
        for batch in 0..1000_i64 {
            let times: Vec<i64> =
                (0..100).map(|row| if row == 0 { 1_000_000 + batch } else { batch }).collect();
            let run = waiting.arrive(rows(&times));
            times.iter().enumerate().for_each(|(row, time)| waiting.wait(*time, (run, row)));
            let leaving: Vec<At> = (0..99).filter_map(|_| waiting.pop()).collect();
            let left = waiting.leave(&leaving).expect("rows").expect("there are some");
            assert_eq!(left.rowtimes().values(), &[batch; 99]);
            waiting.compact().expect("it can be gathered");
            assert!(waiting.n_held <= 2 * waiting.order.len() + 8192, "{}", waiting.n_held);
        }
        assert_eq!(waiting.order.len(), 1000);
        // Batches of one row: their arrays are put together.
        for row in 0..5000 {
            let run = waiting.arrive(rows(&[2_000_000 + row]));
            waiting.wait(2_000_000 + row, (run, 0));
            waiting.compact().expect("it can be gathered");
            assert!(waiting.runs.len() <= 1025);
        }
        let row_bytes = 16 + WAITING_ROW_BYTES;
        assert_eq!((waiting.order.len(), waiting.n_bytes), (6000, 6000 * row_bytes));
        let expected: Vec<i64> = (1_000_000..1_001_000).chain(2_000_000..2_005_000).collect();
        let popped: Vec<At> = (0..6000).filter_map(|_| waiting.pop()).collect();
        let left = waiting.leave(&popped).expect("rows").expect("there are some");
        assert_eq!(left.rowtimes().values(), &expected[..]);
        assert_eq!((waiting.n_bytes, waiting.n_held, waiting.runs.len()), (0, 0, 0));
    }
}
