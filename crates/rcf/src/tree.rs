//! One tree: nested boxes over the points of a sample, cut at random.

use crate::boxes::{Bounds, Cut, cut_at, merge};
use crate::points::PointStore;
use crate::random::Random;

/// A node or a leaf. Leaves have the highest bit set; so has [`NONE`].
pub(crate) type Ref = u32;
/// No parent (of the root), no root (of an empty tree).
pub(crate) const NONE: Ref = u32::MAX;
const LEAF: u32 = 1 << 31;

pub(crate) fn is_leaf(node: Ref) -> bool {
    node & LEAF != 0
}

pub(crate) fn leaf_ref(leaf: u32) -> Ref {
    leaf | LEAF
}

pub(crate) fn leaf_idx(node: Ref) -> usize {
    (node & !LEAF) as usize
}

/// What a walk down needs of an inner node: sixteen bytes, apart from its box.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    /// Points with `point[dim] <= cut` are to the left.
    pub(crate) cut: f32,
    pub(crate) dim: u32,
    pub(crate) children: [Ref; 2],
}

/// What a walk up needs of an inner node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Above {
    pub(crate) parent: Ref,
    /// Points below, duplicates included.
    pub(crate) mass: u32,
    /// The summed ranges of the box.
    pub(crate) range_sum: f64,
}

/// A point of the sample, or several equal ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaf {
    pub(crate) slot: u32,
    /// Equal points that the leaf holds; 0 where the leaf is free.
    pub(crate) mass: u32,
    pub(crate) parent: Ref,
}

/// A random cut tree.
///
/// Invariants: every inner node's box is the smallest that holds the points below it; its cut parts
/// the points of its children; no two leaves hold equal points; masses add up.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) root: Ref,
    pub(crate) nodes: Vec<Node>,
    pub(crate) above: Vec<Above>,
    // Of each node the lowest, then the highest coordinates.
    boxes: Vec<f32>,
    pub(crate) leaves: Vec<Leaf>,
    free_nodes: Vec<u32>,
    free_leaves: Vec<u32>,
}

impl Tree {
    pub(crate) fn new() -> Self {
        Self {
            root: NONE,
            nodes: Vec::new(),
            above: Vec::new(),
            boxes: Vec::new(),
            leaves: Vec::new(),
            free_nodes: Vec::new(),
            free_leaves: Vec::new(),
        }
    }

    /// Points in the tree, duplicates included.
    pub(crate) fn mass(&self) -> u32 {
        if self.root == NONE { 0 } else { self.mass_of(self.root) }
    }

    pub(crate) fn mass_of(&self, node: Ref) -> u32 {
        if is_leaf(node) {
            self.leaves[leaf_idx(node)].mass
        } else {
            self.above[node as usize].mass
        }
    }

    pub(crate) fn parent_of(&self, node: Ref) -> Ref {
        if is_leaf(node) {
            self.leaves[leaf_idx(node)].parent
        } else {
            self.above[node as usize].parent
        }
    }

    pub(crate) fn sibling_of(&self, node: Ref, parent: Ref) -> Ref {
        let [left, right] = self.nodes[parent as usize].children;
        if left == node { right } else { left }
    }

    pub(crate) fn bounds<'a>(&'a self, node: Ref, points: &'a PointStore) -> Bounds<'a> {
        if is_leaf(node) {
            Bounds::of_point(points.get(self.leaves[leaf_idx(node)].slot))
        } else {
            let length = 2 * points.point_len();
            Bounds::of(&self.boxes[node as usize * length..][..length])
        }
    }

    /// The leaf that the cuts lead a point to, and its depth; the tree must not be empty.
    #[inline]
    pub(crate) fn descend(&self, point: &[f32]) -> (u32, u32) {
        let mut at = self.root;
        let mut depth = 0;
        while !is_leaf(at) {
            let node = &self.nodes[at as usize];
            at = node.children[usize::from(point[node.dim as usize] > node.cut)];
            depth += 1;
        }
        (at & !LEAF, depth)
    }

    /// Adds a point and returns its leaf. `slot` gives the point's place in the store; it is asked
    /// only where no leaf holds an equal point.
    pub(crate) fn insert(
        &mut self,
        point: &[f32],
        points: &mut PointStore,
        random: &mut Random,
        slot: impl FnOnce(&mut PointStore) -> u32,
    ) -> u32 {
        if self.root == NONE {
            let slot = slot(points);
            let leaf = self.new_leaf(slot, NONE);
            self.root = leaf_ref(leaf);
            return leaf;
        }
        let (found, _) = self.descend(point);
        if points.get(self.leaves[found as usize].slot) == point {
            self.leaves[found as usize].mass += 1;
            self.add_mass(self.leaves[found as usize].parent, 1);
            return found;
        }
        let (below, cut) = self.choose_cut(found, point, points, random);
        let slot = slot(points);
        let parent = self.parent_of(below);
        let mass = self.mass_of(below);
        let leaf = self.new_leaf(slot, NONE);
        let children =
            if cut.point_is_left { [leaf_ref(leaf), below] } else { [below, leaf_ref(leaf)] };
        let node = Node { cut: cut.at, dim: cut.dim, children };
        let node = self.new_node(node, parent, mass, points.point_len());
        self.leaves[leaf as usize].parent = node;
        self.set_parent(below, node);
        if parent == NONE {
            self.root = node;
        } else {
            self.replace_child(parent, below, node);
        }
        self.add_mass(node, 1);
        self.refit(node, points);
        self.grow(parent, point, points);
        leaf
    }

    /// The topmost cut that parts a point from a subtree, among one random cut for every box on the
    /// point's way that it lies outside of. Boxes further up hold the point, and so no cut of
    /// theirs can part them.
    fn choose_cut(
        &self,
        found: u32,
        point: &[f32],
        points: &PointStore,
        random: &mut Random,
    ) -> (Ref, Cut) {
        let mut at = leaf_ref(found);
        let leaf_bounds = self.bounds(at, points);
        // A leaf's box is a point: every cut of the two parts them.
        let offset = random.open01() * leaf_bounds.excess(point);
        let mut chosen = (at, cut_at(leaf_bounds, point, offset));
        loop {
            at = self.parent_of(at);
            if at == NONE {
                return chosen;
            }
            let bounds = self.bounds(at, points);
            let excess = bounds.excess(point);
            if excess == 0.0 {
                return chosen;
            }
            let offset = random.open01() * (self.above[at as usize].range_sum + excess);
            if offset < excess {
                chosen = (at, cut_at(bounds, point, offset));
            }
        }
    }

    /// Takes one point out of a leaf.
    pub(crate) fn remove(&mut self, leaf: u32, points: &mut PointStore) {
        let Leaf { slot, mass, parent } = self.leaves[leaf as usize];
        self.leaves[leaf as usize].mass -= 1;
        if mass > 1 {
            self.take_mass(parent);
            return;
        }
        self.free_leaves.push(leaf);
        points.release(slot);
        if parent == NONE {
            self.root = NONE;
            return;
        }
        let sibling = self.sibling_of(leaf_ref(leaf), parent);
        let grandparent = self.parent_of(parent);
        self.set_parent(sibling, grandparent);
        self.free_nodes.push(parent);
        if grandparent == NONE {
            self.root = sibling;
        } else {
            self.replace_child(grandparent, parent, sibling);
            self.take_mass(grandparent);
            self.shrink(grandparent, points);
        }
    }

    fn new_leaf(&mut self, slot: u32, parent: Ref) -> u32 {
        let leaf = Leaf { slot, mass: 1, parent };
        if let Some(free) = self.free_leaves.pop() {
            self.leaves[free as usize] = leaf;
            return free;
        }
        self.leaves.push(leaf);
        u32::try_from(self.leaves.len() - 1).expect("at most 65 536 leaves")
    }

    /// A node whose box is still to be fitted.
    fn new_node(&mut self, node: Node, parent: Ref, mass: u32, point_len: usize) -> Ref {
        let above = Above { parent, mass, range_sum: 0.0 };
        let length = 2 * point_len;
        if let Some(free) = self.free_nodes.pop() {
            self.nodes[free as usize] = node;
            self.above[free as usize] = above;
            // No fitted box has these numbers: the first fit is a change.
            self.boxes[free as usize * length..][..length].fill(f32::NAN);
            return free;
        }
        self.nodes.push(node);
        self.above.push(above);
        self.boxes.resize(self.nodes.len() * length, f32::NAN);
        u32::try_from(self.nodes.len() - 1).expect("at most 65 535 nodes")
    }

    fn set_parent(&mut self, node: Ref, parent: Ref) {
        if is_leaf(node) {
            self.leaves[leaf_idx(node)].parent = parent;
        } else {
            self.above[node as usize].parent = parent;
        }
    }

    fn replace_child(&mut self, parent: Ref, old: Ref, new: Ref) {
        let children = &mut self.nodes[parent as usize].children;
        children[usize::from(children[0] != old)] = new;
    }

    fn add_mass(&mut self, mut at: Ref, mass: u32) {
        while at != NONE {
            let above = &mut self.above[at as usize];
            above.mass += mass;
            at = above.parent;
        }
    }

    fn take_mass(&mut self, mut at: Ref) {
        while at != NONE {
            let above = &mut self.above[at as usize];
            above.mass -= 1;
            at = above.parent;
        }
    }

    /// Sets a node's box to what its children's boxes span; says whether it changed.
    fn refit(&mut self, node: Ref, points: &PointStore) -> bool {
        let length = 2 * points.point_len();
        let at = node as usize * length;
        let children = self.nodes[node as usize].children;
        let point_len = points.point_len();
        let mut changed = false;
        for side in 0..length {
            let coordinate = |child: Ref| {
                if is_leaf(child) {
                    points.get(self.leaves[leaf_idx(child)].slot)[side % point_len]
                } else {
                    self.boxes[child as usize * length + side]
                }
            };
            let (a, b) = (coordinate(children[0]), coordinate(children[1]));
            let fitted = if side < point_len { a.min(b) } else { a.max(b) };
            // Compared as bits: a box that was never fitted differs in all.
            if self.boxes[at + side].to_bits() != fitted.to_bits() {
                self.boxes[at + side] = fitted;
                changed = true;
            }
        }
        if changed {
            let range_sum = Bounds::of(&self.boxes[at..at + length]).range_sum();
            self.above[node as usize].range_sum = range_sum;
        }
        changed
    }

    /// Grows the boxes from a node up until one holds the point already.
    fn grow(&mut self, mut at: Ref, point: &[f32], points: &PointStore) {
        let length = 2 * points.point_len();
        while at != NONE {
            let own = &mut self.boxes[at as usize * length..][..length];
            if Bounds::of(own).excess(point) == 0.0 {
                return;
            }
            merge(own, Bounds::of_point(point));
            let range_sum = Bounds::of(own).range_sum();
            let above = &mut self.above[at as usize];
            above.range_sum = range_sum;
            at = above.parent;
        }
    }

    /// Shrinks the boxes from a node up until one stays as it was.
    fn shrink(&mut self, mut at: Ref, points: &PointStore) {
        while at != NONE && self.refit(at, points) {
            at = self.above[at as usize].parent;
        }
    }

    /// Builds a tree from its nodes and leaves in preorder; `None` where they are no tree.
    ///
    /// The caller vouches that slots and dimensions are in range.
    pub(crate) fn from_preorder(
        parts: impl Iterator<Item = Part>,
        points: &PointStore,
    ) -> Option<Self> {
        let mut tree = Self::new();
        // Nodes that still wait for their right child, and in between for their left one.
        let mut open: Vec<Ref> = Vec::new();
        for part in parts {
            if tree.root != NONE && open.is_empty() {
                return None;
            }
            let parent = open.last().copied().unwrap_or(NONE);
            let new = match part {
                Part::Node { dim, cut } => {
                    let node = Node { cut, dim, children: [NONE, NONE] };
                    tree.new_node(node, parent, 0, points.point_len())
                }
                Part::Leaf { slot, mass } => {
                    let leaf = tree.new_leaf(slot, parent);
                    tree.leaves[leaf as usize].mass = mass;
                    leaf_ref(leaf)
                }
            };
            if tree.root == NONE {
                tree.root = new;
            } else {
                tree.replace_child(parent, NONE, new);
            }
            if is_leaf(new) {
                while let Some(last) = open.last().copied() {
                    if tree.nodes[last as usize].children[1] == NONE {
                        break;
                    }
                    open.pop();
                }
            } else {
                open.push(new);
            }
        }
        if !open.is_empty() {
            return None;
        }
        // Children come behind their parents: from the last node on, boxes and masses are known.
        for node in (0..tree.nodes.len()).rev() {
            let node = u32::try_from(node).ok()?;
            let [left, right] = tree.nodes[node as usize].children;
            tree.above[node as usize].mass = tree.mass_of(left).checked_add(tree.mass_of(right))?;
            tree.refit(node, points);
            let Node { cut, dim, .. } = tree.nodes[node as usize];
            let lowest_right = tree.bounds(right, points).min[dim as usize];
            if tree.bounds(left, points).max[dim as usize] > cut || cut >= lowest_right {
                return None;
            }
        }
        Some(tree)
    }

    /// Nodes and leaves in preorder; leaves with their index.
    pub(crate) fn preorder(&self) -> Vec<(Part, u32)> {
        let mut parts = Vec::with_capacity(self.nodes.len() + self.leaves.len());
        let mut open: Vec<Ref> = if self.root == NONE { Vec::new() } else { vec![self.root] };
        while let Some(at) = open.pop() {
            if is_leaf(at) {
                let Leaf { slot, mass, .. } = self.leaves[leaf_idx(at)];
                parts.push((Part::Leaf { slot, mass }, at & !LEAF));
            } else {
                let Node { cut, dim, children: [left, right] } = self.nodes[at as usize];
                parts.push((Part::Node { dim, cut }, at));
                open.extend([right, left]);
            }
        }
        parts
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.above.capacity() * size_of::<Above>()
            + self.boxes.capacity() * size_of::<f32>()
            + self.leaves.capacity() * size_of::<Leaf>()
            + (self.free_nodes.capacity() + self.free_leaves.capacity()) * size_of::<u32>()
    }
}

/// A node or a leaf as it is kept in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Part {
    /// Its two subtrees follow.
    Node {
        dim: u32,
        cut: f32,
    },
    Leaf {
        slot: u32,
        mass: u32,
    },
}
