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

use crate::kernel::Portable;
use crate::layout::{Idx, number};
use crate::scan::{Scan, WIDTH, after, before};

/// Depths before and behind those of a tree: searches look at blocks of [`WIDTH`], from up to one
/// gap outside.
const PAD: usize = WIDTH + 8;

/// The sorted lists of all trees.
///
/// Invariants for each tree, of `n` leaves: `values` and `entries` hold them from the lowest to the
/// highest, `cuts` the keys of its `n - 1` cuts in rising order, and above them [`i32::MAX`];
/// `depths` those of its cuts, the root's being 1, and before and behind them 0.
#[derive(Clone, Debug)]
pub(crate) struct Lines<I> {
    // What each tree has room for, a power of two; 0 where lines are not kept.
    pub(crate) width: usize,
    pub(crate) n_leaves: Vec<u32>,
    pub(crate) cuts: Vec<i32>,
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
        let (old, new) = (self.width, n_leaves.next_power_of_two());
        self.n_leaves.resize(n_trees, 0);
        crate::trees::spread(&mut self.cuts, n_trees, old, new, i32::MAX);
        crate::trees::spread(&mut self.values, n_trees, old, new, 0.0);
        crate::trees::spread(&mut self.entries, n_trees, old, new, I::NONE);
        let mut depths = vec![0; n_trees * (new + PAD) + PAD];
        for tree in 0..n_trees {
            let from = tree * (old + PAD) + PAD;
            let to = tree * (new + PAD) + PAD;
            if old > 0 {
                depths[to..to + old].copy_from_slice(&self.depths[from..from + old]);
            }
        }
        self.depths = depths;
        self.width = new;
    }

    /// Where the depth of a tree's first gap stands.
    #[inline(always)]
    pub(crate) fn first_depth(&self, tree: usize) -> usize {
        tree * (self.width + PAD) + PAD
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

    /// The number of the leaf at a rank.
    #[inline(always)]
    pub(crate) fn value(&self, tree: usize, rank: usize) -> f32 {
        self.values[tree * self.width + rank]
    }

    /// The same as a list of one.
    pub(crate) fn numbers(&self, tree: usize, rank: usize) -> &[f32] {
        &self.values[tree * self.width + rank..][..1]
    }

    /// The depth of a gap's node, the root's being 1.
    pub(crate) fn depth(&self, tree: usize, gap: usize) -> u16 {
        self.depths[self.first_depth(tree) + gap]
    }

    /// The entry of the leaf at a rank.
    #[inline(always)]
    pub(crate) fn entry(&self, tree: usize, rank: usize) -> u32 {
        self.entries[tree * self.width + rank].get()
    }

    /// The cut in a gap.
    pub(crate) fn cut(&self, tree: usize, gap: usize) -> f32 {
        number(self.cuts[tree * self.width + gap])
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
        let base = tree * self.width;
        self.values[base + n_leaves] = value;
        self.entries[base + n_leaves] = I::new(entry);
        if let Some((key, depth)) = cut {
            self.cuts[base + n_leaves - 1] = key;
            let first = self.first_depth(tree);
            self.depths[first + n_leaves - 1] = depth;
        }
        self.n_leaves[tree] += 1;
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.n_leaves.capacity() * size_of::<u32>()
            + self.cuts.capacity() * size_of::<i32>()
            + self.depths.capacity() * size_of::<u16>()
            + self.values.capacity() * size_of::<f32>()
            + self.entries.capacity() * size_of::<I>()
    }
}

/// A leaf and a gap that were taken out of a line, of which all but the depths still stand there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hole {
    pub(crate) leaf: usize,
    pub(crate) gap: usize,
}

/// Where a new leaf goes: next to the leaf at `rank`, beside a subtree that reaches from there to
/// the leaf `far`; with the new cut's key and depth. Ranks are those without the hole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) rank: usize,
    pub(crate) is_right: bool,
    pub(crate) far: usize,
    pub(crate) cut: i32,
    pub(crate) depth: u16,
}

impl<I: Idx> Lines<I> {
    /// The hole of a line that nothing was taken out of.
    #[inline(always)]
    pub(crate) fn no_hole(&self, tree: usize) -> Hole {
        let n_leaves = self.n_leaves[tree] as usize;
        Hole { leaf: n_leaves, gap: n_leaves.saturating_sub(1) }
    }

    /// Takes the leaf at a rank out. The hole is to be filled or closed before anything else.
    #[inline(always)]
    pub(crate) fn remove<K: Scan>(&mut self, tree: usize, rank: usize) -> Hole {
        let n_leaves = self.n_leaves[tree] as usize;
        self.n_leaves[tree] -= 1;
        if n_leaves == 1 {
            return Hole { leaf: 0, gap: 0 };
        }
        let (left, right) = self.depths_beside(tree, rank);
        let first = self.first_depth(tree);
        let is_right = left > right;
        let gap = if is_right { rank - 1 } else { rank };
        // The sibling gets one level less deep.
        if is_right {
            let start = before::<K>(&self.depths, first + gap, left) + 1;
            add(&mut self.depths, start, first + gap, u16::MAX);
        } else {
            let end = after::<K>(&self.depths, first + gap, right);
            add(&mut self.depths, first + gap + 1, end, u16::MAX);
        }
        self.depths.copy_within(first + gap + 1..first + n_leaves, first + gap);
        Hole { leaf: rank, gap }
    }

    /// Fills a hole with a new leaf in a line that has others.
    #[inline(always)]
    pub(crate) fn fill(&mut self, tree: usize, hole: Hole, spot: &Spot, value: f32, entry: u32) {
        let n_leaves = self.n_leaves[tree] as usize;
        self.n_leaves[tree] += 1;
        let first = self.first_depth(tree);
        // The subtree beside gets one level deeper.
        if spot.is_right {
            add(&mut self.depths, first + spot.far, first + spot.rank, 1);
        } else {
            add(&mut self.depths, first + spot.rank, first + spot.far, 1);
        }
        let gap = spot.rank;
        self.depths.copy_within(first + gap..first + n_leaves - 1, first + gap + 1);
        self.depths[first + gap] = spot.depth;
        let line = tree * self.width..(tree + 1) * self.width;
        relocate(&mut self.cuts[line.clone()], hole.gap, gap, spot.cut);
        let leaf = spot.rank + usize::from(spot.is_right);
        relocate(&mut self.values[line.clone()], hole.leaf, leaf, value);
        relocate(&mut self.entries[line], hole.leaf, leaf, I::new(entry));
    }

    /// Closes a hole.
    pub(crate) fn close(&mut self, tree: usize, hole: Hole) {
        let n_leaves = self.n_leaves[tree] as usize;
        let base = tree * self.width;
        self.values.copy_within(base + hole.leaf + 1..=base + n_leaves, base + hole.leaf);
        self.entries.copy_within(base + hole.leaf + 1..=base + n_leaves, base + hole.leaf);
        if n_leaves > 0 {
            self.cuts.copy_within(base + hole.gap + 1..base + n_leaves, base + hole.gap);
            self.cuts[base + n_leaves - 1] = i32::MAX;
        }
    }
}

/// Adds to the depths from a place to another.
#[inline(always)]
fn add(depths: &mut [u16], mut start: usize, end: usize, more: u16) {
    // In blocks, without an own way for what is left: most stretches are short.
    while start < end {
        let block: &mut [u16; WIDTH] = depths[start..].first_chunk_mut().expect("the padding");
        for (lane, depth) in (0..).zip(block) {
            *depth = depth.wrapping_add(if start + lane < end { more } else { 0 });
        }
        start += WIDTH;
    }
}

/// Takes an element out of a list and puts another in elsewhere.
#[inline(always)]
fn relocate<T: Copy>(list: &mut [T], from: usize, to: usize, new: T) {
    if from <= to {
        list.copy_within(from + 1..=to, from);
    } else {
        list.copy_within(to..from, to + 1);
    }
    list[to] = new;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::key;

    #[test]
    fn leaves_are_found_between_the_cuts() {
        let mut lines = Lines::<u16>::new();
        lines.make_room(2, 4);
        // 0.5 | 1.5 | 2.5, the second cut being the root.
        lines.push(1, 0.5, 7, None);
        lines.push(1, 1.5, 3, Some((key(1.0), 2)));
        lines.push(1, 2.5, 5, Some((key(2.0), 1)));
        let found = |lines: &Lines<u16>, x: f32| {
            let rank = lines.rank(1, key(x));
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
