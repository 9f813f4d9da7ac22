//! In which form a forest keeps its trees.

use alloc::borrow::Cow;
use alloc::boxed::Box;

use crate::ForestSettings;
use crate::engine::{AnyTrees, Present, draw_next, learn, score_point, with_trees};
use crate::level::Level;
use crate::sampler::{Clock, Policy};
use crate::tables::Tables;
use crate::tiny::Tiny;

/// The trees of a forest.
#[derive(Clone, Debug)]
pub(crate) enum Storage {
    /// Each number where a walk finds it.
    Spread(Box<AnyTrees>),
    /// As few bytes as can be.
    Tiny(Tiny),
}

impl Storage {
    pub(crate) fn new(settings: &ForestSettings) -> Self {
        if Self::is_tiny(settings) {
            Self::Tiny(Tiny::new(settings.seeds()))
        } else {
            Self::Spread(Box::new(AnyTrees::new(settings)))
        }
    }

    /// Of trees that were read.
    pub(crate) fn of(trees: AnyTrees, settings: &ForestSettings) -> Self {
        if Self::is_tiny(settings) {
            Self::Tiny(Tiny::packed(&trees))
        } else {
            Self::Spread(Box::new(trees))
        }
    }

    /// The trees, which are not packed.
    #[cfg(test)]
    pub(crate) fn spread(&self) -> &AnyTrees {
        match self {
            Self::Spread(trees) => trees,
            Self::Tiny(_) => panic!("the trees are packed"),
        }
    }

    /// The same, to be changed.
    #[cfg(test)]
    pub(crate) fn spread_mut(&mut self) -> &mut AnyTrees {
        match self {
            Self::Spread(trees) => trees,
            Self::Tiny(_) => panic!("the trees are packed"),
        }
    }

    pub(crate) fn is_tiny(settings: &ForestSettings) -> bool {
        settings.compact && Tiny::holds(settings.point_len(), settings.sample_size)
    }

    /// The trees for questions that are asked seldom.
    pub(crate) fn opened(&self, settings: &ForestSettings) -> Cow<'_, AnyTrees> {
        match self {
            Self::Spread(trees) => Cow::Borrowed(trees),
            Self::Tiny(tiny) => Cow::Owned(tiny.unpacked(settings)),
        }
    }

    /// The summed scores of a padded point.
    pub(crate) fn score(&self, level: Level, tables: &Tables, point: &[f32]) -> f64 {
        match self {
            Self::Spread(trees) => score_point(level, trees, tables, point),
            Self::Tiny(tiny) => tiny.score(level, tables, point[0]),
        }
    }

    /// Learns a padded point, and returns the sum of its scores before where tables are given.
    pub(crate) fn learn(
        &mut self,
        level: Level,
        present: Present<'_>,
        tables: Option<&Tables>,
        point: &[f32],
        scratch: &mut [f32],
    ) -> f64 {
        match self {
            Self::Spread(trees) => learn(level, trees, present, tables, point, scratch),
            Self::Tiny(tiny) => {
                let sum = tables.map_or(0.0, |tables| tiny.score(level, tables, point[0]));
                tiny.learn(level, present, point[0]);
                sum
            }
        }
    }

    /// Draws anew which points enter full samples next.
    pub(crate) fn draw_all_next(&mut self, policy: &Policy, clock: &Clock) {
        match self {
            Self::Spread(trees) => with_trees!(&mut **trees, trees => {
                for tree in 0..trees.heads.len() {
                    draw_next(trees, core::iter::once(tree), policy, clock);
                }
            }),
            Self::Tiny(tiny) => tiny.draw_all_next(policy, clock),
        }
    }

    /// The bytes that it has on the heap.
    pub(crate) fn size_bytes(&self) -> usize {
        match self {
            Self::Spread(trees) => {
                size_of::<AnyTrees>() + with_trees!(&**trees, trees => trees.size_bytes())
            }
            Self::Tiny(tiny) => tiny.size_bytes(),
        }
    }
}
