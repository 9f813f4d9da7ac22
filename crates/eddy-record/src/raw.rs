//! JSON texts cut into the texts of their parts, without making a tree of them.

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Deserializer, Error};

use crate::DecodeError;
use crate::path::Step;

/// How deeply arrays and objects may be nested in a payload.
pub(crate) const MAX_DEPTH: usize = 128;

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

pub(crate) fn n_brackets(text: &str) -> usize {
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
pub(crate) fn find<'a>(
    raw: Option<&'a str>,
    steps: &[Step],
) -> serde_json::Result<Option<&'a str>> {
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

pub(crate) fn invalid_json(error: &Error, line_idx: usize) -> DecodeError {
    DecodeError::InvalidJson {
        line: line_idx + error.line().max(1),
        byte: error.column(),
        reason: reason(error),
    }
}

/// The parser's message without its place, which counts from the beginning of the value.
pub(crate) fn reason(error: &Error) -> String {
    let message = error.to_string();
    match message.rfind(" at line ") {
        Some(at) => message[..at].to_owned(),
        None => message,
    }
}
