//! Times as text: what senders write and what Eddy writes.

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};

/// Reads a time: `1992-02-14`, `1992-02-14 18:35:44.0`, `1992-02-14T18:35:44.25Z`,
/// `1992-02-14T18:35+02:00`; without an offset it is UTC.
///
/// The result is in milliseconds since the Unix epoch; digits beyond milliseconds are dropped.
/// `None` where the text is no such time.
pub fn parse_timestamp_ms(text: &str) -> Option<i64> {
    let mut rest = Rest(text.trim().as_bytes());
    let year = i32::try_from(rest.digits(4)?).ok()?;
    rest.expect(b"-")?;
    let month = rest.digits(2)?;
    rest.expect(b"-")?;
    let date = NaiveDate::from_ymd_opt(year, month, rest.digits(2)?)?;
    if rest.0.is_empty() {
        return Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis());
    }

    rest.expect(b"Tt ")?;
    let hour = rest.digits(2)?;
    rest.expect(b":")?;
    let minute = rest.digits(2)?;
    let (mut second, mut millis) = (0, 0);
    if rest.expect(b":").is_some() {
        second = rest.digits(2)?;
        if rest.expect(b".,").is_some() {
            millis = rest.fraction()?;
        }
    }
    let offset_min = rest.offset_min()?;
    if !rest.0.is_empty() {
        return None;
    }
    let time = date.and_hms_milli_opt(hour, minute, second, millis)?;
    Some(time.and_utc().timestamp_millis() - offset_min * 60_000)
}

/// Writes milliseconds since the Unix epoch as `2026-11-23T12:00:00.040Z`.
pub fn format_timestamp_ms(ms: i64) -> String {
    let mut text = Vec::with_capacity(24);
    write_timestamp_ms(ms, &mut text);
    String::from_utf8(text).expect("digits and signs are ASCII")
}

/// As [`format_timestamp_ms`], at the end of `out`. A time that no calendar holds (beyond the year
/// 262 000) is written as the nearest one that does.
pub fn write_timestamp_ms(ms: i64, out: &mut Vec<u8>) {
    let furthest = if ms < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
    let time = DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or(furthest);
    let year = time.year();
    // ISO 8601 writes years beyond four digits with a sign and more digits.
    let mut text = *b"+000000-00-00T00:00:00.000Z";
    put_digits(year.unsigned_abs(), &mut text[1..7]);
    put_digits(time.month(), &mut text[8..10]);
    put_digits(time.day(), &mut text[11..13]);
    put_digits(time.hour(), &mut text[14..16]);
    put_digits(time.minute(), &mut text[17..19]);
    put_digits(time.second(), &mut text[20..22]);
    put_digits(time.timestamp_subsec_millis(), &mut text[23..26]);
    if year < 0 {
        text[0] = b'-';
    }
    let begin = if (0..=9999).contains(&year) { 3 } else { 0 };
    out.extend_from_slice(&text[begin..]);
}

/// Writes many times, most of them within the minute of the one before: of those only seconds and
/// milliseconds are made anew.
#[derive(Clone, Debug, Default)]
pub struct TimestampWriter {
    // The minute, and its text up to the seconds; empty before the first.
    minute_ms: i64,
    minute: Vec<u8>,
}

impl TimestampWriter {
    /// As [`write_timestamp_ms`].
    pub fn write(&mut self, ms: i64, out: &mut Vec<u8>) {
        let within = ms.checked_sub(self.minute_ms).and_then(|within| u32::try_from(within).ok());
        if let Some(within @ 0..60_000) = within
            && !self.minute.is_empty()
        {
            let mut text = *b"00.000Z";
            put_digits(within / 1000, &mut text[..2]);
            put_digits(within % 1000, &mut text[3..6]);
            out.extend_from_slice(&self.minute);
            out.extend_from_slice(&text);
            return;
        }
        let begin = out.len();
        write_timestamp_ms(ms, out);
        self.minute.clear();
        if out.len() == begin + 24 {
            self.minute_ms = ms - ms.rem_euclid(60_000);
            self.minute.extend_from_slice(&out[begin..begin + 17]);
        }
    }
}

fn put_digits(mut number: u32, place: &mut [u8]) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10).to_le_bytes()[0];
        number /= 10;
    }
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn expect(&mut self, any_of: &[u8]) -> Option<u8> {
        let (first, tail) = self.0.split_first()?;
        any_of.contains(first).then(|| {
            self.0 = tail;
            *first
        })
    }

    fn digits(&mut self, n_digits: usize) -> Option<u32> {
        let (digits, tail) = self.0.split_at_checked(n_digits)?;
        self.0 = tail;
        digits.iter().try_fold(0, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
        })
    }

    /// The digits after the point, as milliseconds.
    fn fraction(&mut self) -> Option<u32> {
        let n_digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, tail) = self.0.split_at(n_digits);
        self.0 = tail;
        let digit = |idx| digits.get(idx).map_or(0, |digit: &u8| u32::from(digit - b'0'));
        (n_digits > 0).then(|| digit(0) * 100 + digit(1) * 10 + digit(2))
    }

    /// `Z`, `+02:00`, `-0330`, `+02` or nothing, in minutes.
    fn offset_min(&mut self) -> Option<i64> {
        let sign = match self.0.first() {
            None => return Some(0),
            Some(b'Z' | b'z') => {
                self.0 = &self.0[1..];
                return Some(0);
            }
            Some(_) => {
                if self.expect(b"+-")? == b'-' {
                    -1
                } else {
                    1
                }
            }
        };
        let hours = self.digits(2)?;
        let minutes = match self.0 {
            [] => 0,
            _ => {
                self.expect(b":");
                self.digits(2)?
            }
        };
        (hours <= 18 && minutes <= 59).then(|| sign * i64::from(hours * 60 + minutes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_in_the_forms_that_senders_use() {
        for (text, expected) in [
            ("1970-01-01", 0),
            ("1992-02-14", 698_025_600_000),
            ("1992-02-14 18:35:44.0", 698_092_544_000),
            ("1992-02-14T18:35:44Z", 698_092_544_000),
            ("1992-02-14T18:35:44.0459999Z", 698_092_544_045),
            ("1992-02-14T20:35:44+02:00", 698_092_544_000),
            ("1992-02-14T15:05:44-0330", 698_092_544_000),
            ("1992-02-14T19:35+01", 698_092_500_000),
            ("1969-12-31T23:59:59.999Z", -1),
            (" 2024-02-29 ", 1_709_164_800_000),
        ] {
            assert_eq!(parse_timestamp_ms(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "15",
            "1992",
            "1992-2-14",
            "2023-02-29",
            "1992-13-01",
            "1992-02-14 24:00:00",
            "1992-02-14 12:60",
            "1992-02-14T12:00:00.Z",
            "1992-02-14T12:00:00Zjunk",
            "1992-02-14T",
            "1992-02-14 12:00:00 +1",
            "1992-02-14T12:00:00+99:00",
            "١٩٩٢-02-14",
        ] {
            assert_eq!(parse_timestamp_ms(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        assert_eq!(format_timestamp_ms(1_795_435_200_040), "2026-11-23T12:00:00.040Z");
        assert_eq!(format_timestamp_ms(-1), "1969-12-31T23:59:59.999Z");
        assert!(format_timestamp_ms(i64::MAX).starts_with("+262"));
        assert!(format_timestamp_ms(i64::MIN).starts_with("-262"));
    }

    proptest! {
        #[test]
        fn times_one_after_another_are_written_as_each_alone(
            steps in prop::collection::vec((-70_000_i64..70_000, any::<bool>()), 1..40),
            start in prop::sample::select(vec![0, -1, 1_795_435_200_040, i64::MAX - 60_000, i64::MIN + 5]),
        ) {
            let mut writer = TimestampWriter::default();
            let mut ms: i64 = start;
            for (step, jumps) in steps {
                ms = if jumps { ms.saturating_mul(-3) } else { ms.saturating_add(step) };
                let mut text = Vec::new();
                writer.write(ms, &mut text);
                prop_assert_eq!(text, format_timestamp_ms(ms).into_bytes());
            }
        }

        #[test]
        fn a_written_time_reads_back(ms in -62_135_596_800_000_i64..253_402_300_799_999) {
            prop_assert_eq!(parse_timestamp_ms(&format_timestamp_ms(ms)), Some(ms));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,40}") {
            let _ = parse_timestamp_ms(&text);
        }
    }
}
