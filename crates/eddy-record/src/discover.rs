//! A schema from a sample of payloads.

mod kinds;
mod table;
mod tree;

use std::collections::BTreeSet;

use crate::decode::{are_json_lines, for_each_text};
use crate::{Column, DecodeError, DecodeLimits, DiscoverError, RecordFormat, Schema};

/// The most columns of an input schema: `RecordColumns` of Kinesis Data Analytics' SourceSchema.
const MAX_COLUMNS: usize = 1_000;

/// What was found in a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// The schema; every record that was not skipped decodes under it.
    pub schema: Schema,
    /// How many payloads there were.
    pub n_samples: usize,
    /// How many records the schema was made from.
    pub n_records: usize,
    /// How many records or payloads could not be read, and were left out.
    pub n_skipped: usize,
    /// What a person should look at before using the schema, a sentence each.
    pub notes: Vec<String>,
}

/// Infers the format, the columns and their types from payloads.
///
/// JSON may be an object a payload, several one after another, or an array; objects inside objects
/// become columns of their own (`$.a.b` as `a_b`). CSV may have a header in its first row. Columns
/// come in the order of their first appearance, and are nullable if any record lacks them.
///
/// Types are wide enough for the whole sample, and wider: what the sample does not show are the
/// anomalies. No type is narrower than INTEGER, numbers with a fraction are DOUBLE, a VARCHAR has
/// twice the longest text's length and at least 16 characters, and a column with values of several
/// kinds is a VARCHAR.
///
/// ```
/// let samples = [r#"{"iotName":"DemoSensor","iotValue":15}"#, r#"{"iotName":"DemoSensor"}"#];
/// let found = eddy_record::discover(samples.iter().map(|sample| sample.as_bytes()))?;
/// let types: Vec<_> = found.schema.columns.iter().map(|c| c.sql_type.to_string()).collect();
/// assert_eq!(types, ["VARCHAR(20)", "INTEGER"]);
/// assert!(found.schema.columns[1].nullable);
/// # Ok::<(), eddy_record::DiscoverError>(())
/// ```
///
/// # Errors
///
/// There is no sample, none can be read, or none has a field.
pub fn discover<'a>(
    samples: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Discovery, DiscoverError> {
    let samples: Vec<&[u8]> = samples.into_iter().collect();
    if samples.is_empty() {
        return Err(DiscoverError::NoSamples);
    }
    let mut found = Found::default();
    let json = tree::read(&samples, &mut found);
    let mut columns = Vec::new();
    let format = if found.n_records > 0 {
        json.columns(&mut columns);
        RecordFormat::json()
    } else {
        let looks_like_json =
            |sample: &&&[u8]| matches!(sample.trim_ascii_start().first(), Some(b'{' | b'['));
        if samples.iter().filter(looks_like_json).count() * 2 < samples.len() {
            found = Found::default();
            table::read(&samples, &mut found, &mut columns)
        } else {
            RecordFormat::json()
        }
    };

    let Found { n_records, n_skipped, first_error } = found;
    let n_samples = samples.len();
    if n_records == 0 {
        let first = first_error.unwrap_or(DecodeError::Empty);
        return Err(DiscoverError::Unreadable { n_samples, first });
    }
    if columns.is_empty() {
        return Err(DiscoverError::NoFields { n_records });
    }
    let mut notes = Vec::new();
    if n_skipped > 0 {
        let example = first_error.map(|error| format!(": {error}")).unwrap_or_default();
        notes.push(format!("{n_skipped} could not be read{example}"));
    }
    if columns.len() > MAX_COLUMNS {
        notes.push(format!("only the first {MAX_COLUMNS} of {} columns are kept", columns.len()));
        columns.truncate(MAX_COLUMNS);
    }
    let mut names = BTreeSet::new();
    let column = |proposal: Proposal| {
        let name = distinct(proposal.name, &mut names);
        notes.extend(proposal.kinds.note(&name));
        let nullable = proposal.kinds.n_values() < n_records;
        Column { name, sql_type: proposal.kinds.sql_type(), mapping: proposal.mapping, nullable }
    };
    let columns = columns.into_iter().map(column).collect();
    Ok(Discovery { schema: Schema { columns, format }, n_samples, n_records, n_skipped, notes })
}

/// A column to be.
struct Proposal {
    name: String,
    mapping: Option<String>,
    kinds: kinds::Kinds,
}

/// How reading went.
#[derive(Default)]
struct Found {
    n_records: usize,
    n_skipped: usize,
    first_error: Option<DecodeError>,
}

impl Found {
    fn skip(&mut self, error: DecodeError) {
        self.n_skipped += 1;
        self.first_error.get_or_insert(error);
    }
}

/// Hands out the samples' text as the decoder would.
fn for_each_sample<'a>(
    samples: &[&'a [u8]],
    json: bool,
    mut each: impl FnMut(Result<&'a str, DecodeError>),
) {
    let max_bytes = DecodeLimits::default().max_record_bytes;
    for sample in samples {
        if sample.len() > max_bytes {
            each(Err(DecodeError::Oversize { actual_bytes: sample.len(), max_bytes }));
            continue;
        }
        let are_lines = |before: &[u8], behind: &[u8]| !json || are_json_lines(before, behind);
        for_each_text(sample, "\n", are_lines, |stretch| each(stretch.map(|found| found.text)));
    }
}

/// A name that no earlier column has.
fn distinct(name: String, names: &mut BTreeSet<String>) -> String {
    let name = if name.is_empty() { "column".to_owned() } else { name };
    let mut candidate = name.clone();
    let mut number = 1;
    while !names.insert(candidate.clone()) {
        number += 1;
        candidate = format!("{name}_{number}");
    }
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(samples: &[&str]) -> Vec<String> {
        let found = discover(samples.iter().map(|sample| sample.as_bytes())).expect("a schema");
        let show = |column: &Column| {
            let null = if column.nullable { "?" } else { "" };
            let mapping = column.mapping.as_deref().unwrap_or("-");
            format!("{} {}{null} {mapping}", column.name, column.sql_type)
        };
        found.schema.columns.iter().map(show).collect()
    }

    #[test]
    fn types_are_never_narrow_and_widen_over_the_sample() {
        assert_eq!(
            types(&[
                r#"{"rate":72,"big":1,"temp":20,"name":"x","on":true,"at":"1992-02-14","mix":1}"#,
                r#"{"rate":75,"big":3000000000,"temp":20.5,"name":"a longer name","on":false,"at":"1992-02-14 18:35:44.0","mix":"a"}"#,
            ]),
            [
                "rate INTEGER $.rate",
                "big BIGINT $.big",
                "temp DOUBLE $.temp",
                "name VARCHAR(26) $.name",
                "on BOOLEAN $.on",
                "at TIMESTAMP $.at",
                "mix VARCHAR(16) $.mix",
            ]
        );
    }

    #[test]
    fn columns_come_in_order_of_appearance_and_what_is_missing_is_nullable() {
        assert_eq!(
            types(&[r#"{"b":1}"#, r#"{"a":null,"b":2}"#, r#"{"c":3,"b":2}"#]),
            ["b INTEGER $.b", "a VARCHAR(16)? $.a", "c INTEGER? $.c"]
        );
    }

    #[test]
    fn nested_objects_become_columns_and_arrays_stay_text() {
        assert_eq!(
            types(&[
                r#"{"a":{"b":1,"c d":{"e":2}},"a_b":3,"list":[1,2]}"#,
                r#"{"a":null,"a_b":3,"list":[]}"#,
            ]),
            [
                "a_b INTEGER? $.a.b",
                "a_c d_e INTEGER? $.a.c d.e",
                "a_b_2 INTEGER $.a_b",
                "list VARCHAR(16) $.list",
            ]
        );
    }

    #[test]
    fn a_key_that_is_sometimes_an_object_is_text() {
        assert_eq!(types(&[r#"{"a":{"b":"0123456789"}}"#, r#"{"a":1}"#]), ["a VARCHAR(36) $.a"]);
    }

    #[test]
    fn several_records_of_one_payload_count_as_records() {
        let samples: [&[u8]; 2] = [b"{\"a\":1}\n{\"a\":2}{\"a\":3}\n", b"[{\"a\":4},{\"a\":5}]"];
        let found = discover(samples).expect("a schema");
        assert_eq!((found.n_samples, found.n_records, found.n_skipped), (2, 5, 0));
    }

    #[test]
    fn bad_samples_are_skipped_counted_and_noted() {
        let samples: [&[u8]; 4] = [b"{\"a\":1}", b"{\"a\":", b"\xff", b""];
        let found = discover(samples).expect("a schema");
        assert_eq!((found.n_records, found.n_skipped), (1, 3));
        assert!(found.notes[0].starts_with("3 could not be read: invalid JSON"), "{found:?}");
    }

    #[test]
    fn csv_with_a_header_has_its_names() {
        assert_eq!(
            types(&["time,value,zip\n2024-01-01 00:00:00,1.5,007\n2024-01-01 00:01:00,,008\n"]),
            ["time TIMESTAMP time", "value DOUBLE? value", "zip VARCHAR(16) zip"]
        );
        // A line a payload, as files and standard input give it.
        assert_eq!(types(&["a;b", "1;x", "2;y"]), ["a INTEGER a", "b VARCHAR(16) b"]);
    }

    #[test]
    fn csv_without_a_header_has_numbered_columns() {
        assert_eq!(
            types(&["DemoSensor\t15\ttrue", "DemoSensor\t120\tFALSE"]),
            ["column_1 VARCHAR(20) -", "column_2 INTEGER -", "column_3 BOOLEAN -"]
        );
        assert_eq!(types(&["15", "16"]), ["column_1 INTEGER -"]);
    }

    #[test]
    fn what_has_no_schema_says_why() {
        let none: [&[u8]; 0] = [];
        assert_eq!(discover(none), Err(DiscoverError::NoSamples));
        let broken: [&[u8]; 2] = [b"{\"a\":", b"{"];
        assert!(matches!(discover(broken), Err(DiscoverError::Unreadable { n_samples: 2, .. })));
        let empty: [&[u8]; 1] = [b""];
        assert!(matches!(discover(empty), Err(DiscoverError::Unreadable { .. })));
        let hollow: [&[u8]; 1] = [b"{}"];
        assert_eq!(discover(hollow), Err(DiscoverError::NoFields { n_records: 1 }));
    }
}
