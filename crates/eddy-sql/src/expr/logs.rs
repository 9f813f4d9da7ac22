//! The log parsers. Each makes several columns of one text: `SELECT STREAM W3C_LOG_PARSE(x, 'COMMON')
//! AS r` gives the columns `r.COLUMN1`, `r.COLUMN2` and so on.

use std::sync::Arc;

use arrow::array::StringArray;
use regex::Regex;
use sqlparser::ast::{Expr, Function};

use super::call::{argument_exprs, function_name};
use super::datetime_text::Format;
use super::udf::{call, texts};
use super::{Translator, Typed, java_pattern, place_of};
use crate::error::{Place, SqlError};
use crate::types::Type;

/// The type of a column where nothing else is said.
const COLUMN: Type = Type::Varchar(Some(1024));
/// The most columns of one call.
const MAX_COLUMNS: usize = 1000;

/// Whether a function of that name makes several columns.
pub(crate) fn is_log_parser(name: &str) -> bool {
    matches!(
        name,
        "REGEX_LOG_PARSE"
            | "FAST_REGEX_LOG_PARSE"
            | "W3C_LOG_PARSE"
            | "VARIABLE_COLUMN_LOG_PARSE"
            | "FIXED_COLUMN_LOG_PARSE"
            | "SYS_LOG_PARSE"
    )
}

impl Translator<'_> {
    /// The columns that a log parser makes, by name.
    pub(crate) fn log_columns(
        &self,
        function: &Function,
        place: Place,
    ) -> Result<Vec<(String, Typed)>, SqlError> {
        let name = function_name(function);
        let args = argument_exprs(function, place)?;
        let Some((text, parameters)) = args.split_first() else {
            return Err(SqlError::new(place, name, "without arguments"));
        };
        let text = self.text_of(text, &name)?;
        match (name.as_str(), parameters) {
            ("REGEX_LOG_PARSE", [pattern]) => {
                let source = self.constant(pattern, &name)?;
                let pattern = java_pattern(&format!("^(?:{source})$"), place_of(pattern), &name)?;
                Ok(by_pattern(&text, &pattern))
            }
            ("W3C_LOG_PARSE", [format]) => {
                let source = self.constant(format, &name)?;
                let wrong = |problem: String| SqlError::new(place_of(format), &name, problem);
                let pattern = w3c_pattern(&source).map_err(wrong)?;
                Ok(by_pattern(&text, &java_pattern(&pattern, place_of(format), &name)?))
            }
            ("VARIABLE_COLUMN_LOG_PARSE", [columns, rest @ ..])
                if (1..=3).contains(&rest.len()) =>
            {
                let rest = rest.iter().map(|it| self.constant(it, &name));
                let rest: Vec<String> = rest.collect::<Result<_, _>>()?;
                self.by_delimiter(text, columns, &rest, &name)
            }
            ("FIXED_COLUMN_LOG_PARSE", [columns]) => self.by_place(&text, columns, &name),
            ("FAST_REGEX_LOG_PARSE", _) => Err(SqlError::unsupported(place, name)
                .instead("use REGEX_LOG_PARSE, with lazy repetition: .*?")),
            // The year, which the format lacks, is nowhere said.
            ("SYS_LOG_PARSE", _) => Err(SqlError::unsupported(place, name)
                .instead("use REGEX_LOG_PARSE, and CHAR_TO_TIMESTAMP with the year")),
            _ => Err(SqlError::new(place, name, "a wrong number of arguments")),
        }
    }

    fn constant(&self, expr: &Expr, construct: &str) -> Result<String, SqlError> {
        let typed = self.text_of(expr, construct)?;
        typed.constant_text().map(str::to_owned).ok_or_else(|| {
            SqlError::unsupported(place_of(expr), format!("{construct} with a computed format"))
                .instead("write it as a literal")
        })
    }

    /// Fields at places that are described.
    fn by_place(
        &self,
        text: &Typed,
        columns: &Expr,
        name: &str,
    ) -> Result<Vec<(String, Typed)>, SqlError> {
        let place = place_of(columns);
        let described = fixed_columns(&self.constant(columns, name)?)
            .map_err(|problem| SqlError::new(place, name, problem))?;
        let mut parsed = Vec::new();
        for column in described {
            let (start, length) = (column.start, column.length);
            let key = format!("at {start} {length:?}");
            let field = call(key, Type::Varchar(None), vec![text.clone()], move |args| {
                let fields = texts(&args[0])?.iter().map(|text| cut_out(text?, start, length));
                Ok(Arc::new(fields.collect::<StringArray>()))
            });
            let field = match column.format {
                None => self.cast_to(field, column.sql_type, place, name)?,
                Some(format) => {
                    let format = Format::read(&format)
                        .map_err(|problem| SqlError::new(place, name, problem))?;
                    self.read_times(format, place, field, column.sql_type, (place, name))?
                }
            };
            parsed.push((column.name, field));
        }
        Ok(parsed)
    }

    /// Fields between delimiters: `[delimiter, escape, quotes]`.
    fn by_delimiter(
        &self,
        text: Typed,
        columns: &Expr,
        told: &[String],
        name: &str,
    ) -> Result<Vec<(String, Typed)>, SqlError> {
        let place = place_of(columns);
        let described = self.expr(columns)?;
        let columns = match described.constant_integer() {
            Some(count) => {
                let count = usize::try_from(count).ok().filter(|it| (1..=MAX_COLUMNS).contains(it));
                let count = count.ok_or_else(|| {
                    SqlError::new(place, name, format!("a number of 1..={MAX_COLUMNS} columns"))
                })?;
                (1..=count).map(|idx| (format!("COLUMN{idx}"), COLUMN)).collect()
            }
            None => described_columns(&self.constant(columns, name)?)
                .map_err(|problem| SqlError::new(place, name, problem))?,
        };
        let splitter = Splitter {
            delimiter: told[0].clone(),
            escape: told.get(1).filter(|it| !it.is_empty()).cloned(),
            quotes: told.get(2).and_then(|quotes| {
                let mut chars = quotes.chars();
                let begin = chars.next()?;
                Some((begin, chars.next().unwrap_or(begin)))
            }),
        };
        if splitter.delimiter.is_empty() {
            return Err(SqlError::new(place, name, "the delimiter is empty"));
        }
        let mut parsed = Vec::new();
        for (column_idx, (column, sql_type)) in columns.into_iter().enumerate() {
            let (splitter, key) = (splitter.clone(), format!("split {splitter:?} {column_idx}"));
            let field = call(key, Type::Varchar(None), vec![text.clone()], move |args| {
                let field = |text: &str| splitter.field(text, column_idx);
                let fields = texts(&args[0])?.iter().map(|text| text.and_then(field));
                Ok(Arc::new(fields.collect::<StringArray>()))
            });
            parsed.push((column, self.cast_to(field, sql_type, place, name)?));
        }
        Ok(parsed)
    }
}

/// A column a group; NULL where the pattern does not match.
fn by_pattern(text: &Typed, pattern: &Regex) -> Vec<(String, Typed)> {
    let n_groups = pattern.captures_len() - 1;
    let column = |group: usize| {
        let key = format!("group {group} of {pattern}");
        let pattern = pattern.clone();
        let typed = call(key, COLUMN, vec![text.clone()], move |args| {
            let found = |text| {
                let found: regex::Match<'_> = pattern.captures(text)?.get(group)?;
                Some(super::cut(found.as_str(), 1024).to_owned())
            };
            let found = texts(&args[0])?.iter().map(|text| text.and_then(found));
            Ok(Arc::new(found.collect::<StringArray>()))
        });
        (format!("COLUMN{group}"), typed)
    };
    (1..=n_groups).map(column).collect()
}

/// The regular expression of a format of Apache's: a group a specifier.
fn w3c_pattern(format: &str) -> Result<String, String> {
    let format = match format.trim().to_uppercase().as_str() {
        "COMMON" => r#"%h %l %u %t "%r" %>s %b"#,
        "COMMON WITH VHOST" => r#"%v %h %l %u %t "%r" %>s %b"#,
        "NCSA EXTENDED" => r#"%h %l %u %t "%r" %>s %b "%[Referer]i" "%[User-agent]i""#,
        "REFERER" => "%[Referer]i ---> %U",
        "AGENT" => "%[User-agent]i",
        "IIS" => return Err("the format IIS is not supported; write a format".to_owned()),
        _ => format,
    };
    let mut pattern = String::from("^");
    let mut chars = format.chars().peekable();
    let mut quoted = false;
    while let Some(char) = chars.next() {
        if char != '%' {
            quoted ^= char == '"';
            pattern.push_str(&regex::escape(&char.to_string()));
            continue;
        }
        // Conditions and redirections stand between % and the letter; names in brackets or braces.
        while chars.peek().is_some_and(|it| matches!(it, '<' | '>' | '!' | ',' | '0'..='9')) {
            chars.next();
        }
        if let Some(open) = chars.peek().copied().filter(|it| matches!(it, '[' | '{')) {
            let close = if open == '[' { ']' } else { '}' };
            if !chars.by_ref().any(|it| it == close) {
                return Err(format!("{open} is not closed in the format"));
            }
        }
        match chars.next() {
            Some('%') => pattern.push('%'),
            Some('t') => pattern.push_str(r"(\[[^\]]*\])"),
            Some(_) if quoted => pattern.push_str(r#"((?:[^"\\]|\\.)*)"#),
            Some(_) if chars.peek().is_none() => pattern.push_str("(.*)"),
            Some(_) => pattern.push_str(r"(\S*)"),
            None => return Err("the format ends with %".to_owned()),
        }
    }
    pattern.push('$');
    Ok(pattern)
}

/// `NAME TYPE data type, ..`.
fn described_columns(text: &str) -> Result<Vec<(String, Type)>, String> {
    let mut columns = Vec::new();
    for column in descriptions(text)? {
        let wrong = || format!("no column: {column:?}; write NAME TYPE VARCHAR(16)");
        let words: Vec<&str> = column.splitn(3, char::is_whitespace).collect();
        let [name, keyword, sql_type] = words[..] else { return Err(wrong()) };
        if !keyword.eq_ignore_ascii_case("TYPE") {
            return Err(wrong());
        }
        let sql_type = sql_type.trim().trim_end_matches("NOT NULL");
        columns.push((column_name(name), Type::parse(sql_type)?));
    }
    Ok(columns)
}

/// The descriptions of columns, between commas outside of parentheses and quotes.
fn descriptions(text: &str) -> Result<Vec<&str>, String> {
    let mut found = Vec::new();
    let (mut begin, mut depth, mut quote) = (0, 0, None);
    for (at, char) in text.char_indices() {
        match (quote, char) {
            (Some(open), _) => quote = (char != open).then_some(open),
            (None, '\'' | '"') => quote = Some(char),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, ',') if depth == 0 => {
                found.push(text[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    found.push(text[begin..].trim());
    if found.len() > MAX_COLUMNS {
        return Err(format!("more than {MAX_COLUMNS} columns"));
    }
    Ok(found)
}

fn column_name(name: &str) -> String {
    let quote = name.starts_with('"').then_some('"');
    crate::parse::cased(name.trim_matches('"'), quote)
}

/// A column of FIXED_COLUMN_LOG_PARSE.
#[derive(Debug, PartialEq)]
struct FixedColumn {
    name: String,
    sql_type: Type,
    // Of times.
    format: Option<String>,
    // Characters from 0; without a length to the end.
    start: usize,
    length: Option<usize>,
}

/// `NAME TYPE data type ['format'] [NOT NULL] START place [FOR length], ..`.
fn fixed_columns(text: &str) -> Result<Vec<FixedColumn>, String> {
    let pattern = Regex::new(
        r#"(?is)^("[^"]+"|[^\s"]+)\s+TYPE\s+([^']+?)(?:\s+'([^']*)')?(?:\s+NOT\s+NULL)?\s+START\s+(\d+)(?:\s+FOR\s+(\d+))?$"#,
    )
    .map_err(|error| error.to_string())?;
    let each = |column: &str| {
        let wrong = || format!("no column: {column:?}; write NAME TYPE VARCHAR(16) START 0 FOR 16");
        let found = pattern.captures(column).ok_or_else(wrong)?;
        let number = |group: usize| {
            let digits = found.get(group)?;
            Some(digits.as_str().parse::<usize>().map_err(|_| wrong()))
        };
        let sql_type = Type::parse(&found[2])?;
        let format = found.get(3).map(|format| format.as_str().to_owned());
        if format.is_some() && !matches!(sql_type, Type::Timestamp | Type::Date | Type::Time) {
            return Err(format!("{sql_type} has no format: {column:?}"));
        }
        Ok(FixedColumn {
            name: column_name(&found[1]),
            sql_type,
            format,
            start: number(4).ok_or_else(wrong)??,
            length: number(5).transpose()?,
        })
    };
    descriptions(text)?.into_iter().map(each).collect()
}

/// The characters at a place, as many as there are; `None` where the text ends before.
fn cut_out(text: &str, start: usize, length: Option<usize>) -> Option<String> {
    let mut rest = text.chars().skip(start).peekable();
    rest.peek()?;
    Some(rest.take(length.unwrap_or(usize::MAX)).collect())
}

#[derive(Clone, Debug)]
struct Splitter {
    delimiter: String,
    escape: Option<String>,
    quotes: Option<(char, char)>,
}

impl Splitter {
    /// The field of that index, without its quotes and escapes; `None` where there are fewer.
    fn field(&self, text: &str, wanted: usize) -> Option<String> {
        let (mut rest, mut field, mut idx) = (text, String::new(), 0);
        let mut closes = None;
        loop {
            if let Some(escape) = &self.escape
                && let Some(escaped) = rest.strip_prefix(escape.as_str())
            {
                let mut chars = escaped.chars();
                field.extend(chars.next());
                rest = chars.as_str();
                continue;
            }
            if closes.is_none()
                && let Some(next) = rest.strip_prefix(self.delimiter.as_str())
            {
                if idx == wanted {
                    return Some(field);
                }
                (rest, idx) = (next, idx + 1);
                field.clear();
                continue;
            }
            let mut chars = rest.chars();
            let Some(char) = chars.next() else { break };
            rest = chars.as_str();
            match (closes, self.quotes) {
                (Some(close), _) if char == close => closes = None,
                (None, Some((open, close))) if char == open => closes = Some(close),
                _ => field.push(char),
            }
        }
        (idx == wanted).then_some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_between_delimiters_outside_quotes_and_without_escapes() {
        let splitter = |escape: Option<&str>, quotes| Splitter {
            delimiter: ",".to_owned(),
            escape: escape.map(str::to_owned),
            quotes,
        };
        let plain = splitter(None, None);
        assert_eq!(plain.field("a,b,", 1).as_deref(), Some("b"));
        assert_eq!(plain.field("a,b,", 2).as_deref(), Some(""));
        assert_eq!(plain.field("a,b,", 3), None);
        assert_eq!(splitter(Some("\\"), None).field("a\\,b,c", 0).as_deref(), Some("a,b"));
        let quoted = splitter(None, Some(('<', '>')));
        assert_eq!(quoted.field("x,<a,b>c", 1).as_deref(), Some("a,bc"));
    }

    #[test]
    fn a_format_has_a_group_a_specifier() {
        let pattern = Regex::new(&w3c_pattern("ncsa extended").expect("known")).expect("valid");
        let line = r#"1.2.3.4 - x [24/May/2004:22:01:02 -0700] "GET /a b" 304 0 "-" "M \"q\" 5""#;
        let found = pattern.captures(line).expect("it fits");
        assert_eq!(&found[4], "[24/May/2004:22:01:02 -0700]");
        assert_eq!((&found[5], &found[6], &found[9]), ("GET /a b", "304", r#"M \"q\" 5"#));
        assert!(w3c_pattern("%").is_err() && w3c_pattern("IIS").is_err());
    }

    #[test]
    fn columns_are_described_by_name_and_type() {
        let columns = described_columns(r#"a TYPE VARCHAR(4), "b" TYPE DECIMAL(5,2) NOT NULL"#);
        let expected = [
            ("A".to_owned(), Type::Varchar(Some(4))),
            ("b".to_owned(), Type::Decimal { precision: 5, scale: 2 }),
        ];
        assert_eq!(columns.as_deref(), Ok(expected.as_slice()));
        assert!(described_columns("a VARCHAR(4)").is_err());
    }

    #[test]
    fn fixed_columns_have_places_and_times_have_formats() {
        let text = r#"a TYPE INTEGER NOT NULL START 0 FOR 4, "t" TYPE TIMESTAMP 'HH, ss' START 4"#;
        let expected = [
            FixedColumn {
                name: "A".to_owned(),
                sql_type: Type::Integer,
                format: None,
                start: 0,
                length: Some(4),
            },
            FixedColumn {
                name: "t".to_owned(),
                sql_type: Type::Timestamp,
                format: Some("HH, ss".to_owned()),
                start: 4,
                length: None,
            },
        ];
        assert_eq!(fixed_columns(text).as_deref(), Ok(expected.as_slice()));
        for wrong in
            ["a TYPE INTEGER", "a START 1", "a TYPE INTEGER START -1", "a TYPE INTEGER 'y' START 1"]
        {
            assert!(fixed_columns(wrong).is_err(), "{wrong}");
        }
        assert_eq!(cut_out("häß", 1, Some(5)).as_deref(), Some("äß"));
        assert_eq!(cut_out("abc", 3, None), None);
    }
}
