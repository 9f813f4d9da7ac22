//! How densely the sample lies around a point, and in which directions.

use crate::climb::{Climber, LeafStep, NodeStep, Way, climb};
use crate::engine::with_trees;
use crate::layout::Layout;
use crate::math::{exp, ln};
use crate::scoring::{Displacement, Scoring};
use crate::sides::Sides;
use crate::view::TreeView;
use crate::walk::parting;
use crate::{Forest, PointError};

/// Keeps a density finite where all distances are 0.
const LEAST_VOLUME: f64 = 1e-3;

/// What surrounds a point, by direction, as the mean over trees.
///
/// A point that is led down a tree is cut off from some box, in some dimension and on one side of
/// it. These are expectations over that cut.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Interpolation {
    /// The points in the box, by the dimension and side of the cut.
    pub measure: Sides,
    /// How far the point is from the far face of the box, in units of its dimension.
    pub distance: Sides,
    /// The probability of the dimension and side; 1 in all where no sample holds an equal point.
    pub probability_mass: Sides,
    /// Points in a tree's sample.
    pub sample_size: f64,
}

impl Interpolation {
    fn zeros(point_len: usize) -> Self {
        Self {
            measure: Sides::zeros(point_len),
            distance: Sides::zeros(point_len),
            probability_mass: Sides::zeros(point_len),
            sample_size: 0.0,
        }
    }

    fn parts_mut(&mut self) -> [&mut Sides; 3] {
        [&mut self.measure, &mut self.distance, &mut self.probability_mass]
    }

    /// The density around the point, by direction: points per unit of volume, up to a factor that
    /// depends on the number of dimensions only. The volume is a sum over dimensions of the
    /// dimension's probability times the power of its mean distance to the number of dimensions.
    pub fn directional_density(&self) -> Sides {
        let mut density = self.measure.clone();
        #[expect(clippy::cast_precision_loss, reason = "at most 100 000")]
        let power = density.high.len() as f64;
        let volume = |dim: usize| {
            let (distance, probability) =
                (self.distance.both(dim), self.probability_mass.both(dim));
            if distance > 0.0 && probability > 0.0 {
                exp(ln(distance / probability) * power) * probability
            } else {
                0.0
            }
        };
        let volumes: f64 = (0..density.high.len()).map(volume).sum();
        density.scale(1.0 / (LEAST_VOLUME + volumes));
        density
    }
}

/// Interpolates between the boxes that a point lies outside of.
struct Interpolate<'a> {
    point: &'a [f32],
    tree_mass: u32,
    found: Interpolation,
    // Of a point that is in the tree: what its measure adds up to.
    measure: Option<f64>,
}

impl Interpolate<'_> {
    fn take(&mut self, step: &NodeStep<'_>) {
        let keep = 1.0 - parting(step.excess, step.range_sum);
        self.found.parts_mut().into_iter().for_each(|sides| sides.scale(keep));
        let range = step.range_sum + step.excess;
        let mass = f64::from(step.mass);
        for dim in 0..self.found.measure.high.len() {
            let x = f64::from(self.point[dim]);
            let (min, max) = (f64::from(step.bounds.min[dim]), f64::from(step.bounds.max[dim]));
            let share = (x - max).max(min - x).max(0.0) / range;
            let is_above = x > max;
            *self.found.measure.part_mut(dim, is_above) += share * mass;
            *self.found.distance.part_mut(dim, is_above) += share * (x - min).max(max - x);
            *self.found.probability_mass.part_mut(dim, is_above) += share;
        }
    }
}

impl Climber for Interpolate<'_> {
    fn wants_masses(&self) -> bool {
        true
    }

    fn leaf(&mut self, step: &LeafStep<'_>) -> Way {
        if step.is_equal {
            let damp = Displacement.damp(step.mass, self.tree_mass);
            self.measure = Some(damp * f64::from(step.mass));
            return Way::Siblings;
        }
        let bounds = crate::boxes::Bounds::of_point(step.stored);
        let excess = bounds.excess(self.point);
        let (depth, mass) = (step.depth, step.mass);
        self.take(&NodeStep { bounds, excess, range_sum: 0.0, depth, mass });
        Way::Nodes
    }

    fn node(&mut self, step: &NodeStep<'_>) {
        self.take(step);
    }
}

fn interpolate<L: Layout>(tree: TreeView<'_, L>, point: &[f32], sum: &mut Interpolation) {
    let tree_mass = tree.mass();
    let found = Interpolation::zeros(sum.measure.high.len());
    let mut climber = Interpolate { point, tree_mass, found, measure: None };
    if !climb(tree, point, &mut climber) {
        return;
    }
    let Interpolate { mut found, measure, .. } = climber;
    if let Some(measure) = measure {
        let total = found.measure.total();
        if total > 0.0 {
            found.measure.scale(measure / total);
        } else {
            #[expect(clippy::cast_precision_loss, reason = "at most 100 000")]
            let part = measure / (2.0 * found.measure.high.len() as f64);
            found.measure.parts_mut().for_each(|to| *to = part);
        }
    }
    sum.measure.add(&found.measure);
    sum.distance.add(&found.distance);
    sum.probability_mass.add(&found.probability_mass);
    sum.sample_size += f64::from(tree_mass);
}

impl Forest {
    /// How densely the sample lies around an observation: large among many points, near 0 far from
    /// all, 0 before the forest is ready. It compares observations of one forest; its unit is a
    /// count over a volume of `n_dims * shingle_size` dimensions. Nothing is learnt.
    ///
    /// # Errors
    /// The observation has another length, or a number that is not finite.
    ///
    /// Cost: that of [`Forest::displacement`], times the length of a point.
    pub fn density(&self, observation: &[f32]) -> Result<f64, PointError> {
        Ok(self.directional_density(observation)?.total())
    }

    /// [`Forest::density`] by direction: a part under `high` comes from points below the
    /// observation in that dimension, one under `low` from points above it. The parts add up to the
    /// density.
    ///
    /// # Errors
    /// As [`Forest::density`], at the same cost.
    pub fn directional_density(&self, observation: &[f32]) -> Result<Sides, PointError> {
        Ok(self.interpolation(observation)?.directional_density())
    }

    /// What the density is made of; all 0 before the forest is ready.
    ///
    /// # Errors
    /// As [`Forest::density`], at the same cost.
    pub fn interpolation(&self, observation: &[f32]) -> Result<Interpolation, PointError> {
        self.check(observation)?;
        let mut sum = Interpolation::zeros(self.settings.point_len());
        if !self.is_ready() {
            return Ok(sum);
        }
        self.with_point(observation, |point| {
            with_trees!(&*self.opened(), trees => {
                TreeView::all(trees).for_each(|tree| interpolate(tree, point, &mut sum));
            });
        });
        let n_trees = self.n_trees();
        sum.parts_mut().into_iter().for_each(|sides| sides.scale(1.0 / n_trees));
        sum.sample_size /= n_trees;
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use crate::ForestSettings;
    use crate::random::Random;

    #[test]
    fn directions_are_those_in_which_the_points_lie() {
        let mut settings = ForestSettings::new(2);
        (settings.n_trees, settings.seed) = (30, 3);
        let mut forest = settings.build().expect("valid");
        let mut random = Random::new(4);
        #[expect(clippy::cast_possible_truncation, reason = "a test's numbers")]
        let mut number = || (2.0 * random.open01() - 1.0) as f32;
        for _ in 0..400 {
            forest.update(&[number(), number()]).expect("finite");
        }
        // Beside the square in one dimension, within it in the other.
        for (point, dim) in [([3.0, 0.0], 0), ([0.0, 3.0], 1)] {
            for is_above in [false, true] {
                let point = point.map(|x: f32| if is_above { x } else { -x });
                let mut density = forest.directional_density(&point).expect("finite");
                let total = density.total();
                assert!(*density.part_mut(dim, is_above) > 0.8 * total, "{density:?}");
                assert!(*density.part_mut(dim, !is_above) < 0.01 * total, "{density:?}");
                let mut parts = forest.interpolation(&point).expect("finite");
                assert!(*parts.probability_mass.part_mut(dim, is_above) > 0.8);
                // From its far side, two away from the near one.
                let distance = *parts.distance.part_mut(dim, is_above);
                assert!(distance > 2.5 && distance < 4.2, "{distance}");
            }
        }
    }
}
