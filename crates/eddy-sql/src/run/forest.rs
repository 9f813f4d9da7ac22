//! RANDOM_CUT_FOREST and RANDOM_CUT_FOREST_WITH_EXPLANATION.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, Float64Builder, StringBuilder};
use arrow::datatypes::SchemaRef;
use arrow::row::Rows;
use eddy_detect::Grader;
use rcf::{Attribution, Forest, ForestSettings};

use super::errors::Errors;
use super::evaluate::Expressions;
use super::groups::{Keys, key_of};
use super::state::{Reader, Writer};
use super::{Chunk, Operator};
use crate::error::RunError;
use crate::expr::Typed;
use crate::limits::{MAX_MODEL_BYTES, MAX_MODELS, MODEL_POINT_BYTES};

/// Beyond it f32 does not hold every integer.
const EXACT: f64 = 16_777_216.0;

/// What a row says of why it scored as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Explains {
    /// Nothing: there is no such column.
    Nothing,
    /// What each column added to the score.
    Scores,
    /// That, and whether it was high or low.
    Directions,
}

/// A forest over the numeric columns of a cursor, or one a key.
#[derive(Debug)]
pub(crate) struct Forests {
    settings: ForestSettings,
    explains: Explains,
    // Whether the grade and the threshold of each score are columns.
    grades: bool,
    // The columns of the point, and their names.
    point: Vec<(usize, String)>,
    partition_by: Expressions,
    keys: Keys,
    models: Models,
}

/// The models by key, of a bounded number.
#[derive(Debug)]
struct Models {
    by_key: BTreeMap<Box<[u8]>, Model>,
    // The keys by when they came last, the one that has not come for the longest first.
    order: BTreeMap<u64, Box<[u8]>>,
    n_uses: u64,
    most: usize,
}

#[derive(Debug)]
struct Model {
    forest: Forest,
    // Its place in the order of use.
    used: u64,
    // Subtracted from each column: 0, or its first value where f32 would not tell values apart.
    shifts: Vec<f64>,
    // Used only where there are grades.
    grader: Grader,
}

impl Forests {
    pub(crate) fn new(
        settings: ForestSettings,
        (explains, grades): (Explains, bool),
        point: Vec<(usize, String)>,
        partition_by: Vec<Typed>,
        schema: SchemaRef,
    ) -> Result<Self, RunError> {
        let keys = Keys::new(partition_by.iter().map(|key| key.sql_type))?;
        let partition_by = Expressions::new(partition_by, schema);
        let models = Models::new(&settings);
        Ok(Self { settings, explains, grades, point, partition_by, keys, models })
    }
}

impl Models {
    fn new(settings: &ForestSettings) -> Self {
        let numbers = settings.n_dims * settings.shingle_size;
        let point = MODEL_POINT_BYTES + 3 * size_of::<f32>() * numbers;
        let model = settings.n_trees * settings.sample_size * point;
        let most = (MAX_MODEL_BYTES / model.max(1)).clamp(1, MAX_MODELS);
        Self { by_key: BTreeMap::new(), order: BTreeMap::new(), n_uses: 0, most }
    }

    /// The model of a key, a new one if there is none: if there are too many, the one that was not
    /// used for the longest is forgotten for it.
    fn of(&mut self, key: &[u8], settings: &ForestSettings, errors: &mut Errors<'_>) -> &mut Model {
        if let Some(model) = self.by_key.get(key) {
            if model.used == self.n_uses {
                // It is the latest in the order already.
                return self.by_key.get_mut(key).expect("it was found above");
            }
            self.order.remove(&model.used);
        } else if self.by_key.len() >= self.most
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.by_key.remove(&oldest);
            errors.counters.forgotten_models += 1;
        }
        self.n_uses += 1;
        self.order.insert(self.n_uses, key.into());
        let model = self.by_key.entry(key.into()).or_insert_with(|| Model {
            forest: settings.build().expect("the planner checked the settings"),
            used: 0,
            shifts: Vec::new(),
            grader: Grader::default(),
        });
        model.used = self.n_uses;
        model
    }
}

impl Operator for Forests {
    fn process(
        &mut self,
        mut inputs: Vec<Chunk>,
        errors: &mut Errors<'_>,
    ) -> Result<Chunk, RunError> {
        let (mut chunk, keys) = self.partition_by.evaluate(inputs.remove(0), errors)?;
        let keys = self.keys.rows(&keys)?;
        let numbers = chunk.doubles(self.point.iter().map(|(column_idx, _)| *column_idx))?;
        let n_rows = chunk.n_rows();
        let mut scores = Float64Builder::with_capacity(n_rows);
        let mut texts = StringBuilder::new();
        let (mut grades, mut thresholds) = (Float64Builder::new(), Float64Builder::new());
        let mut point = vec![0_f32; numbers.len()];
        let mut begin = 0;
        while begin < n_rows {
            let key = key_of(keys.as_ref(), begin);
            // Looked for once for all rows of a key that follow one another.
            let differs = |rows: &Rows| (begin..n_rows).find(|row| rows.row(*row).data() != key);
            let end = keys.as_ref().and_then(differs).unwrap_or(n_rows);
            let model = self.models.of(key, &self.settings, errors);
            for row in begin..end {
                let is_whole =
                    numbers.iter().all(|it| it.is_valid(row) && it.value(row).is_finite());
                if is_whole && model.shifts.is_empty() {
                    let shift = |x: f64| if x.abs() > EXACT { x } else { 0.0 };
                    model.shifts = numbers.iter().map(|it| shift(it.value(row))).collect();
                    if model.shifts.iter().any(|shift| *shift != 0.0) {
                        errors.counters.shifted_columns += 1;
                    }
                }
                if is_whole {
                    for ((x, it), shift) in point.iter_mut().zip(&numbers).zip(&model.shifts) {
                        #[expect(clippy::cast_possible_truncation, reason = "points are f32")]
                        let coordinate = (it.value(row) - shift) as f32;
                        *x = coordinate;
                    }
                }
                if !is_whole || point.iter().any(|x| !x.is_finite()) {
                    scores.append_null();
                    if self.explains != Explains::Nothing {
                        texts.append_null();
                    }
                    if self.grades {
                        grades.append_null();
                        thresholds.append_null();
                    }
                    errors.counters.unscored += 1;
                    continue;
                }
                let checked = "the point is finite and has the forest's dimensions";
                let score = if self.explains == Explains::Nothing {
                    model.forest.score_and_update(&point).expect(checked)
                } else {
                    let score = model.forest.score(&point).expect(checked);
                    let attribution = model.forest.attribution(&point).expect(checked);
                    model.forest.update(&point).expect(checked);
                    let text = explanation(&self.point, &attribution, self.explains);
                    let n_bytes = texts.values_slice().len() + text.len();
                    errors.check_texts("ANOMALY_EXPLANATION", n_bytes)?;
                    texts.append_value(text);
                    score
                };
                scores.append_value(score);
                if self.grades {
                    let found = model.grader.grade(score, self.settings.shingle_size);
                    grades.append_value(found.grade);
                    thresholds.append_value(found.threshold);
                }
            }
            begin = end;
        }
        chunk.columns.push(Arc::new(scores.finish()));
        if self.explains != Explains::Nothing {
            chunk.columns.push(Arc::new(texts.finish()));
        }
        if self.grades {
            chunk.columns.push(Arc::new(grades.finish()));
            chunk.columns.push(Arc::new(thresholds.finish()));
        }
        Ok(chunk)
    }

    fn save(&mut self) -> Result<Vec<u8>, RunError> {
        let mut writer = Writer::default();
        writer.count(self.models.by_key.len());
        // In the order of use, which a restart goes on with.
        for key in self.models.order.values() {
            let model = &self.models.by_key[key];
            writer.bytes(key);
            writer.count(model.shifts.len());
            for shift in &model.shifts {
                writer.0.extend_from_slice(&shift.to_le_bytes());
            }
            writer.bytes(&model.grader.to_bytes());
            writer.bytes(&model.forest.to_bytes());
        }
        Ok(writer.0)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), RunError> {
        let mut reader = Reader(state);
        for _ in 0..reader.count()? {
            let key: Box<[u8]> = reader.bytes()?.into();
            let mut shifts = Vec::new();
            for _ in 0..reader.count()? {
                shifts.push(f64::from_le_bytes(reader.number()?.to_le_bytes()));
            }
            let damaged = || RunError::Snapshot { reason: "grades are damaged".to_owned() };
            let grader = Grader::from_bytes(reader.bytes()?).ok_or_else(damaged)?;
            let forest = Forest::from_bytes(reader.bytes()?)
                .map_err(|error| RunError::Snapshot { reason: error.to_string() })?;
            if *forest.settings() != self.settings {
                let reason = "a forest has other settings".to_owned();
                return Err(RunError::Snapshot { reason });
            }
            self.models.n_uses += 1;
            let used = self.models.n_uses;
            self.models.order.insert(used, key.clone());
            self.models.by_key.insert(key, Model { forest, used, shifts, grader });
        }
        reader.end()
    }
}

/// `{"column":{"DIRECTION":"HIGH","STRENGTH":"0.8567","ATTRIBUTION_SCORE":"1.7447"},..}`, with four
/// decimals. The attribution scores add up to the score.
fn explanation(point: &[(usize, String)], attribution: &Attribution, explains: Explains) -> String {
    let n_dims = point.len();
    let mut text = String::from("{");
    for (dim_idx, (_, name)) in point.iter().enumerate() {
        let over_shingle = |parts: &[f64]| parts.iter().skip(dim_idx).step_by(n_dims).sum::<f64>();
        let (high, low) = (over_shingle(&attribution.high), over_shingle(&attribution.low));
        if dim_idx > 0 {
            text.push(',');
        }
        let name = serde_json::Value::from(name.as_str());
        write!(text, "{name}:{{").expect("a String takes everything");
        if explains == Explains::Directions {
            // The Reference: while the model learns it is LOW.
            let is_high = high >= low && high > 0.0;
            let direction = if is_high { "HIGH" } else { "LOW" };
            let strength = strength(high, low);
            write!(text, "\"DIRECTION\":\"{direction}\",\"STRENGTH\":\"{strength:.4}\",")
                .expect("a String takes everything");
        }
        write!(text, "\"ATTRIBUTION_SCORE\":\"{:.4}\"}}", high + low)
            .expect("a String takes everything");
    }
    text.push('}');
    text
}

/// How sure a direction is: how far the larger part is above the smaller, against the smaller and a
/// quarter. 0 where both are alike; it grows with the difference and has no upper bound. No formula
/// of the original is published; this one is ours.
fn strength(high: f64, low: f64) -> f64 {
    (high - low).abs() / (high.min(low) + 0.25)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_bound_the_model_that_was_not_used_for_the_longest_is_forgotten() {
        let settings = ForestSettings::new(1);
        let mut models = Models { most: 2, ..Models::new(&settings) };
        let (mut rows, mut counters) = (Vec::new(), crate::Counters::default());
        let (limits, rows, counters) = (&crate::Limits::default(), &mut rows, &mut counters);
        let mut errors = Errors { pump: "P", limits, rows, counters, operator_idx: 0 };
        for key in [b"a", b"b", b"a", b"c", b"a"] {
            models.of(key, &settings, &mut errors);
        }
        let known: Vec<&[u8]> = models.by_key.keys().map(AsRef::as_ref).collect();
        assert_eq!(known, [b"a", b"c"]);
        assert_eq!(models.order.len(), 2);
        assert_eq!(errors.counters.forgotten_models, 1);
    }

    #[test]
    fn an_explanation_sums_over_the_shingle_and_names_directions() {
        let point = vec![(0, "a".to_owned()), (2, "b\"".to_owned())];
        let attribution =
            Attribution { high: vec![0.5, 0.0, 1.0, 0.1], low: vec![0.0, 0.25, 0.0, 0.1] };
        assert_eq!(
            explanation(&point, &attribution, Explains::Scores),
            r#"{"a":{"ATTRIBUTION_SCORE":"1.5000"},"b\"":{"ATTRIBUTION_SCORE":"0.4500"}}"#
        );
        let directed = explanation(&point, &attribution, Explains::Directions);
        assert!(directed.contains(r#""a":{"DIRECTION":"HIGH","STRENGTH":"6.0000","#), "{directed}");
        assert!(directed.contains(r#""DIRECTION":"LOW""#), "{directed}");
        assert!(strength(0.4, 0.4).abs() < 1e-12);
    }
}
