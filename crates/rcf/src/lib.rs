//! Random cut forests: how unusual is this point, given the points before it?
//!
//! A random cut forest keeps, for every tree, a time-decayed random sample of the points seen so
//! far, and cuts the space around the sample at random until every point is alone. An unusual point
//! is cut off early; its score is high. The forest learns from every point it is given, in bounded
//! memory, without labels and without training.
//!
//! - [`ForestSettings`] says how many dimensions, trees and samples there are; every field has its
//!   range and its default. [`ForestSettings::build`] makes a [`Forest`].
//! - [`Forest::score`] scores an observation without learning it, [`Forest::update`] learns it,
//!   [`Forest::score_and_update`] does both. Scores are about 0.8 to 1.0 for usual points and at
//!   most `log2(1 + sample_size)`.
//! - [`Forest::attribution`] tells how much each dimension added to the score, and whether by being
//!   high or low.
//! - [`Forest::displacement`], [`Forest::density`] and [`Forest::dynamic_score`] see the sample in
//!   other ways; [`Forest::score_ignoring`] leaves out what is too much like the observation.
//! - [`Forest::near_neighbors`], [`Forest::impute`] and [`Forest::forecast`] ask the sample itself:
//!   what was like this, what is missing, what comes next.
//! - [`Forest::update_filling`] and [`Forest::update_after_gap`] learn streams with holes.
//! - [`score_many`] and [`score_and_update_many`] work on many forests, on several threads.
//! - [`Forest::to_bytes`] and [`Forest::from_bytes`] keep a forest; it goes on as though it had
//!   never been away, to the last bit. [`ForestSettings::warm_start`] begins with a history.
//!
//! With the feature `serde`, settings and forests serialize too, for JSON snapshots. Without the
//! default feature `std` it needs `alloc` only; the bits are the same, and AVX2 and AVX-512 are
//! used where it is compiled for them.
//!
//! # Score and explain
//! ```
//! use rcf::ForestSettings;
//!
//! let mut forest = ForestSettings::new(1).build()?;
//! for hour in 0..1000 {
//!     let load = 50.0 + 10.0 * ((hour % 24) as f32 / 24.0);
//!     forest.update(&[load])?;
//! }
//! assert!(forest.score(&[55.0])? < 1.5);
//! assert!(forest.score(&[90.0])? > 2.0);
//! let why = forest.attribution(&[90.0])?;
//! assert!(why.high[0] > why.low[0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Shingle, forecast, save and restore
//! With shingles a point is the last few observations, so that an unusual order of usual values
//! stands out, and the next ones can be forecast.
//!
//! ```
//! use rcf::{Forest, ForestSettings};
//!
//! let mut settings = ForestSettings::new(1);
//! settings.shingle_size = 6;
//! let mut forest = settings.build()?;
//! for hour in 0..1200 {
//!     forest.update(&[(hour % 24) as f32])?;
//! }
//! // 12 is usual, but not now.
//! assert!(forest.score(&[12.0])? > 1.5 * forest.score(&[0.0])?);
//!
//! let forecast = forest.forecast(2)?;
//! assert_eq!(forecast.median, [0.0, 1.0]);
//!
//! let mut restored = Forest::from_bytes(&forest.to_bytes())?;
//! assert_eq!(restored.score_and_update(&[0.0])?, forest.score_and_update(&[0.0])?);
//! assert_eq!(restored.to_bytes(), forest.to_bytes());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A million models
//! A compact model of one dimension, 30 trees and 64 samples takes less than 20 kB, and many are
//! scored on several threads, with the same results as on one:
//!
//! ```
//! use rcf::{Forest, ForestSettings, Reading, score_and_update_many};
//!
//! let mut settings = ForestSettings::new(1);
//! (settings.n_trees, settings.sample_size, settings.compact) = (30, 64, true);
//! let history: Vec<[f32; 1]> = (0..500).map(|n| [(n % 60) as f32]).collect();
//! let model = settings.warm_start(&history)?;
//! assert!(model.size_bytes() < 20_000);
//!
//! let mut models: Vec<Forest> = vec![model; 8];
//! let values = [7.0, 12.0, 59.0, 30.0, 45.0, 200.0, 3.0, 28.0];
//! let readings: Vec<Reading<'_>> = values
//!     .chunks(1)
//!     .enumerate()
//!     .map(|(model, observation)| Reading { model, observation })
//!     .collect();
//! let n_threads = std::thread::available_parallelism()?;
//! let scores = score_and_update_many(&mut models, &readings, n_threads);
//! let scores = scores.into_iter().collect::<Result<Vec<f64>, _>>()?;
//! assert!((0..8).all(|model| model == 5 || scores[model] < scores[5]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The same settings (the seed is one of them) and the same points give the same bytes on every
//! machine: logarithms are computed here, sums have one fixed order, the generator is SplitMix64.
//! The crate does no I/O, reads no clock, starts threads only in [`score_many`] and
//! [`score_and_update_many`], and has unsafe code only to call what it has compiled for AVX2 and
//! AVX-512, to load, store and gather there, and to prefetch.
//!
//! # What it does not do
//! It sets no threshold: a score ranks, what to alert on is the caller's choice. It scales no
//! dimension: one with large numbers counts for more, so bring them to like ranges first.
//!
//! What it can do beside AWS's libraries, `krcf`, `rcf3` and `rrcf`, with the test that proves each
//! row, is in the repository's `docs/conformance.md`, how fast and how small it is in
//! `docs/performance.md`.
//!
//! # References
//! Guha, Mishra, Roy, Schrijvers: *Robust Random Cut Forest Based Anomaly Detection on Streams*,
//! ICML 2016. The scores follow the Java implementation of AWS; the tests compare the distribution
//! of scores with its measured ones.

#![cfg_attr(not(feature = "std"), no_std)]

#[macro_use]
extern crate alloc;

mod ascend;
#[cfg(feature = "std")]
mod batch;
mod boxes;
mod change;
#[cfg(test)]
mod check;
mod climb;
mod codec;
mod conditional;
mod cut;
mod decay;
mod density;
mod dynamic;
mod engine;
mod error;
mod forest;
mod impute;
#[cfg(feature = "serde")]
mod json;
mod kernel;
#[cfg(test)]
mod laws;
mod layout;
mod level;
mod line;
mod line_change;
mod line_walk;
mod math;
mod missing;
#[cfg(test)]
mod naive;
mod neighbors;
mod packed;
#[cfg(test)]
mod paper;
#[cfg(test)]
mod plain;
mod points;
mod pool;
mod preorder;
#[cfg(test)]
mod properties;
mod random;
mod rebuild;
mod sampler;
mod scan;
mod scoring;
mod settings;
mod shift;
mod shingle;
mod sides;
mod snapshot;
#[cfg(test)]
mod stats;
mod storage;
mod tables;
mod tiny;
mod trees;
mod view;
mod visit;
mod walk;
mod warm;

#[cfg(feature = "std")]
pub use batch::{Reading, score_and_update_many, score_many};
pub use density::Interpolation;
pub use error::{PointError, SettingsError, SnapshotError};
pub use forest::Forest;
pub use impute::Estimate;
pub use missing::{Fill, n_missed};
pub use neighbors::Neighbor;
pub use scoring::{ScoreFunction, ScoreFunctions};
pub use settings::ForestSettings;
pub use sides::{Attribution, Sides};
pub use warm::WarmStartError;
