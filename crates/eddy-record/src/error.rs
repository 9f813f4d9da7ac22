//! What can be wrong with a payload, a schema, a sample and a dead letter.

use crate::SqlType;

/// Found values are shown up to so many characters: a message must fit a line of a log.
const MAX_FOUND_CHARS: usize = 48;

/// Why a payload, or one record of it, is not a [`Record`](crate::Record) of its schema.
///
/// The remedy is always at the sender or in the schema; sending the same bytes again cannot help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There is nothing in the payload: the sender put an empty record.
    #[error("empty payload")]
    Empty,
    /// The payload is larger than [`DecodeLimits`](crate::DecodeLimits) allow: send smaller ones
    /// or raise the limit.
    #[error("payload larger than {max_bytes} bytes: {actual_bytes}")]
    Oversize {
        /// The payload's length in bytes.
        actual_bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// The text is not UTF-8: the sender uses another encoding, or the payload is binary.
    #[error("invalid UTF-8 at byte {byte_idx}")]
    InvalidUtf8 {
        /// The first byte that is wrong, from 0, counted in the whole payload.
        byte_idx: usize,
    },
    /// The text is not JSON.
    #[error("invalid JSON at line {line} byte {byte}: {reason}")]
    InvalidJson {
        /// The line in the payload, from 1; of an unreadable key, in its record.
        line: usize,
        /// The byte in that line, from 1 (0: the line's beginning).
        byte: usize,
        /// What the parser expected.
        reason: String,
    },
    /// A record is JSON, but no object, and so has no columns.
    #[error("expected a JSON object, found {found}")]
    NotAnObject {
        /// The value, shortened.
        found: String,
    },
    /// The payload has nothing where the schema says that records are.
    #[error("nothing at the row path {row_path}")]
    NoRows {
        /// The schema's row path.
        row_path: String,
    },
    /// A column that must be there is not: mend the sender, or make the column nullable.
    #[error("missing column {column}")]
    MissingColumn {
        /// The column's name.
        column: String,
    },
    /// A column that must have a value is null: mend the sender, or make the column nullable.
    #[error("null in column {column}")]
    NullColumn {
        /// The column's name.
        column: String,
    },
    /// The value is of another type and cannot be converted.
    #[error("column {column}: expected {expected}, found {found}")]
    WrongType {
        /// The column's name.
        column: String,
        /// The column's type.
        expected: SqlType,
        /// The value as it stands in the payload, shortened.
        found: String,
    },
    /// The value is a number, but exceeds the size or the precision of the column's type.
    #[error("column {column}: out of range of {expected}: {found}")]
    OutOfRange {
        /// The column's name.
        column: String,
        /// The column's type.
        expected: SqlType,
        /// The number as it stands in the payload, shortened.
        found: String,
    },
    /// The value's text cannot be read, such as half of a surrogate pair.
    #[error("column {column}: unreadable text: {reason}")]
    InvalidText {
        /// The column's name.
        column: String,
        /// What the parser says.
        reason: String,
    },
    /// A row has fewer fields than the schema has columns.
    #[error("expected at least {expected} CSV columns, found {actual}")]
    CsvColumns {
        /// How many the schema needs.
        expected: usize,
        /// How many the row has.
        actual: usize,
    },
    /// A row's quotes do not match.
    #[error("CSV column {column}: {reason}")]
    CsvQuotes {
        /// The field's place in its row, from 1.
        column: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// The text is not the name of a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {found:?}")]
pub struct SqlTypeError {
    /// The text as it came, shortened.
    pub found: String,
    /// What is wrong and what would be right.
    pub reason: &'static str,
}

/// Why a schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The JSON is no input schema: compare with what `describe-application` prints.
    #[error("not an input schema: {reason}")]
    Malformed {
        /// What the parser says.
        reason: String,
    },
    /// A schema needs at least one column.
    #[error("no columns")]
    NoColumns,
    /// A column needs a name.
    #[error("column {column_idx} has no name")]
    NamelessColumn {
        /// Its place, from 0.
        column_idx: usize,
    },
    /// Two columns have the same name: rename one.
    #[error("two columns named {column}")]
    DuplicateColumn {
        /// The name.
        column: String,
    },
    /// A column's type is none of Kinesis Data Analytics' types.
    #[error("type of column {column}")]
    Type {
        /// The column's name.
        column: String,
        /// What is wrong with the type.
        source: SqlTypeError,
    },
    /// The type is for Eddy's own output columns: use VARCHAR(n).
    #[error("column {column} cannot be read as {sql_type}")]
    OutputOnly {
        /// The column's name.
        column: String,
        /// Its type.
        sql_type: SqlType,
    },
    /// A path does not parse or means nothing at its place.
    #[error("{path_of}: {reason}: {path:?}")]
    Path {
        /// `row path`, or the column by its name.
        path_of: String,
        /// The path as it came.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Delimiters must be there, differ, and be no quotes.
    #[error("unusable CSV delimiters: rows {row:?}, columns {column:?}")]
    Delimiters {
        /// Between rows.
        row: String,
        /// Between columns.
        column: String,
    },
    /// Only UTF-8 is read.
    #[error("unsupported record encoding {found:?}: only UTF-8")]
    Encoding {
        /// The encoding's name as it came.
        found: String,
    },
    /// The format is neither JSON nor CSV, or a setting belongs to the other one.
    #[error("record format: {reason}")]
    Format {
        /// What is wrong.
        reason: String,
    },
}

/// Why no schema can be inferred.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoverError {
    /// There was no sample: put records into the stream first.
    #[error("no sample to infer a schema from")]
    NoSamples,
    /// No sample can be read as JSON or CSV.
    #[error("none of {n_samples} samples is readable as JSON objects or CSV rows: {first}")]
    Unreadable {
        /// How many samples there were.
        n_samples: usize,
        /// What is wrong with the first.
        first: DecodeError,
    },
    /// The records are readable, but have no fields.
    #[error("no fields in any of {n_records} records")]
    NoFields {
        /// How many records were read.
        n_records: usize,
    },
}

/// Why a text is no dead letter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeadLetterError {
    /// The text is not the JSON that [`DeadLetter::write_json`](crate::DeadLetter::write_json)
    /// writes.
    #[error("not a dead letter")]
    Json(#[from] serde_json::Error),
    /// The arrival time is not a time.
    #[error("arrival time is no time stamp: {found:?}")]
    Arrival {
        /// The text as it came.
        found: String,
    },
    /// The raw bytes are not base64.
    #[error("raw bytes are not base64")]
    Base64(#[from] base64::DecodeError),
}

/// A value as messages show it: on one line and not longer than a line.
pub(crate) fn shorten(text: &str) -> String {
    let mut short = String::new();
    for (char_idx, char) in text.chars().enumerate() {
        if char_idx == MAX_FOUND_CHARS {
            short.push('…');
            break;
        }
        if char.is_control() { short.extend(char.escape_default()) } else { short.push(char) }
    }
    short
}
