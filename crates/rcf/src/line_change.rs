//! Learning in trees of one dimension.

use crate::boxes::Bounds;
use crate::cut::cut_at;
use crate::engine::{Present, draw_next};
use crate::layout::{Idx, Layout, key};
use crate::line::{Hole, Spot};
use crate::line_walk::{Ranks, ranks, score};
use crate::sampler::{exponential, exponential_below, largest, takes_unconditionally};
use crate::scan::{Scan, beside};
use crate::tables::Tables;
use crate::trees::{Trees, is_twin};
use crate::walk::BATCH;

/// Learns a number, and returns the sum of its scores before where tables are given.
#[inline(always)]
pub(crate) fn learn<L: Layout, K: Scan>(
    trees: &mut Trees<L>,
    present: &mut Present<'_>,
    tables: Option<&Tables>,
    x: f32,
) -> f64 {
    let n_trees = trees.heads.len();
    let key = key(x);
    let mut sum = 0.0;
    let mut stored = None;
    for start in (0..n_trees).step_by(BATCH) {
        let n_lanes = (n_trees - start).min(BATCH);
        let mut takers = [0_u8; BATCH];
        let mut n_takers = 0;
        let now = present.clock.n_points;
        for (lane, next) in (0..).zip(&trees.next[start..start + n_lanes]) {
            takers[n_takers % BATCH] = lane;
            n_takers += usize::from(*next <= now);
        }
        let takers = takers[..n_takers].iter().map(|lane| usize::from(*lane));
        let found = if let Some(tables) = tables {
            let found = ranks(trees, start, 0..n_lanes, key);
            sum += score::<L, K>(trees, tables, start, n_lanes, &found, x);
            found
        } else {
            ranks(trees, start, takers.clone(), key)
        };
        *present.n_accepted += take::<L, K>(trees, present, start, takers, &found, x, &mut stored);
    }
    sum
}

/// Offers a number to the trees of a batch whose turn it is; says how many took it.
#[inline(always)]
fn take<L: Layout, K: Scan>(
    trees: &mut Trees<L>,
    present: &Present<'_>,
    start: usize,
    takers: impl Iterator<Item = usize> + Clone,
    found: &Ranks,
    x: f32,
    stored: &mut Option<u32>,
) -> u64 {
    let mut n_accepted = 0;
    for lane in takers.clone() {
        let tree = start + lane;
        if let Some((entry, hole)) = admit::<L, K>(trees, present, tree) {
            let rank = found[lane % BATCH] as usize;
            // The cuts that are left of it may be one fewer now.
            let rank = rank - usize::from(hole.gap < rank);
            insert::<L, K>(trees, tree, entry, hole, rank, x, stored);
            n_accepted += 1;
        }
    }
    for lane in takers {
        draw_next(trees, start + lane, present.policy, present.clock);
    }
    n_accepted
}

/// Offers the present number to a sample whose turn it is. Where it is taken, its weight is set, the
/// entry that it takes is free, and so is a hole in the line.
#[inline(always)]
fn admit<L: Layout, K: Scan>(
    trees: &mut Trees<L>,
    present: &Present<'_>,
    tree: usize,
) -> Option<(u32, Hole)> {
    let (policy, clock) = (present.policy, &*present.clock);
    let base = tree * trees.room;
    let head = &mut trees.heads[tree];
    if head.n_entries == policy.sample_size {
        let entry = head.largest;
        let weight = &mut trees.weights[base + entry as usize];
        let threshold = clock.threshold(*weight);
        *weight = clock.weight(exponential_below(threshold, &mut head.random)).min(*weight);
        return Some((entry, remove::<L, K>(trees, tree, entry)));
    }
    let weight = clock.weight(exponential(&mut head.random));
    if takes_unconditionally(policy, head.n_entries, &mut head.random) {
        let entry = head.n_entries;
        head.n_entries += 1;
        trees.n_full += usize::from(head.n_entries == policy.sample_size);
        trees.weights[base + entry as usize] = weight;
        return Some((entry, trees.lines.no_hole(tree)));
    }
    let entry = largest(&trees.weights[base..base + head.n_entries as usize]);
    if weight >= trees.weights[base + entry as usize] {
        return None;
    }
    trees.weights[base + entry as usize] = weight;
    Some((entry, remove::<L, K>(trees, tree, entry)))
}

/// Takes an entry out of a tree.
#[inline(always)]
fn remove<L: Layout, K: Scan>(trees: &mut Trees<L>, tree: usize, entry: u32) -> Hole {
    let own = tree * trees.room + entry as usize;
    let twin = trees.parents[own];
    if is_twin(twin) {
        let leaf = tree * trees.room + (twin.get() & !L::Idx::TWIN) as usize;
        trees.masses[leaf] = L::Idx::new(trees.masses[leaf].get() - 1);
        return trees.lines.no_hole(tree);
    }
    let slot = trees.slots[own].get();
    let rank = trees.lines.rank(tree, key(trees.points.get_one(slot)));
    if trees.masses[own].get() > 1 {
        let heir = trees.name_heir(tree, entry);
        trees.lines.entries[tree * trees.lines.width + rank] = L::Idx::new(heir);
        trees.parents[tree * trees.room + heir as usize] = L::Idx::NONE;
        return trees.lines.no_hole(tree);
    }
    trees.points.release(slot);
    trees.lines.remove::<K>(tree, rank)
}

/// Makes a number the entry `entry` of a tree, by the rank of the leaf that the cuts lead it to.
#[inline(always)]
fn insert<L: Layout, K: Scan>(
    trees: &mut Trees<L>,
    tree: usize,
    entry: u32,
    hole: Hole,
    rank: usize,
    x: f32,
    stored: &mut Option<u32>,
) {
    let own = tree * trees.room + entry as usize;
    if trees.lines.n_leaves[tree] == 0 {
        trees.lines.push(tree, x, entry, None);
    } else {
        let place = rank + usize::from(rank >= hole.leaf);
        let nearest = trees.lines.value(tree, place);
        if nearest == x {
            let leaf = trees.lines.entry(tree, place);
            let mass = &mut trees.masses[tree * trees.room + leaf as usize];
            *mass = L::Idx::new(mass.get() + 1);
            trees.parents[own] = L::Idx::new(L::Idx::TWIN | leaf);
            trees.lines.close(tree, hole);
            return;
        }
        let spot = choose_spot::<L, K>(trees, tree, hole, rank, nearest, x);
        trees.lines.fill(tree, hole, &spot, x, entry);
    }
    let slot = match *stored {
        Some(slot) => {
            trees.points.retain(slot);
            slot
        }
        None => *stored.insert(trees.points.insert(&[x])),
    };
    trees.parents[own] = L::Idx::NONE;
    trees.slots[own] = L::Idx::new(slot);
    trees.masses[own] = L::Idx::new(1);
}

/// The topmost cut that parts a number from a subtree, among one random cut for every box on its way
/// that it lies outside of. Boxes further up hold it, and so no cut of theirs can part them.
#[inline(always)]
fn choose_spot<L: Layout, K: Scan>(
    trees: &mut Trees<L>,
    tree: usize,
    hole: Hole,
    rank: usize,
    nearest: f32,
    x: f32,
) -> Spot {
    let lines = &trees.lines;
    let random = &mut trees.heads[tree].random;
    let first = lines.first_depth(tree);
    let is_right = x > nearest;
    let excess = (f64::from(x) - f64::from(nearest)).abs();
    let (left, right) = lines.depths_beside(tree, rank);
    let limit = if is_right { right } else { left };
    let mut at = first + rank - usize::from(is_right);
    let mut depth = if is_right { left } else { right };
    // A leaf's box is a point: every cut of the two parts them.
    let mut offset = random.open01() * excess;
    let mut far = rank;
    let mut new_depth = left.max(right) + 1;
    while depth > limit {
        at = beside::<K>(&lines.depths, at, depth, !is_right);
        let end = at + usize::from(is_right) - first;
        let last = lines.value(tree, end + usize::from(end >= hole.leaf));
        let range = (f64::from(nearest) - f64::from(last)).abs();
        let drawn = random.open01() * (range + excess);
        if drawn < excess {
            (offset, far, new_depth) = (drawn, end, depth);
        }
        depth = lines.depths[at];
    }
    let cut = key(cut_at(Bounds::of_point(&[nearest]), &[x], offset).at);
    Spot { rank, is_right, far, cut, depth: new_depth }
}
