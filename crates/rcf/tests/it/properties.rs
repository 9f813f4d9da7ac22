//! What holds for any points.

use proptest::prelude::*;
use rcf::{Forest, ForestSettings, PointError};

fn small(n_dims: usize, seed: u64) -> ForestSettings {
    let mut settings = ForestSettings::new(n_dims);
    settings.n_trees = 5;
    settings.sample_size = 16;
    settings.output_after = Some(1);
    settings.seed = seed;
    settings
}

/// Floats of every kind that is finite, the awkward ones often.
fn coordinate() -> impl Strategy<Value = f32> {
    prop_oneof![
        3 => -10.0_f32..10.0,
        2 => prop::sample::select(vec![
            0.0, -0.0, 1.0, 1.0_f32.next_up(), f32::MAX, f32::MIN, f32::MIN_POSITIVE,
            f32::from_bits(1), -f32::from_bits(1), 1e38, -1e38,
        ]),
        1 => any::<f32>().prop_filter("finite", |x| x.is_finite()),
    ]
}

fn points(n_dims: usize) -> impl Strategy<Value = Vec<Vec<f32>>> {
    prop::collection::vec(prop::collection::vec(coordinate(), n_dims), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn scores_are_finite_within_their_range_and_shared_out_whole(
        points in (1..4_usize).prop_flat_map(points), seed: u64, shingle_size in 1..4_usize,
    ) {
        let mut settings = small(points[0].len(), seed);
        settings.shingle_size = shingle_size;
        let mut forest = settings.build().expect("valid");
        for point in &points {
            let score = forest.score(point).expect("finite");
            prop_assert!((0.0..=17_f64.log2() + 1e-12).contains(&score), "{score}");
            let parts = forest.attribution(point).expect("finite");
            prop_assert_eq!(parts.high.len(), point.len() * shingle_size);
            let all: Vec<f64> = parts.high.iter().chain(&parts.low).copied().collect();
            prop_assert!(all.iter().all(|part| part.is_finite() && *part >= 0.0), "{all:?}");
            prop_assert!((all.iter().sum::<f64>() - score).abs() < 1e-9);
            forest.update(point).expect("finite");
        }
    }

    #[test]
    fn all_that_is_told_of_a_point_is_finite_and_in_its_range(
        points in (1..4_usize).prop_flat_map(points), seed: u64, shingle_size in 1..4_usize,
    ) {
        let mut settings = small(points[0].len(), seed);
        settings.shingle_size = shingle_size;
        let mut forest = settings.build().expect("valid");
        for point in &points {
            let displacement = forest.displacement(point).expect("finite");
            prop_assert!((0.0..1.0).contains(&displacement), "{displacement}");
            let density = forest.density(point).expect("finite");
            prop_assert!(density.is_finite() && density >= 0.0, "{density}");
            let parts = forest.interpolation(point).expect("finite");
            prop_assert!(parts.probability_mass.total() <= 1.0 + 1e-9);
            for ignore_mass in [1, 3] {
                let score = forest.score_ignoring(point, ignore_mass).expect("finite");
                prop_assert!((0.0..=17_f64.log2() + 1e-12).contains(&score), "{score}");
                let parts = forest.attribution_ignoring(point, ignore_mass).expect("finite");
                let sum: f64 = parts.high.iter().chain(&parts.low).sum();
                prop_assert!((sum - score).abs() < 1e-9);
            }
            if forest.is_ready() {
                let imputed = forest.impute(point, &[0]).expect("ready");
                let forecast = forest.forecast(3).expect("ready");
                for estimate in [imputed, forecast] {
                    let ordered = estimate.lower.iter().zip(&estimate.median).zip(&estimate.upper);
                    for ((lower, median), upper) in ordered {
                        prop_assert!(lower.is_finite() && upper.is_finite());
                        prop_assert!(lower <= median && median <= upper, "{estimate:?}");
                    }
                }
                let near = forest.near_neighbors(point, f64::INFINITY, 5).expect("finite");
                prop_assert!(!near.is_empty() && near.iter().all(|near| near.distance.is_finite()));
            }
            forest.update(point).expect("finite");
        }
    }

    #[test]
    fn a_forest_comes_back_from_its_bytes_and_goes_on_the_same(
        points in (1..4_usize).prop_flat_map(points), seed: u64, cut in 0..120_usize,
    ) {
        let mut forest = small(points[0].len(), seed).build().expect("valid");
        let (before, after) = points.split_at(cut.min(points.len()));
        for point in before {
            forest.update(point).expect("finite");
        }
        // Reading checks that boxes are tight, cuts part their children and masses add up.
        let bytes = forest.to_bytes();
        let mut restored = Forest::from_bytes(&bytes).expect("its own bytes");
        prop_assert_eq!(restored.to_bytes(), bytes);
        for point in after {
            let expected = forest.score_and_update(point).expect("finite");
            let found = restored.score_and_update(point).expect("finite");
            prop_assert_eq!(found.to_bits(), expected.to_bits());
        }
        prop_assert_eq!(restored.to_bytes(), forest.to_bytes());
    }
}

#[test]
fn a_constant_stream_scores_one_half() {
    let mut forest = ForestSettings::new(1).build().expect("valid");
    for n_seen in 0..2000 {
        let score = forest.score_and_update(&[5.0]).expect("finite");
        assert!(n_seen < 64 || (score - 0.5).abs() < 1e-12, "{score}");
    }
}

#[test]
fn the_first_score_comes_after_a_quarter_of_the_sample() {
    let mut forest = ForestSettings::new(1).build().expect("valid");
    for n_seen in 0..100 {
        let score = forest.score_and_update(&[n_seen as f32]).expect("finite");
        assert_eq!(score > 0.0, n_seen >= 64);
    }
}

#[test]
fn what_is_not_finite_is_an_error_and_changes_nothing() {
    let mut forest = small(2, 1).build().expect("valid");
    forest.update(&[1.0, 2.0]).expect("finite");
    let before = forest.to_bytes();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = forest.update(&[0.0, bad]).expect_err("not finite");
        assert!(matches!(error, PointError::NotFinite { dim_idx: 1, .. }));
        assert!(forest.score(&[0.0, bad]).is_err() && forest.attribution(&[bad, 0.0]).is_err());
    }
    assert_eq!(forest.update(&[1.0]), Err(PointError::Dimensions { expected: 2, actual: 1 }));
    assert_eq!(forest.to_bytes(), before);
}

#[test]
fn zero_has_no_sign() {
    let mut forest = small(1, 1).build().expect("valid");
    for _ in 0..20 {
        forest.update(&[0.0]).expect("finite");
    }
    assert_eq!(forest.score(&[-0.0]), forest.score(&[0.0]));
}

#[test]
fn whole_points_score_as_internal_shingles_do() {
    let mut internal = small(1, 3);
    internal.shingle_size = 4;
    let mut external = internal.clone();
    external.internal_shingling = false;
    let (mut internal, mut external) =
        (internal.build().expect("ok"), external.build().expect("ok"));
    let readings: Vec<f32> = (0..200).map(|n| (n % 13) as f32).collect();
    for (n_seen, window) in readings.windows(4).enumerate() {
        if n_seen == 0 {
            window[..3].iter().for_each(|x| internal.update(&[*x]).expect("finite"));
        }
        let expected = internal.score_and_update(&window[3..]).expect("finite");
        let found = external.score_and_update(window).expect("finite");
        assert!(n_seen == 0 || found.to_bits() == expected.to_bits());
    }
}

#[test]
fn the_seed_decides() {
    let run = |seed| {
        let mut forest = small(1, seed).build().expect("valid");
        (0..100).for_each(|n| forest.update(&[(n * n % 31) as f32]).expect("finite"));
        forest.to_bytes()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_node_in_the_place_of_another_has_a_range_of_its_own() {
    // Its box was like the one before it, and its range stayed 0.
    let mut forest = small(1, 0).build().expect("valid");
    for n in 0..5000 {
        forest.update(&[(n * 7 % 3) as f32]).expect("finite");
        if n % 100 == 0 {
            let restored = Forest::from_bytes(&forest.to_bytes()).expect("its own bytes");
            assert_eq!(restored.score(&[9.0]), forest.score(&[9.0]));
        }
    }
}
