//! The search for the nearest of many depths that is below a limit, for every level.

use crate::kernel::Portable;

/// Depths that are looked at at once.
pub(crate) const WIDTH: usize = 16;

/// What differs between levels.
pub(crate) trait Scan {
    /// Two equal bits for each depth: whether it is below a limit, which must not be 0.
    fn below(depths: &[u16; WIDTH], limit: u16) -> u32;

    /// How many of a block of cuts lie below a number, by their keys.
    fn n_below(cuts: &[i32; 16], key: i32) -> usize;

    /// The place of the largest of numbers of at least 0, the first where several are equal.
    fn largest(numbers: &[f32; 16]) -> usize;

    /// A bit for each number: whether it is at most another.
    fn due(numbers: &[u64; 4], now: u64) -> u32;
}

impl Scan for Portable {
    #[inline(always)]
    fn below(depths: &[u16; WIDTH], limit: u16) -> u32 {
        let bits = |lane: usize| if depths[lane] < limit { 3 << (2 * lane) } else { 0 };
        (0..WIDTH).map(bits).fold(0, |all, bits| all | bits)
    }

    #[inline(always)]
    fn n_below(cuts: &[i32; 16], key: i32) -> usize {
        let mut n_below = 0_u32;
        for cut in cuts {
            n_below += u32::from(*cut < key);
        }
        n_below as usize
    }

    #[inline(always)]
    fn largest(numbers: &[f32; 16]) -> usize {
        let mut largest = 0;
        for place in 1..16 {
            largest = if numbers[place] > numbers[largest] { place } else { largest };
        }
        largest
    }

    #[inline(always)]
    fn due(numbers: &[u64; 4], now: u64) -> u32 {
        (0..4).fold(0, |due, lane| due | u32::from(numbers[lane] <= now) << lane)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use core::arch::x86_64::{
        _CMP_EQ_OQ, _mm256_castsi256_pd, _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_cmpeq_epi16,
        _mm256_cmpgt_epi32, _mm256_cmpgt_epi64, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_max_ps,
        _mm256_min_epu16, _mm256_movemask_epi8, _mm256_movemask_pd, _mm256_movemask_ps,
        _mm256_permute_ps, _mm256_permute2f128_ps, _mm256_set1_epi16, _mm256_set1_epi32,
        _mm256_set1_epi64x, _mm256_xor_si256,
    };

    use super::{Scan, WIDTH};
    use crate::kernel::X86;

    impl<const WIDE: bool> Scan for X86<WIDE> {
        #[inline(always)]
        fn below(depths: &[u16; WIDTH], limit: u16) -> u32 {
            #[expect(unsafe_code, reason = "a third of the time of one dimension")]
            // SAFETY: this kernel is only named under the feature, as `engine::run` sees to.
            unsafe {
                below(depths, limit)
            }
        }

        #[inline(always)]
        fn n_below(cuts: &[i32; 16], key: i32) -> usize {
            #[expect(unsafe_code, reason = "an eighth of the time of scores of one dimension")]
            // SAFETY: as above.
            unsafe {
                n_below(cuts, key)
            }
        }

        #[inline(always)]
        fn largest(numbers: &[f32; 16]) -> usize {
            #[expect(unsafe_code, reason = "a fifth of the time of updates of one dimension")]
            // SAFETY: as above.
            unsafe {
                largest(numbers)
            }
        }

        #[inline(always)]
        fn due(numbers: &[u64; 4], now: u64) -> u32 {
            #[expect(unsafe_code, reason = "a tenth of the time of updates of one dimension")]
            // SAFETY: as above.
            unsafe {
                due(numbers, now)
            }
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn n_below(cuts: &[i32; 16], key: i32) -> usize {
        let (low, high) = cuts.split_at(8);
        #[expect(unsafe_code, reason = "there is no safe load")]
        // SAFETY: eight numbers can be read at each; the loads need no alignment.
        let (low, high) = unsafe {
            (_mm256_loadu_si256(low.as_ptr().cast()), _mm256_loadu_si256(high.as_ptr().cast()))
        };
        let key = _mm256_set1_epi32(key);
        let low = _mm256_castsi256_ps(_mm256_cmpgt_epi32(key, low));
        let high = _mm256_castsi256_ps(_mm256_cmpgt_epi32(key, high));
        let below = _mm256_movemask_ps(low) | _mm256_movemask_ps(high) << 8;
        below.count_ones() as usize
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn largest(numbers: &[f32; 16]) -> usize {
        let (low, high) = numbers.split_at(8);
        #[expect(unsafe_code, reason = "there is no safe load")]
        // SAFETY: eight numbers can be read at each; the loads need no alignment.
        let (low, high) =
            unsafe { (_mm256_loadu_ps(low.as_ptr()), _mm256_loadu_ps(high.as_ptr())) };
        let most = _mm256_max_ps(low, high);
        let most = _mm256_max_ps(most, _mm256_permute2f128_ps::<1>(most, most));
        let most = _mm256_max_ps(most, _mm256_permute_ps::<0b01_00_11_10>(most));
        let most = _mm256_max_ps(most, _mm256_permute_ps::<0b10_11_00_01>(most));
        let low = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_EQ_OQ>(low, most)).cast_unsigned();
        let high = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_EQ_OQ>(high, most)).cast_unsigned();
        (low | high << 8).trailing_zeros() as usize
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn due(numbers: &[u64; 4], now: u64) -> u32 {
        #[expect(unsafe_code, reason = "there is no safe load")]
        // SAFETY: four numbers can be read; the load needs no alignment.
        let numbers = unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) };
        // There is only a comparison of signed numbers.
        let sign = _mm256_set1_epi64x(i64::MIN);
        let now = _mm256_set1_epi64x(now.cast_signed() ^ i64::MIN);
        let late = _mm256_cmpgt_epi64(_mm256_xor_si256(numbers, sign), now);
        15 ^ _mm256_movemask_pd(_mm256_castsi256_pd(late)).cast_unsigned()
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn below(depths: &[u16; WIDTH], limit: u16) -> u32 {
        #[expect(unsafe_code, reason = "there is no safe load")]
        // SAFETY: sixteen numbers can be read; the load needs no alignment.
        let depths = unsafe { _mm256_loadu_si256(depths.as_ptr().cast()) };
        let most = _mm256_set1_epi16((limit - 1).cast_signed());
        let below = _mm256_cmpeq_epi16(_mm256_min_epu16(depths, most), depths);
        _mm256_movemask_epi8(below).cast_unsigned()
    }
}

/// The last place before `at` whose depth is below a limit above 0; there must be one.
#[inline(always)]
pub(crate) fn before<K: Scan>(depths: &[u16], mut at: usize, limit: u16) -> usize {
    loop {
        let block = depths[..at].last_chunk().expect("there is a lower depth");
        let found = K::below(block, limit);
        if found != 0 {
            return at - 1 - (found.leading_zeros() / 2) as usize;
        }
        at -= WIDTH;
    }
}

/// The first place behind `at` whose depth is below a limit above 0; there must be one.
#[inline(always)]
pub(crate) fn after<K: Scan>(depths: &[u16], mut at: usize, limit: u16) -> usize {
    loop {
        let block = depths[at + 1..].first_chunk().expect("there is a lower depth");
        let found = K::below(block, limit);
        if found != 0 {
            return at + 1 + (found.trailing_zeros() / 2) as usize;
        }
        at += WIDTH;
    }
}

/// The last place before `at` or the first behind it, as [`before`] and [`after`].
#[inline(always)]
pub(crate) fn beside<K: Scan>(depths: &[u16], at: usize, limit: u16, behind: bool) -> usize {
    let start = if behind { at + 1 } else { at - WIDTH };
    let block = depths[start..].first_chunk().expect("there is a lower depth");
    let found = K::below(block, limit);
    if found == 0 {
        return if behind {
            after::<K>(depths, at + WIDTH, limit)
        } else {
            before::<K>(depths, at - WIDTH, limit)
        };
    }
    // Without a branch on the side, which would be mispredicted every other time.
    let last = WIDTH - 1 - (found.leading_zeros() / 2) as usize;
    let first = (found.trailing_zeros() / 2) as usize;
    start + if behind { first } else { last }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds<K: Scan>() {
        let mut depths = vec![0_u16; 100];
        for place in 30..70 {
            depths[place] = [40_000, 65_535, 9][place % 3];
        }
        for at in 30..70 {
            for limit in [1, 9, 10, 40_000, 40_001, 65_535] {
                let last = (0..at).rev().find(|place| depths[*place] < limit);
                let first = (at + 1..100).find(|place| depths[*place] < limit);
                let (last, first) = (last.expect("zeros"), first.expect("zeros"));
                assert_eq!(before::<K>(&depths, at, limit), last);
                assert_eq!(after::<K>(&depths, at, limit), first);
                assert_eq!(beside::<K>(&depths, at, limit, false), last);
                assert_eq!(beside::<K>(&depths, at, limit, true), first);
            }
        }
    }

    fn compares<K: Scan>() {
        for place in 0..16 {
            let mut numbers = [0.0_f32; 16];
            numbers[place] = f32::MIN_POSITIVE;
            numbers[15] = f32::MIN_POSITIVE;
            assert_eq!(K::largest(&numbers), place);
            numbers[15 - place] = f32::MAX;
            assert_eq!(K::largest(&numbers), 15 - place);
        }
        assert_eq!(K::largest(&[3.0; 16]), 0);
        for n in 0..=16 {
            let cuts: [i32; 16] =
                core::array::from_fn(|place| if place < n { i32::MIN } else { 7 });
            assert_eq!(K::n_below(&cuts, 7), n);
            assert_eq!(K::n_below(&cuts, i32::MIN), 0);
            assert_eq!(K::n_below(&cuts, i32::MAX), 16);
        }
        assert_eq!(K::due(&[u64::MAX, 5, 1 << 63, 6], 5), 2);
        assert_eq!(K::due(&[u64::MAX, 5, 1 << 63, 0], 1 << 63), 14);
    }

    #[test]
    fn blocks_are_compared_at_every_level() {
        compares::<Portable>();
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            compares::<crate::kernel::X86<false>>();
        }
    }

    #[test]
    fn the_nearest_lower_depth_is_found_at_every_level() {
        finds::<Portable>();
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            finds::<crate::kernel::X86<false>>();
        }
    }
}
