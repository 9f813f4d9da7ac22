//! Scored rows as JSON and as CSV.

use std::io::Write;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::number::{write_f32, write_f64};
use crate::timestamp::{TimestampWriter, write_timestamp_ms};
use crate::{Schema, ScoredRecord, SqlType, Value};

/// How a row is written that is a record of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowText {
    /// One JSON object on one line.
    #[default]
    Json,
    /// Comma-separated values, without a header.
    Csv,
}

impl ScoredRecord {
    /// Appends the row as that text, without a line end.
    pub fn write_as(&self, text: RowText, out: &mut Vec<u8>) {
        match text {
            RowText::Json => self.write_json(out),
            RowText::Csv => self.write_csv_row(out),
        }
    }

    /// Appends the row as one JSON object on one line, without a line end: the columns in the
    /// schema's order, NULL as `null`, TIMESTAMP as `"2026-11-23T12:00:00.040Z"`, DOUBLE as
    /// [`write_f64`](crate::write_f64) has it. A JSON column that is NULL is left out.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let mut before = b'{';
        for (column, value) in self.schema.columns.iter().zip(&self.values) {
            if column.sql_type == SqlType::Json && *value == Value::Null {
                continue;
            }
            out.push(before);
            before = b',';
            write_json_text(&column.name, out);
            out.push(b':');
            match value {
                Value::TimestampMs(ms) => {
                    out.push(b'"');
                    write_timestamp_ms(*ms, out);
                    out.push(b'"');
                }
                value => write_json_value(value, column.sql_type, out),
            }
        }
        if before == b'{' {
            out.push(b'{');
        }
        out.push(b'}');
    }

    /// Appends the row as CSV without a line end: the columns in the schema's order with commas
    /// between them, NULL as nothing, an empty text as `""`, fields in quotes where they need them.
    pub fn write_csv_row(&self, out: &mut Vec<u8>) {
        for (column_idx, (column, value)) in
            self.schema.columns.iter().zip(&self.values).enumerate()
        {
            if column_idx > 0 {
                out.push(b',');
            }
            match value {
                Value::Text(text) | Value::Json(text) => write_csv_text(text, out),
                Value::TimestampMs(ms) => write_timestamp_ms(*ms, out),
                Value::Null => {}
                value => write_plain(value, column.sql_type, out),
            }
        }
    }
}

/// Writes many rows, most of them of one schema and of one minute: what these have in common is made
/// once.
#[derive(Clone, Debug, Default)]
pub struct JsonRowWriter {
    // Whose the keys are; none before the first row.
    schema: Option<Arc<Schema>>,
    // Each column's name as JSON with its colon.
    keys: Vec<Box<[u8]>>,
    times: TimestampWriter,
}

impl JsonRowWriter {
    /// As [`ScoredRecord::write_json`].
    pub fn write(&mut self, row: &ScoredRecord, out: &mut Vec<u8>) {
        if self.schema.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &row.schema)) {
            self.keys = row.schema.columns.iter().map(|column| json_key(&column.name)).collect();
            self.schema = Some(Arc::clone(&row.schema));
        }
        let mut before = b'{';
        for ((column, key), value) in row.schema.columns.iter().zip(&self.keys).zip(&row.values) {
            if column.sql_type == SqlType::Json && *value == Value::Null {
                continue;
            }
            out.push(before);
            before = b',';
            out.extend_from_slice(key);
            match value {
                Value::TimestampMs(ms) => {
                    out.push(b'"');
                    self.times.write(*ms, out);
                    out.push(b'"');
                }
                value => write_json_value(value, column.sql_type, out),
            }
        }
        if before == b'{' {
            out.push(b'{');
        }
        out.push(b'}');
    }
}

fn json_key(name: &str) -> Box<[u8]> {
    let mut key = Vec::with_capacity(name.len() + 3);
    write_json_text(name, &mut key);
    key.push(b':');
    key.into()
}

/// A value other than a TIMESTAMP as JSON.
fn write_json_value(value: &Value, sql_type: SqlType, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => write_json_text(text, out),
        Value::Null => out.extend_from_slice(b"null"),
        value => write_plain(value, sql_type, out),
    }
}

/// Appends the columns' names as the header of such rows, without a line end.
pub fn write_csv_header(schema: &Schema, out: &mut Vec<u8>) {
    for (column_idx, column) in schema.columns.iter().enumerate() {
        if column_idx > 0 {
            out.push(b',');
        }
        write_csv_text(&column.name, out);
    }
}

/// What JSON and CSV write alike.
fn write_plain(value: &Value, sql_type: SqlType, out: &mut Vec<u8>) {
    match value {
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Integer(number) => {
            serde_json::to_writer(out, number)
                .expect("a Vec takes everything and a number is JSON");
        }
        Value::Double(number) if sql_type == SqlType::Real => {
            #[expect(clippy::cast_possible_truncation, reason = "a REAL holds an f32's value")]
            write_f32(*number as f32, out);
        }
        Value::Double(number) => write_f64(*number, out),
        Value::Decimal(number) => write_display(number, out),
        Value::Json(text) => out.extend_from_slice(text.as_bytes()),
        Value::Null | Value::Text(_) | Value::TimestampMs(_) => {}
    }
}

fn write_display(value: &impl std::fmt::Display, out: &mut Vec<u8>) {
    write!(out, "{value}").expect("a Vec takes everything");
}

/// Appends a text as a JSON string.
fn write_json_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a Vec takes everything and a text is JSON");
}

fn write_csv_text(text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() && !text.contains(['"', ',', '\n', '\r']) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Column, DocumentId, PartitionId, Position, RecordFormat, StreamIdentity};

    fn row(columns: &[(&str, &str)], values: Vec<Value>) -> ScoredRecord {
        let column = |(name, sql_type): &(&str, &str)| Column {
            name: (*name).to_owned(),
            sql_type: sql_type.parse().expect("a type"),
            mapping: None,
            nullable: true,
        };
        let stream = StreamIdentity { name: "RawStreamData".to_owned(), created_ms: 1 };
        let position = Position::new(7_u64.into());
        ScoredRecord {
            id: DocumentId::new(&stream, &PartitionId::new("shardId-000000000000"), &position, 0),
            created_ms: 0,
            schema: Arc::new(Schema {
                columns: columns.iter().map(column).collect(),
                format: RecordFormat::json(),
            }),
            values: values.into(),
        }
    }

    fn json(row: &ScoredRecord) -> String {
        let mut out = Vec::new();
        row.write_json(&mut out);
        // Another schema's and another minute's row before it changes nothing.
        let mut other = walkthrough_at(59_999, Value::Null);
        other.values[0] = Value::Null;
        let mut writer = JsonRowWriter::default();
        writer.write(&other, &mut Vec::new());
        for _ in 0..2 {
            let mut again = Vec::new();
            writer.write(row, &mut again);
            assert_eq!(again, out);
        }
        String::from_utf8(out).expect("text")
    }

    fn csv(row: &ScoredRecord) -> String {
        let mut out = Vec::new();
        write_csv_header(&row.schema, &mut out);
        out.push(b'\n');
        row.write_csv_row(&mut out);
        String::from_utf8(out).expect("text")
    }

    fn walkthrough(explanation: Value) -> ScoredRecord {
        walkthrough_at(1_795_435_200_040, explanation)
    }

    fn walkthrough_at(created_ms: i64, explanation: Value) -> ScoredRecord {
        row(
            &[
                ("iotName", "VARCHAR(64)"),
                ("iotValue", "DOUBLE"),
                ("ANOMALY_SCORE", "DOUBLE"),
                ("created", "TIMESTAMP"),
                ("ANOMALY_EXPLANATION", "JSON"),
            ],
            vec![
                Value::Text("DemoSensor".into()),
                Value::Double(15.0),
                Value::Double(0.987_654_321),
                Value::TimestampMs(created_ms),
                explanation,
            ],
        )
    }

    #[test]
    fn a_row_is_one_json_object_in_the_schemas_order() {
        assert_eq!(
            json(&walkthrough(Value::Json(r#"{"iotValue":{}}"#.into()))),
            r#"{"iotName":"DemoSensor","iotValue":15,"ANOMALY_SCORE":0.987654321,"created":"2026-11-23T12:00:00.040Z","ANOMALY_EXPLANATION":{"iotValue":{}}}"#
        );
    }

    #[test]
    fn a_row_without_explanation_has_no_such_column() {
        let text = json(&walkthrough(Value::Null));
        assert!(text.ends_with(r#""created":"2026-11-23T12:00:00.040Z"}"#), "{text}");
        assert_eq!(json(&row(&[("x", "JSON")], vec![Value::Null])), "{}");
    }

    #[test]
    fn every_type_has_its_form() {
        let row = row(
            &[
                ("t\"", "VARCHAR(9)"),
                ("n", "INTEGER"),
                ("i", "BIGINT"),
                ("r", "REAL"),
                ("d", "DECIMAL(5,2)"),
                ("b", "BOOLEAN"),
                ("e", "VARCHAR(9)"),
            ],
            vec![
                Value::Text("a\n\"b\u{1}".into()),
                Value::Null,
                Value::Integer(-5),
                Value::Double(f64::from(0.1_f32)),
                Value::Decimal("10.50".parse().expect("a decimal")),
                Value::Boolean(true),
                Value::Text("".into()),
            ],
        );
        assert_eq!(
            json(&row),
            r#"{"t\"":"a\n\"b\u0001","n":null,"i":-5,"r":0.1,"d":10.50,"b":true,"e":""}"#
        );
        assert_eq!(csv(&row), "\"t\"\"\",n,i,r,d,b,e\n\"a\n\"\"b\u{1}\",,-5,0.1,10.50,true,\"\"");
    }
}
