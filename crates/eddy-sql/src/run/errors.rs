//! The error stream: rows that could not go on, and why.

use std::fmt::Write as _;

use arrow::array::{ArrayRef, AsArray};
use eddy_record::{Column, RecordFormat, Schema, SqlType, Value};

use crate::error::RunError;
use crate::{Counters, Limits};

/// A row of the error stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorRow {
    /// When: the time that the stream had reached, in milliseconds since the Unix epoch.
    pub error_time_ms: i64,
    /// What kind of error, at most 32 characters.
    pub error_name: String,
    /// What happened, at most 4096 characters.
    pub message: String,
    /// The ROWTIME of the row at fault.
    pub data_rowtime_ms: i64,
    /// The row at fault as text; the error stream holds it in hexadecimal digits.
    pub data_row: String,
    /// The pump that it happened in; empty where the record did not fit the schema.
    pub pump_name: String,
    /// What the row at fault was made of, the same at every replay; `None` where that is not known.
    /// Several error rows may be made of the same.
    pub id: Option<String>,
    pub(crate) tick: u32,
}

impl ErrorRow {
    /// The columns of the error stream.
    pub fn schema() -> Schema {
        let text = |max_chars| SqlType::Varchar { max_chars };
        let columns = [
            ("ERROR_TIME", SqlType::Timestamp),
            ("ERROR_LEVEL", text(10)),
            ("ERROR_NAME", text(32)),
            ("MESSAGE", text(4096)),
            ("DATA_ROWTIME", SqlType::Timestamp),
            ("DATA_ROW", text(49_152)),
            ("PUMP_NAME", text(128)),
        ];
        let column = |(name, sql_type): (&str, SqlType)| Column {
            name: name.to_owned(),
            sql_type,
            mapping: None,
            nullable: true,
        };
        Schema { columns: columns.into_iter().map(column).collect(), format: RecordFormat::json() }
    }

    /// One value a column of [`ErrorRow::schema`].
    pub fn values(&self) -> Box<[Value]> {
        let text = |text: &str| Value::Text(text.into());
        [
            Value::TimestampMs(self.error_time_ms),
            text("ERROR"),
            text(&self.error_name),
            text(&self.message),
            Value::TimestampMs(self.data_rowtime_ms),
            text(&self.data_row_hex()),
            text(&self.pump_name),
        ]
        .into()
    }

    /// What the row at fault was made of; where that is not known, its time and what it holds.
    pub fn made_of(&self) -> String {
        self.id.clone().unwrap_or_else(|| {
            let hash = super::fnv1a(self.data_row.as_bytes());
            format!("{}:{hash:016x}", self.data_rowtime_ms)
        })
    }

    /// The hexadecimal digits of DATA_ROW, at most 49 152.
    pub fn data_row_hex(&self) -> String {
        const MOST_BYTES: usize = 49_152 / 2;
        let bytes = &self.data_row.as_bytes()[..self.data_row.len().min(MOST_BYTES)];
        bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
            write!(hex, "{byte:02X}").expect("a String takes everything");
            hex
        })
    }
}

/// A row's id. While a table is joined, numbers stand in the place of ids.
fn id_of(ids: &ArrayRef, row: usize) -> Option<String> {
    Some(ids.as_string_opt::<i32>()?.value(row).to_owned())
}

/// Where operators report rows at fault, and what they may hold.
#[derive(Debug)]
pub(crate) struct Errors<'a> {
    pub(crate) pump: &'a str,
    pub(crate) limits: &'a Limits,
    pub(crate) rows: &'a mut Vec<ErrorRow>,
    pub(crate) counters: &'a mut Counters,
    /// Which operator of the pump is at work, in the order in which they are visited, from 1.
    pub(crate) operator_idx: usize,
}

impl Errors<'_> {
    /// Checks what is held against its bound; `what` says where in the pump.
    pub(crate) fn check_rows(&self, what: &str, held: usize, most: usize) -> Result<(), RunError> {
        if held > most {
            return Err(RunError::TooMany { held: self.held(what), most });
        }
        Ok(())
    }

    /// The same for bytes.
    pub(crate) fn check_bytes(
        &self,
        what: &str,
        held: usize,
        most_bytes: usize,
    ) -> Result<(), RunError> {
        if held > most_bytes {
            return Err(RunError::TooLarge { held: self.held(what), most_bytes });
        }
        Ok(())
    }

    /// The same for the texts of one column of rows that leave together, as a sort lets them: an
    /// array has offsets of 31 bits.
    pub(crate) fn check_texts(&self, what: &str, n_bytes: usize) -> Result<(), RunError> {
        self.check_bytes(what, n_bytes, self.limits.held_bytes.min(i32::MAX as usize))
    }

    fn held(&self, what: &str) -> String {
        if self.pump.is_empty() { what.to_owned() } else { format!("{what} of pump {}", self.pump) }
    }

    /// Reports a row of a chunk.
    pub(crate) fn report(&mut self, chunk: &super::Chunk, row: usize, name: &str, message: &str) {
        let tick = chunk.ticks[row];
        let rowtime_ms = chunk.rowtimes().value(row);
        let watermark = chunk.watermarks.get(tick as usize).copied().unwrap_or(rowtime_ms);
        self.rows.push(ErrorRow {
            error_time_ms: if watermark == i64::MAX {
                rowtime_ms
            } else {
                watermark.max(rowtime_ms)
            },
            error_name: crate::expr::cut(name, 32).to_owned(),
            message: crate::expr::cut(message, 4096).to_owned(),
            data_rowtime_ms: rowtime_ms,
            data_row: super::output::row_text(chunk, row),
            pump_name: self.pump.to_owned(),
            id: chunk.ids.as_ref().and_then(|ids| id_of(ids, row)),
            tick,
        });
        self.counters.failed += 1;
    }

    /// Reports a row that has come too late.
    pub(crate) fn late(&mut self, chunk: &super::Chunk, row: usize, message: &str) {
        self.report(chunk, row, "Late row", message);
        self.counters.failed -= 1;
        self.counters.late += 1;
    }
}
