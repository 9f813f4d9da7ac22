//! The SQL types of columns.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::SqlTypeError;
use crate::error::shorten;

/// The SQL types of Kinesis Data Analytics.
///
/// Written and read as in SQL: `VARCHAR(64)`, `DECIMAL(10,2)`, `DOUBLE`; in any case, with spaces,
/// and under the other names that SQL has for them (`INT`, `NUMERIC`, `DOUBLE PRECISION`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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
    /// The most digits of a DECIMAL.
    pub const MAX_PRECISION: u8 = 28;

    /// DECIMAL without parameters, as the SQL Reference has it.
    const DEFAULT_PRECISION: u8 = 19;

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

impl FromStr for SqlType {
    type Err = SqlTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |reason| SqlTypeError { found: shorten(text), reason };
        let (name, parameters) = split(text).ok_or_else(|| fail("unbalanced parentheses"))?;
        let sql_type = match (name.as_str(), parameters.as_slice()) {
            ("VARCHAR" | "CHAR" | "CHARACTER" | "CHARACTER VARYING" | "CHAR VARYING", sizes) => {
                match sizes {
                    [max_chars] if *max_chars > 0 => Self::Varchar { max_chars: *max_chars },
                    _ => return Err(fail("a length from 1 is needed, such as VARCHAR(64)")),
                }
            }
            ("DECIMAL" | "DEC" | "NUMERIC", sizes) => {
                let (precision, scale) = match sizes {
                    [] => (u32::from(Self::DEFAULT_PRECISION), 0),
                    [precision] => (*precision, 0),
                    [precision, scale] => (*precision, *scale),
                    _ => return Err(fail("at most a precision and a scale")),
                };
                match (u8::try_from(precision), u8::try_from(scale)) {
                    (Ok(precision @ 1..=Self::MAX_PRECISION), Ok(scale)) if scale <= precision => {
                        Self::Decimal { precision, scale }
                    }
                    _ => return Err(fail("a precision of 1..=28 and a scale up to it are needed")),
                }
            }
            ("TINYINT", []) => Self::TinyInt,
            ("SMALLINT", []) => Self::SmallInt,
            ("INTEGER" | "INT", []) => Self::Integer,
            ("BIGINT", []) => Self::BigInt,
            ("DOUBLE" | "DOUBLE PRECISION", []) => Self::Double,
            ("FLOAT", []) => Self::Float,
            ("REAL", []) => Self::Real,
            ("BOOLEAN", []) => Self::Boolean,
            ("TIMESTAMP", []) => Self::Timestamp,
            ("JSON", []) => Self::Json,
            (_, []) => return Err(fail("unknown type")),
            _ => return Err(fail("unknown type, or one without parameters")),
        };
        Ok(sql_type)
    }
}

impl TryFrom<String> for SqlType {
    type Error = SqlTypeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SqlType> for String {
    fn from(sql_type: SqlType) -> Self {
        sql_type.to_string()
    }
}

/// The name in upper case with single spaces, and the numbers in parentheses behind it.
fn split(text: &str) -> Option<(String, Vec<u32>)> {
    let (name, parameters) = match text.split_once('(') {
        None => (text, Vec::new()),
        Some((name, tail)) => {
            let inside = tail.trim_end().strip_suffix(')')?;
            let numbers: Option<Vec<u32>> =
                inside.split(',').map(|number| number.trim().parse().ok()).collect();
            (name, numbers?)
        }
    };
    let words: Vec<String> = name.split_whitespace().map(str::to_ascii_uppercase).collect();
    Some((words.join(" "), parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_as_people_write_them() {
        for (text, expected) in [
            ("varchar (40)", SqlType::Varchar { max_chars: 40 }),
            (" VARCHAR(4) ", SqlType::Varchar { max_chars: 4 }),
            ("DECIMAL(10,2)", SqlType::Decimal { precision: 10, scale: 2 }),
            ("decimal ( 5 , 0 )", SqlType::Decimal { precision: 5, scale: 0 }),
            ("NUMERIC(7)", SqlType::Decimal { precision: 7, scale: 0 }),
            ("int", SqlType::Integer),
            ("INTEGER", SqlType::Integer),
            ("Double  Precision", SqlType::Double),
            ("tinyint", SqlType::TinyInt),
            ("TIMESTAMP", SqlType::Timestamp),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for text in [
            "",
            "TEXT",
            "VARCHAR",
            "VARCHAR(0)",
            "VARCHAR(-1)",
            "VARCHAR(4",
            "VARCHAR(4,4)",
            "DECIMAL(0)",
            "DECIMAL(29,2)",
            "DECIMAL(4,5)",
            "DECIMAL(4,2,1)",
            "INTEGER(4)",
            "VARCHAR(99999999999)",
            "DOUBLE(",
            "(4)",
        ] {
            assert!(text.parse::<SqlType>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_type_reads_back_what_it_writes() {
        for sql_type in [
            SqlType::Varchar { max_chars: 64 },
            SqlType::TinyInt,
            SqlType::SmallInt,
            SqlType::Integer,
            SqlType::BigInt,
            SqlType::Double,
            SqlType::Float,
            SqlType::Real,
            SqlType::Decimal { precision: 28, scale: 28 },
            SqlType::Boolean,
            SqlType::Timestamp,
            SqlType::Json,
        ] {
            assert_eq!(sql_type.to_string().parse(), Ok(sql_type));
        }
    }
}
