//! LIKE, SIMILAR TO, regular expressions, and the functions that have a syntax of their own:
//! SUBSTRING, POSITION, TRIM, OVERLAY.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, StringBuilder};
use arrow::datatypes::Int64Type;
use datafusion_functions::{string, unicode};
use datafusion_physical_expr::expressions::LikeExpr;
use regex::Regex;
use sqlparser::ast::{Expr, TrimWhereField, Value, ValueWithSpan};

use super::udf::{call, map_text, texts};
use super::{Translator, Typed, place_of};
use crate::error::{Place, SqlError};
use crate::types::Type;

/// The longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 16 << 10;

impl Translator<'_> {
    pub(super) fn text_of(&self, expr: &Expr, construct: &str) -> Result<Typed, SqlError> {
        let typed = self.expr(expr)?;
        self.as_text(typed, place_of(expr), construct)
    }

    pub(super) fn as_text(
        &self,
        typed: Typed,
        place: Place,
        construct: &str,
    ) -> Result<Typed, SqlError> {
        match typed.sql_type {
            it if it.is_text() => Ok(typed),
            _ => self.cast_to(typed, Type::Varchar(None), place, construct),
        }
    }

    fn integer_of(&self, expr: &Expr, construct: &str) -> Result<Typed, SqlError> {
        let typed = self.expr(expr)?;
        self.cast_to(typed, Type::BigInt, place_of(expr), construct)
    }

    pub(super) fn like(
        &self,
        inner: &Expr,
        pattern: &Expr,
        escape: Option<&ValueWithSpan>,
        negated: bool,
    ) -> Result<Typed, SqlError> {
        let typed = self.text_of(inner, "LIKE")?;
        let pattern_typed = self.text_of(pattern, "LIKE")?;
        let escape = escape_char(escape, place_of(inner))?;
        // Arrow escapes by a backslash, the language by nothing unless it is told.
        let pattern = match pattern_typed.constant_text() {
            Some(text) => {
                let rewritten = like_pattern(text, escape).ok_or_else(|| {
                    SqlError::new(place_of(pattern), "LIKE", "bad escape in the pattern")
                })?;
                Typed::text(rewritten)
            }
            None => call(
                format!("like pattern {escape:?}"),
                Type::Varchar(None),
                vec![pattern_typed],
                move |args| {
                    map_text(&args[0], |text| {
                        let pattern = like_pattern(text, escape);
                        pattern
                            .map(|it| Some(it.into()))
                            .ok_or_else(|| super::failed("bad escape in a pattern"))
                    })
                },
            ),
        };
        let expr = LikeExpr::new(negated, false, typed.expr, pattern.expr);
        Ok(Typed { expr: Arc::new(expr), sql_type: Type::Boolean })
    }

    pub(super) fn similar(
        &self,
        inner: &Expr,
        pattern: &Expr,
        escape: Option<&ValueWithSpan>,
        negated: bool,
    ) -> Result<Typed, SqlError> {
        let place = place_of(pattern);
        let typed = self.text_of(inner, "SIMILAR TO")?;
        let pattern = self.text_of(pattern, "SIMILAR TO")?;
        let Some(text) = pattern.constant_text() else {
            return Err(SqlError::unsupported(place, "SIMILAR TO with a computed pattern")
                .instead("write the pattern as a literal"));
        };
        let escape = escape_char(escape, place)?;
        let source = similar_pattern(text, escape);
        let regex = compiled(&source, place, "SIMILAR TO")?;
        let name = format!("similar {negated} {source}");
        Ok(call(name, Type::Boolean, vec![typed], move |args| {
            let texts = texts(&args[0])?;
            let matched = texts.iter().map(|text| text.map(|text| regex.is_match(text) != negated));
            Ok(Arc::new(matched.collect::<BooleanArray>()))
        }))
    }

    pub(super) fn position(&self, what: &Expr, within: &Expr) -> Result<Typed, SqlError> {
        let place = place_of(what);
        let (what, within) = (self.text_of(what, "POSITION")?, self.text_of(within, "POSITION")?);
        let found = self.library(unicode::strpos(), vec![within, what], place)?;
        self.cast_to(found, Type::Integer, place, "POSITION")
    }

    pub(super) fn substring(
        &self,
        inner: &Expr,
        from: Option<&Expr>,
        length: Option<&Expr>,
    ) -> Result<Typed, SqlError> {
        let text = self.text_of(inner, "SUBSTRING")?;
        let sql_type = text.sql_type;
        let mut args = vec![text];
        match from {
            Some(from) => args.push(self.integer_of(from, "SUBSTRING")?),
            None => args.push(Typed::literal(1_i64.into(), Type::BigInt)),
        }
        if let Some(length) = length {
            args.push(self.integer_of(length, "SUBSTRING")?);
        }
        let cut = self.library(unicode::substr(), args, place_of(inner))?;
        let sql_type =
            if let Type::Char(length) = sql_type { Type::Varchar(Some(length)) } else { sql_type };
        Ok(Typed { sql_type, ..cut })
    }

    pub(super) fn trim(
        &self,
        from: Option<TrimWhereField>,
        what: Option<&Expr>,
        inner: &Expr,
    ) -> Result<Typed, SqlError> {
        let place = place_of(inner);
        let text = self.text_of(inner, "TRIM")?;
        let sql_type = text.sql_type;
        let mut args = vec![text];
        if let Some(what) = what {
            args.push(self.text_of(what, "TRIM")?);
        }
        let function = match from {
            None | Some(TrimWhereField::Both) => string::btrim(),
            Some(TrimWhereField::Leading) => string::ltrim(),
            Some(TrimWhereField::Trailing) => string::rtrim(),
        };
        let trimmed = self.library(function, args, place)?;
        let sql_type =
            if let Type::Char(length) = sql_type { Type::Varchar(Some(length)) } else { sql_type };
        Ok(Typed { sql_type, ..trimmed })
    }

    /// `OVERLAY(text PLACING new FROM start [FOR length])`.
    pub(super) fn overlay(
        &self,
        inner: &Expr,
        new: &Expr,
        start: &Expr,
        length: Option<&Expr>,
    ) -> Result<Typed, SqlError> {
        let place = place_of(inner);
        let text = self.text_of(inner, "OVERLAY")?;
        let new = self.text_of(new, "OVERLAY")?;
        let start = self.integer_of(start, "OVERLAY")?;
        let length = match length {
            Some(length) => self.integer_of(length, "OVERLAY")?,
            None => {
                let length = self.library(unicode::character_length(), vec![new.clone()], place)?;
                self.cast_to(length, Type::BigInt, place, "OVERLAY")?
            }
        };
        let args = vec![text, new, start, length];
        Ok(call("overlay", Type::Varchar(None), args, |args| {
            let (text, new) = (texts(&args[0])?, texts(&args[1])?);
            let start = args[2].as_primitive::<Int64Type>();
            let length = args[3].as_primitive::<Int64Type>();
            let mut out = StringBuilder::new();
            for row in 0..text.len() {
                if args.iter().any(|arg| arg.is_null(row)) {
                    out.append_null();
                    continue;
                }
                let before = usize::try_from(start.value(row) - 1).unwrap_or(0);
                let replaced = usize::try_from(length.value(row)).unwrap_or(0);
                let chars = text.value(row).chars();
                let head: String = chars.clone().take(before).collect();
                let tail: String = chars.skip(before.saturating_add(replaced)).collect();
                out.append_value(format!("{head}{}{tail}", new.value(row)));
            }
            Ok(Arc::new(out.finish()))
        }))
    }
}

fn escape_char(escape: Option<&ValueWithSpan>, place: Place) -> Result<Option<char>, SqlError> {
    let Some(escape) = escape else { return Ok(None) };
    let wrong = || SqlError::new(place, "ESCAPE", "one character is needed");
    let Value::SingleQuotedString(text) = &escape.value else { return Err(wrong()) };
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(escape), None) => Ok(Some(escape)),
        _ => Err(wrong()),
    }
}

/// A pattern whose escape is a backslash; `None` where it ends with its escape.
fn like_pattern(text: &str, escape: Option<char>) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if Some(char) == escape {
            out.push('\\');
            out.push(chars.next()?);
        } else if char == '\\' {
            out.push_str("\\\\");
        } else {
            out.push(char);
        }
    }
    Some(out)
}

/// A regular expression of SQL as one of ours: it matches the whole text.
fn similar_pattern(text: &str, escape: Option<char>) -> String {
    let mut out = String::from("(?s)^(?:");
    let mut chars = text.chars();
    let mut in_class = false;
    while let Some(char) = chars.next() {
        match char {
            char if Some(char) == escape => {
                if let Some(next) = chars.next() {
                    out.push_str(&regex::escape(&next.to_string()));
                }
            }
            '[' => {
                in_class = true;
                out.push('[');
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            '%' if !in_class => out.push_str(".*"),
            '_' if !in_class => out.push('.'),
            '|' | '*' | '+' | '?' | '(' | ')' | '{' | '}' if !in_class => out.push(char),
            '^' | '-' | ':' if in_class => out.push(char),
            char => out.push_str(&regex::escape(&char.to_string())),
        }
    }
    out.push_str(")$");
    // [[:ALPHA:]] is written in upper case in SQL.
    ["ALPHA", "UPPER", "LOWER", "DIGIT", "ALNUM", "SPACE"].iter().fold(out, |out, class| {
        out.replace(&format!("[:{class}:]"), &format!("[:{}:]", class.to_ascii_lowercase()))
    })
}

fn compiled(source: &str, place: Place, construct: &str) -> Result<Regex, SqlError> {
    if source.len() > MAX_PATTERN_BYTES {
        return Err(SqlError::new(place, construct, "the pattern is longer than 16 KiB"));
    }
    Regex::new(source).map_err(|error| {
        let reason = error.to_string().lines().last().unwrap_or_default().to_owned();
        SqlError::new(place, construct, format!("the pattern cannot be read: {reason}"))
    })
}

/// A regular expression as Java writes it. Look-around and back references, which can take for ever,
/// are refused.
pub(crate) fn java_pattern(text: &str, place: Place, construct: &str) -> Result<Regex, SqlError> {
    compiled(text, place, construct).map_err(|error| {
        error.instead("look-around and back references are not supported; write it without them")
    })
}
