//! The nodes of a tree of one dimension in preorder, from the depths of its cuts.
//!
//! Of the gaps between some neighbouring leaves, the least deep one is the root of their subtree.

use alloc::vec::Vec;

/// A node, whose two subtrees follow, or a leaf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Turn {
    /// The gap of a node's cut.
    Gap(usize),
    /// The rank of a leaf.
    Leaf(usize),
}

/// The nodes and leaves of a tree of at least one leaf, by the depths of the gaps between its
/// leaves.
///
/// Cost: linear, however deep the tree is.
pub(crate) fn preorder<D: Ord>(depths: &[D]) -> Vec<Turn> {
    // A gap's subtree on either side is a leaf where no deeper gap is next to it.
    let mut children: Vec<[Turn; 2]> =
        (0..depths.len()).map(|gap| [Turn::Leaf(gap), Turn::Leaf(gap + 1)]).collect();
    // Gaps that are less and less deep from the last one back: each is the right child of the one
    // before it, as far as is known.
    let mut spine: Vec<usize> = Vec::new();
    for gap in 0..depths.len() {
        while let Some(deeper) = spine.pop_if(|last| depths[*last] > depths[gap]) {
            children[gap][0] = Turn::Gap(deeper);
        }
        if let Some(above) = spine.last() {
            children[*above][1] = Turn::Gap(gap);
        }
        spine.push(gap);
    }
    let mut turns = Vec::with_capacity(2 * depths.len() + 1);
    let mut open = vec![spine.first().map_or(Turn::Leaf(0), |root| Turn::Gap(*root))];
    while let Some(turn) = open.pop() {
        turns.push(turn);
        if let Turn::Gap(gap) = turn {
            let [left, right] = children[gap];
            open.extend([right, left]);
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::cell::Cell;
    use core::cmp::Ordering;

    use super::*;
    use crate::random::Random;

    /// By the definition.
    fn expected(depths: &[u32], start: usize, end: usize, turns: &mut Vec<Turn>) {
        let Some(root) = (start..end).min_by_key(|gap| depths[*gap]) else {
            return turns.push(Turn::Leaf(start));
        };
        turns.push(Turn::Gap(root));
        expected(depths, start, root, turns);
        expected(depths, root + 1, end, turns);
    }

    #[test]
    fn the_least_deep_gap_is_the_root_of_every_stretch() {
        let mut random = Random::new(5);
        for n_gaps in 0..40_u32 {
            // Any order of different depths is a tree.
            let mut depths: Vec<u32> = (0..n_gaps).collect();
            depths.sort_by_cached_key(|_| random.next_u64());
            let mut turns = Vec::new();
            expected(&depths, 0, depths.len(), &mut turns);
            assert_eq!(preorder(&depths), turns);
        }
    }

    /// Counts how often it is compared.
    struct Counted<'a>(u32, &'a Cell<u32>);

    impl Ord for Counted<'_> {
        fn cmp(&self, other: &Self) -> Ordering {
            self.1.set(self.1.get() + 1);
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Counted<'_> {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    impl PartialEq for Counted<'_> {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other) == Ordering::Equal
        }
    }

    impl Eq for Counted<'_> {}

    #[test]
    fn a_chain_of_the_largest_sample_takes_two_comparisons_a_leaf() {
        const N_LEAVES: u32 = 65_536;
        let shapes: [fn(u32) -> u32; 3] = [
            |gap| gap,
            |gap| N_LEAVES - gap,
            |gap| if gap % 2 == 0 { gap } else { N_LEAVES - gap },
        ];
        for depth in shapes {
            let n_compared = Cell::new(0);
            let depths: Vec<_> =
                (0..N_LEAVES - 1).map(|gap| Counted(depth(gap), &n_compared)).collect();
            assert_eq!(preorder(&depths).len(), 2 * N_LEAVES as usize - 1);
            assert!(n_compared.get() <= 2 * N_LEAVES, "{}", n_compared.get());
        }
    }
}
