//! Tests of distributions, for the tests.
//!
//! Each gives the probability that equal laws differ by at least as much. A test that asserts
//! `p > FALSE_ALARM` fails for a right forest under one seed in a million; seeds are fixed, so that
//! it is the same one every time.

/// The share of seeds under which a right forest would fail one assertion.
pub(crate) const FALSE_ALARM: f64 = 1e-6;

/// The least expected count of a cell; smaller ones are put together.
const LEAST_EXPECTED: f64 = 8.0;

/// Pearson's test that counts come from given probabilities.
pub(crate) fn fit(counts: &[f64], probabilities: &[f64]) -> f64 {
    assert_eq!(counts.len(), probabilities.len());
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9, "no distribution");
    let n: f64 = counts.iter().sum();
    let mut cells: Vec<(f64, f64)> =
        counts.iter().zip(probabilities).map(|(count, p)| (n * p, *count)).collect();
    cells.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut statistic, mut n_cells) = (0.0, 0.0);
    let (mut expected, mut observed) = (0.0, 0.0);
    let mut left = n;
    for (e, o) in cells {
        expected += e;
        observed += o;
        // What remains must make a cell too.
        if expected >= LEAST_EXPECTED
            && (left - expected >= LEAST_EXPECTED || left - expected < 1e-6)
        {
            statistic += (observed - expected) * (observed - expected) / expected;
            n_cells += 1.0;
            left -= expected;
            (expected, observed) = (0.0, 0.0);
        }
    }
    assert!(n_cells > 1.0, "too few counts for a test");
    upper_gamma((n_cells - 1.0) / 2.0, statistic / 2.0)
}

/// Kolmogorov's and Smirnov's test that two lists of numbers come from one law. With ties, the
/// probability is too large, never too small.
pub(crate) fn same_law(a: &[f64], b: &[f64]) -> f64 {
    let (mut a, mut b) = (a.to_vec(), b.to_vec());
    a.sort_by(f64::total_cmp);
    b.sort_by(f64::total_cmp);
    let (n_a, n_b) = (a.len() as f64, b.len() as f64);
    let below = |list: &[f64], x: f64| list.partition_point(|y| *y <= x) as f64;
    let gap = a.iter().chain(&b).map(|x| (below(&a, *x) / n_a - below(&b, *x) / n_b).abs());
    let root = (n_a * n_b / (n_a + n_b)).sqrt();
    let t = (root + 0.12 + 0.11 / root) * gap.fold(0.0, f64::max);
    let term = |k: i32| {
        let k = f64::from(k);
        (-2.0 * k * k * t * t).exp() * if k % 2.0 == 0.0 { -2.0 } else { 2.0 }
    };
    if t < 0.2 { 1.0 } else { (1..100).map(term).sum::<f64>().clamp(0.0, 1.0) }
}

/// A mean and its standard error.
pub(crate) fn mean_and_error(numbers: &[f64]) -> (f64, f64) {
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let squares: f64 = numbers.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}

/// The probability that a normal variable is at least so far from 0.
pub(crate) fn beyond(z: f64) -> f64 {
    upper_gamma(0.5, z * z / 2.0)
}

/// The regularised incomplete gamma function from x up: by its series, or its continued fraction.
fn upper_gamma(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let scale = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-16 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return 1.0 - sum * scale;
    }
    // From its end towards its beginning.
    let mut fraction = 0.0;
    for n in (1..500).rev() {
        let n = f64::from(n);
        fraction = n * (n - a) / (x + 2.0 * n + 1.0 - a - fraction);
    }
    scale / (x + 1.0 - a - fraction)
}

/// The logarithm of the gamma function: Stirling's series, from where it is precise.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut below) = (x, 0.0);
    while x < 12.0 {
        below += x.ln();
        x += 1.0;
    }
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5));
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - below
}

#[test]
fn known_quantiles_have_their_probabilities() {
    let near =
        |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 1e-3, "{found}");
    near(upper_gamma(0.5, 3.841_459 / 2.0), 0.05);
    near(upper_gamma(5.0, 18.307_04 / 2.0), 0.05);
    near(upper_gamma(50.0, 149.449 / 2.0), 0.001);
    near(beyond(4.891_638), 1e-6);
    near(ln_gamma(0.5), std::f64::consts::PI.sqrt().ln());
    // Counts of a fair die that is thrown 600 times, and of a loaded one.
    let fair = [1.0 / 6.0; 6];
    assert!(fit(&[95.0, 105.0, 98.0, 102.0, 100.0, 100.0], &fair) > 0.5);
    assert!(fit(&[180.0, 84.0, 84.0, 84.0, 84.0, 84.0], &fair) < FALSE_ALARM);
    let line: Vec<f64> = (0..2000).map(f64::from).collect();
    let moved: Vec<f64> = line.iter().map(|x| x + 400.0).collect();
    assert!(same_law(&line, &line) > 0.99 && same_law(&line, &moved) < FALSE_ALARM);
}
