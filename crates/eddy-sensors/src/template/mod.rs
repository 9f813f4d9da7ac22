//! Templates of the Amazon Kinesis Data Generator: a text with functions in double braces.

mod dates;
mod functions;
mod people;
mod words;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::draw::{Purpose, Random};
use crate::record::write_fixed;
use crate::signal::Cell;

/// A record's text with functions in it, such as `{"id":{{random.number(50)}}}`.
///
/// Line ends are left out, as the Kinesis Data Generator does, so that a record is one line. Times
/// are those of the scene, in UTC.
///
/// ```
/// use eddy_sensors::Template;
///
/// let template = Template::parse(r#"{"id":{{random.number({"min":7,"max":7})}}}"#)?;
/// assert_eq!(template.sample(1), r#"{"id":7}"#);
///
/// let error = Template::parse("{{random.numbr}}").unwrap_err();
/// assert_eq!(error.to_string(), "line 1, column 3: there is no function random.numbr");
/// # Ok::<(), eddy_sensors::TemplateError>(())
/// ```
pub struct Template {
    pieces: Vec<Piece>,
}

enum Piece {
    Text(Vec<u8>),
    Call(Call),
}

/// A function with its arguments, which appends its value.
type Call = Box<dyn Fn(&mut Scope<'_>, &mut Vec<u8>) + Send + Sync>;

/// What a function sees.
struct Scope<'a> {
    facts: &'a Facts<'a>,
    random: &'a mut Random,
}

/// What a record is about.
pub(crate) struct Facts<'a> {
    pub(crate) time_ms: i64,
    pub(crate) n_record: u64,
    pub(crate) sensor: &'a str,
    pub(crate) fields: &'a [Arc<str>],
    pub(crate) decimals: &'a [u8],
    pub(crate) cells: &'a [Cell],
    pub(crate) texts: &'a [Vec<Vec<u8>>],
}

/// Why a text is no template: where, and what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct TemplateError {
    /// The line of the function, from 1.
    pub line: usize,
    /// Its first character in the line, from 1.
    pub column: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// It has a function that is not known, or one with other arguments than it takes.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Self::parse_for(text, &[])
    }

    /// The same with the fields that sensors have.
    pub(crate) fn parse_for(text: &str, fields: &[&str]) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        // Spaces around a record are none of it.
        let (start, end) = (text.len() - text.trim_start().len(), text.trim_end().len());
        let mut at = start;
        while at < end {
            let rest = &text[at..end];
            let Some(open) = rest.find("{{") else {
                push_text(rest, &mut pieces);
                break;
            };
            // Of three braces the first is the record's.
            let more = rest[open + 2..].chars().take_while(|brace| *brace == '{').count();
            let name_at = open + more + 2;
            push_text(&rest[..open + more], &mut pieces);
            let error = |offset: usize, problem: String| {
                let before = &text[..at + offset];
                let line_start = before.rfind('\n').map_or(0, |end| end + 1);
                TemplateError {
                    line: before.matches('\n').count() + 1,
                    column: before[line_start..].chars().count() + 1,
                    problem,
                }
            };
            let Some(length) = rest[name_at..].find("}}") else {
                return Err(error(name_at, "{{ without }}".to_owned()));
            };
            let token = &rest[name_at..name_at + length];
            let place = name_at + token.len() - token.trim_start().len();
            let call = compile(token, fields).map_err(|problem| error(place, problem))?;
            pieces.push(Piece::Call(call));
            at += name_at + length + 2;
        }
        if pieces.is_empty() {
            let problem = "the template is empty".to_owned();
            return Err(TemplateError { line: 1, column: 1, problem });
        }
        Ok(Self { pieces })
    }

    /// A record from that seed, at the beginning of 2026.
    pub fn sample(&self, seed: u64) -> String {
        let facts = Facts {
            time_ms: 1_767_225_600_000,
            n_record: 0,
            sensor: "sensor",
            fields: &[],
            decimals: &[],
            cells: &[],
            texts: &[],
        };
        let mut out = Vec::new();
        self.render(&facts, &mut Random::new(seed, Purpose::Template), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Appends a record.
    pub(crate) fn render(&self, facts: &Facts<'_>, random: &mut Random, out: &mut Vec<u8>) {
        let mut scope = Scope { facts, random };
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Call(call) => call(&mut scope, out),
            }
        }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("n_pieces", &self.pieces.len()).finish_non_exhaustive()
    }
}

/// Adds text without its line ends.
fn push_text(text: &str, pieces: &mut Vec<Piece>) {
    let text: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
}

/// What stands between the braces.
fn compile(token: &str, fields: &[&str]) -> Result<Call, String> {
    let token = token.trim();
    let (name, arguments) = match (token.find('('), token.rfind(')')) {
        (Some(open), Some(close)) if open < close => (&token[..open], &token[open + 1..close]),
        (None, None) => (token, ""),
        _ => return Err(format!("{token}: a bracket is missing")),
    };
    let name = name.trim();
    if let Some(field) = name.strip_prefix("sensor.") {
        return of_sensor(field, fields);
    }
    functions::compile(name, &read_arguments(arguments))
}

/// Arguments as JSON, with commas between them; what is none is one text, as the Kinesis Data
/// Generator has it: `date.utc(YYYY-MM-DD)`.
fn read_arguments(text: &str) -> Vec<Value> {
    let text = text.replace(['\n', '\r'], "");
    if text.trim().is_empty() {
        return Vec::new();
    }
    serde_json::from_str(&format!("[{text}]")).unwrap_or_else(|_| vec![Value::from(text)])
}

/// `sensor.name`, or what a field of the scene's sensor reads.
fn of_sensor(field: &str, fields: &[&str]) -> Result<Call, String> {
    if field == "name" {
        return Ok(Box::new(|scope, out| out.extend_from_slice(scope.facts.sensor.as_bytes())));
    }
    if !fields.contains(&field) {
        return Err(format!("there is no function sensor.{field}: no sensor has such a field"));
    }
    let field = field.to_owned();
    Ok(Box::new(move |scope, out| {
        let facts = scope.facts;
        let place = facts.fields.iter().position(|name| **name == *field);
        let cell = place.map_or(Cell::Missing, |idx| facts.cells[idx]);
        let is_written = match (cell, place) {
            (Cell::Number(value), Some(idx)) => write_fixed(value, facts.decimals[idx], out),
            (Cell::Category(text_idx), Some(idx)) => {
                out.extend_from_slice(&facts.texts[idx][text_idx]);
                true
            }
            _ => false,
        };
        if !is_written {
            out.extend_from_slice(b"null");
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(text: &str) -> String {
        Template::parse(text).expect("a template").sample(1)
    }

    #[test]
    fn a_record_is_one_line_and_braces_of_its_own_stay() {
        assert_eq!(sample("\n{\n  \"a\": {{random.number(0)}}\n}\n"), "{  \"a\": 0}");
        assert_eq!(sample("{\"a\":{\"b\":{{random.number(0)}}}}"), "{\"a\":{\"b\":0}}");
        assert_eq!(sample("{{{random.number(0)}}}"), "{0}");
        assert_eq!(sample("no function"), "no function");
    }

    #[test]
    fn errors_say_the_function_and_its_place() {
        let error = |text: &str| Template::parse(text).expect_err("refused").to_string();
        assert_eq!(
            error("{\n  \"a\": {{random.number}},\n  \"b\": {{ weather.today }}\n}"),
            "line 3, column 11: there is no function weather.today"
        );
        assert_eq!(error("x {{random.number"), "line 1, column 5: {{ without }}");
        assert_eq!(error(" \n"), "line 1, column 1: the template is empty");
        assert!(error("{{random.number(}}").contains("a bracket is missing"));
        assert!(error("{{random.arrayElement('a')}}").contains("takes a list"));
        assert!(error("{{sensor.heat}}").contains("no sensor has such a field"));
    }

    #[test]
    fn arguments_are_json_or_else_one_text() {
        assert_eq!(read_arguments("1, \"a\""), [Value::from(1), Value::from("a")]);
        assert_eq!(read_arguments("YYYY-MM"), [Value::from("YYYY-MM")]);
        assert_eq!(read_arguments("\n{\"min\":\n1}"), [serde_json::json!({"min": 1})]);
        assert_eq!(read_arguments(" "), Vec::<Value>::new());
    }
}
