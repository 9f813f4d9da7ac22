//! Documents as the engine reads them: from where they are, without a copy in the engine's form.

use std::iter::Empty;
use std::slice;

use tantivy::DateTime;
use tantivy::schema::document::{Document as EngineDocument, ReferenceValue, ReferenceValueLeaf};
use tantivy::schema::{Field, Value};

use crate::document::{Document, Kept};
use crate::fields::{FIELDS, date};

impl EngineDocument for Document {
    type Value<'a> = Part<'a>;
    type FieldsValuesIter<'a> = Parts<'a>;

    fn iter_fields_and_values(&self) -> Parts<'_> {
        Parts { document: self, n_taken: 0 }
    }
}

/// A field of a document, or a value within one.
#[derive(Clone, Debug)]
pub(crate) enum Part<'a> {
    Text(&'a str),
    Date(DateTime),
    Number(f64),
    Boolean(bool),
    /// The values of all dynamic fields.
    Values(&'a Document),
    /// Of these what is in the inverted index.
    Keywords(&'a Document),
}

impl<'a> Value<'a> for Part<'a> {
    type ArrayIter = Empty<Self>;
    type ObjectIter = Entries<'a>;

    fn as_value(&self) -> ReferenceValue<'a, Self> {
        let entries = |document: &'a Document, with_numbers| {
            ReferenceValue::Object(Entries { document, rest: document.values.iter(), with_numbers })
        };
        match self {
            Self::Text(text) => ReferenceValue::Leaf(ReferenceValueLeaf::Str(text)),
            Self::Date(date) => ReferenceValue::Leaf(ReferenceValueLeaf::Date(*date)),
            Self::Number(number) => ReferenceValue::Leaf(ReferenceValueLeaf::F64(*number)),
            Self::Boolean(value) => ReferenceValue::Leaf(ReferenceValueLeaf::Bool(*value)),
            Self::Values(document) => entries(document, true),
            Self::Keywords(document) => entries(document, false),
        }
    }
}

/// The fields of a document that it has.
pub(crate) struct Parts<'a> {
    document: &'a Document,
    n_taken: u8,
}

impl<'a> Iterator for Parts<'a> {
    type Item = (Field, Part<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let document = self.document;
        loop {
            let n_taken = self.n_taken;
            self.n_taken += 1;
            let part = match n_taken {
                0 => Some((FIELDS.id, Part::Text(document.texts.id()))),
                1 => Some((FIELDS.source, Part::Text(document.texts.source()))),
                2 => document.created_ms.map(|ms| (FIELDS.created, Part::Date(date(ms)))),
                3 => document.score.map(|score| (FIELDS.score, Part::Number(score))),
                4 => {
                    let has_values = !document.values.is_empty();
                    has_values.then_some((FIELDS.values, Part::Values(document)))
                }
                5 => {
                    let has_keywords = document.values.iter().any(|(_, kept)| kept.is_keyword());
                    has_keywords.then_some((FIELDS.keywords, Part::Keywords(document)))
                }
                _ => {
                    self.n_taken = n_taken;
                    return None;
                }
            };
            if part.is_some() {
                return part;
            }
        }
    }
}

/// The dynamic fields of a document, by path.
pub(crate) struct Entries<'a> {
    document: &'a Document,
    rest: slice::Iter<'a, (usize, Kept)>,
    with_numbers: bool,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a str, Part<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let with_numbers = self.with_numbers;
        let (path_idx, kept) = self.rest.find(|(_, kept)| with_numbers || kept.is_keyword())?;
        let part = match kept {
            Kept::Text(at) => Part::Text(self.document.texts.value(at)),
            Kept::Number(number) => Part::Number(*number),
            Kept::Boolean(value) => Part::Boolean(*value),
        };
        Some((&self.document.paths[*path_idx], part))
    }
}
