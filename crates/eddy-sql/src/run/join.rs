//! Joins of streams in windows, of a stream with a table, and UNION ALL.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, UInt32Array, new_null_array};
use arrow::datatypes::SchemaRef;

use super::errors::Errors;
use super::evaluate::Expressions;
use super::over::Frame;
use super::state::{Reader, Writer, damaged};
use super::{Chunk, Operator};
use crate::error::RunError;
use crate::expr::{Typed, arrow_schema};
use crate::types::Type;

/// UNION ALL: the rows of all inputs. One row may come by several of them, at several times.
#[derive(Debug)]
pub(crate) struct Union;

impl Operator for Union {
    fn process(&mut self, inputs: Vec<Chunk>, _: &mut Errors<'_>) -> Result<Chunk, RunError> {
        let inputs = inputs.into_iter().enumerate();
        Chunk::merge(inputs.map(|(idx, chunk)| chunk.branch(&idx.to_string())).collect())
    }
}

/// A side of a join.
#[derive(Debug)]
struct Side {
    // Its window; `None`: only its current row.
    frame: Option<Frame>,
    types: Vec<Type>,
    // Rows that others may meet, oldest first, each a chunk of one row.
    held: VecDeque<Held>,
    n_bytes: usize,
}

impl Side {
    fn hold(&mut self, row: Held) {
        self.n_bytes += row.n_bytes;
        self.held.push_back(row);
    }

    fn pop(&mut self) -> Option<Held> {
        let row = self.held.pop_front()?;
        self.n_bytes -= row.n_bytes;
        Some(row)
    }
}

#[derive(Debug)]
struct Held {
    row: Chunk,
    time: i64,
    matched: bool,
    // Its part of those of the rows that it came with.
    n_bytes: usize,
}

/// The left side's columns, then the right side's, then each side's own ROWTIME.
///
/// A pair leaves when its later row arrives and both lie in the windows, with the later row's
/// ROWTIME; at one ROWTIME the left row comes first. With LEFT JOIN a row without a partner leaves
/// when no partner can come any more.
#[derive(Debug)]
pub(crate) struct StreamJoin {
    left: Side,
    right: Side,
    keeps_left: bool,
    condition: Expressions,
    schema: SchemaRef,
    latest: i64,
}

impl StreamJoin {
    pub(crate) fn new(
        left: (Option<Frame>, Vec<Type>),
        right: (Option<Frame>, Vec<Type>),
        keeps_left: bool,
        condition: Typed,
        schema: SchemaRef,
    ) -> Self {
        let side = |(frame, types)| Side { frame, types, held: VecDeque::new(), n_bytes: 0 };
        let condition = Expressions::new([condition], Arc::clone(&schema));
        Self {
            left: side(left),
            right: side(right),
            keeps_left,
            condition,
            schema,
            latest: i64::MIN,
        }
    }

    /// Pairs of a row with rows of the other side, as rows of the join.
    fn pairs(
        &self,
        left: &Chunk,
        right: &Chunk,
        tick: u32,
        watermarks: &Arc<[i64]>,
    ) -> Result<Chunk, RunError> {
        let n_rows = left.n_rows().max(right.n_rows());
        let repeated = |chunk: &Chunk| -> Result<Chunk, RunError> {
            if chunk.n_rows() == n_rows {
                return Ok(chunk.clone());
            }
            chunk.take(&vec![0; n_rows], vec![0; n_rows])
        };
        let (left, right) = (repeated(left)?, repeated(right)?);
        let mut columns = left.columns.clone();
        columns.extend(right.columns.iter().cloned());
        columns.extend([Arc::clone(&left.rowtimes), Arc::clone(&right.rowtimes)]);
        let later = arrow::compute::kernels::cmp::gt(&left.rowtimes, &right.rowtimes)?;
        let rowtimes = arrow::compute::kernels::zip::zip(&later, &left.rowtimes, &right.rowtimes)?;
        let ids = match (&left.ids, &right.ids) {
            (Some(a), Some(b)) => {
                let both = a.as_string::<i32>().iter().zip(b.as_string::<i32>());
                let both = both.map(|(a, b)| format!("{}+{}", a.unwrap_or(""), b.unwrap_or("")));
                Some(Arc::new(StringArray::from_iter_values(both)) as ArrayRef)
            }
            _ => None,
        };
        let watermarks = Arc::clone(watermarks);
        Ok(Chunk { columns, rowtimes, ids, ticks: vec![tick; n_rows], watermarks })
    }

    /// Meets a row with what the other side holds; the pairs leave.
    fn meet(
        &mut self,
        mut row: Held,
        is_left: bool,
        tick: u32,
        watermarks: &Arc<[i64]>,
        out: &mut Vec<Chunk>,
        errors: &mut Errors<'_>,
    ) -> Result<(), RunError> {
        let own_frame = if is_left { self.left.frame } else { self.right.frame };
        let other = if is_left { &self.right } else { &self.left };
        let time = row.time;
        // A side without a window holds its current row, for rows of the same ROWTIME.
        let begin = match other.frame {
            None => other.held.partition_point(|held| held.time < time),
            Some(Frame::Range(ms)) => {
                let first = time.saturating_sub(ms);
                other.held.partition_point(|held| held.time < first)
            }
            // The current row and so many before it.
            Some(Frame::Rows(before)) => other.held.len().saturating_sub(before + 1),
            Some(Frame::Unbounded) => 0,
        };
        if begin < other.held.len() {
            let rows: Vec<Chunk> = other.held.range(begin..).map(|held| held.row.clone()).collect();
            let others = Chunk::concat(&rows)?;
            let pairs = if is_left {
                self.pairs(&row.row, &others, tick, watermarks)?
            } else {
                self.pairs(&others, &row.row, tick, watermarks)?
            };
            let met = meet(&self.condition, pairs, errors)?;
            let other = if is_left { &mut self.right } else { &mut self.left };
            for pair in &met.pairs {
                other.held[begin + pair].matched = true;
            }
            row.matched = !met.pairs.is_empty();
            // A row at fault is in the error stream: it does not leave as one without a partner.
            for pair in &met.failed {
                let left = if is_left { &mut row } else { &mut other.held[begin + pair] };
                left.matched = true;
            }
            if met.rows.n_rows() > 0 {
                out.push(met.rows);
            }
        }
        let own = if is_left { &mut self.left } else { &mut self.right };
        let mut gone = Vec::new();
        if let Some(Frame::Rows(before)) = own_frame {
            while own.held.len() > before {
                gone.extend(own.pop());
            }
        }
        own.hold(row);
        self.leave(gone, is_left, tick, watermarks, out, errors)
    }

    /// Rows that nothing can meet any more: those of the left side without a partner leave alone if
    /// they are kept.
    fn leave(
        &self,
        gone: Vec<Held>,
        is_left: bool,
        tick: u32,
        watermarks: &Arc<[i64]>,
        out: &mut Vec<Chunk>,
        errors: &mut Errors<'_>,
    ) -> Result<(), RunError> {
        for held in gone.into_iter().filter(|held| !held.matched) {
            if is_left && self.keeps_left {
                out.push(self.alone(&held, tick, watermarks)?);
            } else {
                errors.counters.filtered += 1;
            }
        }
        Ok(())
    }

    /// Forgets rows that nothing can meet any more, once the time has passed.
    fn expire(
        &mut self,
        time: i64,
        tick: u32,
        watermarks: &Arc<[i64]>,
        out: &mut Vec<Chunk>,
        errors: &mut Errors<'_>,
    ) -> Result<(), RunError> {
        for is_left in [true, false] {
            let side = if is_left { &mut self.left } else { &mut self.right };
            let mut gone = Vec::new();
            while let Some(first) = side.held.front() {
                let ends = match side.frame {
                    None => first.time,
                    Some(Frame::Range(ms)) => first.time.saturating_add(ms),
                    Some(Frame::Rows(_) | Frame::Unbounded) => i64::MAX,
                };
                if ends < time || (time == i64::MAX && ends == i64::MAX) {
                    gone.extend(side.pop());
                } else {
                    break;
                }
            }
            self.leave(gone, is_left, tick, watermarks, out, errors)?;
        }
        Ok(())
    }

    fn alone(&self, held: &Held, tick: u32, watermarks: &Arc<[i64]>) -> Result<Chunk, RunError> {
        let mut columns = held.row.columns.clone();
        columns.extend(self.right.types.iter().map(|it| new_null_array(&it.arrow(), 1)));
        columns.push(Arc::clone(&held.row.rowtimes));
        columns.push(new_null_array(&Type::Timestamp.arrow(), 1));
        // It leaves when its window has passed: that is its time. A window of rows passes with the
        // row that pushes it out.
        let ends = match self.left.frame {
            Some(Frame::Range(ms)) => held.time.saturating_add(ms),
            Some(Frame::Rows(_) | Frame::Unbounded) => self.latest,
            None => held.time,
        };
        let rowtimes = arrow::array::TimestampMillisecondArray::from(vec![ends]);
        let watermarks = Arc::clone(watermarks);
        let ids = held.row.ids.clone();
        Ok(Chunk { columns, rowtimes: Arc::new(rowtimes), ids, ticks: vec![tick], watermarks })
    }
}

impl Operator for StreamJoin {
    fn process(&mut self, inputs: Vec<Chunk>, errors: &mut Errors<'_>) -> Result<Chunk, RunError> {
        let [left, right] = <[Chunk; 2]>::try_from(inputs).expect("a join has two inputs");
        let watermarks: Arc<[i64]> =
            left.watermarks.iter().zip(right.watermarks.iter()).map(|(a, b)| *a.min(b)).collect();
        let (mut at_left, mut at_right) = (0, 0);
        let row_bytes = |chunk: &Chunk| chunk.n_bytes() / chunk.n_rows().max(1);
        let (left_bytes, right_bytes) = (row_bytes(&left), row_bytes(&right));
        let mut out = Vec::new();
        for (tick_idx, time) in watermarks.iter().enumerate() {
            let tick = u32::try_from(tick_idx).expect("a batch has fewer ticks");
            loop {
                let next = |chunk: &Chunk, at: usize| {
                    let here = at < chunk.n_rows() && chunk.ticks[at] == tick;
                    here.then(|| chunk.rowtimes().value(at))
                };
                let is_left = match (next(&left, at_left), next(&right, at_right)) {
                    (None, None) => break,
                    (Some(a), Some(b)) => a <= b,
                    (Some(_), None) => true,
                    (None, Some(_)) => false,
                };
                let (chunk, at) =
                    if is_left { (&left, &mut at_left) } else { (&right, &mut at_right) };
                let row = chunk.slice(*at, 1);
                self.latest = self.latest.max(row.rowtimes().value(0));
                *at += 1;
                // What the time had passed before this row leaves before it, as it would have if the
                // time had been told of in between.
                self.expire(self.latest.min(*time), tick, &watermarks, &mut out, errors)?;
                let n_bytes = if is_left { left_bytes } else { right_bytes };
                let held = Held { row, time: self.latest, matched: false, n_bytes };
                self.meet(held, is_left, tick, &watermarks, &mut out, errors)?;
            }
            self.expire(*time, tick, &watermarks, &mut out, errors)?;
        }
        for side in [&self.left, &self.right] {
            errors.check_rows("JOIN", side.held.len(), errors.limits.join_rows)?;
            errors.check_bytes("JOIN", side.n_bytes, errors.limits.held_bytes)?;
        }
        Chunk::of_parts(&out, &self.schema, left.ids.is_some(), watermarks)
    }

    fn due_ms(&self) -> i64 {
        // Only rows that leave alone wait for time.
        let first = if self.keeps_left { self.left.held.front() } else { None };
        let ends = first.map(|first| match self.left.frame {
            None => first.time,
            Some(Frame::Range(ms)) => first.time.saturating_add(ms),
            Some(Frame::Rows(_) | Frame::Unbounded) => i64::MAX,
        });
        ends.map_or(i64::MAX, |ends| ends.saturating_add(1))
    }

    fn save(&mut self) -> Result<Vec<u8>, RunError> {
        let mut writer = Writer::default();
        writer.number(self.latest);
        for side in [&self.left, &self.right] {
            writer.count(side.held.len());
            for held in &side.held {
                writer.number(held.time);
                writer.number(i64::from(held.matched));
            }
            if !side.held.is_empty() {
                let rows: Vec<Chunk> = side.held.iter().map(|held| held.row.clone()).collect();
                writer.rows(&Chunk::concat(&rows)?)?;
            }
        }
        Ok(writer.0)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), RunError> {
        let mut reader = Reader(state);
        self.latest = reader.number()?;
        for side in [&mut self.left, &mut self.right] {
            let n_held = reader.count()?;
            let mut times = Vec::new();
            for _ in 0..n_held {
                times.push((reader.number()?, reader.number()? != 0));
            }
            if n_held == 0 {
                continue;
            }
            let types = side.types.iter().copied();
            let rows = reader.rows(&arrow_schema(types.chain([Type::Timestamp])))?;
            if rows.n_rows() != n_held {
                return Err(damaged());
            }
            let n_bytes = rows.n_bytes() / n_held;
            for (row, (time, matched)) in times.into_iter().enumerate() {
                side.hold(Held { row: rows.slice(row, 1), time, matched, n_bytes });
            }
        }
        reader.end()
    }
}

/// Pairs that a condition was asked of.
struct Met {
    // Those that fit, as rows and by number.
    rows: Chunk,
    pairs: Vec<usize>,
    // Those that the condition failed for: they are in the error stream.
    failed: Vec<usize>,
}

fn meet(
    condition: &Expressions,
    mut pairs: Chunk,
    errors: &mut Errors<'_>,
) -> Result<Met, RunError> {
    // The pair's number goes along in the place of its id.
    let n_pairs = u32::try_from(pairs.n_rows()).expect("bounded by a batch and a table");
    let numbers: ArrayRef = Arc::new(UInt32Array::from_iter_values(0..n_pairs));
    let ids = pairs.ids.replace(numbers);
    let (asked, values) = condition.evaluate(pairs, errors)?;
    let list = |chunk: &Chunk| -> Vec<usize> {
        let numbers = chunk.ids.as_ref().expect("the numbers were put there");
        let numbers = numbers.as_primitive::<arrow::datatypes::UInt32Type>();
        numbers.values().iter().map(|number| *number as usize).collect()
    };
    let mut failed = Vec::new();
    if asked.n_rows() < n_pairs as usize {
        let good: std::collections::BTreeSet<usize> = list(&asked).into_iter().collect();
        failed.extend((0..n_pairs as usize).filter(|pair| !good.contains(pair)));
    }
    let mut rows = asked.filter(values[0].as_boolean())?;
    let pairs = list(&rows);
    let numbers = rows.ids.take().expect("the numbers were put there");
    rows.ids = ids.map(|ids| arrow::compute::take(&ids, &numbers, None)).transpose()?;
    Ok(Met { rows, pairs, failed })
}

/// A stream with a table that does not change: each row with all rows of the table that fit.
#[derive(Debug)]
pub(crate) struct TableJoin {
    table: Vec<ArrayRef>,
    n_rows: usize,
    keeps_left: bool,
    condition: Expressions,
    schema: SchemaRef,
}

impl TableJoin {
    pub(crate) fn new(
        table: Vec<ArrayRef>,
        keeps_left: bool,
        condition: Typed,
        schema: SchemaRef,
    ) -> Self {
        let n_rows = table.first().map_or(0, |column| column.len());
        let condition = Expressions::new([condition], Arc::clone(&schema));
        Self { table, n_rows, keeps_left, condition, schema }
    }

    /// Rows of the stream, each with the rows of the table that stand beside it.
    fn side_by_side(
        &self,
        chunk: &Chunk,
        left: &[u32],
        right: &[Option<u32>],
    ) -> Result<Chunk, RunError> {
        let ticks = left.iter().map(|row| chunk.ticks[*row as usize]).collect();
        let mut rows = chunk.take(left, ticks)?;
        rows.ids = rows.ids.map(|ids| {
            let both = ids.as_string::<i32>().iter().zip(right);
            let both = both.map(|(id, row)| match row {
                Some(row) => Some(format!("{}+{row}", id?)),
                None => id.map(str::to_owned),
            });
            Arc::new(both.collect::<StringArray>()) as ArrayRef
        });
        let right: UInt32Array = right.iter().copied().collect();
        for column in &self.table {
            rows.columns.push(arrow::compute::take(column, &right, None)?);
        }
        rows.columns.push(Arc::clone(&rows.rowtimes));
        rows.columns.push(Arc::clone(&rows.rowtimes));
        Ok(rows)
    }
}

/// Pairs that are looked at together.
const PAIRS: usize = 65_536;

impl Operator for TableJoin {
    fn process(
        &mut self,
        mut inputs: Vec<Chunk>,
        errors: &mut Errors<'_>,
    ) -> Result<Chunk, RunError> {
        let chunk = inputs.remove(0);
        let index = |row: usize| u32::try_from(row).expect("bounded by a batch and a table");
        let at_once = (PAIRS / self.n_rows.max(1)).max(1);
        let mut out = Vec::new();
        let mut begin = 0;
        while begin < chunk.n_rows() {
            let part = begin..chunk.n_rows().min(begin + at_once);
            begin = part.end;
            let (mut left, mut right) = (Vec::new(), Vec::new());
            for row in part.clone() {
                left.extend(std::iter::repeat_n(index(row), self.n_rows));
                right.extend((0..self.n_rows).map(|row| Some(index(row))));
            }
            let met = meet(&self.condition, self.side_by_side(&chunk, &left, &right)?, errors)?;
            // A row at fault is in the error stream: it does not leave as one without a partner.
            let met_rows = met.pairs.iter().chain(&met.failed).map(|pair| left[*pair]);
            let has_met: std::collections::BTreeSet<u32> = met_rows.collect();
            let without = part.map(index).filter(|row| !has_met.contains(row));
            if !self.keeps_left {
                errors.counters.filtered += without.count() as u64;
                out.push(met.rows);
                continue;
            }
            let fits = met.pairs.iter().map(|pair| (left[*pair], right[*pair]));
            let mut order: Vec<(u32, Option<u32>)> = fits.collect();
            order.extend(without.map(|row| (row, None)));
            order.sort_by_key(|(row, _)| *row);
            let (left, right): (Vec<u32>, Vec<Option<u32>>) = order.into_iter().unzip();
            out.push(self.side_by_side(&chunk, &left, &right)?);
        }
        let watermarks = Arc::clone(&chunk.watermarks);
        Chunk::of_parts(&out, &self.schema, chunk.ids.is_some(), watermarks)
    }
}

/// The types of a join's rows, for its schema.
pub(crate) fn joined_schema(left: &[Type], right: &[Type]) -> SchemaRef {
    let rowtimes = [Type::Timestamp; 3];
    arrow_schema(left.iter().chain(right).copied().chain(rowtimes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_with_more_times_than_rows_is_damaged() {
        let side = || (Some(Frame::Range(1000)), vec![Type::Boolean]);
        let schema = joined_schema(&[Type::Boolean], &[Type::Boolean]);
        let mut join =
            StreamJoin::new(side(), side(), false, Typed::column("a", 0, Type::Boolean), schema);
        let mut restore = |n_times: i64| {
            let mut writer = Writer::default();
            writer.number(0);
            writer.number(n_times);
            (0..n_times).for_each(|time| [time, 0].iter().for_each(|it| writer.number(*it)));
            let columns: Vec<ArrayRef> = vec![
                Arc::new(arrow::array::BooleanArray::from(vec![true])),
                Arc::new(arrow::array::TimestampMillisecondArray::from(vec![0])),
            ];
            writer.number(0);
            writer.arrays(&columns).expect("it can be written");
            writer.number(0);
            join.restore(&writer.0).map_err(|error| error.to_string())
        };
        assert_eq!(restore(1), Ok(()));
        assert!(restore(2).is_err_and(|error| error.contains("damaged")));
    }
}
