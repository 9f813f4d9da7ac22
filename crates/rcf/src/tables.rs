//! The logarithms and reciprocals that scores are made of.

use alloc::vec::Vec;

/// Tables up to a sample's size, or none.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    // log2(1 + n).
    log2_1p: Vec<f64>,
    // 1 / (1 + n).
    unseen: Vec<f64>,
}

impl Tables {
    pub(crate) fn new(sample_size: usize) -> Self {
        let largest = u32::try_from(sample_size).expect("a sample has at most 65 536 points");
        Self {
            log2_1p: (0..=largest).map(crate::math::log2_1p).collect(),
            unseen: (0..=largest).map(|depth| 1.0 / (f64::from(depth) + 1.0)).collect(),
        }
    }

    /// None: all is computed each time, the same numbers.
    pub(crate) fn none() -> Self {
        Self { log2_1p: Vec::new(), unseen: Vec::new() }
    }

    /// What a tree's score is scaled by; of a number up to the sample's size.
    #[inline(always)]
    pub(crate) fn log2_1p(&self, n: u32) -> f64 {
        self.log2_1p.get(n as usize).copied().unwrap_or_else(|| crate::math::log2_1p(n))
    }

    /// The expected score of a point that is cut off at a depth.
    #[inline(always)]
    pub(crate) fn unseen(&self, depth: u32) -> f64 {
        let kept = self.unseen.get(depth as usize).copied();
        kept.unwrap_or_else(|| 1.0 / (f64::from(depth) + 1.0))
    }

    /// The expected score of a point that meets an equal one in a leaf.
    #[inline(always)]
    pub(crate) fn seen(&self, depth: u32, mass: u32) -> f64 {
        1.0 / (f64::from(depth) + self.log2_1p(mass))
    }

    /// How much duplicates in a leaf lower the score.
    #[inline(always)]
    pub(crate) fn damp(leaf_mass: u32, tree_mass: u32) -> f64 {
        1.0 - f64::from(leaf_mass) / (2.0 * f64::from(tree_mass))
    }

    pub(crate) fn size_bytes(&self) -> usize {
        (self.log2_1p.capacity() + self.unseen.capacity()) * size_of::<f64>()
    }
}
