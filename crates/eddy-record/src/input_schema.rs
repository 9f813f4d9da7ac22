//! The `InputSchema` of Kinesis Data Analytics, as its API prints and takes it.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{Column, RecordFormat, Schema, SchemaError};

// Fields that the API may add are ignored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InputSchema {
    record_columns: Vec<RecordColumn>,
    record_format: Format,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_encoding: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecordColumn {
    name: String,
    sql_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mapping: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Format {
    record_format_type: String,
    #[serde(default)]
    mapping_parameters: MappingParameters,
}

#[derive(Default, Serialize, Deserialize)]
struct MappingParameters {
    #[serde(rename = "JSONMappingParameters", skip_serializing_if = "Option::is_none")]
    json: Option<JsonParameters>,
    #[serde(rename = "CSVMappingParameters", skip_serializing_if = "Option::is_none")]
    csv: Option<CsvParameters>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct JsonParameters {
    record_row_path: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CsvParameters {
    record_row_delimiter: String,
    record_column_delimiter: String,
}

impl Schema {
    /// Reads an `InputSchema` (RecordColumns, RecordFormat, RecordEncoding) from its JSON text.
    ///
    /// Such schemas say nothing of nulls: all columns are nullable.
    ///
    /// # Errors
    ///
    /// The text is no such JSON, a type or path is wrong, or the encoding is not UTF-8.
    pub fn from_input_schema_json(text: &str) -> Result<Self, SchemaError> {
        read(serde_json::from_str(text))
    }

    /// As [`Schema::from_input_schema_json`], from JSON that has been parsed already.
    ///
    /// # Errors
    ///
    /// As [`Schema::from_input_schema_json`].
    pub fn from_input_schema_value(value: &Json) -> Result<Self, SchemaError> {
        read(InputSchema::deserialize(value))
    }

    /// The schema as `InputSchema` JSON; what it cannot say, that a column is never null, is lost.
    pub fn to_input_schema_json(&self) -> Json {
        let (name, parameters) = match &self.format {
            RecordFormat::Json { row_path } => {
                let json = Some(JsonParameters { record_row_path: row_path.clone() });
                ("JSON", MappingParameters { json, csv: None })
            }
            RecordFormat::Csv { row_delimiter, column_delimiter } => {
                let csv = Some(CsvParameters {
                    record_row_delimiter: row_delimiter.clone(),
                    record_column_delimiter: column_delimiter.clone(),
                });
                ("CSV", MappingParameters { json: None, csv })
            }
        };
        let record_columns = self.columns.iter().map(|column| RecordColumn {
            name: column.name.clone(),
            sql_type: column.sql_type.to_string(),
            mapping: column.mapping.clone(),
        });
        let schema = InputSchema {
            record_columns: record_columns.collect(),
            record_format: Format {
                record_format_type: name.to_owned(),
                mapping_parameters: parameters,
            },
            record_encoding: Some("UTF-8".to_owned()),
        };
        serde_json::to_value(schema).expect("strings alone always become JSON")
    }
}

fn read(parsed: serde_json::Result<InputSchema>) -> Result<Schema, SchemaError> {
    let input = parsed.map_err(|error| SchemaError::Malformed { reason: error.to_string() })?;
    if let Some(found) = input.record_encoding
        && !found.eq_ignore_ascii_case("UTF-8")
    {
        return Err(SchemaError::Encoding { found });
    }
    let MappingParameters { json, csv } = input.record_format.mapping_parameters;
    let format = match input.record_format.record_format_type.as_str() {
        "JSON" => match json {
            Some(json) => RecordFormat::Json { row_path: json.record_row_path },
            None => RecordFormat::json(),
        },
        "CSV" => match csv {
            Some(csv) => RecordFormat::Csv {
                row_delimiter: csv.record_row_delimiter,
                column_delimiter: csv.record_column_delimiter,
            },
            None => RecordFormat::csv(),
        },
        other => {
            return Err(SchemaError::Format { reason: format!("JSON or CSV, found {other:?}") });
        }
    };
    let column = |column: RecordColumn| match column.sql_type.parse() {
        Ok(sql_type) => {
            let RecordColumn { name, mapping, .. } = column;
            Ok(Column { name, sql_type, mapping, nullable: true })
        }
        Err(source) => Err(SchemaError::Type { column: column.name, source }),
    };
    let columns = input.record_columns.into_iter().map(column).collect::<Result<_, _>>()?;
    let schema = Schema { columns, format };
    schema.validate()?;
    Ok(schema)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SqlType;

    const JSON: &str = r#"{
        "RecordColumns": [
            {"Name": "TICKER", "SqlType": "VARCHAR(4)", "Mapping": "$.ticker"},
            {"Name": "PRICE", "SqlType": "decimal(5, 2)", "Mapping": "$.quote.price"}
        ],
        "RecordFormat": {
            "RecordFormatType": "JSON",
            "MappingParameters": {"JSONMappingParameters": {"RecordRowPath": "$.quotes[0:]"}}
        },
        "RecordEncoding": "UTF-8"
    }"#;

    #[test]
    fn an_input_schema_of_json_is_read_and_written() {
        let schema = Schema::from_input_schema_json(JSON).expect("a schema");
        assert_eq!(schema.format, RecordFormat::Json { row_path: "$.quotes[0:]".to_owned() });
        assert_eq!(schema.columns[1].sql_type, SqlType::Decimal { precision: 5, scale: 2 });
        assert!(schema.columns.iter().all(|column| column.nullable));
        let again = Schema::from_input_schema_value(&schema.to_input_schema_json());
        assert_eq!(again, Ok(schema));
    }

    #[test]
    fn an_input_schema_of_csv_has_no_mappings() {
        let schema = Schema::from_input_schema_json(
            r#"{"RecordColumns":[{"Name":"a","SqlType":"INTEGER"}],"RecordFormat":{
                "RecordFormatType":"CSV","MappingParameters":{"CSVMappingParameters":{
                "RecordRowDelimiter":"\n","RecordColumnDelimiter":"|"}}}}"#,
        )
        .expect("a schema");
        assert_eq!(schema.columns[0].mapping, None);
        let written = schema.to_input_schema_json();
        assert_eq!(written["RecordColumns"][0].get("Mapping"), None);
        assert_eq!(Schema::from_input_schema_value(&written), Ok(schema));
    }

    #[test]
    fn what_is_wrong_with_an_input_schema_is_named() {
        let with = |from: &str, to: &str| Schema::from_input_schema_json(&JSON.replace(from, to));
        assert!(matches!(with("UTF-8", "UTF-16"), Err(SchemaError::Encoding { .. })));
        assert!(matches!(with("\"JSON\"", "\"XML\""), Err(SchemaError::Format { .. })));
        assert!(matches!(with("RecordColumns", "Columns"), Err(SchemaError::Malformed { .. })));
        assert!(matches!(
            with("decimal(5, 2)", "MONEY"),
            Err(SchemaError::Type { column, .. }) if column == "PRICE"
        ));
    }
}
