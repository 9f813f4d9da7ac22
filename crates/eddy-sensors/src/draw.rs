//! Random numbers from a seed, the same on every machine.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A seeded generator.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    source: Xoshiro256PlusPlus,
    // Normal numbers come in pairs: the second waits here.
    spare_normal: Option<f64>,
}

/// What a generator is for: each purpose has numbers of its own, so that asking for late records
/// changes no value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Values and faults; the numbers of the walkthrough's sensors.
    Readings,
    /// Rates.
    Rate,
    /// Late, duplicate and out-of-order records.
    Delivery,
    /// Templates and partition keys.
    Template,
    /// What makes the sensors of a group differ.
    Sensors,
}

impl Random {
    pub(crate) fn new(seed: u64, purpose: Purpose) -> Self {
        let offset = match purpose {
            Purpose::Readings => 0,
            Purpose::Rate => 1,
            Purpose::Delivery => 2,
            Purpose::Template => 3,
            Purpose::Sensors => 4,
        };
        // An odd constant with its bits mixed: neighbouring seeds share no generator.
        let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(offset));
        Self { source: Xoshiro256PlusPlus::seed_from_u64(seed), spare_normal: None }
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.source.next_u64()
    }

    /// Whether something of that probability happens.
    pub(crate) fn happens(&mut self, threshold: Threshold) -> bool {
        u128::from(self.bits()) < threshold.0
    }

    /// In `0.0..1.0`.
    pub(crate) fn unit(&mut self) -> f64 {
        // 53 bits, which a double holds exactly.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double")]
        let bits = (self.bits() >> 11) as f64;
        bits * 2_f64.powi(-53)
    }

    /// In `0..n`, each with the same probability; 0 where `n` is 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        // Draws that would favour some are drawn again.
        let unbiased = u64::MAX - u64::MAX % n;
        loop {
            let draw = self.bits();
            if draw < unbiased {
                return draw % n;
            }
        }
    }

    /// In `min..=max`; draws nothing where that is one number.
    pub(crate) fn within(&mut self, min: u64, max: u64) -> u64 {
        if min >= max { min } else { min + self.below((max - min).saturating_add(1)) }
    }

    /// An index below `len`, which is not 0.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// In `min..max`; draws nothing where that is one number.
    pub(crate) fn between(&mut self, min: f64, max: f64) -> f64 {
        if min >= max { min } else { min + (max - min) * self.unit() }
    }

    /// Of mean 0 and standard deviation 1 (Marsaglia's polar method).
    pub(crate) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare_normal.take() {
            return spare;
        }
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let square = x * x + y * y;
            if square < 1.0 && square > 0.0 {
                // libm's logarithm is the same everywhere, the system's is not.
                let factor = (-2.0 * libm::log(square) / square).sqrt();
                self.spare_normal = Some(y * factor);
                return x * factor;
            }
        }
    }

    /// The place in running sums of weights, the last of which is the whole.
    pub(crate) fn weighted(&mut self, sums: &[f64]) -> usize {
        let draw = self.unit() * sums.last().copied().unwrap_or(0.0);
        sums.partition_point(|sum| *sum <= draw).min(sums.len().saturating_sub(1))
    }
}

/// The running sums of weights.
pub(crate) fn running_sums(weights: &[f64]) -> Vec<f64> {
    let sums = weights.iter().scan(0.0, |sum, weight| {
        *sum += weight;
        Some(*sum)
    });
    sums.collect()
}

/// A probability as a share of 2^64; 2^64 stands for certainty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Threshold(u128);

impl Threshold {
    pub(crate) const NEVER: Self = Self(0);

    /// `probability` is in `0.0..=1.0`.
    pub(crate) fn new(probability: f64) -> Self {
        // 2^64 is a power of two: the product loses no digit, and its fraction does not matter.
        let share = probability * 2_f64.powi(64);
        #[expect(clippy::cast_possible_truncation, reason = "0.0..=2^64, as settings are checked")]
        #[expect(clippy::cast_sign_loss, reason = "0.0..=2^64, as settings are checked")]
        let share = share as u128;
        Self(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_have_mean_zero_and_deviation_one() {
        let mut random = Random::new(1, Purpose::Readings);
        let numbers: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        let mean = numbers.iter().sum::<f64>() / 1e5;
        let variance = numbers.iter().map(|x| x * x).sum::<f64>() / 1e5 - mean * mean;
        // Five standard deviations of the estimates.
        assert!(mean.abs() < 0.016 && (variance - 1.0).abs() < 0.023, "{mean} {variance}");
        let beyond_two = numbers.iter().filter(|x| x.abs() > 2.0).count();
        assert!((4_220..=4_880).contains(&beyond_two), "{beyond_two}");
    }

    #[test]
    fn weights_decide_how_often_an_element_is_drawn() {
        let mut random = Random::new(1, Purpose::Readings);
        let sums = running_sums(&[0.7, 0.0, 0.3]);
        let mut counts = [0; 3];
        for _ in 0..10_000 {
            counts[random.weighted(&sums)] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((6_770..=7_230).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn every_number_of_a_range_is_drawn_and_no_other() {
        let mut random = Random::new(1, Purpose::Readings);
        let mut seen = [false; 5];
        for _ in 0..1000 {
            seen[usize::try_from(random.within(10, 14)).expect("small") - 10] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(random.within(7, 7), 7);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random.unit())));
    }
}
