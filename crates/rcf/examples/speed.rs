//! Microseconds a point in steady state: score, update, both.
//!
//! `cargo run --release -p rcf --example speed`

use std::time::Instant;

use rcf::ForestSettings;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("dims  trees  score us  update us  both us  bytes");
    for (n_dims, n_trees) in [(1, 50), (1, 100), (10, 50), (64, 50)] {
        let mut settings = ForestSettings::new(n_dims);
        settings.n_trees = n_trees;
        let mut forest = settings.build()?;
        let mut state = 1_u64;
        let mut normal = || {
            // The sum of twelve uniform numbers is close enough to normal for a timing.
            let mut sum = -6.0;
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                sum += (state >> 40) as f32 / (1 << 24) as f32;
            }
            sum
        };
        let data: Vec<f32> = (0..40_000 * n_dims).map(|_| normal()).collect();
        let (warm_up, timed) = data.split_at(20_000 * n_dims);
        for point in warm_up.chunks(n_dims) {
            forest.update(point)?;
        }
        let n_points = (timed.len() / n_dims) as f64;
        let start = Instant::now();
        let mut sum = 0.0;
        for point in timed.chunks(n_dims) {
            sum += forest.score(point)?;
        }
        let score = start.elapsed().as_secs_f64() * 1e6 / n_points;
        let start = Instant::now();
        for point in timed.chunks(n_dims) {
            forest.update(point)?;
        }
        let update = start.elapsed().as_secs_f64() * 1e6 / n_points;
        let start = Instant::now();
        for point in timed.chunks(n_dims) {
            sum += forest.score_and_update(point)?;
        }
        let both = start.elapsed().as_secs_f64() * 1e6 / n_points;
        assert!(sum > 0.0);
        let bytes = forest.size_bytes();
        println!("{n_dims:>4}  {n_trees:>5}  {score:>8.2}  {update:>9.2}  {both:>7.2}  {bytes}");
    }
    Ok(())
}
