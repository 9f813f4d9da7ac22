//! From what stands in a payload to a value of a column's type.
//!
//! The rules are those of the original service: "Mapping JSON Data Types to SQL Data Types" in its
//! developer guide.

use std::borrow::Cow;
use std::str::FromStr;

use rust_decimal::Decimal;

use crate::error::shorten;
use crate::number::is_number;
use crate::{Column, DecodeError, SqlType, Value, parse_timestamp_ms};

/// What stands in a payload for one column.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    Null,
    Boolean(bool),
    /// The text of a JSON number.
    Number(&'a str),
    /// A string of JSON, unescaped, or a field of CSV.
    Text(Cow<'a, str>),
    /// The text of a JSON array or object.
    Nested(&'a str),
}

impl<'a> Found<'a> {
    /// Reads a JSON value from its text, which a JSON parser has seen already.
    pub(crate) fn from_json(raw: &'a str) -> serde_json::Result<Self> {
        Ok(match raw.as_bytes() {
            [b'"', .., b'"'] if !raw.contains('\\') => {
                Self::Text(Cow::Borrowed(&raw[1..raw.len() - 1]))
            }
            [b'"', ..] => Self::Text(Cow::Owned(serde_json::from_str(raw)?)),
            [b'{' | b'[', ..] => Self::Nested(raw),
            b"null" => Self::Null,
            b"true" => Self::Boolean(true),
            b"false" => Self::Boolean(false),
            _ => Self::Number(raw),
        })
    }

    /// As a message shows it.
    fn shown(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Boolean(boolean) => boolean.to_string(),
            Self::Number(text) | Self::Nested(text) => shorten(text),
            Self::Text(text) => format!("\"{}\"", shorten(text)),
        }
    }
}

/// Converts what was found to the column's type.
pub(crate) fn coerce(column: &Column, found: &Found<'_>) -> Result<Value, DecodeError> {
    if matches!(found, Found::Null) {
        return null(column);
    }
    match column.sql_type {
        SqlType::Varchar { max_chars } => Ok(text(found, max_chars)),
        SqlType::TinyInt => integer(column, found, i64::from(i8::MIN), i64::from(i8::MAX)),
        SqlType::SmallInt => integer(column, found, i64::from(i16::MIN), i64::from(i16::MAX)),
        SqlType::Integer => integer(column, found, i64::from(i32::MIN), i64::from(i32::MAX)),
        SqlType::BigInt => integer(column, found, i64::MIN, i64::MAX),
        SqlType::Double | SqlType::Float => double::<f64>(column, found),
        SqlType::Real => double::<f32>(column, found),
        SqlType::Decimal { precision, scale } => decimal(column, found, precision, scale),
        SqlType::Boolean => match found {
            Found::Boolean(boolean) => Ok(Value::Boolean(*boolean)),
            Found::Number(text) => Ok(Value::Boolean(text.parse() != Ok(0.0))),
            Found::Text(text) => Ok(Value::Boolean(text.trim().eq_ignore_ascii_case("true"))),
            _ => Err(wrong_type(column, found)),
        },
        SqlType::Timestamp => match found {
            Found::Text(text) => parse_timestamp_ms(text).map(Value::TimestampMs),
            _ => None,
        }
        .ok_or_else(|| wrong_type(column, found)),
        SqlType::Json => Err(wrong_type(column, found)),
    }
}

/// The column is not in the payload.
pub(crate) fn missing(column: &Column) -> Result<Value, DecodeError> {
    if column.nullable {
        return Ok(Value::Null);
    }
    Err(DecodeError::MissingColumn { column: column.name.clone() })
}

/// The column is in the payload, as null.
pub(crate) fn null(column: &Column) -> Result<Value, DecodeError> {
    if column.nullable {
        return Ok(Value::Null);
    }
    Err(DecodeError::NullColumn { column: column.name.clone() })
}

/// The whole number that the text is, if it is one of 64 bits: `15`, `15.0` or `1.5e1`.
pub(crate) fn parse_integer(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let number = parse_decimal(text)?.normalize();
    if number.scale() > 0 { None } else { i64::try_from(number.mantissa()).ok() }
}

fn text(found: &Found<'_>, max_chars: u32) -> Value {
    let text = match found {
        Found::Null => return Value::Null,
        Found::Boolean(true) => "true",
        Found::Boolean(false) => "false",
        Found::Number(text) | Found::Nested(text) => text,
        Found::Text(text) => text,
    };
    let max_chars = usize::try_from(max_chars).unwrap_or(usize::MAX);
    if text.len() <= max_chars {
        return Value::Text(text.into());
    }
    let end = text.char_indices().nth(max_chars).map_or(text.len(), |(at, _)| at);
    Value::Text(text[..end].into())
}

fn integer(column: &Column, found: &Found<'_>, min: i64, max: i64) -> Result<Value, DecodeError> {
    let text = number_text(column, found)?;
    parse_integer(text)
        .filter(|number| (min..=max).contains(number))
        .map(Value::Integer)
        .ok_or_else(|| out_of_range(column, text))
}

fn double<F: FromStr + Into<f64>>(
    column: &Column,
    found: &Found<'_>,
) -> Result<Value, DecodeError> {
    let text = number_text(column, found)?;
    let number: f64 = text.parse::<F>().map_err(|_| wrong_type(column, found))?.into();
    if number.is_finite() { Ok(Value::Double(number)) } else { Err(out_of_range(column, text)) }
}

fn decimal(
    column: &Column,
    found: &Found<'_>,
    precision: u8,
    scale: u8,
) -> Result<Value, DecodeError> {
    let text = number_text(column, found)?;
    let max_whole = Decimal::from_i128_with_scale(10_i128.pow(u32::from(precision - scale)), 0);
    let fits =
        |number: &Decimal| number.scale() <= u32::from(scale) && number.trunc().abs() < max_whole;
    let number = parse_decimal(text).map(|number| number.normalize()).filter(fits);
    let mut number = number.ok_or_else(|| out_of_range(column, text))?;
    number.rescale(u32::from(scale));
    Ok(Value::Decimal(number))
}

/// The number exactly, if it has no more than 28 digits.
fn parse_decimal(text: &str) -> Option<Decimal> {
    if text.contains(['e', 'E']) {
        Decimal::from_scientific(text).ok()
    } else {
        Decimal::from_str_exact(text).ok()
    }
}

fn number_text<'f>(column: &Column, found: &'f Found<'_>) -> Result<&'f str, DecodeError> {
    match found {
        Found::Boolean(true) => Ok("1"),
        Found::Boolean(false) => Ok("0"),
        Found::Number(text) => Ok(text),
        Found::Text(text) if is_number(text.trim()) => Ok(text.trim()),
        _ => Err(wrong_type(column, found)),
    }
}

fn wrong_type(column: &Column, found: &Found<'_>) -> DecodeError {
    let (column, expected) = (column.name.clone(), column.sql_type);
    DecodeError::WrongType { column, expected, found: found.shown() }
}

fn out_of_range(column: &Column, text: &str) -> DecodeError {
    let (column, expected) = (column.name.clone(), column.sql_type);
    DecodeError::OutOfRange { column, expected, found: shorten(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(sql_type: &str, json: &str) -> Result<Value, DecodeError> {
        let column = Column {
            name: "c".to_owned(),
            sql_type: sql_type.parse().expect("a type"),
            mapping: None,
            nullable: true,
        };
        coerce(&column, &Found::from_json(json).expect("JSON"))
    }

    fn text(text: &str) -> Result<Value, DecodeError> {
        Ok(Value::Text(text.into()))
    }

    fn decimal(text: &str) -> Result<Value, DecodeError> {
        Ok(Value::Decimal(text.parse().expect("a decimal")))
    }

    #[test]
    fn null_is_null_in_every_type_and_refused_where_a_value_must_be() {
        for sql_type in ["VARCHAR(4)", "INTEGER", "DOUBLE", "DECIMAL(5,2)", "BOOLEAN", "TIMESTAMP"]
        {
            assert_eq!(to(sql_type, "null"), Ok(Value::Null), "{sql_type}");
        }
        let column = &crate::Schema::walkthrough().columns[1];
        assert!(matches!(coerce(column, &Found::Null), Err(DecodeError::NullColumn { .. })));
    }

    #[test]
    fn booleans_are_numbers_and_words_but_no_times() {
        assert_eq!(to("INTEGER", "true"), Ok(Value::Integer(1)));
        assert_eq!(to("DOUBLE", "false"), Ok(Value::Double(0.0)));
        assert_eq!(to("DECIMAL(1)", "true"), decimal("1"));
        assert_eq!(to("VARCHAR(3)", "true"), text("tru"));
        assert_eq!(to("BOOLEAN", "true"), Ok(Value::Boolean(true)));
        assert!(matches!(to("TIMESTAMP", "true"), Err(DecodeError::WrongType { .. })));
    }

    #[test]
    fn numbers_fit_their_type_or_fail() {
        assert_eq!(to("INTEGER", "15"), Ok(Value::Integer(15)));
        assert_eq!(to("INTEGER", "15.0"), Ok(Value::Integer(15)));
        assert_eq!(to("INTEGER", "1.5e1"), Ok(Value::Integer(15)));
        assert_eq!(to("TINYINT", "-128"), Ok(Value::Integer(-128)));
        assert_eq!(to("BIGINT", "-9223372036854775808"), Ok(Value::Integer(i64::MIN)));
        assert_eq!(to("DECIMAL(5,2)", "33.9"), decimal("33.90"));
        assert_eq!(to("DECIMAL(5,2)", "1e2"), decimal("100.00"));
        assert_eq!(to("REAL", "0.1"), Ok(Value::Double(f64::from(0.1_f32))));
        assert_eq!(to("BOOLEAN", "0.0"), Ok(Value::Boolean(false)));
        assert_eq!(to("BOOLEAN", "7"), Ok(Value::Boolean(true)));
        assert_eq!(to("VARCHAR(16)", "1.50"), text("1.50"));
        let digits = "9".repeat(400);
        for (sql_type, json) in [
            ("INTEGER", "123.4"),
            ("TINYINT", "128"),
            ("SMALLINT", "40000"),
            ("INTEGER", "2147483648"),
            ("BIGINT", "9223372036854775808"),
            ("BIGINT", &digits),
            ("DOUBLE", "1e999"),
            ("DOUBLE", &digits),
            ("REAL", "1e39"),
            ("DECIMAL(5,2)", "1.234"),
            ("DECIMAL(5,2)", "1000"),
            ("DECIMAL(28,2)", "1e400"),
        ] {
            let refused = to(sql_type, json);
            assert!(matches!(refused, Err(DecodeError::OutOfRange { .. })), "{sql_type} {json}");
        }
        assert!(matches!(to("TIMESTAMP", "15"), Err(DecodeError::WrongType { .. })));
    }

    #[test]
    fn strings_are_numbers_times_and_booleans_if_they_read_as_such() {
        assert_eq!(to("INTEGER", r#"" 15 ""#), Ok(Value::Integer(15)));
        assert_eq!(to("DOUBLE", r#""1.5""#), Ok(Value::Double(1.5)));
        assert_eq!(to("BOOLEAN", r#""TRUE""#), Ok(Value::Boolean(true)));
        assert_eq!(to("BOOLEAN", r#""yes""#), Ok(Value::Boolean(false)));
        assert_eq!(to("TIMESTAMP", r#""1970-01-01 00:00:01.0""#), Ok(Value::TimestampMs(1000)));
        for (sql_type, json) in [
            ("INTEGER", r#""abc""#),
            ("INTEGER", r#""""#),
            ("DOUBLE", r#""NaN""#),
            ("DOUBLE", r#""inf""#),
            ("TIMESTAMP", r#""today""#),
        ] {
            let refused = to(sql_type, json);
            assert!(matches!(refused, Err(DecodeError::WrongType { .. })), "{sql_type} {json}");
        }
    }

    #[test]
    fn text_is_cut_by_characters_without_an_error() {
        assert_eq!(to("VARCHAR(4)", r#""Zürich""#), text("Züri"));
        assert_eq!(to("VARCHAR(2)", r#""\u00fc\ud83d\ude00x""#), text("ü😀"));
        assert_eq!(to("VARCHAR(6)", r#""Zürich""#), text("Zürich"));
    }

    #[test]
    fn arrays_and_objects_are_text_or_fail() {
        assert_eq!(to("VARCHAR(64)", r#"{"a": [1, 2]}"#), text(r#"{"a": [1, 2]}"#));
        assert!(matches!(to("DOUBLE", "[1]"), Err(DecodeError::WrongType { .. })));
        assert!(matches!(to("BOOLEAN", "{}"), Err(DecodeError::WrongType { .. })));
    }

    #[test]
    fn messages_name_the_column_and_the_reason_in_one_line() {
        let long = format!("\"{}\\n\"", "x".repeat(600));
        let message = to("DOUBLE", &long).expect_err("no number").to_string();
        assert!(message.starts_with("column c: expected DOUBLE, found \"xxx"), "{message}");
        assert!(message.len() < 120 && !message.contains('\n'), "{message}");
        let message = to("DOUBLE", "1e999").expect_err("too large").to_string();
        assert_eq!(message, "column c: out of range of DOUBLE: 1e999");
    }
}
