//! Source and producer against servers that are not of our making, which `.ci/servers` starts:
//! kinesis-local at `KINESIS_LOCAL_URL` and ministack at `MINISTACK_URL`.

use std::collections::BTreeSet;
use std::env::var;
use std::time::Duration;

use eddy_kinesis::{
    Client, ConnectionSettings, KinesisSource, Producer, ProducerSettings, ReadSettings, client,
    ensure_stream,
};
use eddy_stream::{ErrorKind, PartitionReader, Source as _, Start};

/// Longer than anything takes, so that a test that hangs ends.
const PATIENCE: Duration = Duration::from_secs(120);

async fn at(variable: &str) -> Client {
    let url = var(variable).unwrap_or_else(|_| panic!("{variable} is set: run .ci/servers"));
    client(&ConnectionSettings::local(&url)).await
}

fn source(client: &Client, stream: &str) -> KinesisSource {
    let settings =
        ReadSettings { poll_interval_ms: 5, min_read_interval_ms: 0, ..Default::default() };
    KinesisSource::new(client.clone(), stream, settings)
}

async fn put(client: &Client, stream: &str, numbers: std::ops::Range<u64>) {
    let producer = Producer::new(client.clone(), ProducerSettings::new(stream));
    for n in numbers {
        producer.put(&format!("key-{n}"), n.to_string().into()).await.expect("accepted");
    }
    assert_eq!(producer.flush().await.failed, 0);
}

/// The numbers that a shard holds; reads until it is caught up, or to its end.
async fn drain(mut reader: Box<dyn PartitionReader>, to_its_end: bool) -> Vec<u64> {
    let mut numbers = Vec::new();
    let read = async {
        while let Some(batch) = reader.next().await.expect("readable") {
            let caught_up = batch.behind_ms == Some(0) && batch.records.is_empty();
            let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
            numbers.extend(
                batch
                    .records
                    .iter()
                    .map(|record| text(&record.data).parse::<u64>().expect("a number")),
            );
            if caught_up && !to_its_end {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the shard is caught up or ends");
    numbers
}

async fn everything_put_is_read_once(variable: &str) {
    let client = at(variable).await;
    ensure_stream(&client, "once", 3).await.expect("created");
    put(&client, "once", 0..1500).await;
    let source = source(&client, "once");
    assert_eq!(source.identity().await.expect("described").name, "once");
    let mut found = Vec::new();
    for shard in source.partitions().await.expect("listed") {
        let reader = source.open(&shard.id, &Start::TrimHorizon).await.expect("opens");
        found.extend(drain(reader, false).await);
    }
    found.sort_unstable();
    assert_eq!(found, (0..1500).collect::<Vec<_>>());
}

#[tokio::test]
async fn everything_put_into_kinesis_local_is_read_once() {
    everything_put_is_read_once("KINESIS_LOCAL_URL").await;
}

#[tokio::test]
async fn everything_put_into_ministack_is_read_once() {
    everything_put_is_read_once("MINISTACK_URL").await;
}

#[tokio::test]
async fn shards_are_listed_page_by_page() {
    let client = at("KINESIS_LOCAL_URL").await;
    ensure_stream(&client, "wide", 1000).await.expect("created");
    let page = client.list_shards().stream_name("wide").send().await.expect("listed");
    assert!(page.next_token().is_some(), "one page holds all: {}", page.shards().len());
    let shards = source(&client, "wide").partitions().await.expect("listed");
    assert_eq!(shards.iter().map(|shard| &shard.id).collect::<BTreeSet<_>>().len(), 1000);
}

#[tokio::test]
async fn a_split_is_read_through_to_the_children() {
    let client = at("KINESIS_LOCAL_URL").await;
    ensure_stream(&client, "split", 1).await.expect("created");
    put(&client, "split", 0..50).await;
    let source = source(&client, "split");
    let parent = source.partitions().await.expect("listed").remove(0);
    let split = client.split_shard().stream_name("split").shard_to_split(parent.id.as_str());
    let middle = "170141183460469231731687303715884105728";
    split.new_starting_hash_key(middle).send().await.expect("split");
    // A stream that is being updated takes records meanwhile, and lists the children when it is done.
    let listed = async {
        loop {
            let shards = source.partitions().await.expect("listed");
            if shards.len() == 3 {
                return shards;
            }
        }
    };
    let shards = tokio::time::timeout(PATIENCE, listed).await.expect("the split is done");
    ensure_stream(&client, "split", 1).await.expect("active again");
    put(&client, "split", 50..100).await;
    let reader = source.open(&parent.id, &Start::TrimHorizon).await.expect("opens");
    let of_parent = drain(reader, true).await;
    assert_eq!(of_parent, (0..50).collect::<Vec<_>>(), "the parent's records, then its end");
    let mut of_children = Vec::new();
    for child in shards.iter().filter(|shard| shard.id != parent.id) {
        assert_eq!(child.parents, std::slice::from_ref(&parent.id));
        let reader = source.open(&child.id, &Start::TrimHorizon).await.expect("opens");
        of_children.extend(drain(reader, false).await);
    }
    of_children.sort_unstable();
    assert_eq!(of_children, (50..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_named() {
    for variable in ["KINESIS_LOCAL_URL", "MINISTACK_URL"] {
        let error = source(&at(variable).await, "nowhere").identity().await.expect_err("missing");
        assert_eq!(error.kind(), ErrorKind::Fatal, "{variable}");
        assert!(error.to_string().contains("the stream nowhere does not exist"), "{error}");
    }
}
