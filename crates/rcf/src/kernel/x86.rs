//! The kernels of x86-64: AVX2's, and AVX-512's where sums of f64 gain from it.

use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use super::{Kernel, Portable, avx2, avx2_down, avx512};
use crate::packed::{Open, Part};
use crate::walk::Found;

/// Only named where the machine has AVX2 and, if it is wide, AVX-512.
pub(crate) struct X86<const WIDE: bool>;

/// Calls a function of either module; the portable one for points without a block of four.
macro_rules! either {
    ($length:expr, $name:ident($($argument:expr),*)) => {{
        if $length < 4 {
            return Portable::$name($($argument),*);
        }
        #[expect(unsafe_code, reason = "half of the time of many dimensions")]
        // SAFETY: this kernel is only named under the features, as `engine::run` sees to.
        unsafe {
            if WIDE { avx512::$name($($argument),*) } else { avx2::$name($($argument),*) }
        }
    }};
}

/// Calls a function of the module for AVX2.
macro_rules! avx2 {
    ($length:expr, $name:ident($($argument:expr),*)) => {{
        if $length < 4 {
            return Portable::$name($($argument),*);
        }
        #[expect(unsafe_code, reason = "half of the time of updates of many dimensions")]
        // SAFETY: as above.
        unsafe {
            avx2::$name($($argument),*)
        }
    }};
}

impl<const WIDE: bool> Kernel for X86<WIDE> {
    #[inline(always)]
    fn excess(numbers: &[f32], point: &[f32]) -> f64 {
        either!(point.len(), excess(numbers, point))
    }

    #[inline(always)]
    fn excess_where(numbers: &[f32], point: &[f32], open: &mut Open) -> f64 {
        either!(point.len(), excess_where(numbers, point, open))
    }

    #[inline(always)]
    fn range_sum(numbers: &[f32]) -> f64 {
        either!(numbers.len() / 2, range_sum(numbers))
    }

    #[inline(always)]
    fn pair(a: &[f32], b: &[f32], point: &[f32]) -> (f64, f64) {
        either!(point.len(), pair(a, b, point))
    }

    #[inline(always)]
    fn distance(a: &[f32], b: &[f32]) -> f64 {
        either!(a.len(), distance(a, b))
    }

    #[inline(always)]
    fn equals(a: &[f32], b: &[f32]) -> bool {
        // Boxes of three dimensions are no whole blocks of four.
        avx2!(if a.len().is_multiple_of(4) { a.len() } else { 0 }, equals(a, b))
    }

    #[inline(always)]
    fn hold(numbers: &mut [f32], point: &[f32]) -> bool {
        avx2!(point.len(), hold(numbers, point))
    }

    #[inline(always)]
    fn hold_where(numbers: &mut [f32], point: &[f32], open: &mut Open) -> bool {
        avx2!(point.len(), hold_where(numbers, point, open))
    }

    #[inline(always)]
    fn join(numbers: &mut [f32], left: Part<'_>, right: Part<'_>) {
        if numbers.len() < 8 {
            return Portable::join(numbers, left, right);
        }
        // Block by block here, as the compiler does not inline a function that does it all.
        let (blocks, rest) = avx2::blocks_mut(numbers);
        let n_blocks = blocks.len();
        for (block, bounds) in blocks.iter_mut().enumerate() {
            let (left, right) = (left.block::<8>(block), right.block::<8>(block));
            #[expect(unsafe_code, reason = "as above")]
            // SAFETY: as above.
            unsafe {
                avx2::eight::join(bounds, left, right);
            }
        }
        if let Some(bounds) = rest {
            let (left, right) = (left.block::<4>(n_blocks), right.block::<4>(n_blocks));
            #[expect(unsafe_code, reason = "as above")]
            // SAFETY: as above.
            unsafe {
                avx2::four::join(bounds, left, right);
            }
        }
    }

    #[inline(always)]
    fn touches(numbers: &[f32], point: &[f32]) -> bool {
        avx2!(point.len(), touches(numbers, point))
    }

    #[inline(always)]
    fn shrink_where(
        old: &[f32],
        children: [Part<'_>; 2],
        point: &[f32],
        open: &mut Open,
        new: &mut [f32],
    ) -> bool {
        avx2!(point.len(), shrink_where(old, children, point, open, new))
    }

    #[inline(always)]
    fn outside(bounds: Part<'_>, point: &[f32], block: usize) -> u32 {
        avx2!(point.len(), outside(bounds, point, block))
    }

    #[inline(always)]
    fn descend<const LENGTH: usize>(nodes: &[u64], keys: &[i32], found: &mut Found) -> bool {
        if nodes.is_empty() || keys.is_empty() {
            return false;
        }
        #[expect(unsafe_code, reason = "a third of the time of scores")]
        // SAFETY: as above.
        unsafe {
            if WIDE {
                avx512::descend::<LENGTH>(nodes, keys, found);
            } else {
                avx2_down::descend::<LENGTH>(nodes, keys, found);
            }
        }
        true
    }
}

/// Asks for the cache line of what will be read soon.
#[inline(always)]
pub(crate) fn prefetch<T>(element: *const T) {
    #[expect(unsafe_code, reason = "a fifth of the time of 64 dimensions")]
    // SAFETY: a prefetch changes nothing, whatever its address.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(element.cast());
    }
}
