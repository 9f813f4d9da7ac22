//! A decay that changes while the forest runs.

use crate::sampler::Policy;
use crate::{Forest, SettingsError};

impl Forest {
    /// Makes old points leave the samples faster or slower from now on; a rate a point, 0..=1, as
    /// [`time_decay`](crate::ForestSettings::time_decay), which it replaces. What has decayed so far
    /// stays so.
    ///
    /// ```
    /// let mut forest = rcf::ForestSettings::new(1).build()?;
    /// for n in 0..1000 {
    ///     forest.update(&[(n % 7) as f32])?;
    /// }
    /// forest.set_time_decay(0.01)?; // 26 times as fast as the default
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The rate is out of its range; nothing has changed.
    ///
    /// Cost: one look at every weight of every tree.
    pub fn set_time_decay(&mut self, rate: f64) -> Result<(), SettingsError> {
        let mut settings = self.settings.clone();
        settings.time_decay = Some(rate);
        settings.validate()?;
        self.settings = settings;
        let fraction = self.settings.initial_accept_fraction;
        self.policy = Policy::new(self.settings.sample_size, rate, fraction);
        // Exponential variables have no memory: given that no point has entered yet, when the next
        // one does can be drawn anew under the new decay.
        let (policy, clock) = (&self.policy, &self.clock);
        self.trees.draw_all_next(policy, clock);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Forest, ForestSettings};

    fn forest(rate: f64) -> Forest {
        let mut settings = ForestSettings::new(1);
        (settings.n_trees, settings.sample_size) = (40, 64);
        settings.time_decay = Some(rate);
        settings.build().expect("valid")
    }

    /// The mean age of the samples' points, when points are their own numbers.
    fn mean_age(forest: &Forest) -> f64 {
        let (mut sum, mut n) = (0.0, 0.0);
        for member in crate::pool::members(&forest.opened()) {
            let holders = f64::from(member.n_holders);
            sum += holders * (forest.n_observations as f64 - f64::from(member.point[0]));
            n += holders;
        }
        sum / n
    }

    #[test]
    fn a_new_decay_gives_the_sample_that_it_would_have_given_from_the_start() {
        let run = |first: f64, second: f64| {
            let mut forest = forest(first);
            for n in 0..12_000 {
                if n == 6000 {
                    forest.set_time_decay(second).expect("in range");
                }
                forest.update(&[n as f32]).expect("finite");
            }
            mean_age(&forest)
        };
        // By then, the first decay has no points left in the samples.
        for (first, second) in [(0.001, 0.02), (0.02, 0.004)] {
            let (changed, constant) = (run(first, second), run(second, second));
            assert!((changed / constant - 1.0).abs() < 0.1, "{changed} against {constant}");
        }
        assert!(run(0.02, 0.004) > 2.0 * run(0.004, 0.02));
    }

    #[test]
    fn a_changed_forest_comes_back_from_its_bytes() {
        let mut forest = forest(0.001);
        for n in 0..500 {
            forest.update(&[n as f32]).expect("finite");
        }
        forest.set_time_decay(0.05).expect("in range");
        let mut restored = Forest::from_bytes(&forest.to_bytes()).expect("its own bytes");
        assert_eq!(restored.settings().time_decay, Some(0.05));
        for n in 500..900 {
            let expected = forest.score_and_update(&[n as f32]).expect("finite");
            let found = restored.score_and_update(&[n as f32]).expect("finite");
            assert_eq!(found.to_bits(), expected.to_bits());
        }
        assert_eq!(restored.to_bytes(), forest.to_bytes());
    }

    #[test]
    fn a_rate_out_of_range_changes_nothing() {
        let mut forest = forest(0.001);
        (0..100).for_each(|n| forest.update(&[n as f32]).expect("finite"));
        let before = forest.to_bytes();
        for rate in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(forest.set_time_decay(rate).is_err());
        }
        assert_eq!(forest.to_bytes(), before);
    }
}
