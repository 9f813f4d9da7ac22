//! `eddy run SETTINGS.toml`.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::support::{eddy, stdout};

fn settings(folder: &Path, source: &str, sink: &str) -> String {
    let file = folder.join("settings.toml");
    let at = folder.display();
    let text = format!(
        "dead_letters = \"{at}/dead-letters.ndjson\"\nstate = {{ path = \"{at}/state\" }}\n\
         [source]\n{source}\n[[sinks]]\n{sink}\n"
    );
    std::fs::write(&file, text).expect("written");
    file.to_str().expect("UTF-8").to_owned()
}

fn readings(rows: std::ops::Range<u32>) -> String {
    rows.fold(String::new(), |mut text, row| {
        let value = if row == 300 { 110 } else { 10 + row * 7 % 11 };
        writeln!(text, "{{\"iotName\":\"DemoSensor\",\"iotValue\":{value}}}").expect("a String");
        text
    })
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn standard_input_to_standard_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = settings(folder.path(), "type = \"stdin\"", "type = \"stdout\"");
    let mut input = readings(0..400);
    input.push_str("{\"iotName\":\"DemoSensor\"\n\n{\"iotName\":\"DemoSensor\",\"iotValue\":11}\n");
    let output = eddy(&["run", &file], &input);
    assert!(output.status.success());
    let rows = objects(&String::from_utf8(output.stdout).expect("UTF-8"));
    assert_eq!(rows.len(), 401);
    assert!(rows[300]["ANOMALY_SCORE"].as_f64().is_some_and(|score| score > 2.0));
    let why = &rows[300]["ANOMALY_EXPLANATION"]["iotValue"];
    assert!(why["high"].as_f64() > why["low"].as_f64(), "{why}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("402 records: 401 delivered, 1 dead-lettered"), "{said}");
    let letters = std::fs::read_to_string(folder.path().join("dead-letters.ndjson"));
    let letters = objects(&letters.expect("there is one"));
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["stage"], "decode");
}

#[test]
fn a_file_that_grew_goes_on_where_the_last_run_stopped_with_the_same_scores() {
    let whole = tempfile::tempdir().expect("a folder");
    let piecewise = tempfile::tempdir().expect("a folder");
    let scores = |folder: &Path, ends: &[u32]| {
        let input = folder.join("readings.ndjson");
        let rows = folder.join("rows.ndjson");
        let source = format!("type = \"file\"\npath = {input:?}");
        let file = settings(folder, &source, &format!("type = \"file\"\npath = {rows:?}"));
        for end in ends {
            std::fs::write(&input, readings(0..*end)).expect("written");
            stdout(&["run", &file], "");
        }
        let rows = objects(&std::fs::read_to_string(rows).expect("written"));
        rows.iter().map(|row| row["ANOMALY_SCORE"].as_f64().expect("a score")).collect::<Vec<_>>()
    };
    let expected = scores(whole.path(), &[500]);
    assert_eq!(expected.len(), 500);
    assert_eq!(scores(piecewise.path(), &[70, 71, 301, 500]), expected);
}
