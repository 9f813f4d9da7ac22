//! The points of all samples, and how far they are from a point.

use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::engine::{AnyTrees, with_trees};
use crate::kernel::fold_lanes;
use crate::view::TreeView;

/// A point that some tree's sample holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'a> {
    /// Padded.
    pub(crate) point: &'a [f32],
    /// How often the samples hold it.
    pub(crate) n_holders: u32,
}

impl Member<'_> {
    /// An order that does not depend on where members lie in memory.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        let coordinates = self.point.iter().zip(other.point);
        coordinates
            .map(|(a, b)| a.total_cmp(b))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| self.n_holders.cmp(&other.n_holders))
    }
}

/// All points that the samples hold. A point that came more than once is more than one member.
///
/// Their order is that of the memory, which a snapshot does not keep: nothing may depend on it.
pub(crate) fn members(trees: &AnyTrees) -> Vec<Member<'_>> {
    with_trees!(trees, trees => {
        let mut n_holders: Vec<u32> = Vec::new();
        for tree in TreeView::all(trees) {
            for (slot, mass) in tree.slots() {
                let slot = slot as usize;
                if slot >= n_holders.len() {
                    n_holders.resize(slot + 1, 0);
                }
                n_holders[slot] += mass;
            }
        }
        (0..)
            .zip(n_holders)
            .filter(|(_, n_holders)| *n_holders > 0)
            .map(|(slot, n_holders)| Member { point: trees.points.get(slot), n_holders })
            .collect()
    })
}

/// Which coordinates of a padded point are known: 1 where so, else 0.
#[derive(Clone, Debug)]
pub(crate) struct Known(Vec<f64>);

impl Known {
    pub(crate) fn all(padded_len: usize) -> Self {
        Self(vec![1.0; padded_len])
    }

    pub(crate) fn without(padded_len: usize, missing: impl Iterator<Item = usize>) -> Self {
        let mut known = Self::all(padded_len);
        missing.for_each(|at| known.0[at] = 0.0);
        known
    }

    /// The squared Euclidean distance over the known coordinates.
    pub(crate) fn squared_distance(&self, a: &[f32], b: &[f32]) -> f64 {
        let part = |a: f32, b: f32, known: f64| {
            let difference = f64::from(a) - f64::from(b);
            known * (difference * difference)
        };
        let mut lanes = [0.0; 8];
        let (a_blocks, a_rest) = a.as_chunks::<8>();
        let (b_blocks, b_rest) = b.as_chunks::<8>();
        let (known_blocks, known_rest) = self.0.as_chunks::<8>();
        for ((a, b), known) in a_blocks.iter().zip(b_blocks).zip(known_blocks) {
            for lane in 0..8 {
                lanes[lane] += part(a[lane], b[lane], known[lane]);
            }
        }
        for (((lane, a), b), known) in lanes.iter_mut().zip(a_rest).zip(b_rest).zip(known_rest) {
            *lane += part(*a, *b, *known);
        }
        fold_lanes(lanes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_leave_out_what_is_not_known() {
        for length in [1, 3, 8, 20] {
            let known = Known::without(length, [length - 1].into_iter());
            let (a, b) = (vec![1.0; length], vec![3.0; length]);
            assert_eq!(known.squared_distance(&a, &b), 4.0 * (length - 1) as f64);
            assert_eq!(Known::all(length).squared_distance(&a, &b), 4.0 * length as f64);
        }
        let widest = Known::all(1).squared_distance(&[f32::MAX], &[f32::MIN]);
        assert!(widest.is_finite() && widest > 4e77);
    }
}
