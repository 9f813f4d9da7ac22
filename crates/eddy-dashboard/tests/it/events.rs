//! Server-sent events.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Reading, Site, get, now_ms, reading, request};

const DEADLINE: Duration = Duration::from_secs(20);

/// The data of the next event; `None` at the end of the stream.
async fn next_event(stream: &mut BodyDataStream) -> Option<Value> {
    let mut text = String::new();
    while !text.ends_with("\n\n") {
        let bytes = timeout(DEADLINE, stream.next()).await.expect("in time")?.expect("a chunk");
        text.push_str(std::str::from_utf8(&bytes).expect("text"));
    }
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
    assert!(text.contains("event: rows\n"), "{text}");
    Some(serde_json::from_str(data).expect("JSON"))
}

#[tokio::test]
async fn a_row_arrives_when_it_is_durable_and_the_stream_ends_with_the_page() {
    let site = Site::new();
    let (routes, end) = site.routes();
    let answer = tower::ServiceExt::oneshot(routes, get("/api/live")).await.expect("answers");
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.headers()["cache-control"], "no-cache");
    let mut events = answer.into_body().into_data_stream();
    let unscored = Reading { score: None, ..reading(now_ms(), "a", f64::NAN, 0.0) };
    site.write(&[reading(now_ms(), "DemoSensor", 110.0, 3.25), unscored]).await;
    let event = next_event(&mut events).await.expect("an event");
    assert_eq!(event["left_out"], 0);
    let row = &event["rows"][0];
    assert_eq!(row["_source"]["iotName"], "DemoSensor");
    assert_eq!(row["_source"]["ANOMALY_SCORE"], 3.25);
    assert!(row["_source"]["ANOMALY_EXPLANATION"]["iotValue"]["high"].is_number());
    let query = json!({"query": {"ids": {"values": [row["_id"]]}}});
    assert_eq!(site.index.search("anomalies", &query).expect("found")["hits"]["total"]["value"], 1);
    assert_eq!(event["rows"][1]["_source"]["iotValue"], Value::Null);
    assert_eq!(event["rows"][1]["_source"]["ANOMALY_SCORE"], Value::Null);
    end.send(true).expect("the stream listens");
    assert_eq!(next_event(&mut events).await, None);
}

#[tokio::test]
async fn more_rows_than_can_be_drawn_are_counted_and_the_anomalies_among_them_sent() {
    let site = Site::new();
    let (routes, _end) = site.routes();
    let answer = tower::ServiceExt::oneshot(routes, get("/api/live")).await.expect("answers");
    let mut events = answer.into_body().into_data_stream();
    let rows: Vec<Reading> = (0..3000)
        .map(|n| reading(now_ms(), "a", 15.0, if n == 1234 { 3.0 } else { 0.8 }))
        .collect();
    site.write(&rows).await;
    let (mut n_rows, mut n_left_out, mut n_anomalies) = (0, 0, 0);
    while n_rows + n_left_out < 3000 {
        let event = next_event(&mut events).await.expect("an event");
        let sent = event["rows"].as_array().expect("rows");
        assert!(sent.len() <= 400);
        n_rows += sent.len();
        n_left_out += usize::try_from(event["left_out"].as_u64().expect("a count")).expect("small");
        n_anomalies += sent.iter().filter(|row| row["_source"]["ANOMALY_SCORE"] == 3.0).count();
    }
    assert_eq!((n_rows + n_left_out, n_anomalies), (3000, 1));
    assert!(n_left_out > 0);
}

#[tokio::test]
async fn a_document_with_line_ends_in_it_is_one_event() {
    let site = Site::new();
    let (routes, _end) = site.routes();
    let service = routes.clone();
    let answer = tower::ServiceExt::oneshot(routes, get("/api/live")).await.expect("answers");
    let mut events = answer.into_body().into_data_stream();
    let put = request("PUT", "/es/anomalies/_doc/1")
        .body(Body::from("{\r\n  \"iotName\": \"a\\r\\nb\",\r\n  \"created\": 0\r\n}"))
        .expect("a request");
    let put = tower::ServiceExt::oneshot(service, put).await.expect("answers");
    assert!(put.status().is_success());
    let event = next_event(&mut events).await.expect("an event");
    assert_eq!(event["rows"][0]["_source"], json!({"iotName": "a\r\nb", "created": 0}));
}

#[tokio::test]
async fn the_page_ends_though_a_browser_listens() {
    let site = Site::new();
    let server = site.serve(0).await;
    let mut browser = TcpStream::connect(server.address).await.expect("connects");
    let request = format!("GET /api/live HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    browser.write_all(request.as_bytes()).await.expect("sent");
    let mut head = [0; 12];
    timeout(DEADLINE, browser.read_exact(&mut head)).await.expect("in time").expect("a head");
    assert_eq!(&head, b"HTTP/1.1 200");
    timeout(DEADLINE, server.end()).await.expect("it ends");
    let mut rest = Vec::new();
    browser.read_to_end(&mut rest).await.expect("closed");
    assert!(rest.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
}
