//! The way down many trees at once.
//!
//! One step down a tree waits for a node from memory and then for the comparison; steps of many
//! trees need not wait for each other. So all trees of a batch take one step each, then those that
//! go on the next one: with AVX2 and AVX-512 several trees an instruction
//! ([`Kernel::descend`]).

use alloc::vec::Vec;

use crate::kernel::Kernel;
use crate::layout::{Layout, Node, Ref, key};
use crate::trees::{EMPTY, Trees, number};

/// Trees that walk side by side.
pub(crate) const BATCH: usize = 64;
const WRAP: usize = BATCH - 1;
/// Points whose keys need no allocation.
pub(crate) const SHORT: usize = 64;
const _: () = assert!(BATCH.is_power_of_two());

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

/// Trees that a point is led down, and the leaves that it was led to.
pub(crate) struct Found {
    pub(crate) n: usize,
    pub(crate) trees: [u32; BATCH],
    /// Where the trees' parts of the lists start.
    pub(crate) bases: [u32; BATCH],
    /// Beyond `n`, some leaf.
    pub(crate) leaves: [Ref; BATCH],
    pub(crate) depths: [u32; BATCH],
}

impl Found {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        let none = [0; BATCH];
        Self { n: 0, trees: none, bases: none, leaves: none, depths: none }
    }
}

/// Leads a point, given by the keys of its numbers, down to a leaf in each of up to [`BATCH`] trees;
/// empty ones are left out.
#[inline(always)]
pub(crate) fn descend<L: Layout, K: Kernel, const LENGTH: usize>(
    trees: &Trees<L>,
    batch: impl Iterator<Item = usize>,
    keys: &[i32],
    found: &mut Found,
) {
    found.n = 0;
    found.leaves = [L::LEAF; BATCH];
    for tree in batch {
        let root = trees.heads[tree].root;
        let lane = found.n & WRAP;
        #[expect(clippy::cast_possible_truncation, reason = "at most 1000 trees of 65 536 entries")]
        {
            found.trees[lane] = tree as u32;
            found.bases[lane] = (tree * trees.room) as u32;
        }
        // The next tree takes the place of an empty one.
        found.leaves[lane] = if root == EMPTY { L::LEAF } else { root };
        found.n += usize::from(root != EMPTY);
    }
    match L::Node::words(&trees.nodes) {
        Some(nodes) if K::descend::<LENGTH>(nodes, keys, found) => {}
        _ => descend_each(trees, keys, found),
    }
}

/// All trees one step each, then those that go on the next one.
#[inline(always)]
fn descend_each<L: Layout>(trees: &Trees<L>, keys: &[i32], found: &mut Found) {
    let mut going = [0_u8; BATCH];
    let mut n_going = 0;
    for (lane, at) in found.leaves[..found.n].iter().enumerate() {
        #[expect(clippy::cast_possible_truncation, reason = "a batch has fewer than 256 trees")]
        let id = lane as u8;
        going[n_going & WRAP] = id;
        n_going += usize::from(!Trees::<L>::is_leaf(*at));
    }
    found.depths = [0; BATCH];
    let nodes = &trees.nodes[..];
    while n_going > 0 {
        let mut n_left = 0;
        for at in 0..n_going {
            let id = going[at & WRAP];
            let lane = usize::from(id) & WRAP;
            let node = nodes[(found.bases[lane] + found.leaves[lane]) as usize];
            let child = node.next(keys[node.dim() as usize]);
            found.leaves[lane] = child;
            found.depths[lane] += 1;
            going[n_left & WRAP] = id;
            n_left += usize::from(!Trees::<L>::is_leaf(child));
        }
        n_going = n_left;
    }
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
