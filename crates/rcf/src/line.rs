//! Trees of one dimension as sorted lists.
//!
//! With one dimension the cuts of a tree, sorted, stand one between each two neighbouring leaves,
//! and a point belongs to the leaf that has as many cuts to its left as lie below the point. So a
//! binary search over the cuts, a few instructions a step, takes the place of a walk down. The price
//! is that lists are moved when a leaf comes or goes, which a processor does in a few instructions
//! too.

use alloc::vec::Vec;

use crate::layout::{Idx, Ref, key};

/// The sorted lists of all trees.
///
/// Invariants for each tree, of `n` leaves: `leaves` holds them from the lowest to the highest,
/// `cuts` the keys of its `n - 1` cuts in rising order, and above them [`i32::MAX`].
#[derive(Clone, Debug)]
pub(crate) struct Lines<I> {
    // What each tree has room for, a power of two; 0 where lines are not kept.
    width: usize,
    n_leaves: Vec<u32>,
    cuts: Vec<i32>,
    leaves: Vec<Leaf<I>>,
}

#[derive(Clone, Copy, Debug)]
struct Leaf<I> {
    entry: I,
    depth: I,
}

/// A stretch of leaves: the first, and the one behind the last.
pub(crate) type Stretch = core::ops::Range<usize>;

impl<I: Idx> Lines<I> {
    pub(crate) fn new() -> Self {
        Self { width: 0, n_leaves: Vec::new(), cuts: Vec::new(), leaves: Vec::new() }
    }

    /// Whether there are any.
    #[inline(always)]
    pub(crate) fn are_kept(&self) -> bool {
        self.width > 0
    }

    /// Gives every tree room for so many leaves.
    pub(crate) fn make_room(&mut self, n_trees: usize, n_leaves: usize) {
        let width = n_leaves.next_power_of_two();
        self.n_leaves.resize(n_trees, 0);
        crate::trees::spread(&mut self.cuts, n_trees, self.width, width, i32::MAX);
        let leaf = Leaf { entry: I::NONE, depth: I::new(0) };
        crate::trees::spread(&mut self.leaves, n_trees, self.width, width, leaf);
        self.width = width;
    }

    /// The rank of the leaf that a tree's cuts lead a number to, by its key.
    #[inline(always)]
    pub(crate) fn rank(&self, tree: usize, key: i32) -> usize {
        let cuts = &self.cuts[tree * self.width..][..self.width];
        let mut rank = 0;
        // Without branches, each of which would be mispredicted every other time.
        for bit in (0..self.width.trailing_zeros()).rev() {
            rank += usize::from(cuts[rank + (1 << bit) - 1] < key) << bit;
        }
        rank
    }

    /// The leaf at a rank, as its entry, and its depth.
    #[inline(always)]
    pub(crate) fn leaf(&self, tree: usize, rank: usize) -> (Ref, u32) {
        let leaf = self.leaves[tree * self.width + rank];
        (leaf.entry.get(), leaf.depth.get())
    }

    pub(crate) fn set_leaf(&mut self, tree: usize, rank: usize, leaf: Ref) {
        self.leaves[tree * self.width + rank].entry = I::new(leaf);
    }

    /// Puts a leaf at a rank, beside a subtree that gets one level deeper; the new leaf gets to the
    /// same depth as the subtree's root.
    #[inline(always)]
    pub(crate) fn insert(
        &mut self,
        tree: usize,
        rank: usize,
        leaf: Ref,
        depth: u32,
        cut: Option<(usize, f32)>,
        beside: Stretch,
    ) {
        let n_leaves = self.n_leaves[tree] as usize;
        let start = tree * self.width;
        let leaves = &mut self.leaves[start..=start + n_leaves];
        for leaf in &mut leaves[beside] {
            leaf.depth = I::new(leaf.depth.get() + 1);
        }
        leaves.copy_within(rank..n_leaves, rank + 1);
        leaves[rank] = Leaf { entry: I::new(leaf), depth: I::new(depth) };
        if let Some((gap, cut)) = cut {
            let cuts = &mut self.cuts[start..start + n_leaves];
            cuts.copy_within(gap..n_leaves - 1, gap + 1);
            cuts[gap] = key(cut);
        }
        self.n_leaves[tree] += 1;
    }

    /// Takes the leaf at a rank away, and the cut that parted it from its sibling, a subtree that
    /// gets one level less deep.
    #[inline(always)]
    pub(crate) fn remove(
        &mut self,
        tree: usize,
        rank: usize,
        gap: Option<usize>,
        sibling: Stretch,
    ) {
        let n_leaves = self.n_leaves[tree] as usize;
        let start = tree * self.width;
        let leaves = &mut self.leaves[start..start + n_leaves];
        for leaf in &mut leaves[sibling] {
            leaf.depth = I::new(leaf.depth.get() - 1);
        }
        leaves.copy_within(rank + 1.., rank);
        if let Some(gap) = gap {
            let cuts = &mut self.cuts[start..start + n_leaves - 1];
            cuts.copy_within(gap + 1.., gap);
            cuts[n_leaves - 2] = i32::MAX;
        }
        self.n_leaves[tree] -= 1;
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.n_leaves.capacity() * size_of::<u32>()
            + self.cuts.capacity() * size_of::<i32>()
            + self.leaves.capacity() * size_of::<Leaf<I>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_are_found_between_the_cuts() {
        let mut lines = Lines::<u16>::new();
        lines.make_room(2, 4);
        lines.insert(1, 0, 7, 0, None, 0..0);
        // 7 | 3 with the cut at 1, then 7 | 3 | 5 with the cut at 2.
        lines.insert(1, 1, 3, 1, Some((0, 1.0)), 0..1);
        lines.insert(1, 2, 5, 1, Some((1, 2.0)), 0..2);
        let found = |lines: &Lines<u16>, x: f32| lines.leaf(1, lines.rank(1, key(x)));
        assert_eq!(found(&lines, -9.0), (7, 2));
        assert_eq!((found(&lines, 1.0), found(&lines, 1.5)), ((7, 2), (3, 2)));
        assert_eq!(found(&lines, 2.1), (5, 1));
        lines.remove(1, 1, Some(0), 0..1);
        assert_eq!((found(&lines, 2.0), found(&lines, 2.1)), ((7, 1), (5, 1)));
    }
}
