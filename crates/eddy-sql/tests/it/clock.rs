//! A clock that is set back while an application runs: what `eddy run --source -` and files have as
//! the time of arrival.

use std::collections::BTreeMap;

use eddy_record::{Record, Value};
use eddy_sql::{Application, Arrival, Emission, Options};
use proptest::prelude::*;

const TEXT: &str = r#"
CREATE STREAM "PASSED" (n BIGINT);
CREATE STREAM "SORTED" (n BIGINT);
CREATE STREAM "COUNTED" (n BIGINT);
CREATE STREAM "STAGGERED" (n BIGINT);
CREATE PUMP "A" AS INSERT INTO "PASSED" SELECT STREAM n FROM SOURCE_SQL_STREAM_001;
CREATE PUMP "B" AS INSERT INTO "SORTED" SELECT STREAM n FROM SOURCE_SQL_STREAM_001 s
  ORDER BY FLOOR(s.ROWTIME TO SECOND), n DESC;
CREATE PUMP "C" AS INSERT INTO "COUNTED" SELECT STREAM COUNT(*) FROM SOURCE_SQL_STREAM_001 s
  GROUP BY STEP(s.ROWTIME BY INTERVAL '10' SECOND);
CREATE PUMP "D" AS INSERT INTO "STAGGERED" SELECT STREAM COUNT(*) FROM SOURCE_SQL_STREAM_001
  WINDOWED BY STAGGER (PARTITION BY n RANGE INTERVAL '5' SECOND);
"#;

#[derive(Default)]
struct Left {
    // The latest ROWTIME, and the values, of each stream.
    streams: BTreeMap<String, (i64, Vec<i64>)>,
}

impl Left {
    fn take(&mut self, emission: &Emission) {
        assert!(emission.errors.is_empty(), "{:?}", emission.errors);
        for row in emission.rows() {
            let Value::Integer(n) = row.values[0] else { panic!("{row:?}") };
            let (latest, values) =
                self.streams.entry(row.stream.to_string()).or_insert((i64::MIN, Vec::new()));
            // A sort has the rows of a second in another order.
            let step_ms = if &*row.stream == "SORTED" { 1000 } else { 1 };
            let time = row.rowtime_ms / step_ms;
            assert!(time >= *latest, "{} went back: {row:?}", row.stream);
            *latest = time;
            values.push(n);
        }
    }
}

proptest! {
    #[test]
    fn a_clock_that_is_set_back_takes_no_rowtime_back_and_no_row_away(
        steps in prop::collection::vec((0..3_u8, -5_000_i64..8_000, any::<bool>()), 1..80),
    ) {
        let schema = crate::forests::schema(&[("n", "BIGINT")]);
        let mut application = Application::new(TEXT, Options::new(schema)).expect("runs");
        let (mut batch, mut left) = (application.batch(), Left::default());
        let (mut now_ms, mut n_rows, mut latest) = (1_795_435_200_000_i64, 0, i64::MIN);
        let mut n_clamped = 0;
        for (what, passes, jumps) in steps {
            // Set back by up to an hour and forward again, as a bad server of time does it.
            now_ms += if jumps { passes * 700 } else { passes.max(0) };
            if what == 0 {
                left.take(&application.push(&mut batch).expect("goes on"));
                left.take(&application.advance_watermark(now_ms).expect("goes on"));
                latest = latest.max(now_ms);
            } else {
                let record = Record { values: [Value::Integer(n_rows)].into() };
                batch.push(&record, &Arrival { time_ms: now_ms, arrival_ms: now_ms, ..Arrival::default() });
                n_rows += 1;
                n_clamped += u64::from(now_ms < latest);
                latest = latest.max(now_ms);
            }
        }
        left.take(&application.push(&mut batch).expect("goes on"));
        left.take(&application.finish().expect("ends"));
        prop_assert_eq!(application.counters().clamped, n_clamped);
        let values = |stream: &str| left.streams.get(stream).map_or(Vec::new(), |it| it.1.clone());
        prop_assert_eq!(values("PASSED"), (0..n_rows).collect::<Vec<_>>());
        let mut sorted = values("SORTED");
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..n_rows).collect::<Vec<_>>());
        for windows in ["COUNTED", "STAGGERED"] {
            prop_assert_eq!(values(windows).iter().sum::<i64>(), n_rows, "{}", windows);
        }
    }
}
