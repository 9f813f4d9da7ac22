//! How many records a second does one core make, of each scene that ships and of a template? Run
//! with `--release`.

use std::time::Instant;

use eddy_sensors::{Player, SCENES, Scene, SceneError, SceneRecord};

const N_RECORDS: u64 = 2_000_000;
const TEMPLATE: &str = r#"{"sensorId": {{random.number(50)}}, "currentTemperature": {{random.number({"min":10,"max":150})}},
    "status": "{{random.arrayElement(["OK","FAIL","WARN"])}}", "at": "{{date.utc("YYYY-MM-DD HH:mm:ss.SSS")}}"}"#;

fn main() -> Result<(), SceneError> {
    for (name, text) in SCENES {
        measure(name, &Scene::from_toml(text)?)?;
    }
    measure("template", &Scene::of_template(TEMPLATE)?)
}

fn measure(name: &str, scene: &Scene) -> Result<(), SceneError> {
    let mut player = Player::new(scene)?;
    let mut record = SceneRecord::default();
    let mut n_bytes = 0;
    let start = Instant::now();
    for _ in 0..N_RECORDS {
        player.next(&mut record);
        n_bytes += record.data.len();
    }
    let micros = start.elapsed().as_micros().max(1);
    let per_second = u128::from(N_RECORDS) * 1_000_000 / micros;
    println!("{name:12} {per_second:>10} records/s, {n_bytes} bytes");
    Ok(())
}
