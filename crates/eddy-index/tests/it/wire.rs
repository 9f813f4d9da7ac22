//! Requests as programs send them: Vector and Fluent Bit (their encoders' shapes), Grafana's
//! Elasticsearch data source (its query builder's), elasticdump.

use serde_json::{Value, json};

use crate::support::{Endpoint, reading};

#[tokio::test]
async fn vector_delivers_with_and_without_ids_and_sees_what_failed() {
    let endpoint = Endpoint::new();
    // Its health check, then batches.
    assert_eq!(endpoint.call("GET", "/_cluster/health", "").await.0, 200);
    let body = concat!(
        "{\"index\":{\"_index\":\"vector-2026.11.23\",\"_type\":\"_doc\"}}\n",
        "{\"host\":\"h\",\"message\":\"m\",\"timestamp\":\"2026-11-23T12:00:00.123456789Z\"}\n",
        "{\"create\":{\"_index\":\"vector-2026.11.23\",\"_id\":\"7\"}}\n",
        "{\"host\":\"h\",\"message\":\"n\",\"nested\":{\"a\":[1,2]}}\n",
        "{\"create\":{\"_index\":\"vector-2026.11.23\",\"_id\":\"7\"}}\n",
        "{\"host\":\"h\",\"message\":\"again\"}\n",
    );
    let headers = [("content-type", "application/x-ndjson")];
    let path = "/_bulk?timeout=60s";
    let (status, answer) = endpoint.call_with("POST", path, &headers, body.into()).await;
    assert_eq!((status, &answer["errors"]), (200, &json!(true)));
    // It looks for this text, and for the statuses.
    assert!(answer.to_string().contains("\"errors\":true"));
    assert_eq!(answer["items"][2]["create"]["status"], 409);
    assert_eq!(endpoint.call("GET", "/vector-*/_count", "").await.1["count"], 2);
}

#[tokio::test]
async fn fluent_bit_delivers_in_each_of_its_forms() {
    let endpoint = Endpoint::new();
    let record = "{\"@timestamp\":\"2026-11-23T12:00:00.000Z\",\"cpu_p\":1.5}";
    let mut body = String::new();
    for line in [
        "{\"create\":{\"_index\":\"fluent-bit\"}}",
        "{\"create\":{\"_index\":\"fluent-bit\",\"_type\":\"_doc\"}}",
        "{\"index\":{\"_index\":\"fluent-bit\",\"_id\":\"1bbf1d4e-0ba2-4e2b-8f3c-5a2f6a4a9d11\"}}",
    ] {
        body.push_str(&format!("{line}\n{record}\n"));
    }
    body.push_str(&format!(
        "{{\"update\":{{\"_index\":\"fluent-bit\",\"_id\":\"u\"}}}}\n{{\"doc_as_upsert\":true,\"doc\":{record}}}\n"
    ));
    let headers = [("content-type", "application/x-ndjson"), ("user-agent", "Fluent-Bit")];
    let path = "/_bulk/?filter_path=errors,items.*.error,items.*.status";
    let (status, answer) = endpoint.call_with("POST", path, &headers, body.into()).await;
    assert_eq!(status, 200);
    let statuses = json!([{"create": {"status": 201}}, {"create": {"status": 201}},
        {"index": {"status": 201}}, {"update": {"status": 201}}]);
    assert_eq!(answer, json!({"errors": false, "items": statuses}));
}

async fn filled() -> Endpoint {
    let endpoint = Endpoint::new();
    endpoint
        .fill(&[
            reading("2026-11-23T12:00:10Z", "a", 10.0, 0.5),
            reading("2026-11-23T12:01:10Z", "b", 20.0, 1.5),
            reading("2026-11-23T12:01:50Z", "a", 30.0, 3.5),
        ])
        .await;
    endpoint
}

async fn grafana(endpoint: &Endpoint, bodies: &[Value]) -> Vec<Value> {
    let header = json!({"ignore_unavailable": true, "index": "anomalies", "search_type": "query_then_fetch"});
    let lines: String = bodies.iter().map(|body| format!("{header}\n{body}\n")).collect();
    let path = "/_msearch?max_concurrent_shard_requests=5";
    let headers = [("content-type", "application/x-ndjson")];
    let (status, answer) = endpoint.call_with("POST", path, &headers, lines.into()).await;
    assert_eq!(status, 200, "{answer}");
    answer["responses"].as_array().expect("responses").clone()
}

fn in_panel(query: &str) -> Value {
    json!({"bool": {"filter": [
        {"range": {"created": {"format": "epoch_millis", "gte": 1_795_435_200_000_i64, "lte": 1_795_435_439_999_i64}}},
        {"query_string": {"analyze_wildcard": true, "query": query}}]}})
}

fn by_minute(below: &Value) -> Value {
    json!({"date_histogram": {"extended_bounds": {"max": 1_795_435_439_999_i64, "min": 1_795_435_200_000_i64},
        "field": "created", "fixed_interval": "60000ms", "format": "epoch_millis", "min_doc_count": 0},
        "aggs": below})
}

#[tokio::test]
async fn grafana_tests_the_data_source_and_lists_its_fields() {
    let endpoint = filled().await;
    let (_, health) = endpoint.call("GET", "/_cluster/health?wait_for_status=yellow", "").await;
    assert_ne!(health["status"], "red");
    assert_eq!(endpoint.call("GET", "/", "").await.1["version"]["build_flavor"], "default");
    let (_, mapping) = endpoint.call("GET", "/anomalies/_mapping", "").await;
    let of_day = &mapping["anomalies-2026.11.23"]["mappings"]["properties"];
    assert_eq!(of_day["created"]["type"], "date");
    let (_, caps) = endpoint.call("GET", "/anomalies/_field_caps?fields=*", "").await;
    assert_eq!(caps["fields"]["iotValue"]["double"]["type"], "double");
}

#[tokio::test]
async fn grafana_draws_metrics_by_minute_by_term_and_by_filter() {
    let endpoint = filled().await;
    let metrics = json!({"1": {"max": {"field": "ANOMALY_SCORE"}},
        "3": {"percentiles": {"field": "iotValue", "percents": ["25", "50"]}},
        "4": {"extended_stats": {"field": "iotValue", "sigma": "2"}}});
    let by_name = json!({"2": {"terms": {"field": "iotName", "size": 10, "order": {"_key": "desc"}, "min_doc_count": 1},
        "aggs": {"5": by_minute(&json!({"1": {"avg": {"field": "iotValue"}}}))}}});
    let by_score = json!({"2": {"terms": {"field": "iotName", "size": 10, "order": {"1": "desc"}},
        "aggs": {"1": {"max": {"field": "ANOMALY_SCORE"}}}}});
    let filters = json!({"2": {"filters": {"filters": {"high": {"query_string": {"analyze_wildcard": true, "query": "ANOMALY_SCORE:>1"}}}},
        "aggs": {"5": by_minute(&json!({}))}}});
    let answers = grafana(
        &endpoint,
        &[
            json!({"aggs": {"2": by_minute(&metrics)}, "query": in_panel("*"), "size": 0}),
            json!({"aggs": by_name, "query": in_panel("iotName:a OR iotName:b"), "size": 0}),
            json!({"aggs": by_score, "query": in_panel("*"), "size": 0}),
            json!({"aggs": filters, "query": in_panel("*"), "size": 0}),
        ],
    )
    .await;
    for answer in &answers {
        assert_eq!(answer["status"], 200, "{answer}");
    }
    let minutes = answers[0]["aggregations"]["2"]["buckets"].as_array().expect("buckets");
    assert_eq!(minutes.len(), 4);
    assert_eq!(minutes[0]["key"], 1_795_435_200_000_i64);
    assert_eq!(minutes[0]["key_as_string"], "1795435200000");
    assert_eq!(minutes[1]["1"]["value"], 3.5);
    assert_eq!(minutes[2]["doc_count"], 0);
    assert!(minutes[1]["3"]["values"]["50.0"].is_number(), "{}", minutes[1]);
    assert_eq!(minutes[1]["4"]["std_deviation"], 5.0, "{}", minutes[1]);
    assert!(minutes[1]["4"]["std_deviation_bounds"]["upper"].is_number());
    let names = answers[1]["aggregations"]["2"]["buckets"].as_array().expect("buckets");
    assert_eq!((&names[0]["key"], &names[1]["key"]), (&json!("b"), &json!("a")));
    assert_eq!(names[1]["5"]["buckets"].as_array().map(Vec::len), Some(4));
    assert_eq!(answers[2]["aggregations"]["2"]["buckets"][0]["key"], "a");
    let high = &answers[3]["aggregations"]["2"]["buckets"]["high"];
    assert_eq!((&high["doc_count"], &high["5"]["buckets"][1]["doc_count"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn grafana_lists_raw_data_and_the_terms_of_a_variable() {
    let endpoint = filled().await;
    let raw = json!({"docvalue_fields": ["created"], "query": in_panel("*"), "script_fields": {}, "size": 500,
        "sort": {"_doc": {"order": "desc"}, "created": {"order": "desc", "unmapped_type": "boolean"}}});
    let with_format = json!({"fields": [{"field": "created", "format": "strict_date_optional_time_nanos"}],
        "query": in_panel("*"), "size": 1, "sort": {"created": {"order": "desc", "unmapped_type": "boolean"}}});
    let variable = json!({"aggs": {"1": {"terms": {"field": "iotName", "order": {"_key": "asc"}, "size": 500}}},
        "query": {"bool": {"filter": [in_panel("*")["bool"]["filter"][0]]}}, "size": 0});
    let logs = json!({"highlight": {"fields": {"*": {}}}, "query": in_panel("*"), "size": 1});
    let answers = grafana(&endpoint, &[raw, with_format, variable, logs]).await;
    let hits = answers[0]["hits"]["hits"].as_array().expect("hits");
    assert_eq!(hits.len(), 3);
    assert_eq!(hits[0]["fields"]["created"], json!(["2026-11-23T12:01:50.000Z"]));
    assert_eq!(hits[0]["sort"][0], 1_795_435_310_000_i64);
    assert_eq!(
        answers[1]["hits"]["hits"][0]["fields"]["created"],
        json!(["2026-11-23T12:01:50.000Z"])
    );
    assert_eq!(answers[2]["aggregations"]["1"]["buckets"][0]["key"], "a");
    assert_eq!(answers[3]["status"], 400);
    assert!(answers[3].to_string().contains("highlight"));
}

#[tokio::test]
async fn elasticdump_reads_settings_mapping_aliases_and_scrolls() {
    let endpoint = filled().await;
    for path in ["/anomalies/_settings", "/anomalies/_mapping", "/anomalies/_alias"] {
        assert_eq!(endpoint.call("GET", path, "").await.0, 200, "{path}");
    }
    let body = json!({"query": {"match_all": {}}, "_source": ["*"], "fields": ["*"], "size": 2});
    let path = "/anomalies/_search?scroll=10m&size=2";
    let (status, first) = endpoint.call("POST", path, &body.to_string()).await;
    assert_eq!(status, 200, "{first}");
    let next = json!({"scroll": "10m", "scroll_id": first["_scroll_id"]}).to_string();
    let (_, second) = endpoint.call("POST", "/_search/scroll", &next).await;
    assert_eq!(second["hits"]["hits"].as_array().map(Vec::len), Some(1));
}
