//! Templates as people saved them from the Kinesis Data Generator.

use eddy_sensors::{Scene, Template};

use crate::{records, scene};

const WEATHER: &str = r#"
{
    "sensorId": {{random.number(50)}},
    "currentTemperature": {{random.number(
        {
            "min":10,
            "max":150
        }
    )}},
    "ipaddress": "{{internet.ip}}",
    "status": "{{random.weightedArrayElement({
        "weights": [0.90,0.02,0.08],
        "data": ["OK","FAIL","WARN"]
    })}}",
    "at": "{{date.utc("YYYY/MM/DD HH:mm:ss")}}"
}
"#;

#[test]
fn a_saved_template_runs_with_the_scenes_time_and_a_random_key_a_record() {
    let mut scene = Scene::of_template(WEATHER).expect("a template");
    scene.start = Some("2026-02-03T04:05:06Z".to_owned());
    let records = records(&scene, 2000);
    let mut n_failed = 0;
    for (idx, record) in records.iter().enumerate() {
        let json: serde_json::Value = serde_json::from_slice(&record.data).expect("JSON");
        assert!(json["sensorId"].as_u64().is_some_and(|id| id <= 50));
        assert!((10..=150).contains(&json["currentTemperature"].as_u64().expect("a number")));
        n_failed += usize::from(json["status"] == "FAIL");
        if idx < 10 {
            assert_eq!(json["at"], "2026/02/03 04:05:06");
        }
    }
    assert!((15..=70).contains(&n_failed), "{n_failed}");
    let keys: std::collections::BTreeSet<_> = records.iter().map(|record| &record.key).collect();
    assert!(keys.len() > 1990, "{}", keys.len());
    assert_eq!(records, crate::records(&scene, 2000));
}

#[test]
fn a_field_of_the_record_can_be_its_key() {
    let mut scene = Scene::of_template(WEATHER).expect("a template");
    scene.format.key_field = Some("sensorId".to_owned());
    for record in records(&scene, 100) {
        let json: serde_json::Value = serde_json::from_slice(&record.data).expect("JSON");
        assert_eq!(json["sensorId"].to_string(), *record.key);
    }
}

/// Every function that docs/sensors.md lists, so that the page cannot promise more than there is.
#[test]
fn every_function_of_the_documentation_is_known() {
    let page = include_str!("../../../../docs/sensors.md");
    let (_, table) = page.split_once("## Template functions").expect("the section");
    let section = table.split("\n## ").next().expect("its end");
    let rows = section.lines().filter(|line| line.starts_with('|'));
    let mut n_functions = 0;
    for name in rows.flat_map(|row| row.split('`').skip(1).step_by(2)) {
        if name == "sensor.FIELD" {
            continue;
        }
        let text = format!("{{{{{name}}}}}");
        let template = Template::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let sample = template.sample(1);
        assert!(!sample.contains('\n'), "{name}: {sample}");
        n_functions += 1;
    }
    assert!(n_functions > 100, "{n_functions}");
}

#[test]
fn a_template_that_is_text_alone_or_csv_is_a_record_too() {
    let scene = scene(
        "[format]\ntype = \"template\"\ntemplate = '{{name.firstName}},{{name.lastName}},{{random.number(70)}},{{internet.ip}}'",
    );
    let record = &records(&scene, 1)[0];
    let text = String::from_utf8_lossy(&record.data).into_owned();
    assert_eq!(text.split(',').count(), 4, "{text}");
}
