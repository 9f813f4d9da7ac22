//! The loops over dimensions with AVX2, for points of at least one block of four.

use core::arch::x86_64::{
    __m128, __m256, __m256d, _mm_add_pd, _mm_cvtsd_f64, _mm_unpackhi_pd, _mm256_add_pd,
    _mm256_andnot_pd, _mm256_castpd256_pd128, _mm256_castps256_ps128, _mm256_cvtps_pd,
    _mm256_extractf128_pd, _mm256_extractf128_ps, _mm256_set1_pd, _mm256_setzero_pd, _mm256_sub_pd,
};

use crate::packed::{BLOCK, Open, Part};

/// The lowest and the highest numbers of some dimensions.
pub(super) type Faces<const W: usize> = [[f32; W]; 2];

/// The operations on a block of eight dimensions or of four.
macro_rules! width {
    ($name:ident, $width:literal, $vector:ty, $load:ident, $store:ident, $min:ident, $max:ident,
     $compare:ident, $mask:ident, $and:ident, $or:ident) => {
        pub(super) mod $name {
            use core::arch::x86_64::{
                _CMP_GE_OQ, _CMP_LE_OQ, _CMP_LT_OQ, _CMP_NEQ_UQ, $and, $compare, $load, $mask,
                $max, $min, $or, $store,
            };

            use super::Faces;

            pub(in crate::kernel) type Vector = $vector;
            type Numbers = [f32; $width];

            #[target_feature(enable = "avx2")]
            #[inline]
            pub(in crate::kernel) fn load(numbers: &Numbers) -> Vector {
                #[expect(unsafe_code, reason = "there is no safe load")]
                // SAFETY: so many numbers can be read; the load needs no alignment.
                unsafe {
                    $load(numbers.as_ptr())
                }
            }

            #[target_feature(enable = "avx2")]
            #[inline]
            fn store(numbers: &mut Numbers, vector: Vector) {
                #[expect(unsafe_code, reason = "there is no safe store")]
                // SAFETY: so many numbers can be written; the store needs no alignment.
                unsafe {
                    $store(numbers.as_mut_ptr(), vector);
                }
            }

            /// The nearest point of a box.
            #[target_feature(enable = "avx2")]
            #[inline]
            pub(in crate::kernel) fn nearest(x: Vector, min: Vector, max: Vector) -> Vector {
                $max($min(x, max), min)
            }

            /// A bit for each dimension in which two points differ.
            #[target_feature(enable = "avx2")]
            #[inline]
            pub(in crate::kernel) fn differ(a: Vector, b: Vector) -> u32 {
                $mask($compare::<_CMP_NEQ_UQ>(a, b)).cast_unsigned()
            }

            /// The lower and the higher of two points' numbers.
            #[target_feature(enable = "avx2")]
            #[inline]
            pub(in crate::kernel) fn span(a: Vector, b: Vector) -> (Vector, Vector) {
                ($min(a, b), $max(a, b))
            }

            #[target_feature(enable = "avx2")]
            #[inline]
            pub(super) fn hold([min, max]: &mut Faces<$width>, x: &Numbers) -> u32 {
                let (x, low, high) = (load(x), load(min), load(max));
                let (lower, higher) = ($min(low, x), $max(high, x));
                store(min, lower);
                store(max, higher);
                differ(low, lower) | differ(high, higher)
            }

            /// A bit for each dimension in which a point holds a face of a box. Where a box has no
            /// extent, all its points do, and none counts.
            #[target_feature(enable = "avx2")]
            #[inline]
            pub(super) fn touch(min: &Numbers, max: &Numbers, x: &Numbers) -> u32 {
                let (x, min, max) = (load(x), load(min), load(max));
                let is_at = $or($compare::<_CMP_LE_OQ>(x, min), $compare::<_CMP_GE_OQ>(x, max));
                $mask($and(is_at, $compare::<_CMP_LT_OQ>(min, max))).cast_unsigned()
            }

            #[target_feature(enable = "avx2")]
            #[inline]
            pub(in crate::kernel) fn join(
                [min, max]: &mut Faces<$width>,
                left: (&Numbers, &Numbers),
                right: (&Numbers, &Numbers),
            ) {
                store(min, $min(load(left.0), load(right.0)));
                store(max, $max(load(left.1), load(right.1)));
            }
        }
    };
}

width!(
    eight,
    8,
    core::arch::x86_64::__m256,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_min_ps,
    _mm256_max_ps,
    _mm256_cmp_ps,
    _mm256_movemask_ps,
    _mm256_and_ps,
    _mm256_or_ps
);
width!(
    four,
    4,
    core::arch::x86_64::__m128,
    _mm_loadu_ps,
    _mm_storeu_ps,
    _mm_min_ps,
    _mm_max_ps,
    _mm_cmp_ps,
    _mm_movemask_ps,
    _mm_and_ps,
    _mm_or_ps
);

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn gaps(x: __m128, nearest: __m128) -> __m256d {
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

#[target_feature(enable = "avx2")]
#[inline]
fn fold(lanes: Lanes) -> f64 {
    fold_four(_mm256_add_pd(lanes.0, lanes.1))
}

/// As `fold_lanes` goes on when lanes four apart are added: those two apart, then the rest.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn fold_four(four: __m256d) -> f64 {
    let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
    _mm_cvtsd_f64(two) + _mm_cvtsd_f64(_mm_unpackhi_pd(two, two))
}

/// Eight dimensions of a box each, and the rest of four.
#[inline(always)]
pub(super) fn blocks(numbers: &[f32]) -> (&[Faces<8>], Option<&Faces<4>>) {
    let (blocks, rest) = numbers.as_chunks::<16>();
    let halves = blocks.as_flattened().as_chunks::<8>().0;
    (halves.as_chunks::<2>().0, rest.as_chunks::<4>().0.as_chunks::<2>().0.first())
}

#[inline(always)]
pub(super) fn blocks_mut(numbers: &mut [f32]) -> (&mut [Faces<8>], Option<&mut Faces<4>>) {
    let (blocks, rest) = numbers.as_chunks_mut::<16>();
    let halves = blocks.as_flattened_mut().as_chunks_mut::<8>().0;
    let rest = rest.as_chunks_mut::<4>().0.as_chunks_mut::<2>().0;
    (halves.as_chunks_mut::<2>().0, rest.first_mut())
}

/// Eight numbers of a point each, and the rest of four.
#[inline(always)]
pub(super) fn point_blocks(point: &[f32]) -> (&[[f32; 8]], Option<&[f32; 4]>) {
    let (blocks, rest) = point.as_chunks::<8>();
    (blocks, rest.as_chunks::<4>().0.first())
}

/// The sums over dimensions, by a module's own `no_lanes`, `add8`, `add4` and `fold`.
macro_rules! sums {
    ($features:literal) => {
        #[target_feature(enable = $features)]
        #[inline]
        pub(super) fn excess(numbers: &[f32], point: &[f32]) -> f64 {
            let ((blocks, rest), (x_blocks, x_rest)) = (blocks(numbers), point_blocks(point));
            let mut sum = no_lanes();
            for (x, [min, max]) in x_blocks.iter().zip(blocks) {
                let x = eight::load(x);
                add8(&mut sum, x, eight::nearest(x, eight::load(min), eight::load(max)));
            }
            if let (Some(x), Some([min, max])) = (x_rest, rest) {
                let x = four::load(x);
                add4(&mut sum, x, four::nearest(x, four::load(min), four::load(max)));
            }
            fold(sum)
        }

        #[target_feature(enable = $features)]
        #[inline]
        pub(super) fn excess_where(numbers: &[f32], point: &[f32], open: &mut Open) -> f64 {
            let ((blocks, rest), (x_blocks, x_rest)) = (blocks(numbers), point_blocks(point));
            let mut sum = no_lanes();
            for block in open.blocks() {
                let outside =
                    if let (Some(x), Some([min, max])) = (x_blocks.get(block), blocks.get(block)) {
                        let x = eight::load(x);
                        let nearest = eight::nearest(x, eight::load(min), eight::load(max));
                        add8(&mut sum, x, nearest);
                        eight::differ(x, nearest)
                    } else if let (Some(x), Some([min, max])) = (x_rest, rest) {
                        let x = four::load(x);
                        let nearest = four::nearest(x, four::load(min), four::load(max));
                        add4(&mut sum, x, nearest);
                        four::differ(x, nearest)
                    } else {
                        0
                    };
                open.close_unless(outside != 0, block);
            }
            fold(sum)
        }

        #[target_feature(enable = $features)]
        #[inline]
        pub(super) fn range_sum(numbers: &[f32]) -> f64 {
            let (blocks, rest) = blocks(numbers);
            let mut sum = no_lanes();
            for [min, max] in blocks {
                add8(&mut sum, eight::load(max), eight::load(min));
            }
            if let Some([min, max]) = rest {
                add4(&mut sum, four::load(max), four::load(min));
            }
            fold(sum)
        }

        #[target_feature(enable = $features)]
        #[inline]
        pub(super) fn distance(a: &[f32], b: &[f32]) -> f64 {
            let ((a_blocks, a), (b_blocks, b)) = (point_blocks(a), point_blocks(b));
            let mut sum = no_lanes();
            for (a, b) in a_blocks.iter().zip(b_blocks) {
                add8(&mut sum, eight::load(a), eight::load(b));
            }
            if let (Some(a), Some(b)) = (a, b) {
                add4(&mut sum, four::load(a), four::load(b));
            }
            fold(sum)
        }

        #[target_feature(enable = $features)]
        #[inline]
        pub(super) fn pair(a: &[f32], b: &[f32], point: &[f32]) -> (f64, f64) {
            let (x_blocks, x) = point_blocks(point);
            let ((a_blocks, a), (b_blocks, b)) = (point_blocks(a), point_blocks(b));
            let (mut excess, mut range_sum) = (no_lanes(), no_lanes());
            for ((x, a), b) in x_blocks.iter().zip(a_blocks).zip(b_blocks) {
                let (x, a, b) = (eight::load(x), eight::load(a), eight::load(b));
                let (min, max) = eight::span(a, b);
                add8(&mut excess, x, eight::nearest(x, min, max));
                add8(&mut range_sum, a, b);
            }
            if let (Some(x), Some(a), Some(b)) = (x, a, b) {
                let (x, a, b) = (four::load(x), four::load(a), four::load(b));
                let (min, max) = four::span(a, b);
                add4(&mut excess, x, four::nearest(x, min, max));
                add4(&mut range_sum, a, b);
            }
            (fold(excess), fold(range_sum))
        }
    };
}
pub(super) use sums;

sums!("avx2");

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn equals(a: &[f32], b: &[f32]) -> bool {
    let ((a_blocks, a), (b_blocks, b)) = (point_blocks(a), point_blocks(b));
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        if eight::differ(eight::load(a), eight::load(b)) != 0 {
            return false;
        }
    }
    match (a, b) {
        (Some(a), Some(b)) => four::differ(four::load(a), four::load(b)) == 0,
        _ => true,
    }
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn hold(numbers: &mut [f32], point: &[f32]) -> bool {
    let ((blocks, rest), (x_blocks, x_rest)) = (blocks_mut(numbers), point_blocks(point));
    let mut changed = 0;
    for (bounds, x) in blocks.iter_mut().zip(x_blocks) {
        changed |= eight::hold(bounds, x);
    }
    if let (Some(bounds), Some(x)) = (rest, x_rest) {
        changed |= four::hold(bounds, x);
    }
    changed != 0
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn hold_where(numbers: &mut [f32], point: &[f32], open: &mut Open) -> bool {
    let ((blocks, mut rest), (x_blocks, x_rest)) = (blocks_mut(numbers), point_blocks(point));
    let mut has_changed = false;
    for block in open.blocks() {
        let changed = if let (Some(bounds), Some(x)) = (blocks.get_mut(block), x_blocks.get(block))
        {
            eight::hold(bounds, x)
        } else if let (Some(bounds), Some(x)) = (rest.as_deref_mut(), x_rest) {
            four::hold(bounds, x)
        } else {
            0
        };
        open.close_unless(changed != 0, block);
        has_changed |= changed != 0;
    }
    has_changed
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn touches(numbers: &[f32], point: &[f32]) -> bool {
    let ((blocks, rest), (x_blocks, x_rest)) = (blocks(numbers), point_blocks(point));
    let mut touched = 0;
    for ([min, max], x) in blocks.iter().zip(x_blocks) {
        touched |= eight::touch(min, max, x);
    }
    if let (Some([min, max]), Some(x)) = (rest, x_rest) {
        touched |= four::touch(min, max, x);
    }
    touched != 0
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn shrink_where(
    old: &[f32],
    [left, right]: [Part<'_>; 2],
    point: &[f32],
    open: &mut Open,
    new: &mut [f32],
) -> bool {
    let ((blocks, rest), (x_blocks, x_rest)) = (blocks(old), point_blocks(point));
    let (new_blocks, mut new_rest) = blocks_mut(new);
    let mut has_changed = false;
    for block in open.blocks() {
        let mut changes = false;
        if let (Some(bounds), Some(x), Some(new)) =
            (blocks.get(block), x_blocks.get(block), new_blocks.get_mut(block))
        {
            if eight::touch(&bounds[0], &bounds[1], x) == 0 {
                *new = *bounds;
            } else {
                eight::join(new, left.block::<8>(block), right.block::<8>(block));
                changes = !equals(bounds.as_flattened(), new.as_flattened());
            }
        } else if let (Some(bounds), Some(x), Some(new)) = (rest, x_rest, new_rest.as_deref_mut()) {
            if four::touch(&bounds[0], &bounds[1], x) == 0 {
                *new = *bounds;
            } else {
                four::join(new, left.block::<4>(block), right.block::<4>(block));
                changes = !equals(bounds.as_flattened(), new.as_flattened());
            }
        }
        open.close_unless(changes, block);
        has_changed |= changes;
    }
    has_changed
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn outside(bounds: Part<'_>, point: &[f32], block: usize) -> u32 {
    let point = &point[block * BLOCK..];
    if let Some(x) = point.first_chunk::<8>() {
        let (min, max) = bounds.block::<8>(block);
        let x = eight::load(x);
        eight::differ(x, eight::nearest(x, eight::load(min), eight::load(max)))
    } else if let Some(x) = point.first_chunk::<4>() {
        let (min, max) = bounds.block::<4>(block);
        let x = four::load(x);
        four::differ(x, four::nearest(x, four::load(min), four::load(max)))
    } else {
        0
    }
}
