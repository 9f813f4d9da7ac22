//! The sinks against servers that are not of our making, which `.ci/servers` starts: OpenSearch at
//! `OPENSEARCH_URL`, two servers in its and Elasticsearch's place at `OSMEM_URL` and `NOIDA_URL`, and
//! Firehose APIs at `FIREHOSE_URL` and `MINISTACK_URL`, where the delivery stream `scored` exists.

#[path = "../it/support.rs"]
mod support;

use std::env::var;

use eddy_aws::ConnectionSettings;
use eddy_sinks::{
    Dashboards, FirehoseSettings, FirehoseSink, InstallSettings, OpenSearchSettings,
    OpenSearchSink, Rotation, WriteAs,
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
    // A server may be that of an earlier run.
    call(server, "DELETE", index, None).await;
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

/// How Kibana 7.10 and OpenSearch Dashboards map the index of their saved objects: a field that they
/// do not know is refused.
fn saved_objects_mapping() -> Value {
    let (text, keyword) = (json!({"type": "text"}), json!({"type": "keyword"}));
    let (integer, boolean) = (json!({"type": "integer"}), json!({"type": "boolean"}));
    let meta = json!({"properties": {"searchSourceJSON": text}});
    json!({"mappings": {"dynamic": "strict", "properties": {
        "type": keyword, "namespace": keyword, "namespaces": keyword, "originId": keyword,
        "updated_at": {"type": "date"},
        "references": {"type": "nested", "properties": {"name": keyword, "type": keyword, "id": keyword}},
        "migrationVersion": {"dynamic": "true", "properties": {}},
        "index-pattern": {"properties": {
            "fieldFormatMap": text, "fields": text, "intervalName": keyword,
            "notExpandable": boolean, "sourceFilters": text, "timeFieldName": keyword,
            "title": text, "type": keyword, "typeMeta": keyword}},
        "search": {"properties": {
            "columns": keyword, "description": text, "hits": integer,
            "kibanaSavedObjectMeta": meta, "sort": keyword, "title": text, "version": integer}},
        "visualization": {"properties": {
            "description": text, "kibanaSavedObjectMeta": meta, "savedSearchRefName": keyword,
            "title": text, "uiStateJSON": text, "version": integer, "visState": text}},
        "dashboard": {"properties": {
            "description": text, "hits": integer, "kibanaSavedObjectMeta": meta,
            "optionsJSON": text, "panelsJSON": text,
            "refreshInterval": {"properties": {
                "display": keyword, "pause": boolean, "section": integer, "value": integer}},
            "timeFrom": keyword, "timeRestore": boolean, "timeTo": keyword, "title": text,
            "version": integer}},
    }}})
}

#[tokio::test]
async fn an_index_mapped_as_that_of_saved_objects_takes_each_object() {
    let server = "OPENSEARCH_URL";
    let index = ".kibana_eddy";
    // A server may be that of an earlier run.
    call(server, "DELETE", index, None).await;
    create(server, index, saved_objects_mapping()).await;
    let settings = OpenSearchSettings::new(&url(server));
    let dashboards = Dashboards::new(&settings, &rows(1)[0].schema, None).expect("good");
    let objects = dashboards.saved_objects();
    for object in &objects {
        let (kind, id) =
            (object["type"].as_str().expect("type"), object["id"].as_str().expect("id"));
        let document = json!({
            "type": kind, kind: object["attributes"], "references": object["references"],
            "migrationVersion": object["migrationVersion"], "updated_at": "2026-11-23T12:00:00Z",
        });
        let answer =
            call(server, "PUT", &format!("{index}/_doc/{kind}:{id}"), Some(document)).await;
        assert_eq!(answer["result"], "created", "{kind} {id}: {answer}");
    }
    // And the index does refuse what it does not know.
    let unknown = json!({"type": "search", "search": {"title": "t", "colour": "red"}});
    let answer = call(server, "PUT", &format!("{index}/_doc/search:x"), Some(unknown)).await;
    assert_eq!(answer["error"]["type"], "strict_dynamic_mapping_exception", "{answer}");
    call(server, "POST", &format!("{index}/_refresh"), None).await;
    let count = call(server, "GET", &format!("{index}/_count"), None).await;
    assert_eq!(count["count"], objects.len());
}

/// The charts' aggregations as the products ask them, on rows in indices with the template.
#[tokio::test]
async fn charts_find_their_fields_in_indices_with_the_template() {
    let server = "OPENSEARCH_URL";
    let sink = sink(server, |settings| {
        settings.index = "charted".to_owned();
        settings.install = Some(InstallSettings::default());
    })
    .await;
    let rows = rows(600);
    sink.install(&rows[0].schema).await.expect("installed");
    assert_eq!(sink.write(&rows).await.expect("stored"), []);
    let mut settings = OpenSearchSettings::new(&url(server));
    settings.index = "charted".to_owned();
    let dashboards = Dashboards::new(&settings, &rows[0].schema, None).expect("good");
    call(server, "POST", "charted-2026-11-23/_refresh", None).await;
    let mut n_charts = 0;
    for object in dashboards.saved_objects() {
        let Some(state) = object["attributes"]["visState"].as_str() else { continue };
        let state: Value = serde_json::from_str(state).expect("JSON");
        let aggs = state["aggs"].as_array().expect("aggregations");
        let mut asked = json!({});
        // The metric is innermost; what splits comes outside it.
        for agg in aggs {
            let params = &agg["params"];
            let inner = asked;
            let own = match agg["type"].as_str().expect("a type") {
                "count" => {
                    asked = inner;
                    continue;
                }
                "max" => json!({"max": {"field": params["field"]}}),
                "date_histogram" => {
                    assert_eq!(params["interval"], "m");
                    json!({"date_histogram": {"field": params["field"], "fixed_interval": "1m"}})
                }
                "range" => json!({"range": {"field": params["field"], "ranges": params["ranges"]}}),
                "terms" => json!({"terms": {"field": params["field"], "size": params["size"]}}),
                other => panic!("{other}"),
            };
            let mut own = own;
            if inner.as_object().is_some_and(|inner| !inner.is_empty()) {
                own["aggs"] = inner;
            }
            asked = json!({ agg["id"].as_str().expect("an id"): own });
        }
        let body = json!({"size": 0, "aggs": asked});
        let path = format!("{}/_search", dashboards.pattern());
        let answer = call(server, "POST", &path, Some(body)).await;
        assert_eq!(answer["hits"]["total"]["value"], 600, "{answer}");
        let outer = answer["aggregations"].as_object().expect("aggregations");
        let buckets = outer.values().next().and_then(|agg| agg["buckets"].as_array());
        let n_found: u64 = buckets
            .expect("buckets")
            .iter()
            .map(|bucket| bucket["doc_count"].as_u64().expect("a count"))
            .sum();
        assert_eq!(n_found, 600, "{}: {answer}", state["title"]);
        n_charts += 1;
    }
    assert_eq!(n_charts, 3);
}
