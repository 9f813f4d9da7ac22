//! A tree as bits, and back.
//!
//! In this order: the rank of each entry's leaf, all of the same width; for every gap how many nodes
//! of the right edge of the tree so far it takes as its left subtree, as so many zeros and a one
//! (two bits a gap, which is what the shape of a tree takes); the key of the first leaf, and by how
//! much more than 1 each key is above the one before, in blocks; for every gap how far its cut's key
//! is above that of the leaf before, in as many bits as the gap's width needs; the largest exponent
//! of the weights, and for every weight how many exponents it is below, as so many zeros and a one,
//! with its 23 bits.

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

/// Appends a tree's bits to bytes.
pub(super) fn write(tree: &OpenTree, bytes: &mut Vec<u8>) -> Counts {
    let counts = Counts { n_leaves: small(tree.n_leaves), n_entries: small(tree.n_entries) };
    let mut out = Writer::new(bytes);
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
    for gap in 0..tree.n_gaps() {
        out.put(raised(tree.cuts[gap]) - raised(tree.keys[gap]), width(steps[gap]));
    }
    let exponent = |weight: &f32| weight.to_bits() >> MANTISSA_BITS;
    let largest = tree.weights().iter().map(exponent).max().unwrap_or(0);
    out.put(largest, EXPONENT_BITS);
    for weight in tree.weights() {
        out.put_unary(largest - exponent(weight));
        out.put(weight.to_bits() & MANTISSA, MANTISSA_BITS);
    }
    out.end();
    counts
}

/// A tree whose shape and numbers are read.
pub(super) struct Shape {
    pub(super) n_leaves: usize,
    pub(super) keys: [i32; MOST],
    /// Of the gaps behind the leaves.
    pub(super) depths: [u8; MOST],
}

impl Shape {
    pub(super) fn gaps(&self) -> &[u8] {
        &self.depths[..self.n_leaves.saturating_sub(1)]
    }
}

/// What is read of a tree in steps.
pub(super) struct Decoder<'a> {
    input: Reader<'a>,
    counts: Counts,
}

impl<'a> Decoder<'a> {
    /// Of the tree whose bits begin at a byte.
    pub(super) fn new(bytes: &'a [u8], start: usize, counts: Counts) -> Self {
        Self { input: Reader::new(bytes, start), counts }
    }

    /// The ranks of the entries' leaves, the first of all.
    pub(super) fn ranks(&mut self, ranks: &mut [u8; MOST]) {
        let rank_bits = self.counts.rank_bits();
        for rank in &mut ranks[..self.counts.n_entries()] {
            *rank = (self.input.take(rank_bits) & 0xff) as u8;
        }
    }

    /// How many entries a leaf holds; the ranks are read again.
    pub(super) fn mass(mut self, rank: usize) -> u32 {
        let mut ranks = [0; MOST];
        self.ranks(&mut ranks);
        let held = ranks[..self.counts.n_entries()].iter().filter(|x| usize::from(**x) == rank);
        u32::try_from(held.count()).expect("at most the entries of a tree")
    }

    pub(super) fn skip_ranks(&mut self) {
        self.input.skip(self.counts.n_entries() * self.counts.rank_bits() as usize);
    }

    /// Behind the ranks.
    #[inline(always)]
    pub(super) fn shape(&mut self, steps: &mut [u32; MOST]) -> Shape {
        let (n_leaves, n_gaps) = (self.counts.n_leaves(), self.counts.n_gaps());
        let mut shape = Shape { n_leaves, keys: [0; MOST], depths: [0; MOST] };
        self.depths(&mut shape.depths[..n_gaps]);
        if n_leaves == 0 {
            return shape;
        }
        let mut raised = self.input.take(u32::BITS);
        shape.keys[0] = lowered(raised);
        for start in (0..n_gaps).step_by(BLOCK) {
            let end = (start + BLOCK).min(n_gaps);
            self.input.block(&mut steps[start..end]);
            for gap in start..end {
                raised = raised.wrapping_add(steps[gap]).wrapping_add(1);
                shape.keys[gap + 1] = lowered(raised);
            }
        }
        shape
    }

    /// The depths of all gaps.
    #[inline(always)]
    fn depths(&mut self, depths: &mut [u8]) {
        // First how many nodes are above each gap that stand before it.
        let mut before = 0_u32;
        for depth in &mut *depths {
            before -= self.input.take_unary();
            *depth = (before & 0xff) as u8;
            before += 1;
        }
        // Then those that stand behind it: the nearest is the first behind that has no more nodes
        // before and above than this one has; the others are above that. They are waiting, with
        // those numbers and their own numbers of nodes behind and above.
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

    /// Behind the shape: the key of one cut.
    #[inline(always)]
    pub(super) fn cut(mut self, keys: &[i32; MOST], steps: &[u32; MOST], gap: usize) -> i32 {
        let before: u32 = steps[..gap].iter().map(|step| width(*step)).sum();
        self.input.skip(before as usize);
        lowered(raised(keys[gap]).wrapping_add(self.input.take(width(steps[gap]))))
    }

    /// The whole tree.
    pub(super) fn open(mut self) -> OpenTree {
        let mut tree = OpenTree::empty();
        (tree.n_leaves, tree.n_entries) = (self.counts.n_leaves(), self.counts.n_entries());
        self.ranks(&mut tree.ranks);
        let mut steps = [0; MOST];
        let shape = self.shape(&mut steps);
        (tree.keys, tree.depths) = (shape.keys, shape.depths);
        for gap in 0..self.counts.n_gaps() {
            let above = self.input.take(width(steps[gap]));
            tree.cuts[gap] = lowered(raised(tree.keys[gap]).wrapping_add(above));
        }
        let largest = self.input.take(EXPONENT_BITS);
        for weight in &mut tree.weights[..tree.n_entries] {
            let exponent = largest - self.input.take_unary();
            let mantissa = self.input.take(MANTISSA_BITS);
            *weight = f32::from_bits(exponent << MANTISSA_BITS | mantissa);
        }
        tree
    }
}
