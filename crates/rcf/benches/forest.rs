//! Microseconds a point in steady state, over dimensions, trees and shingles.

use criterion::{Criterion, criterion_group, criterion_main};
use rcf::{Forest, ForestSettings};

const N_POINTS: usize = 4096;

/// Numbers that are close enough to normal ones, around a sine where there is a shingle.
fn numbers(n: usize, shingle_size: usize) -> Vec<f32> {
    let mut state = 1_u64;
    let mut normal = || {
        let mut sum = -6.0;
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            sum += (state >> 40) as f32 / (1 << 24) as f32;
        }
        sum
    };
    let height = if shingle_size > 1 { 10.0 } else { 0.0 };
    (0..n).map(|at| height * (at as f32 * std::f32::consts::TAU / 60.0).sin() + normal()).collect()
}

fn forest(n_dims: usize, shingle_size: usize, n_trees: usize, numbers: &[f32]) -> Forest {
    let mut settings = ForestSettings::new(n_dims);
    settings.shingle_size = shingle_size;
    settings.n_trees = n_trees;
    let mut forest = settings.build().expect("valid settings");
    for point in numbers.chunks(n_dims).cycle().take(5000) {
        forest.update(point).expect("finite numbers");
    }
    forest
}

fn benches(criterion: &mut Criterion) {
    for (n_dims, shingle_size, n_trees) in
        [(1, 1, 50), (1, 1, 100), (1, 8, 50), (10, 1, 50), (64, 1, 50)]
    {
        let numbers = numbers(N_POINTS * n_dims, shingle_size);
        let mut forest = forest(n_dims, shingle_size, n_trees, &numbers);
        let of = format!("trees={n_trees}/sample=256/shingle={shingle_size}/dims={n_dims}");
        let mut points = numbers.chunks(n_dims).cycle();
        let mut next = move || points.next().expect("the points go round");
        criterion.bench_function(&format!("score/{of}"), |bencher| {
            bencher.iter(|| forest.score(next()));
        });
        criterion.bench_function(&format!("update/{of}"), |bencher| {
            bencher.iter(|| forest.update(next()));
        });
        criterion.bench_function(&format!("score_and_update/{of}"), |bencher| {
            bencher.iter(|| forest.score_and_update(next()));
        });
    }
}

criterion_group!(forests, benches);
criterion_main!(forests);
