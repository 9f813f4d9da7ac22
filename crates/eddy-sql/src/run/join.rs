//! Joins of streams in windows, and UNION ALL.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray, UInt32Array, new_null_array};
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

/// The sides of a join whose rows leave without a partner as well.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Keeps {
    pub(crate) left: bool,
    pub(crate) right: bool,
}

/// A side of a join.
#[derive(Debug)]
struct Side {
    // Its window; `None`: only its current row.
    frame: Option<Frame>,
    // Whether its rows leave without a partner.
    is_kept: bool,
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

    /// The last time at which others may meet its oldest row.
    fn first_ends(&self) -> Option<i64> {
        let first = self.held.front()?;
        Some(match self.frame {
            None => first.time,
            Some(Frame::Range(ms)) => first.time.saturating_add(ms),
            Some(Frame::Rows(_) | Frame::Unbounded) => i64::MAX,
        })
    }

    /// The ROWTIME of a row that leaves without a partner: the end of its window. A window of rows
    /// passes with the row that pushes it out, which is the `latest`.
    fn leaves_at(&self, time: i64, latest: i64) -> i64 {
        match self.frame {
            Some(Frame::Range(ms)) => time.saturating_add(ms),
            Some(Frame::Rows(_) | Frame::Unbounded) => latest,
            None => time,
        }
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
/// ROWTIME; at one ROWTIME the left row comes first. A row of a kept side (the left one of LEFT JOIN,
/// the right one of RIGHT JOIN, both of FULL JOIN) without a partner leaves when no partner can come
/// any more.
#[derive(Debug)]
pub(crate) struct StreamJoin {
    left: Side,
    right: Side,
    condition: Expressions,
    schema: SchemaRef,
    latest: i64,
}

impl StreamJoin {
    pub(crate) fn new(
        left: (Option<Frame>, Vec<Type>),
        right: (Option<Frame>, Vec<Type>),
        keeps: Keeps,
        condition: Typed,
        schema: SchemaRef,
    ) -> Self {
        let side = |(frame, types), is_kept| Side {
            frame,
            is_kept,
            types,
            held: VecDeque::new(),
            n_bytes: 0,
        };
        let condition = Expressions::new([condition], Arc::clone(&schema));
        Self {
            left: side(left, keeps.left),
            right: side(right, keeps.right),
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
            let marks_right = self.right.is_kept;
            let marks_left = self.left.is_kept || !marks_right;
            let other = if is_left { &mut self.right } else { &mut self.left };
            for pair in &met.pairs {
                other.held[begin + pair].matched = true;
            }
            row.matched = !met.pairs.is_empty();
            // A row at fault is in the error stream: it does not leave as one without a partner. In
            // an inner join it is the left row that is not counted as left out.
            let own_is_at_fault = if is_left { marks_left } else { marks_right };
            let other_is_at_fault = if is_left { marks_right } else { marks_left };
            for pair in &met.failed {
                row.matched |= own_is_at_fault;
                other.held[begin + pair].matched |= other_is_at_fault;
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
        for held in gone {
            self.leave(held, is_left, tick, watermarks, out, errors)?;
        }
        Ok(())
    }

    /// A row that nothing can meet any more: without a partner it leaves alone if its side is kept.
    fn leave(
        &self,
        held: Held,
        is_left: bool,
        tick: u32,
        watermarks: &Arc<[i64]>,
        out: &mut Vec<Chunk>,
        errors: &mut Errors<'_>,
    ) -> Result<(), RunError> {
        let side = if is_left { &self.left } else { &self.right };
        if held.matched {
            return Ok(());
        }
        if side.is_kept {
            out.push(self.alone(&held, is_left, tick, watermarks)?);
        } else {
            errors.counters.filtered += 1;
        }
        Ok(())
    }

    /// Forgets rows that nothing can meet any more, once the time has passed: in the order of the
    /// ROWTIMEs with which they leave, those of the left side first.
    fn expire(
        &mut self,
        time: i64,
        tick: u32,
        watermarks: &Arc<[i64]>,
        out: &mut Vec<Chunk>,
        errors: &mut Errors<'_>,
    ) -> Result<(), RunError> {
        let latest = self.latest;
        let next = |side: &Side| {
            let ends = side.first_ends()?;
            let has_passed = ends < time || (time == i64::MAX && ends == i64::MAX);
            has_passed.then(|| side.leaves_at(side.held[0].time, latest))
        };
        loop {
            let is_left = match (next(&self.left), next(&self.right)) {
                (None, None) => return Ok(()),
                (Some(left), Some(right)) => left <= right,
                (left, _) => left.is_some(),
            };
            let side = if is_left { &mut self.left } else { &mut self.right };
            if let Some(held) = side.pop() {
                self.leave(held, is_left, tick, watermarks, out, errors)?;
            }
        }
    }

    fn alone(
        &self,
        held: &Held,
        is_left: bool,
        tick: u32,
        watermarks: &Arc<[i64]>,
    ) -> Result<Chunk, RunError> {
        let (side, other) =
            if is_left { (&self.left, &self.right) } else { (&self.right, &self.left) };
        let own = held.row.columns.iter().cloned();
        let nulls = other.types.iter().map(|it| new_null_array(&it.arrow(), 1));
        let own_time = Arc::clone(&held.row.rowtimes);
        let no_time = new_null_array(&Type::Timestamp.arrow(), 1);
        let columns = if is_left {
            own.chain(nulls).chain([own_time, no_time]).collect()
        } else {
            nulls.chain(own).chain([no_time, own_time]).collect()
        };
        let ends = side.leaves_at(held.time, self.latest);
        let rowtimes = arrow::array::TimestampMillisecondArray::from(vec![ends]);
        // In a join of a stream with itself a row may leave alone from either side.
        let ids = held.row.ids.as_ref().map(|ids| {
            if is_left {
                return Arc::clone(ids);
            }
            let ids = ids.as_string::<i32>().iter().map(|id| id.map(|id| format!("+{id}")));
            Arc::new(ids.collect::<StringArray>()) as ArrayRef
        });
        let watermarks = Arc::clone(watermarks);
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
        let kept = [&self.left, &self.right].into_iter().filter(|side| side.is_kept);
        let ends = kept.filter_map(Side::first_ends).min();
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
pub(super) struct Met {
    // Those that fit, as rows and by number.
    pub(super) rows: Chunk,
    pub(super) pairs: Vec<usize>,
    // Those that the condition failed for: they are in the error stream.
    pub(super) failed: Vec<usize>,
}

pub(super) fn meet(
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
        let mut join = StreamJoin::new(
            side(),
            side(),
            Keeps::default(),
            Typed::column("a", 0, Type::Boolean),
            schema,
        );
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
