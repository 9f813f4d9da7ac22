//! The loops over dimensions, for every level.
//!
//! Sums have one law: lane `i` of eight sums the dimensions `i`, `i + 8`, .., a rest of four goes to
//! the first four lanes, and the lanes are folded as [`fold_lanes`] does. The compiler finds no good
//! instructions for most of this by itself, so AVX2 and AVX-512 have their own versions; a test
//! compares the bits.

use crate::boxes::{fold, fold_packed, higher, lower, outside};
use crate::packed::{self, Open, Part};
use crate::walk::Found;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx2_down;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{X86, prefetch};

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
    /// Whether two lists of one length are equal.
    fn equals(a: &[f32], b: &[f32]) -> bool;
    /// Makes a box hold a point; whether it changes.
    fn hold(numbers: &mut [f32], point: &[f32]) -> bool;
    /// The same where it is open; closes where the box held the point already.
    fn hold_where(numbers: &mut [f32], point: &[f32], open: &mut Open) -> bool;
    /// Packs the smallest box that holds two.
    fn join(numbers: &mut [f32], left: Part<'_>, right: Part<'_>);
    /// Whether a point of a box holds one of its faces. Where the box has no extent, all its points
    /// do, and none counts.
    fn touches(numbers: &[f32], point: &[f32]) -> bool;
    /// What becomes of a box without a point that it held, where that is open, given the boxes of
    /// the two children that are left: in the same blocks of `new`. Closes where nothing changes.
    /// Whether the box changes.
    fn shrink_where(
        old: &[f32],
        children: [Part<'_>; 2],
        point: &[f32],
        open: &mut Open,
        new: &mut [f32],
    ) -> bool;
    /// A bit for each dimension of a block: whether a point lies outside.
    fn outside(bounds: Part<'_>, point: &[f32], block: usize) -> u32;
    /// Leads a point down the trees that nodes make, if this kernel can.
    fn descend<const LENGTH: usize>(_nodes: &[u64], _keys: &[i32], _found: &mut Found) -> bool {
        false
    }
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

    #[inline(always)]
    fn equals(a: &[f32], b: &[f32]) -> bool {
        a == b
    }

    #[inline(always)]
    fn hold(numbers: &mut [f32], point: &[f32]) -> bool {
        packed::hold(numbers, point, &mut Open::all(point.len()))
    }

    #[inline(always)]
    fn hold_where(numbers: &mut [f32], point: &[f32], open: &mut Open) -> bool {
        packed::hold(numbers, point, open)
    }

    #[inline(always)]
    fn join(numbers: &mut [f32], left: Part<'_>, right: Part<'_>) {
        packed::put_join(numbers, left, right);
    }

    #[inline(always)]
    fn touches(numbers: &[f32], point: &[f32]) -> bool {
        packed::touches(numbers, point)
    }

    #[inline(always)]
    fn shrink_where(
        old: &[f32],
        children: [Part<'_>; 2],
        point: &[f32],
        open: &mut Open,
        new: &mut [f32],
    ) -> bool {
        packed::shrink(old, children, point, open, new)
    }

    #[inline(always)]
    fn outside(bounds: Part<'_>, point: &[f32], block: usize) -> u32 {
        packed::outside(bounds, point, block)
    }
}

/// Asks for the cache line of what will be read soon.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn prefetch<T>(_element: *const T) {}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::level::Level;
    use crate::packed::put_join;
    use crate::random::Random;

    /// Compares all functions of a kernel with the portable ones, on a box of two points.
    fn compare<K: Kernel>(a: &[f32], b: &[f32], point: &[f32]) {
        let length = point.len();
        let [part_a, part_b] = [Part::of_point(a), Part::of_point(b)];
        let mut numbers = vec![0.0; 2 * length];
        put_join(&mut numbers, part_a, part_b);
        let mut joined = vec![0.0; 2 * length];
        K::join(&mut joined, part_a, part_b);
        assert_eq!(joined, numbers);
        let expected = Portable::excess(&numbers, point);
        assert_eq!(K::excess(&numbers, point).to_bits(), expected.to_bits());
        let (mut open, mut open_too) = (Open::all(length), Open::all(length));
        // The second time without what is inside.
        for _ in 0..2 {
            let portable = Portable::excess_where(&numbers, point, &mut open);
            let ours = K::excess_where(&numbers, point, &mut open_too);
            assert_eq!(portable.to_bits(), expected.to_bits());
            assert_eq!(ours.to_bits(), expected.to_bits());
            assert_eq!(open, open_too);
        }
        let range_sum = Portable::range_sum(&numbers);
        assert_eq!(K::range_sum(&numbers).to_bits(), range_sum.to_bits());
        assert_eq!(K::distance(a, b).to_bits(), range_sum.to_bits());
        assert_eq!(Portable::pair(a, b, point), (expected, range_sum));
        assert_eq!(K::pair(a, b, point), (expected, range_sum));
        assert_eq!((K::equals(a, a), K::equals(a, b)), (true, a == b));
        for dim in 0..2 * length {
            let mut other = numbers.clone();
            other[dim] += 1.0 + other[dim].abs();
            assert!(K::equals(&numbers, &numbers) && !K::equals(&numbers, &other), "{dim}");
        }
        for block in 0..length.div_ceil(8) {
            let part = Part::of_box(&numbers);
            let outside = Portable::outside(part, point, block);
            assert_eq!(K::outside(part, point, block), outside);
        }
        for tracked in [false, true] {
            let (mut ours, mut portable) = (numbers.clone(), numbers.clone());
            let (mut open, mut open_too) = (Open::all(length), Open::all(length));
            let changes = if tracked {
                K::hold_where(&mut ours, point, &mut open)
            } else {
                K::hold(&mut ours, point)
            };
            assert_eq!(changes, Portable::hold_where(&mut portable, point, &mut open_too));
            assert_eq!(ours, portable);
            assert!(!tracked || open == open_too);
            assert_eq!(K::touches(&ours, point), Portable::touches(&ours, point));
            // And without the point again, from the box that has it and from one of its own.
            for rest in [part_a, Part::of_point(point)] {
                let (mut new, mut new_too) = (vec![-1.0; 2 * length], vec![-1.0; 2 * length]);
                let (mut open, mut open_too) = (Open::all(length), Open::all(length));
                let children = [rest, part_b];
                let changes = K::shrink_where(&ours, children, point, &mut open, &mut new);
                let expected =
                    Portable::shrink_where(&ours, children, point, &mut open_too, &mut new_too);
                assert_eq!((changes, open), (expected, open_too));
                for block in open.blocks() {
                    let of = |numbers: &[f32]| numbers.chunks(16).nth(block).map(<[f32]>::to_vec);
                    assert_eq!(of(&new), of(&new_too));
                }
            }
        }
    }

    #[test]
    fn every_kernel_gives_the_same_bits() {
        let mut random = Random::new(3);
        for length in [1, 2, 3, 4, 8, 12, 16, 32, 64, 100, 600] {
            for scale in [1e-40, 1.0, 3e38] {
                #[expect(clippy::cast_possible_truncation, reason = "a test's numbers")]
                let mut number = || ((2.0 * random.open01() - 1.0) * scale) as f32;
                for round in 0..100 {
                    let mut point: Vec<f32> = (0..length).map(|_| number()).collect();
                    let (a, b): (Vec<f32>, Vec<f32>) =
                        (0..length).map(|_| (number(), number())).unzip();
                    if round % 2 == 0 {
                        // Mostly on a face or inside.
                        point.copy_from_slice(&a);
                        point[round % length] = number();
                    }
                    for level in Level::available() {
                        match level {
                            Level::Portable => compare::<Portable>(&a, &b, &point),
                            Level::Avx2 => compare::<X86<false>>(&a, &b, &point),
                            Level::Avx512 => compare::<X86<true>>(&a, &b, &point),
                        }
                    }
                }
            }
        }
    }
}
