//! Aggregations that the engine does not have, in Elasticsearch's shapes.

use serde_json::{Value, json};

use crate::support::{Endpoint, reading};

async fn filled() -> Endpoint {
    let endpoint = Endpoint::new();
    endpoint
        .fill(&[
            reading("2025-12-31T23:59:59.999Z", "a", 1.0, 0.5),
            reading("2026-01-01T00:00:00.000Z", "b", 2.0, 1.5),
            reading("2026-03-31T23:59:59.999Z", "a", 3.0, 2.5),
            reading("2026-04-01T00:00:00.000Z", "a", 4.0, 3.5),
            json!({"created": "2026-04-05T23:59:59.999Z", "iotName": "c"}),
        ])
        .await;
    endpoint
}

async fn agg(endpoint: &Endpoint, body: Value) -> Value {
    let answer = endpoint.search(json!({"size": 0, "aggs": {"x": body}})).await;
    answer["aggregations"]["x"].clone()
}

fn keys(answer: &Value) -> Vec<(&str, u64)> {
    let buckets = answer["buckets"].as_array().expect("buckets");
    buckets
        .iter()
        .map(|bucket| {
            let key = bucket["key_as_string"].as_str().or(bucket["key"].as_str());
            (key.unwrap_or_default(), bucket["doc_count"].as_u64().expect("a count"))
        })
        .collect()
}

#[tokio::test]
async fn months_quarters_years_and_weeks_begin_where_the_calendar_says() {
    let endpoint = filled().await;
    let by = |unit: &str| json!({"date_histogram": {"field": "created", "calendar_interval": unit, "format": "yyyy-MM-dd"}});
    assert_eq!(
        keys(&agg(&endpoint, by("month")).await),
        [
            ("2025-12-01", 1),
            ("2026-01-01", 1),
            ("2026-02-01", 0),
            ("2026-03-01", 1),
            ("2026-04-01", 2)
        ]
    );
    assert_eq!(
        keys(&agg(&endpoint, by("1q")).await),
        [("2025-10-01", 1), ("2026-01-01", 2), ("2026-04-01", 2)]
    );
    assert_eq!(keys(&agg(&endpoint, by("year")).await), [("2025-01-01", 1), ("2026-01-01", 4)]);
    let weeks = agg(&endpoint, by("week")).await;
    let full: Vec<_> = keys(&weeks).into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(full, [("2025-12-29", 2), ("2026-03-30", 3)]);
    let mut body = by("month");
    body["date_histogram"]["min_doc_count"] = json!(2);
    assert_eq!(keys(&agg(&endpoint, body).await), [("2026-04-01", 2)]);
    let mut body = by("month");
    body["date_histogram"]["extended_bounds"] = json!({"min": "2025-11-15", "max": "2026-05-01"});
    let bounded = agg(&endpoint, body).await;
    assert_eq!(keys(&bounded).first(), Some(&("2025-11-01", 0)));
    assert_eq!(keys(&bounded).last(), Some(&("2026-05-01", 0)));
    let mut body = by("month");
    body["aggs"] =
        json!({"top": {"max": {"field": "ANOMALY_SCORE"}}, "last": {"max": {"field": "created"}}});
    let months = agg(&endpoint, body).await;
    assert_eq!(months["buckets"][4]["top"]["value"], 3.5);
    assert_eq!(months["buckets"][0]["key"], 1_764_547_200_000_i64);
    assert_eq!(months["buckets"][0]["last"]["value_as_string"], "2025-12-31T23:59:59.999Z");
    // Nothing found, no bucket; and below another aggregation.
    let body =
        json!({"size": 0, "query": {"term": {"iotName": "nobody"}}, "aggs": {"x": by("month")}});
    assert_eq!(endpoint.search(body).await["aggregations"]["x"], json!({"buckets": []}));
    let mut body = json!({"terms": {"field": "iotName"}});
    body["aggs"] = json!({"m": by("month")});
    let names = agg(&endpoint, body).await;
    let b = names["buckets"].as_array().and_then(|list| list.iter().find(|one| one["key"] == "b"));
    assert_eq!(keys(&b.expect("b")["m"]), [("2026-01-01", 1)]);
}

#[tokio::test]
async fn an_offset_moves_the_buckets() {
    let endpoint = filled().await;
    let body = json!({"date_histogram": {"field": "created", "fixed_interval": "1d", "offset": "-1h",
                                          "min_doc_count": 1}});
    let answer = agg(&endpoint, body).await;
    assert_eq!(keys(&answer)[0], ("2025-12-31T23:00:00.000Z", 2));
}

#[tokio::test]
async fn filters_are_a_bucket_each() {
    let endpoint = filled().await;
    let filters = json!({"a": {"term": {"iotName": "a"}}, "high": {"query_string": {"query": "ANOMALY_SCORE:>=2"}}});
    let body = json!({"filters": {"filters": filters, "other_bucket_key": "rest"},
                      "aggs": {"m": {"max": {"field": "iotValue"}}}});
    let answer = agg(&endpoint, body).await;
    assert_eq!(
        answer["buckets"],
        json!({"a": {"doc_count": 3, "m": {"value": 4.0}}, "high": {"doc_count": 2, "m": {"value": 4.0}},
               "rest": {"doc_count": 2, "m": {"value": 2.0}}})
    );
    let body = json!({"filters": {"filters": [{"match_all": {}}, {"term": {"iotName": "c"}}]}});
    let answer = agg(&endpoint, body).await;
    assert_eq!(answer["buckets"], json!([{"doc_count": 5}, {"doc_count": 1}]));
    let answer = agg(&endpoint, json!({"missing": {"field": "ANOMALY_SCORE"}})).await;
    assert_eq!(answer, json!({"doc_count": 1}));
    let body = json!({"filter": {"range": {"ANOMALY_SCORE": {"lt": 2}}},
                      "aggs": {"n": {"filters": {"filters": {"b": {"term": {"iotName": "b"}}}}}}});
    let answer = agg(&endpoint, body).await;
    assert_eq!(answer, json!({"doc_count": 2, "n": {"buckets": {"b": {"doc_count": 1}}}}));
}

#[tokio::test]
async fn ranges_may_overlap_be_dates_and_be_keyed() {
    let endpoint = filled().await;
    let ranges = json!([{"from": 1, "key": "up"}, {"to": 2}, {"from": 1, "to": 3}]);
    let body = json!({"range": {"field": "ANOMALY_SCORE", "ranges": ranges}});
    let answer = agg(&endpoint, body).await;
    assert_eq!(keys(&answer), [("*-2.0", 2), ("1.0-3.0", 2), ("up", 3)]);
    assert_eq!(answer["buckets"][1]["from"], 1.0);
    let body = json!({"range": {"field": "ANOMALY_SCORE", "keyed": true, "ranges": [{"to": 2}, {"from": 2}]}});
    let answer = agg(&endpoint, body).await;
    assert_eq!(answer["buckets"]["*-2.0"], json!({"to": 2.0, "doc_count": 2}));
    let ranges = json!([{"to": "2026-01-01"}, {"from": "2026-01-01", "to": "2026-04-01||+1d/d"}, {"from": "now+100y"}]);
    let body =
        json!({"date_range": {"field": "created", "format": "yyyy-MM-dd", "ranges": ranges}});
    let answer = agg(&endpoint, body).await;
    assert_eq!(keys(&answer)[..2], [("*-2026-01-01", 1), ("2026-01-01-2026-04-02", 3)]);
    assert_eq!(answer["buckets"][0]["to_as_string"], "2026-01-01");
    assert_eq!(answer["buckets"][0]["to"], 1_767_225_600_000.0);
    assert_eq!(keys(&answer)[2].1, 0);
}

#[tokio::test]
async fn what_cannot_be_counted_is_refused() {
    let endpoint = filled().await;
    let many: Vec<Value> = (0..300).map(|n| json!({"term": {"iotValue": n}})).collect();
    for (body, part) in [
        (json!({"filters": {"filters": many}}), "256"),
        (json!({"filters": {"filters": {}}}), "empty"),
        (json!({"filters": {"filters": {"a": {"fuzzy": {"x": "y"}}}}}), "fuzzy"),
        (json!({"date_range": {"field": "iotName", "ranges": [{}]}}), "date field"),
        (json!({"date_range": {"field": "created", "ranges": [{"from": "soon"}]}}), "soon"),
        (json!({"date_histogram": {"field": "created", "calendar_interval": "2M"}}), "2M"),
        (
            json!({"date_histogram": {"field": "created", "calendar_interval": "month", "offset": "1d"}}),
            "offset",
        ),
        (
            json!({"date_histogram": {"field": "created", "fixed_interval": "1d", "format": "EEE"}}),
            "EEE",
        ),
        (json!({"moving_avg": {"buckets_path": "a"}}), "moving_avg"),
        (json!({"percentiles": {"field": "iotValue", "percents": ["x"]}}), "percents"),
        (json!({"top_hits": {}}), "top_hits"),
        (json!({"global": {}}), "global"),
    ] {
        let search = json!({"size": 0, "aggs": {"x": body}}).to_string();
        let (status, answer) = endpoint.call("POST", "/anomalies/_search", &search).await;
        assert_eq!(status, 400, "{body}: {answer}");
        assert!(answer.to_string().contains(part), "{part}: {answer}");
    }
    let search = json!({"aggs": {"a>b": {"max": {"field": "x"}}}}).to_string();
    assert_eq!(endpoint.call("POST", "/anomalies/_search", &search).await.0, 400);
}

#[tokio::test]
async fn a_day_as_the_upper_bound_is_its_first_moment() {
    let endpoint = Endpoint::new();
    endpoint.fill(&[reading("2026-04-30T22:10:00Z", "a", 1.0, 0.5)]).await;
    let hours = json!({"date_histogram": {"field": "created", "fixed_interval": "1h",
        "extended_bounds": {"min": "2026-04-30T22:00", "max": "2026-05-01"}}});
    let counts: Vec<u64> = keys(&agg(&endpoint, hours).await).iter().map(|key| key.1).collect();
    assert_eq!(counts, [1, 0, 0]);
}

#[tokio::test]
async fn names_carry_their_kinds_where_typed_keys_asks_for_them() {
    let endpoint = filled().await;
    let max = json!({"m": {"max": {"field": "iotValue"}}});
    let body = json!({"size": 0, "aggs": {
        "names": {"terms": {"field": "iotName"}, "aggs": max},
        "values": {"terms": {"field": "iotValue"}},
        "days": {"terms": {"field": "created"}},
        "one": {"filter": {"match_all": {}}, "aggs": max},
        "two": {"filters": {"filters": {"a": {"match_all": {}}}}, "aggs": max},
        "p": {"percentiles": {"field": "iotValue"}},
    }});
    let path = "/anomalies/_search?typed_keys=true";
    let (_, answer) = endpoint.call("POST", path, &body.to_string()).await;
    let found = &answer["aggregations"];
    let mut names: Vec<&String> = found.as_object().expect("aggregations").keys().collect();
    names.sort();
    assert_eq!(
        names,
        [
            "dterms#values",
            "filter#one",
            "filters#two",
            "lterms#days",
            "sterms#names",
            "tdigest_percentiles#p"
        ]
    );
    for below in ["/sterms#names/buckets/0", "/filter#one", "/filters#two/buckets/a"] {
        assert_eq!(found.pointer(&format!("{below}/max#m/value")), Some(&json!(4.0)), "{answer}");
    }
    let lines = format!("{{}}\n{body}\n");
    let (_, many) = endpoint.call("POST", "/anomalies/_msearch?typed_keys", &lines).await;
    assert_eq!(many["responses"][0]["aggregations"], *found);
}
