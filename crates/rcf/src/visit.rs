//! What a tree says of a point: its score, and how the dimensions share in it.

use crate::boxes::{Bounds, merge};
use crate::points::PointStore;
use crate::tree::{NONE, Tree, leaf_ref};

/// How much each dimension of a point added to its score.
///
/// Both lists have one number for every number of the point (`n_dims * shingle_size`, the oldest
/// observation first), at least 0; together they add up to the score.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// The parts that come from values above those seen so far.
    pub high: Vec<f64>,
    /// The parts that come from values below those seen so far.
    pub low: Vec<f64>,
}

/// The logarithms and reciprocals that scores are made of.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    // log2(1 + n) for n up to the sample size.
    log2_1p: Vec<f64>,
}

impl Tables {
    pub(crate) fn new(sample_size: usize) -> Self {
        let largest = u32::try_from(sample_size).expect("a sample has at most 65 536 points");
        Self { log2_1p: (0..=largest).map(crate::math::log2_1p).collect() }
    }

    /// The expected score of a point that meets an equal one in a leaf.
    fn seen(&self, depth: u32, mass: u32) -> f64 {
        1.0 / (f64::from(depth) + self.log2_1p[mass as usize])
    }

    /// How much duplicates in a leaf lower the score.
    fn damp(leaf_mass: u32, tree_mass: u32) -> f64 {
        1.0 - f64::from(leaf_mass) / (2.0 * f64::from(tree_mass))
    }

    /// What a tree's score is scaled by.
    fn scale(&self, tree_mass: u32) -> f64 {
        self.log2_1p[tree_mass as usize]
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.log2_1p.capacity() * size_of::<f64>()
    }
}

/// The expected score of a point that is cut off at a depth.
fn unseen(depth: u32) -> f64 {
    1.0 / (f64::from(depth) + 1.0)
}

/// The probability that a random cut parts a point from a box.
fn parting(excess: f64, range_sum: f64) -> f64 {
    // Where the box has no range, every cut does; this also avoids rounding at huge ranges.
    if range_sum == 0.0 { 1.0 } else { excess / (range_sum + excess) }
}

/// The score of a point in one tree; 0 in an empty one. Cost: one walk down, and up to the first
/// box that holds the point.
pub(crate) fn score(tree: &Tree, points: &PointStore, tables: &Tables, point: &[f32]) -> f64 {
    let tree_mass = tree.mass();
    if tree_mass == 0 {
        return 0.0;
    }
    let (leaf, mut depth) = tree.descend(point);
    let found = tree.leaves[leaf as usize];
    if points.get(found.slot) == point {
        // The boxes above hold the point: nothing parts it before the leaf.
        let value = Tables::damp(found.mass, tree_mass) * tables.seen(depth, found.mass);
        return value * tables.scale(tree_mass);
    }
    let mut value = unseen(depth);
    let mut at = found.parent;
    while at != NONE {
        depth -= 1;
        let excess = tree.bounds(at, points).excess(point);
        if excess == 0.0 {
            break;
        }
        let above = &tree.above[at as usize];
        let p = parting(excess, above.range_sum);
        value = p * unseen(depth) + (1.0 - p) * value;
        at = above.parent;
    }
    value * tables.scale(tree_mass)
}

/// Adds one tree's attribution of a point to a sum.
///
/// Where the tree holds an equal point, the boxes are those of the siblings on the way up, merged,
/// as though the equal points were not there; the parts are then scaled to the tree's score.
pub(crate) fn attribute(
    tree: &Tree,
    points: &PointStore,
    tables: &Tables,
    point: &[f32],
    sum: &mut Attribution,
) {
    let tree_mass = tree.mass();
    if tree_mass == 0 {
        return;
    }
    let target = score(tree, points, tables, point);
    let point_len = point.len();
    let (leaf, mut depth) = tree.descend(point);
    let found = tree.leaves[leaf as usize];
    let own = points.get(found.slot);
    let equal = own == point;
    let mut parts = Attribution { high: vec![0.0; point_len], low: vec![0.0; point_len] };
    if equal {
        #[expect(clippy::cast_precision_loss, reason = "at most 100 000")]
        let part = tables.seen(depth, found.mass) / (2.0 * point_len as f64);
        parts.high.fill(part);
        parts.low.fill(part);
    } else {
        let bounds = Bounds::of_point(own);
        mix(&mut parts, bounds, point, 1.0, unseen(depth));
    }

    // The siblings' merged boxes; used where an equal point hides behind the nodes' own.
    let mut siblings: Vec<f32> = Vec::new();
    let mut below = leaf_ref(leaf);
    let mut at = found.parent;
    while at != NONE {
        depth -= 1;
        let (excess, range_sum) = if equal {
            let sibling = tree.bounds(tree.sibling_of(below, at), points);
            if siblings.is_empty() {
                siblings.extend_from_slice(sibling.min);
                siblings.extend_from_slice(sibling.max);
            } else {
                merge(&mut siblings, sibling);
            }
            let bounds = Bounds::of(&siblings);
            (bounds.excess(point), bounds.range_sum())
        } else {
            (tree.bounds(at, points).excess(point), tree.above[at as usize].range_sum)
        };
        if excess == 0.0 {
            break;
        }
        let bounds = if equal { Bounds::of(&siblings) } else { tree.bounds(at, points) };
        mix(&mut parts, bounds, point, parting(excess, range_sum), unseen(depth));
        below = at;
        at = tree.parent_of(at);
    }

    let total: f64 = parts.high.iter().chain(&parts.low).sum();
    let scale = if total > 0.0 { target / total } else { 0.0 };
    for (sum, part) in sum.high.iter_mut().zip(&parts.high) {
        *sum += part * scale;
    }
    for (sum, part) in sum.low.iter_mut().zip(&parts.low) {
        *sum += part * scale;
    }
}

/// `parts = p * value, shared by how far the point lies outside in each direction, + (1 - p) *
/// parts`.
fn mix(parts: &mut Attribution, bounds: Bounds<'_>, point: &[f32], p: f64, value: f64) {
    let excess = bounds.excess(point);
    for (dim, x) in point.iter().enumerate() {
        let x = f64::from(*x);
        let above = (x - f64::from(bounds.max[dim])).max(0.0) / excess;
        let below = (f64::from(bounds.min[dim]) - x).max(0.0) / excess;
        parts.high[dim] = p * value * above + (1.0 - p) * parts.high[dim];
        parts.low[dim] = p * value * below + (1.0 - p) * parts.low[dim];
    }
}
