//! `+ - * / %` and `||`: numbers, and times with intervals.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, TimestampMillisecondArray};
use arrow::compute::kernels::numeric;
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, TimestampMillisecondType};
use chrono::{DateTime, Months};
use datafusion_common::Result as DataResult;
use datafusion_expr::Operator;
use datafusion_physical_expr::PhysicalExpr as _;
use datafusion_physical_expr::expressions::BinaryExpr;
use sqlparser::ast::BinaryOperator;

use super::udf::{call, failed, texts};
use super::{Translator, Typed, wrong};
use crate::error::{Place, SqlError};
use crate::types::{Type, Unit};

impl Translator<'_> {
    pub(super) fn arithmetic(
        &self,
        left: Typed,
        op: &BinaryOperator,
        right: Typed,
        place: Place,
    ) -> Result<Typed, SqlError> {
        let (a, b) = (left.sql_type, right.sql_type);
        let refused =
            || SqlError::new(place, format!("{a} {op} {b}"), "there is no such operation");
        if *op == BinaryOperator::StringConcat {
            return self.concatenated(left, right, place);
        }
        let operator = match op {
            BinaryOperator::Plus => Operator::Plus,
            BinaryOperator::Minus => Operator::Minus,
            BinaryOperator::Multiply => Operator::Multiply,
            BinaryOperator::Divide => Operator::Divide,
            BinaryOperator::Modulo => Operator::Modulo,
            _ => return Err(refused()),
        };
        let numeric_or_null = |it: Type| it.is_numeric() || it == Type::Null || it.is_text();
        if numeric_or_null(a) && numeric_or_null(b) {
            return self.numeric(left, operator, right, place);
        }
        let as_ms = |typed: Typed| self.cast_to(typed, Type::Timestamp, place, "arithmetic");
        match (a, operator, b) {
            (a, Operator::Minus, b) if a.is_time() && b.is_time() => {
                let ms = self.integers(
                    number_of(as_ms(left)?),
                    operator,
                    number_of(as_ms(right)?),
                    place,
                )?;
                Ok(Typed { expr: ms.expr, sql_type: Type::Interval(Unit::Second) })
            }
            (a, Operator::Plus | Operator::Minus, Type::Interval(_)) if a.is_time() => {
                let ms = self.integers(number_of(as_ms(left)?), operator, right, place)?;
                Ok(time_of(ms))
            }
            (Type::Interval(_), Operator::Plus, b) if b.is_time() => {
                let ms = self.integers(left, operator, number_of(as_ms(right)?), place)?;
                Ok(time_of(ms))
            }
            (a, Operator::Plus | Operator::Minus, Type::Months) if a.is_time() => {
                let subtracts = operator == Operator::Minus;
                let name = if subtracts { "minus months" } else { "plus months" };
                Ok(call(name, Type::Timestamp, vec![as_ms(left)?, right], move |args| {
                    shift(args, subtracts)
                }))
            }
            (Type::Interval(_), Operator::Plus | Operator::Minus, Type::Interval(_)) => {
                let sql_type = a.common(b).ok_or_else(refused)?;
                Ok(Typed { sql_type, ..self.integers(left, operator, right, place)? })
            }
            (Type::Interval(_), Operator::Multiply | Operator::Divide, b) if b.is_numeric() => {
                self.scaled(left, operator, right, place)
            }
            (a, Operator::Multiply, Type::Interval(_)) if a.is_numeric() => {
                self.scaled(right, operator, left, place)
            }
            _ => Err(refused()),
        }
    }

    /// An interval times or by a number.
    fn scaled(
        &self,
        interval: Typed,
        operator: Operator,
        number: Typed,
        place: Place,
    ) -> Result<Typed, SqlError> {
        let sql_type = interval.sql_type;
        let ms = Typed { sql_type: Type::BigInt, ..interval };
        let result = self.numeric(ms, operator, number, place)?;
        let result = self.cast_to(result, Type::BigInt, place, "interval")?;
        Ok(Typed { sql_type, ..result })
    }

    fn integers(
        &self,
        left: Typed,
        operator: Operator,
        right: Typed,
        place: Place,
    ) -> Result<Typed, SqlError> {
        let big = |typed: Typed| Typed { sql_type: Type::BigInt, ..typed };
        self.numeric(big(left), operator, big(right), place)
    }

    fn numeric(
        &self,
        left: Typed,
        operator: Operator,
        right: Typed,
        place: Place,
    ) -> Result<Typed, SqlError> {
        let (a, b) = (left.sql_type, right.sql_type);
        let construct = format!("{a} {operator} {b}");
        // Texts are read as numbers.
        let number = |it: Type| if it.is_text() { Type::Double } else { it };
        let common = number(a)
            .common(number(b))
            .ok_or_else(|| SqlError::new(place, &construct, "there is no such operation"))?;
        let common = if common == Type::Null { Type::Integer } else { common };
        // DECIMALs keep their own digits: DataFusion works the result's out.
        let exact = |it: Type| matches!(it, Type::Decimal { .. });
        let (left, right) = if exact(common) && exact(a) && exact(b) {
            (left, right)
        } else if exact(common) {
            let own = |typed: Typed| match typed.sql_type {
                it if it.is_integer() => {
                    let (precision, scale) = digits(it);
                    self.cast_to(typed, Type::Decimal { precision, scale }, place, &construct)
                }
                Type::Null => self.cast_to(typed, common, place, &construct),
                _ => Ok(typed),
            };
            (own(left)?, own(right)?)
        } else {
            let left = self.cast_to(left, common, place, &construct)?;
            (left, self.cast_to(right, common, place, &construct)?)
        };
        let binary = BinaryExpr::new(left.expr.clone(), operator, right.expr.clone())
            .with_fail_on_overflow(true);
        let data_type =
            binary.data_type(&self.schema).map_err(|error| wrong(place, &construct, &error))?;
        let sql_type =
            Type::from_arrow(&data_type).ok_or_else(|| SqlError::unsupported(place, construct))?;
        if operator == Operator::Divide || operator == Operator::Modulo {
            let divides = operator == Operator::Divide;
            let name = if divides { "divide" } else { "remainder" };
            return Ok(call(name, sql_type, vec![left, right], move |args| divide(args, divides)));
        }
        if matches!(sql_type, Type::Double | Type::Real) {
            let checked = Typed { expr: Arc::new(binary), sql_type };
            return Ok(call("in range", sql_type, vec![checked], |args| in_range(&args[0])));
        }
        Ok(Typed { expr: Arc::new(binary), sql_type })
    }

    pub(super) fn negative(&self, typed: Typed, place: Place) -> Result<Typed, SqlError> {
        match typed.sql_type {
            it if it.is_numeric() || matches!(it, Type::Interval(_) | Type::Months) => {
                if let Some(value) = typed.constant()
                    && let Ok(value) = value.arithmetic_negate()
                {
                    return Ok(Typed::literal(value, it));
                }
                Ok(call("negative", it, vec![typed], |args| Ok(numeric::neg(&args[0])?)))
            }
            Type::Null => Ok(typed),
            it => Err(SqlError::new(place, "-", format!("{it} has no negative"))),
        }
    }

    fn concatenated(&self, left: Typed, right: Typed, place: Place) -> Result<Typed, SqlError> {
        let text = |typed: Typed| match typed.sql_type {
            it if it.is_text() => Ok(typed),
            _ => self.cast_to(typed, Type::Varchar(None), place, "||"),
        };
        let args = vec![text(left)?, text(right)?];
        Ok(call("||", Type::Varchar(None), args, |args| {
            let (left, right) = (texts(&args[0])?, texts(&args[1])?);
            Ok(Arc::new(arrow::compute::kernels::concat_elements::concat_elements_utf8(
                left, right,
            )?))
        }))
    }
}

fn digits(integer: Type) -> (u8, i8) {
    match integer {
        Type::TinyInt => (3, 0),
        Type::SmallInt => (5, 0),
        Type::Integer => (10, 0),
        _ => (19, 0),
    }
}

/// A time as the number of its milliseconds.
fn number_of(time: Typed) -> Typed {
    call("ms of time", Type::BigInt, vec![time], |args| {
        Ok(arrow::compute::cast(&args[0], &DataType::Int64)?)
    })
}

fn time_of(ms: Typed) -> Typed {
    call("time of ms", Type::Timestamp, vec![ms], |args| {
        Ok(arrow::compute::cast(&args[0], &Type::Timestamp.arrow())?)
    })
}

/// A number divided by zero is an error, an integer or not; NULL by zero is NULL.
fn divide(args: &[ArrayRef], divides: bool) -> DataResult<ArrayRef> {
    let (left, right) = (&args[0], &args[1]);
    let is_zero: Option<BooleanArray> = match right.data_type() {
        DataType::Float64 => {
            let numbers = right.as_primitive::<Float64Type>();
            numbers
                .iter()
                .any(|x| x == Some(0.0))
                .then(|| numbers.iter().map(|x| x.map(|x| x == 0.0)).collect())
        }
        DataType::Float32 => {
            let numbers = right.as_primitive::<Float32Type>();
            numbers
                .iter()
                .any(|x| x == Some(0.0))
                .then(|| numbers.iter().map(|x| x.map(|x| x == 0.0)).collect())
        }
        _ => None,
    };
    let mut right = Arc::clone(right);
    if let Some(is_zero) = is_zero {
        let hits = |row: usize| is_zero.is_valid(row) && is_zero.value(row) && left.is_valid(row);
        if (0..left.len()).any(hits) {
            return Err(failed("division by zero"));
        }
        // What is left has NULL above it.
        let null = arrow::array::new_null_array(right.data_type(), 1);
        let mask: BooleanArray = is_zero.iter().map(|zero| Some(zero == Some(true))).collect();
        right = zip(&mask, &arrow::array::Scalar::new(null), &right)?;
    }
    let result = if divides { numeric::div(left, &right) } else { numeric::rem(left, &right) };
    match result {
        Err(arrow::error::ArrowError::DivideByZero) => Err(failed("division by zero")),
        Err(error) => Err(error.into()),
        Ok(result) => in_range(&result),
    }
}

/// A number beyond the range of its type is an error.
pub(super) fn in_range(array: &ArrayRef) -> DataResult<ArrayRef> {
    let beyond = match array.data_type() {
        DataType::Float64 => {
            array.as_primitive::<Float64Type>().iter().flatten().any(|x| !x.is_finite())
        }
        DataType::Float32 => {
            array.as_primitive::<Float32Type>().iter().flatten().any(|x| !x.is_finite())
        }
        _ => false,
    };
    if beyond { Err(failed("numeric value out of range")) } else { Ok(Arc::clone(array)) }
}

/// Moves times by calendar months.
fn shift(args: &[ArrayRef], subtracts: bool) -> DataResult<ArrayRef> {
    let times = args[0].as_primitive::<TimestampMillisecondType>();
    let months: &Int32Array = args[1].as_primitive::<Int32Type>();
    let moved = times.iter().zip(months).map(|both| {
        let (Some(ms), Some(months)) = both else { return Ok(None) };
        let goes_back = (months < 0) != subtracts;
        let by = Months::new(months.unsigned_abs());
        let time = DateTime::from_timestamp_millis(ms);
        let moved = time.and_then(|time| {
            if goes_back { time.checked_sub_months(by) } else { time.checked_add_months(by) }
        });
        moved.map(|time| Some(time.timestamp_millis())).ok_or_else(|| failed("time out of range"))
    });
    Ok(Arc::new(moved.collect::<DataResult<TimestampMillisecondArray>>()?))
}
