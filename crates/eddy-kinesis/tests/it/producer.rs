//! What a producer sends, and when.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::http::StatusCode;
use bytes::Bytes;
use eddy_kinesis::{
    ConnectionSettings, KinesisSource, Producer, ProducerSettings, ShardLimits, client,
    ensure_stream,
};
use eddy_record::RawRecord;
use eddy_stream::{Source, Start};

use crate::STREAM;
use crate::support::{self, Server, drain, reading};

/// All records of all shards, the parents first.
async fn stored(server: &Server) -> Vec<RawRecord> {
    let source = KinesisSource::new(server.client.clone(), STREAM, support::fast());
    let mut records = Vec::new();
    for partition in source.partitions().await.expect("listed") {
        records.extend(
            drain(source.open(&partition.id, &Start::TrimHorizon).await.expect("opens")).await,
        );
    }
    records
}

fn numbers_by_key(records: &[RawRecord]) -> BTreeMap<String, Vec<u64>> {
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for record in records {
        let number = String::from_utf8_lossy(&record.data).parse().expect("a number");
        found.entry(record.partition_key.to_string()).or_default().push(number);
    }
    found
}

/// A stream of two shards, and a key of each.
async fn two_shards() -> (Server, &'static str, &'static str) {
    let server = Server::start(|options| options.update_stream_ms = 0).await;
    ensure_stream(&server.client, STREAM, 2).await.expect("created");
    // Their MD5s begin with 0c and 92.
    (server, "a", "b")
}

#[tokio::test]
async fn a_full_shard_is_not_written_to_faster_than_it_takes_and_holds_up_no_other() {
    let (server, hot, cold) = two_shards().await;
    let limits = ShardLimits { records_per_s: 200, bytes_per_s: 1 << 20 };
    let settings = ProducerSettings { shard_limits: Some(limits), ..ProducerSettings::new(STREAM) };
    let producer = Producer::new(server.client.clone(), settings);
    let start = Instant::now();
    for n in 0..400 {
        producer.put(hot, reading(n)).await.expect("accepted");
    }
    producer.put(cold, reading(400)).await.expect("accepted");
    let counts = producer.flush().await;
    // A burst of 200, then 200 in a second.
    assert!(start.elapsed().as_secs_f64() >= 0.99, "{:?}", start.elapsed());
    assert_eq!((counts.put, counts.acknowledged, counts.failed, counts.retried), (401, 401, 0, 0));
    let records = stored(&server).await;
    let found = numbers_by_key(&records);
    assert_eq!(found[hot], (0..400).collect::<Vec<_>>());
    let arrived = |n: u64| {
        let record = records.iter().find(|record| record.data == reading(n));
        record.expect("stored").arrival_ms
    };
    assert!(arrived(400) + 500 < arrived(399), "the other shard's record went past");
}

#[tokio::test]
async fn bytes_are_held_back_as_well_as_records() {
    let (server, hot, _) = two_shards().await;
    let limits = ShardLimits { records_per_s: 1000, bytes_per_s: 100_000 };
    let settings = ProducerSettings { shard_limits: Some(limits), ..ProducerSettings::new(STREAM) };
    let producer = Producer::new(server.client.clone(), settings);
    let start = Instant::now();
    for n in 0..20 {
        producer.put(hot, format!("{n:0>9999}").into()).await.expect("accepted");
    }
    assert_eq!(producer.flush().await.acknowledged, 20);
    assert!(start.elapsed().as_secs_f64() >= 0.99, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_reshard_is_noticed_and_gives_each_child_its_own_second() {
    let server = Server::start(|options| options.update_stream_ms = 0).await;
    ensure_stream(&server.client, STREAM, 1).await.expect("created");
    let limits = ShardLimits { records_per_s: 100, bytes_per_s: 1 << 20 };
    let settings = ProducerSettings { shard_limits: Some(limits), ..ProducerSettings::new(STREAM) };
    let producer = Producer::new(server.client.clone(), settings);
    for n in 0..150 {
        producer.put(if n % 2 == 0 { "a" } else { "b" }, reading(n)).await.expect("accepted");
    }
    producer.flush().await;
    let shard = "shardId-000000000000";
    server.split(STREAM, shard).await;
    for n in 150..1000 {
        producer.put(if n % 2 == 0 { "a" } else { "b" }, reading(n)).await.expect("accepted");
    }
    let start = Instant::now();
    let counts = producer.flush().await;
    assert_eq!((counts.put, counts.acknowledged, counts.failed), (1000, 1000, 0));
    // One lane would need eight seconds and a half, two that share the work, with their bursts,
    // half of it at most.
    assert!(start.elapsed().as_secs_f64() < 6.0, "{:?}", start.elapsed());
    let found = numbers_by_key(&stored(&server).await);
    assert_eq!(found["a"], (0..1000).step_by(2).collect::<Vec<_>>());
    assert_eq!(found["b"], (1..1000).step_by(2).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_producer_that_may_not_list_shards_puts_all_the_same() {
    let server = Server::start(|_| {}).await;
    ensure_stream(&server.client, STREAM, 2).await.expect("created");
    let failure = (StatusCode::BAD_REQUEST, "AccessDeniedException");
    let flaky = support::flaky(&server, "ListShards", failure, 1, usize::MAX).await;
    let client = client(&ConnectionSettings::local(&flaky)).await;
    let producer = Producer::new(client, ProducerSettings::new(STREAM));
    for n in 0..3000 {
        producer.put("a", reading(n)).await.expect("accepted");
    }
    let counts = producer.flush().await;
    assert_eq!((counts.acknowledged, counts.failed), (3000, 0));
    assert_eq!(numbers_by_key(&stored(&server).await)["a"], (0..3000).collect::<Vec<_>>());
}

#[tokio::test]
async fn keys_that_a_stream_does_not_take_are_refused_alone() {
    let server = Server::start(|_| {}).await;
    ensure_stream(&server.client, STREAM, 1).await.expect("created");
    let producer = Producer::new(server.client.clone(), ProducerSettings::new(STREAM));
    assert!(producer.put("", reading(1)).await.is_err());
    assert!(producer.put(&"k".repeat(257), reading(1)).await.is_err());
    producer.put(&"k".repeat(256), reading(1)).await.expect("the longest that fits");
    let counts = producer.flush().await;
    assert_eq!((counts.put, counts.acknowledged, counts.failed), (1, 1, 0));
}

fn aggregating() -> ProducerSettings {
    ProducerSettings { aggregate: true, ..ProducerSettings::new(STREAM) }
}

#[tokio::test]
async fn aggregates_come_back_as_the_records_they_were_made_of() {
    let server = Server::start(|_| {}).await;
    ensure_stream(&server.client, STREAM, 4).await.expect("created");
    let producer = Producer::new(server.client.clone(), aggregating());
    for n in 0..5000 {
        producer.put(&format!("sensor-{}", n % 7), reading(n)).await.expect("accepted");
    }
    let counts = producer.flush().await;
    assert_eq!((counts.put, counts.acknowledged, counts.failed), (5000, 5000, 0));
    let n_bytes: usize = (0..5000).map(|n| reading(n).len()).sum();
    assert_eq!(counts.bytes, n_bytes as u64);
    assert!(counts.stream_records < 1000, "{}", counts.stream_records);
    let found = numbers_by_key(&stored(&server).await);
    for sensor in 0..7 {
        let expected: Vec<u64> = (sensor..5000).step_by(7).collect();
        assert_eq!(found[&format!("sensor-{sensor}")], expected);
    }
}

#[tokio::test]
async fn records_too_large_to_be_put_together_go_alone_and_in_order() {
    let server = Server::start(|_| {}).await;
    ensure_stream(&server.client, STREAM, 1).await.expect("created");
    let producer = Producer::new(server.client.clone(), aggregating());
    let payload = |n: usize| Bytes::from(vec![b"0123456789"[n % 10]; n]);
    let sizes = [10, 30_000, 20_000, 1_000_000, 5, 6, 51_000, 0, 100, 200_000, 7];
    for n in sizes {
        producer.put("k", payload(n)).await.expect("accepted");
    }
    let counts = producer.flush().await;
    assert_eq!((counts.acknowledged, counts.failed), (sizes.len() as u64, 0));
    let found: Vec<usize> = stored(&server).await.iter().map(|record| record.data.len()).collect();
    assert_eq!(found, sizes);
}

#[tokio::test]
async fn aggregates_that_fail_are_put_again_without_loss() {
    let server = Server::start(|options| options.enforce_limits = true).await;
    ensure_stream(&server.client, STREAM, 1).await.expect("created");
    let failure = (StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure");
    let flaky = support::flaky(&server, "PutRecords", failure, 2, 3).await;
    let client = client(&ConnectionSettings::local(&flaky)).await;
    // No limits of its own, so that the server has something to refuse.
    let settings = ProducerSettings { shard_limits: None, ..aggregating() };
    let producer = Producer::new(client, settings);
    for n in 0..3000 {
        let key = format!("sensor-{}", n % 3);
        producer.put(&key, format!("{n:0>700}").into()).await.expect("accepted");
    }
    let counts = producer.flush().await;
    assert_eq!((counts.put, counts.acknowledged, counts.failed), (3000, 3000, 0));
    assert!(counts.retried > 0);
    let found = numbers_by_key(&stored(&server).await);
    for (sensor, numbers) in (0..).zip(found.values()) {
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (sensor..3000).step_by(3).collect::<Vec<u64>>());
    }
}
