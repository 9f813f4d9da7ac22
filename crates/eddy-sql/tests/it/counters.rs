//! Every row is counted, and what may not be meant draws a warning.

use eddy_record::{Record, Value};
use eddy_sql::{Application, Arrival, Counters, Options, ReferenceTable};

use crate::forests::schema;

/// The counters at the end of rows `(seconds, key, value)`.
fn counters(text: &str, rows: &[(i64, &str, f64)]) -> Counters {
    let columns = schema(&[("k", "VARCHAR(4)"), ("v", "DOUBLE")]);
    let record =
        |key: &str, v: f64| Record { values: [Value::Text(key.into()), Value::Double(v)].into() };
    let mut options = Options::new(columns.clone());
    let table = [record("a", 0.0), record("a", 1.0), record("b", 2.0)];
    options.tables.push(ReferenceTable::new("T", &columns, &table));
    let mut application = Application::new(text, options).unwrap_or_else(|it| panic!("{it}"));
    let mut batch = application.batch();
    for (seconds, key, v) in rows {
        let arrival = Arrival { time_ms: 1000 * seconds, ..Arrival::default() };
        batch.push(&record(key, *v), &arrival);
    }
    application.push(&mut batch).expect("it goes on");
    application.finish().expect("it ends");
    *application.counters()
}

fn join(kind: &str) -> String {
    format!(
        r#"CREATE STREAM "LOW" (k VARCHAR(4), v DOUBLE);
        CREATE STREAM "HIGH" (k VARCHAR(4), v DOUBLE);
        CREATE STREAM "OUT" (k VARCHAR(4), v DOUBLE, w DOUBLE);
        CREATE PUMP "A" AS INSERT INTO "LOW" SELECT STREAM k, v FROM SOURCE_SQL_STREAM_001 WHERE v < 10;
        CREATE PUMP "B" AS INSERT INTO "HIGH" SELECT STREAM k, v FROM SOURCE_SQL_STREAM_001 WHERE v >= 10;
        CREATE PUMP "C" AS INSERT INTO "OUT" SELECT STREAM a.k, a.v, b.v
        FROM "LOW" OVER (RANGE INTERVAL '2' SECOND PRECEDING) AS a
        {kind} "HIGH" OVER (RANGE INTERVAL '2' SECOND PRECEDING) AS b ON a.k = b.k"#
    )
}

/// Low rows: a meets two, b meets none, c comes too late for its partner. High rows: the two of a,
/// c's, and one of d's, whom nobody asks for.
const ROWS: [(i64, &str, f64); 7] = [
    (0, "a", 1.0),
    (1, "a", 11.0),
    (1, "b", 2.0),
    (2, "a", 12.0),
    (2, "c", 13.0),
    (3, "d", 14.0),
    (9, "c", 3.0),
];

#[test]
fn rows_that_a_join_of_streams_drops_are_counted() {
    // Seven rows are filtered by one WHERE or the other.
    let inner = counters(&join("JOIN"), &ROWS);
    assert_eq!((inner.rows_in, inner.rows_out), (7, 2));
    // Of the low rows b and c, of the high ones c and d met nobody.
    assert_eq!(inner.filtered, 7 + 2 + 2);
    let left = counters(&join("LEFT JOIN"), &ROWS);
    assert_eq!((left.rows_in, left.rows_out), (7, 2 + 2));
    assert_eq!(left.filtered, 7 + 2);
}

#[test]
fn rows_that_a_join_with_a_table_drops_are_counted() {
    let text = |kind: &str| {
        format!(
            r#"CREATE STREAM "OUT" (k VARCHAR(4), v DOUBLE, w DOUBLE);
            CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM s.k, s.v, t.v
            FROM SOURCE_SQL_STREAM_001 s {kind} "T" AS t ON s.k = t.k"#
        )
    };
    // a, three times, has two partners, b one, c and d none.
    let inner = counters(&text("JOIN"), &ROWS);
    assert_eq!((inner.rows_in, inner.rows_out, inner.filtered), (7, 7, 3));
    let left = counters(&text("LEFT JOIN"), &ROWS);
    assert_eq!((left.rows_in, left.rows_out, left.filtered), (7, 10, 0));
}

#[test]
fn rows_that_a_having_drops_are_groups_and_were_counted_as_rows_before() {
    let text = r#"CREATE STREAM "OUT" (k VARCHAR(4), n BIGINT);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM k, COUNT(*) FROM SOURCE_SQL_STREAM_001 s
        GROUP BY k, FLOOR(s.ROWTIME TO MINUTE) HAVING COUNT(*) > 1"#;
    let found = counters(text, &ROWS);
    assert_eq!((found.rows_in, found.aggregated, found.rows_out), (7, 7, 2));
    assert_eq!((found.filtered, found.failed, found.late), (2, 0, 0));
}

fn warnings(text: &str, columns: &[(&str, &str)]) -> Vec<String> {
    let application = Application::new(text, Options::new(schema(columns)));
    application.unwrap_or_else(|it| panic!("{it}")).warnings().to_vec()
}

#[test]
fn a_stream_that_nothing_fills_draws_a_warning() {
    let text = r#"CREATE STREAM "OUT" (v DOUBLE); CREATE STREAM "EMPTY" (v DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM v FROM SOURCE_SQL_STREAM_001"#;
    assert_eq!(warnings(text, &[("v", "DOUBLE")]), ["stream EMPTY: no pump fills it"]);
    assert_eq!(warnings(&text.replace("\"EMPTY\"", "\"OUT\""), &[("v", "DOUBLE")]), [""; 0]);
}

#[test]
fn a_stream_of_input_parallelism_draws_a_warning() {
    let text = r#"CREATE STREAM "OUT" (v DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM v FROM SOURCE_SQL_STREAM_001;
        CREATE PUMP "Q" AS INSERT INTO "OUT" SELECT STREAM v FROM SOURCE_SQL_STREAM_002"#;
    let found = warnings(text, &[("v", "DOUBLE")]);
    let [warning] = &found[..] else { panic!("{found:?}") };
    assert!(
        warning.starts_with("stream SOURCE_SQL_STREAM_002: every record comes in"),
        "{warning}"
    );
}

#[test]
fn a_time_stamp_in_a_point_draws_a_warning_where_it_may_be_one() {
    let text = |function: &str| {
        format!(
            r#"CREATE STREAM "OUT" (v DOUBLE);
            CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM "v" FROM TABLE({function}(
            CURSOR(SELECT STREAM * FROM SOURCE_SQL_STREAM_001), 100, 10, 10))"#
        )
    };
    for function in ["RANDOM_CUT_FOREST", "RANDOM_CUT_FOREST_WITH_EXPLANATION", "HOTSPOTS"] {
        let found = warnings(&text(function), &[("v", "DOUBLE"), ("createdAt", "BIGINT")]);
        let [warning] = &found[..] else { panic!("{function}: {found:?}") };
        let expected = format!("line 2: {function}: \"createdAt\" looks like a time stamp");
        assert!(warning.starts_with(&expected), "{warning}");
        // A counter is none, and a TIMESTAMP is no number.
        let others = [("v", "DOUBLE"), ("runtime", "INTEGER"), ("at", "TIMESTAMP")];
        assert_eq!(warnings(&text(function), &others), [""; 0]);
    }
}
