//! The types of expressions and columns, and how Arrow holds their values.

use std::fmt;

use arrow::datatypes::{DataType, TimeUnit};
use eddy_record::SqlType;

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Unit {
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().trim_end_matches('S') {
            "SECOND" => Self::Second,
            "MINUTE" => Self::Minute,
            "HOUR" => Self::Hour,
            "DAY" => Self::Day,
            "WEEK" => Self::Week,
            "MONTH" => Self::Month,
            "QUARTER" => Self::Quarter,
            "YEAR" => Self::Year,
            _ => return None,
        })
    }

    /// Its length, where it has one.
    pub(crate) fn ms(self) -> Option<i64> {
        Some(match self {
            Self::Second => 1000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
            Self::Week => 7 * 86_400_000,
            Self::Month | Self::Quarter | Self::Year => return None,
        })
    }

    pub(crate) fn months(self) -> i32 {
        match self {
            Self::Month => 1,
            Self::Quarter => 3,
            Self::Year => 12,
            _ => 0,
        }
    }
}

/// The type of a column or an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Type {
    /// NULL's own.
    Null,
    Boolean,
    TinyInt,
    SmallInt,
    Integer,
    BigInt,
    Real,
    /// DOUBLE and FLOAT.
    Double,
    Decimal {
        precision: u8,
        scale: i8,
    },
    /// At most so many characters; `None`: any number.
    Varchar(Option<u32>),
    /// As VARCHAR, filled up with blanks.
    Char(u32),
    /// Milliseconds.
    Timestamp,
    Date,
    /// Milliseconds of the day.
    Time,
    /// Days to seconds, in milliseconds; a cast to a number counts these units.
    Interval(Unit),
    /// Years and months, in months.
    Months,
}

/// The digits that the original's DECIMAL without parameters has, and the most that one may have.
const DECIMAL_DIGITS: u8 = 19;
pub(crate) const MAX_DIGITS: u8 = 28;
/// The longest text that a CHAR holds, as VARCHAR's in a schema.
const MAX_CHARS: u32 = 65_535;

impl Type {
    /// Reads a type as written in SQL.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let upper = text.to_ascii_uppercase();
        let compact: String = upper.split_whitespace().collect::<Vec<_>>().join(" ");
        let (name, parameters) = match compact.split_once('(') {
            Some((name, rest)) => (name.trim(), Some(rest.trim_end_matches(')').trim())),
            None => (compact.as_str(), None),
        };
        match (name, parameters) {
            ("DATE", None) => return Ok(Self::Date),
            ("TIME", _) => return Ok(Self::Time),
            ("TIMESTAMP", _) => return Ok(Self::Timestamp),
            ("DECIMAL" | "DEC" | "NUMERIC", None) => {
                return Ok(Self::Decimal { precision: DECIMAL_DIGITS, scale: 0 });
            }
            ("CHAR" | "CHARACTER", None) => return Ok(Self::Char(1)),
            ("CHAR" | "CHARACTER", Some(length)) => {
                let length = length.parse().ok().filter(|length| (1..=MAX_CHARS).contains(length));
                return length.map(Self::Char).ok_or_else(|| {
                    format!("no type: {text}; CHAR has 1 to {MAX_CHARS} characters")
                });
            }
            ("VARCHAR" | "CHARACTER VARYING", None) => return Ok(Self::Varchar(None)),
            ("FLOAT" | "DOUBLE PRECISION", _) => return Ok(Self::Double),
            ("INTERVAL DAY TO SECOND" | "INTERVAL SECOND", _) => {
                return Ok(Self::Interval(Unit::Second));
            }
            _ => {}
        }
        if name.starts_with("VARBINARY") || name.starts_with("BINARY") {
            return Err("binary types are not supported; use VARCHAR".to_owned());
        }
        let read: SqlType = compact.parse().map_err(|error| format!("{error}"))?;
        Self::from_sql(read).ok_or_else(|| format!("no type: {text}"))
    }

    /// The type of a schema's column; `None` for the types that only Eddy writes.
    pub(crate) fn from_sql(sql_type: SqlType) -> Option<Self> {
        Some(match sql_type {
            SqlType::Varchar { max_chars } => Self::Varchar(Some(max_chars)),
            SqlType::TinyInt => Self::TinyInt,
            SqlType::SmallInt => Self::SmallInt,
            SqlType::Integer => Self::Integer,
            SqlType::BigInt => Self::BigInt,
            SqlType::Double | SqlType::Float => Self::Double,
            SqlType::Real => Self::Real,
            SqlType::Decimal { precision, scale } => {
                Self::Decimal { precision, scale: i8::try_from(scale).expect("at most 28") }
            }
            SqlType::Boolean => Self::Boolean,
            SqlType::Timestamp => Self::Timestamp,
            SqlType::Json => return None,
        })
    }

    /// The nearest type of a schema's column; times of day, dates and intervals become text.
    pub(crate) fn to_sql(self) -> SqlType {
        match self {
            Self::Boolean => SqlType::Boolean,
            Self::TinyInt => SqlType::TinyInt,
            Self::SmallInt => SqlType::SmallInt,
            Self::Integer => SqlType::Integer,
            Self::BigInt => SqlType::BigInt,
            Self::Real => SqlType::Real,
            Self::Double => SqlType::Double,
            Self::Decimal { precision, scale } => SqlType::Decimal {
                precision: precision.min(MAX_DIGITS),
                scale: u8::try_from(scale).unwrap_or(0),
            },
            Self::Timestamp => SqlType::Timestamp,
            Self::Varchar(Some(max_chars)) | Self::Char(max_chars) => {
                SqlType::Varchar { max_chars }
            }
            Self::Null
            | Self::Varchar(None)
            | Self::Date
            | Self::Time
            | Self::Interval(_)
            | Self::Months => SqlType::Varchar { max_chars: 65_535 },
        }
    }

    pub(crate) fn arrow(self) -> DataType {
        match self {
            Self::Null => DataType::Null,
            Self::Boolean => DataType::Boolean,
            Self::TinyInt => DataType::Int8,
            Self::SmallInt => DataType::Int16,
            Self::Integer | Self::Months => DataType::Int32,
            Self::BigInt | Self::Interval(_) => DataType::Int64,
            Self::Real => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
            Self::Varchar(_) | Self::Char(_) => DataType::Utf8,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, None),
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time32(TimeUnit::Millisecond),
        }
    }

    /// The type of what Arrow returned.
    pub(crate) fn from_arrow(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Boolean,
            DataType::Int8 => Self::TinyInt,
            DataType::Int16 => Self::SmallInt,
            DataType::Int32 => Self::Integer,
            DataType::Int64 => Self::BigInt,
            DataType::Float32 => Self::Real,
            DataType::Float64 => Self::Double,
            DataType::Decimal128(precision, scale) => {
                Self::Decimal { precision: *precision, scale: *scale }
            }
            DataType::Utf8 => Self::Varchar(None),
            DataType::Timestamp(TimeUnit::Millisecond, None) => Self::Timestamp,
            DataType::Date32 => Self::Date,
            DataType::Time32(TimeUnit::Millisecond) => Self::Time,
            _ => return None,
        })
    }

    pub(crate) fn is_integer(self) -> bool {
        matches!(self, Self::TinyInt | Self::SmallInt | Self::Integer | Self::BigInt)
    }

    pub(crate) fn is_numeric(self) -> bool {
        self.is_integer() || matches!(self, Self::Real | Self::Double | Self::Decimal { .. })
    }

    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Varchar(_) | Self::Char(_))
    }

    pub(crate) fn is_time(self) -> bool {
        matches!(self, Self::Timestamp | Self::Date)
    }

    /// The decimal type that holds an integer type's numbers.
    fn as_decimal(self) -> Option<(u8, i8)> {
        Some(match self {
            Self::TinyInt => (3, 0),
            Self::SmallInt => (5, 0),
            Self::Integer => (10, 0),
            Self::BigInt => (19, 0),
            Self::Decimal { precision, scale } => (precision, scale),
            _ => return None,
        })
    }

    /// The type that values of both have in common, as in CASE, in comparisons and between the
    /// terms of a sum; `None` where there is none.
    pub(crate) fn common(self, other: Self) -> Option<Self> {
        if self == other {
            return Some(self);
        }
        if self == Self::Null {
            return Some(other);
        }
        if other == Self::Null {
            return Some(self);
        }
        if self.is_text() && other.is_text() {
            let length = |it: Self| match it {
                Self::Varchar(length) => length,
                Self::Char(length) => Some(length),
                _ => None,
            };
            return Some(Self::Varchar(length(self).zip(length(other)).map(|(a, b)| a.max(b))));
        }
        if self.is_numeric() && other.is_numeric() {
            if self.is_integer() && other.is_integer() {
                let widest = |it: Self| it.as_decimal().map_or(0, |(digits, _)| digits);
                return Some(if widest(self) >= widest(other) { self } else { other });
            }
            if let (Some((p1, s1)), Some((p2, s2))) = (self.as_decimal(), other.as_decimal()) {
                let scale = s1.max(s2);
                let whole = (i16::from(p1) - i16::from(s1)).max(i16::from(p2) - i16::from(s2));
                let precision = u8::try_from(whole + i16::from(scale)).unwrap_or(38).min(38);
                return Some(Self::Decimal { precision, scale });
            }
            return Some(Self::Double);
        }
        match (self, other) {
            (Self::Timestamp, Self::Date) | (Self::Date, Self::Timestamp) => Some(Self::Timestamp),
            (Self::Interval(a), Self::Interval(b)) => {
                Some(Self::Interval(if a.ms() <= b.ms() { a } else { b }))
            }
            // A text beside a number may be any number, whatever the other's type holds.
            (text, it) | (it, text) if text.is_text() && it.is_numeric() => Some(Self::Double),
            // Beside another type it is read as that type.
            (text, it) | (it, text) if text.is_text() => Some(it),
            _ => None,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Varchar(None) => f.write_str("VARCHAR"),
            Self::Char(length) => write!(f, "CHAR({length})"),
            Self::Date => f.write_str("DATE"),
            Self::Time => f.write_str("TIME"),
            Self::Interval(_) => f.write_str("INTERVAL"),
            Self::Months => f.write_str("INTERVAL YEAR TO MONTH"),
            other => other.to_sql().fmt(f),
        }
    }
}
