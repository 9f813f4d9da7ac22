//! The ids of rows are the same however the input comes in batches, and no two rows of a stream have
//! the same.

use std::collections::BTreeSet;

use eddy_record::{Record, Value};
use eddy_sql::{Application, Arrival, Emission, Options, ReferenceTable};

/// Everything that makes several rows of one record, or rows of several.
const TEXT: &str = r#"
CREATE STREAM "STAGGERED" (k VARCHAR(4), n BIGINT);
CREATE STREAM "BOTH" (k VARCHAR(4), v DOUBLE);
CREATE STREAM "TWICE" (k VARCHAR(4), v DOUBLE);
CREATE STREAM "TOP" (item VARCHAR(8), n DOUBLE);
CREATE STREAM "MET" (k VARCHAR(4), v DOUBLE, w DOUBLE);
CREATE STREAM "ALL" (k VARCHAR(4), v DOUBLE, w DOUBLE);
CREATE STREAM "KNOWN" (k VARCHAR(4), v DOUBLE, w DOUBLE);
CREATE PUMP "A" AS INSERT INTO "STAGGERED" SELECT STREAM k, COUNT(*) FROM SOURCE_SQL_STREAM_001
  WINDOWED BY STAGGER (PARTITION BY k RANGE INTERVAL '2' SECOND);
CREATE PUMP "B" AS INSERT INTO "BOTH" SELECT STREAM k, v FROM SOURCE_SQL_STREAM_001
  UNION ALL SELECT STREAM k, -v FROM SOURCE_SQL_STREAM_001;
CREATE PUMP "C" AS INSERT INTO "TWICE" SELECT STREAM k, v FROM SOURCE_SQL_STREAM_001;
CREATE PUMP "D" AS INSERT INTO "TWICE" SELECT STREAM k, v + 1 FROM SOURCE_SQL_STREAM_001;
CREATE PUMP "E" AS INSERT INTO "TOP"
  SELECT STREAM ITEM, ITEM_COUNT FROM TABLE(TOP_K_ITEMS_TUMBLING(CURSOR(SELECT STREAM k FROM SOURCE_SQL_STREAM_001), 'k', 3, 2))
  UNION ALL
  SELECT STREAM ITEM, ITEM_COUNT FROM TABLE(TOP_K_ITEMS_TUMBLING(CURSOR(SELECT STREAM k FROM SOURCE_SQL_STREAM_001), 'k', 3, 2));
CREATE PUMP "F" AS INSERT INTO "MET" SELECT STREAM a.k, a.v, b.v
  FROM SOURCE_SQL_STREAM_001 OVER (RANGE INTERVAL '3' SECOND PRECEDING) AS a JOIN "TWICE" AS b ON a.k = b.k;
CREATE PUMP "H" AS INSERT INTO "ALL" SELECT STREAM a.k, a.v, b.v
  FROM SOURCE_SQL_STREAM_001 OVER (RANGE INTERVAL '1' SECOND PRECEDING) AS a
  FULL JOIN SOURCE_SQL_STREAM_001 OVER (RANGE INTERVAL '1' SECOND PRECEDING) AS b ON a.k = b.k AND a.v = b.v + 1;
CREATE PUMP "G" AS INSERT INTO "KNOWN" SELECT STREAM s.k, s.v, t.v FROM SOURCE_SQL_STREAM_001 s JOIN "T" AS t ON s.v >= t.v;
"#;

fn rows(most: usize) -> Vec<(String, String, i64)> {
    let schema = crate::forests::schema(&[("k", "VARCHAR(4)"), ("v", "DOUBLE")]);
    let record = |idx: u8| {
        let key = Value::Text(format!("k{}", idx % 3).into());
        Record { values: [key, Value::Double(f64::from(idx % 7))].into() }
    };
    let mut options = Options::new(schema.clone());
    options.has_ids = true;
    options.tables.push(ReferenceTable::new("T", &schema, &[record(0), record(1), record(2)]));
    let outputs = ["STAGGERED", "BOTH", "TWICE", "TOP", "MET", "ALL", "KNOWN"];
    options.outputs = Some(outputs.map(str::to_owned).to_vec());
    let mut application = Application::new(TEXT, options).unwrap_or_else(|it| panic!("{it}"));
    let mut rows = Vec::new();
    let mut take = |emission: Emission| {
        rows.extend(emission.rows().map(|row| {
            (row.stream.to_string(), row.id.expect("records have ids"), row.rowtime_ms)
        }));
    };
    let mut batch = application.batch();
    for idx in 0..60 {
        let id = format!("shard:{idx}");
        let time_ms = i64::from(idx) * 400;
        batch.push(&record(idx), &Arrival { time_ms, id: &id, ..Arrival::default() });
        if batch.len() >= most {
            take(application.push(&mut batch).expect("it goes on"));
        }
    }
    take(application.push(&mut batch).expect("it goes on"));
    take(application.finish().expect("it ends"));
    rows
}

#[test]
fn ids_do_not_depend_on_batches() {
    let one = rows(1);
    for most in [7, 8192] {
        assert_eq!(rows(most), one);
    }
}

#[test]
fn no_two_rows_of_a_stream_have_the_same_id() {
    let rows = rows(8192);
    let streams: BTreeSet<&str> = rows.iter().map(|(stream, ..)| stream.as_str()).collect();
    assert_eq!(streams.len(), 7);
    let mut known = BTreeSet::new();
    for (stream, id, _) in &rows {
        assert!(known.insert((stream, id)), "{stream}: {id}");
    }
}
