//! The forest: trees over one store of points.

use crate::points::PointStore;
use crate::random::Random;
use crate::sampler::{Entry, Offer, Policy, Sampler};
use crate::shingle::Shingle;
use crate::tree::Tree;
use crate::visit::{Attribution, Tables, attribute, score};
use crate::{ForestSettings, PointError};

/// Weights are rebased when this much decay has come together, so that they stay precise.
const REBASE_AT: f64 = 64.0;
/// Points up to this length are put together without an allocation.
const SHORT: usize = 64;

/// A random cut forest. Make one with [`ForestSettings::build`].
#[derive(Clone, Debug)]
pub struct Forest {
    pub(crate) settings: ForestSettings,
    pub(crate) policy: Policy,
    pub(crate) tables: Tables,
    pub(crate) points: PointStore,
    pub(crate) members: Vec<Member>,
    pub(crate) shingle: Shingle,
    // Observations learnt.
    pub(crate) n_observations: u64,
    // Decay since the moment of the weights.
    pub(crate) decayed: f64,
}

/// A tree, its sample and its randomness.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) tree: Tree,
    pub(crate) sampler: Sampler,
    pub(crate) random: Random,
}

impl Forest {
    pub(crate) fn new(settings: ForestSettings) -> Self {
        let mut seeds = Random::new(settings.seed);
        let member = |_| Member {
            tree: Tree::new(),
            sampler: Sampler::new(),
            random: Random::new(seeds.next_u64()),
        };
        let members = (0..settings.n_trees).map(member).collect();
        let policy = Policy {
            sample_size: settings.sample_size,
            decay_rate: settings.decay_rate(),
            initial_accept_fraction: settings.initial_accept_fraction,
        };
        Self {
            policy,
            tables: Tables::new(settings.sample_size),
            points: PointStore::new(settings.point_len()),
            members,
            shingle: Shingle::new(settings.n_dims, settings.shingle_size),
            n_observations: 0,
            decayed: 0.0,
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

    /// Whether it scores: `output_after` observations are learnt, and a whole shingle.
    pub fn is_ready(&self) -> bool {
        self.n_observations >= self.settings.first_output() && self.members[0].tree.mass() > 0
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
        Ok(self.with_point(observation, |point| self.score_point(point)))
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
        self.n_observations += 1;
        if !self.settings.internal_shingling {
            let point: Vec<f32> = observation.iter().map(|x| x + 0.0).collect();
            self.learn(&point);
            return Ok(());
        }
        let point: Vec<f32>;
        let n_dims = self.settings.n_dims;
        if n_dims <= SHORT {
            let mut positive = [0.0; SHORT];
            positive.iter_mut().zip(observation).for_each(|(to, x)| *to = x + 0.0);
            self.shingle.push(&positive[..n_dims]);
        } else {
            point = observation.iter().map(|x| x + 0.0).collect();
            self.shingle.push(&point);
        }
        if self.n_observations >= self.settings.shingle_size as u64 {
            let shingle = std::mem::replace(&mut self.shingle, Shingle::new(0, 0));
            self.learn(shingle.numbers());
            self.shingle = shingle;
        }
        Ok(())
    }

    /// [`Forest::score`], then [`Forest::update`].
    ///
    /// # Errors
    /// As both; nothing was learnt.
    pub fn score_and_update(&mut self, observation: &[f32]) -> Result<f64, PointError> {
        let score = self.score(observation)?;
        self.update(observation)?;
        Ok(score)
    }

    /// How much each dimension adds to the score of an observation; all 0 before the forest is
    /// ready. Nothing is learnt.
    ///
    /// # Errors
    /// The observation has another length, or a number that is not finite.
    ///
    /// Cost: for every tree one walk down and one up, times the length of a point.
    pub fn attribution(&self, observation: &[f32]) -> Result<Attribution, PointError> {
        self.check(observation)?;
        let length = self.settings.point_len();
        let mut sum = Attribution { high: vec![0.0; length], low: vec![0.0; length] };
        if !self.is_ready() {
            return Ok(sum);
        }
        self.with_point(observation, |point| {
            for member in &self.members {
                attribute(&member.tree, &self.points, &self.tables, point, &mut sum);
            }
        });
        let n_trees = self.n_trees();
        sum.high.iter_mut().chain(&mut sum.low).for_each(|part| *part /= n_trees);
        Ok(sum)
    }

    /// The memory of the forest in bytes, on the heap and in itself.
    pub fn size_bytes(&self) -> usize {
        let members: usize = self
            .members
            .iter()
            .map(|m| size_of::<Member>() + m.tree.size_bytes() + m.sampler.size_bytes())
            .sum();
        size_of::<Self>()
            + members
            + self.points.size_bytes()
            + self.tables.size_bytes()
            + size_of_val(self.shingle.numbers())
    }

    #[expect(clippy::cast_precision_loss, reason = "at most 1000")]
    fn n_trees(&self) -> f64 {
        self.members.len() as f64
    }

    fn check(&self, observation: &[f32]) -> Result<(), PointError> {
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

    /// Calls `visit` with the point that an observation makes; -0.0 is 0.0 in it.
    fn with_point<R>(&self, observation: &[f32], visit: impl FnOnce(&[f32]) -> R) -> R {
        let kept: &[f32] = if self.settings.internal_shingling { self.shingle.kept() } else { &[] };
        let length = kept.len() + observation.len();
        let numbers = kept.iter().copied().chain(observation.iter().map(|x| x + 0.0));
        if length <= SHORT {
            let mut point = [0.0; SHORT];
            point.iter_mut().zip(numbers).for_each(|(to, x)| *to = x);
            visit(&point[..length])
        } else {
            visit(&numbers.collect::<Vec<f32>>())
        }
    }

    fn score_point(&self, point: &[f32]) -> f64 {
        let sum: f64 =
            self.members.iter().map(|m| score(&m.tree, &self.points, &self.tables, point)).sum();
        sum / self.n_trees()
    }

    /// Offers a point to every tree.
    fn learn(&mut self, point: &[f32]) {
        self.decayed += self.policy.decay_rate;
        if self.decayed > REBASE_AT {
            let decayed = std::mem::take(&mut self.decayed);
            self.members.iter_mut().for_each(|member| member.sampler.rebase(decayed));
        }
        let (policy, decayed) = (self.policy, self.decayed);
        // The point's slot, once a tree has stored it.
        let mut stored: Option<u32> = None;
        for Member { tree, sampler, random } in &mut self.members {
            let weight = match sampler.offer(&policy, decayed, random) {
                Offer::Pass => continue,
                Offer::Add { weight } => weight,
                Offer::Replace { weight } => {
                    if let Some(leaf) = sampler.pop() {
                        tree.remove(leaf, &mut self.points);
                    }
                    weight
                }
            };
            let leaf = tree.insert(point, &mut self.points, random, |points| match stored {
                Some(slot) => {
                    points.retain(slot);
                    slot
                }
                None => *stored.insert(points.insert(point)),
            });
            sampler.push(Entry { weight, leaf });
            sampler.draw_jump(&policy, decayed, random);
        }
    }
}
