//! Records out of CSV payloads.

use std::borrow::Cow;

use crate::coerce::{self, Found};
use crate::{Column, DecodeError, Record, Schema, SqlType, Value};

/// A field of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) text: Cow<'a, str>,
    // An empty field in quotes is an empty text, one without is NULL.
    pub(crate) quoted: bool,
}

/// A schema's delimiters and header.
#[derive(Debug)]
pub(crate) struct CsvPlan {
    delimiters: Delimiters,
    // The columns' names in a header, if all have one.
    header: Option<Vec<String>>,
}

impl CsvPlan {
    pub(crate) fn new(schema: &Schema, row_delimiter: &str, column_delimiter: &str) -> Self {
        Self {
            delimiters: Delimiters::new(row_delimiter, column_delimiter),
            header: schema.columns.iter().map(|column| column.mapping.clone()).collect(),
        }
    }

    /// Decodes every row in a payload's text.
    ///
    /// Columns are taken by their place; where the first row is a header (it has the names that all
    /// columns are mapped to), by their name. A row may have more fields than there are columns.
    pub(crate) fn decode(
        &self,
        columns: &[Column],
        text: &str,
        out: &mut Vec<Result<Record, DecodeError>>,
    ) {
        let mut places: Vec<usize> = (0..columns.len()).collect();
        let mut first = true;
        self.delimiters.for_each_row(text, |row| {
            let header = if first { self.header_places(&row) } else { None };
            first = false;
            if let Some(header) = header {
                places = header;
                return;
            }
            out.push(row.and_then(|fields| decode_row(columns, &places, &fields)));
        });
    }

    /// Where the columns stand, if the row is a header.
    fn header_places(&self, row: &Result<Vec<Field<'_>>, DecodeError>) -> Option<Vec<usize>> {
        let (names, fields) = (self.header.as_ref()?, row.as_ref().ok()?);
        let place = |name: &String| fields.iter().position(|field| field.text == name.as_str());
        names.iter().map(place).collect()
    }
}

fn decode_row(
    columns: &[Column],
    places: &[usize],
    fields: &[Field<'_>],
) -> Result<Record, DecodeError> {
    let expected = places.iter().max().map_or(0, |place| place + 1);
    if fields.len() < expected {
        return Err(DecodeError::CsvColumns { expected, actual: fields.len() });
    }
    let value = |(column, place): (&Column, &usize)| -> Result<Value, DecodeError> {
        let field = &fields[*place];
        let text = matches!(column.sql_type, SqlType::Varchar { .. });
        if field.text.is_empty() && !field.quoted && (column.nullable || !text) {
            return coerce::null(column);
        }
        coerce::coerce(column, &Found::Text(Cow::Borrowed(&field.text)))
    };
    Ok(Record { values: columns.iter().zip(places).map(value).collect::<Result<_, _>>()? })
}

/// What stands between rows and between columns.
#[derive(Clone, Debug)]
pub(crate) struct Delimiters {
    row: String,
    column: String,
}

impl Delimiters {
    pub(crate) fn new(row: &str, column: &str) -> Self {
        // A carriage return before a line feed always belongs to the line's end.
        let row = if row == "\r\n" { "\n" } else { row };
        Self { row: row.to_owned(), column: column.to_owned() }
    }

    /// Hands out the rows of a text, without the blank ones. After a row whose quotes do not match
    /// it goes on at the next row delimiter.
    pub(crate) fn for_each_row<'a>(
        &self,
        text: &'a str,
        mut each: impl FnMut(Result<Vec<Field<'a>>, DecodeError>),
    ) {
        let mut rest = text;
        while !rest.is_empty() {
            let (row, tail) = self.row(rest);
            match row {
                Ok(fields) if is_blank(&fields) => {}
                row => each(row),
            }
            rest = tail;
        }
    }

    /// The row that the text begins with, and what follows it.
    fn row<'a>(&self, text: &'a str) -> (Result<Vec<Field<'a>>, DecodeError>, &'a str) {
        let mut fields = Vec::new();
        let mut rest = text;
        loop {
            let field = match rest.strip_prefix('"') {
                Some(tail) => self.quoted(tail),
                None => Ok(self.plain(rest)),
            };
            let (field, tail) = match field {
                Ok(field) => field,
                Err(reason) => {
                    let error = DecodeError::CsvQuotes { column: fields.len() + 1, reason };
                    let tail = text.split_once(&self.row).map_or("", |(_, tail)| tail);
                    return (Err(error), tail);
                }
            };
            fields.push(field);
            match tail.strip_prefix(&self.column) {
                Some(tail) => rest = tail,
                None => {
                    return (Ok(fields), tail.strip_prefix(&self.row).unwrap_or(tail));
                }
            }
        }
    }

    /// A field without quotes; the tail begins with a delimiter or is empty.
    fn plain<'a>(&self, text: &'a str) -> (Field<'a>, &'a str) {
        let (row, column) = (self.row.as_bytes(), self.column.as_bytes());
        let bytes = text.as_bytes();
        let end = (0..bytes.len())
            .find(|at| bytes[*at..].starts_with(column) || bytes[*at..].starts_with(row))
            .unwrap_or(bytes.len());
        let (field, tail) = text.split_at(end);
        let ends_row = !tail.starts_with(&self.column);
        let field = match field.strip_suffix('\r') {
            Some(line) if ends_row && self.row == "\n" => line,
            _ => field,
        };
        (Field { text: Cow::Borrowed(field), quoted: false }, tail)
    }

    /// A field after its opening quote; two quotes in it stand for one.
    fn quoted<'a>(&self, text: &'a str) -> Result<(Field<'a>, &'a str), &'static str> {
        let mut field = Cow::Borrowed("");
        let mut rest = text;
        let tail = loop {
            let (part, tail) = rest.split_once('"').ok_or("a quote is never closed")?;
            field += part;
            match tail.strip_prefix('"') {
                Some(tail) => {
                    field += "\"";
                    rest = tail;
                }
                None => break tail,
            }
        };
        let tail = match tail.strip_prefix('\r') {
            Some(line) if self.row == "\n" && (line.is_empty() || line.starts_with('\n')) => line,
            _ => tail,
        };
        if tail.is_empty() || tail.starts_with(&self.column) || tail.starts_with(&self.row) {
            return Ok((Field { text: field, quoted: true }, tail));
        }
        Err("text follows a closing quote")
    }
}

fn is_blank(fields: &[Field<'_>]) -> bool {
    matches!(fields, [field] if !field.quoted && field.text.trim().is_empty())
}
