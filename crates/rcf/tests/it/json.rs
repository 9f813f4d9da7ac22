//! Forests as JSON; with the feature `serde`.

use std::path::PathBuf;

use rcf::{Forest, ForestSettings};
use serde_json::Value;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

#[test]
fn a_forest_comes_back_from_json_to_the_last_bit() {
    for (n_dims, shingle_size, n_learnt) in [(1, 1, 500), (2, 3, 500), (3, 1, 7), (1, 1, 0)] {
        let mut settings = ForestSettings::new(n_dims);
        (settings.shingle_size, settings.n_trees, settings.sample_size) = (shingle_size, 4, 32);
        let mut forest = settings.build().expect("valid");
        let point = |n: u32| [(n * n % 37) as f32 / 3.0, (n % 11) as f32, -0.1];
        for n in 0..n_learnt {
            forest.update(&point(n)[..n_dims]).expect("finite");
        }
        let json = serde_json::to_string(&forest).expect("a forest");
        let mut restored: Forest = serde_json::from_str(&json).expect("its own JSON");
        assert_eq!(restored.to_bytes(), forest.to_bytes());
        for n in n_learnt..n_learnt + 100 {
            let point = &point(n)[..n_dims];
            assert_eq!(restored.score_and_update(point), forest.score_and_update(point));
        }
        assert_eq!(restored.to_bytes(), forest.to_bytes());
    }
}

#[test]
fn json_of_every_version_is_read_and_is_the_same_forest() {
    let bytes = std::fs::read(folder().join("version-2.rcf")).expect("a file");
    let forest = Forest::from_bytes(&bytes).expect("a snapshot");
    let path = folder().join("json-version-1.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, serde_json::to_string(&forest).expect("a forest")).expect("a file");
    }
    let json = std::fs::read_to_string(path).expect("a file");
    let restored: Forest = serde_json::from_str(&json).expect("a snapshot");
    // What follows from these bytes is checked where they are.
    assert_eq!(restored.to_bytes(), forest.to_bytes());
}

#[test]
fn what_is_no_forest_is_an_error() {
    let json = std::fs::read_to_string(folder().join("json-version-1.json")).expect("a file");
    let whole: Value = serde_json::from_str(&json).expect("JSON");
    let refused = |change: fn(&mut Value)| {
        let mut changed = whole.clone();
        change(&mut changed);
        assert_ne!(changed, whole);
        serde_json::from_value::<Forest>(changed).expect_err("no forest").to_string()
    };
    assert!(refused(|json| json["rcf_version"] = 2.into()).contains("newer version"));
    assert!(refused(|json| json["settings"]["n_trees"] = 0.into()).contains("n_trees"));
    assert!(refused(|json| json["settings"]["n_trees"] = 9.into()).contains("trees"));
    assert!(refused(|json| json["points"][0] = Value::Array(Vec::new())).contains("length"));
    assert!(refused(|json| json["trees"][0]["parts"][0] = Value::Null).contains("match"));
    assert!(refused(|json| json["trees"][0]["parts"] = Value::Array(Vec::new())).contains("fit"));
    assert!(refused(|json| json["trees"][0]["weights"][0] = (-1.0).into()).contains("weight"));
    assert!(refused(|json| json["more"] = 1.into()).contains("more"));
    assert!(refused(|json| json["settings"]["tree"] = 1.into()).contains("`tree`"));
}
