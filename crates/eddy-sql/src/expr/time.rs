//! Intervals, FLOOR and CEIL to a unit of time, STEP, EXTRACT.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array, Int64Array, TimestampMillisecondArray};
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use chrono::{DateTime, Datelike as _, NaiveDate, Timelike as _, Utc};
use datafusion_common::{Result as DataResult, ScalarValue};
use sqlparser::ast::{CeilFloorKind, DateTimeField, Expr, Interval, Value};

use super::udf::{call, failed};
use super::{Translator, Typed, place_of};
use crate::error::{Place, SqlError};
use crate::types::{Type, Unit};

/// The milliseconds of an interval's text, such as `10`, `3 4` (DAY TO HOUR), `1 02:03:04.5` (DAY TO
/// SECOND), `05:30` (MINUTE TO SECOND).
pub(crate) fn interval_ms(text: &str, first: Unit, last: Unit) -> Option<i64> {
    let text = text.trim();
    let (sign, text) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (if text.starts_with('-') { -1 } else { 1 }, rest.trim_start()),
        None => (1, text),
    };
    const ORDER: [Unit; 4] = [Unit::Day, Unit::Hour, Unit::Minute, Unit::Second];
    let at = |unit: Unit| ORDER.iter().position(|it| *it == unit);
    let mut ms: i64 = 0;
    if first == last || first == Unit::Week {
        ms = scaled(text, first.ms()?)?;
    } else {
        let units = ORDER.get(at(first)?..=at(last)?)?;
        let parts: Vec<&str> = text.split([' ', ':']).filter(|part| !part.is_empty()).collect();
        if parts.len() != units.len() {
            return None;
        }
        for (part, unit) in parts.into_iter().zip(units) {
            ms = ms.checked_add(scaled(part, unit.ms()?)?)?;
        }
    }
    Some(sign * ms)
}

/// A decimal number of units, in milliseconds.
fn scaled(text: &str, unit_ms: i64) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = whole.parse().ok().filter(|whole| *whole >= 0)?;
    let mut ms = whole.checked_mul(unit_ms)?;
    let mut place = unit_ms;
    for digit in fraction.chars() {
        place /= 10;
        ms = ms.checked_add(i64::from(digit.to_digit(10)?) * place)?;
    }
    Some(ms)
}

fn unit_of(field: &DateTimeField) -> Option<Unit> {
    Unit::of(&field.to_string())
}

/// `INTERVAL '..' unit [TO unit]`.
pub(super) fn interval(interval: &Interval, place: Place) -> Result<Typed, SqlError> {
    let wrong = |problem: &str| SqlError::new(place, format!("{interval}"), problem);
    let text = match interval.value.as_ref() {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::Number(text, _) => text.clone(),
            _ => return Err(wrong("an interval is written INTERVAL '1' MINUTE")),
        },
        _ => return Err(wrong("an interval is written INTERVAL '1' MINUTE")),
    };
    let first = interval.leading_field.as_ref().and_then(unit_of);
    let first = first.ok_or_else(|| wrong("without a unit such as SECOND or MINUTE"))?;
    let last = match &interval.last_field {
        None => first,
        Some(field) => unit_of(field).ok_or_else(|| wrong("no unit of time"))?,
    };
    let unreadable = || wrong("the text does not fit the units");
    if first.months() > 0 {
        let months = match text.trim().split_once('-').filter(|_| last != first) {
            Some((years, months)) => years
                .parse::<i32>()
                .ok()
                .zip(months.parse::<i32>().ok())
                .and_then(|(years, months)| years.checked_mul(12)?.checked_add(months)),
            None => text.trim().parse::<i32>().ok().and_then(|n| n.checked_mul(first.months())),
        };
        let months = months.ok_or_else(unreadable)?;
        return Ok(Typed::literal(ScalarValue::Int32(Some(months)), Type::Months));
    }
    let ms = interval_ms(&text, first, last).ok_or_else(unreadable)?;
    Ok(Typed::literal(ScalarValue::Int64(Some(ms)), Type::Interval(last)))
}

/// How times are rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// To multiples of so many milliseconds since 1970.
    Ms(i64),
    /// To the first day of every so many months, counted from January of year 0.
    Months(i32),
    /// To Monday.
    Week,
}

impl Step {
    pub(crate) fn of(unit: Unit) -> Self {
        match unit {
            Unit::Week => Self::Week,
            unit => unit.ms().map_or(Self::Months(unit.months()), Self::Ms),
        }
    }

    /// Whether every step of this begins a step of `fine`.
    fn is_multiple_of(self, fine: Self) -> bool {
        const DAY_MS: i64 = 86_400_000;
        match (self, fine) {
            (Self::Ms(coarse), Self::Ms(fine)) => coarse % fine == 0,
            (Self::Months(coarse), Self::Months(fine)) => coarse % fine == 0,
            (Self::Week, Self::Week) => true,
            (Self::Week | Self::Months(_), Self::Ms(fine)) => DAY_MS % fine == 0,
            _ => false,
        }
    }

    /// The coarser of two steps; `None` where neither is a multiple of the other.
    pub(crate) fn coarser(self, other: Self) -> Option<Self> {
        if self.is_multiple_of(other) {
            return Some(self);
        }
        other.is_multiple_of(self).then_some(other)
    }

    /// The latest step at or before a time. Times that no calendar holds stay as they are.
    pub(crate) fn floor(self, ms: i64) -> i64 {
        // The first of January 1970 was a Thursday.
        const MONDAY_MS: i64 = -3 * 86_400_000;
        match self {
            Self::Ms(step) => ms.checked_sub(ms.rem_euclid(step)).unwrap_or(i64::MIN),
            Self::Week => {
                let step = 7 * 86_400_000;
                ms.checked_sub((ms.saturating_sub(MONDAY_MS)).rem_euclid(step)).unwrap_or(i64::MIN)
            }
            Self::Months(step) => {
                let Some(time) = DateTime::<Utc>::from_timestamp_millis(ms) else { return ms };
                let months = time.year() * 12 + i32::try_from(time.month0()).unwrap_or(0);
                first_of(months.div_euclid(step) * step).unwrap_or(ms)
            }
        }
    }

    /// The step after one.
    pub(crate) fn next(self, floor: i64) -> i64 {
        match self {
            Self::Ms(step) => floor.saturating_add(step),
            Self::Week => floor.saturating_add(7 * 86_400_000),
            Self::Months(step) => {
                let Some(time) = DateTime::<Utc>::from_timestamp_millis(floor) else {
                    return i64::MAX;
                };
                let months = time.year() * 12 + i32::try_from(time.month0()).unwrap_or(0);
                first_of(months + step).unwrap_or(i64::MAX)
            }
        }
    }
}

fn first_of(months: i32) -> Option<i64> {
    let month0 = u32::try_from(months.rem_euclid(12)).ok()?;
    let day = NaiveDate::from_ymd_opt(months.div_euclid(12), month0 + 1, 1)?;
    Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis())
}

/// Rounds times down, or up, to steps.
pub(crate) fn stepped(time: Typed, step: Step, up: bool) -> Typed {
    let name = format!("{} {step:?}", if up { "ceil" } else { "floor" });
    call(name, Type::Timestamp, vec![time], move |args| {
        let times = args[0].as_primitive::<TimestampMillisecondType>();
        let rounded: TimestampMillisecondArray = times.unary(|ms| {
            let floor = step.floor(ms);
            if up && floor < ms { step.next(floor) } else { floor }
        });
        Ok(Arc::new(rounded))
    })
}

impl Translator<'_> {
    /// `FLOOR(x)`, `FLOOR(time TO unit)` and CEIL alike.
    pub(super) fn round(
        &self,
        inner: &Expr,
        field: &CeilFloorKind,
        up: bool,
    ) -> Result<Typed, SqlError> {
        let place = place_of(inner);
        let name = if up { "CEIL" } else { "FLOOR" };
        let typed = self.expr(inner)?;
        let unit = match field {
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => None,
            CeilFloorKind::DateTimeField(field) => Some(unit_of(field).ok_or_else(|| {
                SqlError::unsupported(place, format!("{name} to {field}"))
                    .instead("units are SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER, YEAR")
            })?),
            CeilFloorKind::Scale(_) => {
                return Err(SqlError::unsupported(place, format!("{name} to digits"))
                    .instead("write FLOOR(x * 100) / 100"));
            }
        };
        match (unit, typed.sql_type) {
            (None, it) if it.is_integer() => Ok(typed),
            (None, it) if it.is_numeric() || it == Type::Null => {
                let number = match it {
                    Type::Double | Type::Real => typed,
                    _ => self.cast_to(typed, Type::Double, place, name)?,
                };
                let function = if up {
                    datafusion_functions::math::ceil()
                } else {
                    datafusion_functions::math::floor()
                };
                let rounded = self.library(function, vec![number], place)?;
                match it {
                    Type::Decimal { .. } => self.cast_to(rounded, Type::BigInt, place, name),
                    _ => Ok(rounded),
                }
            }
            (Some(unit), it) if it.is_time() => {
                let time = self.cast_to(typed, Type::Timestamp, place, name)?;
                Ok(stepped(time, Step::of(unit), up))
            }
            (Some(unit), Type::Interval(own)) => {
                let Some(unit_ms) = unit.ms() else {
                    return Err(SqlError::unsupported(
                        place,
                        format!("{name} of an interval to months"),
                    ));
                };
                let sql_type = Type::Interval(own);
                Ok(call(format!("{name} interval {unit_ms}"), sql_type, vec![typed], move |args| {
                    let ms = args[0].as_primitive::<Int64Type>();
                    let rounded: Int64Array = ms.unary(|ms| {
                        let floor = ms - ms.rem_euclid(unit_ms);
                        if up && floor < ms { floor + unit_ms } else { floor }
                    });
                    Ok(Arc::new(rounded))
                }))
            }
            (_, it) => Err(SqlError::new(place, name, format!("there is no {name} of {it}"))),
        }
    }

    /// `STEP(x BY y)`.
    pub(super) fn step(&self, args: &[&Expr], place: Place) -> Result<Typed, SqlError> {
        let wrong = |problem: &str| {
            SqlError::new(place, "STEP", problem)
                .instead("write STEP(time BY INTERVAL '60' SECOND) or STEP(integer BY 5)")
        };
        let [value, by] = args else { return Err(wrong("two arguments are needed")) };
        let (value, by) = (self.expr(value)?, self.expr(by)?);
        if value.sql_type.is_time() {
            let value = self.cast_to(value, Type::Timestamp, place, "STEP")?;
            return Ok(stepped(
                value,
                step_of(&by).ok_or_else(|| wrong("no interval above 0"))?,
                false,
            ));
        }
        let step = by.constant_integer().filter(|step| *step > 0);
        let step = step.ok_or_else(|| wrong("steps are constants above 0"))?;
        if !value.sql_type.is_integer() {
            return Err(wrong("only times and integers have steps"));
        }
        let sql_type = value.sql_type;
        let value = self.cast_to(value, Type::BigInt, place, "STEP")?;
        let stepped = call(format!("step {step}"), Type::BigInt, vec![value], move |args| {
            let numbers = args[0].as_primitive::<Int64Type>();
            Ok(Arc::new(numbers.unary::<_, Int64Type>(|number| number / step * step)))
        });
        self.cast_to(stepped, sql_type, place, "STEP")
    }

    /// `(a - b) SECOND`: the parser has made a function of it.
    pub(super) fn qualified(
        &self,
        args: &[&Expr],
        unit: Unit,
        place: Place,
    ) -> Result<Typed, SqlError> {
        let wrong =
            || SqlError::new(place, "interval qualifier", "it follows a difference of times");
        let [inner] = args else { return Err(wrong()) };
        let typed = self.expr(inner)?;
        match (typed.sql_type, unit.ms()) {
            (Type::Interval(_), Some(_)) => Ok(Typed { sql_type: Type::Interval(unit), ..typed }),
            (Type::Interval(_), None) => {
                Err(SqlError::unsupported(place, "difference in months or years")
                    .instead("count days: (a - b) DAY"))
            }
            _ => Err(wrong()),
        }
    }

    pub(super) fn extract(&self, field: &DateTimeField, inner: &Expr) -> Result<Typed, SqlError> {
        let place = place_of(inner);
        let typed = self.expr(inner)?;
        let refused = || {
            SqlError::unsupported(place, format!("EXTRACT({field} FROM ..)"))
                .instead("fields are YEAR, QUARTER, MONTH, WEEK, DAY, HOUR, MINUTE, SECOND")
        };
        let unit = unit_of(field).ok_or_else(refused)?;
        let is_interval = match typed.sql_type {
            Type::Interval(_) => true,
            it if it.is_time() || it == Type::Time => false,
            it => return Err(SqlError::new(place, "EXTRACT", format!("{it} has no such field"))),
        };
        if is_interval && (unit.ms().is_none() || unit == Unit::Week) {
            return Err(refused());
        }
        let time = if is_interval {
            typed
        } else {
            let time = self.cast_to(typed, Type::Timestamp, place, "EXTRACT")?;
            call("ms of time", Type::BigInt, vec![time], |args| {
                Ok(arrow::compute::cast(&args[0], &Type::BigInt.arrow())?)
            })
        };
        let name = format!("extract {unit:?} {is_interval}");
        if unit == Unit::Second {
            let sql_type = Type::Decimal { precision: 5, scale: 3 };
            return Ok(call(name, sql_type, vec![time], move |args| {
                let times = args[0].as_primitive::<Int64Type>();
                let minute = 60_000;
                let seconds = times.iter().map(|ms| {
                    ms.map(|ms| {
                        i128::from(if is_interval { ms % minute } else { ms.rem_euclid(minute) })
                    })
                });
                let seconds: Decimal128Array = seconds.collect();
                Ok(Arc::new(seconds.with_precision_and_scale(5, 3)?))
            }));
        }
        Ok(call(name, Type::BigInt, vec![time], move |args| {
            let times = args[0].as_primitive::<Int64Type>();
            let part = |ms: i64| {
                if is_interval { Ok(interval_part(ms, unit)) } else { time_part(ms, unit) }
            };
            let parts = times.iter().map(|ms| ms.map(part).transpose());
            Ok(Arc::new(parts.collect::<DataResult<Int64Array>>()?) as ArrayRef)
        }))
    }
}

/// The step of a constant interval.
pub(crate) fn step_of(by: &Typed) -> Option<Step> {
    match (by.sql_type, by.constant()?) {
        (Type::Interval(_), ScalarValue::Int64(Some(ms))) if *ms > 0 => Some(Step::Ms(*ms)),
        (Type::Months, ScalarValue::Int32(Some(months))) if *months > 0 => {
            Some(Step::Months(*months))
        }
        _ => None,
    }
}

fn interval_part(ms: i64, unit: Unit) -> i64 {
    match unit {
        Unit::Day => ms / 86_400_000,
        Unit::Hour => ms / 3_600_000 % 24,
        _ => ms / 60_000 % 60,
    }
}

fn time_part(ms: i64, unit: Unit) -> DataResult<i64> {
    let time = DateTime::<Utc>::from_timestamp_millis(ms);
    let time = time.ok_or_else(|| failed("time out of range"))?;
    Ok(match unit {
        Unit::Year => i64::from(time.year()),
        Unit::Quarter => i64::from(time.month0() / 3 + 1),
        Unit::Month => i64::from(time.month()),
        Unit::Week => i64::from(time.iso_week().week()),
        Unit::Day => i64::from(time.day()),
        Unit::Hour => i64::from(time.hour()),
        Unit::Minute => i64::from(time.minute()),
        Unit::Second => i64::from(time.second()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_by_their_units() {
        assert_eq!(interval_ms("10", Unit::Second, Unit::Second), Some(10_000));
        assert_eq!(interval_ms("1.5", Unit::Second, Unit::Second), Some(1500));
        assert_eq!(interval_ms("3 4", Unit::Day, Unit::Hour), Some(76 * 3_600_000));
        assert_eq!(interval_ms("-2 3:4:5.678", Unit::Day, Unit::Second), Some(-183_845_678));
        assert_eq!(interval_ms("5", Unit::Day, Unit::Second), None);
        assert_eq!(interval_ms("x", Unit::Day, Unit::Day), None);
    }

    #[test]
    fn steps_begin_at_1970_months_at_the_first_and_weeks_on_monday() {
        let ms = |text: &str| eddy_record::parse_timestamp_ms(text).expect("a time");
        let time = ms("2004-09-30 13:48:23");
        assert_eq!(Step::Ms(10_000).floor(time), ms("2004-09-30 13:48:20"));
        assert_eq!(Step::of(Unit::Year).floor(time), ms("2004-01-01"));
        assert_eq!(Step::of(Unit::Month).next(ms("2004-12-01")), ms("2005-01-01"));
        assert_eq!(Step::of(Unit::Week).floor(time), ms("2004-09-27"));
        assert_eq!(Step::Ms(1000).floor(-1), -1000);
        assert_eq!(Step::Ms(1000).floor(i64::MIN), i64::MIN);
    }
}
