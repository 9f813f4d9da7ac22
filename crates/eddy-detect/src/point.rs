//! Which columns make the point, and the point of a record.

use eddy_record::{Record, Schema};

use crate::{DetectError, DetectorSettings, DetectorSettingsError};

/// The columns of the point, resolved against a schema.
#[derive(Clone, Debug)]
pub(crate) struct PointColumns {
    // Distinct from nothing: a column may be named twice, as SQL allows. Never empty.
    columns: Vec<(usize, String)>,
}

impl PointColumns {
    pub(crate) fn new(
        settings: &DetectorSettings,
        schema: &Schema,
    ) -> Result<Self, DetectorSettingsError> {
        let columns: Vec<(usize, String)> = if settings.columns.is_empty() {
            schema
                .columns
                .iter()
                .enumerate()
                .filter(|(_, column)| column.sql_type.is_numeric())
                .filter(|(_, column)| settings.key.as_ref() != Some(&column.name))
                .map(|(column_idx, column)| (column_idx, column.name.clone()))
                .collect()
        } else {
            settings
                .columns
                .iter()
                .map(|name| Ok((numeric_column(schema, name)?, name.clone())))
                .collect::<Result<_, DetectorSettingsError>>()?
        };
        if columns.is_empty() {
            return Err(DetectorSettingsError::NoColumns);
        }
        Ok(Self { columns })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(_, name)| name.as_str())
    }

    pub(crate) fn len(&self) -> usize {
        self.columns.len()
    }

    /// Fills `point`; `false` where a column is NULL, so that there is no point.
    pub(crate) fn read(&self, record: &Record, point: &mut Vec<f32>) -> Result<bool, DetectError> {
        point.clear();
        for (column_idx, name) in &self.columns {
            let Some(value) = record.values[*column_idx].as_f64() else { return Ok(false) };
            #[expect(clippy::cast_possible_truncation, reason = "points are f32")]
            let coordinate = value as f32;
            if !coordinate.is_finite() {
                return Err(DetectError::OutOfRange { column: name.clone(), value });
            }
            point.push(coordinate);
        }
        Ok(true)
    }
}

pub(crate) fn known_columns(schema: &Schema) -> String {
    schema.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn numeric_column(schema: &Schema, name: &str) -> Result<usize, DetectorSettingsError> {
    let column_idx =
        schema.column_idx(name).ok_or_else(|| DetectorSettingsError::UnknownColumn {
            column: name.to_owned(),
            known: known_columns(schema),
        })?;
    let sql_type = schema.columns[column_idx].sql_type;
    if !sql_type.is_numeric() {
        return Err(DetectorSettingsError::NotNumeric {
            column: name.to_owned(),
            sql_type: sql_type.to_string(),
        });
    }
    Ok(column_idx)
}
