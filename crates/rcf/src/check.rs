//! Checks of whole forests: what is kept against what follows from the points.

use crate::Forest;
use crate::boxes::{Bounds, merge};
use crate::engine::with_trees;
use crate::kernel::Portable;
use crate::layout::{Idx, Layout, Node, Ref, key};
use crate::level::Level;
use crate::line::Stretch;
use crate::packed::unpack;
use crate::random::Random;
use crate::trees::{EMPTY, NONE, Trees, is_twin};
use crate::walk::BATCH;
use crate::{ForestSettings, kernel::Kernel};

/// The box and the mass of a subtree, from its points; asserts that all that is kept fits.
fn check<L: Layout>(trees: &Trees<L>, tree: usize, at: Ref, parent: u32) -> (Vec<f32>, u32) {
    assert_eq!(trees.parent_of(tree, at), parent);
    let place = trees.place(tree, at);
    if Trees::<L>::is_leaf(at) {
        let entry = at & !L::LEAF;
        let base = tree * trees.room;
        let twins = trees.parents[base..base + trees.heads[tree].n_entries as usize]
            .iter()
            .filter(|parent| is_twin(**parent) && parent.get() & !L::Idx::TWIN == entry)
            .count();
        let mass = trees.masses[place].get();
        assert_eq!(mass as usize, twins + 1);
        return (trees.leaf_point(tree, at).repeat(2), mass);
    }
    let node = trees.nodes[place];
    let (mut numbers, mass) = check(trees, tree, node.child(false), at);
    let (right, right_mass) = check(trees, tree, node.child(true), at);
    let dim = node.dim() as usize;
    assert!(Bounds::of(&numbers).max[dim] <= node.cut());
    assert!(node.cut() < Bounds::of(&right).min[dim]);
    merge(&mut numbers, Bounds::of(&right));
    let mut scratch = vec![0.0; numbers.len()];
    let kept = trees.links[place].bounds;
    assert_eq!(kept == L::Idx::NONE, trees.has_at_most(tree, at, trees.boxless.max(1)));
    if kept != L::Idx::NONE {
        let packed = trees.boxes.numbers(kept.get());
        let bounds = unpack(packed, &mut scratch);
        assert_eq!((bounds.min, bounds.max), (numbers.split_at(numbers.len() / 2)));
        let range_sum = Portable::range_sum(packed);
        assert_eq!(trees.boxes.range_sum(kept.get()).to_bits(), range_sum.to_bits());
    }
    (numbers, mass + right_mass)
}

/// Asserts that the leaves below a node of a line are parted by its cut, that its depth is one more
/// than that of the node above, and that it is found from below; returns its mass.
fn check_stretch<L: Layout>(trees: &Trees<L>, tree: usize, stretch: Stretch, depth: u16) -> u32 {
    let lines = &trees.lines;
    let Some(gap) = lines.root_of(tree, stretch) else {
        let rank = stretch.0;
        let entry = lines.entry(tree, rank);
        let place = tree * trees.room + entry as usize;
        let value = lines.value(tree, rank);
        assert_eq!(trees.points.get_one(trees.slots[place].get()).to_bits(), value.to_bits());
        assert_eq!(lines.rank::<Portable>(tree, key(value)), rank);
        let base = tree * trees.room;
        let n_twins = trees.parents[base..base + trees.heads[tree].n_entries as usize]
            .iter()
            .filter(|parent| is_twin(**parent) && parent.get() & !L::Idx::TWIN == entry)
            .count();
        assert_eq!(trees.parents[place], L::Idx::NONE);
        assert_eq!(trees.masses[place].get() as usize, n_twins + 1);
        return trees.masses[place].get();
    };
    assert_eq!(lines.depth(tree, gap), depth);
    assert_eq!(lines.stretch(tree, gap), stretch);
    let cut = lines.cut(tree, gap);
    assert!(lines.value(tree, gap) <= cut && cut < lines.value(tree, gap + 1));
    let masses = lines.children(tree, gap).map(|child| {
        assert_eq!(lines.above(tree, child), Some(gap));
        check_stretch(trees, tree, child, depth + 1)
    });
    masses.iter().sum()
}

fn check_line<L: Layout>(trees: &Trees<L>, tree: usize) {
    let n_leaves = trees.lines.n_leaves[tree] as usize;
    let mass = if n_leaves == 0 { 0 } else { check_stretch(trees, tree, (0, n_leaves - 1), 1) };
    assert_eq!(mass, trees.heads[tree].n_entries);
    let cuts = &trees.lines.cuts[..trees.lines.first_value(tree + 1)];
    let cuts = &cuts[trees.lines.first_value(tree)..];
    assert!(cuts[n_leaves.saturating_sub(1)..].iter().all(|cut| *cut == i32::MAX));
    let depths = &trees.lines.depths[..trees.lines.first_depth(tree + 1)];
    let rest = &depths[trees.lines.first_depth(tree) + n_leaves.saturating_sub(1)..];
    assert!(rest.iter().all(|depth| *depth == 0));
}

/// Checks all trees of a forest.
pub(crate) fn check_forest(forest: &Forest) {
    with_trees!(&*forest.opened(), trees => {
        for (tree, head) in trees.heads.iter().enumerate() {
            if trees.lines.are_kept() {
                check_line(trees, tree);
                continue;
            }
            if head.root == EMPTY {
                assert_eq!(head.n_entries, 0);
                continue;
            }
            let (_, mass) = check(trees, tree, head.root, NONE);
            assert_eq!(mass, head.n_entries);
        }
    });
}

fn settings(n_dims: usize, n_trees: usize, compact: bool) -> ForestSettings {
    let mut settings = ForestSettings::new(n_dims);
    settings.n_trees = n_trees;
    settings.sample_size = 40;
    settings.output_after = Some(1);
    settings.compact = compact;
    settings.seed = 5;
    settings
}

/// Points of every kind: far apart, near, equal.
fn points(n_dims: usize, n_points: usize) -> Vec<Vec<f32>> {
    let mut random = Random::new(9);
    let mut number = move || {
        let u = random.open01();
        let kind = random.open01();
        #[expect(clippy::cast_possible_truncation, reason = "a test's numbers")]
        if kind < 0.3 { (u * 3.0).floor() as f32 } else { (2.0 * u - 1.0) as f32 }
    };
    (0..n_points).map(|_| (0..n_dims).map(|_| number()).collect()).collect()
}

#[test]
fn boxes_masses_and_lines_are_those_of_the_points() {
    for (n_dims, n_points) in [(1, 1500), (2, 1500), (9, 1500), (64, 400), (520, 200)] {
        for compact in [false, true] {
            let mut forest = settings(n_dims, 7, compact).build().expect("valid");
            for (n, point) in points(n_dims, n_points).iter().enumerate() {
                forest.update(point).expect("finite");
                if n < 60 || n % 50 == 0 {
                    check_forest(&forest);
                }
            }
            check_forest(&Forest::from_bytes(&forest.to_bytes()).expect("its own bytes"));
        }
    }
}

/// Scores and snapshot, in one number.
fn hash(mut forest: Forest, points: &[Vec<f32>], at_once: bool) -> u64 {
    let mut hash = 0_u64;
    let mut add =
        |bits: u64| hash = (hash.rotate_left(5) ^ bits).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for point in points {
        let score = if at_once {
            forest.score_and_update(point).expect("finite")
        } else {
            let score = forest.score(point).expect("finite");
            forest.update(point).expect("finite");
            score
        };
        add(score.to_bits());
    }
    forest.to_bytes().iter().for_each(|byte| add(u64::from(*byte)));
    hash
}

#[test]
fn every_level_gives_the_same_bits() {
    for (n_dims, n_points) in [(1, 600), (3, 600), (8, 600), (10, 600), (64, 600), (520, 150)] {
        let points = points(n_dims, n_points);
        let forest = settings(n_dims, BATCH + 3, false).build().expect("valid");
        let hashes: Vec<u64> = Level::available()
            .flat_map(|level| [(level, false), (level, true)])
            .map(|(level, at_once)| {
                let mut forest = forest.clone();
                forest.level = level;
                hash(forest, &points, at_once)
            })
            .collect();
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{n_dims}: {hashes:x?}");
    }
}

#[test]
fn a_compact_forest_scores_the_same_from_less_memory() {
    for n_dims in [1, 2, 8, 64] {
        let mut normal = settings(n_dims, 9, false).build().expect("valid");
        let mut compact = settings(n_dims, 9, true).build().expect("valid");
        for point in points(n_dims, 600) {
            let expected = normal.score_and_update(&point).expect("finite");
            let found = compact.score_and_update(&point).expect("finite");
            assert_eq!(found.to_bits(), expected.to_bits());
            assert_eq!(normal.attribution(&point), compact.attribution(&point));
        }
        assert!(compact.size_bytes() < normal.size_bytes());
    }
}

#[test]
fn a_large_packing_scores_as_a_small_one() {
    // A sample of more than 2047 has the large packing; while neither is full, only the fraction at
    // which it is filled without a choice could tell them apart.
    let mut small = settings(2, 3, false);
    (small.sample_size, small.time_decay) = (2000, Some(0.0));
    let mut large = small.clone();
    large.sample_size = 2100;
    let (mut small, mut large) = (small.build().expect("valid"), large.build().expect("valid"));
    for point in points(2, 1500) {
        let expected = small.score_and_update(&point).expect("finite");
        assert_eq!(large.score_and_update(&point).expect("finite").to_bits(), expected.to_bits());
    }
}
