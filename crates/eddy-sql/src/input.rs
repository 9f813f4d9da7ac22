//! Rows of the source, on their way into columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Decimal128Builder, Float32Builder, Float64Builder, Int8Builder,
    Int16Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMillisecondBuilder,
};
use eddy_record::{Record, Schema, Value};

use crate::types::Type;

/// Where and when a record arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival<'a> {
    /// What its ROWTIME is, if the stream's time is not beyond it already: the time of arrival, or
    /// of a clock, or a field of the record; milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// APPROXIMATE_ARRIVAL_TIME.
    pub arrival_ms: i64,
    /// PARTITION_KEY; empty for NULL.
    pub partition_key: &'a str,
    /// SEQUENCE_NUMBER; empty for NULL.
    pub sequence_number: &'a str,
    /// SHARD_ID; empty for NULL.
    pub shard_id: &'a str,
    /// A text that is the same for this record at every replay, for the ids of rows; empty for none.
    pub id: &'a str,
}

/// Rows of the source that are pushed together. What comes out does not depend on how rows are put
/// into batches.
#[derive(Debug)]
pub struct InputBatch {
    columns: Vec<Builder>,
    metadata: Option<Metadata>,
    ids: Option<StringBuilder>,
    pub(crate) times: Vec<i64>,
}

/// The names of what the source's stream has beside the schema's columns.
pub(crate) const METADATA: [(&str, Type); 5] = [
    ("APPROXIMATE_ARRIVAL_TIME", Type::Timestamp),
    ("PARTITION_KEY", Type::Varchar(Some(512))),
    ("PARTITION_KEY_ID", Type::Varchar(Some(512))),
    ("SEQUENCE_NUMBER", Type::Varchar(Some(128))),
    ("SHARD_ID", Type::Varchar(Some(64))),
];

#[derive(Debug, Default)]
struct Metadata {
    arrival_times: TimestampMillisecondBuilder,
    partition_keys: StringBuilder,
    sequence_numbers: StringBuilder,
    shard_ids: StringBuilder,
}

#[derive(Debug)]
enum Builder {
    Boolean(BooleanBuilder),
    TinyInt(Int8Builder),
    SmallInt(Int16Builder),
    Integer(Int32Builder),
    BigInt(Int64Builder),
    Real(Float32Builder),
    Double(Float64Builder),
    Decimal(Decimal128Builder, u32),
    Text(StringBuilder),
    Timestamp(TimestampMillisecondBuilder),
}

impl InputBatch {
    pub(crate) fn new(schema: &Schema, has_metadata: bool, has_ids: bool) -> Self {
        let columns =
            schema.columns.iter().map(|column| Builder::of(Type::from_sql(column.sql_type)));
        Self {
            columns: columns.collect(),
            metadata: has_metadata.then(Metadata::default),
            ids: has_ids.then(StringBuilder::new),
            times: Vec::new(),
        }
    }

    /// Appends a record of the application's input schema. Cost: one append a column.
    ///
    /// # Panics
    /// The record is of another schema.
    pub fn push(&mut self, record: &Record, arrival: &Arrival<'_>) {
        assert_eq!(record.values.len(), self.columns.len(), "the record has the schema's columns");
        for (builder, value) in self.columns.iter_mut().zip(&record.values) {
            builder.push(value);
        }
        if let Some(metadata) = &mut self.metadata {
            metadata.arrival_times.append_value(arrival.arrival_ms);
            let known = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
            metadata.partition_keys.append_option(known(arrival.partition_key));
            metadata.sequence_numbers.append_option(known(arrival.sequence_number));
            metadata.shard_ids.append_option(known(arrival.shard_id));
        }
        if let Some(ids) = &mut self.ids {
            ids.append_value(arrival.id);
        }
        self.times.push(arrival.time_ms);
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// The columns, the metadata behind them, and the ids; the batch is empty afterwards.
    pub(crate) fn take(&mut self) -> (Vec<ArrayRef>, Option<ArrayRef>) {
        let mut columns: Vec<ArrayRef> = self.columns.iter_mut().map(Builder::finish).collect();
        if let Some(metadata) = &mut self.metadata {
            let keys: ArrayRef = Arc::new(metadata.partition_keys.finish());
            columns.extend([
                Arc::new(metadata.arrival_times.finish()) as ArrayRef,
                Arc::clone(&keys),
                keys,
                Arc::new(metadata.sequence_numbers.finish()),
                Arc::new(metadata.shard_ids.finish()),
            ]);
        }
        let ids = self.ids.as_mut().map(|ids| Arc::new(ids.finish()) as ArrayRef);
        (columns, ids)
    }
}

impl Builder {
    fn of(sql_type: Option<Type>) -> Self {
        match sql_type {
            Some(Type::Boolean) => Self::Boolean(BooleanBuilder::new()),
            Some(Type::TinyInt) => Self::TinyInt(Int8Builder::new()),
            Some(Type::SmallInt) => Self::SmallInt(Int16Builder::new()),
            Some(Type::Integer) => Self::Integer(Int32Builder::new()),
            Some(Type::BigInt) => Self::BigInt(Int64Builder::new()),
            Some(Type::Real) => Self::Real(Float32Builder::new()),
            Some(Type::Double) => Self::Double(Float64Builder::new()),
            Some(Type::Decimal { precision, scale }) => {
                let builder = Decimal128Builder::new()
                    .with_precision_and_scale(precision, scale)
                    .expect("a schema's precision is in range");
                Self::Decimal(builder, u32::try_from(scale).unwrap_or(0))
            }
            Some(Type::Timestamp) => Self::Timestamp(TimestampMillisecondBuilder::new()),
            _ => Self::Text(StringBuilder::new()),
        }
    }

    /// A value of another type than the column's is NULL: the decoder gives none.
    fn push(&mut self, value: &Value) {
        let integer = if let Value::Integer(number) = value { Some(*number) } else { None };
        let double = if let Value::Double(number) = value { Some(*number) } else { None };
        match self {
            Self::Boolean(builder) => builder.append_option(match value {
                Value::Boolean(truth) => Some(*truth),
                _ => None,
            }),
            Self::TinyInt(builder) => {
                builder.append_option(integer.and_then(|number| number.try_into().ok()));
            }
            Self::SmallInt(builder) => {
                builder.append_option(integer.and_then(|number| number.try_into().ok()));
            }
            Self::Integer(builder) => {
                builder.append_option(integer.and_then(|number| number.try_into().ok()));
            }
            Self::BigInt(builder) => builder.append_option(integer),
            #[expect(clippy::cast_possible_truncation, reason = "a REAL's value is an f32")]
            Self::Real(builder) => builder.append_option(double.map(|number| number as f32)),
            Self::Double(builder) => builder.append_option(double),
            Self::Decimal(builder, scale) => builder.append_option(match value {
                Value::Decimal(decimal) => {
                    let mut decimal = *decimal;
                    decimal.rescale(*scale);
                    Some(decimal.mantissa())
                }
                _ => None,
            }),
            Self::Text(builder) => match value {
                Value::Text(text) | Value::Json(text) => builder.append_value(text),
                _ => builder.append_null(),
            },
            Self::Timestamp(builder) => builder.append_option(match value {
                Value::TimestampMs(ms) => Some(*ms),
                _ => None,
            }),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::TinyInt(builder) => Arc::new(builder.finish()),
            Self::SmallInt(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::BigInt(builder) => Arc::new(builder.finish()),
            Self::Real(builder) => Arc::new(builder.finish()),
            Self::Double(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder, _) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
        }
    }
}
