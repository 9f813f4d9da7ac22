//! The corpus of malformed payloads: each is an error that says why, and nothing panics.

use std::sync::Arc;

use eddy_record::{
    Column, DecodeError, DecodeLimits, Decoder, Record, RecordFormat, Schema, SqlType,
};
use proptest::prelude::*;

type Decoded = Vec<Result<Record, DecodeError>>;

fn decode_with(schema: Schema, data: &[u8]) -> Decoded {
    let decoder = Decoder::new(Arc::new(schema), DecodeLimits::default()).expect("a valid schema");
    let mut out = Vec::new();
    decoder.decode(data, &mut out);
    out
}

fn decode(data: &[u8]) -> Decoded {
    decode_with(Schema::walkthrough(), data)
}

/// The only result, which is an error.
fn error(data: &[u8]) -> DecodeError {
    let mut decoded = decode(data);
    assert_eq!(decoded.len(), 1, "{decoded:?}");
    decoded.remove(0).expect_err("malformed")
}

fn csv() -> Schema {
    let mut schema = Schema { format: RecordFormat::csv(), ..Schema::walkthrough() };
    schema.columns.iter_mut().for_each(|column| column.mapping = None);
    schema
}

#[test]
fn empty_payloads_are_errors() {
    for data in [&b""[..], b" \n\t ", b"\xef\xbb\xbf"] {
        assert_eq!(error(data), DecodeError::Empty, "{data:?}");
        assert_eq!(decode_with(csv(), data), [Err(DecodeError::Empty)], "{data:?}");
    }
}

#[test]
fn truncated_json_is_an_error_at_every_length() {
    let whole = br#"{"iotName":"Demo\u0053ensor","iotValue":15}"#;
    for end in 1..whole.len() {
        assert!(matches!(error(&whole[..end]), DecodeError::InvalidJson { .. }), "{end}");
    }
    assert!(decode(whole)[0].is_ok());
}

#[test]
fn what_is_no_json_says_where() {
    assert_eq!(
        error(br#"{"iotName":"a","iotValue":x}"#).to_string(),
        "invalid JSON at line 1 byte 27: expected value"
    );
    for data in [
        "{\"iotName\":\"a\",\"iotValue\":NaN}",
        "{\"iotName\":\"a\",\"iotValue\":Infinity}",
        "{\"iotName\":\"a\",\"iotValue\":-Infinity}",
        "{\"iotName\":\"a\",\"iotValue\":.5}",
        "{\"iotName\":\"a\",\"iotValue\":007}",
        "{\"iotName\":\"a\",\"iotValue\":0x1f}",
        "{'iotName':'a','iotValue':15}",
        "{\"iotName\":\"a\",\"iotValue\":15,}",
        "{\"iotName\":\"a\" \"iotValue\":15}",
        "{\"iotName\":\"a\u{1}\",\"iotValue\":15}",
        "{\"iotName\":\"a\\x\",\"iotValue\":15}",
        "hello",
    ] {
        assert!(matches!(error(data.as_bytes()), DecodeError::InvalidJson { .. }), "{data}");
    }
}

#[test]
fn values_that_are_no_objects_are_errors() {
    for data in ["15", "null", "\"text\"", "true", "[15]", "[[{}]]"] {
        assert!(matches!(error(data.as_bytes()), DecodeError::NotAnObject { .. }), "{data}");
    }
}

#[test]
fn wrong_types_name_the_column() {
    for (data, message) in [
        (r#"{"iotName":"a"}"#, "missing column iotValue"),
        (r#"{"iotname":"a","iotValue":1}"#, "missing column iotName"),
        (r#"{"iotName":"a","iotValue":null}"#, "null in column iotValue"),
        (
            r#"{"iotName":"a","iotValue":"high"}"#,
            "column iotValue: expected DOUBLE, found \"high\"",
        ),
        (r#"{"iotName":"a","iotValue":[1]}"#, "column iotValue: expected DOUBLE, found [1]"),
        (r#"{"iotName":"a","iotValue":1e999}"#, "column iotValue: out of range of DOUBLE: 1e999"),
    ] {
        assert_eq!(error(data.as_bytes()).to_string(), message);
    }
}

#[test]
fn huge_numbers_are_out_of_range_not_infinite() {
    let digits = "9".repeat(400);
    for number in [digits.as_str(), "-1e999", &format!("{digits}.5")] {
        let data = format!(r#"{{"iotName":"a","iotValue":{number}}}"#);
        let error = error(data.as_bytes());
        assert!(matches!(error, DecodeError::OutOfRange { .. }), "{error}");
        assert!(error.to_string().len() < 120, "{error}");
    }
}

#[test]
fn a_megabyte_is_oversize_and_not_parsed() {
    let data = format!(r#"{{"iotName":"{}","iotValue":15}}"#, "x".repeat(1024 * 1024));
    assert!(matches!(
        error(data.as_bytes()),
        DecodeError::Oversize { actual_bytes, max_bytes: 524_288 } if actual_bytes == data.len()
    ));
    assert!(matches!(error(&vec![0xff; 1 << 20]), DecodeError::Oversize { .. }));
}

#[test]
fn invalid_utf8_says_at_which_byte() {
    assert_eq!(
        error(b"{\"iotName\":\"\xff\",\"iotValue\":15}"),
        DecodeError::InvalidUtf8 { byte_idx: 12 }
    );
    // UTF-16, a surrogate as UTF-8, an overlong slash.
    for data in [&b"\xff\xfe{\0}\0"[..], b"\"\xed\xa0\x80\"", b"\"\xc0\xaf\""] {
        assert!(matches!(error(data), DecodeError::InvalidUtf8 { .. }), "{data:?}");
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_stack_overflow() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(60_000), close.repeat(60_000));
        assert!(matches!(error(deep.as_bytes()), DecodeError::InvalidJson { .. }), "{open}");
        let unclosed = open.repeat(60_000);
        assert!(matches!(error(unclosed.as_bytes()), DecodeError::InvalidJson { .. }), "{open}");
        let inside = format!(r#"{{"other":{deep},"iotName":"a","iotValue":1}}"#);
        assert!(matches!(error(inside.as_bytes()), DecodeError::InvalidJson { .. }), "{open}");
    }
    let data = "[".repeat(100_000);
    assert!(error(data.as_bytes()).to_string().contains("nested deeper than 128"));
    // Many brackets side by side are not deep.
    let wide = format!(r#"{{"iotName":"a","iotValue":1,"other":[{}]}}"#, "[],".repeat(500) + "1");
    assert!(decode(wide.as_bytes())[0].is_ok());
}

#[test]
fn lone_surrogates_are_errors_that_name_the_column() {
    let error = error(br#"{"iotName":"\ud800","iotValue":15}"#);
    assert!(matches!(&error, DecodeError::InvalidText { column, .. } if column == "iotName"));
    assert!(decode(br#"{"iotName":"\ud83d\ude00","iotValue":15}"#)[0].is_ok());
}

#[test]
fn csv_rows_that_do_not_fit_are_errors() {
    for (row, message) in [
        ("a", "expected at least 2 CSV columns, found 1"),
        ("a,NaN", "column iotValue: expected DOUBLE, found \"NaN\""),
        ("a,inf", "column iotValue: expected DOUBLE, found \"inf\""),
        ("a,1e999", "column iotValue: out of range of DOUBLE: 1e999"),
        ("a,", "null in column iotValue"),
        ("\"a,15", "CSV column 1: a quote is never closed"),
        ("\"a\"b,15", "CSV column 1: text follows a closing quote"),
    ] {
        let decoded = decode_with(csv(), row.as_bytes());
        let messages: Vec<String> =
            decoded.into_iter().map(|row| row.expect_err("malformed").to_string()).collect();
        assert_eq!(messages, [message], "{row}");
    }
}

#[test]
fn payloads_of_bad_lines_take_time_in_proportion_to_their_length() {
    // Each line opens what it does not close: an error a line, not a pass over the rest for each.
    for line in ["{\"a\":\n", "[1,\n", "[[],\n", "{\"a\":[\n", "\"\n", "{\"a\":1,\n", "x\n"] {
        let data = line.repeat(500_000 / line.len());
        assert!(decode(data.as_bytes()).iter().all(Result::is_err), "{line}");
        let decoded = decode_with(csv(), data.as_bytes());
        assert!(!decoded.is_empty(), "{line}");
    }
}

fn any_schema() -> impl Strategy<Value = Schema> {
    let types = prop::sample::select(vec![
        "VARCHAR(3)",
        "TINYINT",
        "INTEGER",
        "BIGINT",
        "DOUBLE",
        "REAL",
        "DECIMAL(6,2)",
        "BOOLEAN",
        "TIMESTAMP",
    ]);
    let paths = prop::sample::select(vec!["$.a", "$.b.c", "$.l[1]", "$.l[0:].x", "$", "$[0]"]);
    let columns = prop::collection::vec((types, paths, any::<bool>()), 1..4);
    let format = prop::sample::select(vec![
        RecordFormat::json(),
        RecordFormat::Json { row_path: "$.l[0:]".to_owned() },
        RecordFormat::csv(),
        RecordFormat::Csv { row_delimiter: "||".to_owned(), column_delimiter: "\t".to_owned() },
    ]);
    (columns, format).prop_map(|(columns, format)| Schema {
        columns: columns
            .into_iter()
            .enumerate()
            .map(|(idx, (sql_type, path, nullable))| Column {
                name: format!("c{idx}"),
                sql_type: sql_type.parse::<SqlType>().expect("a type"),
                mapping: Some(path.to_owned()),
                nullable,
            })
            .collect(),
        format,
    })
}

proptest! {
    #[test]
    fn any_bytes_decode_or_fail_without_a_panic(
        schema in any_schema(),
        data in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        decode_with(schema, &data);
    }

    #[test]
    fn anything_like_json_or_csv_decodes_or_fails_without_a_panic(
        schema in any_schema(),
        parts in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"a\"", "\"l\"", "\"b\"", "\"c\"", "\"x\"", "1", "-2.5e3",
            "null", "true", "\"", "\\", "\n", "\r\n", "||", "\t", " ", "\u{feff}", "é", "{\"a\":1}",
            "{\"l\":[{\"x\":1},{}]}", "\"\\ud800\"",
        ]), 0..40),
    ) {
        decode_with(schema, parts.concat().as_bytes());
    }

    #[test]
    fn a_changed_byte_never_makes_two_records_of_one(
        idx in 0..38_usize,
        byte: u8,
    ) {
        let mut data = br#"{"iotName":"DemoSensor","iotValue":15}"#.to_vec();
        data[idx] = byte;
        prop_assert!(decode(&data).iter().filter(|record| record.is_ok()).count() <= 1);
    }
}
