//! `eddy discover` and `eddy check`.

use serde_json::Value;

use crate::support::{complaint, eddy, stdout};

#[test]
fn a_discovered_schema_is_the_one_that_a_pipeline_reads() {
    let sample = "{\"iotName\":\"a\",\"iotValue\":12,\"at\":{\"lat\":1.5}}\n{\"iotName\":\"b\",\"iotValue\":1100}\n";
    let text = stdout(&["discover"], sample);
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    let column = |name: &str| {
        let columns = schema["RecordColumns"].as_array().expect("columns").iter();
        columns.clone().find(|column| column["Name"] == name).cloned().unwrap_or_default()
    };
    assert_eq!(column("iotName")["SqlType"], "VARCHAR(16)");
    assert_eq!(column("iotValue")["SqlType"], "INTEGER", "never narrower");
    assert_eq!(column("iotValue")["Mapping"], "$.iotValue");
    assert_eq!(schema["RecordFormat"]["RecordFormatType"], "JSON");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("schema.json");
    std::fs::write(&file, text).expect("written");
    let settings = folder.path().join("settings.toml");
    let toml = format!(
        "[source]\ntype = \"stdin\"\n[schema]\ninput_schema = {:?}\n[[sinks]]\ntype = \"stdout\"\n",
        file
    );
    std::fs::write(&settings, toml).expect("written");
    let said = stdout(&["check", settings.to_str().expect("UTF-8")], "");
    assert!(said.contains("good"), "{said}");
    assert!(complaint(&["discover"], "").contains("eddy: "));
}

#[test]
fn settings_that_cannot_be_used_are_refused_with_the_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("settings.toml");
    let path = file.to_str().expect("UTF-8");
    let good = "[source]\ntype = \"stdin\"\n[[sinks]]\ntype = \"stdout\"\n";
    for (text, says) in [
        ("", "source"),
        ("[source]\ntype = \"stdin\"\n", "sinks"),
        ("[source]\ntype = \"stdin\"\nsinks = []\n", "sinks"),
        (&good.replace("stdin", "sdtin"), "sdtin"),
        (&format!("{good}[detector]\ntress = 5\n"), "tress"),
        (&format!("{good}[detector]\ntrees = 0\n"), "trees"),
        (&format!("{good}[detector]\nkey = \"nobody\"\n"), "nobody"),
        (&format!("{good}[pipeline]\nthreshold = -1.0\n"), "threshold"),
        (&format!("{good}[schema]\ninput_schema = \"/no/such/file\"\n"), "/no/such/file"),
        (&good.replace("\"stdout\"", "\"opensearch\"\nurl = \"x\""), "url"),
        (&good.replace("\"stdout\"", "\"firehose\"\ndelivery_steram = \"x\""), "delivery_steram"),
        (&good.replace("\"stdout\"", "\"firehose\"\ndelivery_stream = \"\""), "delivery_stream"),
        (&good.replace("\"stdin\"", "\"file\"\npath = \"/no/such/input\""), "/no/such/input"),
        (&good.replace("\"stdin\"", "\"kinesis\"\nstream = \"\""), "source.stream"),
        (
            &good.replace("\"stdin\"", "\"kinesis\"\nstream = \"s\"\nread = { max_records = 0 }"),
            "max_records",
        ),
        (
            &good.replace(
                "\"stdin\"",
                "\"kinesis\"\nstream = \"s\"\nconnection = { endpoint_url = \"x\" }",
            ),
            "endpoint_url",
        ),
        (&format!("{good}[page]\nport = 1\n"), "port"),
        (&format!("{good}[page]\ntoken = \"hunter2\"\n"), "page.token"),
        (&format!("{good}[detector]\nexplain_from = nan\n"), "explain_from"),
        (&format!("{good}[pipeline]\ncommit_records = 0\n"), "commit_records"),
        (
            &format!(
                "dead_letters = \"rows\"\n{good}[[sinks]]\ntype = \"file\"\npath = \"./rows\"\n"
            ),
            "two uses",
        ),
        (&good.replace("\"stdout\"", "\"opensearch\"\nurl = \"http://u:hunter2@x\""), "use auth"),
        (&format!("{good}url = \"http://u:hunter2@x\" oops\n"), "line 5"),
        ("source = 1 =", "settings.toml"),
    ] {
        std::fs::write(&file, text).expect("written");
        let said = complaint(&["check", path], "");
        assert!(said.contains(says), "{text}\n{said}");
        let output = eddy(&["run", path], "");
        assert!(!output.status.success(), "{text}");
        assert!(!said.contains("panicked") && !said.contains("hunter2"), "{said}");
    }
    assert!(complaint(&["check", "no-such.toml"], "").contains("no-such.toml"));
}
