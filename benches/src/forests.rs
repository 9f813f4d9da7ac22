//! What the comparisons of forests share.

use krcf::RandomCutForestOptions;

/// Points that a tree keeps.
pub const SAMPLE: usize = 256;

/// Numbers of a normal distribution: SplitMix64 and the method of Box and Muller.
#[derive(Debug)]
pub struct Normal(pub u64);

impl Normal {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed ^ (mixed >> 31)) >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
    }

    /// The next one, of mean 0 and deviation 1.
    pub fn draw(&mut self) -> f64 {
        let (u, v) = (self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

/// krcf's forest as all comparisons have it: one thread, decay 0.1 / sample, an initial accept fraction
/// of 1, its default box cache, shingled inside.
pub fn krcf_options(
    dims: usize,
    shingle: usize,
    trees: usize,
    seed: u64,
) -> RandomCutForestOptions {
    RandomCutForestOptions {
        dimensions: dims,
        shingle_size: shingle,
        num_trees: Some(trees),
        sample_size: Some(SAMPLE),
        output_after: Some(SAMPLE / 4),
        random_seed: Some(seed),
        parallel_execution_enabled: Some(false),
        lambda: Some(0.1 / SAMPLE as f64),
        internal_shingling: Some(true),
        initial_accept_fraction: Some(1.0),
        ..RandomCutForestOptions::default()
    }
}

/// Ours the same way.
pub fn our_settings(dims: usize, shingle: usize, trees: usize, seed: u64) -> rcf::ForestSettings {
    let mut settings = rcf::ForestSettings::new(dims);
    settings.shingle_size = shingle;
    settings.n_trees = trees;
    settings.sample_size = SAMPLE;
    settings.time_decay = Some(0.1 / SAMPLE as f64);
    settings.initial_accept_fraction = 1.0;
    settings.seed = seed;
    settings
}
