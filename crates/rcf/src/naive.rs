//! Scores by their definition, from the points below each node and nothing else that is kept.

use crate::engine::with_trees;
use crate::math::log2_1p;
use crate::rebuild::Part;
use crate::{Attribution, Forest, ForestSettings, ScoreFunctions};

/// A tree in plain sight.
enum Tree {
    Leaf { point: Vec<f64>, mass: u32 },
    Node { dim: usize, cut: f64, children: Box<[Tree; 2]> },
}

impl Tree {
    fn read(parts: &mut impl Iterator<Item = Part>, point: &dyn Fn(u32) -> Vec<f64>) -> Self {
        match parts.next().expect("a whole tree") {
            Part::Leaf { slot, entries } => {
                Self::Leaf { point: point(slot), mass: u32::try_from(entries.len()).expect("few") }
            }
            Part::Node { dim, cut } => {
                let (dim, cut) = (dim as usize, f64::from(cut));
                let children = Box::new([Self::read(parts, point), Self::read(parts, point)]);
                Self::Node { dim, cut, children }
            }
        }
    }

    fn leaves(&self) -> Vec<(&[f64], u32)> {
        match self {
            Self::Leaf { point, mass } => vec![(point, *mass)],
            Self::Node { children, .. } => children.iter().flat_map(Self::leaves).collect(),
        }
    }

    fn mass(&self) -> u32 {
        self.leaves().iter().map(|(_, mass)| mass).sum()
    }
}

pub(crate) type Function<'a> = &'a dyn Fn(u32, u32) -> f64;

struct Terms<'a> {
    x: &'a [f64],
    seen: Function<'a>,
    unseen: Function<'a>,
    ignore_mass: u32,
    tree_mass: u32,
}

/// High parts, then low parts.
pub(crate) type Shares = Vec<f64>;

impl Terms<'_> {
    fn damp(&self, mass: u32) -> f64 {
        1.0 - f64::from(mass) / (2.0 * f64::from(self.tree_mass))
    }

    /// The points below a node whose box counts: without the leaf that the cuts lead to, if that
    /// is to be left out.
    fn box_of(&self, tree: &Tree, without_leaf: bool) -> (Vec<f64>, Vec<f64>) {
        let reached = self.reached(tree).0;
        let all = tree.leaves();
        let points: Vec<&[f64]> =
            all.iter().map(|leaf| leaf.0).filter(|p| !without_leaf || *p != reached).collect();
        let fold = |f: fn(f64, f64) -> f64, dim: usize| {
            points.iter().map(|point| point[dim]).reduce(f).expect("a sibling")
        };
        let dims = 0..self.x.len();
        let min = dims.clone().map(|dim| fold(f64::min, dim)).collect();
        (min, dims.map(|dim| fold(f64::max, dim)).collect())
    }

    fn reached<'t>(&self, tree: &'t Tree) -> (&'t [f64], u32) {
        match tree {
            Tree::Leaf { point, mass } => (point, *mass),
            Tree::Node { dim, cut, children } => {
                self.reached(&children[usize::from(self.x[*dim] > *cut)])
            }
        }
    }

    /// The probability of a cut, and how it is shared.
    fn cut(&self, (min, max): &(Vec<f64>, Vec<f64>)) -> (f64, Shares) {
        let high = self.x.iter().zip(max).map(|(x, max)| (x - max).max(0.0));
        let low = self.x.iter().zip(min).map(|(x, min)| (min - x).max(0.0));
        let gaps: Shares = high.chain(low).collect();
        let excess: f64 = gaps.iter().sum();
        if excess == 0.0 {
            return (0.0, gaps);
        }
        let range: f64 = min.iter().zip(max).map(|(min, max)| max - min).sum();
        (excess / (range + excess), gaps.iter().map(|gap| gap / excess).collect())
    }

    fn score(&self, tree: &Tree, depth: u32) -> f64 {
        let (point, mass) = self.reached(tree);
        let is_seen = point == self.x && mass > self.ignore_mass;
        match tree {
            Tree::Leaf { .. } if is_seen => self.damp(mass) * (self.seen)(depth, mass),
            Tree::Leaf { .. } => (self.unseen)(depth, mass),
            Tree::Node { dim, cut, children } => {
                let below = &children[usize::from(self.x[*dim] > *cut)];
                let below = self.score(below, depth + 1);
                let p = match is_seen {
                    true => 0.0,
                    false => self.cut(&self.box_of(tree, self.ignore_mass > 0)).0,
                };
                p * (self.unseen)(depth, tree.mass()) + (1.0 - p) * below
            }
        }
    }

    fn shares(&self, tree: &Tree, depth: u32) -> Shares {
        let (point, mass) = self.reached(tree);
        match tree {
            Tree::Leaf { .. } => {
                let value = self.score(tree, depth);
                if point == self.x || (self.ignore_mass > 0 && mass <= self.ignore_mass) {
                    return vec![value / (2 * self.x.len()) as f64; 2 * self.x.len()];
                }
                let of_point = (point.to_vec(), point.to_vec());
                self.cut(&of_point).1.iter().map(|share| share * value).collect()
            }
            Tree::Node { dim, cut, children } => {
                let below = self.shares(&children[usize::from(self.x[*dim] > *cut)], depth + 1);
                let without_leaf = point == self.x || self.ignore_mass > 0;
                let (p, shares) = self.cut(&self.box_of(tree, without_leaf));
                let value = (self.unseen)(depth, tree.mass());
                let part = |(share, below): (&f64, &f64)| p * share * value + (1.0 - p) * below;
                shares.iter().zip(&below).map(part).collect()
            }
        }
    }
}

/// The mean score over trees, with its shares.
pub(crate) fn naive(
    forest: &Forest,
    x: &[f32],
    ignore_mass: u32,
    [seen, unseen]: [Function<'_>; 2],
    normalize: &dyn Fn(f64, u32) -> f64,
) -> (f64, Shares) {
    let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
    let mut score = 0.0;
    let mut shares = vec![0.0; 2 * x.len()];
    let n_trees = forest.settings.n_trees;
    with_trees!(&*forest.opened(), trees => for tree in 0..n_trees {
        let point = |slot| {
            trees.points.get(slot)[..x.len()].iter().map(|x| f64::from(*x)).collect::<Vec<f64>>()
        };
        let tree = Tree::read(&mut trees.preorder(tree).into_iter(), &point);
        let tree_mass = tree.mass();
        let terms = Terms { x: &x, seen, unseen, ignore_mass, tree_mass };
        let value = normalize(terms.score(&tree, 0), tree_mass);
        score += value / n_trees as f64;
        let found = terms.shares(&tree, 0);
        let total: f64 = found.iter().sum();
        for (sum, share) in shares.iter_mut().zip(found) {
            *sum += share * value / total / n_trees as f64;
        }
    });
    (score, shares)
}

fn forest(n_dims: usize, compact: bool) -> Forest {
    let mut settings = ForestSettings::new(n_dims);
    (settings.n_trees, settings.sample_size) = (10, 48);
    settings.compact = compact;
    let mut forest = settings.build().expect("valid");
    // Most points are there more than once.
    for n in 0..400_u32 {
        let point = [(n * n % 13) as f32, (n % 5) as f32 * 0.5, (n % 3) as f32];
        forest.update(&point[..n_dims]).expect("finite");
    }
    // One is there once in a tree at most.
    forest.update(&[30.0, 0.25, 1.0][..n_dims]).expect("finite");
    forest
}

const QUERIES: [[f32; 3]; 7] = [
    [0.0, 0.0, 0.0],
    [1.0, 0.5, 1.0],
    [30.0, 0.25, 1.0],
    [30.5, 0.25, 1.0],
    [-7.0, 9.0, 1.5],
    [4.0, 1.0, 2.0],
    [6.1, 0.1, 0.9],
];

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9 * expected.abs().max(1.0), "{found} {expected}");
}

fn near_shares(found: &Attribution, expected: &Shares) {
    let found = found.high.iter().chain(&found.low);
    found.zip(expected).for_each(|(found, expected)| near(*found, *expected));
}

#[test]
fn scores_and_attributions_are_those_of_their_definition_whatever_is_ignored() {
    let seen = |depth: u32, mass| 1.0 / (f64::from(depth) + log2_1p(mass));
    let unseen = |depth: u32, _| 1.0 / (f64::from(depth) + 1.0);
    let normalize = |value: f64, mass| value * log2_1p(mass);
    for (n_dims, compact) in [(1, false), (2, false), (3, false), (3, true)] {
        let forest = forest(n_dims, compact);
        for (query, ignore_mass) in QUERIES.iter().flat_map(|q| [(q, 0), (q, 1), (q, 3)]) {
            let x = &query[..n_dims];
            let (score, shares) = naive(&forest, x, ignore_mass, [&seen, &unseen], &normalize);
            near(forest.score_ignoring(x, ignore_mass).expect("finite"), score);
            near_shares(&forest.attribution_ignoring(x, ignore_mass).expect("finite"), &shares);
            if ignore_mass == 0 {
                near(forest.score(x).expect("finite"), score);
                near_shares(&forest.attribution(x).expect("finite"), &shares);
            }
        }
    }
}

#[test]
fn displacement_is_a_dynamic_score_and_that_of_its_definition() {
    let seen = |_, mass| 1.0 / (1.0 + f64::from(mass));
    let unseen = |_, mass| f64::from(mass);
    let normalize = |value: f64, mass| value / (1.0 + f64::from(mass));
    let damp = |mass, tree_mass| 1.0 - f64::from(mass) / (2.0 * f64::from(tree_mass));
    let functions =
        ScoreFunctions { seen: &seen, unseen: &unseen, damp: &damp, normalize: &normalize };
    for n_dims in 1..=3 {
        let forest = forest(n_dims, false);
        for query in QUERIES {
            let x = &query[..n_dims];
            let (score, _) = naive(&forest, x, 0, [&seen, &unseen], &normalize);
            near(forest.displacement(x).expect("finite"), score);
            for ignore_mass in [0, 1, 3] {
                let functions_of = [&seen as Function<'_>, &unseen];
                let (score, shares) = naive(&forest, x, ignore_mass, functions_of, &normalize);
                near(forest.dynamic_score(x, &functions, ignore_mass).expect("finite"), score);
                let parts = forest.dynamic_attribution(x, &functions, ignore_mass);
                near_shares(&parts.expect("finite"), &shares);
            }
        }
    }
}

#[test]
fn an_ignored_anomaly_does_not_hide_the_next_one() {
    let forest = forest(2, false);
    let second = [30.5, 0.25];
    let plain = forest.score(&second).expect("finite");
    assert!(forest.score_ignoring(&second, 1).expect("finite") > 1.02 * plain);
}
