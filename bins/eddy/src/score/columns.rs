//! The columns of a line: which make the point, their numbers, and the line with scores behind it.

use anyhow::{Result, bail};
use eddy_record::write_f64;
use serde_json::Value;

/// Whether a column of numbers is a reading: not where it counts, and not where this program wrote it.
fn is_reading(name: &str) -> bool {
    !matches!(name, "timestamp" | "index" | "ANOMALY_SCORE")
        && !name.starts_with("ATTR_HIGH_")
        && !name.starts_with("ATTR_LOW_")
}

/// One way of writing rows as lines.
pub(crate) trait Row {
    /// Resolves the columns of the point, or the default where `wanted` is empty; `false` while
    /// more lines must be looked at.
    fn choose(&mut self, wanted: &[String]) -> Result<bool>;
    /// Resolves the default although some columns never had a value.
    fn choose_from_what_is_known(&mut self) -> Result<()>;
    /// Whether no line looked at had any value.
    fn knows_nothing(&self) -> bool;
    /// Learns from a line which columns are numbers.
    fn look_at(&mut self, line: &[u8]);
    /// The columns of the point.
    fn columns(&self) -> Vec<String>;
    /// The header line of the output.
    fn header(&self) -> Vec<u8>;
    /// Reads the point; `false` where a value is missing or not finite.
    fn read(&mut self, line: &[u8], point: &mut Vec<f32>) -> bool;
    /// Writes the input's part of the line,
    fn begin(&self, line: &[u8], out: &mut Vec<u8>);
    /// then a column of ours,
    fn append(&self, name: &str, value: f64, out: &mut Vec<u8>);
    /// then what closes the line.
    fn end(&self, out: &mut Vec<u8>);
}

/// A CSV field, quoted where it must be.
pub(crate) fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

/// A coordinate; the same conversion as the pipeline's, so that scores are equal to the last bit.
fn coordinate(number: f64) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "points are f32")]
    let coordinate = number as f32;
    coordinate.is_finite().then_some(coordinate)
}

fn parse_number(field: &[u8]) -> Option<f64> {
    std::str::from_utf8(field).ok()?.trim().parse().ok()
}

fn missing(wanted: &str, known: &[String]) -> anyhow::Error {
    anyhow::anyhow!("there is no column {wanted:?}; the input has {}", known.join(", "))
}

/// Comma-separated values.
pub(crate) struct CsvColumns {
    header: Vec<u8>,
    names: Vec<String>,
    // Of each column whether its first value was a number; `None` before it had one.
    numeric: Vec<Option<bool>>,
    chosen: Vec<usize>,
}

impl CsvColumns {
    pub(crate) fn from_header(header: &[u8]) -> Self {
        let mut names = Vec::new();
        fields(header, |field| names.push(String::from_utf8_lossy(field).trim().to_owned()));
        let numeric = vec![None; names.len()];
        Self { header: header.to_vec(), names, numeric, chosen: Vec::new() }
    }
}

/// Whether a line ends inside quotation marks, as the reader of [`fields`] sees it: only a mark that
/// begins a field opens, so that `5" pipe,20` is a whole line.
fn has_open_quote(line: &[u8]) -> bool {
    enum At {
        Start,
        Bare,
        Quoted,
        Closed,
    }
    let mut at = At::Start;
    for byte in line {
        at = match (at, byte) {
            (At::Start | At::Closed, b'"') => At::Quoted,
            (At::Quoted, b'"') => At::Closed,
            (At::Quoted, _) => At::Quoted,
            (_, b',') => At::Start,
            _ => At::Bare,
        };
    }
    matches!(at, At::Quoted)
}

/// Calls `each` with every field of a line, unquoted.
fn fields(line: &[u8], mut each: impl FnMut(&[u8])) {
    if !line.contains(&b'"') {
        line.split(|byte| *byte == b',').for_each(each);
        return;
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(line);
    let mut record = csv::ByteRecord::new();
    // A line in memory cannot fail to be read; a quote that is never closed ends with the line.
    if reader.read_byte_record(&mut record).unwrap_or(false) {
        record.iter().for_each(&mut each);
    }
}

impl Row for CsvColumns {
    fn choose(&mut self, wanted: &[String]) -> Result<bool> {
        if wanted.is_empty() {
            if self.numeric.contains(&None) {
                return Ok(false);
            }
            self.choose_from_what_is_known()?;
            return Ok(true);
        }
        self.chosen = wanted
            .iter()
            .map(|name| {
                let found = self.names.iter().position(|known| known == name.trim());
                found.ok_or_else(|| missing(name, &self.names))
            })
            .collect::<Result<_>>()?;
        Ok(true)
    }

    fn choose_from_what_is_known(&mut self) -> Result<()> {
        self.chosen = (0..self.names.len())
            .filter(|column_idx| self.numeric[*column_idx] == Some(true))
            .filter(|column_idx| is_reading(&self.names[*column_idx]))
            .collect();
        if self.chosen.is_empty() && self.numeric.iter().any(Option::is_some) {
            bail!(
                "no column holds numbers (of {}): name one with --columns",
                self.names.join(", ")
            );
        }
        if self.chosen.is_empty() {
            // No line had any value: every line scores 0 whatever the columns are.
            self.chosen = (0..self.names.len()).collect();
        }
        Ok(())
    }

    fn knows_nothing(&self) -> bool {
        self.numeric.iter().all(Option::is_none)
    }

    fn look_at(&mut self, line: &[u8]) {
        let mut column_idx = 0;
        let numeric = &mut self.numeric;
        fields(line, |field| {
            if let Some(seen) = numeric.get_mut(column_idx).filter(|seen| seen.is_none())
                && !field.trim_ascii().is_empty()
            {
                *seen = Some(parse_number(field).is_some());
            }
            column_idx += 1;
        });
    }

    fn columns(&self) -> Vec<String> {
        self.chosen.iter().map(|column_idx| self.names[*column_idx].clone()).collect()
    }

    fn header(&self) -> Vec<u8> {
        self.header.clone()
    }

    fn read(&mut self, line: &[u8], point: &mut Vec<f32>) -> bool {
        point.clear();
        if has_open_quote(line) {
            return false;
        }
        point.resize(self.chosen.len(), 0.0);
        let mut n_read = 0;
        let mut column_idx = 0;
        fields(line, |field| {
            for (dim_idx, chosen) in self.chosen.iter().enumerate() {
                if *chosen == column_idx
                    && let Some(value) = parse_number(field).and_then(coordinate)
                {
                    point[dim_idx] = value;
                    n_read += 1;
                }
            }
            column_idx += 1;
        });
        n_read == self.chosen.len()
    }

    fn begin(&self, line: &[u8], out: &mut Vec<u8>) {
        // A short line is filled up, so that the score stands in its column.
        let mut n_fields = 0_usize;
        if has_open_quote(line) {
            // What follows would be inside the quotes: the line becomes the text of its first field.
            out.push(b'"');
            out.extend(
                line.iter()
                    .flat_map(|byte| std::iter::repeat_n(*byte, if *byte == b'"' { 2 } else { 1 })),
            );
            out.push(b'"');
            n_fields = 1;
        } else {
            out.extend_from_slice(line);
            fields(line, |_| n_fields += 1);
        }
        out.extend(std::iter::repeat_n(b',', self.names.len().saturating_sub(n_fields)));
    }

    fn append(&self, _name: &str, value: f64, out: &mut Vec<u8>) {
        out.push(b',');
        write_f64(value, out);
    }

    fn end(&self, _out: &mut Vec<u8>) {}
}

/// One JSON object a line.
#[derive(Default)]
pub(crate) struct JsonColumns {
    // Of each field of the lines looked at whether its first value was a number.
    known: Vec<(String, bool)>,
    chosen: Vec<String>,
}

fn object(line: &[u8]) -> Option<serde_json::Map<String, Value>> {
    serde_json::from_slice(line).ok()
}

impl Row for JsonColumns {
    fn choose(&mut self, wanted: &[String]) -> Result<bool> {
        if wanted.is_empty() {
            if self.known.is_empty() {
                return Ok(false);
            }
            self.choose_from_what_is_known()?;
        } else {
            self.chosen = wanted.iter().map(|name| name.trim().to_owned()).collect();
        }
        Ok(true)
    }

    fn choose_from_what_is_known(&mut self) -> Result<()> {
        self.chosen = self
            .known
            .iter()
            .filter(|(name, numeric)| *numeric && is_reading(name))
            .map(|(name, _)| name.clone())
            .collect();
        if self.chosen.is_empty() {
            bail!("the first object has no field that is a number: name one with --columns");
        }
        Ok(())
    }

    fn knows_nothing(&self) -> bool {
        self.known.is_empty()
    }

    fn look_at(&mut self, line: &[u8]) {
        for (name, value) in object(line).into_iter().flatten() {
            if !value.is_null() && !self.known.iter().any(|(known, _)| *known == name) {
                self.known.push((name, value.is_number()));
            }
        }
    }

    fn columns(&self) -> Vec<String> {
        self.chosen.clone()
    }

    fn header(&self) -> Vec<u8> {
        Vec::new()
    }

    fn read(&mut self, line: &[u8], point: &mut Vec<f32>) -> bool {
        point.clear();
        let Some(object) = object(line) else { return false };
        for name in &self.chosen {
            let number = object.get(name).and_then(Value::as_f64);
            match number.and_then(coordinate) {
                Some(value) => point.push(value),
                None => return false,
            }
        }
        true
    }

    fn begin(&self, line: &[u8], out: &mut Vec<u8>) {
        let text = line.trim_ascii();
        let is_object = object(line).is_some();
        match text.strip_suffix(b"}").map(<[u8]>::trim_ascii_end).filter(|_| is_object) {
            Some(open) => {
                out.extend_from_slice(open);
                if open != b"{" {
                    out.push(b',');
                }
            }
            // Not an object: its line is kept as a string, so that the output stays NDJSON.
            None => {
                let text = Value::String(String::from_utf8_lossy(text).into_owned());
                out.extend_from_slice(format!("{{\"unreadable\":{text},").as_bytes());
            }
        }
    }

    fn append(&self, name: &str, value: f64, out: &mut Vec<u8>) {
        if out.last() != Some(&b',') && out.last() != Some(&b'{') {
            out.push(b',');
        }
        out.extend_from_slice(Value::String(name.to_owned()).to_string().as_bytes());
        out.push(b':');
        write_f64(value, out);
    }

    fn end(&self, out: &mut Vec<u8>) {
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every line of up to eight bytes: what is written behind it is a field of its own.
    #[test]
    fn a_line_is_open_exactly_where_a_field_behind_it_would_be_swallowed() {
        for n_bytes in 0..=8_u32 {
            for mut code in 0..3_usize.pow(n_bytes) {
                let mut line = Vec::new();
                for _ in 0..n_bytes {
                    line.push(b"a,\""[code % 3]);
                    code /= 3;
                }
                let mut last = Vec::new();
                fields(&[&line[..], b",0"].concat(), |field| last = field.to_vec());
                assert_eq!(has_open_quote(&line), last != b"0", "{}", line.escape_ascii());
            }
        }
    }
}
