//! Groups by the values of columns, and the aggregates of each.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::DataType;
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use datafusion_expr::{EmitTo, GroupsAccumulator};

use super::errors::Errors;
use super::state::{Reader, Writer};
use crate::error::RunError;
use crate::expr::Aggregate;
use crate::types::Type;

/// The key of a group, as bytes.
pub(crate) type Key = Box<[u8]>;

/// Turns the keys of rows into bytes and back.
#[derive(Debug)]
pub(crate) struct Keys {
    converter: RowConverter,
    n_columns: usize,
}

impl Keys {
    pub(crate) fn new(types: impl IntoIterator<Item = Type>) -> Result<Self, RunError> {
        let fields: Vec<SortField> =
            types.into_iter().map(|it| SortField::new(it.arrow())).collect();
        Ok(Self { n_columns: fields.len(), converter: RowConverter::new(fields)? })
    }

    /// One entry a row; `None` where there are no key columns.
    pub(crate) fn rows(&self, columns: &[ArrayRef]) -> Result<Option<Rows>, RunError> {
        if self.n_columns == 0 {
            return Ok(None);
        }
        let columns: Vec<ArrayRef> = columns.iter().map(without_minus_zero).collect();
        Ok(Some(self.converter.convert_columns(&columns)?))
    }

    /// The columns of keys.
    pub(crate) fn columns(&self, keys: &[Box<[u8]>]) -> Result<Vec<ArrayRef>, RunError> {
        if self.n_columns == 0 {
            return Ok(Vec::new());
        }
        let parser = self.converter.parser();
        let rows: Vec<OwnedRow> = keys.iter().map(|key| parser.parse(key).owned()).collect();
        Ok(self.converter.convert_rows(rows.iter().map(OwnedRow::row))?)
    }
}

/// 0.0 and -0.0 are equal, and one group.
fn without_minus_zero(column: &ArrayRef) -> ArrayRef {
    use arrow::datatypes::{Float32Type, Float64Type};
    if let Some(numbers) = column.as_primitive_opt::<Float64Type>() {
        let plain = |x: f64| if x == 0.0 { 0.0 } else { x };
        return Arc::new(numbers.unary::<_, Float64Type>(plain));
    }
    if let Some(numbers) = column.as_primitive_opt::<Float32Type>() {
        let plain = |x: f32| if x == 0.0 { 0.0 } else { x };
        return Arc::new(numbers.unary::<_, Float32Type>(plain));
    }
    Arc::clone(column)
}

/// The bytes of a row's key.
pub(crate) fn key_of(rows: Option<&Rows>, row: usize) -> &[u8] {
    rows.map_or(&[], |rows| rows.row(row).data())
}

/// COUNT(DISTINCT) keeps its values as sets, in an order that differs from run to run: they are
/// written sorted, so that the same state is the same bytes.
pub(crate) fn sorted_sets(state: &ArrayRef) -> Result<ArrayRef, RunError> {
    let DataType::List(field) = state.data_type() else { return Ok(Arc::clone(state)) };
    let sets = state.as_list::<i32>();
    let sorted = sets.iter().map(|set| match set {
        Some(set) => arrow::compute::sort(&set, None),
        None => Ok(arrow::array::new_empty_array(field.data_type())),
    });
    let sorted: Vec<ArrayRef> = sorted.collect::<Result<_, _>>()?;
    let parts: Vec<&dyn Array> = sorted.iter().map(AsRef::as_ref).collect();
    let values = if parts.is_empty() {
        arrow::array::new_empty_array(field.data_type())
    } else {
        arrow::compute::concat(&parts)?
    };
    let offsets = OffsetBuffer::from_lengths(sorted.iter().map(|set| set.len()));
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, values, sets.nulls().cloned())?))
}

/// The groups of one window, in the order of their first rows.
pub(crate) struct Groups {
    index: HashMap<Box<[u8]>, usize>,
    keys: Vec<Box<[u8]>>,
    // Of the keys, which are here and in the index.
    n_key_bytes: usize,
    accumulators: Vec<Box<dyn GroupsAccumulator>>,
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Groups").field("n_groups", &self.keys.len()).finish_non_exhaustive()
    }
}

impl Groups {
    pub(crate) fn new(aggregates: &[Aggregate]) -> Result<Self, RunError> {
        let accumulators = aggregates.iter().map(Aggregate::groups).collect::<Result<_, _>>()?;
        Ok(Self { index: HashMap::new(), keys: Vec::new(), n_key_bytes: 0, accumulators })
    }

    pub(crate) fn n_groups(&self) -> usize {
        self.keys.len()
    }

    /// The group of a key, which is made if there is none.
    pub(crate) fn group(&mut self, key: &[u8]) -> usize {
        if let Some(group) = self.index.get(key) {
            return *group;
        }
        let group = self.keys.len();
        self.n_key_bytes += 2 * key.len();
        self.keys.push(key.into());
        self.index.insert(key.into(), group);
        group
    }

    /// Takes rows: one argument column an aggregate, and the group of each row.
    pub(crate) fn update(
        &mut self,
        arguments: &[ArrayRef],
        groups: &[usize],
    ) -> Result<(), RunError> {
        let n_groups = self.keys.len();
        for (accumulator, argument) in self.accumulators.iter_mut().zip(arguments) {
            accumulator.update_batch(std::slice::from_ref(argument), groups, None, n_groups)?;
        }
        Ok(())
    }

    /// Checks the groups, and what they hold, against the bounds.
    pub(crate) fn check_size(&self, what: &str, errors: &Errors<'_>) -> Result<(), RunError> {
        errors.check_rows(what, self.n_groups(), errors.limits.groups)?;
        let aggregates: usize = self.accumulators.iter().map(|it| it.size()).sum();
        errors.check_bytes(what, aggregates + self.n_key_bytes, errors.limits.aggregate_bytes)
    }

    /// Takes the first groups out: their keys, and a column an aggregate.
    pub(crate) fn emit(&mut self, n_groups: usize) -> Result<(Vec<Key>, Vec<ArrayRef>), RunError> {
        let all = n_groups == self.keys.len();
        let keys: Vec<Key> = self.keys.drain(..n_groups).collect();
        self.n_key_bytes -= keys.iter().map(|key| 2 * key.len()).sum::<usize>();
        let emit = || if all { EmitTo::All } else { EmitTo::First(n_groups) };
        let values = self
            .accumulators
            .iter_mut()
            .map(|accumulator| accumulator.evaluate(emit()))
            .collect::<Result<_, _>>()?;
        if all {
            self.index.clear();
        } else {
            self.index.retain(|_, group| {
                let stays = *group >= n_groups;
                *group = group.saturating_sub(n_groups);
                stays
            });
        }
        Ok((keys, values))
    }

    /// Forgets that a key has a group: the next row of the key makes a new one.
    pub(crate) fn forget(&mut self, key: &[u8]) {
        self.index.remove(key);
    }

    pub(crate) fn save(
        &mut self,
        aggregates: &[Aggregate],
        writer: &mut Writer,
    ) -> Result<(), RunError> {
        let n_groups = self.keys.len();
        writer.count(n_groups);
        for (group, key) in self.keys.iter().enumerate() {
            writer.bytes(key);
            writer.number(i64::from(self.index.get(key) == Some(&group)));
        }
        if n_groups == 0 {
            return Ok(());
        }
        let all: Vec<usize> = (0..n_groups).collect();
        for (accumulator, aggregate) in self.accumulators.iter_mut().zip(aggregates) {
            let state = accumulator.state(EmitTo::All)?;
            let state = state.iter().map(sorted_sets).collect::<Result<Vec<_>, _>>()?;
            writer.arrays(&state)?;
            *accumulator = aggregate.groups()?;
            accumulator.merge_batch(&state, &all, n_groups)?;
        }
        Ok(())
    }

    pub(crate) fn restore(
        aggregates: &[Aggregate],
        reader: &mut Reader<'_>,
    ) -> Result<Self, RunError> {
        let mut groups = Self::new(aggregates)?;
        let n_groups = reader.count()?;
        for group in 0..n_groups {
            let key: Box<[u8]> = reader.bytes()?.into();
            if reader.number()? != 0 {
                groups.index.insert(key.clone(), group);
            }
            groups.n_key_bytes += 2 * key.len();
            groups.keys.push(key);
        }
        if n_groups == 0 {
            return Ok(groups);
        }
        let all: Vec<usize> = (0..n_groups).collect();
        for (accumulator, aggregate) in groups.accumulators.iter_mut().zip(aggregates) {
            let state = reader.arrays()?;
            let found: Vec<_> = state.iter().map(|array| array.data_type().clone()).collect();
            if found != aggregate.state_types()? || state[0].len() != n_groups {
                return Err(RunError::Snapshot {
                    reason: "an aggregate's state differs".to_owned(),
                });
            }
            accumulator.merge_batch(&state, &all, n_groups)?;
        }
        Ok(groups)
    }
}
