//! Records as an Apache Parquet file: one row group, a column a column, all of them optional.

use std::sync::Arc;

use eddy_record::{RawRecord, Schema, ScoredRecord, SqlType, Value};
use eddy_stream::{Archived, StreamError};
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;

/// A file being filled, in memory.
#[derive(Default)]
pub(super) struct Table {
    columns: Vec<Column>,
    size_bytes: usize,
}

struct Column {
    name: String,
    sql_type: SqlType,
    // 1 where the row has a value, 0 for NULL.
    defined: Vec<i16>,
    values: Values,
}

/// What says of each row whether it has a value.
const CELL_BYTES: usize = size_of::<i16>();

enum Values {
    Booleans(Vec<bool>),
    Integers(Vec<i64>),
    Floats(Vec<f32>),
    Doubles(Vec<f64>),
    Bytes { of_text: bool, values: Vec<ByteArray> },
}

impl Table {
    pub(super) fn add(&mut self, records: Archived<'_>) -> Result<(), StreamError> {
        match records {
            Archived::Rows(rows) => rows.iter().try_for_each(|row| self.add_row(row)),
            Archived::Payloads(payloads) => {
                payloads.iter().for_each(|raw| self.add_payload(raw));
                Ok(())
            }
        }
    }

    /// What the values take in memory; the file that is made of them is not larger.
    pub(super) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    fn add_row(&mut self, row: &ScoredRecord) -> Result<(), StreamError> {
        if self.columns.is_empty() {
            self.columns = columns(&row.schema);
        }
        if self.columns.len() != row.values.len() {
            return Err(StreamError::fatal("rows of one archive have different columns"));
        }
        for (column, value) in self.columns.iter_mut().zip(&row.values) {
            self.size_bytes += column.push(value);
        }
        Ok(())
    }

    fn add_payload(&mut self, raw: &RawRecord) {
        if self.columns.is_empty() {
            let text = SqlType::Varchar { max_chars: u32::MAX };
            let column = |name: &str, sql_type| Column::new(name, sql_type, true);
            self.columns = vec![
                column("sequence_number", text),
                column("sub_sequence_number", SqlType::BigInt),
                column("partition_key", text),
                column("arrival", SqlType::Timestamp),
                Column::new("payload", text, false),
            ];
        }
        let sub_sequence = i64::try_from(raw.position.sub_sequence).unwrap_or(i64::MAX);
        let values = [
            Value::Text(raw.position.sequence.as_str().into()),
            Value::Integer(sub_sequence),
            Value::Text(raw.partition_key.clone()),
            Value::TimestampMs(raw.arrival_ms),
        ];
        for (column, value) in self.columns.iter_mut().zip(&values) {
            self.size_bytes += column.push(value);
        }
        if let Some(Column { values: Values::Bytes { values, .. }, defined, .. }) =
            self.columns.last_mut()
        {
            defined.push(1);
            self.size_bytes += CELL_BYTES + size_of::<ByteArray>() + raw.data.len();
            // A copy: the payload may be a part of a large aggregate, which it would keep in memory.
            values.push(raw.data.to_vec().into());
        }
    }

    /// The file.
    pub(super) fn finish(self) -> Result<Vec<u8>, StreamError> {
        self.write()
            .map_err(|error| StreamError::fatal("cannot write a Parquet file").with_source(error))
    }

    fn write(self) -> Result<Vec<u8>, ParquetError> {
        let fields = self.columns.iter().map(Column::parquet_type).collect::<Result<_, _>>()?;
        let schema = Type::group_type_builder("records").with_fields(fields).build()?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut writer =
            SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
        let mut group = writer.next_row_group()?;
        for column in &self.columns {
            if let Some(mut writer) = group.next_column()? {
                column.write(&mut writer)?;
                writer.close()?;
            }
        }
        group.close()?;
        writer.into_inner()
    }
}

fn columns(schema: &Schema) -> Vec<Column> {
    schema.columns.iter().map(|column| Column::new(&column.name, column.sql_type, true)).collect()
}

impl Column {
    fn new(name: &str, sql_type: SqlType, of_text: bool) -> Self {
        let values = match sql_type {
            SqlType::Boolean => Values::Booleans(Vec::new()),
            SqlType::TinyInt
            | SqlType::SmallInt
            | SqlType::Integer
            | SqlType::BigInt
            | SqlType::Timestamp => Values::Integers(Vec::new()),
            SqlType::Real => Values::Floats(Vec::new()),
            SqlType::Double | SqlType::Float => Values::Doubles(Vec::new()),
            SqlType::Varchar { .. } | SqlType::Decimal { .. } | SqlType::Json => {
                Values::Bytes { of_text, values: Vec::new() }
            }
        };
        Self { name: name.to_owned(), sql_type, defined: Vec::new(), values }
    }

    /// Adds a value of the column's type and returns what it takes in memory.
    fn push(&mut self, value: &Value) -> usize {
        let value_bytes = match (&mut self.values, value) {
            (Values::Booleans(values), Value::Boolean(value)) => {
                values.push(*value);
                1
            }
            (Values::Integers(values), Value::Integer(value) | Value::TimestampMs(value)) => {
                values.push(*value);
                8
            }
            #[expect(clippy::cast_possible_truncation, reason = "a REAL holds an f32's value")]
            (Values::Floats(values), Value::Double(value)) => {
                values.push(*value as f32);
                4
            }
            (Values::Doubles(values), Value::Double(value)) => {
                values.push(*value);
                8
            }
            (Values::Bytes { values, .. }, Value::Text(text) | Value::Json(text)) => {
                values.push(ByteArray::from(text.as_ref()));
                size_of::<ByteArray>() + text.len()
            }
            (Values::Bytes { values, .. }, Value::Decimal(number)) => {
                let SqlType::Decimal { scale, .. } = self.sql_type else { return self.push_null() };
                let mut number = *number;
                number.rescale(u32::from(scale));
                // Parquet's decimals are big-endian integers of the last digit.
                values.push(ByteArray::from(number.mantissa().to_be_bytes().to_vec()));
                size_of::<ByteArray>() + 16
            }
            _ => return self.push_null(),
        };
        self.defined.push(1);
        CELL_BYTES + value_bytes
    }

    fn push_null(&mut self) -> usize {
        self.defined.push(0);
        CELL_BYTES
    }

    fn parquet_type(&self) -> Result<Arc<Type>, ParquetError> {
        let physical = match &self.values {
            Values::Booleans(_) => Physical::BOOLEAN,
            Values::Integers(_) => Physical::INT64,
            Values::Floats(_) => Physical::FLOAT,
            Values::Doubles(_) => Physical::DOUBLE,
            Values::Bytes { .. } => Physical::BYTE_ARRAY,
        };
        let mut builder = Type::primitive_type_builder(&self.name, physical)
            .with_repetition(Repetition::OPTIONAL);
        let logical = match (self.sql_type, &self.values) {
            (SqlType::Timestamp, _) => Some(LogicalType::timestamp(true, TimeUnit::MILLIS)),
            (SqlType::Decimal { precision, scale }, _) => {
                let (precision, scale) = (i32::from(precision), i32::from(scale));
                builder = builder.with_precision(precision).with_scale(scale);
                Some(LogicalType::decimal(scale, precision))
            }
            (SqlType::Json, _) => Some(LogicalType::Json),
            (_, Values::Bytes { of_text: true, .. }) => Some(LogicalType::String),
            _ => None,
        };
        Ok(Arc::new(builder.with_logical_type(logical).build()?))
    }

    fn write(&self, writer: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let defined = Some(&self.defined[..]);
        match &self.values {
            Values::Booleans(values) => {
                writer.typed::<BoolType>().write_batch(values, defined, None)
            }
            Values::Integers(values) => {
                writer.typed::<Int64Type>().write_batch(values, defined, None)
            }
            Values::Floats(values) => {
                writer.typed::<FloatType>().write_batch(values, defined, None)
            }
            Values::Doubles(values) => {
                writer.typed::<DoubleType>().write_batch(values, defined, None)
            }
            Values::Bytes { values, .. } => {
                writer.typed::<ByteArrayType>().write_batch(values, defined, None)
            }
        }?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use eddy_record::{
        Column as SchemaColumn, DocumentId, PartitionId, Position, RecordFormat, StreamIdentity,
    };
    use parquet::file::reader::{FileReader as _, SerializedFileReader};

    use super::*;

    fn read(file: Vec<u8>) -> Vec<String> {
        let reader = SerializedFileReader::new(Bytes::from(file)).expect("a Parquet file");
        let rows = reader.get_row_iter(None).expect("rows");
        rows.map(|row| {
            let row = row.expect("a row");
            row.get_column_iter().map(|(_, field)| format!("{field} ")).collect()
        })
        .collect()
    }

    #[test]
    fn every_type_and_null_read_back() {
        let types = [
            SqlType::Varchar { max_chars: 9 },
            SqlType::Integer,
            SqlType::Real,
            SqlType::Double,
            SqlType::Boolean,
            SqlType::Decimal { precision: 10, scale: 2 },
            SqlType::Timestamp,
            SqlType::Json,
        ];
        let column = |sql_type: SqlType| SchemaColumn {
            name: format!("{sql_type}"),
            sql_type,
            mapping: None,
            nullable: true,
        };
        let columns: Vec<SchemaColumn> = types.map(column).into();
        let schema = Arc::new(Schema { columns, format: RecordFormat::json() });
        let stream = StreamIdentity { name: "s".to_owned(), created_ms: 1 };
        let row = |values: Vec<Value>| ScoredRecord {
            id: DocumentId::new(&stream, &PartitionId::new("p"), &Position::new(1_u64.into()), 0),
            created_ms: 0,
            schema: Arc::clone(&schema),
            values: values.into(),
        };
        let full = row(vec![
            Value::Text("ü".into()),
            Value::Integer(-7),
            Value::Double(0.5),
            Value::Double(1.25),
            Value::Boolean(true),
            Value::Decimal("12.5".parse().expect("a number")),
            Value::TimestampMs(1_795_435_200_040),
            Value::Json("{\"a\":1}".into()),
        ]);
        let empty = row(vec![Value::Null; 8]);
        let mut table = Table::default();
        table.add(Archived::Rows(&[full, empty])).expect("taken");
        // 8 columns of 2 rows; 3 texts or decimals; 8 bytes in each number and time, 4 in the REAL.
        let of_values = 3 * size_of::<ByteArray>() + 2 + 16 + 7 + 8 + 4 + 8 + 1 + 8;
        assert_eq!(table.size_bytes(), 2 * 8 * CELL_BYTES + of_values);
        let rows = read(table.finish().expect("written"));
        assert_eq!(rows.len(), 2);
        for part in
            ["\"ü\"", "-7", "0.5", "1.25", "true", "12.50", "2026-11-23 12:00:00", "{\"a\":1}"]
        {
            assert!(rows[0].contains(part), "{part} in {}", rows[0]);
        }
        assert_eq!(rows[1].matches("null").count(), 8, "{}", rows[1]);
    }

    #[test]
    fn payloads_keep_position_key_arrival_and_bytes() {
        let raw = RawRecord {
            partition_key: "k".into(),
            position: Position::new(77_u64.into()),
            arrival_ms: 1_795_435_200_040,
            data: Bytes::from_static(b"\xff{"),
        };
        let mut table = Table::default();
        table.add(Archived::Payloads(&[raw])).expect("taken");
        let file = table.finish().expect("written");
        let reader = SerializedFileReader::new(Bytes::from(file)).expect("a Parquet file");
        let row = reader.get_row_iter(None).expect("rows").next().expect("one").expect("a row");
        let columns: Vec<String> = row.get_column_iter().map(|(name, _)| name.clone()).collect();
        let names =
            ["sequence_number", "sub_sequence_number", "partition_key", "arrival", "payload"];
        assert_eq!(columns, names);
        let payload = row.get_column_iter().last().expect("a payload").1;
        let parquet::record::Field::Bytes(bytes) = payload else { panic!("bytes: {payload:?}") };
        assert_eq!(bytes.data(), b"\xff{");
    }
}
