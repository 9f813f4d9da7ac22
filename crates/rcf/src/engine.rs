//! Scoring and learning over all trees, at the level of the machine.

use alloc::vec::Vec;

use crate::ForestSettings;
use crate::ascend;
#[cfg(target_arch = "x86_64")]
use crate::kernel::Avx2;
use crate::kernel::{Kernel, Portable};
use crate::layout::{Large, Layout, Small};
use crate::level::Level;
use crate::line_change;
use crate::line_walk;
use crate::sampler::{
    Clock, Policy, exponential, exponential_below, largest, points_to_pass, rebase,
    takes_unconditionally,
};
use crate::scan::Scan;
use crate::tables::Tables;
use crate::trees::{EMPTY, Scratch, Trees};
use crate::walk::{self, BATCH, Found, descend, keys_of, ref_of, tree_of};

/// Trees in one of the two packings.
#[derive(Clone, Debug)]
pub(crate) enum AnyTrees {
    Small(Trees<Small>),
    Large(Trees<Large>),
}

impl AnyTrees {
    /// Trees without a point.
    pub(crate) fn new(settings: &ForestSettings) -> Self {
        let (point_len, boxless) = (settings.point_len(), settings.boxless());
        if Small::holds(point_len, settings.sample_size, settings.n_trees) {
            Self::Small(Trees::new(point_len, settings.seeds(), boxless))
        } else {
            Self::Large(Trees::new(point_len, settings.seeds(), boxless))
        }
    }
}

/// Calls an expression with the trees of whatever packing.
macro_rules! with_trees {
    ($any:expr, $trees:ident => $result:expr) => {
        match $any {
            $crate::engine::AnyTrees::Small($trees) => $result,
            $crate::engine::AnyTrees::Large($trees) => $result,
        }
    };
}
pub(crate) use with_trees;

/// What is compiled once for every level.
pub(crate) trait Work {
    type Result;
    fn run<K: Kernel + Scan>(self) -> Self::Result;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
fn run_avx2<W: Work>(work: W) -> W::Result {
    work.run::<Avx2>()
}

/// Does a piece of work as it was compiled for a level.
pub(crate) fn run<W: Work>(level: Level, work: W) -> W::Result {
    match level {
        Level::Portable => work.run::<Portable>(),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => {
            #[expect(unsafe_code, reason = "the loops over dimensions take half the time")]
            // SAFETY: the level is among `Level::available`, which has asked the processor.
            unsafe {
                run_avx2(work)
            }
        }
    }
}

/// Room for a box beside short points.
const SHORT: usize = 256;

struct Score<'a, L: Layout, const ONE: bool> {
    trees: &'a Trees<L>,
    tables: &'a Tables,
    point: &'a [f32],
}

impl<L: Layout, const ONE: bool> Work for Score<'_, L, ONE> {
    type Result = f64;

    #[inline(always)]
    fn run<K: Kernel + Scan>(self) -> f64 {
        let Self { trees, tables, point } = self;
        if ONE && trees.lines.are_kept() {
            return line_walk::score_all::<L, K>(trees, tables, point[0]);
        }
        let (mut short, mut long) = ([0; walk::SHORT], Vec::new());
        let keys = keys_of(point, &mut short, &mut long);
        let needed = if trees.boxless == 1 { 0 } else { 2 * point.len() };
        if needed <= SHORT {
            score_all::<L, K, ONE>(trees, tables, point, keys, &mut [0.0; SHORT][..needed])
        } else {
            score_all::<L, K, ONE>(trees, tables, point, keys, &mut vec![0.0; needed])
        }
    }
}

#[inline(always)]
fn score_all<L: Layout, K: Kernel, const ONE: bool>(
    trees: &Trees<L>,
    tables: &Tables,
    point: &[f32],
    keys: &[i32],
    scratch: &mut [f32],
) -> f64 {
    let mut sum = 0.0;
    let n_trees = trees.heads.len();
    for start in (0..n_trees).step_by(BATCH) {
        let batch = start..(start + BATCH).min(n_trees);
        let found = descend::<L, ONE>(trees, batch, keys);
        sum += score_found::<L, K, ONE>(trees, tables, &found, point, scratch);
    }
    sum
}

#[inline(always)]
fn score_found<L: Layout, K: Kernel, const ONE: bool>(
    trees: &Trees<L>,
    tables: &Tables,
    found: &Found,
    point: &[f32],
    scratch: &mut [f32],
) -> f64 {
    if ONE {
        walk::score(trees, tables, found, point, scratch)
    } else {
        ascend::score::<L, K>(trees, tables, found, point, scratch)
    }
}

/// The summed scores of a padded point.
pub(crate) fn score_point(level: Level, trees: &AnyTrees, tables: &Tables, point: &[f32]) -> f64 {
    with_trees!(trees, trees => if point.len() == 1 {
        run(level, Score::<_, true> { trees, tables, point })
    } else {
        run(level, Score::<_, false> { trees, tables, point })
    })
}

/// The present, and how samples go on from it.
pub(crate) struct Present<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) clock: &'a mut Clock,
    pub(crate) n_accepted: &'a mut u64,
}

struct Learn<'a, L: Layout, const ONE: bool> {
    trees: &'a mut Trees<L>,
    present: Present<'a>,
    // Where the point is to be scored first.
    tables: Option<&'a Tables>,
    point: &'a [f32],
    scratch: &'a mut [f32],
}

impl<L: Layout, const ONE: bool> Work for Learn<'_, L, ONE> {
    type Result = f64;

    #[inline(always)]
    fn run<K: Kernel + Scan>(self) -> f64 {
        let Self { trees, mut present, tables, point, scratch } = self;
        let Present { policy, clock, .. } = &mut present;
        if let Some(factor) = clock.tick(policy) {
            let samples = trees.weights.chunks_exact_mut(trees.room.max(1));
            samples.for_each(|weights| rebase(weights, factor));
            if ONE && trees.lines.are_kept() {
                line_change::rebase::<L, K>(trees);
            }
        }
        let n_trees = trees.heads.len();
        if trees.n_full < n_trees {
            let most = trees.heads.iter().map(|head| head.n_entries).max().unwrap_or(0);
            let wanted = (most + 1).min(policy.sample_size) as usize;
            trees.make_room(wanted, policy.sample_size as usize);
        }
        if ONE && trees.lines.are_kept() {
            return line_change::learn::<L, K>(trees, &mut present, tables, point[0]);
        }
        let Present { policy, clock, n_accepted } = present;
        let (mut short, mut long) = ([0; walk::SHORT], Vec::new());
        let keys = keys_of(point, &mut short, &mut long);
        let mut scratch = Scratch::of(scratch);
        let mut sum = 0.0;
        let mut stored = None;
        for start in (0..n_trees).step_by(BATCH) {
            let end = (start + BATCH).min(n_trees);
            let mut scored = None;
            if let Some(tables) = tables {
                let found = descend::<L, ONE>(trees, start..end, keys);
                sum += score_found::<L, K, ONE>(trees, tables, &found, point, scratch.own);
                scored = Some(found);
            }
            let mut takers = [0_usize; BATCH];
            let mut n_takers = 0;
            for tree in start..end {
                takers[n_takers % BATCH] = tree;
                n_takers += usize::from(trees.next[tree] <= clock.n_points);
            }
            let takers = &takers[..n_takers];
            if !ONE {
                for tree in takers {
                    ascend::ask_for_way_out(trees, *tree);
                }
            }
            let mut entries = [NO_ENTRY; BATCH];
            for tree in takers {
                if let Some(entry) = admit::<L, K, ONE>(trees, *tree, policy, clock, &mut scratch) {
                    entries[tree - start] = entry;
                    *n_accepted += 1;
                }
            }
            let admitted = takers.iter().copied().filter(|tree| entries[tree - start] != NO_ENTRY);
            // Where the point was scored, it is known where it goes, but for the trees whose leaf
            // of it has just left.
            let known = scored.is_some();
            let found = scored.unwrap_or_else(|| descend::<L, ONE>(trees, admitted.clone(), keys));
            let mut leaves = [EMPTY; BATCH];
            for lane in 0..found.n {
                let at = found.leaves[lane];
                leaves[tree_of(at) - start] = ref_of(at);
                if !ONE && !known {
                    ascend::ask_for_way_up(trees, tree_of(at), ref_of(at));
                }
            }
            for tree in admitted {
                let entry = entries[tree - start];
                let mut leaf = leaves[tree - start];
                if known && leaf == entry | L::LEAF {
                    let is_empty = trees.heads[tree].root == EMPTY;
                    leaf = if is_empty { EMPTY } else { trees.descend(tree, point) };
                }
                trees.insert::<K, ONE>(tree, entry, leaf, point, &mut stored, &mut scratch);
                draw_next(trees, tree, policy, clock);
            }
        }
        sum
    }
}

const NO_ENTRY: u32 = u32::MAX;

/// Offers the present point to a sample whose turn it is. Where it is taken, its weight is set and
/// the entry that it takes is free; its place in the tree is still to be found.
#[inline(always)]
fn admit<L: Layout, K: Kernel, const ONE: bool>(
    trees: &mut Trees<L>,
    tree: usize,
    policy: &Policy,
    clock: &Clock,
    scratch: &mut Scratch<'_>,
) -> Option<u32> {
    let base = tree * trees.room;
    let head = &mut trees.heads[tree];
    if head.n_entries == policy.sample_size {
        let entry = head.largest;
        let weight = &mut trees.weights[base + entry as usize];
        let threshold = clock.threshold(*weight);
        *weight = clock.weight(exponential_below(threshold, &mut head.random)).min(*weight);
        trees.remove::<K, ONE>(tree, entry, scratch);
        return Some(entry);
    }
    let weight = clock.weight(exponential(&mut head.random));
    if takes_unconditionally(policy, head.n_entries, &mut head.random) {
        let entry = head.n_entries;
        head.n_entries += 1;
        trees.n_full += usize::from(head.n_entries == policy.sample_size);
        trees.weights[base + entry as usize] = weight;
        return Some(entry);
    }
    let entry = largest(&trees.weights[base..base + head.n_entries as usize]);
    if weight >= trees.weights[base + entry as usize] {
        return None;
    }
    trees.weights[base + entry as usize] = weight;
    trees.remove::<K, ONE>(tree, entry, scratch);
    Some(entry)
}

/// Draws which point enters a full sample next.
#[inline(always)]
pub(crate) fn draw_next<L: Layout>(
    trees: &mut Trees<L>,
    tree: usize,
    policy: &Policy,
    clock: &Clock,
) {
    let head = &mut trees.heads[tree];
    if head.n_entries < policy.sample_size {
        return;
    }
    let weights = &trees.weights[tree * trees.room..][..head.n_entries as usize];
    head.largest = largest(weights);
    let threshold = clock.threshold(weights[head.largest as usize]);
    trees.next[tree] = clock.n_points + 1 + points_to_pass(policy, threshold, &mut head.random);
}

/// Learns a padded point, and returns the sum of its scores before where tables are given.
pub(crate) fn learn(
    level: Level,
    trees: &mut AnyTrees,
    present: Present<'_>,
    tables: Option<&Tables>,
    point: &[f32],
    scratch: &mut [f32],
) -> f64 {
    with_trees!(trees, trees => if point.len() == 1 {
        run(level, Learn::<_, true> { trees, present, tables, point, scratch })
    } else {
        run(level, Learn::<_, false> { trees, present, tables, point, scratch })
    })
}
