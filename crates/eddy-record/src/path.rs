//! The JSON paths of mappings: `$`, `$.a.b`, `$['a b']`, `$.a[0]`, `$.a[0:]`.

use std::fmt::Write;

/// One step from a value to a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// `.name` or `['name']`: the entry of an object.
    Key(Box<str>),
    /// `[n]`: one element of an array, from 0.
    Index(usize),
    /// `[0:]`: every element of an array.
    All,
}

/// Reads a path; the error says what is wrong with it.
pub(crate) fn parse(path: &str) -> Result<Vec<Step>, &'static str> {
    let mut rest = path.trim().strip_prefix('$').ok_or("a path begins with $")?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let step;
        (step, rest) = if let Some(tail) = rest.strip_prefix("['") {
            quoted(tail, '\'')?
        } else if let Some(tail) = rest.strip_prefix("[\"") {
            quoted(tail, '"')?
        } else if let Some(tail) = rest.strip_prefix('[') {
            let (inside, tail) = tail.split_once(']').ok_or("a [ is never closed")?;
            (index(inside)?, tail)
        } else if let Some(tail) = rest.strip_prefix('.') {
            let end = tail.find(['.', '[']).unwrap_or(tail.len());
            let (name, tail) = tail.split_at(end);
            if name.is_empty() {
                // `$.[0:]` is written for `$[0:]`.
                if tail.starts_with('[') {
                    rest = tail;
                    continue;
                }
                return Err("a name is empty");
            }
            (Step::Key(name.into()), tail)
        } else {
            return Err("after a step comes . or [");
        };
        steps.push(step);
    }
    Ok(steps)
}

/// Writes the path of an entry of the value at `parent`.
pub(crate) fn child(parent: &str, key: &str) -> String {
    let plain =
        !key.is_empty() && key.trim() == key && !key.contains(['.', '[', ']', '\'', '"', '\\']);
    let mut path = parent.to_owned();
    if plain {
        path.push('.');
        path.push_str(key);
        return path;
    }
    path.push_str("['");
    for char in key.chars() {
        if matches!(char, '\'' | '\\') {
            path.push('\\');
        }
        path.push(char);
    }
    // Writing to a String cannot fail.
    let _ = path.write_str("']");
    path
}

fn quoted(tail: &str, quote: char) -> Result<(Step, &str), &'static str> {
    let mut name = String::new();
    let mut chars = tail.char_indices();
    while let Some((at, char)) = chars.next() {
        if char == '\\' {
            name.push(chars.next().ok_or("a quote is never closed")?.1);
        } else if char == quote {
            let tail = tail[at + 1..].strip_prefix(']').ok_or("a [ is never closed")?;
            return Ok((Step::Key(name.into()), tail));
        } else {
            name.push(char);
        }
    }
    Err("a quote is never closed")
}

fn index(inside: &str) -> Result<Step, &'static str> {
    const REASON: &str = "inside [ ] stands a number, 0: or a quoted name";
    match inside.trim() {
        "0:" | "*" => Ok(Step::All),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map(Step::Index).map_err(|_| REASON)
        }
        _ => Err(REASON),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Step {
        Step::Key(name.into())
    }

    #[test]
    fn paths_read_as_steps() {
        assert_eq!(parse("$"), Ok(vec![]));
        assert_eq!(parse("$.a.b-c"), Ok(vec![key("a"), key("b-c")]));
        assert_eq!(parse("$.a[12].b"), Ok(vec![key("a"), Step::Index(12), key("b")]));
        assert_eq!(parse("$[0:]"), Ok(vec![Step::All]));
        assert_eq!(parse("$.[0:]"), Ok(vec![Step::All]));
        assert_eq!(parse("$['a b'][\"c.d\"]"), Ok(vec![key("a b"), key("c.d")]));
    }

    #[test]
    fn what_is_no_path_is_refused_with_a_reason() {
        for bad in
            ["", "a", "$a", "$.", "$..a", "$.a[", "$.a[x]", "$.a[-1]", "$['a", "$['a'", "$[]"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_path_of_any_key_reads_back_as_that_key() {
        for name in ["a", "a b", "a.b", "it's", "b\\", "", "[0]", "\"", " x "] {
            assert_eq!(parse(&child("$", name)), Ok(vec![key(name)]), "{name:?}");
        }
    }
}
