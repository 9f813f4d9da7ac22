//! What a tree says of a point: its score, and how the dimensions share in it.

use crate::boxes::Bounds;
use crate::climb::{Climber, LeafStep, NodeStep, Way, climb};
use crate::layout::Layout;
use crate::scoring::Scoring;
use crate::sides::Attribution;
use crate::view::TreeView;
use crate::walk::parting;

/// What both climbers know of their tree.
struct Terms<'a, S> {
    scoring: &'a S,
    tree_mass: u32,
    // Leaves up to this mass count as not there.
    ignore_mass: u32,
}

impl<S: Scoring> Terms<'_, S> {
    fn is_seen(&self, step: &LeafStep<'_>) -> bool {
        step.is_equal && step.mass > self.ignore_mass
    }

    fn leaf_value(&self, step: &LeafStep<'_>) -> f64 {
        let LeafStep { depth, mass, .. } = *step;
        if self.is_seen(step) {
            self.scoring.damp(mass, self.tree_mass) * self.scoring.seen(depth, mass)
        } else {
            self.scoring.unseen(depth, mass)
        }
    }
}

struct Score<'a, S> {
    terms: Terms<'a, S>,
    value: f64,
}

impl<S: Scoring> Climber for Score<'_, S> {
    fn wants_masses(&self) -> bool {
        S::BY_MASS
    }

    fn leaf(&mut self, step: &LeafStep<'_>) -> Way {
        self.value = self.terms.leaf_value(step);
        match (self.terms.is_seen(step), self.terms.ignore_mass) {
            (true, _) => Way::Stop,
            (false, 0) => Way::Nodes,
            (false, _) => Way::Siblings,
        }
    }

    fn node(&mut self, step: &NodeStep<'_>) {
        let unseen = self.terms.scoring.unseen(step.depth, step.mass);
        self.value += parting(step.excess, step.range_sum) * (unseen - self.value);
    }
}

/// One tree's score of a padded point, 0 in an empty tree. Leaves of at most `ignore_mass` points
/// count as not there.
pub(crate) fn score<L: Layout, S: Scoring>(
    tree: TreeView<'_, L>,
    scoring: &S,
    ignore_mass: u32,
    point: &[f32],
) -> f64 {
    let tree_mass = tree.mass();
    let mut score = Score { terms: Terms { scoring, tree_mass, ignore_mass }, value: 0.0 };
    if climb(tree, point, &mut score) { scoring.normalize(score.value, tree_mass) } else { 0.0 }
}

struct Shares<'a, S> {
    terms: Terms<'a, S>,
    point: &'a [f32],
    parts: Attribution,
}

impl<S: Scoring> Climber for Shares<'_, S> {
    fn wants_masses(&self) -> bool {
        S::BY_MASS
    }

    fn leaf(&mut self, step: &LeafStep<'_>) -> Way {
        let value = self.terms.leaf_value(step);
        let ignore_mass = self.terms.ignore_mass;
        let is_ignored = ignore_mass > 0 && step.mass <= ignore_mass;
        if step.is_equal || is_ignored {
            #[expect(clippy::cast_precision_loss, reason = "at most 100 000")]
            let part = value / (2.0 * self.parts.high.len() as f64);
            self.parts.parts_mut().for_each(|to| *to = part);
        } else {
            let bounds = Bounds::of_point(step.stored);
            mix(&mut self.parts, bounds, self.point, bounds.excess(self.point), 1.0, value);
        }
        if step.is_equal || ignore_mass > 0 { Way::Siblings } else { Way::Nodes }
    }

    fn node(&mut self, step: &NodeStep<'_>) {
        let p = parting(step.excess, step.range_sum);
        let value = self.terms.scoring.unseen(step.depth, step.mass);
        mix(&mut self.parts, step.bounds, self.point, step.excess, p, value);
    }
}

/// Adds one tree's attribution of a padded point to a sum.
///
/// Where the tree holds an equal point, the boxes are those of the siblings on the way up, merged,
/// as though the equal points were not there; the parts are then scaled to the tree's score.
pub(crate) fn attribute<L: Layout, S: Scoring>(
    tree: TreeView<'_, L>,
    scoring: &S,
    ignore_mass: u32,
    point: &[f32],
    sum: &mut Attribution,
) {
    let target = score(tree, scoring, ignore_mass, point);
    let terms = Terms { scoring, tree_mass: tree.mass(), ignore_mass };
    let mut shares = Shares { terms, point, parts: Attribution::zeros(sum.high.len()) };
    if !climb(tree, point, &mut shares) {
        return;
    }
    let total = shares.parts.total();
    let scale = if total != 0.0 { target / total } else { 0.0 };
    shares.parts.scale(scale);
    sum.add(&shares.parts);
}

/// `parts = p * value, shared by how far the point lies outside in each direction, + (1 - p) *
/// parts`.
fn mix(
    parts: &mut Attribution,
    bounds: Bounds<'_>,
    point: &[f32],
    excess: f64,
    p: f64,
    value: f64,
) {
    let point_len = parts.high.len();
    for (dim, x) in point[..point_len].iter().enumerate() {
        let x = f64::from(*x);
        let above = (x - f64::from(bounds.max[dim])).max(0.0) / excess;
        let below = (f64::from(bounds.min[dim]) - x).max(0.0) / excess;
        parts.high[dim] = p * value * above + (1.0 - p) * parts.high[dim];
        parts.low[dim] = p * value * below + (1.0 - p) * parts.low[dim];
    }
}
