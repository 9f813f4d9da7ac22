//! Event time: within the allowed lateness the order of arrival changes nothing.

use eddy_record::{Record, Value};
use eddy_sql::{Application, Arrival, InputBatch, Options};
use proptest::prelude::*;

use crate::cases::Lines;
use crate::forests::schema;

/// One application each, so that the order between streams is no matter.
const TEXTS: [(&str, &str); 7] = [
    (
        "tumbling",
        r#"CREATE STREAM "OUT" (k VARCHAR(4), n BIGINT, v DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM k, COUNT(*), SUM(v) FROM SOURCE_SQL_STREAM_001 s
        GROUP BY k, STEP(s.ROWTIME BY INTERVAL '3' SECOND)"#,
    ),
    (
        "stagger",
        r#"CREATE STREAM "OUT" (k VARCHAR(4), n BIGINT, f DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM k, COUNT(*), FIRST_VALUE(v) FROM SOURCE_SQL_STREAM_001
        WINDOWED BY STAGGER (PARTITION BY k RANGE INTERVAL '2' SECOND)"#,
    ),
    (
        "sliding",
        r#"CREATE STREAM "OUT" (k VARCHAR(4), a DOUBLE, l DOUBLE, n BIGINT);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM k, AVG(v) OVER W, LAG(v) OVER W, COUNT(*) OVER (ROWS 3 PRECEDING)
        FROM SOURCE_SQL_STREAM_001 WINDOW W AS (PARTITION BY k RANGE INTERVAL '2' SECOND PRECEDING)"#,
    ),
    (
        "a T-sort",
        r#"CREATE STREAM "OUT" (k VARCHAR(4), v DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM t AS ROWTIME, k, v FROM SOURCE_SQL_STREAM_001
        ORDER BY t WITHIN INTERVAL '1' SECOND"#,
    ),
    (
        "an ordering by value within seconds",
        r#"CREATE STREAM "OUT" (k VARCHAR(4), v DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM k, v FROM SOURCE_SQL_STREAM_001 s
        ORDER BY FLOOR(s.ROWTIME TO SECOND), v DESC"#,
    ),
    (
        "a forest, and windows over what it says",
        r#"CREATE STREAM "SCORED" (k VARCHAR(4), s DOUBLE, g DOUBLE);
        CREATE STREAM "OUT" (s DOUBLE, g DOUBLE);
        CREATE PUMP "A" AS INSERT INTO "SCORED" SELECT STREAM k, ANOMALY_SCORE, ANOMALY_GRADE FROM TABLE(RANDOM_CUT_FOREST(
          CURSOR(SELECT STREAM k, v FROM SOURCE_SQL_STREAM_001), 5, 16));
        CREATE PUMP "B" AS INSERT INTO "OUT" SELECT STREAM MAX(s), MAX(g) FROM "SCORED" x
        GROUP BY FLOOR(x.ROWTIME TO SECOND)"#,
    ),
    (
        "a join of windows",
        r#"CREATE STREAM "A" (k VARCHAR(4), v DOUBLE);
        CREATE STREAM "OUT" (k VARCHAR(4), v DOUBLE, w DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "A" SELECT STREAM k, v FROM SOURCE_SQL_STREAM_001 WHERE v > 2;
        CREATE PUMP "Q" AS INSERT INTO "OUT" SELECT STREAM s.k, s.v, a.v
        FROM SOURCE_SQL_STREAM_001 OVER (RANGE INTERVAL '2' SECOND PRECEDING) AS s
        LEFT JOIN "A" OVER (RANGE INTERVAL '1' SECOND PRECEDING) AS a ON s.k = a.k"#,
    ),
];

#[derive(Clone, Debug)]
struct Row {
    time_ms: i64,
    key: u8,
    value: u8,
}

fn options(lateness_ms: Option<i64>) -> Options {
    let types = [("k", "VARCHAR(4)"), ("v", "DOUBLE"), ("t", "TIMESTAMP")];
    let mut options = Options::new(schema(&types));
    options.lateness_ms = lateness_ms;
    options
}

fn push_row(batch: &mut InputBatch, Row { time_ms, key, value }: &Row) {
    let values = [
        Value::Text(format!("k{key}").into()),
        Value::Double(f64::from(*value) / 2.0),
        Value::TimestampMs(*time_ms),
    ];
    batch.push(
        &Record { values: values.into() },
        &Arrival { time_ms: *time_ms, arrival_ms: *time_ms, ..Arrival::default() },
    );
}

/// What comes out, the error stream, and how many rows were late.
fn run(
    text: &str,
    lateness_ms: Option<i64>,
    rows: &[Row],
    ends: &[usize],
    restart: usize,
) -> (String, String, u64) {
    let start = || Application::new(text, options(lateness_ms));
    let mut application = start().unwrap_or_else(|error| panic!("{error}"));
    let mut batch = application.batch();
    let mut out = Lines::default();
    let mut ends = ends.iter().cycle();
    let mut most = ends.next().copied().unwrap_or(1);
    for (number, row) in rows.iter().enumerate() {
        push_row(&mut batch, row);
        if batch.len() >= most || number == restart {
            out.take(application.push(&mut batch).expect("it goes on"));
            most = ends.next().copied().unwrap_or(1);
        }
        if number == restart {
            let saved = application.snapshot().expect("it can be saved");
            application =
                Application::restore(text, options(lateness_ms), &saved).expect("it is its own");
            assert_eq!(application.snapshot().expect("it can be saved"), saved);
        }
    }
    out.take(application.push(&mut batch).expect("it goes on"));
    out.take(application.finish().expect("it ends"));
    let late = application.counters().late;
    let (rows, errors) = out.text();
    (rows, errors, late)
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (0..12_000_i64, 0..3_u8, 0..9_u8);
    let row = row.prop_map(|(time_ms, key, value)| Row { time_ms, key, value });
    proptest::collection::vec(row, 1..60)
}

/// The greatest distance of a row from the latest before it.
fn disorder(rows: &[Row]) -> i64 {
    let mut latest = i64::MIN;
    let behind = rows.iter().map(|row| {
        latest = latest.max(row.time_ms);
        latest - row.time_ms
    });
    behind.max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn with_a_lateness_of_the_disorder_the_output_is_that_of_the_sorted_input(
        rows in rows(),
        ends in proptest::collection::vec(1..20_usize, 1..8),
        restart in 0..60_usize,
        more_ms in 0..2000_i64,
    ) {
        let lateness_ms = disorder(&rows) + more_ms;
        let mut sorted = rows.clone();
        sorted.sort_by_key(|row| row.time_ms);
        for (name, text) in TEXTS {
            let expected = run(text, None, &sorted, &[8192], usize::MAX);
            let found = run(text, Some(lateness_ms), &rows, &ends, restart);
            prop_assert_eq!(&found, &expected, "{} with a lateness of {} ms", name, lateness_ms);
        }
    }

    #[test]
    fn rows_beyond_the_lateness_are_late_in_whatever_batches(
        rows in rows(),
        ends in proptest::collection::vec(1..20_usize, 1..8),
        restart in 0..60_usize,
        lateness_ms in 0..5000_i64,
    ) {
        let (mut latest, mut n_late) = (i64::MIN, 0);
        let mut in_time = Vec::new();
        for row in &rows {
            if row.time_ms < latest.saturating_sub(lateness_ms) {
                n_late += 1;
                continue;
            }
            latest = latest.max(row.time_ms);
            in_time.push(row.clone());
        }
        in_time.sort_by_key(|row| row.time_ms);
        for (name, text) in TEXTS {
            let (found, errors, late) = run(text, Some(lateness_ms), &rows, &[1], usize::MAX);
            prop_assert_eq!((late, errors.lines().count() as u64), (n_late, n_late), "{}", name);
            let expected = run(text, None, &in_time, &[8192], usize::MAX);
            prop_assert_eq!(&found, &expected.0, "{}", name);
            let other = run(text, Some(lateness_ms), &rows, &ends, restart);
            prop_assert_eq!(other, (found, errors, late), "{}", name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn parts_of_what_a_jump_of_time_lets_go_change_nothing_nor_does_a_restart_between_them(
        rows in rows(),
        lateness_ms in 0..20_000_i64,
        released_rows in 1..9_usize,
    ) {
        for (name, text) in TEXTS {
            let (expected, errors, late) = run(text, Some(lateness_ms), &rows, &[8192], usize::MAX);
            let mut options = options(Some(lateness_ms));
            options.limits.released_rows = released_rows;
            let mut application = Application::new(text, options.clone()).expect("it can run");
            let mut batch = application.batch();
            let mut out = Lines::default();
            let restart = |application: &mut Application| {
                let saved = application.snapshot().expect("it can be saved");
                *application =
                    Application::restore(text, options.clone(), &saved).expect("it is its own");
                assert_eq!(application.snapshot().expect("it can be saved"), saved);
            };
            for (number, row) in rows.iter().enumerate() {
                push_row(&mut batch, row);
                if number % 20 < 19 && number + 1 < rows.len() {
                    continue;
                }
                out.take(application.push_part(&mut batch).expect("it goes on"));
                restart(&mut application);
                // What is left of one call leaves before what the next lets go.
                while number % 2 == 0 && let Some(more) = application.rest().expect("it goes on") {
                    out.take(more);
                    restart(&mut application);
                }
            }
            out.take(application.finish_part().expect("it ends"));
            while let Some(more) = application.rest().expect("it ends") {
                restart(&mut application);
                out.take(more);
            }
            prop_assert_eq!(application.counters().late, late, "{}", name);
            prop_assert_eq!(out.text(), (expected, errors), "{}", name);
        }
    }
}

#[test]
fn a_jump_of_time_lets_go_a_bounded_number_of_rows_at_once() {
    let text = r#"CREATE STREAM "OUT" (v DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM v FROM SOURCE_SQL_STREAM_001"#;
    let mut application = Application::new(text, options(Some(3_600_000))).expect("it can run");
    let mut batch = application.batch();
    let row = |time_ms| Row { time_ms, key: 0, value: 1 };
    (0..20_000).for_each(|time_ms| push_row(&mut batch, &row(time_ms)));
    assert_eq!(application.push(&mut batch).expect("it goes on").n_rows(), 0);
    push_row(&mut batch, &row(7_200_000));
    let mut parts = vec![application.push_part(&mut batch).expect("it goes on").n_rows()];
    while let Some(more) = application.rest().expect("it goes on") {
        parts.push(more.n_rows());
    }
    assert_eq!(parts, [8192, 8192, 3616]);
}

#[test]
fn only_rows_that_wait_count_in_whatever_batches() {
    let text = r#"CREATE STREAM "OUT" (v DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM v FROM SOURCE_SQL_STREAM_001"#;
    for most in [1, 100] {
        let mut options = options(Some(60_000));
        options.limits.held_rows = 100;
        let mut application = Application::new(text, options).expect("it can run");
        let mut batch = application.batch();
        // One row in a hundred is 59 s ahead of the others, and waits.
        for number in 0..5000 {
            let ahead_ms = if number % 100 == 0 { 59_000 } else { 0 };
            push_row(&mut batch, &Row { time_ms: 100_000 + ahead_ms, key: 0, value: 1 });
            if number == 0 {
                push_row(&mut batch, &Row { time_ms: 160_000, key: 0, value: 1 });
            }
            if batch.len() >= most {
                application.push(&mut batch).expect("what waits fits");
            }
        }
    }
}

#[test]
fn a_window_closes_when_the_watermark_is_at_its_end() {
    let mut application = Application::new(TEXTS[0].1, options(Some(1000))).expect("it can run");
    let mut n_rows = |time_ms: i64| {
        let mut batch = application.batch();
        let values = [Value::Text("k".into()), Value::Double(1.0), Value::Null];
        batch.push(&Record { values: values.into() }, &Arrival { time_ms, ..Arrival::default() });
        application.push(&mut batch).expect("it goes on").n_rows()
    };
    assert_eq!([n_rows(500), n_rows(3999), n_rows(2900), n_rows(4000)], [0, 0, 0, 1]);
    // No row of the next window has left yet: time alone closes it.
    assert_eq!([n_rows(6999), n_rows(7500)], [0, 1]);
    let watermark = application.advance_watermark(9000).expect("it goes on");
    assert_eq!((watermark.n_rows(), application.watermark_ms()), (1, Some(9000)));
}
