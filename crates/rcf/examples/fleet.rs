//! How much memory do many small models take?
//!
//! `cargo run --release -p rcf --example fleet -- [N_MODELS]` keeps so many one-dimensional models
//! of 30 trees and 64 samples, compact, each fed 1000 readings, and prints the bytes that they
//! report and the memory that the process holds (on Linux).

use rcf::{Forest, ForestSettings};

const N_READINGS: u32 = 1000;

/// Bytes in memory, as Linux tells.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let n_models: u64 = match std::env::args().nth(1) {
        Some(text) => text.parse()?,
        None => 2000,
    };
    let before = resident_bytes().unwrap_or(0);
    let mut models: Vec<Forest> = Vec::new();
    for seed in 0..n_models {
        let mut settings = ForestSettings::new(1);
        (settings.n_trees, settings.sample_size) = (30, 64);
        (settings.compact, settings.seed) = (true, seed);
        let mut model = settings.build()?;
        let mut state = seed;
        for _ in 0..N_READINGS {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            model.update(&[(state >> 40) as f32])?;
        }
        models.push(model);
    }
    let reported: usize = models.iter().map(Forest::size_bytes).sum();
    println!("models             {n_models}");
    println!("reported a model   {} bytes", reported as u64 / n_models.max(1));
    if let Some(after) = resident_bytes() {
        println!("resident a model   {} bytes", (after - before) / n_models.max(1));
    }
    Ok(())
}
