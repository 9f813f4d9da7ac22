//! The page's query: its parts agree, its files hold the same rows.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::{Value, json};

use tower::ServiceExt as _;

use crate::support::{Reading, Site, get, json_of, now_ms, reading, text};

/// Rows of seven sensors over an hour; some without a score, some without a name.
fn rows(now_ms: i64) -> Vec<Reading> {
    (0..4_000_i64)
        .map(|n| {
            let score = (n % 13 != 0).then(|| ((n * 7919) % 400) as f64 / 100.0);
            let name = if n % 7 == 6 { String::new() } else { format!("sensor {}", n % 7) };
            Reading { score, ..reading(now_ms - n * 900, &name, (n % 100) as f64, 0.0) }
        })
        .collect()
}

async fn ask(site: &Site, query: &str) -> Value {
    let answer = site.ask(get(&format!("/api/query?{query}"))).await;
    assert_eq!(answer.status(), StatusCode::OK, "{query}");
    json_of(answer).await
}

fn sum(counts: &Value) -> u64 {
    let bars = counts.as_array().expect("bars").iter();
    bars.flat_map(|bar| bar.as_array().expect("parts")).filter_map(Value::as_u64).sum()
}

#[tokio::test]
async fn chart_bars_heatmap_and_table_agree_with_each_other_and_with_the_rows() {
    let site = Site::new();
    let now_ms = now_ms();
    let all = rows(now_ms);
    site.write(&all).await;
    for (from_ms, to_ms, sensors, text, threshold) in [
        (now_ms - 3_600_000, now_ms, vec![], "", 2.0),
        (now_ms - 1_234_567, now_ms - 77_001, vec![], "", 3.5),
        (now_ms - 90_000, now_ms - 45_000, vec!["sensor 1", "sensor 3"], "", 1.0),
        (now_ms - 3_600_000, now_ms, vec!["sensor 2"], "iotValue:>=50 -iotValue:77", 0.5),
        (now_ms - 3_600_000, now_ms, vec!["none"], "", 2.0),
        (now_ms - 3_600_000, now_ms, vec![""], "", 2.0),
        (now_ms - 3_600_000, now_ms, vec!["", "sensor 4"], "", 2.0),
    ] {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("from", &from_ms.to_string()).append_pair("to", &to_ms.to_string());
        sensors.iter().for_each(|sensor| _ = query.append_pair("sensor", sensor));
        query.append_pair("q", text).append_pair("threshold", &threshold.to_string());
        let query = query.append_pair("size", "10000").append_pair("points", "100000").finish();
        let answer = ask(&site, &query).await;
        let expected: Vec<&Reading> = all
            .iter()
            .filter(|row| (from_ms..=to_ms).contains(&row.created_ms))
            .filter(|row| sensors.is_empty() || sensors.contains(&row.name.as_str()))
            .filter(|row| text.is_empty() || (row.value >= 50.0 && row.value != 77.0))
            .collect();
        let n = expected.len() as u64;
        assert_eq!(answer["total"], n, "{query}");
        assert_eq!(answer["table"]["total"], n);
        assert_eq!(answer["table"]["rows"].as_array().map(Vec::len), Some(expected.len()));
        assert_eq!(sum(&answer["bars"]["counts"]), n);
        assert_eq!(answer["chart"]["t"].as_array().map(Vec::len), Some(expected.len()));
        let alerts = expected.iter().filter(|row| row.score >= Some(threshold)).count();
        assert_eq!(answer["scores"]["alerts"], alerts, "{query}");
        let mut by_name: BTreeMap<&str, (u64, Option<f64>)> = BTreeMap::new();
        for row in &expected {
            let of = by_name.entry(&row.name).or_default();
            *of = (of.0 + 1, if row.score > of.1 { row.score } else { of.1 });
        }
        let heat = answer["heat"]["rows"].as_array().expect("rows");
        assert_eq!(heat.len(), by_name.len());
        for row in heat {
            let (n_rows, highest) = by_name[row["name"].as_str().expect("a name")];
            assert_eq!((&row["n"], &row["highest"]), (&json!(n_rows), &json!(highest)));
        }
    }
}

#[tokio::test]
async fn pages_of_the_heatmap_are_parts_of_one_order() {
    let site = Site::new();
    let now_ms = now_ms();
    let some: Vec<Reading> = (0..1_500)
        .map(|n| reading(now_ms - n, &format!("s{n}"), 1.0, (n % 37) as f64 / 10.0))
        .collect();
    site.write(&some).await;
    let bounds = format!("from={}&to={now_ms}", now_ms - 60_000);
    let mut names = Vec::new();
    for first in (0..1_500).step_by(400) {
        let path = format!("/api/heat?{bounds}&heat_from={first}&heat_size=400");
        let page = json_of(site.ask(get(&path)).await).await;
        assert_eq!((&page["n_sensors"], &page["first"]), (&json!(1_500), &json!(first)));
        let rows = page["rows"].as_array().expect("rows");
        names.extend(rows.iter().map(|row| (row["highest"].as_f64(), row["name"].clone())));
    }
    assert_eq!(names.len(), 1_500);
    assert!(names.is_sorted_by(|a, b| a.0 >= b.0));
    names.sort_by_key(|(_, name)| name.to_string());
    names.dedup();
    assert_eq!(names.len(), 1_500);
}

#[tokio::test]
async fn files_hold_every_row_of_the_query_in_its_order() {
    let site = Site::new();
    let now_ms = now_ms();
    // More than one search of the index gives.
    let mut all: Vec<Reading> =
        (0..12_000).map(|n| reading(now_ms - n, "a", ((n * 31) % 12_000) as f64, 0.8)).collect();
    all.push(reading(now_ms, "=HYPERLINK(\"x\"), \"quoted\"", 99_999.0, 3.0));
    site.write(&all).await;
    let query = "from=now-1h&sort=iotValue:desc";
    let answer = site.ask(get(&format!("/api/export?{query}&format=ndjson"))).await;
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"eddy.ndjson\"");
    assert_eq!(answer.headers()["x-eddy-rows"], "12001");
    let lines = text(answer).await;
    let values: Vec<f64> = lines
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).expect("JSON");
            assert!(row["_id"].is_string());
            row["_source"]["iotValue"].as_f64().expect("a number")
        })
        .collect();
    assert_eq!(values.len(), 12_001);
    assert!(values.is_sorted_by(|a, b| a >= b));

    let csv = text(site.ask(get(&format!("/api/export?{query}&format=csv"))).await).await;
    let mut lines = csv.split("\r\n");
    let header = lines.next().expect("a header");
    assert!(header.starts_with("_id,") && header.contains("iotValue"), "{header}");
    let first = lines.next().expect("a row");
    assert!(first.contains("\"'=HYPERLINK(\"\"x\"\"), \"\"quoted\"\"\""), "{first}");
    assert_eq!(csv.matches("\r\n").count(), 12_002);
    let few = text(site.ask(get("/api/export?from=now-1h&q=iotValue:%3C2&format=csv")).await).await;
    assert_eq!(few.matches("\r\n").count(), 3);
}

#[tokio::test]
async fn downloads_that_nobody_reads_leave_room_for_all_else() {
    let site = Site::new();
    let now_ms = now_ms();
    let all: Vec<Reading> = (0..8_000).map(|n| reading(now_ms - n, "a", n as f64, 0.8)).collect();
    site.write(&all).await;
    let (page, _end) = site.routes();
    let ask = async |path: &str| page.clone().oneshot(get(path)).await.expect("answers");
    let mut unread = Vec::new();
    let refused = loop {
        let answer = ask("/api/export?from=now-1h").await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
        unread.push(answer);
        assert!(unread.len() < 10, "each takes a thread");
    };
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(text(refused).await.contains("try again"));
    assert_eq!(ask("/api/query?from=now-1h").await.status(), StatusCode::OK);
    // One that is given up makes room, as soon as its thread has seen it.
    let read = unread.pop().expect("there are some");
    assert_eq!(text(read).await.lines().count(), 8_000);
    drop(unread);
    while ask("/api/export?from=now-1h").await.status() != StatusCode::OK {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn many_named_sensors_make_no_more_points_than_are_drawn() {
    let site = Site::new();
    let now_ms = now_ms();
    let all: Vec<Reading> = (0..60_000_i64)
        .map(|n| reading(now_ms - n / 2, &format!("s{}", n % 200), (n * 7919 % 100) as f64, 0.8))
        .collect();
    site.write(&all).await;
    let bounds = format!("from={}&to={now_ms}", now_ms - 60_000);
    let sensors: String = (0..200).map(|n| format!("&sensor=s{n}")).collect();
    let answer = ask(&site, &format!("{bounds}&px=1200{sensors}")).await;
    assert_eq!((&answer["total"], &answer["chart"]["thinned"]), (&json!(60_000), &json!(true)));
    // With a column a pixel hardly any row would be left out.
    let n_points = answer["chart"]["t"].as_array().expect("points").len();
    assert!((10_000..50_000).contains(&n_points), "{n_points}");
    let few = ask(&site, &format!("{bounds}&px=8000{sensors}")).await;
    assert_eq!(few["chart"]["t"].as_array().map(Vec::len), Some(n_points));
}

#[tokio::test]
async fn rows_of_a_model_that_learns_alert_at_no_threshold() {
    let mut site = Site::new();
    site.label_rows();
    let now_ms = now_ms();
    let all: Vec<Reading> = (0..100)
        .map(|n| {
            reading(
                now_ms - n,
                "a",
                if n < 10 { 150.0 } else { 1.0 },
                if n < 5 { 3.0 } else { 0.0 },
            )
        })
        .collect();
    site.write(&all).await;
    for threshold in ["0", "-1", "2"] {
        let answer = ask(&site, &format!("from=now-1h&threshold={threshold}")).await;
        assert_eq!(
            (&answer["scores"]["scored"], &answer["scores"]["alerts"]),
            (&json!(5), &json!(5))
        );
        let labels = &answer["labels"];
        assert_eq!((&labels["anomalies"], &labels["could"]), (&json!(10), &json!(5)), "{labels}");
        assert_eq!((&labels["recall"], &labels["precision"]), (&json!(1.0), &json!(1.0)));
    }
}

#[tokio::test]
async fn what_cannot_be_answered_says_why() {
    let site = Site::new();
    for (path, word) in [
        ("/api/query?from=soon", "from"),
        ("/api/query?q=iotValue", "without a field"),
        ("/api/query?from=now&to=now-1h", "ends before"),
        ("/api/export?format=xlsx", "csv or ndjson"),
    ] {
        let answer = site.ask(get(path)).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
        let said = json_of(answer).await;
        assert!(said["error"].as_str().is_some_and(|error| error.contains(word)), "{said}");
    }
    let empty = ask(&site, "").await;
    assert_eq!((&empty["total"], &empty["labels"]), (&json!(0), &Value::Null));
}
