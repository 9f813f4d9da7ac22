//! The way up trees of more than one dimension.
//!
//! Boxes are visited from a leaf up to the first one that holds the point. The processor visits
//! those of a few trees at once by itself, as no step waits for the sums of the one before; what it
//! cannot foresee is asked for a few trees ahead.

use crate::kernel::Kernel;
use crate::layout::{Idx, Layout, Node, Ref};
use crate::packed::{Open, is_long, of_box, of_length};
use crate::tables::Tables;
use crate::trees::{Trees, is_twin};
use crate::walk::{BATCH, Found, parting, sum_of_trees};

const WRAP: usize = BATCH - 1;

/// The sum of the scores of a point in the trees that it was led down in: from each leaf up to the
/// first box that holds the point.
#[inline(always)]
pub(crate) fn score<L: Layout, K: Kernel, const LENGTH: usize>(
    trees: &Trees<L>,
    tables: &Tables,
    found: &Found,
    point: &[f32],
    scratch: &mut [f32],
) -> f64 {
    let point = of_length::<LENGTH>(point);
    let mut scores = [0.0; BATCH];
    for lane in 0..found.n {
        if is_long(point.len()) && lane + TREES_AHEAD < found.n {
            let ahead = (lane + TREES_AHEAD) & WRAP;
            ask_for_first::<L, LENGTH>(trees, found.bases[ahead] as usize, found.leaves[ahead]);
        }
        let lane = lane & WRAP;
        let tree = found.trees[lane] as usize;
        let mass = trees.heads[tree].n_entries;
        let (base, leaf) = (found.bases[lane] as usize, found.leaves[lane]);
        let way = Way { trees, tables, base, leaf, mass };
        let score = way.score::<K, LENGTH>(found.depths[lane], point, scratch);
        scores[tree & WRAP] = score * tables.log2_1p(mass);
    }
    sum_of_trees(&scores)
}

/// The way up from a leaf, in the tree whose part of the lists starts at `base`.
struct Way<'a, L: Layout> {
    trees: &'a Trees<L>,
    tables: &'a Tables,
    base: usize,
    leaf: Ref,
    mass: u32,
}

impl<L: Layout> Way<'_, L> {
    #[inline(always)]
    fn score<K: Kernel, const LENGTH: usize>(
        &self,
        mut depth: u32,
        point: &[f32],
        scratch: &mut [f32],
    ) -> f64 {
        let Self { trees, tables, base, leaf, mass } = *self;
        let place = base + (leaf & !L::LEAF) as usize;
        let stored = trees.points.get_of::<LENGTH>(trees.slots[place].get());
        if K::equals(stored, point) {
            // The boxes above hold the point: nothing parts it before the leaf.
            let leaf_mass = trees.masses[place].get();
            return Tables::damp(leaf_mass, mass) * tables.seen(depth, leaf_mass);
        }
        let mut value = tables.unseen(depth);
        let mut open = Open::all(point.len());
        let mut node = trees.parents[place];
        let mut until_look = FIRST_LOOK;
        let links = &trees.links[base..][..trees.room];
        while node != L::Idx::NONE {
            let link = links[node.get() as usize];
            let open = &mut open;
            let (excess, range_sum) = excess_and_range::<L, K, LENGTH>(
                trees,
                base,
                node,
                link.bounds,
                point,
                open,
                scratch,
            );
            depth -= 1;
            value += parting(excess, range_sum) * (tables.unseen(depth) - value);
            node = link.parent;
            // Boxes further up hold the point too and change nothing. Which one is the first can
            // hardly be foreseen, and a wrong guess costs more than a few boxes.
            until_look -= 1;
            if until_look > 0 {
                continue;
            }
            if excess == 0.0 {
                break;
            }
            until_look = LOOK_EVERY;
        }
        value
    }
}

/// How far a point lies outside the box of a node of the tree whose part of the lists starts at
/// `base`, and the box's summed ranges. Blocks that are not open are taken for inside; those that
/// are inside may be closed.
#[inline(always)]
pub(crate) fn excess_and_range<L: Layout, K: Kernel, const LENGTH: usize>(
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
            let left = trees.points.get_of::<LENGTH>(left.get());
            return K::pair(left, trees.points.get_of::<LENGTH>(right.get()), point);
        }
        let numbers = of_box::<LENGTH>(scratch);
        trees.gather_packed::<K>(base / trees.room, node.get(), numbers);
        return (K::excess(numbers, point), K::range_sum(numbers));
    }
    let numbers = trees.boxes.numbers_of::<LENGTH>(bounds.get());
    let excess = if point.len() >= VERY_LONG {
        K::excess_where(numbers, point, open)
    } else {
        K::excess(numbers, point)
    };
    (excess, trees.boxes.range_sum(bounds.get()))
}

/// Points from this length on leave blocks out on the way up; below, that costs more than it saves.
const VERY_LONG: usize = 128;

const TREES_AHEAD: usize = 2;
/// The step after which it is first seen whether the point is inside, and the steps to the next look.
const FIRST_LOOK: u32 = 7;
const LOOK_EVERY: u32 = 3;

/// Asks for what the first steps up from a leaf need.
#[inline(always)]
fn ask_for_first<L: Layout, const LENGTH: usize>(trees: &Trees<L>, base: usize, leaf: Ref) {
    let place = base + (leaf & !L::LEAF) as usize;
    trees.points.ask_for(trees.slots[place].get());
    let mut node = trees.parents[place];
    for _ in 0..4 {
        if node == L::Idx::NONE {
            return;
        }
        let link = trees.links[base + node.get() as usize];
        if link.bounds != L::Idx::NONE {
            trees.boxes.ask_for::<LENGTH>(link.bounds.get());
        }
        node = link.parent;
    }
}

/// Levels above a leaf at which the siblings' boxes are asked for too: further up, few of a point's
/// numbers still matter.
const LEVELS_OF_SIBLINGS: u32 = 5;

/// Asks for the boxes above the leaf that leaves a full sample next, and for those of the siblings:
/// fetching those of all takers at once takes little more time than fetching one.
#[inline(always)]
pub(crate) fn ask_for_way_out<L: Layout, const LENGTH: usize>(trees: &Trees<L>, tree: usize) {
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
            trees.boxes.ask_for::<LENGTH>(link.bounds.get());
        }
        if level < LEVELS_OF_SIBLINGS {
            let node = trees.nodes[place];
            let sibling = node.child(node.child(false) == below);
            let beside = base + (sibling & !L::LEAF) as usize;
            if Trees::<L>::is_leaf(sibling) {
                trees.points.ask_for(trees.slots[beside].get());
            } else if trees.links[beside].bounds != L::Idx::NONE {
                trees.boxes.ask_for::<LENGTH>(trees.links[beside].bounds.get());
            }
        }
        (below, at, level) = (at.get(), link.parent, level + 1);
    }
}

/// Asks for the boxes above a leaf.
#[inline(always)]
pub(crate) fn ask_for_way_up<L: Layout, const LENGTH: usize>(
    trees: &Trees<L>,
    tree: usize,
    leaf: Ref,
) {
    let place = trees.place(tree, leaf);
    trees.points.ask_for(trees.slots[place].get());
    let mut at = trees.parents[place];
    while at != L::Idx::NONE {
        let link = trees.links[tree * trees.room + at.get() as usize];
        if link.bounds != L::Idx::NONE {
            trees.boxes.ask_for::<LENGTH>(link.bounds.get());
        }
        at = link.parent;
    }
}
