//! Event time with an allowed lateness in a pipeline.

use std::sync::Arc;

use eddy_pipeline::{ApplicationParts, Pipeline, PipelineSettings, Settings, Stop};
use eddy_record::{Column, DecodeLimits, Decoder, RawRecord, Schema, ScoredRecord, SqlType};
use eddy_stream::{MemorySource, Source};
use serde_json::Value;
use tokio::sync::watch;

use crate::application::engine;
use crate::crashes::Unending;
use crate::support::{World, partition, raw, run, stream};

const TEXT: &str = r#"
CREATE STREAM "SUMS" ("iotName" VARCHAR(64), "n" BIGINT, "sum" DOUBLE);
CREATE PUMP "P" AS INSERT INTO "SUMS" SELECT STREAM "iotName", COUNT(*), SUM("iotValue")
  FROM "SOURCE_SQL_STREAM_001" s GROUP BY "iotName", STEP(s.ROWTIME BY INTERVAL '10' SECOND);
"#;

/// Readings a tenth of a second apart, by their own time: `late_ms` says how far each is behind.
fn readings(n_records: u64, late_ms: impl Fn(u64) -> u64) -> Vec<RawRecord> {
    let mut events: Vec<(u64, u64)> =
        (0..n_records).map(|n| (100 * n + late_ms(n), 100 * n)).collect();
    events.sort_unstable();
    let text = |n: u64, at: u64| {
        let name = at / 100 % 3;
        raw(n, &format!("{{\"iotName\":\"s{name}\",\"iotValue\":{},\"at\":{at}}}", at % 11))
    };
    (0_u64..).zip(events).map(|(n, (_, at))| text(n, at)).collect()
}

fn source(records: &[RawRecord]) -> MemorySource {
    MemorySource::new(stream(1), 7).with_partition(partition("p", &[]), records.to_vec())
}

/// The rows in the order in which they were written. (Ids differ: another lateness is another
/// application.)
fn written(world: &World) -> Vec<(i64, Value)> {
    let json = |row: &ScoredRecord| {
        let mut out = Vec::new();
        row.write_json(&mut out);
        (row.created_ms, serde_json::from_slice(&out).expect("JSON"))
    };
    world.rows.writes().iter().map(json).collect()
}

fn pipeline(world: &World, source: impl Source + 'static, more: &str) -> Pipeline {
    let settings = PipelineSettings { commit_records: 1, ..PipelineSettings::default() };
    let more = format!("rowtime = \"at\"\n{more}");
    // The field that is the time stands behind the schema's columns, as in production.
    let mut decoded = Schema::walkthrough();
    decoded.columns.push(Column {
        name: "at".to_owned(),
        sql_type: SqlType::Varchar { max_chars: 64 },
        mapping: None,
        nullable: true,
    });
    let decoder = Decoder::new(Arc::new(decoded), DecodeLimits::default()).expect("valid");
    Pipeline {
        engine: engine(TEXT, &more),
        decoder: Arc::new(decoder),
        ..world.pipeline(Arc::new(source), settings)
    }
}

#[tokio::test]
async fn within_the_lateness_the_order_of_arrival_changes_nothing_over_a_restart() {
    let sorted = World::default();
    run(pipeline(&sorted, source(&readings(500, |_| 0)), "")).await.expect("runs");
    let mixed = readings(500, |n| n * 37 % 30 * 100);
    let pieces = World::default();
    for end in [61, 62, 300] {
        let (_tell, stop) = watch::channel(Stop::Drained);
        let open = Unending(source(&mixed[..end]));
        pipeline(&pieces, open, "lateness_ms = 3000").run(stop).await.expect("runs");
    }
    run(pipeline(&pieces, source(&mixed), "lateness_ms = 3000")).await.expect("ends");
    assert!(written(&sorted).len() > 10);
    assert_eq!(written(&pieces), written(&sorted));
    let totals = pieces.counters.totals();
    assert_eq!((totals.rows_in, totals.failed), (500, 0));
    // Without it, what is behind is moved up into later windows.
    let moved = World::default();
    run(pipeline(&moved, source(&mixed), "")).await.expect("runs");
    assert_ne!(written(&moved), written(&sorted));
    assert!(moved.counters.totals().clamped > 0);
}

#[tokio::test]
async fn all_that_a_jump_of_the_time_lets_go_leaves_once_and_in_order() {
    let text = r#"CREATE STREAM "OUT" ("n" DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM "iotValue" FROM "SOURCE_SQL_STREAM_001";"#;
    // More than a step takes; the second half comes first.
    let at = |n: u64| if n == 25_000 { 7_200_000 } else { (n + 12_500) % 25_000 };
    let records: Vec<RawRecord> = (0..=25_000_u64)
        .map(|n| raw(n, &format!("{{\"iotName\":\"s\",\"iotValue\":{n},\"at\":{}}}", at(n))))
        .collect();
    let world = World::default();
    let mut pipeline = pipeline(&world, source(&records), "");
    pipeline.settings.commit_records = 1_000_000;
    pipeline.engine = engine(text, "rowtime = \"at\"\nlateness_ms = 3600000");
    run(pipeline).await.expect("ends");
    let times: Vec<i64> = written(&world).into_iter().map(|(time_ms, _)| time_ms).collect();
    assert_eq!(times, (0..25_000).chain([7_200_000]).collect::<Vec<i64>>());
    assert_eq!(world.counters.totals().rows_out, 25_001);
}

#[tokio::test]
async fn what_is_late_is_counted_and_in_no_window() {
    let world = World::default();
    // Every hundredth record comes five seconds too late.
    let records = readings(500, |n| if n % 100 == 50 { 8000 } else { 0 });
    run(pipeline(&world, source(&records), "lateness_ms = 3000")).await.expect("runs");
    let totals = world.counters.totals();
    let of_errors = (totals.failed, totals.late);
    assert_eq!((totals.rows_in, of_errors, totals.aggregated), (500, (0, 5), 495));
    let counts = written(&world).into_iter().map(|(_, row)| row["n"].as_i64().expect("a count"));
    let counted: i64 = counts.sum();
    assert_eq!(counted, 495);
}

#[test]
fn a_lateness_without_a_field_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.sql");
    std::fs::write(&path, TEXT).expect("written");
    let settings = format!(
        "[source]\ntype = \"stdin\"\n[application]\nsql = {path:?}\nlateness_ms = 5\n[[sinks]]\ntype = \"stdout\"\n"
    );
    let settings = Settings::parse(&settings, "test.toml").expect("it can be read");
    let error = ApplicationParts::load(&settings, 0).expect_err("refused").to_string();
    assert!(error.contains("application.lateness_ms: nothing is late"), "{error}");
}
