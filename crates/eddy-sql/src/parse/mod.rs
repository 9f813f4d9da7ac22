//! From text to statements: `CREATE STREAM` and `CREATE PUMP`, with the queries as sqlparser's trees.
//!
//! Tokens come from sqlparser under a [dialect](Kinesis) of our own. The statements around the
//! queries are read here; inside queries, what sqlparser does not know is rewritten or cut out on
//! the way and kept in [`Marks`], by the place in the text that it belongs to.

mod marks;
mod statements;

use sqlparser::dialect::Dialect;

pub(crate) use marks::{Marks, Stagger};
pub(crate) use statements::{Pump, Statement, parse};

use crate::error::Place;

/// The dialect: quoted identifiers in double quotes, a query as a function's argument (`CURSOR`).
#[derive(Debug)]
pub(crate) struct Kinesis;

impl Dialect for Kinesis {
    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '"'
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_' || ch == '$'
    }

    fn supports_subquery_as_function_arg(&self) -> bool {
        true
    }

    fn supports_unicode_string_literal(&self) -> bool {
        true
    }
}

/// An identifier after the case rule: upper case unless it was quoted.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) place: Place,
}

impl From<&sqlparser::ast::Ident> for Name {
    fn from(ident: &sqlparser::ast::Ident) -> Self {
        Self { text: cased(&ident.value, ident.quote_style), place: ident.span.start.into() }
    }
}

pub(crate) fn cased(text: &str, quote_style: Option<char>) -> String {
    if quote_style.is_some() { text.to_owned() } else { text.to_uppercase() }
}
