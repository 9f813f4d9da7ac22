//! Formats in which answers print dates: named ones of Elasticsearch and patterns such as
//! `yyyy-MM-dd HH:mm`. All in UTC.

use chrono::{DateTime, Datelike, Timelike, Utc};

use crate::{IndexError, dates};

/// How a date is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DateFormat {
    /// `2026-11-23T12:00:00.000Z`.
    Iso,
    EpochMillis,
    EpochSecond,
    Pattern(Vec<Part>),
}

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    /// A letter and how often it stands there.
    Field(char, usize),
}

impl DateFormat {
    /// Reads a format; of several joined by `||` the first prints.
    pub(crate) fn parse(text: &str) -> Result<Self, IndexError> {
        let first = text.split("||").next().unwrap_or_default();
        let unsupported = || IndexError::unsupported(format!("date format [{text}]"));
        Ok(match first {
            "epoch_millis" => Self::EpochMillis,
            "epoch_second" => Self::EpochSecond,
            "strict_date_optional_time"
            | "date_optional_time"
            | "strict_date_time"
            | "date_time"
            | "strict_date_optional_time_nanos"
            | "iso8601" => Self::Iso,
            "strict_date" | "date" => Self::pattern("yyyy-MM-dd").ok_or_else(unsupported)?,
            pattern => Self::pattern(pattern).ok_or_else(unsupported)?,
        })
    }

    fn pattern(pattern: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            if c == '\'' {
                let mut text: String = chars.by_ref().take_while(|c| *c != '\'').collect();
                if text.is_empty() {
                    text.push('\'');
                }
                parts.push(Part::Text(text));
            } else if c.is_ascii_alphabetic() {
                let mut n = 1;
                while chars.next_if_eq(&c).is_some() {
                    n += 1;
                }
                let known = match c {
                    'y' | 'u' => n == 4,
                    'M' | 'd' | 'H' | 'm' | 's' => n <= 2,
                    'S' => n <= 9,
                    'X' | 'Z' => n <= 5,
                    _ => false,
                };
                if !known {
                    return None;
                }
                parts.push(Part::Field(c, n));
            } else {
                parts.push(Part::Text(c.to_string()));
            }
        }
        (!parts.is_empty()).then_some(Self::Pattern(parts))
    }

    /// Prints milliseconds since the epoch.
    pub(crate) fn print(&self, ms: i64) -> String {
        let parts = match self {
            Self::Iso => return dates::format_ms(ms),
            Self::EpochMillis => return ms.to_string(),
            Self::EpochSecond => return ms.div_euclid(1_000).to_string(),
            Self::Pattern(parts) => parts,
        };
        let Some(at) = DateTime::from_timestamp_millis(ms) else { return ms.to_string() };
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Field(letter, n) => text.push_str(&field(at, *letter, *n)),
            }
        }
        text
    }
}

fn field(at: DateTime<Utc>, letter: char, n: usize) -> String {
    match letter {
        'M' => format!("{:0n$}", at.month()),
        'd' => format!("{:0n$}", at.day()),
        'H' => format!("{:0n$}", at.hour()),
        'm' => format!("{:0n$}", at.minute()),
        's' => format!("{:0n$}", at.second()),
        'S' => format!("{:09}", at.nanosecond())[..n].to_owned(),
        'X' => "Z".to_owned(),
        'Z' => "+0000".to_owned(),
        _ => format!("{:0n$}", at.year()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_printed_by_their_format() {
        let print =
            |format: &str| DateFormat::parse(format).expect(format).print(1_795_437_296_089);
        for (format, expected) in [
            ("strict_date_optional_time", "2026-11-23T12:34:56.089Z"),
            ("epoch_millis", "1795437296089"),
            ("epoch_second", "1795437296"),
            ("yyyy-MM-dd", "2026-11-23"),
            ("yyyy-MM-dd'T'HH:mm:ss.SSSX", "2026-11-23T12:34:56.089Z"),
            ("d.M.yyyy H:m||epoch_millis", "23.11.2026 12:34"),
        ] {
            assert_eq!(print(format), expected, "{format}");
        }
    }

    #[test]
    fn formats_that_would_print_something_else_are_refused() {
        for format in ["", "EEE", "yy", "week_date", "yyyy-DDD", "MMMM"] {
            assert!(DateFormat::parse(format).is_err(), "{format}");
        }
    }
}
