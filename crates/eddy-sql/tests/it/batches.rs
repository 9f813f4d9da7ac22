//! Results do not depend on how rows come in batches.

use crate::cases::all;

#[test]
fn batches_of_1_of_7_and_of_8192_rows_give_the_same() {
    for case in all().iter().filter(|case| case.refused.is_none()) {
        let one = case.run(1);
        for most in [2, 7, 8192] {
            assert_eq!(case.run(most), one, "{} in batches of {most}", case.name);
        }
    }
}

/// Everything that waits, in one application: windows, sorts, sliding windows, a join, a forest.
const TEXT: &str = r#"
CREATE STREAM "SCORED" (k VARCHAR(4), v DOUBLE, s DOUBLE);
CREATE STREAM "SORTED" (k VARCHAR(4), v DOUBLE, s DOUBLE);
CREATE STREAM "SUMS" (k VARCHAR(4), t DOUBLE, a DOUBLE, d DOUBLE);
CREATE STREAM "SLIDING" (k VARCHAR(4), a DOUBLE, l DOUBLE, n BIGINT);
CREATE STREAM "STAGGERED" (k VARCHAR(4), n BIGINT);
CREATE STREAM "MET" (k VARCHAR(4), v DOUBLE, t DOUBLE);
CREATE STREAM "ALL" (k VARCHAR(4), v DOUBLE, l VARCHAR(4), t DOUBLE);
CREATE STREAM "QUOTIENTS" (q DOUBLE);
CREATE PUMP "A" AS INSERT INTO "SCORED" SELECT STREAM k, v, ANOMALY_SCORE FROM TABLE(RANDOM_CUT_FOREST(
  CURSOR(SELECT STREAM k, v FROM SOURCE_SQL_STREAM_001), 10, 16));
CREATE PUMP "B" AS INSERT INTO "SORTED" SELECT STREAM * FROM "SCORED" s ORDER BY FLOOR(s.ROWTIME TO SECOND), s DESC;
CREATE PUMP "C" AS INSERT INTO "SUMS" SELECT STREAM k, SUM(v), AVG(s), STDDEV(v) FROM "SORTED" s
  GROUP BY k, STEP(s.ROWTIME BY INTERVAL '3' SECOND);
CREATE PUMP "D" AS INSERT INTO "SLIDING" SELECT STREAM k, AVG(v) OVER W, LAG(v) OVER W, COUNT(*) OVER (ROWS 3 PRECEDING)
  FROM "SCORED" WINDOW W AS (PARTITION BY k RANGE INTERVAL '2' SECOND PRECEDING);
CREATE PUMP "E" AS INSERT INTO "STAGGERED" SELECT STREAM k, COUNT(*) FROM "SORTED"
  WINDOWED BY STAGGER (PARTITION BY k RANGE INTERVAL '2' SECOND);
CREATE PUMP "F" AS INSERT INTO "MET" SELECT STREAM a.k, a.v, b.t FROM "SCORED" OVER (RANGE INTERVAL '4' SECOND PRECEDING) AS a
  LEFT JOIN "SUMS" AS b ON a.k = b.k;
CREATE PUMP "H" AS INSERT INTO "ALL" SELECT STREAM a.k, a.v, b.k, b.t FROM "SCORED" OVER (RANGE INTERVAL '2' SECOND PRECEDING) AS a
  FULL JOIN "SUMS" OVER (ROWS 2 PRECEDING) AS b ON a.k = b.k AND a.v < b.t;
CREATE PUMP "G" AS INSERT INTO "QUOTIENTS" SELECT STREAM 1 / v FROM "SORTED" UNION ALL SELECT STREAM t FROM "SUMS";
"#;

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(24))]

    #[test]
    fn whatever_the_rows_and_wherever_batches_end_the_same_comes_out(
        rows in proptest::collection::vec((0..4_u8, 0..6_u8, 0..1500_i64), 1..80),
        ends in proptest::collection::vec(1..20_usize, 1..20),
        restart in 0..80_usize,
    ) {
        let schema = crate::forests::schema(&[("k", "VARCHAR(4)"), ("v", "DOUBLE")]);
        let start = || eddy_sql::Application::new(TEXT, eddy_sql::Options::new(schema.clone()))
            .unwrap_or_else(|error| panic!("{error}"));
        let mut time_ms = 0;
        let records: Vec<(eddy_record::Record, i64)> = rows.iter().map(|(key, value, later)| {
            time_ms += later;
            let key = eddy_record::Value::Text(format!("k{key}").into());
            let value = eddy_record::Value::Double(f64::from(*value) / 2.0 + if *value > 0 { 0.1 } else { 0.0 });
            (eddy_record::Record { values: [key, value].into() }, time_ms)
        }).collect();
        let run = |ends: &[usize], restart: usize| {
            let mut application = start();
            let mut out = crate::cases::Lines::default();
            let mut batch = application.batch();
            let mut ends = ends.iter().cycle();
            let mut most = ends.next().copied().unwrap_or(1);
            for (number, (record, time_ms)) in records.iter().enumerate() {
                batch.push(record, &eddy_sql::Arrival { time_ms: *time_ms, ..Default::default() });
                if batch.len() >= most || number == restart {
                    out.take(application.push(&mut batch).expect("it goes on"));
                    most = ends.next().copied().unwrap_or(1);
                }
                if number == restart {
                    let saved = application.snapshot().expect("it can be saved");
                    let options = eddy_sql::Options::new(schema.clone());
                    application = eddy_sql::Application::restore(TEXT, options, &saved).expect("it is its own");
                }
            }
            out.take(application.push(&mut batch).expect("it goes on"));
            out.take(application.finish().expect("it ends"));
            out.text()
        };
        let one = run(&[1], usize::MAX);
        proptest::prop_assert_eq!(&run(&ends, usize::MAX), &one);
        proptest::prop_assert_eq!(&run(&[8192], usize::MAX), &one);
        proptest::prop_assert_eq!(&run(&ends, restart), &one);
    }
}
