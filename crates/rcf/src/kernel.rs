//! The loop that most of the time of many dimensions is spent in, for every level.
//!
//! Its sums have one law: lane `i` of eight sums the dimensions `i`, `i + 8`, .., a rest of
//! four goes to the first four lanes, and the lanes are folded as [`fold_lanes`] does. The compiler
//! finds no good instructions for it by itself, so AVX2 has its own version; a test compares the
//! bits.

use crate::boxes::{fold, fold_packed, higher, lower, outside};
use crate::packed::Open;

/// The sum of eight lanes, in the one order.
#[inline(always)]
pub(crate) fn fold_lanes(lanes: [f64; 8]) -> f64 {
    ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6]))
        + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
}

/// What differs between levels. Boxes are packed.
pub(crate) trait Kernel {
    /// How far a point lies outside a box, summed over dimensions.
    fn excess(numbers: &[f32], point: &[f32]) -> f64;
    /// The same for the open blocks, which are closed where the point lies inside.
    fn excess_where(numbers: &[f32], point: &[f32], open: &mut Open) -> f64;
    /// The summed ranges of a box.
    fn range_sum(numbers: &[f32]) -> f64;
    /// Both, of the box of two points.
    fn pair(a: &[f32], b: &[f32], point: &[f32]) -> (f64, f64);
    /// How far two points are apart, summed over dimensions.
    fn distance(a: &[f32], b: &[f32]) -> f64;
}

/// The safe twin of the others.
pub(crate) struct Portable;

impl Kernel for Portable {
    #[inline(always)]
    fn excess(numbers: &[f32], point: &[f32]) -> f64 {
        fold_packed(numbers, point, |min, max, x| outside(x, min, max))
    }

    #[inline(always)]
    fn excess_where(numbers: &[f32], point: &[f32], open: &mut Open) -> f64 {
        let mut lanes = [0.0; 8];
        for block in open.blocks() {
            let x = point.chunks(8).nth(block).expect("a block of the point");
            let bounds = numbers.chunks(16).nth(block).expect("a block of the box");
            let (min, max) = bounds.split_at(x.len());
            let mut is_outside = false;
            for (lane, x) in x.iter().enumerate() {
                let distance = outside(*x, min[lane], max[lane]);
                is_outside |= distance > 0.0;
                lanes[lane] += distance;
            }
            open.close_unless(is_outside, block);
        }
        fold_lanes(lanes)
    }

    #[inline(always)]
    fn range_sum(numbers: &[f32]) -> f64 {
        let half = &numbers[..numbers.len() / 2];
        fold_packed(numbers, half, |min, max, _| f64::from(max) - f64::from(min))
    }

    #[inline(always)]
    fn pair(a: &[f32], b: &[f32], point: &[f32]) -> (f64, f64) {
        let excess = fold(a, b, point, |a, b, x| outside(x, lower(a, b), higher(a, b)));
        (excess, Self::distance(a, b))
    }

    #[inline(always)]
    fn distance(a: &[f32], b: &[f32]) -> f64 {
        fold(a, b, a, |a, b, _| (f64::from(a) - f64::from(b)).abs())
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{Avx2, prefetch};

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use core::arch::x86_64::{
        __m128, __m256, __m256d, _CMP_NEQ_UQ, _MM_HINT_T0, _mm_add_pd, _mm_cmp_ps, _mm_cvtsd_f64,
        _mm_loadu_ps, _mm_max_ps, _mm_min_ps, _mm_movemask_ps, _mm_prefetch, _mm_unpackhi_pd,
        _mm256_add_pd, _mm256_andnot_pd, _mm256_castpd256_pd128, _mm256_castps256_ps128,
        _mm256_cmp_ps, _mm256_cvtps_pd, _mm256_extractf128_pd, _mm256_extractf128_ps,
        _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps, _mm256_movemask_ps, _mm256_set1_pd,
        _mm256_setzero_pd, _mm256_sub_pd,
    };

    use super::{Kernel, Portable};
    use crate::packed::Open;

    /// Only named where the machine has AVX2.
    pub(crate) struct Avx2;

    impl Kernel for Avx2 {
        #[inline(always)]
        fn excess(numbers: &[f32], point: &[f32]) -> f64 {
            if point.len() < 4 {
                return Portable::excess(numbers, point);
            }
            #[expect(unsafe_code, reason = "a third of the time of 64 dimensions")]
            // SAFETY: this kernel is only named under the feature, as `engine::run` sees to.
            unsafe {
                excess(numbers, point)
            }
        }

        #[inline(always)]
        fn excess_where(numbers: &[f32], point: &[f32], open: &mut Open) -> f64 {
            if point.len() < 4 {
                return Portable::excess_where(numbers, point, open);
            }
            #[expect(unsafe_code, reason = "as above")]
            // SAFETY: as above.
            unsafe {
                excess_where(numbers, point, open)
            }
        }

        #[inline(always)]
        fn range_sum(numbers: &[f32]) -> f64 {
            if numbers.len() / 2 < 4 {
                return Portable::range_sum(numbers);
            }
            #[expect(unsafe_code, reason = "a tenth of the time of updates of 64 dimensions")]
            // SAFETY: as above.
            unsafe {
                range_sum(numbers)
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

        #[inline(always)]
        fn distance(a: &[f32], b: &[f32]) -> f64 {
            if a.len() < 4 {
                return Portable::distance(a, b);
            }
            #[expect(unsafe_code, reason = "as above")]
            // SAFETY: as above.
            unsafe {
                distance(a, b)
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
    fn gaps(x: __m128, nearest: __m128) -> __m256d {
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
        let low = gaps(_mm256_castps256_ps128(a), _mm256_castps256_ps128(b));
        let high = gaps(_mm256_extractf128_ps::<1>(a), _mm256_extractf128_ps::<1>(b));
        lanes.0 = _mm256_add_pd(lanes.0, low);
        lanes.1 = _mm256_add_pd(lanes.1, high);
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn add4(lanes: &mut Lanes, a: __m128, b: __m128) {
        lanes.0 = _mm256_add_pd(lanes.0, gaps(a, b));
    }

    /// As `fold_lanes`: lanes four apart, then two apart, then the rest.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn fold(lanes: Lanes) -> f64 {
        let four = _mm256_add_pd(lanes.0, lanes.1);
        let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
        _mm_cvtsd_f64(two) + _mm_cvtsd_f64(_mm_unpackhi_pd(two, two))
    }

    /// Eight dimensions of a box each, and the rest of four.
    #[inline(always)]
    fn blocks(numbers: &[f32]) -> (&[[[f32; 8]; 2]], Option<&[[f32; 4]; 2]>) {
        let (blocks, rest) = numbers.as_chunks::<16>();
        let halves = blocks.as_flattened().as_chunks::<8>().0;
        (halves.as_chunks::<2>().0, rest.as_chunks::<4>().0.as_chunks::<2>().0.first())
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn nearest8(x: __m256, [min, max]: &[[f32; 8]; 2]) -> __m256 {
        _mm256_max_ps(_mm256_min_ps(x, load8(max)), load8(min))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn nearest4(x: __m128, [min, max]: &[[f32; 4]; 2]) -> __m128 {
        _mm_max_ps(_mm_min_ps(x, load4(max)), load4(min))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn excess(numbers: &[f32], point: &[f32]) -> f64 {
        let (blocks, bounds_rest) = blocks(numbers);
        let (x_blocks, x_rest) = point.as_chunks::<8>();
        let mut sum = no_lanes();
        for (x, bounds) in x_blocks.iter().zip(blocks) {
            let x = load8(x);
            add8(&mut sum, x, nearest8(x, bounds));
        }
        if let ([x, ..], Some(bounds)) = (x_rest.as_chunks().0, bounds_rest) {
            let x = load4(x);
            add4(&mut sum, x, nearest4(x, bounds));
        }
        fold(sum)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn excess_where(numbers: &[f32], point: &[f32], open: &mut Open) -> f64 {
        let (blocks, bounds_rest) = blocks(numbers);
        let (x_blocks, x_rest) = point.as_chunks::<8>();
        let mut sum = no_lanes();
        for block in open.blocks() {
            let outside = if let (Some(x), Some(bounds)) = (x_blocks.get(block), blocks.get(block))
            {
                let x = load8(x);
                let nearest = nearest8(x, bounds);
                add8(&mut sum, x, nearest);
                _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_NEQ_UQ>(x, nearest))
            } else if let ([x, ..], Some(bounds)) = (x_rest.as_chunks().0, bounds_rest) {
                let x = load4(x);
                let nearest = nearest4(x, bounds);
                add4(&mut sum, x, nearest);
                _mm_movemask_ps(_mm_cmp_ps::<_CMP_NEQ_UQ>(x, nearest))
            } else {
                0
            };
            open.close_unless(outside != 0, block);
        }
        fold(sum)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn range_sum(numbers: &[f32]) -> f64 {
        let (blocks, rest) = blocks(numbers);
        let mut sum = no_lanes();
        for [min, max] in blocks {
            add8(&mut sum, load8(max), load8(min));
        }
        if let Some([min, max]) = rest {
            add4(&mut sum, load4(max), load4(min));
        }
        fold(sum)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn distance(a: &[f32], b: &[f32]) -> f64 {
        let (a_blocks, a) = a.as_chunks::<8>();
        let (b_blocks, b) = b.as_chunks::<8>();
        let mut sum = no_lanes();
        for (a, b) in a_blocks.iter().zip(b_blocks) {
            add8(&mut sum, load8(a), load8(b));
        }
        if let ([a, ..], [b, ..]) = (a.as_chunks().0, b.as_chunks().0) {
            add4(&mut sum, load4(a), load4(b));
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

    /// Asks for the cache line of what will be read soon.
    #[inline(always)]
    pub(crate) fn prefetch<T>(element: &T) {
        #[expect(unsafe_code, reason = "a fifth of the time of 64 dimensions")]
        // SAFETY: a prefetch changes nothing, whatever its address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(element).cast());
        }
    }
}

/// Asks for the cache line of what will be read soon.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn prefetch<T>(_element: &T) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::{Part, put_join};
    use crate::random::Random;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn every_kernel_gives_the_same_bits() {
        if !is_x86_feature_detected!("avx2") {
            return;
        }
        let mut random = Random::new(3);
        for length in [1, 2, 3, 4, 8, 12, 16, 64, 100, 600] {
            for scale in [1e-40, 1.0, 3e38] {
                #[expect(clippy::cast_possible_truncation, reason = "a test's numbers")]
                let mut number = || ((2.0 * random.open01() - 1.0) * scale) as f32;
                for _ in 0..100 {
                    let point: Vec<f32> = (0..length).map(|_| number()).collect();
                    let (a, b): (Vec<f32>, Vec<f32>) =
                        (0..length).map(|_| (number(), number())).unzip();
                    let mut numbers = vec![0.0; 2 * length];
                    put_join(&mut numbers, Part::of_point(&a), Part::of_point(&b));
                    let expected = Portable::excess(&numbers, &point);
                    assert_eq!(Avx2::excess(&numbers, &point).to_bits(), expected.to_bits());
                    let (mut open, mut open_too) = (Open::all(length), Open::all(length));
                    // The second time without what is inside.
                    for _ in 0..2 {
                        let portable = Portable::excess_where(&numbers, &point, &mut open);
                        let avx2 = Avx2::excess_where(&numbers, &point, &mut open_too);
                        assert_eq!(portable.to_bits(), expected.to_bits());
                        assert_eq!(avx2.to_bits(), expected.to_bits());
                        assert_eq!(open, open_too);
                    }
                    let range_sum = Portable::range_sum(&numbers);
                    assert_eq!(Avx2::range_sum(&numbers).to_bits(), range_sum.to_bits());
                    assert_eq!(Avx2::distance(&a, &b).to_bits(), range_sum.to_bits());
                    let of_pair = Portable::pair(&a, &b, &point);
                    assert_eq!(of_pair, (expected, range_sum));
                    assert_eq!(Avx2::pair(&a, &b, &point), of_pair);
                }
            }
        }
    }
}
