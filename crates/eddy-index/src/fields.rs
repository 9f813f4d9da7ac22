//! The engine's schema, and the engine's names for a document's fields.
//!
//! Four fields have their own place; every other field of a document lives in two dynamic ones:
//! `values`, whose columns serve ranges, sorts and aggregations, and `keywords`, the inverted index
//! of its strings and booleans. Numbers are not in the inverted index: nearly every score is a term
//! of its own, and a column finds them as fast. All numbers are f64, so that a field that is 7 in
//! one document and 7.5 in the next is one column.

use std::ops::Bound;
use std::sync::LazyLock;

use tantivy::schema::{
    DateOptions, DateTimePrecision, Field, IndexRecordOption, JsonObjectOptions, NumericOptions,
    STORED, STRING, Schema, TextFieldIndexing,
};
use tantivy::{DateTime, Term};

/// The date field: ROWTIME of a scored row.
pub(crate) const CREATED: &str = "created";
/// The score field.
pub(crate) const SCORE: &str = "ANOMALY_SCORE";
const VALUES: &str = "values";

/// The schema of every index and handles to its fields.
pub(crate) struct Fields {
    pub(crate) schema: Schema,
    pub(crate) id: Field,
    pub(crate) source: Field,
    pub(crate) created: Field,
    pub(crate) score: Field,
    pub(crate) values: Field,
    pub(crate) keywords: Field,
}

pub(crate) static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let raw = TextFieldIndexing::default()
        .set_tokenizer("raw")
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::Basic);
    let mut builder = Schema::builder();
    let id = builder.add_text_field("_id", STRING | STORED);
    let source = builder.add_text_field("_source", STORED);
    let created = builder.add_date_field(
        CREATED,
        DateOptions::default().set_fast().set_precision(DateTimePrecision::Milliseconds),
    );
    let score = builder.add_f64_field(SCORE, NumericOptions::default().set_fast());
    let values = builder.add_json_field(
        VALUES,
        JsonObjectOptions::default().set_fast("raw").set_expand_dots_enabled(),
    );
    let keywords = builder.add_json_field(
        "keywords",
        JsonObjectOptions::default().set_indexing_options(raw).set_expand_dots_enabled(),
    );
    Fields { schema: builder.build(), id, source, created, score, values, keywords }
});

/// How a field's values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldKind {
    /// `_id`: in the inverted index only.
    Id,
    /// `created`.
    Date,
    /// `ANOMALY_SCORE`.
    Score,
    /// Any other: numbers, strings and booleans.
    Dynamic,
}

/// How the values of the field of that name are kept.
pub(crate) fn kind(name: &str) -> FieldKind {
    match name {
        "_id" => FieldKind::Id,
        CREATED => FieldKind::Date,
        SCORE => FieldKind::Score,
        _ => FieldKind::Dynamic,
    }
}

/// The engine's path of a document's field. The engine gives a backslash, NUL and SOH in a path a
/// meaning of its own, so these are replaced, alike when writing and when asking.
pub(crate) fn path(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            '\\' => '\u{2}',
            '\0' => '\u{3}',
            '\u{1}' => '\u{4}',
            other => other,
        })
        .collect()
}

/// The engine's column for a document's field.
pub(crate) fn column(name: &str) -> String {
    match kind(name) {
        FieldKind::Dynamic => format!("{VALUES}.{}", path(name)),
        _ => name.to_owned(),
    }
}

/// The document's field that an engine's column keeps, if it is one of the dynamic ones.
pub(crate) fn name_of_column(column: &str) -> Option<String> {
    let path = column.strip_prefix(VALUES)?.strip_prefix('.')?;
    let name = path.chars().map(|c| match c {
        '\u{2}' => '\\',
        '\u{3}' => '\0',
        '\u{4}' => '\u{1}',
        other => other,
    });
    Some(name.collect())
}

/// Whether a path can be kept: each of its parts has at least one character.
pub(crate) fn is_valid_name(name: &str) -> bool {
    !name.is_empty() && name.split('.').all(|part| !part.is_empty())
}

/// The engine's date; milliseconds are checked to fit nanoseconds where dates are read.
pub(crate) fn date(ms: i64) -> DateTime {
    DateTime::from_timestamp_millis(ms)
}

pub(crate) fn id_term(id: &str) -> Term {
    Term::from_field_text(FIELDS.id, id)
}

pub(crate) fn number_term(name: &str, number: f64) -> Term {
    match kind(name) {
        FieldKind::Score => Term::from_field_f64(FIELDS.score, number),
        _ => {
            let mut term = Term::from_field_json_path(FIELDS.values, &path(name), true);
            term.append_type_and_fast_value(number);
            term
        }
    }
}

pub(crate) fn string_column_term(name: &str, text: &str) -> Term {
    let mut term = Term::from_field_json_path(FIELDS.values, &path(name), true);
    term.append_type_and_str(text);
    term
}

pub(crate) fn keyword_term(name: &str, text: &str) -> Term {
    let mut term = Term::from_field_json_path(FIELDS.keywords, &path(name), true);
    term.append_type_and_str(text);
    term
}

pub(crate) fn bool_term(name: &str, value: bool) -> Term {
    let mut term = Term::from_field_json_path(FIELDS.keywords, &path(name), true);
    term.append_type_and_fast_value(value);
    term
}

pub(crate) fn date_term(ms: i64) -> Term {
    Term::from_field_date(FIELDS.created, date(ms))
}

/// Both ends included: equality on a column.
pub(crate) fn only(term: Term) -> (Bound<Term>, Bound<Term>) {
    (Bound::Included(term.clone()), Bound::Included(term))
}
