//! What a forest is told.

use crate::random::Random;
use crate::{Forest, SettingsError};

/// Settings of a [`Forest`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct ForestSettings {
    /// Numbers in one observation, 1..=10 000.
    pub n_dims: usize,
    /// Consecutive observations that make one point, 1..=1000, of at most 100 000 numbers in all.
    /// Default: 1.
    pub shingle_size: usize,
    /// Whether the forest makes the shingles: it is then given one observation at a time. If not,
    /// the caller passes whole points of `n_dims * shingle_size` numbers. Default: true.
    pub internal_shingling: bool,
    /// Trees, 1..=1000. More trees make scores steadier, at their cost. Default: 50.
    pub n_trees: usize,
    /// Points that each tree keeps, 2..=65 536. Default: 256.
    pub sample_size: usize,
    /// How fast old points leave the sample, a rate a point, 0..=1: a point `1 / time_decay` points
    /// old is e times less likely to be in the sample than a new one. Default (`None`):
    /// `0.1 / sample_size`.
    pub time_decay: Option<f64>,
    /// How full the sample is filled with every point, 0..=1; beyond it, points are taken with
    /// falling probability. Below 1, trees differ sooner. Default: 1.
    pub initial_accept_fraction: f64,
    /// Observations before the first score; scores before are 0. Default (`None`):
    /// `sample_size / 4`.
    pub output_after: Option<u64>,
    /// Decides every random choice. Default: 0.
    pub seed: u64,
    /// Whether to spend time on memory: the same scores, to the last bit, and the same snapshots.
    /// Few boxes are kept, the others are put together from their points when they are needed:
    /// about half the memory. With points of one number there are no boxes, and nothing to save but
    /// with samples of up to 128: their trees are packed as bits, in less than a quarter of the
    /// memory, for some times the time. Default: false.
    #[cfg_attr(feature = "serde", serde(default))]
    pub compact: bool,
}

impl ForestSettings {
    /// The defaults, for observations of `n_dims` numbers.
    pub fn new(n_dims: usize) -> Self {
        Self {
            n_dims,
            shingle_size: 1,
            internal_shingling: true,
            n_trees: 50,
            sample_size: 256,
            time_decay: None,
            initial_accept_fraction: 1.0,
            output_after: None,
            seed: 0,
            compact: false,
        }
    }

    /// Makes an empty forest.
    ///
    /// # Errors
    /// A setting is out of its range.
    pub fn build(&self) -> Result<Forest, SettingsError> {
        self.validate()?;
        Ok(Forest::new(self.clone()))
    }

    /// Numbers in one point.
    pub(crate) fn point_len(&self) -> usize {
        self.n_dims * self.shingle_size
    }

    /// The seeds of the trees.
    pub(crate) fn seeds(&self) -> impl Iterator<Item = u64> {
        let mut seeds = Random::new(self.seed);
        (0..self.n_trees).map(move |_| seeds.next_u64())
    }

    /// Up to how many leaves below a node its box is put together from them.
    pub(crate) fn boxless(&self) -> u32 {
        // A long box is fetched from farther away than two points, which other trees use too; one
        // of up to twelve dimensions is at most two cache lines.
        match (self.compact, self.point_len()) {
            (_, 1) | (false, ..13) => 1,
            (false, 13..) => 2,
            (true, ..4) => crate::trees::MOST_BOXLESS,
            (true, 4..) => 8,
        }
    }

    /// The decay in force.
    pub(crate) fn decay_rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "at most 65 536")]
        self.time_decay.unwrap_or(0.1 / self.sample_size as f64)
    }

    /// The observations before the first score.
    pub(crate) fn first_output(&self) -> u64 {
        self.output_after.unwrap_or(self.sample_size as u64 / 4)
    }

    pub(crate) fn validate(&self) -> Result<(), SettingsError> {
        let whole = |setting, range, actual: usize, within: bool| {
            #[expect(clippy::cast_precision_loss, reason = "for a message")]
            let actual = actual as f64;
            if within { Ok(()) } else { Err(SettingsError::OutOfRange { setting, range, actual }) }
        };
        let real = |setting, range, actual: f64, within: bool| {
            if within { Ok(()) } else { Err(SettingsError::OutOfRange { setting, range, actual }) }
        };
        let (n_dims, shingle_size) = (self.n_dims, self.shingle_size);
        whole("n_dims", "1..=10000", n_dims, (1..=10_000).contains(&n_dims))?;
        whole("shingle_size", "1..=1000", shingle_size, (1..=1000).contains(&shingle_size))?;
        let point_len = self.point_len();
        whole("n_dims * shingle_size", "at most 100000", point_len, point_len <= 100_000)?;
        whole("n_trees", "1..=1000", self.n_trees, (1..=1000).contains(&self.n_trees))?;
        let sample_size = self.sample_size;
        whole("sample_size", "2..=65536", sample_size, (2..=65_536).contains(&sample_size))?;
        let decay = self.decay_rate();
        real("time_decay", "0..=1", decay, (0.0..=1.0).contains(&decay))?;
        let fraction = self.initial_accept_fraction;
        real("initial_accept_fraction", "0..=1", fraction, (0.0..=1.0).contains(&fraction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        let refused = |change: fn(&mut ForestSettings)| {
            let mut settings = ForestSettings::new(1);
            change(&mut settings);
            settings.build().expect_err("refused").to_string()
        };
        assert!(refused(|s| s.n_dims = 0).starts_with("n_dims must be 1..=10000, found 0"));
        assert!(refused(|s| s.n_trees = 0).contains("n_trees"));
        assert!(refused(|s| s.sample_size = 1).contains("sample_size"));
        assert!(refused(|s| s.time_decay = Some(f64::NAN)).contains("time_decay"));
        assert!(refused(|s| s.time_decay = Some(-1.0)).contains("time_decay"));
        assert!(refused(|s| s.initial_accept_fraction = 1.1).contains("initial_accept_fraction"));
        assert!(refused(|s| (s.n_dims, s.shingle_size) = (10_000, 1000)).contains("100000"));
    }
}
