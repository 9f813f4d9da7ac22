//! Neighbours, imputations and forecasts, by measure.

use std::f64::consts::TAU;

use rand_core::{Rng as _, SeedableRng as _};
use rand_xoshiro::SplitMix64;
use rcf::{Forest, ForestSettings, PointError, WarmStartError};

/// Numbers of a normal distribution.
struct Normal(SplitMix64);

impl Normal {
    fn new(seed: u64) -> Self {
        Self(SplitMix64::seed_from_u64(seed))
    }

    fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
    }

    fn next(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (TAU * self.uniform()).cos()
    }
}

/// Mean absolute error, and the share of true numbers within the ranges.
#[derive(Default)]
struct Errors {
    n: f64,
    sum: f64,
    n_within: f64,
}

impl Errors {
    fn add(&mut self, estimate: &rcf::Estimate, truth: &[f32]) {
        assert_eq!(estimate.median.len(), truth.len());
        let ranges = estimate.lower.iter().zip(&estimate.upper);
        for ((median, (lower, upper)), truth) in estimate.median.iter().zip(ranges).zip(truth) {
            assert!(lower <= median && median <= upper);
            self.n += 1.0;
            self.sum += f64::from((median - truth).abs());
            self.n_within += f64::from(u8::from((lower..=upper).contains(&truth)));
        }
    }

    fn mean(&self) -> f64 {
        self.sum / self.n
    }

    fn coverage(&self) -> f64 {
        self.n_within / self.n
    }
}

#[expect(clippy::cast_possible_truncation, reason = "readings are f32")]
fn noisy_sine(n: usize, noise: f64, seed: u64) -> Vec<f32> {
    let mut normal = Normal::new(seed);
    (0..n).map(|n| (50.0 * (TAU * n as f64 / 60.0).sin() + noise * normal.next()) as f32).collect()
}

/// Errors of forecasts of 20 steps, and of imputing each forecast's next observation.
fn errors(shingle_size: usize, noise: f64, seeds: std::ops::Range<u64>) -> (Errors, Errors) {
    let forecast = |forest: &Forest| forest.forecast(20).expect("ready");
    let impute = |forest: &Forest| forest.impute(&[f32::NAN], &[0]).expect("ready");
    errors_of(shingle_size, noise, seeds, (&forecast, &impute))
}

type Estimator<'a> = &'a dyn Fn(&Forest) -> rcf::Estimate;

fn errors_of(
    shingle_size: usize,
    noise: f64,
    seeds: std::ops::Range<u64>,
    (forecast, impute): (Estimator<'_>, Estimator<'_>),
) -> (Errors, Errors) {
    let (mut forecasts, mut imputations) = (Errors::default(), Errors::default());
    for seed in seeds {
        let mut settings = ForestSettings::new(1);
        (settings.shingle_size, settings.seed) = (shingle_size, seed);
        let readings = noisy_sine(3000, noise, seed);
        let (history, rest) = readings.split_at(2000);
        let mut forest = settings.warm_start(history.chunks(1)).expect("finite");
        for (at, reading) in rest.iter().enumerate() {
            if at % 37 == 0 && at + 20 <= rest.len() {
                forecasts.add(&forecast(&forest), &rest[at..at + 20]);
            }
            if at % 7 == 0 {
                imputations.add(&impute(&forest), std::slice::from_ref(reading));
            }
            forest.update(&[*reading]).expect("finite");
        }
    }
    (forecasts, imputations)
}

#[test]
fn forecasts_of_noisy_sines_are_close_and_their_ranges_hold_four_of_five() {
    // The least mean error there is, is 0.8 times the noise. Shingles of eight leave much open.
    for (shingle_size, noise, most) in
        [(8, 1.0, 1.3), (8, 5.0, 1.3), (8, 15.0, 2.2), (30, 1.0, 1.0), (30, 15.0, 1.0)]
    {
        let (forecasts, imputations) = errors(shingle_size, noise, 1..4);
        assert!(forecasts.mean() < most * noise, "{shingle_size} {noise} {}", forecasts.mean());
        assert!(imputations.mean() < noise, "{shingle_size} {noise} {}", imputations.mean());
        for coverage in [forecasts.coverage(), imputations.coverage()] {
            assert!((0.7..0.9).contains(&coverage), "{shingle_size} {noise} {coverage}");
        }
    }
}

#[test]
fn ranges_hold_the_share_that_is_asked_for() {
    for (coverage, allowed) in [(0.5, 0.42..0.62), (0.95, 0.89..0.99)] {
        for (shingle_size, noise) in [(8, 1.0), (8, 5.0), (30, 1.0), (30, 5.0)] {
            let forecast = |forest: &Forest| forest.forecast_covering(20, coverage).expect("ready");
            let impute = |forest: &Forest| {
                forest.impute_covering(&[f32::NAN], &[0], coverage).expect("ready")
            };
            let (forecasts, imputations) =
                errors_of(shingle_size, noise, 1..4, (&forecast, &impute));
            for found in [forecasts.coverage(), imputations.coverage()] {
                println!("{shingle_size} {noise} {coverage}: {found}");
                assert!(allowed.contains(&found), "{shingle_size} {noise} {coverage}: {found}");
            }
        }
    }
}

#[test]
fn a_range_cannot_hold_nothing_or_all() {
    let forest = ForestSettings::new(1).warm_start(noisy_sine(200, 1.0, 1).chunks(1));
    let forest = forest.expect("finite");
    for actual in [0.0, 1.0, -0.5, 1.5, f64::INFINITY] {
        let error = PointError::Coverage { actual };
        assert_eq!(forest.forecast_covering(1, actual), Err(error.clone()));
        assert_eq!(forest.impute_covering(&[0.0], &[0], actual), Err(error));
    }
    assert!(forest.forecast_covering(1, f64::NAN).is_err());
    assert_eq!(forest.forecast_covering(5, 0.8), forest.forecast(5));
}

/// Two clusters, in which the second number follows from the first, and noise.
fn clusters(n: usize) -> Vec<[f32; 2]> {
    let mut normal = Normal::new(9);
    let mut cluster = |n: usize| {
        let center = if n.is_multiple_of(3) { 20.0 } else { 0.0 };
        let x = center + 3.0 * normal.next();
        #[expect(clippy::cast_possible_truncation, reason = "readings are f32")]
        [x as f32, (2.0 * x - center + normal.next()) as f32]
    };
    (0..n).map(&mut cluster).collect()
}

#[test]
fn a_hidden_coordinate_is_imputed_from_the_other() {
    let points = clusters(3000);
    let (history, rest) = points.split_at(2000);
    let forest = ForestSettings::new(2).warm_start(history).expect("finite");
    for hidden in 0..2 {
        let mut errors = Errors::default();
        for point in rest {
            let mut observation = *point;
            observation[hidden] = f32::NAN;
            let estimate = forest.impute(&observation, &[hidden]).expect("ready");
            errors.add(&estimate, &point[hidden..=hidden]);
        }
        // The noise alone makes a mean error of 0.4 and 0.8; a tenth is left for clusters that
        // overlap and for neighbours that are not where the point is.
        let most = [1.1, 1.1][hidden];
        assert!(errors.mean() < most, "{hidden}: {}", errors.mean());
        assert!((0.7..0.9).contains(&errors.coverage()), "{}", errors.coverage());
    }
}

#[test]
fn neighbors_are_sample_members_at_their_true_distance_and_none_is_left_out() {
    let points = clusters(600);
    let mut settings = ForestSettings::new(2);
    // Nothing has left the samples yet: they hold all points.
    (settings.sample_size, settings.n_trees) = (600, 5);
    let mut forest = settings.warm_start(&points).expect("finite");
    forest.update(&points[0]).expect("finite");
    let query = [1.0, 2.5];
    let distance = |point: &[f32]| {
        let square = |dim: usize| (f64::from(point[dim]) - f64::from(query[dim])).powi(2);
        (square(0) + square(1)).sqrt()
    };
    let mut expected: Vec<f64> = points.iter().map(|point| distance(point)).collect();
    expected.sort_by(f64::total_cmp);
    expected.retain(|distance| *distance <= 4.0);
    let near = forest.near_neighbors(&query, 4.0, usize::MAX).expect("finite");
    let found: Vec<f64> = near.iter().map(|neighbor| neighbor.distance).collect();
    assert!(expected.len() > 50);
    assert_eq!(found, expected);
    for neighbor in &near {
        assert!(points.iter().any(|point| point.as_slice() == neighbor.point));
        assert_eq!(neighbor.distance, distance(&neighbor.point));
        assert!(neighbor.n_holders >= 4);
    }
    let nearest = forest.near_neighbors(&query, 4.0, 3).expect("finite");
    assert_eq!(nearest, near[..3]);
}

#[test]
fn estimates_survive_a_snapshot() {
    let readings = noisy_sine(1500, 5.0, 3);
    let mut settings = ForestSettings::new(1);
    settings.shingle_size = 8;
    let forest = settings.warm_start(readings.chunks(1)).expect("finite");
    let restored = Forest::from_bytes(&forest.to_bytes()).expect("its own bytes");
    assert_eq!(restored.forecast(10), forest.forecast(10));
    assert_eq!(restored.impute(&[0.0], &[0]), forest.impute(&[0.0], &[0]));
    let near = |forest: &Forest| forest.near_neighbors(&[0.0], 30.0, 50).expect("finite");
    assert_eq!(near(&restored), near(&forest));
    assert!(!near(&forest).is_empty());
    let more = [
        (restored.displacement(&[9.0]), forest.displacement(&[9.0])),
        (restored.density(&[9.0]), forest.density(&[9.0])),
        (restored.score_ignoring(&[9.0], 2), forest.score_ignoring(&[9.0], 2)),
    ];
    assert!(more.iter().all(|(restored, forest)| restored == forest));
}

#[test]
fn a_shingle_of_one_forecasts_what_is_usual() {
    let forest = ForestSettings::new(2).warm_start(clusters(2000)).expect("finite");
    let mut errors = Errors::default();
    let points = clusters(2020);
    errors.add(&forest.forecast(20).expect("ready"), points[2000..].as_flattened());
    assert!(errors.coverage() > 0.5);
    let forecast = forest.forecast(2).expect("ready");
    assert_eq!(forecast.median[..2], forecast.median[2..]);
}

#[test]
fn what_cannot_be_estimated_is_an_error() {
    let mut settings = ForestSettings::new(2);
    let forest = settings.build().expect("valid");
    assert_eq!(forest.impute(&[1.0, 2.0], &[0]), Err(PointError::NotReady));
    assert_eq!(forest.forecast(1), Err(PointError::NotReady));
    assert_eq!(forest.near_neighbors(&[1.0, 2.0], 9.0, 9), Ok(Vec::new()));
    let forest = settings.warm_start(clusters(100)).expect("finite");
    let error = PointError::MissingIndex { index: 2, n_numbers: 2 };
    assert_eq!(forest.impute(&[1.0, 2.0], &[2]), Err(error));
    assert!(forest.impute(&[1.0, f32::NAN], &[0]).is_err());
    assert!(forest.impute(&[1.0], &[0]).is_err());
    assert!(forest.near_neighbors(&[f32::NAN, 1.0], 1.0, 1).is_err());
    settings.internal_shingling = false;
    let forest = settings.warm_start(clusters(100)).expect("finite");
    assert_eq!(forest.forecast(1), Err(PointError::ExternalShingles));
}

#[test]
fn a_warm_start_is_a_build_and_its_updates() {
    let settings = ForestSettings::new(2);
    let mut updated = settings.build().expect("valid");
    clusters(300).iter().for_each(|point| updated.update(point).expect("finite"));
    let warm = settings.warm_start(clusters(300)).expect("finite");
    assert_eq!(warm.to_bytes(), updated.to_bytes());
    let refused = settings.warm_start([[0.0, 1.0], [0.0, f32::NAN]]).err();
    assert!(matches!(refused, Some(WarmStartError::Observation { index: 1, .. })));
    let refused = ForestSettings::new(0).warm_start([[0.0]]).err();
    assert!(matches!(refused, Some(WarmStartError::Settings(_))));
}
