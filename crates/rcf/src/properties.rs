//! Properties of trees, for any points of finite numbers: masses, boxes, cuts, and what an
//! insertion that is taken back leaves.

use proptest::prelude::*;

use crate::check::check_forest;
use crate::engine::with_trees;
use crate::level::Level;
use crate::math::log2_1p;
use crate::naive::naive;
use crate::plain::{Plain, insert_everywhere, read_all, remove_everywhere};
use crate::view::TreeView;
use crate::{Forest, ForestSettings};

/// Finite numbers of every kind, with the hard ones often.
fn number() -> impl Strategy<Value = f32> {
    let one = 1.0_f32;
    let hard = vec![
        0.0,
        -0.0,
        one,
        one.next_up(),
        one.next_down(),
        f32::MAX,
        f32::MAX.next_down(),
        f32::MIN,
        f32::MIN_POSITIVE,
        f32::MIN_POSITIVE.next_down(),
        f32::from_bits(1),
        f32::from_bits(2),
        -f32::from_bits(1),
    ];
    prop_oneof![
        3 => -4.0_f32..4.0,
        2 => prop::sample::select(hard),
        2 => (0_u8..4).prop_map(f32::from),
        1 => any::<f32>().prop_filter("finite", |x| x.is_finite()),
    ]
}

/// Settings of a small forest, and points for it.
fn case() -> impl Strategy<Value = (ForestSettings, Vec<Vec<f32>>)> {
    let n_dims = prop::sample::select(vec![1_usize, 1, 2, 3, 5, 9]);
    let settings = (n_dims, 2..24_usize, any::<u64>(), any::<bool>(), 0..4_usize);
    let settings = settings.prop_map(|(n_dims, sample_size, seed, compact, kind)| {
        let mut settings = ForestSettings::new(n_dims);
        (settings.n_trees, settings.sample_size, settings.seed) = (4, sample_size, seed);
        (settings.compact, settings.output_after) = (compact, Some(1));
        settings.time_decay = [None, Some(0.0), Some(0.2), Some(1.0)][kind];
        settings.initial_accept_fraction = [1.0, 0.125, 0.0, 0.5][kind];
        settings
    });
    settings.prop_flat_map(|settings| {
        let point = prop::collection::vec(number(), settings.n_dims);
        (Just(settings), prop::collection::vec(point, 1..90))
    })
}

fn learnt(settings: &ForestSettings, points: &[Vec<f32>]) -> Forest {
    settings.warm_start(points).expect("finite")
}

/// The structure of a tree and all its boxes, bit by bit.
fn structure(forest: &Forest) -> Vec<String> {
    let boxes: Vec<Vec<u32>> = with_trees!(forest.trees.spread(), trees => {
        TreeView::all(trees).map(|tree| {
            let padded_len = trees.points.padded_len();
            let mut scratch = vec![0.0; 2 * padded_len];
            let mut bits = Vec::new();
            for point in read_all(forest).iter().flat_map(Plain::leaves).map(|leaf| leaf.0) {
                let mut point = point.to_vec();
                point.resize(padded_len, 0.0);
                let mut at = tree.leaf_of(&point).expect("not empty");
                while let Some(parent) = tree.parent_of(at) {
                    let bounds = tree.bounds(parent, &mut scratch);
                    let numbers = bounds.min.iter().chain(bounds.max);
                    bits.extend(numbers.map(|x| x.to_bits()));
                    at = parent;
                }
            }
            bits
        }).collect()
    });
    let trees = read_all(forest);
    trees.iter().zip(boxes).map(|(tree, boxes)| format!("{tree:?} {boxes:?}")).collect()
}

/// The tree that a tree's cuts make of its sample: the points led down one by one.
fn rebuilt(tree: &Plain, points: &[&[f32]]) {
    match tree {
        Plain::Leaf { point, entries } => {
            assert_eq!(points.len(), entries.len());
            assert!(points.iter().all(|other| other == point), "a leaf of unlike points");
        }
        Plain::Node { dim, cut, children } => {
            let (left, right): (Vec<&[f32]>, Vec<&[f32]>) =
                points.iter().partition(|point| point[*dim] <= *cut);
            assert!(!left.is_empty() && !right.is_empty(), "a cut that parts nothing");
            rebuilt(&children[0], &left);
            rebuilt(&children[1], &right);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn masses_add_up_and_boxes_are_the_smallest_around_their_points((settings, points) in case()) {
        let mut forest = settings.build().expect("valid");
        for point in &points {
            forest.update(point).expect("finite");
            check_forest(&forest);
        }
    }

    #[test]
    fn an_insertion_and_its_deletion_leave_a_tree_as_it_was(
        (settings, points) in case(), more in prop::collection::vec(number(), 9),
    ) {
        // One more than the sample has room for.
        let mut settings = settings;
        settings.sample_size = points.len() + 1;
        let mut forest = learnt(&settings, &points);
        let before = structure(&forest);
        // An unlike point, and one that is there already.
        for point in [&more[..settings.n_dims], &points[points.len() / 2]] {
            insert_everywhere(&mut forest, point);
            check_forest(&forest);
            let with = structure(&forest);
            prop_assert_ne!(&with, &before);
            remove_everywhere(&mut forest);
            check_forest(&forest);
            prop_assert_eq!(&structure(&forest), &before);
        }
    }

    #[test]
    fn a_tree_is_what_its_cuts_make_of_its_sample_and_scores_so(
        (settings, points) in case(), query in prop::collection::vec(number(), 9),
    ) {
        let forest = learnt(&settings, &points);
        for tree in read_all(&forest) {
            let leaves = tree.leaves();
            // The sample as a bag: each point as often as it is there, in another order.
            let mut bag: Vec<&[f32]> = leaves
                .iter()
                .flat_map(|leaf| std::iter::repeat_n(leaf.0, leaf.2))
                .collect();
            bag.sort_by(|a, b| b.partial_cmp(a).expect("finite"));
            rebuilt(&tree, &bag);
        }
        let seen = |depth: u32, mass| 1.0 / (f64::from(depth) + log2_1p(mass));
        let unseen = |depth: u32, _| 1.0 / (f64::from(depth) + 1.0);
        let normalize = |value: f64, mass| value * log2_1p(mass);
        let x: Vec<f32> = query[..settings.n_dims].iter().map(|x| x + 0.0).collect();
        for x in [&x, &points[0]] {
            let (expected, _) = naive(&forest, x, 0, [&seen, &unseen], &normalize);
            let found = forest.score(x).expect("finite");
            prop_assert!((found - expected).abs() < 1e-9, "{} against {}", found, expected);
        }
    }

    #[test]
    fn constant_streams_score_one_half(
        constant in prop::collection::vec(number(), 9), (settings, _) in case(),
        n_points in 1..200_usize,
    ) {
        let mut forest = settings.build().expect("valid");
        let point = &constant[..settings.n_dims];
        for n_seen in 0..n_points {
            let score = forest.score_and_update(point).expect("finite");
            prop_assert!(n_seen == 0 || (score - 0.5).abs() < 1e-12, "{}", score);
            check_forest(&forest);
        }
    }

    #[test]
    fn the_seed_decides_every_bit_whatever_the_machine_can((settings, points) in case()) {
        let run = |level: Level, at_once: bool| {
            let mut forest = settings.build().expect("valid");
            forest.level = level;
            let mut bits = Vec::new();
            for point in &points {
                if !at_once {
                    bits.push(forest.score(point).expect("finite").to_bits());
                    forest.update(point).expect("finite");
                } else {
                    bits.push(forest.score_and_update(point).expect("finite").to_bits());
                }
            }
            (bits, forest.to_bytes())
        };
        let expected = run(Level::Portable, false);
        for level in Level::available() {
            prop_assert_eq!(&run(level, false), &expected);
            prop_assert_eq!(&run(level, true), &expected);
        }
    }
}

#[test]
fn the_widest_and_the_narrowest_gaps_are_cut_and_scored() {
    let one = 1.0_f32;
    let tiny = f32::from_bits(1);
    for (a, b) in [
        (f32::MAX, f32::MIN),
        (f32::MAX, f32::MAX.next_down()),
        (one, one.next_up()),
        (0.0, tiny),
        (-tiny, tiny),
        (f32::MIN_POSITIVE, f32::MIN_POSITIVE.next_down()),
    ] {
        for n_dims in [1, 4] {
            let mut settings = ForestSettings::new(n_dims);
            (settings.n_trees, settings.sample_size) = (5, 16);
            settings.output_after = Some(1);
            let mut forest = settings.build().expect("valid");
            for n in 0..100 {
                let point = vec![if n % 3 == 0 { a } else { b }; n_dims];
                let score = forest.score_and_update(&point).expect("finite");
                assert!(score.is_finite() && (n == 0 || score > 0.0));
                check_forest(&forest);
            }
            for tree in read_all(&forest) {
                assert_eq!(tree.leaves().len(), 2, "{a} and {b} are not parted");
            }
        }
    }
}
