//! Trees of one dimension as sorted lists.
//!
//! With one dimension the cuts of a tree, sorted, stand one in each *gap* between two neighbouring
//! leaves. A point belongs to the leaf that has as many cuts to its left as lie below the point.
//! And the depths of the cuts' nodes say all of the tree: the leaves below a node are those between
//! the nearest gaps to both sides whose nodes are less deep, its box reaches from the first of them
//! to the last, its parent is the deeper of those two gaps. So there are no nodes, no links and no
//! boxes. The price is that lists are moved when a leaf comes or goes, which a processor does in a
//! few instructions.
//!
//! Gap `g` is that between the leaves `g` and `g + 1`.

use alloc::vec::Vec;

use crate::kernel::Portable;
use crate::layout::{Idx, number};
use crate::scan::{Scan, WIDTH, after, before, beside};
use crate::shift;

/// Cuts that are compared at once.
const BLOCK: usize = shift::BLOCK;
/// Cuts, values and entries before those of the first tree, and behind those of the last: they are
/// moved in blocks.
const MARGIN: usize = BLOCK + 1;
/// Depths before and behind those of a tree: searches look at blocks of [`WIDTH`], from up to one
/// gap outside.
const PAD: usize = WIDTH + 8;

/// The sorted lists of all trees.
///
/// Invariants for each tree, of `n` leaves: `values` and `entries` hold them from the lowest to the
/// highest, `cuts` the keys of its `n - 1` cuts in rising order, and above them [`i32::MAX`],
/// `pivots` the last of each block of cuts, and above them [`i32::MAX`];
/// `depths` those of its cuts, the root's being 1, and before and behind them 0.
#[derive(Clone, Debug)]
pub(crate) struct Lines<I> {
    // What each tree has room for, a multiple of BLOCK; 0 where lines are not kept.
    width: usize,
    pub(crate) n_leaves: Vec<u32>,
    pub(crate) cuts: Vec<i32>,
    // A multiple of BLOCK for each tree.
    pivots: Vec<i32>,
    // Of full samples, the largest of each block of weights, and above them 0.
    peaks: Vec<f32>,
    pub(crate) depths: Vec<u16>,
    pub(crate) values: Vec<f32>,
    pub(crate) entries: Vec<I>,
}

/// A subtree as its first leaf and its last.
pub(crate) type Stretch = (usize, usize);

impl<I: Idx> Lines<I> {
    pub(crate) fn new() -> Self {
        Self {
            width: 0,
            n_leaves: Vec::new(),
            cuts: Vec::new(),
            pivots: Vec::new(),
            peaks: Vec::new(),
            depths: Vec::new(),
            values: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Whether there are any.
    #[inline(always)]
    pub(crate) fn are_kept(&self) -> bool {
        self.width > 0
    }

    /// Gives every tree room for so many leaves.
    pub(crate) fn make_room(&mut self, n_trees: usize, n_leaves: usize) {
        let (old, new) = (self.width, n_leaves.next_multiple_of(BLOCK));
        self.n_leaves.resize(n_trees, 0);
        widen(&mut self.cuts, n_trees, old, new, i32::MAX);
        widen(&mut self.values, n_trees, old, new, 0.0);
        widen(&mut self.entries, n_trees, old, new, I::NONE);
        let mut depths = vec![0; n_trees * (new + PAD) + PAD];
        if old > 0 {
            for tree in 0..n_trees {
                let from = tree * (old + PAD) + PAD;
                let to = tree * (new + PAD) + PAD;
                depths[to..to + old].copy_from_slice(&self.depths[from..from + old]);
            }
        }
        self.depths = depths;
        self.width = new;
        self.pivots = vec![i32::MAX; n_trees * self.n_pivots()];
        self.peaks = vec![0.0; n_trees * self.n_pivots()];
        for tree in 0..n_trees {
            self.set_pivots(tree, 0, new - 1);
        }
    }

    /// Room for the pivots of a tree.
    #[inline(always)]
    fn n_pivots(&self) -> usize {
        (self.width / BLOCK).next_multiple_of(BLOCK)
    }

    /// Takes the pivots from those cuts over that stand between two gaps.
    #[inline(always)]
    fn set_pivots(&mut self, tree: usize, start: usize, end: usize) {
        let first = self.first_value(tree) + BLOCK - 1;
        let first_pivot = tree * self.n_pivots();
        for block in start / BLOCK..(end + 1) / BLOCK {
            self.pivots[first_pivot + block] = self.cuts[first + block * BLOCK];
        }
    }

    /// Takes over all weights of a full sample.
    pub(crate) fn set_peaks<K: Scan>(&mut self, tree: usize, weights: &[f32]) {
        for entry in (0..weights.len()).step_by(BLOCK) {
            self.set_peak::<K>(tree, weights, entry);
        }
    }

    /// Takes over the weight of one entry of a full sample.
    #[inline(always)]
    pub(crate) fn set_peak<K: Scan>(&mut self, tree: usize, weights: &[f32], entry: usize) {
        let block = entry / BLOCK;
        let weights = weights_of(weights, block);
        let n_peaks = self.n_pivots();
        self.peaks[tree * n_peaks + block] = weights[largest_of::<K>(weights)];
    }

    /// The entry of the largest weight of a full sample, the first where several are equal.
    #[inline(always)]
    pub(crate) fn largest<K: Scan>(&self, tree: usize, weights: &[f32]) -> usize {
        let n_peaks = self.n_pivots();
        let block = largest_of::<K>(&self.peaks[tree * n_peaks..][..n_peaks]);
        block * BLOCK + largest_of::<K>(weights_of(weights, block))
    }

    /// Where the depth of a tree's first gap stands.
    #[inline(always)]
    pub(crate) fn first_depth(&self, tree: usize) -> usize {
        tree * (self.width + PAD) + PAD
    }

    /// Where the first number, the first cut and the first entry of a tree stand.
    #[inline(always)]
    pub(crate) fn first_value(&self, tree: usize) -> usize {
        tree * self.width + MARGIN
    }

    /// The rank of the leaf that a tree's cuts lead a number to, by its key.
    #[inline(always)]
    pub(crate) fn rank<K: Scan>(&self, tree: usize, key: i32) -> usize {
        let n_pivots = self.n_pivots();
        let pivots = &self.pivots[tree * n_pivots..][..n_pivots];
        let block = match pivots.try_into() {
            Ok(pivots) => K::n_below(pivots, key),
            Err(_) => pivots.partition_point(|pivot| *pivot < key),
        };
        let cuts = &self.cuts[self.first_value(tree) + block * BLOCK..];
        block * BLOCK + K::n_below(cuts.first_chunk().expect("the margin"), key)
    }

    /// The number of the leaf at a rank.
    #[inline(always)]
    pub(crate) fn value(&self, tree: usize, rank: usize) -> f32 {
        self.values[self.first_value(tree) + rank]
    }

    /// Names another entry for the leaf at a rank.
    pub(crate) fn set_entry(&mut self, tree: usize, rank: usize, entry: u32) {
        let first = self.first_value(tree);
        self.entries[first + rank] = I::new(entry);
    }

    /// The same as a list of one.
    pub(crate) fn numbers(&self, tree: usize, rank: usize) -> &[f32] {
        &self.values[self.first_value(tree) + rank..][..1]
    }

    /// The depths of a tree's gaps.
    pub(crate) fn depths_of(&self, tree: usize) -> &[u16] {
        let n_gaps = (self.n_leaves[tree] as usize).saturating_sub(1);
        &self.depths[self.first_depth(tree)..][..n_gaps]
    }

    /// The depth of a gap's node, the root's being 1.
    pub(crate) fn depth(&self, tree: usize, gap: usize) -> u16 {
        self.depths[self.first_depth(tree) + gap]
    }

    /// The entry of the leaf at a rank.
    #[inline(always)]
    pub(crate) fn entry(&self, tree: usize, rank: usize) -> u32 {
        self.entries[self.first_value(tree) + rank].get()
    }

    /// The cut in a gap.
    pub(crate) fn cut(&self, tree: usize, gap: usize) -> f32 {
        number(self.cuts[self.first_value(tree) + gap])
    }

    /// The depths of the gaps before and behind a leaf; the higher is the depth of the leaf, the
    /// root's being 0.
    #[inline(always)]
    pub(crate) fn depths_beside(&self, tree: usize, rank: usize) -> (u16, u16) {
        let at = self.first_depth(tree) + rank;
        (self.depths[at - 1], self.depths[at])
    }

    /// The leaves below the node of a gap.
    pub(crate) fn stretch(&self, tree: usize, gap: usize) -> Stretch {
        let first = self.first_depth(tree);
        let depth = self.depths[first + gap];
        let start = before::<Portable>(&self.depths, first + gap, depth) + 1 - first;
        let end = after::<Portable>(&self.depths, first + gap, depth) - first;
        (start, end)
    }

    /// The gap of the node right above a stretch; none above the root.
    pub(crate) fn above(&self, tree: usize, (start, end): Stretch) -> Option<usize> {
        let first = self.first_depth(tree);
        let (left, right) = (self.depths[first + start - 1], self.depths[first + end]);
        if left == 0 && right == 0 {
            return None;
        }
        Some(if left > right { start - 1 } else { end })
    }

    /// The gap of the node right above a stretch's leaves; none where it is a single leaf.
    pub(crate) fn root_of(&self, tree: usize, (start, end): Stretch) -> Option<usize> {
        let first = self.first_depth(tree);
        (start..end).min_by_key(|gap| self.depths[first + gap])
    }

    /// The stretches to the left and right of a node's cut.
    pub(crate) fn children(&self, tree: usize, gap: usize) -> [Stretch; 2] {
        let (start, end) = self.stretch(tree, gap);
        [(start, gap), (gap + 1, end)]
    }

    /// Puts a leaf behind all others, and between the two a cut with its depth. For new trees, which
    /// are built from left to right.
    pub(crate) fn push(&mut self, tree: usize, value: f32, entry: u32, cut: Option<(i32, u16)>) {
        let n_leaves = self.n_leaves[tree] as usize;
        let base = self.first_value(tree);
        self.values[base + n_leaves] = value;
        self.entries[base + n_leaves] = I::new(entry);
        if let Some((key, depth)) = cut {
            self.cuts[base + n_leaves - 1] = key;
            let first = self.first_depth(tree);
            self.depths[first + n_leaves - 1] = depth;
            self.set_pivots(tree, n_leaves - 1, n_leaves - 1);
        }
        self.n_leaves[tree] += 1;
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.n_leaves.capacity() * size_of::<u32>()
            + (self.cuts.capacity() + self.pivots.capacity()) * size_of::<i32>()
            + self.peaks.capacity() * size_of::<f32>()
            + self.depths.capacity() * size_of::<u16>()
            + self.values.capacity() * size_of::<f32>()
            + self.entries.capacity() * size_of::<I>()
    }
}

/// A leaf and a gap that were taken out of a line, and still stand there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hole {
    pub(crate) leaf: usize,
    pub(crate) gap: usize,
}

/// The depth of a gap without a cut: no search finds it.
const NO_CUT: u16 = u16::MAX;

impl<I: Idx> Lines<I> {
    /// The hole of a line that nothing was taken out of.
    #[inline(always)]
    pub(crate) fn no_hole(&self, tree: usize) -> Hole {
        let n_leaves = self.n_leaves[tree] as usize;
        Hole { leaf: n_leaves, gap: n_leaves.saturating_sub(1) }
    }

    /// Takes the leaf at a rank out. The hole is to be moved or closed before anything else.
    #[inline(always)]
    pub(crate) fn remove<K: Scan>(&mut self, tree: usize, rank: usize) -> Hole {
        let n_leaves = self.n_leaves[tree] as usize;
        self.n_leaves[tree] -= 1;
        if n_leaves == 1 {
            return Hole { leaf: 0, gap: 0 };
        }
        let (left, right) = self.depths_beside(tree, rank);
        let is_last = left > right;
        let gap = rank - usize::from(is_last);
        // The sibling gets one level less deep.
        let at = self.first_depth(tree) + gap;
        let other = beside::<K>(&self.depths, at, left.max(right), !is_last);
        add(&mut self.depths, at.min(other) + 1, at.max(other), u16::MAX);
        Hole { leaf: rank, gap }
    }

    /// Moves a hole to before or behind the leaf at a rank of those that are left, and puts a new
    /// leaf into it. The cut is still to be set.
    #[inline(always)]
    pub(crate) fn move_hole(
        &mut self,
        tree: usize,
        hole: Hole,
        (rank, is_right): (usize, bool),
        value: f32,
        entry: u32,
    ) {
        self.n_leaves[tree] += 1;
        let leaf = rank + usize::from(is_right);
        self.relocate(tree, (hole.leaf, leaf), (hole.gap, rank), (value, I::new(entry)), NO_CUT);
    }

    /// Sets the cut of the gap that a hole, which was at the gap `old`, was moved to. The new leaf's
    /// sibling, which reaches from the gap to the leaf `far`, gets one level deeper.
    #[inline(always)]
    pub(crate) fn set_cut(
        &mut self,
        tree: usize,
        (old, gap): (usize, usize),
        far: usize,
        key: i32,
        depth: u16,
    ) {
        let first = self.first_value(tree);
        self.cuts[first + gap] = key;
        self.set_pivots(tree, old.min(gap), old.max(gap));
        let first = self.first_depth(tree);
        self.depths[first + gap] = depth;
        let (start, end) = if far <= gap { (far, gap) } else { (gap + 1, far) };
        add(&mut self.depths, first + start, first + end, 1);
    }

    /// Closes a hole.
    pub(crate) fn close(&mut self, tree: usize, hole: Hole) {
        let n_leaves = self.n_leaves[tree] as usize;
        if n_leaves > 0 {
            let last = n_leaves - 1;
            self.relocate(tree, (hole.leaf, n_leaves), (hole.gap, last), (0.0, I::NONE), 0);
            self.set_pivots(tree, hole.gap, last);
        } else {
            let first = self.first_value(tree);
            (self.values[first], self.entries[first]) = (0.0, I::NONE);
        }
    }

    /// Takes a leaf out and puts another in elsewhere, and so a gap, which has no cut yet.
    #[inline(always)]
    fn relocate(
        &mut self,
        tree: usize,
        (leaf, new_leaf): (usize, usize),
        (gap, new_gap): (usize, usize),
        (value, entry): (f32, I),
        depth: u16,
    ) {
        // All lists in one loop, as the end of each loop is one more branch that is mispredicted;
        // and in blocks, as a call that copies any number of bytes takes longer. What the last of
        // the blocks overwrites is put back.
        let (before, depths_before) =
            (self.first_value(tree) - MARGIN, self.first_depth(tree) - MARGIN);
        let (values, entries) = (&mut self.values[before..], &mut self.entries[before..]);
        let (cuts, depths) = (&mut self.cuts[before..], &mut self.depths[depths_before..]);
        let (leaf, new_leaf, gap, new_gap) =
            (leaf + MARGIN, new_leaf + MARGIN, gap + MARGIN, new_gap + MARGIN);
        // Where both go nowhere or down; else both go nowhere or up, as a gap is beside its leaf.
        let goes_on = (leaf <= new_leaf) & (gap <= new_gap);
        let to = if goes_on { 1 } else { 0_usize.wrapping_sub(BLOCK) };
        let (kept_leaf, kept_gap) = (new_leaf.wrapping_add(to), new_gap.wrapping_add(to));
        let kept: ([f32; BLOCK], [I; BLOCK], [i32; BLOCK], [u16; BLOCK]) = (
            *block(values, kept_leaf),
            *block(entries, kept_leaf),
            *block(cuts, kept_gap),
            *block(depths, kept_gap),
        );
        let most = leaf.abs_diff(new_leaf).max(gap.abs_diff(new_gap));
        let n = most.next_multiple_of(BLOCK) + 1;
        if goes_on {
            shift::down(
                (&mut values[leaf..][..n], &mut entries[leaf..][..n]),
                (&mut cuts[gap..][..n], &mut depths[gap..][..n]),
            );
        } else {
            let (leaf, gap) = (leaf + 1 - n, gap + 1 - n);
            shift::up(
                (&mut values[leaf..][..n], &mut entries[leaf..][..n]),
                (&mut cuts[gap..][..n], &mut depths[gap..][..n]),
            );
        }
        *block(values, kept_leaf) = kept.0;
        *block(entries, kept_leaf) = kept.1;
        *block(cuts, kept_gap) = kept.2;
        *block(depths, kept_gap) = kept.3;
        (values[new_leaf], entries[new_leaf]) = (value, entry);
        (cuts[new_gap], depths[new_gap]) = (i32::MAX, depth);
    }
}

/// A block of weights; the last one may be shorter.
#[inline(always)]
fn weights_of(weights: &[f32], block: usize) -> &[f32] {
    let weights = &weights[block * BLOCK..];
    &weights[..weights.len().min(BLOCK)]
}

/// The place of the largest of some weights, the first where several are equal.
#[inline(always)]
fn largest_of<K: Scan>(weights: &[f32]) -> usize {
    let Ok(weights) = <&[f32; BLOCK]>::try_from(weights) else {
        return crate::sampler::largest(weights) as usize;
    };
    K::largest(weights)
}

/// Adds to the depths from a place to another.
#[inline(always)]
fn add(depths: &mut [u16], mut start: usize, end: usize, more: u16) {
    // In blocks, without an own way for what is left: most stretches are short.
    while start < end {
        let block: &mut [u16; WIDTH] = depths[start..].first_chunk_mut().expect("the padding");
        #[expect(clippy::cast_possible_truncation, reason = "at most 16")]
        let n_left = (end - start).min(WIDTH) as u16;
        for (lane, depth) in (0..).zip(block) {
            *depth = depth.wrapping_add(if lane < n_left { more } else { 0 });
        }
        start += WIDTH;
    }
}

#[inline(always)]
fn block<T>(list: &mut [T], at: usize) -> &mut [T; BLOCK] {
    list[at..].first_chunk_mut().expect("the margins")
}

/// Gives every tree's part of a list with margins more room.
fn widen<T: Copy>(list: &mut Vec<T>, n_trees: usize, old: usize, new: usize, empty: T) {
    let mut wide = Vec::with_capacity(n_trees * new + 2 * MARGIN);
    wide.resize(MARGIN, empty);
    for tree in 0..n_trees {
        let start = MARGIN + tree * old;
        if old > 0 {
            wide.extend_from_slice(&list[start..start + old]);
        }
        wide.resize(MARGIN + (tree + 1) * new, empty);
    }
    wide.resize(2 * MARGIN + n_trees * new, empty);
    *list = wide;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::key;

    #[test]
    fn leaves_are_found_between_the_cuts() {
        let mut lines = Lines::<u16>::new();
        lines.make_room(2, 3);
        // 0.5 | 1.5 | 2.5, the second cut being the root.
        lines.push(1, 0.5, 7, None);
        lines.push(1, 1.5, 3, Some((key(1.0), 2)));
        lines.push(1, 2.5, 5, Some((key(2.0), 1)));
        let found = |lines: &Lines<u16>, x: f32| {
            let rank = lines.rank::<Portable>(1, key(x));
            let (left, right) = lines.depths_beside(1, rank);
            (lines.entry(1, rank), left.max(right))
        };
        assert_eq!(found(&lines, -9.0), (7, 2));
        assert_eq!((found(&lines, 1.0), found(&lines, 1.5)), ((7, 2), (3, 2)));
        assert_eq!(found(&lines, 2.1), (5, 1));
        assert_eq!((lines.stretch(1, 0), lines.stretch(1, 1)), ((0, 1), (0, 2)));
        assert_eq!((lines.above(1, (0, 1)), lines.above(1, (0, 2))), (Some(1), None));
        let hole = lines.remove::<Portable>(1, 1);
        lines.close(1, hole);
        assert_eq!((found(&lines, 2.0), found(&lines, 2.1)), ((7, 1), (5, 1)));
    }
}
