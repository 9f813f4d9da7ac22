//! Memory is bounded whatever the input: each operator stops the application at its bounds, in rows
//! and in bytes, and not below them.

use eddy_record::{Record, Value};
use eddy_sql::{Application, Arrival, Limits, Options};

use crate::forests::schema;

/// An application, the bound that it meets, and the words that its error has.
struct Bounded {
    query: &'static str,
    limits: Limits,
    lateness_ms: Option<i64>,
    says: &'static str,
}

fn bounded(query: &'static str, limits: Limits, says: &'static str) -> Bounded {
    Bounded { query, limits, lateness_ms: None, says }
}

/// Rows of different keys and items, a second each; how many rows it takes to meet the bound.
fn rows_until_refused(case: &Bounded, n_rows: usize) -> Result<(), (usize, String)> {
    let text = format!(
        "CREATE STREAM \"OUT\" (k VARCHAR(200), n DOUBLE); CREATE PUMP \"P\" AS INSERT INTO \"OUT\" {}",
        case.query
    );
    let mut options = Options::new(schema(&[("k", "VARCHAR(200)"), ("v", "DOUBLE")]));
    options.limits = case.limits;
    options.lateness_ms = case.lateness_ms;
    let mut application = Application::new(&text, options).unwrap_or_else(|it| panic!("{it}"));
    for row in 0..n_rows {
        let mut batch = application.batch();
        let key = format!("{row:0100}");
        let v = f64::from(u32::try_from(row).expect("few rows"));
        let values = [Value::Text(key.into()), Value::Double(v)];
        let time_ms = 1000 * i64::try_from(row).expect("few rows");
        batch.push(&Record { values: values.into() }, &Arrival { time_ms, ..Arrival::default() });
        if let Err(error) = application.push(&mut batch) {
            return Err((row, error.to_string()));
        }
    }
    Ok(())
}

const HOURS: &str = "GROUP BY k, FLOOR(s.ROWTIME TO HOUR)";

fn cases() -> Vec<Bounded> {
    let all = Limits::default();
    let source = r#"FROM SOURCE_SQL_STREAM_001 s"#;
    let query = |select: &str, behind: &str| -> &'static str {
        format!("SELECT STREAM {select} {source} {behind}").leak()
    };
    let order = query("k, v", "ORDER BY FLOOR(s.ROWTIME TO HOUR), v");
    let within = query("k, v", "ORDER BY s.ROWTIME WITHIN INTERVAL '1' HOUR");
    let tumbling = query("k, COUNT(*)", HOURS);
    let distinct = query("'x', COUNT(DISTINCT k)", "GROUP BY FLOOR(s.ROWTIME TO HOUR)");
    let stagger =
        query("k, COUNT(*)", "WINDOWED BY STAGGER (PARTITION BY k RANGE INTERVAL '1' HOUR)");
    let sliding =
        query("FIRST_VALUE(k) OVER W, v", "WINDOW W AS (RANGE INTERVAL '1' HOUR PRECEDING)");
    let by_key = query("k, SUM(v) OVER (PARTITION BY k ROWS 3 PRECEDING)", "");
    let running = query("MAX(k) OVER (PARTITION BY k), v", "");
    let join = "SELECT STREAM a.k, b.v FROM SOURCE_SQL_STREAM_001 OVER (RANGE INTERVAL '1' HOUR PRECEDING) AS a \
        JOIN SOURCE_SQL_STREAM_001 OVER (RANGE INTERVAL '1' SECOND PRECEDING) AS b ON a.v = b.v + 1";
    let items = "SELECT STREAM ITEM, ITEM_COUNT FROM TABLE(TOP_K_ITEMS_TUMBLING( \
        CURSOR(SELECT STREAM k FROM SOURCE_SQL_STREAM_001), 'k', 3, 3600))";
    let late = |limits, says| Bounded {
        lateness_ms: Some(3_600_000),
        ..bounded(query("k, v", ""), limits, says)
    };
    let (rows, bytes) = (50, 20_000);
    vec![
        bounded(order, Limits { held_rows: rows, ..all }, "ORDER BY of pump P holds more than 50"),
        bounded(
            order,
            Limits { held_bytes: bytes, ..all },
            "ORDER BY of pump P needs more than 20000",
        ),
        bounded(within, Limits { held_rows: rows, ..all }, "ORDER BY .. WITHIN of pump P holds"),
        bounded(within, Limits { held_bytes: bytes, ..all }, "ORDER BY .. WITHIN of pump P needs"),
        bounded(tumbling, Limits { groups: rows, ..all }, "a window of pump P holds"),
        bounded(tumbling, Limits { aggregate_bytes: bytes, ..all }, "a window of pump P needs"),
        bounded(distinct, Limits { aggregate_bytes: bytes, ..all }, "a window of pump P needs"),
        bounded(stagger, Limits { groups: rows, ..all }, "a stagger window of pump P holds"),
        bounded(
            stagger,
            Limits { aggregate_bytes: bytes, ..all },
            "a stagger window of pump P needs",
        ),
        bounded(sliding, Limits { window_rows: rows, ..all }, "OVER of pump P holds"),
        bounded(sliding, Limits { held_bytes: bytes, ..all }, "OVER of pump P needs"),
        bounded(by_key, Limits { keys: rows, ..all }, "OVER of pump P holds"),
        bounded(running, Limits { aggregate_bytes: bytes, ..all }, "OVER of pump P needs"),
        bounded(join, Limits { join_rows: rows, ..all }, "JOIN of pump P holds"),
        bounded(join, Limits { held_bytes: bytes, ..all }, "JOIN of pump P needs"),
        bounded(items, Limits { groups: rows, ..all }, "a window of items of pump P holds"),
        bounded(
            items,
            Limits { aggregate_bytes: bytes, ..all },
            "a window of items of pump P needs",
        ),
        late(Limits { held_rows: rows, ..all }, "the allowed lateness of the source holds"),
        late(Limits { held_bytes: bytes, ..all }, "the allowed lateness of the source needs"),
    ]
}

#[test]
fn every_operator_stops_at_its_bounds() {
    for case in cases() {
        let (row, error) = rows_until_refused(&case, 400).expect_err(case.query);
        assert!(error.contains(case.says), "{}: {error}", case.query);
        // Fifty rows of at least a hundred bytes each fit; twenty thousand bytes hold no four hundred.
        let fits = if case.says.contains("holds") { 49..=51 } else { 20..=250 };
        assert!(fits.contains(&row), "{}: {error} at row {row}", case.query);
    }
}

#[test]
fn what_has_left_counts_no_more() {
    for mut case in cases() {
        // A thousandth of the time: windows and sorts hold a few rows, of very many that pass.
        case.query = case
            .query
            .replace("INTERVAL '1' HOUR", "INTERVAL '4' SECOND")
            .replace("TO HOUR", "TO SECOND")
            .replace(", 3600)", ", 4)")
            .leak();
        case.lateness_ms = case.lateness_ms.map(|_| 4000);
        // What is kept for every key, as OVER without a bound does, never leaves.
        if !case.query.contains("OVER (PARTITION BY k") {
            assert_eq!(rows_until_refused(&case, 1500), Ok(()), "{}", case.query);
        }
    }
}

/// The error of rows `(time_ms, v)` pushed together, again and again some seconds later, or of the end.
fn refused(text: &str, limits: Limits, lateness_ms: Option<i64>, rows: &[(i64, f64)]) -> String {
    let mut options = Options::new(schema(&[("v", "DOUBLE")]));
    (options.limits, options.lateness_ms) = (limits, lateness_ms);
    let mut application = Application::new(text, options).unwrap_or_else(|it| panic!("{it}"));
    for second in 0..500 {
        let mut batch = application.batch();
        for (time_ms, v) in rows {
            let time_ms = 1000 * second + time_ms;
            let values = [Value::Double(*v)];
            let arrival = Arrival { time_ms, ..Arrival::default() };
            batch.push(&Record { values: values.into() }, &arrival);
        }
        if let Err(error) = application.push(&mut batch) {
            return format!("{error} at {second}");
        }
    }
    application.finish().err().map_or_else(String::new, |error| error.to_string())
}

#[test]
fn a_sort_has_its_bounds_while_something_leaves() {
    // A row without a partner has no time to wait for, and leaves at once: in every batch.
    let text = r#"CREATE STREAM "OUT" (v DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM a.v
        FROM SOURCE_SQL_STREAM_001 AS a LEFT JOIN SOURCE_SQL_STREAM_001 AS b ON a.v = b.v AND a.v > 0
        ORDER BY FLOOR(b.ROWTIME TO HOUR), a.v"#;
    let limits = Limits { held_rows: 50, ..Limits::default() };
    let error = refused(text, limits, None, &[(0, 1.0), (1, 0.0), (2, 1.0)]);
    assert!(
        error.contains("ORDER BY of pump P holds more than 50") && error.ends_with("at 25"),
        "{error}"
    );
}

#[test]
fn texts_of_rows_that_leave_together_are_bounded() {
    let text = |order: &str| {
        format!(
            r#"CREATE STREAM "S" (v DOUBLE); CREATE STREAM "OUT" (t VARCHAR(10000));
            CREATE PUMP "A" AS INSERT INTO "S" SELECT STREAM v FROM SOURCE_SQL_STREAM_001 s {order};
            CREATE PUMP "B" AS INSERT INTO "OUT" SELECT STREAM HOTSPOTS_RESULT
            FROM TABLE(HOTSPOTS(CURSOR(SELECT STREAM v FROM "S"), 100, 1, 2))"#
        )
    };
    let limits = Limits { held_bytes: 230_000, released_rows: 50, ..Limits::default() };
    let rows = [(0, 1.0), (1, 100.0), (2, 200.0), (3, 300.0)];
    let error = refused(&text("ORDER BY FLOOR(s.ROWTIME TO HOUR)"), limits, None, &rows);
    assert!(error.contains("HOTSPOTS_RESULT of pump B needs more than 230000"), "{error}");
    // By event time so many rows leave in parts.
    assert_eq!(refused(&text(""), limits, Some(3_600_000), &rows), "");
}
