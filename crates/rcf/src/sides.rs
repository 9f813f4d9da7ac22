//! Quantities by dimension and side.

use alloc::vec::Vec;

/// A quantity for each dimension and each of its two sides.
///
/// Both lists have one number for every number of the point (`n_dims * shingle_size`, the oldest
/// observation first), at least 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Sides {
    /// What comes from the point lying above others.
    pub high: Vec<f64>,
    /// What comes from the point lying below others.
    pub low: Vec<f64>,
}

/// How much each dimension of a point added to its score, by being high or low; together the parts
/// add up to the score.
pub type Attribution = Sides;

impl Sides {
    pub(crate) fn zeros(point_len: usize) -> Self {
        Self { high: vec![0.0; point_len], low: vec![0.0; point_len] }
    }

    /// The sum over dimensions and sides.
    pub fn total(&self) -> f64 {
        self.high.iter().chain(&self.low).sum()
    }

    pub(crate) fn parts_mut(&mut self) -> impl Iterator<Item = &mut f64> {
        self.high.iter_mut().chain(&mut self.low)
    }

    pub(crate) fn scale(&mut self, factor: f64) {
        self.parts_mut().for_each(|part| *part *= factor);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let others = other.high.iter().chain(&other.low);
        self.parts_mut().zip(others).for_each(|(part, other)| *part += other);
    }

    pub(crate) fn part_mut(&mut self, dim: usize, is_above: bool) -> &mut f64 {
        if is_above { &mut self.high[dim] } else { &mut self.low[dim] }
    }

    pub(crate) fn both(&self, dim: usize) -> f64 {
        self.high[dim] + self.low[dim]
    }
}
