//! Each scene that ships, scored as the pipeline scores records.

use std::collections::BTreeMap;
use std::sync::Arc;

use eddy_detect::{Detector, DetectorSettings};
use eddy_record::{Column, DecodeLimits, Decoder, RecordFormat, Schema};
use eddy_sensors::{Delivered, Field, FormatKind, SCENES, Scene, Signal};

use crate::records;

/// What a scene's faults must reach: the probability that a labelled reading scores above an
/// ordinary one.
const LEAST_AUC: [(&str, f64); 6] = [
    ("walkthrough", 0.999),
    ("pumps", 0.8),
    ("greenhouse", 0.95),
    ("meters", 0.99),
    ("shop", 0.99),
    ("ward", 0.95),
];
const N_RECORDS: usize = 20_000;

fn schema(scene: &Scene) -> Schema {
    let sql_type = |field: &Field| match field.signal {
        Signal::Category { .. } => "VARCHAR(16)",
        _ => "DOUBLE",
    };
    let mut columns = vec![(scene.format.name_field.clone(), "VARCHAR(64)")];
    columns.extend(scene.format.time_field.clone().map(|name| (name, "VARCHAR(32)")));
    columns.extend(scene.sensors[0].fields.iter().map(|f| (f.name.clone(), sql_type(f))));
    let column = |(name, sql_type): (String, &str)| Column {
        name,
        sql_type: sql_type.parse().expect("a type"),
        mapping: None,
        nullable: false,
    };
    Schema {
        columns: columns.into_iter().map(column).collect(),
        format: match scene.format.kind {
            FormatKind::Csv => RecordFormat::csv(),
            _ => RecordFormat::json(),
        },
    }
}

/// The probability that one of `above` is greater than one of `below`, ties as a half.
fn auc(above: &[f64], below: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> = above.iter().map(|score| (*score, true)).collect();
    all.extend(below.iter().map(|score| (*score, false)));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut wins, mut n_below) = (0.0, 0.0);
    for ties in all.chunk_by(|a, b| a.0 == b.0) {
        let n_ties = ties.iter().filter(|(_, is_above)| !is_above).count() as f64;
        let n_above = ties.len() as f64 - n_ties;
        wins += n_above * (n_below + n_ties / 2.0);
        n_below += n_ties;
    }
    wins / (above.len() as f64 * below.len() as f64)
}

#[test]
fn auc_is_that_of_its_definition() {
    assert_eq!(auc(&[2.0, 3.0], &[1.0, 1.5]), 1.0);
    assert_eq!(auc(&[1.0], &[1.0, 2.0]), 0.25);
}

#[test]
fn labelled_faults_score_above_ordinary_readings() {
    let mut too_low = Vec::new();
    for (name, least) in LEAST_AUC {
        let scene = Scene::named(name).expect("it ships");
        let schema = Arc::new(schema(&scene));
        let decoder = Decoder::new(Arc::clone(&schema), DecodeLimits::default()).expect("good");
        let settings = DetectorSettings {
            columns: scene.detector.columns.clone(),
            key: scene.detector.key.clone(),
            shingle_size: scene.detector.shingle_size.max(1),
            explain_from: None,
            ..DetectorSettings::default()
        };
        let mut detector = Detector::new(&settings, schema).expect("good settings");
        let (mut faults, mut ordinary) = (Vec::new(), Vec::new());
        let mut of_kinds = BTreeMap::new();
        let mut rows = Vec::new();
        for record in records(&scene, N_RECORDS) {
            rows.clear();
            decoder.decode(&record.data, &mut rows);
            let row = rows.pop().expect("a row").expect("a record of the schema");
            let score = detector.score(&row).expect("scored").score.unwrap_or(0.0);
            if score == 0.0 || record.delivered != Delivered::InTurn {
                // Still learning, or the same reading again.
                continue;
            }
            match &record.label {
                // A gap is not in the values.
                Some(label) if label.n_missing > 0 => {}
                Some(label) => {
                    of_kinds.entry(label.fault).or_insert_with(Vec::new).push(score);
                    faults.push(score);
                }
                None => ordinary.push(score),
            }
        }
        assert!(faults.len() >= 50, "{name}: {} faults", faults.len());
        let found = auc(&faults, &ordinary);
        println!("{name}: AUC {found:.4}, {} faults, {} ordinary", faults.len(), ordinary.len());
        for (kind, scores) in &of_kinds {
            println!("  {}: {:.4} of {}", kind.as_str(), auc(scores, &ordinary), scores.len());
        }
        if found < least {
            too_low.push(format!("{name}: AUC {found:.4} is below {least}"));
        }
    }
    assert!(too_low.is_empty(), "{too_low:?}");
}

#[test]
fn every_scene_that_ships_can_be_played_and_says_what_it_shows() {
    for (name, text) in SCENES {
        let scene = Scene::from_toml(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(scene.name, name);
        assert!(scene.description.ends_with('.') && !scene.detector.columns.is_empty(), "{name}");
        assert!(!scene.faults.is_empty(), "{name}");
    }
    assert!(Scene::named("nothing").is_none());
}

#[test]
fn between_them_the_scenes_have_every_kind_of_fault() {
    let kinds: std::collections::BTreeSet<_> = SCENES
        .iter()
        .flat_map(|(name, _)| Scene::named(name).expect("it ships").faults)
        .map(|fault| fault.kind.as_str())
        .collect();
    assert_eq!(kinds.len(), 9, "{kinds:?}");
}
