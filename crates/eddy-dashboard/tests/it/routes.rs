//! The routes.

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::json;

use crate::support::{Site, get, json_of, now_ms, reading, request, text};

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let site = Site::new();
    let foreign = request("POST", "/es/anomalies/_search").header("origin", "http://evil.example");
    let foreign = foreign.body(Body::empty()).expect("a request");
    let mut answers = vec![site.ask(foreign).await];
    for path in ["/", "/assets/page.js", "/api/status", "/metrics", "/es/", "/healthz", "/none"] {
        answers.push(site.ask(get(path)).await);
    }
    for answer in answers {
        let headers = answer.headers();
        let policy = headers["content-security-policy"].to_str().expect("text");
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "same-origin");
        assert!(!headers.contains_key("access-control-allow-origin"));
    }
}

#[tokio::test]
async fn the_page_and_its_files_are_served_with_their_types() {
    let site = Site::new();
    for (path, kind) in [
        ("/", "text/html"),
        ("/assets/page.js", "text/javascript"),
        ("/assets/page.css", "text/css"),
        ("/assets/icon.svg", "image/svg+xml"),
        ("/assets/vendor/uPlot.iife.min.js", "text/javascript"),
    ] {
        let answer = site.ask(get(path)).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert!(answer.headers()["content-type"].to_str().expect("text").starts_with(kind));
    }
    for path in ["/assets/none.js", "/assets/../Cargo.toml", "/assets/%2e%2e/Cargo.toml"] {
        assert_eq!(site.ask(get(path)).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_page_has_nothing_inline_and_names_no_other_host() {
    let page = text(Site::new().ask(get("/")).await).await;
    let login = text(Site::new().ask(get("/login")).await).await;
    for part in ["style=", "onclick", "onload", "<style", "http://", "https://", "//cdn"] {
        assert!(!page.contains(part) && !login.contains(part), "{part}");
    }
    assert!(!login.contains("<script"));
    assert_eq!(page.matches("<script").count(), page.matches("<script src=").count() + 1);
    assert!(page.contains(r#"<script type="module" src="/assets/page.js"></script>"#));
}

#[tokio::test]
async fn a_file_that_the_reader_has_is_not_sent_again() {
    let site = Site::new();
    for path in ["/", "/assets/page.css"] {
        let first = site.ask(get(path)).await;
        assert_eq!(first.headers()["cache-control"], "no-cache");
        let tag = first.headers()["etag"].to_str().expect("text").to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".into()] {
            let again = request("GET", path).header("if-none-match", &known);
            let again = site.ask(again.body(Body::empty()).expect("a request")).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path} {known}");
            assert_eq!(again.headers()["etag"], tag);
            assert_eq!(text(again).await, "");
        }
        let other = request("GET", path).header("if-none-match", "\"other\"");
        let other = site.ask(other.body(Body::empty()).expect("a request")).await;
        assert_eq!(other.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_host_name_that_is_not_this_machine_is_refused() {
    let site = Site::new();
    for (host, expected) in [
        ("localhost:8080", StatusCode::OK),
        ("[::1]:8080", StatusCode::OK),
        ("evil.example", StatusCode::FORBIDDEN),
        ("evil.example:8080", StatusCode::FORBIDDEN),
        ("127.0.0.1.evil.example", StatusCode::FORBIDDEN),
    ] {
        for path in ["/", "/api/status", "/es/anomalies/_search"] {
            let request = axum::http::Request::builder().uri(path).header("host", host);
            let answer = site.ask(request.body(Body::empty()).expect("a request")).await;
            assert_eq!(answer.status(), expected, "{host} {path}");
        }
    }
}

#[tokio::test]
async fn writes_from_another_origin_are_refused() {
    let site = Site::new();
    let write = |origin: Option<&str>| {
        let mut write = request("PUT", "/es/anomalies/_doc/1");
        if let Some(origin) = origin {
            write = write.header("origin", origin);
        }
        write.body(Body::from(r#"{"created":0,"iotValue":1}"#)).expect("a request")
    };
    for origin in ["http://evil.example", "http://127.0.0.1:3000", "null", ""] {
        let answer = site.ask(write(Some(origin))).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{origin}");
    }
    assert_eq!(json_of(site.ask(get("/es/anomalies/_count")).await).await["count"], 0);
    for origin in [Some("http://127.0.0.1:8080"), None] {
        assert!(site.ask(write(origin)).await.status().is_success(), "{origin:?}");
    }
    let read = request("GET", "/api/status").header("origin", "http://evil.example");
    let read = site.ask(read.body(Body::empty()).expect("a request")).await;
    assert_eq!(read.status(), StatusCode::OK);
}

#[tokio::test]
async fn status_and_metrics_are_those_of_the_pipeline() {
    let site = Site::new();
    site.say(json!({"models": 3}));
    let status = site.ask(get("/api/status")).await;
    assert_eq!(status.headers()["cache-control"], "no-store");
    assert_eq!(json_of(status).await["models"], 3);
    let metrics = site.ask(get("/metrics")).await;
    assert_eq!(metrics.headers()["content-type"], "text/plain; version=0.0.4");
    assert_eq!(text(metrics).await, "eddy_records_total 7\n");
    assert_eq!(text(site.ask(get("/healthz")).await).await, "ok\n");
}

#[tokio::test]
async fn the_index_answers_under_es() {
    let site = Site::new();
    site.write(&[reading(now_ms(), "a", 15.0, 0.8), reading(now_ms(), "a", 110.0, 3.1)]).await;
    let root = site.ask(get("/es/")).await;
    assert_eq!(root.headers()["x-elastic-product"], "Elasticsearch");
    assert!(json_of(root).await["version"].is_object());
    assert_eq!(site.ask(get("/es")).await.status(), StatusCode::OK);
    let best = "/es/anomalies/_search?size=1&sort=ANOMALY_SCORE:desc";
    let found = json_of(site.ask(get(best)).await).await;
    assert_eq!(found["hits"]["total"]["value"], 2);
    assert_eq!(found["hits"]["hits"][0]["_source"]["iotValue"], 110);
    assert_eq!(site.ask(get("/es/none/_search")).await.status(), StatusCode::NOT_FOUND);
}
