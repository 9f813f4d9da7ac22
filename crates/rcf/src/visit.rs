//! What a tree says of a point: its score, and how the dimensions share in it.

use crate::boxes::{Bounds, merge};
use crate::layout::{Idx, Layout, Ref};
use crate::tables::Tables;
use crate::trees::{EMPTY, NONE, Trees};
use crate::walk::parting;

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

/// The score of a point in one tree, with the leaf that the cuts lead it to; the tree must not be
/// empty.
fn score<L: Layout>(
    trees: &Trees<L>,
    tree: usize,
    leaf: Ref,
    tables: &Tables,
    point: &[f32],
    scratch: &mut [f32],
) -> f64 {
    let tree_mass = trees.heads[tree].n_entries;
    let mut depth = trees.depth(tree, leaf);
    if trees.leaf_point(tree, leaf) == point {
        let mass = trees.masses[trees.place(tree, leaf)].get();
        let value = Tables::damp(mass, tree_mass) * tables.seen(depth, mass);
        return value * tables.log2_1p(tree_mass);
    }
    let mut value = tables.unseen(depth);
    let mut at = trees.parent_of(tree, leaf);
    while at != NONE {
        depth -= 1;
        let bounds = trees.bounds(tree, at, scratch);
        let excess = bounds.excess(point);
        if excess == 0.0 {
            break;
        }
        value += parting(excess, bounds.range_sum()) * (tables.unseen(depth) - value);
        at = trees.parent_of(tree, at);
    }
    value * tables.log2_1p(tree_mass)
}

/// Adds one tree's attribution of a padded point to a sum.
///
/// Where the tree holds an equal point, the boxes are those of the siblings on the way up, merged,
/// as though the equal points were not there; the parts are then scaled to the tree's score.
pub(crate) fn attribute<L: Layout>(
    trees: &Trees<L>,
    tree: usize,
    tables: &Tables,
    point: &[f32],
    sum: &mut Attribution,
) {
    if trees.heads[tree].root == EMPTY {
        return;
    }
    let mut scratch = vec![0.0; 2 * point.len()];
    let leaf = trees.descend(tree, point);
    let mut depth = trees.depth(tree, leaf);
    let target = score(trees, tree, leaf, tables, point, &mut scratch);
    let point_len = sum.high.len();
    let own = trees.leaf_point(tree, leaf);
    let equal = own == point;
    let mut parts = Attribution { high: vec![0.0; point_len], low: vec![0.0; point_len] };
    if equal {
        let mass = trees.masses[trees.place(tree, leaf)].get();
        #[expect(clippy::cast_precision_loss, reason = "at most 100 000")]
        let part = tables.seen(depth, mass) / (2.0 * point_len as f64);
        parts.high.fill(part);
        parts.low.fill(part);
    } else {
        mix(&mut parts, Bounds::of_point(own), point, 1.0, tables.unseen(depth));
    }

    // The siblings' merged boxes; used where an equal point hides behind the nodes' own.
    let mut siblings: Vec<f32> = Vec::new();
    let mut below = leaf;
    let mut at = trees.parent_of(tree, leaf);
    while at != NONE {
        depth -= 1;
        let bounds = if equal {
            let sibling = trees.bounds(tree, trees.sibling_of(tree, below, at), &mut scratch);
            if siblings.is_empty() {
                siblings.extend_from_slice(sibling.min);
                siblings.extend_from_slice(sibling.max);
            } else {
                merge(&mut siblings, sibling);
            }
            Bounds::of(&siblings)
        } else {
            trees.bounds(tree, at, &mut scratch)
        };
        let excess = bounds.excess(point);
        if excess == 0.0 {
            break;
        }
        let p = parting(excess, bounds.range_sum());
        mix(&mut parts, bounds, point, p, tables.unseen(depth));
        below = at;
        at = trees.parent_of(tree, at);
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
    let point_len = parts.high.len();
    for (dim, x) in point[..point_len].iter().enumerate() {
        let x = f64::from(*x);
        let above = (x - f64::from(bounds.max[dim])).max(0.0) / excess;
        let below = (f64::from(bounds.min[dim]) - x).max(0.0) / excess;
        parts.high[dim] = p * value * above + (1.0 - p) * parts.high[dim];
        parts.low[dim] = p * value * below + (1.0 - p) * parts.low[dim];
    }
}
