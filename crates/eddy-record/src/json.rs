//! Records out of JSON payloads.
//!
//! A payload is not parsed into a tree: the parser hands out the text of each value that a column
//! wants, and that text alone is converted.

use std::collections::BTreeMap;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Deserializer, Error};

use crate::coerce::{self, Found};
use crate::error::shorten;
use crate::path::Step;
use crate::raw::{
    MAX_DEPTH, elements, find, for_each_value, invalid_json, n_brackets, reason, rows,
};
use crate::schema::{column_steps, path_error};
use crate::{Column, DecodeError, Record, Schema, SchemaError, Value, path};

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

    /// The slot of a first key. A search by halves costs more than a look at each of a few.
    fn slot_of(&self, key: &str) -> Option<usize> {
        const FEW: usize = 8;
        if self.slots.len() > FEW {
            return self.slots.get(key).copied();
        }
        self.slots.iter().find(|(known, _)| ***known == *key).map(|(_, slot)| *slot)
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
        // With the room for all, it becomes the slice as it is.
        let mut values = Vec::with_capacity(columns.len());
        for column in columns.iter().zip(&self.places) {
            values.push(value(column)?);
        }
        Ok(Record { values: values.into() })
    }
}

fn base<'a>(place: &Place, row: &'a str, slots: &[Option<&'a str>]) -> Option<&'a str> {
    place.slot.map_or(Some(row), |slot| slots[slot])
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
        Ok(self.0.slot_of(key))
    }
}
