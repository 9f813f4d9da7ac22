//! `eddy dashboards` as a person runs it.

use std::process::{Command, Output};

use serde_json::Value;

fn dashboards(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eddy"));
    command.arg("dashboards").args(arguments).output().expect("the binary starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_export_writes_every_file_for_the_chosen_index() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("d");
    let path = out.display().to_string();
    let output =
        dashboards(&["export", "--index", "scores", "--out", &path, "--retention-days", "7"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let read = |name: &str| std::fs::read_to_string(out.join(name)).expect(name);
    let objects: Vec<Value> = read("saved-objects.ndjson")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(objects.len(), 6);
    assert_eq!(objects[0]["attributes"]["title"], "scores-2*");
    let json = |name: &str| serde_json::from_str::<Value>(&read(name)).expect("JSON");
    assert_eq!(json("index-template.json")["index_patterns"][0], "scores-2*");
    assert_eq!(
        json("index-template-ilm.json")["template"]["settings"]["index.lifecycle.name"],
        "eddy-scores"
    );
    assert_eq!(json("ilm-policy.json")["policy"]["phases"]["delete"]["min_age"], "7d");
    assert_eq!(
        json("ism-policy.json")["policy"]["ism_template"][0]["index_patterns"][0],
        "scores-2*"
    );
    assert!(json("grafana.json")["panels"].is_array());
    let told = String::from_utf8(output.stdout).expect("text");
    assert!(told.contains("PUT _index_template/eddy-scores"), "{told}");
}

#[test]
fn a_settings_file_says_which_rows_there_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = folder.path().join("s.toml");
    let text = r#"
        [source]
        type = "stdin"
        [schema.inline]
        format = "json"
        columns = [{ name = "pump", type = "VARCHAR(9)" }, { name = "bar", type = "DOUBLE" }]
        [detector]
        key = "pump"
        [[sinks]]
        type = "opensearch"
        url = "http://127.0.0.1:9200"
        index = "pumps"
        rotation = "no_rotation"
    "#;
    std::fs::write(&settings, text).expect("written");
    let (settings, out) = (settings.display().to_string(), folder.path().join("out"));
    let path = out.display().to_string();
    let output = dashboards(&["export", "--settings", &settings, "--out", &path]);
    assert!(output.status.success(), "{}", stderr(&output));
    let ndjson = std::fs::read_to_string(out.join("saved-objects.ndjson")).expect("written");
    assert!(ndjson.contains(r#""columns":["pump","bar","ANOMALY_SCORE"]"#), "{ndjson}");
    assert!(ndjson.contains(r#""title":"pumps""#), "{ndjson}");
    assert!(!out.join("ism-policy.json").exists(), "the only index is never deleted");

    let output = dashboards(&["export", "--settings", &settings, "--key", "pmup", "--out", &path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no column pmup"), "{}", stderr(&output));
}

#[test]
fn an_export_keeps_the_retention_of_the_settings() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = folder.path().join("s.toml").display().to_string();
    let export = |sink: &str, more: &[&str]| {
        let out = tempfile::tempdir().expect("a folder");
        let text = format!(
            "[source]\ntype = \"stdin\"\n\
             [[sinks]]\ntype = \"opensearch\"\nurl = \"http://127.0.0.1:9200\"\n{sink}\n"
        );
        std::fs::write(&settings, text).expect("written");
        let path = out.path().display().to_string();
        let arguments = ["export", "--settings", &settings, "--out", &path];
        let output = dashboards(&[&arguments[..], more].concat());
        assert!(output.status.success(), "{sink} {more:?}: {}", stderr(&output));
        let policy = std::fs::read(out.path().join("ilm-policy.json")).ok()?;
        let policy: Value = serde_json::from_slice(&policy).expect("JSON");
        policy["policy"]["phases"]["delete"]["min_age"].as_str().map(str::to_owned)
    };
    let year = "install = { retention_days = 365 }";
    assert_eq!(export(year, &[]).as_deref(), Some("365d"));
    assert_eq!(export(year, &["--retention-days", "7"]).as_deref(), Some("7d"));
    assert_eq!(export(year, &["--rotation", "no-rotation"]), None);
    assert_eq!(export("install = true", &[]), None, "rows are kept for ever");
    let serverless = "auth = { type = \"aws\", region = \"eu-west-1\", service = \"aoss\" }";
    assert_eq!(export(serverless, &[]), None, "a collection has policies of its own");
}

#[test]
fn an_install_that_reaches_nothing_says_what_to_check() {
    let output = dashboards(&["install", "--url", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("check --url"), "{}", stderr(&output));
    let output = dashboards(&["install", "--url", "http://127.0.0.1:1", "--username", "a"]);
    assert_eq!(output.status.code(), Some(2));
}
