//! What a detector is told.

use serde::{Deserialize, Serialize};

/// The output column that holds the score.
pub const ANOMALY_SCORE: &str = "ANOMALY_SCORE";
/// The output column that holds the explanation, a JSON object.
pub const ANOMALY_EXPLANATION: &str = "ANOMALY_EXPLANATION";
/// The output column that holds the grade of the score, with [`DetectorSettings::grades`].
pub const ANOMALY_GRADE: &str = "ANOMALY_GRADE";
/// The output column that holds the threshold of the grade, with [`DetectorSettings::grades`].
pub const ANOMALY_THRESHOLD: &str = "ANOMALY_THRESHOLD";
/// The output column that holds the row's ROWTIME.
pub const CREATED: &str = "created";

/// Settings of a [`Detector`](crate::Detector).
///
/// The defaults of the forest are those of the SQL function `RANDOM_CUT_FOREST`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetectorSettings {
    /// The columns that make the point, in order. Default: every numeric column of the schema
    /// but the key.
    pub columns: Vec<String>,
    /// The column whose value chooses the model. Default: none, one model a partition.
    pub key: Option<String>,
    /// Trees a forest, 1..=1000. Default: 100.
    pub trees: usize,
    /// Points a tree keeps, 2..=65 536. Default: 256.
    pub sample_size: usize,
    /// How fast old points are forgotten, a rate a record, at least 0. Default: 0.00001, the SQL
    /// function's `timeDecay` of 100 000 records.
    pub time_decay: f64,
    /// Consecutive records of one key that make one point, at least 1. Default: 1.
    pub shingle_size: usize,
    /// How full a sample is filled unconditionally, 0..=1. Default: 1.
    pub initial_accept_fraction: f64,
    /// Records of a key before the first score. Default: a quarter of `sample_size`.
    pub output_after: Option<u64>,
    /// The seed of every forest; all models have the same. Default: 1.
    pub seed: u64,
    /// Rows whose score is at least this are explained; `None` explains none. Default: 1.5.
    pub explain_from: Option<f64>,
    /// Whether rows have a grade and a threshold, which follow the scores of their model
    /// ([`Grader`](crate::Grader)). Default: no.
    pub grades: bool,
    /// Models kept in memory at most, at least 1; the least recently used are written out. Default:
    /// 1000.
    pub max_models: usize,
}

impl Default for DetectorSettings {
    fn default() -> Self {
        Self {
            columns: Vec::new(),
            key: None,
            trees: 100,
            sample_size: 256,
            time_decay: 0.00001,
            shingle_size: 1,
            initial_accept_fraction: 1.0,
            output_after: None,
            seed: 1,
            explain_from: Some(1.5),
            grades: false,
            max_models: 1000,
        }
    }
}

impl DetectorSettings {
    /// The forest of one model over `n_dims` columns.
    pub(crate) fn forest(&self, n_dims: usize) -> rcf::ForestSettings {
        let mut forest = rcf::ForestSettings::new(n_dims);
        forest.shingle_size = self.shingle_size;
        forest.internal_shingling = true;
        forest.n_trees = self.trees;
        forest.sample_size = self.sample_size;
        forest.time_decay = Some(self.time_decay);
        forest.initial_accept_fraction = self.initial_accept_fraction;
        forest.output_after = self.output_after;
        forest.seed = self.seed;
        forest
    }
}
