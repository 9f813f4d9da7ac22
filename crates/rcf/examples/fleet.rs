//! Very many small models: how much memory and time do they take?
//!
//! `cargo run --release -p rcf --example fleet -- [N_MODELS [N_THREADS [N_ROUNDS [empty]]]]` keeps so
//! many one-dimensional models of 30 trees and 64 samples, compact. They begin as copies of up to 100
//! models that have learnt 1000 readings, or with `empty` without any; then every model scores and
//! learns readings of its own, one a round, five if not said otherwise, on several threads. It prints
//! the bytes that the models report, the memory that the process holds (on Linux), and the time that
//! a reading takes.

use std::num::NonZeroUsize;
use std::time::Instant;

use rcf::{Forest, ForestSettings, Reading, score_and_update_many, score_many};

const N_WARM: u64 = 100;
const N_HISTORY: u32 = 1000;

/// Numbers of about a normal distribution.
struct Sensor(u64);

impl Sensor {
    fn next(&mut self) -> f32 {
        let uniform = |_| {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 40) as f32 / (1 << 24) as f32
        };
        (0..12).map(uniform).sum::<f32>() - 6.0
    }
}

/// Bytes in memory, as Linux tells.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

fn model(seed: u64, n_history: u32) -> Result<Forest, rcf::WarmStartError> {
    let mut settings = ForestSettings::new(1);
    (settings.n_trees, settings.sample_size) = (30, 64);
    (settings.compact, settings.seed) = (true, seed);
    let mut sensor = Sensor(seed);
    settings.warm_start((0..n_history).map(|_| [sensor.next()]))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let n_models: u64 = arguments.next().map_or(Ok(2000), |text| text.parse())?;
    let n_threads = match arguments.next() {
        Some(text) => text.parse()?,
        None => std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    let n_rounds: u32 = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let n_history = match arguments.next().as_deref() {
        None => N_HISTORY,
        Some("empty") => 0,
        Some(other) => return Err(format!("{other}: only `empty` is known").into()),
    };
    let n_warm = n_models.clamp(1, N_WARM);
    let warm = (0..n_warm).map(|seed| model(seed, n_history)).collect::<Result<Vec<_>, _>>()?;
    let before = resident_bytes().unwrap_or(0);

    let mut models: Vec<Forest> =
        warm.iter().cycle().take(usize::try_from(n_models)?).cloned().collect();
    let copied = resident_bytes();

    let mut sensors: Vec<Sensor> = (0..n_models).map(|n| Sensor(n_warm + n)).collect();
    let mut values = Vec::new();
    let mut took = 0.0;
    for _ in 0..n_rounds {
        values = sensors.iter_mut().map(Sensor::next).collect();
        let start = Instant::now();
        let scores = score_and_update_many(&mut models, &readings(&values), n_threads);
        took += start.elapsed().as_secs_f64();
        scores.into_iter().collect::<Result<Vec<f64>, _>>()?;
    }
    let after = resident_bytes();
    let start = Instant::now();
    let scores = score_many(&models, &readings(&values), n_threads);
    let took_scores = start.elapsed().as_secs_f64();
    scores.into_iter().collect::<Result<Vec<f64>, _>>()?;

    let each = |bytes: u64| bytes / n_models.max(1);
    let reported: usize = models.iter().map(Forest::size_bytes).sum();
    println!("models             {n_models}");
    println!("threads            {n_threads}");
    println!("reported a model   {} bytes", each(reported as u64));
    for (what, bytes) in [("copied  ", copied), ("resident", after)] {
        if let Some(bytes) = bytes {
            println!("{what} a model   {} bytes", each(bytes.saturating_sub(before)));
        }
    }
    let micros = |seconds: f64, n: u64| 1e6 * seconds / n.max(1) as f64;
    println!("score and update   {:.2} us", micros(took, n_models * u64::from(n_rounds)));
    println!("score              {:.2} us", micros(took_scores, n_models));
    Ok(())
}

fn readings(values: &[f32]) -> Vec<Reading<'_>> {
    let observations = values.chunks(1).enumerate();
    observations.map(|(model, observation)| Reading { model, observation }).collect()
}
