//! The forest functions score as the forest does, to the last bit.

use eddy_record::{Column, Record, Schema, Value};
use eddy_sql::{Application, Arrival, Options, OutputRow};
use rcf::ForestSettings;

pub(crate) fn schema(types: &[(&str, &str)]) -> Schema {
    let column = |(name, sql_type): &(&str, &str)| Column {
        name: (*name).to_owned(),
        sql_type: sql_type.parse().expect("a type"),
        mapping: None,
        nullable: true,
    };
    Schema {
        columns: types.iter().map(column).collect(),
        format: eddy_record::RecordFormat::json(),
    }
}

/// Runs an application over rows, a second apart, in batches of 100.
fn run(text: &str, options: Options, rows: Vec<Vec<Value>>) -> (Vec<OutputRow>, Application) {
    let mut application = Application::new(text, options).unwrap_or_else(|error| panic!("{error}"));
    let mut out = Vec::new();
    let mut batch = application.batch();
    for (number, values) in rows.into_iter().enumerate() {
        let time_ms = 1000 * i64::try_from(number).expect("few rows");
        batch.push(&Record { values: values.into() }, &Arrival { time_ms, ..Arrival::default() });
        if batch.len() == 100 {
            out.extend(application.push(&mut batch).expect("it goes on").rows());
        }
    }
    out.extend(application.push(&mut batch).expect("it goes on").rows());
    out.extend(application.finish().expect("it ends").rows());
    (out, application)
}

fn readings(n_rows: u32) -> impl Iterator<Item = f64> {
    (0..n_rows).map(|row| if row % 97 == 96 { 250.0 } else { f64::from(row * 7 % 23) })
}

fn score(row: &OutputRow, column_idx: usize) -> f64 {
    let Value::Double(score) = row.values[column_idx] else { panic!("{:?}", row.values) };
    score
}

#[test]
fn scores_are_those_of_the_forest_with_the_functions_defaults() {
    let text = r#"CREATE STREAM "OUT" (v DOUBLE, s DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM v, ANOMALY_SCORE
        FROM TABLE(RANDOM_CUT_FOREST(CURSOR(SELECT STREAM v FROM SOURCE_SQL_STREAM_001)))"#;
    let mut options = Options::new(schema(&[("v", "DOUBLE")]));
    options.seed = 42;
    let rows = readings(2000).map(|v| vec![Value::Double(v)]).collect();
    let (out, _) = run(text, options, rows);
    let mut forest = {
        let mut settings = ForestSettings::new(1);
        settings.n_trees = 100;
        settings.sample_size = 256;
        settings.time_decay = Some(0.000_01);
        settings.seed = 42;
        settings
    }
    .build()
    .expect("valid settings");
    assert_eq!(out.len(), 2000);
    for (row, v) in out.iter().zip(readings(2000)) {
        #[expect(clippy::cast_possible_truncation, reason = "points are f32")]
        let point = [v as f32];
        let expected = forest.score(&point).expect("finite");
        forest.update(&point).expect("finite");
        assert_eq!(score(row, 1).to_bits(), expected.to_bits());
    }
    assert!(out.iter().any(|row| score(row, 1) > 3.0), "the high readings stand out");
}

#[test]
fn grades_are_those_of_the_detector_with_the_same_settings() {
    let text = r#"CREATE STREAM "OUT" (s DOUBLE, g DOUBLE, t DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM ANOMALY_SCORE, ANOMALY_GRADE, ANOMALY_THRESHOLD
        FROM TABLE(RANDOM_CUT_FOREST(CURSOR(SELECT STREAM v FROM SOURCE_SQL_STREAM_001), 30, 64, 100000, 4))"#;
    let schema = schema(&[("v", "DOUBLE")]);
    let settings = eddy_detect::DetectorSettings {
        trees: 30,
        sample_size: 64,
        shingle_size: 4,
        grades: true,
        ..Default::default()
    };
    let mut detector = eddy_detect::Detector::new(&settings, schema.clone().into()).expect("valid");
    let rows: Vec<Vec<Value>> = readings(1000).map(|v| vec![Value::Double(v)]).collect();
    let (out, _) = run(text, Options::new(schema), rows.clone());
    for (found, values) in out.iter().zip(rows) {
        let scored = detector.score(&Record { values: values.into() }).expect("a point");
        let grade = scored.grade.expect("there are grades");
        let expected = [scored.score.expect("a score"), grade.grade, grade.threshold];
        assert_eq!(*found.values, expected.map(Value::Double));
    }
    let n_graded = out.iter().filter(|row| score(row, 1) > 0.0).count();
    // One anomaly each: what follows it in the shingle has no grade of its own.
    assert!((10..=20).contains(&n_graded), "{n_graded}");
}

#[test]
fn parameters_shingles_and_computed_columns_reach_the_forest() {
    let text = r#"CREATE STREAM "OUT" (s DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM ANOMALY_SCORE FROM TABLE(
        RANDOM_CUT_FOREST(CURSOR(SELECT STREAM v * 2 AS w, i + 1 AS j, n FROM SOURCE_SQL_STREAM_001),
        30, 64, 20000, 3))"#;
    let options = Options::new(schema(&[("v", "DOUBLE"), ("i", "INTEGER"), ("n", "VARCHAR(9)")]));
    let rows = readings(600).enumerate().map(|(row, v)| {
        let i = i64::try_from(row % 5).expect("small");
        vec![Value::Double(v), Value::Integer(i), Value::Text("x".into())]
    });
    let (out, _) = run(text, options, rows.collect());
    let mut forest = {
        let mut settings = ForestSettings::new(2);
        settings.n_trees = 30;
        settings.sample_size = 64;
        settings.time_decay = Some(1.0 / 20_000.0);
        settings.shingle_size = 3;
        settings.seed = 1;
        settings
    }
    .build()
    .expect("valid settings");
    for (number, (row, v)) in out.iter().zip(readings(600)).enumerate() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small")]
        let point = [(v * 2.0) as f32, (number % 5 + 1) as f32];
        let expected = forest.score_and_update(&point).expect("finite");
        assert_eq!(score(row, 0).to_bits(), expected.to_bits());
    }
}

#[test]
fn each_key_of_partition_by_has_a_forest_as_though_it_were_alone() {
    let text = |partition: &str| {
        format!(
            r#"CREATE STREAM "OUT" (k VARCHAR(1), s DOUBLE);
            CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM k, ANOMALY_SCORE FROM TABLE(
            RANDOM_CUT_FOREST(CURSOR(SELECT STREAM k, v FROM SOURCE_SQL_STREAM_001) {partition}))"#
        )
    };
    let options = || Options::new(schema(&[("k", "VARCHAR(1)"), ("v", "DOUBLE")]));
    let row = |k: &str, v: f64| vec![Value::Text(k.into()), Value::Double(v)];
    let both = readings(500).flat_map(|v| [row("a", v), row("b", v * v)]).collect();
    let (together, _) = run(&text("PARTITION BY k"), options(), both);
    let (alone, _) = run(&text(""), options(), readings(500).map(|v| row("a", v)).collect());
    let of_a = together.iter().filter(|row| row.values[0] == Value::Text("a".into()));
    let bits = |rows: &mut dyn Iterator<Item = &OutputRow>| -> Vec<u64> {
        rows.map(|row| score(row, 1).to_bits()).collect()
    };
    assert_eq!(bits(&mut of_a.into_iter()), bits(&mut alone.iter()));
}

#[test]
fn an_explanation_names_the_column_and_adds_up_to_the_score() {
    let text = r#"CREATE STREAM "OUT" (s DOUBLE, e VARCHAR(20480));
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM ANOMALY_SCORE, ANOMALY_EXPLANATION FROM TABLE(
        RANDOM_CUT_FOREST_WITH_EXPLANATION(CURSOR(SELECT STREAM * FROM SOURCE_SQL_STREAM_001),
        100, 256, 100000, 1, TRUE))"#;
    let options = Options::new(schema(&[("Systolic", "INTEGER"), ("Diastolic", "INTEGER")]));
    let row = |number: i64| {
        let low = if number == 399 { 5 } else { 70 + number % 9 };
        vec![Value::Integer(110 + number % 13), Value::Integer(low)]
    };
    let (out, _) = run(text, options, (0..400).map(row).collect());
    let last = out.last().expect("rows");
    let Value::Text(explanation) = &last.values[1] else { panic!("{:?}", last.values) };
    let parts: serde_json::Value = serde_json::from_str(explanation).expect("JSON");
    let number = |column: &str, part: &str| -> f64 {
        parts[column][part].as_str().expect("a text").parse().expect("a number")
    };
    assert_eq!(parts["Diastolic"]["DIRECTION"], "LOW");
    assert!(number("Diastolic", "STRENGTH") > 1.0, "{explanation}");
    let sum = number("Systolic", "ATTRIBUTION_SCORE") + number("Diastolic", "ATTRIBUTION_SCORE");
    assert!((sum - score(last, 0)).abs() < 0.0002, "{explanation} {}", score(last, 0));
    assert!(number("Diastolic", "ATTRIBUTION_SCORE") > number("Systolic", "ATTRIBUTION_SCORE"));
}

#[test]
fn numbers_too_large_for_a_point_are_shifted_and_counted() {
    let text = r#"CREATE STREAM "OUT" (s DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM ANOMALY_SCORE FROM TABLE(
        RANDOM_CUT_FOREST(CURSOR(SELECT STREAM v FROM SOURCE_SQL_STREAM_001)))"#;
    let schema = schema(&[("v", "BIGINT")]);
    let far = 1_600_000_000_000_i64;
    let row = |number: i64, base: i64| {
        vec![Value::Integer(base + if number == 299 { 500 } else { number % 11 })]
    };
    let shifted =
        run(text, Options::new(schema.clone()), (0..300).map(|it| row(it, far)).collect());
    let near = run(text, Options::new(schema), (0..300).map(|it| row(it, 0)).collect());
    assert_eq!(
        shifted.0.iter().map(|it| score(it, 0)).collect::<Vec<_>>(),
        near.0.iter().map(|it| score(it, 0)).collect::<Vec<_>>()
    );
    assert_eq!(shifted.1.counters().shifted_columns, 1);
    assert_eq!(near.1.counters().shifted_columns, 0);
}

#[test]
fn a_time_stamp_among_the_numbers_draws_a_warning() {
    let text = r#"CREATE STREAM "OUT" (s DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM ANOMALY_SCORE FROM TABLE(
        RANDOM_CUT_FOREST(CURSOR(SELECT STREAM * FROM SOURCE_SQL_STREAM_001)))"#;
    let options = Options::new(schema(&[("v", "DOUBLE"), ("eventTime", "BIGINT")]));
    let application = Application::new(text, options).expect("it can run");
    assert!(application.warnings().iter().any(|it| it.contains("\"eventTime\" looks like a time")));
}

#[test]
fn every_row_is_counted_and_rows_have_ids_that_do_not_change() {
    let text = r#"CREATE STREAM "OUT" (v DOUBLE);
        CREATE STREAM "SUMS" (k DOUBLE, n BIGINT);
        CREATE PUMP "A" AS INSERT INTO "OUT" SELECT STREAM 6 / v FROM SOURCE_SQL_STREAM_001 WHERE v < 5;
        CREATE PUMP "B" AS INSERT INTO "SUMS" SELECT STREAM v, COUNT(*) FROM SOURCE_SQL_STREAM_001 s
        GROUP BY v, FLOOR(s.ROWTIME TO MINUTE)"#;
    let mut options = Options::new(schema(&[("v", "DOUBLE")]));
    options.has_ids = true;
    let mut application = Application::new(text, options).expect("it can run");
    let mut batch = application.batch();
    for (number, v) in [1.0, 0.0, 9.0, 3.0].into_iter().enumerate() {
        let id = format!("shard:{number}");
        let record = Record { values: [Value::Double(v)].into() };
        batch.push(&record, &Arrival { time_ms: 1000, id: &id, ..Arrival::default() });
    }
    let emission = application.push(&mut batch).expect("it goes on");
    let ids: Vec<Option<String>> = emission.rows().map(|row| row.id).collect();
    assert_eq!(ids, [Some("shard:0".to_owned()), Some("shard:3".to_owned())]);
    assert_eq!(emission.errors.len(), 1);
    let ends: Vec<OutputRow> = application.finish().expect("it ends").rows().collect();
    let distinct: std::collections::BTreeSet<_> = ends.iter().map(|row| &row.id).collect();
    assert_eq!((ends.len(), distinct.len()), (4, 4));
    let counters = application.counters();
    assert_eq!((counters.rows_in, counters.rows_out), (4, 6));
    assert_eq!((counters.filtered, counters.failed, counters.aggregated), (1, 1, 4));
}
