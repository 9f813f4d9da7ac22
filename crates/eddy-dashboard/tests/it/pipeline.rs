//! The views of the pipeline and of an SQL application.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::{Site, get, json_of};
use crate::visit::{SCRIPT, Visit};

fn letters(n: usize) -> String {
    let mut text = String::new();
    for n in 0..n {
        let (raw, reason) = match n % 3 {
            0 => (
                b"{\"iotName\": \"a\", \"iotValue\": \"high\"}".to_vec(),
                "column iotValue: not a number",
            ),
            1 => (vec![0xff, 0x00, 0x41, 0x0a], "the payload is not UTF-8"),
            _ => (SCRIPT.as_bytes().to_vec(), SCRIPT),
        };
        let letter = json!({
            "stream": "RawStreamData", "stream_created_ms": 1, "partition": "shardId-000000000000",
            "sequence_number": n.to_string(), "sub_sequence_number": 0, "output_idx": 0,
            "arrival": "2026-11-23T12:00:00.000Z", "stage": "decode", "reason": reason,
            "raw": BASE64_STANDARD.encode(raw),
        });
        writeln!(text, "{letter}").expect("a String takes everything");
    }
    text
}

#[test]
fn the_pipeline_is_shown_with_all_its_counters() {
    let status = json!({
        "dead_lettered": 3, "behind_ms": 61_000, "models": 12, "model_bytes": 2_500_000,
        "memory_bytes": 123_000_000, "uptime_ms": 7_300_000,
        "totals": {"payloads": 2000, "bytes": 80_000, "records": 2000, "scored": 1900,
            "warming_up": 64, "unscored": 33, "anomalies": 7, "delivered": 1997, "clamped": 5,
            "dead_decode": 2, "dead_detect": 1, "dead_deliver": 0, "commits": 9, "restarts": 0,
            "decode_ns": 1000, "score_ns": 3000, "deliver_ns": 0, "commit_ns": 0},
        "partitions": {"shardId-000000000000": {"behind_ms": 61_000, "models": 12,
            "model_bytes": 2_500_000, "settled": {"sequence": "4912", "sub_sequence": 0},
            "holds_merge_ms": null, "waiting_rows": {"index": 40}}},
    });
    let Some(mut visit) = Visit::at("?view=pipeline", &[], status.clone()) else { return };
    for (name, text) in [
        ("records in", "2,000"),
        ("scored", "1,900"),
        ("anomalies", "7"),
        ("delivered", "1,997"),
        ("late", "5"),
        ("dead letters", "3"),
        ("behind", "61 s"),
        ("memory", "123 MB"),
        ("models", "12"),
        ("up", "2 h"),
    ] {
        visit.until(&format!(
            "document.querySelector('#counters b[data-name={name:?}]')?.textContent === {text:?}"
        ));
    }
    let row = visit.browser.text("#partitions tr");
    assert_eq!(row, "shardId-00000000000061 s122.5 MBindex 404912");
    // A rate, and where the time goes, are of what changes.
    let mut totals = status["totals"].clone();
    for (name, more) in [("records", 500), ("decode_ns", 1_000_000), ("score_ns", 3_000_000)] {
        totals[name] = json!(totals[name].as_u64().expect("a count") + more);
    }
    visit.site.say(json!({"totals": totals}));
    visit.until("document.getElementById('work').innerText.replace(/\\s+/g, ' ').startsWith('decoding 25 % scoring and learning 75 %')");
    visit.until("document.querySelector('#rate polyline')");
    visit.until("/^[1-9]/.test(document.getElementById('rate-note').textContent)");
    visit.end();
}

#[test]
fn dead_letters_are_read_from_the_newest_to_the_oldest_with_their_bytes() {
    let site = Site::new();
    std::fs::write(site.letters(), letters(120)).expect("written");
    site.say(json!({"dead_lettered": 120}));
    let Some(mut visit) = Visit::to(site, "?view=pipeline", &[]) else { return };
    let n_letters = "document.querySelectorAll('.letter').length";
    visit.until(&format!("{n_letters} === 50"));
    // The newest is the text of a script: it is shown as a text.
    assert!(
        visit.browser.text(".letter:nth-child(3)").contains("column iotValue: not a number")
            || visit.browser.text(".letter:nth-child(3)").contains("iotValue")
    );
    assert!(visit.browser.text(".letter summary").contains(SCRIPT));
    assert_eq!(visit.browser.value("document.querySelectorAll('main script').length"), 0);
    visit.browser.click(".letter:nth-child(2) summary");
    visit.until("document.querySelector('.letter:nth-child(2) .hex')");
    let hex = visit.browser.text(".letter:nth-child(2) .hex");
    assert!(hex.starts_with("000000  ff 00 41 0a") && hex.ends_with("··A·"), "{hex}");
    visit.browser.click(".letter:nth-child(3) summary");
    visit.until("document.querySelector('.letter:nth-child(3) pre')?.textContent === '{\"iotName\": \"a\", \"iotValue\": \"high\"}'");
    for expected in [100, 120] {
        visit.browser.click("#letters-more");
        visit.until(&format!("{n_letters} === {expected}"));
    }
    visit.until("document.getElementById('letters-more').hidden");
    visit.end();
}

#[tokio::test]
async fn pages_of_letters_are_bounded() {
    let site = Site::new();
    assert_eq!(json_of(site.ask(get("/api/letters")).await).await["letters"], json!([]));
    std::fs::write(site.letters(), letters(500)).expect("written");
    let mut before = Value::Null;
    let mut numbers = Vec::new();
    loop {
        let query = if before.is_null() { String::new() } else { format!("&before={before}") };
        let page = json_of(site.ask(get(&format!("/api/letters?size=9999{query}"))).await).await;
        let found = page["letters"].as_array().expect("letters");
        assert!(found.len() <= 100);
        numbers.extend(found.iter().map(|letter| letter["sequence_number"].clone()));
        before = page["before"].clone();
        if before.is_null() {
            break;
        }
    }
    let expected: Vec<Value> = (0..500).rev().map(|n| json!(n.to_string())).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn an_application_is_shown_with_its_graph_its_rates_and_its_latest_rows() {
    let view = |rows: u64| {
        json!({
            "name": "app.sql", "sql": "CREATE OR REPLACE STREAM \"HIGH\" -- <b>not markup</b>",
            "counters": {"rows_in": rows, "rows_out": rows / 2, "filtered": 1, "aggregated": 0,
                "failed": 0, "late": 0, "rejected": 0},
            "streams": [
                {"name": "SOURCE_SQL_STREAM_001", "is_source": true, "is_output": false,
                 "columns": ["v"], "rows": rows, "latest": [{"rowtime_ms": 1, "values": [1.5]}]},
                {"name": "HIGH", "is_source": false, "is_output": true, "columns": ["name", "v"],
                 "rows": rows / 2, "latest": [{"rowtime_ms": 2, "values": [SCRIPT, 110]}]},
            ],
            "pumps": [{"name": "P", "reads": ["SOURCE_SQL_STREAM_001"], "into": "HIGH", "rows": rows / 2}],
        })
    };
    let site = Site::new();
    site.say(json!({"is_application": true}));
    *site.application.lock().expect("not poisoned") = Some(view(100));
    let Some(mut visit) = Visit::to(site, "?view=sql", &[]) else { return };
    visit.until_text("sql", "CREATE OR REPLACE STREAM \"HIGH\" -- <b>not markup</b>");
    visit.until("document.querySelectorAll('#graph .stream').length === 2");
    assert_eq!(visit.browser.text("#graph .pump"), "PP");
    assert_eq!(visit.browser.text("#latest tr td:nth-child(2)"), SCRIPT);
    assert_eq!(visit.browser.value("document.querySelectorAll('main script, #sql b').length"), 0);
    // A stream is chosen in the graph, by mouse or key.
    visit.browser.value("document.querySelector('[data-stream=SOURCE_SQL_STREAM_001]').focus()");
    visit.browser.press("Enter");
    visit.until("document.querySelector('#latest tr td:nth-child(2)').textContent === '1.5'");
    assert!(visit.address_says().contains("stream=SOURCE_SQL_STREAM_001"));
    // The rates are live.
    *visit.site.application.lock().expect("not poisoned") = Some(view(10_000));
    visit.until("/^[1-9]/.test(document.querySelector('#graph .output .rate').textContent)");
    visit.until("document.getElementById('application-note').textContent.startsWith('10,000 rows in, 5,000 out')");
    visit.end();
}
