//! The index of a row, by its time.

use chrono::{DateTime, Datelike, Timelike};

use super::Rotation;

/// The name of the index that holds rows of that moment (milliseconds since the Unix epoch).
pub(super) fn index_name(index: &str, rotation: Rotation, created_ms: i64) -> String {
    let Some(at) = DateTime::from_timestamp_millis(created_ms) else { return index.to_owned() };
    let (year, month, day) = (at.year(), at.month(), at.day());
    match rotation {
        Rotation::NoRotation => index.to_owned(),
        Rotation::OneHour => format!("{index}-{year:04}-{month:02}-{day:02}-{:02}", at.hour()),
        Rotation::OneDay => format!("{index}-{year:04}-{month:02}-{day:02}"),
        Rotation::OneWeek => {
            // The week belongs to the year of its Saturday, and is that year's n-th.
            let to_saturday = 6 - at.weekday().num_days_from_sunday();
            let saturday = at + chrono::Duration::days(i64::from(to_saturday));
            format!("{index}-{:04}-w{:02}", saturday.year(), saturday.ordinal0() / 7 + 1)
        }
        Rotation::OneMonth => format!("{index}-{year:04}-{month:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(rotation: Rotation, at: &str) -> String {
        let at = eddy_record::parse_timestamp_ms(at).expect("a time");
        index_name("myindex", rotation, at)
    }

    #[test]
    fn names_are_those_of_firehose() {
        // The example of "Configure index rotation for OpenSearch Service".
        let at = "2016-02-25T13:00:00Z";
        assert_eq!(name(Rotation::NoRotation, at), "myindex");
        assert_eq!(name(Rotation::OneHour, at), "myindex-2016-02-25-13");
        assert_eq!(name(Rotation::OneDay, at), "myindex-2016-02-25");
        // Its table says w08, which is ISO's week; its rule (from Sunday, the first week has the
        // first Saturday, here January 2) gives w09.
        assert_eq!(name(Rotation::OneWeek, at), "myindex-2016-w09");
        assert_eq!(name(Rotation::OneMonth, at), "myindex-2016-02");
    }

    #[test]
    fn weeks_start_on_sunday_and_the_first_contains_a_saturday() {
        // 2026-01-03 is a Saturday; the days before it belong to the same, first week.
        for (at, expected) in [
            ("2025-12-27T23:59:59Z", "myindex-2025-w52"),
            ("2025-12-28T00:00:00Z", "myindex-2026-w01"),
            ("2026-01-03T23:59:59Z", "myindex-2026-w01"),
            ("2026-01-04T00:00:00Z", "myindex-2026-w02"),
        ] {
            assert_eq!(name(Rotation::OneWeek, at), expected, "{at}");
        }
    }
}
