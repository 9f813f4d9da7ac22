//! Histograms by months, quarters and years, whose lengths differ: ranges that begin where these do.

use chrono::{DateTime, Datelike, Months, NaiveDate};
use serde_json::{Value, json};

use crate::IndexError;
use crate::aggs::whole;
use crate::buckets::too_many_buckets;
use crate::date_format::DateFormat;
use crate::histogram_guard::Extent;
use crate::limits::MAX_BUCKETS;

/// A unit of the calendar that has no fixed length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CalendarUnit {
    Month,
    Quarter,
    Year,
}

impl CalendarUnit {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "month" | "1M" => Some(Self::Month),
            "quarter" | "1q" => Some(Self::Quarter),
            "year" | "1y" => Some(Self::Year),
            _ => None,
        }
    }

    fn n_months(self) -> u32 {
        match self {
            Self::Month => 1,
            Self::Quarter => 3,
            Self::Year => 12,
        }
    }

    fn first_day(self, ms: i64) -> Option<NaiveDate> {
        let at = DateTime::from_timestamp_millis(ms)?;
        let month = at.month0() / self.n_months() * self.n_months() + 1;
        NaiveDate::from_ymd_opt(at.year(), month, 1)
    }
}

/// A histogram by such a unit.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    pub(crate) column: String,
    pub(crate) unit: CalendarUnit,
    pub(crate) format: DateFormat,
    pub(crate) min_doc_count: u64,
    /// `extended_bounds`, in milliseconds.
    pub(crate) bounds: Option<(i64, i64)>,
}

impl Calendar {
    /// Where the buckets begin, and where the last ends; empty where there is none.
    fn edges_ms(&self, extent: Extent) -> Vec<i64> {
        let found = extent.min.is_finite().then(|| (whole(extent.min), whole(extent.max)));
        let (low, high) = match (found, self.bounds) {
            (Some(found), Some(bounds)) => (found.0.min(bounds.0), found.1.max(bounds.1)),
            (Some(ends), None) | (None, Some(ends)) => ends,
            (None, None) => return Vec::new(),
        };
        let mut edges = Vec::new();
        let mut day = self.unit.first_day(low);
        while let Some(first) = day {
            let ms = first.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis();
            edges.push(ms);
            if ms > high || edges.len() > MAX_BUCKETS as usize + 1 {
                break;
            }
            day = first.checked_add_months(Months::new(self.unit.n_months()));
        }
        edges
    }

    /// The engine's aggregation; none where there is no bucket.
    pub(crate) fn engine(&self, extent: Extent) -> Result<Option<Value>, IndexError> {
        let edges = self.edges_ms(extent);
        if edges.len() > MAX_BUCKETS as usize + 1 {
            return Err(too_many_buckets());
        }
        // The engine takes nanoseconds as floats, which are not exact; dates are whole milliseconds,
        // so that half of one before them is as good and leaves no doubt.
        #[expect(clippy::cast_precision_loss, reason = "half a millisecond of room")]
        let edge = |ms: i64| ms as f64 * 1e6 - 5e5;
        let ranges: Vec<Value> = edges
            .windows(2)
            .enumerate()
            .map(|(idx, pair)| json!({"key": idx.to_string(), "from": edge(pair[0]), "to": edge(pair[1])}))
            .collect();
        let body = json!({"range": {"field": self.column, "ranges": ranges}});
        Ok((!ranges.is_empty()).then_some(body))
    }

    /// The buckets of the engine's answer; those below them are not mended yet.
    pub(crate) fn buckets(&self, extent: Extent, found: Option<Value>) -> Vec<Value> {
        let edges = self.edges_ms(extent);
        let mut all = Vec::new();
        let found = found.and_then(|mut found| match found.get_mut("buckets").map(Value::take) {
            Some(Value::Array(list)) => Some(list),
            _ => None,
        });
        for mut bucket in found.unwrap_or_default() {
            // What lies before and behind all months has a key of the engine's own.
            let idx = bucket["key"].as_str().and_then(|key| key.parse::<usize>().ok());
            let Some(ms) = idx.and_then(|idx| edges.get(idx)) else { continue };
            if let Some(bucket) = bucket.as_object_mut() {
                for key in ["from", "to", "from_as_string", "to_as_string"] {
                    bucket.remove(key);
                }
            }
            bucket["key"] = json!(ms);
            bucket["key_as_string"] = json!(self.format.print(*ms));
            all.push(bucket);
        }
        let count = |bucket: &Value| bucket["doc_count"].as_u64().unwrap_or(0);
        if self.min_doc_count > 0 {
            all.retain(|bucket| count(bucket) >= self.min_doc_count);
            return all;
        }
        // Empty ones are shown between the first and the last that are not, and within the bounds.
        let is_wanted = |bucket: &Value| {
            let key = bucket["key"].as_i64().unwrap_or(0);
            let bounds = self.bounds.and_then(|(low, high)| {
                let low = self.unit.first_day(low)?.and_time(chrono::NaiveTime::MIN).and_utc();
                Some(low.timestamp_millis()..=high)
            });
            count(bucket) > 0 || bounds.is_some_and(|bounds| bounds.contains(&key))
        };
        let (first, last) = (all.iter().position(is_wanted), all.iter().rposition(is_wanted));
        match first.zip(last) {
            Some((first, last)) => all.drain(first..=last).collect(),
            None => Vec::new(),
        }
    }
}
