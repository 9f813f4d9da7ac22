//! The same bulks and the same queries to the index and to servers that are not of our making, which
//! `.ci/servers` starts: OpenSearch at `OPENSEARCH_URL`, osmem-server and noida-db at `OSMEM_URL` and
//! `NOIDA_URL`. OpenSearch decides; where one of the others answers otherwise than it, it is left out
//! of that question, and said.

use std::env::var;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use eddy_index::{Index, IndexSettings, router};
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

const INDEX: &str = "differs";

/// One who answers.
enum Server {
    Ours(Arc<Index>),
    Theirs { name: &'static str, url: String, client: reqwest::Client },
}

impl Server {
    fn theirs(name: &'static str) -> Self {
        let url = var(name).unwrap_or_else(|_| panic!("{name} is set: run .ci/servers"));
        // Another test of this process may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self::Theirs { name, url, client: reqwest::Client::new() }
    }

    async fn call(&self, method: &str, path: &str, body: String) -> (u16, Value) {
        let kind = if path.contains("_bulk") { "application/x-ndjson" } else { "application/json" };
        match self {
            Self::Ours(index) => {
                let request = Request::builder().method(method).uri(format!("/{path}"));
                let request = request.body(Body::from(body)).expect("a request");
                let answer = router(Arc::clone(index)).oneshot(request).await.expect("answers");
                let status = answer.status().as_u16();
                let bytes = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
                (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
            }
            Self::Theirs { url, client, .. } => {
                let method = method.parse().expect("a method");
                let mut request = client.request(method, format!("{url}/{path}"));
                if !body.is_empty() {
                    request = request.header("content-type", kind).body(body);
                }
                let answer = request.send().await.expect("answers");
                let status = answer.status().as_u16();
                let bytes = answer.bytes().await.expect("a body");
                (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
            }
        }
    }

    async fn prepare(&self) {
        if let Self::Theirs { name, .. } = self {
            self.call("DELETE", INDEX, String::new()).await;
            let strings = json!({"strings": {"match_mapping_type": "string", "mapping": {"type": "keyword"}}});
            let mapping = json!({"mappings": {"dynamic_templates": [strings], "properties": {
                "created": {"type": "date"}, "ANOMALY_SCORE": {"type": "double"},
                "iotName": {"type": "keyword"}, "iotValue": {"type": "double"},
                "place": {"properties": {"room": {"type": "keyword"}, "floor": {"type": "double"}}},
                "ok": {"type": "boolean"}, "tags": {"type": "keyword"}}}});
            let (status, answer) = self.call("PUT", INDEX, mapping.to_string()).await;
            assert_eq!(status, 200, "{name}: {answer}");
        }
    }
}

fn documents() -> String {
    let mut body = String::new();
    for n in 0..200_u64 {
        let chance = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let at_ms = 1_795_392_000_000 + n * 1_237_000 + chance % 1_000;
        let mut document = json!({"created": at_ms, "iotName": format!("s{}", chance % 7),
            "iotValue": (chance % 400) as f64 / 4.0, "n": n, "tags": [format!("t{}", n % 3), "all"]});
        if n % 9 != 0 {
            document["ANOMALY_SCORE"] = json!((chance % 1_000_003) as f64 / 250_000.0);
        }
        if n % 5 == 0 {
            document["place"] = json!({"room": format!("r{}", n % 4), "floor": n % 3});
            document["ok"] = json!(n % 2 == 0);
        }
        body.push_str(&format!(
            "{}\n{document}\n",
            json!({"index": {"_index": INDEX, "_id": format!("{n:03}")}})
        ));
    }
    body
}

/// What differs by design, or says how a server went about it.
fn plain(value: Value) -> Value {
    const NOISE: [&str; 20] = [
        "took",
        "_shards",
        "timed_out",
        "_scroll_id",
        "max_score",
        "_score",
        "_version",
        "_seq_no",
        "_primary_term",
        "_type",
        "root_cause",
        "reason",
        "index_uuid",
        "shard",
        "caused_by",
        "phase",
        "grouped",
        "failed_shards",
        "terminated_early",
        "forced_refresh",
    ];
    match value {
        Value::Object(object) => {
            let kept = object.into_iter().filter(|(key, _)| !NOISE.contains(&key.as_str()));
            Value::Object(kept.map(|(key, value)| (key, plain(value))).collect::<Map<_, _>>())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(plain).collect()),
        // Twelve digits: sums are added up in another order.
        Value::Number(number) => {
            let number = number.as_f64().expect("a number");
            json!(format!("{number:.11e}"))
        }
        value => value,
    }
}

/// Errors are alike in their status; their types and words are each server's own.
fn answer_of(status: u16, value: Value) -> (u16, Value) {
    if status >= 400 && value.get("items").is_none() {
        (status, Value::Null)
    } else {
        (status, plain(value))
    }
}

fn first_difference(left: &Value, right: &Value, path: &str) -> String {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            for key in left.keys().chain(right.keys()) {
                let (left, right) = (left.get(key), right.get(key));
                if left != right {
                    let null = Value::Null;
                    let path = format!("{path}.{key}");
                    return first_difference(left.unwrap_or(&null), right.unwrap_or(&null), &path);
                }
            }
            "none".to_owned()
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let differs =
                left.iter().zip(right).enumerate().find(|(_, (left, right))| left != right);
            differs.map_or("none".to_owned(), |(n, (left, right))| {
                first_difference(left, right, &format!("{path}[{n}]"))
            })
        }
        _ => format!("{path}: {left} instead of {right}"),
    }
}

/// The servers have one index for all tests here: these take turns.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn compare(questions: Vec<(&str, String, String)>) {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().expect("a folder");
    let ours = Server::Ours(Index::open(IndexSettings::new(folder.path())).expect("opens"));
    let judge = Server::theirs("OPENSEARCH_URL");
    let others = [Server::theirs("OSMEM_URL"), Server::theirs("NOIDA_URL")];
    for server in [&ours, &judge].into_iter().chain(&others) {
        server.prepare().await;
        let (status, answer) = server.call("POST", "_bulk?refresh=true", documents()).await;
        assert_eq!((status, &answer["errors"]), (200, &json!(false)), "{answer}");
    }
    let (mut wrong, mut agreed) = (Vec::new(), [0; 2]);
    for (method, path, body) in &questions {
        let ask = async |server: &Server| {
            let (status, answer) = server.call(method, path, body.clone()).await;
            answer_of(status, answer)
        };
        let (found, expected) = (ask(&ours).await, ask(&judge).await);
        if found != expected {
            let difference = first_difference(&found.1, &expected.1, "");
            wrong.push(format!(
                "{method} {path} {body}\n  {} and {}, {difference}",
                found.0, expected.0
            ));
        }
        for (agreed, other) in agreed.iter_mut().zip(&others) {
            let answer = ask(other).await;
            if answer == expected {
                *agreed += 1;
            } else if let Server::Theirs { name, .. } = other {
                let difference = first_difference(&answer.1, &expected.1, "");
                println!(
                    "left out: {name} has another answer than OpenSearch to {path} {body}: {} {}",
                    answer.0,
                    difference.chars().take(120).collect::<String>()
                );
            }
        }
    }
    println!(
        "{} questions; OpenSearch agrees with osmem-server in {}, with noida-db in {}",
        questions.len(),
        agreed[0],
        agreed[1]
    );
    assert!(
        wrong.is_empty(),
        "{} answers differ from OpenSearch's:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(agreed.iter().all(|n| *n * 2 > questions.len()), "{agreed:?}");
}

fn search(body: Value) -> (&'static str, String, String) {
    ("POST", format!("{INDEX}/_search"), body.to_string())
}

#[tokio::test]
async fn searches_find_what_opensearch_finds() {
    let sort = json!([{"created": "asc"}]);
    let queries = [
        json!({"match_all": {}}),
        json!({"term": {"iotName": "s3"}}),
        json!({"term": {"iotValue": 12.5}}),
        json!({"term": {"ok": true}}),
        json!({"term": {"tags": "t2"}}),
        json!({"terms": {"iotName": ["s1", "s2", "nobody"]}}),
        json!({"terms": {"iotValue": [1, 12.5, 40]}}),
        json!({"range": {"ANOMALY_SCORE": {"gte": 1, "lt": 2.5}}}),
        json!({"range": {"created": {"gte": "2026-11-24", "lte": "2026-11-24"}}}),
        json!({"range": {"created": {"gt": "2026-11-24||/d", "lt": "2026-11-24||+6h"}}}),
        json!({"range": {"created": {"gte": 1_795_400_000_000_i64, "format": "epoch_millis"}}}),
        json!({"range": {"place.floor": {"gt": 0}}}),
        json!({"range": {"iotName": {"gte": "s2", "lt": "s5"}}}),
        json!({"exists": {"field": "ANOMALY_SCORE"}}),
        json!({"exists": {"field": "place"}}),
        json!({"ids": {"values": ["007", "011", "999"]}}),
        json!({"prefix": {"place.room": "r"}}),
        json!({"bool": {"must": [{"term": {"iotName": "s3"}}], "must_not": [{"exists": {"field": "ok"}}]}}),
        json!({"bool": {"should": [{"term": {"iotName": "s3"}}, {"term": {"tags": "t1"}}, {"term": {"ok": true}}], "minimum_should_match": 2}}),
        json!({"bool": {"filter": [{"term": {"tags": "t1"}}], "should": [{"term": {"iotName": "s3"}}]}}),
        json!({"constant_score": {"filter": {"term": {"iotName": "s0"}}}}),
        json!({"match": {"iotName": "s4"}}),
        json!({"query_string": {"query": "iotName:s1 OR iotName:s2"}}),
        json!({"query_string": {"query": "iotName:s1 tags:t1"}}),
        json!({"query_string": {"query": "iotName:s1 AND NOT tags:t1"}}),
        json!({"query_string": {"query": "ANOMALY_SCORE:>=2 AND (iotName:s1 OR iotName:s5)"}}),
        json!({"query_string": {"query": "ANOMALY_SCORE:[1 TO 2} AND place.room:r*"}}),
        json!({"query_string": {"query": "-tags:t1 +iotName:s1"}}),
        json!({"query_string": {"query": "_exists_:ok", "default_operator": "AND"}}),
        json!({"query_string": {"query": "*"}}),
        json!({"match_none": {}}),
    ];
    let mut questions: Vec<_> = queries
        .iter()
        .flat_map(|query| {
            [
                search(json!({"query": query, "sort": sort, "size": 50})),
                ("POST", format!("{INDEX}/_count"), json!({"query": query}).to_string()),
            ]
        })
        .collect();
    for body in [
        json!({"sort": [{"ANOMALY_SCORE": "desc"}, {"created": "asc"}], "size": 20}),
        json!({"sort": [{"ANOMALY_SCORE": {"order": "asc", "missing": "_first"}}, {"created": "desc"}], "size": 30}),
        json!({"sort": [{"iotName": "desc"}, {"created": "asc"}], "from": 15, "size": 15}),
        json!({"sort": [{"iotName": "asc"}, {"created": "asc"}], "search_after": ["s3", 1_795_500_000_000_i64], "size": 15}),
        json!({"sort": [{"ANOMALY_SCORE": "desc"}, {"created": "asc"}], "search_after": [1.5, 0], "size": 15}),
        json!({"sort": sort, "_source": ["iot*"], "size": 3}),
        json!({"sort": sort, "_source": {"excludes": ["tags", "place.*"]}, "size": 6}),
        json!({"sort": sort, "docvalue_fields": ["created", "iotName"], "_source": false, "size": 3}),
        json!({"sort": sort, "track_total_hits": 20, "size": 1}),
        json!({"sort": sort, "track_total_hits": false, "size": 1}),
        json!({"size": 10_001}),
        json!({"from": -1}),
        json!({"sort": sort, "search_after": [1, 2]}),
        json!({"query": {"term": {"iotName": "a"}, "match_all": {}}}),
        json!({"query": {"unheard": {}}}),
        json!({"query": {"range": {"created": {"gte": "soon"}}}}),
        json!({"unheard": 1}),
    ] {
        questions.push(search(body));
    }
    questions.push(("GET", format!("{INDEX}/_doc/007"), String::new()));
    questions.push(("GET", format!("{INDEX}/_doc/nobody"), String::new()));
    questions.push(("GET", format!("{INDEX}/_source/007"), String::new()));
    questions.push((
        "POST",
        format!("{INDEX}/_mget"),
        json!({"ids": ["007", "nobody"]}).to_string(),
    ));
    questions.push(("GET", "nothing/_search".to_owned(), String::new()));
    compare(questions).await;
}

#[tokio::test]
async fn aggregations_count_what_opensearch_counts() {
    let day = |more: Value| {
        let mut body = json!({"field": "created", "fixed_interval": "6h"});
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        json!({"date_histogram": body})
    };
    let scores = json!({"range": {"field": "ANOMALY_SCORE", "ranges": [{"to": 1}, {"from": 1, "to": 2}, {"from": 2, "key": "high"}]}});
    let aggs = [
        day(json!({})),
        day(json!({"format": "epoch_millis", "min_doc_count": 1})),
        day(json!({"format": "yyyy-MM-dd HH:mm", "offset": "+1h"})),
        day(json!({"extended_bounds": {"min": "2026-11-22", "max": "2026-11-27"}})),
        json!({"date_histogram": {"field": "created", "calendar_interval": "day"}}),
        json!({"date_histogram": {"field": "created", "calendar_interval": "week"}}),
        json!({"date_histogram": {"field": "created", "calendar_interval": "1M", "format": "yyyy-MM"}}),
        json!({"date_histogram": {"field": "created", "calendar_interval": "quarter"}}),
        json!({"date_histogram": {"field": "created", "calendar_interval": "year"}}),
        json!({"date_histogram": {"field": "created", "calendar_interval": "month", "extended_bounds": {"min": "2026-08-20", "max": "2027-01-10"}}}),
        json!({"date_histogram": {"field": "created", "calendar_interval": "2d"}}),
        scores.clone(),
        json!({"range": {"field": "ANOMALY_SCORE", "keyed": true, "ranges": [{"to": 1.5}, {"from": 1, "to": 2}]}}),
        json!({"range": {"field": "ANOMALY_SCORE", "ranges": [{"from": 3}, {"from": 0, "to": 0.5}]}}),
        json!({"date_range": {"field": "created", "ranges": [{"to": "2026-11-24"}, {"from": "2026-11-24", "to": "2026-11-25"}, {"from": "2026-11-25", "key": "late"}]}}),
        json!({"date_range": {"field": "created", "format": "yyyy-MM-dd", "keyed": true, "ranges": [{"to": "2026-11-24"}, {"from": "2026-11-23"}]}}),
        json!({"filters": {"filters": {"a": {"term": {"iotName": "s1"}}, "b": {"range": {"ANOMALY_SCORE": {"gte": 2}}}}, "other_bucket": true}}),
        json!({"filters": {"filters": [{"term": {"ok": true}}, {"term": {"ok": false}}]}}),
        json!({"filter": {"exists": {"field": "ok"}}}),
        json!({"missing": {"field": "ANOMALY_SCORE"}}),
        json!({"terms": {"field": "iotName"}}),
        json!({"terms": {"field": "iotName", "size": 3, "order": {"_key": "desc"}}}),
        json!({"terms": {"field": "tags"}}),
        json!({"terms": {"field": "ok"}}),
        json!({"terms": {"field": "place.floor"}}),
        json!({"terms": {"field": "iotName", "min_doc_count": 29}}),
        json!({"histogram": {"field": "iotValue", "interval": 20}}),
        json!({"histogram": {"field": "iotValue", "interval": 20, "min_doc_count": 1, "offset": 5}}),
        json!({"min": {"field": "iotValue"}}),
        json!({"max": {"field": "created"}}),
        json!({"sum": {"field": "iotValue"}}),
        json!({"avg": {"field": "ANOMALY_SCORE"}}),
        json!({"stats": {"field": "ANOMALY_SCORE"}}),
        json!({"extended_stats": {"field": "ANOMALY_SCORE"}}),
        json!({"value_count": {"field": "tags"}}),
        json!({"cardinality": {"field": "iotName"}}),
        json!({"max": {"field": "nothing"}}),
        json!({"stats": {"field": "nothing"}}),
        json!({"terms": {"field": "nothing"}}),
        json!({"unheard": {}}),
    ];
    let mut questions: Vec<_> =
        aggs.iter().map(|agg| search(json!({"size": 0, "aggs": {"x": agg}}))).collect();
    for (outer, inner) in [
        (day(json!({})), json!({"s": scores, "m": {"max": {"field": "ANOMALY_SCORE"}}})),
        (
            json!({"terms": {"field": "iotName", "order": {"m": "desc"}}}),
            json!({"m": {"max": {"field": "ANOMALY_SCORE"}}}),
        ),
        (
            json!({"terms": {"field": "iotName", "size": 3, "order": {"_key": "asc"}}}),
            json!({"d": day(json!({"min_doc_count": 1}))}),
        ),
        (
            json!({"filters": {"filters": {"a": {"term": {"tags": "t1"}}}}}),
            json!({"d": day(json!({})), "v": {"avg": {"field": "iotValue"}}}),
        ),
        (
            json!({"date_histogram": {"field": "created", "calendar_interval": "month"}}),
            json!({"n": {"terms": {"field": "iotName", "size": 2, "order": {"_key": "asc"}}}}),
        ),
    ] {
        let mut agg = outer;
        agg["aggs"] = inner;
        questions.push(search(json!({"size": 0, "aggs": {"x": agg}})));
        let query = json!({"range": {"ANOMALY_SCORE": {"gte": 1}}});
        questions.push(search(json!({"size": 0, "query": query, "aggs": {"x": agg}})));
    }
    compare(questions).await;
}

#[tokio::test]
async fn writes_end_as_in_opensearch() {
    let item = |action: Value| format!("{action}\n");
    let mut body = String::new();
    for (action, document) in [
        (json!({"index": {"_id": "1"}}), Some(json!({"created": 1, "iotValue": 1}))),
        (json!({"create": {"_id": "1"}}), Some(json!({"iotValue": 2}))),
        (json!({"create": {"_id": "new"}}), Some(json!({"iotValue": 2}))),
        (json!({"index": {"_id": "2"}}), Some(json!({"created": "soon"}))),
        (json!({"index": {"_id": "3"}}), Some(json!({"ANOMALY_SCORE": "high"}))),
        (json!({"update": {"_id": "1"}}), Some(json!({"doc": {"place": {"room": "x"}}}))),
        (json!({"update": {"_id": "1"}}), Some(json!({"doc": {"place": {"room": "x"}}}))),
        (json!({"update": {"_id": "none"}}), Some(json!({"doc": {"n": 1}}))),
        (json!({"update": {"_id": "up"}}), Some(json!({"doc": {"n": 1}, "doc_as_upsert": true}))),
        (json!({"update": {"_id": "up2"}}), Some(json!({"doc": {"n": 1}, "upsert": {"n": 2}}))),
        (json!({"delete": {"_id": "000"}}), None),
        (json!({"delete": {"_id": "000"}}), None),
    ] {
        body.push_str(&item(action));
        if let Some(document) = document {
            body.push_str(&item(document));
        }
    }
    let path = format!(
        "{INDEX}/_bulk?refresh=true&filter_path=errors,items.*.status,items.*.result,items.*._id"
    );
    let mut questions = vec![("POST", path, body)];
    for id in ["1", "new", "up", "up2"] {
        questions.push(("GET", format!("{INDEX}/_source/{id}"), String::new()));
    }
    for (method, path, body) in [
        ("PUT", "_doc/9?refresh=true", "{\"n\":1}"),
        ("PUT", "_doc/9?refresh=true", "{\"n\":2}"),
        ("PUT", "_create/9", "{\"n\":3}"),
        ("POST", "_update/9?refresh=true", "{\"doc\":{\"n\":4}}"),
        ("POST", "_update/nobody", "{\"doc\":{\"n\":4}}"),
        ("DELETE", "_doc/9?refresh=true", ""),
        ("DELETE", "_doc/9", ""),
        ("PUT", "_doc/8", "{\"n\":"),
        ("POST", "_bulk", "nonsense\n"),
        ("POST", "_bulk", "{\"index\":{}}\n{}\n{\"eat\":{}}\n{}\n"),
        ("POST", "_count", ""),
    ] {
        questions.push((method, format!("{INDEX}/{path}"), body.to_owned()));
    }
    compare(questions).await;
}
