//! How a tree's references are packed: small forests fit into half the memory of large ones.
//!
//! A [`Ref`] names an inner node or a leaf of one tree; leaves have the bit [`Layout::LEAF`] set.
//! Numbers that are stored for every node or leaf are a [`Layout::Idx`].

/// A node or a leaf of one tree.
pub(crate) type Ref = u32;

/// An index as it is stored.
pub(crate) trait Idx: Copy + Eq + core::fmt::Debug {
    /// No node, no box.
    const NONE: Self;
    /// Marks the entry of a point that equals another entry's; the rest is that entry.
    const TWIN: u32;
    fn new(index: u32) -> Self;
    fn get(self) -> u32;
}

impl Idx for u16 {
    const NONE: Self = Self::MAX;
    const TWIN: u32 = 1 << 15;

    #[inline(always)]
    fn new(index: u32) -> Self {
        debug_assert!(index <= u32::from(Self::MAX));
        (index & 0xffff) as Self
    }

    #[inline(always)]
    fn get(self) -> u32 {
        u32::from(self)
    }
}

impl Idx for u32 {
    const NONE: Self = Self::MAX;
    const TWIN: u32 = 1 << 31;

    #[inline(always)]
    fn new(index: u32) -> Self {
        index
    }

    #[inline(always)]
    fn get(self) -> u32 {
        self
    }
}

/// A finite number as an integer of the same order.
#[inline(always)]
pub(crate) fn key(x: f32) -> i32 {
    let bits = x.to_bits().cast_signed();
    bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed()
}

/// The number of a key.
#[inline(always)]
pub(crate) fn number(key: i32) -> f32 {
    f32::from_bits((key ^ ((key >> 31).cast_unsigned() >> 1).cast_signed()).cast_unsigned())
}

/// What a walk down needs of an inner node.
pub(crate) trait Node: Copy + core::fmt::Debug {
    const EMPTY: Self;
    fn new(cut: f32, dim: u32, children: [Ref; 2]) -> Self;
    /// Points with `point[dim] <= cut` are to the left.
    fn cut(self) -> f32;
    fn dim(self) -> u32;
    fn child(self, right: bool) -> Ref;
    /// The child that a coordinate's [`key`] leads to.
    fn next(self, key: i32) -> Ref;
    /// The nodes if they are [`SmallNode`]s.
    fn words(_nodes: &[Self]) -> Option<&[u64]> {
        None
    }
    fn with_child(self, right: bool, child: Ref) -> Self {
        let other = self.child(!right);
        Self::new(self.cut(), self.dim(), if right { [other, child] } else { [child, other] })
    }
}

/// Eight bytes: the cut's key in the low half, eight bits of the dimension, and two references of
/// twelve bits.
pub(crate) type SmallNode = u64;

/// Where in a [`SmallNode`] its parts begin.
pub(crate) const DIM_AT: u32 = 32;
pub(crate) const LEFT_AT: u32 = 40;
pub(crate) const RIGHT_AT: u32 = 52;
/// The bits of a reference.
pub(crate) const REF: u64 = 0xfff;

impl Node for SmallNode {
    const EMPTY: Self = 0;

    #[inline(always)]
    fn new(cut: f32, dim: u32, [left, right]: [Ref; 2]) -> Self {
        debug_assert!(dim < 256 && left < 4096 && right < 4096);
        u64::from(key(cut).cast_unsigned())
            | u64::from(dim) << DIM_AT
            | u64::from(left) << LEFT_AT
            | u64::from(right) << RIGHT_AT
    }

    #[inline(always)]
    fn cut(self) -> f32 {
        number(((self & 0xffff_ffff) as u32).cast_signed())
    }

    #[inline(always)]
    fn dim(self) -> u32 {
        (self >> DIM_AT & 0xff) as u32
    }

    #[inline(always)]
    fn child(self, right: bool) -> Ref {
        (self >> if right { RIGHT_AT } else { LEFT_AT } & REF) as u32
    }

    #[inline(always)]
    fn next(self, key: i32) -> Ref {
        let right = key > ((self & 0xffff_ffff) as u32).cast_signed();
        // A branch would be mispredicted every other time.
        let at = core::hint::select_unpredictable(right, RIGHT_AT, LEFT_AT);
        (self >> at & REF) as u32
    }

    #[inline(always)]
    fn words(nodes: &[Self]) -> Option<&[u64]> {
        Some(nodes)
    }
}

/// Sixteen bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LargeNode {
    key: i32,
    dim: u32,
    children: [Ref; 2],
}

impl Node for LargeNode {
    const EMPTY: Self = Self { key: 0, dim: 0, children: [0, 0] };

    #[inline(always)]
    fn new(cut: f32, dim: u32, children: [Ref; 2]) -> Self {
        Self { key: key(cut), dim, children }
    }

    #[inline(always)]
    fn cut(self) -> f32 {
        number(self.key)
    }

    #[inline(always)]
    fn dim(self) -> u32 {
        self.dim
    }

    #[inline(always)]
    fn child(self, right: bool) -> Ref {
        self.children[usize::from(right)]
    }

    #[inline(always)]
    fn next(self, key: i32) -> Ref {
        self.children[usize::from(key > self.key)]
    }
}

/// The packing of a forest.
pub(crate) trait Layout: Copy + core::fmt::Debug {
    type Node: Node;
    type Idx: Idx;
    const LEAF: Ref;
}

/// For samples of up to 2047 points of up to 256 numbers, and fewer than 65 535 points in all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Small;

impl Layout for Small {
    type Node = SmallNode;
    type Idx = u16;
    const LEAF: Ref = 1 << 11;
}

impl Small {
    pub(crate) fn holds(point_len: usize, sample_size: usize, n_trees: usize) -> bool {
        point_len <= 256 && sample_size < 2048 && n_trees * sample_size < 65_535
    }
}

/// For every forest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Large;

impl Layout for Large {
    type Node = LargeNode;
    type Idx = u32;
    const LEAF: Ref = 1 << 31;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeps_its_parts<N: Node + PartialEq>() {
        let node = N::new(-1.5, 255, [2048 | 2046, 7]);
        assert_eq!((node.cut(), node.dim()), (-1.5, 255));
        assert_eq!((node.child(false), node.child(true)), (2048 | 2046, 7));
        let changed = node.with_child(false, 3).with_child(true, 4095);
        assert_eq!((changed.cut(), changed.dim()), (-1.5, 255));
        assert_eq!((changed.child(false), changed.child(true)), (3, 4095));
    }

    #[test]
    fn keys_have_the_order_of_their_numbers() {
        let numbers = [f32::MIN, -1.5, -f32::from_bits(1), 0.0, f32::from_bits(1), 2.0, f32::MAX];
        for a in numbers {
            assert_eq!(number(key(a)).to_bits(), a.to_bits());
            for b in numbers {
                assert_eq!(key(a) > key(b), a > b);
                assert_eq!(SmallNode::new(b, 0, [0, 1]).next(key(a)) == 1, a > b);
                assert_eq!(LargeNode::new(b, 0, [0, 1]).next(key(a)) == 1, a > b);
            }
        }
    }

    #[test]
    fn nodes_keep_their_parts() {
        keeps_its_parts::<SmallNode>();
        keeps_its_parts::<LargeNode>();
        assert_eq!((size_of::<SmallNode>(), size_of::<LargeNode>()), (8, 16));
    }
}
