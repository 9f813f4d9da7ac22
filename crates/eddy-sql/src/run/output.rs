//! Rows that leave, as values and as NDJSON.

use std::io::Write as _;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float32Array, Float64Array,
    StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time32MillisecondType, TimestampMillisecondType,
};
use eddy_record::{TimestampWriter, Value, format_timestamp_ms, write_f64};
use rust_decimal::Decimal;

use super::Chunk;
use crate::types::Type;

/// Rows of one destination stream, in order.
#[derive(Clone, Debug)]
pub struct StreamRows {
    pub(crate) stream: Arc<str>,
    pub(crate) columns: Arc<[(String, Type)]>,
    pub(crate) chunk: Chunk,
}

/// One row of a destination stream.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputRow {
    /// The stream.
    pub stream: Arc<str>,
    /// Its ROWTIME, in milliseconds since the Unix epoch.
    pub rowtime_ms: i64,
    /// What it was made of, the same at every replay; `None` if the records had no ids. Several rows
    /// may be made of the same.
    pub id: Option<String>,
    /// One value a column, as the stream declares them.
    pub values: Box<[Value]>,
}

impl StreamRows {
    /// The stream's name.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The names of the columns, as declared.
    pub fn column_names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// How many rows there are.
    pub fn n_rows(&self) -> usize {
        self.chunk.n_rows()
    }

    /// A row as values.
    ///
    /// # Panics
    /// There is no such row.
    pub fn row(&self, row: usize) -> OutputRow {
        OutputRow {
            stream: Arc::clone(&self.stream),
            rowtime_ms: self.chunk.rowtimes().value(row),
            id: self.chunk.ids.as_ref().map(|ids| ids.as_string::<i32>().value(row).to_owned()),
            values: self.chunk.columns.iter().map(|column| value(column, row)).collect(),
        }
    }
}

/// A column's value.
fn value(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => Value::Boolean(column.as_boolean().value(row)),
        DataType::Int8 => Value::Integer(column.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => Value::Integer(column.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Value::Integer(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Value::Integer(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => Value::Double(column.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => Value::Double(column.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, scale) => {
            let unscaled = column.as_primitive::<Decimal128Type>().value(row);
            let scale = u32::try_from(*scale).unwrap_or(0);
            match Decimal::try_from_i128_with_scale(unscaled, scale) {
                Ok(decimal) => Value::Decimal(decimal),
                Err(_) => Value::Null,
            }
        }
        DataType::Timestamp(..) => {
            Value::TimestampMs(column.as_primitive::<TimestampMillisecondType>().value(row))
        }
        DataType::Utf8 => Value::Text(column.as_string::<i32>().value(row).into()),
        _ => Value::Text(time_text(column, row).into()),
    }
}

/// Dates and times of day: `2026-11-23`, `12:00:00.040`.
fn time_text(column: &ArrayRef, row: usize) -> String {
    let (ms, part) = match column.data_type() {
        DataType::Date32 => {
            (i64::from(column.as_primitive::<Date32Type>().value(row)) * 86_400_000, 0..10)
        }
        _ => (i64::from(column.as_primitive::<Time32MillisecondType>().value(row)), 11..23),
    };
    let text = format_timestamp_ms(ms);
    text.get(part).unwrap_or(&text).to_owned()
}

/// A row as JSON, for the error stream.
pub(crate) fn row_text(chunk: &Chunk, row: usize) -> String {
    columns_text(&chunk.columns, row)
}

/// A row of columns as an array of JSON.
pub(crate) fn columns_text(columns: &[ArrayRef], row: usize) -> String {
    let mut text = Vec::from(*b"[");
    for (column_idx, column) in columns.iter().enumerate() {
        if column_idx > 0 {
            text.push(b',');
        }
        Column::of(column).write(row, &mut TimestampWriter::default(), &mut text);
    }
    text.push(b']');
    String::from_utf8_lossy(&text).into_owned()
}

/// Writes rows of one stream as lines of JSON.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    rows: &'a StreamRows,
    columns: Vec<(Vec<u8>, Column<'a>)>,
    head: Vec<u8>,
    rowtimes: &'a TimestampMillisecondArray,
    times: TimestampWriter,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(rows: &'a StreamRows) -> Self {
        let columns = rows.columns.iter().zip(&rows.chunk.columns).enumerate();
        let columns = columns.map(|(column_idx, ((name, _), column))| {
            let mut key = if column_idx == 0 { Vec::new() } else { vec![b','] };
            write_text(name, &mut key);
            key.push(b':');
            (key, Column::of(column))
        });
        let mut head = Vec::from(*b"{\"stream\":");
        write_text(&rows.stream, &mut head);
        head.extend_from_slice(b",\"rowtime\":\"");
        Self {
            rows,
            columns: columns.collect(),
            head,
            rowtimes: rows.chunk.rowtimes(),
            times: TimestampWriter::default(),
        }
    }

    /// `{"stream":"S","rowtime":"2026-11-23T12:00:00.040Z","row":{"a":1}}` and a line feed.
    pub(crate) fn write(&mut self, row: usize, out: &mut Vec<u8>) {
        debug_assert!(row < self.rows.n_rows());
        out.extend_from_slice(&self.head);
        self.times.write(self.rowtimes.value(row), out);
        out.extend_from_slice(b"\",\"row\":{");
        for (key, column) in &self.columns {
            out.extend_from_slice(key);
            column.write(row, &mut self.times, out);
        }
        out.extend_from_slice(b"}}\n");
    }
}

/// A column whose type is known.
#[derive(Debug)]
enum Column<'a> {
    Boolean(&'a BooleanArray),
    Integer(ArrayRef),
    Real(&'a Float32Array),
    Double(&'a Float64Array),
    Decimal(&'a Decimal128Array),
    Text(&'a StringArray),
    Timestamp(&'a TimestampMillisecondArray),
    Other(&'a ArrayRef),
}

impl<'a> Column<'a> {
    fn of(column: &'a ArrayRef) -> Self {
        match column.data_type() {
            DataType::Boolean => Self::Boolean(column.as_boolean()),
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                let wide = arrow::compute::cast(column, &DataType::Int64);
                Self::Integer(wide.expect("every integer fits 64 bits"))
            }
            DataType::Float32 => Self::Real(column.as_primitive()),
            DataType::Float64 => Self::Double(column.as_primitive()),
            DataType::Decimal128(..) => Self::Decimal(column.as_primitive()),
            DataType::Utf8 => Self::Text(column.as_string()),
            DataType::Timestamp(..) => Self::Timestamp(column.as_primitive()),
            _ => Self::Other(column),
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Boolean(array) => array.is_null(row),
            Self::Integer(array) => array.is_null(row),
            Self::Real(array) => array.is_null(row),
            Self::Double(array) => array.is_null(row),
            Self::Decimal(array) => array.is_null(row),
            Self::Text(array) => array.is_null(row),
            Self::Timestamp(array) => array.is_null(row),
            Self::Other(array) => array.is_null(row),
        }
    }

    fn write(&self, row: usize, times: &mut TimestampWriter, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        match self {
            Self::Boolean(array) => {
                out.extend_from_slice(if array.value(row) { b"true" } else { b"false" });
            }
            Self::Integer(array) => {
                let number = array.as_primitive::<Int64Type>().value(row);
                write!(out, "{number}").expect("a Vec takes everything");
            }
            Self::Real(array) => {
                let text = serde_json::to_vec(&array.value(row)).expect("a number is JSON");
                out.extend_from_slice(text.strip_suffix(b".0").unwrap_or(&text));
            }
            Self::Double(array) => write_f64(array.value(row), out),
            Self::Decimal(array) => out.extend_from_slice(array.value_as_string(row).as_bytes()),
            Self::Text(array) => write_text(array.value(row), out),
            Self::Timestamp(array) => {
                out.push(b'"');
                times.write(array.value(row), out);
                out.push(b'"');
            }
            Self::Other(array) => write_text(&time_text(array, row), out),
        }
    }
}

/// A text as JSON.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a text is JSON, and a Vec takes everything");
}
