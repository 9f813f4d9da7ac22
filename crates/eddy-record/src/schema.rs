//! What a record looks like: columns, their types, and where in the payload they stand.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::schema_file::SchemaFile;
use crate::{SchemaError, SqlType, path};

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The column's name in SQL, in settings and in the output.
    pub name: String,
    /// Its type.
    pub sql_type: SqlType,
    /// Where a JSON payload has it, such as `$.iotName` (`None`: under the column's name); for CSV
    /// the header's name or `None` for the column's place.
    pub mapping: Option<String>,
    /// Whether it may be absent or null; if not, such a record is a dead letter.
    pub nullable: bool,
}

/// How a payload is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    /// One JSON value, several one after another, or an array of them.
    Json {
        /// The path of the records inside the payload: `$` where the payload is the record,
        /// `$.readings` or `$[0:]` where it holds several.
        row_path: String,
    },
    /// Delimited text, one or more rows a payload.
    Csv {
        /// Between rows, usually `\n`.
        row_delimiter: String,
        /// Between columns, usually `,`.
        column_delimiter: String,
    },
}

impl RecordFormat {
    /// JSON whose payloads are the records: row path `$`.
    pub fn json() -> Self {
        Self::Json { row_path: "$".to_owned() }
    }

    /// Columns with commas between them, rows with line feeds.
    pub fn csv() -> Self {
        Self::Csv { row_delimiter: "\n".to_owned(), column_delimiter: ",".to_owned() }
    }
}

/// The columns of a stream and the format of its payloads.
///
/// In settings files:
///
/// ```toml
/// format = "json"            # or "csv"; default json
/// row_path = "$.readings"    # JSON only; default $
/// # row_delimiter = "\n"     # CSV only
/// # column_delimiter = ","   # CSV only
///
/// [[columns]]
/// name = "iotName"
/// type = "VARCHAR(64)"
/// path = "$.iotName"         # default: the name; for CSV the header's name
/// nullable = false           # default false
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SchemaFile", into = "SchemaFile")]
pub struct Schema {
    /// The columns, in order; names are distinct.
    pub columns: Vec<Column>,
    /// How payloads are written.
    pub format: RecordFormat,
}

impl Schema {
    /// The schema of the original walkthrough's readings, such as
    /// `{"iotName":"DemoSensor","iotValue":15}`: a VARCHAR(64) and a DOUBLE, neither nullable.
    pub fn walkthrough() -> Self {
        let column = |name: &str, sql_type| Column {
            name: name.to_owned(),
            sql_type,
            mapping: Some(path::child("$", name)),
            nullable: false,
        };
        Self {
            columns: vec![
                column("iotName", SqlType::Varchar { max_chars: 64 }),
                column("iotValue", SqlType::Double),
            ],
            format: RecordFormat::json(),
        }
    }

    /// The index of the column of that name.
    pub fn column_idx(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Checks the schema whole: there are columns, their names are distinct, paths parse and CSV's
    /// delimiters can be told apart.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), SchemaError> {
        if self.columns.is_empty() {
            return Err(SchemaError::NoColumns);
        }
        let mut names = BTreeSet::new();
        for (column_idx, column) in self.columns.iter().enumerate() {
            if column.name.is_empty() {
                return Err(SchemaError::NamelessColumn { column_idx });
            }
            if !names.insert(column.name.as_str()) {
                return Err(SchemaError::DuplicateColumn { column: column.name.clone() });
            }
        }
        match &self.format {
            RecordFormat::Json { row_path } => {
                path::parse(row_path).map_err(|reason| SchemaError::Path {
                    path_of: "row path".to_owned(),
                    path: row_path.clone(),
                    reason,
                })?;
                self.columns.iter().try_for_each(|column| column_steps(column).map(drop))
            }
            RecordFormat::Csv { row_delimiter: row, column_delimiter: column } => {
                let usable = |delimiter: &str| !delimiter.is_empty() && !delimiter.contains('"');
                if usable(row) && usable(column) && !row.contains(column) && !column.contains(row) {
                    return Ok(());
                }
                Err(SchemaError::Delimiters { row: row.clone(), column: column.clone() })
            }
        }
    }
}

/// The steps of a JSON column's path; without one the entry of the column's name.
pub(crate) fn column_steps(column: &Column) -> Result<Vec<path::Step>, SchemaError> {
    let Some(mapping) = &column.mapping else {
        return Ok(vec![path::Step::Key(column.name.as_str().into())]);
    };
    path::parse(mapping).map_err(|reason| path_error(column, reason))
}

pub(crate) fn path_error(column: &Column, reason: &'static str) -> SchemaError {
    SchemaError::Path {
        path_of: format!("column {}", column.name),
        path: column.mapping.clone().unwrap_or_default(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walkthroughs_schema_is_valid() {
        assert_eq!(Schema::walkthrough().validate(), Ok(()));
        assert_eq!(Schema::walkthrough().column_idx("iotValue"), Some(1));
    }

    #[test]
    fn schemas_that_cannot_work_are_refused() {
        let with = |change: &dyn Fn(&mut Schema)| {
            let mut schema = Schema::walkthrough();
            change(&mut schema);
            schema.validate()
        };
        assert_eq!(with(&|schema| schema.columns.clear()), Err(SchemaError::NoColumns));
        assert!(matches!(
            with(&|schema| schema.columns[1].name = "iotName".to_owned()),
            Err(SchemaError::DuplicateColumn { column }) if column == "iotName"
        ));
        assert!(matches!(
            with(&|schema| schema.columns[1].name.clear()),
            Err(SchemaError::NamelessColumn { column_idx: 1 })
        ));
        assert!(matches!(
            with(&|schema| schema.columns[1].mapping = Some("iotValue".to_owned())),
            Err(SchemaError::Path { path_of, .. }) if path_of == "column iotValue"
        ));
        for (row, column) in [("", ","), ("\n", ""), (",", ","), ("\n", "\""), ("\n", "\n\n")] {
            let format =
                RecordFormat::Csv { row_delimiter: row.into(), column_delimiter: column.into() };
            let refused = with(&|schema| schema.format = format.clone());
            assert!(matches!(refused, Err(SchemaError::Delimiters { .. })), "{row:?} {column:?}");
        }
    }
}
