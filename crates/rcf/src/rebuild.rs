//! A tree as a list of its nodes and leaves in preorder, and back.

use alloc::vec::Vec;

use crate::kernel::Portable;
use crate::layout::{Idx, Layout, Node, Ref, key};
use crate::packed::ANY;
use crate::preorder::{Turn, preorder};
use crate::sampler::largest;
use crate::trees::{EMPTY, NONE, Scratch, Trees, index, is_twin};

/// A node, whose two subtrees follow, or a leaf.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Node {
        dim: u32,
        cut: f32,
    },
    Leaf {
        slot: u32,
        /// The entries that it holds, in rising order.
        entries: Vec<u32>,
    },
}

impl<L: Layout> Trees<L> {
    /// Nodes and leaves in preorder.
    pub(crate) fn preorder(&self, tree: usize) -> Vec<Part> {
        let base = tree * self.room;
        let n_entries = self.heads[tree].n_entries;
        let mut holders: Vec<Vec<u32>> = vec![Vec::new(); n_entries as usize];
        for entry in 0..n_entries {
            let parent = self.parents[base + entry as usize];
            let leaf = if is_twin(parent) { parent.get() & !L::Idx::TWIN } else { entry };
            holders[leaf as usize].push(entry);
        }
        if self.lines.are_kept() {
            return self.line_in_preorder(tree, holders);
        }
        let mut parts = Vec::with_capacity(2 * n_entries as usize);
        let root = self.heads[tree].root;
        let mut open: Vec<Ref> = if root == EMPTY { Vec::new() } else { vec![root] };
        while let Some(at) = open.pop() {
            let place = self.place(tree, at);
            if Self::is_leaf(at) {
                let entries = core::mem::take(&mut holders[place - base]);
                parts.push(Part::Leaf { slot: self.slots[place].get(), entries });
            } else {
                let node = self.nodes[place];
                parts.push(Part::Node { dim: node.dim(), cut: node.cut() });
                open.extend([node.child(true), node.child(false)]);
            }
        }
        parts
    }

    /// Builds an empty tree from its parts and weights; `false` where they are no tree.
    ///
    /// The caller vouches that there is room, that slots and dimensions are in range, and that the
    /// leaves hold every entry once.
    pub(crate) fn rebuild(
        &mut self,
        tree: usize,
        parts: &[Part],
        weights: &[f32],
        sample_size: u32,
        scratch: &mut Scratch<'_>,
    ) -> bool {
        let base = tree * self.room;
        let Some(n_entries) = u32::try_from(weights.len()).ok() else { return false };
        self.weights[base..base + weights.len()].copy_from_slice(weights);
        self.heads[tree].n_entries = n_entries;
        self.n_full += usize::from(n_entries == sample_size);
        if n_entries > 0 {
            self.heads[tree].largest = largest(weights);
        }
        if self.lines.are_kept() {
            self.lines.set_peaks::<Portable>(tree, weights);
            return self.rebuild_line(tree, parts);
        }
        // Nodes that still wait for a child, with whether it is the right one.
        let mut open: Vec<(Ref, bool)> = Vec::new();
        for (part_idx, part) in parts.iter().enumerate() {
            let waiting = open.pop();
            if waiting.is_none() && part_idx > 0 {
                return false;
            }
            let parent = waiting.map_or(NONE, |(node, _)| node);
            let new = match part {
                Part::Node { dim, cut } => {
                    if self.heads[tree].n_nodes as usize >= self.room {
                        return false;
                    }
                    let node = self.new_node(tree, L::Node::new(*cut, *dim, [0, 0]));
                    open.push((node, true));
                    open.push((node, false));
                    node
                }
                Part::Leaf { slot, entries } => {
                    let Some((first, twins)) = entries.split_first() else { return false };
                    let place = base + *first as usize;
                    let Some(mass) = u32::try_from(entries.len()).ok() else { return false };
                    self.slots[place] = L::Idx::new(*slot);
                    self.masses[place] = L::Idx::new(mass);
                    for twin in twins {
                        self.parents[base + *twin as usize] = L::Idx::new(L::Idx::TWIN | first);
                    }
                    first | L::LEAF
                }
            };
            self.set_parent(tree, new, parent);
            match waiting {
                None => self.heads[tree].root = new,
                Some((parent, right)) => {
                    let node = &mut self.nodes[base + parent as usize];
                    *node = node.with_child(right, new);
                }
            }
        }
        open.is_empty() && self.fit_boxes(tree, scratch)
    }

    /// Gives the nodes of a new tree their boxes; `false` where a cut does not part its children.
    fn fit_boxes(&mut self, tree: usize, scratch: &mut Scratch<'_>) -> bool {
        // Children come behind their parents.
        for at in (0..self.heads[tree].n_nodes).rev() {
            let place = self.place(tree, at);
            self.links[place].bounds = index(NONE);
            self.keep_box::<Portable, ANY>(tree, at, scratch);
            let node = self.nodes[place];
            let dim = node.dim() as usize;
            let highest_left = self.bounds(tree, node.child(false), scratch.left).max[dim];
            let lowest_right = self.bounds(tree, node.child(true), scratch.right).min[dim];
            if highest_left > node.cut() || node.cut() >= lowest_right {
                return false;
            }
        }
        true
    }

    /// [`Trees::preorder`] of a line, by the entries that each leaf holds.
    fn line_in_preorder(&self, tree: usize, mut holders: Vec<Vec<u32>>) -> Vec<Part> {
        let lines = &self.lines;
        let mut parts = Vec::with_capacity(2 * holders.len());
        if lines.n_leaves[tree] == 0 {
            return parts;
        }
        for turn in preorder(lines.depths_of(tree)) {
            parts.push(match turn {
                Turn::Gap(gap) => Part::Node { dim: 0, cut: lines.cut(tree, gap) },
                Turn::Leaf(rank) => {
                    let entry = lines.entry(tree, rank) as usize;
                    let entries = core::mem::take(&mut holders[entry]);
                    Part::Leaf { slot: self.slots[tree * self.room + entry].get(), entries }
                }
            });
        }
        parts
    }

    /// Builds an empty line from the parts of its tree.
    fn rebuild_line(&mut self, tree: usize, parts: &[Part]) -> bool {
        let base = tree * self.room;
        // Of what still waits for its root: the depth, and the cut to its left.
        let mut open = vec![(1, None)];
        for part in parts {
            let Some((depth, cut)) = open.pop() else { return false };
            match part {
                Part::Node { cut: own, .. } => {
                    let Some(below) = u16::checked_add(depth, 1) else { return false };
                    open.push((below, Some((key(*own), depth))));
                    open.push((below, cut));
                }
                Part::Leaf { slot, entries } => {
                    let Some((first, twins)) = entries.split_first() else { return false };
                    let Some(mass) = u32::try_from(entries.len()).ok() else { return false };
                    let value = self.points.get_one(*slot);
                    if let Some((cut, _)) = cut {
                        let rank = self.lines.n_leaves[tree] as usize - 1;
                        let before = self.lines.value(tree, rank);
                        if key(before) > cut || cut >= key(value) {
                            return false;
                        }
                    }
                    self.lines.push(tree, value, *first, cut);
                    let place = base + *first as usize;
                    self.parents[place] = L::Idx::NONE;
                    self.slots[place] = L::Idx::new(*slot);
                    self.masses[place] = L::Idx::new(mass);
                    for twin in twins {
                        self.parents[base + *twin as usize] = L::Idx::new(L::Idx::TWIN | first);
                    }
                }
            }
        }
        open.is_empty() || parts.is_empty()
    }
}
