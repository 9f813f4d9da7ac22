//! Reference data from the bytes of a file.

use std::sync::Arc;

use eddy_record::{DecodeLimits, Decoder, Record, Schema, discover};

use crate::ReferenceTable;

impl ReferenceTable {
    /// Reads a table of that name from CSV or JSON: by the schema, or else by what the bytes show,
    /// where the first line of CSV names the columns.
    ///
    /// # Errors
    /// The bytes do not fit the schema, or none can be made from them.
    pub fn read(
        name: &str,
        bytes: &[u8],
        is_csv: bool,
        schema: Option<&Schema>,
    ) -> Result<Self, String> {
        let mut rows = bytes;
        let schema = match schema {
            Some(schema) => schema.clone(),
            None => {
                let header = is_csv.then(|| header_of(&mut rows));
                // A payload has a largest size, a file has none: it is looked at by its lines, unless
                // it is one array.
                let is_array = rows.trim_ascii_start().starts_with(b"[");
                let lines = rows.split(|byte| *byte == b'\n' && !is_array);
                let lines = lines.filter(|line| !line.trim_ascii().is_empty());
                let mut schema = discover(lines).map_err(|error| error.to_string())?.schema;
                for column in &mut schema.columns {
                    column.nullable = true;
                }
                if let Some(names) = header {
                    if names.len() != schema.columns.len() {
                        return Err("its first line does not name its columns".to_owned());
                    }
                    for (column, name) in schema.columns.iter_mut().zip(names) {
                        (column.name, column.mapping) = (name, None);
                    }
                }
                schema
            }
        };
        let limits = DecodeLimits { max_record_bytes: usize::MAX };
        let decoder =
            Decoder::new(Arc::new(schema.clone()), limits).map_err(|error| error.to_string())?;
        let mut records = Vec::new();
        decoder.decode(rows, &mut records);
        let records: Result<Vec<Record>, _> = records.into_iter().collect();
        Ok(Self::new(name, &schema, &records.map_err(|error| error.to_string())?))
    }
}

/// Takes the first line off: the names of the columns.
fn header_of(rows: &mut &[u8]) -> Vec<String> {
    let end = rows.iter().position(|byte| *byte == b'\n').unwrap_or(rows.len());
    let line = String::from_utf8_lossy(&rows[..end]).into_owned();
    *rows = &rows[(end + 1).min(rows.len())..];
    line.trim_end().split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect()
}
