//! Scores in trees of one dimension.
//!
//! All boxes on the way up that a number lies outside of end at the leaf that it was led to, and it
//! lies outside by the same distance each time: only their other ends differ. They are found by the
//! depths of the gaps alone (see [`crate::line`]).

use crate::layout::{Idx, Layout, key};
use crate::scan::{Scan, beside};
use crate::tables::Tables;
use crate::trees::Trees;
use crate::walk::{BATCH, parting, sum_of_trees};

const WRAP: usize = BATCH - 1;

/// The sum of the scores of a number in all trees.
#[inline(always)]
pub(crate) fn score_all<L: Layout, K: Scan>(trees: &Trees<L>, tables: &Tables, x: f32) -> f64 {
    let n_trees = trees.heads.len();
    let mut sum = 0.0;
    let mut ranks = [0; BATCH];
    for start in (0..n_trees).step_by(BATCH) {
        let n_lanes = (n_trees - start).min(BATCH);
        sum += score::<L, K>(trees, tables, start, &mut ranks[..n_lanes], x);
    }
    sum
}

/// What a tree needs on its way up.
#[derive(Clone, Copy, Default)]
struct Lane {
    /// Where the depth of the node's gap stands, and the depth.
    at: usize,
    depth: u16,
    /// The nodes of this depth and above hold the number.
    limit: u16,
    /// From the place of a gap's depth to that of the leaf next to it that the box ends at.
    to_value: usize,
    is_right: bool,
    stored: f32,
    excess: f64,
}

/// The sum of the scores of a number in a batch of trees; `ranks` become those of its leaves.
///
/// All trees take one step up each, then those that go on the next one.
#[inline(always)]
pub(crate) fn score<L: Layout, K: Scan>(
    trees: &Trees<L>,
    tables: &Tables,
    start: usize,
    ranks: &mut [usize],
    x: f32,
) -> f64 {
    let lines = &trees.lines;
    let key = key(x);
    for (lane, rank) in ranks.iter_mut().enumerate() {
        *rank = lines.rank::<K>(start + lane, key);
    }
    let mut values = [0.0; BATCH];
    let mut lanes = [Lane::default(); BATCH];
    let mut going = [0_u8; BATCH];
    let mut n_going = 0;
    for (nth, rank) in (0_u8..).zip(ranks.iter()) {
        let lane = usize::from(nth);
        let (tree, rank) = (start + lane, *rank);
        if lines.n_leaves[tree] == 0 {
            continue;
        }
        let first_value = lines.first_value(tree);
        let stored = lines.values[first_value + rank];
        let at = lines.first_depth(tree) + rank;
        let (left, right) = (lines.depths[at - 1], lines.depths[at]);
        let depth = left.max(right);
        let value = &mut values[lane & WRAP];
        *value = tables.unseen(depth.into());
        if stored == x {
            // The boxes above hold the point: nothing parts it before the leaf.
            *value = value_seen(trees, tables, tree, rank, depth);
        }
        let is_right = x > stored;
        let (depth, limit) = if is_right { (left, right) } else { (right, left) };
        let to_right = usize::from(is_right);
        lanes[n_going & WRAP] = Lane {
            at: at - to_right,
            depth,
            limit,
            to_value: lines.first_depth(tree) - first_value - to_right,
            is_right,
            stored,
            excess: (f64::from(x) - f64::from(stored)).abs(),
        };
        going[n_going & WRAP] = nth;
        n_going += usize::from((depth > limit) & (stored != x));
    }
    while n_going > 0 {
        let mut n_left = 0;
        for nth in 0..n_going {
            let mut lane = lanes[nth & WRAP];
            let next = beside::<K>(&lines.depths, lane.at, lane.depth, !lane.is_right);
            let far = lines.values[next - lane.to_value];
            let range = (f64::from(lane.stored) - f64::from(far)).abs();
            let of_tree = going[nth & WRAP];
            let value = &mut values[usize::from(of_tree) & WRAP];
            let unseen = tables.unseen(u32::from(lane.depth) - 1);
            *value += parting(lane.excess, range) * (unseen - *value);
            lane.at = next;
            lane.depth = lines.depths[next];
            lanes[n_left & WRAP] = lane;
            going[n_left & WRAP] = of_tree;
            // Nothing parts the point from a box that holds it.
            n_left += usize::from(lane.depth > lane.limit);
        }
        n_going = n_left;
    }
    for (value, head) in values.iter_mut().zip(&trees.heads[start..start + ranks.len()]) {
        *value *= tables.log2_1p(head.n_entries);
    }
    sum_of_trees(&values)
}

/// The value of a leaf that holds the number.
#[inline(never)]
fn value_seen<L: Layout>(
    trees: &Trees<L>,
    tables: &Tables,
    tree: usize,
    rank: usize,
    depth: u16,
) -> f64 {
    let mass = trees.heads[tree].n_entries;
    let leaf = trees.lines.entry(tree, rank);
    let leaf_mass = trees.masses[tree * trees.room + leaf as usize].get();
    Tables::damp(leaf_mass, mass) * tables.seen(depth.into(), leaf_mass)
}
