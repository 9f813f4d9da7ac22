//! The last observations, which with a new one make a point.

use alloc::vec::Vec;

use crate::points::padded;

/// The newest `shingle_size` observations, the oldest first, and zeros up to the length of a stored
/// point.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shingle {
    n_dims: usize,
    point_len: usize,
    numbers: Vec<f32>,
}

impl Shingle {
    /// A shingle of zeros.
    pub(crate) fn new(n_dims: usize, shingle_size: usize) -> Self {
        let point_len = n_dims * shingle_size;
        Self { n_dims, point_len, numbers: vec![0.0; padded(point_len)] }
    }

    /// The point, padded.
    pub(crate) fn padded(&self) -> &[f32] {
        &self.numbers
    }

    pub(crate) fn numbers(&self) -> &[f32] {
        &self.numbers[..self.point_len]
    }

    pub(crate) fn numbers_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[..self.point_len]
    }

    /// The observations that stay when a new one comes.
    pub(crate) fn kept(&self) -> &[f32] {
        &self.numbers[self.n_dims..self.point_len]
    }

    /// Adds the newest observation, or a whole shingle; -0.0 becomes 0.0.
    pub(crate) fn push(&mut self, observation: &[f32]) {
        self.numbers.copy_within(observation.len()..self.point_len, 0);
        let newest = &mut self.numbers[self.point_len - observation.len()..self.point_len];
        newest.iter_mut().zip(observation).for_each(|(to, x)| *to = x + 0.0);
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.numbers.capacity() * size_of::<f32>()
    }
}
