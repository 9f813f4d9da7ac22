//! Joins of a stream with a table.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, UInt32Array};
use arrow::datatypes::SchemaRef;

use super::errors::Errors;
use super::evaluate::Expressions;
use super::join::meet;
use super::{Chunk, Operator};
use crate::error::RunError;
use crate::expr::Typed;

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
