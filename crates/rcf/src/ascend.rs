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
///
/// Boxes further up hold the point too and change nothing. Which one is the first can hardly be
/// foreseen, and a wrong guess of the processor costs more than a few boxes. So all trees go up some
/// steps without a look, then those that are not done some more.
#[inline(always)]
pub(crate) fn score<L: Layout, K: Kernel, const LENGTH: usize>(
    trees: &Trees<L>,
    tables: &Tables,
    found: &Found,
    point: &[f32],
    scratch: &mut [f32],
) -> f64 {
    let point = of_length::<LENGTH>(point);
    let mut ways = Ways::new(point.len());
    for lane in 0..found.n {
        let lane = lane & WRAP;
        ways.start::<L, K, LENGTH>(trees, tables, found, lane, point);
    }
    ways.leave_pairs::<L, K, LENGTH>(trees, tables, found, point);
    let mut n_steps = FIRST_STEPS;
    while ways.n_going > 0 {
        ways.go_on::<L, K, LENGTH>(trees, tables, found, point, n_steps, scratch);
        n_steps = MORE_STEPS;
    }
    let mut scores = [0.0; BATCH];
    for lane in 0..found.n {
        let lane = lane & WRAP;
        let tree = found.trees[lane] as usize;
        scores[tree & WRAP] = ways.values[lane] * tables.log2_1p(trees.heads[tree].n_entries);
    }
    sum_of_trees(&scores)
}

/// The ways up a batch of trees.
struct Ways {
    values: [f64; BATCH],
    depths: [u32; BATCH],
    /// The next nodes.
    nodes: [u32; BATCH],
    open: [Open; BATCH],
    /// The lanes that are not done.
    going: [u8; BATCH],
    n_going: usize,
    /// The lanes whose first step is out of a pair.
    pairs: [u8; BATCH],
    n_pairs: usize,
}

#[inline(always)]
fn small(lane: usize) -> u8 {
    #[expect(clippy::cast_possible_truncation, reason = "a batch has fewer than 256 trees")]
    {
        lane as u8
    }
}

impl Ways {
    #[inline(always)]
    fn new(point_len: usize) -> Self {
        Self {
            values: [0.0; BATCH],
            depths: [0; BATCH],
            nodes: [0; BATCH],
            open: [Open::all(point_len); BATCH],
            going: [0; BATCH],
            n_going: 0,
            pairs: [0; BATCH],
            n_pairs: 0,
        }
    }

    /// Sees the leaf of a lane.
    #[inline(always)]
    fn start<L: Layout, K: Kernel, const LENGTH: usize>(
        &mut self,
        trees: &Trees<L>,
        tables: &Tables,
        found: &Found,
        lane: usize,
        point: &[f32],
    ) {
        let place = (found.bases[lane] + (found.leaves[lane] & !L::LEAF)) as usize;
        let depth = found.depths[lane];
        let stored = trees.points.get_of::<LENGTH>(trees.slots[place].get());
        if K::equals(stored, point) {
            // The boxes above hold the point: nothing parts it before the leaf.
            let mass = trees.heads[found.trees[lane] as usize].n_entries;
            let leaf_mass = trees.masses[place].get();
            self.values[lane] = Tables::damp(leaf_mass, mass) * tables.seen(depth, leaf_mass);
            return;
        }
        self.values[lane] = tables.unseen(depth);
        self.depths[lane] = depth;
        let node = trees.parents[place];
        self.nodes[lane] = node.get();
        if !is_long(point.len()) || trees.boxless != 2 || node == L::Idx::NONE {
            return self.keep(lane, node != L::Idx::NONE);
        }
        let link = trees.links[found.bases[lane] as usize + node.get() as usize];
        let is_pair = link.bounds == L::Idx::NONE;
        self.pairs[self.n_pairs & WRAP] = small(lane);
        self.n_pairs += usize::from(is_pair);
        self.keep(lane, !is_pair);
    }

    /// Takes the first step in the lanes whose leaf is one of two below a node without a box: apart
    /// from the others, as which ones they are cannot be foreseen.
    #[inline(always)]
    fn leave_pairs<L: Layout, K: Kernel, const LENGTH: usize>(
        &mut self,
        trees: &Trees<L>,
        tables: &Tables,
        found: &Found,
        point: &[f32],
    ) {
        for at in 0..self.n_pairs {
            let lane = usize::from(self.pairs[at & WRAP]) & WRAP;
            let base = found.bases[lane] as usize;
            let node = self.nodes[lane];
            let children = trees.nodes[base + node as usize];
            let (excess, range_sum) = of_pair::<L, K, LENGTH>(trees, base, children, point);
            self.depths[lane] -= 1;
            let value = self.values[lane];
            let unseen = tables.unseen(self.depths[lane]);
            self.values[lane] = value + parting(excess, range_sum) * (unseen - value);
            let parent = trees.links[base + node as usize].parent;
            self.nodes[lane] = parent.get();
            self.keep(lane, (parent != L::Idx::NONE) & (excess != 0.0));
        }
    }

    /// Notes a lane that is not done.
    #[inline(always)]
    fn keep(&mut self, lane: usize, goes_on: bool) {
        self.going[self.n_going & WRAP] = small(lane);
        self.n_going += usize::from(goes_on);
    }

    /// Goes some steps up in each lane that is not done.
    #[inline(always)]
    fn go_on<L: Layout, K: Kernel, const LENGTH: usize>(
        &mut self,
        trees: &Trees<L>,
        tables: &Tables,
        found: &Found,
        point: &[f32],
        n_steps: u32,
        scratch: &mut [f32],
    ) {
        let n_going = core::mem::take(&mut self.n_going);
        let boxes = trees.boxes.all::<LENGTH>();
        let all_links = &trees.links[..];
        for at in 0..n_going {
            if is_long(point.len()) && at + TREES_AHEAD < n_going {
                let ahead = usize::from(self.going[(at + TREES_AHEAD) & WRAP]) & WRAP;
                let base = found.bases[ahead] as usize;
                ask_for_steps::<L, LENGTH>(trees, base, self.nodes[ahead], n_steps);
            }
            let lane = usize::from(self.going[at & WRAP]) & WRAP;
            let base = found.bases[lane] as usize;
            let links = &all_links[base..];
            let (mut value, mut depth) = (self.values[lane], self.depths[lane]);
            let mut node = L::Idx::new(self.nodes[lane]);
            let mut excess = 0.0;
            for _ in 0..n_steps {
                let link = links[node.get() as usize];
                let range_sum;
                if link.bounds == L::Idx::NONE {
                    (excess, range_sum) =
                        of_boxless::<L, K, LENGTH>(trees, base, node, point, scratch);
                } else {
                    let numbers;
                    (numbers, range_sum) = boxes.get(link.bounds.get());
                    excess = excess_of::<K>(numbers, point, &mut self.open[lane]);
                }
                depth -= 1;
                value += parting(excess, range_sum) * (tables.unseen(depth) - value);
                node = link.parent;
                if node == L::Idx::NONE {
                    break;
                }
            }
            self.values[lane] = value;
            self.depths[lane] = depth;
            self.nodes[lane] = node.get();
            self.keep(lane, (node != L::Idx::NONE) & (excess != 0.0));
        }
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
        return of_boxless::<L, K, LENGTH>(trees, base, node, point, scratch);
    }
    let numbers = trees.boxes.numbers_of::<LENGTH>(bounds.get());
    (excess_of::<K>(numbers, point, open), trees.boxes.range_sum(bounds.get()))
}

#[inline(always)]
fn excess_of<K: Kernel>(numbers: &[f32], point: &[f32], open: &mut Open) -> f64 {
    if point.len() >= VERY_LONG {
        K::excess_where(numbers, point, open)
    } else {
        K::excess(numbers, point)
    }
}

/// The same for a node without a box.
#[inline(always)]
fn of_boxless<L: Layout, K: Kernel, const LENGTH: usize>(
    trees: &Trees<L>,
    base: usize,
    node: L::Idx,
    point: &[f32],
    scratch: &mut [f32],
) -> (f64, f64) {
    let children = trees.nodes[base + node.get() as usize];
    if children.child(false) & children.child(true) & L::LEAF != 0 {
        return of_pair::<L, K, LENGTH>(trees, base, children, point);
    }
    let numbers = of_box::<LENGTH>(scratch);
    trees.gather_packed::<K>(base / trees.room, node.get(), numbers);
    (K::excess(numbers, point), K::range_sum(numbers))
}

/// The same for a node above two leaves.
#[inline(always)]
fn of_pair<L: Layout, K: Kernel, const LENGTH: usize>(
    trees: &Trees<L>,
    base: usize,
    children: L::Node,
    point: &[f32],
) -> (f64, f64) {
    let slot = |leaf: Ref| trees.slots[base + (leaf & !L::LEAF) as usize].get();
    let left = trees.points.get_of::<LENGTH>(slot(children.child(false)));
    let right = trees.points.get_of::<LENGTH>(slot(children.child(true)));
    K::pair(left, right, point)
}

/// Points from this length on leave blocks out on the way up; below, that costs more than it saves.
const VERY_LONG: usize = 128;

const TREES_AHEAD: usize = 2;
/// The steps that all trees take, and those that the ones that are not done take at a time.
const FIRST_STEPS: u32 = 5;
const MORE_STEPS: u32 = 2;

/// Asks for what the next steps up need.
#[inline(always)]
fn ask_for_steps<L: Layout, const LENGTH: usize>(
    trees: &Trees<L>,
    base: usize,
    node: u32,
    n_steps: u32,
) {
    let mut node = L::Idx::new(node);
    for _ in 0..n_steps {
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
