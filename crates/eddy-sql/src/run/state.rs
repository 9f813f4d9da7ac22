//! How operators' states are written: lengths, numbers, and arrays as Arrow IPC.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use super::Chunk;
use crate::error::RunError;

/// Writes a state.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.number(i64::try_from(count).expect("a count fits"));
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// Arrays of one length.
    pub(crate) fn arrays(&mut self, arrays: &[ArrayRef]) -> Result<(), RunError> {
        let field = |(idx, array): (usize, &ArrayRef)| {
            Field::new(format!("c{idx}"), array.data_type().clone(), true)
        };
        let fields: Vec<Field> = arrays.iter().enumerate().map(field).collect();
        let schema = Arc::new(Schema::new(fields));
        let n_rows = arrays.first().map_or(0, |array| array.len());
        let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
        let batch =
            RecordBatch::try_new_with_options(Arc::clone(&schema), arrays.to_vec(), &options)?;
        let mut bytes = Vec::new();
        let mut writer = StreamWriter::try_new(&mut bytes, &schema)?;
        writer.write(&batch)?;
        writer.finish()?;
        drop(writer);
        self.bytes(&bytes);
        Ok(())
    }

    /// A chunk's rows, without ticks and watermarks: those belong to a batch.
    pub(crate) fn rows(&mut self, chunk: &Chunk) -> Result<(), RunError> {
        let mut arrays = chunk.columns.clone();
        arrays.push(Arc::clone(&chunk.rowtimes));
        arrays.extend(chunk.ids.clone());
        self.number(i64::from(chunk.ids.is_some()));
        self.arrays(&arrays)
    }
}

/// Reads what a [`Writer`] wrote.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

pub(super) fn damaged() -> RunError {
    RunError::Snapshot { reason: "it is cut short or damaged".to_owned() }
}

impl<'a> Reader<'a> {
    pub(crate) fn number(&mut self) -> Result<i64, RunError> {
        let (number, rest) = self.0.split_first_chunk::<8>().ok_or_else(damaged)?;
        self.0 = rest;
        Ok(i64::from_le_bytes(*number))
    }

    pub(crate) fn count(&mut self) -> Result<usize, RunError> {
        let count = usize::try_from(self.number()?).map_err(|_| damaged())?;
        // Nothing that is counted takes less than a byte.
        if count > self.0.len() { Err(damaged()) } else { Ok(count) }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], RunError> {
        let length = self.count()?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn arrays(&mut self) -> Result<Vec<ArrayRef>, RunError> {
        let bytes = self.bytes()?;
        let mut reader = StreamReader::try_new(Cursor::new(bytes), None)?;
        let batch = reader.next().ok_or_else(damaged)??;
        Ok(batch.columns().to_vec())
    }

    /// Arrays of one length and of those types.
    pub(crate) fn arrays_of(&mut self, types: &[DataType]) -> Result<Vec<ArrayRef>, RunError> {
        let arrays = self.arrays()?;
        let found = arrays.iter().map(|array| array.data_type());
        if found.eq(types) { Ok(arrays) } else { Err(damaged()) }
    }

    /// Rows of the types of a schema whose last column is ROWTIME.
    pub(crate) fn rows(&mut self, schema: &Schema) -> Result<Chunk, RunError> {
        let has_ids = self.number()? != 0;
        let types = schema.fields().iter().map(|field| field.data_type().clone());
        let types: Vec<DataType> = types.chain(has_ids.then_some(DataType::Utf8)).collect();
        let mut columns = self.arrays_of(&types)?;
        let ids = if has_ids { columns.pop() } else { None };
        let rowtimes = columns.pop().ok_or_else(damaged)?;
        if rowtimes.null_count() > 0 {
            return Err(damaged());
        }
        let ticks = vec![0; rowtimes.len()];
        Ok(Chunk { columns, rowtimes, ids, ticks, watermarks: Arc::from([]) })
    }

    /// Nothing is left.
    pub(crate) fn end(&self) -> Result<(), RunError> {
        if self.0.is_empty() { Ok(()) } else { Err(damaged()) }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, StringArray, TimestampMillisecondArray};

    use super::*;
    use crate::expr::arrow_schema;
    use crate::types::Type;

    fn read(
        columns: Vec<ArrayRef>,
        ids: Option<ArrayRef>,
        has_ids: i64,
    ) -> Result<Chunk, RunError> {
        let mut writer = Writer::default();
        writer.number(has_ids);
        let arrays: Vec<ArrayRef> = columns.into_iter().chain(ids).collect();
        writer.arrays(&arrays)?;
        Reader(&writer.0).rows(&arrow_schema([Type::Double, Type::Timestamp]))
    }

    #[test]
    fn rows_of_other_types_than_the_plan_has_are_damage() {
        let doubles: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
        let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![5]));
        let no_time: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![None]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let ids: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let row = |column: &ArrayRef, time: &ArrayRef| vec![Arc::clone(column), Arc::clone(time)];
        assert!(read(row(&doubles, &times), None, 0).is_ok());
        assert!(read(row(&doubles, &times), Some(Arc::clone(&ids)), 1).is_ok());
        let damaged = [
            read(row(&numbers, &times), None, 0),
            read(row(&doubles, &numbers), None, 0),
            read(row(&doubles, &no_time), None, 0),
            read(row(&doubles, &times), Some(numbers), 1),
            read(row(&doubles, &times), Some(ids), 0),
            read(row(&doubles, &times), None, 1),
            read(vec![doubles], None, 0),
        ];
        for (number, read) in damaged.into_iter().enumerate() {
            let error = read.map(drop).map_err(|error| error.to_string());
            assert!(error.is_err_and(|it| it.contains("damaged")), "case {number}");
        }
    }
}
