//! Our forest against `krcf`, the AWS Rust port on crates.io: microseconds a point, and bytes.
//!
//! `cargo run --release -p eddy-benches --bin forest -- [--data FILE] [--seed N] [--points N]
//! [--pairs N] [--only dims=64]`
//!
//! Both have 256 samples, decay 0.1/256, an initial accept fraction of 1, one thread; krcf its
//! default box cache. Where both score and update, ours has one call for it, krcf two. 20 000 points
//! are learnt first. Then ours and krcf run in turn, pair by pair, over the same points; a ratio is
//! the median of those of the pairs.
//!
//! Each line also has the trees that take a point and the mean scores, so that both are known to do
//! the same work: where the former differ by more than 5 %, or the latter by more than 1 %, the exit
//! code is 1. A forest's mean score depends on its seed for as long as its samples last: two forests
//! of one law differ by 2 % over thousands of points. So the means are those of many pairs of
//! forests, each pair with a seed and points of its own, as many as it takes until the standard
//! error of their difference is a quarter of the bound; where the most do not suffice, the exit code
//! is 1 too.
//!
//! `--data` names a file of numbers, separated by commas or white space. They are taken in the
//! order of reading, as many a point as it has dimensions, from the start again at the end.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use eddy_benches::forests::{self, Normal, SAMPLE};
use krcf::{RandomCutForest, RandomCutForestOptions};
use rcf::{Forest, ForestSettings};
use rcflib::rcf::AugmentedRCF;
use serde_json::json;

const WARM_UP: usize = 20_000;
/// Points between two looks at krcf's samples: few enough that hardly any newcomer leaves between.
const LOOK_EVERY: usize = 20;
const LOOKS: usize = 100;

/// The most that mean scores may differ, as a share.
const MEAN_BOUND: f64 = 0.01;
/// Points that each forest learns for the means, first without and then with a score.
const MEAN_WARM_UP: usize = 3000;
const MEAN_POINTS: usize = 2000;
/// Pairs of forests for the means: with fewer their deviation is not known, with more it takes long.
const FEWEST_FORESTS: u64 = 30;
const MOST_FORESTS: u64 = 400;

#[derive(Clone, Copy)]
struct Configuration {
    dims: usize,
    shingle: usize,
    trees: usize,
}

const CONFIGURATIONS: [Configuration; 5] = [
    Configuration { dims: 1, shingle: 1, trees: 50 },
    Configuration { dims: 1, shingle: 1, trees: 100 },
    Configuration { dims: 1, shingle: 8, trees: 50 },
    Configuration { dims: 10, shingle: 1, trees: 50 },
    Configuration { dims: 64, shingle: 1, trees: 50 },
];

struct Options {
    data: Option<Vec<f32>>,
    seed: u64,
    points: usize,
    pairs: usize,
    only: Option<String>,
}

fn options() -> Result<Options> {
    let mut options = Options { data: None, seed: 1, points: 50_000, pairs: 5, only: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--data" => {
                let text = std::fs::read_to_string(&value).with_context(|| value.clone())?;
                let fields = text.split([',', ' ', '\t', '\r', '\n']).filter(|x| !x.is_empty());
                let numbers: Vec<f32> = fields.filter_map(|x| x.parse().ok()).collect();
                ensure!(!numbers.is_empty(), "{value} has no numbers");
                options.data = Some(numbers);
            }
            "--seed" => options.seed = value.parse().context("--seed")?,
            "--points" => options.points = value.parse().context("--points")?,
            "--pairs" => options.pairs = value.parse().context("--pairs")?,
            "--only" => options.only = Some(value),
            _ => bail!("{name} is not known: --data, --seed, --points, --pairs, --only"),
        }
    }
    ensure!(options.points > 0 && options.pairs > 0, "--points and --pairs are at least 1");
    Ok(options)
}

/// Points; those of another part are others.
#[expect(clippy::cast_possible_truncation, reason = "points are f32; parts are few")]
fn data(options: &Options, configuration: Configuration, part: u64, n_points: usize) -> Vec<f32> {
    let n_numbers = n_points * configuration.dims;
    if let Some(numbers) = &options.data {
        let start = part as usize * n_numbers % numbers.len();
        return numbers.iter().copied().cycle().skip(start).take(n_numbers).collect();
    }
    let mut normal = Normal(options.seed.wrapping_add(part));
    let phase = |at: usize| std::f64::consts::TAU * at as f64 / 60.0;
    let number = |at: usize| match configuration.shingle {
        1 => normal.draw() as f32,
        _ => (10.0 * phase(at).sin() + normal.draw()) as f32,
    };
    (0..n_numbers).map(number).collect()
}

fn krcf_options(configuration: Configuration, seed: u64) -> RandomCutForestOptions {
    let Configuration { dims, shingle, trees } = configuration;
    forests::krcf_options(dims, shingle, trees, seed)
}

fn settings(configuration: Configuration, seed: u64) -> ForestSettings {
    let Configuration { dims, shingle, trees } = configuration;
    forests::our_settings(dims, shingle, trees, seed)
}

/// What is timed: score, then update, of one implementation.
trait Work {
    fn score(&mut self, point: &[f32]) -> f64;
    fn update(&mut self, point: &[f32]);

    /// Scores, then updates.
    fn both(&mut self, point: &[f32]) -> f64 {
        let score = self.score(point);
        self.update(point);
        score
    }
}

impl Work for Forest {
    fn score(&mut self, point: &[f32]) -> f64 {
        Forest::score(self, point).expect("finite numbers")
    }

    fn update(&mut self, point: &[f32]) {
        Forest::update(self, point).expect("finite numbers");
    }

    fn both(&mut self, point: &[f32]) -> f64 {
        self.score_and_update(point).expect("finite numbers")
    }
}

impl Work for RandomCutForest {
    fn score(&mut self, point: &[f32]) -> f64 {
        RandomCutForest::score(self, point).expect("finite numbers")
    }

    fn update(&mut self, point: &[f32]) {
        RandomCutForest::update(self, point).expect("finite numbers");
    }
}

/// Microseconds a point.
fn time(forest: &mut impl Work, points: &[f32], dims: usize, work: &str) -> f64 {
    let n_points = (points.len() / dims) as f64;
    let mut sum = 0.0;
    let start = Instant::now();
    for point in points.chunks(dims) {
        match work {
            "score" => sum += forest.score(point),
            "update" => forest.update(point),
            _ => sum += forest.both(point),
        }
    }
    black_box(sum);
    start.elapsed().as_secs_f64() * 1e6 / n_points
}

fn krcf_forest(configuration: Configuration, seed: u64) -> Result<RandomCutForest> {
    RandomCutForest::new(krcf_options(configuration, seed))
        .map_err(|error| anyhow::anyhow!("krcf: {error:?}"))
}

/// Mean scores over many pairs of forests.
struct Means {
    ours: f64,
    krcf: f64,
    /// Of ours from krcf's, as a share of the latter, and its standard error.
    difference: f64,
    error: f64,
    n_forests: u64,
}

/// A score alone is that of the call that also updates, to the last bit: so the means say of both
/// works that they are done.
fn check_scores(forest: &mut Forest, points: &[f32], dims: usize) -> Result<()> {
    for point in points.chunks(dims) {
        let (score, both) = (Work::score(forest, point), forest.both(point));
        ensure!(
            score.to_bits() == both.to_bits(),
            "a score alone is {score}, with an update {both}"
        );
    }
    Ok(())
}

fn means(options: &Options, configuration: Configuration) -> Result<Means> {
    let dims = configuration.dims;
    let mean = |forest: &mut dyn Work, points: &[f32]| {
        let (warm_up, scored) = points.split_at(MEAN_WARM_UP * dims);
        warm_up.chunks(dims).for_each(|point| forest.update(point));
        scored.chunks(dims).map(|point| forest.both(point)).sum::<f64>() / MEAN_POINTS as f64
    };
    let (mut ours, mut krcf, mut of_squares) = (0.0, 0.0, 0.0);
    for n_forests in 1..=MOST_FORESTS {
        let points = data(options, configuration, n_forests, MEAN_WARM_UP + MEAN_POINTS);
        let seed = options.seed.wrapping_add(n_forests);
        if n_forests == 1 {
            check_scores(&mut settings(configuration, seed).build()?, &points, dims)?;
        }
        let own = mean(&mut settings(configuration, seed).build()?, &points);
        let other = mean(&mut krcf_forest(configuration, seed)?, &points);
        ours += own;
        krcf += other;
        of_squares += (own - other).powi(2);
        let n = n_forests as f64;
        let difference = (ours - krcf) / n;
        let variance = (of_squares / n - difference.powi(2)).max(0.0) * n / (n - 1.0).max(1.0);
        let scale = krcf / n;
        let error = (variance / n).sqrt() / scale;
        let is_known = n_forests >= FEWEST_FORESTS && error <= MEAN_BOUND / 4.0;
        if is_known || n_forests == MOST_FORESTS {
            let difference = difference / scale;
            return Ok(Means { ours: ours / n, krcf: scale, difference, error, n_forests });
        }
    }
    unreachable!("the last round returns")
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Trees that take a point, on average. krcf does not say; its samples' weights do.
fn krcf_accepts(forest: &mut RandomCutForest, points: &[f32], dims: usize) -> Result<f64> {
    let weights = |forest: &RandomCutForest| -> Result<Vec<std::collections::HashSet<String>>> {
        let text = serde_json::to_string(forest)?;
        let lists = text.split("\"weights\":[").skip(1);
        Ok(lists
            .map(|list| list.split(']').next().unwrap_or_default())
            .map(|list| list.split(',').map(str::to_owned).collect())
            .collect())
    };
    let mut n_accepted = 0;
    let mut before = weights(forest)?;
    let mut points = points.chunks(dims).cycle();
    for _ in 0..LOOKS {
        for _ in 0..LOOK_EVERY {
            Work::update(forest, points.next().expect("points"));
        }
        let after = weights(forest)?;
        n_accepted +=
            before.iter().zip(&after).map(|(a, b)| b.difference(a).count()).sum::<usize>();
        before = after;
    }
    Ok(n_accepted as f64 / (LOOKS * LOOK_EVERY) as f64)
}

fn differs(a: f64, b: f64, share: f64) -> bool {
    (a / b - 1.0).abs() > share
}

/// Prints the lines of a configuration; says whether both did the same work.
fn run(options: &Options, configuration: Configuration) -> Result<bool> {
    let Configuration { dims, shingle, trees } = configuration;
    let data = data(options, configuration, 0, WARM_UP + options.points);
    let (warm_up, timed) = data.split_at(WARM_UP * dims);
    let mut ours = settings(configuration, options.seed).build()?;
    let mut theirs = krcf_forest(configuration, options.seed)?;
    // The same forest without krcf's wrapper, which hides its size.
    let mut sized = krcf_options(configuration, options.seed)
        .to_rcf()
        .map_err(|error| anyhow::anyhow!("krcf: {error:?}"))?;
    for point in warm_up.chunks(dims) {
        Work::update(&mut ours, point);
        Work::update(&mut theirs, point);
        sized.update(point, 0).map_err(|error| anyhow::anyhow!("krcf: {error:?}"))?;
    }
    let mut compact = settings(configuration, options.seed);
    compact.compact = true;
    let mut compact = compact.build()?;
    warm_up.chunks(dims).for_each(|point| Work::update(&mut compact, point));

    let (accepted, learnt) = (ours.n_accepted(), ours.n_observations());
    let means = means(options, configuration)?;
    let is_known = means.error <= MEAN_BOUND / 4.0;
    let mut same = is_known && means.difference.abs() <= MEAN_BOUND;
    let mut lines = Vec::new();
    for work in ["score", "update", "both"] {
        let mut pairs = Vec::new();
        for _ in 0..options.pairs {
            let ours_us = time(&mut ours, timed, dims, work);
            pairs.push((ours_us, time(&mut theirs, timed, dims, work)));
        }
        let column = |pick: fn(&(f64, f64)) -> f64| median(pairs.iter().map(pick).collect());
        lines.push(json!({
            "work": work, "dims": dims, "shingle": shingle, "trees": trees, "sample": SAMPLE,
            "ours_us": column(|pair| pair.0), "krcf_us": column(|pair| pair.1),
            "ratio": column(|pair| pair.1 / pair.0),
            "ours_bytes": ours.size_bytes(), "ours_compact_bytes": compact.size_bytes(),
            "krcf_bytes": sized.size(),
            "ours_mean_score": means.ours, "krcf_mean_score": means.krcf,
            "mean_score_difference": means.difference, "standard_error": means.error,
            "forests": means.n_forests,
        }));
    }
    let n_learnt = (ours.n_observations() - learnt) as f64;
    let ours_accepts = (ours.n_accepted() - accepted) as f64 / n_learnt;
    let krcf_accepts = krcf_accepts(&mut theirs, timed, dims)?;
    same &= !differs(ours_accepts, krcf_accepts, 0.05);
    for mut line in lines {
        line["ours_accepts_a_point"] = json!(ours_accepts);
        line["krcf_accepts_a_point"] = json!(krcf_accepts);
        println!("{line}");
    }
    Ok(same)
}

fn main() -> Result<ExitCode> {
    let options = options()?;
    let mut same = true;
    for configuration in CONFIGURATIONS {
        let Configuration { dims, shingle, trees } = configuration;
        let name = format!("dims={dims}/shingle={shingle}/trees={trees}/");
        if options.only.as_ref().is_none_or(|only| name.contains(&format!("{only}/"))) {
            same &= run(&options, configuration)?;
        }
    }
    if !same {
        eprintln!(
            "ours and krcf did not do the same work, or it is not known: compare mean scores, their standard error and accepts"
        );
    }
    Ok(ExitCode::from(u8::from(!same)))
}
