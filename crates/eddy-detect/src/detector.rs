//! Scoring records, one model a key.

use std::sync::Arc;

use eddy_record::{Column, Record, Schema, SqlType, Value};
use rcf::{Forest, ForestSettings};

use crate::models::Models;
use crate::point::{PointColumns, known_columns};
use crate::{
    ANOMALY_EXPLANATION, ANOMALY_GRADE, ANOMALY_SCORE, ANOMALY_THRESHOLD, CREATED, DetectError,
    DetectorSettings, DetectorSettingsError, Explanation, Grade, Grader, ModelKey, RestoreError,
};

/// What a forest says of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The anomaly score, at least 0; 0 while the model learns. `None` where a column of the point
    /// is NULL: the record passes and is not learnt.
    pub score: Option<f64>,
    /// Why, for scores from [`DetectorSettings::explain_from`] on.
    pub explanation: Option<Explanation>,
    /// What the score means among those of its model, with [`DetectorSettings::grades`].
    pub grade: Option<Grade>,
}

/// Scores the records of one partition in order.
#[derive(Debug)]
pub struct Detector {
    settings: DetectorSettings,
    forest: ForestSettings,
    // A forest that has learnt nothing: every new model starts as its clone.
    empty: Forest,
    columns: PointColumns,
    key_idx: Option<usize>,
    output_schema: Arc<Schema>,
    models: Models,
    point: Vec<f32>,
}

impl Detector {
    /// A detector without any model.
    ///
    /// # Errors
    /// The settings are out of range or do not fit the schema.
    pub fn new(
        settings: &DetectorSettings,
        schema: Arc<Schema>,
    ) -> Result<Self, DetectorSettingsError> {
        if settings.max_models == 0 {
            return Err(DetectorSettingsError::NoModels);
        }
        if let Some(actual) = settings.explain_from.filter(|from| from.is_nan()) {
            return Err(DetectorSettingsError::ExplainFrom { actual });
        }
        for (reserved, _) in added(settings.grades) {
            if schema.column_idx(reserved).is_some() {
                return Err(DetectorSettingsError::ReservedColumn { column: reserved.to_owned() });
            }
        }
        let key_idx = match &settings.key {
            None => None,
            Some(key) => Some(schema.column_idx(key).ok_or_else(|| {
                DetectorSettingsError::UnknownColumn {
                    column: key.clone(),
                    known: known_columns(&schema),
                }
            })?),
        };
        let columns = PointColumns::new(settings, &schema)?;
        let forest = settings.forest(columns.len());
        let empty = forest.build().map_err(DetectorSettingsError::Forest)?;
        Ok(Self {
            settings: settings.clone(),
            forest,
            empty,
            columns,
            key_idx,
            output_schema: Arc::new(output_schema(&schema, settings.grades)),
            models: Models::new(),
            point: Vec::new(),
        })
    }

    /// The columns of a scored row: the record's, then the score, ROWTIME and explanation, and with
    /// [`DetectorSettings::grades`] the grade and the threshold.
    pub fn output_schema(&self) -> &Arc<Schema> {
        &self.output_schema
    }

    /// The index of the score among a row's values.
    pub fn score_idx(&self) -> usize {
        self.output_schema.columns.len() - added(self.settings.grades).count()
    }

    /// The columns that make the point.
    pub fn point_columns(&self) -> impl Iterator<Item = &str> {
        self.columns.names()
    }

    /// A text that is the same exactly for detectors whose models mean the same.
    pub fn fingerprint(&self) -> String {
        let columns: Vec<&str> = self.columns.names().collect();
        let mut meaning = serde_json::json!({
            "columns": columns,
            "key": self.settings.key,
            "trees": self.settings.trees,
            "sample_size": self.settings.sample_size,
            "time_decay": self.settings.time_decay,
            "shingle_size": self.settings.shingle_size,
            "initial_accept_fraction": self.settings.initial_accept_fraction,
            "output_after": self.settings.output_after,
            "seed": self.settings.seed,
        });
        // Models without grades are those of before there were any.
        if self.settings.grades {
            meaning["grades"] = true.into();
        }
        meaning.to_string()
    }

    /// The model that `record` needs and that is not in memory: give it with
    /// [`Detector::restore`], or else it starts empty.
    pub fn absent_model(&self, record: &Record) -> Option<ModelKey> {
        let key = self.model_key(record);
        (!self.models.contains(&key)).then_some(key)
    }

    /// Puts a saved model in its place.
    ///
    /// # Errors
    /// The bytes are no model, or one learnt with other settings.
    pub fn restore(&mut self, key: ModelKey, saved: &[u8]) -> Result<(), RestoreError> {
        let (grader, saved) = if self.settings.grades {
            let (grader, rest) =
                Grader::split_bytes(saved).ok_or(RestoreError::UnreadableGrades)?;
            (Some(grader), rest)
        } else {
            (None, saved)
        };
        let forest = Forest::from_bytes(saved).map_err(RestoreError::Unreadable)?;
        if *forest.settings() != self.forest {
            return Err(RestoreError::OtherSettings);
        }
        self.models.insert(key, forest, grader);
        Ok(())
    }

    /// Scores a record, then learns it.
    ///
    /// # Errors
    /// The record has no point; nothing was learnt.
    pub fn score(&mut self, record: &Record) -> Result<Scored, DetectError> {
        if !self.columns.read(record, &mut self.point)? {
            return Ok(Scored { score: None, explanation: None, grade: None });
        }
        let key = self.model_key(record);
        if !self.models.contains(&key) {
            let grader = self.settings.grades.then(Grader::default);
            self.models.insert(key.clone(), self.empty.clone(), grader);
        }
        let (forest, grader) = self.models.learn(&key).expect("the model was inserted above");
        let finite = "the point has the forest's dimensions and is finite";
        let score = forest.score(&self.point).expect(finite);
        let explanation = match self.settings.explain_from {
            Some(from) if score >= from && score > 0.0 => {
                let attribution = forest.attribution(&self.point).expect(finite);
                Some(Explanation::new(self.columns.names(), &attribution))
            }
            _ => None,
        };
        forest.update(&self.point).expect(finite);
        let grade = grader.map(|grader| grader.grade(score, self.settings.shingle_size));
        Ok(Scored { score: Some(score), explanation, grade })
    }

    /// The values of a scored row, in the order of [`Detector::output_schema`].
    pub fn output_values(&self, record: Record, scored: &Scored, rowtime_ms: i64) -> Box<[Value]> {
        let mut values = record.values.into_vec();
        values.reserve_exact(added(self.settings.grades).count());
        values.push(scored.score.map_or(Value::Null, Value::Double));
        values.push(Value::TimestampMs(rowtime_ms));
        values.push(match &scored.explanation {
            None => Value::Null,
            Some(explanation) => Value::Json(explanation.to_json()),
        });
        if self.settings.grades {
            let double = |number: Option<f64>| number.map_or(Value::Null, Value::Double);
            values.push(double(scored.grade.map(|it| it.grade)));
            values.push(double(scored.grade.map(|it| it.threshold)));
        }
        values.into()
    }

    /// The models that learnt since the last call, as bytes, in key order.
    pub fn take_changed(&mut self) -> Vec<(ModelKey, Vec<u8>)> {
        self.models.take_changed()
    }

    /// Forgets the least recently used models beyond the limit that have not changed since
    /// [`Detector::take_changed`]: call it when what that returned is durable.
    pub fn evict(&mut self) {
        self.models.evict(self.settings.max_models);
    }

    /// Whether so many models are in memory beyond the limit that the changed ones should be taken
    /// and written out now, not at the next chance.
    pub fn is_crowded(&self) -> bool {
        self.models.len() > self.settings.max_models + self.settings.max_models / 2 + 64
    }

    /// Models in memory.
    pub fn n_models(&self) -> usize {
        self.models.len()
    }

    /// Memory of the models in bytes. Cost: one visit a model.
    pub fn size_bytes(&self) -> usize {
        self.models.size_bytes()
    }

    fn model_key(&self, record: &Record) -> ModelKey {
        match self.key_idx.map(|key_idx| &record.values[key_idx]) {
            None => ModelKey::partition(),
            Some(Value::Text(text)) => ModelKey::of(text.clone()),
            Some(Value::Null) => ModelKey::of(""),
            Some(Value::Integer(number)) => ModelKey::of(number.to_string()),
            Some(other) => ModelKey::of(format!("{other:?}")),
        }
    }
}

/// The columns behind the record's.
fn added(grades: bool) -> impl Iterator<Item = (&'static str, SqlType)> {
    let always = [
        (ANOMALY_SCORE, SqlType::Double),
        (CREATED, SqlType::Timestamp),
        (ANOMALY_EXPLANATION, SqlType::Json),
    ];
    let grades =
        grades.then_some([(ANOMALY_GRADE, SqlType::Double), (ANOMALY_THRESHOLD, SqlType::Double)]);
    always.into_iter().chain(grades.into_iter().flatten())
}

fn output_schema(input: &Schema, grades: bool) -> Schema {
    let added = added(grades).map(|(name, sql_type)| Column {
        name: name.to_owned(),
        sql_type,
        mapping: None,
        nullable: true,
    });
    Schema {
        columns: input.columns.iter().cloned().chain(added).collect(),
        format: input.format.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, value: f64) -> Record {
        Record { values: [Value::Text(name.into()), Value::Double(value)].into() }
    }

    fn settings() -> DetectorSettings {
        DetectorSettings { trees: 10, sample_size: 32, ..DetectorSettings::default() }
    }

    fn detector(settings: &DetectorSettings) -> Detector {
        Detector::new(settings, Arc::new(Schema::walkthrough())).expect("valid settings")
    }

    fn feed(detector: &mut Detector, name: &str, readings: std::ops::Range<u32>) -> Vec<f64> {
        readings
            .map(|reading| {
                let record = record(name, f64::from(reading % 7));
                detector.score(&record).expect("a point").score.expect("not null")
            })
            .collect()
    }

    #[test]
    fn each_key_has_a_model_that_scores_as_though_it_were_alone() {
        let keyed = DetectorSettings { key: Some("iotName".to_owned()), ..settings() };
        let mut together = detector(&keyed);
        let mut alone = detector(&settings());
        let expected = feed(&mut alone, "a", 0..100);
        let mut found = Vec::new();
        for reading in 0..100 {
            found.extend(feed(&mut together, "a", reading..reading + 1));
            feed(&mut together, "b", reading * 3..reading * 3 + 1);
        }
        assert_eq!(found, expected);
        assert_eq!(together.n_models(), 2);
    }

    #[test]
    fn a_model_written_out_and_read_back_goes_on_as_before() {
        let keyed =
            DetectorSettings { key: Some("iotName".to_owned()), max_models: 1, ..settings() };
        let mut kept = detector(&settings());
        let expected = feed(&mut kept, "a", 0..200);

        let mut evicting = detector(&keyed);
        let mut found = feed(&mut evicting, "a", 0..100);
        feed(&mut evicting, "b", 0..100);
        let saved = evicting.take_changed();
        evicting.evict();
        assert_eq!(evicting.n_models(), 1);
        let needed = evicting.absent_model(&record("a", 0.0)).expect("a was written out");
        let (_, bytes) = saved.into_iter().find(|(key, _)| *key == needed).expect("a was saved");
        evicting.restore(needed, &bytes).expect("it is its own model");
        found.extend(feed(&mut evicting, "a", 100..200));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_changed_model_is_not_evicted_before_it_was_taken() {
        let keyed =
            DetectorSettings { key: Some("iotName".to_owned()), max_models: 1, ..settings() };
        let mut detector = detector(&keyed);
        feed(&mut detector, "a", 0..5);
        feed(&mut detector, "b", 0..5);
        detector.evict();
        assert_eq!(detector.n_models(), 2);
    }

    #[test]
    fn a_model_of_other_settings_is_refused() {
        let mut first = detector(&settings());
        feed(&mut first, "a", 0..50);
        let (key, bytes) = first.take_changed().remove(0);
        let mut second = detector(&DetectorSettings { trees: 11, ..settings() });
        assert!(matches!(second.restore(key.clone(), &bytes), Err(RestoreError::OtherSettings)));
        assert!(matches!(second.restore(key, b"no model"), Err(RestoreError::Unreadable(_))));
        assert_ne!(first.fingerprint(), second.fingerprint());
    }

    #[test]
    fn explanations_from_no_number_on_are_refused() {
        let settings = DetectorSettings { explain_from: Some(f64::NAN), ..settings() };
        let refused = Detector::new(&settings, Arc::new(Schema::walkthrough()));
        let refused = refused.expect_err("no score is at least that");
        assert!(matches!(refused, DetectorSettingsError::ExplainFrom { .. }));
    }

    #[test]
    fn a_null_passes_without_a_score_and_is_not_learnt() {
        let mut detector = detector(&settings());
        feed(&mut detector, "a", 0..50);
        detector.take_changed();
        let null = Record { values: [Value::Text("a".into()), Value::Null].into() };
        assert_eq!(
            detector.score(&null),
            Ok(Scored { score: None, explanation: None, grade: None })
        );
        assert!(detector.take_changed().is_empty());
    }

    #[test]
    fn grades_are_columns_when_asked_for_and_go_on_behind_a_restart() {
        let graded = DetectorSettings { grades: true, ..settings() };
        let names = |detector: &Detector| -> Vec<String> {
            let columns = detector.output_schema().columns.iter();
            columns.skip(2).map(|column| column.name.clone()).collect()
        };
        let mut detector = detector(&graded);
        assert_eq!(names(&detector)[3..], [ANOMALY_GRADE, ANOMALY_THRESHOLD]);
        assert_eq!(detector.score_idx(), 2);
        let plain = self::detector(&settings());
        assert_eq!(names(&plain).len(), 3);
        assert_ne!(plain.fingerprint(), detector.fingerprint());

        feed(&mut detector, "a", 0..200);
        let mut first = detector.take_changed();
        let (key, saved) = first.remove(0);
        let mut restarted = self::detector(&graded);
        restarted.restore(key.clone(), &saved).expect("it is its own");
        let high = record("a", 1000.0);
        let scored = detector.score(&high).expect("a point");
        assert_eq!(restarted.score(&high).as_ref(), Ok(&scored));
        let grade = scored.grade.expect("there are grades");
        assert!(grade.grade > 0.3 && grade.threshold < scored.score.expect("a score"), "{grade:?}");
        let values = detector.output_values(high, &scored, 0);
        assert_eq!(values[5..], [grade.grade, grade.threshold].map(Value::Double));
        assert!(matches!(restarted.restore(key, b"short"), Err(RestoreError::UnreadableGrades)));
    }

    #[test]
    fn a_value_beyond_f32_is_an_error_that_names_the_column() {
        let error = detector(&settings()).score(&record("a", 1e300)).expect_err("beyond f32");
        assert!(error.to_string().contains("iotValue"), "{error}");
    }

    #[test]
    fn an_explanation_adds_up_to_the_score() {
        let mut detector = detector(&settings());
        feed(&mut detector, "a", 0..200);
        let scored = detector.score(&record("a", 1000.0)).expect("a point");
        let explanation = scored.explanation.expect("a high score is explained");
        let sum: f64 = explanation.parts().map(|(_, high, low)| high + low).sum();
        assert!((sum - scored.score.expect("a score")).abs() < 1e-9);
        assert!(explanation.parts().all(|(name, high, low)| name == "iotValue" && high > low));
    }

    #[test]
    fn settings_that_do_not_fit_the_schema_say_what_is_wrong() {
        let schema = || Arc::new(Schema::walkthrough());
        let refused = |settings: DetectorSettings| {
            Detector::new(&settings, schema()).expect_err("refused").to_string()
        };
        let columns = vec!["iotName".to_owned()];
        assert!(refused(DetectorSettings { columns, ..settings() }).contains("VARCHAR"));
        let key = Some("name".to_owned());
        assert!(refused(DetectorSettings { key, ..settings() }).contains("iotName, iotValue"));
        assert!(refused(DetectorSettings { max_models: 0, ..settings() }).contains("max_models"));
        let mut reserved = Schema::walkthrough();
        reserved.columns[0].name = "created".to_owned();
        assert!(Detector::new(&settings(), Arc::new(reserved)).is_err());
    }
}
