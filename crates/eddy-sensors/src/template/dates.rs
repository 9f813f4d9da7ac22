//! Dates by the format strings of moment.js, in UTC.

use std::io::Write as _;

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};

use super::words::{MONTHS, WEEKDAYS};

/// A format string such as `YYYY-MM-DD HH:mm:ss.SSS`.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Token(&'static str),
}

/// Longest first, so that none hides another.
const TOKENS: &[&str] = &[
    "YYYYYY",
    "SSSSSSSSS",
    "SSSSSSSS",
    "SSSSSSS",
    "SSSSSS",
    "SSSSS",
    "SSSS",
    "YYYY",
    "DDDD",
    "DDDo",
    "MMMM",
    "dddd",
    "LLLL",
    "GGGG",
    "gggg",
    "SSS",
    "DDD",
    "MMM",
    "ddd",
    "LLL",
    "LTS",
    "kk",
    "YY",
    "MM",
    "DD",
    "Do",
    "Mo",
    "Qo",
    "do",
    "dd",
    "HH",
    "hh",
    "mm",
    "ss",
    "SS",
    "ZZ",
    "WW",
    "Wo",
    "ww",
    "wo",
    "GG",
    "gg",
    "LL",
    "LT",
    "Y",
    "Q",
    "M",
    "D",
    "d",
    "e",
    "E",
    "H",
    "h",
    "k",
    "A",
    "a",
    "m",
    "s",
    "S",
    "Z",
    "X",
    "x",
    "W",
    "w",
    "L",
    "l",
];

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            if let Some((inside, after)) =
                rest.strip_prefix('[').and_then(|rest| rest.split_once(']'))
            {
                parts.push(Part::Text(inside.to_owned()));
                rest = after;
            } else if let Some(token) = TOKENS.iter().find(|token| rest.starts_with(**token)) {
                parts.push(Part::Token(token));
                rest = &rest[token.len()..];
            } else {
                parts.push(Part::Text(next.to_string()));
                rest = &rest[next.len_utf8()..];
            }
        }
        Self(parts)
    }

    pub(super) fn write(&self, time: &DateTime<Utc>, out: &mut Vec<u8>) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Token(token) => write_token(token, time, out),
            }
        }
    }
}

fn write_token(token: &str, time: &DateTime<Utc>, out: &mut Vec<u8>) {
    let (year, hour) = (time.year(), time.hour());
    let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
    let weekday = time.weekday().num_days_from_sunday();
    let week = time.iso_week();
    let month_name = MONTHS[time.month0() as usize % 12];
    let weekday_name = WEEKDAYS[weekday as usize % 7];
    let as_pattern = |pattern: &str, out: &mut Vec<u8>| Pattern::new(pattern).write(time, out);
    let written = match token {
        "YYYYYY" => write!(out, "{year:+07}"),
        "YYYY" | "Y" => write!(out, "{year:04}"),
        "YY" => write!(out, "{:02}", year.rem_euclid(100)),
        "Q" => write!(out, "{}", time.month0() / 3 + 1),
        "Qo" => write!(out, "{}", ordinal(time.month0() / 3 + 1)),
        "MMMM" => write!(out, "{month_name}"),
        "MMM" => write!(out, "{}", &month_name[..3]),
        "MM" => write!(out, "{:02}", time.month()),
        "Mo" => write!(out, "{}", ordinal(time.month())),
        "M" => write!(out, "{}", time.month()),
        "DDDD" => write!(out, "{:03}", time.ordinal()),
        "DDDo" => write!(out, "{}", ordinal(time.ordinal())),
        "DDD" => write!(out, "{}", time.ordinal()),
        "DD" => write!(out, "{:02}", time.day()),
        "Do" => write!(out, "{}", ordinal(time.day())),
        "D" => write!(out, "{}", time.day()),
        "dddd" => write!(out, "{weekday_name}"),
        "ddd" => write!(out, "{}", &weekday_name[..3]),
        "dd" => write!(out, "{}", &weekday_name[..2]),
        "do" => write!(out, "{}", ordinal(weekday)),
        "d" | "e" => write!(out, "{weekday}"),
        "E" => write!(out, "{}", time.weekday().number_from_monday()),
        "HH" => write!(out, "{hour:02}"),
        "H" => write!(out, "{hour}"),
        "hh" => write!(out, "{twelve:02}"),
        "h" => write!(out, "{twelve}"),
        "kk" => write!(out, "{:02}", if hour == 0 { 24 } else { hour }),
        "k" => write!(out, "{}", if hour == 0 { 24 } else { hour }),
        "A" => write!(out, "{}", if hour < 12 { "AM" } else { "PM" }),
        "a" => write!(out, "{}", if hour < 12 { "am" } else { "pm" }),
        "mm" => write!(out, "{:02}", time.minute()),
        "m" => write!(out, "{}", time.minute()),
        "ss" => write!(out, "{:02}", time.second()),
        "s" => write!(out, "{}", time.second()),
        "Z" => write!(out, "+00:00"),
        "ZZ" => write!(out, "+0000"),
        "X" => write!(out, "{}", time.timestamp()),
        "x" => write!(out, "{}", time.timestamp_millis()),
        "GGGG" => write!(out, "{:04}", week.year()),
        "GG" => write!(out, "{:02}", week.year().rem_euclid(100)),
        "WW" => write!(out, "{:02}", week.week()),
        "Wo" => write!(out, "{}", ordinal(week.week())),
        "W" => write!(out, "{}", week.week()),
        "gggg" => write!(out, "{:04}", sunday_week(time).0),
        "gg" => write!(out, "{:02}", sunday_week(time).0.rem_euclid(100)),
        "ww" => write!(out, "{:02}", sunday_week(time).1),
        "wo" => write!(out, "{}", ordinal(sunday_week(time).1)),
        "w" => write!(out, "{}", sunday_week(time).1),
        "L" => return as_pattern("MM/DD/YYYY", out),
        "l" => return as_pattern("M/D/YYYY", out),
        "LL" => return as_pattern("MMMM D, YYYY", out),
        "LLL" => return as_pattern("MMMM D, YYYY h:mm A", out),
        "LLLL" => return as_pattern("dddd, MMMM D, YYYY h:mm A", out),
        "LT" => return as_pattern("h:mm A", out),
        "LTS" => return as_pattern("h:mm:ss A", out),
        fraction => {
            let digits = format!("{:09}", time.nanosecond());
            write!(out, "{}", &digits[..fraction.len().min(9)])
        }
    };
    // A Vec takes everything.
    let _ = written;
}

/// The year and number of a week that begins on Sunday; the year's first contains January 1.
fn sunday_week(time: &DateTime<Utc>) -> (i32, u32) {
    let first_of = |year: i32| {
        let first = NaiveDate::from_ymd_opt(year, 1, 1)?;
        let back = chrono::Days::new(first.weekday().num_days_from_sunday().into());
        first.checked_sub_days(back)
    };
    let date = time.date_naive();
    let years = [time.year() + 1, time.year(), time.year() - 1];
    let begun =
        years.into_iter().find_map(|year| Some((year, first_of(year).filter(|f| *f <= date)?)));
    begun.map_or((time.year(), 1), |(year, first)| {
        let n_weeks = (date - first).num_days() / 7 + 1;
        (year, u32::try_from(n_weeks).unwrap_or(1))
    })
}

fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// A date as JavaScript shows it.
pub(super) fn js_date(time: &DateTime<Utc>, out: &mut Vec<u8>) {
    Pattern::new("ddd MMM DD YYYY HH:mm:ss [GMT+0000 (Coordinated Universal Time)]")
        .write(time, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generators_own_examples_are_written_as_its_help_shows_them() {
        let shown = |pattern: &str, time: &str| {
            let time = DateTime::parse_from_rfc3339(time).expect("a time").to_utc();
            let mut out = Vec::new();
            Pattern::new(pattern).write(&time, &mut out);
            String::from_utf8(out).expect("text")
        };
        let sunday = "2010-02-14T15:25:50.125Z";
        assert_eq!(
            shown("dddd, MMMM Do YYYY, h:mm:ss a", sunday),
            "Sunday, February 14th 2010, 3:25:50 pm"
        );
        assert_eq!(shown("ddd, hA", sunday), "Sun, 3PM");
        assert_eq!(shown("DD/MMM/YYYY:HH:mm:ss ZZ", sunday), "14/Feb/2010:15:25:50 +0000");
        assert_eq!(shown("YYYY-MM-DD HH:mm:ss.SSS", sunday), "2010-02-14 15:25:50.125");
        assert_eq!(shown("[at] X x Q DDDD E", sunday), "at 1266161150 1266161150125 1 045 7");
        assert_eq!(shown("gggg-ww GGGG-WW", "2010-01-02T00:00:00Z"), "2010-01 2009-53");
        assert_eq!(shown("LLLL", sunday), "Sunday, February 14, 2010 3:25 PM");
        assert_eq!(shown("Mo Do wo", "2026-03-11T00:00:00Z"), "3rd 11th 11th");
    }
}
