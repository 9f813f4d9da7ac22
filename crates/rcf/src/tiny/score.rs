//! Scores from the bits.

use core::ops::Range;

use super::Tiny;
use super::code::KeyRoom;
use super::open::MOST;
use crate::boxes::outside;
use crate::layout::{key, number};
use crate::tables::Tables;
use crate::walk::{BATCH, parting, sum_of_trees};

/// The summed scores of a number in a batch of trees, summed as [`crate::line_walk::score`] does.
#[inline(always)]
pub(super) fn score(tiny: &Tiny, tables: &Tables, batch: Range<usize>, x: f32) -> f64 {
    let mut of_trees = [0.0; BATCH];
    let mut room = ([0; MOST], KeyRoom::new());
    // A batch's trees nearly always have equal masses.
    let mut scale = (0, 0.0);
    for (lane, tree) in batch.enumerate() {
        let mass = u32::from(tiny.heads[tree].counts.n_entries);
        if mass == 0 {
            continue;
        }
        if scale.0 != mass {
            scale = (mass, tables.log2_1p(mass));
        }
        of_trees[lane] = score_tree(tiny, tables, tree, mass, x, &mut room) * scale.1;
    }
    sum_of_trees(&of_trees)
}

/// What is read of one tree.
type Room = ([u8; MOST], KeyRoom);

/// A number's expected score.
#[inline(always)]
fn score_tree(
    tiny: &Tiny,
    tables: &Tables,
    tree: usize,
    mass: u32,
    x: f32,
    (before, keys): &mut Room,
) -> f64 {
    let mut input = tiny.decoder(tree);
    input.skip_ranks();
    let counts = tiny.heads[tree].counts;
    let (n_leaves, n_gaps) = (usize::from(counts.n_leaves), usize::from(counts.n_leaves) - 1);
    input.before(before);
    let before = &before[..n_gaps];
    let mut keys = input.keys(keys);
    keys.begin();
    let own = key(x);
    // The leaf at or below the number, and where there is one on either side, what their cut says.
    let n_up_to = keys.n_up_to(own);
    let mut leaf = n_up_to.saturating_sub(1);
    if n_up_to > 0 && n_up_to < n_leaves && own != keys.get(leaf) {
        leaf += usize::from(own > keys.cut(leaf));
    }
    // Nodes above the leaf: those before it are the edge of the tree up to there; those behind are
    // the next gap, and every one from there on that no gap between is higher than.
    let n_before = leaf.checked_sub(1).map_or(0, |gap| before[gap] + 1);
    let mut n_above = u32::from(n_before);
    let mut highest = u8::MAX;
    for before in &before[leaf..] {
        let is_above = *before <= highest;
        n_above += u32::from(is_above);
        highest = if is_above { *before } else { highest };
    }
    let end = keys.get(leaf);
    if own == end {
        let leaf_mass = tiny.decoder(tree).mass(leaf);
        return Tables::damp(leaf_mass, mass) * tables.seen(n_above, leaf_mass);
    }
    let mut value = tables.unseen(n_above);
    let mut depth = n_above;
    let mut visit = |a: i32, b: i32| {
        let (min, max) = (number(a), number(b));
        let excess = outside(x, min, max);
        depth -= 1;
        let p = parting(excess, f64::from(max) - f64::from(min));
        value += p * (tables.unseen(depth) - value);
    };
    if own > end {
        // Boxes that end with the leaf: of the nodes before it that are below the next gap, from
        // the lowest on, each from behind the node above it.
        let n_kept = before.get(leaf).copied().unwrap_or(0);
        let mut gap = leaf;
        for n_higher in (n_kept..n_before).rev() {
            // The nearest before that has as many or fewer nodes before and above than the next
            // higher has, is that one.
            while gap > 0 && before[gap - 1] >= n_higher {
                gap -= 1;
            }
            visit(keys.get(gap), end);
        }
    } else {
        // Boxes that begin with the leaf: of the nodes behind it that are below the gap before it.
        let mut gap = leaf;
        while gap < n_gaps && before[gap] == n_before {
            gap += 1;
            while gap < n_gaps && before[gap] > n_before {
                gap += 1;
            }
            visit(end, keys.get(gap));
        }
    }
    // The box above the last holds the number.
    value
}
