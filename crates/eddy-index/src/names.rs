//! Names of indices: rules, days, patterns.

use chrono::{DateTime, Datelike, NaiveDate};

use crate::IndexError;
use crate::limits::MAX_INDEX_NAME_BYTES;

/// Elasticsearch's rules for an index's name; they also make it safe as a folder's name.
pub(crate) fn validate(name: &str) -> Result<(), IndexError> {
    let reason = if name.is_empty() {
        "must not be empty"
    } else if name.len() > MAX_INDEX_NAME_BYTES {
        "must not be longer than 255 bytes"
    } else if name == "." || name == ".." {
        "must not be '.' or '..'"
    } else if name.starts_with(['_', '-', '+']) {
        "must not start with '_', '-', or '+'"
    } else if name.chars().any(char::is_uppercase) {
        "must be lowercase"
    } else if name.contains(['\\', '/', '*', '?', '"', '<', '>', '|', ' ', ',', '#', ':'])
        || name.chars().any(char::is_control)
    {
        "must not contain the following characters [ , \", *, \\, <, |, ,, >, /, ?, #, :]"
    } else {
        return Ok(());
    };
    Err(IndexError::IndexName { index: name.to_owned(), reason })
}

/// The daily index of a moment in UTC: `anomalies-2026.11.23`.
///
/// Moments beyond the years 0..=9999 go to the first or last day that has a name.
pub(crate) fn daily(alias: &str, created_ms: i64) -> String {
    const YEAR_0_MS: i64 = -62_167_219_200_000;
    const YEAR_9999_MS: i64 = 253_402_300_799_999;
    let at = DateTime::from_timestamp_millis(created_ms.clamp(YEAR_0_MS, YEAR_9999_MS))
        .unwrap_or_default();
    format!("{alias}-{:04}.{:02}.{:02}", at.year(), at.month(), at.day())
}

/// Whether an index is found under the alias.
pub(crate) fn is_daily(alias: &str, name: &str) -> bool {
    name.strip_prefix(alias).is_some_and(|rest| rest.starts_with('-'))
}

/// The day of a daily index, in days since the epoch; none for any other index.
pub(crate) fn day(alias: &str, name: &str) -> Option<i64> {
    let day = name.strip_prefix(alias)?.strip_prefix('-')?;
    let at = NaiveDate::parse_from_str(day, "%Y.%m.%d").ok()?.and_hms_opt(0, 0, 0)?.and_utc();
    // A name that only parses like one is not one.
    (daily(alias, at.timestamp_millis()) == name).then_some(at.timestamp().div_euclid(86_400))
}

/// Whether `name` fits a pattern in which `*` stands for any characters.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_utc() {
        assert_eq!(daily("anomalies", 1_795_478_399_999), "anomalies-2026.11.23");
        assert_eq!(daily("anomalies", 1_795_478_400_000), "anomalies-2026.11.24");
        assert_eq!(daily("a", -1), "a-1969.12.31");
        assert!(daily("a", i64::MAX).starts_with("a-9999"));
    }

    #[test]
    fn the_day_of_a_name_is_the_day_that_makes_it() {
        assert_eq!(day("anomalies", "anomalies-2026.11.23"), Some(20_780));
        assert_eq!(day("anomalies", &daily("anomalies", -1)), Some(-1));
        for other in ["anomalies", "anomalies-x", "anomalies-2026.1.1", "other-2026.11.23"] {
            assert_eq!(day("anomalies", other), None, "{other}");
        }
    }

    #[test]
    fn names_that_would_leave_the_folder_are_refused() {
        for bad in ["", ".", "..", "../x", "a/b", "A", "_x", "a b", "a*", "a\0", &"x".repeat(256)] {
            assert!(validate(bad).is_err(), "{bad:?}");
        }
        assert!(validate("anomalies-2026.11.23").is_ok());
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        assert!(matches("anomalies-*", "anomalies-2026.11.23"));
        assert!(matches("*", "x") && matches("a*b*c", "a1b2c") && matches("a", "a"));
        assert!(!matches("anomalies-*", "anomalies"));
        assert!(!matches("a*b*c", "acb") && !matches("ab*ba", "aba"));
    }
}
