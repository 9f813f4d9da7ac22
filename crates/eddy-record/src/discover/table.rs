//! CSV samples: a delimiter, a header perhaps, and columns.

use std::collections::{BTreeMap, BTreeSet};

use super::kinds::Kinds;
use super::{Found, Proposal, for_each_sample};
use crate::csv::{CsvPlan, Delimiters, Field};
use crate::{Column, RecordFormat, Schema, SqlType, Value};

const ROW_DELIMITER: &str = "\n";
const COLUMN_DELIMITERS: [&str; 4] = [",", "\t", ";", "|"];

/// Reads every row of the samples, and proposes the columns.
pub(super) fn read(
    samples: &[&[u8]],
    found: &mut Found,
    columns: &mut Vec<Proposal>,
) -> RecordFormat {
    let mut layout = Layout::of(samples, COLUMN_DELIMITERS[0]);
    for delimiter in &COLUMN_DELIMITERS[1..] {
        let other = Layout::of(samples, delimiter);
        if other.evidence() > layout.evidence() {
            layout = other;
        }
    }

    let header = layout.header().and_then(|header| {
        let (kinds, counts) = read_columns(samples, &layout, Some(&header));
        // Above nothing but texts it may as well be a row like the others.
        let is_text = |kinds: &Kinds| matches!(kinds.sql_type(), SqlType::Varchar { .. });
        (!kinds.iter().all(is_text)).then_some((header, kinds, counts))
    });
    let (header, kinds, counts) = header.unwrap_or_else(|| {
        let (kinds, counts) = read_columns(samples, &layout, None);
        (Vec::new(), kinds, counts)
    });
    *found = counts;
    columns.extend(kinds.into_iter().enumerate().map(|(column_idx, kinds)| {
        let mapping = header.get(column_idx).cloned();
        let name = match &mapping {
            Some(name) => name.trim().to_owned(),
            None => format!("column_{}", column_idx + 1),
        };
        Proposal { name, mapping, kinds }
    }));
    RecordFormat::Csv {
        row_delimiter: ROW_DELIMITER.to_owned(),
        column_delimiter: layout.delimiter.to_owned(),
    }
}

/// How the rows look with one delimiter.
struct Layout {
    delimiter: &'static str,
    // What most rows have.
    n_columns: usize,
    // How many rows have it.
    n_rows: usize,
    first_row: Vec<String>,
}

impl Layout {
    fn of(samples: &[&[u8]], delimiter: &'static str) -> Self {
        let delimiters = Delimiters::new(ROW_DELIMITER, delimiter);
        let mut first_row = Vec::new();
        let mut n_rows_by_width = BTreeMap::new();
        for_each_sample(samples, false, |text| {
            let Ok(text) = text else { return };
            delimiters.for_each_row(text, |row| {
                let Ok(row) = row else { return };
                if n_rows_by_width.is_empty() {
                    first_row = row.iter().map(|Field { text, .. }| text.to_string()).collect();
                }
                *n_rows_by_width.entry(row.len()).or_insert(0_usize) += 1;
            });
        });
        let widest = n_rows_by_width.into_iter().max_by_key(|(_, n_rows)| *n_rows);
        let (n_columns, n_rows) = widest.unwrap_or_default();
        Self { delimiter, n_columns, n_rows, first_row }
    }

    /// How much speaks for the delimiter: rows that it cuts alike.
    fn evidence(&self) -> usize {
        if self.n_columns > 1 { self.n_rows } else { 0 }
    }

    /// The first row, if its fields can be names.
    fn header(&self) -> Option<Vec<String>> {
        let mut names = BTreeSet::new();
        let is_name = |field: &String| {
            let mut kinds = Kinds::default();
            kinds.see_csv(field);
            matches!(kinds.sql_type(), SqlType::Varchar { .. })
                && !field.trim().is_empty()
                && names.insert(field.trim().to_owned())
        };
        let all = self.first_row.len() == self.n_columns && self.first_row.iter().all(is_name);
        all.then(|| self.first_row.clone())
    }
}

/// Decodes the samples with every column a text, and counts what the texts are.
fn read_columns(
    samples: &[&[u8]],
    layout: &Layout,
    header: Option<&[String]>,
) -> (Vec<Kinds>, Found) {
    let column = |column_idx: usize| Column {
        name: format!("column_{column_idx}"),
        sql_type: SqlType::Varchar { max_chars: u32::MAX },
        mapping: header.map(|header| header[column_idx].clone()),
        nullable: true,
    };
    let schema = Schema {
        columns: (0..layout.n_columns).map(column).collect(),
        format: RecordFormat::csv(),
    };
    let plan = CsvPlan::new(&schema, ROW_DELIMITER, layout.delimiter);
    let mut found = Found::default();
    let mut kinds = vec![Kinds::default(); layout.n_columns];
    let mut records = Vec::new();
    for_each_sample(samples, false, |text| match text {
        Ok(text) => {
            plan.decode(&schema.columns, text, &mut records);
            for record in records.drain(..) {
                match record {
                    Ok(record) => {
                        found.n_records += 1;
                        for (kinds, value) in kinds.iter_mut().zip(&record.values) {
                            if let Value::Text(text) = value {
                                kinds.see_csv(text);
                            }
                        }
                    }
                    Err(error) => found.skip(error),
                }
            }
        }
        Err(error) => found.skip(error),
    });
    (kinds, found)
}
