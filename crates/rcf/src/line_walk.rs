//! Scores in trees of one dimension.
//!
//! All boxes on the way up that a number lies outside of end at the leaf that it was led to, and it
//! lies outside by the same distance each time: only their other ends differ. They are found by the
//! depths of the gaps alone (see [`crate::line`]).

use crate::layout::{Idx, Layout, key};
use crate::scan::{Scan, beside};
use crate::tables::Tables;
use crate::trees::Trees;
use crate::walk::{BATCH, parting};

const WRAP: usize = BATCH - 1;

/// Of each tree of a batch the rank of the leaf that a number was led to.
pub(crate) type Ranks = [u32; BATCH];

/// Leads a number, by its key, to a leaf in each tree of a batch.
#[inline(always)]
pub(crate) fn ranks<L: Layout>(
    trees: &Trees<L>,
    start: usize,
    lanes: impl Iterator<Item = usize>,
    key: i32,
) -> Ranks {
    let mut ranks = [0; BATCH];
    for lane in lanes {
        ranks[lane & WRAP] = trees.lines.rank(start + lane, key) as u32;
    }
    ranks
}

/// The sum of the scores of a number in all trees.
#[inline(always)]
pub(crate) fn score_all<L: Layout, K: Scan>(trees: &Trees<L>, tables: &Tables, x: f32) -> f64 {
    let n_trees = trees.heads.len();
    let mut sum = 0.0;
    for start in (0..n_trees).step_by(BATCH) {
        let n_lanes = (n_trees - start).min(BATCH);
        let found = ranks(trees, start, 0..n_lanes, key(x));
        sum += score::<L, K>(trees, tables, start, n_lanes, &found, x);
    }
    sum
}

/// What a lane keeps on its way up.
#[derive(Clone, Copy)]
struct Lane {
    /// Where the depth of the node's gap stands.
    at: usize,
    /// The node holds the number from this depth on up.
    limit: u16,
    is_right: bool,
    stored: f32,
    /// From the place of a depth to that of a leaf's number.
    to_value: usize,
    excess: f64,
    value: f64,
}

/// The sum of the scores of a number in a batch of trees, by the ranks of its leaves.
///
/// All trees take one step up each, then those that go on the next one.
#[inline(always)]
pub(crate) fn score<L: Layout, K: Scan>(
    trees: &Trees<L>,
    tables: &Tables,
    start: usize,
    n_lanes: usize,
    ranks: &Ranks,
    x: f32,
) -> f64 {
    let lines = &trees.lines;
    let mut sum = 0.0;
    let none = Lane {
        at: 0,
        limit: 0,
        is_right: false,
        stored: 0.0,
        to_value: 0,
        excess: 0.0,
        value: 0.0,
    };
    let mut lanes = [none; BATCH];
    let mut going = [0_u8; BATCH];
    let mut n_going = 0;
    let mut ended = [0_u8; BATCH];
    let mut n_ended = 0;
    for lane in 0..n_lanes {
        let tree = start + lane;
        if lines.n_leaves[tree] == 0 {
            continue;
        }
        let rank = ranks[lane & WRAP] as usize;
        let stored = lines.value(tree, rank);
        let (left, right) = lines.depths_beside(tree, rank);
        let depth = u32::from(left.max(right));
        let value = tables.unseen(depth);
        if stored == x {
            // The boxes above hold the point: nothing parts it before the leaf.
            let mass = trees.heads[tree].n_entries;
            let leaf_mass =
                trees.masses[tree * trees.room + lines.entry(tree, rank) as usize].get();
            let value = Tables::damp(leaf_mass, mass) * tables.seen(depth, leaf_mass);
            sum += value * tables.log2_1p(mass);
        } else if depth == 0 {
            sum += value * tables.log2_1p(trees.heads[tree].n_entries);
        } else {
            let is_right = x > stored;
            let first = lines.first_depth(tree);
            lanes[lane & WRAP] = Lane {
                at: first + rank - usize::from(is_right),
                limit: if is_right { right } else { left },
                is_right,
                stored,
                to_value: first - tree * lines.width,
                excess: (f64::from(x) - f64::from(stored)).abs(),
                value,
            };
            going[n_going & WRAP] = (lane & WRAP) as u8;
            n_going += 1;
        }
    }
    while n_going > 0 {
        let mut n_left = 0;
        for nth in 0..n_going {
            let index = going[nth & WRAP];
            let lane = &mut lanes[usize::from(index) & WRAP];
            let depth = lines.depths[lane.at];
            let next = beside::<K>(&lines.depths, lane.at, depth.max(1), !lane.is_right);
            // Nothing parts the point from a box that holds it.
            let is_inside = depth <= lane.limit;
            let far = next + usize::from(lane.is_right);
            let far = lines.values[if is_inside { 0 } else { far - lane.to_value }];
            let range = (f64::from(lane.stored) - f64::from(far)).abs();
            let parting = parting(lane.excess, range);
            let parting = if is_inside { 0.0 } else { parting };
            let unseen = tables.unseen(u32::from(depth.max(1)) - 1);
            lane.value += parting * (unseen - lane.value);
            lane.at = next;
            let ends = usize::from(is_inside | (depth == 1));
            going[n_left & WRAP] = index;
            n_left += 1 - ends;
            ended[n_ended & WRAP] = index;
            n_ended += ends;
        }
        n_going = n_left;
    }
    for index in &ended[..n_ended] {
        let lane = usize::from(*index);
        sum += lanes[lane & WRAP].value * tables.log2_1p(trees.heads[start + lane].n_entries);
    }
    sum
}
