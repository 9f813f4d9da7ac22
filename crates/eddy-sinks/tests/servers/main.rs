//! The sinks against servers that are not of our making, which `.ci/servers` starts: OpenSearch at
//! `OPENSEARCH_URL`, two servers in its and Elasticsearch's place at `OSMEM_URL` and `NOIDA_URL`, and
//! Firehose APIs at `FIREHOSE_URL` and `MINISTACK_URL`, where the delivery stream `scored` exists.

#[path = "../it/support.rs"]
mod support;

use std::env::var;

use eddy_aws::ConnectionSettings;
use eddy_sinks::{
    FirehoseSettings, FirehoseSink, InstallSettings, OpenSearchSettings, OpenSearchSink, Rotation,
    WriteAs,
};
use eddy_stream::Sink as _;
use serde_json::{Value, json};

use support::{rows, rows_named};

/// OpenSearch, and what stands in its or Elasticsearch's place.
const SEARCH: [&str; 3] = ["OPENSEARCH_URL", "OSMEM_URL", "NOIDA_URL"];

fn url(variable: &str) -> String {
    var(variable).unwrap_or_else(|_| panic!("{variable} is set: run .ci/servers"))
}

async fn call(server: &str, method: &str, path: &str, body: Option<Value>) -> Value {
    let url = url(server);
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

async fn create(server: &str, index: &str, mapping: Value) {
    let answer = call(server, "PUT", index, Some(mapping)).await;
    assert_eq!(answer["acknowledged"], true, "{server}: {answer}");
}

async fn sink(server: &str, change: impl FnOnce(&mut OpenSearchSettings)) -> OpenSearchSink {
    let mut settings = OpenSearchSettings::new(&url(server));
    change(&mut settings);
    OpenSearchSink::open(&settings).await.expect("good settings")
}

#[tokio::test]
async fn an_index_holds_each_row_once_after_a_replay() {
    for server in SEARCH {
        let sink = sink(server, |settings| settings.index = "replayed".to_owned()).await;
        let rows = rows(6000);
        for _ in 0..2 {
            assert_eq!(sink.write(&rows).await.expect("stored"), [], "{server}");
        }
        call(server, "POST", "replayed-2026-11-23/_refresh", None).await;
        let count = call(server, "GET", "replayed-2026-11-23/_count", None).await;
        assert_eq!(count["count"], 6000, "{server}");
        let id = rows[17].id.as_str();
        let found = call(server, "GET", &format!("replayed-2026-11-23/_doc/{id}"), None).await;
        assert_eq!(found["_source"]["iotValue"], 17, "{server}");
    }
}

#[tokio::test]
async fn what_does_not_fit_the_mapping_is_refused_and_the_rest_is_taken() {
    for server in SEARCH {
        let mapping = json!({"mappings": {"properties": {"iotValue": {"type": "byte"}}}});
        create(server, "narrow", mapping).await;
        let sink = sink(server, |settings| {
            settings.index = "narrow".to_owned();
            settings.rotation = Rotation::NoRotation;
        })
        .await;
        let refused = sink.write(&rows(130)).await.expect("the others are stored");
        let row_idxs: Vec<usize> = refused.iter().map(|refused| refused.row_idx).collect();
        assert_eq!(row_idxs, [128, 129], "{server}");
        let reason = &refused[0].reason;
        assert!(reason.starts_with("400: ") && reason.contains("iotValue"), "{server}: {reason}");
    }
}

#[tokio::test]
async fn a_mapping_that_would_refuse_every_row_is_known_at_the_start() {
    for server in SEARCH {
        let sink = sink(server, |settings| {
            settings.index = "conflict".to_owned();
            settings.rotation = Rotation::NoRotation;
        })
        .await;
        let schema = &rows(1)[0].schema;
        // A server may be that of an earlier run.
        call(server, "DELETE", "conflict", None).await;
        sink.check(schema).await.expect("there is no such index yet");
        let mapping = json!({"mappings": {"properties": {"created": {"type": "long"}}}});
        create(server, "conflict", mapping).await;
        let error = sink.check(schema).await.expect_err("refused");
        let said = error.to_string();
        assert!(said.contains("its field created is of type long"), "{server}: {said}");
    }
}

#[tokio::test]
async fn an_installed_template_maps_the_rows_of_new_indices() {
    for server in SEARCH {
        let sink = sink(server, |settings| {
            settings.index = "installed".to_owned();
            settings.install = Some(InstallSettings::default());
        })
        .await;
        let rows = rows(10);
        for _ in 0..2 {
            sink.install(&rows[0].schema).await.expect("installed");
        }
        assert_eq!(sink.write(&rows).await.expect("stored"), [], "{server}");
        let index = "installed-2026-11-23";
        let answer = call(server, "GET", &format!("{index}/_mapping"), None).await;
        let properties = &answer[index]["mappings"]["properties"];
        let kinds = ["iotName", "iotValue", "ANOMALY_SCORE", "created"]
            .map(|column| properties[column]["type"].clone());
        assert_eq!(kinds, ["keyword", "long", "double", "date"], "{server}: {answer}");
    }
}

/// None of these servers manages the age of indices.
#[tokio::test]
async fn a_server_without_lifecycle_management_is_told_apart_and_said() {
    for server in SEARCH {
        let sink = sink(server, |settings| {
            settings.index = "kept".to_owned();
            settings.install = Some(InstallSettings { retention_days: Some(30) });
        })
        .await;
        let error = sink.install(&rows(1)[0].schema).await.expect_err("refused");
        assert!(
            error.to_string().contains("leave install.retention_days out"),
            "{server}: {error}"
        );
    }
}

#[tokio::test]
async fn a_data_stream_keeps_what_it_holds() {
    let template = json!({"index_patterns": ["scores*"], "data_stream": {"timestamp_field": {"name": "created"}},
                          "template": {"mappings": {"properties": {"created": {"type": "date"}}}}});
    let server = "OPENSEARCH_URL";
    call(server, "PUT", "_index_template/scores", Some(template)).await;
    let sink = sink(server, |settings| {
        settings.index = "scores".to_owned();
        settings.rotation = Rotation::NoRotation;
        settings.write_as = WriteAs::Create;
    })
    .await;
    for _ in 0..2 {
        assert_eq!(sink.write(&rows(100)).await.expect("stored"), []);
    }
    call(server, "POST", "scores/_refresh", None).await;
    assert_eq!(call(server, "GET", "scores/_count", None).await["count"], 100);
}

#[tokio::test]
async fn firehose_takes_full_requests_and_counts_every_record() {
    for server in ["FIREHOSE_URL", "MINISTACK_URL"] {
        let settings = FirehoseSettings {
            connection: ConnectionSettings::local(&url(server)),
            ..FirehoseSettings::new("scored")
        };
        let sink = FirehoseSink::open(&settings).await;
        assert_eq!(sink.write(&rows(1100)).await.expect("taken"), [], "{server}");
        assert_eq!(sink.write(&rows_named(9, 1_000_000)).await.expect("taken"), [], "{server}");
    }
}
