//! Putting a point into a tree, and taking one out.

use crate::ascend;
use crate::cut::{Cut, cut_at};
use crate::kernel::Kernel;
use crate::layout::{Idx, Layout, Node, Ref};
use crate::packed::{Open, is_long, of_box, of_length};
use crate::trees::{EMPTY, Link, NONE, Scratch, Trees, index, is_twin, number};
use crate::walk::link;

impl<L: Layout> Trees<L> {
    /// Makes a point the entry `entry` of a tree. `found` is the leaf that the cuts lead it to,
    /// [`EMPTY`] in a tree without any; `stored` is its slot, once it has one.
    #[inline(always)]
    pub(crate) fn insert<K: Kernel, const LENGTH: usize>(
        &mut self,
        tree: usize,
        entry: u32,
        found: Ref,
        point: &[f32],
        stored: &mut Option<u32>,
        scratch: &mut Scratch<'_>,
    ) {
        let point = of_length::<LENGTH>(point);
        let own = tree * self.room + entry as usize;
        let leaf = entry | L::LEAF;
        if found == EMPTY {
            self.heads[tree].root = leaf;
            self.set_leaf(own, NONE, point, stored);
            return;
        }
        let place = self.place(tree, found);
        if K::equals(self.points.get_of::<LENGTH>(self.slots[place].get()), point) {
            self.masses[place] = L::Idx::new(self.masses[place].get() + 1);
            self.parents[own] = L::Idx::new(L::Idx::TWIN | (found & !L::LEAF));
            return;
        }
        let (below, cut) = self.choose_cut::<K, LENGTH>(tree, found, point, scratch);
        let parent = self.parent_of(tree, below);
        let children = if cut.point_is_left { [leaf, below] } else { [below, leaf] };
        let node = self.new_node(tree, L::Node::new(cut.at, cut.dim, children));
        self.set_leaf(own, node, point, stored);
        self.set_parent(tree, below, node);
        self.links[tree * self.room + node as usize] =
            Link { parent: index(parent), bounds: L::Idx::NONE };
        if parent == NONE {
            self.heads[tree].root = node;
        } else {
            self.replace_child(tree, parent, below, node);
        }
        self.keep_box::<K, LENGTH>(tree, node, scratch);
        self.grow::<K, LENGTH>(tree, parent, point, scratch);
    }

    /// The topmost cut that parts a point from a subtree, among one random cut for every box on the
    /// point's way that it lies outside of. Boxes further up hold the point, and so no cut of theirs
    /// can part them.
    #[inline(always)]
    fn choose_cut<K: Kernel, const LENGTH: usize>(
        &mut self,
        tree: usize,
        found: Ref,
        point: &[f32],
        scratch: &mut Scratch<'_>,
    ) -> (Ref, Cut) {
        let mut random = self.heads[tree].random.clone();
        let slot = self.slots[self.place(tree, found)].get();
        // A leaf's box is a point: every cut of the two parts them.
        let leaf_excess = K::distance(self.points.get_of::<LENGTH>(slot), point);
        let mut chosen = (found, random.open01() * leaf_excess);
        let mut open = Open::all(point.len());
        let mut at = self.parent_of(tree, found);
        while at != NONE {
            let (parent, bounds) = link(self, tree, at);
            let bounds = index(bounds);
            let (base, node) = (tree * self.room, index(at));
            let (open, own) = (&mut open, &mut *scratch.own);
            let (excess, range_sum) = ascend::excess_and_range::<L, K, LENGTH>(
                self, base, node, bounds, point, open, own,
            );
            if excess == 0.0 {
                break;
            }
            let offset = random.open01() * (range_sum + excess);
            if offset < excess {
                chosen = (at, offset);
            }
            at = parent;
        }
        self.heads[tree].random = random;
        let (below, offset) = chosen;
        (below, cut_at::<K>(self.part::<K, LENGTH>(tree, below, scratch.own), point, offset))
    }

    #[inline(always)]
    fn set_leaf(&mut self, place: usize, parent: u32, point: &[f32], stored: &mut Option<u32>) {
        let slot = match *stored {
            Some(slot) => {
                self.points.retain(slot);
                slot
            }
            None => *stored.insert(self.points.insert(point)),
        };
        self.parents[place] = index(parent);
        self.slots[place] = L::Idx::new(slot);
        self.masses[place] = L::Idx::new(1);
    }

    #[inline(always)]
    pub(crate) fn new_node(&mut self, tree: usize, node: L::Node) -> Ref {
        let head = &mut self.heads[tree];
        let new = if head.free == NONE {
            head.n_nodes += 1;
            head.n_nodes - 1
        } else {
            let free = head.free;
            head.free = number(self.links[tree * self.room + free as usize].parent);
            free
        };
        self.nodes[tree * self.room + new as usize] = node;
        new
    }

    #[inline(always)]
    pub(crate) fn set_parent(&mut self, tree: usize, at: Ref, parent: u32) {
        let place = self.place(tree, at);
        if Self::is_leaf(at) {
            self.parents[place] = index(parent);
        } else {
            self.links[place].parent = index(parent);
        }
    }

    #[inline(always)]
    fn replace_child(&mut self, tree: usize, parent: u32, old: Ref, new: Ref) {
        let node = &mut self.nodes[tree * self.room + parent as usize];
        *node = node.with_child(node.child(false) != old, new);
    }

    /// Gives a node a box where it has enough leaves.
    #[inline(always)]
    pub(crate) fn keep_box<K: Kernel, const LENGTH: usize>(
        &mut self,
        tree: usize,
        node: Ref,
        scratch: &mut Scratch<'_>,
    ) {
        if self.boxless > 1 && self.has_at_most(tree, node, self.boxless) {
            return;
        }
        self.span::<K, LENGTH>(tree, node, scratch);
        let place = tree * self.room + node as usize;
        self.links[place].bounds =
            L::Idx::new(self.boxes.insert::<K, LENGTH>(of_box::<LENGTH>(scratch.own)));
    }

    /// Puts the box of a node together from those of its children.
    #[inline(always)]
    fn span<K: Kernel, const LENGTH: usize>(
        &self,
        tree: usize,
        node: Ref,
        scratch: &mut Scratch<'_>,
    ) {
        let children = self.nodes[self.place(tree, node)];
        let (left, right) = (children.child(false), children.child(true));
        let left = self.part::<K, LENGTH>(tree, left, scratch.left);
        let right = self.part::<K, LENGTH>(tree, right, scratch.right);
        K::join(of_box::<LENGTH>(scratch.own), left, right);
    }

    /// Grows the boxes from a node up until one holds the point already.
    #[inline(always)]
    fn grow<K: Kernel, const LENGTH: usize>(
        &mut self,
        tree: usize,
        mut at: u32,
        point: &[f32],
        scratch: &mut Scratch<'_>,
    ) {
        let mut open = Open::all(point.len());
        while at != NONE {
            let (parent, bounds) = link(self, tree, at);
            if bounds == NONE {
                self.keep_box::<K, LENGTH>(tree, at, scratch);
            } else if self.boxes.hold::<K, LENGTH>(bounds, point, &mut open) {
                return;
            }
            at = parent;
        }
    }

    /// Takes an entry out of a tree.
    #[inline(always)]
    pub(crate) fn remove<K: Kernel, const LENGTH: usize>(
        &mut self,
        tree: usize,
        entry: u32,
        scratch: &mut Scratch<'_>,
    ) {
        let base = tree * self.room;
        let own = base + entry as usize;
        let parent = self.parents[own];
        if is_twin(parent) {
            let leaf = base + (parent.get() & !L::Idx::TWIN) as usize;
            self.masses[leaf] = L::Idx::new(self.masses[leaf].get() - 1);
            return;
        }
        let parent = number(parent);
        if self.masses[own].get() > 1 {
            self.hand_over(tree, entry, parent);
            return;
        }
        let slot = self.slots[own].get();
        if parent == NONE {
            self.points.release(slot);
            self.heads[tree].root = EMPTY;
            return;
        }
        let sibling = self.sibling_of(tree, entry | L::LEAF, parent);
        let (grandparent, bounds) = link(self, tree, parent);
        self.set_parent(tree, sibling, grandparent);
        if bounds != NONE {
            self.boxes.remove(bounds);
        }
        let head = &mut self.heads[tree];
        self.links[base + parent as usize].parent = index(head.free);
        head.free = parent;
        if grandparent == NONE {
            head.root = sibling;
        } else {
            self.replace_child(tree, grandparent, parent, sibling);
            self.shrink::<K, LENGTH>(tree, grandparent, slot, scratch);
        }
        self.points.release(slot);
    }

    /// Makes an entry's oldest twin the leaf in its place, for the other twins too.
    pub(crate) fn name_heir(&mut self, tree: usize, entry: u32) -> u32 {
        let base = tree * self.room;
        let own = base + entry as usize;
        let old = L::Idx::new(L::Idx::TWIN | entry);
        let mut heir = None;
        for other in 0..self.heads[tree].n_entries {
            let place = base + other as usize;
            if self.parents[place] != old {
                continue;
            }
            let leaf = *heir.get_or_insert(other);
            self.parents[place] = L::Idx::new(L::Idx::TWIN | leaf);
        }
        let leaf = heir.expect("a leaf of mass above 1 has a twin");
        let place = base + leaf as usize;
        self.slots[place] = self.slots[own];
        self.masses[place] = L::Idx::new(self.masses[own].get() - 1);
        leaf
    }

    /// Puts an entry's oldest twin in its place.
    fn hand_over(&mut self, tree: usize, entry: u32, parent: u32) {
        let leaf = self.name_heir(tree, entry);
        self.parents[tree * self.room + leaf as usize] = index(parent);
        if parent == NONE {
            self.heads[tree].root = leaf | L::LEAF;
        } else {
            self.replace_child(tree, parent, entry | L::LEAF, leaf | L::LEAF);
        }
    }

    /// Shrinks the boxes from a node up, without a point that was inside, until one stays as it
    /// was.
    #[inline(always)]
    fn shrink<K: Kernel, const LENGTH: usize>(
        &mut self,
        tree: usize,
        mut at: u32,
        slot: u32,
        scratch: &mut Scratch<'_>,
    ) {
        let mut may_lose_box = self.boxless > 1;
        let mut open = Open::all(self.points.padded_len());
        while at != NONE {
            let (parent, bounds) = link(self, tree, at);
            if bounds != NONE {
                may_lose_box = may_lose_box && self.has_at_most(tree, at, self.boxless);
                if may_lose_box {
                    self.boxes.remove(bounds);
                    self.links[tree * self.room + at as usize].bounds = L::Idx::NONE;
                } else {
                    let old = self.boxes.numbers_of::<LENGTH>(bounds);
                    let point = self.points.get_of::<LENGTH>(slot);
                    if !is_long(point.len()) && !K::touches(old, point) {
                        return;
                    }
                    let node = self.nodes[self.place(tree, at)];
                    let left = self.part::<K, LENGTH>(tree, node.child(false), scratch.left);
                    let right = self.part::<K, LENGTH>(tree, node.child(true), scratch.right);
                    let new = of_box::<LENGTH>(scratch.own);
                    let changes = if is_long(point.len()) {
                        K::shrink_where(old, [left, right], point, &mut open, new)
                    } else {
                        K::join(new, left, right);
                        !K::equals(old, new)
                    };
                    if !changes {
                        return;
                    }
                    self.boxes.replace::<K, LENGTH>(bounds, new, open);
                }
            }
            at = parent;
        }
    }
}
