//! A record of a scene, its label, and how both are written.

use std::io::Write as _;
use std::sync::Arc;

use chrono::{DateTime, Datelike, Timelike, Utc};

use crate::scene::{FaultKind, TimeFormat};

/// A record as it is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SceneRecord {
    /// The sensor's name.
    pub sensor: Arc<str>,
    /// The partition key.
    pub key: Arc<str>,
    /// When it is to be sent, in microseconds since the scene's start; never falls from one record
    /// to the next.
    pub due_us: i64,
    /// The time of the reading, in milliseconds since 1970.
    pub time_ms: i64,
    /// The record itself, without a line end. It is valid until the next record is written here.
    pub data: Vec<u8>,
    /// What is wrong with the reading.
    pub label: Option<Label>,
    /// Whether it comes in its turn.
    pub delivered: Delivered,
}

impl Default for SceneRecord {
    fn default() -> Self {
        Self {
            sensor: "".into(),
            key: "".into(),
            due_us: 0,
            time_ms: 0,
            data: Vec::new(),
            label: None,
            delivered: Delivered::InTurn,
        }
    }
}

/// Whether a record comes once and in its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It does.
    InTurn,
    /// Long after its time.
    Late,
    /// For the second time.
    Duplicate,
    /// Overtaken by others.
    OutOfOrder,
}

impl Delivered {
    /// Its name in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InTurn => "in_turn",
            Self::Late => "late",
            Self::Duplicate => "duplicate",
            Self::OutOfOrder => "out_of_order",
        }
    }
}

/// What is wrong with a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The fault.
    pub fault: FaultKind,
    /// Its number in the scene: readings of one fault have the same.
    pub episode: u64,
    /// The field, `None` for all.
    pub field: Option<Arc<str>>,
    /// Of a dropout: the readings that did not come before this one.
    pub n_missing: u64,
}

impl SceneRecord {
    /// Whether it has a line in the labels: it has a fault, or does not come in its turn.
    pub fn is_labelled(&self) -> bool {
        self.label.is_some() || self.delivered != Delivered::InTurn
    }

    /// Appends the record's label as one line of JSON, without a line end: `n_record` is its number
    /// among the records that were sent, from 0.
    pub fn write_label(&self, n_record: u64, out: &mut Vec<u8>) {
        let _ = write!(out, "{{\"record\":{n_record},\"sensor\":");
        write_json_text(&self.sensor, out);
        out.extend_from_slice(b",\"time\":\"");
        write_iso8601(self.time_ms, out);
        out.push(b'"');
        if let Some(label) = &self.label {
            let (fault, episode) = (label.fault.as_str(), label.episode);
            let _ = write!(out, ",\"fault\":\"{fault}\",\"episode\":{episode}");
            if let Some(field) = &label.field {
                out.extend_from_slice(b",\"field\":");
                write_json_text(field, out);
            }
            if label.n_missing > 0 {
                let _ = write!(out, ",\"missing\":{}", label.n_missing);
            }
        }
        if self.delivered != Delivered::InTurn {
            let _ = write!(out, ",\"delivery\":\"{}\"", self.delivered.as_str());
        }
        out.push(b'}');
    }
}

/// Appends a text as a JSON string.
pub(crate) fn write_json_text(text: &str, out: &mut Vec<u8>) {
    // A Vec takes everything, and every text is JSON.
    let _ = serde_json::to_writer(out, text);
}

/// Appends a text as a CSV field, in quotes where it needs them.
pub(crate) fn write_csv_text(text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() && !text.contains(['"', ',', '\n', '\r']) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

/// Appends a number with so many digits after the point (9 at most); `false` for one that no JSON
/// has, of which nothing is appended.
pub(crate) fn write_fixed(value: f64, decimals: u8, out: &mut Vec<u8>) -> bool {
    const EXACT: f64 = 9e15;
    if !value.is_finite() {
        return false;
    }
    let scale = 10_u64.pow(decimals.min(9).into());
    #[expect(clippy::cast_precision_loss, reason = "at most 10^9")]
    let scaled = (value * scale as f64).round();
    if scaled.abs() >= EXACT {
        let _ = write!(out, "{value:.0$}", usize::from(decimals));
        return true;
    }
    if scaled < 0.0 {
        out.push(b'-');
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 9e15")]
    #[expect(clippy::cast_sign_loss, reason = "the sign is taken off")]
    let digits = scaled.abs() as u64;
    write_digits(digits / scale, 1, out);
    if decimals > 0 {
        out.push(b'.');
        write_digits(digits % scale, decimals.into(), out);
    }
    true
}

/// Appends a number with at least so many digits.
pub(crate) fn write_digits(mut number: u64, at_least: usize, out: &mut Vec<u8>) {
    let start = out.len();
    while number > 0 || out.len() < start + at_least {
        out.push(b'0' + (number % 10).to_le_bytes()[0]);
        number /= 10;
    }
    out[start..].reverse();
}

/// The moment as a calendar has it; one that no calendar holds as the nearest that does.
pub(crate) fn calendar(time_ms: i64) -> DateTime<Utc> {
    let furthest = if time_ms < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    DateTime::from_timestamp_millis(time_ms).unwrap_or(furthest)
}

/// Appends `2026-01-05T00:00:00.000Z`.
pub(crate) fn write_iso8601(time_ms: i64, out: &mut Vec<u8>) {
    let time = calendar(time_ms);
    write_digits(time.year().unsigned_abs().into(), 4, out);
    for (before, number) in [(b'-', time.month()), (b'-', time.day()), (b'T', time.hour())] {
        out.push(before);
        write_digits(number.into(), 2, out);
    }
    for number in [time.minute(), time.second()] {
        out.push(b':');
        write_digits(number.into(), 2, out);
    }
    out.push(b'.');
    write_digits(time.timestamp_subsec_millis().into(), 3, out);
    out.push(b'Z');
}

/// Appends a time; `quoted` for JSON, where a text has quotes.
pub(crate) fn write_time(format: TimeFormat, time_ms: i64, quoted: bool, out: &mut Vec<u8>) {
    let number = match format {
        TimeFormat::Iso8601 => {
            if quoted {
                out.push(b'"');
            }
            write_iso8601(time_ms, out);
            if quoted {
                out.push(b'"');
            }
            return;
        }
        TimeFormat::EpochMs => time_ms,
        TimeFormat::EpochS => time_ms.div_euclid(1000),
    };
    if number < 0 {
        out.push(b'-');
    }
    write_digits(number.unsigned_abs(), 1, out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fixed(value: f64, decimals: u8) -> String {
        let mut out = Vec::new();
        assert!(write_fixed(value, decimals, &mut out));
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn numbers_have_their_digits() {
        assert_eq!(fixed(15.0, 0), "15");
        assert_eq!(fixed(-0.05, 2), "-0.05");
        assert_eq!(fixed(-0.001, 2), "0.00");
        assert_eq!(fixed(1234.5, 3), "1234.500");
        assert_eq!(fixed(1e18, 1), "1000000000000000000.0");
        assert!(!write_fixed(f64::NAN, 2, &mut Vec::new()));
    }

    proptest! {
        #[test]
        fn numbers_read_back_to_their_last_digit(value in -1e9..1e9, decimals in 0_u8..=6) {
            let read: f64 = fixed(value, decimals).parse()?;
            let half = 0.5 * 10_f64.powi(-i32::from(decimals));
            prop_assert!((read - value).abs() <= half + value.abs() * 1e-12, "{read} {value}");
        }

        #[test]
        fn times_are_those_of_the_calendar(time_ms in 0_i64..4_000_000_000_000) {
            let mut out = Vec::new();
            write_iso8601(time_ms, &mut out);
            let read = DateTime::parse_from_rfc3339(std::str::from_utf8(&out)?)?;
            prop_assert_eq!(read.timestamp_millis(), time_ms);
        }
    }
}
