//! The way from a leaf up, for whoever wants to see the boxes on it.

use alloc::vec::Vec;

use crate::boxes::{Bounds, merge};
use crate::layout::Layout;
use crate::view::TreeView;

/// The leaf that the cuts lead a point to.
pub(crate) struct LeafStep<'a> {
    pub(crate) stored: &'a [f32],
    /// Whether it holds the very point.
    pub(crate) is_equal: bool,
    pub(crate) depth: u32,
    pub(crate) mass: u32,
}

/// A box further up that the point lies outside of.
pub(crate) struct NodeStep<'a> {
    pub(crate) bounds: Bounds<'a>,
    pub(crate) excess: f64,
    pub(crate) range_sum: f64,
    pub(crate) depth: u32,
    /// Of the node; 0 where the climber does not want it.
    pub(crate) mass: u32,
}

/// How a climber goes on from a leaf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    /// Not at all.
    Stop,
    /// With the boxes of the nodes.
    Nodes,
    /// With the boxes of the siblings on the way, merged: as though the leaf were not there.
    Siblings,
}

/// Sees the leaf, then the boxes from the lowest on that do not hold the point.
pub(crate) trait Climber {
    /// Whether it needs the masses of nodes, which cost a visit of what is below.
    fn wants_masses(&self) -> bool;
    fn leaf(&mut self, step: &LeafStep<'_>) -> Way;
    fn node(&mut self, step: &NodeStep<'_>);
}

/// Leads a padded point down a tree, and a climber up. `false` where the tree is empty.
pub(crate) fn climb<L: Layout>(
    tree: TreeView<'_, L>,
    point: &[f32],
    climber: &mut impl Climber,
) -> bool {
    let Some(leaf) = tree.leaf_of(point) else { return false };
    let stored = tree.leaf_point(leaf);
    let mut depth = tree.depth(leaf);
    let mut mass = tree.leaf_mass(leaf);
    let way = climber.leaf(&LeafStep { stored, is_equal: stored == point, depth, mass });
    if way == Way::Stop {
        return true;
    }
    let mut scratch = vec![0.0; 2 * point.len()];
    let mut siblings: Vec<f32> = Vec::new();
    let mut below = leaf;
    while let Some(at) = tree.parent_of(below) {
        depth -= 1;
        let sibling = tree.sibling_of(below, at);
        if !climber.wants_masses() {
            mass = 0;
        } else if depth == 0 {
            mass = tree.mass();
        } else {
            mass += tree.mass_below(sibling);
        }
        let bounds = if way == Way::Siblings {
            let sibling = tree.bounds(sibling, &mut scratch);
            if siblings.is_empty() {
                siblings.extend_from_slice(sibling.min);
                siblings.extend_from_slice(sibling.max);
            } else {
                merge(&mut siblings, sibling);
            }
            Bounds::of(&siblings)
        } else {
            tree.bounds(at, &mut scratch)
        };
        let excess = bounds.excess(point);
        if excess == 0.0 {
            // So it is in every box above.
            break;
        }
        let range_sum = bounds.range_sum();
        climber.node(&NodeStep { bounds, excess, range_sum, depth, mass });
        below = at;
    }
    true
}
