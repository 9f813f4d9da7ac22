//! The settings that the documents show can be used as they stand.

use std::path::Path;

use eddy_pipeline::Settings;

/// The TOML examples of a document.
fn examples(document: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join(document)).expect("the document is there");
    let blocks = text.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().expect("split gives one").to_owned()).collect()
}

#[test]
fn every_example_of_the_documents_is_a_settings_file() {
    for document in
        ["README.md", "docs/settings.md", "docs/fleet.md", "docs/from-kinesis-analytics.md"]
    {
        let examples = examples(document);
        assert!(!examples.is_empty(), "{document} shows no settings");
        for example in examples {
            if cfg!(not(feature = "sql")) && example.contains("[application]") {
                continue;
            }
            let settings = match Settings::parse(&example, document) {
                Ok(settings) => settings,
                Err(error) => panic!("{error}\n{example}"),
            };
            if document == "docs/fleet.md" {
                settings.check_fleet().expect("for a fleet");
            }
        }
    }
}

#[test]
fn the_loop_that_the_readme_prints_is_the_worker_s() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("../../README.md")).expect("there");
    let worker = std::fs::read_to_string(root.join("src/worker.rs")).expect("there");
    let shown = readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next());
    let mut lines = worker.lines().map(str::trim);
    for line in shown.expect("the loop is shown").lines() {
        assert!(lines.any(|code| code == line.trim()), "{line} is not in worker.rs, in this order");
    }
}
