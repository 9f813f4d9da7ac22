//! All trees of a forest, in flat lists.
//!
//! A tree's part of every list has room for `room` entries. An *entry* is a point of the sample;
//! its number is that of its weight, and that of its leaf: an entry whose point equals an older
//! one's is that one's *twin* and has no leaf of its own.
//!
//! Invariants: every inner node's box is the smallest that holds the points below it, whether it is
//! kept or follows from them; its cut parts the points of its children; no two leaves hold equal
//! points; a leaf's mass is itself and its twins. Inner nodes have no mass: expected scores do not
//! need it.

use alloc::vec::Vec;

use crate::boxes::{Bounds, BoxStore, merge};
use crate::kernel::Kernel;
use crate::layout::{Idx, Layout, Node, Ref};
use crate::line::Lines;
use crate::packed::{self, Part, of_box};
use crate::points::PointStore;
use crate::random::Random;

/// The root of an empty tree.
pub(crate) const EMPTY: Ref = Ref::MAX;
/// No node, no box, as a number.
pub(crate) const NONE: u32 = u32::MAX;
/// The most leaves that a node without a box may have below.
pub(crate) const MOST_BOXLESS: u32 = 32;

/// What there is once for every tree.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) root: Ref,
    /// Entries, which is the tree's mass.
    pub(crate) n_entries: u32,
    /// The entry of largest weight, while the sample is full.
    pub(crate) largest: u32,
    // Nodes that were ever used, and the first of those that are free.
    pub(crate) n_nodes: u32,
    pub(crate) free: u32,
    pub(crate) random: Random,
}

/// What a walk up needs of an inner node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link<I> {
    /// The parent; of a free node the next free one.
    pub(crate) parent: I,
    pub(crate) bounds: I,
}

/// Room for three boxes that are put together.
pub(crate) struct Scratch<'a> {
    pub(crate) own: &'a mut [f32],
    pub(crate) left: &'a mut [f32],
    pub(crate) right: &'a mut [f32],
}

impl<'a> Scratch<'a> {
    /// `numbers` are six times those of a stored point.
    pub(crate) fn of(numbers: &'a mut [f32]) -> Self {
        let box_len = numbers.len() / 3;
        let (own, others) = numbers.split_at_mut(box_len);
        let (left, right) = others.split_at_mut(box_len);
        Self { own, left, right }
    }
}

/// The trees of a forest.
#[derive(Clone, Debug)]
pub(crate) struct Trees<L: Layout> {
    pub(crate) room: usize,
    /// Trees whose sample is full.
    pub(crate) n_full: usize,
    /// Nodes with at most so many leaves below have no box, 1..=[`MOST_BOXLESS`].
    pub(crate) boxless: u32,
    pub(crate) heads: Vec<Head>,
    /// The number of the point that enters each full sample next.
    pub(crate) next: Vec<u64>,
    pub(crate) nodes: Vec<L::Node>,
    pub(crate) links: Vec<Link<L::Idx>>,
    /// Of each entry: its leaf's parent, or its twin. Of entries of lines only the latter.
    pub(crate) parents: Vec<L::Idx>,
    /// Of each leaf.
    pub(crate) slots: Vec<L::Idx>,
    pub(crate) masses: Vec<L::Idx>,
    pub(crate) weights: Vec<f32>,
    pub(crate) boxes: BoxStore,
    /// Of trees of one dimension, which have neither nodes nor links nor boxes.
    pub(crate) lines: Lines<L::Idx>,
    pub(crate) points: PointStore,
}

impl<L: Layout> Trees<L> {
    pub(crate) fn new(point_len: usize, seeds: impl Iterator<Item = u64>, boxless: u32) -> Self {
        let points = PointStore::new(point_len);
        let head = |seed| Head {
            root: EMPTY,
            n_entries: 0,
            largest: 0,
            n_nodes: 0,
            free: NONE,
            random: Random::new(seed),
        };
        let heads: Vec<Head> = seeds.map(head).collect();
        Self {
            room: 0,
            n_full: 0,
            boxless,
            next: vec![0; heads.len()],
            heads,
            nodes: Vec::new(),
            links: Vec::new(),
            parents: Vec::new(),
            slots: Vec::new(),
            masses: Vec::new(),
            weights: Vec::new(),
            boxes: BoxStore::new(points.padded_len()),
            lines: Lines::new(),
            points,
        }
    }

    /// Makes room for one more entry in every tree.
    pub(crate) fn make_room(&mut self, n_entries: usize, sample_size: usize) {
        if n_entries <= self.room {
            return;
        }
        let room = (2 * self.room).max(n_entries).max(8).min(sample_size);
        let link = Link { parent: L::Idx::NONE, bounds: L::Idx::NONE };
        let n_trees = self.heads.len();
        if self.points.padded_len() == 1 {
            self.lines.make_room(n_trees, room);
        } else {
            spread(&mut self.nodes, n_trees, self.room, room, L::Node::EMPTY);
            spread(&mut self.links, n_trees, self.room, room, link);
        }
        spread(&mut self.parents, n_trees, self.room, room, L::Idx::NONE);
        spread(&mut self.slots, n_trees, self.room, room, L::Idx::NONE);
        spread(&mut self.masses, n_trees, self.room, room, L::Idx::new(0));
        spread(&mut self.weights, n_trees, self.room, room, 0.0);
        self.room = room;
    }

    #[inline(always)]
    pub(crate) fn is_leaf(at: Ref) -> bool {
        at & L::LEAF != 0
    }

    /// Where a leaf's or node's numbers stand in the lists.
    #[inline(always)]
    pub(crate) fn place(&self, tree: usize, at: Ref) -> usize {
        tree * self.room + (at & !L::LEAF) as usize
    }

    #[inline(always)]
    pub(crate) fn parent_of(&self, tree: usize, at: Ref) -> u32 {
        let place = self.place(tree, at);
        number(if Self::is_leaf(at) { self.parents[place] } else { self.links[place].parent })
    }

    pub(crate) fn sibling_of(&self, tree: usize, at: Ref, parent: Ref) -> Ref {
        let node = self.nodes[self.place(tree, parent)];
        node.child(node.child(false) == at)
    }

    #[inline(always)]
    pub(crate) fn leaf_point(&self, tree: usize, leaf: Ref) -> &[f32] {
        self.points.get(self.slots[self.place(tree, leaf)].get())
    }

    /// The box of a node or leaf, that of a node put together in `scratch`, which has twice the
    /// numbers of a stored point.
    #[inline(always)]
    pub(crate) fn bounds<'a>(&'a self, tree: usize, at: Ref, scratch: &'a mut [f32]) -> Bounds<'a> {
        if Self::is_leaf(at) {
            return Bounds::of_point(self.leaf_point(tree, at));
        }
        let kept = self.links[self.place(tree, at)].bounds;
        if kept != L::Idx::NONE {
            return packed::unpack(self.boxes.numbers(kept.get()), scratch);
        }
        self.gather(tree, at, scratch);
        Bounds::of(scratch)
    }

    /// The packed box of a node or leaf; one that is not kept is put together in `scratch`.
    #[inline(always)]
    pub(crate) fn part<'a, K: Kernel, const LENGTH: usize>(
        &'a self,
        tree: usize,
        at: Ref,
        scratch: &'a mut [f32],
    ) -> Part<'a> {
        let place = self.place(tree, at);
        if Self::is_leaf(at) {
            return Part::of_point(self.points.get_of::<LENGTH>(self.slots[place].get()));
        }
        let kept = self.links[place].bounds;
        if kept != L::Idx::NONE {
            return Part::of_box(self.boxes.numbers_of::<LENGTH>(kept.get()));
        }
        let scratch = of_box::<LENGTH>(scratch);
        let node = self.nodes[place];
        let (left, right) = (node.child(false), node.child(true));
        if left & right & L::LEAF == 0 {
            self.gather_packed::<K>(tree, at, scratch);
            return Part::of_box(scratch);
        }
        let point = |leaf| self.points.get_of::<LENGTH>(self.slots[self.place(tree, leaf)].get());
        K::join(scratch, Part::of_point(point(left)), Part::of_point(point(right)));
        Part::of_box(scratch)
    }

    /// Packs the box of a node without one.
    #[inline(always)]
    pub(crate) fn gather_packed<K: Kernel>(&self, tree: usize, at: Ref, numbers: &mut [f32]) {
        let mut leaves = self.leaves(tree, at);
        let (Some(first), Some(second)) = (leaves.next(), leaves.next()) else { return };
        let first = Part::of_point(self.leaf_point(tree, first));
        K::join(numbers, first, Part::of_point(self.leaf_point(tree, second)));
        for leaf in leaves {
            K::hold(numbers, self.leaf_point(tree, leaf));
        }
    }

    /// Puts the box of a node without one together from its points.
    fn gather(&self, tree: usize, at: Ref, numbers: &mut [f32]) {
        let mut first = true;
        for leaf in self.leaves(tree, at) {
            let point = self.leaf_point(tree, leaf);
            if first {
                let (min, max) = numbers.split_at_mut(point.len());
                min.copy_from_slice(point);
                max.copy_from_slice(point);
                first = false;
            } else {
                merge(numbers, Bounds::of_point(point));
            }
        }
    }

    /// Whether a node has at most so many leaves below, [`MOST_BOXLESS`] at most.
    #[inline(always)]
    pub(crate) fn has_at_most(&self, tree: usize, at: Ref, most: u32) -> bool {
        if most == 2 && !Self::is_leaf(at) {
            let node = self.nodes[self.place(tree, at)];
            return node.child(false) & node.child(true) & L::LEAF != 0;
        }
        let mut leaves = self.leaves(tree, at);
        let n_leaves = leaves.by_ref().take(most as usize + 1).count();
        n_leaves <= most as usize && !leaves.too_many
    }

    /// The leaves below a node, as long as few wait.
    #[inline(always)]
    fn leaves(&self, tree: usize, at: Ref) -> Leaves<'_, L> {
        let mut waiting = [0; MOST_BOXLESS as usize];
        waiting[0] = at;
        Leaves { trees: self, tree, waiting, n_waiting: 1, too_many: false }
    }

    /// The leaf that the cuts lead a point to; the tree must not be empty.
    pub(crate) fn descend(&self, tree: usize, point: &[f32]) -> Ref {
        let mut at = self.heads[tree].root;
        while !Self::is_leaf(at) {
            let node = self.nodes[self.place(tree, at)];
            at = node.child(point[node.dim() as usize] > node.cut());
        }
        at
    }

    /// How far below the root a node or leaf is.
    pub(crate) fn depth(&self, tree: usize, at: Ref) -> u32 {
        let mut depth = 0;
        let mut parent = self.parent_of(tree, at);
        while parent != NONE {
            depth += 1;
            parent = self.parent_of(tree, parent);
        }
        depth
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.heads.capacity() * size_of::<Head>()
            + self.next.capacity() * size_of::<u64>()
            + self.nodes.capacity() * size_of::<L::Node>()
            + self.links.capacity() * size_of::<Link<L::Idx>>()
            + (self.parents.capacity() + self.slots.capacity() + self.masses.capacity())
                * size_of::<L::Idx>()
            + self.weights.capacity() * size_of::<f32>()
            + self.boxes.size_bytes()
            + self.lines.size_bytes()
            + self.points.size_bytes()
    }
}

/// The leaves of a small subtree, from left to right; those of a large one end early.
struct Leaves<'a, L: Layout> {
    trees: &'a Trees<L>,
    tree: usize,
    // Every reference that waits has a leaf of its own below.
    waiting: [Ref; MOST_BOXLESS as usize],
    n_waiting: usize,
    too_many: bool,
}

impl<L: Layout> Iterator for Leaves<'_, L> {
    type Item = Ref;

    #[inline(always)]
    fn next(&mut self) -> Option<Ref> {
        self.n_waiting = self.n_waiting.checked_sub(1)?;
        let mut at = self.waiting[self.n_waiting];
        while !Trees::<L>::is_leaf(at) {
            let node = self.trees.nodes[self.trees.place(self.tree, at)];
            let Some(last) = self.waiting.get_mut(self.n_waiting) else {
                (self.n_waiting, self.too_many) = (0, true);
                return None;
            };
            *last = node.child(true);
            self.n_waiting += 1;
            at = node.child(false);
        }
        Some(at)
    }
}

/// A stored index as a number, [`NONE`] where there is none.
#[inline(always)]
pub(crate) fn number<I: Idx>(index: I) -> u32 {
    if index == I::NONE { NONE } else { index.get() }
}

/// A number as a stored index.
#[inline(always)]
pub(crate) fn index<I: Idx>(number: u32) -> I {
    if number == NONE { I::NONE } else { I::new(number) }
}

/// Whether an entry has no leaf of its own.
#[inline(always)]
pub(crate) fn is_twin<I: Idx>(parent: I) -> bool {
    parent != I::NONE && parent.get() & I::TWIN != 0
}

/// Gives every tree's part of a list more room.
pub(crate) fn spread<T: Copy>(list: &mut Vec<T>, n_trees: usize, old: usize, new: usize, empty: T) {
    let mut spread = Vec::with_capacity(n_trees * new);
    for tree in 0..n_trees {
        spread.extend_from_slice(&list[tree * old..(tree + 1) * old]);
        spread.resize((tree + 1) * new, empty);
    }
    *list = spread;
}
