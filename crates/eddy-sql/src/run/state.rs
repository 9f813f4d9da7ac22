//! How operators' states are written: lengths, numbers, and arrays as Arrow IPC.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
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

fn damaged() -> RunError {
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

    pub(crate) fn rows(&mut self) -> Result<Chunk, RunError> {
        let has_ids = self.number()? != 0;
        let mut columns = self.arrays()?;
        let ids = if has_ids { columns.pop() } else { None };
        let rowtimes = columns.pop().ok_or_else(damaged)?;
        let ticks = vec![0; rowtimes.len()];
        Ok(Chunk { columns, rowtimes, ids, ticks, watermarks: Arc::from([]) })
    }

    /// Nothing is left.
    pub(crate) fn end(&self) -> Result<(), RunError> {
        if self.0.is_empty() { Ok(()) } else { Err(damaged()) }
    }
}
