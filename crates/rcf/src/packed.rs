//! Boxes as they are stored, and the loops over them that stop early in most of their dimensions.
//!
//! A packed box is a list of blocks. A block is eight dimensions, the lowest coordinates before the
//! highest: one cache line. The last block may have fewer dimensions, four or as many as a point of
//! less than four has.
//!
//! On the way up a tree boxes only get larger: where a point lies inside in some dimension, it does
//! so in all boxes above. So those blocks are left out that have nothing left to find ([`Open`]):
//! most of them, a few boxes up.

use alloc::vec::Vec;

use crate::boxes::{Bounds, higher, lower};

/// Dimensions of a block.
pub(crate) const BLOCK: usize = 8;

/// Of the length of a point, where the compiler does not know it. (Points of one number never come
/// to where it is asked.)
pub(crate) const ANY: usize = 1;

/// Points from this length on leave blocks out; below, that costs more than it saves.
const LONG: usize = 32;

/// Whether blocks are left out for points of a length.
#[inline(always)]
pub(crate) fn is_long(point_len: usize) -> bool {
    point_len >= LONG
}

/// A point, with its length if that is known to the compiler.
#[inline(always)]
pub(crate) fn of_length<const LENGTH: usize>(numbers: &[f32]) -> &[f32] {
    if LENGTH == ANY { numbers } else { &numbers[..LENGTH] }
}

/// Room for a box, with its length if that is known to the compiler.
#[inline(always)]
pub(crate) fn of_box<const LENGTH: usize>(numbers: &mut [f32]) -> &mut [f32] {
    if LENGTH == ANY { numbers } else { &mut numbers[..2 * LENGTH] }
}

/// The blocks that still matter on a way up; all of them where there are more than 64.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Open {
    bits: u64,
    n_blocks: usize,
}

impl Open {
    /// All blocks of boxes of points of a length.
    #[inline(always)]
    pub(crate) fn all(point_len: usize) -> Self {
        let n_blocks = point_len.div_ceil(BLOCK);
        Self { bits: u64::MAX >> 64_usize.saturating_sub(n_blocks), n_blocks }
    }

    /// The open blocks. (No closures here: the compiler would not inline them, and lose the
    /// instructions of the level.)
    #[inline(always)]
    pub(crate) fn blocks(self) -> Blocks {
        Blocks { waiting: self.bits, next: 0, open: self }
    }

    #[inline(always)]
    fn are_tracked(self) -> bool {
        self.n_blocks <= 64
    }

    /// Closes a block unless it is to stay open.
    #[inline(always)]
    pub(crate) fn close_unless(&mut self, stays: bool, block: usize) {
        self.bits &= !(u64::from(self.are_tracked() & !stays) << (block & 63));
    }
}

/// The open blocks of a moment.
pub(crate) struct Blocks {
    waiting: u64,
    next: usize,
    open: Open,
}

impl Iterator for Blocks {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        let is_tracked = self.open.are_tracked();
        let block = if is_tracked { self.waiting.trailing_zeros() as usize } else { self.next };
        if block >= self.open.n_blocks {
            return None;
        }
        self.waiting &= self.waiting.wrapping_sub(1);
        self.next += 1;
        Some(block)
    }
}

/// A packed box, or the point that is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    numbers: &'a [f32],
    // 1, of a point 0.
    is_box: usize,
}

impl<'a> Part<'a> {
    #[inline(always)]
    pub(crate) fn of_point(numbers: &'a [f32]) -> Self {
        Self { numbers, is_box: 0 }
    }

    #[inline(always)]
    pub(crate) fn of_box(numbers: &'a [f32]) -> Self {
        Self { numbers, is_box: 1 }
    }

    /// The lowest and the highest coordinates of a block of `W` dimensions.
    #[inline(always)]
    pub(crate) fn block<const W: usize>(&self, block: usize) -> (&'a [f32; W], &'a [f32; W]) {
        let rows = self.numbers.as_chunks::<W>().0;
        let at = block * (BLOCK / W) * (1 + self.is_box);
        (&rows[at], &rows[at + self.is_box])
    }

    /// The lowest and the highest coordinate in a dimension, given how many there are.
    #[inline(always)]
    pub(crate) fn range(&self, dim: usize, length: usize) -> (f32, f32) {
        let (block, lane) = (dim / BLOCK, dim % BLOCK);
        let at = block * BLOCK * (1 + self.is_box) + lane;
        let width = (length - block * BLOCK).min(BLOCK);
        (self.numbers[at], self.numbers[at + width * self.is_box])
    }
}

#[inline(always)]
fn array<const W: usize>(numbers: &[f32]) -> &[f32; W] {
    numbers.try_into().expect("as many as its type says")
}

#[inline(always)]
fn halves<const W: usize>(numbers: &mut [f32], block: usize) -> (&mut [f32; W], &mut [f32; W]) {
    let (min, max) = numbers[block * 2 * BLOCK..][..2 * W].split_at_mut(W);
    (
        min.try_into().expect("as many as its type says"),
        max.try_into().expect("as many as its type says"),
    )
}

/// Calls a function for a block with the number of its dimensions.
macro_rules! of_width {
    ($length:expr, $block:expr, $function:ident($($argument:expr),*)) => {
        match $length - $block * BLOCK {
            8.. => $function::<8>($($argument),*),
            4.. => $function::<4>($($argument),*),
            3 => $function::<3>($($argument),*),
            2 => $function::<2>($($argument),*),
            _ => $function::<1>($($argument),*),
        }
    };
}

/// Packs the box of a point.
#[inline(always)]
#[cfg(test)]
pub(crate) fn put_point(numbers: &mut [f32], point: &[f32]) {
    put_join(numbers, Part::of_point(point), Part::of_point(point));
}

/// Packs the smallest box that holds two.
#[inline(always)]
pub(crate) fn put_join(numbers: &mut [f32], left: Part<'_>, right: Part<'_>) {
    let length = numbers.len() / 2;
    for block in 0..length.div_ceil(BLOCK) {
        of_width!(length, block, join_block(numbers, left, right, block));
    }
}

#[inline(always)]
fn join_block<const W: usize>(numbers: &mut [f32], left: Part<'_>, right: Part<'_>, block: usize) {
    let (left, right) = (left.block::<W>(block), right.block::<W>(block));
    let (min, max) = halves::<W>(numbers, block);
    for lane in 0..W {
        min[lane] = lower(left.0[lane], right.0[lane]);
        max[lane] = higher(left.1[lane], right.1[lane]);
    }
}

/// Makes a packed box hold a point, where that is open, and closes where it did already. Whether
/// the box has changed.
#[inline(always)]
pub(crate) fn hold(numbers: &mut [f32], point: &[f32], open: &mut Open) -> bool {
    let mut has_changed = false;
    for block in open.blocks() {
        let changes = of_width!(point.len(), block, hold_block(numbers, point, block));
        open.close_unless(changes, block);
        has_changed |= changes;
    }
    has_changed
}

#[inline(always)]
fn hold_block<const W: usize>(numbers: &mut [f32], point: &[f32], block: usize) -> bool {
    let x = array::<W>(&point[block * BLOCK..][..W]);
    let (min, max) = halves::<W>(numbers, block);
    let mut has_changed = false;
    for lane in 0..W {
        has_changed |= (x[lane] < min[lane]) | (x[lane] > max[lane]);
        min[lane] = lower(min[lane], x[lane]);
        max[lane] = higher(max[lane], x[lane]);
    }
    has_changed
}

/// What becomes of a packed box without a point that it held, where that is open, given the boxes
/// of the two children that are left: in the same blocks of `new`. Closes where nothing changes.
/// Whether the box changes.
#[inline(always)]
pub(crate) fn shrink(
    old: &[f32],
    children: [Part<'_>; 2],
    point: &[f32],
    open: &mut Open,
    new: &mut [f32],
) -> bool {
    let mut has_changed = false;
    for block in open.blocks() {
        let changes = of_width!(point.len(), block, shrink_block(old, children, point, block, new));
        if !changes && !open.are_tracked() {
            // It stays open, so it is read from `new` all the same.
            copy(new, old, block);
        }
        open.close_unless(changes, block);
        has_changed |= changes;
    }
    has_changed
}

#[inline(always)]
fn shrink_block<const W: usize>(
    old: &[f32],
    [left, right]: [Part<'_>; 2],
    point: &[f32],
    block: usize,
    new: &mut [f32],
) -> bool {
    if !touches_block::<W>(old, point, block) {
        return false;
    }
    let (min, max) = Part::of_box(old).block::<W>(block);
    let (left, right) = (left.block::<W>(block), right.block::<W>(block));
    let new = halves::<W>(new, block);
    let mut has_changed = false;
    for lane in 0..W {
        let lowest = lower(left.0[lane], right.0[lane]);
        let highest = higher(left.1[lane], right.1[lane]);
        has_changed |= (lowest != min[lane]) | (highest != max[lane]);
        (new.0[lane], new.1[lane]) = (lowest, highest);
    }
    has_changed
}

/// Whether a point of a packed box holds one of its faces. Where the box has no extent, all its
/// points do, and none counts.
pub(crate) fn touches(numbers: &[f32], point: &[f32]) -> bool {
    let mut blocks = 0..point.len().div_ceil(BLOCK);
    blocks.any(|block| of_width!(point.len(), block, touches_block(numbers, point, block)))
}

#[inline(always)]
fn touches_block<const W: usize>(numbers: &[f32], point: &[f32], block: usize) -> bool {
    let x = array::<W>(&point[block * BLOCK..][..W]);
    let (min, max) = Part::of_box(numbers).block::<W>(block);
    let mut is_touched = false;
    for lane in 0..W {
        is_touched |= ((x[lane] <= min[lane]) | (x[lane] >= max[lane])) & (min[lane] < max[lane]);
    }
    is_touched
}

/// A bit for each dimension of a block: whether a point lies outside.
pub(crate) fn outside(bounds: Part<'_>, point: &[f32], block: usize) -> u32 {
    of_width!(point.len(), block, outside_block(bounds, point, block))
}

#[inline(always)]
fn outside_block<const W: usize>(bounds: Part<'_>, point: &[f32], block: usize) -> u32 {
    let x = array::<W>(&point[block * BLOCK..][..W]);
    let (min, max) = bounds.block::<W>(block);
    let bit = |lane: usize| u32::from((x[lane] < min[lane]) | (x[lane] > max[lane])) << lane;
    (0..W).map(bit).fold(0, |all, bit| all | bit)
}

/// Copies a block of a packed box.
#[inline(always)]
pub(crate) fn copy(to: &mut [f32], from: &[f32], block: usize) {
    of_width!(to.len() / 2, block, copy_block(to, from, block));
}

#[inline(always)]
fn copy_block<const W: usize>(to: &mut [f32], from: &[f32], block: usize) {
    let (from, to) = (Part::of_box(from).block::<W>(block), halves::<W>(to, block));
    (*to.0, *to.1) = (*from.0, *from.1);
}

/// A packed box as its two halves, in `numbers`.
#[inline(always)]
pub(crate) fn unpack<'a>(packed: &[f32], numbers: &'a mut [f32]) -> Bounds<'a> {
    let (min, max) = numbers.split_at_mut(packed.len() / 2);
    let blocks = packed.chunks(2 * BLOCK);
    for ((block, min), max) in blocks.zip(min.chunks_mut(BLOCK)).zip(max.chunks_mut(BLOCK)) {
        let (lowest, highest) = block.split_at(block.len() / 2);
        min.copy_from_slice(lowest);
        max.copy_from_slice(highest);
    }
    Bounds::of(numbers)
}

/// Numbers that start at a cache line.
#[derive(Debug)]
pub(crate) struct Aligned {
    numbers: Vec<f32>,
    // Unused ones before the first.
    skipped: usize,
}

/// Numbers of a cache line.
pub(crate) const LINE: usize = 64 / size_of::<f32>();

impl Aligned {
    pub(crate) fn new() -> Self {
        Self { numbers: Vec::new(), skipped: 0 }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.numbers.len() - self.skipped
    }

    #[inline(always)]
    pub(crate) fn get(&self, at: usize, length: usize) -> &[f32] {
        &self.numbers[self.skipped + at..][..length]
    }

    #[inline(always)]
    pub(crate) fn get_mut(&mut self, at: usize, length: usize) -> &mut [f32] {
        &mut self.numbers[self.skipped + at..][..length]
    }

    /// The lists of `N` numbers that these are.
    #[inline(always)]
    pub(crate) fn rows<const N: usize>(&self) -> &[[f32; N]] {
        self.numbers[self.skipped..].as_chunks().0
    }

    #[inline(always)]
    pub(crate) fn rows_mut<const N: usize>(&mut self) -> &mut [[f32; N]] {
        self.numbers[self.skipped..].as_chunks_mut().0
    }

    /// Adds numbers, and where there is no room for them, room for an eighth beyond.
    pub(crate) fn extend(&mut self, numbers: &[f32]) {
        if self.numbers.capacity() - self.numbers.len() < numbers.len() {
            *self = self.with_room(numbers.len() + self.len() / 8);
        }
        self.numbers.extend_from_slice(numbers);
    }

    fn with_room(&self, more: usize) -> Self {
        // In a short list lines that are cut apart cost less than the room would.
        let n_numbers = self.len() + more;
        let slack = if n_numbers <= 16 * LINE { 0 } else { LINE - 1 };
        let mut numbers: Vec<f32> = Vec::with_capacity(n_numbers + slack);
        // Where the alignment cannot be known, it is not needed.
        let skipped = numbers.as_ptr().align_offset(LINE * size_of::<f32>());
        let skipped = if skipped <= slack { skipped } else { 0 };
        numbers.resize(skipped, 0.0);
        numbers.extend_from_slice(self.get(0, self.len()));
        Self { numbers, skipped }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.numbers.capacity() * size_of::<f32>()
    }
}

impl Clone for Aligned {
    fn clone(&self) -> Self {
        self.with_room(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn random_point(random: &mut Random, length: usize) -> Vec<f32> {
        #[expect(clippy::cast_possible_truncation, reason = "a test's numbers")]
        let number = |x: f64| (8.0 * x) as f32;
        (0..length).map(|_| number(random.open01()).floor()).collect()
    }

    fn spanned(points: &[Vec<f32>]) -> Vec<f32> {
        let length = points[0].len();
        let by = |pick: fn(f32, f32) -> f32| {
            (0..length).map(move |dim| points.iter().map(|point| point[dim]).reduce(pick))
        };
        by(f32::min).chain(by(f32::max)).map(|x| x.expect("points")).collect()
    }

    #[test]
    fn boxes_grow_and_shrink_as_their_points_come_and_go() {
        let mut random = Random::new(8);
        for length in [1, 2, 3, 4, 8, 12, 16, 20, 64, 520] {
            for _ in 0..50 {
                let points: Vec<_> = (0..4).map(|_| random_point(&mut random, length)).collect();
                let mut scratch = vec![0.0; 2 * length];
                let mut of = |points: &[Vec<f32>]| {
                    let mut numbers = vec![0.0; 2 * length];
                    put_point(&mut numbers, &points[0]);
                    let all = Open::all(length);
                    points.iter().for_each(|point| {
                        hold(&mut numbers, point, &mut all.clone());
                    });
                    unpack(&numbers, &mut scratch);
                    assert_eq!(scratch, spanned(points));
                    numbers
                };
                let (left, right) = (of(&points[..2]), of(&points[2..3]));
                let (whole, rest) = (of(&points), of(&points[..3]));
                let children = [Part::of_box(&left), Part::of_point(&points[2])];
                let mut joined = vec![0.0; 2 * length];
                put_join(&mut joined, children[0], Part::of_box(&right));
                assert_eq!(joined, rest);
                let mut open = Open::all(length);
                let mut new = vec![f32::NAN; 2 * length];
                let changes = shrink(&whole, children, &points[3], &mut open, &mut new);
                assert_eq!(changes, whole != rest);
                let mut changed = whole;
                open.blocks().for_each(|block| copy(&mut changed, &new, block));
                assert_eq!(changed, rest);
            }
        }
    }

    #[test]
    fn closed_blocks_are_not_visited_again() {
        let mut open = Open::all(30);
        assert_eq!(open.blocks().collect::<Vec<_>>(), [0, 1, 2, 3]);
        open.blocks().for_each(|block| open.close_unless(block % 2 == 1, block));
        assert_eq!(open.blocks().collect::<Vec<_>>(), [1, 3]);
        let mut many = Open::all(8 * 65);
        many.close_unless(false, 3);
        assert!(many.blocks().eq(0..65));
    }

    #[test]
    fn aligned_numbers_keep_their_order() {
        let mut list = Aligned::new();
        for n in 0..1000_u16 {
            list.extend(&[f32::from(n), 0.5]);
        }
        let copy = list.clone();
        for n in 0..1000_u16 {
            assert_eq!(list.get(usize::from(n) * 2, 2), [f32::from(n), 0.5]);
            assert_eq!(copy.get(usize::from(n) * 2, 2), [f32::from(n), 0.5]);
        }
        assert!(list.get(0, 1).as_ptr().addr().is_multiple_of(64) || cfg!(miri));
        assert!(list.size_bytes() < 8000 * 9 / 8 + 3 * 64);
    }
}
