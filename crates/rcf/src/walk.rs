//! Walks through many trees side by side.
//!
//! One step down a tree waits for a node from memory and then for the comparison; steps of many
//! trees need not wait for each other. So all trees of a batch take one step each, then those that
//! go on the next one. Which trees go on is kept in a list that is rewritten without branches.

use alloc::vec::Vec;

use crate::layout::{Layout, Node, Ref, key};
use crate::trees::{EMPTY, Trees, number};

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
pub(crate) fn descend<L: Layout>(
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
    let room = trees.room;
    let nodes = &trees.nodes[..];
    while n_going > 0 {
        depth += 1;
        let mut n_left = 0;
        for lane in 0..n_going {
            let at = going[lane & WRAP];
            let node = nodes[tree_of(at) * room + ref_of(at) as usize];
            let child = node.next(keys[node.dim() as usize]);
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

/// The probability that a random cut parts a point from a box.
#[inline(always)]
pub(crate) fn parting(excess: f64, range_sum: f64) -> f64 {
    excess / (range_sum + excess)
}

/// The sum of the scores in a batch of trees, in one order.
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

/// A node's parent and box, as numbers.
#[inline(always)]
pub(crate) fn link<L: Layout>(trees: &Trees<L>, tree: usize, node: Ref) -> (u32, u32) {
    let link = trees.links[trees.place(tree, node)];
    (number(link.parent), number(link.bounds))
}
