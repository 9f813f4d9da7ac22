//! The sinks against servers that are not of our making, which `.ci/servers` starts: OpenSearch at
//! `OPENSEARCH_URL` and a Firehose API at `FIREHOSE_URL`, where the delivery stream `scored` exists.

#[path = "../it/support.rs"]
mod support;

use std::env::var;

use eddy_aws::ConnectionSettings;
use eddy_sinks::{
    FirehoseSettings, FirehoseSink, OpenSearchSettings, OpenSearchSink, Rotation, WriteAs,
};
use eddy_stream::Sink as _;
use serde_json::{Value, json};

use support::{rows, rows_named};

async fn call(method: &str, path: &str, body: Option<Value>) -> Value {
    let url = var("OPENSEARCH_URL").expect("OPENSEARCH_URL is set: run .ci/servers");
    let provider = rustls::crypto::ring::default_provider();
    // Another test of this process may have installed it.
    let _ = provider.install_default();
    let method = method.parse().expect("a method");
    let mut request = reqwest::Client::new().request(method, format!("{url}/{path}"));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let bytes = request.send().await.expect("an answer").bytes().await.expect("a body");
    serde_json::from_slice(&bytes).expect("JSON")
}

async fn sink(change: impl FnOnce(&mut OpenSearchSettings)) -> OpenSearchSink {
    let url = var("OPENSEARCH_URL").expect("OPENSEARCH_URL is set: run .ci/servers");
    let mut settings = OpenSearchSettings::new(&url);
    change(&mut settings);
    OpenSearchSink::open(&settings).await.expect("good settings")
}

#[tokio::test]
async fn opensearch_holds_each_row_once_after_a_replay() {
    let sink = sink(|settings| settings.index = "replayed".to_owned()).await;
    let rows = rows(6000);
    for _ in 0..2 {
        assert_eq!(sink.write(&rows).await.expect("stored"), []);
    }
    call("POST", "replayed-2026-11-23/_refresh", None).await;
    assert_eq!(call("GET", "replayed-2026-11-23/_count", None).await["count"], 6000);
    let id = rows[17].id.as_str();
    let found = call("GET", &format!("replayed-2026-11-23/_doc/{id}"), None).await;
    assert_eq!(found["_source"]["iotValue"], 17);
}

#[tokio::test]
async fn opensearch_refuses_what_does_not_fit_its_mapping_and_takes_the_rest() {
    let mapping = json!({"mappings": {"properties": {"iotValue": {"type": "byte"}}}});
    call("PUT", "narrow", Some(mapping)).await;
    let sink = sink(|settings| {
        settings.index = "narrow".to_owned();
        settings.rotation = Rotation::NoRotation;
    })
    .await;
    let refused = sink.write(&rows(130)).await.expect("the others are stored");
    assert_eq!(refused.iter().map(|r| r.row_idx).collect::<Vec<_>>(), [128, 129]);
    assert!(refused[0].reason.starts_with("400: "), "{}", refused[0].reason);
    assert!(refused[0].reason.contains("iotValue"), "{}", refused[0].reason);
}

#[tokio::test]
async fn a_data_stream_keeps_what_it_holds() {
    let template = json!({"index_patterns": ["scores*"], "data_stream": {"timestamp_field": {"name": "created"}},
                          "template": {"mappings": {"properties": {"created": {"type": "date"}}}}});
    call("PUT", "_index_template/scores", Some(template)).await;
    let sink = sink(|settings| {
        settings.index = "scores".to_owned();
        settings.rotation = Rotation::NoRotation;
        settings.write_as = WriteAs::Create;
    })
    .await;
    for _ in 0..2 {
        assert_eq!(sink.write(&rows(100)).await.expect("stored"), []);
    }
    call("POST", "scores/_refresh", None).await;
    assert_eq!(call("GET", "scores/_count", None).await["count"], 100);
}

#[tokio::test]
async fn firehose_takes_full_requests_and_counts_every_record() {
    let url = var("FIREHOSE_URL").expect("FIREHOSE_URL is set: run .ci/servers");
    let settings = FirehoseSettings {
        connection: ConnectionSettings::local(&url),
        ..FirehoseSettings::new("scored")
    };
    let sink = FirehoseSink::open(&settings).await;
    assert_eq!(sink.write(&rows(1100)).await.expect("taken"), []);
    assert_eq!(sink.write(&rows_named(9, 1_000_000)).await.expect("taken"), []);
}
