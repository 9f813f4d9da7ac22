//! The generator of one tree: SplitMix64, whose whole state is one number.

// The step of SplitMix64's state from one number to the next.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of random numbers that one `u64` describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Where the stream stands; [`Random::new`] of it goes on from there.
    pub(crate) fn state(&self) -> u64 {
        self.state
    }

    #[inline(always)]
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in 0 < u < 1, neither end included.
    #[inline(always)]
    pub(crate) fn open01(&mut self) -> f64 {
        // 52 bits: the largest number, 1 - 2^-53, is below 1 without rounding.
        #[expect(clippy::cast_precision_loss, reason = "52 bits fit")]
        let steps = (self.next_u64() >> 12) as i64 as f64;
        (steps + 0.5) * (1.0 / 4_503_599_627_370_496.0)
    }
}

#[cfg(test)]
mod tests {
    use rand_core::{Rng as _, SeedableRng as _};
    use rand_xoshiro::SplitMix64;

    use super::*;

    #[test]
    fn the_stream_is_splitmix64_s_and_goes_on_from_its_state() {
        let mut whole = SplitMix64::seed_from_u64(7);
        let mut random = Random::new(7);
        for _ in 0..10 {
            assert_eq!(random.next_u64(), whole.next_u64());
            random = Random::new(random.state());
        }
    }

    #[test]
    fn uniform_numbers_lie_between_the_ends() {
        let mut random = Random::new(1);
        let mean = (0..10_000).map(|_| random.open01()).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02);
        assert!((((1_u64 << 52) - 1) as f64 + 0.5) / 4_503_599_627_370_496.0 < 1.0);
    }
}
