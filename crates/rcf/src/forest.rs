//! The forest: trees over one store of points.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::engine::{AnyTrees, Present};
use crate::level::Level;
use crate::points::padded;
use crate::sampler::{Clock, Policy};
use crate::shingle::Shingle;
use crate::sides::Attribution;
use crate::storage::Storage;
use crate::tables::Tables;
use crate::{ForestSettings, PointError};

/// Points up to this length are put together without an allocation.
const SHORT: usize = 64;

/// A random cut forest. Make one with [`ForestSettings::build`].
#[derive(Clone, Debug)]
pub struct Forest {
    pub(crate) settings: ForestSettings,
    pub(crate) level: Level,
    pub(crate) policy: Policy,
    pub(crate) tables: Tables,
    pub(crate) trees: Storage,
    pub(crate) shingle: Shingle,
    pub(crate) clock: Clock,
    // Observations learnt.
    pub(crate) n_observations: u64,
    // Entries of samples that were ever made.
    pub(crate) n_accepted: u64,
    // For boxes that are put together.
    scratch: Vec<f32>,
}

impl Forest {
    pub(crate) fn new(settings: ForestSettings) -> Self {
        let point_len = settings.point_len();
        let sample_size = settings.sample_size;
        let is_tiny = Storage::is_tiny(&settings);
        Self {
            level: Level::best(),
            policy: Policy::new(
                sample_size,
                settings.decay_rate(),
                settings.initial_accept_fraction,
            ),
            tables: if is_tiny { Tables::none() } else { Tables::new(sample_size) },
            trees: Storage::new(&settings),
            shingle: Shingle::new(settings.n_dims, settings.shingle_size),
            clock: Clock::new(),
            n_observations: 0,
            n_accepted: 0,
            scratch: if is_tiny { Vec::new() } else { vec![0.0; 6 * padded(point_len)] },
            settings,
        }
    }

    /// The settings that it was built with.
    pub fn settings(&self) -> &ForestSettings {
        &self.settings
    }

    /// Observations learnt so far.
    pub fn n_observations(&self) -> u64 {
        self.n_observations
    }

    /// Times that a tree took a point into its sample so far: while samples fill, about one a tree
    /// and point, then about one in ten with the default decay.
    pub fn n_accepted(&self) -> u64 {
        self.n_accepted
    }

    /// Whether it scores: `output_after` observations are learnt, and a whole shingle.
    pub fn is_ready(&self) -> bool {
        self.n_observations >= self.settings.first_output() && self.clock.n_points > 0
    }

    /// How unusual an observation is: 0 before the forest is ready, then about 0.8 to 1.0 for usual
    /// ones, higher for others, at most `log2(1 + sample_size)`. Nothing is learnt.
    ///
    /// With internal shingling the observation is scored as the newest of its shingle.
    ///
    /// # Errors
    /// The observation has another length, or a number that is not finite.
    ///
    /// Cost: for every tree one walk down, about `log2(sample_size)` nodes, and a few boxes.
    pub fn score(&self, observation: &[f32]) -> Result<f64, PointError> {
        self.check(observation)?;
        if !self.is_ready() {
            return Ok(0.0);
        }
        let sum =
            self.with_point(observation, |point| self.trees.score(self.level, &self.tables, point));
        Ok(sum / self.n_trees())
    }

    /// Learns an observation.
    ///
    /// # Errors
    /// The observation has another length, or a number that is not finite; nothing was learnt.
    ///
    /// Cost: while the sample fills, one insertion a tree. Then about one tree in ten takes the
    /// point, for two walks.
    pub fn update(&mut self, observation: &[f32]) -> Result<(), PointError> {
        self.check(observation)?;
        self.learn(observation, false);
        Ok(())
    }

    /// [`Forest::score`], then [`Forest::update`], in less time than one after the other.
    ///
    /// # Errors
    /// As both; nothing was learnt.
    pub fn score_and_update(&mut self, observation: &[f32]) -> Result<f64, PointError> {
        self.check(observation)?;
        let is_ready = self.is_ready();
        let sum = self.learn(observation, is_ready);
        Ok(if is_ready { sum / self.n_trees() } else { 0.0 })
    }

    /// How much each dimension adds to the score of an observation; all 0 before the forest is
    /// ready. Nothing is learnt.
    ///
    /// # Errors
    /// The observation has another length, or a number that is not finite.
    ///
    /// Cost: for every tree one walk down and one up, times the length of a point.
    pub fn attribution(&self, observation: &[f32]) -> Result<Attribution, PointError> {
        self.attribution_by(&self.tables, observation, 0)
    }

    /// The memory of the forest in bytes, on the heap and in itself.
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + self.trees.size_bytes()
            + self.tables.size_bytes()
            + self.shingle.size_bytes()
            + self.scratch.capacity() * size_of::<f32>()
    }

    #[expect(clippy::cast_precision_loss, reason = "at most 1000")]
    pub(crate) fn n_trees(&self) -> f64 {
        self.settings.n_trees as f64
    }

    /// The trees for questions that are asked seldom.
    pub(crate) fn opened(&self) -> Cow<'_, AnyTrees> {
        self.trees.opened(&self.settings)
    }

    pub(crate) fn check(&self, observation: &[f32]) -> Result<(), PointError> {
        let expected = if self.settings.internal_shingling {
            self.settings.n_dims
        } else {
            self.settings.point_len()
        };
        if observation.len() != expected {
            return Err(PointError::Dimensions { expected, actual: observation.len() });
        }
        match observation.iter().position(|x| !x.is_finite()) {
            None => Ok(()),
            Some(dim_idx) => Err(PointError::NotFinite { dim_idx, value: observation[dim_idx] }),
        }
    }

    /// Calls `visit` with the padded point that an observation makes; -0.0 is 0.0 in it.
    pub(crate) fn with_point<R>(&self, observation: &[f32], visit: impl FnOnce(&[f32]) -> R) -> R {
        if let ([x], 1) = (observation, self.settings.point_len()) {
            return visit(&[x + 0.0]);
        }
        let kept: &[f32] = if self.settings.internal_shingling { self.shingle.kept() } else { &[] };
        let length = padded(kept.len() + observation.len());
        let numbers = kept.iter().copied().chain(observation.iter().map(|x| x + 0.0));
        if length <= SHORT {
            let mut point = [0.0; SHORT];
            point.iter_mut().zip(numbers).for_each(|(to, x)| *to = x);
            visit(&point[..length])
        } else {
            let mut point: Vec<f32> = numbers.collect();
            point.resize(length, 0.0);
            visit(&point)
        }
    }

    /// Offers the point that an observation makes to every tree; returns the sum of its scores
    /// before, if wanted.
    fn learn(&mut self, observation: &[f32], wants_score: bool) -> f64 {
        self.n_observations += 1;
        self.shingle.push(observation);
        if self.settings.internal_shingling
            && self.n_observations < self.settings.shingle_size as u64
        {
            return 0.0;
        }
        let present = Present {
            policy: &self.policy,
            clock: &mut self.clock,
            n_accepted: &mut self.n_accepted,
        };
        let tables = wants_score.then_some(&self.tables);
        let (point, scratch) = (self.shingle.padded(), &mut self.scratch);
        self.trees.learn(self.level, present, tables, point, scratch)
    }
}
