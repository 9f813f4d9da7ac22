//! JSON samples: the keys of all records, as a tree.

use std::collections::BTreeMap;

use super::kinds::Kinds;
use super::{Found, Proposal, for_each_sample};
use crate::coerce;
use crate::error::shorten;
use crate::raw::{for_each_entry, for_each_value, invalid_json, rows};
use crate::{DecodeError, path};

/// Objects nested deeper than this stay text.
const MAX_LEVELS: usize = 8;

/// What was seen under one key.
#[derive(Default)]
pub(super) struct Node {
    // Of the values that are no objects.
    kinds: Kinds,
    // Of the objects, as texts: used where a key is an object in some records only.
    objects: Kinds,
    // In order of first appearance.
    children: Vec<(String, Node)>,
    child_idx: BTreeMap<String, usize>,
}

/// A value of one record. A record is read whole before it is counted, so that a bad one leaves
/// no trace.
enum Shape<'a> {
    Leaf(coerce::Found<'a>),
    Object { text: &'a str, entries: Vec<(String, Shape<'a>)> },
}

/// Reads every record of the samples that is an object.
pub(super) fn read(samples: &[&[u8]], found: &mut Found) -> Node {
    let mut root = Node::default();
    for_each_sample(samples, true, |text| match text {
        Ok(text) => for_each_value(text, 0, |value| {
            let records =
                value.and_then(|value| rows(value, &[]).map_err(|error| invalid_json(&error, 0)));
            match records {
                Ok(records) => {
                    records.into_iter().flatten().for_each(|record| match shape(record) {
                        Ok(shape) => {
                            found.n_records += 1;
                            root.see(shape);
                        }
                        Err(error) => found.skip(error),
                    })
                }
                Err(error) => found.skip(error),
            }
        }),
        Err(error) => found.skip(error),
    });
    root
}

fn shape(record: &str) -> Result<Shape<'_>, DecodeError> {
    if !record.starts_with('{') {
        return Err(DecodeError::NotAnObject { found: shorten(record) });
    }
    read_shape(record, 0).map_err(|error| invalid_json(&error, 0))
}

fn read_shape(value: &str, level: usize) -> serde_json::Result<Shape<'_>> {
    if !value.starts_with('{') || level > MAX_LEVELS {
        return Ok(Shape::Leaf(coerce::Found::from_json(value)?));
    }
    // Of a key that comes twice the last value counts, at the place of the first.
    let mut texts: Vec<(String, &str)> = Vec::new();
    let mut text_idx = BTreeMap::new();
    for_each_entry(value, |key, text| {
        let idx = *text_idx.entry(key.to_owned()).or_insert(texts.len());
        match texts.get_mut(idx) {
            Some(entry) => entry.1 = text,
            None => texts.push((key.to_owned(), text)),
        }
    })?;
    let entries = texts.into_iter().map(|(key, text)| Ok((key, read_shape(text, level + 1)?)));
    Ok(Shape::Object { text: value, entries: entries.collect::<serde_json::Result<_>>()? })
}

impl Node {
    fn see(&mut self, shape: Shape<'_>) {
        match shape {
            Shape::Leaf(found) => self.kinds.see_json(&found),
            Shape::Object { text, entries } => {
                self.objects.see_json(&coerce::Found::Nested(text));
                for (key, shape) in entries {
                    self.child(key).see(shape);
                }
            }
        }
    }

    fn child(&mut self, key: String) -> &mut Self {
        let n_children = self.children.len();
        let idx = *self.child_idx.entry(key.clone()).or_insert(n_children);
        if idx == n_children {
            self.children.push((key, Self::default()));
        }
        &mut self.children[idx].1
    }

    /// Proposes the columns of a record's tree.
    pub(super) fn columns(self, columns: &mut Vec<Proposal>) {
        for (key, child) in self.children {
            let path = path::child("$", &key);
            child.propose(key, path, columns);
        }
    }

    fn propose(mut self, name: String, path: String, columns: &mut Vec<Proposal>) {
        if self.kinds.n_values() == 0 && self.objects.n_values() > 0 {
            for (key, child) in self.children {
                let path = path::child(&path, &key);
                child.propose(format!("{name}_{key}"), path, columns);
            }
            return;
        }
        self.kinds.add(&self.objects);
        columns.push(Proposal { name, mapping: Some(path), kinds: self.kinds });
    }
}
