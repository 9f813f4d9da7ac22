//! What a score is made of: the functions of depth and mass that stand at leaves and nodes.

use crate::tables::Tables;

/// The functions that a tree's score is made of.
pub(crate) trait Scoring {
    /// Whether [`Scoring::unseen`] depends on the mass.
    const BY_MASS: bool;
    /// Of a point that meets an equal one in a leaf.
    fn seen(&self, depth: u32, mass: u32) -> f64;
    /// Of a point that is cut off at a node or leaf.
    fn unseen(&self, depth: u32, mass: u32) -> f64;
    /// How much the mass of a leaf with an equal point changes its score.
    fn damp(&self, leaf_mass: u32, tree_mass: u32) -> f64;
    /// The tree's score of the value at its root.
    fn normalize(&self, value: f64, tree_mass: u32) -> f64;
}

/// The score that [`Forest::score`](crate::Forest::score) gives.
impl Scoring for Tables {
    const BY_MASS: bool = false;

    fn seen(&self, depth: u32, mass: u32) -> f64 {
        Tables::seen(self, depth, mass)
    }

    fn unseen(&self, depth: u32, _mass: u32) -> f64 {
        Tables::unseen(self, depth)
    }

    fn damp(&self, leaf_mass: u32, tree_mass: u32) -> f64 {
        Tables::damp(leaf_mass, tree_mass)
    }

    fn normalize(&self, value: f64, tree_mass: u32) -> f64 {
        value * self.log2_1p(tree_mass)
    }
}

/// How many points of the sample are moved by a new one, as a share of the sample.
pub(crate) struct Displacement;

impl Scoring for Displacement {
    const BY_MASS: bool = true;

    fn seen(&self, _depth: u32, mass: u32) -> f64 {
        1.0 / (1.0 + f64::from(mass))
    }

    fn unseen(&self, _depth: u32, mass: u32) -> f64 {
        f64::from(mass)
    }

    fn damp(&self, leaf_mass: u32, tree_mass: u32) -> f64 {
        Tables::damp(leaf_mass, tree_mass)
    }

    fn normalize(&self, value: f64, tree_mass: u32) -> f64 {
        value / (1.0 + f64::from(tree_mass))
    }
}

/// A function of depth and mass, of two masses, or of a value and a mass, of a [`ScoreFunctions`].
pub type ScoreFunction<'a, A> = &'a dyn Fn(A, u32) -> f64;

/// A score of the caller's own, for [`Forest::dynamic_score`](crate::Forest::dynamic_score).
///
/// A point that is led down a tree is either cut off at some node, or ends in a leaf. Its value is
/// the expectation of `unseen` over where that happens; where an equal point is in
/// the leaf, it is `damp * seen` instead. Masses are counts of points, 1..=`sample_size`; depths are
/// 0 at the root and less than `sample_size`.
///
/// ```
/// use rcf::{ForestSettings, ScoreFunctions};
///
/// let mut forest = ForestSettings::new(1).build()?;
/// for n in 0..500 {
///     forest.update(&[(n % 10) as f32])?;
/// }
/// // How deep a point is cut off: low for unusual ones.
/// let depth = ScoreFunctions {
///     seen: &|depth, _mass| f64::from(depth),
///     unseen: &|depth, _mass| f64::from(depth),
///     damp: &|_leaf_mass, _tree_mass| 1.0,
///     normalize: &|value, _tree_mass| value,
/// };
/// let usual = forest.dynamic_score(&[5.0], &depth, 0)?;
/// let unusual = forest.dynamic_score(&[99.0], &depth, 0)?;
/// assert!(unusual < 1.0 && usual > 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct ScoreFunctions<'a> {
    /// Of depth and mass of a leaf that holds an equal point.
    pub seen: ScoreFunction<'a, u32>,
    /// Of depth and mass of the node or leaf where the point is cut off.
    pub unseen: ScoreFunction<'a, u32>,
    /// Of the masses of leaf and tree.
    pub damp: ScoreFunction<'a, u32>,
    /// Of the value at the root and the tree's mass: the tree's score. For attributions to make
    /// sense it should be linear in the value.
    pub normalize: ScoreFunction<'a, f64>,
}

impl core::fmt::Debug for ScoreFunctions<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ScoreFunctions").finish_non_exhaustive()
    }
}

impl Scoring for ScoreFunctions<'_> {
    const BY_MASS: bool = true;

    fn seen(&self, depth: u32, mass: u32) -> f64 {
        (self.seen)(depth, mass)
    }

    fn unseen(&self, depth: u32, mass: u32) -> f64 {
        (self.unseen)(depth, mass)
    }

    fn damp(&self, leaf_mass: u32, tree_mass: u32) -> f64 {
        (self.damp)(leaf_mass, tree_mass)
    }

    fn normalize(&self, value: f64, tree_mass: u32) -> f64 {
        (self.normalize)(value, tree_mass)
    }
}
