//! What hostile clients and failing machines do.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::Request;
use eddy_index::limits::{MAX_BODIES_BYTES, MAX_BODY_BYTES};
use eddy_index::{Index, IndexSettings, router};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::Endpoint;

#[tokio::test]
async fn malformed_bulks_are_refused_whole_or_by_item_and_never_half_read() {
    let endpoint = Endpoint::new();
    let whole: [&[u8]; 9] = [
        b"\n\n\n",
        b"[]\n",
        b"{}\n{}\n",
        b"{\"index\":1}\n{}\n",
        b"{\"index\":{\"_id\":[1]}}\n{}\n",
        b"{\"index\":{\"_index\":7}}\n{}\n",
        b"{\"index\":{\"routing\":\"r\"}}\n{}\n",
        b"{\"index\":{}}",
        b"{\"index\":{}}\n\xff\xfe\n",
    ];
    for body in whole {
        let (status, answer) = endpoint.call_with("POST", "/x/_bulk", &[], body.to_vec()).await;
        assert_eq!(status, 400, "{}: {answer}", String::from_utf8_lossy(body));
    }
    assert_eq!(endpoint.call("GET", "/x*/_count", "").await.1["count"], 0);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let wide: String = (0..2_000).map(|n| format!("\"f{n}\":1,")).collect();
    let wide = format!("{{{}\"z\":1}}", wide);
    let long = json!({"a": "x".repeat(100_000)}).to_string();
    let mut body = String::new();
    for document in [
        deep.as_str(),
        &wide,
        "1",
        "null",
        "{\"a\":1e999}",
        "{\"a\":1}{\"b\":2}",
        &long,
        "{\"a\":-0.0}",
    ] {
        body.push_str(&format!("{{\"index\":{{}}}}\n{document}\n"));
    }
    let (status, answer) = endpoint.call("POST", "/x/_bulk", &body).await;
    assert_eq!(status, 200);
    let items = answer["items"].as_array().expect("items");
    let statuses: Vec<u64> =
        items.iter().filter_map(|item| item["index"]["status"].as_u64()).collect();
    assert_eq!(statuses, [400, 400, 400, 400, 400, 400, 201, 201], "{answer}");
    let nested = format!(
        "{}{{\"match_all\":{{}}}}{}",
        "{\"bool\":{\"must\":".repeat(5_000),
        "}}".repeat(5_000)
    );
    let search = format!("{{\"query\":{nested}}}");
    assert_eq!(endpoint.call("POST", "/x/_search", &search).await.0, 400);
}

#[tokio::test]
async fn aggregations_that_multiply_are_refused_before_they_are_made() {
    let endpoint = Endpoint::new();
    assert_eq!(endpoint.call("PUT", "/anomalies/_doc/1", r#"{"created":0}"#).await.0, 201);
    let nested = |n_filters: [usize; 2], query: Value| {
        let filters = |n: usize| json!({"filters": vec![query.clone(); n]});
        let below = json!({"a": {"filters": filters(n_filters[1])}});
        json!({"size": 0, "aggs": {"a": {"filters": filters(n_filters[0]), "aggs": below}}})
    };
    let long = json!({"term": {"a": "x".repeat(20_000)}});
    // 64 + 64 * 63 is the bound; 64 * 16 copies of 20 kB are beyond the other one.
    for (n_filters, query, status) in [
        ([64, 63], json!({"match_all": {}}), 200),
        ([64, 64], json!({"match_all": {}}), 400),
        ([256, 256], json!({"match_all": {}}), 400),
        ([8, 8], long.clone(), 200),
        ([64, 16], long, 400),
    ] {
        let body = nested(n_filters, query).to_string();
        let (found, answer) = endpoint.call("POST", "/anomalies/_search", &body).await;
        assert_eq!(found, status, "{n_filters:?}: {:.300}", answer.to_string());
    }
    let name = json!({"aggs": {"a".repeat(513): {"max": {"field": "b"}}}}).to_string();
    assert_eq!(endpoint.call("POST", "/anomalies/_search", &name).await.0, 400);
}

#[tokio::test]
async fn empty_buckets_far_from_the_data_are_refused_before_they_are_made() {
    let endpoint = Endpoint::new();
    assert_eq!(endpoint.call("PUT", "/anomalies/_doc/1", r#"{"created":0,"n":0}"#).await.0, 201);
    for (agg, status) in [
        (
            json!({"date_histogram": {"field": "created", "fixed_interval": "1s",
            "extended_bounds": {"min": -70_000_000, "max": -69_999_000}}}),
            400,
        ),
        (
            json!({"date_histogram": {"field": "created", "fixed_interval": "1s",
            "extended_bounds": {"min": -1_000_000, "max": -999_000}}}),
            200,
        ),
        (
            json!({"histogram": {"field": "n", "interval": 1,
            "extended_bounds": {"min": 70_000, "max": 70_001}}}),
            400,
        ),
        (
            json!({"histogram": {"field": "n", "interval": 1,
            "extended_bounds": {"min": 70_000, "max": 70_001},
            "hard_bounds": {"min": 69_990, "max": 70_001}}}),
            200,
        ),
    ] {
        let body = json!({"size": 0, "aggs": {"a": agg}}).to_string();
        let (found, answer) = endpoint.call("POST", "/anomalies/_search", &body).await;
        assert_eq!(found, status, "{body}: {:.300}", answer.to_string());
        if status == 400 {
            // The engine's own refusal, after it has made them, is an aggregation_exception.
            assert_eq!(answer["error"]["type"], "illegal_argument_exception", "{answer}");
        }
    }
}

#[tokio::test]
async fn deleting_indices_takes_exact_names_only() {
    let endpoint = Endpoint::new();
    for name in ["x", "y"] {
        assert_eq!(endpoint.call("PUT", &format!("/{name}"), "").await.0, 200);
    }
    assert_eq!(endpoint.call("PUT", "/anomalies/_doc/1", r#"{"created":0}"#).await.0, 201);
    for path in [
        "/x,",
        "/,x",
        "/%20",
        "/x,%20",
        "/x,_all",
        "/x,anomalies",
        "/x,y*",
        "/none,?ignore_unavailable",
    ] {
        assert_eq!(endpoint.call("DELETE", path, "").await.0, 400, "{path}");
    }
    let (_, left) = endpoint.call("GET", "/_cat/indices?format=json", "").await;
    assert_eq!(left.as_array().map(Vec::len), Some(3), "{left}");
    assert_eq!(endpoint.call("DELETE", "/x,y", "").await.0, 200);
    let (_, left) = endpoint.call("GET", "/_cat/indices?format=json", "").await;
    assert_eq!(left[0]["index"], "anomalies-1970.01.01", "{left}");
}

#[tokio::test]
async fn paths_and_names_of_very_many_parts_are_refused() {
    let endpoint = Endpoint::new();
    let deep = format!("{{\"{}a\":1}}", "a.".repeat(30_000));
    assert_eq!(endpoint.call("PUT", "/x/_doc/1", &deep).await.0, 400);
    let fits = format!("{{\"{}a\":1}}", "a.".repeat(19));
    assert_eq!(endpoint.call("PUT", "/x/_doc/1", &fits).await.0, 201);
    let (status, mapping) = endpoint.call("GET", "/x/_mapping", "").await;
    let field = format!("/x/mappings{}/type", "/properties/a".repeat(20));
    assert_eq!((status, mapping.pointer(&field)), (200, Some(&json!("double"))), "{mapping}");
    let stars = "**.".repeat(600);
    let (status, answer) =
        endpoint.call("GET", &format!("/x/_search?filter_path={stars}zzz"), "").await;
    assert_eq!((status, answer), (200, json!({})));
    let path = format!("/x/_doc/1?filter_path={}z", "**.x.".repeat(20));
    assert_eq!(endpoint.call("DELETE", &path, "").await.0, 400);
    assert_eq!(endpoint.call("GET", "/x/_doc/1", "").await.0, 200, "refused before the work");
}

#[tokio::test]
async fn any_id_is_an_id_or_refused() {
    let endpoint = Endpoint::new();
    let long = "é".repeat(256);
    let ids = [
        "../../etc/passwd",
        "a/b?c#d",
        " ",
        "\n",
        "\0",
        "\u{1}x",
        "<script>",
        "\"",
        "\\",
        "%",
        "é",
        "_doc",
        "*",
        "a,b",
        &long,
    ];
    let mut body = String::new();
    for (n, id) in ids.iter().enumerate() {
        body.push_str(&format!("{}\n{}\n", json!({"index": {"_id": id}}), json!({"n": n})));
    }
    let (_, answer) = endpoint.call("POST", "/x/_bulk", &body).await;
    assert_eq!(answer["errors"], false, "{answer}");
    for (n, id) in ids.iter().enumerate() {
        let encoded: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let (status, found) = endpoint.call("GET", &format!("/x/_doc/{encoded}"), "").await;
        assert_eq!((status, &found["_source"]["n"]), (200, &json!(n)), "{id:?}: {found}");
        let found = endpoint
            .call("POST", "/x/_search", &json!({"query": {"ids": {"values": [id]}}}).to_string())
            .await
            .1;
        assert_eq!(found["hits"]["hits"][0]["_source"]["n"], n);
    }
    let bad = json!({"index": {"_id": "x".repeat(513)}}).to_string();
    let (_, answer) = endpoint.call("POST", "/x/_bulk", &format!("{bad}\n{{}}\n")).await;
    assert_eq!(answer["items"][0]["index"]["status"], 400);
}

#[tokio::test]
async fn bodies_that_come_slowly_cannot_take_all_memory() {
    let endpoint = Endpoint::new();
    // Each sends nearly all that it may and then nothing more.
    let (pending, mut waiting) = (MAX_BODIES_BYTES / MAX_BODY_BYTES, Vec::new());
    let part = Bytes::from(vec![b' '; MAX_BODY_BYTES - 1]);
    for _ in 0..pending {
        let parts = futures::stream::iter([Ok::<_, std::io::Error>(part.clone())]);
        let body = Body::from_stream(parts.chain(futures::stream::pending()));
        let request = Request::builder().method("POST").uri("/x/_bulk").body(body).expect("fits");
        let mut answer = Box::pin(router(Arc::clone(&endpoint.index)).oneshot(request));
        assert!(futures::poll!(&mut answer).is_pending());
        waiting.push(answer);
    }
    let large = "{\"index\":{}}\n{\"a\":1}\n".repeat(1_000_000);
    let (status, answer) = endpoint.call("POST", "/x/_bulk", &large).await;
    assert_eq!((status, &answer["error"]["type"]), (429, &json!("circuit_breaking_exception")));
    // Small ones still find room.
    assert_eq!(endpoint.call("PUT", "/x/_doc/1", "{}").await.0, 201);
    drop(waiting);
    let (status, _) = endpoint.call("POST", "/x/_bulk", &large).await;
    assert_eq!(status, 413, "too many operations, but there is room for them");
}

/// What a child of a test does: writes documents into the folder and prints the number of each that
/// was acknowledged, `refused` for each that was not.
#[test]
#[ignore = "the child of the tests below, not a test"]
fn child() {
    let Some(folder) = std::env::var_os("EDDY_INDEX_TEST_FOLDER") else { return };
    let from: usize =
        std::env::var("EDDY_INDEX_TEST_FROM").expect("set").parse().expect("a number");
    let large = std::env::var_os("EDDY_INDEX_TEST_LARGE").is_some();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("one");
    runtime.block_on(async {
        let index = Index::open(IndexSettings::new(folder)).expect("opens");
        let writers = (0..4).map(|writer| {
            let index = Arc::clone(&index);
            tokio::spawn(async move {
                for n in 0..if large { 8 } else { 5_000 } {
                    let number = from + n * 4 + writer;
                    write(&index, number, large && n % 2 == 1).await;
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.expect("writes");
        }
    });
}

async fn write(index: &Arc<Index>, number: usize, large: bool) {
    let day = 20 + number % 3;
    // Texts that do not compress.
    let noise = |n: usize| format!("{:x}", (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let text: String =
        if large { (0..30_000).map(|n| noise(n * 31 + number)).collect() } else { String::new() };
    let document =
        json!({"created": format!("2026-11-{day}T00:00:00Z"), "n": number, "text": text});
    let request = Request::builder()
        .method("PUT")
        .uri(format!("/anomalies/_doc/{number}"))
        .body(Body::from(document.to_string()))
        .expect("fits");
    let answer = router(Arc::clone(index)).oneshot(request).await.expect("answers");
    if answer.status() == 201 {
        println!("acknowledged {number}")
    } else {
        println!("refused {}", answer.status())
    }
}

fn spawn(folder: &Path, from: usize, prefix: &str, large: bool) -> Child {
    let program = std::env::current_exe().expect("this program");
    let program = program.to_str().expect("UTF-8");
    let mut command = Command::new("bash");
    command
        .arg("-c")
        .arg(format!("{prefix} exec '{program}' --ignored --exact attack::child --nocapture"))
        .env("EDDY_INDEX_TEST_FOLDER", folder)
        .env("EDDY_INDEX_TEST_FROM", from.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if large {
        command.env("EDDY_INDEX_TEST_LARGE", "1");
    }
    command.spawn().expect("starts")
}

fn acknowledged(line: &str) -> Option<usize> {
    line.rsplit_once("acknowledged ")?.1.trim().parse().ok()
}

#[test]
fn a_kill_at_any_moment_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut written = Vec::new();
    for round in 0..8_usize {
        let mut child = spawn(folder.path(), round * 1_000_000, "", false);
        let output = child.stdout.take().expect("piped");
        let mut n_seen = 0;
        for line in BufReader::new(output).lines() {
            let line = line.expect("text");
            if let Some(number) = acknowledged(&line) {
                written.push(number);
                n_seen += 1;
                // Four writers are at work: whenever this comes, a commit runs.
                if n_seen == 1 + round * 7 {
                    child.kill().expect("killed");
                }
            }
        }
        child.wait().expect("ended");
        let index = Index::open(IndexSettings::new(folder.path())).expect("recovers");
        for number in &written {
            let query = json!({"query": {"ids": {"values": [number.to_string()]}}});
            assert_eq!(index.count("anomalies", &query).expect("counts"), 1, "{number}");
        }
    }
    assert!(written.len() > 100);
}

#[test]
fn a_disk_that_refuses_to_grow_refuses_writes_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    // No file may grow beyond 256 KiB: what a large document needs fails, a small one goes on.
    let mut child = spawn(folder.path(), 0, "trap '' XFSZ; ulimit -f 256;", true);
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let lines: Vec<String> = output.lines().map(|line| line.expect("text")).collect();
    child.wait().expect("ended");
    let written: Vec<usize> = lines.iter().filter_map(|line| acknowledged(line)).collect();
    let refused = lines.iter().filter(|line| line.contains("refused 500")).count();
    assert!(refused > 0 && written.len() >= 4, "{lines:?}");
    assert_eq!(refused + written.len(), 32, "{lines:?}");
    let index = Index::open(IndexSettings::new(folder.path())).expect("opens");
    for number in &written {
        let query = json!({"query": {"ids": {"values": [number.to_string()]}}});
        assert_eq!(index.count("anomalies", &query).expect("counts"), 1, "{number}");
    }
    let found: Value = index.search("anomalies", &json!({"size": 100})).expect("answers");
    assert!(found["hits"]["total"]["value"].as_u64().expect("a count") >= written.len() as u64);
}

#[tokio::test]
async fn the_answers_of_many_searches_are_bounded_and_the_rest_are_refused_one_by_one() {
    let endpoint = Endpoint::new();
    let long = json!({"a": "x".repeat(250_000)}).to_string();
    let body: String =
        (0..20).map(|n| format!("{{\"index\":{{\"_id\":\"{n}\"}}}}\n{long}\n")).collect();
    let (status, answer) = endpoint.call("POST", "/x/_bulk?refresh=true", &body).await;
    assert_eq!((status, &answer["errors"]), (200, &json!(false)));

    // Five megabytes each.
    let lines = "{}\n{\"size\":20}\n".repeat(30);
    for path in ["/x/_msearch", "/x/_msearch?filter_path=responses.status,responses.error"] {
        let (status, answer) = endpoint.call("POST", path, &lines).await;
        assert_eq!(status, 200);
        let all = answer["responses"].as_array().expect("responses");
        let n_found = all.iter().take_while(|one| one["status"] == 200).count();
        assert!((1..25).contains(&n_found), "{n_found}");
        assert_eq!(all.len(), 30);
        for refused in &all[n_found..] {
            assert_eq!(refused["status"], 413, "{refused}");
        }
    }
}
