//! Scores other than the usual one, and scores without the nearest points.

use crate::engine::with_trees;
use crate::scoring::{Displacement, ScoreFunctions, Scoring};
use crate::sides::Attribution;
use crate::view::TreeView;
use crate::visit::{attribute, score};
use crate::{Forest, PointError};

impl Forest {
    /// [`Forest::score`] as though leaves of at most `ignore_mass` points were not there: a first
    /// anomaly that the samples hold then does not hide a second one like it. With 0 it is
    /// [`Forest::score`], but for the order of the sum, which may change its last bit.
    ///
    /// Boxes are those of the siblings on the way up, merged, so that an ignored leaf shapes none.
    ///
    /// # Errors
    /// The observation has another length, or a number that is not finite.
    ///
    /// Cost: some times that of [`Forest::score`].
    pub fn score_ignoring(&self, observation: &[f32], ignore_mass: u32) -> Result<f64, PointError> {
        self.score_by(&self.tables, observation, ignore_mass)
    }

    /// The attribution of [`Forest::score_ignoring`].
    ///
    /// # Errors
    /// The observation has another length, or a number that is not finite.
    ///
    /// Cost: that of [`Forest::attribution`].
    pub fn attribution_ignoring(
        &self,
        observation: &[f32],
        ignore_mass: u32,
    ) -> Result<Attribution, PointError> {
        self.attribution_by(&self.tables, observation, ignore_mass)
    }

    /// The share of a tree's sample that an observation would move one level down, in expectation:
    /// near 0 for usual ones, at most 1; 0 before the forest is ready. Nothing is learnt.
    ///
    /// This is the paper's displacement (definition 2, lemma 1). Where the sample holds an equal point, it
    /// is one over the number of equal points and one more, damped as the score is, likewise as a
    /// share.
    ///
    /// # Errors
    /// The observation has another length, or a number that is not finite.
    ///
    /// Cost: for every tree one walk down, one up, and a visit of the nodes beside the way up.
    pub fn displacement(&self, observation: &[f32]) -> Result<f64, PointError> {
        self.score_by(&Displacement, observation, 0)
    }

    /// A score of the caller's own functions, the mean over trees; 0 before the forest is ready.
    /// Leaves of at most `ignore_mass` points count as not there. Nothing is learnt.
    ///
    /// # Errors
    /// The observation has another length, or a number that is not finite.
    ///
    /// Cost: that of [`Forest::displacement`] and of the functions.
    pub fn dynamic_score(
        &self,
        observation: &[f32],
        functions: &ScoreFunctions<'_>,
        ignore_mass: u32,
    ) -> Result<f64, PointError> {
        self.score_by(functions, observation, ignore_mass)
    }

    /// The attribution of [`Forest::dynamic_score`].
    ///
    /// # Errors
    /// The observation has another length, or a number that is not finite.
    ///
    /// Cost: that of [`Forest::dynamic_score`], times the length of a point.
    pub fn dynamic_attribution(
        &self,
        observation: &[f32],
        functions: &ScoreFunctions<'_>,
        ignore_mass: u32,
    ) -> Result<Attribution, PointError> {
        self.attribution_by(functions, observation, ignore_mass)
    }

    fn score_by<S: Scoring>(
        &self,
        scoring: &S,
        observation: &[f32],
        ignore_mass: u32,
    ) -> Result<f64, PointError> {
        self.check(observation)?;
        if !self.is_ready() {
            return Ok(0.0);
        }
        let sum: f64 = self.with_point(observation, |point| {
            with_trees!(&*self.opened(), trees => {
                TreeView::all(trees).map(|tree| score(tree, scoring, ignore_mass, point)).sum()
            })
        });
        Ok(sum / self.n_trees())
    }

    pub(crate) fn attribution_by<S: Scoring>(
        &self,
        scoring: &S,
        observation: &[f32],
        ignore_mass: u32,
    ) -> Result<Attribution, PointError> {
        self.check(observation)?;
        let mut sum = Attribution::zeros(self.settings.point_len());
        if !self.is_ready() {
            return Ok(sum);
        }
        self.with_point(observation, |point| {
            with_trees!(&*self.opened(), trees => {
                for tree in TreeView::all(trees) {
                    attribute(tree, scoring, ignore_mass, point, &mut sum);
                }
            });
        });
        let n_trees = self.n_trees();
        sum.parts_mut().for_each(|part| *part /= n_trees);
        Ok(sum)
    }
}
