//! A time-decayed random sample: which points a tree keeps.
//!
//! Every point draws an exponential variable, and a full sample keeps the points of lowest variable
//! times `exp(-decay * time)`: their *weight*. (In logarithms this is `ln(-ln u) - decay * time`.)
//! Weights are relative to a moment that moves along ([`Clock`]), so that they keep their precision
//! however long the stream.
//!
//! When the sample is full, a point enters with probability `1 - exp(-c)`, where `c`, the
//! *threshold*, is the largest weight as seen from the present. Instead of a draw for every point,
//! one exponential draw decides how many points pass before the next one enters (Efraimidis and
//! Spirakis call it exponential jumps): exact in law, and nine of ten points then cost nothing.

use alloc::vec::Vec;

use crate::math::{exp, exp_less_1, ln, ln_of_four};
use crate::random::Random;

/// Weights are rebased when they have decayed by this factor, so that f32 holds them.
const REBASE_AT: f64 = 1e13;
/// Weights above have no size but their order: between this and `f32::MAX` there is a number for
/// every point of the largest sample.
const BEYOND: f64 = 1.7e38;

/// Below, there is hardly any decay until the next point enters, and `1 + x` would lose it.
const DECAYS: f64 = 1e-8;

/// How a sample fills and forgets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Policy {
    pub(crate) sample_size: u32,
    pub(crate) initial_accept_fraction: f64,
    // The decay a point, and its exponential, also less 1.
    rate: f64,
    growth: f64,
    growth_less_1: f64,
}

impl Policy {
    pub(crate) fn new(sample_size: usize, rate: f64, initial_accept_fraction: f64) -> Self {
        Self {
            sample_size: u32::try_from(sample_size).expect("a sample has at most 65 536 points"),
            initial_accept_fraction,
            rate,
            growth: exp(rate),
            growth_less_1: exp_less_1(rate),
        }
    }
}

/// The present.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Clock {
    /// Points learnt.
    pub(crate) n_points: u64,
    /// `exp(decay * time)` since the moment of the weights: at least 1.
    pub(crate) scale: f64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { n_points: 0, scale: 1.0 }
    }

    /// Moves on to the next point. Where it returns a factor, weights are to be rebased by it.
    #[inline(always)]
    pub(crate) fn tick(&mut self, policy: &Policy) -> Option<f64> {
        self.n_points += 1;
        self.scale *= policy.growth;
        if self.scale < REBASE_AT {
            return None;
        }
        Some(core::mem::replace(&mut self.scale, 1.0))
    }

    /// The threshold of a sample.
    #[inline(always)]
    pub(crate) fn threshold(&self, largest_weight: f32) -> f64 {
        f64::from(largest_weight) * self.scale
    }

    /// The weight of an exponential variable drawn now.
    #[inline(always)]
    pub(crate) fn weight(&self, variable: f64) -> f32 {
        #[expect(clippy::cast_possible_truncation, reason = "rounded")]
        let weight = (variable / self.scale) as f32;
        weight.max(f32::MIN_POSITIVE)
    }
}

/// Changes the weights of a sample to those seen from a later moment.
pub(crate) fn rebase(weights: &mut [f32], factor: f64) {
    let is_beyond = |weight: f32| f64::from(weight) * factor > BEYOND;
    // Where the decay is fast, old weights come to the end of f32. From there on only their order
    // counts, which decides who leaves first.
    let mut beyond: Vec<usize> =
        (0..weights.len()).filter(|entry| is_beyond(weights[*entry])).collect();
    beyond.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]));
    #[expect(clippy::cast_possible_truncation, reason = "rounded")]
    for weight in weights.iter_mut() {
        *weight = (f64::from(*weight) * factor).min(BEYOND) as f32;
    }
    let mut most = f32::MAX;
    for entry in beyond {
        weights[entry] = most;
        most = most.next_down();
    }
}

/// The number of the largest weight, the first where several are equal.
#[inline(always)]
pub(crate) fn largest(weights: &[f32]) -> u32 {
    const WIDTH: usize = 16;
    let (blocks, rest) = weights.as_chunks::<WIDTH>();
    let mut lanes = [0.0_f32; WIDTH];
    for block in blocks {
        for lane in 0..WIDTH {
            lanes[lane] = if block[lane] > lanes[lane] { block[lane] } else { lanes[lane] };
        }
    }
    let mut most = 0.0_f32;
    for weight in lanes.iter().chain(rest) {
        most = if *weight > most { *weight } else { most };
    }
    let mut first = 0;
    for block in blocks {
        let mut found = false;
        for weight in block {
            found |= *weight == most;
        }
        if found {
            break;
        }
        first += WIDTH;
    }
    let within = weights[first..].iter().position(|weight| *weight == most).unwrap_or(0);
    u32::try_from(first + within).expect("a sample has at most 65 536 points")
}

/// While a sample is not full: whether a point is taken whatever its weight. With certainty up to a
/// fraction, then with probability falling to 0.
fn takes_unconditionally(policy: &Policy, n_entries: u32, random: &mut Random) -> bool {
    let filled = f64::from(n_entries) / f64::from(policy.sample_size);
    let fraction = policy.initial_accept_fraction;
    if filled < fraction || n_entries == 0 {
        return true;
    }
    fraction < 1.0 && random.open01() < 1.0 - (filled - fraction) / (1.0 - fraction)
}

/// Offers the present point to a sample whose turn it is: of `n_entries` weights, followed by room
/// for one more where it is not full, in which case `largest_entry` is that of the largest. Where
/// the point is taken, its weight is set; the entry that it takes, and whether that is a new one.
#[inline(always)]
pub(crate) fn offer(
    policy: &Policy,
    clock: &Clock,
    random: &mut Random,
    weights: &mut [f32],
    [n_entries, largest_entry]: [u32; 2],
) -> Option<(u32, bool)> {
    if n_entries == policy.sample_size {
        let weight = &mut weights[largest_entry as usize];
        let variable = exponential_below(clock.threshold(*weight), random);
        *weight = clock.weight(variable).min(*weight);
        return Some((largest_entry, false));
    }
    let weight = clock.weight(exponential(random));
    if takes_unconditionally(policy, n_entries, random) {
        weights[n_entries as usize] = weight;
        return Some((n_entries, true));
    }
    let entry = largest(&weights[..n_entries as usize]);
    if weight >= weights[entry as usize] {
        return None;
    }
    weights[entry as usize] = weight;
    Some((entry, false))
}

/// An exponential variable.
#[inline(always)]
fn exponential(random: &mut Random) -> f64 {
    -ln(random.open01())
}

/// An exponential variable given that it is below a threshold.
#[inline(always)]
fn exponential_below(threshold: f64, random: &mut Random) -> f64 {
    if threshold < 1.0 {
        // A uniform one, kept with probability exp(-x), which is at least 1 - x: the exponential
        // itself is seldom needed.
        loop {
            let x = random.open01() * threshold;
            let keep = random.open01();
            if keep < 1.0 - x || keep < exp(-x) {
                return x;
            }
        }
    }
    (-ln(1.0 - random.open01() * (1.0 - exp(-threshold)))).min(threshold)
}

/// How many points pass before the next one enters a full sample. To be drawn after every change of
/// the sample or of the decay.
#[inline(always)]
pub(crate) fn points_to_pass(policy: &Policy, threshold: f64, random: &mut Random) -> u64 {
    let budget = exponential(random);
    // The thresholds of the coming points: c r, c r^2, c r^3, .. with r = e^decay. The one that
    // uses up the budget enters: c r + .. + c r^n = c r (r^n - 1) / (r - 1).
    let first = threshold * policy.growth;
    let growth = budget * policy.growth_less_1 / first;
    let n_points = if growth > DECAYS { ln(1.0 + growth) / policy.rate } else { budget / first };
    whole(n_points)
}

/// A number of points.
#[inline(always)]
fn whole(n_points: f64) -> u64 {
    // Beyond 2^61 points no stream comes back.
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    let n_points = n_points.clamp(0.0, 2e18) as i64;
    n_points.cast_unsigned()
}

/// The same for four samples, by a uniform variable for each.
#[inline(always)]
pub(crate) fn four_points_to_pass(
    policy: &Policy,
    thresholds: [f64; 4],
    uniform: [f64; 4],
) -> [u64; 4] {
    let budgets = ln_of_four(uniform).map(|ln| -ln);
    let firsts = thresholds.map(|threshold| threshold * policy.growth);
    let (mut growths, mut without) = ([0.0; 4], [0.0; 4]);
    for lane in 0..4 {
        growths[lane] = budgets[lane] * policy.growth_less_1 / firsts[lane];
        without[lane] = budgets[lane] / firsts[lane];
    }
    let logarithms = ln_of_four(growths.map(|growth| 1.0 + growth));
    let mut n_points = [0.0; 4];
    for lane in 0..4 {
        let with = logarithms[lane] / policy.rate;
        n_points[lane] = if growths[lane] > DECAYS { with } else { without[lane] };
    }
    n_points.map(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 32;

    /// Mean age of a sample and accepted points a step, over `n_steps` after the sample is full.
    fn law(n_steps: u32, rate: f64, jumps: bool) -> (f64, f64) {
        let policy = Policy::new(SIZE, rate, 1.0);
        let mut random = Random::new(if jumps { 1 } else { 2 });
        let mut clock = Clock::new();
        let mut weights: Vec<f32> = Vec::new();
        let mut born: Vec<u32> = Vec::new();
        let mut next = 0;
        let (mut n_accepted, mut ages, mut n_ages) = (0.0, 0.0, 0.0);
        for step in 0..n_steps {
            if let Some(factor) = clock.tick(&policy) {
                rebase(&mut weights, factor);
            }
            if weights.len() < SIZE {
                weights.push(clock.weight(exponential(&mut random)));
                born.push(step);
            } else {
                let entry = largest(&weights) as usize;
                let threshold = clock.threshold(weights[entry]);
                // The naive law draws a variable for every point.
                let entering = if jumps {
                    (clock.n_points >= next).then(|| exponential_below(threshold, &mut random))
                } else {
                    Some(exponential(&mut random)).filter(|variable| *variable < threshold)
                };
                let Some(variable) = entering else { continue };
                assert!(variable <= threshold);
                (weights[entry], born[entry]) = (clock.weight(variable), step);
                n_accepted += f64::from(u32::from(step > n_steps / 10));
            }
            let threshold = clock.threshold(weights[largest(&weights) as usize]);
            next = clock.n_points + 1 + points_to_pass(&policy, threshold, &mut random);
            if step > n_steps / 10 {
                ages += born.iter().map(|born| f64::from(step - born)).sum::<f64>();
                n_ages += SIZE as f64;
            }
        }
        (ages / n_ages, n_accepted / f64::from(n_steps))
    }

    #[test]
    fn jumps_keep_the_law_of_a_weight_for_every_point() {
        for rate in [0.1 / 32.0, 0.01, 0.3] {
            let (naive_age, naive_accepts) = law(600_000, rate, false);
            let (age, accepts) = law(600_000, rate, true);
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
    fn a_variable_below_a_threshold_has_its_law() {
        for threshold in [0.01, 0.5, 0.99, 1.5, 20.0] {
            let mut random = Random::new(5);
            let n = 200_000;
            let sum: f64 = (0..n).map(|_| exponential_below(threshold, &mut random)).sum();
            // E[x | x < c] = 1 - c / (e^c - 1).
            let expected = 1.0 - threshold / threshold.exp_m1();
            let mean = sum / f64::from(n);
            assert!((mean / expected - 1.0).abs() < 0.01, "{mean} against {expected}");
        }
    }

    #[test]
    fn weights_beyond_the_range_keep_their_order() {
        let mut weights = [3e37, 1.0, 2e30, 2e38, 0.0, 2e30, 4e37];
        for _ in 0..3 {
            rebase(&mut weights, 1e13);
            let mut order: Vec<usize> = (0..weights.len()).collect();
            order.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]));
            assert_eq!(order, [3, 6, 0, 2, 5, 1, 4]);
            assert!(weights.iter().all(|weight| weight.is_finite()));
        }
    }

    #[test]
    fn the_largest_weight_is_found_wherever_it_stands() {
        for length in [1, 2, 15, 16, 17, 63, 64, 256, 300] {
            for at in 0..length {
                let mut weights: Vec<f32> = (0..length).map(|n| 1.0 + (n % 7) as f32).collect();
                weights[at] = 9.0;
                assert_eq!(largest(&weights), u32::try_from(at).expect("small"));
            }
        }
        assert_eq!(largest(&[3.0; 40]), 0);
    }
}
