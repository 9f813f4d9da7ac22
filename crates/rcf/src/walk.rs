//! Walks through many trees side by side.
//!
//! One step down a tree waits for a node from memory and then for the comparison; steps of many
//! trees need not wait for each other. So all trees of a batch take one step each, then those that
//! go on the next one. Which trees go on is kept in a list that is rewritten without branches.

use alloc::vec::Vec;

use crate::boxes::outside;
use crate::layout::{Idx, Layout, Node, Ref, key};
use crate::tables::Tables;
use crate::trees::{EMPTY, Link, Trees, number};

/// Trees that walk side by side.
pub(crate) const BATCH: usize = 64;
const WRAP: usize = BATCH - 1;
/// Points whose keys need no allocation.
pub(crate) const SHORT: usize = 64;
const _: () = assert!(BATCH.is_power_of_two());

/// A place in one tree: the tree in the high half, the reference in the low.
type Place = u64;

#[inline(always)]
fn place(tree: usize, at: Ref) -> Place {
    (tree as u64) << 32 | u64::from(at)
}

#[inline(always)]
pub(crate) fn tree_of(place: Place) -> usize {
    (place >> 32) as usize
}

#[inline(always)]
pub(crate) fn ref_of(place: Place) -> Ref {
    (place & 0xffff_ffff) as Ref
}

/// The keys of a point's numbers, in `short` where they have room there.
#[inline(always)]
pub(crate) fn keys_of<'a>(
    point: &[f32],
    short: &'a mut [i32; SHORT],
    long: &'a mut Vec<i32>,
) -> &'a [i32] {
    if point.len() <= SHORT {
        short.iter_mut().zip(point).for_each(|(to, x)| *to = key(*x));
        &short[..point.len()]
    } else {
        long.extend(point.iter().map(|x| key(*x)));
        long
    }
}

/// Leaves that a point was led to.
pub(crate) struct Found {
    pub(crate) n: usize,
    pub(crate) leaves: [Place; BATCH],
    pub(crate) depths: [u32; BATCH],
}

/// Leads a point, given by the keys of its numbers, down to a leaf in each of up to [`BATCH`] trees; empty ones are left out.
#[inline(always)]
pub(crate) fn descend<L: Layout, const ONE: bool>(
    trees: &Trees<L>,
    batch: impl Iterator<Item = usize>,
    keys: &[i32],
) -> Found {
    let mut found = Found { n: 0, leaves: [0; BATCH], depths: [0; BATCH] };
    let mut going = [0; BATCH];
    let mut n_going = 0;
    for tree in batch {
        let root = trees.heads[tree].root;
        if root == EMPTY {
            continue;
        }
        if Trees::<L>::is_leaf(root) {
            found.leaves[found.n] = place(tree, root);
            found.n += 1;
        } else {
            going[n_going] = place(tree, root);
            n_going += 1;
        }
    }
    let mut depth = 0;
    let only = keys[0];
    let room = trees.room;
    let nodes = &trees.nodes[..];
    while n_going > 0 {
        depth += 1;
        let mut n_left = 0;
        for lane in 0..n_going {
            let at = going[lane & WRAP];
            let node = nodes[tree_of(at) * room + ref_of(at) as usize];
            let child = node.next(if ONE { only } else { keys[node.dim() as usize] });
            let next = (at & !0xffff_ffff) | u64::from(child);
            let is_leaf = usize::from(Trees::<L>::is_leaf(child));
            going[n_left & WRAP] = next;
            n_left += 1 - is_leaf;
            found.leaves[found.n & WRAP] = next;
            found.depths[found.n & WRAP] = depth;
            found.n += is_leaf;
        }
        n_going = n_left;
    }
    found
}

/// How far a number lies outside the box of a node of one dimension, and the box's range.
#[inline(always)]
pub(crate) fn excess_and_range<L: Layout>(
    trees: &Trees<L>,
    tree: usize,
    node: Ref,
    bounds: L::Idx,
    point: &[f32],
    scratch: &mut [f32],
) -> (f64, f64) {
    if bounds == L::Idx::NONE {
        return boxless_excess_and_range(trees, tree, node, point, scratch);
    }
    let (min, max) = trees.boxes.get_one(bounds.get());
    (outside(point[0], min, max), f64::from(max) - f64::from(min))
}

/// How far a point lies outside the box of a node whose box is not kept, and its summed ranges.
#[inline(never)]
pub(crate) fn boxless_excess_and_range<L: Layout>(
    trees: &Trees<L>,
    tree: usize,
    node: Ref,
    point: &[f32],
    scratch: &mut [f32],
) -> (f64, f64) {
    let bounds = trees.bounds(tree, node, scratch);
    (bounds.excess(point), bounds.range_sum())
}

/// The probability that a random cut parts a point from a box.
#[inline(always)]
pub(crate) fn parting(excess: f64, range_sum: f64) -> f64 {
    excess / (range_sum + excess)
}

/// Whether a leaf holds a point.
#[inline(always)]
pub(crate) fn equals<const ONE: bool>(stored: &[f32], point: &[f32]) -> bool {
    stored[0] == point[0] && (ONE || stored == point)
}

/// The sum of the scores of a number in the trees that it was led down in: from each leaf up to the
/// first box that holds the point.
#[inline(always)]
pub(crate) fn score<L: Layout>(
    trees: &Trees<L>,
    tables: &Tables,
    found: &Found,
    point: &[f32],
    scratch: &mut [f32],
) -> f64 {
    let mut of_trees = [0.0; BATCH];
    let mut add = |tree: usize, score: f64| of_trees[tree & WRAP] = score;
    let mut going = [0; BATCH];
    let mut values = [0.0; BATCH];
    let mut depths = [0; BATCH];
    let mut n_going = 0;
    // Of the node that each lane is at.
    let mut links = [Link { parent: L::Idx::NONE, bounds: L::Idx::NONE }; BATCH];
    let mut ended = [0.0; BATCH];
    let mut ended_in = [0; BATCH];
    let mut n_ended = 0;
    for lane in 0..found.n {
        let (at, depth) = (found.leaves[lane & WRAP], found.depths[lane & WRAP]);
        let (tree, leaf) = (tree_of(at), ref_of(at));
        let place = trees.place(tree, leaf);
        let mass = trees.heads[tree].n_entries;
        let slot = trees.slots[place].get();
        let equal = trees.points.get_one(slot) == point[0];
        let parent = trees.parents[place];
        let value = tables.unseen(depth);
        if equal {
            // The boxes above hold the point: nothing parts it before the leaf.
            let leaf_mass = trees.masses[place].get();
            let value = Tables::damp(leaf_mass, mass) * tables.seen(depth, leaf_mass);
            add(tree, value * tables.log2_1p(mass));
        } else if parent == L::Idx::NONE {
            add(tree, value * tables.log2_1p(mass));
        } else {
            going[n_going & WRAP] = (at & !0xffff_ffff) | u64::from(parent.get());
            links[n_going & WRAP] = next_link(trees, tree, parent);
            values[n_going & WRAP] = value;
            depths[n_going & WRAP] = depth;
            n_going += 1;
        }
    }
    while n_going > 0 {
        let mut n_left = 0;
        for lane in 0..n_going {
            let at = going[lane & WRAP];
            let (tree, node) = (tree_of(at), ref_of(at));
            let link = links[lane & WRAP];
            let (excess, range_sum) =
                excess_and_range(trees, tree, node, link.bounds, point, scratch);
            let depth = depths[lane & WRAP] - 1;
            let value = values[lane & WRAP];
            let value = value + parting(excess, range_sum) * (tables.unseen(depth) - value);
            let ends = usize::from((excess == 0.0) | (link.parent == L::Idx::NONE));
            going[n_left & WRAP] = (at & !0xffff_ffff) | u64::from(link.parent.get());
            links[n_left & WRAP] = next_link(trees, tree, link.parent);
            values[n_left & WRAP] = value;
            depths[n_left & WRAP] = depth;
            n_left += 1 - ends;
            ended[n_ended & WRAP] = value;
            ended_in[n_ended & WRAP] = tree;
            n_ended += ends;
        }
        n_going = n_left;
    }
    for (value, tree) in ended[..n_ended].iter().zip(&ended_in) {
        add(*tree, value * tables.log2_1p(trees.heads[*tree].n_entries));
    }
    sum_of_trees(&of_trees)
}

/// The sum of the scores in a batch of trees of one dimension, in one order.
#[inline(always)]
pub(crate) fn sum_of_trees(scores: &[f64; BATCH]) -> f64 {
    let mut lanes = [0.0; 4];
    for scores in scores.as_chunks::<4>().0 {
        for lane in 0..4 {
            lanes[lane] += scores[lane];
        }
    }
    (lanes[0] + lanes[2]) + (lanes[1] + lanes[3])
}

/// The link of a node, if it is one.
#[inline(always)]
fn next_link<L: Layout>(trees: &Trees<L>, tree: usize, node: L::Idx) -> Link<L::Idx> {
    if node == L::Idx::NONE {
        return Link { parent: L::Idx::NONE, bounds: L::Idx::NONE };
    }
    trees.links[tree * trees.room + node.get() as usize]
}

/// A node's parent and box, as numbers.
#[inline(always)]
pub(crate) fn link<L: Layout>(trees: &Trees<L>, tree: usize, node: Ref) -> (u32, u32) {
    let link = trees.links[trees.place(tree, node)];
    (number(link.parent), number(link.bounds))
}
