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
