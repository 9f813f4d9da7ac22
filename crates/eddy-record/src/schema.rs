//! What a record looks like: columns, their types, and where in the payload they stand.

use std::fmt;

/// The SQL types of Kinesis Data Analytics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SqlType {
    /// At most `max_chars` characters; longer text is cut without an error, as the original did.
    Varchar {
        /// 1 or more.
        max_chars: u32,
    },
    /// -128..=127
    TinyInt,
    /// -32768..=32767
    SmallInt,
    /// 32 bits
    Integer,
    /// 64 bits
    BigInt,
    /// f64
    Double,
    /// f64 (the original's FLOAT has eight bytes)
    Float,
    /// f32
    Real,
    /// Decimal digits.
    Decimal {
        /// All digits, 1..=28.
        precision: u8,
        /// Digits after the point, at most `precision`.
        scale: u8,
    },
    /// true or false
    Boolean,
    /// Milliseconds, UTC.
    Timestamp,
    /// A JSON text made by Eddy (an explanation); no input column has it.
    Json,
}

impl SqlType {
    /// Whether a forest can take the column: the numeric types, DECIMAL included.
    pub fn is_numeric(self) -> bool {
        matches!(
            self,
            Self::TinyInt
                | Self::SmallInt
                | Self::Integer
                | Self::BigInt
                | Self::Double
                | Self::Float
                | Self::Real
                | Self::Decimal { .. }
        )
    }
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Varchar { max_chars } => write!(f, "VARCHAR({max_chars})"),
            Self::TinyInt => f.write_str("TINYINT"),
            Self::SmallInt => f.write_str("SMALLINT"),
            Self::Integer => f.write_str("INTEGER"),
            Self::BigInt => f.write_str("BIGINT"),
            Self::Double => f.write_str("DOUBLE"),
            Self::Float => f.write_str("FLOAT"),
            Self::Real => f.write_str("REAL"),
            Self::Decimal { precision, scale } => write!(f, "DECIMAL({precision},{scale})"),
            Self::Boolean => f.write_str("BOOLEAN"),
            Self::Timestamp => f.write_str("TIMESTAMP"),
            Self::Json => f.write_str("JSON"),
        }
    }
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The column's name in SQL, in settings and in the output.
    pub name: String,
    /// Its type.
    pub sql_type: SqlType,
    /// Where a JSON payload has it, such as `$.iotName`; for CSV the header's name or `None` for
    /// the column's place.
    pub mapping: Option<String>,
    /// Whether it may be absent or null; if not, such a record is a dead letter.
    pub nullable: bool,
}

/// How a payload is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    /// One JSON value, several one after another, or an array of them.
    Json {
        /// The path of the records inside the payload: `$` where the payload is the record,
        /// `$.readings` or `$[0:]` where it holds several.
        row_path: String,
    },
    /// Delimited text, one or more rows a payload.
    Csv {
        /// Between rows, usually `\n`.
        row_delimiter: String,
        /// Between columns, usually `,`.
        column_delimiter: String,
    },
}

/// The columns of a stream and the format of its payloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The columns, in order; names are distinct.
    pub columns: Vec<Column>,
    /// How payloads are written.
    pub format: RecordFormat,
}

impl Schema {
    /// The index of the column of that name.
    pub fn column_idx(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}
