//! What a record's ROWTIME is.

use eddy_record::{Column, Record, Schema, SqlType, Value, parse_timestamp_ms};

/// Where ROWTIMEs come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rowtime {
    /// The time of arrival; it passes without records as well.
    Clock,
    /// A column of the schema.
    Column(usize),
    /// A field that is no column of the application: it is decoded as that column, and taken off.
    Field {
        /// Its name.
        name: String,
        /// Its column among those decoded.
        column_idx: usize,
    },
}

impl Rowtime {
    /// Reads `@arrival`, `@clock` or a field's name. `schema` is the application's; `decoded`, the
    /// records', has the field where one was found, and gets it behind the others where not.
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
        let name = argument.to_owned();
        let text = SqlType::Varchar { max_chars: 64 };
        if let Some(column_idx) = decoded.columns.iter().position(|it| it.name == name) {
            // Later records may have another kind of time than the first.
            decoded.columns[column_idx].sql_type = text;
            return Ok(Self::Field { name, column_idx });
        }
        let column_idx = decoded.columns.len();
        decoded.columns.push(Column {
            name: name.clone(),
            sql_type: text,
            mapping: None,
            nullable: true,
        });
        Ok(Self::Field { name, column_idx })
    }

    /// The name for [`Options::rowtime`](crate::Options::rowtime); `schema` is the application's.
    pub fn name(&self, schema: &Schema) -> Option<String> {
        match self {
            Self::Clock => None,
            Self::Column(column_idx) => schema.columns.get(*column_idx).map(|it| it.name.clone()),
            Self::Field { name, .. } => Some(name.clone()),
        }
    }

    /// Whether time passes without records.
    pub fn passes_alone(&self) -> bool {
        *self == Self::Clock
    }

    /// The allowed lateness for [`Options::lateness_ms`](crate::Options::lateness_ms).
    ///
    /// # Errors
    /// Times of arrival are never late, or it is more than times can differ by.
    pub fn lateness_ms(&self, allowed: Option<u64>) -> Result<Option<i64>, String> {
        let Some(allowed) = allowed else { return Ok(None) };
        if self.passes_alone() {
            return Err("nothing is late by the time of arrival: name the field that holds the \
                        time of a record as rowtime"
                .to_owned());
        }
        let most = TIMES.end() - TIMES.start();
        match i64::try_from(allowed).ok().filter(|allowed| *allowed <= most) {
            Some(allowed) => Ok(Some(allowed)),
            None => Err(format!("{allowed} ms are more than times can differ by")),
        }
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
            Self::Field { name, column_idx } => {
                let mut values = std::mem::take(&mut record.values).into_vec();
                let value = values.remove(*column_idx);
                record.values = values.into();
                time(&value).ok_or_else(|| format!("field {name}: no time for ROWTIME"))
            }
        }
    }
}

/// Times of the years 0 to 9999: beyond them is no calendar, and a row that far in the future would
/// take all rows behind it along.
const TIMES: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

fn time(value: &Value) -> Option<i64> {
    let ms = match value {
        Value::TimestampMs(ms) | Value::Integer(ms) => Some(*ms),
        #[expect(clippy::cast_possible_truncation, reason = "times are far below 2^53")]
        Value::Double(ms) if ms.abs() < 9.0e15 => Some(*ms as i64),
        Value::Text(text) => {
            let text = text.trim();
            parse_timestamp_ms(text).or_else(|| text.parse().ok())
        }
        _ => None,
    };
    ms.filter(|ms| TIMES.contains(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_beyond_the_calendar_are_no_times() {
        assert_eq!(time(&Value::Integer(1_795_000_000_000)), Some(1_795_000_000_000));
        assert_eq!(time(&Value::Integer(253_402_300_799_999)), Some(253_402_300_799_999));
        for ms in [i64::MAX, i64::MIN, 253_402_300_800_000] {
            assert_eq!(time(&Value::Integer(ms)), None);
            assert_eq!(time(&Value::Text(ms.to_string().into())), None);
        }
    }

    #[test]
    fn only_a_fields_time_can_be_late() {
        assert_eq!(Rowtime::Column(0).lateness_ms(Some(5000)), Ok(Some(5000)));
        assert_eq!(Rowtime::Column(0).lateness_ms(None), Ok(None));
        assert_eq!(Rowtime::Clock.lateness_ms(None), Ok(None));
        assert!(Rowtime::Clock.lateness_ms(Some(0)).is_err_and(|it| it.contains("name the field")));
        assert!(Rowtime::Column(0).lateness_ms(Some(u64::MAX)).is_err());
    }

    #[test]
    fn a_field_that_was_found_keeps_its_place_and_mapping() {
        let found = eddy_record::discover([b"1795000000000,20.5\n1795000001000,21".as_slice()]);
        let mut decoded = found.expect("it is CSV").schema;
        let name = decoded.columns[0].name.clone();
        let mut expected = decoded.clone();
        expected.columns[0].sql_type = SqlType::Varchar { max_chars: 64 };
        let mut schema = decoded.clone();
        schema.columns.remove(0);
        let rowtime = Rowtime::new(&name, &schema, &mut decoded).expect("it is a field");
        assert_eq!(decoded, expected);
        let mut record = Record { values: [Value::Integer(5), Value::Double(20.5)].into() };
        assert_eq!(rowtime.of(&mut record, 0), Ok(5));
        assert_eq!(record.values.as_ref(), [Value::Double(20.5)]);
    }
}
