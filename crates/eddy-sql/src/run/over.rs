//! OVER: a value a row, of the rows before it. A row sees itself and rows that came before it,
//! never a later one of the same ROWTIME.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::SchemaRef;
use datafusion_common::ScalarValue;
use datafusion_expr::Accumulator;

use super::chunk::array_bytes;
use super::errors::Errors;
use super::evaluate::Expressions;
use super::groups::{Keys, key_of, sorted_sets};
use super::state::{Reader, Writer};
use super::{Chunk, Operator};
use crate::error::RunError;
use crate::expr::{Aggregate, Typed};

/// Which rows a window holds, beside the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Frame {
    /// Those at most so many milliseconds before it, that far included.
    Range(i64),
    /// So many rows before it.
    Rows(usize),
    /// All.
    Unbounded,
}

/// What is worked out over a window.
#[derive(Clone, Debug)]
pub(crate) enum Over {
    Aggregate(Aggregate),
    /// The average in which a value counts half as much with each half-life of its age.
    ExpAvg {
        argument: Typed,
        half_life_ms: i64,
    },
    /// The value so many rows before; outside the window the default.
    Lag {
        argument: Typed,
        offset: usize,
        default: Option<Typed>,
        ignores_nulls: bool,
    },
    /// The so-manieth value of the window, from its first row or its last.
    Nth {
        argument: Typed,
        n: usize,
        from_last: bool,
        ignores_nulls: bool,
    },
}

impl Over {
    fn arguments(&self) -> Vec<Typed> {
        match self {
            Self::Aggregate(aggregate) => vec![aggregate.argument.clone()],
            Self::Lag { argument, default: Some(default), .. } => {
                vec![argument.clone(), default.clone()]
            }
            Self::Lag { argument, .. }
            | Self::Nth { argument, .. }
            | Self::ExpAvg { argument, .. } => vec![argument.clone()],
        }
    }

    pub(crate) fn sql_type(&self) -> crate::types::Type {
        match self {
            Self::Aggregate(aggregate) => aggregate.sql_type,
            Self::Lag { argument, .. }
            | Self::Nth { argument, .. }
            | Self::ExpAvg { argument, .. } => argument.sql_type,
        }
    }
}

/// The functions over one window; each adds a column behind the others.
#[derive(Debug)]
pub(crate) struct OverWindow {
    frame: Frame,
    functions: Vec<Over>,
    // The keys, then the arguments.
    exprs: Expressions,
    keys: Keys,
    n_keys: usize,
    partitions: BTreeMap<Box<[u8]>, Partition>,
    // ROWTIMEs do not fall inside a window.
    latest: i64,
    // What the rows of all windows take, and the aggregates of those without a bound.
    n_row_bytes: usize,
    n_bytes: usize,
}

#[derive(Default)]
struct Partition {
    rowtimes: Vec<i64>,
    // One an argument, as long as `rowtimes`; empty before the first row.
    arguments: Vec<ArrayRef>,
    // Of windows without a bound: one an aggregate.
    running: Vec<Box<dyn Accumulator>>,
}

impl Partition {
    fn n_bytes(&self) -> usize {
        self.running.iter().map(|running| running.size()).sum()
    }

    fn n_row_bytes(&self) -> usize {
        let rowtimes = size_of::<i64>() * self.rowtimes.len();
        rowtimes + self.arguments.iter().map(array_bytes).sum::<usize>()
    }
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partition").field("n_rows", &self.rowtimes.len()).finish_non_exhaustive()
    }
}

impl OverWindow {
    pub(crate) fn new(
        frame: Frame,
        partition_by: Vec<Typed>,
        functions: Vec<Over>,
        schema: SchemaRef,
    ) -> Result<Self, RunError> {
        let keys = Keys::new(partition_by.iter().map(|key| key.sql_type))?;
        let n_keys = partition_by.len();
        let arguments = functions.iter().flat_map(Over::arguments);
        let exprs = Expressions::new(partition_by.into_iter().chain(arguments), schema);
        Ok(Self {
            frame,
            functions,
            exprs,
            keys,
            n_keys,
            partitions: BTreeMap::new(),
            latest: i64::MIN,
            n_row_bytes: 0,
            n_bytes: 0,
        })
    }

    /// Values for the new rows of one partition, a column a function.
    fn values(&self, partition: &mut Partition, n_new: usize) -> Result<Vec<ArrayRef>, RunError> {
        let n_rows = partition.rowtimes.len();
        let rows = n_rows - n_new..n_rows;
        let begin = |row: usize| match self.frame {
            Frame::Range(ms) => {
                let first = partition.rowtimes[row].saturating_sub(ms);
                partition.rowtimes[..row].partition_point(|time| *time < first)
            }
            Frame::Rows(before) => row.saturating_sub(before),
            Frame::Unbounded => 0,
        };
        let mut columns = Vec::with_capacity(self.functions.len());
        let (mut argument_idx, mut running_idx) = (0, 0);
        for function in &self.functions {
            let argument = &partition.arguments[argument_idx];
            let column = match function {
                Over::Aggregate(aggregate) => {
                    let mut values = Vec::with_capacity(n_new);
                    for row in rows.clone() {
                        let value = match self.frame {
                            Frame::Unbounded => {
                                let running = &mut partition.running[running_idx];
                                running.update_batch(&[argument.slice(row, 1)])?;
                                running.evaluate()?
                            }
                            _ if aggregate.counts_rows => {
                                let n_rows = row + 1 - begin(row);
                                ScalarValue::Int64(i64::try_from(n_rows).ok())
                            }
                            _ => {
                                let first = begin(row);
                                let mut fresh = aggregate.accumulator()?;
                                fresh.update_batch(&[argument.slice(first, row + 1 - first)])?;
                                fresh.evaluate()?
                            }
                        };
                        values.push(value);
                    }
                    running_idx += 1;
                    ScalarValue::iter_to_array(values)?
                }
                Over::ExpAvg { half_life_ms, .. } => {
                    let (numbers, times) = (argument.as_primitive(), &partition.rowtimes);
                    let averages = rows
                        .clone()
                        .map(|row| exp_avg(numbers, times, begin(row)..=row, *half_life_ms));
                    Arc::new(averages.collect::<Float64Array>()) as ArrayRef
                }
                Over::Lag { offset, default, ignores_nulls, .. } => {
                    let defaults = default.as_ref().map(|_| &partition.arguments[argument_idx + 1]);
                    let found = rows.clone().map(|row| {
                        let first = begin(row);
                        back(argument, first, row, *offset, *ignores_nulls)
                    });
                    picked(argument, defaults, rows.start, found)?
                }
                Over::Nth { n, from_last, ignores_nulls, .. } => {
                    let found = rows.clone().map(|row| {
                        let window = begin(row)..row + 1;
                        let counts = |at: &usize| !*ignores_nulls || argument.is_valid(*at);
                        if *from_last {
                            window.rev().filter(counts).nth(n - 1)
                        } else {
                            window.filter(counts).nth(n - 1)
                        }
                    });
                    picked(argument, None, rows.start, found)?
                }
            };
            columns.push(column);
            argument_idx += function.arguments().len();
        }
        Ok(columns)
    }

    /// Forgets what no later row of the partition can see.
    fn forget(&self, partition: &mut Partition) -> Result<(), RunError> {
        let n_rows = partition.rowtimes.len();
        let first = match self.frame {
            Frame::Range(ms) => {
                let last = partition.rowtimes[n_rows - 1];
                partition.rowtimes.partition_point(|time| *time < last.saturating_sub(ms))
            }
            Frame::Rows(before) => n_rows.saturating_sub(before),
            Frame::Unbounded => return self.keep_lags(partition),
        };
        partition.rowtimes.drain(..first);
        for argument in &mut partition.arguments {
            *argument = argument.slice(first, n_rows - first);
        }
        Ok(())
    }

    /// In a window without a bound, what looks back by rows keeps those rows; where it ignores
    /// NULLs, the last so many that are not NULL, however far back they are.
    fn keep_lags(&self, partition: &mut Partition) -> Result<(), RunError> {
        let n_rows = partition.rowtimes.len();
        let mut kept = std::collections::BTreeSet::new();
        let mut argument_idx = 0;
        for function in &self.functions {
            if let Over::Lag { offset, ignores_nulls, .. } = function {
                let argument = &partition.arguments[argument_idx];
                let counts = |row: &usize| !*ignores_nulls || argument.is_valid(*row);
                kept.extend((0..n_rows).rev().filter(counts).take(*offset));
            }
            argument_idx += function.arguments().len();
        }
        let rowtimes = kept.iter().map(|row| partition.rowtimes[*row]).collect();
        partition.rowtimes = rowtimes;
        let rows: UInt32Array = kept
            .into_iter()
            .map(|row| u32::try_from(row).expect("a window has fewer rows"))
            .collect();
        for argument in &mut partition.arguments {
            *argument = take(argument, &rows, None)?;
        }
        Ok(())
    }
}

/// The average of those rows, from the newest on. Ages count in whole half-lives: the window is cut
/// into so long parts, from its end on.
fn exp_avg(
    numbers: &Float64Array,
    rowtimes: &[i64],
    rows: RangeInclusive<usize>,
    half_life_ms: i64,
) -> Option<f64> {
    let now = rowtimes[*rows.end()];
    let age = |row: usize| now.saturating_sub(rowtimes[row]) / half_life_ms;
    let mut known = rows.rev().filter(|row| numbers.is_valid(*row)).peekable();
    // From the newest value that there is, so that old ones alone do not weigh nothing.
    let newest = age(*known.peek()?);
    let (mut sum, mut weights) = (0.0, 0.0);
    for row in known {
        let weight = 0.5_f64.powi(i32::try_from(age(row) - newest).unwrap_or(i32::MAX));
        sum += weight * numbers.value(row);
        weights += weight;
    }
    Some(sum / weights)
}

/// The row `offset` rows before, if the window holds it.
fn back(
    argument: &ArrayRef,
    first: usize,
    row: usize,
    offset: usize,
    ignores_nulls: bool,
) -> Option<usize> {
    if offset == 0 {
        return Some(row);
    }
    if ignores_nulls {
        return (first..row).rev().filter(|at| argument.is_valid(*at)).nth(offset - 1);
    }
    row.checked_sub(offset).filter(|at| *at >= first)
}

/// The values at those rows; where there is none, the default of the row itself.
fn picked(
    argument: &ArrayRef,
    defaults: Option<&ArrayRef>,
    first_row: usize,
    found: impl Iterator<Item = Option<usize>>,
) -> Result<ArrayRef, RunError> {
    let index = |at: usize| u32::try_from(at).expect("a window has fewer rows");
    let n_rows = argument.len();
    let Some(defaults) = defaults else {
        let rows: UInt32Array = found.map(|at| at.map(index)).collect();
        return Ok(take(argument, &rows, None)?);
    };
    let both = concat(&[argument.as_ref(), defaults.as_ref()])?;
    let rows: UInt32Array = found
        .enumerate()
        .map(|(row, at)| Some(index(at.unwrap_or(n_rows + first_row + row))))
        .collect();
    Ok(take(&both, &rows, None)?)
}

impl Operator for OverWindow {
    fn process(
        &mut self,
        mut inputs: Vec<Chunk>,
        errors: &mut Errors<'_>,
    ) -> Result<Chunk, RunError> {
        let (mut chunk, values) = self.exprs.evaluate(inputs.remove(0), errors)?;
        if chunk.n_rows() == 0 {
            let types = self.functions.iter().map(|function| function.sql_type().arrow());
            chunk.columns.extend(types.map(|it| arrow::array::new_empty_array(&it)));
            return Ok(chunk);
        }
        let (keys, arguments) = values.split_at(self.n_keys);
        let rows = self.keys.rows(keys)?;
        let mut by_key: BTreeMap<&[u8], Vec<u32>> = BTreeMap::new();
        for row in 0..chunk.n_rows() {
            let row_idx = u32::try_from(row).expect("a batch has fewer rows");
            by_key.entry(key_of(rows.as_ref(), row)).or_default().push(row_idx);
        }
        let mut latest = self.latest;
        let rowtimes: Vec<i64> = chunk
            .rowtimes()
            .values()
            .iter()
            .map(|time| {
                latest = latest.max(*time);
                latest
            })
            .collect();
        self.latest = latest;
        // Values by partition, and which row each is of.
        let mut columns: Vec<Vec<ArrayRef>> = vec![Vec::new(); self.functions.len()];
        let mut place = vec![0_u32; chunk.n_rows()];
        let mut n_done = 0;
        for (key, rows) in by_key {
            let mut partition = self.partitions.remove(key).unwrap_or_default();
            self.n_bytes -= partition.n_bytes();
            self.n_row_bytes -= partition.n_row_bytes();
            if partition.running.is_empty() && self.frame == Frame::Unbounded {
                partition.running = self.running()?;
            }
            partition.rowtimes.extend(rows.iter().map(|row| rowtimes[*row as usize]));
            for row in &rows {
                place[*row as usize] = n_done;
                n_done += 1;
            }
            let n_new = rows.len();
            let rows = UInt32Array::from(rows);
            for (idx, argument) in arguments.iter().enumerate() {
                let new = take(argument, &rows, None)?;
                match partition.arguments.get_mut(idx) {
                    None => partition.arguments.push(new),
                    Some(old) => *old = concat(&[old.as_ref(), new.as_ref()])?,
                }
            }
            let values = self.values(&mut partition, n_new)?;
            columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
            self.forget(&mut partition)?;
            self.n_bytes += partition.n_bytes();
            self.n_row_bytes += partition.n_row_bytes();
            self.partitions.insert(key.into(), partition);
        }
        let place = UInt32Array::from(place);
        for parts in columns {
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            chunk.columns.push(take(&concat(&parts)?, &place, None)?);
        }
        if let Frame::Range(ms) = self.frame {
            let oldest = self.latest.saturating_sub(ms);
            let n_row_bytes = &mut self.n_row_bytes;
            self.partitions.retain(|_, partition| {
                let stays = partition.rowtimes.last().is_some_and(|time| *time >= oldest);
                *n_row_bytes -= if stays { 0 } else { partition.n_row_bytes() };
                stays
            });
        }
        let limits = errors.limits;
        errors.check_bytes("OVER", self.n_bytes, limits.aggregate_bytes)?;
        errors.check_bytes("OVER", self.n_row_bytes, limits.held_bytes)?;
        let n_held: usize = self.partitions.values().map(|it| it.rowtimes.len()).sum();
        errors.check_rows("OVER", n_held, limits.window_rows)?;
        errors.check_rows("OVER", self.partitions.len(), limits.keys)?;
        Ok(chunk)
    }

    fn save(&mut self) -> Result<Vec<u8>, RunError> {
        let mut writer = Writer::default();
        writer.number(self.latest);
        writer.count(self.partitions.len());
        let mut n_bytes = 0;
        for (key, partition) in &mut self.partitions {
            writer.bytes(key);
            writer.count(partition.rowtimes.len());
            partition.rowtimes.iter().for_each(|time| writer.number(*time));
            writer.count(partition.arguments.len());
            if !partition.arguments.is_empty() {
                writer.arrays(&partition.arguments)?;
            }
            for (running, aggregate) in
                partition.running.iter_mut().zip(aggregates(&self.functions))
            {
                let state = running.state()?;
                let state =
                    state.iter().map(ScalarValue::to_array).collect::<Result<Vec<_>, _>>()?;
                let state = state.iter().map(sorted_sets).collect::<Result<Vec<_>, _>>()?;
                writer.arrays(&state)?;
                *running = aggregate.accumulator()?;
                running.merge_batch(&state)?;
            }
            n_bytes += partition.n_bytes();
        }
        self.n_bytes = n_bytes;
        Ok(writer.0)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), RunError> {
        let mut reader = Reader(state);
        self.latest = reader.number()?;
        for _ in 0..reader.count()? {
            let key: Box<[u8]> = reader.bytes()?.into();
            let mut partition = Partition::default();
            for _ in 0..reader.count()? {
                partition.rowtimes.push(reader.number()?);
            }
            if reader.count()? > 0 {
                partition.arguments = reader.arrays()?;
            }
            if self.frame == Frame::Unbounded {
                partition.running = self.running()?;
                for running in &mut partition.running {
                    running.merge_batch(&reader.arrays()?)?;
                }
            }
            self.n_bytes += partition.n_bytes();
            self.n_row_bytes += partition.n_row_bytes();
            self.partitions.insert(key, partition);
        }
        reader.end()
    }
}

fn aggregates(functions: &[Over]) -> impl Iterator<Item = &Aggregate> {
    functions.iter().filter_map(|function| match function {
        Over::Aggregate(aggregate) => Some(aggregate),
        _ => None,
    })
}

impl OverWindow {
    fn running(&self) -> Result<Vec<Box<dyn Accumulator>>, RunError> {
        Ok(aggregates(&self.functions).map(Aggregate::accumulator).collect::<Result<_, _>>()?)
    }
}
