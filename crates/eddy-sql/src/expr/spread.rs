//! VAR and STDDEV of groups. DataFusion's works out the same numbers, but a state of its that is
//! written and read back differs in the last bit; this one's does not.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, UInt64Array};
use arrow::datatypes::{Float64Type, UInt64Type};
use datafusion_common::Result;
use datafusion_expr::{EmitTo, GroupsAccumulator};

use super::failed;

/// Which measure of spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spread {
    /// Of a sample: divided by one less than the count.
    pub(super) is_sample: bool,
    /// The square root: the standard deviation.
    pub(super) is_root: bool,
}

/// Welford's sums, one a group.
#[derive(Debug)]
pub(super) struct Spreads {
    spread: Spread,
    counts: Vec<u64>,
    means: Vec<f64>,
    // Sums of squared differences from the mean.
    squares: Vec<f64>,
}

impl Spreads {
    pub(super) fn new(spread: Spread) -> Self {
        Self { spread, counts: Vec::new(), means: Vec::new(), squares: Vec::new() }
    }

    fn resize(&mut self, n_groups: usize) {
        self.counts.resize(n_groups, 0);
        self.means.resize(n_groups, 0.0);
        self.squares.resize(n_groups, 0.0);
    }
}

impl GroupsAccumulator for Spreads {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        _: Option<&BooleanArray>,
        n_groups: usize,
    ) -> Result<()> {
        self.resize(n_groups);
        for (value, group) in values[0].as_primitive::<Float64Type>().iter().zip(group_indices) {
            let Some(value) = value else { continue };
            self.counts[*group] += 1;
            let mean = &mut self.means[*group];
            let before = value - *mean;
            *mean += before / self.counts[*group] as f64;
            self.squares[*group] += before * (value - *mean);
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let counts = emit_to.take_needed(&mut self.counts);
        emit_to.take_needed(&mut self.means);
        let squares = emit_to.take_needed(&mut self.squares);
        let of = |(count, squares): (u64, f64)| {
            let by = if self.spread.is_sample { count.checked_sub(1)? } else { count };
            let variance = (by > 0).then(|| squares / by as f64)?;
            Some(if self.spread.is_root { variance.sqrt() } else { variance })
        };
        Ok(Arc::new(counts.into_iter().zip(squares).map(of).collect::<Float64Array>()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![
            Arc::new(UInt64Array::from(emit_to.take_needed(&mut self.counts))),
            Arc::new(Float64Array::from(emit_to.take_needed(&mut self.means))),
            Arc::new(Float64Array::from(emit_to.take_needed(&mut self.squares))),
        ])
    }

    /// Takes a state into groups that have no rows: states are read back, never put together.
    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        n_groups: usize,
    ) -> Result<()> {
        self.resize(n_groups);
        let counts = values[0].as_primitive::<UInt64Type>();
        let means = values[1].as_primitive::<Float64Type>();
        let squares = values[2].as_primitive::<Float64Type>();
        for (row, group) in group_indices.iter().enumerate() {
            if self.counts[*group] > 0 || counts.is_null(row) {
                return Err(failed("states of groups cannot be put together"));
            }
            self.counts[*group] = counts.value(row);
            self.means[*group] = means.value(row);
            self.squares[*group] = squares.value(row);
        }
        Ok(())
    }

    /// A row as the state of a group of its own.
    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        _: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let n_rows = values[0].len();
        let mut alone = Self::new(self.spread);
        let groups: Vec<usize> = (0..n_rows).collect();
        alone.update_batch(values, &groups, None, n_rows)?;
        alone.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.counts.capacity() * 8 + (self.means.capacity() + self.squares.capacity()) * 8
    }
}
