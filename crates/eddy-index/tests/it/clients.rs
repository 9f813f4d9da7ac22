//! What clients ask beyond searching: documents by id, pages, what indices are.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Endpoint, ids_of, reading};

#[tokio::test]
async fn documents_are_written_read_updated_and_deleted_by_id() {
    let endpoint = Endpoint::new();
    let (status, made) = endpoint.call("POST", "/x/_doc", "{\"a\":1}").await;
    assert_eq!((status, &made["result"]), (201, &json!("created")));
    let id = made["_id"].as_str().expect("an id").to_owned();
    let (_, found) = endpoint.call("GET", &format!("/x/_doc/{id}"), "").await;
    assert_eq!(found["_source"], json!({"a": 1}));
    let (_, source) = endpoint.call("GET", &format!("/x/_source/{id}"), "").await;
    assert_eq!(source, json!({"a": 1}));
    assert_eq!(endpoint.call("GET", "/x/_source/none", "").await.0, 404);
    let update = |body: Value| {
        let (endpoint, path) = (&endpoint, format!("/x/_update/{id}"));
        async move { endpoint.call("POST", &path, &body.to_string()).await }
    };
    assert_eq!(update(json!({"doc": {"b": 2}})).await.1["result"], "updated");
    assert_eq!(update(json!({"doc": {"b": 2}})).await.1["result"], "noop");
    let (status, answer) = update(json!({"script": "x"})).await;
    assert_eq!(status, 400);
    assert!(answer.to_string().contains("script"), "{answer}");
    let body = json!({"doc": {"c": 1}, "doc_as_upsert": true}).to_string();
    assert_eq!(endpoint.call("POST", "/x/_update/new", &body).await.0, 201);
    let ids = json!({"ids": ["new", "none"]}).to_string();
    let (_, many) = endpoint.call("POST", "/x/_mget", &ids).await;
    assert_eq!(many["docs"][0]["_source"], json!({"c": 1}));
    assert_eq!(many["docs"][1]["found"], false);
    assert_eq!(endpoint.call("HEAD", "/x/_doc/new", "").await.0, 200);
    assert_eq!(endpoint.call("HEAD", "/x/_doc/none", "").await.0, 404);
    assert_eq!(endpoint.call("PUT", "/x/_doc/new?op_type=create", "{}").await.0, 409);
}

#[tokio::test]
async fn an_id_is_one_document_under_the_alias_whatever_its_day() {
    let endpoint = Endpoint::new();
    let at = |day: u64, v: u64| json!({"created": format!("2026-11-{day}"), "v": v}).to_string();
    let path = "/anomalies/_doc/1";
    let stands = |day: u64, v: u64| {
        let endpoint = &endpoint;
        async move {
            let (_, found) = endpoint.call("GET", path, "").await;
            assert_eq!(found["_index"], format!("anomalies-2026.11.{day}"), "{found}");
            assert_eq!(found["_source"]["v"], v, "{found}");
            assert_eq!(endpoint.call("GET", "/anomalies/_count", "").await.1["count"], 1);
        }
    };
    assert_eq!(endpoint.call("PUT", path, &at(22, 1)).await.0, 201);
    for (day, v) in [(23, 2), (21, 3)] {
        let (status, answer) = endpoint.call("PUT", path, &at(day, v)).await;
        assert_eq!((status, &answer["result"]), (200, &json!("updated")));
        stands(day, v).await;
    }
    assert_eq!(endpoint.call("PUT", "/anomalies/_create/1", &at(25, 9)).await.0, 409);
    stands(21, 3).await;
    let moved = json!({"doc": {"created": "2026-11-24"}}).to_string();
    assert_eq!(endpoint.call("POST", "/anomalies/_update/1", &moved).await.0, 200);
    stands(24, 3).await;
    // There and back in one commit.
    let lines: String = [(22, 4), (24, 5), (22, 6), (24, 7)]
        .map(|(day, v)| format!("{{\"index\":{{\"_id\":\"1\"}}}}\n{}\n", at(day, v)))
        .concat();
    let (_, answer) = endpoint.call("POST", "/anomalies/_bulk", &lines).await;
    assert_eq!(answer["errors"], false, "{answer}");
    stands(24, 7).await;
    let endpoint = endpoint.reopened();
    assert_eq!(endpoint.call("GET", "/anomalies/_count", "").await.1["count"], 1);
    // In two days, as a kill may leave it: the newer one is read, both are deleted.
    assert_eq!(endpoint.call("PUT", "/anomalies-2026.11.22/_doc/1", &at(22, 8)).await.0, 201);
    assert_eq!(endpoint.call("GET", path, "").await.1["_source"]["v"], 7);
    // An index that is only named like a day keeps its own.
    assert_eq!(endpoint.call("PUT", "/anomalies-old/_doc/2", &at(22, 1)).await.0, 201);
    let update = json!({"doc": {"v": 2}}).to_string();
    let (_, answer) = endpoint.call("POST", "/anomalies/_update/2", &update).await;
    assert_eq!(answer["_index"], "anomalies-old", "{answer}");
    assert_eq!(endpoint.call("PUT", "/anomalies/_doc/2", &at(23, 3)).await.0, 201);
    let (_, kept) = endpoint.call("GET", "/anomalies-old/_doc/2", "").await;
    assert_eq!(kept["_source"]["v"], 2);
    let (_, day) = endpoint.call("GET", "/anomalies/_doc/2", "").await;
    assert_eq!(day["_source"]["v"], 3);
    assert_eq!(endpoint.call("DELETE", "/anomalies/_doc/2", "").await.0, 200);
    assert_eq!(endpoint.call("GET", "/anomalies-old/_doc/2", "").await.0, 200);
    assert_eq!(endpoint.call("DELETE", path, "").await.0, 200);
    assert_eq!(endpoint.call("GET", path, "").await.0, 404);
}

#[tokio::test]
async fn a_scroll_counts_exactly() {
    let endpoint = Endpoint::new();
    let lines = "{\"index\":{}}\n{}\n".repeat(10_001);
    assert_eq!(endpoint.call("POST", "/x/_bulk", &lines).await.1["errors"], false);
    let total = |answer: &Value| answer["hits"]["total"].clone();
    let (_, plain) = endpoint.call("GET", "/x/_search?size=1", "").await;
    assert_eq!(total(&plain), json!({"value": 10_000, "relation": "gte"}));
    let exact = json!({"value": 10_001, "relation": "eq"});
    for body in ["{\"size\":1}", "{\"size\":1,\"track_total_hits\":true}"] {
        let (_, first) = endpoint.call("POST", "/x/_search?scroll=1m", body).await;
        assert_eq!(total(&first), exact);
        let id = json!({"scroll_id": first["_scroll_id"], "scroll": "1m"}).to_string();
        let (_, second) = endpoint.call("POST", "/_search/scroll", &id).await;
        assert_eq!(total(&second), exact);
    }
    for not_exact in ["false", "10000"] {
        let path = format!("/x/_search?scroll=1m&track_total_hits={not_exact}");
        let (status, answer) = endpoint.call("GET", &path, "").await;
        assert_eq!(status, 400, "{answer}");
    }
}

#[tokio::test]
async fn what_searches_say_of_scores_and_headers_is_heard() {
    let endpoint = Endpoint::new();
    endpoint.fill(&[reading("2026-11-23", "a", 1.0, 0.5)]).await;
    for (tracked, score) in [(json!(false), Value::Null), (json!(true), json!(1.0))] {
        let body = json!({"sort": [{"created": "asc"}], "track_scores": tracked});
        let hits = endpoint.search(body).await["hits"].clone();
        assert_eq!((&hits["hits"][0]["_score"], &hits["max_score"]), (&score, &score));
    }
    let body = "\n{\"size\":0}\n{\"index\":\"none\"}\n{}\n\n{\"size\":1}\n";
    let (_, answer) = endpoint.call("POST", "/_msearch", body).await;
    let statuses: Vec<u64> = answer["responses"]
        .as_array()
        .expect("responses")
        .iter()
        .filter_map(|response| response["status"].as_u64())
        .collect();
    assert_eq!(statuses, [200, 404, 200], "{answer}");
    let body = json!({"query": {"simple_query_string": {"query": "a + b"}}}).to_string();
    let (status, answer) = endpoint.call("POST", "/anomalies/_search", &body).await;
    assert_eq!(status, 400);
    assert!(answer.to_string().contains("simple_query_string"), "{answer}");
    let body = json!({"query": {"range": {"created": {"lte": "+262142-12-31"}}}}).to_string();
    assert_eq!(endpoint.call("POST", "/anomalies/_search", &body).await.0, 400);
    assert_eq!(endpoint.call("POST", "/x/_delete_by_query?conflicts=maybe", "{}").await.0, 400);
}

#[tokio::test]
async fn documents_without_an_id_get_one_each() {
    let endpoint = Endpoint::new();
    let body = "{\"create\":{}}\n{\"a\":1}\n{\"index\":{}}\n{\"a\":1}\n{\"delete\":{}}\n";
    let (status, answer) = endpoint.call("POST", "/x/_bulk", body).await;
    assert_eq!((status, &answer["errors"]), (200, &json!(true)));
    let ids: BTreeSet<&str> = [&answer["items"][0]["create"], &answer["items"][1]["index"]]
        .into_iter()
        .map(|item| item["_id"].as_str().expect("an id"))
        .collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(answer["items"][2]["delete"]["status"], 400);
    assert_eq!(endpoint.call("GET", "/x/_count", "").await.1["count"], 2);
    let body = "{\"index\":{\"_id\":\"1\",\"require_alias\":true}}\n{}\n";
    let (_, answer) = endpoint.call("POST", "/x/_bulk", body).await;
    assert_eq!(answer["items"][0]["index"]["status"], 404);
}

async fn many() -> Endpoint {
    let endpoint = Endpoint::new();
    let documents: Vec<Value> = (0..60)
        .map(|n| {
            let day = 22 + n % 3;
            let at = format!("2026-11-{day}T12:{n:02}:00Z");
            let mut reading = reading(&at, ["a", "b", "c", "d"][n % 4], 1.0, (n % 7) as f64);
            if n % 10 == 9 {
                reading.as_object_mut().expect("an object").remove("ANOMALY_SCORE");
            }
            reading
        })
        .collect();
    // Several commits, so that there are several segments a day.
    for (part_idx, part) in documents.chunks(20).enumerate() {
        let mut body = String::new();
        for (n, document) in part.iter().enumerate() {
            let id = format!("{:02}", part_idx * 20 + n);
            body.push_str(&format!("{}\n{document}\n", json!({"index": {"_id": id}})));
        }
        let (_, answer) = endpoint.call("POST", "/anomalies/_bulk", &body).await;
        assert_eq!(answer["errors"], false, "{answer}");
    }
    endpoint
}

#[tokio::test]
async fn search_after_goes_through_all_pages_of_any_sort() {
    let endpoint = many().await;
    for sort in [
        json!([{"created": "asc"}]),
        json!([{"created": "desc"}]),
        json!([{"ANOMALY_SCORE": "desc"}, {"created": "asc"}]),
        json!([{"ANOMALY_SCORE": {"order": "asc", "missing": "_first"}}, {"created": "desc"}]),
        json!([{"iotName": "desc"}, {"created": "asc"}]),
        json!([{"iotName": "asc"}, {"iotValue": "asc"}, {"created": "desc"}]),
    ] {
        let whole = ids_of(&endpoint.search(json!({"sort": sort, "size": 100})).await);
        assert_eq!(whole.len(), 60);
        let (mut paged, mut after) = (Vec::new(), Value::Null);
        loop {
            let mut body = json!({"sort": sort, "size": 7});
            if !after.is_null() {
                body["search_after"] = after;
            }
            let answer = endpoint.search(body).await;
            assert_eq!(answer["hits"]["total"]["value"], 60);
            let ids = ids_of(&answer);
            let Some(last) = answer["hits"]["hits"].as_array().and_then(|hits| hits.last()) else {
                break;
            };
            after = last["sort"].clone();
            paged.extend(ids);
        }
        assert_eq!(paged, whole, "{sort}");
    }
    // A text between those that there are, and one behind all.
    let sort = json!([{"iotName": "asc"}, {"created": "asc"}]);
    for (text, n_left) in [("bb", 30), ("", 60), ("zz", 0), ("d", 15)] {
        let body = json!({"sort": sort, "size": 100, "search_after": [text, "2026-01-01"]});
        assert_eq!(ids_of(&endpoint.search(body).await).len(), n_left, "{text}");
        let body = json!({"sort": [{"iotName": "desc"}], "size": 100, "search_after": [text]});
        let n_left = if text == "d" { 45 } else { 60 - n_left };
        assert_eq!(ids_of(&endpoint.search(body).await).len(), n_left, "{text} downwards");
    }
}

#[tokio::test]
async fn a_scroll_pages_through_the_moment_of_its_beginning() {
    let endpoint = many().await;
    for sort in [Value::Null, json!(["_doc"]), json!([{"ANOMALY_SCORE": "desc"}]), json!("created")]
    {
        let mut body = json!({"size": 7, "aggs": {"n": {"value_count": {"field": "created"}}}});
        if !sort.is_null() {
            body["sort"] = sort.clone();
        }
        let path = "/anomalies/_search?scroll=1m";
        let (status, mut answer) = endpoint.call("POST", path, &body.to_string()).await;
        assert_eq!((status, &answer["aggregations"]["n"]["value"]), (200, &json!(60)), "{answer}");
        // What is written and deleted meanwhile does not change it.
        let late = json!({"created": "2026-11-22T00:00:00Z"}).to_string();
        endpoint.call("PUT", "/anomalies/_doc/late", &late).await;
        endpoint.call("DELETE", "/anomalies-2026.11.22/_doc/57", "").await;
        let mut seen = Vec::new();
        while !ids_of(&answer).is_empty() {
            assert_eq!(answer["hits"]["total"]["value"], 60);
            seen.extend(ids_of(&answer));
            let next = json!({"scroll": "1m", "scroll_id": answer["_scroll_id"]}).to_string();
            answer = endpoint.call("POST", "/_search/scroll", &next).await.1;
        }
        let distinct: BTreeSet<&String> = seen.iter().collect();
        assert_eq!((seen.len(), distinct.len()), (60, 60), "{sort}");
        assert!(!seen.contains(&"late".to_owned()));
        if sort == json!("created") {
            let body =
                json!({"sort": "created", "size": 100, "query": {"exists": {"field": "iotName"}}});
            let now = ids_of(&endpoint.search(body).await);
            seen.retain(|id| id != "57");
            assert_eq!(seen, now);
        }
        let clear = json!({"scroll_id": answer["_scroll_id"]}).to_string();
        assert_eq!(endpoint.call("DELETE", "/_search/scroll", &clear).await.1["num_freed"], 1);
        assert_eq!(endpoint.call("DELETE", "/_search/scroll", &clear).await.0, 404);
        let gone = json!({"scroll_id": answer["_scroll_id"]}).to_string();
        assert_eq!(endpoint.call("POST", "/_search/scroll", &gone).await.0, 404);
        endpoint.call("DELETE", "/anomalies/_doc/late", "").await;
        let back = reading("2026-11-22T12:57:00Z", "b", 1.0, 1.0).to_string();
        endpoint.call("PUT", "/anomalies/_doc/57", &back).await;
    }
}

#[tokio::test]
async fn scrolls_are_bounded_and_end() {
    let endpoint = many().await;
    for (path, body, part) in [
        ("/_search?scroll=2h", "{}", "too large"),
        ("/_search?scroll=x", "{}", "scroll"),
        ("/_search?scroll=1m", "{\"from\":1}", "from"),
        ("/_search?scroll=1m", "{\"size\":0}", "size"),
        ("/_search?scroll=1m", "{\"sort\":\"created\",\"search_after\":[1]}", "search_after"),
        ("/_search/scroll", "{}", "missing"),
    ] {
        let (status, answer) = endpoint.call("POST", path, body).await;
        assert_eq!(status, 400, "{path} {body}: {answer}");
        assert!(answer.to_string().contains(part), "{answer}");
    }
    let open = |keep: &'static str| {
        let endpoint = &endpoint;
        async move { endpoint.call("GET", &format!("/_search?scroll={keep}&size=1"), "").await }
    };
    for _ in 0..eddy_index::limits::MAX_SCROLLS {
        assert_eq!(open("1m").await.0, 200);
    }
    let (status, answer) = open("1m").await;
    assert_eq!((status, &answer["error"]["type"]), (429, &json!("rejected_execution_exception")));
    let (_, cleared) = endpoint.call("DELETE", "/_search/scroll/_all", "").await;
    assert_eq!(cleared["num_freed"], eddy_index::limits::MAX_SCROLLS);
    let short = open("1ms").await.1["_scroll_id"].as_str().expect("an id").to_owned();
    // Its time is over as soon as another request comes a millisecond later.
    let ended = async {
        loop {
            let (status, _) = endpoint.call("POST", &format!("/_search/scroll/{short}"), "").await;
            if status == 404 {
                break;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), ended).await.expect("it ends");
}

#[tokio::test]
async fn what_a_query_finds_is_deleted() {
    let endpoint = many().await;
    let body = json!({"query": {"term": {"iotName": "a"}}}).to_string();
    let path = "/anomalies/_delete_by_query?conflicts=proceed&refresh=true";
    let (status, answer) = endpoint.call("POST", path, &body).await;
    assert_eq!((status, &answer["deleted"], &answer["failures"]), (200, &json!(15), &json!([])));
    assert_eq!(endpoint.call("GET", "/anomalies/_count", "").await.1["count"], 45);
    assert_eq!(endpoint.call("POST", "/anomalies/_delete_by_query", "{}").await.0, 400);
}

#[tokio::test]
async fn indices_say_what_they_are() {
    let endpoint = many().await;
    endpoint.call("PUT", "/other/_doc/1", "{\"n\":{\"x\":1},\"why\\\\\":true}").await;
    let (_, caps) = endpoint.call("GET", "/other/_field_caps?fields=n.*,why*", "").await;
    assert_eq!(caps["indices"], json!(["other"]));
    assert_eq!(caps["fields"]["n.x"]["double"]["aggregatable"], true);
    assert_eq!(caps["fields"]["why\\"]["boolean"]["type"], "boolean");
    assert_eq!(caps["fields"].as_object().map(serde_json::Map::len), Some(2));
    let (_, caps) = endpoint.call("POST", "/anomalies/_field_caps?fields=*", "").await;
    assert_eq!(caps["fields"]["created"]["date"]["type"], "date");
    let (_, settings) = endpoint.call("GET", "/other/_settings", "").await;
    assert_eq!(settings["other"]["settings"]["index"]["number_of_shards"], "1");
    let (_, aliases) = endpoint.call("GET", "/_alias", "").await;
    assert_eq!(aliases["other"], json!({"aliases": {}}));
    assert_eq!(aliases["anomalies-2026.11.22"], json!({"aliases": {"anomalies": {}}}));
    let (_, aliases) = endpoint.call("GET", "/_alias/anomalies", "").await;
    assert_eq!(aliases.as_object().map(serde_json::Map::len), Some(3));
    assert_eq!(endpoint.call("HEAD", "/_alias/nothing", "").await.0, 404);
    let (_, whole) = endpoint.call("GET", "/other", "").await;
    assert_eq!(whole["other"]["mappings"]["properties"]["n"]["properties"]["x"]["type"], "double");
    let (_, mapping) = endpoint.call("GET", "/_mapping", "").await;
    assert_eq!(mapping.as_object().map(serde_json::Map::len), Some(4));
    assert_eq!(endpoint.call("PUT", "/made", "").await.1["acknowledged"], true);
    let (status, answer) = endpoint.call("PUT", "/made", "").await;
    assert_eq!(
        (status, &answer["error"]["type"]),
        (400, &json!("resource_already_exists_exception"))
    );
    let (status, answer) = endpoint.call("PUT", "/more", "{\"mappings\":{}}").await;
    assert_eq!(status, 400);
    assert!(answer.to_string().contains("[mappings] of a new index"), "{answer}");
    let (_, health) =
        endpoint.call("GET", "/_cluster/health/other?wait_for_status=yellow", "").await;
    assert_eq!(health["active_shards"], 1);
    let (status, _) = endpoint.call("GET", "/none,other/_count?ignore_unavailable=true", "").await;
    assert_eq!(status, 200);
    let (status, _) = endpoint.call("GET", "/none*/_count?allow_no_indices=false", "").await;
    assert_eq!(status, 404);
    let path = "/other/_search?filter_path=hits.total.value";
    assert_eq!(endpoint.call("GET", path, "").await.1, json!({"hits": {"total": {"value": 1}}}));
}

#[tokio::test]
async fn many_searches_in_one_request_each_have_their_answer() {
    let endpoint = many().await;
    let body = concat!(
        "{\"index\":\"anomalies\"}\n{\"size\":1}\n",
        "{\"index\":[\"none\"]}\n{}\n",
        "{\"index\":\"none\",\"ignore_unavailable\":true}\n{}\n",
        "{}\n{\"suggest\":{}}\n",
    );
    let (status, answer) = endpoint.call("POST", "/_msearch", body).await;
    assert_eq!(status, 200);
    let responses = answer["responses"].as_array().expect("responses");
    let statuses: Vec<u64> = responses.iter().filter_map(|one| one["status"].as_u64()).collect();
    assert_eq!(statuses, [200, 404, 200, 400], "{answer}");
    assert_eq!(responses[0]["hits"]["total"]["value"], 60);
    assert!(responses[3]["error"]["reason"].as_str().is_some_and(|r| r.contains("suggest")));
    assert_eq!(endpoint.call("POST", "/_msearch", "{}\n").await.0, 400);
    assert_eq!(endpoint.call("POST", "/_msearch", "").await.0, 400);
}

#[tokio::test]
async fn a_compressed_body_is_read_and_bounded() {
    use std::io::Write as _;
    let endpoint = Endpoint::new();
    let gzip = |plain: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).expect("written");
        encoder.finish().expect("finished")
    };
    let body = gzip(b"{\"index\":{\"_id\":\"1\"}}\n{\"a\":1}\n");
    let headers = [("content-encoding", "gzip")];
    let (status, answer) = endpoint.call_with("POST", "/x/_bulk", &headers, body).await;
    assert_eq!((status, &answer["errors"]), (200, &json!(false)), "{answer}");
    let member = gzip(&vec![b' '; 1024 * 1024]);
    let bomb = member.repeat(eddy_index::limits::MAX_BODY_BYTES / (1024 * 1024) + 1);
    assert_eq!(endpoint.call_with("POST", "/x/_bulk", &headers, bomb).await.0, 413);
    let (status, _) = endpoint.call_with("POST", "/x/_bulk", &headers, b"{}".to_vec()).await;
    assert_eq!(status, 400);
    let headers = [("content-encoding", "br")];
    let (status, answer) = endpoint.call_with("POST", "/x/_bulk", &headers, b"{}".to_vec()).await;
    assert_eq!(status, 400);
    assert!(answer.to_string().contains("br"), "{answer}");
}
