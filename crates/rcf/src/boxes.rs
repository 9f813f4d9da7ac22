//! Bounding boxes: the lowest coordinates, then the highest; stored ones are packed otherwise.
//!
//! Sums over dimensions are taken in eight lanes that are folded in one order, so that they are the
//! same however the compiler vectorises them. Ranges are differences in f64: those of f32 can
//! overflow.

use alloc::vec::Vec;

use crate::kernel::{Kernel, fold_lanes, prefetch};
use crate::packed::{self, ANY, Aligned, Open, is_long};
use crate::points::grow_by_an_eighth;

const LANES: usize = 8;

/// A box as its two halves; that of a point has the point for both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds<'a> {
    pub(crate) min: &'a [f32],
    pub(crate) max: &'a [f32],
}

impl<'a> Bounds<'a> {
    #[inline(always)]
    pub(crate) fn of(numbers: &'a [f32]) -> Self {
        let (min, max) = numbers.split_at(numbers.len() / 2);
        Self { min, max }
    }

    /// The box of a single point.
    #[inline(always)]
    pub(crate) fn of_point(point: &'a [f32]) -> Self {
        Self { min: point, max: point }
    }

    /// How far a point lies outside, summed over dimensions; 0 exactly where it lies inside.
    #[inline(always)]
    pub(crate) fn excess(&self, point: &[f32]) -> f64 {
        fold(self.min, self.max, point, |min, max, x| outside(x, min, max))
    }

    /// The summed ranges.
    #[inline(always)]
    pub(crate) fn range_sum(&self) -> f64 {
        fold(self.min, self.max, self.min, |min, max, _| f64::from(max) - f64::from(min))
    }
}

/// How far a number lies outside of a range. Both differences are exact zeros only inside.
#[inline(always)]
pub(crate) fn outside(x: f32, min: f32, max: f32) -> f64 {
    let nearest = higher(lower(x, max), min);
    (f64::from(x) - f64::from(nearest)).abs()
}

#[inline(always)]
pub(crate) fn lower(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

#[inline(always)]
pub(crate) fn higher(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
pub(crate) fn fold(a: &[f32], b: &[f32], c: &[f32], each: impl Fn(f32, f32, f32) -> f64) -> f64 {
    if let ([a], [b], [c]) = (a, b, c) {
        return each(*a, *b, *c);
    }
    let mut lanes = [0.0_f64; LANES];
    let (a_blocks, a) = a.as_chunks::<LANES>();
    let (b_blocks, b) = b.as_chunks::<LANES>();
    let (c_blocks, c) = c.as_chunks::<LANES>();
    for ((a, b), c) in a_blocks.iter().zip(b_blocks).zip(c_blocks) {
        for lane in 0..LANES {
            lanes[lane] += each(a[lane], b[lane], c[lane]);
        }
    }
    let (a_blocks, a) = a.as_chunks::<4>();
    let (b_blocks, b) = b.as_chunks::<4>();
    let (c_blocks, c) = c.as_chunks::<4>();
    for ((a, b), c) in a_blocks.iter().zip(b_blocks).zip(c_blocks) {
        for lane in 0..4 {
            lanes[lane] += each(a[lane], b[lane], c[lane]);
        }
    }
    for (((lane, a), b), c) in lanes.iter_mut().zip(a).zip(b).zip(c) {
        *lane += each(*a, *b, *c);
    }
    fold_lanes(lanes)
}

/// The same over a packed box and a point.
#[inline(always)]
pub(crate) fn fold_packed(
    numbers: &[f32],
    point: &[f32],
    each: impl Fn(f32, f32, f32) -> f64,
) -> f64 {
    if let ([min, max], [x]) = (numbers, point) {
        return each(*min, *max, *x);
    }
    let mut lanes = [0.0_f64; LANES];
    let blocks = numbers.chunks(2 * packed::BLOCK).zip(point.chunks(packed::BLOCK));
    for (bounds, x) in blocks {
        let (min, max) = bounds.split_at(x.len());
        for (lane, ((x, min), max)) in lanes.iter_mut().zip(x.iter().zip(min).zip(max)) {
            *lane += each(*min, *max, *x);
        }
    }
    fold_lanes(lanes)
}

/// Grows a box to hold another.
#[inline(always)]
pub(crate) fn merge(numbers: &mut [f32], other: Bounds<'_>) {
    let (min, max) = numbers.split_at_mut(numbers.len() / 2);
    for (min, other) in min.iter_mut().zip(other.min) {
        *min = lower(*min, *other);
    }
    for (max, other) in max.iter_mut().zip(other.max) {
        *max = higher(*max, *other);
    }
}

/// The boxes of all trees, packed, by number, with their summed ranges.
#[derive(Clone, Debug)]
pub(crate) struct BoxStore {
    // Numbers of half a box.
    half_len: usize,
    numbers: Aligned,
    range_sums: Vec<f64>,
    free: Vec<u32>,
}

/// The boxes of a store, where the compiler finds them without looking into the store each time.
#[derive(Clone, Copy)]
pub(crate) struct Boxes<'a, const LENGTH: usize> {
    store: &'a BoxStore,
    // Where the length is known to the compiler.
    rows: &'a [[[f32; LENGTH]; 2]],
    range_sums: &'a [f64],
}

impl<'a, const LENGTH: usize> Boxes<'a, LENGTH> {
    /// The numbers of a box and its summed ranges.
    #[inline(always)]
    pub(crate) fn get(&self, number: u32) -> (&'a [f32], f64) {
        let numbers = if LENGTH == ANY {
            self.store.numbers(number)
        } else {
            self.rows[number as usize].as_flattened()
        };
        (numbers, self.range_sums[number as usize])
    }
}

impl BoxStore {
    pub(crate) fn new(half_len: usize) -> Self {
        Self { half_len, numbers: Aligned::new(), range_sums: Vec::new(), free: Vec::new() }
    }

    /// The numbers of a box.
    #[inline(always)]
    pub(crate) fn numbers(&self, number: u32) -> &[f32] {
        let length = 2 * self.half_len;
        self.numbers.get(number as usize * length, length)
    }

    /// The same where the length of points is known to the compiler.
    #[inline(always)]
    pub(crate) fn numbers_of<const LENGTH: usize>(&self, number: u32) -> &[f32] {
        if LENGTH == ANY {
            return self.numbers(number);
        }
        self.numbers.rows::<LENGTH>().as_chunks::<2>().0[number as usize].as_flattened()
    }

    #[inline(always)]
    fn numbers_mut<const LENGTH: usize>(&mut self, number: u32) -> &mut [f32] {
        if LENGTH == ANY {
            let length = 2 * self.half_len;
            return self.numbers.get_mut(number as usize * length, length);
        }
        let boxes = self.numbers.rows_mut::<LENGTH>().as_chunks_mut::<2>().0;
        boxes[number as usize].as_flattened_mut()
    }

    #[inline(always)]
    pub(crate) fn range_sum(&self, number: u32) -> f64 {
        self.range_sums[number as usize]
    }

    /// All boxes, for a loop that visits many.
    #[inline(always)]
    pub(crate) fn all<const LENGTH: usize>(&self) -> Boxes<'_, LENGTH> {
        let rows = if LENGTH == ANY { &[] } else { self.numbers.rows::<LENGTH>() };
        Boxes { store: self, rows: rows.as_chunks().0, range_sums: &self.range_sums }
    }

    /// Asks for all of a box.
    #[inline(always)]
    pub(crate) fn ask_for<const LENGTH: usize>(&self, number: u32) {
        let numbers = self.numbers_of::<LENGTH>(number);
        prefetch(self.range_sums.as_ptr().wrapping_add(number as usize));
        for at in (0..numbers.len()).step_by(packed::LINE) {
            prefetch(numbers.as_ptr().wrapping_add(at));
        }
    }

    /// Keeps a box.
    #[inline(always)]
    pub(crate) fn insert<K: Kernel, const LENGTH: usize>(&mut self, numbers: &[f32]) -> u32 {
        if let Some(number) = self.free.pop() {
            self.numbers_mut::<LENGTH>(number).copy_from_slice(numbers);
            self.range_sums[number as usize] = K::range_sum(numbers);
            return number;
        }
        self.numbers.extend(numbers);
        grow_by_an_eighth(&mut self.range_sums, 1);
        self.range_sums.push(K::range_sum(numbers));
        u32::try_from(self.range_sums.len() - 1)
            .expect("at most 1000 trees have at most 65 535 boxes each")
    }

    pub(crate) fn remove(&mut self, number: u32) {
        self.free.push(number);
    }

    /// Makes a box hold a point; says whether it did already.
    #[inline(always)]
    pub(crate) fn hold<K: Kernel, const LENGTH: usize>(
        &mut self,
        number: u32,
        point: &[f32],
        open: &mut Open,
    ) -> bool {
        let numbers = self.numbers_mut::<LENGTH>(number);
        let has_changed = if is_long(point.len()) {
            K::hold_where(numbers, point, open)
        } else {
            K::hold(numbers, point)
        };
        if has_changed {
            let range_sum = K::range_sum(numbers);
            self.range_sums[number as usize] = range_sum;
        }
        !has_changed
    }

    /// Replaces a box, where points are long its open blocks.
    #[inline(always)]
    pub(crate) fn replace<K: Kernel, const LENGTH: usize>(
        &mut self,
        number: u32,
        numbers: &[f32],
        open: Open,
    ) {
        let own = self.numbers_mut::<LENGTH>(number);
        if is_long(own.len() / 2) {
            for block in open.blocks() {
                packed::copy(own, numbers, block);
            }
        } else {
            own.copy_from_slice(numbers);
        }
        let range_sum = K::range_sum(own);
        self.range_sums[number as usize] = range_sum;
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.numbers.size_bytes()
            + self.range_sums.capacity() * size_of::<f64>()
            + self.free.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Portable;

    #[test]
    fn excess_is_zero_inside_and_adds_up_outside() {
        for length in [1, 3, 4, 8, 12, 64] {
            let numbers: Vec<f32> =
                (0..length).map(|_| 0.0).chain((0..length).map(|_| 1.0)).collect();
            let bounds = Bounds::of(&numbers);
            assert_eq!(bounds.range_sum(), length as f64);
            assert_eq!(bounds.excess(&vec![0.5; length]), 0.0);
            assert_eq!(bounds.excess(&vec![2.0; length]), length as f64);
            let mut point = vec![0.5; length];
            point[length - 1] = -3.0;
            assert_eq!(bounds.excess(&point), 3.0);
        }
    }

    #[test]
    fn the_smallest_and_the_widest_gaps_count() {
        let tiny = f32::from_bits(1);
        assert!(outside(tiny, 0.0, 0.0) > 0.0 && outside(0.0, tiny, 1.0) > 0.0);
        assert!(outside(f32::MAX, f32::MIN, f32::MIN) > f64::from(f32::MAX));
        assert_eq!(outside(1.0, 1.0, 1.0), 0.0);
    }

    #[test]
    fn the_store_reuses_boxes_and_keeps_their_ranges() {
        let mut store = BoxStore::new(4);
        let first = store.insert::<Portable, ANY>(&[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(store.range_sum(first), 4.0);
        let mut hold = |point| store.hold::<Portable, ANY>(first, point, &mut Open::all(4));
        assert!(hold(&[0.5; 4]) && !hold(&[3.0; 4]));
        assert_eq!(store.range_sum(first), 12.0);
        store.remove(first);
        assert_eq!(store.insert::<Portable, ANY>(&[0.0; 8]), first);
        assert_eq!(store.range_sum(first), 0.0);
    }
}
