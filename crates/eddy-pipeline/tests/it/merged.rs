//! A detector over all shards as one partition, whatever fails.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use eddy_detect::{Detector, DetectorSettings};
use eddy_pipeline::{EngineSettings, Order};
use eddy_record::{DecodeLimits, Decoder, Schema};
use serde_json::Value;

use crate::simulation::{STREAM, World, for_each, id, seeds};

fn settings() -> DetectorSettings {
    DetectorSettings { trees: 4, sample_size: 16, ..DetectorSettings::default() }
}

/// The scores of one forest over the stored records in the order of arrival time, shard and sequence
/// number, by the ids of their rows; and of how many shards they are.
fn expected(world: &World) -> (BTreeMap<String, f64>, usize) {
    let mut records = world.kinesis.records(STREAM);
    let number = |text: &str| (text.len(), text.to_owned());
    records.sort_by_key(|it| (it.arrival_ms, it.shard.clone(), number(&it.sequence)));
    let schema = Arc::new(Schema::walkthrough());
    let decoder = Decoder::new(Arc::clone(&schema), DecodeLimits::default()).expect("valid");
    let mut detector = Detector::new(&settings(), schema).expect("good settings");
    let (mut scores, mut decoded) = (BTreeMap::new(), Vec::new());
    for stored in &records {
        decoder.decode(&stored.data, &mut decoded);
        for record in std::mem::take(&mut decoded).into_iter().flatten() {
            let score = detector.score(&record).expect("a point").score;
            scores.insert(id(stored), score.expect("nothing is NULL"));
        }
    }
    let mut shards: Vec<&String> = records.iter().map(|it| &it.shard).collect();
    shards.sort();
    shards.dedup();
    (scores, shards.len())
}

#[test]
fn an_unkeyed_detector_over_merged_shards_scores_them_in_one_order() {
    let n_of_many = AtomicU64::new(0);
    let seeds = seeds();
    for_each(seeds.start..seeds.end.min(seeds.start + 40), |seed| {
        let mut world = World::new(seed);
        world.engine = Some(EngineSettings::Detector(settings()));
        world.scenario.settings.order = Order::Arrival;
        world.scenario.settings.merge = true;
        world.run();
        let (expected, n_shards) = expected(&world);
        let found: BTreeMap<String, f64> = world
            .documents()
            .into_iter()
            .map(|(id, (_, row))| (id, row["ANOMALY_SCORE"].as_f64().expect("a score")))
            .collect();
        assert_eq!(found, expected);
        let is_anomaly = |row: &Value| row["iotValue"].as_f64().is_some_and(|value| value > 400.0);
        let documents = world.documents();
        let anomalies = documents.values().filter(|(_, row)| is_anomaly(row));
        if n_shards > 1 && anomalies.count() > 0 {
            n_of_many.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert!(n_of_many.into_inner() > 10, "nearly all seeds have one shard");
}
