//! Missing coordinates, and the observations to come.

use alloc::vec::Vec;

use crate::conditional::{Neighborhood, quantiles};
use crate::pool::{Known, members};
use crate::random::Random;
use crate::shingle::Shingle;
use crate::{Forest, PointError};

/// The share of the futures that the range of an estimate holds if none is asked for.
const COVERAGE: f64 = 0.8;
/// Futures that are drawn for the range of a forecast.
const N_FUTURES: usize = 8;
/// What the future in which every observation is the median counts. Alone, it forgets what the
/// present leaves open; drawn ones alone add noise at every step. Measured on noisy sines.
const MEDIAN_SHARE: f64 = 0.5;

/// Estimated numbers, each with a range that holds the true one with a probability: the *coverage*,
/// 0.8 where none is asked for.
///
/// Of an imputation, there is one number for each missing one, in the order in which they were
/// named; of a forecast, `n_dims` numbers for each observation to come, the next one first.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// The lower ends of the ranges: below lies the true number with probability
    /// `(1 - coverage) / 2`.
    pub lower: Vec<f32>,
    /// As likely too high as too low.
    pub median: Vec<f32>,
    /// The upper ends of the ranges: above lies the true number with the same probability.
    pub upper: Vec<f32>,
}

impl Estimate {
    fn new() -> Self {
        Self { lower: Vec::new(), median: Vec::new(), upper: Vec::new() }
    }

    fn push(&mut self, neighborhoods: &[Neighborhood<'_>], coordinate: usize, coverage: f64) {
        let tail = (1.0 - coverage) / 2.0;
        let [lower, median, upper] = quantiles(neighborhoods, coordinate, [tail, 0.5, 1.0 - tail]);
        // Rounding must not turn them round.
        self.lower.push(lower.min(median));
        self.median.push(median);
        self.upper.push(upper.max(median));
    }
}

impl Forest {
    /// Estimates missing numbers of an observation from the others and, with shingles, from the
    /// observations before. Nothing is learnt.
    ///
    /// `missing` are their indices in the observation, each 0..`observation.len()`; what stands
    /// there does not matter and may be NaN. Among the points of all samples, those nearest in the
    /// known numbers (Euclidean; about as many as the square root of all) vote with theirs.
    ///
    /// ```
    /// let mut forest = rcf::ForestSettings::new(2).build()?;
    /// for n in 0..1000 {
    ///     let x = (n % 100) as f32;
    ///     forest.update(&[x, 2.0 * x])?;
    /// }
    /// let estimate = forest.impute(&[30.0, f32::NAN], &[1])?;
    /// assert!((estimate.median[0] - 60.0).abs() < 5.0);
    /// assert!(estimate.lower[0] <= estimate.median[0] && estimate.median[0] <= estimate.upper[0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The forest is not ready; an index is not below the observation's length; the observation has
    /// another length, or a number that is not finite and not missing.
    ///
    /// Cost: one look at every point of all samples, some thousands times the length of a point.
    pub fn impute(&self, observation: &[f32], missing: &[usize]) -> Result<Estimate, PointError> {
        self.impute_covering(observation, missing, COVERAGE)
    }

    /// [`Forest::impute`] with ranges that hold the true number with a probability of `coverage`,
    /// above 0 and below 1. Ranges end with the samples' numbers: beyond a coverage of about 0.95
    /// they hardly widen.
    ///
    /// ```
    /// let history = (0..1000).map(|n| [(n % 100) as f32]);
    /// let forest = rcf::ForestSettings::new(1).warm_start(history)?;
    /// let half = forest.impute_covering(&[0.0], &[0], 0.5)?;
    /// let most = forest.impute_covering(&[0.0], &[0], 0.95)?;
    /// assert!(most.lower[0] < half.lower[0] && half.upper[0] < most.upper[0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Forest::impute`], and the coverage is not above 0 and below 1.
    pub fn impute_covering(
        &self,
        observation: &[f32],
        missing: &[usize],
        coverage: f64,
    ) -> Result<Estimate, PointError> {
        require_coverage(coverage)?;
        let mut observation = observation.to_vec();
        let n_numbers = observation.len();
        for index in missing {
            match observation.get_mut(*index) {
                Some(number) => *number = 0.0,
                None => return Err(PointError::MissingIndex { index: *index, n_numbers }),
            }
        }
        self.check(&observation)?;
        self.require_ready()?;
        let trees = self.opened();
        let members = members(&trees);
        let mut estimate = Estimate::new();
        self.with_point(&observation, |point| {
            let first = self.settings.point_len() - n_numbers;
            let known = Known::without(point.len(), missing.iter().map(|at| first + at));
            let near = Neighborhood::of(&members, &known, point, 1.0);
            missing.iter().for_each(|at| {
                estimate.push(core::slice::from_ref(&near), first + at, coverage);
            });
        });
        Ok(estimate)
    }

    /// Estimates the next `horizon` observations of a stream with internal shingling, with ranges.
    /// Nothing is learnt.
    ///
    /// Each observation is imputed from the `shingle_size - 1` before it, first known, then
    /// estimated ones. A shingle should show the stream's state: for periodic streams an eighth to a
    /// half of the period does, more where there is much noise. With shingle size 1 every forecast
    /// is what is usual. For the ranges, several futures are drawn; `seed` and the number of
    /// observations decide them.
    ///
    /// ```
    /// let mut settings = rcf::ForestSettings::new(1);
    /// settings.shingle_size = 8;
    /// let mut forest = settings.build()?;
    /// for n in 0..1200 {
    ///     forest.update(&[(n % 24) as f32])?;
    /// }
    /// let forecast = forest.forecast(3)?;
    /// assert_eq!(forecast.median, [0.0, 1.0, 2.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The forest is not ready, or does not make the shingles itself.
    ///
    /// Cost: that of nine imputations an observation.
    pub fn forecast(&self, horizon: usize) -> Result<Estimate, PointError> {
        self.forecast_covering(horizon, COVERAGE)
    }

    /// [`Forest::forecast`] with ranges that hold the true number with a probability of `coverage`,
    /// above 0 and below 1; they end with the samples' numbers, as those of
    /// [`Forest::impute_covering`].
    ///
    /// ```
    /// let mut settings = rcf::ForestSettings::new(1);
    /// settings.shingle_size = 8;
    /// let wave = (0..1200).map(|n| [(n % 24) as f32 + (n % 5) as f32]);
    /// let forest = settings.warm_start(wave)?;
    /// let half = forest.forecast_covering(3, 0.5)?;
    /// let most = forest.forecast_covering(3, 0.95)?;
    /// assert!((0..3).all(|n| most.lower[n] <= half.lower[n] && half.upper[n] <= most.upper[n]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Forest::forecast`], and the coverage is not above 0 and below 1.
    pub fn forecast_covering(&self, horizon: usize, coverage: f64) -> Result<Estimate, PointError> {
        require_coverage(coverage)?;
        self.futures(horizon, N_FUTURES, coverage)
    }

    /// The medians of the next observations, each given those before: what
    /// [`Forest::forecast`] would give without a range, at a ninth of its cost.
    pub(crate) fn medians(&self, horizon: usize) -> Result<Vec<f32>, PointError> {
        Ok(self.futures(horizon, 0, COVERAGE)?.median)
    }

    fn futures(
        &self,
        horizon: usize,
        n_drawn: usize,
        coverage: f64,
    ) -> Result<Estimate, PointError> {
        if !self.settings.internal_shingling {
            return Err(PointError::ExternalShingles);
        }
        self.require_ready()?;
        let trees = self.opened();
        let members = members(&trees);
        let n_dims = self.settings.n_dims;
        let newest = self.settings.point_len() - n_dims..self.settings.point_len();
        let known = Known::without(self.shingle.padded().len(), newest.clone());
        let seed = self.settings.seed ^ Random::new(self.n_observations).next_u64();
        let mut random = Random::new(seed);
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let drawn_share = (1.0 - MEDIAN_SHARE) / n_drawn as f64;
        // The first follows the medians.
        let mut futures: Vec<Shingle> = vec![self.shingle.clone(); 1 + n_drawn];
        let mut estimate = Estimate::new();
        let unknown = vec![0.0; n_dims];
        for _ in 0..horizon {
            futures.iter_mut().for_each(|future| future.push(&unknown));
            let shares = core::iter::once(MEDIAN_SHARE).chain(core::iter::repeat(drawn_share));
            let near: Vec<Neighborhood<'_>> = futures
                .iter()
                .zip(shares)
                .map(|(future, share)| Neighborhood::of(&members, &known, future.padded(), share))
                .collect();
            for coordinate in newest.clone() {
                estimate.push(&near, coordinate, coverage);
                let [median] = quantiles(&near[..1], coordinate, [0.5]);
                futures[0].numbers_mut()[coordinate] = median;
            }
            for (future, near) in futures.iter_mut().zip(&near).skip(1) {
                let drawn = &near.draw(&mut random)[newest.clone()];
                future.numbers_mut()[newest.clone()].copy_from_slice(drawn);
            }
        }
        Ok(estimate)
    }

    pub(crate) fn require_ready(&self) -> Result<(), PointError> {
        if self.is_ready() { Ok(()) } else { Err(PointError::NotReady) }
    }
}

fn require_coverage(coverage: f64) -> Result<(), PointError> {
    let is_share = coverage > 0.0 && coverage < 1.0;
    if is_share { Ok(()) } else { Err(PointError::Coverage { actual: coverage }) }
}
