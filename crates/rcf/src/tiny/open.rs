//! One tree of one dimension, as sorted lists that can be changed.
//!
//! Its leaves stand in the order of their numbers, with one cut in the gap between each two
//! neighbours. Every gap is an inner node; the gaps' depths say how the nodes hang together: those
//! around a gap that are deeper, up to the first on either side that is not, are the ones below it.

use alloc::vec::Vec;

use crate::boxes::outside;
use crate::cut::cut_at;
use crate::kernel::Portable;
use crate::layout::{key, number};
use crate::packed;
use crate::preorder::{Turn, preorder};
use crate::random::Random;
use crate::rebuild::Part;

/// The most entries of a tree.
pub(super) const MOST: usize = 128;
/// The rank of an entry that is in no leaf.
const NOWHERE: u8 = u8::MAX;

/// A tree, with the sample that it is made of.
///
/// Invariants: keys rise; each cut's key is at least that of the leaf before it and below that of
/// the leaf behind it; no two neighbouring gaps are equally deep.
pub(super) struct OpenTree {
    pub(super) n_leaves: usize,
    pub(super) n_entries: usize,
    /// Of the leaves' numbers.
    pub(super) keys: [i32; MOST],
    /// Of the cuts behind the leaves.
    pub(super) cuts: [i32; MOST],
    /// Of the gaps behind the leaves.
    pub(super) depths: [u8; MOST],
    /// The rank of each entry's leaf.
    pub(super) ranks: [u8; MOST],
    /// Of each entry.
    pub(super) weights: [f32; MOST],
}

/// A node above a leaf: its depth, and the rank of its leaf that is farthest from that one.
pub(super) type Above = (u8, usize);

/// The nodes whose last leaf (looking down the ranks) or first one (looking up) is a leaf, the
/// deepest first: those above a leaf whose boxes end there.
pub(super) struct Spine<'a> {
    depths: &'a [u8],
    // Gaps from here on are to be seen; how deep the node is that ends the walk.
    at: usize,
    stop: Option<u8>,
    looks_down: bool,
}

impl<'a> Spine<'a> {
    /// Of gaps and a leaf's rank. A number that lies above the leaf looks down the ranks.
    #[inline(always)]
    pub(super) fn new(depths: &'a [u8], leaf: usize, looks_down: bool) -> Self {
        let stop = if looks_down {
            depths.get(leaf).copied()
        } else {
            leaf.checked_sub(1).map(|gap| depths[gap])
        };
        Self { depths, at: leaf, stop, looks_down }
    }

    #[inline(always)]
    fn depth(&self) -> Option<u8> {
        if self.looks_down {
            self.at.checked_sub(1).map(|gap| self.depths[gap])
        } else {
            self.depths.get(self.at).copied()
        }
    }

    #[inline(always)]
    fn step(&mut self) {
        if self.looks_down { self.at -= 1 } else { self.at += 1 }
    }
}

impl Iterator for Spine<'_> {
    type Item = Above;

    #[inline(always)]
    fn next(&mut self) -> Option<Above> {
        let own = self.depth()?;
        if self.stop.is_some_and(|stop| own < stop) {
            return None;
        }
        self.step();
        while self.depth().is_some_and(|depth| depth > own) {
            self.step();
        }
        Some((own, self.at))
    }
}

impl OpenTree {
    pub(super) fn empty() -> Self {
        Self {
            n_leaves: 0,
            n_entries: 0,
            keys: [0; MOST],
            cuts: [0; MOST],
            depths: [0; MOST],
            ranks: [0; MOST],
            weights: [0.0; MOST],
        }
    }

    pub(super) fn n_gaps(&self) -> usize {
        self.n_leaves.saturating_sub(1)
    }

    pub(super) fn gaps(&self) -> &[u8] {
        &self.depths[..self.n_gaps()]
    }

    pub(super) fn weights(&self) -> &[f32] {
        &self.weights[..self.n_entries]
    }

    /// The rank of the leaf that the cuts lead a number to.
    fn rank(&self, key: i32) -> usize {
        self.cuts[..self.n_gaps()].partition_point(|cut| *cut < key)
    }

    fn leaf_depth(&self, leaf: usize) -> u8 {
        let gaps = self.gaps();
        let before = leaf.checked_sub(1).map(|gap| gaps[gap] + 1);
        before.max(gaps.get(leaf).map(|depth| depth + 1)).unwrap_or(0)
    }

    /// Adds an entry whose weight is set, and that is in no leaf yet.
    pub(super) fn add(&mut self) {
        self.ranks[self.n_entries] = NOWHERE;
        self.n_entries += 1;
    }

    /// Puts the number of an entry in that is in no leaf.
    pub(super) fn insert(&mut self, entry: usize, x: f32, random: &mut Random) {
        let own = key(x);
        if self.n_leaves == 0 {
            self.n_leaves = 1;
            (self.keys[0], self.ranks[entry]) = (own, 0);
            return;
        }
        let found = self.rank(own);
        if self.keys[found] == own {
            self.ranks[entry] = small(found);
            return;
        }
        let is_above = own > self.keys[found];
        // The topmost cut that parts the number from a subtree, among one random cut for every box
        // on its way that it lies outside of.
        let end = number(self.keys[found]);
        let mut chosen = ((self.leaf_depth(found), found), random.open01() * outside(x, end, end));
        for above in Spine::new(self.gaps(), found, is_above) {
            let (min, max) = self.bounds(found, above.1);
            let excess = outside(x, min, max);
            let offset = random.open01() * (f64::from(max) - f64::from(min) + excess);
            if offset < excess {
                chosen = (above, offset);
            }
        }
        let ((depth, far), offset) = chosen;
        let (min, max) = self.bounds(found, far);
        let cut = cut_at::<Portable>(packed::Part::of_box(&[min, max]), &[x], offset);
        // What hangs below the new node gets one level deeper.
        self.depths[found.min(far)..found.max(far)].iter_mut().for_each(|depth| *depth += 1);
        let (n_leaves, n_gaps) = (self.n_leaves, self.n_gaps());
        self.depths.copy_within(found..n_gaps, found + 1);
        self.cuts.copy_within(found..n_gaps, found + 1);
        (self.depths[found], self.cuts[found]) = (depth, key(cut.at));
        let rank = found + usize::from(is_above);
        self.keys.copy_within(rank..n_leaves, rank + 1);
        self.keys[rank] = own;
        self.n_leaves += 1;
        for other in &mut self.ranks[..self.n_entries] {
            *other += u8::from(*other != NOWHERE && usize::from(*other) >= rank);
        }
        self.ranks[entry] = small(rank);
    }

    fn bounds(&self, a: usize, b: usize) -> (f32, f32) {
        (number(self.keys[a.min(b)]), number(self.keys[a.max(b)]))
    }

    /// Takes an entry out; it is in no leaf until it is put in again.
    pub(super) fn remove(&mut self, entry: usize) {
        let own = core::mem::replace(&mut self.ranks[entry], NOWHERE);
        if self.ranks[..self.n_entries].contains(&own) {
            return;
        }
        let leaf = usize::from(own);
        let (n_leaves, n_gaps) = (self.n_leaves, self.n_gaps());
        if n_gaps > 0 {
            // The parent is the deeper of the gaps beside it.
            let gaps = self.gaps();
            let is_left = leaf == 0 || leaf < n_gaps && gaps[leaf] > gaps[leaf - 1];
            let parent = if is_left { leaf } else { leaf - 1 };
            let depth = gaps[parent];
            let rises = |gap: &&mut u8| **gap > depth;
            let rise = |gap: &mut u8| *gap -= 1;
            if is_left {
                self.depths[parent + 1..n_gaps].iter_mut().take_while(rises).for_each(rise);
            } else {
                self.depths[..parent].iter_mut().rev().take_while(rises).for_each(rise);
            }
            self.depths.copy_within(parent + 1..n_gaps, parent);
            self.cuts.copy_within(parent + 1..n_gaps, parent);
        }
        self.keys.copy_within(leaf + 1..n_leaves, leaf);
        self.n_leaves -= 1;
        for other in &mut self.ranks[..self.n_entries] {
            *other -= u8::from(*other != NOWHERE && *other > own);
        }
    }

    /// A tree from its nodes and leaves in preorder; `key` tells that of a slot's number.
    pub(super) fn from_parts(parts: &[Part], weights: &[f32], key_of: impl Fn(u32) -> i32) -> Self {
        let mut tree = Self::empty();
        tree.n_entries = weights.len();
        tree.weights[..weights.len()].copy_from_slice(weights);
        let mut depth = 0;
        // Nodes whose left subtree is being read.
        let mut open = Vec::new();
        for part in parts {
            match part {
                Part::Node { cut, .. } => {
                    open.push((key(*cut), depth));
                    depth += 1;
                }
                Part::Leaf { slot, entries } => {
                    let rank = tree.n_leaves;
                    tree.keys[rank] = key_of(*slot);
                    entries.iter().for_each(|entry| tree.ranks[*entry as usize] = small(rank));
                    tree.n_leaves += 1;
                    if let Some((cut, above)) = open.pop() {
                        (tree.cuts[rank], tree.depths[rank]) = (cut, above);
                        depth = above + 1;
                    }
                }
            }
        }
        tree
    }

    /// Its nodes and leaves in preorder; `slot` stores a number.
    pub(super) fn to_parts(&self, mut slot: impl FnMut(f32) -> u32) -> Vec<Part> {
        if self.n_leaves == 0 {
            return Vec::new();
        }
        let part = |turn| match turn {
            Turn::Gap(gap) => Part::Node { dim: 0, cut: number(self.cuts[gap]) },
            Turn::Leaf(leaf) => {
                let entries = (0_u32..)
                    .zip(&self.ranks[..self.n_entries])
                    .filter(|(_, rank)| usize::from(**rank) == leaf)
                    .map(|(entry, _)| entry);
                Part::Leaf { entries: entries.collect(), slot: slot(number(self.keys[leaf])) }
            }
        };
        preorder(self.gaps()).into_iter().map(part).collect()
    }
}

/// A rank or a depth as it is kept.
pub(super) fn small(number: usize) -> u8 {
    u8::try_from(number).expect("below the most entries of a tree")
}
