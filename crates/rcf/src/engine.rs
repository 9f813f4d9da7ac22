//! Scoring and learning over all trees, at the level of the machine.

use alloc::vec::Vec;

use crate::ForestSettings;
use crate::ascend;
#[cfg(target_arch = "x86_64")]
use crate::kernel::X86;
use crate::kernel::{Kernel, Portable};
use crate::layout::{Large, Layout, Small};
use crate::level::Level;
use crate::line_change;
use crate::line_walk;
use crate::packed::{ANY, is_long, of_length};
use crate::sampler::{Clock, Policy, four_points_to_pass, largest, offer, rebase};
use crate::scan::Scan;
use crate::tables::Tables;
use crate::trees::{EMPTY, Scratch, Trees};
use crate::walk::{self, BATCH, Found, descend, keys_of};

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
    work.run::<X86<false>>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt,avx512f,avx512vl,avx512dq")]
fn run_avx512<W: Work>(work: W) -> W::Result {
    work.run::<X86<true>>()
}

/// Does a piece of work as it was compiled for a level.
pub(crate) fn run<W: Work>(level: Level, work: W) -> W::Result {
    #[expect(unsafe_code, reason = "the loops over dimensions take half the time")]
    match level {
        Level::Portable => work.run::<Portable>(),
        // SAFETY: the level is among `Level::available`, which has asked the processor.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { run_avx2(work) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { run_avx512(work) },
    }
}

/// Calls an expression with the length of points that a forest is compiled for, where it is.
macro_rules! with_length {
    ($length:expr, $LENGTH:ident => $result:expr) => {
        match $length {
            4 => with_length!(4, $LENGTH, $result),
            8 => with_length!(8, $LENGTH, $result),
            12 => with_length!(12, $LENGTH, $result),
            16 => with_length!(16, $LENGTH, $result),
            32 => with_length!(32, $LENGTH, $result),
            64 => with_length!(64, $LENGTH, $result),
            _ => with_length!(ANY, $LENGTH, $result),
        }
    };
    ($length:expr, $LENGTH:ident, $result:expr) => {{
        const $LENGTH: usize = $length;
        $result
    }};
}

/// Room for a box beside short points.
const SHORT: usize = 256;

struct ScoreLine<'a, L: Layout> {
    trees: &'a Trees<L>,
    tables: &'a Tables,
    x: f32,
}

impl<L: Layout> Work for ScoreLine<'_, L> {
    type Result = f64;

    #[inline(always)]
    fn run<K: Kernel + Scan>(self) -> f64 {
        line_walk::score_all::<L, K>(self.trees, self.tables, self.x)
    }
}

struct Score<'a, L: Layout, const LENGTH: usize> {
    trees: &'a Trees<L>,
    tables: &'a Tables,
    point: &'a [f32],
}

impl<L: Layout, const LENGTH: usize> Work for Score<'_, L, LENGTH> {
    type Result = f64;

    #[inline(always)]
    fn run<K: Kernel + Scan>(self) -> f64 {
        let needed = if self.trees.boxless <= 2 { 0 } else { 2 * self.point.len() };
        if needed <= SHORT {
            self.score_all::<K>(&mut [0.0; SHORT][..needed])
        } else {
            self.score_all::<K>(&mut vec![0.0; needed])
        }
    }
}

impl<L: Layout, const LENGTH: usize> Score<'_, L, LENGTH> {
    #[inline(always)]
    fn score_all<K: Kernel>(&self, scratch: &mut [f32]) -> f64 {
        let Self { trees, tables, point } = *self;
        let (mut short, mut long) = ([0; walk::SHORT], Vec::new());
        let keys = keys_of(of_length::<LENGTH>(point), &mut short, &mut long);
        let n_trees = trees.heads.len();
        let mut sum = 0.0;
        let mut found = Found::new();
        for start in (0..n_trees).step_by(BATCH) {
            let batch = start..(start + BATCH).min(n_trees);
            descend::<L, K, LENGTH>(trees, batch, keys, &mut found);
            sum += ascend::score::<L, K, LENGTH>(trees, tables, &found, point, scratch);
        }
        sum
    }
}

/// The summed scores of a padded point.
pub(crate) fn score_point(level: Level, trees: &AnyTrees, tables: &Tables, point: &[f32]) -> f64 {
    if let [x] = *point {
        let level = level.narrow();
        return with_trees!(trees, trees => run(level, ScoreLine { trees, tables, x }));
    }
    match trees {
        AnyTrees::Small(trees) => with_length!(point.len(), LENGTH => {
            run(level, Score::<_, LENGTH> { trees, tables, point })
        }),
        AnyTrees::Large(trees) => run(level, Score::<_, ANY> { trees, tables, point }),
    }
}

/// The present, and how samples go on from it.
pub(crate) struct Present<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) clock: &'a mut Clock,
    pub(crate) n_accepted: &'a mut u64,
}

/// Moves on to the next point, for which there is room then.
#[inline(always)]
fn tick<L: Layout, K: Kernel + Scan>(trees: &mut Trees<L>, present: &mut Present<'_>) {
    let Present { policy, clock, .. } = present;
    if let Some(factor) = clock.tick(policy) {
        for (weights, head) in
            trees.weights.chunks_exact_mut(trees.room.max(1)).zip(&mut trees.heads)
        {
            rebase(weights, factor);
            if head.n_entries == policy.sample_size {
                // Rounding may have made equals of the largest.
                head.largest = largest(weights);
            }
        }
        if trees.lines.are_kept() {
            line_change::rebase::<L, K>(trees);
        }
    }
    if trees.n_full < trees.heads.len() {
        let most = trees.heads.iter().map(|head| head.n_entries).max().unwrap_or(0);
        let wanted = (most + 1).min(policy.sample_size) as usize;
        trees.make_room(wanted, policy.sample_size as usize);
    }
}

struct LearnLine<'a, L: Layout> {
    trees: &'a mut Trees<L>,
    present: Present<'a>,
    // Where the number is to be scored first.
    tables: Option<&'a Tables>,
    x: f32,
}

impl<L: Layout> Work for LearnLine<'_, L> {
    type Result = f64;

    #[inline(always)]
    fn run<K: Kernel + Scan>(mut self) -> f64 {
        tick::<L, K>(self.trees, &mut self.present);
        line_change::learn::<L, K>(self.trees, &mut self.present, self.tables, self.x)
    }
}

struct Learn<'a, L: Layout, const LENGTH: usize> {
    trees: &'a mut Trees<L>,
    present: Present<'a>,
    // Where the point is to be scored first.
    tables: Option<&'a Tables>,
    point: &'a [f32],
    scratch: &'a mut [f32],
}

impl<L: Layout, const LENGTH: usize> Work for Learn<'_, L, LENGTH> {
    type Result = f64;

    #[inline(always)]
    fn run<K: Kernel + Scan>(self) -> f64 {
        let Self { trees, mut present, tables, point, scratch } = self;
        let point = of_length::<LENGTH>(point);
        tick::<L, K>(trees, &mut present);
        let n_trees = trees.heads.len();
        let Present { policy, clock, n_accepted } = present;
        let (mut short, mut long) = ([0; walk::SHORT], Vec::new());
        let keys = keys_of(point, &mut short, &mut long);
        let mut scratch = Scratch::of(scratch);
        let mut sum = 0.0;
        let mut stored = None;
        let mut found = Found::new();
        for start in (0..n_trees).step_by(BATCH) {
            let end = (start + BATCH).min(n_trees);
            if let Some(tables) = tables {
                descend::<L, K, LENGTH>(trees, start..end, keys, &mut found);
                sum += ascend::score::<L, K, LENGTH>(trees, tables, &found, point, scratch.own);
            }
            let mut takers = [0_usize; BATCH];
            let mut n_takers = 0;
            for tree in start..end {
                takers[n_takers % BATCH] = tree;
                n_takers += usize::from(trees.next[tree] <= clock.n_points);
            }
            let takers = &takers[..n_takers];
            if is_long(point.len()) {
                for tree in takers {
                    ascend::ask_for_way_out::<L, LENGTH>(trees, *tree);
                }
            }
            let mut entries = [NO_ENTRY; BATCH];
            for tree in takers {
                if let Some(entry) =
                    admit::<L, K, LENGTH>(trees, *tree, policy, clock, &mut scratch)
                {
                    entries[tree - start] = entry;
                    *n_accepted += 1;
                }
            }
            let admitted = takers.iter().copied().filter(|tree| entries[tree - start] != NO_ENTRY);
            // Where the point was scored, it is known where it goes, but for the trees whose leaf
            // of it has just left.
            let known = tables.is_some();
            if !known {
                descend::<L, K, LENGTH>(trees, admitted.clone(), keys, &mut found);
            }
            let mut leaves = [EMPTY; BATCH];
            for (tree, leaf) in found.trees.iter().zip(&found.leaves).take(found.n) {
                let tree = *tree as usize;
                leaves[tree - start] = *leaf;
                if !known && is_long(point.len()) {
                    ascend::ask_for_way_up::<L, LENGTH>(trees, tree, *leaf);
                }
            }
            for tree in admitted.clone() {
                let entry = entries[tree - start];
                let mut leaf = leaves[tree - start];
                if known && leaf == entry | L::LEAF {
                    let is_empty = trees.heads[tree].root == EMPTY;
                    leaf = if is_empty { EMPTY } else { trees.descend(tree, point) };
                }
                trees.insert::<K, LENGTH>(tree, entry, leaf, point, &mut stored, &mut scratch);
            }
            draw_next(trees, admitted, policy, clock);
        }
        sum
    }
}

const NO_ENTRY: u32 = u32::MAX;

/// Offers the present point to a sample whose turn it is. Where it is taken, its weight is set and
/// the entry that it takes is free; its place in the tree is still to be found.
#[inline(always)]
fn admit<L: Layout, K: Kernel, const LENGTH: usize>(
    trees: &mut Trees<L>,
    tree: usize,
    policy: &Policy,
    clock: &Clock,
    scratch: &mut Scratch<'_>,
) -> Option<u32> {
    let weights = &mut trees.weights[tree * trees.room..][..trees.room];
    let head = &mut trees.heads[tree];
    let known = [head.n_entries, head.largest];
    let (entry, is_new) = offer(policy, clock, &mut head.random, weights, known)?;
    if is_new {
        head.n_entries += 1;
        trees.n_full += usize::from(head.n_entries == policy.sample_size);
    } else {
        trees.remove::<K, LENGTH>(tree, entry, scratch);
    }
    Some(entry)
}

/// Trees that are drawn for at once.
const FOUR: usize = 4;

/// Draws which point enters each sample next, if it is full: for four at a time, as one instruction
/// calculates for four.
#[inline(always)]
pub(crate) fn draw_next<L: Layout>(
    trees: &mut Trees<L>,
    mut of: impl Iterator<Item = usize>,
    policy: &Policy,
    clock: &Clock,
) {
    loop {
        let (mut four, mut n) = ([0; FOUR], 0);
        let (mut thresholds, mut uniform) = ([1.0; FOUR], [0.5; FOUR]);
        for tree in of.by_ref() {
            let head = &mut trees.heads[tree];
            if head.n_entries < policy.sample_size {
                continue;
            }
            let weights = &trees.weights[tree * trees.room..][..head.n_entries as usize];
            head.largest = largest(weights);
            thresholds[n] = clock.threshold(weights[head.largest as usize]);
            uniform[n] = head.random.open01();
            four[n] = tree;
            n += 1;
            if n == FOUR {
                break;
            }
        }
        let n_points = four_points_to_pass(policy, thresholds, uniform);
        for (tree, n_points) in four[..n].iter().zip(n_points) {
            trees.next[*tree] = clock.n_points + 1 + n_points;
        }
        if n < FOUR {
            return;
        }
    }
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
    if let [x] = *point {
        let level = level.narrow();
        return with_trees!(trees, trees => run(level, LearnLine { trees, present, tables, x }));
    }
    // Few sums are left to do, and the rest is faster without.
    let level = if tables.is_none() && point.len() <= 8 { level.narrow() } else { level };
    match trees {
        AnyTrees::Small(trees) => with_length!(point.len(), LENGTH => {
            run(level, Learn::<_, LENGTH> { trees, present, tables, point, scratch })
        }),
        AnyTrees::Large(trees) => {
            run(level, Learn::<_, ANY> { trees, present, tables, point, scratch })
        }
    }
}
