//! Rows on their way: columns of Arrow, with each row's ROWTIME, and with the moment in the input
//! that brought it.
//!
//! The input is cut into *ticks*: one a row of the source, one a watermark. What an operator does
//! at a tick depends on nothing after it, and rows that leave carry the tick at which they left, so
//! that streams are merged in the same order however the input comes in batches.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, RecordBatch, RecordBatchOptions,
    StringArray, TimestampMillisecondArray, UInt32Array, new_empty_array,
};
use arrow::compute::{cast, concat, filter, take};
use arrow::datatypes::{DataType, Float64Type, SchemaRef, TimestampMillisecondType};

use crate::error::RunError;

/// Rows, and how far the time is at each tick.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// The columns in the order of the scope that the rows have.
    pub(crate) columns: Vec<ArrayRef>,
    /// Milliseconds; never NULL.
    pub(crate) rowtimes: ArrayRef,
    /// What the rows were made of, as text, where the caller wants ids.
    pub(crate) ids: Option<ArrayRef>,
    /// One a row, never falling.
    pub(crate) ticks: Vec<u32>,
    /// One a tick, never falling: after that tick no row comes whose ROWTIME is less.
    pub(crate) watermarks: Arc<[i64]>,
}

/// What an array's values take. (The size of some types is not known; there are none of those here.)
pub(crate) fn array_bytes(array: &ArrayRef) -> usize {
    array.to_data().get_slice_memory_size().unwrap_or_default()
}

impl Chunk {
    /// No rows, of the types of a schema whose last column is ROWTIME.
    pub(crate) fn empty(schema: &SchemaRef, has_ids: bool, watermarks: Arc<[i64]>) -> Self {
        let columns = schema.fields().iter().map(|field| new_empty_array(field.data_type()));
        let mut columns: Vec<ArrayRef> = columns.collect();
        let rowtimes = columns.pop().expect("ROWTIME is the last column");
        let ids = has_ids.then(|| Arc::new(StringArray::new_null(0)) as ArrayRef);
        Self { columns, rowtimes, ids, ticks: Vec::new(), watermarks }
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.ticks.len()
    }

    /// What the rows take, without what else the arrays they are cut from hold.
    pub(crate) fn n_bytes(&self) -> usize {
        let arrays = self.columns.iter().chain([&self.rowtimes]).chain(&self.ids);
        arrays.map(array_bytes).sum()
    }

    pub(crate) fn rowtimes(&self) -> &TimestampMillisecondArray {
        self.rowtimes.as_primitive::<TimestampMillisecondType>()
    }

    /// How far the time is at the end.
    pub(crate) fn watermark(&self) -> i64 {
        self.watermarks.last().copied().unwrap_or(i64::MIN)
    }

    /// The columns and ROWTIME for an expression.
    pub(crate) fn batch(&self, schema: &SchemaRef) -> Result<RecordBatch, RunError> {
        let columns = self.columns.iter().chain([&self.rowtimes]).cloned().collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.n_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
    }

    fn map(
        &self,
        ticks: Vec<u32>,
        each: impl Fn(&ArrayRef) -> Result<ArrayRef, arrow::error::ArrowError>,
    ) -> Result<Self, RunError> {
        Ok(Self {
            columns: self.columns.iter().map(&each).collect::<Result<_, _>>()?,
            rowtimes: each(&self.rowtimes)?,
            ids: self.ids.as_ref().map(&each).transpose()?,
            ticks,
            watermarks: Arc::clone(&self.watermarks),
        })
    }

    /// The rows whose entry is true; NULL is not.
    pub(crate) fn filter(&self, keep: &BooleanArray) -> Result<Self, RunError> {
        if keep.null_count() == 0 && keep.true_count() == self.n_rows() {
            return Ok(self.clone());
        }
        let kept = |row: usize| keep.is_valid(row) && keep.value(row);
        let ticks = self.ticks.iter().enumerate();
        let ticks = ticks.filter(|(row, _)| kept(*row)).map(|(_, tick)| *tick).collect();
        self.map(ticks, |array| filter(array, keep))
    }

    /// With the name of the branch that they came by before their ids, so that the rows which two
    /// branches make of one record differ.
    pub(crate) fn branch(mut self, name: &str) -> Self {
        self.ids = self.ids.map(|ids| {
            let ids = ids.as_string::<i32>().iter().map(|id| Some(format!("{name}/{}", id?)));
            Arc::new(ids.collect::<StringArray>()) as ArrayRef
        });
        self
    }

    /// The rows of those indices, at new ticks.
    pub(crate) fn take(&self, rows: &[u32], ticks: Vec<u32>) -> Result<Self, RunError> {
        let rows = UInt32Array::from(rows.to_vec());
        self.map(ticks, |array| take(array, &rows, None))
    }

    pub(crate) fn slice(&self, begin: usize, n_rows: usize) -> Self {
        Self {
            columns: self.columns.iter().map(|array| array.slice(begin, n_rows)).collect(),
            rowtimes: self.rowtimes.slice(begin, n_rows),
            ids: self.ids.as_ref().map(|array| array.slice(begin, n_rows)),
            ticks: self.ticks[begin..begin + n_rows].to_vec(),
            watermarks: Arc::clone(&self.watermarks),
        }
    }

    /// What left in parts, which may be none, of the types of a schema whose last column is ROWTIME.
    pub(crate) fn of_parts(
        parts: &[Self],
        schema: &SchemaRef,
        has_ids: bool,
        watermarks: Arc<[i64]>,
    ) -> Result<Self, RunError> {
        if parts.is_empty() {
            return Ok(Self::empty(schema, has_ids, watermarks));
        }
        Ok(Self { watermarks, ..Self::concat(parts)? })
    }

    /// Columns as DOUBLEs.
    pub(crate) fn doubles(
        &self,
        columns: impl IntoIterator<Item = usize>,
    ) -> Result<Vec<Float64Array>, RunError> {
        let double = |column_idx: usize| {
            let column = cast(&self.columns[column_idx], &DataType::Float64)?;
            Ok(column.as_primitive::<Float64Type>().clone())
        };
        columns.into_iter().map(double).collect()
    }

    /// One after the other, with the first's watermarks.
    pub(crate) fn concat(chunks: &[Self]) -> Result<Self, RunError> {
        let first = chunks.first().expect("there is a chunk");
        if chunks.len() == 1 {
            return Ok(first.clone());
        }
        let joined = |of: &dyn Fn(&Self) -> ArrayRef| {
            let arrays: Vec<ArrayRef> = chunks.iter().map(of).collect();
            concat(&arrays.iter().map(AsRef::as_ref).collect::<Vec<_>>())
        };
        let columns = (0..first.columns.len())
            .map(|idx| joined(&|chunk| Arc::clone(&chunk.columns[idx])))
            .collect::<Result<_, _>>()?;
        let ids = first.ids.is_some().then(|| {
            joined(&|chunk| Arc::clone(chunk.ids.as_ref().expect("all chunks have ids or none")))
        });
        Ok(Self {
            columns,
            rowtimes: joined(&|chunk| Arc::clone(&chunk.rowtimes))?,
            ids: ids.transpose()?,
            ticks: chunks.iter().flat_map(|chunk| chunk.ticks.iter().copied()).collect(),
            watermarks: Arc::clone(&first.watermarks),
        })
    }

    /// Several streams as one: by tick, at one tick in the order of the streams. The time is that of
    /// the stream that is furthest behind.
    pub(crate) fn merge(chunks: Vec<Self>) -> Result<Self, RunError> {
        let n_ticks = chunks.first().map_or(0, |chunk| chunk.watermarks.len());
        let slowest = |tick: usize| {
            chunks.iter().map(|chunk| chunk.watermarks[tick]).min().unwrap_or(i64::MAX)
        };
        let watermarks: Arc<[i64]> = if let [only] = chunks.as_slice() {
            Arc::clone(&only.watermarks)
        } else {
            (0..n_ticks).map(slowest).collect()
        };
        let full = chunks.iter().filter(|chunk| chunk.n_rows() > 0).count();
        let merged = if full <= 1 {
            let at = chunks.iter().position(|chunk| chunk.n_rows() > 0).unwrap_or(0);
            chunks.into_iter().nth(at).expect("there is a stream")
        } else {
            let all = Self::concat(&chunks)?;
            let n_rows = u32::try_from(all.n_rows()).expect("a batch has fewer rows");
            let mut rows: Vec<u32> = (0..n_rows).collect();
            let tick = |row: u32| all.ticks[row as usize];
            rows.sort_by_key(|row| tick(*row));
            let ticks = rows.iter().map(|row| tick(*row)).collect();
            all.take(&rows, ticks)?
        };
        Ok(Self { watermarks, ..merged })
    }

    /// The first tick at which the time is at least `time`, if it is by now.
    pub(crate) fn tick_of(&self, time: i64) -> Option<u32> {
        let tick = self.watermarks.partition_point(|watermark| *watermark < time);
        (tick < self.watermarks.len()).then(|| u32::try_from(tick).expect("fewer ticks"))
    }
}
