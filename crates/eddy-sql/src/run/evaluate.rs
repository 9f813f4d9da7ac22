//! Expressions over rows. An error belongs to one row: when a batch fails it is split until the
//! rows at fault are found; they go to the error stream and the others go on.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, new_empty_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::DataFusionError;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::Column;

use super::errors::Errors;
use super::{Chunk, Operator};
use crate::error::RunError;
use crate::expr::Typed;

/// Expressions over the rows of one scope.
#[derive(Clone, Debug)]
pub(crate) struct Expressions {
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    // The scope's columns, then ROWTIME.
    schema: SchemaRef,
}

impl Expressions {
    pub(crate) fn new(exprs: impl IntoIterator<Item = Typed>, schema: SchemaRef) -> Self {
        Self { exprs: exprs.into_iter().map(|typed| typed.expr).collect(), schema }
    }

    /// Of the rows that they are over.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The types of the values.
    pub(crate) fn types(&self) -> Result<Vec<DataType>, RunError> {
        self.exprs.iter().map(|expr| Ok(expr.data_type(&self.schema)?)).collect()
    }

    /// The values, and the rows that have them.
    pub(crate) fn evaluate(
        &self,
        chunk: Chunk,
        errors: &mut Errors<'_>,
    ) -> Result<(Chunk, Vec<ArrayRef>), RunError> {
        if chunk.n_rows() == 0 {
            let empty = self
                .exprs
                .iter()
                .map(|expr| Ok::<_, RunError>(new_empty_array(&expr.data_type(&self.schema)?)));
            let empty = empty.collect::<Result<_, _>>()?;
            return Ok((chunk, empty));
        }
        let error = match self.all(&chunk)? {
            Ok(values) => return Ok((chunk, values)),
            Err(error) => error,
        };
        let mut good = Vec::new();
        let mut keep = vec![true; chunk.n_rows()];
        self.split(&chunk, 0, error, &mut good, &mut keep, errors)?;
        let chunk = chunk.filter(&BooleanArray::from(keep))?;
        let values = (0..self.exprs.len()).map(|idx| {
            let parts: Vec<&dyn arrow::array::Array> =
                good.iter().map(|part: &Vec<ArrayRef>| part[idx].as_ref()).collect();
            if parts.is_empty() {
                return Ok(new_empty_array(&self.exprs[idx].data_type(&self.schema)?));
            }
            Ok(concat(&parts)?)
        });
        let values = values.collect::<Result<_, RunError>>()?;
        Ok((chunk, values))
    }

    fn all(&self, chunk: &Chunk) -> Result<Result<Vec<ArrayRef>, DataFusionError>, RunError> {
        let n_rows = chunk.n_rows();
        let mut batch = None;
        let mut values = Vec::with_capacity(self.exprs.len());
        for expr in &self.exprs {
            if let Some(column) = expr.downcast_ref::<Column>() {
                values
                    .push(Arc::clone(chunk.columns.get(column.index()).unwrap_or(&chunk.rowtimes)));
                continue;
            }
            let batch = match &batch {
                Some(batch) => batch,
                None => batch.insert(chunk.batch(&self.schema)?),
            };
            match expr.evaluate(batch).and_then(|value| value.into_array(n_rows)) {
                Ok(value) => values.push(value),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(values))
    }

    fn split(
        &self,
        chunk: &Chunk,
        begin: usize,
        error: DataFusionError,
        good: &mut Vec<Vec<ArrayRef>>,
        keep: &mut [bool],
        errors: &mut Errors<'_>,
    ) -> Result<(), RunError> {
        if chunk.n_rows() == 1 {
            keep[begin] = false;
            let (name, message) = described(&error);
            errors.report(chunk, 0, name, &message);
            return Ok(());
        }
        let half = chunk.n_rows() / 2;
        for (from, n_rows) in [(0, half), (half, chunk.n_rows() - half)] {
            let part = chunk.slice(from, n_rows);
            match self.all(&part)? {
                Ok(values) => good.push(values),
                Err(error) => self.split(&part, begin + from, error, good, keep, errors)?,
            }
        }
        Ok(())
    }
}

/// The name and message of an error of one row.
fn described(error: &DataFusionError) -> (&'static str, String) {
    let text = match error.find_root() {
        DataFusionError::Execution(text) => text.clone(),
        other => other.strip_backtrace(),
    };
    let text = text.strip_prefix("Arrow error: ").map_or(text.clone(), str::to_owned);
    let lower = text.to_lowercase();
    let name = if lower.contains("division by zero") || lower.contains("divide by zero") {
        "Division by zero"
    } else if lower.contains("overflow") || lower.contains("out of range") {
        "Numeric value out of range"
    } else {
        "Invalid value"
    };
    (name, text)
}

/// WHERE and HAVING.
#[derive(Debug)]
pub(crate) struct Filter(Expressions);

impl Filter {
    pub(crate) fn new(condition: Typed, schema: SchemaRef) -> Self {
        Self(Expressions::new([condition], schema))
    }
}

impl Operator for Filter {
    fn process(
        &mut self,
        mut inputs: Vec<Chunk>,
        errors: &mut Errors<'_>,
    ) -> Result<Chunk, RunError> {
        let before = inputs.remove(0);
        let (chunk, values) = self.0.evaluate(before, errors)?;
        let kept = chunk.filter(values[0].as_boolean())?;
        errors.counters.filtered += (chunk.n_rows() - kept.n_rows()) as u64;
        Ok(kept)
    }
}

/// The select list, or the assignment to a stream's columns.
#[derive(Debug)]
pub(crate) struct Project {
    exprs: Expressions,
    // Whether the last expression is the rows' new ROWTIME.
    sets_rowtime: bool,
    // The latest ROWTIME set.
    latest: i64,
}

impl Project {
    pub(crate) fn new(exprs: Vec<Typed>, schema: SchemaRef) -> Self {
        Self { exprs: Expressions::new(exprs, schema), sets_rowtime: false, latest: i64::MIN }
    }

    /// A select list with `t AS ROWTIME`: rows behind the latest are out of order.
    pub(crate) fn with_rowtime(mut exprs: Vec<Typed>, rowtime: Typed, schema: SchemaRef) -> Self {
        exprs.push(rowtime);
        Self { exprs: Expressions::new(exprs, schema), sets_rowtime: true, latest: i64::MIN }
    }
}

impl Operator for Project {
    fn process(
        &mut self,
        mut inputs: Vec<Chunk>,
        errors: &mut Errors<'_>,
    ) -> Result<Chunk, RunError> {
        let (mut chunk, mut values) = self.exprs.evaluate(inputs.remove(0), errors)?;
        if !self.sets_rowtime {
            chunk.columns = values;
            return Ok(chunk);
        }
        let rowtimes = values.pop().expect("the last expression is ROWTIME");
        let times = rowtimes.as_primitive::<arrow::datatypes::TimestampMillisecondType>();
        let mut keep = Vec::with_capacity(chunk.n_rows());
        let mut reached = vec![self.latest; chunk.watermarks.len()];
        for (row, time) in times.iter().enumerate() {
            let in_order = time.is_some_and(|time| time >= self.latest);
            if let Some(time) = time.filter(|_| in_order) {
                self.latest = time;
                reached[chunk.ticks[row] as usize] = time;
            } else {
                errors.report(
                    &chunk,
                    row,
                    "Row out of order",
                    "its ROWTIME is behind the one before",
                );
            }
            keep.push(in_order);
        }
        // The time of the new stream is the latest of its rows; at the end it is the end.
        let mut latest = i64::MIN;
        let watermarks = reached.iter().zip(chunk.watermarks.iter()).map(|(time, watermark)| {
            latest = latest.max(*time);
            if *watermark == i64::MAX { i64::MAX } else { latest }
        });
        chunk.watermarks = watermarks.collect();
        chunk.columns = values;
        chunk.rowtimes = rowtimes;
        chunk.filter(&BooleanArray::from(keep))
    }

    fn save(&mut self) -> Result<Vec<u8>, RunError> {
        Ok(if self.sets_rowtime { self.latest.to_le_bytes().to_vec() } else { Vec::new() })
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), RunError> {
        if !self.sets_rowtime && state.is_empty() {
            return Ok(());
        }
        let bytes = state.try_into().map_err(|_| RunError::Snapshot {
            reason: "the time of a select list is damaged".to_owned(),
        })?;
        self.latest = i64::from_le_bytes(bytes);
        Ok(())
    }
}
