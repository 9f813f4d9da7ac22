//! Records out of JSON payloads.
//!
//! A payload is not parsed into a tree: the parser hands out the text of each value that a column
//! wants, and that text alone is converted.

use std::collections::BTreeMap;

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Deserializer, Error};

use crate::coerce::{self, Found};
use crate::error::shorten;
use crate::path::Step;
use crate::schema::{column_steps, path_error};
use crate::{Column, DecodeError, Record, Schema, SchemaError, Value, path};

/// How deeply arrays and objects may be nested in a payload.
pub(crate) const MAX_DEPTH: usize = 128;

/// What a schema's paths mean, worked out once.
#[derive(Debug)]
pub(crate) struct JsonPlan {
    row_path: String,
    row_steps: Vec<Step>,
    // One a column.
    places: Vec<Place>,
    // The first keys of all places, each with its slot.
    slots: BTreeMap<Box<str>, usize>,
    // The array whose elements become rows of their own.
    flattened: Option<Place>,
}

/// Where a column stands in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    // The slot of the first key; `None` for paths that do not begin with one.
    slot: Option<usize>,
    steps: Vec<Step>,
    // The steps inside an element of the flattened array.
    inside: Option<Vec<Step>>,
}

impl JsonPlan {
    pub(crate) fn new(schema: &Schema, row_path: &str) -> Result<Self, SchemaError> {
        let row_steps = path::parse(row_path).map_err(|reason| SchemaError::Path {
            path_of: "row path".to_owned(),
            path: row_path.to_owned(),
            reason,
        })?;
        let mut plan = Self {
            row_path: row_path.to_owned(),
            row_steps,
            places: Vec::new(),
            slots: BTreeMap::new(),
            flattened: None,
        };
        for column in &schema.columns {
            let place = plan.place(column)?;
            plan.places.push(place);
        }
        Ok(plan)
    }

    fn place(&mut self, column: &Column) -> Result<Place, SchemaError> {
        let mut steps = column_steps(column)?;
        // At the end, all of an array's elements are the array.
        if steps.last() == Some(&Step::All) {
            steps.pop();
        }
        let mut inside = None;
        if let Some(all_idx) = steps.iter().position(|step| *step == Step::All) {
            inside = Some(steps.split_off(all_idx + 1));
            steps.pop();
        }
        if inside.as_ref().is_some_and(|inside| inside.contains(&Step::All)) {
            return Err(path_error(column, "only one [0:] may stand before other steps"));
        }
        let slot = match steps.first() {
            Some(Step::Key(key)) => {
                let n_slots = self.slots.len();
                let slot = *self.slots.entry(key.clone()).or_insert(n_slots);
                steps.remove(0);
                Some(slot)
            }
            _ => None,
        };
        let place = Place { slot, steps, inside };
        if place.inside.is_some() {
            let array = Place { inside: None, ..place.clone() };
            if self.flattened.get_or_insert_with(|| array.clone()) != &array {
                return Err(path_error(column, "only one array may be spread over rows"));
            }
        }
        Ok(place)
    }

    /// Whether the payload's text is the record, and its columns are entries of it.
    fn is_plain(&self) -> bool {
        self.row_steps.is_empty()
            && self.flattened.is_none()
            && self.places.iter().all(|place| place.slot.is_some())
    }

    /// Decodes every record in a payload's text; `line_idx` is the line that the text begins on.
    pub(crate) fn decode(
        &self,
        columns: &[Column],
        text: &str,
        line_idx: usize,
        out: &mut Vec<Result<Record, DecodeError>>,
    ) {
        // One object and nothing else: the common case needs one pass. What is wrong with it, if it
        // fails, is found out below.
        if self.is_plain() && text.trim_start().starts_with('{') && n_brackets(text) <= MAX_DEPTH {
            let mut slots = vec![None; self.slots.len()];
            let mut parser = Deserializer::from_str(text);
            let seen = Slots { plan: self, slots: &mut slots }.deserialize(&mut parser);
            if seen.and_then(|()| parser.end()).is_ok() {
                out.push(self.row(columns, "", &slots, None));
                return;
            }
        }
        for_each_value(text, line_idx, |value| match value {
            Ok(value) => match rows(value, &self.row_steps) {
                Ok(Some(rows)) => rows.iter().for_each(|row| self.decode_row(columns, row, out)),
                Ok(None) => out.push(Err(DecodeError::NoRows { row_path: self.row_path.clone() })),
                Err(error) => out.push(Err(invalid_json(&error, line_idx))),
            },
            Err(error) => out.push(Err(error)),
        });
    }

    /// Decodes the record at the end of the row path, which may become several by flattening.
    fn decode_row(
        &self,
        columns: &[Column],
        row: &str,
        out: &mut Vec<Result<Record, DecodeError>>,
    ) {
        let mut slots = vec![None; self.slots.len()];
        if row.starts_with('{') {
            let mut parser = Deserializer::from_str(row);
            if let Err(error) = (Slots { plan: self, slots: &mut slots }).deserialize(&mut parser) {
                out.push(Err(invalid_json(&error, 0)));
                return;
            }
        } else if self.places.iter().any(|place| place.slot.is_some()) {
            out.push(Err(DecodeError::NotAnObject { found: shorten(row) }));
            return;
        }
        let Some(array) = &self.flattened else {
            out.push(self.row(columns, row, &slots, None));
            return;
        };
        let found = find(base(array, row, &slots), &array.steps).and_then(|found| match found {
            Some(array) if array.starts_with('[') => elements(array),
            _ => Ok(Vec::new()),
        });
        match found {
            // An empty array is one row without its columns.
            Ok(elements) if elements.is_empty() => {
                out.push(self.row(columns, row, &slots, Some("null")));
            }
            Ok(elements) => {
                out.extend(
                    elements.iter().map(|element| self.row(columns, row, &slots, Some(element))),
                );
            }
            Err(error) => out.push(Err(invalid_json(&error, 0))),
        }
    }

    fn row(
        &self,
        columns: &[Column],
        row: &str,
        slots: &[Option<&str>],
        element: Option<&str>,
    ) -> Result<Record, DecodeError> {
        let value = |(column, place): (&Column, &Place)| -> Result<Value, DecodeError> {
            let raw = match &place.inside {
                Some(inside) => find(element, inside),
                None => find(base(place, row, slots), &place.steps),
            };
            let unreadable = |error: Error| DecodeError::InvalidText {
                column: column.name.clone(),
                reason: reason(&error),
            };
            match raw.map_err(unreadable)? {
                Some(raw) => coerce::coerce(column, &Found::from_json(raw).map_err(unreadable)?),
                None => coerce::missing(column),
            }
        };
        let values = columns.iter().zip(&self.places).map(value).collect::<Result<_, _>>()?;
        Ok(Record { values })
    }
}

fn base<'a>(place: &Place, row: &'a str, slots: &[Option<&'a str>]) -> Option<&'a str> {
    place.slot.map_or(Some(row), |slot| slots[slot])
}

/// Hands out the values that stand one after another, and an error for each stretch that is none.
///
/// After an error it goes on at the next line; where the failed value had reached into later lines,
/// at the next one that begins with a bracket, which a line inside of a value rarely does.
pub(crate) fn for_each_value<'a>(
    text: &'a str,
    line_idx: usize,
    mut each: impl FnMut(Result<&'a str, DecodeError>),
) {
    let mut start = 0;
    // The line of `start`, kept up as it moves.
    let mut line_idx = line_idx;
    loop {
        let rest = &text[start..];
        let n_blank = rest.len() - rest.trim_ascii_start().len();
        line_idx += n_lines(&rest[..n_blank]);
        start += n_blank;
        let rest = &text[start..];
        if rest.is_empty() {
            return;
        }
        let error = if too_deep(rest) {
            let reason = format!("nested deeper than {MAX_DEPTH}");
            DecodeError::InvalidJson { line: line_idx + 1, byte: 0, reason }
        } else {
            let mut values = Deserializer::from_str(rest).into_iter::<&RawValue>();
            match values.next() {
                Some(Ok(value)) => {
                    each(Ok(value.get()));
                    let end = values.byte_offset();
                    line_idx += n_lines(&rest[..end]);
                    start += end;
                    continue;
                }
                Some(Err(error)) => invalid_json(&error, line_idx),
                None => return,
            }
        };
        let in_first_line =
            matches!(error, DecodeError::InvalidJson { line, .. } if line == line_idx + 1);
        each(Err(error));
        let Some(skipped) = next_line(rest, in_first_line) else { return };
        line_idx += n_lines(&rest[..skipped]);
        start += skipped;
    }
}

fn next_line(text: &str, any: bool) -> Option<usize> {
    let mut starts = text.match_indices('\n').map(|(at, _)| at + 1);
    starts.find(|start| any || text[*start..].starts_with(['{', '[']))
}

fn n_lines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

fn n_brackets(text: &str) -> usize {
    text.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count()
}

/// Whether the value that the text begins with is nested deeper than [`MAX_DEPTH`]. The parser
/// skips values without a limit; what reads them later goes down level by level.
fn too_deep(text: &str) -> bool {
    let mut depth = 0_usize;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'\\' => drop(bytes.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
        if depth == 0 {
            return false;
        }
    }
    false
}

/// The records at a row path: what it leads to, and where that is an array its elements. `None`
/// where it leads nowhere.
pub(crate) fn rows<'a>(value: &'a str, steps: &[Step]) -> serde_json::Result<Option<Vec<&'a str>>> {
    let mut found = vec![value];
    for step in steps {
        let mut next = Vec::new();
        for value in found {
            match step {
                Step::All if value.starts_with('[') => next.extend(elements(value)?),
                Step::All => {}
                step => next.extend(find(Some(value), std::slice::from_ref(step))?),
            }
        }
        // All elements of an empty array are no records, but a place where records can be.
        if next.is_empty() && *step != Step::All {
            return Ok(None);
        }
        found = next;
    }
    if let [array] = found[..]
        && array.starts_with('[')
    {
        found = elements(array)?;
    }
    Ok(Some(found))
}

/// The text of the value at the end of `steps`, none of which is [`Step::All`].
fn find<'a>(raw: Option<&'a str>, steps: &[Step]) -> serde_json::Result<Option<&'a str>> {
    let mut raw = raw;
    for step in steps {
        raw = match (raw, step) {
            (Some(object), Step::Key(key)) if object.starts_with('{') => {
                let mut last = None;
                for_each_entry(object, |name, value| {
                    if name == key.as_ref() {
                        last = Some(value);
                    }
                })?;
                last
            }
            (Some(array), Step::Index(idx)) if array.starts_with('[') => {
                elements(array)?.get(*idx).copied()
            }
            _ => return Ok(None),
        };
    }
    Ok(raw)
}

/// The texts of an array's elements.
pub(crate) fn elements(array: &str) -> serde_json::Result<Vec<&str>> {
    struct Elements;
    impl<'de> Visitor<'de> for Elements {
        type Value = Vec<&'de str>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut elements = Vec::new();
            while let Some(element) = seq.next_element::<&RawValue>()? {
                elements.push(element.get());
            }
            Ok(elements)
        }
    }
    Deserializer::from_str(array).deserialize_seq(Elements)
}

/// Hands out an object's keys and the texts of their values, in order, duplicates included.
pub(crate) fn for_each_entry<'a>(
    object: &'a str,
    each: impl FnMut(&str, &'a str),
) -> serde_json::Result<()> {
    struct Entries<F>(F);
    impl<'de, F: FnMut(&str, &'de str)> Visitor<'de> for Entries<F> {
        type Value = ();

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key::<String>()? {
                (self.0)(&key, map.next_value::<&RawValue>()?.get());
            }
            Ok(())
        }
    }
    Deserializer::from_str(object).deserialize_map(Entries(each))
}

/// Fills the slots of a plan from one object; of a key that comes twice the last value counts.
struct Slots<'p, 's, 'a> {
    plan: &'p JsonPlan,
    slots: &'s mut [Option<&'a str>],
}

impl<'de> DeserializeSeed<'de> for Slots<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Slots<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(slot) = map.next_key_seed(SlotOf(self.plan))? {
            match slot {
                Some(slot) => self.slots[slot] = Some(map.next_value::<&RawValue>()?.get()),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Finds a key's slot without keeping the key.
struct SlotOf<'p>(&'p JsonPlan);

impl<'de> DeserializeSeed<'de> for SlotOf<'_> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'de>>(self, parser: D) -> Result<Self::Value, D::Error> {
        parser.deserialize_str(self)
    }
}

impl Visitor<'_> for SlotOf<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.slots.get(key).copied())
    }
}

pub(crate) fn invalid_json(error: &Error, line_idx: usize) -> DecodeError {
    DecodeError::InvalidJson {
        line: line_idx + error.line().max(1),
        byte: error.column(),
        reason: reason(error),
    }
}

/// The parser's message without its place, which counts from the beginning of the value.
fn reason(error: &Error) -> String {
    let message = error.to_string();
    match message.rfind(" at line ") {
        Some(at) => message[..at].to_owned(),
        None => message,
    }
}
