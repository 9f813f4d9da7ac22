//! What a record's ROWTIME is.

use eddy_record::{Column, Record, Schema, SqlType, Value, parse_timestamp_ms};

/// Where ROWTIMEs come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rowtime {
    /// The time of arrival; it passes without records as well.
    Clock,
    /// A column of the schema.
    Column(usize),
    /// A field that is no column: it is decoded as one, behind the others.
    Field(String),
}

impl Rowtime {
    /// Reads `@arrival`, `@clock` or a field's name; a field that is no column of the schema is added
    /// to what is decoded, as its last column.
    ///
    /// # Errors
    /// Another word behind `@`.
    pub fn new(argument: &str, schema: &Schema, decoded: &mut Schema) -> Result<Self, String> {
        match argument {
            "@arrival" | "@clock" => return Ok(Self::Clock),
            other if other.starts_with('@') => {
                return Err(format!("rowtime {other}: write @arrival, @clock or a field's name"));
            }
            _ => {}
        }
        if let Some(column_idx) = schema.column_idx(argument) {
            return Ok(Self::Column(column_idx));
        }
        decoded.columns.push(Column {
            name: argument.to_owned(),
            sql_type: SqlType::Varchar { max_chars: 64 },
            mapping: None,
            nullable: true,
        });
        Ok(Self::Field(argument.to_owned()))
    }

    /// Whether time passes without records.
    pub fn passes_alone(&self) -> bool {
        *self == Self::Clock
    }

    /// A record's time, in milliseconds since the Unix epoch; a field that is no column is taken off
    /// the record.
    ///
    /// # Errors
    /// The field holds no time.
    ///
    /// # Panics
    /// The record is of another schema than the one decoded to.
    pub fn of(&self, record: &mut Record, arrival_ms: i64) -> Result<i64, String> {
        match self {
            Self::Clock => Ok(arrival_ms),
            Self::Column(column_idx) => {
                let value = &record.values[*column_idx];
                time(value).ok_or_else(|| format!("no time for ROWTIME: {value:?}"))
            }
            Self::Field(name) => {
                let mut values = std::mem::take(&mut record.values).into_vec();
                let value = values.pop().expect("the field is the last column");
                record.values = values.into();
                time(&value).ok_or_else(|| format!("field {name}: no time for ROWTIME"))
            }
        }
    }
}

fn time(value: &Value) -> Option<i64> {
    match value {
        Value::TimestampMs(ms) | Value::Integer(ms) => Some(*ms),
        #[expect(clippy::cast_possible_truncation, reason = "times are far below 2^53")]
        Value::Double(ms) if ms.abs() < 9.0e15 => Some(*ms as i64),
        Value::Text(text) => {
            let text = text.trim();
            parse_timestamp_ms(text).or_else(|| text.parse().ok())
        }
        _ => None,
    }
}
