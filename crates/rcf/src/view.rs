//! One tree as seen by the questions that are asked seldom.
//!
//! Scores and updates know the lists that trees are packed in; everything else asks here.

use crate::boxes::Bounds;
use crate::kernel::Portable;
use crate::layout::{Idx, Layout, Node, Ref, key};
use crate::line::{Lines, Stretch};
use crate::trees::{EMPTY, NONE, Trees, is_twin};

/// One tree of a forest.
pub(crate) struct TreeView<'a, L: Layout> {
    trees: &'a Trees<L>,
    tree: usize,
}

impl<L: Layout> Clone for TreeView<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L: Layout> Copy for TreeView<'_, L> {}

impl<'a, L: Layout> TreeView<'a, L> {
    /// All trees of a forest.
    pub(crate) fn all(trees: &'a Trees<L>) -> impl Iterator<Item = Self> {
        (0..trees.heads.len()).map(move |tree| Self { trees, tree })
    }

    /// Points in the tree's sample.
    pub(crate) fn mass(self) -> u32 {
        self.trees.heads[self.tree].n_entries
    }

    /// The leaf that the cuts lead a point to; none in an empty tree.
    pub(crate) fn leaf_of(self, point: &[f32]) -> Option<Ref> {
        if let Some(lines) = self.lines() {
            let is_empty = lines.n_leaves[self.tree] == 0;
            return (!is_empty)
                .then(|| leaf::<L>(lines.rank::<Portable>(self.tree, key(point[0]))));
        }
        let is_empty = self.trees.heads[self.tree].root == EMPTY;
        (!is_empty).then(|| self.trees.descend(self.tree, point))
    }

    /// Where the trees are lines, a node is its gap and a leaf its rank.
    fn lines(self) -> Option<&'a Lines<L::Idx>> {
        Some(&self.trees.lines).filter(|lines| lines.are_kept())
    }

    pub(crate) fn leaf_point(self, leaf: Ref) -> &'a [f32] {
        match self.lines() {
            Some(lines) => lines.numbers(self.tree, (leaf & !L::LEAF) as usize),
            None => self.trees.leaf_point(self.tree, leaf),
        }
    }

    pub(crate) fn leaf_mass(self, leaf: Ref) -> u32 {
        let entry = match self.lines() {
            Some(lines) => lines.entry(self.tree, (leaf & !L::LEAF) as usize),
            None => leaf,
        };
        self.trees.masses[self.trees.place(self.tree, entry)].get()
    }

    pub(crate) fn depth(self, at: Ref) -> u32 {
        match self.lines() {
            Some(lines) => {
                let above = lines.above(self.tree, self.stretch(lines, at));
                above.map_or(0, |gap| lines.depth(self.tree, gap).into())
            }
            None => self.trees.depth(self.tree, at),
        }
    }

    pub(crate) fn parent_of(self, at: Ref) -> Option<Ref> {
        match self.lines() {
            Some(lines) => lines.above(self.tree, self.stretch(lines, at)).map(node),
            None => Some(self.trees.parent_of(self.tree, at)).filter(|parent| *parent != NONE),
        }
    }

    pub(crate) fn sibling_of(self, at: Ref, parent: Ref) -> Ref {
        let Some(lines) = self.lines() else {
            return self.trees.sibling_of(self.tree, at, parent);
        };
        let [left, right] = lines.children(self.tree, parent as usize);
        let is_left = self.stretch(lines, at) == left;
        let sibling = if is_left { right } else { left };
        lines.root_of(self.tree, sibling).map_or(leaf::<L>(sibling.0), node)
    }

    /// The leaves below a node or leaf of a line.
    fn stretch(self, lines: &Lines<L::Idx>, at: Ref) -> Stretch {
        let place = (at & !L::LEAF) as usize;
        if Trees::<L>::is_leaf(at) { (place, place) } else { lines.stretch(self.tree, place) }
    }

    /// The box of a node or leaf, perhaps put together in `scratch`: twice a padded point.
    pub(crate) fn bounds<'b>(self, at: Ref, scratch: &'b mut [f32]) -> Bounds<'b>
    where
        'a: 'b,
    {
        let Some(lines) = self.lines() else { return self.trees.bounds(self.tree, at, scratch) };
        let (start, end) = self.stretch(lines, at);
        Bounds { min: lines.numbers(self.tree, start), max: lines.numbers(self.tree, end) }
    }

    /// The points of the sample below a node or leaf.
    ///
    /// Cost: a visit of every node below.
    pub(crate) fn mass_below(self, at: Ref) -> u32 {
        if let Some(lines) = self.lines() {
            let (start, end) = self.stretch(lines, at);
            return (start..=end).map(|rank| self.leaf_mass(leaf::<L>(rank))).sum();
        }
        let mut mass = 0;
        let mut open = vec![at];
        while let Some(at) = open.pop() {
            if Trees::<L>::is_leaf(at) {
                mass += self.leaf_mass(at);
            } else {
                let node = self.trees.nodes[self.trees.place(self.tree, at)];
                open.extend([node.child(true), node.child(false)]);
            }
        }
        mass
    }

    /// The slot of every leaf's point in the store, with the leaf's mass.
    pub(crate) fn slots(self) -> impl Iterator<Item = (u32, u32)> {
        let base = self.tree * self.trees.room;
        (base..base + self.mass() as usize)
            .filter(move |place| !is_twin(self.trees.parents[*place]))
            .map(move |place| (self.trees.slots[place].get(), self.trees.masses[place].get()))
    }
}

/// A node of a line.
fn node(gap: usize) -> Ref {
    Ref::try_from(gap).expect("a sample has at most 65 536 points")
}

/// A leaf of a line.
fn leaf<L: Layout>(rank: usize) -> Ref {
    node(rank) | L::LEAF
}
