//! Claims of Guha, Mishra, Roy, Schrijvers: *Robust Random Cut Forest Based Anomaly Detection on
//! Streams*, ICML 2016, about single trees; those about scores of streams are in
//! `tests/it/paper.rs`.
//!
//! A law is compared with its exact one, each shape of a tree by its probability; see
//! [`crate::stats`] for what a failure means. Seeds are 1, 2, 3, ..

use crate::plain::{
    Plain, count, draw, forest_of, insert_everywhere, is_small, law, read_all, remove_everywhere,
};
use crate::random::Random;
use crate::stats::{FALSE_ALARM, beyond, fit, mean_and_error, same_law};

/// Trees over all seeds.
const N_TREES: u64 = 20_000;
/// Trees of one forest.
const AT_ONCE: usize = 1000;

fn seeds() -> impl Iterator<Item = u64> {
    1..=N_TREES / AT_ONCE as u64
}

/// Points whose ranges differ by dimension, in no order.
fn five() -> Vec<Vec<f32>> {
    vec![vec![0.0, 0.0], vec![4.0, 0.5], vec![1.0, 2.0], vec![3.5, -1.0], vec![0.5, 1.5]]
}

fn refs(points: &[Vec<f32>]) -> Vec<&[f32]> {
    points.iter().map(Vec::as_slice).collect()
}

/// Asserts that trees are drawn from `RRCF(points)`.
#[track_caller]
fn assert_law(points: &[Vec<f32>], trees: impl IntoIterator<Item = Plain>) {
    let law = law(&refs(points));
    let (counts, probabilities) = count(&law, trees.into_iter().map(|tree| tree.shape()));
    let p = fit(&counts, &probabilities);
    let n_trees: f64 = counts.iter().sum();
    println!("seeds 1..={}: {n_trees} trees, {} shapes, p {p:.3}", seeds().count(), law.len());
    assert!(p > FALSE_ALARM, "p {p}");
}

#[test]
fn definition_1_a_dimension_is_cut_in_proportion_to_its_range_and_uniformly() {
    let points = vec![vec![1.0, -2.0, 5.0], vec![2.0, 2.0, 5.0], vec![1.5, 0.0, 8.0]];
    let (ranges, lows) = ([1.0, 4.0, 3.0], [1.0, -2.0, 5.0]);
    let mut counts = [0.0; 3];
    let mut places = [const { Vec::new() }; 3];
    for tree in seeds().flat_map(|seed| read_all(&forest_of(&points, seed, AT_ONCE))) {
        let Plain::Node { dim, cut, .. } = tree else { panic!("one leaf for three points") };
        counts[dim] += 1.0;
        places[dim].push((f64::from(cut) - lows[dim]) / ranges[dim]);
    }
    let p = fit(&counts, &ranges.map(|range| range / 8.0));
    assert!(p > FALSE_ALARM, "dimensions {counts:?}, p {p}");
    for (dim, places) in places.iter().enumerate() {
        let mut cells = [0.0; 16];
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0..16")]
        places.iter().for_each(|place: &f64| cells[((place * 16.0) as usize).min(15)] += 1.0);
        let p = fit(&cells, &[1.0 / 16.0; 16]);
        assert!(p > FALSE_ALARM, "cuts in dimension {dim}: {cells:?}, p {p}");
    }
}

#[test]
fn theorem_1_the_tree_distance_is_at_least_the_manhattan_distance_and_at_most_its_bound() {
    let mut random = Random::new(3);
    #[expect(clippy::cast_possible_truncation, reason = "a test's numbers")]
    let points: Vec<Vec<f32>> = (0..24)
        .map(|_| [8.0, 2.0, 0.5].map(|range| (range * random.open01()) as f32).to_vec())
        .collect();
    let pairs = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11)];
    let ranges: Vec<f64> = (0..3)
        .map(|dim| {
            let numbers = || points.iter().map(|point| f64::from(point[dim]));
            numbers().fold(f64::MIN, f64::max) - numbers().fold(f64::MAX, f64::min)
        })
        .collect();
    let trees: Vec<Plain> =
        (1..=4).flat_map(|seed| read_all(&forest_of(&points, seed, AT_ONCE))).collect();
    for (u, v) in pairs {
        let (u, v) = (&points[u], &points[v]);
        let manhattan: f64 =
            u.iter().zip(v).map(|(u, v)| (f64::from(*u) - f64::from(*v)).abs()).sum();
        let mut excess = Vec::new();
        let mut stretch = Vec::new();
        for tree in &trees {
            // The weight of the last box that holds both, and how many do.
            let (mut at, mut n_common) = (tree, 1.0);
            let weight = loop {
                let Plain::Node { dim, cut, children } = at else { panic!("no cut parts them") };
                let right = |point: &[f32]| usize::from(point[*dim] > *cut);
                if right(u) != right(v) {
                    break at.range_sum();
                }
                at = &children[right(u)];
                n_common += 1.0;
            };
            assert!(weight >= manhattan * (1.0 - 1e-12), "{weight} below {manhattan}");
            stretch.push(weight / manhattan);
            excess.push(weight / manhattan - n_common);
        }
        // A box of summed range r that holds both parts them with probability manhattan / r, so
        // that the expected stretch is the expected number of boxes that hold both.
        let (mean, error) = mean_and_error(&excess);
        assert!(beyond(mean / error) > FALSE_ALARM, "stretch - boxes: {mean} +- {error}");
        // In dimension i, the part of its range around u that is still whole at time t is at most
        // 1 / t long on each side, and the two are parted at rate manhattan: with that, O(d log) is
        // 1 + 2 sum (1 + ln (1 + range_i / manhattan)).
        let bound: f64 = 1.0
            + ranges.iter().map(|range| 2.0 + 2.0 * (1.0 + range / manhattan).ln()).sum::<f64>();
        let (mean, error) = mean_and_error(&stretch);
        assert!(mean + 5.0 * error < bound, "stretch {mean}, at most {bound}");
    }
}

#[test]
fn theorem_2_an_inserted_point_leaves_a_tree_as_though_drawn_with_it() {
    let points = five();
    // Any order of insertion: also the outermost point last, and first.
    for order in [[0, 1, 2, 3, 4], [4, 2, 0, 3, 1], [1, 3, 4, 0, 2]] {
        let ordered: Vec<Vec<f32>> = order.iter().map(|at| points[*at].clone()).collect();
        assert_law(&points, seeds().flat_map(|seed| read_all(&forest_of(&ordered, seed, AT_ONCE))));
    }
}

#[test]
fn theorem_2_a_deleted_point_leaves_a_tree_as_though_drawn_without_it() {
    let points = five();
    for deleted in 0..points.len() {
        let mut rest = points.clone();
        let last = rest.remove(deleted);
        let without = |seed| {
            // Its entry is the last one, but its place in the tree is not: the four others are put
            // in behind it.
            let mut forest = forest_of(&rest[..1], seed, AT_ONCE);
            let mut settings = forest.settings().clone();
            settings.sample_size = 8;
            forest = settings.build().expect("valid");
            forest.update(&rest[0]).expect("finite");
            forest.update(&rest[1]).expect("finite");
            insert_everywhere(&mut forest, &last);
            remove_everywhere(&mut forest);
            forest.update(&rest[2]).expect("finite");
            forest.update(&rest[3]).expect("finite");
            insert_everywhere(&mut forest, &last);
            remove_everywhere(&mut forest);
            read_all(&forest)
        };
        assert_law(&rest, seeds().flat_map(without));
    }
}

#[test]
fn theorem_3_a_tree_of_a_sample_of_a_stream_is_as_though_drawn_from_that_sample() {
    // Seven points pass through samples of four: insertions and deletions in turn, each sample
    // with its own law.
    let stream: Vec<Vec<f32>> =
        five().into_iter().chain([vec![-2.0, 0.25], vec![2.5, 3.0]]).collect();
    for rate in [0.0, 0.5] {
        let mut samples = std::collections::BTreeMap::<Vec<String>, Vec<Plain>>::new();
        for seed in seeds() {
            let mut settings = crate::ForestSettings::new(2);
            (settings.n_trees, settings.sample_size, settings.seed) = (AT_ONCE, 4, seed);
            settings.time_decay = Some(rate);
            let mut forest = settings.build().expect("valid");
            stream.iter().for_each(|point| forest.update(point).expect("finite"));
            for tree in read_all(&forest) {
                let mut sample: Vec<String> =
                    tree.leaves().iter().map(|leaf| format!("{:?}", leaf.0)).collect();
                sample.sort();
                samples.entry(sample).or_default().push(tree);
            }
        }
        let mut n_judged = 0;
        for (_, trees) in samples {
            let mut sample: Vec<Vec<f32>> =
                trees[0].leaves().iter().map(|leaf| leaf.0.to_vec()).collect();
            sample.sort_by(|a, b| a[0].total_cmp(&b[0]));
            if trees.len() >= 400 {
                assert_law(&sample, trees);
                n_judged += 1;
            }
        }
        assert!(n_judged > 5, "{n_judged} samples are frequent");
    }
}

#[test]
fn theorem_3_holds_with_duplicates() {
    // The shape of distinct points does not depend on how often each is there.
    let points = five();
    let masses = [3, 1, 2, 1, 4];
    let all: Vec<Vec<f32>> = (0..4)
        .flat_map(|round| (0..5).filter(move |at| masses[*at] > round))
        .map(|at| points[at].clone())
        .collect();
    let law = law(&refs(&points));
    let shapes = seeds().flat_map(|seed| read_all(&forest_of(&all, seed, AT_ONCE))).map(|tree| {
        let mut shape = tree.shape();
        for (point, mass) in points.iter().zip(masses) {
            assert!(shape.contains(&format!("{point:?}*{mass}")));
            shape = shape.replace(&format!("{point:?}*{mass}"), &format!("{point:?}*1"));
        }
        shape
    });
    let (counts, probabilities) = count(&law, shapes);
    let p = fit(&counts, &probabilities);
    assert!(p > FALSE_ALARM, "p {p}");
}

/// The summed depths of all points, and, if it is there, the mass of the leaf beside a point's.
fn depths_and_sibling(tree: &Plain, x: &[f32]) -> (usize, Option<usize>) {
    let depths = tree.leaves().iter().map(|(_, depth, mass)| depth * mass).sum();
    let mut at = tree;
    let mut sibling = None;
    while let Plain::Node { dim, cut, children } = at {
        let right = usize::from(x[*dim] > *cut);
        sibling = Some(children[1 - right].mass());
        at = &children[right];
    }
    (depths, sibling)
}

#[test]
fn lemma_1_the_displacement_of_a_point_is_the_number_of_points_in_its_sibling() {
    // Definition 2: how many bits deeper, in all, the other points are for it.
    let points = five();
    for x in [[2.0, 0.75], [9.0, 0.0], [0.25, 0.125]] {
        let mut forest = forest_of(&points, 7, AT_ONCE);
        let expected = forest.displacement(&x).expect("finite");
        insert_everywhere(&mut forest, &x);
        let with = read_all(&forest);
        remove_everywhere(&mut forest);
        let mut moved = Vec::new();
        for (with, without) in with.iter().zip(read_all(&forest)) {
            let (depths, sibling) = depths_and_sibling(with, &x);
            let own = with.leaves().iter().find(|leaf| leaf.0 == x).expect("it is there").1;
            let displacement = depths - own - depths_and_sibling(&without, &x).0;
            assert_eq!(Some(displacement), sibling);
            // A share of the sample, as `Forest::displacement` has it.
            moved.push(displacement as f64 / 6.0);
        }
        // What it says without an insertion is the expectation over insertions.
        let (mean, error) = mean_and_error(&moved);
        assert!(beyond((mean - expected) / error) > FALSE_ALARM, "{mean} against {expected}");
    }
}

#[test]
fn a_score_without_an_insertion_is_the_expectation_over_insertions() {
    let points = five();
    for x in [[2.0, 0.75], [9.0, 0.0], [0.25, 0.125]] {
        let mut found = Vec::new();
        let mut forest = forest_of(&points, 8, AT_ONCE);
        let expected = forest.score(&x).expect("finite");
        insert_everywhere(&mut forest, &x);
        for tree in read_all(&forest) {
            let leaves = tree.leaves();
            let depth = leaves.iter().find(|leaf| leaf.0 == x).expect("it is there").1;
            // It was cut off at the node that is now its parent.
            found.push(6_f64.log2() / depth as f64);
        }
        let (mean, error) = mean_and_error(&found);
        assert!(beyond((mean - expected) / error) > FALSE_ALARM, "{mean} against {expected}");
    }
}

/// The largest displacement of any set of points around x, as a share of the set: over the nodes
/// above x, the mass beside them over their own.
fn codisp(tree: &Plain, x: &[f32]) -> f64 {
    let mut at = tree;
    let mut largest = 0.0_f64;
    while let Plain::Node { dim, cut, children } = at {
        let right = usize::from(x[*dim] > *cut);
        largest = largest.max(children[1 - right].mass() as f64 / children[right].mass() as f64);
        at = &children[right];
    }
    largest
}

#[test]
fn definition_3_collusive_displacement_sees_outliers_that_mask_each_other() {
    let mut random = Random::new(4);
    #[expect(clippy::cast_possible_truncation, reason = "a test's numbers")]
    let mut points: Vec<Vec<f32>> =
        (0..60).map(|_| vec![random.open01() as f32, random.open01() as f32]).collect();
    let usual = points[0].clone();
    points.extend([vec![20.0, 20.0], vec![20.001, 20.0], vec![20.0, 20.001]]);
    let forest = forest_of(&points, 1, AT_ONCE);
    let trees = read_all(&forest);
    let mean = |of: &dyn Fn(&Plain) -> f64| trees.iter().map(of).sum::<f64>() / AT_ONCE as f64;
    let sibling = |x: &[f32]| mean(&|tree| depths_and_sibling(tree, x).1.expect("many") as f64);
    let masked = [20.0, 20.0];
    // Alone, it would move nearly all 60; its two like leave it what any point moves.
    assert!(sibling(&masked) < 2.0 + 1e-9, "{}", sibling(&masked));
    // Taken out together, the three move 60 of 3 each.
    let (of_masked, of_usual) =
        (mean(&|tree| codisp(tree, &masked)), mean(&|tree| codisp(tree, &usual)));
    assert!(of_masked > 17.0 && of_usual < 8.0, "{of_masked} and {of_usual}");
    // The forest's own remedy is to leave out leaves of small mass.
    let mut twins = points.clone();
    twins.truncate(60);
    twins.push(masked.to_vec());
    let forest = forest_of(&twins, 1, 100);
    let (plain, unmasked) = (
        forest.score(&masked).expect("finite"),
        forest.score_ignoring(&masked, 1).expect("finite"),
    );
    assert!(unmasked > 1.5 * plain, "{unmasked} against {plain}");
}

#[test]
fn definition_1_holds_in_every_packing_and_dimension() {
    // Depths of the leaves against trees drawn by the definition: one dimension and nine, small
    // trees and large ones.
    for (n_dims, n_points) in [(1, 50), (9, 50), (300, 30)] {
        let mut random = Random::new(6);
        #[expect(clippy::cast_possible_truncation, reason = "a test's numbers")]
        let points: Vec<Vec<f32>> = (0..n_points)
            .map(|_| (0..n_dims).map(|dim| (random.open01() * f64::from(1 + dim)) as f32).collect())
            .collect();
        let forest = forest_of(&points, 1, AT_ONCE);
        assert_eq!(is_small(&forest), n_dims < 300);
        for measured in [0, n_points / 2] {
            let depth = |tree: &Plain| {
                let leaves = tree.leaves();
                leaves.iter().find(|leaf| leaf.0 == points[measured]).expect("it is there").1 as f64
            };
            let found: Vec<f64> = read_all(&forest).iter().map(depth).collect();
            let drawn: Vec<f64> =
                (0..AT_ONCE).map(|_| depth(&draw(&refs(&points), &mut random))).collect();
            let p = same_law(&found, &drawn);
            assert!(p > FALSE_ALARM, "{n_dims} dimensions, p {p}");
            // Means show small differences.
            let ((a, a_error), (b, b_error)) = (mean_and_error(&found), mean_and_error(&drawn));
            let p = beyond((a - b) / a_error.hypot(b_error));
            assert!(p > FALSE_ALARM, "{n_dims} dimensions, depths {a} and {b}, p {p}");
        }
    }
}
