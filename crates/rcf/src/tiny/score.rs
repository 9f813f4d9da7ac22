//! Scores from the bits.

use std::ops::Range;

use super::Tiny;
use super::open::{MOST, Spine};
use crate::boxes::outside;
use crate::layout::{key, number};
use crate::tables::Tables;
use crate::walk::{BATCH, parting};

/// The summed scores of a number in a batch of trees.
///
/// The sum is taken in the order of [`crate::walk::score`]: first the trees that end at the leaf,
/// then those that end at the first box, then those at the second, and so on.
pub(super) fn score(tiny: &Tiny, tables: &Tables, batch: Range<usize>, x: f32) -> f64 {
    let mut sum = 0.0;
    let mut ended = [(0_u32, 0.0); BATCH];
    let mut n_ended = 0;
    let mut most_boxes = 0;
    // A batch's trees nearly always have equal masses.
    let mut scale = (0, 0.0);
    for tree in batch {
        let mass = u32::from(tiny.heads[tree].counts.n_entries);
        if mass == 0 {
            continue;
        }
        if scale.0 != mass {
            scale = (mass, tables.log2_1p(mass));
        }
        let (n_boxes, value) = score_tree(tiny, tables, tree, mass, x);
        if n_boxes == 0 {
            sum += value * scale.1;
        } else {
            ended[n_ended] = (n_boxes, value * scale.1);
            n_ended += 1;
            most_boxes = most_boxes.max(n_boxes);
        }
    }
    for round in 1..=most_boxes {
        for (n_boxes, value) in &ended[..n_ended] {
            if *n_boxes == round {
                sum += value;
            }
        }
    }
    sum
}

/// How many boxes above its leaf a number visits, and its expected score.
#[inline(always)]
fn score_tree(tiny: &Tiny, tables: &Tables, tree: usize, mass: u32, x: f32) -> (u32, f64) {
    let mut input = tiny.decoder(tree);
    input.skip_ranks();
    let mut steps = [0; MOST];
    let shape = input.shape(&mut steps);
    let gaps = shape.gaps();
    let own = key(x);
    // The leaf at or below the number, and where there is one on either side, what their cut says.
    let n_below = shape.keys[..shape.n_leaves].iter().filter(|key| **key <= own).count();
    let mut leaf = n_below.saturating_sub(1);
    if n_below > 0 && n_below < shape.n_leaves && own != shape.keys[leaf] {
        leaf += usize::from(own > input.cut(&shape.keys, &steps, leaf));
    }
    let before = leaf.checked_sub(1).map(|gap| u32::from(gaps[gap]) + 1);
    let depth = before.max(gaps.get(leaf).map(|depth| u32::from(*depth) + 1)).unwrap_or(0);
    if own == shape.keys[leaf] {
        let leaf_mass = tiny.decoder(tree).mass(leaf);
        return (0, Tables::damp(leaf_mass, mass) * tables.seen(depth, leaf_mass));
    }
    let mut value = tables.unseen(depth);
    let mut n_boxes = 0;
    let end = number(shape.keys[leaf]);
    let mut top = depth;
    for (depth, far) in Spine::new(gaps, leaf, own > shape.keys[leaf]) {
        let far = number(shape.keys[far]);
        let (min, max) = if far < end { (far, end) } else { (end, far) };
        let excess = outside(x, min, max);
        let range = f64::from(max) - f64::from(min);
        top = u32::from(depth);
        value += parting(excess, range) * (tables.unseen(top) - value);
        n_boxes += 1;
    }
    // The box above the last holds the number; it is visited, but for the root's.
    (n_boxes + u32::from(top > 0), value)
}
