//! The law of the samples: against a sampler that draws a weight for every point and keeps all in
//! logarithms, and after as long a time as a billion points take.
//!
//! See [`crate::stats`] for what a failure means. Seeds are 1, 2, 3, ..

use crate::engine::with_trees;
use crate::plain::{read, read_all};
use crate::random::Random;
use crate::stats::{FALSE_ALARM, beyond, mean_and_error, same_law};
use crate::{Forest, ForestSettings};

/// One case: how a sample fills and forgets, and after how many points it is looked at.
#[derive(Clone, Copy, Debug)]
struct Case {
    size: usize,
    rate: f64,
    fraction: f64,
    n_points: usize,
}

/// The samplers of each side.
const N_SAMPLES: usize = 2000;
const N_TREES: usize = 1000;

/// What is compared, a number for each sample.
#[derive(Debug, Default)]
struct Samples {
    n_entries: Vec<f64>,
    youngest: Vec<f64>,
    second_youngest: Vec<f64>,
    middle: Vec<f64>,
    oldest: Vec<f64>,
    /// The points from the last one that entered to the next one.
    gap: Vec<f64>,
    /// Entries made from the first point to the last.
    n_accepted: Vec<f64>,
}

impl Samples {
    /// Adds a sample by the numbers of its points, of which there have been `n_points`.
    fn add(&mut self, mut born: Vec<f64>, n_points: usize) {
        born.sort_by(f64::total_cmp);
        let age = |at: usize| n_points as f64 - born[at];
        let n = born.len();
        self.n_entries.push(n as f64);
        self.youngest.push(age(n - 1));
        self.second_youngest.push(age(n.saturating_sub(2)));
        self.middle.push(age(n / 2));
        self.oldest.push(age(0));
    }
}

/// The sampler by its definition.
fn naive(case: Case) -> Samples {
    let mut found = Samples::default();
    let mut random = Random::new(0x5eed);
    for _ in 0..N_SAMPLES {
        let mut entries: Vec<(f64, f64)> = Vec::new();
        let mut n_accepted = 0.0;
        let mut last = 0;
        for n in 0.. {
            let weight = (-random.open01().ln()).ln() - case.rate * n as f64;
            let filled = entries.len() as f64 / case.size as f64;
            let takes = entries.is_empty()
                || filled < case.fraction
                || (case.fraction < 1.0
                    && random.open01() < 1.0 - (filled - case.fraction) / (1.0 - case.fraction));
            let largest = (0..entries.len()).max_by(|a, b| entries[*a].0.total_cmp(&entries[*b].0));
            let mut accepts = true;
            if takes && entries.len() < case.size {
                entries.push((weight, n as f64));
            } else {
                let largest = largest.expect("an entry");
                accepts = weight < entries[largest].0;
                if accepts {
                    entries[largest] = (weight, n as f64);
                }
            }
            if n < case.n_points {
                n_accepted += f64::from(u8::from(accepts));
                last = if accepts { n } else { last };
                if n + 1 == case.n_points {
                    found.add(entries.iter().map(|entry| entry.1).collect(), case.n_points);
                }
            } else if accepts {
                found.gap.push((n - last) as f64);
                break;
            }
        }
        found.n_accepted.push(n_accepted);
    }
    found
}

/// The forest's samples: each point is its own number.
fn ours(case: Case) -> Samples {
    let mut found = Samples::default();
    for seed in 1..=(N_SAMPLES / N_TREES) as u64 {
        let mut settings = ForestSettings::new(1);
        (settings.n_trees, settings.sample_size) = (N_TREES, case.size);
        (settings.seed, settings.time_decay) = (seed, Some(case.rate));
        settings.initial_accept_fraction = case.fraction;
        let mut forest = settings.build().expect("valid");
        let numbers = |forest: &Forest, tree: usize| -> Vec<f64> {
            let tree = read(forest, tree).expect("the first point is always taken");
            tree.leaves().iter().map(|leaf| f64::from(leaf.0[0])).collect()
        };
        let mut n_now = 0;
        let mut learn = |forest: &mut Forest| {
            forest.update(&[n_now as f32]).expect("finite");
            n_now += 1;
        };
        (0..case.n_points).for_each(|_| learn(&mut forest));
        found.n_accepted.push(forest.n_accepted() as f64 / N_TREES as f64);
        let born: Vec<Vec<f64>> = (0..N_TREES).map(|tree| numbers(&forest, tree)).collect();
        let newest = |born: &Vec<f64>| born.iter().copied().fold(0.0, f64::max);
        let last: Vec<f64> = born.iter().map(newest).collect();
        born.into_iter().for_each(|born| found.add(born, case.n_points));
        let mut open: Vec<usize> = (0..N_TREES).collect();
        while !open.is_empty() {
            learn(&mut forest);
            open.retain(|tree| {
                let newest = newest(&numbers(&forest, *tree));
                if newest > last[*tree] {
                    found.gap.push(newest - last[*tree]);
                }
                newest == last[*tree]
            });
        }
    }
    found
}

#[test]
fn samples_are_those_of_a_weight_for_every_point() {
    let case = |size, rate, fraction, n_points| Case { size, rate, fraction, n_points };
    for case in [
        // In steady state, with slow and fast decays.
        case(32, 0.1 / 32.0, 1.0, 700),
        case(32, 0.03, 1.0, 400),
        case(20, 0.3, 0.125, 150),
        case(8, 1.0, 1.0, 60),
        // While it fills, and soon after.
        case(32, 0.1 / 32.0, 0.125, 20),
        case(32, 0.1 / 32.0, 0.125, 60),
        case(32, 0.02, 0.0, 40),
        case(32, 0.0, 0.5, 100),
        // A decay that a sum with 1 would lose.
        case(32, 1e-18, 1.0, 300),
        // Weights over more than the range of f32.
        case(100, 1.0, 1.0, 450),
        case(130, 0.7, 0.125, 600),
    ] {
        let (ours, naive) = (ours(case), naive(case));
        for (what, ours, naive) in [
            ("entries", &ours.n_entries, &naive.n_entries),
            ("age of the youngest", &ours.youngest, &naive.youngest),
            ("age of the second youngest", &ours.second_youngest, &naive.second_youngest),
            ("age of the middle", &ours.middle, &naive.middle),
            ("age of the oldest", &ours.oldest, &naive.oldest),
            ("gap", &ours.gap, &naive.gap),
        ] {
            assert_eq!((ours.len(), naive.len()), (N_SAMPLES, N_SAMPLES));
            let p = same_law(ours, naive);
            assert!(p > FALSE_ALARM, "{case:?}: {what}, p {p}");
            // Means show small differences.
            let ((a, a_error), (b, b_error)) = (mean_and_error(ours), mean_and_error(naive));
            let error = a_error.hypot(b_error);
            let p = if error > 0.0 { beyond((a - b) / error) } else { f64::from(u8::from(a == b)) };
            assert!(p > FALSE_ALARM, "{case:?}: {what}, means {a} and {b}, p {p}");
        }
        let mean = ours.n_accepted.iter().sum::<f64>() / ours.n_accepted.len() as f64;
        let (expected, error) = mean_and_error(&naive.n_accepted);
        let error = error * 2_f64.sqrt();
        let p = if error > 0.0 { beyond((mean - expected) / error) } else { 1.0 };
        assert!((mean - expected).abs() < 1e-9 || p > FALSE_ALARM, "{case:?}: {mean} {expected}");
    }
}

/// The forest as it would be `n_points` points later, had none of them been learnt nor anything
/// decayed.
fn at_a_later_time(forest: &Forest, n_points: u64) -> Forest {
    let mut later = forest.clone();
    later.n_observations += n_points;
    later.clock.n_points += n_points;
    with_trees!(later.trees.spread_mut(), trees => {
        let sample_size = later.policy.sample_size;
        for (head, next) in trees.heads.iter().zip(&mut trees.next) {
            if head.n_entries == sample_size {
                *next += n_points;
            }
        }
    });
    later
}

#[test]
fn no_bit_depends_on_how_many_points_there_have_been() {
    let mut settings = ForestSettings::new(2);
    (settings.n_trees, settings.sample_size) = (8, 32);
    for n_before in [10, 500] {
        for n_points in [1_000_000_000, 1 << 40, 1 << 60] {
            let mut random = Random::new(1);
            #[expect(clippy::cast_possible_truncation, reason = "a test's numbers")]
            let mut point = move || [random.open01() as f32, random.open01() as f32];
            let mut forest = settings.build().expect("valid");
            (0..n_before).for_each(|_| forest.update(&point()).expect("finite"));
            let mut later = at_a_later_time(&forest, n_points);
            let mut restored = Forest::from_bytes(&later.to_bytes()).expect("its own bytes");
            // Weights are rebased every 9600 points.
            for _ in 0..25_000 {
                let point = point();
                let expected = forest.score_and_update(&point).expect("finite").to_bits();
                let found = later.score_and_update(&point).expect("finite").to_bits();
                assert_eq!(found, expected);
                let found = restored.score_and_update(&point).expect("finite").to_bits();
                assert_eq!(found, expected);
            }
            assert_eq!(later.to_bytes(), restored.to_bytes());
            assert_eq!(later.n_accepted(), forest.n_accepted());
        }
    }
}

/// What is compared early and late: in forests of points that are independent of each other and of
/// the time.
#[derive(Default)]
struct Law {
    oldest: Vec<f64>,
    middle: Vec<f64>,
    youngest: Vec<f64>,
    scores: [Vec<f64>; 3],
    n_accepted: Vec<f64>,
}

const QUERIES: [[f32; 2]; 3] = [[0.5, 0.0], [0.02, 0.0], [1.4, 0.0]];
/// The points from one look to the next: by then nothing of the former sample is left.
const LOOK_EVERY: usize = 1024;
/// A second coordinate that tells a point's age, and is too short to be cut.
const TICK: f32 = 1.0 / (1_u64 << 40) as f32;

struct Stream {
    forest: Forest,
    random: Random,
    n_points: usize,
}

impl Stream {
    fn new(seed: u64) -> Self {
        let mut settings = ForestSettings::new(2);
        (settings.n_trees, settings.sample_size, settings.seed) = (4, 16, seed);
        // Half of what the sample holds is forgotten with every sample's length.
        settings.time_decay = Some(0.5 / 16.0);
        let forest = settings.build().expect("valid");
        Self { forest, random: Random::new(seed ^ 0xfeed), n_points: 0 }
    }

    fn learn(&mut self, n_points: usize) {
        for _ in 0..n_points {
            #[expect(clippy::cast_possible_truncation, reason = "a test's numbers")]
            let x = self.random.open01() as f32;
            let tick = (self.n_points % LOOK_EVERY) as f32 * TICK;
            self.forest.update(&[x, tick]).expect("finite");
            self.n_points += 1;
        }
    }

    fn look(&self, law: &mut Law, n_before: u64) {
        for tree in read_all(&self.forest) {
            let last = ((self.n_points - 1) % LOOK_EVERY) as f64;
            let age = |tick: f32| last - f64::from(tick / TICK);
            let mut ages: Vec<f64> = tree.leaves().iter().map(|leaf| age(leaf.0[1])).collect();
            ages.sort_by(f64::total_cmp);
            law.youngest.push(ages[0]);
            law.middle.push(ages[ages.len() / 2]);
            law.oldest.push(ages[ages.len() - 1]);
        }
        for (query, scores) in QUERIES.iter().zip(&mut law.scores) {
            scores.push(self.forest.score(query).expect("finite"));
        }
        law.n_accepted.push((self.forest.n_accepted() - n_before) as f64);
    }
}

#[test]
fn after_the_decay_of_a_billion_points_a_forest_has_the_law_of_a_fresh_one() {
    // A billion points at the default decay of 0.1 / 256 decay by exp(390 625), which takes 12.5
    // million points here, and 13 000 changes of the moment that weights are relative to.
    const N_POINTS: usize = 12_500_000 / LOOK_EVERY * LOOK_EVERY;
    const N_LOOKS: usize = 800;
    let mut late = Law::default();
    let mut stream = Stream::new(1);
    stream.learn(N_POINTS - N_LOOKS * LOOK_EVERY);
    for _ in 0..N_LOOKS {
        let n_before = stream.forest.n_accepted();
        stream.learn(LOOK_EVERY);
        stream.look(&mut late, n_before);
    }
    let mut fresh = Law::default();
    for seed in 2..2 + N_LOOKS as u64 {
        let mut stream = Stream::new(seed);
        stream.learn(LOOK_EVERY);
        let n_before = stream.forest.n_accepted();
        stream.learn(LOOK_EVERY);
        stream.look(&mut fresh, n_before);
    }
    for (what, late, fresh) in [
        ("age of the youngest", &late.youngest, &fresh.youngest),
        ("age of the middle", &late.middle, &fresh.middle),
        ("age of the oldest", &late.oldest, &fresh.oldest),
        ("score in the middle", &late.scores[0], &fresh.scores[0]),
        ("score at the edge", &late.scores[1], &fresh.scores[1]),
        ("score outside", &late.scores[2], &fresh.scores[2]),
        ("accepted", &late.n_accepted, &fresh.n_accepted),
    ] {
        let ((a, a_error), (b, b_error)) = (mean_and_error(late), mean_and_error(fresh));
        let (p, p_mean) = (same_law(late, fresh), beyond((a - b) / a_error.hypot(b_error)));
        println!("{what}: late {a:.5} +- {a_error:.5}, fresh {b:.5} +- {b_error:.5}, p {p:.3}");
        assert!(p > FALSE_ALARM && p_mean > FALSE_ALARM, "{what}: {a} and {b}, p {p} {p_mean}");
    }
}
