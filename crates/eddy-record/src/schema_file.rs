//! A schema as settings files have it.

use serde::{Deserialize, Serialize};

use crate::{Column, RecordFormat, Schema, SchemaError, SqlType, path};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FormatName {
    #[default]
    Json,
    Csv,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SchemaFile {
    #[serde(default)]
    format: FormatName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    row_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    row_delimiter: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    column_delimiter: Option<String>,
    // Behind the plain settings, as TOML wants it.
    columns: Vec<ColumnFile>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnFile {
    name: String,
    #[serde(rename = "type")]
    sql_type: SqlType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default)]
    nullable: bool,
}

impl TryFrom<SchemaFile> for Schema {
    type Error = SchemaError;

    fn try_from(file: SchemaFile) -> Result<Self, Self::Error> {
        let foreign = |set: bool, reason: &str| match set {
            true => Err(SchemaError::Format { reason: reason.to_owned() }),
            false => Ok(()),
        };
        let json = file.format == FormatName::Json;
        let format = if json {
            foreign(file.row_delimiter.is_some(), "row_delimiter is for CSV")?;
            foreign(file.column_delimiter.is_some(), "column_delimiter is for CSV")?;
            RecordFormat::Json { row_path: file.row_path.unwrap_or_else(|| "$".to_owned()) }
        } else {
            foreign(file.row_path.is_some(), "row_path is for JSON")?;
            RecordFormat::Csv {
                row_delimiter: file.row_delimiter.unwrap_or_else(|| "\n".to_owned()),
                column_delimiter: file.column_delimiter.unwrap_or_else(|| ",".to_owned()),
            }
        };
        let column = |column: ColumnFile| {
            let by_name = json.then(|| path::child("$", &column.name));
            Column {
                name: column.name,
                sql_type: column.sql_type,
                mapping: column.path.or(by_name),
                nullable: column.nullable,
            }
        };
        let schema = Self { columns: file.columns.into_iter().map(column).collect(), format };
        schema.validate()?;
        Ok(schema)
    }
}

impl From<Schema> for SchemaFile {
    fn from(schema: Schema) -> Self {
        let (format, row_path, row_delimiter, column_delimiter) = match schema.format {
            RecordFormat::Json { row_path } => (FormatName::Json, Some(row_path), None, None),
            RecordFormat::Csv { row_delimiter, column_delimiter } => {
                (FormatName::Csv, None, Some(row_delimiter), Some(column_delimiter))
            }
        };
        let column = |column: Column| ColumnFile {
            name: column.name,
            sql_type: column.sql_type,
            path: column.mapping,
            nullable: column.nullable,
        };
        let columns = schema.columns.into_iter().map(column).collect();
        Self { format, row_path, row_delimiter, column_delimiter, columns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALKTHROUGH: &str = r#"
        [[columns]]
        name = "iotName"
        type = "varchar (64)"

        [[columns]]
        name = "iotValue"
        type = "DOUBLE"
        path = "$.iotValue"
    "#;

    #[test]
    fn a_settings_file_holds_a_schema() {
        let schema: Schema = toml::from_str(WALKTHROUGH).expect("a schema");
        assert_eq!(schema, Schema::walkthrough());
    }

    #[test]
    fn a_schema_reads_back_what_it_writes() {
        let mut csv = Schema { format: RecordFormat::csv(), ..Schema::walkthrough() };
        csv.columns[0].mapping = None;
        csv.columns[1].nullable = true;
        for schema in [Schema::walkthrough(), csv] {
            let text = toml::to_string(&schema).expect("TOML");
            assert_eq!(toml::from_str::<Schema>(&text).expect("a schema"), schema, "{text}");
        }
    }

    #[test]
    fn settings_that_do_not_fit_are_refused_by_name() {
        for (change, reason) in [
            ("colour = 1", "colour"),
            ("row_delimiter = ';'", "row_delimiter is for CSV"),
            ("format = 'csv'\nrow_path = '$'", "row_path is for JSON"),
            ("format = 'xml'", "xml"),
            ("row_path = 'readings'", "row path"),
        ] {
            let refused = toml::from_str::<Schema>(&format!("{change}\n{WALKTHROUGH}"));
            let message = refused.expect_err(change).to_string();
            assert!(message.contains(reason), "{message}");
        }
        let unknown_type = WALKTHROUGH.replace("DOUBLE", "DUBBEL");
        let message = toml::from_str::<Schema>(&unknown_type).expect_err("no type").to_string();
        assert!(message.contains("DUBBEL"), "{message}");
    }
}
