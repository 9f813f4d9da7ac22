//! The way up trees of more than one dimension, side by side.
//!
//! What a tree needs next is asked for when the step before is done, and read when all other trees
//! have done theirs. Where points are long, blocks that the point lies inside of are neither asked
//! for nor read further up; where they are short and of a usual length, the loops over dimensions
//! are compiled for that length.

use crate::kernel::Kernel;
use crate::layout::{Idx, Layout, Node, Ref};
use crate::packed::Open;
use crate::tables::Tables;
use crate::trees::{Link, Trees, is_twin};
use crate::walk::{BATCH, Found, boxless_excess_and_range, equals, parting, ref_of, tree_of};

const WRAP: usize = BATCH - 1;
/// Points from this length on leave blocks out; below, that costs more than it saves.
const LONG: usize = 32;

/// A tree on the way up.
#[derive(Clone, Copy)]
struct Lane<I> {
    value: f64,
    open: Open,
    // Where the tree's part of the lists starts.
    base: usize,
    node: I,
    link: Link<I>,
    depth: u32,
}

/// The sum of the scores of a point in the trees that it was led down in: from each leaf up to the
/// first box that holds the point.
#[inline(always)]
pub(crate) fn score<L: Layout, K: Kernel>(
    trees: &Trees<L>,
    tables: &Tables,
    found: &Found,
    point: &[f32],
    scratch: &mut [f32],
) -> f64 {
    match point.len() {
        8 => score_of::<L, K, 8>(trees, tables, found, point, scratch),
        12 => score_of::<L, K, 12>(trees, tables, found, point, scratch),
        _ => score_of::<L, K, 0>(trees, tables, found, point, scratch),
    }
}

/// The same for points of a length, of any other with a length of 0.
#[inline(always)]
fn score_of<L: Layout, K: Kernel, const LENGTH: usize>(
    trees: &Trees<L>,
    tables: &Tables,
    found: &Found,
    point: &[f32],
    scratch: &mut [f32],
) -> f64 {
    let point = if LENGTH == 0 { point } else { &point[..LENGTH] };
    let open = Open::all(point.len());
    let link = Link { parent: L::Idx::NONE, bounds: L::Idx::NONE };
    let empty = Lane { value: 0.0, open, base: 0, node: L::Idx::NONE, link, depth: 0 };
    let mut lanes = [empty; BATCH];
    for (lane, at) in lanes.iter_mut().zip(&found.leaves[..found.n]) {
        lane.base = tree_of(*at) * trees.room;
        let place = trees.place(tree_of(*at), ref_of(*at));
        trees.points.ask_for(trees.slots[place].get());
        lane.node = trees.parents[place];
        if lane.node != L::Idx::NONE {
            lane.link = trees.links[lane.base + lane.node.get() as usize];
            ask_for(trees, lane, ref_of(*at));
        }
    }
    let mut sum = 0.0;
    let mut going = [0_u8; BATCH];
    let mut n_going = 0;
    for id in 0..found.n {
        let (at, depth) = (found.leaves[id & WRAP], found.depths[id & WRAP]);
        let lane = &mut lanes[id & WRAP];
        let place = trees.place(tree_of(at), ref_of(at));
        let mass = trees.heads[tree_of(at)].n_entries;
        let value = tables.unseen(depth);
        if equals::<false>(trees.points.get(trees.slots[place].get()), point) {
            // The boxes above hold the point: nothing parts it before the leaf.
            let leaf_mass = trees.masses[place].get();
            let value = Tables::damp(leaf_mass, mass) * tables.seen(depth, leaf_mass);
            sum += value * tables.log2_1p(mass);
        } else if lane.node == L::Idx::NONE {
            sum += value * tables.log2_1p(mass);
        } else {
            (lane.value, lane.depth) = (value, depth);
            going[n_going & WRAP] = (id & WRAP) as u8;
            n_going += 1;
        }
    }
    let mut ended = [0_u8; BATCH];
    let mut n_ended = 0;
    while n_going > 0 {
        let mut n_left = 0;
        for at in 0..n_going {
            let id = going[at & WRAP];
            let lane = &mut lanes[usize::from(id) & WRAP];
            let (excess, range_sum) = excess_and_range::<L, K>(
                trees,
                lane.base,
                lane.node,
                lane.link.bounds,
                point,
                &mut lane.open,
                scratch,
            );
            lane.depth -= 1;
            lane.value += parting(excess, range_sum) * (tables.unseen(lane.depth) - lane.value);
            // No branch comes of this: it would be mispredicted once a tree.
            let ends = usize::from((excess == 0.0) | (lane.link.parent == L::Idx::NONE));
            ended[n_ended & WRAP] = id;
            n_ended += ends;
            going[n_left & WRAP] = id;
            n_left += 1 - ends;
            if lane.link.parent == L::Idx::NONE {
                continue;
            }
            lane.node = lane.link.parent;
            lane.link = trees.links[lane.base + lane.node.get() as usize];
            if lane.link.bounds != L::Idx::NONE {
                ask_for_box(trees, lane.link.bounds.get(), point.len(), lane.open);
            }
        }
        n_going = n_left;
    }
    for id in &ended[..n_ended] {
        let id = usize::from(*id) & WRAP;
        let tree = tree_of(found.leaves[id]);
        sum += lanes[id].value * tables.log2_1p(trees.heads[tree].n_entries);
    }
    sum
}

/// Asks for a leaf's parent's box, or for what it follows from.
#[inline(always)]
fn ask_for<L: Layout>(trees: &Trees<L>, lane: &Lane<L::Idx>, leaf: Ref) {
    if lane.link.bounds != L::Idx::NONE {
        trees.boxes.ask_for_all(lane.link.bounds.get());
        return;
    }
    let node = trees.nodes[lane.base + lane.node.get() as usize];
    let other = node.child(node.child(false) == leaf);
    if Trees::<L>::is_leaf(other) {
        let slot = trees.slots[lane.base + (other & !L::LEAF) as usize];
        trees.points.ask_for(slot.get());
    }
}

#[inline(always)]
fn ask_for_box<L: Layout>(trees: &Trees<L>, number: u32, point_len: usize, open: Open) {
    if point_len < LONG {
        trees.boxes.ask_for_all(number);
    } else {
        trees.boxes.ask_for(number, open);
    }
}

/// How far a point lies outside the box of a node of the tree whose part of the lists starts at
/// `base`, and the box's summed ranges. Blocks that are not open are taken for inside; those that
/// are inside may be closed.
#[inline(always)]
pub(crate) fn excess_and_range<L: Layout, K: Kernel>(
    trees: &Trees<L>,
    base: usize,
    node: L::Idx,
    bounds: L::Idx,
    point: &[f32],
    open: &mut Open,
    scratch: &mut [f32],
) -> (f64, f64) {
    if bounds == L::Idx::NONE {
        let children = trees.nodes[base + node.get() as usize];
        let (left, right) = (children.child(false), children.child(true));
        if left & right & L::LEAF != 0 {
            let left = trees.slots[base + (left & !L::LEAF) as usize];
            let right = trees.slots[base + (right & !L::LEAF) as usize];
            let length = point.len();
            let (left, right) = (trees.points.get(left.get()), trees.points.get(right.get()));
            return K::pair(&left[..length], &right[..length], point);
        }
        let tree = base / trees.room;
        return boxless_excess_and_range(trees, tree, node.get(), point, scratch);
    }
    let numbers = &trees.boxes.numbers(bounds.get())[..2 * point.len()];
    let excess = if point.len() < LONG {
        K::excess(numbers, point)
    } else {
        K::excess_where(numbers, point, open)
    };
    (excess, trees.boxes.range_sum(bounds.get()))
}

/// Levels above a leaf at which the siblings' boxes are asked for too: further up, few of a point's
/// numbers still matter.
const LEVELS_OF_SIBLINGS: u32 = 5;

/// Asks for the boxes above the leaf that leaves a full sample next, and for those of the siblings:
/// fetching those of all takers at once takes little more time than fetching one.
#[inline(always)]
pub(crate) fn ask_for_way_out<L: Layout>(trees: &Trees<L>, tree: usize) {
    let entry = trees.heads[tree].largest;
    let base = tree * trees.room;
    let mut at = trees.parents[base + entry as usize];
    if is_twin(at) {
        return;
    }
    let (mut below, mut level) = (entry | L::LEAF, 0);
    while at != L::Idx::NONE {
        let place = base + at.get() as usize;
        let link = trees.links[place];
        if link.bounds != L::Idx::NONE {
            trees.boxes.ask_for_all(link.bounds.get());
        }
        if level < LEVELS_OF_SIBLINGS {
            let node = trees.nodes[place];
            let sibling = node.child(node.child(false) == below);
            let beside = base + (sibling & !L::LEAF) as usize;
            if Trees::<L>::is_leaf(sibling) {
                trees.points.ask_for(trees.slots[beside].get());
            } else if trees.links[beside].bounds != L::Idx::NONE {
                trees.boxes.ask_for_all(trees.links[beside].bounds.get());
            }
        }
        (below, at, level) = (at.get(), link.parent, level + 1);
    }
}

/// Asks for the boxes above a leaf.
#[inline(always)]
pub(crate) fn ask_for_way_up<L: Layout>(trees: &Trees<L>, tree: usize, leaf: Ref) {
    let place = trees.place(tree, leaf);
    trees.points.ask_for(trees.slots[place].get());
    let mut at = trees.parents[place];
    while at != L::Idx::NONE {
        let link = trees.links[tree * trees.room + at.get() as usize];
        if link.bounds != L::Idx::NONE {
            trees.boxes.ask_for_all(link.bounds.get());
        }
        at = link.parent;
    }
}
