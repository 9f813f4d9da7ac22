//! Observations with missing numbers, and observations that did not come.

use alloc::vec::Vec;

use crate::{Forest, PointError};

/// The most observations of one gap that are forecast.
const MOST_FORECAST: usize = 1000;

/// What stands in for what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Fill {
    /// Nothing: an observation with missing numbers is left out, and a gap closes up as though
    /// nothing had been there.
    Skip,
    /// 0.
    Zero,
    /// The number of the observation before; where there is none, as [`Fill::Skip`].
    Previous,
    /// In a gap, numbers on the line between the observations before and after. A number missing
    /// from an observation that came is the previous one: the next is not known yet.
    Linear,
    /// What the forest expects: in an observation as [`Forest::impute`], in a gap as
    /// [`Forest::forecast`] (of the first 1000 observations, then the last one again), at their
    /// cost. Until the forest is ready, as [`Fill::Previous`].
    Forest,
}

/// How many observations of a regular stream did not come, from the time since the last one and
/// the usual interval, in one unit: the nearest whole number of intervals, less one. 0 where either
/// is not a positive number.
///
/// ```
/// assert_eq!(rcf::n_missed(60.0, 60.0), 0);
/// assert_eq!(rcf::n_missed(85.0, 60.0), 0);
/// assert_eq!(rcf::n_missed(185.0, 60.0), 2);
/// ```
pub fn n_missed(elapsed: f64, interval: f64) -> u64 {
    if !(elapsed > 0.0 && interval > 0.0) {
        return 0;
    }
    let n_intervals = elapsed / interval;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let n_whole = n_intervals as u64;
    #[expect(clippy::cast_precision_loss, reason = "large ones have no fraction")]
    let fraction = n_intervals - n_whole as f64;
    n_whole.saturating_add(u64::from(fraction >= 0.5)).saturating_sub(1)
}

impl Forest {
    /// An observation with its missing numbers (`None`) filled in, ready to be scored; `None` where
    /// it is to be left out. Nothing is learnt.
    ///
    /// # Errors
    /// The observation has another length, or a number that is not finite.
    pub fn fill(
        &self,
        observation: &[Option<f32>],
        fill: Fill,
    ) -> Result<Option<Vec<f32>>, PointError> {
        let mut filled: Vec<f32> = observation.iter().map(|x| x.unwrap_or(0.0)).collect();
        self.check(&filled)?;
        let missing: Vec<usize> =
            (0..filled.len()).filter(|dim_idx| observation[*dim_idx].is_none()).collect();
        if missing.is_empty() || fill == Fill::Zero {
            return Ok(Some(filled));
        }
        if fill == Fill::Skip || self.n_observations == 0 {
            return Ok(None);
        }
        let known = if fill == Fill::Forest && self.is_ready() {
            self.impute(&filled, &missing)?.median
        } else {
            let newest = self.newest(filled.len());
            missing.iter().map(|dim_idx| newest[*dim_idx]).collect()
        };
        missing.iter().zip(known).for_each(|(dim_idx, x)| filled[*dim_idx] = x);
        Ok(Some(filled))
    }

    /// Learns an observation with its missing numbers (`None`) filled in. One of which nothing is
    /// known is a gap of one: it moves the shingle on, and no tree learns it.
    ///
    /// ```
    /// use rcf::Fill;
    ///
    /// let mut forest = rcf::ForestSettings::new(2).build()?;
    /// forest.update(&[1.0, 2.0])?;
    /// forest.update_filling(&[Some(3.0), None], Fill::Previous)?; // learns [3.0, 2.0]
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The observation has another length, or a number that is not finite; nothing was learnt.
    pub fn update_filling(
        &mut self,
        observation: &[Option<f32>],
        fill: Fill,
    ) -> Result<(), PointError> {
        let Some(filled) = self.fill(observation, fill)? else { return Ok(()) };
        if observation.iter().any(Option::is_some) {
            return self.update(&filled);
        }
        if self.settings.internal_shingling {
            self.shingle.push(&filled);
        }
        Ok(())
    }

    /// Learns an observation before which `n_missed` ones did not come. They are filled in where
    /// the shingle still holds them; no tree learns a point whose newest observation is filled in.
    ///
    /// # Errors
    /// The observation has another length, or a number that is not finite; the forest does not make
    /// the shingles itself, and the gap is to be filled. Nothing was learnt.
    pub fn update_after_gap(
        &mut self,
        n_missed: u64,
        observation: &[f32],
        fill: Fill,
    ) -> Result<(), PointError> {
        self.check(observation)?;
        if n_missed > 0 && fill != Fill::Skip {
            if !self.settings.internal_shingling {
                return Err(PointError::ExternalShingles);
            }
            if self.n_observations > 0 {
                self.fill_gap(n_missed, observation, fill)?;
            }
        }
        self.update(observation)
    }

    fn fill_gap(&mut self, n_missed: u64, next: &[f32], fill: Fill) -> Result<(), PointError> {
        let n_dims = next.len();
        // Those before have left the shingle when the next observation is there.
        let n_filled = n_missed.min(self.settings.shingle_size as u64);
        let before = self.newest(n_dims).to_vec();
        let expected = if fill == Fill::Forest && self.is_ready() {
            let horizon = usize::try_from(n_missed).unwrap_or(usize::MAX).min(MOST_FORECAST);
            self.medians(horizon)?
        } else {
            Vec::new()
        };
        let last_expected = expected.len().saturating_sub(n_dims);
        for step in n_missed - n_filled..n_missed {
            let filled: Vec<f32> = match fill {
                Fill::Zero => vec![0.0; n_dims],
                Fill::Linear => between(&before, next, step, n_missed),
                Fill::Forest if !expected.is_empty() => {
                    let at = usize::try_from(step).unwrap_or(usize::MAX).saturating_mul(n_dims);
                    expected[at.min(last_expected)..][..n_dims].to_vec()
                }
                Fill::Forest | Fill::Previous | Fill::Skip => before.clone(),
            };
            self.shingle.push(&filled);
        }
        Ok(())
    }

    fn newest(&self, n_numbers: usize) -> &[f32] {
        let numbers = self.shingle.numbers();
        &numbers[numbers.len() - n_numbers..]
    }
}

/// The observation `step` of `n_missed` on the line between two others.
#[expect(clippy::cast_precision_loss, reason = "gaps of 2^53 observations are not told apart")]
fn between(before: &[f32], next: &[f32], step: u64, n_missed: u64) -> Vec<f32> {
    let share = (step as f64 + 1.0) / (n_missed as f64 + 1.0);
    let point = |(before, next): (&f32, &f32)| {
        let (before, next) = (f64::from(*before), f64::from(*next));
        #[expect(clippy::cast_possible_truncation, reason = "between two f32")]
        let x = (before + share * (next - before)) as f32;
        x
    };
    before.iter().zip(next).map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ForestSettings;

    /// Shingles of four of 0, 1, .., 15, 0, 1, ..; the newest is [12, 13, 14, 15].
    fn counting() -> Forest {
        let mut settings = ForestSettings::new(1);
        (settings.shingle_size, settings.n_trees, settings.sample_size) = (4, 10, 64);
        settings.warm_start((0..160).map(|n| [(n % 16) as f32])).expect("finite")
    }

    fn after_gap(n_missed: u64, next: f32, fill: Fill) -> Vec<f32> {
        let mut forest = counting();
        forest.update_after_gap(n_missed, &[next], fill).expect("finite");
        assert_eq!(forest.n_observations(), 161);
        forest.shingle.numbers().to_vec()
    }

    #[test]
    fn gaps_are_filled_as_each_policy_says() {
        for fill in [Fill::Skip, Fill::Zero, Fill::Previous, Fill::Linear, Fill::Forest] {
            assert_eq!(after_gap(0, 7.0, fill), [13.0, 14.0, 15.0, 7.0], "{fill:?}");
        }
        assert_eq!(after_gap(5, 7.0, Fill::Skip), [13.0, 14.0, 15.0, 7.0]);
        assert_eq!(after_gap(2, 7.0, Fill::Zero), [15.0, 0.0, 0.0, 7.0]);
        assert_eq!(after_gap(2, 7.0, Fill::Previous), [15.0, 15.0, 15.0, 7.0]);
        assert_eq!(after_gap(1, 7.0, Fill::Linear), [14.0, 15.0, 11.0, 7.0]);
        assert_eq!(after_gap(3, 7.0, Fill::Linear), [13.0, 11.0, 9.0, 7.0]);
        assert_eq!(after_gap(2, 2.0, Fill::Forest), [15.0, 0.0, 1.0, 2.0]);
        assert_eq!(after_gap(20, 4.0, Fill::Forest), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn gaps_longer_than_the_shingle_keep_what_it_still_holds() {
        assert_eq!(after_gap(u64::MAX, 7.0, Fill::Zero), [0.0, 0.0, 0.0, 7.0]);
        assert_eq!(after_gap(u64::MAX, 7.0, Fill::Previous), [15.0, 15.0, 15.0, 7.0]);
        // On a line from 15 to 7 in eight steps.
        assert_eq!(after_gap(7, 7.0, Fill::Linear), [10.0, 9.0, 8.0, 7.0]);
        // The thousandth is 999 % 16 = 7; it stands for all that follow.
        assert_eq!(after_gap(u64::MAX, 1.0, Fill::Forest), [7.0, 7.0, 7.0, 1.0]);
    }

    #[test]
    fn no_tree_learns_what_is_filled_in_alone() {
        let mut forest = counting();
        let n_accepted = forest.n_accepted();
        for fill in [Fill::Skip, Fill::Zero, Fill::Previous, Fill::Linear, Fill::Forest] {
            forest.update_filling(&[None], fill).expect("one number");
        }
        assert_eq!((forest.n_accepted(), forest.n_observations()), (n_accepted, 160));
        // Nothing, 0, the one before, the one before, and what the forest makes of [15, 0, 0, 0].
        assert_eq!(forest.shingle.numbers()[..3], [0.0, 0.0, 0.0]);
        forest.update_after_gap(2, &[9.0], Fill::Zero).expect("finite");
        let trees = forest.opened();
        let members = crate::pool::members(&trees);
        assert!(members.iter().all(|member| member.point != [9.0, 0.0, 0.0, 0.0]));
        assert_eq!(forest.shingle.numbers(), [forest.shingle.numbers()[0], 0.0, 0.0, 9.0]);
    }

    #[test]
    fn missing_numbers_are_filled_in_and_the_rest_is_learnt() {
        let history = (0..160).map(|n| [(n % 16) as f32, (n % 16) as f32 * 10.0]);
        let mut settings = ForestSettings::new(2);
        settings.sample_size = 64;
        let forest = settings.warm_start(history).expect("finite");
        let filled = |fill| forest.fill(&[Some(6.0), None], fill).expect("two numbers");
        assert_eq!(filled(Fill::Skip), None);
        assert_eq!(filled(Fill::Zero), Some(vec![6.0, 0.0]));
        assert_eq!(filled(Fill::Previous), Some(vec![6.0, 150.0]));
        assert_eq!(filled(Fill::Linear), Some(vec![6.0, 150.0]));
        assert_eq!(filled(Fill::Forest), Some(vec![6.0, 60.0]));
        let mut learning = forest.clone();
        learning.update_filling(&[Some(6.0), None], Fill::Forest).expect("two numbers");
        let mut told = forest.clone();
        told.update(&[6.0, 60.0]).expect("finite");
        assert_eq!(learning.to_bytes(), told.to_bytes());
        learning.update_filling(&[None, Some(1.0)], Fill::Skip).expect("two numbers");
        assert_eq!(learning.to_bytes(), told.to_bytes());
    }

    #[test]
    fn a_new_forest_has_no_previous_observation() {
        let mut forest = ForestSettings::new(1).build().expect("valid");
        let before = forest.to_bytes();
        for fill in [Fill::Skip, Fill::Previous, Fill::Linear, Fill::Forest] {
            assert_eq!(forest.fill(&[None], fill), Ok(None));
            forest.update_filling(&[None], fill).expect("one number");
        }
        assert_eq!(forest.to_bytes(), before);
        // Before it is ready, the forest expects the previous one.
        forest.update(&[3.0]).expect("finite");
        assert_eq!(forest.fill(&[None], Fill::Forest), Ok(Some(vec![3.0])));
    }

    #[test]
    fn what_cannot_be_filled_is_an_error_and_changes_nothing() {
        let mut forest = counting();
        let before = forest.to_bytes();
        assert!(forest.update_filling(&[Some(f32::NAN)], Fill::Zero).is_err());
        assert!(forest.update_filling(&[None, None], Fill::Zero).is_err());
        assert!(forest.update_after_gap(3, &[f32::INFINITY], Fill::Linear).is_err());
        assert_eq!(forest.to_bytes(), before);
        let mut settings = ForestSettings::new(1);
        (settings.shingle_size, settings.internal_shingling) = (2, false);
        let mut forest = settings.build().expect("valid");
        forest.update(&[1.0, 2.0]).expect("finite");
        let refused = forest.update_after_gap(1, &[3.0, 4.0], Fill::Previous);
        assert_eq!(refused, Err(PointError::ExternalShingles));
    }

    #[test]
    fn the_time_since_the_last_observation_tells_how_many_did_not_come() {
        assert_eq!((n_missed(89.0, 60.0), n_missed(91.0, 60.0)), (0, 1));
        assert_eq!((n_missed(-5.0, 60.0), n_missed(60.0, 0.0), n_missed(f64::NAN, 1.0)), (0, 0, 0));
        assert_eq!(n_missed(f64::INFINITY, 1.0), u64::MAX - 1);
    }
}
