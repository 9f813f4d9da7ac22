//! Many observations over many forests, on several threads.

use std::num::NonZeroUsize;
use std::thread;

use crate::{Forest, PointError};

/// An observation, and which of many forests it is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading<'a> {
    /// The index of the forest.
    pub model: usize,
    /// As [`Forest::score`] takes it.
    pub observation: &'a [f32],
}

/// Scores many observations, each by its forest, on up to `n_threads` threads; nothing is learnt.
/// The results stand in the order of the readings and are those of [`Forest::score`], whatever the
/// number of threads.
///
/// ```
/// use std::num::NonZeroUsize;
/// use rcf::{ForestSettings, Reading, score_many};
///
/// let history = (0..300).map(|n| [(n % 7) as f32]);
/// let forest = ForestSettings::new(1).warm_start(history)?;
/// let forests = vec![forest.clone(), forest];
/// let readings = [
///     Reading { model: 1, observation: &[3.0] },
///     Reading { model: 0, observation: &[90.0] },
/// ];
/// let n_threads = NonZeroUsize::new(2).expect("not zero");
/// let scores = score_many(&forests, &readings, n_threads);
/// assert_eq!(scores[0], forests[1].score(&[3.0]));
/// assert!(scores[1].clone()? > scores[0].clone()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A result is an error where there is no such forest, or where its forest does not take the
/// observation; the others are unaffected.
///
/// Cost: that of [`Forest::score`] for each reading, divided among the threads. Threads are started
/// for each call, which takes some ten microseconds each: pass thousands of readings at a time.
pub fn score_many(
    forests: &[Forest],
    readings: &[Reading<'_>],
    n_threads: NonZeroUsize,
) -> Vec<Result<f64, PointError>> {
    let score = |reading: &Reading<'_>| match forests.get(reading.model) {
        Some(forest) => forest.score(reading.observation),
        None => Err(missing(reading, forests.len())),
    };
    let share = readings.len().div_ceil(n_threads.get()).max(1);
    let (first, others) = readings.split_at(share.min(readings.len()));
    thread::scope(|scope| {
        let workers: Vec<_> = others
            .chunks(share)
            .map(|share| scope.spawn(move || share.iter().map(score).collect::<Vec<_>>()))
            .collect();
        let mut scores: Vec<_> = first.iter().map(score).collect();
        scores.reserve_exact(others.len());
        workers.into_iter().for_each(|worker| scores.extend(joined(worker)));
        scores
    })
}

/// Scores and learns many observations, each by its forest, on up to `n_threads` threads. Readings of
/// one forest are learnt in their order, by one thread; the results stand in the order of the
/// readings. Results and forests are those of [`Forest::score_and_update`], one reading after the
/// other, whatever the number of threads.
///
/// ```
/// use std::num::NonZeroUsize;
/// use rcf::{Forest, ForestSettings, Reading, score_and_update_many};
///
/// let mut settings = ForestSettings::new(1);
/// (settings.n_trees, settings.sample_size, settings.compact) = (30, 64, true);
/// let mut sensors: Vec<Forest> = Vec::new();
/// for seed in 0..20 {
///     settings.seed = seed;
///     sensors.push(settings.build()?);
/// }
/// let n_threads = std::thread::available_parallelism()?;
/// for minute in 0..100 {
///     let values: Vec<f32> = (0..20).map(|sensor| (minute % (7 + sensor)) as f32).collect();
///     let readings: Vec<Reading<'_>> = values
///         .chunks(1)
///         .enumerate()
///         .map(|(model, observation)| Reading { model, observation })
///         .collect();
///     let scores = score_and_update_many(&mut sensors, &readings, n_threads);
///     assert!(scores.iter().all(|score| score.is_ok()));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A result is an error where there is no such forest, or where its forest does not take the
/// observation; nothing was learnt of that reading, and the others are unaffected.
///
/// Cost: that of [`Forest::score_and_update`] for each reading, divided among the threads, but a
/// forest's readings are all for one thread; the readings are sorted by forest first. Threads are
/// started for each call.
pub fn score_and_update_many(
    forests: &mut [Forest],
    readings: &[Reading<'_>],
    n_threads: NonZeroUsize,
) -> Vec<Result<f64, PointError>> {
    let n_models = forests.len();
    // By forest, those of one in their order.
    let mut order: Vec<usize> = (0..readings.len()).collect();
    order.sort_by_key(|reading| readings[*reading].model);
    let share = readings.len().div_ceil(n_threads.get()).max(1);
    let mut parts = Vec::new();
    let (mut forests, mut first, mut rest) = (forests, 0, &order[..]);
    while !rest.is_empty() {
        // Up to the last reading of a forest, or as one share what has none.
        let last = readings[rest[share.min(rest.len()) - 1]].model;
        let n_readings = rest.partition_point(|reading| readings[*reading].model <= last);
        let n_forests = last.saturating_add(1).min(n_models) - first;
        let (part, others) = forests.split_at_mut(n_forests);
        let (own, later) = rest.split_at(n_readings);
        parts.push((first, part, own));
        (forests, first, rest) = (others, first + n_forests, later);
    }
    let learn = |(first, part, own): (usize, &mut [Forest], &[usize])| {
        let learn = |reading: &usize| {
            let reading = &readings[*reading];
            match part.get_mut(reading.model - first) {
                Some(forest) => forest.score_and_update(reading.observation),
                None => Err(missing(reading, n_models)),
            }
        };
        own.iter().map(learn).collect::<Vec<_>>()
    };
    let mut scores = vec![Ok(0.0); readings.len()];
    let by_forest = thread::scope(|scope| {
        let mut parts = parts.into_iter();
        let first = parts.next();
        let workers: Vec<_> = parts.map(|part| scope.spawn(move || learn(part))).collect();
        let mut by_forest = first.map(learn).unwrap_or_default();
        workers.into_iter().for_each(|worker| by_forest.extend(joined(worker)));
        by_forest
    });
    order.into_iter().zip(by_forest).for_each(|(reading, score)| scores[reading] = score);
    scores
}

fn missing(reading: &Reading<'_>, n_models: usize) -> PointError {
    PointError::NoSuchModel { index: reading.model, n_models }
}

fn joined<T>(worker: thread::ScopedJoinHandle<'_, T>) -> T {
    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
