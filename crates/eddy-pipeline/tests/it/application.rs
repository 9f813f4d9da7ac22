//! SQL applications as pipelines: nothing lost, nothing twice, whatever fails.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;

use eddy_pipeline::{ApplicationParts, EngineSettings, Order, Settings};
use eddy_record::{DecodeLimits, Decoder, PartitionId, Schema, ScoredRecord};
use eddy_sql::{Application, Arrival, Options};
use eddy_stream::{Rejected, Sink, StreamError};
use serde_json::Value;

use crate::simulation::{Action, End, STREAM, World, for_each, same, seeds};

/// Everything that waits, and what feeds it: a forest, windows, a sort, a sliding window, a join, one
/// stream that two pumps fill.
const TEXT: &str = r#"
CREATE STREAM "SCORED" ("iotName" VARCHAR(64), "iotValue" DOUBLE, "ANOMALY_SCORE" DOUBLE);
CREATE STREAM "SORTED" ("iotName" VARCHAR(64), "iotValue" DOUBLE, "ANOMALY_SCORE" DOUBLE, "at" TIMESTAMP);
CREATE STREAM "SUMS" ("iotName" VARCHAR(64), "n" BIGINT, "sum" DOUBLE);
CREATE STREAM "SEEN" ("iotName" VARCHAR(64), "iotValue" DOUBLE);
CREATE STREAM "STAGGERED" ("iotName" VARCHAR(64), "n" BIGINT);
CREATE STREAM "MET" ("iotName" VARCHAR(64), "iotValue" DOUBLE, "sum" DOUBLE);
CREATE STREAM "MIXED" ("iotName" VARCHAR(64), "value" DOUBLE);
CREATE STREAM "TOP" ("iotName" VARCHAR(64), "ITEM_COUNT" DOUBLE);
CREATE PUMP "P1" AS INSERT INTO "SCORED" SELECT STREAM "iotName", "iotValue", ANOMALY_SCORE FROM TABLE(
  RANDOM_CUT_FOREST(CURSOR(SELECT STREAM "iotName", "iotValue" FROM "SOURCE_SQL_STREAM_001"), 5, 16));
CREATE PUMP "P2" AS INSERT INTO "SORTED" SELECT STREAM "iotName", "iotValue", ANOMALY_SCORE, ROWTIME
  FROM "SCORED" ORDER BY FLOOR("SCORED".ROWTIME TO SECOND), ANOMALY_SCORE DESC;
CREATE PUMP "P3" AS INSERT INTO "SUMS" SELECT STREAM "iotName", COUNT(*), SUM("iotValue") FROM "SCORED"
  GROUP BY "iotName", STEP("SCORED".ROWTIME BY INTERVAL '5' SECOND);
CREATE PUMP "P4" AS INSERT INTO "SEEN" SELECT STREAM "iotName", AVG("iotValue") OVER W FROM "SCORED"
  WINDOW W AS (PARTITION BY "iotName" RANGE INTERVAL '3' SECOND PRECEDING);
CREATE PUMP "P5" AS INSERT INTO "STAGGERED" SELECT STREAM "iotName", COUNT(*) FROM "SCORED"
  WINDOWED BY STAGGER (PARTITION BY "iotName" RANGE INTERVAL '2' SECOND);
CREATE PUMP "P6" AS INSERT INTO "MET" SELECT STREAM a."iotName", a."iotValue", b."sum"
  FROM "SEEN" OVER (RANGE INTERVAL '4' SECOND PRECEDING) AS a LEFT JOIN "SUMS" AS b ON a."iotName" = b."iotName";
CREATE PUMP "P7" AS INSERT INTO "MIXED" SELECT STREAM "iotName", "ANOMALY_SCORE" FROM "SORTED" WHERE "iotValue" > 12;
CREATE PUMP "P8" AS INSERT INTO "MIXED" SELECT STREAM "iotName", "sum" FROM "SUMS"
  UNION ALL SELECT STREAM "iotName", "iotValue" FROM "SCORED";
CREATE PUMP "P9" AS INSERT INTO "TOP" SELECT STREAM * FROM TABLE(
  TOP_K_ITEMS_TUMBLING(CURSOR(SELECT STREAM * FROM "SOURCE_SQL_STREAM_001"), 'iotName', 2, 4));
"#;
/// Long enough for every window to close.
const QUIET_MS: i64 = 30_000;

/// An engine of a text that is read from a file, as `eddy run` does.
pub(crate) fn engine(text: &str, more: &str) -> EngineSettings {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("app.sql");
    std::fs::write(&path, text).expect("writable");
    let settings = format!(
        "[source]\ntype = \"stdin\"\n[application]\nsql = {path:?}\n{more}\n[[sinks]]\ntype = \"stdout\"\n"
    );
    let settings = Settings::parse(&settings, "test.toml").expect("good settings");
    let parts = ApplicationParts::load(&settings, 0).unwrap_or_else(|error| panic!("{error}"));
    EngineSettings::Application(Arc::new(parts))
}

static ENGINE: LazyLock<EngineSettings> = LazyLock::new(|| engine(TEXT, ""));

fn world(seed: u64) -> World {
    let mut world = World::new(seed);
    world.engine = Some(ENGINE.clone());
    world.scenario.settings.order = Order::Arrival;
    let last_ms = world.scenario.script.back().map_or(0, |(at_ms, _)| *at_ms);
    world.scenario.script.push_back((last_ms + QUIET_MS, Action::Put { first: 0, n: 0 }));
    world
}

/// The rows of each stream, by what an application makes of the stored records in the order of
/// arrival time, shard and sequence number.
fn expected(world: &World, text: &str) -> BTreeMap<(String, String), usize> {
    let mut records = world.kinesis.records(STREAM);
    let number = |text: &str| (text.len(), text.to_owned());
    records.sort_by_key(|it| (it.arrival_ms, it.shard.clone(), number(&it.sequence)));
    let schema = Arc::new(Schema::walkthrough());
    let decoder = Decoder::new(Arc::clone(&schema), DecodeLimits::default()).expect("valid");
    let mut application =
        Application::new(text, Options::new(Schema::walkthrough())).expect("runs");
    let mut batch = application.batch();
    let mut decoded = Vec::new();
    for stored in records {
        decoder.decode(&stored.data, &mut decoded);
        for record in std::mem::take(&mut decoded).into_iter().flatten() {
            let time_ms = stored.arrival_ms;
            batch.push(&record, &Arrival { time_ms, arrival_ms: time_ms, ..Arrival::default() });
        }
    }
    let mut lines = Vec::new();
    application.push(&mut batch).expect("goes on").write_ndjson(&mut lines);
    application.finish().expect("ends").write_ndjson(&mut lines);
    let mut rows = BTreeMap::new();
    for line in String::from_utf8(lines).expect("UTF-8").lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let stream = line["stream"].as_str().expect("a name").to_owned();
        *rows.entry((stream, line["row"].to_string())).or_default() += 1;
    }
    rows
}

/// The same of the documents: the stream is the fourth part of an id.
fn found(world: &World) -> BTreeMap<(String, String), usize> {
    let mut rows = BTreeMap::new();
    for (id, (_, document)) in world.documents() {
        let stream = id.split(':').nth(3).expect("a stream").to_owned();
        *rows.entry((stream, document.to_string())).or_default() += 1;
    }
    rows
}

fn simulate(seed: u64) -> BTreeMap<String, (String, Value)> {
    let mut stormy = world(seed);
    stormy.run();
    let totals = stormy.counters.totals();
    assert_eq!(totals.rows_out, totals.delivered + totals.dead_deliver + totals.unrouted);
    assert_eq!(totals.rows_out, totals.rows_out_by_stream.values().sum::<u64>());

    let scenario = stormy.scenario.without_script();
    let mut calm = World::over(scenario, seed, stormy.time.clone(), stormy.kinesis.clone());
    calm.engine = Some(ENGINE.clone());
    assert_eq!(calm.live(None), End::Drained);
    let totals = calm.counters.totals();
    let n_stored = stormy.kinesis.records(STREAM).len() as u64;
    assert_eq!(totals.rows_in + totals.dead_decode, n_stored);

    same(&stormy.documents(), &calm.documents());
    same(&found(&stormy), &expected(&stormy, TEXT));
    assert_eq!(stormy.dead().keys().collect::<Vec<_>>(), calm.dead().keys().collect::<Vec<_>>());
    stormy.documents()
}

#[test]
fn whatever_fails_the_rows_are_those_of_the_application_over_the_records_in_order() {
    let seeds = seeds();
    for_each(seeds.start..seeds.end.min(seeds.start + 40), |seed| {
        let documents = simulate(seed);
        assert!(!documents.is_empty());
    });
}

/// Remembers rows, and which of them came again as others.
#[derive(Default)]
struct Steady(Mutex<(BTreeMap<String, ScoredRecord>, Vec<String>)>);

#[async_trait]
impl Sink for Steady {
    fn name(&self) -> &str {
        "steady"
    }

    async fn write(&self, rows: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        let (known, changed) = &mut *self.0.lock().expect("no panic");
        for row in rows {
            match known.get(row.id.as_str()) {
                Some(before) if before != row => changed.push(format!("{before:?} {row:?}")),
                _ => _ = known.insert(row.id.to_string(), row.clone()),
            }
        }
        Ok(Vec::new())
    }
}

#[test]
fn a_replay_makes_the_same_rows_also_where_a_shard_was_not_caught_up_when_it_said_so() {
    let n_clamped = AtomicU64::new(0);
    let seeds = seeds();
    for_each(seeds.start..seeds.end.min(seeds.start + 30), |seed| {
        let mut world = world(seed);
        // The service claims to be three seconds ahead of its clock: records come behind it.
        world.slack_ms = -3000;
        let steady = Arc::new(Steady::default());
        world.more_sinks.push(steady.clone());
        world.run();
        let (known, changed) = &*steady.0.lock().expect("no panic");
        assert!(changed.is_empty(), "{} {}", changed.len(), changed[0]);
        let dead = world.dead();
        for stored in world.kinesis.records(STREAM) {
            let id = format!("{}:{}:0:0", stored.shard, stored.sequence);
            let is_there = known.keys().any(|it| it.contains(":MIXED:") && it.contains(&id));
            let shard = PartitionId::new(stored.shard.as_str());
            assert_ne!(is_there, dead.contains_key(&(shard, stored.sequence.clone())), "{id}");
        }
        n_clamped.fetch_add(world.counters.totals().clamped, Ordering::Relaxed);
    });
    assert!(n_clamped.into_inner() > 0);
}
