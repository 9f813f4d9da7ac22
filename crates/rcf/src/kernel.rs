//! The loop that most of the time of many dimensions is spent in, for every level.
//!
//! Its sums have one law: lane `i` of eight sums the dimensions `i`, `i + 8`, .., a rest of
//! four goes to the first four lanes, and the lanes are folded as [`fold_lanes`] does. The compiler
//! finds no good instructions for it by itself, so AVX2 has its own version; a test compares the
//! bits.

use crate::boxes::{Bounds, fold, higher, lower, outside};

/// The sum of eight lanes, in the one order.
#[inline(always)]
pub(crate) fn fold_lanes(lanes: [f64; 8]) -> f64 {
    ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6]))
        + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
}

/// What differs between levels.
pub(crate) trait Kernel {
    /// How far a point lies outside a box, summed over dimensions.
    fn excess(bounds: Bounds<'_>, point: &[f32]) -> f64;
    /// The summed ranges of a box.
    fn range_sum(bounds: Bounds<'_>) -> f64;
    /// Both, of the box of two points.
    fn pair(a: &[f32], b: &[f32], point: &[f32]) -> (f64, f64);
}

/// The safe twin of the others.
pub(crate) struct Portable;

impl Kernel for Portable {
    #[inline(always)]
    fn excess(bounds: Bounds<'_>, point: &[f32]) -> f64 {
        bounds.excess(point)
    }

    #[inline(always)]
    fn range_sum(bounds: Bounds<'_>) -> f64 {
        bounds.range_sum()
    }

    #[inline(always)]
    fn pair(a: &[f32], b: &[f32], point: &[f32]) -> (f64, f64) {
        let excess = fold(a, b, point, |a, b, x| outside(x, lower(a, b), higher(a, b)));
        (excess, fold(a, b, a, |a, b, _| (f64::from(a) - f64::from(b)).abs()))
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{Avx2, prefetch};

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use core::arch::x86_64::{
        __m128, __m256, __m256d, _MM_HINT_T0, _mm_add_pd, _mm_cvtsd_f64, _mm_loadu_ps, _mm_max_ps,
        _mm_min_ps, _mm_prefetch, _mm_unpackhi_pd, _mm256_add_pd, _mm256_andnot_pd,
        _mm256_castpd256_pd128, _mm256_castps256_ps128, _mm256_cvtps_pd, _mm256_extractf128_pd,
        _mm256_extractf128_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps, _mm256_set1_pd,
        _mm256_setzero_pd, _mm256_sub_pd,
    };

    use super::{Kernel, Portable};
    use crate::boxes::Bounds;

    /// Only named where the machine has AVX2.
    pub(crate) struct Avx2;

    impl Kernel for Avx2 {
        #[inline(always)]
        fn excess(bounds: Bounds<'_>, point: &[f32]) -> f64 {
            if point.len() < 4 {
                return Portable::excess(bounds, point);
            }
            #[expect(unsafe_code, reason = "a third of the time of 64 dimensions")]
            // SAFETY: this kernel is only named under the feature, as `engine::run` sees to.
            unsafe {
                excess(bounds, point)
            }
        }

        #[inline(always)]
        fn range_sum(bounds: Bounds<'_>) -> f64 {
            if bounds.min.len() < 4 {
                return Portable::range_sum(bounds);
            }
            #[expect(unsafe_code, reason = "a tenth of the time of updates of 64 dimensions")]
            // SAFETY: as above.
            unsafe {
                range_sum(bounds)
            }
        }

        #[inline(always)]
        fn pair(a: &[f32], b: &[f32], point: &[f32]) -> (f64, f64) {
            if point.len() < 4 {
                return Portable::pair(a, b, point);
            }
            #[expect(unsafe_code, reason = "a tenth of the time of 64 dimensions")]
            // SAFETY: as above.
            unsafe {
                pair(a, b, point)
            }
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn load8(numbers: &[f32; 8]) -> __m256 {
        #[expect(unsafe_code, reason = "there is no safe load")]
        // SAFETY: eight numbers can be read; the load needs no alignment.
        unsafe {
            _mm256_loadu_ps(numbers.as_ptr())
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn load4(numbers: &[f32; 4]) -> __m128 {
        #[expect(unsafe_code, reason = "there is no safe load")]
        // SAFETY: four numbers can be read; the load needs no alignment.
        unsafe {
            _mm_loadu_ps(numbers.as_ptr())
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn distance(x: __m128, nearest: __m128) -> __m256d {
        let difference = _mm256_sub_pd(_mm256_cvtps_pd(x), _mm256_cvtps_pd(nearest));
        _mm256_andnot_pd(_mm256_set1_pd(-0.0), difference)
    }

    /// Lanes 0 to 3, and 4 to 7.
    #[derive(Clone, Copy)]
    struct Lanes(__m256d, __m256d);

    #[target_feature(enable = "avx2")]
    #[inline]
    fn no_lanes() -> Lanes {
        Lanes(_mm256_setzero_pd(), _mm256_setzero_pd())
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn add8(lanes: &mut Lanes, a: __m256, b: __m256) {
        let low = distance(_mm256_castps256_ps128(a), _mm256_castps256_ps128(b));
        let high = distance(_mm256_extractf128_ps::<1>(a), _mm256_extractf128_ps::<1>(b));
        lanes.0 = _mm256_add_pd(lanes.0, low);
        lanes.1 = _mm256_add_pd(lanes.1, high);
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn add4(lanes: &mut Lanes, a: __m128, b: __m128) {
        lanes.0 = _mm256_add_pd(lanes.0, distance(a, b));
    }

    /// As `fold_lanes`: lanes four apart, then two apart, then the rest.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn fold(lanes: Lanes) -> f64 {
        let four = _mm256_add_pd(lanes.0, lanes.1);
        let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
        _mm_cvtsd_f64(two) + _mm_cvtsd_f64(_mm_unpackhi_pd(two, two))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn excess(bounds: Bounds<'_>, point: &[f32]) -> f64 {
        let (x_blocks, x) = point.as_chunks::<8>();
        let (min_blocks, min) = bounds.min.as_chunks::<8>();
        let (max_blocks, max) = bounds.max.as_chunks::<8>();
        let mut sum = no_lanes();
        for ((x, min), max) in x_blocks.iter().zip(min_blocks).zip(max_blocks) {
            let x = load8(x);
            add8(&mut sum, x, _mm256_max_ps(_mm256_min_ps(x, load8(max)), load8(min)));
        }
        let (x, min, max) = (x.as_chunks().0, min.as_chunks().0, max.as_chunks().0);
        if let ([x, ..], [min, ..], [max, ..]) = (x, min, max) {
            let x = load4(x);
            add4(&mut sum, x, _mm_max_ps(_mm_min_ps(x, load4(max)), load4(min)));
        }
        fold(sum)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn range_sum(bounds: Bounds<'_>) -> f64 {
        let (min_blocks, min) = bounds.min.as_chunks::<8>();
        let (max_blocks, max) = bounds.max.as_chunks::<8>();
        let mut sum = no_lanes();
        for (min, max) in min_blocks.iter().zip(max_blocks) {
            add8(&mut sum, load8(max), load8(min));
        }
        if let ([min, ..], [max, ..]) = (min.as_chunks().0, max.as_chunks().0) {
            add4(&mut sum, load4(max), load4(min));
        }
        fold(sum)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn pair(a: &[f32], b: &[f32], point: &[f32]) -> (f64, f64) {
        let (x_blocks, x) = point.as_chunks::<8>();
        let (a_blocks, a) = a.as_chunks::<8>();
        let (b_blocks, b) = b.as_chunks::<8>();
        let (mut excess, mut range_sum) = (no_lanes(), no_lanes());
        for ((x, a), b) in x_blocks.iter().zip(a_blocks).zip(b_blocks) {
            let (x, a, b) = (load8(x), load8(a), load8(b));
            let nearest = _mm256_max_ps(_mm256_min_ps(x, _mm256_max_ps(a, b)), _mm256_min_ps(a, b));
            add8(&mut excess, x, nearest);
            add8(&mut range_sum, a, b);
        }
        let (x, a, b) = (x.as_chunks().0, a.as_chunks().0, b.as_chunks().0);
        if let ([x, ..], [a, ..], [b, ..]) = (x, a, b) {
            let (x, a, b) = (load4(x), load4(a), load4(b));
            let nearest = _mm_max_ps(_mm_min_ps(x, _mm_max_ps(a, b)), _mm_min_ps(a, b));
            add4(&mut excess, x, nearest);
            add4(&mut range_sum, a, b);
        }
        (fold(excess), fold(range_sum))
    }

    /// Asks for numbers that will be read soon.
    #[inline(always)]
    pub(crate) fn prefetch<T>(numbers: &[T]) {
        for line in numbers.chunks(64 / size_of::<T>()) {
            #[expect(unsafe_code, reason = "a fifth of the time of 64 dimensions")]
            // SAFETY: a prefetch changes nothing, whatever its address.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
            }
        }
    }
}

/// Asks for numbers that will be read soon.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn prefetch<T>(_numbers: &[T]) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn every_kernel_gives_the_same_bits() {
        if !is_x86_feature_detected!("avx2") {
            return;
        }
        let mut random = Random::new(3);
        for length in [1, 2, 3, 4, 8, 12, 16, 64, 100] {
            for scale in [1e-40, 1.0, 3e38] {
                #[expect(clippy::cast_possible_truncation, reason = "a test's numbers")]
                let mut number = || ((2.0 * random.open01() - 1.0) * scale) as f32;
                for _ in 0..100 {
                    let point: Vec<f32> = (0..length).map(|_| number()).collect();
                    let (a, b): (Vec<f32>, Vec<f32>) =
                        (0..length).map(|_| (number(), number())).unzip();
                    let min: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a.min(*b)).collect();
                    let max: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a.max(*b)).collect();
                    let bounds = Bounds { min: &min, max: &max };
                    let expected = Portable::excess(bounds, &point);
                    assert_eq!(Avx2::excess(bounds, &point).to_bits(), expected.to_bits());
                    let range_sum = Portable::range_sum(bounds);
                    assert_eq!(Avx2::range_sum(bounds).to_bits(), range_sum.to_bits());
                    let of_pair = Portable::pair(&a, &b, &point);
                    assert_eq!(of_pair, (expected, range_sum));
                    assert_eq!(Avx2::pair(&a, &b, &point), of_pair);
                }
            }
        }
    }
}
