//! What a request asks for: the page's address and the server's queries have the same parameters.
//!
//! `from`, `to` (`now-15m`, a date, milliseconds), `sensor` (any number), `q` (the index's query
//! string), `column`, `threshold`, `sort` (`field:asc`), `size`, and what only one answer needs.

use std::sync::Arc;

use eddy_index::date_ms;
use serde_json::{Value, json};

/// Rows of a table in one answer at most: what a search of the index gives.
const MAX_ROWS: usize = 10_000;
const DEFAULT_ROWS: usize = 50;
/// Columns of pixels of the widest screen.
const MAX_PIXELS: usize = 8_192;
const DEFAULT_PIXELS: usize = 1_200;
/// Points that a browser draws without stutter.
pub(crate) const MAX_POINTS: usize = 100_000;
/// Sensors that one request may name.
const MAX_SENSORS: usize = 1_000;

/// A request that cannot be answered, in words for the one who asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadRequest(pub(crate) String);

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Params {
    pub(crate) now_ms: i64,
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) sensors: Vec<String>,
    text: Option<String>,
    pub(crate) column: Option<String>,
    pub(crate) threshold: Option<f64>,
    pub(crate) sort: Value,
    pub(crate) size: usize,
    pub(crate) pixels: usize,
    /// Points of the chart that are given one by one.
    pub(crate) points: usize,
    /// The first sensor of the heatmap, and how many.
    pub(crate) heat: (usize, usize),
    pub(crate) format: Option<String>,
}

/// The pairs of a query string.
pub(crate) fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

impl Params {
    /// Reads a query string at a moment of the server's clock.
    pub(crate) fn read(query: &str, now_ms: i64) -> Result<Self, BadRequest> {
        let mut params = Self {
            now_ms,
            from_ms: now_ms - 15 * 60_000,
            to_ms: now_ms,
            sensors: Vec::new(),
            text: None,
            column: None,
            threshold: None,
            sort: json!([{"created": "desc"}]),
            size: DEFAULT_ROWS,
            pixels: DEFAULT_PIXELS,
            points: 0,
            heat: (0, 200),
            format: None,
        };
        for (name, value) in pairs(query) {
            params.set(&name, value)?;
        }
        if params.from_ms >= params.to_ms {
            return Err(BadRequest("the time range ends before it begins".to_owned()));
        }
        Ok(params)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), BadRequest> {
        let now_ms = self.now_ms;
        let date = |text: &str| {
            let found = date_ms(text, now_ms);
            found.ok_or_else(|| BadRequest(format!("{name}: {text:?} is no time")))
        };
        let count = |most: usize| match value.parse::<usize>() {
            Ok(count) => Ok(count.min(most)),
            Err(_) => Err(BadRequest(format!("{name}: {value:?} is no count"))),
        };
        match name {
            "from" => self.from_ms = date(&value)?,
            "to" => self.to_ms = date(&value)?,
            "sensor" if self.sensors.len() == MAX_SENSORS => {
                return Err(BadRequest(format!("more than {MAX_SENSORS} sensors are named")));
            }
            "sensor" => self.sensors.push(value),
            "q" => self.text = Some(value).filter(|text| !text.trim().is_empty()),
            "column" => self.column = Some(value),
            "threshold" => {
                let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
                let number =
                    number.ok_or_else(|| BadRequest(format!("{name}: {value:?} is no number")))?;
                self.threshold = Some(number);
            }
            "sort" => self.sort = sort(&value),
            "size" => self.size = count(MAX_ROWS)?,
            "px" => self.pixels = count(MAX_PIXELS)?.max(16),
            "points" => self.points = count(MAX_POINTS)?,
            "heat_from" => self.heat.0 = count(usize::MAX)?,
            "heat_size" => self.heat.1 = count(1_000)?,
            "format" => self.format = Some(value),
            // The page keeps more in its address than the server needs.
            _ => {}
        }
        Ok(())
    }

    /// The query of the index; `more` are further clauses that must hold.
    pub(crate) fn query(&self, key: Option<&Arc<str>>, more: &[Value]) -> Value {
        let range = json!({"range": {"created": {"gte": self.from_ms, "lte": self.to_ms}}});
        let mut filter = vec![range];
        if let (Some(key), false) = (key, self.sensors.is_empty()) {
            let one = |name: &String| match name.as_str() {
                // Records without a name, and those whose name is empty: the heatmap's one row.
                "" => json!({"bool": {"should": [
                    {"bool": {"must_not": [{"exists": {"field": &**key}}]}},
                    {"term": {&**key: ""}},
                ]}}),
                name => json!({"term": {&**key: name}}),
            };
            let any: Vec<Value> = self.sensors.iter().map(one).collect();
            filter.push(json!({"bool": {"should": any}}));
        }
        if let Some(text) = &self.text {
            filter.push(json!({"query_string": {"query": text}}));
        }
        filter.extend_from_slice(more);
        json!({"bool": {"filter": filter}})
    }
}

/// `field`, `field:asc` or `field:desc`; equal ones the newest first.
fn sort(text: &str) -> Value {
    let (field, order) = match text.rsplit_once(':') {
        Some((field, order @ ("asc" | "desc"))) => (field, order),
        _ => (text, "asc"),
    };
    match field {
        "created" => json!([{"created": order}]),
        field => json!([{field: order}, {"created": "desc"}]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_795_478_400_000;

    #[test]
    fn an_address_says_what_is_asked_for() {
        let text = "from=now-2h&to=2026-11-23T23:00:00Z&sensor=a%26b&sensor=%3Cscript%3E&q=+&sort=n:desc\
                    &threshold=2.5&size=999999&live=1";
        let params = Params::read(text, NOW_MS).expect("understood");
        assert_eq!(params.from_ms, NOW_MS - 7_200_000);
        assert_eq!(params.to_ms, NOW_MS - 3_600_000);
        assert_eq!(params.sensors, ["a&b", "<script>"]);
        assert_eq!((params.text.as_deref(), params.threshold), (None, Some(2.5)));
        assert_eq!(params.sort, json!([{"n": "desc"}, {"created": "desc"}]));
        assert_eq!(params.size, MAX_ROWS);
        let millis = Params::read("from=1795474800000", NOW_MS).expect("understood");
        assert_eq!((millis.from_ms, millis.to_ms), (1_795_474_800_000, NOW_MS));
        let query = params.query(Some(&"k".into()), &[json!({"match_all": {}})]);
        assert_eq!(query["bool"]["filter"].as_array().map(Vec::len), Some(3), "{query}");
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for (text, word) in [
            ("from=soon", "from"),
            ("to=now-1h", "ends before"),
            ("threshold=high", "threshold"),
            ("size=-1", "size"),
            ("threshold=NaN", "threshold"),
        ] {
            let BadRequest(reason) = Params::read(text, NOW_MS).expect_err(text);
            assert!(reason.contains(word), "{text}: {reason}");
        }
    }
}
