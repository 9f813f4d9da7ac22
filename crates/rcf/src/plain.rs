//! Trees in plain sight, for the tests: read from a forest, or drawn and counted by the paper's
//! definition.

use std::collections::BTreeMap;

use crate::engine::{AnyTrees, with_trees};
use crate::kernel::Portable;
use crate::layout::key;
use crate::line_change;
use crate::packed::ANY;
use crate::random::Random;
use crate::rebuild::Part;
use crate::trees::{EMPTY, Scratch};
use crate::{Forest, ForestSettings};

/// A tree of points.
#[derive(Clone, Debug)]
pub(crate) enum Plain {
    Leaf { point: Vec<f32>, entries: Vec<u32> },
    Node { dim: usize, cut: f32, children: Box<[Plain; 2]> },
}

impl Plain {
    fn read(parts: &mut impl Iterator<Item = Part>, point: &dyn Fn(u32) -> Vec<f32>) -> Self {
        match parts.next().expect("a whole tree") {
            Part::Leaf { slot, entries } => Self::Leaf { point: point(slot), entries },
            Part::Node { dim, cut } => {
                let children = Box::new([Self::read(parts, point), Self::read(parts, point)]);
                Self::Node { dim: dim as usize, cut, children }
            }
        }
    }

    /// The leaves, each with its point, depth and mass.
    pub(crate) fn leaves(&self) -> Vec<(&[f32], usize, usize)> {
        match self {
            Self::Leaf { point, entries } => vec![(point, 0, entries.len())],
            Self::Node { children, .. } => {
                let below = children.iter().flat_map(Self::leaves);
                below.map(|(point, depth, mass)| (point, depth + 1, mass)).collect()
            }
        }
    }

    pub(crate) fn mass(&self) -> usize {
        self.leaves().iter().map(|leaf| leaf.2).sum()
    }

    /// The summed ranges of the points below.
    pub(crate) fn range_sum(&self) -> f64 {
        let leaves = self.leaves();
        let points: Vec<&[f32]> = leaves.iter().map(|leaf| leaf.0).collect();
        (0..points[0].len()).map(|dim| range(&points, dim)).sum()
    }

    /// Dimensions and leaves, without where exactly the cuts are: `(0:a|b)` is a cut in dimension 0
    /// of the leaves a and b, whose names are their points'.
    pub(crate) fn shape(&self) -> String {
        match self {
            Self::Leaf { point, entries } => format!("{point:?}*{}", entries.len()),
            Self::Node { dim, children, .. } => {
                format!("({dim}:{}|{})", children[0].shape(), children[1].shape())
            }
        }
    }
}

fn range(points: &[&[f32]], dim: usize) -> f64 {
    let numbers = || points.iter().map(|point| f64::from(point[dim]));
    numbers().fold(f64::MIN, f64::max) - numbers().fold(f64::MAX, f64::min)
}

/// One tree of a forest; none if it is empty.
pub(crate) fn read(forest: &Forest, tree: usize) -> Option<Plain> {
    let point_len = forest.settings.point_len();
    with_trees!(forest.trees.spread(), trees => {
        let point = |slot| trees.points.get(slot)[..point_len].to_vec();
        let parts = trees.preorder(tree);
        (!parts.is_empty()).then(|| Plain::read(&mut parts.into_iter(), &point))
    })
}

/// All trees of a forest.
pub(crate) fn read_all(forest: &Forest) -> Vec<Plain> {
    (0..forest.settings.n_trees).filter_map(|tree| read(forest, tree)).collect()
}

/// Puts a point into every tree, whatever the samplers say; its entry is the last.
pub(crate) fn insert_everywhere(forest: &mut Forest, point: &[f32]) {
    let padded = forest.with_point(point, <[f32]>::to_vec);
    let sample_size = forest.policy.sample_size as usize;
    let mut scratch = vec![0.0; 6 * padded.len()];
    with_trees!(forest.trees.spread_mut(), trees => {
        let mut stored = None;
        for tree in 0..trees.heads.len() {
            let entry = trees.heads[tree].n_entries;
            assert!((entry as usize) < sample_size, "no room");
            trees.make_room(entry as usize + 1, sample_size);
            trees.heads[tree].n_entries += 1;
            if trees.lines.are_kept() {
                let (hole, rank) = (trees.lines.no_hole(tree), trees.lines.rank::<Portable>(tree, key(padded[0])));
                line_change::insert::<_, Portable>(
                    trees, tree, entry, hole, rank, padded[0], &mut stored,
                );
                continue;
            }
            let is_empty = trees.heads[tree].root == EMPTY;
            let leaf = if is_empty { EMPTY } else { trees.descend(tree, &padded) };
            let scratch = &mut Scratch::of(&mut scratch);
            trees.insert::<Portable, ANY>(tree, entry, leaf, &padded, &mut stored, scratch);
        }
    });
}

/// Takes the last entry out of every tree, whatever the samplers say.
pub(crate) fn remove_everywhere(forest: &mut Forest) {
    let point_len = forest.settings.point_len();
    let mut scratch = vec![0.0; 6 * crate::points::padded(point_len)];
    with_trees!(forest.trees.spread_mut(), trees => {
        for tree in 0..trees.heads.len() {
            let entry = trees.heads[tree].n_entries - 1;
            let scratch = &mut Scratch::of(&mut scratch);
            if trees.lines.are_kept() {
                let hole = line_change::remove::<_, Portable>(trees, tree, entry);
                trees.lines.close(tree, hole);
            } else {
                trees.remove::<Portable, ANY>(tree, entry, scratch);
            }
            trees.heads[tree].n_entries -= 1;
        }
    });
}

/// A forest of as many trees as there may be, whose samples have room for all points given, in
/// their order.
pub(crate) fn forest_of(points: &[Vec<f32>], seed: u64, n_trees: usize) -> Forest {
    let mut settings = ForestSettings::new(points[0].len());
    (settings.n_trees, settings.sample_size) = (n_trees, points.len() + 2);
    (settings.seed, settings.output_after) = (seed, Some(1));
    settings.time_decay = Some(0.0);
    let mut forest = settings.build().expect("valid");
    points.iter().for_each(|point| forest.update(point).expect("finite"));
    forest
}

pub(crate) fn is_small(forest: &Forest) -> bool {
    matches!(forest.trees.spread(), AnyTrees::Small(_))
}

/// The probability of every shape of a robust random cut tree of distinct points: a dimension by
/// its share of the summed ranges, then a uniform cut (definition 1 of the paper).
pub(crate) fn law(points: &[&[f32]]) -> BTreeMap<String, f64> {
    if let [point] = points {
        return BTreeMap::from([(format!("{point:?}*1"), 1.0)]);
    }
    let n_dims = points[0].len();
    let range_sum: f64 = (0..n_dims).map(|dim| range(points, dim)).sum();
    let mut law = BTreeMap::new();
    for dim in 0..n_dims {
        let mut numbers: Vec<f32> = points.iter().map(|point| point[dim]).collect();
        numbers.sort_by(f32::total_cmp);
        for gap in numbers.windows(2).filter(|gap| gap[0] < gap[1]) {
            let p = (f64::from(gap[1]) - f64::from(gap[0])) / range_sum;
            let (left, right): (Vec<&[f32]>, Vec<&[f32]>) =
                points.iter().partition(|point| point[dim] <= gap[0]);
            for (left, p_left) in self::law(&left) {
                for (right, p_right) in self::law(&right) {
                    *law.entry(format!("({dim}:{left}|{right})")).or_insert(0.0) +=
                        p * p_left * p_right;
                }
            }
        }
    }
    law
}

/// Counts shapes by their law's order, and the law; a shape that it does not know is an error.
pub(crate) fn count(
    law: &BTreeMap<String, f64>,
    shapes: impl IntoIterator<Item = String>,
) -> (Vec<f64>, Vec<f64>) {
    let mut counts: BTreeMap<&str, f64> = law.keys().map(|shape| (shape.as_str(), 0.0)).collect();
    for shape in shapes {
        *counts.get_mut(shape.as_str()).unwrap_or_else(|| panic!("{shape} has no probability")) +=
            1.0;
    }
    (counts.into_values().collect(), law.values().copied().collect())
}

/// A robust random cut tree drawn by definition 1, with how often each point is there.
pub(crate) fn draw(points: &[&[f32]], random: &mut Random) -> Plain {
    let n_dims = points[0].len();
    let range_sum: f64 = (0..n_dims).map(|dim| range(points, dim)).sum();
    if range_sum == 0.0 {
        let entries = (0..).take(points.len()).collect();
        return Plain::Leaf { point: points[0].to_vec(), entries };
    }
    loop {
        let mut offset = random.open01() * range_sum;
        let mut dim = 0;
        while dim + 1 < n_dims && offset >= range(points, dim) {
            offset -= range(points, dim);
            dim += 1;
        }
        let min = points.iter().map(|point| f64::from(point[dim])).fold(f64::MAX, f64::min);
        let cut = min + offset;
        let (left, right): (Vec<&[f32]>, Vec<&[f32]>) =
            points.iter().partition(|point| f64::from(point[dim]) <= cut);
        if right.is_empty() {
            continue;
        }
        let children = Box::new([draw(&left, random), draw(&right, random)]);
        #[expect(clippy::cast_possible_truncation, reason = "near enough for a test")]
        return Plain::Node { dim, cut: cut as f32, children };
    }
}
