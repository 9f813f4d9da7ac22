//! What is typed by hand: `field:value`, `field:>=2`, `field:[1 TO 5}`, `field:"a b"`, `field:ab*`,
//! `_exists_:field`, AND, OR, NOT, `+`, `-`, parentheses, and `*` for everything.
//!
//! AND binds tighter than OR, as people read it; what stands side by side is joined by
//! `default_operator`.

use serde_json::{Map, Value, json};

use crate::IndexError;
use crate::limits::{MAX_QUERY_DEPTH, MAX_QUERY_STRING_BYTES};
use crate::query::known;

/// The body of a `query_string` query as query JSON.
pub(crate) fn parse(body: &Value, name: &str) -> Result<Value, IndexError> {
    let keys = ["query", "default_operator", "analyze_wildcard", "lenient"];
    let body = known(body, name, &keys)?;
    let text = body
        .get("query")
        .and_then(Value::as_str)
        .ok_or_else(|| IndexError::parsing(format!("[{name}] needs [query]")))?;
    if text.len() > MAX_QUERY_STRING_BYTES {
        return Err(IndexError::illegal(format!(
            "a query string has at most {MAX_QUERY_STRING_BYTES} bytes"
        )));
    }
    let joins_by_and = match body.get("default_operator").and_then(Value::as_str) {
        None => false,
        Some(operator) if operator.eq_ignore_ascii_case("or") => false,
        Some(operator) if operator.eq_ignore_ascii_case("and") => true,
        Some(other) => {
            return Err(IndexError::illegal(format!("unknown default_operator [{other}]")));
        }
    };
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        // As in Elasticsearch: an empty text finds nothing.
        return Ok(json!({"match_none": {}}));
    }
    let mut parser = Parser { tokens: &tokens, joins_by_and, depth: 0 };
    let query = parser.any()?;
    match parser.tokens.first() {
        None => Ok(query),
        Some(token) => Err(IndexError::parsing(format!(
            "Failed to parse query [{text}]: unexpected [{}]",
            token.text()
        ))),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    And,
    Or,
    Not,
    Plus,
    Minus,
    Open,
    Close,
    /// Anything else, as it was typed.
    Clause(String),
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::And => "AND",
            Self::Or => "OR",
            Self::Not => "NOT",
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Open => "(",
            Self::Close => ")",
            Self::Clause(text) => text,
        }
    }
}

/// Splits at spaces and parentheses outside of quotation marks and ranges.
fn tokens(text: &str) -> Result<Vec<Token>, IndexError> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            '+' => tokens.push(Token::Plus),
            '-' | '!' => tokens.push(Token::Minus),
            first => {
                let mut word = String::from(first);
                let mut quoted = first == '"';
                let mut in_range = false;
                let mut escaped = first == '\\';
                while let Some(&c) = chars.peek() {
                    let ends = c.is_whitespace() || c == '(' || c == ')';
                    if ends && !quoted && !in_range && !escaped {
                        break;
                    }
                    chars.next();
                    word.push(c);
                    if escaped {
                        escaped = false;
                        continue;
                    }
                    match c {
                        '\\' => escaped = true,
                        '"' => quoted = !quoted,
                        '[' | '{' if !quoted && word.ends_with([':', '[', '{']) => {
                            in_range |= word[..word.len() - 1].ends_with(':');
                        }
                        ']' | '}' if !quoted => in_range = false,
                        _ => {}
                    }
                }
                if quoted || in_range || escaped {
                    return Err(IndexError::parsing(format!(
                        "Failed to parse query [{text}]: [{word}] does not end"
                    )));
                }
                tokens.push(match word.as_str() {
                    "AND" | "&&" => Token::And,
                    "OR" | "||" => Token::Or,
                    "NOT" => Token::Not,
                    _ => Token::Clause(word),
                });
            }
        }
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    joins_by_and: bool,
    depth: usize,
}

impl Parser<'_> {
    fn take(&mut self, token: &Token) -> bool {
        let found = self.tokens.first() == Some(token);
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    fn at_end(&self) -> bool {
        matches!(self.tokens.first(), None | Some(Token::Close))
    }

    /// Parts that OR joins.
    fn any(&mut self) -> Result<Value, IndexError> {
        let mut parts = vec![self.side_by_side()?];
        while self.take(&Token::Or) {
            parts.push(self.side_by_side()?);
        }
        Ok(match parts.len() {
            1 => parts.swap_remove(0),
            _ => json!({"bool": {"should": parts}}),
        })
    }

    /// Clauses side by side, each with what it must or must not.
    fn side_by_side(&mut self) -> Result<Value, IndexError> {
        let (mut must, mut must_not, mut should) = (Vec::new(), Vec::new(), Vec::new());
        while !self.at_end() && self.tokens.first() != Some(&Token::Or) {
            let required = self.take(&Token::Plus);
            let (mut query, mut negated) = self.all()?;
            if required && negated {
                query = json!({"bool": {"must_not": [query]}});
                negated = false;
            }
            if negated {
                must_not.push(query);
            } else if required || self.joins_by_and {
                must.push(query);
            } else {
                should.push(query);
            }
        }
        Ok(match (must.len(), must_not.len(), should.len()) {
            (0, 0, 0) => return Err(IndexError::parsing("a query string lacks a clause")),
            (1, 0, 0) => must.swap_remove(0),
            (0, 0, 1) => should.swap_remove(0),
            _ => json!({"bool": {"filter": must, "must_not": must_not, "should": should}}),
        })
    }

    /// Clauses that AND joins; one alone may be negated.
    fn all(&mut self) -> Result<(Value, bool), IndexError> {
        let first = self.one()?;
        if self.tokens.first() != Some(&Token::And) {
            return Ok(first);
        }
        let (mut must, mut must_not) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some((query, negated)) = next {
            if negated {
                must_not.push(query)
            } else {
                must.push(query)
            }
            next = if self.take(&Token::And) { Some(self.one()?) } else { None };
        }
        Ok((json!({"bool": {"filter": must, "must_not": must_not}}), false))
    }

    fn one(&mut self) -> Result<(Value, bool), IndexError> {
        let mut negated = false;
        loop {
            if self.take(&Token::Not) || self.take(&Token::Minus) {
                negated = !negated;
            } else if !self.take(&Token::Plus) {
                break;
            }
        }
        if self.take(&Token::Open) {
            self.depth += 1;
            if self.depth > MAX_QUERY_DEPTH {
                return Err(IndexError::illegal(format!(
                    "the query string is nested deeper than {MAX_QUERY_DEPTH} levels"
                )));
            }
            let query = self.any()?;
            self.depth -= 1;
            if !self.take(&Token::Close) {
                return Err(IndexError::parsing("a query string lacks a closing parenthesis"));
            }
            return Ok((query, negated));
        }
        match self.tokens.split_first() {
            Some((Token::Clause(clause), rest)) => {
                self.tokens = rest;
                // `field:(a OR b)`
                if clause.ends_with(':') && self.tokens.first() == Some(&Token::Open) {
                    return Err(IndexError::unsupported(format!(
                        "[{clause}(..)] in a query string: name the field in each clause"
                    )));
                }
                Ok((clause_query(clause)?, negated))
            }
            Some((token, _)) => Err(IndexError::parsing(format!(
                "a query string has [{}] where a clause is needed",
                token.text()
            ))),
            None => Err(IndexError::parsing("a query string lacks a clause")),
        }
    }
}

fn clause_query(clause: &str) -> Result<Value, IndexError> {
    if clause == "*" || clause == "*:*" {
        return Ok(json!({"match_all": {}}));
    }
    let split = unescaped_colon(clause);
    let Some((field, value)) = split.map(|at| (&clause[..at], &clause[at + 1..])) else {
        return Err(IndexError::unsupported(format!(
            "[{clause}] without a field in a query string"
        )));
    };
    let field = unescaped(field);
    if field == "_exists_" {
        return Ok(json!({"exists": {"field": unescaped(value)}}));
    }
    if value.is_empty() {
        return Err(IndexError::parsing(format!("[{clause}] in a query string has no value")));
    }
    for (sign, name) in [(">=", "gte"), ("<=", "lte"), (">", "gt"), ("<", "lt")] {
        if let Some(bound) = value.strip_prefix(sign) {
            return Ok(json!({"range": {field: {name: unescaped(bound.trim_matches('"'))}}}));
        }
    }
    if value.starts_with(['[', '{']) {
        return range(&field, value);
    }
    if let Some(quoted) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
        return Ok(json!({"term": {field: unescaped(quoted)}}));
    }
    if value == "*" {
        return Ok(json!({"exists": {"field": field}}));
    }
    if let Some(prefix) = value.strip_suffix('*').filter(|prefix| !prefix.ends_with('\\'))
        && !has_special(prefix)
    {
        return Ok(json!({"prefix": {field: unescaped(prefix)}}));
    }
    if has_special(value) {
        return Err(IndexError::unsupported(format!("[{value}] in a query string")));
    }
    Ok(json!({"term": {field: unescaped(value)}}))
}

/// `[1 TO 5]`, `{1 TO *}` and mixtures.
fn range(field: &str, value: &str) -> Result<Value, IndexError> {
    let wrong = || IndexError::parsing(format!("[{value}] in a query string is no range"));
    let (open, rest) = value.split_at(1);
    let close = rest.chars().next_back().filter(|c| matches!(c, ']' | '}')).ok_or_else(wrong)?;
    let inner = &rest[..rest.len() - 1];
    let (low, high) = inner.split_once(" TO ").ok_or_else(wrong)?;
    let mut bounds = Map::new();
    for (end, name) in [
        (low, if open == "[" { "gte" } else { "gt" }),
        (high, if close == ']' { "lte" } else { "lt" }),
    ] {
        let end = end.trim().trim_matches('"');
        if end != "*" {
            bounds.insert(name.to_owned(), json!(unescaped(end)));
        }
    }
    Ok(json!({"range": {field: bounds}}))
}

fn unescaped_colon(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let found = c == ':' && !escaped;
        escaped = c == '\\' && !escaped;
        found.then_some(at)
    })
}

fn has_special(text: &str) -> bool {
    let mut escaped = false;
    text.chars().any(|c| {
        let found = !escaped && "*?[]{}~^/\"".contains(c);
        escaped = c == '\\' && !escaped;
        found
    })
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Value {
        parse(&json!({"query": text}), "query_string").expect(text)
    }

    #[test]
    fn clauses_are_joined_as_they_are_read() {
        let (a, b, c) =
            (json!({"term": {"f": "a"}}), json!({"term": {"f": "b"}}), json!({"term": {"f": "c"}}));
        for (text, expected) in [
            ("f:a", a.clone()),
            ("f:a f:b", json!({"bool": {"filter": [], "must_not": [], "should": [a, b]}})),
            ("f:a AND f:b", json!({"bool": {"filter": [a, b], "must_not": []}})),
            (
                "f:a OR f:b AND NOT f:c",
                json!({"bool": {"should": [a,
                {"bool": {"filter": [b], "must_not": [c]}}]}}),
            ),
            ("-f:a", json!({"bool": {"filter": [], "must_not": [a], "should": []}})),
            ("+f:a f:b", json!({"bool": {"filter": [a], "must_not": [], "should": [b]}})),
            (
                "(f:a || f:b) && f:c",
                json!({"bool": {"filter": [{"bool": {"should": [a, b]}}, c], "must_not": []}}),
            ),
            ("f:>=2", json!({"range": {"f": {"gte": "2"}}})),
            ("f:[1 TO 5}", json!({"range": {"f": {"gte": "1", "lt": "5"}}})),
            ("f:{* TO \"2026-11-23\"]", json!({"range": {"f": {"lte": "2026-11-23"}}})),
            ("f:\"a \\\"b\\\" (c)\"", json!({"term": {"f": "a \"b\" (c)"}})),
            ("f:ab*", json!({"prefix": {"f": "ab"}})),
            ("f:a\\:b\\ c", json!({"term": {"f": "a:b c"}})),
            ("_exists_:f", json!({"exists": {"field": "f"}})),
            ("f:*", json!({"exists": {"field": "f"}})),
            ("", json!({"match_none": {}})),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
        let and = parse(&json!({"query": "f:a f:b", "default_operator": "AND"}), "query_string");
        assert_eq!(
            and.expect("fits"),
            json!({"bool": {"filter": [a, b], "must_not": [], "should": []}})
        );
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_never_a_panic() {
        let deep = format!("{}f:a{}", "(".repeat(100), ")".repeat(100));
        for text in [
            "f:\"a",
            "(f:a",
            "f:a)",
            "AND",
            "f:",
            "a",
            "f:a~2",
            "f:[1 2]",
            "f:[1 TO 2",
            "f:(a OR b)",
            "f:a OR",
            "f:é*b",
            "\\",
            "f:a?",
            &deep,
        ] {
            assert!(parse(&json!({"query": text}), "query_string").is_err(), "{text}");
        }
    }
}
