//! A process of a fleet, as the daemon starts it.

use crate::support::{complaint, stdout};

fn settings(folder: &tempfile::TempDir, sink: &str) -> String {
    let path = folder.path().join("settings.toml");
    let text = format!(
        "[source]\ntype = \"kinesis\"\nstream = \"s\"\n\
         connection = {{ endpoint_url = \"http://127.0.0.1:9\" }}\n[[sinks]]\n{sink}\n"
    );
    std::fs::write(&path, text).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn standard_output_is_the_daemon_s_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let refused = settings(&folder, "type = \"stdout\"");
    let said = complaint(&["kcl", &refused], "");
    assert!(said.contains("the daemon reads standard output"), "{said}");
    // No shard was given, and lines that are no messages were skipped.
    let good = settings(&folder, "type = \"file\"\npath = \"rows.ndjson\"");
    assert_eq!(stdout(&["kcl", &good], "\nnot a message\n{\"action\":\"dance\"}\n"), "");
}

#[test]
fn what_cannot_be_understood_ends_it_with_a_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let good = settings(&folder, "type = \"file\"\npath = \"rows.ndjson\"");
    let said = complaint(&["kcl", &good], "{\"action\":\"initialize\",\"shardId\":7}\n");
    assert!(said.contains("initialize"), "{said}");
}
