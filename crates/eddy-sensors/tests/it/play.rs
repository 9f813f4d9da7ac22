//! The same bytes, times, formats, deliveries, refusals.

use std::collections::BTreeMap;

use eddy_sensors::{
    Delivered, Player, SCENES, Scene, SceneRecord, SensorSettings, Sensors, Template,
};
use proptest::prelude::*;

use crate::{number, records, scene};

/// Records with their labels as a file has them.
fn bytes(records: &[SceneRecord]) -> Vec<u8> {
    let mut out = Vec::new();
    for (n_record, record) in (0..).zip(records) {
        out.extend_from_slice(&record.data);
        out.extend_from_slice(format!(" {} {}\n", record.key, record.due_us).as_bytes());
        if record.is_labelled() {
            record.write_label(n_record, &mut out);
        }
    }
    out
}

#[test]
fn the_walkthroughs_scene_reads_what_the_walkthroughs_sensors_read() {
    let scene = Scene::named("walkthrough").expect("it ships");
    let sensors = Sensors::new(SensorSettings::default()).expect("valid");
    for (record, reading) in records(&scene, 50_000).iter().zip(sensors) {
        assert_eq!(record.data, reading.to_json());
        assert_eq!(record.key, reading.name);
        assert_eq!(record.label.is_some(), reading.anomaly);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_same_seed_gives_the_same_bytes_however_many_are_taken_at_once(
        scene_idx in 0..SCENES.len(),
        seed: u64,
        batches in proptest::collection::vec(1_usize..200, 1..8),
    ) {
        let mut scene = Scene::named(SCENES[scene_idx].0).expect("it ships");
        scene.seed = seed;
        let n_records = batches.iter().sum();
        let expected = bytes(&records(&scene, n_records));
        // In batches, into one record's room, by copies of the player that go on from each other.
        let mut player = Player::new(&scene).expect("valid");
        let mut found = Vec::new();
        let mut record = SceneRecord::default();
        for n_batch in batches {
            let mut copy = player.clone();
            for _ in 0..n_batch {
                copy.next(&mut record);
                found.push(record.clone());
            }
            player = copy;
        }
        prop_assert_eq!(bytes(&found), expected);
    }

    #[test]
    fn records_never_go_back_in_time(scene_idx in 0..SCENES.len(), seed: u64) {
        let mut scene = Scene::named(SCENES[scene_idx].0).expect("it ships");
        scene.seed = seed;
        let due = records(&scene, 3000).iter().map(|record| record.due_us).collect::<Vec<_>>();
        prop_assert!(due.is_sorted());
    }
}

#[test]
fn another_seed_gives_other_bytes() {
    for (name, _) in SCENES {
        let mut scene = Scene::named(name).expect("it ships");
        let first = bytes(&records(&scene, 500));
        scene.seed = 43;
        assert_ne!(first, bytes(&records(&scene, 500)), "{name}");
    }
}

#[test]
fn a_record_has_name_time_and_fields_in_order() {
    let text = r#"
        start = "2026-03-01T12:00:00Z"
        rate = { type = "constant", per_second = 2 }
        [format]
        name_field = "id"
        time_field = "at"
        [[sensors]]
        name = "a \"b\", c"
        fields = [
            { name = "x", decimals = 1, signal = { type = "constant", value = 1.25 } },
            { name = "state", signal = { type = "category", values = ["o,k"] } },
        ]
    "#;
    let json = records(&scene(text), 2);
    assert_eq!(
        String::from_utf8_lossy(&json[1].data),
        r#"{"id":"a \"b\", c","at":"2026-03-01T12:00:00.500Z","x":1.3,"state":"o,k"}"#
    );
    let csv =
        scene(&text.replace("[format]", "[format]\ntype = \"csv\"\ntime_format = \"epoch_s\""));
    assert_eq!(Player::new(&csv).expect("valid").header(), Some(&b"id,at,x,state"[..]));
    assert_eq!(
        String::from_utf8_lossy(&records(&csv, 1)[0].data),
        r#""a ""b"", c",1772366400,1.3,"o,k""#
    );
}

const DELIVERIES: &str = r#"
    rate = { type = "constant", per_second = 100 }
    format = { time_field = "time" }
    [[sensors]]
    name = "s"
    fields = [{ name = "n", decimals = 0, signal = { type = "counter", step = 1 } }]
    [delivery]
    late = { probability = 0.02, by_s = [1, 5] }
    duplicate = { probability = 0.03, by_s = [0, 1] }
    out_of_order = { probability = 0.02, by_records = [2, 5] }
"#;

#[test]
fn records_come_late_twice_and_out_of_order_and_none_is_lost() {
    let records = records(&scene(DELIVERIES), 20_000);
    let mut n_of = BTreeMap::new();
    let mut seen = BTreeMap::new();
    let mut furthest = -1.0;
    for record in &records {
        *n_of.entry(record.delivered.as_str()).or_insert(0) += 1;
        let n = number(record, "n");
        #[expect(clippy::cast_possible_truncation, reason = "a counter of this test")]
        let n_seen = seen.entry(n as i64).or_insert(0);
        *n_seen += 1;
        let behind_ms = record.due_us / 1000 - (record.time_ms - 1_767_571_200_000);
        match record.delivered {
            Delivered::InTurn => {
                assert!(n > furthest, "{n} after {furthest}");
                furthest = n;
            }
            Delivered::Late => assert!((999..=5001).contains(&behind_ms), "{behind_ms}"),
            Delivered::Duplicate => assert!((0..=1001).contains(&behind_ms) && *n_seen > 1),
            Delivered::OutOfOrder => {
                // Behind the two to five that overtook it, late ones between them aside.
                assert!((1.0..=8.0).contains(&(furthest - n)), "{n} after {furthest}");
            }
        }
        if record.delivered != Delivered::InTurn {
            let mut label = Vec::new();
            record.write_label(7, &mut label);
            let label: serde_json::Value = serde_json::from_slice(&label).expect("JSON");
            assert_eq!(label["delivery"], record.delivered.as_str());
            assert_eq!(label["record"], 7);
        }
    }
    for (name, expected) in [("late", 400), ("duplicate", 600), ("out_of_order", 400)] {
        let found = n_of[name];
        assert!((expected * 3 / 4..=expected * 5 / 4).contains(&found), "{name}: {found}");
    }
    // All but those that are still held came.
    let n_missing = (0..18_500).filter(|n| !seen.contains_key(n)).count();
    assert_eq!(n_missing, 0);
}

#[test]
fn asking_for_disorder_changes_no_value() {
    let with = records(&scene(DELIVERIES), 1000);
    let without = records(&scene(DELIVERIES.split("[delivery]").next().expect("before")), 1200);
    let in_turn = with.iter().filter(|record| record.delivered == Delivered::InTurn);
    for record in in_turn {
        assert!(without.iter().any(|other| other.data == record.data));
    }
}

#[test]
fn however_many_are_overtaken_records_come() {
    let delivery = "out_of_order = { probability = 0.99, by_records = 100000 }";
    let (before, _) = DELIVERIES.split_once("late = ").expect("deliveries");
    let records = records(&scene(&format!("{before}{delivery}\n")), 5000);
    // Beyond a hundred thousand that wait, one goes early.
    let n_early = records.iter().filter(|r| r.delivered == Delivered::OutOfOrder).count();
    assert!((3000..4900).contains(&n_early), "{n_early}");
}

#[test]
fn too_many_late_records_do_not_keep_the_others_waiting() {
    let delivery = "late = { probability = 0.9, by_s = 86400 }";
    let (before, _) = DELIVERIES.split_once("late = ").expect("deliveries");
    let records = records(&scene(&format!("{before}{delivery}\n")), 20_000);
    let behind = |record: &SceneRecord| record.due_us / 1000 - (record.time_ms - 1_767_571_200_000);
    let n_late = records.iter().filter(|r| r.delivered == Delivered::Late).count();
    assert!(n_late > 1000, "{n_late}");
    for record in records.iter().filter(|r| r.delivered == Delivered::InTurn) {
        assert_eq!(behind(record), 0, "at {}", record.due_us);
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_what_to_change() {
    const GOOD: &str = "[[sensors]]\nname = \"a\"\nfields = [{ name = \"x\", signal = { type = \"constant\", value = 1 } }]\n";
    const FIELD: &str = "{ name = \"y\", signal = { type = \"constant\", value = 1 } }, ";
    scene(GOOD);
    let counted =
        |count: u32| GOOD.replace("name = \"a\"", &format!("name = \"a\"\ncount = {count}"));
    // Neither is a name that the numbered ones have.
    for name in ["\"a-3\"", "\"a-01\""] {
        scene(&format!("{}{}", counted(2), GOOD.replace("\"a\"", name)));
    }
    for (text, expected) in [
        ("", "sensors: is empty: add a [[sensors]]"),
        (&format!("sede = 1\n{GOOD}"), "unknown field `sede`"),
        (&format!("start = \"noon\"\n{GOOD}"), "start: must be a time such as"),
        (
            &format!("rate = {{ type = \"constant\", per_second = 0 }}\n{GOOD}"),
            "rate: per_second must be above 0",
        ),
        (
            &format!("rate = {{ type = \"periodic\", hours = [1] }}\n{GOOD}"),
            "hours needs 24 factors, found 1",
        ),
        (&GOOD.replace("constant", "constent"), "unknown variant `constent`"),
        (
            &GOOD.replace("type = \"constant\", value = 1", "type = \"uniform\", min = 2, max = 1"),
            "sensors[0].fields[0].signal: min 2 is above max 1",
        ),
        (
            &GOOD.replace(
                "type = \"constant\", value = 1",
                "type = \"correlated\", group = \"g\", mean = 1, std_dev = 1, correlation = 1",
            ),
            "there is no group \"g\": add it to [[groups]]",
        ),
        (
            &GOOD.replace(
                "type = \"constant\", value = 1",
                "type = \"category\", values = [\"a\"], weights = [1, 2]",
            ),
            "1 values need as many weights, found 2",
        ),
        (
            &format!("{GOOD}[[faults]]\nkind = \"spike\"\nby = 1\n"),
            "faults[0]: it never begins: set probability, or at",
        ),
        (
            &format!("{GOOD}[[faults]]\nkind = \"spike\"\nprobability = 0.1\n"),
            "spike needs either by or to",
        ),
        (
            &format!("{GOOD}[[faults]]\nkind = \"swapped\"\nprobability = 0.1\n"),
            "needs a group of at least two sensors",
        ),
        (
            &format!("{GOOD}[[faults]]\nkind = \"correlated_break\"\nprobability = 0.1\n"),
            "a correlated signal",
        ),
        (
            &format!("{GOOD}[[faults]]\nkind = \"stuck\"\nfield = \"y\"\nprobability = 0.1\n"),
            "has a field \"y\" that is a number",
        ),
        (
            &format!("{GOOD}[[faults]]\nkind = \"stuck\"\nsensors = [\"b*\"]\nprobability = 0.1\n"),
            "no sensor is named",
        ),
        (
            &format!("{GOOD}[delivery]\nlate = {{ probability = 0.1, by_s = 3 }}\n"),
            "set format.time_field",
        ),
        (&format!("{GOOD}[format]\ntype = \"template\"\n"), "needs the template's text"),
        (
            &format!("{GOOD}[format]\ntype = \"template\"\ntemplate = \"{{{{sensor.y}}}}\"\n"),
            "format.template: line 1, column 3: there is no function sensor.y",
        ),
        (
            &format!("{GOOD}[delivery]\nout_of_order = {{ probability = 1, by_records = 1 }}\n"),
            "delivery.out_of_order: probability must be 0 to below 1",
        ),
        (
            &format!("rate = {{ type = \"periodic\", per_second = 1e-300 }}\n{GOOD}"),
            "rate: per_second must be at least 1 a day",
        ),
        (
            &format!(
                "rate = {{ type = \"periodic\", per_second = 1, weekdays = [0, 0, 0, 0, 0, 0, 1e-300] }}\n{GOOD}"
            ),
            "rate: the busiest hour's mean must be at least 1 a day",
        ),
        (
            &format!(
                "rate = {{ type = \"bursty\", per_second = 1, times = 2, every_s = 1e-300, lasts_s = 1e-300 }}\n{GOOD}"
            ),
            "rate: every_s must be at least 0.001",
        ),
        (
            &format!(
                "rate = {{ type = \"bursty\", per_second = 1, times = 1e-300, every_s = 1, lasts_s = 1 }}\n{GOOD}"
            ),
            "rate: per_second times times must be at least 1 a day",
        ),
        (
            &format!(
                "{}[[faults]]\nkind = \"dropout\"\nat = [0]\nlasts = 1000000\n",
                counted(1_000_000)
            ),
            "faults[0]: a dropout's sensors times lasts must be at most 100000000",
        ),
        (
            &format!(
                "{}[[faults]]\nkind = \"spike\"\nat = [0]\nby = 1\nsensors = [{}]\n",
                counted(1_000_000),
                "\"b\",".repeat(11)
            ),
            "faults: sensors times faults",
        ),
        (
            &counted(1_000_000).replace("fields = [", &format!("fields = [{}", FIELD.repeat(5))),
            "sensors: at most 5000000 fields of all sensors together, found 6000000",
        ),
        (
            &GOOD.replace("\"a\"", &format!("{:?}", "a".repeat(241))),
            "sensors[0]: name must have at most 240 bytes",
        ),
        (
            &format!("{}{}", counted(2), GOOD.replace("\"a\"", "\"a-1\"")),
            "sensors[1]: two sensors have the name \"a-1\": rename one",
        ),
    ] {
        let refused = Scene::from_toml(text).and_then(|scene| Player::new(&scene).map(drop));
        let error = refused.expect_err(text).to_string();
        assert!(error.contains(expected), "{error}\nhas not: {expected}");
    }
}

#[test]
fn a_template_has_the_signals_of_its_sensors() {
    let scene = scene(
        r#"
        [[sensors]]
        name = "pump"
        count = 2
        fields = [
            { name = "bar", signal = { type = "constant", value = 6 } },
            { name = "state", signal = { type = "category", values = ["on"] } },
        ]
        [format]
        type = "template"
        template = '{"id":"{{sensor.name}}","n":{{record.number}},"bar":{{sensor.bar}},"state":"{{sensor.state}}"}'
        [[faults]]
        kind = "spike"
        at = [0]
        by = 10
    "#,
    );
    let records = records(&scene, 3);
    let text = |idx: usize| String::from_utf8_lossy(&records[idx].data).into_owned();
    assert_eq!(text(0), r#"{"id":"pump-1","n":0,"bar":16.00,"state":"on"}"#);
    assert_eq!(text(2), r#"{"id":"pump-1","n":2,"bar":6.00,"state":"on"}"#);
    assert_eq!(&*records[1].key, "pump-2");
    assert!(Template::parse("{{sensor.bar}}").is_err());
}
