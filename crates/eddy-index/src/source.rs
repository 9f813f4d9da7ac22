//! Which part of a document's source an answer holds.

use serde_json::{Map, Value};

use crate::limits::{MAX_FILTER_PATH_PARTS, MAX_FILTER_PATHS};
use crate::query::known;
use crate::{IndexError, names};

/// `_source` of a search.
pub(crate) struct SourceFilter {
    none: bool,
    includes: Vec<String>,
    excludes: Vec<String>,
}

impl SourceFilter {
    pub(crate) fn parse(value: Option<&Value>) -> Result<Self, IndexError> {
        let mut filter = Self { none: false, includes: Vec::new(), excludes: Vec::new() };
        match value {
            None | Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => filter.none = true,
            Some(Value::Object(_)) => {
                let body = known(
                    value.unwrap_or(&Value::Null),
                    "_source",
                    &["includes", "include", "excludes", "exclude"],
                )?;
                for (key, value) in body {
                    let patterns = patterns(value)?;
                    if key.starts_with('i') {
                        filter.includes.extend(patterns);
                    } else {
                        filter.excludes.extend(patterns);
                    }
                }
            }
            Some(value) => filter.includes = patterns(value)?,
        }
        Ok(filter)
    }

    /// The filtered source; none where the request wants none.
    pub(crate) fn apply(&self, source: &str) -> Result<Option<Value>, IndexError> {
        if self.none {
            return Ok(None);
        }
        let source: Value = serde_json::from_str(source).map_err(|error| IndexError::Internal {
            reason: format!("a source is not JSON: {error}"),
        })?;
        match source {
            Value::Object(object) if !(self.includes.is_empty() && self.excludes.is_empty()) => {
                Ok(Some(Value::Object(self.object("", object))))
            }
            source => Ok(Some(source)),
        }
    }

    fn object(&self, prefix: &str, object: Map<String, Value>) -> Map<String, Value> {
        let mut kept = Map::new();
        for (key, value) in object {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            let fits = |patterns: &[String]| patterns.iter().any(|pattern| covers(pattern, &path));
            if fits(&self.excludes) {
                continue;
            }
            let included = self.includes.is_empty() || fits(&self.includes);
            match value {
                Value::Object(inner) => {
                    let inner = self.object(&path, inner);
                    if !inner.is_empty() || included {
                        kept.insert(key, Value::Object(inner));
                    }
                }
                value if included => {
                    kept.insert(key, value);
                }
                _ => {}
            }
        }
        kept
    }
}

/// `filter_path` of a request: which part of an answer is sent. `-` before a pattern leaves out, `**`
/// stands for any names in a row.
pub(crate) struct FilterPath {
    includes: Vec<String>,
    excludes: Vec<String>,
}

impl FilterPath {
    pub(crate) fn parse(text: &str) -> Result<Self, IndexError> {
        let mut filter = Self { includes: Vec::new(), excludes: Vec::new() };
        for pattern in text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()) {
            let (pattern, into) = match pattern.strip_prefix('-') {
                Some(pattern) => (pattern, &mut filter.excludes),
                None => (pattern, &mut filter.includes),
            };
            let mut parts: Vec<&str> = pattern.split('.').collect();
            // Any names and then any names are any names.
            parts.dedup_by(|next, last| *next == "**" && *last == "**");
            if parts.len() > MAX_FILTER_PATH_PARTS {
                return Err(IndexError::illegal(format!(
                    "a pattern of [filter_path] has at most {MAX_FILTER_PATH_PARTS} names"
                )));
            }
            into.push(parts.join("."));
        }
        if filter.includes.len() + filter.excludes.len() > MAX_FILTER_PATHS {
            return Err(IndexError::illegal(format!(
                "[filter_path] has at most {MAX_FILTER_PATHS} patterns"
            )));
        }
        Ok(filter)
    }

    pub(crate) fn apply(&self, answer: Value) -> Value {
        let includes: Vec<&str> = self.includes.iter().map(String::as_str).collect();
        let excludes: Vec<&str> = self.excludes.iter().map(String::as_str).collect();
        let kept = if includes.is_empty() { Some(answer) } else { include(answer, &includes) };
        kept.map_or_else(|| Value::Object(Map::new()), |kept| exclude(kept, &excludes))
    }
}

/// The patterns' remainders below a name; true where one of them ends there.
fn step<'a>(patterns: &[&'a str], name: &str) -> (Vec<&'a str>, bool) {
    let (mut below, mut ends) = (Vec::new(), false);
    for pattern in patterns {
        let mut pattern = *pattern;
        loop {
            let (first, rest) = pattern.split_once('.').unwrap_or((pattern, ""));
            if first == "**" {
                below.push(pattern);
                if !rest.is_empty() {
                    // It stands for no name too.
                    pattern = rest;
                    continue;
                }
                ends = true;
            } else if names::matches(first, name) {
                if rest.is_empty() { ends = true } else { below.push(rest) }
            }
            break;
        }
    }
    // Several ways lead to the same remainder: they must not add up from level to level.
    below.sort_unstable();
    below.dedup();
    (below, ends)
}

fn include(value: Value, patterns: &[&str]) -> Option<Value> {
    match value {
        Value::Object(object) => {
            let mut kept = Map::new();
            for (name, value) in object {
                let (below, ends) = step(patterns, &name);
                let value = if ends { Some(value) } else { include(value, &below) };
                kept.extend(value.map(|value| (name, value)));
            }
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(list) => {
            let kept: Vec<Value> =
                list.into_iter().filter_map(|value| include(value, patterns)).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => None,
    }
}

fn exclude(value: Value, patterns: &[&str]) -> Value {
    match value {
        Value::Object(object) if !patterns.is_empty() => {
            let kept = object.into_iter().filter_map(|(name, value)| {
                let (below, ends) = step(patterns, &name);
                (!ends).then(|| (name, exclude(value, &below)))
            });
            Value::Object(kept.collect())
        }
        Value::Array(list) => {
            Value::Array(list.into_iter().map(|value| exclude(value, patterns)).collect())
        }
        value => value,
    }
}

/// Whether the pattern names the path or one of the objects above it.
fn covers(pattern: &str, path: &str) -> bool {
    names::matches(pattern, path)
        || path.match_indices('.').any(|(at, _)| names::matches(pattern, &path[..at]))
}

fn patterns(value: &Value) -> Result<Vec<String>, IndexError> {
    let list = match value {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    list.iter()
        .map(|pattern| pattern.as_str().map(str::to_owned))
        .collect::<Option<_>>()
        .ok_or_else(|| IndexError::parsing("[_source] needs names of fields"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_filter_path_keeps_what_it_names() {
        let answer = json!({"took": 1, "errors": true, "items": [
            {"index": {"_id": "1", "status": 201}},
            {"index": {"_id": "2", "status": 400, "error": {"type": "t", "reason": "r"}}}]});
        for (path, expected) in [
            ("took", json!({"took": 1})),
            (
                "errors,items.*.error",
                json!({"errors": true,
                "items": [{"index": {"error": {"type": "t", "reason": "r"}}}]}),
            ),
            ("**.type", json!({"items": [{"index": {"error": {"type": "t"}}}]})),
            ("-items,-errors", json!({"took": 1})),
            ("items.*.error,-**.reason", json!({"items": [{"index": {"error": {"type": "t"}}}]})),
            ("nothing", json!({})),
        ] {
            let filter = FilterPath::parse(path).expect(path);
            assert_eq!(filter.apply(answer.clone()), expected, "{path}");
        }
    }

    #[test]
    fn many_stars_in_a_filter_path_cost_no_more_than_one() {
        let stars = |n: usize| format!("{}zzz", "**.".repeat(n));
        let filter = FilterPath::parse(&stars(20_000)).expect("stars in a row are one");
        assert_eq!(filter.includes, ["**.zzz"]);
        let apart = format!("{}z", "**.x*.".repeat(MAX_FILTER_PATH_PARTS / 2 - 1));
        let filter = FilterPath::parse(&apart).expect("within the bound");
        let mut patterns: Vec<&str> = filter.includes.iter().map(String::as_str).collect();
        for level in 0..100 {
            patterns = step(&patterns, "x").0;
            assert!(patterns.len() <= MAX_FILTER_PATH_PARTS, "{} at {level}", patterns.len());
        }
        assert!(FilterPath::parse(&"a.".repeat(MAX_FILTER_PATH_PARTS)).is_err());
        assert!(FilterPath::parse(&"a,".repeat(MAX_FILTER_PATHS + 1)).is_err());
        assert!(FilterPath::parse(&"a,".repeat(MAX_FILTER_PATHS)).is_ok());
    }
}
