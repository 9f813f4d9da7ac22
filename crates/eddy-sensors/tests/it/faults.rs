//! What each fault does, and that exactly its readings are labelled.

use eddy_sensors::{FaultKind, Scene, SceneRecord};

use crate::{number, records, scene};

/// Two sensors at 10 and 20 a record each in turn, with one fault.
fn with(fault: &str) -> Scene {
    scene(&format!(
        r#"
        rate = {{ type = "constant", per_second = 1 }}
        [[groups]]
        name = "g"
        [[sensors]]
        name = "s"
        count = 2
        fields = [
            {{ name = "x", signal = {{ type = "normal", mean = 10, std_dev = 0.1 }} }},
            {{ name = "n", decimals = 0, signal = {{ type = "counter", step = 1 }} }},
            {{ name = "c", signal = {{ type = "correlated", group = "g", mean = 0, std_dev = 1, correlation = 1 }} }},
        ]
        [[faults]]
        {fault}
        "#
    ))
}

/// The first sensor's records.
fn of_first(scene: &Scene, n_records: usize) -> Vec<SceneRecord> {
    let all = records(scene, n_records);
    all.into_iter().filter(|record| &*record.sensor == "s-1").collect()
}

/// The readings with that label, by their place.
fn labelled(records: &[SceneRecord], kind: FaultKind) -> Vec<usize> {
    let is = |record: &SceneRecord| record.label.as_ref().is_some_and(|label| label.fault == kind);
    (0..records.len()).filter(|idx| is(&records[*idx])).collect()
}

fn ordinary(value: f64) -> bool {
    (9.0..11.0).contains(&value)
}

#[test]
fn a_spike_is_above_a_dip_below_and_a_shift_stays() {
    for (fault, kind, expected, offset) in [
        ("kind = \"spike\"\nat = [5]\nby = 50", FaultKind::Spike, vec![5], 50.0),
        ("kind = \"dip\"\nat = [5]\nby = 50", FaultKind::Dip, vec![5], -50.0),
        (
            "kind = \"level_shift\"\nat = [5]\nlasts = 3\nby = 4",
            FaultKind::LevelShift,
            vec![5, 6, 7],
            4.0,
        ),
    ] {
        let records = of_first(&with(fault), 40);
        assert_eq!(labelled(&records, kind), expected);
        for (idx, record) in records.iter().enumerate() {
            let offset = if expected.contains(&idx) { offset } else { 0.0 };
            assert!(ordinary(number(record, "x") - offset), "{fault} {idx}");
        }
        assert_eq!(records[5].label.as_ref().and_then(|label| label.field.as_deref()), Some("x"));
    }
}

#[test]
fn a_drift_rises_in_a_line() {
    let records = of_first(&with("kind = \"drift\"\nat = [4]\nlasts = 10\nby = 100"), 60);
    assert_eq!(labelled(&records, FaultKind::Drift), (4..14).collect::<Vec<_>>());
    for step in 0..10 {
        let expected = 10.0 * f64::from(u32::try_from(step).expect("small") + 1);
        assert!(ordinary(number(&records[4 + step], "x") - expected));
    }
    assert!(ordinary(number(&records[14], "x")));
}

#[test]
fn a_stuck_sensor_repeats_its_last_value() {
    let records = of_first(&with("kind = \"stuck\"\nat = [4]\nlasts = 5"), 40);
    assert_eq!(labelled(&records, FaultKind::Stuck), [4, 5, 6, 7, 8]);
    let before = number(&records[3], "x");
    assert!((4..9).all(|idx| number(&records[idx], "x") == before));
    assert!(number(&records[9], "x") != before && number(&records[8], "n") == 8.0);
}

#[test]
fn a_noise_burst_spreads() {
    let records = of_first(&with("kind = \"noise_burst\"\nat = [4]\nlasts = 200\nby = 30"), 420);
    let idxs = labelled(&records, FaultKind::NoiseBurst);
    assert_eq!(idxs, (4..204).collect::<Vec<_>>());
    let deviation =
        idxs.iter().map(|idx| (number(&records[*idx], "x") - 10.0).powi(2)).sum::<f64>();
    assert!((24.0..36.0).contains(&(deviation / 200.0).sqrt()));
}

#[test]
fn a_dropout_leaves_a_gap_that_the_next_reading_tells_of() {
    let records =
        of_first(&with("kind = \"dropout\"\nsensors = [\"s-1\"]\nat = [4]\nlasts = 5"), 40);
    assert_eq!(number(&records[3], "n"), 3.0);
    assert_eq!(number(&records[4], "n"), 9.0);
    assert_eq!(labelled(&records, FaultKind::Dropout), [4]);
    let mut label = Vec::new();
    records[4].write_label(11, &mut label);
    let label: serde_json::Value = serde_json::from_slice(&label).expect("JSON");
    assert_eq!(label["missing"], 5);
    assert_eq!(label["fault"], "dropout");
}

#[test]
fn a_dropout_with_a_value_reads_that() {
    let fault = "kind = \"dropout\"\nfield = \"x\"\nat = [4]\nlasts = 2\nto = 0";
    let records = of_first(&with(fault), 20);
    assert_eq!(labelled(&records, FaultKind::Dropout), [4, 5]);
    assert!(number(&records[4], "x") == 0.0 && number(&records[4], "n") == 4.0);
    assert!(ordinary(number(&records[6], "x")));
}

#[test]
fn a_dropout_that_always_begins_still_lets_readings_through() {
    let fault = "kind = \"dropout\"\nprobability = 1\nlasts = 3";
    let records = of_first(&with(fault), 20);
    assert!(records.iter().all(|record| record.label.as_ref().is_some_and(|l| l.n_missing == 3)));
}

#[test]
fn swapped_sensors_answer_for_each_other() {
    let scene = scene(
        r#"
        [[sensors]]
        name = "s"
        count = 3
        fields = [{ name = "x", spread = 100, signal = { type = "constant", value = 0 } }]
        [[faults]]
        kind = "swapped"
        sensors = ["s-1"]
        at = [4]
        lasts = 3
        "#,
    );
    let records = records(&scene, 60);
    let own = [0, 1, 2].map(|idx| number(&records[idx], "x"));
    assert!(own[0] != own[1] && own[1] != own[2]);
    for (idx, record) in records.iter().enumerate() {
        let (sensor, turn) = (idx % 3, idx / 3);
        let is_swapped = sensor < 2 && (4..7).contains(&turn);
        let expected = if is_swapped { own[1 - sensor] } else { own[sensor] };
        assert_eq!(number(record, "x"), expected, "record {idx}");
        assert_eq!(record.label.is_some(), is_swapped, "record {idx}");
    }
    assert_eq!(records[12].label, records[13].label, "one episode");
}

#[test]
fn a_break_leaves_the_group_and_nothing_else_does() {
    let scene = with("kind = \"correlated_break\"\nsensors = [\"s-1\"]\nat = [100]\nlasts = 50");
    let records = records(&scene, 600);
    let mut n_apart = 0;
    for (turn, pair) in records.chunks(2).enumerate() {
        let distance = (number(&pair[0], "c") - number(&pair[1], "c")).abs();
        let is_broken = (100..150).contains(&turn);
        assert_eq!(pair[0].label.is_some(), is_broken);
        assert!(is_broken || distance < 0.011, "{turn}: {distance}");
        n_apart += usize::from(distance > 0.2);
    }
    assert!(n_apart > 35, "{n_apart}");
}

#[test]
fn faults_come_as_often_as_asked_and_one_at_a_time() {
    let records = of_first(
        &with("kind = \"level_shift\"\nprobability = 0.01\nlasts = [2, 4]\nby = 9"),
        100_000,
    );
    let idxs = labelled(&records, FaultKind::LevelShift);
    let episodes: Vec<u64> =
        idxs.iter().filter_map(|idx| Some(records[*idx].label.as_ref()?.episode)).collect();
    let mut lengths = std::collections::BTreeMap::new();
    episodes.iter().for_each(|episode| *lengths.entry(*episode).or_insert(0) += 1);
    assert!(lengths.values().rev().skip(1).all(|length| (2..=4).contains(length)));
    // 50 000 readings, less those of faults: some 485 begin.
    assert!((380..=600).contains(&lengths.len()), "{}", lengths.len());
}

#[test]
fn a_sensor_that_sticks_at_its_first_reading_repeats_it() {
    let records = of_first(&with("kind = \"stuck\"\nat = [0]\nlasts = 20"), 60);
    assert_eq!(labelled(&records, FaultKind::Stuck), (0..20).collect::<Vec<_>>());
    let first = number(&records[0], "x");
    assert!(records[..20].iter().all(|record| number(record, "x") == first));
    assert!(records[20..].iter().any(|record| number(record, "x") != first));
}
