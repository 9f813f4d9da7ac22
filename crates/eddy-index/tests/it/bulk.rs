//! Writing: per-item answers, ids, limits.

use serde_json::json;

use crate::support::{Endpoint, reading};

#[tokio::test]
async fn every_item_has_its_own_answer() {
    let endpoint = Endpoint::new();
    let body = concat!(
        "{\"index\":{\"_index\":\"x\",\"_id\":\"1\"}}\n{\"a\":1}\n",
        "{\"create\":{\"_index\":\"x\",\"_id\":\"1\"}}\n{\"a\":2}\n",
        "{\"create\":{\"_index\":\"x\",\"_id\":\"2\"}}\n{\"created\":\"soon\"}\n",
        "{\"update\":{\"_index\":\"x\",\"_id\":\"1\"}}\n{\"doc\":{\"b\":{\"c\":true}}}\n",
        "{\"update\":{\"_index\":\"x\",\"_id\":\"9\"}}\n{\"doc\":{\"b\":1}}\n",
        "{\"delete\":{\"_index\":\"x\",\"_id\":\"7\"}}\n",
        "{\"index\":{\"_index\":\"Bad\",\"_id\":\"1\"}}\n{}\n",
        "{\"index\":{\"_index\":\"anomalies\",\"_id\":\"1\"}}\n{\"a\":1}\n",
        "{\"index\":{\"_index\":\"x\",\"_id\":\"3\"}}\n{\"a\":",
    );
    let (status, answer) = endpoint.call("POST", "/_bulk", body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["errors"], true);
    let items = answer["items"].as_array().expect("items");
    let statuses: Vec<u64> = items
        .iter()
        .map(|item| item.as_object().expect("one").values().next().expect("verb"))
        .map(|item| item["status"].as_u64().expect("a status"))
        .collect();
    assert_eq!(statuses, [201, 409, 400, 200, 404, 404, 400, 400, 400]);
    assert_eq!(items[1]["create"]["error"]["type"], "version_conflict_engine_exception");
    assert_eq!(items[2]["create"]["error"]["type"], "mapper_parsing_exception");
    let (_, document) = endpoint.call("GET", "/x/_doc/1", "").await;
    assert_eq!(document["_source"], json!({"a": 1, "b": {"c": true}}));
}

#[tokio::test]
async fn writing_an_id_again_replaces_its_document() {
    let endpoint = Endpoint::new();
    let document = reading("2026-11-23T12:00:00Z", "a", 1.0, 0.5);
    endpoint.fill(std::slice::from_ref(&document)).await;
    endpoint.fill(&[reading("2026-11-23T12:00:00Z", "a", 2.0, 0.5)]).await;
    let answer = endpoint.search(json!({})).await;
    assert_eq!(answer["hits"]["total"], json!({"value": 1, "relation": "eq"}));
    assert_eq!(answer["hits"]["hits"][0]["_source"]["iotValue"], 2.0);
    let path = "/anomalies-2026.11.23/_doc/0";
    assert_eq!(endpoint.call("PUT", "/anomalies/_create/0", &document.to_string()).await.0, 409);
    assert_eq!(endpoint.call("DELETE", path, "").await.1["result"], "deleted");
    assert_eq!(endpoint.call("DELETE", path, "").await.0, 404);
    assert_eq!(endpoint.call("GET", "/anomalies/_count", "").await.1["count"], 0);
}

#[tokio::test]
async fn concurrent_writes_are_all_there() {
    let endpoint = Endpoint::new();
    let writes = (0..20).map(|id| {
        let endpoint = &endpoint;
        async move {
            let body = json!({"n": id}).to_string();
            endpoint.call("PUT", &format!("/x/_doc/{id}"), &body).await.0
        }
    });
    let mut statuses = Vec::new();
    let mut tasks: Vec<_> = writes.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        tasks.retain_mut(|task| match task.as_mut().poll(context) {
            std::task::Poll::Ready(status) => {
                statuses.push(status);
                false
            }
            std::task::Poll::Pending => true,
        });
        if tasks.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    assert_eq!(statuses, [201; 20]);
    assert_eq!(endpoint.call("GET", "/x/_count", "").await.1["count"], 20);
}

#[tokio::test]
async fn wrong_requests_say_what_is_wrong() {
    let endpoint = Endpoint::new();
    for (method, path, body, status, part) in [
        ("GET", "/nothing/_search", "", 404, "index_not_found_exception"),
        ("DELETE", "/_search", "", 405, "Incorrect HTTP method"),
        ("POST", "/_bulk", "", 400, "required"),
        ("POST", "/_bulk", "{\"index\":{\"_id\":\"1\"}}\n{}\n", 400, "index is missing"),
        ("POST", "/_bulk", "nonsense\n", 400, "Malformed"),
        ("POST", "/x/_bulk", "{\"eat\":{\"_id\":\"1\"}}\n{}\n", 400, "eat"),
        ("GET", "/_ml/anomaly_detectors", "", 400, "_ml"),
        ("GET", "/_search?routing=a", "", 400, "routing"),
        ("GET", "/_cluster/health?level=x&colour=red", "", 400, "colour"),
        ("PUT", "/x/_mapping", "{}", 400, "_mapping"),
        ("POST", "/_aliases", "{}", 400, "_aliases"),
        ("POST", "/_search", "{", 400, "JSON"),
        ("PUT", "/..%2Fup/_doc/1", "{}", 400, "invalid_index_name_exception"),
        ("GET", "/%ff/_search", "", 400, "percent"),
    ] {
        let (found, answer) = endpoint.call(method, path, body).await;
        assert_eq!(found, status, "{method} {path}: {answer}");
        assert!(answer.to_string().contains(part), "{method} {path}: {answer}");
    }
    let huge = "x".repeat(eddy_index::limits::MAX_BODY_BYTES + 1);
    assert_eq!(endpoint.call("POST", "/_bulk", &huge).await.0, 413);
}

#[tokio::test]
async fn indices_are_listed_mapped_and_deleted() {
    let endpoint = Endpoint::new();
    endpoint.fill(&[reading("2026-11-23T12:00:00Z", "a", 1.0, 0.5)]).await;
    let (_, indices) = endpoint.call("GET", "/_cat/indices?format=json", "").await;
    assert_eq!(indices[0]["index"], "anomalies-2026.11.23");
    let (_, mapping) = endpoint.call("GET", "/anomalies/_mapping", "").await;
    let properties = &mapping["anomalies-2026.11.23"]["mappings"]["properties"];
    assert_eq!(properties["iotName"]["type"], "keyword");
    assert_eq!(properties["iotValue"]["type"], "double");
    assert_eq!(properties["created"]["type"], "date");
    assert_eq!(endpoint.call("GET", "/", "").await.1["tagline"], "You Know, for Search");
    assert_eq!(endpoint.call("HEAD", "/", "").await.0, 200);
    assert_eq!(endpoint.call("GET", "/_cluster/health", "").await.1["status"], "green");
    assert_eq!(endpoint.call("DELETE", "/anomalies-2026.11.23", "").await.0, 200);
    assert_eq!(endpoint.call("GET", "/anomalies-2026.11.23/_search", "").await.0, 404);
    assert_eq!(endpoint.reopened().call("GET", "/_count", "").await.1["count"], 0);
}

#[tokio::test]
async fn a_bulk_request_of_very_many_operations_is_refused_whole() {
    let endpoint = Endpoint::new();
    let body = "{\"delete\":{\"_id\":\"1\"}}\n".repeat(50_001);
    let (status, answer) = endpoint.call("POST", "/anomalies/_bulk", &body).await;
    assert_eq!(status, 413, "{answer}");
    assert_eq!(answer["error"]["type"], "content_too_long_exception");
    assert!(answer["error"]["reason"].as_str().is_some_and(|reason| reason.contains("50000")));
}
