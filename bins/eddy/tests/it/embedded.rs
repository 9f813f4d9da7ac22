//! `eddy` without arguments: the embedded default, killed and started again.

use std::fmt::Write as _;

use eddy_kinesis::{ConnectionSettings, Producer, ProducerSettings, client};
use eddy_sensors::{Reading, SensorSettings, Sensors};
use serde_json::Value;

use crate::support::{Embedded, stdout};

fn readings(n_readings: usize) -> Vec<Reading> {
    let settings = SensorSettings { seed: 11, ..SensorSettings::default() };
    Sensors::new(settings).expect("valid").take(n_readings).collect()
}

/// Puts readings into the endpoint with the real client.
fn put(endpoint: &str, readings: &[Reading]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let client = client(&ConnectionSettings::local(endpoint)).await;
        let producer = Producer::new(client, ProducerSettings::unlimited("RawStreamData"));
        for reading in readings {
            let payload = reading.to_json().into();
            producer.put(&reading.name, payload).await.expect("accepted");
        }
        let counts = producer.flush().await;
        assert_eq!((counts.acknowledged, counts.failed), (readings.len() as u64, 0));
    });
}

/// The scores in the order of the stream, with the values.
fn scores(eddy: &Embedded) -> Vec<(f64, f64)> {
    let mut rows: Vec<Value> = Vec::new();
    // In slices: one answer has at most 10 000 hits.
    for low in 0..130 {
        let query = format!("/es/anomalies/_search?size=10000&q=iotValue:{low}");
        rows.extend(eddy.get(&query)["hits"]["hits"].as_array().expect("hits").iter().cloned());
    }
    let position = |row: &Value| {
        let id = row["_id"].as_str().expect("an id").to_owned();
        let mut parts = id.split(':').skip(1);
        let created: u64 = parts.next().expect("a moment").parse().expect("a number");
        let sequence = parts.nth(1).expect("a sequence number").to_owned();
        (created, sequence.len(), sequence)
    };
    rows.sort_by_cached_key(position);
    let number = |row: &Value, field: &str| row["_source"][field].as_f64().expect("a number");
    rows.iter().map(|row| (number(row, "iotValue"), number(row, "ANOMALY_SCORE"))).collect()
}

/// The same readings through the filter.
fn filtered(readings: &[Reading]) -> Vec<(f64, f64)> {
    let mut csv = String::from("iotValue\n");
    readings.iter().for_each(|reading| writeln!(csv, "{}", reading.value).expect("a String"));
    let text = stdout(&["score", "--time-decay", "0.00001", "--score-only"], csv);
    let scores = text.lines().map(|line| line.parse().expect("a number"));
    readings.iter().map(|reading| f64::from(reading.value)).zip(scores).collect()
}

#[test]
fn the_scores_are_those_of_the_filter_to_the_last_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let readings = readings(20_000);
    let eddy = Embedded::start(folder.path(), &["--no-sensors"]);
    put(&eddy.kinesis, &readings);
    eddy.wait_for(20_000);
    assert_eq!(scores(&eddy), filtered(&readings));
}

#[test]
fn a_kill_loses_nothing_delivered_and_keeps_the_models() {
    let folder = tempfile::tempdir().expect("a folder");
    let readings = readings(900);
    let mut delivered = Vec::new();
    for piece in readings.chunks(300) {
        let eddy = Embedded::start(folder.path(), &["--no-sensors"]);
        assert_eq!(eddy.count(), delivered.len() as u64);
        assert_eq!(scores(&eddy), delivered, "a start changes nothing");
        put(&eddy.kinesis, piece);
        eddy.wait_for(delivered.len() as u64 + 300);
        delivered = scores(&eddy);
        eddy.kill();
    }
    let eddy = Embedded::start(folder.path(), &["--no-sensors"]);
    assert_eq!(eddy.count(), 900);
}

#[test]
fn starts_within_one_second_write_no_document_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let readings = readings(12);
    for (which, piece) in (1..).zip(readings.chunks(3)) {
        let eddy = Embedded::start(folder.path(), &["--no-sensors"]);
        put(&eddy.kinesis, piece);
        eddy.wait_for(which * 3);
        eddy.kill();
    }
    let eddy = Embedded::start(folder.path(), &["--no-sensors"]);
    assert_eq!(eddy.count(), 12);
}

#[test]
fn ctrl_c_settles_what_the_stream_holds_saves_the_models_and_prints_the_counters() {
    let folder = tempfile::tempdir().expect("a folder");
    let readings = readings(2000);
    for (which, piece) in readings.chunks(1000).enumerate() {
        let eddy = Embedded::start(folder.path(), &["--no-sensors"]);
        put(&eddy.kinesis, piece);
        let said = eddy.interrupt();
        assert!(said.contains("1000 records: 1000 delivered, 0 dead-lettered"), "{said}");
        let learning = if which == 0 { "64 while learning" } else { "0 while learning" };
        assert!(said.contains(learning), "{said}");
    }
    let eddy = Embedded::start(folder.path(), &["--no-sensors"]);
    assert_eq!(scores(&eddy), filtered(&readings));
}

#[test]
fn the_sensors_show_scores_and_anomalies_soon() {
    let folder = tempfile::tempdir().expect("a folder");
    let eddy = Embedded::start(folder.path(), &["--rate", "1000"]);
    eddy.wait_for(2000);
    let query = "/es/anomalies/_search?size=1&sort=ANOMALY_SCORE:desc";
    let top = eddy.get(query)["hits"]["hits"][0]["_source"].clone();
    assert!(top["ANOMALY_SCORE"].as_f64().is_some_and(|score| score > 2.0), "{top}");
    assert!(top["iotValue"].as_f64().is_some_and(|value| value >= 100.0), "{top}");
    assert!(top["ANOMALY_EXPLANATION"]["iotValue"]["high"].as_f64().is_some(), "{top}");
    let status = eddy.get("/api/status");
    assert_eq!(status["dead_lettered"], 0);
    let said = eddy.interrupt();
    assert!(said.contains(" 0 dead-lettered"), "{said}");
}

#[test]
fn the_page_knows_how_right_the_sensors_alerts_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let eddy = Embedded::start(folder.path(), &["--rate", "1000"]);
    eddy.wait_for(1_500);
    // Of a fixed time, so that rows of it can be counted.
    let to = eddy.get("/api/query?size=0")["now_ms"].as_i64().expect("a time");
    let bounds = format!("from={}&to={to}&size=0", to - 3_600_000);
    let judged = loop {
        let answer = eddy.get(&format!("/api/query?{bounds}"));
        let high = eddy.get(&format!("/api/query?{bounds}&q=iotValue:%3E=100"));
        // Rows of that time may still be on their way, and so may labels.
        if answer["labels"]["anomalies"] == high["total"] && answer["labels"]["unknown"] == 0 {
            break answer;
        }
        std::thread::yield_now();
    };
    let labels = &judged["labels"];
    let number = |name: &str| labels[name].as_u64().expect("a count");
    assert!(number("could") > 0 && number("could") <= number("anomalies"), "{labels}");
    assert_eq!(number("right") + number("wrong"), judged["scores"]["alerts"].as_u64().expect("n"));
    assert_eq!(number("right"), number("found"), "{labels}");
    assert!(labels["precision"].as_f64().is_some_and(|share| share > 0.8), "{labels}");
    // From 0 on everything alerts: all anomalies are found, and precision is their share.
    let all = eddy.get(&format!("/api/query?{bounds}&threshold=0.1"));
    assert_eq!(all["labels"]["recall"], 1.0, "{}", all["labels"]);
    assert!(all["labels"]["wrong"].as_u64() > Some(500), "{}", all["labels"]);
}
