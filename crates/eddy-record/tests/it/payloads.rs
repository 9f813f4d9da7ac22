//! Payloads that hold records, one or several.

use std::sync::Arc;

use eddy_record::{
    Column, DecodeError, DecodeLimits, Decoder, DocumentId, PartitionId, Position, Record,
    RecordFormat, Schema, SchemaError, ScoredRecord, SqlType, StreamIdentity, Value,
    write_csv_header,
};
use proptest::prelude::*;

fn decoder(schema: Schema) -> Decoder {
    Decoder::new(Arc::new(schema), DecodeLimits::default()).expect("a valid schema")
}

fn column(name: &str, sql_type: &str, mapping: Option<&str>) -> Column {
    Column {
        name: name.to_owned(),
        sql_type: sql_type.parse().expect("a type"),
        mapping: mapping.map(str::to_owned),
        nullable: true,
    }
}

fn json(row_path: &str, columns: &[(&str, &str)]) -> Schema {
    let columns = columns.iter().enumerate();
    Schema {
        columns: columns
            .map(|(idx, (sql_type, path))| column(&format!("c{idx}"), sql_type, Some(path)))
            .collect(),
        format: RecordFormat::Json { row_path: row_path.to_owned() },
    }
}

/// The records as text, errors as `!` and their message.
fn decode(schema: Schema, data: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    decoder(schema).decode(data, &mut out);
    let show = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::Boolean(boolean) => boolean.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Decimal(number) => number.to_string(),
        Value::Text(text) | Value::Json(text) => text.to_string(),
        Value::TimestampMs(ms) => ms.to_string(),
    };
    out.iter()
        .map(|record| match record {
            Ok(record) => record.values.iter().map(show).collect::<Vec<_>>().join(" "),
            Err(error) => format!("!{error}"),
        })
        .collect()
}

fn walkthrough(data: &str) -> Vec<String> {
    decode(Schema::walkthrough(), data.as_bytes())
}

#[test]
fn one_object_is_one_record() {
    assert_eq!(walkthrough(r#"{"iotName":"DemoSensor","iotValue":15}"#), ["DemoSensor 15"]);
    assert_eq!(walkthrough(" {\"iotValue\" : 1.5e1 ,\n\"iotName\":\"a\"}\r\n"), ["a 15"]);
}

#[test]
fn unknown_fields_are_ignored_and_of_a_key_that_comes_twice_the_last_value_counts() {
    assert_eq!(
        walkthrough(r#"{"x":{"iotValue":9},"iotValue":"bad","iotName":"a","y":[],"iotValue":2}"#),
        ["a 2"]
    );
    assert_eq!(walkthrough(r#"{"iot\u004eame":"a","iotValue":2}"#), ["a 2"]);
}

#[test]
fn a_byte_order_mark_is_not_part_of_the_text() {
    assert_eq!(walkthrough("\u{feff}{\"iotName\":\"a\",\"iotValue\":2}"), ["a 2"]);
}

#[test]
fn records_one_after_another_in_lines_or_not_are_several() {
    let [a, b] = [r#"{"iotName":"a","iotValue":1}"#, r#"{"iotName":"b","iotValue":2}"#];
    for data in [
        format!("{a}{b}"),
        format!("{a}\n{b}\n"),
        format!("{a}\r\n\r\n{b}"),
        format!("[{a},{b}]"),
        format!("[{a}]\n[{b}]"),
    ] {
        assert_eq!(walkthrough(&data), ["a 1", "b 2"], "{data}");
    }
    assert!(walkthrough("[]").is_empty());
}

#[test]
fn a_bad_record_leaves_its_neighbours() {
    let good = r#"{"iotName":"a","iotValue":1}"#;
    for (bad, message) in [
        (r#"{"iotName":"b"}"#, "!missing column iotValue"),
        ("15", "!expected a JSON object, found 15"),
        (r#"{"iotName":"b","iotValue":}"#, "!invalid JSON at line 2 byte 27: expected value"),
        (r#"{"iotName":"b","iotVal"#, "!invalid JSON at line 2 byte 22: "),
        ("garbage", "!invalid JSON at line 2 byte 1: expected value"),
        ("{\"iotName\":", "!invalid JSON at line 4 byte 0: EOF while parsing an object"),
    ] {
        let found = walkthrough(&format!("{good}\n{bad}\n{good}\n"));
        assert_eq!(found.len(), 3, "{bad}: {found:?}");
        assert_eq!((found[0].as_str(), found[2].as_str()), ("a 1", "a 1"), "{bad}");
        assert!(found[1].starts_with(message), "{bad}: {found:?}");
    }
    let array = format!("[{good},{{}},{good}]");
    assert_eq!(walkthrough(&array), ["a 1", "!missing column iotName", "a 1"]);
}

#[test]
fn a_line_of_other_bytes_leaves_its_neighbours() {
    let good = "{\"iotName\":\"a\",\"iotValue\":1}";
    let data = [good.as_bytes(), b"\n{\"iotName\":\"\xff\"}\n", good.as_bytes()].concat();
    assert_eq!(decode(Schema::walkthrough(), &data), ["a 1", "!invalid UTF-8 at byte 41", "a 1"]);
    // Inside one record there is nothing to save.
    let pretty = b"{\n\"iotName\":\"\xff\",\n\"iotValue\":1\n}";
    assert_eq!(decode(Schema::walkthrough(), pretty), ["!invalid UTF-8 at byte 13"]);
}

#[test]
fn a_broken_object_over_many_lines_is_one_error() {
    let found = walkthrough("{\n  \"iotName\": \"a\",\n  bad\n  \"iotValue\": {\n  }\n}\n");
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn nested_paths_indices_and_quoted_names_lead_to_values() {
    let schema = json(
        "$",
        &[
            ("DOUBLE", "$.a.b"),
            ("INTEGER", "$.list[1]"),
            ("VARCHAR(9)", "$['a key']"),
            ("VARCHAR(99)", "$.a"),
            ("INTEGER", "$.a.b.c"),
        ],
    );
    assert_eq!(
        decode(schema, br#"{"a":{"b":1,"b":1.5},"list":[1,2,3],"a key":"x"}"#),
        [r#"1.5 2 x {"b":1,"b":1.5} -"#]
    );
}

#[test]
fn a_row_path_leads_to_the_records() {
    let data = br#"{"id":7,"readings":[{"x":1},{"x":2},5]}"#;
    let records = ["1", "2", "!expected a JSON object, found 5"];
    for row_path in ["$.readings", "$.readings[0:]", "$['readings']"] {
        assert_eq!(decode(json(row_path, &[("INTEGER", "$.x")]), data), records, "{row_path}");
    }
    assert_eq!(
        decode(json("$.other", &[("INTEGER", "$.x")]), data),
        ["!nothing at the row path $.other"]
    );
    assert_eq!(decode(json("$.readings[0]", &[("INTEGER", "$.x")]), data), ["1"]);
    assert!(decode(json("$.r", &[("INTEGER", "$.x")]), br#"{"r":[]}"#).is_empty());
}

#[test]
fn a_path_through_all_elements_makes_a_row_of_each() {
    let schema = || {
        json(
            "$",
            &[
                ("VARCHAR(9)", "$.name"),
                ("INTEGER", "$.orders[0:].id"),
                ("DOUBLE", "$.orders[0:].price"),
                ("VARCHAR(99)", "$.tags[0:]"),
            ],
        )
    };
    assert_eq!(
        decode(
            schema(),
            br#"{"name":"Jo","orders":[{"id":1,"price":"33.99"},{"id":2}],"tags":["a"]}"#
        ),
        [r#"Jo 1 33.99 ["a"]"#, r#"Jo 2 - ["a"]"#]
    );
    assert_eq!(decode(schema(), br#"{"name":"Jo","orders":[]}"#), ["Jo - - -"]);
    assert_eq!(decode(schema(), br#"{"name":"Jo"}"#), ["Jo - - -"]);

    let two = json("$", &[("INTEGER", "$.a[0:].x"), ("INTEGER", "$.b[0:].x")]);
    let nested = json("$", &[("INTEGER", "$.a[0:].b[0:].x")]);
    for schema in [two, nested] {
        let refused = Decoder::new(Arc::new(schema), DecodeLimits::default());
        assert!(matches!(refused, Err(SchemaError::Path { .. })));
    }
}

#[test]
fn columns_that_only_eddy_writes_are_not_read() {
    let schema = Schema {
        columns: vec![Column { sql_type: SqlType::Json, ..column("e", "DOUBLE", None) }],
        format: RecordFormat::json(),
    };
    let refused = Decoder::new(Arc::new(schema), DecodeLimits::default());
    assert!(matches!(refused, Err(SchemaError::OutputOnly { .. })));
}

fn csv(columns: &[(&str, &str)], header: bool) -> Schema {
    let columns = columns
        .iter()
        .map(|(name, sql_type)| column(name, sql_type, header.then_some(*name)))
        .collect();
    Schema { columns, format: RecordFormat::csv() }
}

#[test]
fn csv_rows_are_records_by_place() {
    let schema = || csv(&[("name", "VARCHAR(99)"), ("value", "DOUBLE")], false);
    assert_eq!(
        decode(schema(), b"a,1\r\n\"b, \"\"c\"\"\",2.5,more\n\n\"\",\nd\n\"e\nf\",3"),
        ["a 1", "b, \"c\" 2.5", " -", "!expected at least 2 CSV columns, found 1", "e\nf 3"]
    );
    // After a quote that does not match it goes on at the next row.
    assert_eq!(
        decode(schema(), b"\"a\"b,1\nc,2\nd\xff,3\ne,4"),
        ["!CSV column 1: text follows a closing quote", "c 2", "!invalid UTF-8 at byte 12", "e 4"]
    );
}

#[test]
fn other_delimiters_have_any_length() {
    let mut schema = csv(&[("name", "VARCHAR(99)"), ("value", "DOUBLE")], false);
    schema.format =
        RecordFormat::Csv { row_delimiter: "|".to_owned(), column_delimiter: "::".to_owned() };
    assert_eq!(decode(schema, b"a:b::1|c::2|"), ["a:b 1", "c 2"]);
}

#[test]
fn a_header_is_no_record_and_gives_the_places() {
    let schema = || csv(&[("name", "VARCHAR(99)"), ("value", "DOUBLE")], true);
    assert_eq!(decode(schema(), b"value,x,name\n1,-,a\n2,-,b\n"), ["a 1", "b 2"]);
    assert!(decode(schema(), b"name,value\n").is_empty());
    assert_eq!(decode(schema(), b"a,1"), ["a 1"]);
}

fn values() -> impl Strategy<Value = Vec<Value>> {
    (
        prop::option::of(any::<String>()),
        prop::option::of(any::<i64>()),
        prop::option::of(any::<f64>().prop_filter("finite", |number| number.is_finite())),
        prop::option::of(any::<f32>().prop_filter("finite", |number| number.is_finite())),
        prop::option::of(-99_999_i64..=99_999),
        prop::option::of(any::<bool>()),
        prop::option::of(0..4_102_444_800_000_i64),
    )
        .prop_map(|(text, integer, double, real, decimal, boolean, time)| {
            let value = |value: Option<Value>| value.unwrap_or(Value::Null);
            vec![
                value(text.map(|text| Value::Text(text.into()))),
                value(integer.map(Value::Integer)),
                value(double.map(Value::Double)),
                value(real.map(|real| Value::Double(f64::from(real)))),
                value(decimal.map(|number| Value::Decimal(rust_decimal::Decimal::new(number, 2)))),
                value(boolean.map(Value::Boolean)),
                value(time.map(Value::TimestampMs)),
            ]
        })
}

const COLUMNS: [(&str, &str); 7] = [
    ("a \"text\"", "VARCHAR(1000)"),
    ("b", "BIGINT"),
    ("c.d", "DOUBLE"),
    ("e", "REAL"),
    ("f", "DECIMAL(7,2)"),
    ("g", "BOOLEAN"),
    ("h", "TIMESTAMP"),
];

fn row(schema: &Arc<Schema>, values: &[Value]) -> ScoredRecord {
    let stream = StreamIdentity { name: "s".to_owned(), created_ms: 0 };
    let position = Position::new(1_u64.into());
    ScoredRecord {
        id: DocumentId::new(&stream, &PartitionId::new("p"), &position, 0),
        created_ms: 0,
        schema: Arc::clone(schema),
        values: values.into(),
    }
}

proptest! {
    #[test]
    fn what_is_written_as_json_decodes_as_the_same_values(rows in prop::collection::vec(values(), 1..4)) {
        let columns = COLUMNS.map(|(name, sql_type)| column(name, sql_type, None)).to_vec();
        let schema = Arc::new(Schema { columns, format: RecordFormat::json() });
        let mut data = Vec::new();
        for values in &rows {
            row(&schema, values).write_json(&mut data);
            data.push(b'\n');
        }
        let mut out = Vec::new();
        decoder(Schema::clone(&schema)).decode(&data, &mut out);
        let expected: Vec<_> = rows.into_iter().map(|row| Ok(Record { values: row.into() })).collect();
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn what_is_written_as_csv_decodes_as_the_same_values(rows in prop::collection::vec(values(), 1..4)) {
        let schema = Arc::new(csv(&COLUMNS, true));
        let mut data = Vec::new();
        write_csv_header(&schema, &mut data);
        for values in &rows {
            data.push(b'\n');
            row(&schema, values).write_csv_row(&mut data);
        }
        let mut out: Vec<Result<Record, DecodeError>> = Vec::new();
        decoder(Schema::clone(&schema)).decode(&data, &mut out);
        let expected: Vec<_> = rows.into_iter().map(|row| Ok(Record { values: row.into() })).collect();
        prop_assert_eq!(out, expected);
    }
}
