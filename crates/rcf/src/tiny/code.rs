//! A tree as bits, and back.
//!
//! In this order: the rank of each entry's leaf, all of the same width; for every gap how many nodes
//! of the right edge of the tree so far it takes as its left subtree, as so many zeros and a one
//! (two bits a gap, which is what the shape of a tree takes); the key of the first leaf, and by how
//! much more than 1 each key is above the one before, in blocks; for every gap how far its cut's key
//! is above that of the leaf before, in as many bits as the gap's width needs; the largest exponent
//! of the weights, and for every weight how many exponents it is below, as so many zeros and a one,
//! with its 23 bits.

use alloc::vec::Vec;

use super::bits::{BLOCK, Reader, Writer, width};
use super::open::{MOST, OpenTree, small};

const MANTISSA_BITS: u32 = 23;
const MANTISSA: u32 = (1 << MANTISSA_BITS) - 1;
const EXPONENT_BITS: u32 = 8;

/// A number that an integer key can hold, moved so that the order is that of `u32`.
fn raised(key: i32) -> u32 {
    key.cast_unsigned() ^ (1 << 31)
}

fn lowered(raised: u32) -> i32 {
    (raised ^ (1 << 31)).cast_signed()
}

/// How many numbers a tree has, which is kept beside its bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) n_leaves: u8,
    pub(super) n_entries: u8,
}

impl Counts {
    fn n_leaves(self) -> usize {
        usize::from(self.n_leaves)
    }

    fn n_entries(self) -> usize {
        usize::from(self.n_entries)
    }

    fn n_gaps(self) -> usize {
        self.n_leaves().saturating_sub(1)
    }

    /// The width of a rank.
    fn rank_bits(self) -> u32 {
        width(u32::from(self.n_leaves.saturating_sub(1)))
    }
}

/// Writes a tree's bits into words; with how many bytes of them there are.
#[inline(always)]
pub(super) fn write(tree: &OpenTree, words: &mut Vec<u64>) -> (Counts, usize) {
    let counts = Counts { n_leaves: small(tree.n_leaves), n_entries: small(tree.n_entries) };
    let mut out = Writer::new(words);
    let rank_bits = counts.rank_bits();
    for rank in &tree.ranks[..tree.n_entries] {
        out.put(u32::from(*rank), rank_bits);
    }
    // The right edge of the tree so far, from the root down.
    let mut edge = [0; MOST];
    let mut n_edge = 0;
    for depth in tree.gaps() {
        let mut n_taken = 0;
        while n_edge > 0 && edge[n_edge - 1] > *depth {
            n_edge -= 1;
            n_taken += 1;
        }
        edge[n_edge] = *depth;
        n_edge += 1;
        out.put_unary(n_taken);
    }
    let mut steps = [0; MOST];
    if tree.n_leaves > 0 {
        out.put(raised(tree.keys[0]), u32::BITS);
        let pairs = tree.keys[..tree.n_leaves].array_windows();
        for (step, [a, b]) in steps.iter_mut().zip(pairs) {
            *step = raised(*b) - raised(*a) - 1;
        }
        steps[..tree.n_gaps()].chunks(BLOCK).for_each(|block| out.put_block(block));
    }
    for (gap, step) in steps[..tree.n_gaps()].iter().enumerate() {
        out.put(raised(tree.cuts[gap]) - raised(tree.keys[gap]), width(*step));
    }
    let exponent = |weight: &f32| weight.to_bits() >> MANTISSA_BITS;
    let largest = tree.weights().iter().map(exponent).max().unwrap_or(0);
    out.put(largest, EXPONENT_BITS);
    for weight in tree.weights() {
        out.put_unary(largest - exponent(weight));
        out.put(weight.to_bits() & MANTISSA, MANTISSA_BITS);
    }
    (counts, out.end())
}

/// What is read of a tree, in the order in which it stands.
#[derive(Clone, Copy)]
pub(super) struct Decoder<'a> {
    input: Reader<'a>,
    counts: Counts,
}

impl<'a> Decoder<'a> {
    /// Of the tree whose bits begin at a byte.
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8], start: usize, counts: Counts) -> Self {
        Self { input: Reader::new(bytes, start), counts }
    }

    /// The ranks of the entries' leaves.
    #[inline(always)]
    fn ranks(&mut self, ranks: &mut [u8; MOST]) {
        let rank_bits = self.counts.rank_bits();
        for rank in &mut ranks[..self.counts.n_entries()] {
            *rank = (self.input.take(rank_bits) & 0xff) as u8;
        }
    }

    /// How many entries a leaf holds; of a tree that nothing is read of.
    pub(super) fn mass(mut self, rank: usize) -> u32 {
        let mut ranks = [0; MOST];
        self.ranks(&mut ranks);
        let held = ranks[..self.counts.n_entries()].iter().filter(|x| usize::from(**x) == rank);
        u32::try_from(held.count()).expect("at most the entries of a tree")
    }

    #[inline(always)]
    pub(super) fn skip_ranks(&mut self) {
        self.input.skip(self.counts.n_entries() * self.counts.rank_bits() as usize);
    }

    /// Behind the ranks: how many nodes above each gap stand before it.
    #[inline(always)]
    pub(super) fn before(&mut self, before: &mut [u8; MOST]) {
        self.input.piles(&mut before[..self.counts.n_gaps()]);
    }

    /// The keys, behind that.
    #[inline(always)]
    pub(super) fn keys<'r>(&mut self, room: &'r mut KeyRoom) -> Keys<'a, 'r> {
        Keys { input: self.input, n_gaps: self.counts.n_gaps(), n_steps: 0, room }
    }

    /// The whole tree.
    #[inline(always)]
    pub(super) fn open(mut self) -> OpenTree {
        let mut tree = OpenTree::empty();
        (tree.n_leaves, tree.n_entries) = (self.counts.n_leaves(), self.counts.n_entries());
        self.ranks(&mut tree.ranks);
        self.before(&mut tree.depths);
        let n_gaps = self.counts.n_gaps();
        add_behind(&mut tree.depths[..n_gaps]);
        if tree.n_leaves > 0 {
            let mut room = KeyRoom::new();
            let mut keys = self.keys(&mut room);
            keys.begin();
            while keys.more() {}
            self.input = keys.input;
            for (to, from) in tree.keys.iter_mut().zip(&room.raised) {
                *to = lowered(*from);
            }
            for gap in 0..n_gaps {
                let above = self.input.take(width(room.steps[gap]));
                tree.cuts[gap] = lowered(room.raised[gap].wrapping_add(above));
            }
        }
        let largest = self.input.take(EXPONENT_BITS);
        for weight in &mut tree.weights[..tree.n_entries] {
            let exponent = largest.wrapping_sub(self.input.take_unary());
            let mantissa = self.input.take(MANTISSA_BITS);
            *weight = f32::from_bits(exponent << MANTISSA_BITS | mantissa);
        }
        tree
    }
}

/// Adds to the numbers of nodes before and above each gap those of the nodes behind and above.
#[inline(always)]
fn add_behind(depths: &mut [u8]) {
    // The nearest of these is the first behind that has no more nodes before and above than this
    // one has; the others are above that. They are waiting, with both numbers.
    let mut waiting = [(0, 0); MOST];
    let mut n_waiting = 0;
    for depth in depths.iter_mut().rev() {
        let before = *depth;
        while n_waiting > 0 && waiting[n_waiting - 1].0 > before {
            n_waiting -= 1;
        }
        let behind = if n_waiting > 0 { waiting[n_waiting - 1].1 + 1 } else { 0 };
        waiting[n_waiting] = (before, behind);
        n_waiting += 1;
        *depth = before + behind;
    }
}

/// The keys of a tree that has leaves, read block by block.
pub(super) struct Keys<'a, 'r> {
    input: Reader<'a>,
    n_gaps: usize,
    n_steps: usize,
    room: &'r mut KeyRoom,
}

/// Room for what is read of keys, to be used again for the next tree.
pub(super) struct KeyRoom {
    // From each key to the next, less 1; and the keys.
    steps: [u32; MOST],
    raised: [u32; MOST],
}

impl KeyRoom {
    pub(super) fn new() -> Self {
        Self { steps: [0; MOST], raised: [0; MOST] }
    }
}

impl Keys<'_, '_> {
    /// Reads the first key.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        self.room.raised[0] = self.input.take(u32::BITS);
    }

    /// Reads on; `false` where there is no more.
    #[inline(always)]
    fn more(&mut self) -> bool {
        let start = self.n_steps;
        if start == self.n_gaps {
            return false;
        }
        let end = (start + BLOCK).min(self.n_gaps);
        self.input.block(&mut self.room.steps[start..end]);
        let mut last = self.room.raised[start];
        for (to, step) in
            self.room.raised[start + 1..=end].iter_mut().zip(&self.room.steps[start..end])
        {
            last = last.wrapping_add(*step).wrapping_add(1);
            *to = last;
        }
        self.n_steps = end;
        true
    }

    /// How many keys are at most a number's.
    #[inline(always)]
    pub(super) fn n_up_to(&mut self, key: i32) -> usize {
        let key = raised(key);
        let mut start = 0;
        loop {
            let n_read = self.n_steps + 1;
            if self.room.raised[n_read - 1] > key || !self.more() {
                let read = &self.room.raised[start..n_read];
                return start + read.iter().filter(|other| **other <= key).count();
            }
            start = n_read;
        }
    }

    /// The key of a rank.
    #[inline(always)]
    pub(super) fn get(&mut self, rank: usize) -> i32 {
        while self.n_steps < rank && self.more() {}
        lowered(self.room.raised[rank])
    }

    /// The key of the cut in a gap, whose leaves are read.
    #[inline(always)]
    pub(super) fn cut(&self, gap: usize) -> i32 {
        let mut input = self.input;
        for start in (self.n_steps..self.n_gaps).step_by(BLOCK) {
            input.skip_block(BLOCK.min(self.n_gaps - start));
        }
        let before: u32 = self.room.steps[..gap].iter().map(|step| width(*step)).sum();
        input.skip(before as usize);
        lowered(self.room.raised[gap].wrapping_add(input.take(width(self.room.steps[gap]))))
    }
}
