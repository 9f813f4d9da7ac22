//! Learning in trees of one dimension.

use crate::cut::between;
use crate::engine::Present;
use crate::layout::{Idx, Layout, key};
use crate::line::Hole;
use crate::line_walk::score;
use crate::sampler::{four_points_to_pass, offer};
use crate::scan::{Scan, beside};
use crate::tables::Tables;
use crate::trees::{Trees, is_twin};
use crate::walk::BATCH;

/// Trees that are drawn for at once.
const FOUR: usize = 4;

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
    let mut found = [0; BATCH];
    for start in (0..n_trees).step_by(BATCH) {
        let end = (start + BATCH).min(n_trees);
        let takers = due::<K>(&trees.next[start..end], present.clock.n_points);
        if let Some(tables) = tables {
            sum += score::<L, K>(trees, tables, start, &mut found[..end - start], x);
        } else {
            for lane in Lanes(takers) {
                found[lane] = trees.lines.rank::<K>(start + lane, key);
            }
        }
        let mut entries = [0; BATCH];
        for lane in Lanes(takers) {
            let tree = start + lane;
            if let Some((entry, hole)) = admit::<L, K>(trees, present, tree) {
                let rank = found[lane];
                // The cuts that are left of it may be one fewer now.
                let rank = rank - usize::from(hole.gap < rank);
                insert::<L, K>(trees, tree, entry, hole, rank, x, &mut stored);
                entries[lane] = entry;
                *present.n_accepted += 1;
            }
        }
        draw_next::<L, K>(trees, start, takers, &entries, present);
    }
    sum
}

/// Draws which number enters each sample next that is full; the weights of entries may have changed.
#[inline(always)]
fn draw_next<L: Layout, K: Scan>(
    trees: &mut Trees<L>,
    start: usize,
    takers: u64,
    entries: &[u32; BATCH],
    present: &Present<'_>,
) {
    let (policy, clock) = (present.policy, &*present.clock);
    let mut full = takers;
    for lane in Lanes(takers) {
        let tree = start + lane;
        if trees.heads[tree].n_entries < policy.sample_size {
            full &= !(1 << lane);
            continue;
        }
        let weights = &trees.weights[tree * trees.room..][..policy.sample_size as usize];
        trees.lines.set_peak::<K>(tree, weights, entries[lane] as usize);
    }
    let mut lanes = Lanes(full);
    while lanes.0 != 0 {
        // Four trees at a time, as one instruction calculates for four.
        let (mut of, mut n_of) = ([0; FOUR], 0);
        let (mut thresholds, mut uniform) = ([1.0; FOUR], [0.5; FOUR]);
        for lane in lanes.by_ref().take(FOUR) {
            let tree = start + lane;
            let weights = &trees.weights[tree * trees.room..][..policy.sample_size as usize];
            let largest = trees.lines.largest::<K>(tree, weights);
            let head = &mut trees.heads[tree];
            head.largest = u32::try_from(largest).expect("a sample has at most 65 536 points");
            of[n_of % FOUR] = tree;
            thresholds[n_of % FOUR] = clock.threshold(weights[largest]);
            uniform[n_of % FOUR] = head.random.open01();
            n_of += 1;
        }
        let n_points = four_points_to_pass(policy, thresholds, uniform);
        for (tree, n_points) in of.iter().zip(n_points).take(n_of) {
            trees.next[*tree] = clock.n_points + 1 + n_points;
        }
    }
}

/// The trees of a batch whose turn it is, a bit each.
#[inline(always)]
fn due<K: Scan>(next: &[u64], now: u64) -> u64 {
    let (blocks, rest) = next.as_chunks();
    let mut due = 0;
    for (nth, next) in blocks.iter().enumerate() {
        due |= u64::from(K::due(next, now)) << (4 * nth);
    }
    for (nth, next) in rest.iter().enumerate() {
        due |= u64::from(*next <= now) << (4 * blocks.len() + nth);
    }
    due
}

/// The numbers of the bits that are set.
struct Lanes(u64);

impl Iterator for Lanes {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let lane = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(lane)
    }
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
    let weights = &mut trees.weights[tree * trees.room..][..trees.room];
    let head = &mut trees.heads[tree];
    let known = [head.n_entries, head.largest];
    let (entry, is_new) = offer(policy, clock, &mut head.random, weights, known)?;
    if !is_new {
        return Some((entry, remove::<L, K>(trees, tree, entry)));
    }
    head.n_entries += 1;
    if head.n_entries == policy.sample_size {
        trees.n_full += 1;
        trees.lines.set_peaks::<K>(tree, &weights[..=entry as usize]);
    }
    Some((entry, trees.lines.no_hole(tree)))
}

/// Takes an entry out of a tree.
#[inline(always)]
pub(crate) fn remove<L: Layout, K: Scan>(trees: &mut Trees<L>, tree: usize, entry: u32) -> Hole {
    let own = tree * trees.room + entry as usize;
    let twin = trees.parents[own];
    if is_twin(twin) {
        let leaf = tree * trees.room + (twin.get() & !L::Idx::TWIN) as usize;
        trees.masses[leaf] = L::Idx::new(trees.masses[leaf].get() - 1);
        return trees.lines.no_hole(tree);
    }
    let slot = trees.slots[own].get();
    let rank = trees.lines.rank::<K>(tree, key(trees.points.get_one(slot)));
    if trees.masses[own].get() > 1 {
        let heir = trees.name_heir(tree, entry);
        trees.lines.set_entry(tree, rank, heir);
        trees.parents[tree * trees.room + heir as usize] = L::Idx::NONE;
        return trees.lines.no_hole(tree);
    }
    trees.points.release(slot);
    trees.lines.remove::<K>(tree, rank)
}

/// Makes a number the entry `entry` of a tree, by the rank of the leaf that the cuts lead it to.
#[inline(always)]
pub(crate) fn insert<L: Layout, K: Scan>(
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
        trees.lines.move_hole(tree, hole, (rank, x > nearest), x, entry);
        cut::<L, K>(trees, tree, (hole.gap, rank), nearest, x);
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

/// Cuts a new leaf off, in the gap between it and its neighbour: by the topmost cut that parts it
/// from a subtree, among one random cut for every box on its way that it lies outside of. Boxes
/// further up hold it, and so no cut of theirs can part them.
#[inline(always)]
fn cut<L: Layout, K: Scan>(
    trees: &mut Trees<L>,
    tree: usize,
    (old, gap): (usize, usize),
    nearest: f32,
    x: f32,
) {
    let lines = &trees.lines;
    let random = &mut trees.heads[tree].random;
    let first = lines.first_depth(tree);
    let is_right = x > nearest;
    let excess = (f64::from(x) - f64::from(nearest)).abs();
    let (left, right) = (lines.depths[first + gap - 1], lines.depths[first + gap + 1]);
    let (mut depth, limit) = if is_right { (left, right) } else { (right, left) };
    let mut at = first + gap + 1 - 2 * usize::from(is_right);
    // A leaf's box is a point: every cut of the two parts them.
    let mut offset = random.open01() * excess;
    let mut far = gap + 1 - usize::from(is_right);
    let mut new_depth = left.max(right) + 1;
    while depth > limit {
        at = beside::<K>(&lines.depths, at, depth, !is_right);
        let end = at + usize::from(is_right) - first;
        let range = (f64::from(nearest) - f64::from(lines.value(tree, end))).abs();
        let drawn = random.open01() * (range + excess);
        if drawn < excess {
            (offset, far, new_depth) = (drawn, end, depth);
        }
        depth = lines.depths[at];
    }
    let (low, high) = if is_right { (nearest, x) } else { (x, nearest) };
    let cut = between(low, high, offset);
    trees.lines.set_cut(tree, (old, gap), far, key(cut), new_depth);
}

/// Takes over weights that were all changed.
pub(crate) fn rebase<L: Layout, K: Scan>(trees: &mut Trees<L>) {
    for (tree, head) in trees.heads.iter().enumerate() {
        let weights = &trees.weights[tree * trees.room..][..head.n_entries as usize];
        trees.lines.set_peaks::<K>(tree, weights);
    }
}
