//! From one type to another, as CAST and the assignment to a column do it.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray, Time32MillisecondArray, TimestampMillisecondArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Date32Type, Schema, Time32MillisecondType, TimestampMillisecondType};
use arrow::util::display::FormatOptions;
use datafusion_common::{Result, ScalarValue};
use datafusion_physical_expr::expressions::Literal;
use eddy_record::{format_timestamp_ms, parse_timestamp_ms};

use super::Typed;
use super::udf::{call, failed, map_text, texts};
use crate::types::Type;

const DAY_MS: i64 = 86_400_000;

/// What fails is an error, not NULL.
const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: FormatOptions::new() };

/// Casts an expression; `None` where the SQL Reference has no such conversion. Constants are cast
/// once and stay constants; those that cannot be are errors of the rows that need them.
pub(crate) fn cast(typed: Typed, to: Type) -> Option<Typed> {
    let is_constant = typed.constant().is_some();
    let cast = converted(typed, to)?;
    if !is_constant || cast.constant().is_some() {
        return Some(cast);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let no_columns =
        RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options);
    let value = no_columns.ok().and_then(|row| cast.expr.evaluate(&row).ok());
    let value =
        value.and_then(|value| ScalarValue::try_from_array(&value.into_array(1).ok()?, 0).ok());
    Some(match value {
        Some(value) => Typed { expr: Arc::new(Literal::new(value)), sql_type: to },
        None => cast,
    })
}

fn converted(typed: Typed, to: Type) -> Option<Typed> {
    let from = typed.sql_type;
    if from == to {
        return Some(typed);
    }
    if from == Type::Null {
        let value = ScalarValue::try_from(&to.arrow()).ok()?;
        return Some(Typed { expr: Arc::new(Literal::new(value)), sql_type: to });
    }
    if from.is_text() && to.is_text() {
        return Some(fit(typed, to));
    }
    if to.is_text() {
        let text = call(format!("text of {from}"), Type::Varchar(None), vec![typed], move |args| {
            to_text(&args[0], from)
        });
        return Some(fit(text, to));
    }
    let possible = match (from, to) {
        (from, to) if from.is_text() => !matches!(to, Type::Months | Type::Null),
        (from, to) if from.is_numeric() => to.is_numeric() || matches!(to, Type::Interval(_)),
        (Type::Boolean, to) => to.is_numeric(),
        (Type::Date, Type::Timestamp) | (Type::Time, Type::Timestamp) => true,
        (Type::Timestamp, Type::Date | Type::Time) => true,
        (Type::Interval(_), to) => to.is_numeric() || matches!(to, Type::Interval(_)),
        (Type::Months, to) => to.is_numeric(),
        _ => false,
    };
    possible.then(|| {
        call(format!("{from} to {to} {to:?}"), to, vec![typed], move |args| {
            convert(&args[0], from, to)
        })
    })
}

/// Cuts or fills a text to its type's length.
fn fit(typed: Typed, to: Type) -> Typed {
    let (from, expr) = (typed.sql_type, typed.expr.clone());
    match (from, to) {
        (_, Type::Varchar(None)) => Typed { expr, sql_type: to },
        (Type::Varchar(Some(had)) | Type::Char(had), Type::Varchar(Some(has))) if had <= has => {
            Typed { expr, sql_type: to }
        }
        (_, Type::Varchar(Some(most))) => {
            call(format!("cut to {most}"), to, vec![typed], move |args| {
                map_text(&args[0], |text| Ok(Some(cut(text, most).into())))
            })
        }
        (_, Type::Char(length)) => {
            call(format!("fill to {length}"), to, vec![typed], move |args| {
                map_text(&args[0], |text| {
                    let width = usize::try_from(length).unwrap_or(usize::MAX);
                    let text = cut(text, length);
                    let blanks = width.saturating_sub(text.chars().count());
                    Ok(Some(format!("{text}{}", " ".repeat(blanks)).into()))
                })
            })
        }
        _ => typed,
    }
}

/// The first characters of a text.
pub(crate) fn cut(text: &str, most: u32) -> &str {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if text.len() <= most {
        return text;
    }
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

fn to_text(array: &ArrayRef, from: Type) -> Result<ArrayRef> {
    match from {
        Type::Timestamp => {
            let times = array.as_primitive::<TimestampMillisecondType>();
            let text =
                |ms| format_timestamp_ms(ms).replace('T', " ").trim_end_matches('Z').to_owned();
            Ok(Arc::new(times.iter().map(|ms| ms.map(text)).collect::<StringArray>()))
        }
        Type::Interval(unit) => {
            let counts = array.as_primitive::<arrow::datatypes::Int64Type>();
            let unit_ms = unit.ms().unwrap_or(1);
            let text = |ms: i64| (ms / unit_ms).to_string();
            Ok(Arc::new(counts.iter().map(|ms| ms.map(text)).collect::<StringArray>()))
        }
        _ => Ok(cast_with_options(array, &Type::Varchar(None).arrow(), &STRICT)?),
    }
}

fn convert(array: &ArrayRef, from: Type, to: Type) -> Result<ArrayRef> {
    if from.is_text() {
        return read(texts(array)?, to);
    }
    match (from, to) {
        (Type::Interval(_), Type::Interval(_)) => Ok(Arc::clone(array)),
        (Type::Interval(unit), _) => {
            let unit_ms = unit.ms().unwrap_or(1);
            let counts = array.as_primitive::<arrow::datatypes::Int64Type>();
            let counts: Int64Array = counts.unary(|ms| ms / unit_ms);
            Ok(cast_with_options(&counts, &to.arrow(), &STRICT)?)
        }
        (_, Type::Interval(unit)) => {
            let counts = cast_with_options(array, &Type::BigInt.arrow(), &STRICT)?;
            let counts = counts.as_primitive::<arrow::datatypes::Int64Type>();
            let unit_ms = unit.ms().unwrap_or(1);
            let ms: Int64Array = counts
                .try_unary(|count| count.checked_mul(unit_ms).ok_or_else(|| failed("overflow")))?;
            Ok(Arc::new(ms))
        }
        (Type::Timestamp, Type::Date) => {
            let times = array.as_primitive::<TimestampMillisecondType>();
            let days: Date32Array = times.unary(|ms| {
                i32::try_from(ms.div_euclid(DAY_MS)).unwrap_or(if ms < 0 {
                    i32::MIN
                } else {
                    i32::MAX
                })
            });
            Ok(Arc::new(days))
        }
        (Type::Timestamp, Type::Time) => {
            let times = array.as_primitive::<TimestampMillisecondType>();
            let times: Time32MillisecondArray = times.unary(|ms| {
                i32::try_from(ms.rem_euclid(DAY_MS)).expect("a day has fewer milliseconds")
            });
            Ok(Arc::new(times))
        }
        (Type::Date, Type::Timestamp) => {
            let days = array.as_primitive::<Date32Type>();
            let times: TimestampMillisecondArray = days.unary(|day| i64::from(day) * DAY_MS);
            Ok(Arc::new(times))
        }
        (Type::Time, Type::Timestamp) => {
            let times = array.as_primitive::<Time32MillisecondType>();
            let times: TimestampMillisecondArray = times.unary(i64::from);
            Ok(Arc::new(times))
        }
        _ => {
            let rounded = if to.is_integer() { rounded(array)? } else { Arc::clone(array) };
            let out = cast_with_options(&rounded, &to.arrow(), &STRICT)?;
            finite(&out)?;
            Ok(out)
        }
    }
}

/// A number cast to an integer type is rounded, halves away from zero.
fn rounded(array: &ArrayRef) -> Result<ArrayRef> {
    use arrow::datatypes::{DataType, Float32Type, Float64Type};
    Ok(match array.data_type() {
        DataType::Float32 => {
            let numbers = array.as_primitive::<Float32Type>();
            Arc::new(numbers.unary::<_, Float32Type>(f32::round))
        }
        DataType::Float64 => {
            let numbers = array.as_primitive::<Float64Type>();
            Arc::new(numbers.unary::<_, Float64Type>(f64::round))
        }
        DataType::Decimal128(precision, _) => {
            cast_with_options(array, &DataType::Decimal128(*precision, 0), &STRICT)?
        }
        _ => Arc::clone(array),
    })
}

/// A REAL that a DOUBLE does not fit into would be infinite.
fn finite(array: &ArrayRef) -> Result<()> {
    if let Some(reals) = array.as_primitive_opt::<arrow::datatypes::Float32Type>()
        && reals.iter().flatten().any(|real| !real.is_finite())
    {
        return Err(failed("out of range of REAL"));
    }
    Ok(())
}

/// Reads texts as values of another type.
fn read(array: &StringArray, to: Type) -> Result<ArrayRef> {
    let wrong = |text: &str| failed(format!("no {to}: {text:?}"));
    Ok(match to {
        Type::Boolean => {
            let read = |text: &str| match text.trim() {
                text if text.eq_ignore_ascii_case("true") => Ok(true),
                text if text.eq_ignore_ascii_case("false") => Ok(false),
                other => Err(wrong(other)),
            };
            let read = array.iter().map(|text| text.map(read).transpose());
            Arc::new(read.collect::<Result<BooleanArray>>()?)
        }
        Type::Timestamp => {
            // A time in a VARCHAR(20) was cut behind its point.
            let read = |text: &str| {
                let whole = text.trim_end().trim_end_matches('.');
                parse_timestamp_ms(whole).ok_or_else(|| wrong(text))
            };
            let read = array.iter().map(|text| text.map(read).transpose());
            Arc::new(read.collect::<Result<TimestampMillisecondArray>>()?)
        }
        Type::Date => {
            let times = read(array, Type::Timestamp)?;
            convert(&times, Type::Timestamp, Type::Date)?
        }
        Type::Time => {
            let read = |text: &str| {
                let time = parse_timestamp_ms(&format!("1970-01-01 {}", text.trim()));
                time.and_then(|ms| i32::try_from(ms).ok()).ok_or_else(|| wrong(text))
            };
            let read = array.iter().map(|text| text.map(read).transpose());
            Arc::new(read.collect::<Result<Time32MillisecondArray>>()?)
        }
        Type::Interval(unit) => {
            let read =
                |text: &str| super::time::interval_ms(text, unit, unit).ok_or_else(|| wrong(text));
            let read = array.iter().map(|text| text.map(read).transpose());
            Arc::new(read.collect::<Result<Int64Array>>()?)
        }
        _ => {
            let trimmed: StringArray = array.iter().map(|text| text.map(number_text)).collect();
            let out = cast_with_options(&trimmed, &to.arrow(), &STRICT)?;
            let numbers = cast_with_options(&out, &Type::Double.arrow(), &STRICT)?;
            let numbers = numbers.as_primitive::<arrow::datatypes::Float64Type>();
            if let Some(at) = numbers.iter().position(|it| it.is_some_and(|it| !it.is_finite())) {
                return Err(wrong(array.value(at)));
            }
            out
        }
    })
}

fn number_text(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    text.strip_prefix('+').unwrap_or(text).into()
}
