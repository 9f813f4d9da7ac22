//! A time-decayed random sample: which points a tree keeps.
//!
//! Every point draws the weight `ln(-ln u) - decay * time`, and a full sample keeps the points of
//! lowest weight. Weights are relative to a moment that moves along ([`Sampler::rebase`]), so that
//! they keep their precision however long the stream.
//!
//! When the sample is full, a point enters with probability `1 - exp(-c)`, where `c` is the
//! exponential of the largest weight plus the decay so far. Instead of a draw for every point, one
//! exponential draw decides how many points pass before the next one enters (Efraimidis and
//! Spirakis call it exponential jumps): exact in law, and nine of ten points then cost nothing.

use crate::math::{exp, ln};
use crate::random::Random;

/// A point in the sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The point leaves in the order of falling weight.
    pub(crate) weight: f64,
    /// The tree's leaf that holds the point.
    pub(crate) leaf: u32,
}

/// What becomes of a point that is offered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Offer {
    /// It is not taken.
    Pass,
    /// It is taken in addition.
    Add {
        /// Its weight.
        weight: f64,
    },
    /// It takes the place of the entry of largest weight.
    Replace {
        /// Its weight.
        weight: f64,
    },
}

/// How a sample fills and forgets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Policy {
    pub(crate) sample_size: usize,
    pub(crate) decay_rate: f64,
    pub(crate) initial_accept_fraction: f64,
}

/// The sample of one tree.
#[derive(Clone, Debug)]
pub(crate) struct Sampler {
    // A heap with the largest weight first.
    entries: Vec<Entry>,
    // Points still to pass before one enters. Meaningful while the sample is full.
    n_to_pass: u64,
}

impl Sampler {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new(), n_to_pass: 0 }
    }

    /// A sampler as [`Sampler::entries`] and [`Sampler::n_to_pass`] describe it; `None` where the
    /// entries are not in heap order.
    pub(crate) fn restore(entries: Vec<Entry>, n_to_pass: u64) -> Option<Self> {
        let ordered = (1..entries.len())
            .all(|child| entries[child].weight <= entries[(child - 1) / 2].weight);
        ordered.then_some(Self { entries, n_to_pass })
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn n_to_pass(&self) -> u64 {
        self.n_to_pass
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Offers the point of the present. `decayed` is the decay times the time since the weights'
    /// moment.
    #[inline]
    pub(crate) fn offer(&mut self, policy: &Policy, decayed: f64, random: &mut Random) -> Offer {
        if self.entries.len() == policy.sample_size {
            if self.n_to_pass > 0 {
                self.n_to_pass -= 1;
                return Offer::Pass;
            }
            return Offer::Replace { weight: self.entering_weight(decayed, random) };
        }
        let weight = ln(-ln(random.open01())) - decayed;
        if self.takes_unconditionally(policy, random) {
            return Offer::Add { weight };
        }
        match self.entries.first() {
            Some(largest) if weight < largest.weight => Offer::Replace { weight },
            _ => Offer::Pass,
        }
    }

    /// While the sample is not full: with certainty up to a fraction, then with probability falling
    /// to 0.
    fn takes_unconditionally(&self, policy: &Policy, random: &mut Random) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "at most 65 536")]
        let filled = self.entries.len() as f64 / policy.sample_size as f64;
        let fraction = policy.initial_accept_fraction;
        if filled < fraction || self.entries.is_empty() {
            return true;
        }
        fraction < 1.0 && random.open01() < 1.0 - (filled - fraction) / (1.0 - fraction)
    }

    /// The weight of a point given that it enters: below the largest.
    fn entering_weight(&self, decayed: f64, random: &mut Random) -> f64 {
        // An exponential variable given that it is below `chance`: -ln(1 - u (1 - e^-chance)).
        let chance = exp(self.entries[0].weight + decayed);
        let u = random.open01();
        let taken = if chance < 1e-5 {
            let share = u * chance * (1.0 - 0.5 * chance);
            share * (1.0 + 0.5 * share)
        } else {
            -ln(1.0 - u * (1.0 - exp(-chance)))
        };
        // Rounding may not make it enter with more than the largest weight, nor with none.
        let taken = taken.clamp(f64::MIN_POSITIVE, chance.max(f64::MIN_POSITIVE));
        ln(taken) - decayed
    }

    /// Draws how many points pass before the next one enters. To be called after every change of
    /// the sample or of the decay.
    pub(crate) fn draw_jump(&mut self, policy: &Policy, decayed: f64, random: &mut Random) {
        if self.entries.len() < policy.sample_size {
            return;
        }
        let budget = -ln(random.open01());
        // The chances of the coming points: c r, c r^2, c r^3, .. with r = e^decay. The one that
        // uses up the budget enters.
        let rate = policy.decay_rate;
        let first = exp(self.entries[0].weight + decayed + rate);
        let steps = if rate > 0.0 {
            // c r + .. + c r^n = c r (r^n - 1) / (r - 1)
            let growth = exp(rate) - 1.0;
            let growth = if rate < 1e-9 { rate } else { growth };
            ln(1.0 + budget * growth / first) / rate
        } else {
            budget / first
        };
        // Beyond 2^62 points no stream comes back.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let steps = steps.clamp(0.0, 4e18) as u64;
        self.n_to_pass = steps;
    }

    /// The leaf of the entry of largest weight, which leaves.
    pub(crate) fn pop(&mut self) -> Option<u32> {
        let last = self.entries.pop()?;
        let Some(root) = self.entries.first_mut() else { return Some(last.leaf) };
        let leaving = std::mem::replace(root, last).leaf;
        let mut at = 0;
        loop {
            let mut child = 2 * at + 1;
            if child >= self.entries.len() {
                break;
            }
            if child + 1 < self.entries.len()
                && self.entries[child + 1].weight > self.entries[child].weight
            {
                child += 1;
            }
            if self.entries[child].weight <= self.entries[at].weight {
                break;
            }
            self.entries.swap(at, child);
            at = child;
        }
        Some(leaving)
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
        let mut at = self.entries.len() - 1;
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.entries[at].weight <= self.entries[parent].weight {
                break;
            }
            self.entries.swap(at, parent);
            at = parent;
        }
    }

    /// Moves the weights' moment on by `decayed`.
    pub(crate) fn rebase(&mut self, decayed: f64) {
        for entry in &mut self.entries {
            entry.weight += decayed;
        }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean age of a sample and accepted points a step, over `n_steps` after the sample is full.
    fn law(n_steps: u32, decay_rate: f64, jumps: bool) -> (f64, f64) {
        let policy = Policy { sample_size: 32, decay_rate, initial_accept_fraction: 1.0 };
        let mut random = Random::new(if jumps { 1 } else { 2 });
        let mut sampler = Sampler::new();
        let (mut n_accepted, mut ages, mut n_ages) = (0.0, 0.0, 0.0);
        for step in 0..n_steps {
            let decayed = f64::from(step) * decay_rate;
            let offer = if jumps || sampler.len() < policy.sample_size {
                sampler.offer(&policy, decayed, &mut random)
            } else {
                // The naive law: a weight for every point.
                let weight = ln(-ln(random.open01())) - decayed;
                if weight < sampler.entries[0].weight {
                    Offer::Replace { weight }
                } else {
                    Offer::Pass
                }
            };
            let weight = match offer {
                Offer::Pass => None,
                Offer::Add { weight } => Some(weight),
                Offer::Replace { weight } => {
                    assert!(weight <= sampler.entries[0].weight);
                    sampler.pop();
                    Some(weight)
                }
            };
            if let Some(weight) = weight {
                sampler.push(Entry { weight, leaf: step });
                sampler.draw_jump(&policy, decayed, &mut random);
                n_accepted += f64::from(u32::from(step > n_steps / 10));
            }
            if step > n_steps / 10 && step % 50 == 0 {
                ages += sampler.entries().iter().map(|e| f64::from(step - e.leaf)).sum::<f64>();
                n_ages += 32.0;
            }
        }
        (ages / n_ages, n_accepted / f64::from(n_steps))
    }

    #[test]
    fn jumps_keep_the_law_of_a_weight_for_every_point() {
        for decay_rate in [0.1 / 32.0, 0.01] {
            let (naive_age, naive_accepts) = law(400_000, decay_rate, false);
            let (age, accepts) = law(400_000, decay_rate, true);
            assert!((age / naive_age - 1.0).abs() < 0.03, "age {age} against {naive_age}");
            assert!((accepts / naive_accepts - 1.0).abs() < 0.03, "{accepts} {naive_accepts}");
        }
    }

    #[test]
    fn without_decay_the_sample_is_uniform() {
        let (age, _) = law(20_000, 0.0, true);
        let (naive_age, _) = law(20_000, 0.0, false);
        assert!((age / naive_age - 1.0).abs() < 0.1, "age {age} against {naive_age}");
    }

    #[test]
    fn entries_leave_in_the_order_of_falling_weight() {
        let mut sampler = Sampler::new();
        for leaf in 0..100 {
            sampler.push(Entry { weight: f64::from(leaf * 37 % 100), leaf });
        }
        let leaving: Vec<u32> = std::iter::from_fn(|| sampler.pop()).collect();
        let weights: Vec<u32> = leaving.iter().map(|leaf| leaf * 37 % 100).collect();
        assert_eq!(weights, (0..100).rev().collect::<Vec<_>>());
    }
}
