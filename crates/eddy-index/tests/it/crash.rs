//! What was acknowledged survives.

use std::fs;
use std::path::Path;

use eddy_index::{Index, IndexError, IndexSettings};
use serde_json::json;

use crate::support::{Endpoint, reading};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("listed");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            // A merge may remove a file that it has replaced while it is being listed.
            let _ = fs::copy(entry.path(), target);
        }
    }
}

#[tokio::test]
async fn a_restart_finds_everything() {
    let endpoint = Endpoint::new();
    endpoint.fill(&[reading("2026-11-23T12:00:00Z", "a", 1.0, 0.5)]).await;
    let endpoint = endpoint.reopened();
    assert_eq!(endpoint.ids(json!({"match_all": {}})).await, ["0"]);
    endpoint.fill(&[reading("2026-11-23T12:00:00Z", "a", 1.0, 0.5)]).await;
    assert_eq!(endpoint.ids(json!({"match_all": {}})).await, ["0"]);
}

#[tokio::test]
async fn a_copy_of_the_folder_taken_at_any_moment_holds_what_was_acknowledged() {
    let endpoint = Endpoint::new();
    for n_written in 1..=12_usize {
        let day = format!("2026-11-{:02}T12:00:00Z", 20 + n_written % 3);
        let path = format!("/anomalies/_doc/{n_written}");
        let body = reading(&day, "a", 1.0, 0.5).to_string();
        assert_eq!(endpoint.call("PUT", &path, &body).await.0, 201);
        let killed = tempfile::tempdir().expect("a folder");
        copy(endpoint.folder.path(), killed.path());
        // What a kill can leave: an index without its first file, and a format file cut short.
        fs::create_dir(killed.path().join("anomalies-2026.12.01")).expect("a folder");
        fs::write(killed.path().join("eddy-index.json"), "{").expect("written");
        let index = Index::open(IndexSettings::new(killed.path())).expect("recovers");
        let count = index.count("anomalies", &json!({})).expect("counts");
        assert_eq!(count, n_written as u64);
    }
}

#[tokio::test]
async fn a_second_opening_is_refused_until_the_first_is_gone() {
    let endpoint = Endpoint::new();
    let settings = IndexSettings::new(endpoint.folder.path());
    assert!(matches!(Index::open(settings), Err(IndexError::InUse { .. })));
    drop(endpoint.reopened());
}

#[test]
fn a_folder_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("eddy-index.json"), "{\"format\":2}").expect("written");
    let opened = Index::open(IndexSettings::new(folder.path()));
    assert!(matches!(opened, Err(IndexError::Format { found: 2, .. })));
}
