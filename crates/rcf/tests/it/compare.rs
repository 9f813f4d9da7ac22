//! Compares the distribution of scores over seeds with the golden ones.

use std::path::Path;

use rcf::{Forest, ForestSettings};

/// The data sets: name, and shingle size.
pub(crate) const SETS: [(&str, usize); 5] =
    [("sensor", 1), ("gauss2d", 1), ("sine_s8", 8), ("dups", 1), ("constant", 1)];
/// Observations before the first score, in the golden runs.
const OUTPUT_AFTER: usize = 65;
const GOLDEN_SEEDS: f64 = 100.0;
/// The variance of what the golden means lose to their six decimals.
const ROUNDING: f64 = 1e-12 / 12.0;

/// Mean and sample standard deviation over seeds, by index.
type Moments = Vec<(f64, f64)>;

/// What one comparison found.
pub(crate) struct Report {
    /// What was compared.
    pub(crate) name: String,
    /// Root mean square of z.
    pub(crate) rms_z: f64,
    /// The 99th percentile of |z|.
    pub(crate) p99_z: f64,
    /// Mean relative difference of the means (of the sums, for attributions).
    pub(crate) relative: f64,
    /// Median ratio of the standard deviations.
    pub(crate) ratio: f64,
    /// Whether every rule holds.
    pub(crate) passed: bool,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:<28} rms z {:.3}  p99 |z| {:.2}  mean rel. diff {:+.3} %  sd ratio {:.3}  {}",
            self.name,
            self.rms_z,
            self.p99_z,
            100.0 * self.relative,
            self.ratio,
            if self.passed { "passed" } else { "FAILED" }
        )
    }
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn read(name: &str) -> Vec<Vec<f64>> {
    let path = folder().join(name);
    let text = std::fs::read_to_string(&path).expect("the golden files are in tests/golden");
    let rows = text.lines().skip(1);
    rows.map(|row| row.split(',').map(|x| x.parse().expect("a number")).collect()).collect()
}

fn moments(sums: &[(f64, f64)], n_seeds: u64) -> Moments {
    let n = n_seeds as f64;
    let moment = |(sum, squares): &(f64, f64)| {
        let mean = sum / n;
        (mean, ((squares - n * mean * mean).max(0.0) / (n - 1.0)).sqrt())
    };
    sums.iter().map(moment).collect()
}

/// Runs one data set over seeds 1..=n_seeds and compares scores and, where given, attributions.
pub(crate) fn compare(set: &str, shingle_size: usize, n_seeds: u64) -> Vec<Report> {
    let rust = rust_file(set);
    let columns = run(set, shingle_size, n_seeds, |forest, observation| {
        let mut found = [forest.score(observation).expect("finite"), 0.0, 0.0];
        if rust.is_some() {
            let parts = forest.attribution(observation).expect("finite");
            found[1] = *parts.high.last().expect("a dimension");
            found[2] = *parts.low.last().expect("a dimension");
        }
        found
    });
    let java = golden(&format!("{set}_java430_seeds1-100.csv"), 1);
    let mut reports = vec![score_report(set, &columns[0], &java, n_seeds)];
    if let Some(rust) = rust {
        for (which, name, at) in [(1, "attribution high", 5), (2, "attribution low", 7)] {
            let name = format!("{set} {name}");
            reports.push(part_report(name, &columns[which], &golden(&rust, at), n_seeds));
        }
    }
    reports
}

/// The same for displacement and density, of the sets that have them.
pub(crate) fn compare_more(set: &str, shingle_size: usize, n_seeds: u64) -> Vec<Report> {
    let Some(rust) = rust_file(set) else { return Vec::new() };
    let columns = run(set, shingle_size, n_seeds, |forest, observation| {
        let displacement = forest.displacement(observation).expect("finite");
        [displacement, forest.density(observation).expect("finite")]
    });
    let report = |which: usize, name, at| {
        part_report(format!("{set} {name}"), &columns[which], &golden(&rust, at), n_seeds)
    };
    vec![report(0, "displacement", 3), report(1, "density", 9)]
}

fn rust_file(set: &str) -> Option<String> {
    Some(format!("{set}_awsrust_seeds1-100.csv")).filter(|file| folder().join(file).exists())
}

fn golden(file: &str, at: usize) -> Moments {
    read(file).iter().map(|row| (row[at], row[at + 1])).collect()
}

/// Measures before every update; the moments of each measure by index.
fn run<const N: usize>(
    set: &str,
    shingle_size: usize,
    n_seeds: u64,
    measure: impl Fn(&Forest, &[f32]) -> [f64; N],
) -> [Moments; N] {
    let input = read(&format!("{set}_input.csv"));
    #[expect(clippy::cast_possible_truncation, reason = "points are f32")]
    let point = |row: &Vec<f64>| row[1..].iter().map(|x| *x as f32).collect();
    let input: Vec<Vec<f32>> = input.iter().map(point).collect();
    let mut sums = vec![[(0.0, 0.0); N]; input.len()];
    for seed in 1..=n_seeds {
        let mut forest = forest(input[0].len(), shingle_size, seed);
        for (observation, sums) in input.iter().zip(&mut sums) {
            for (sum, x) in sums.iter_mut().zip(measure(&forest, observation)) {
                sum.0 += x;
                sum.1 += x * x;
            }
            forest.update(observation).expect("finite");
        }
    }
    std::array::from_fn(|which| {
        moments(&sums.iter().map(|sums| sums[which]).collect::<Vec<_>>(), n_seeds)
    })
}

fn forest(n_dims: usize, shingle_size: usize, seed: u64) -> Forest {
    let mut settings = ForestSettings::new(n_dims);
    settings.shingle_size = shingle_size;
    settings.initial_accept_fraction = 0.125;
    settings.time_decay = Some(0.1 / 256.0);
    settings.output_after = Some(OUTPUT_AFTER as u64);
    settings.seed = seed;
    settings.build().expect("valid settings")
}

fn ratio_bounds(set: &str, n_seeds: u64) -> (f64, f64) {
    if matches!(set, "dups" | "constant") || n_seeds < 100 { (0.70, 1.40) } else { (0.80, 1.25) }
}

/// z, |z| sorted, and the ratio of deviations, over the rows that can be judged.
fn judge(new: &Moments, gold: &Moments, n_seeds: u64) -> (f64, f64, f64) {
    let mut z = Vec::new();
    let mut ratios = Vec::new();
    for ((mean, sd), (gold_mean, gold_sd)) in new.iter().zip(gold) {
        if *mean == 0.0 || *gold_mean == 0.0 || (*sd < 1e-6 && *gold_sd < 1e-6) {
            continue;
        }
        let variance = sd * sd / n_seeds as f64 + gold_sd * gold_sd / GOLDEN_SEEDS;
        let error = (variance + ROUNDING).sqrt();
        z.push(((mean - gold_mean) / error).abs());
        ratios.push(sd / gold_sd);
    }
    let rms = (z.iter().map(|z| z * z).sum::<f64>() / z.len() as f64).sqrt();
    z.sort_by(f64::total_cmp);
    ratios.sort_by(f64::total_cmp);
    (rms, z[z.len() * 99 / 100], ratios[ratios.len() / 2])
}

fn score_report(set: &str, new: &Moments, gold: &Moments, n_seeds: u64) -> Report {
    let (rms_z, p99_z, ratio) = judge(new, gold, n_seeds);
    let mut differences = Vec::new();
    let mut steady = true;
    for ((mean, sd), (gold_mean, gold_sd)) in new.iter().zip(gold) {
        if *mean != 0.0 && *gold_mean != 0.0 {
            differences.push((mean - gold_mean) / gold_mean);
        }
        if *sd < 1e-6 && *gold_sd < 1e-6 {
            steady &= (mean - gold_mean).abs() < 2e-6;
        }
    }
    let relative = differences.iter().sum::<f64>() / differences.len() as f64;
    let silent =
        new.iter().enumerate().all(|(at, (mean, _))| (*mean == 0.0) == (at < OUTPUT_AFTER));
    let (least, most) = ratio_bounds(set, n_seeds);
    let passed = rms_z < 1.6
        && p99_z < 3.5
        && relative.abs() < 0.008
        && (least..=most).contains(&ratio)
        && steady
        && silent;
    Report { name: set.to_owned(), rms_z, p99_z, relative, ratio, passed }
}

fn part_report(name: String, new: &Moments, gold: &Moments, n_seeds: u64) -> Report {
    // The Rust port counts shingles, not observations: it begins later.
    let first = gold.iter().position(|(mean, _)| *mean != 0.0).unwrap_or(0);
    let (new, gold) = (new[first..].to_vec(), gold[first..].to_vec());
    let (rms_z, p99_z, ratio) = judge(&new, &gold, n_seeds);
    let judged = || new.iter().zip(&gold).filter(|(_, (gold, _))| gold.abs() > 1e-3);
    let sum: f64 = judged().map(|((mean, _), _)| mean).sum();
    let gold_sum: f64 = judged().map(|(_, (gold, _))| gold).sum();
    // The densities of eight dimensions are all below, and have no sums to compare.
    let relative = if gold_sum == 0.0 { 0.0 } else { (sum - gold_sum) / gold_sum };
    let (least, most) = ratio_bounds("", n_seeds);
    let passed =
        rms_z < 1.6 && p99_z < 3.5 && relative.abs() < 0.01 && (least..=most).contains(&ratio);
    Report { name, rms_z, p99_z, relative, ratio, passed }
}
