//! Against an in-process Kinesis.

mod producer;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use axum::http::StatusCode;
use bytes::Bytes;
use eddy_kinesis::{
    ConnectionSettings, KinesisSink, KinesisSinkSettings, KinesisSource, Producer,
    ProducerSettings, ReadSettings, client, ensure_stream,
};
use eddy_record::RawRecord;
use eddy_stream::{ErrorKind, Sink as _, Source, Start};
use md5::{Digest as _, Md5};
use support::{Server, drain, reading};

const STREAM: &str = "readings";

fn text(record: &RawRecord) -> String {
    String::from_utf8_lossy(&record.data).into_owned()
}

#[tokio::test]
async fn every_record_of_every_shard_is_read_once_in_the_order_of_its_key() {
    let server = Server::start(|_| {}).await;
    assert!(ensure_stream(&server.client, STREAM, 4).await.expect("created"));
    assert!(!ensure_stream(&server.client, STREAM, 4).await.expect("there already"));
    let producer = Producer::new(server.client.clone(), ProducerSettings::new(STREAM));
    for n in 0..2000 {
        producer.put(&format!("sensor-{}", n % 17), reading(n)).await.expect("accepted");
    }
    let counts = producer.flush().await;
    assert_eq!((counts.acknowledged, counts.failed), (2000, 0));

    let source = KinesisSource::new(server.client.clone(), STREAM, support::fast());
    let identity = source.identity().await.expect("the stream exists");
    assert_eq!(identity.name, STREAM);
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for partition in source.partitions().await.expect("listed") {
        let reader = source.open(&partition.id, &Start::TrimHorizon).await.expect("opens");
        let records = drain(reader).await;
        assert!(records.windows(2).all(|pair| pair[0].position < pair[1].position));
        assert!(records.iter().all(|record| record.arrival_ms > 1_600_000_000_000));
        for record in records {
            let n = text(&record).parse().expect("a number");
            found.entry(record.partition_key.into()).or_default().push(n);
        }
    }
    assert_eq!(found.values().map(Vec::len).sum::<usize>(), 2000);
    assert!(found.values().all(|numbers| numbers.is_sorted()));
}

#[tokio::test]
async fn rows_are_put_in_the_order_of_their_key_and_one_that_is_too_large_is_refused() {
    let server = Server::start(|_| {}).await;
    ensure_stream(&server.client, STREAM, 2).await.expect("created");
    let settings =
        KinesisSinkSettings { key: Some("iotName".to_owned()), ..KinesisSinkSettings::new(STREAM) };
    let sink = KinesisSink::over(server.client.clone(), &settings);
    sink.check().await.expect("it is there");
    let missing = KinesisSinkSettings::new("missing");
    let error = KinesisSink::over(server.client.clone(), &missing).check().await;
    assert_eq!(error.expect_err("no such stream").kind(), ErrorKind::Fatal);
    let schema = Arc::new(eddy_record::Schema::walkthrough());
    let row = |n: u32, name: String| eddy_record::ScoredRecord {
        id: eddy_record::DocumentId::of_text(format!("row {n}")),
        created_ms: 0,
        schema: Arc::clone(&schema),
        values: [eddy_record::Value::Text(name.into()), eddy_record::Value::Double(n.into())]
            .into(),
    };
    let mut rows: Vec<_> = (0..900).map(|n| row(n, format!("s{}", n % 5))).collect();
    rows[700] = row(700, "x".repeat(1 << 20));
    let rejected = sink.write(&rows).await.expect("taken");
    assert_eq!(rejected.iter().map(|it| it.row_idx).collect::<Vec<_>>(), [700]);
    let source = KinesisSource::new(server.client.clone(), STREAM, support::fast());
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for partition in source.partitions().await.expect("listed") {
        let reader = source.open(&partition.id, &Start::TrimHorizon).await.expect("opens");
        for record in drain(reader).await {
            found.entry(record.partition_key.to_string()).or_default().push(text(&record));
        }
    }
    assert_eq!(found["s1"][1], r#"{"iotName":"s1","iotValue":6}"#);
    let expected: Vec<String> = (0..900)
        .filter(|n| n % 5 == 0 && *n != 700)
        .map(|n| format!(r#"{{"iotName":"s0","iotValue":{n}}}"#))
        .collect();
    assert_eq!(found["s0"], expected);
}

#[tokio::test]
async fn a_reader_goes_on_behind_a_position_and_from_a_moment() {
    let server = Server::start(|_| {}).await;
    ensure_stream(&server.client, STREAM, 1).await.expect("created");
    server.put(STREAM, "k", (0..50).map(reading)).await;
    let source = KinesisSource::new(server.client.clone(), STREAM, support::fast());
    let shard = source.partitions().await.expect("listed").remove(0).id;
    let all = drain(source.open(&shard, &Start::TrimHorizon).await.expect("opens")).await;
    for at in [0, 17, 49] {
        let start = Start::After(all[at].position.clone());
        let rest = drain(source.open(&shard, &start).await.expect("opens")).await;
        assert_eq!(rest, all[at + 1..]);
    }
    let start = Start::AtTimestamp(all[0].arrival_ms);
    assert_eq!(drain(source.open(&shard, &start).await.expect("opens")).await, all);
    let mut latest = source.open(&shard, &Start::Latest).await.expect("opens");
    assert!(latest.next().await.expect("read").expect("open").records.is_empty());
    server.put(STREAM, "k", [reading(50)]).await;
    assert_eq!(support::next_records(&mut latest, 1).await[0].data, reading(50));
}

#[tokio::test]
async fn a_caught_up_read_tells_the_server_s_time_less_the_slack() {
    let server = Server::start(|_| {}).await;
    ensure_stream(&server.client, STREAM, 1).await.expect("created");
    server.put(STREAM, "k", [reading(1)]).await;
    let source = KinesisSource::new(server.client.clone(), STREAM, support::fast());
    let shard = source.partitions().await.expect("listed").remove(0).id;
    let mut reader = source.open(&shard, &Start::TrimHorizon).await.expect("opens");
    let batch = reader.next().await.expect("read").expect("open");
    assert_eq!(batch.behind_ms, Some(0));
    let behind = batch.records[0].arrival_ms - batch.watermark_ms.expect("caught up");
    assert!((0..=2000).contains(&behind), "{behind}");
}

#[tokio::test]
async fn children_name_their_parents_whose_readers_end() {
    let server = Server::start(|options| options.update_stream_ms = 0).await;
    ensure_stream(&server.client, STREAM, 1).await.expect("created");
    server.put(STREAM, "a", (0..20).map(reading)).await;
    let source = KinesisSource::new(server.client.clone(), STREAM, support::fast());
    let parent = source.partitions().await.expect("listed").remove(0);
    let mut reading_on = source.open(&parent.id, &Start::TrimHorizon).await.expect("opens");
    assert_eq!(support::next_records(&mut reading_on, 20).await.len(), 20);
    server.split(STREAM, parent.id.as_str()).await;
    server.put(STREAM, "b", (20..40).map(reading)).await;

    let partitions = source.partitions().await.expect("listed");
    let children: Vec<_> = partitions.iter().filter(|p| !p.parents.is_empty()).collect();
    assert_eq!(children.len(), 2);
    assert!(children.iter().all(|child| child.parents == [parent.id.clone()]));
    while reading_on.next().await.expect("read").is_some() {}
    assert!(reading_on.next().await.expect("still ended").is_none());
    let mut found = BTreeSet::new();
    for child in children {
        let reader = source.open(&child.id, &Start::TrimHorizon).await.expect("opens");
        found.extend(drain(reader).await.iter().map(text));
    }
    assert_eq!(found.len(), 20);
}

#[tokio::test]
async fn an_expired_iterator_is_renewed_where_it_stood() {
    let server = Server::start(|_| {}).await;
    ensure_stream(&server.client, STREAM, 1).await.expect("created");
    server.put(STREAM, "k", (0..300).map(reading)).await;
    let failure = (StatusCode::BAD_REQUEST, "ExpiredIteratorException");
    let flaky = support::flaky(&server, "GetRecords", failure, 2, 3).await;
    let client = client(&ConnectionSettings::local(&flaky)).await;
    let settings = ReadSettings { max_records: 40, ..support::fast() };
    let source = KinesisSource::new(client, STREAM, settings);
    let shard = source.partitions().await.expect("listed").remove(0).id;
    let mut reader = source.open(&shard, &Start::TrimHorizon).await.expect("opens");
    let records = support::next_records(&mut reader, 300).await;
    let numbers: Vec<String> = records.iter().map(text).collect();
    assert_eq!(numbers, (0..300).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(source.counters().expired_iterators(), 3);
}

#[tokio::test]
async fn a_throttled_read_waits_and_loses_nothing() {
    let server = Server::start(|_| {}).await;
    ensure_stream(&server.client, STREAM, 1).await.expect("created");
    server.put(STREAM, "k", (0..100).map(reading)).await;
    let failure = (StatusCode::BAD_REQUEST, "ProvisionedThroughputExceededException");
    let flaky = support::flaky(&server, "GetRecords", failure, 2, 2).await;
    let client = client(&ConnectionSettings::local(&flaky)).await;
    let settings = ReadSettings { max_records: 30, ..support::fast() };
    let source = KinesisSource::new(client, STREAM, settings);
    let shard = source.partitions().await.expect("listed").remove(0).id;
    let mut reader = source.open(&shard, &Start::TrimHorizon).await.expect("opens");
    assert_eq!(support::next_records(&mut reader, 100).await.len(), 100);
    assert_eq!(source.counters().throttled(), 2);
}

#[tokio::test]
async fn an_aggregate_is_resumed_in_its_middle() {
    let server = Server::start(|_| {}).await;
    ensure_stream(&server.client, STREAM, 1).await.expect("created");
    server.put(STREAM, "k", [support::aggregate(), reading(9)]).await;
    let source = KinesisSource::new(server.client.clone(), STREAM, support::fast());
    let shard = source.partitions().await.expect("listed").remove(0).id;
    let all = drain(source.open(&shard, &Start::TrimHorizon).await.expect("opens")).await;
    assert_eq!(
        all.iter().map(text).collect::<Vec<_>>(),
        [r#"{"v":1}"#, r#"{"v":2}"#, r#"{"v":3}"#, "9"]
    );
    assert_eq!(&*all[1].partition_key, "dev-2");
    for at in 0..4 {
        let start = Start::After(all[at].position.clone());
        let rest = drain(source.open(&shard, &start).await.expect("opens")).await;
        assert_eq!(rest, all[at + 1..]);
    }
}

#[tokio::test]
async fn entries_that_the_service_throttles_are_put_again_and_all_arrive() {
    let server = Server::start(|options| options.enforce_limits = true).await;
    ensure_stream(&server.client, STREAM, 1).await.expect("created");
    let settings = ProducerSettings::unlimited(STREAM);
    let producer = Producer::new(server.client.clone(), settings);
    // A shard takes a megabyte a second; the first request alone has three.
    let large = |n: u64| Bytes::from(format!("{n:20000}"));
    for n in 0..150 {
        producer.put("k", large(n)).await.expect("accepted");
    }
    let counts = producer.flush().await;
    assert_eq!((counts.put, counts.acknowledged, counts.failed), (150, 150, 0));
    assert!(counts.throttled > 0);
    assert!(counts.retried >= counts.throttled);
    let source = KinesisSource::new(server.client.clone(), STREAM, support::fast());
    let shard = source.partitions().await.expect("listed").remove(0).id;
    let records = drain(source.open(&shard, &Start::TrimHorizon).await.expect("opens")).await;
    let found: BTreeSet<String> = records.iter().map(text).collect();
    assert_eq!((records.len(), found.len()), (150, 150));
}

#[tokio::test]
async fn a_record_too_large_is_refused_alone() {
    let server = Server::start(|_| {}).await;
    ensure_stream(&server.client, STREAM, 1).await.expect("created");
    let producer = Producer::new(server.client.clone(), ProducerSettings::new(STREAM));
    let large = Bytes::from(vec![b'x'; eddy_kinesis::MAX_RECORD_BYTES]);
    assert!(producer.put("k", large.clone()).await.is_err());
    producer.put("k", large.slice(1..)).await.expect("the largest that fits");
    producer.put("k", reading(1)).await.expect("accepted");
    assert_eq!(producer.flush().await.acknowledged, 2);
}

#[tokio::test]
async fn a_stream_that_does_not_exist_is_fatal_and_says_what_to_do() {
    let server = Server::start(|_| {}).await;
    let source = KinesisSource::new(server.client.clone(), "nowhere", support::fast());
    let error = source.identity().await.expect_err("missing");
    assert_eq!(error.kind(), ErrorKind::Fatal);
    assert!(error.to_string().contains("nowhere") && error.to_string().contains("create it"));
    let producer = Producer::new(server.client.clone(), ProducerSettings::new("nowhere"));
    producer.put("k", reading(1)).await.expect("accepted");
    let counts = producer.flush().await;
    assert_eq!((counts.acknowledged, counts.failed), (0, 1));
    assert!(producer.last_error().expect("why").contains("does not exist"));
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for() {
    let server = Server::start(|_| {}).await;
    ensure_stream(&server.client, STREAM, 1).await.expect("created");
    let failure = (StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure");
    let flaky = support::flaky(&server, "PutRecords", failure, 1, 3).await;
    let client = client(&ConnectionSettings::local(&flaky)).await;
    let producer = Producer::new(client.clone(), ProducerSettings::new(STREAM));
    producer.put("k", reading(1)).await.expect("accepted");
    let counts = producer.flush().await;
    assert_eq!((counts.acknowledged, counts.failed, counts.retried), (1, 0, 3));
}

#[tokio::test]
async fn an_aggregate_of_no_records_is_a_record_of_its_own() {
    let server = Server::start(|_| {}).await;
    ensure_stream(&server.client, STREAM, 1).await.expect("created");
    let mut nothing = vec![0xf3, 0x89, 0x9a, 0xc2];
    nothing.extend_from_slice(&Md5::digest(b""));
    let nothing = Bytes::from(nothing);
    server.put(STREAM, "k", [nothing.clone(), reading(9)]).await;
    let source = KinesisSource::new(server.client.clone(), STREAM, support::fast());
    let shard = source.partitions().await.expect("listed").remove(0).id;
    let all = drain(source.open(&shard, &Start::TrimHorizon).await.expect("opens")).await;
    assert_eq!(all.iter().map(|record| &record.data).collect::<Vec<_>>(), [&nothing, &reading(9)]);
    assert_eq!(source.counters().records(), 2);
}

/// A reader at the latest record, at a server that fails once and meanwhile takes a record.
async fn latest_past(action: &'static str, code: &'static str) -> Vec<String> {
    let server = Server::start(|_| {}).await;
    ensure_stream(&server.client, STREAM, 1).await.expect("created");
    let producer = Arc::new(Producer::new(server.client.clone(), ProducerSettings::new(STREAM)));
    let put = move || {
        let producer = Arc::clone(&producer);
        async move {
            producer.put("k", reading(1)).await.expect("accepted");
            assert_eq!(producer.flush().await.acknowledged, 1);
        }
    };
    let failure = (StatusCode::BAD_REQUEST, code);
    let flaky = support::flaky_while(&server, action, failure, 1, 1, put).await;
    let client = client(&ConnectionSettings::local(&flaky)).await;
    let source = KinesisSource::new(client, STREAM, support::fast());
    let shard = source.partitions().await.expect("listed").remove(0).id;
    let mut reader = source.open(&shard, &Start::Latest).await.expect("opens");
    support::next_records(&mut reader, 1).await.iter().map(text).collect()
}

#[tokio::test]
async fn latest_skips_nothing_when_its_first_iterator_expires() {
    assert_eq!(latest_past("GetRecords", "ExpiredIteratorException").await, ["1"]);
}

#[tokio::test]
async fn latest_skips_nothing_when_its_first_iterator_is_throttled() {
    let found = latest_past("GetShardIterator", "ProvisionedThroughputExceededException").await;
    assert_eq!(found, ["1"]);
}

#[tokio::test]
async fn a_request_too_large_for_a_proxy_is_halved_in_order() {
    let server = Server::start(|_| {}).await;
    ensure_stream(&server.client, STREAM, 1).await.expect("created");
    let proxy = support::behind_a_proxy(&server, 20_000).await;
    let client = client(&ConnectionSettings::local(&proxy)).await;
    let producer = Producer::new(client, ProducerSettings::new(STREAM));
    for n in 0..400 {
        producer.put("k", format!("{n:0>100}").into()).await.expect("accepted");
    }
    producer.put("k", vec![b'x'; 30_000].into()).await.expect("accepted");
    producer.put("k", reading(400)).await.expect("accepted");
    let counts = producer.flush().await;
    assert_eq!((counts.acknowledged, counts.failed), (401, 1));
    // Once, by its number among all that were put.
    assert_eq!((producer.take_failed(), producer.take_failed()), (vec![400], vec![]));
    let why = producer.last_error().expect("why");
    assert!(why.contains("larger") && why.contains("413"), "{why}");

    let source = KinesisSource::new(server.client.clone(), STREAM, support::fast());
    let shard = source.partitions().await.expect("listed").remove(0).id;
    let records = drain(source.open(&shard, &Start::TrimHorizon).await.expect("opens")).await;
    let numbers: Vec<u32> =
        records.iter().map(|record| text(record).parse().expect("a number")).collect();
    assert_eq!(numbers, (0..=400).collect::<Vec<_>>());
}

/// As on a machine where nobody has set credentials up.
#[derive(Debug)]
struct NoCredentials;

impl ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("none are set")))
    }
}

#[tokio::test]
async fn missing_credentials_are_fatal_at_once_and_said_plainly() {
    let server = Server::start(|_| {}).await;
    let config = server.client.config().to_builder().credentials_provider(NoCredentials).build();
    let client = eddy_kinesis::Client::from_conf(config);
    let source = KinesisSource::new(client, STREAM, support::fast());
    let error = source.identity().await.expect_err("no credentials");
    assert_eq!(error.kind(), ErrorKind::Fatal);
    assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
    let why = std::error::Error::source(&error).expect("why").to_string();
    assert!(why.contains("none are set") && !why.contains('{'), "{why}");
}

/// Reads by enhanced fan-out.
fn subscribed(server: &Server) -> KinesisSource {
    let settings = ReadSettings { consumer: Some("eddy".to_owned()), ..ReadSettings::default() };
    KinesisSource::new(server.client.clone(), STREAM, settings)
}

#[tokio::test]
async fn a_subscription_delivers_every_record_once_over_its_sessions_and_goes_on_where_it_was() {
    // Sessions so short that each has one event or two.
    let server = Server::start(|options| options.subscribe_to_shard_session_ms = 250).await;
    ensure_stream(&server.client, STREAM, 1).await.expect("created");
    server.put(STREAM, "k", (0..50).map(reading)).await;
    let source = subscribed(&server);
    let shard = source.partitions().await.expect("listed").remove(0).id;
    let mut reader = source.open(&shard, &Start::TrimHorizon).await.expect("opens");
    let mut records = support::next_records(&mut reader, 50).await;
    for n in 50..53 {
        // The next session, and the one behind it, start behind what was delivered.
        server.put(STREAM, "k", [reading(n)]).await;
        records.extend(support::next_records(&mut reader, 1).await);
        let quiet = reader.next().await.expect("received").expect("open");
        assert!(quiet.records.is_empty());
        assert!(quiet.watermark_ms.is_some_and(|ms| ms > 1_600_000_000_000));
    }
    let numbers: Vec<String> = records.iter().map(text).collect();
    assert_eq!(numbers, (0..53).map(|n| n.to_string()).collect::<Vec<_>>());

    // A second reader of the same consumer takes over.
    let start = Start::After(records[20].position.clone());
    let mut again = subscribed(&server).open(&shard, &start).await.expect("opens");
    assert_eq!(support::next_records(&mut again, 32).await, records[21..]);
}

#[tokio::test]
async fn a_subscription_ends_with_its_shard() {
    let server = Server::start(|options| options.update_stream_ms = 0).await;
    ensure_stream(&server.client, STREAM, 1).await.expect("created");
    server.put(STREAM, "a", (0..20).map(reading)).await;
    let source = subscribed(&server);
    let parent = source.partitions().await.expect("listed").remove(0);
    let mut reader = source.open(&parent.id, &Start::TrimHorizon).await.expect("opens");
    assert_eq!(support::next_records(&mut reader, 20).await.len(), 20);
    server.split(STREAM, parent.id.as_str()).await;
    while reader.next().await.expect("received").is_some() {}
    assert!(reader.next().await.expect("still ended").is_none());
}

#[tokio::test]
async fn a_consumer_of_a_stream_that_does_not_exist_is_refused() {
    let server = Server::start(|_| {}).await;
    let shard = eddy_record::PartitionId::new("shardId-000000000000");
    let opened = subscribed(&server).open(&shard, &Start::Latest).await;
    let error = opened.err().expect("there is no stream");
    assert_eq!(error.kind(), ErrorKind::Fatal);
    assert!(error.to_string().contains("does not exist"), "{error}");
}
