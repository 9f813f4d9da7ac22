//! Scenes as others use them.

mod faults;
mod play;
mod scenes;
mod templates;

use eddy_sensors::{Player, Scene, SceneRecord};

/// The first records of a scene.
fn records(scene: &Scene, n_records: usize) -> Vec<SceneRecord> {
    let mut player = Player::new(scene).expect("a scene that can be played");
    let mut next = || {
        let mut record = SceneRecord::default();
        player.next(&mut record);
        record
    };
    (0..n_records).map(|_| next()).collect()
}

fn scene(text: &str) -> Scene {
    Scene::from_toml(text).expect("a scene")
}

/// A field of a record as a number.
fn number(record: &SceneRecord, field: &str) -> f64 {
    let json: serde_json::Value = serde_json::from_slice(&record.data).expect("JSON");
    json[field].as_f64().unwrap_or_else(|| panic!("no {field}: {json}"))
}
