//! Dates as Elasticsearch reads and writes them: ISO 8601, milliseconds since the epoch, and date
//! math such as `now-15m` or `2026-11-23||/d`. All in UTC.

use chrono::{DateTime, Datelike, Duration, Months, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use serde_json::Value;

/// Which end of a rounded span a date stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// The first millisecond: `gte` and `lt`.
    Down,
    /// The last millisecond: `gt` and `lte`.
    Up,
}

/// Milliseconds since the epoch as `2026-11-23T12:00:00.000Z`.
pub(crate) fn format_ms(ms: i64) -> String {
    match DateTime::from_timestamp_millis(ms) {
        Some(at) => at.to_rfc3339_opts(SecondsFormat::Millis, true),
        None => ms.to_string(),
    }
}

/// A date in a document: ISO text or milliseconds since the epoch as a number or as digits.
pub(crate) fn from_document(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => whole_ms(number.as_f64()?),
        Value::String(text) => parse(text, Rounding::Down),
        _ => None,
    }
}

/// A date in a query: as in a document, or date math relative to `now_ms`.
pub(crate) fn from_query(value: &Value, now_ms: i64, rounding: Rounding) -> Option<i64> {
    let Value::String(text) = value else { return from_document(value) };
    let (anchor, math) = if let Some(math) = text.strip_prefix("now") {
        (now_ms, math)
    } else if let Some((date, math)) = text.split_once("||") {
        (parse(date, Rounding::Down)?, math)
    } else {
        return parse(text, rounding);
    };
    apply_math(DateTime::from_timestamp_millis(anchor)?, math, rounding)
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be within the range of dates")]
fn whole_ms(ms: f64) -> Option<i64> {
    // Nanoseconds since the epoch must fit 64 bits, since the engine counts them.
    (ms.abs() < 9.2e15 && DateTime::from_timestamp_millis(ms as i64).is_some())
        .then_some(ms as i64)
        .filter(|ms| ms.checked_mul(1_000_000).is_some())
}

fn parse(text: &str, rounding: Rounding) -> Option<i64> {
    let text = text.trim();
    let ms = if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        at.timestamp_millis()
    } else if text.len() > 4
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'-')
        && text.parse::<i64>().is_ok()
    {
        text.parse().ok()?
    } else {
        partial(text, rounding)?
    };
    ms.checked_mul(1_000_000).map(|_| ms)
}

/// ISO 8601 with parts left off from the right; without a zone it is UTC.
fn partial(text: &str, rounding: Rounding) -> Option<i64> {
    let end = |from: NaiveDateTime, span: Duration| match rounding {
        Rounding::Down => Some(from.and_utc().timestamp_millis()),
        // Years have up to six digits here: the last one has no day behind it.
        Rounding::Up => Some(from.checked_add_signed(span)?.and_utc().timestamp_millis() - 1),
    };
    for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
        let unzoned = text.strip_suffix('Z').unwrap_or(text);
        if let Ok(at) = NaiveDateTime::parse_from_str(unzoned, format) {
            return Some(at.and_utc().timestamp_millis());
        }
    }
    for format in ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
        let unzoned = text.strip_suffix('Z').unwrap_or(text);
        if let Ok(at) = NaiveDateTime::parse_from_str(unzoned, format) {
            return end(at, Duration::minutes(1));
        }
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return end(day.and_hms_opt(0, 0, 0)?, Duration::days(1));
    }
    let (year, month) = match text.split_once('-') {
        Some((year, month)) if month.len() == 2 => (year, Some(month)),
        None => (text, None),
        _ => return None,
    };
    if year.len() != 4 {
        return None;
    }
    let first = NaiveDate::from_ymd_opt(
        year.parse().ok()?,
        month.map_or(Some(1), |month| month.parse().ok())?,
        1,
    )?;
    let next = first.checked_add_months(Months::new(if month.is_some() { 1 } else { 12 }))?;
    end(first.and_hms_opt(0, 0, 0)?, next - first)
}

fn apply_math(mut at: DateTime<Utc>, math: &str, rounding: Rounding) -> Option<i64> {
    let mut rest = math;
    while let Some(operator) = rest.chars().next() {
        rest = &rest[operator.len_utf8()..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let amount: i64 = if digits == 0 { 1 } else { rest[..digits].parse().ok()? };
        let unit = rest[digits..].chars().next()?;
        rest = &rest[digits + unit.len_utf8()..];
        at = match operator {
            '+' => shift(at, amount, unit)?,
            '-' => shift(at, -amount, unit)?,
            '/' if digits == 0 => {
                let floor = floor(at, unit)?;
                match rounding {
                    Rounding::Down => floor,
                    Rounding::Up => shift(floor, 1, unit)? - Duration::milliseconds(1),
                }
            }
            _ => return None,
        };
    }
    let ms = at.timestamp_millis();
    ms.checked_mul(1_000_000).map(|_| ms)
}

fn shift(at: DateTime<Utc>, amount: i64, unit: char) -> Option<DateTime<Utc>> {
    let span = match unit {
        's' => Duration::try_seconds(amount)?,
        'm' => Duration::try_minutes(amount)?,
        'h' | 'H' => Duration::try_hours(amount)?,
        'd' => Duration::try_days(amount)?,
        'w' => Duration::try_weeks(amount)?,
        'M' | 'y' => {
            let n_months = amount.checked_mul(if unit == 'y' { 12 } else { 1 })?;
            let months = Months::new(u32::try_from(n_months.unsigned_abs()).ok()?);
            return if n_months < 0 {
                at.checked_sub_months(months)
            } else {
                at.checked_add_months(months)
            };
        }
        _ => return None,
    };
    at.checked_add_signed(span)
}

fn floor(at: DateTime<Utc>, unit: char) -> Option<DateTime<Utc>> {
    let ms = at.timestamp_millis();
    let step_ms = match unit {
        's' => 1_000,
        'm' => 60_000,
        'h' | 'H' => 3_600_000,
        'd' => 86_400_000,
        'w' => {
            let monday = i64::from(at.weekday().num_days_from_monday());
            return floor(at.checked_sub_signed(Duration::days(monday))?, 'd');
        }
        'M' | 'y' => {
            let month = if unit == 'y' { 1 } else { at.month() };
            let first = NaiveDate::from_ymd_opt(at.year(), month, 1)?.and_hms_opt(0, 0, 0)?;
            return Some(first.and_utc());
        }
        _ => return None,
    };
    DateTime::from_timestamp_millis(ms - ms.rem_euclid(step_ms))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // 2026-11-23T12:34:56.789Z, a Monday.
    const NOW_MS: i64 = 1_795_437_296_789;

    fn query(text: &str, rounding: Rounding) -> String {
        format_ms(from_query(&json!(text), NOW_MS, rounding).expect(text))
    }

    #[test]
    fn date_math_shifts_and_rounds() {
        for (text, down) in [
            ("now", "2026-11-24T12:34:56.789Z"),
            ("now-15m", "2026-11-24T12:19:56.789Z"),
            ("now/d", "2026-11-24T00:00:00.000Z"),
            ("now-1d/d", "2026-11-23T00:00:00.000Z"),
            ("now/w", "2026-11-23T00:00:00.000Z"),
            ("now/M", "2026-11-01T00:00:00.000Z"),
            ("now+1y/y", "2027-01-01T00:00:00.000Z"),
            ("2026-11-23||+1M/d", "2026-12-23T00:00:00.000Z"),
            ("2026-11", "2026-11-01T00:00:00.000Z"),
            ("2026", "2026-01-01T00:00:00.000Z"),
            ("1795437296789", "2026-11-23T12:34:56.789Z"),
        ] {
            let now_ms = NOW_MS + if text.starts_with("now") { 86_400_000 } else { 0 };
            let value = from_query(&json!(text), now_ms, Rounding::Down).expect(text);
            assert_eq!(format_ms(value), down, "{text}");
        }
        assert_eq!(query("now/d", Rounding::Up), "2026-11-23T23:59:59.999Z");
        assert_eq!(query("2026-02", Rounding::Up), "2026-02-28T23:59:59.999Z");
    }

    #[test]
    fn what_is_no_date_is_none_and_never_a_panic() {
        for bad in [
            json!("now-"),
            json!("now-5"),
            json!("now-5x"),
            json!("now/5d"),
            json!("yesterday"),
            json!("now-99999999999999999999d"),
            json!("now+9223372036854775807y"),
            json!(1e300),
            json!(null),
            json!("2026-13"),
            json!("||"),
            json!("now−1d"),
            json!("9999999999999999999"),
            json!(""),
            json!("now-9223372036854775807d"),
            json!([1]),
            json!("é"),
            json!("+262142-12-31"),
            json!("+262142-12-31T23:59"),
        ] {
            assert_eq!(from_query(&bad, NOW_MS, Rounding::Up), None, "{bad}");
        }
    }

    #[test]
    fn zones_are_turned_into_utc() {
        assert_eq!(
            from_document(&json!("2026-11-23T13:34:56.789+01:00")).map(format_ms).as_deref(),
            Some("2026-11-23T12:34:56.789Z")
        );
    }
}
