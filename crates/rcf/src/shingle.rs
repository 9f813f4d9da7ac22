//! The last observations, which with a new one make a point.

/// The newest `shingle_size` observations, the oldest first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shingle {
    n_dims: usize,
    numbers: Vec<f32>,
}

impl Shingle {
    /// A shingle of zeros.
    pub(crate) fn new(n_dims: usize, shingle_size: usize) -> Self {
        Self { n_dims, numbers: vec![0.0; n_dims * shingle_size] }
    }

    pub(crate) fn numbers(&self) -> &[f32] {
        &self.numbers
    }

    pub(crate) fn numbers_mut(&mut self) -> &mut [f32] {
        &mut self.numbers
    }

    /// The observations that stay when a new one comes.
    pub(crate) fn kept(&self) -> &[f32] {
        &self.numbers[self.n_dims..]
    }

    pub(crate) fn push(&mut self, observation: &[f32]) {
        self.numbers.copy_within(self.n_dims.., 0);
        let at = self.numbers.len() - self.n_dims;
        self.numbers[at..].copy_from_slice(observation);
    }
}
