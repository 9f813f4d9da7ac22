//! What flows through Eddy: records, their schema, where they stood in the stream, and the scored
//! rows made of them.
//!
//! The flow is `bytes -> RawRecord -> (schema) -> Record -> ScoredRecord -> bytes`. This crate owns
//! every type on that line and nothing that moves them: it does no I/O, starts no thread and reads
//! no clock, so the same bytes and the same schema give the same result on any machine.
//!
//! - [`Schema`], [`Column`] and [`SqlType`] say what a record's columns are called, where in the
//!   payload they stand and which type they have; [`discover`] infers a schema from a sample.
//! - [`RawRecord`] is a record as the source delivered it; [`Decoder`] turns it into [`Record`]s or
//!   says with a [`DecodeError`] which column failed and why.
//! - [`ScoredRecord`] is what leaves, with a [`DocumentId`] derived from its position, so that
//!   writing it twice has the effect of writing it once.
//! - [`DeadLetter`] is what could not be decoded, scored or delivered, with its raw bytes.
//!
//! ```
//! use std::sync::Arc;
//! use eddy_record::{DecodeLimits, Decoder, Schema, Value, discover};
//!
//! let reading = br#"{"iotName":"DemoSensor","iotValue":15}"#;
//! let found = discover([reading.as_slice()])?;
//! let decoder = Decoder::new(Arc::new(found.schema), DecodeLimits::default())?;
//!
//! let mut records = Vec::new();
//! decoder.decode(reading, &mut records);
//! let record = records.remove(0)?;
//! assert_eq!(*record.values, [Value::Text("DemoSensor".into()), Value::Integer(15)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Values are converted as "Mapping JSON Data Types to SQL Data Types" of the Kinesis Data Analytics
//! developer guide says, paths are those of its "Working with JSONPath", and
//! [`Schema::from_input_schema_json`] reads its `InputSchema`.
//!
//! It does not talk to any service and does not know what a forest is.

mod coerce;
mod csv;
mod dead_letter;
mod decode;
mod discover;
mod error;
mod ids;
mod input_schema;
mod json;
mod number;
mod output;
mod path;
mod raw;
mod record;
mod schema;
mod schema_file;
mod sql_type;
mod timestamp;
mod value;

pub use decode::{DecodeLimits, Decoder};
pub use discover::{Discovery, discover};
pub use error::{DeadLetterError, DecodeError, DiscoverError, SchemaError, SqlTypeError};
pub use ids::{
    DocumentId, PartitionId, Position, SequenceNumber, SequenceNumberError, StreamIdentity,
};
pub use number::write_f64;
pub use output::{JsonRowWriter, RowText, write_csv_header};
pub use record::{DeadLetter, RawRecord, Record, ScoredRecord, Stage};
pub use schema::{Column, RecordFormat, Schema};
pub use sql_type::SqlType;
pub use timestamp::{TimestampWriter, format_timestamp_ms, parse_timestamp_ms, write_timestamp_ms};
pub use value::Value;
