//! Queries, sorts and aggregations in Elasticsearch's shapes.

use serde_json::{Value, json};

use crate::support::{Endpoint, ids_of, reading};

async fn filled() -> Endpoint {
    let endpoint = Endpoint::new();
    let documents = [
        reading("2026-11-23T12:00:10.250Z", "a", 10.0, 0.5),
        reading("2026-11-23T12:00:50Z", "b \"x\" ümlaut/日本", 11.5, 1.2),
        reading("2026-11-23T12:02:00Z", "a", 110.0, 3.5),
        reading("2026-11-24T00:00:00Z", "c:d\\e.f", 12.0, 0.9),
        json!({"created": "2026-11-24T00:00:01Z", "iotName": "a", "ok": true, "n": {"x.y": 7},
               "why\\": "k", "tags": ["t1", "t2"]}),
    ];
    endpoint.fill(&documents).await;
    endpoint
}

#[tokio::test]
async fn queries_find_what_they_name() {
    let endpoint = filled().await;
    for (query, expected) in [
        (json!({"term": {"iotName": "a"}}), vec!["0", "2", "4"]),
        (json!({"term": {"iotName": {"value": "b \"x\" ümlaut/日本"}}}), vec!["1"]),
        (json!({"match": {"iotName": "c:d\\e.f"}}), vec!["3"]),
        (json!({"terms": {"iotName": ["c:d\\e.f", "nothing"]}}), vec!["3"]),
        (json!({"term": {"iotValue": 11.5}}), vec!["1"]),
        (json!({"term": {"iotValue": 10}}), vec!["0"]),
        (json!({"terms": {"iotValue": [10, 12.0]}}), vec!["0", "3"]),
        (json!({"term": {"ok": true}}), vec!["4"]),
        (json!({"term": {"n.x.y": 7}}), vec!["4"]),
        (json!({"term": {"why\\": "k"}}), vec!["4"]),
        (json!({"exists": {"field": "why\\"}}), vec!["4"]),
        (json!({"term": {"tags": "t2"}}), vec!["4"]),
        (json!({"term": {"ANOMALY_SCORE": 3.5}}), vec!["2"]),
        (json!({"term": {"created": "2026-11-23T12:00:10.250Z"}}), vec!["0"]),
        (json!({"term": {"created": "2026-11-24"}}), vec!["3", "4"]),
        (json!({"range": {"ANOMALY_SCORE": {"gte": 0.9, "lt": 3.5}}}), vec!["1", "3"]),
        (json!({"range": {"iotValue": {"gt": 11, "lte": 12}}}), vec!["1", "3"]),
        (json!({"range": {"iotName": {"gte": "b", "lt": "c"}}}), vec!["1"]),
        (
            json!({"range": {"created": {"gte": "2026-11-23T12:00:50Z", "lt": "2026-11-24"}}}),
            vec!["1", "2"],
        ),
        (json!({"range": {"created": {"lte": "2026-11-23"}}}), vec!["0", "1", "2"]),
        (json!({"range": {"created": {"gte": 1795435320001_i64}}}), vec!["3", "4"]),
        (json!({"range": {"created": {"gt": "now+200y"}}}), vec![]),
        (json!({"exists": {"field": "iotValue"}}), vec!["0", "1", "2", "3"]),
        (json!({"exists": {"field": "n"}}), vec!["4"]),
        (json!({"ids": {"values": ["1", "3", "99"]}}), vec!["1", "3"]),
        (json!({"prefix": {"iotName": "b "}}), vec!["1"]),
        (
            json!({"bool": {"must": {"term": {"iotName": "a"}}, "must_not": [{"exists": {"field": "iotValue"}}]}}),
            vec!["4"],
        ),
        (json!({"bool": {"must_not": {"term": {"iotName": "a"}}}}), vec!["1", "3"]),
        (
            json!({"bool": {"should": [{"term": {"iotValue": 10}}, {"term": {"iotName": "a"}}], "minimum_should_match": 2}}),
            vec!["0"],
        ),
        (
            json!({"bool": {"filter": {"term": {"iotName": "a"}}, "should": {"term": {"iotValue": 10}}}}),
            vec!["0", "2", "4"],
        ),
        (json!({"query_string": {"query": "iotName:a AND ANOMALY_SCORE:>=2"}}), vec!["2"]),
        (json!({"bool": {}}), vec!["0", "1", "2", "3", "4"]),
    ] {
        assert_eq!(endpoint.ids(query.clone()).await, expected, "{query}");
    }
}

#[tokio::test]
async fn the_highest_scores_come_first_across_days() {
    let endpoint = filled().await;
    let answer = endpoint
        .search(json!({"size": 3, "sort": [{"ANOMALY_SCORE": "desc"}, {"created": {"order": "asc"}}], "_source": ["ANOMALY_SCORE"]}))
        .await;
    assert_eq!(ids_of(&answer), ["2", "1", "3"]);
    let first = &answer["hits"]["hits"][0];
    assert_eq!(
        *first,
        json!({"_index": "anomalies-2026.11.23", "_id": "2", "_score": null,
               "_source": {"ANOMALY_SCORE": 3.5}, "sort": [3.5, 1795435320000_i64]})
    );
    assert_eq!(answer["hits"]["total"], json!({"value": 5, "relation": "eq"}));
    assert_eq!(answer["hits"]["max_score"], Value::Null);
    for (sort, expected) in [
        (json!("ANOMALY_SCORE"), ["0", "3", "1", "2", "4"]),
        (
            json!({"ANOMALY_SCORE": {"order": "desc", "missing": "_first"}}),
            ["4", "2", "1", "3", "0"],
        ),
        (json!([{"iotName": "desc"}, {"created": "desc"}]), ["3", "1", "4", "2", "0"]),
        (json!({"created": "desc"}), ["4", "3", "2", "1", "0"]),
        (json!({"nothing": "desc"}), ["0", "1", "2", "3", "4"]),
    ] {
        let answer = endpoint.search(json!({"sort": sort})).await;
        assert_eq!(ids_of(&answer), expected, "{sort}");
        let page = endpoint.search(json!({"sort": sort, "from": 1, "size": 2})).await;
        assert_eq!(ids_of(&page), expected[1..3], "{sort}");
    }
}

#[tokio::test]
async fn a_histogram_by_minute_and_score_has_elasticsearchs_shape() {
    let endpoint = filled().await;
    let body = json!({"size": 0, "query": {"range": {"created": {"lt": "2026-11-24"}}}, "aggs": {"minutes": {
        "date_histogram": {"field": "created", "calendar_interval": "minute", "min_doc_count": 0},
        "aggs": {"scores": {"range": {"field": "ANOMALY_SCORE", "ranges": [{"to": 1}, {"from": 1, "to": 2}, {"from": 2, "key": "high"}]}},
                 "top": {"max": {"field": "ANOMALY_SCORE"}}}}}});
    let answer = endpoint.search(body).await;
    assert_eq!(answer["hits"]["hits"], json!([]));
    let low = |n| json!({"key": "*-1.0", "to": 1.0, "doc_count": n});
    let middle = |n| json!({"key": "1.0-2.0", "from": 1.0, "to": 2.0, "doc_count": n});
    let high = |n| json!({"key": "high", "from": 2.0, "doc_count": n});
    let buckets = answer["aggregations"]["minutes"]["buckets"].as_array().expect("buckets");
    assert_eq!(buckets.len(), 3, "{answer}");
    assert_eq!(
        buckets[0],
        json!({"key_as_string": "2026-11-23T12:00:00.000Z", "key": 1795435200000_i64, "doc_count": 2,
               "scores": {"buckets": [low(1), middle(1), high(0)]}, "top": {"value": 1.2}})
    );
    assert_eq!(buckets[1]["doc_count"], 0);
    assert_eq!(buckets[2]["scores"]["buckets"][2], high(1));
}

#[tokio::test]
async fn a_range_aggregation_answers_the_ranges_asked_for_and_no_gaps() {
    let endpoint = filled().await;
    let ranges = json!([{"from": 0, "to": 1}, {"from": 2, "to": 3}]);
    let body = json!({"size": 0, "aggs": {"scores": {"range": {"field": "ANOMALY_SCORE", "ranges": ranges}}}});
    let answer = endpoint.search(body).await;
    let buckets = answer["aggregations"]["scores"]["buckets"].as_array().expect("buckets");
    let keys: Vec<&str> = buckets.iter().filter_map(|bucket| bucket["key"].as_str()).collect();
    assert_eq!(keys, ["0.0-1.0", "2.0-3.0"], "{answer}");
}

#[tokio::test]
async fn aggregations_are_merged_over_the_days() {
    let endpoint = filled().await;
    let body = json!({"size": 0, "aggs": {
        "names": {"terms": {"field": "iotName", "size": 1}, "aggs": {"mean": {"avg": {"field": "iotValue"}}}},
        "values": {"stats": {"field": "iotValue"}},
        "n": {"value_count": {"field": "ANOMALY_SCORE"}},
        "kinds": {"cardinality": {"field": "iotName"}},
        "last": {"max": {"field": "created"}},
        "tens": {"histogram": {"field": "iotValue", "interval": 10, "min_doc_count": 1}},
        "days": {"date_histogram": {"field": "created", "fixed_interval": "1d", "format": "epoch_millis",
                 "extended_bounds": {"min": "2026-11-22", "max": "2026-11-24"}}},
        "p": {"percentiles": {"field": "iotValue", "percents": [50]}}}});
    let answer = endpoint.search(body).await;
    let aggs = &answer["aggregations"];
    assert_eq!(
        aggs["names"],
        json!({"doc_count_error_upper_bound": 0, "sum_other_doc_count": 2,
               "buckets": [{"key": "a", "doc_count": 3, "mean": {"value": 60.0}}]})
    );
    assert_eq!(
        aggs["values"],
        json!({"count": 4, "min": 10.0, "max": 110.0, "avg": 35.875, "sum": 143.5})
    );
    assert_eq!(aggs["n"], json!({"value": 4}));
    assert_eq!(aggs["kinds"], json!({"value": 3}));
    assert_eq!(aggs["last"]["value_as_string"], "2026-11-24T00:00:01.000Z");
    assert_eq!(aggs["tens"]["buckets"][0], json!({"key": 10.0, "doc_count": 3}));
    assert_eq!(aggs["days"]["buckets"].as_array().map(Vec::len), Some(3));
    assert_eq!(aggs["days"]["buckets"][0]["key_as_string"], "1795305600000");
    assert!(aggs["p"]["values"]["50.0"].is_number(), "{aggs}");
}

#[tokio::test]
async fn names_of_indices_are_patterns_lists_and_the_alias() {
    let endpoint = filled().await;
    for (pattern, count) in [
        ("anomalies", 5),
        ("anomalies-*", 5),
        ("anomalies-2026.11.23", 3),
        ("anomalies-2026.11.23,anomalies-2026.11.24", 5),
        ("*", 5),
        ("_all", 5),
        ("other-*", 0),
    ] {
        let (status, answer) = endpoint.call("GET", &format!("/{pattern}/_count"), "").await;
        assert_eq!((status, answer["count"].as_u64()), (200, Some(count)), "{pattern}");
    }
    let (_, answer) =
        endpoint.call("GET", "/anomalies/_search?q=iotName:a&size=1&sort=created:desc", "").await;
    assert_eq!(ids_of(&answer), ["4"]);
    assert_eq!(answer["hits"]["total"]["value"], 3);
}

#[tokio::test]
async fn an_empty_index_answers_with_nothing_found() {
    let endpoint = Endpoint::new();
    let body = json!({"aggs": {"m": {"date_histogram": {"field": "created", "fixed_interval": "1m"}},
                               "t": {"max": {"field": "ANOMALY_SCORE"}}}});
    let answer = endpoint.search(body).await;
    assert_eq!(answer["hits"]["total"]["value"], 0);
    assert_eq!(answer["aggregations"]["m"]["buckets"], json!([]));
    assert_eq!(answer["aggregations"]["t"]["value"], Value::Null);
}

#[tokio::test]
async fn what_is_not_supported_is_named_and_nothing_panics() {
    let endpoint = filled().await;
    let mut deep = json!({"match_all": {}});
    for _ in 0..40 {
        deep = json!({"bool": {"must": deep}});
    }
    for (body, part) in [
        (json!({"query": deep}), "nested deeper"),
        (json!({"query": {"fuzzy": {"a": "b"}}}), "fuzzy"),
        (json!({"query": {"regexp": {"a": "b"}}}), "regexp"),
        (json!({"query": {"term": {"": "b"}}}), "field name"),
        (json!({"query": {"term": {"a": null}}}), "[a]"),
        (json!({"query": {"range": {"created": {"gte": "yesterday"}}}}), "yesterday"),
        (json!({"query": {"range": {"ANOMALY_SCORE": {"gte": "x"}}}}), "ANOMALY_SCORE"),
        (json!({"query": {"range": {"a": {"gte": 1, "colour": 2}}}}), "colour"),
        (
            json!({"query": {"range": {"created": {"gte": "now", "time_zone": "+02:00"}}}}),
            "time_zone",
        ),
        (json!({"size": 10_001}), "Result window is too large"),
        (json!({"from": -1}), "from"),
        (json!({"from": u64::MAX, "size": 10}), "Result window"),
        (json!({"highlight": {}}), "highlight"),
        (json!({"search_after": [1]}), "Sort must contain"),
        (json!({"sort": "created", "search_after": [1, 2]}), "search_after"),
        (json!({"sort": "created", "search_after": ["soon"]}), "search_after"),
        (json!({"sort": "_doc", "search_after": [1]}), "_doc"),
        (json!({"suggest": {}}), "suggest"),
        (json!({"script_fields": {"a": {"script": "1"}}}), "script_fields"),
        (json!({"query": {"script": {"script": "1"}}}), "script"),
        (json!({"runtime_mappings": {}}), "runtime_mappings"),
        (json!({"collapse": {}}), "collapse"),
        (json!({"knn": {}}), "knn"),
        (json!({"sort": {"a": {"mode": "avg"}}}), "mode"),
        (json!({"aggs": {"a": {"top_hits": {}}}}), "top_hits"),
        (
            json!({"aggs": {"a": {"date_histogram": {"field": "created", "calendar_interval": "5m"}}}}),
            "5m",
        ),
        (
            json!({"aggs": {"a": {"date_histogram": {"field": "iotName", "fixed_interval": "1m"}}}}),
            "date field",
        ),
        (
            json!({"aggs": {"a": {"date_histogram": {"field": "created", "fixed_interval": "0m"}}}}),
            "interval",
        ),
        (
            json!({"aggs": {"a": {"date_histogram": {"field": "created", "fixed_interval": "1ms",
            "extended_bounds": {"min": 0, "max": "now"}}}}}),
            "too many buckets",
        ),
        (
            json!({"aggs": {"a": {"date_histogram": {"field": "created", "fixed_interval": "1ms"}}}}),
            "bucket",
        ),
        (
            json!({"aggs": {"a": {"max": {"field": "iotValue"}, "aggs": {"b": {"max": {"field": "x"}}}}}}),
            "sub-aggregations",
        ),
        (json!({"aggs": {"a": {}}}), "Missing definition"),
        (json!([]), "object"),
    ] {
        let (status, answer) = endpoint.call("POST", "/anomalies/_search", &body.to_string()).await;
        let text = answer.to_string();
        assert_eq!(status, 400, "{answer}");
        assert!(text.contains(part), "{part}: {text}");
        assert_eq!(answer["status"], 400);
        assert!(answer["error"]["root_cause"][0]["reason"].is_string());
    }
}

#[tokio::test]
async fn a_fine_histogram_over_a_narrow_range_of_much_data_is_answered() {
    let endpoint = filled().await;
    let body = json!({"size": 0, "query": {"range": {"created": {"lt": "2026-11-23T12:01:00Z"}}},
        "aggs": {"m": {"date_histogram": {"field": "created", "fixed_interval": "50ms"}}}});
    let answer = endpoint.search(body).await;
    let buckets = answer["aggregations"]["m"]["buckets"].as_array().map(Vec::len);
    assert_eq!(buckets, Some(796), "{answer}");
}

#[tokio::test]
async fn totals_are_counted_as_far_as_asked() {
    let endpoint = filled().await;
    let some = endpoint.search(json!({"track_total_hits": 2})).await;
    assert_eq!(some["hits"]["total"], json!({"value": 2, "relation": "gte"}));
    let none = endpoint.search(json!({"track_total_hits": false})).await;
    assert_eq!(none["hits"].get("total"), None);
}
