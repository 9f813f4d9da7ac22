//! One tree as seen by the questions that are asked seldom.
//!
//! Scores and updates know the lists that trees are packed in; everything else asks here.

use crate::boxes::Bounds;
use crate::layout::{Idx, Layout, Node, Ref};
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
        let is_empty = self.trees.heads[self.tree].root == EMPTY;
        (!is_empty).then(|| self.trees.descend(self.tree, point))
    }

    pub(crate) fn leaf_point(self, leaf: Ref) -> &'a [f32] {
        self.trees.leaf_point(self.tree, leaf)
    }

    pub(crate) fn leaf_mass(self, leaf: Ref) -> u32 {
        self.trees.masses[self.trees.place(self.tree, leaf)].get()
    }

    pub(crate) fn depth(self, at: Ref) -> u32 {
        self.trees.depth(self.tree, at)
    }

    pub(crate) fn parent_of(self, at: Ref) -> Option<Ref> {
        Some(self.trees.parent_of(self.tree, at)).filter(|parent| *parent != NONE)
    }

    pub(crate) fn sibling_of(self, at: Ref, parent: Ref) -> Ref {
        self.trees.sibling_of(self.tree, at, parent)
    }

    /// The box of a node or leaf, perhaps put together in `scratch`: twice a padded point.
    pub(crate) fn bounds<'b>(self, at: Ref, scratch: &'b mut [f32]) -> Bounds<'b>
    where
        'a: 'b,
    {
        self.trees.bounds(self.tree, at, scratch)
    }

    /// The points of the sample below a node or leaf.
    ///
    /// Cost: a visit of every node below.
    pub(crate) fn mass_below(self, at: Ref) -> u32 {
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
