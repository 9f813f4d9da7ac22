//! What a detector refuses.

/// The settings do not fit together or do not fit the schema.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DetectorSettingsError {
    /// A column of the settings is not in the schema: correct its name or add it there.
    #[error("the schema has no column {column:?}; it has {known}")]
    UnknownColumn {
        /// As the settings have it.
        column: String,
        /// The schema's columns.
        known: String,
    },
    /// A column of the point holds no numbers: leave it out of `columns`.
    #[error("column {column:?} is {sql_type}, and a forest takes numbers")]
    NotNumeric {
        /// The column.
        column: String,
        /// Its type.
        sql_type: String,
    },
    /// No numeric column is left for the point: name one in `columns` or in the schema.
    #[error("the schema has no numeric column for the forest")]
    NoColumns,
    /// An input column has the name of an output column: rename it in the schema.
    #[error("column {column:?} has the name of a column that Eddy adds")]
    ReservedColumn {
        /// The column.
        column: String,
    },
    /// `max_models` is 0.
    #[error("max_models must be at least 1")]
    NoModels,
    /// `explain_from` is not a number, and no score is at least that: leave it out to explain none.
    #[error("explain_from must be a number, found {actual}")]
    ExplainFrom {
        /// As the settings have it.
        actual: f64,
    },
    /// The forest's parameters are out of range.
    #[error("the forest's settings are refused")]
    Forest(#[source] rcf::SettingsError),
}

/// A record that has no point; it is not learnt.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DetectError {
    /// The value does not fit the forest's 32-bit points. Scale the column.
    #[error("column {column:?}: {value:e} is beyond the range of a point, ±3.4e38")]
    OutOfRange {
        /// The column.
        column: String,
        /// Its value.
        value: f64,
    },
}
