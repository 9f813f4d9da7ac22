//! Forests as bits against those of the usual kind.

use proptest::prelude::*;

use super::bits::{self, PAD};
use super::code;
use super::open::{MOST, OpenTree};
use crate::random::Random;
use crate::storage::Storage;
use crate::{Forest, ForestSettings};

fn settings(n_trees: usize, sample_size: usize, seed: u64) -> ForestSettings {
    let mut settings = ForestSettings::new(1);
    (settings.n_trees, settings.sample_size, settings.seed) = (n_trees, sample_size, seed);
    settings.output_after = Some(1);
    settings
}

fn built(settings: &ForestSettings, compact: bool) -> Forest {
    let forest = ForestSettings { compact, ..settings.clone() }.build().expect("valid");
    assert_eq!(matches!(forest.trees, Storage::Tiny(_)), compact);
    forest
}

/// The bytes of a forest as though it were of the usual kind.
fn bytes(forest: &Forest) -> Vec<u8> {
    let mut forest = forest.clone();
    forest.settings.compact = true;
    forest.to_bytes()
}

/// Numbers of streams that forests meet: few or many different ones, close or far apart.
fn stream() -> impl Strategy<Value = Vec<f32>> {
    let awkward = prop::sample::select(vec![
        0.0,
        -0.0,
        1.0,
        1.0_f32.next_up(),
        f32::MAX,
        f32::MIN,
        f32::from_bits(1),
        -f32::from_bits(1),
    ]);
    prop_oneof![
        prop::collection::vec(-10.0_f32..10.0, 1..400),
        prop::collection::vec((0..9_u8).prop_map(f32::from), 1..400),
        prop::collection::vec(Just(3.5), 1..100),
        prop::collection::vec(awkward, 1..300),
        prop::collection::vec(any::<f32>().prop_filter("finite", |x| x.is_finite()), 1..400),
    ]
}

fn same(normal: &Forest, compact: &Forest, x: f32) {
    let (a, b) = (normal.score(&[x]), compact.score(&[x]));
    assert_eq!(a.expect("finite").to_bits(), b.expect("finite").to_bits(), "{x}");
    assert_eq!(normal.attribution(&[x]), compact.attribution(&[x]));
    assert_eq!(normal.displacement(&[x]), compact.displacement(&[x]));
    assert_eq!(normal.density(&[x]), compact.density(&[x]));
    assert_eq!(normal.score_ignoring(&[x], 2), compact.score_ignoring(&[x], 2));
    assert_eq!(normal.near_neighbors(&[x], 2.0, 9), compact.near_neighbors(&[x], 2.0, 9));
    if normal.is_ready() {
        assert_eq!(normal.impute(&[x], &[0]), compact.impute(&[x], &[0]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_a_forest_learns_its_bits_say_the_same(
        stream in stream(),
        n_trees in 1..9_usize,
        sample_size in prop_oneof![2..40_usize, Just(MOST)],
        seed: u64,
        decay in prop_oneof![Just(None), (0.0..0.2).prop_map(Some), Just(Some(1.0))],
        fraction in prop_oneof![Just(1.0), 0.0..1.0],
    ) {
        let mut settings = settings(n_trees, sample_size, seed);
        (settings.time_decay, settings.initial_accept_fraction) = (decay, fraction);
        let mut normal = built(&settings, false);
        let mut compact = built(&settings, true);
        let every = 1 + stream.len() / 5;
        for (n, x) in stream.iter().enumerate() {
            if n % 2 == 0 {
                let found = compact.score_and_update(&[*x]).expect("finite");
                let expected = normal.score_and_update(&[*x]).expect("finite");
                prop_assert_eq!(found.to_bits(), expected.to_bits());
            } else {
                normal.update(&[*x]).expect("finite");
                compact.update(&[*x]).expect("finite");
            }
            if n % every == 0 {
                [*x, 0.5, -7.0, 1e30].iter().for_each(|x| same(&normal, &compact, *x));
                prop_assert_eq!(bytes(&normal), compact.to_bytes());
            }
            if n == stream.len() / 2 {
                // Saved and restored, each as the other.
                let restored = Forest::from_bytes(&bytes(&normal)).expect("its own bytes");
                let mut settings = compact.settings.clone();
                settings.compact = false;
                compact.settings = settings;
                normal = Forest::from_bytes(&compact.to_bytes()).expect("its own bytes");
                compact = restored;
                prop_assert!(matches!(compact.trees, Storage::Tiny(_)));
                normal.set_time_decay(0.05).expect("in range");
                compact.set_time_decay(0.05).expect("in range");
            }
        }
        prop_assert_eq!(bytes(&normal), compact.to_bytes());
        prop_assert_eq!(normal.n_accepted(), compact.n_accepted());
    }
}

#[test]
fn more_trees_than_walk_side_by_side_add_up_the_same() {
    let settings = settings(150, 48, 3);
    let (mut normal, mut compact) = (built(&settings, false), built(&settings, true));
    let mut random = Random::new(1);
    for _ in 0..1500 {
        #[expect(clippy::cast_possible_truncation, reason = "a test's numbers")]
        let x = (random.open01() * 40.0) as f32;
        let expected = normal.score_and_update(&[x]).expect("finite");
        assert_eq!(compact.score_and_update(&[x]).expect("finite").to_bits(), expected.to_bits());
    }
    assert_eq!(bytes(&normal), compact.to_bytes());
}

/// Depths of a tree, by the invariant that each gap is above those that are around it and deeper.
fn check_depths(gaps: &[u8], depth: u8) {
    if gaps.is_empty() {
        return;
    }
    let tops: Vec<usize> = (0..gaps.len()).filter(|gap| gaps[*gap] == depth).collect();
    assert_eq!(tops.len(), 1, "{gaps:?} at {depth}");
    check_depths(&gaps[..tops[0]], depth + 1);
    check_depths(&gaps[tops[0] + 1..], depth + 1);
}

#[test]
fn a_tree_is_read_as_it_was_written_and_taking_out_what_came_last_restores_it() {
    let mut random = Random::new(4);
    let mut tree = OpenTree::empty();
    for n in 0..MOST {
        tree.weights[tree.n_entries] = 1.0 + n as f32;
        tree.add();
        #[expect(clippy::cast_possible_truncation, reason = "a test's numbers")]
        let x = (random.open01() * 60.0).floor() as f32;
        let (before, n_leaves) = (tree.depths, tree.n_leaves);
        tree.insert(n, x, &mut random);
        check_depths(tree.gaps(), 0);
        let (after, keys) = (tree.depths, tree.keys);
        tree.remove(n);
        assert_eq!(tree.n_leaves, n_leaves);
        let n_gaps = n_leaves.saturating_sub(1);
        assert_eq!(tree.depths[..n_gaps], before[..n_gaps]);
        tree.insert(n, x, &mut random);
        assert_eq!(tree.keys[..tree.n_leaves], keys[..tree.n_leaves]);
        check_depths(tree.gaps(), 0);
        assert_eq!(tree.gaps().len(), after[..tree.n_gaps()].len());

        let mut words = Vec::new();
        let (counts, n_bytes) = code::write(&tree, &mut words);
        let mut bytes = vec![0xff; 3 + n_bytes + PAD];
        bits::copy(&words, &mut bytes[3..3 + n_bytes]);
        let read = code::Decoder::new(&bytes, 3, counts).open();
        assert_eq!((read.n_leaves, read.n_entries), (tree.n_leaves, tree.n_entries));
        assert_eq!(read.keys[..tree.n_leaves], tree.keys[..tree.n_leaves]);
        assert_eq!(read.gaps(), tree.gaps());
        assert_eq!(read.cuts[..tree.n_gaps()], tree.cuts[..tree.n_gaps()]);
        assert_eq!(read.ranks[..=n], tree.ranks[..=n]);
        assert_eq!(read.weights(), tree.weights());
    }
}

#[test]
fn a_model_of_thirty_trees_of_sixty_four_takes_twenty_kilobytes() {
    let mut random = Random::new(2);
    let mut normal = move || {
        let angle = random.open01() * core::f64::consts::TAU;
        (-2.0 * random.open01().ln()).sqrt() * angle.cos()
    };
    let mut forest = built(&settings(30, 64, 1), true);
    let mut most = 0;
    for _ in 0..4000 {
        #[expect(clippy::cast_possible_truncation, reason = "a test's numbers")]
        forest.update(&[normal() as f32]).expect("finite");
        most = most.max(forest.size_bytes());
    }
    assert!(most <= 20_000, "{most}");
    assert!(forest.score(&[9.0]).expect("finite") > 1.5);
}
