//! The part of `query_string` that is typed by hand: `field:value`, `field:>=2`, `field:"a b"`,
//! joined by AND or spaces, `NOT` or `-` before a clause, and `*` for everything.

use serde_json::{Value, json};

use crate::IndexError;

/// The text as query JSON.
pub(crate) fn parse(text: &str) -> Result<Value, IndexError> {
    let mut filter = Vec::new();
    let mut must_not = Vec::new();
    let mut negated = false;
    for word in words(text)? {
        match word.as_str() {
            "AND" | "&&" => continue,
            "NOT" => {
                negated = true;
                continue;
            }
            "OR" | "||" => return Err(IndexError::unsupported("OR in a query string")),
            _ => {}
        }
        let (clause, minus) = match word.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (word.strip_prefix('+').unwrap_or(&word), false),
        };
        let query = clause_query(clause)?;
        if minus != negated {
            must_not.push(query)
        } else {
            filter.push(query)
        }
        negated = false;
    }
    Ok(json!({"bool": {"filter": filter, "must_not": must_not}}))
}

fn clause_query(clause: &str) -> Result<Value, IndexError> {
    if clause == "*" || clause == "*:*" {
        return Ok(json!({"match_all": {}}));
    }
    let Some((field, value)) = clause.split_once(':') else {
        return Err(IndexError::unsupported(format!(
            "[{clause}] without a field in a query string"
        )));
    };
    for (sign, name) in [(">=", "gte"), ("<=", "lte"), (">", "gt"), ("<", "lt")] {
        if let Some(bound) = value.strip_prefix(sign) {
            return Ok(json!({"range": {field: {name: bound}}}));
        }
    }
    if let Some(quoted) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
        return Ok(json!({"term": {field: quoted}}));
    }
    if value == "*" {
        return Ok(json!({"exists": {"field": field}}));
    }
    if let Some(special) = value.chars().find(|c| "*?[]{}()~^/\\\"".contains(*c)) {
        return Err(IndexError::unsupported(format!("[{special}] in a query string")));
    }
    Ok(json!({"term": {field: value}}))
}

/// Splits at spaces outside quotation marks.
fn words(text: &str) -> Result<Vec<String>, IndexError> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in text.chars() {
        quoted ^= c == '"';
        if c.is_whitespace() && !quoted {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        } else {
            word.push(c);
        }
    }
    if quoted {
        return Err(IndexError::parsing("a query string has a quotation mark without its end"));
    }
    words.extend((!word.is_empty()).then_some(word));
    Ok(words)
}
