//! Why a record scored as it did.

use rcf::Attribution;

/// How much each column of the point added to the score, because its value was high or low.
///
/// The parts of all columns add up to the score.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    // (column, high, low), in the order of the point.
    parts: Vec<(String, f64, f64)>,
}

impl Explanation {
    /// Sums a forest's attribution over the shingle, by column.
    pub(crate) fn new<'a>(
        columns: impl Iterator<Item = &'a str>,
        attribution: &Attribution,
    ) -> Self {
        let mut parts: Vec<(String, f64, f64)> =
            columns.map(|name| (name.to_owned(), 0.0, 0.0)).collect();
        let n_dims = parts.len();
        for (dim_idx, (high, low)) in attribution.high.iter().zip(&attribution.low).enumerate() {
            let part = &mut parts[dim_idx % n_dims];
            part.1 += high;
            part.2 += low;
        }
        Self { parts }
    }

    /// The columns with their parts, high and low.
    pub fn parts(&self) -> impl Iterator<Item = (&str, f64, f64)> {
        self.parts.iter().map(|(name, high, low)| (name.as_str(), *high, *low))
    }

    /// `{"iotValue":{"high":3.1,"low":0.02}}`
    pub fn to_json(&self) -> Box<str> {
        let object: serde_json::Map<String, serde_json::Value> = self
            .parts
            .iter()
            .map(|(name, high, low)| {
                (name.clone(), serde_json::json!({ "high": high, "low": low }))
            })
            .collect();
        serde_json::Value::Object(object).to_string().into()
    }
}
