//! Claims of Guha, Mishra, Roy, Schrijvers: *Robust Random Cut Forest Based Anomaly Detection on
//! Streams*, ICML 2016, about scores of streams; those about single trees are in `src/paper.rs`.

use std::f64::consts::TAU;

use rand_core::{Rng as _, SeedableRng as _};
use rand_xoshiro::SplitMix64;
use rcf::{Forest, ForestSettings};

struct Uniform(SplitMix64);

impl Uniform {
    fn new(seed: u64) -> Self {
        Self(SplitMix64::seed_from_u64(seed))
    }

    /// -1..1
    #[expect(clippy::cast_possible_truncation, reason = "a test's numbers")]
    fn next(&mut self) -> f32 {
        ((self.0.next_u64() >> 11) as f64 / 4_503_599_627_370_496.0 - 1.0) as f32
    }
}

/// Experiments, synthetic data: shingles of four of a sine, 100 trees of 256 points, and a stretch in
/// which the sine stands still.
#[test]
fn synthetic_data_the_beginning_and_the_end_of_a_flat_stretch_in_a_sine_stand_out() {
    const BEGIN: usize = 1235;
    const END: usize = 1255;
    for seed in 1..=5 {
        let mut settings = ForestSettings::new(1);
        (settings.shingle_size, settings.n_trees, settings.seed) = (4, 100, seed);
        let mut forest = settings.build().expect("valid");
        let mut noise = Uniform::new(seed);
        let mut scores = Vec::new();
        for n in 0..2000 {
            #[expect(clippy::cast_possible_truncation, reason = "a test's numbers")]
            let sine = 80.0 + 50.0 * (TAU * n as f64 / 50.0).sin() as f32;
            let x = if (BEGIN..END).contains(&n) { 80.0 } else { sine } + 0.1 * noise.next();
            scores.push(forest.score_and_update(&[x]).expect("finite"));
        }
        let highest =
            |stretch: std::ops::Range<usize>| scores[stretch].iter().copied().fold(0.0, f64::max);
        // Whole shingles on either side of each edge.
        let begin = highest(BEGIN..BEGIN + 4);
        let end = highest(END..END + 4);
        let usual = highest(600..BEGIN).max(highest(END + 4..2000));
        println!("seed {seed}: begin {begin:.2}, end {end:.2}, highest else {usual:.2}");
        assert!(begin > usual && end > usual, "seed {seed}: {begin} and {end}, usual {usual}");
    }
}

/// On isolation forests: a dimension is chosen by its range, so that dimensions in which
/// little happens do not hide an outlier in another.
#[test]
fn irrelevant_dimensions_do_not_hide_an_outlier() {
    let scores = |n_irrelevant: usize, range: f32| -> (f64, f64) {
        let mut settings = ForestSettings::new(1 + n_irrelevant);
        settings.seed = 2;
        let mut forest = settings.build().expect("valid");
        let mut uniform = Uniform::new(3);
        let mut point = |x: f32| -> Vec<f32> {
            std::iter::once(x).chain((0..n_irrelevant).map(|_| range * uniform.next())).collect()
        };
        let mut random = Uniform::new(4);
        for _ in 0..1000 {
            forest.update(&point(random.next())).expect("finite");
        }
        let usual = forest.score(&point(0.1)).expect("finite");
        (forest.score(&point(8.0)).expect("finite"), usual)
    };
    let (alone, usual_alone) = scores(0, 0.0);
    let (among, usual_among) = scores(50, 0.002);
    println!("alone {alone:.2} and {usual_alone:.2}, among 50 {among:.2} and {usual_among:.2}");
    // Chosen uniformly, 50 of 51 first cuts would be in dimensions that say nothing.
    assert!(among > 0.9 * alone && among > 3.0 * usual_among);
    // Dimensions as wide as the one that matters do weigh.
    assert!(scores(50, 1.0).0 < 0.7 * alone);
}

/// On what an anomaly is: an outlier is a point whose presence changes much, so that displacement
/// grows with the distance, whatever the direction.
#[test]
fn displacement_and_score_grow_with_the_distance() {
    let mut forest = ForestSettings::new(2).build().expect("valid");
    let mut uniform = Uniform::new(5);
    for _ in 0..1000 {
        forest.update(&[uniform.next(), uniform.next()]).expect("finite");
    }
    for direction in [[1.0_f32, 0.0], [-1.0, 0.0], [0.6, 0.6], [0.0, -1.0]] {
        let at = |distance: f32| direction.map(|x| x * distance);
        let by = |measure: &dyn Fn(&[f32]) -> f64| -> Vec<f64> {
            [0.0, 1.5, 2.0, 4.0, 16.0, 256.0].iter().map(|x| measure(&at(*x))).collect()
        };
        let scores = by(&|x| forest.score(x).expect("finite"));
        let displacements = by(&|x| forest.displacement(x).expect("finite"));
        assert!(scores.is_sorted_by(|a, b| a < b), "{scores:?}");
        assert!(displacements.is_sorted_by(|a, b| a < b), "{displacements:?}");
        // In the limit it is cut off first, and moves all.
        assert!(scores[5] > 0.97 * 257_f64.log2() && displacements[5] > 0.97 * 256.0 / 257.0);
    }
}

/// Theorem 3: an update costs time and space that do not grow with the stream.
#[test]
fn theorem_3_a_long_stream_takes_no_more_space_than_a_short_one() {
    let mut uniform = Uniform::new(6);
    let mut forest = ForestSettings::new(3).build().expect("valid");
    let mut learn = |forest: &mut Forest, n: usize| {
        for _ in 0..n {
            let point = [uniform.next(), uniform.next(), uniform.next()];
            forest.update(&point).expect("finite");
        }
        forest.size_bytes()
    };
    let short = learn(&mut forest, 4000);
    let long = learn(&mut forest, 100_000);
    assert!(long as f64 <= 1.15 * short as f64, "{long} bytes after {short}");
}
