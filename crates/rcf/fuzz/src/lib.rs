//! What the fuzz targets do with their bytes; panics where the forest breaks a promise.
//!
//! [`stream`] makes a forest and a stream of learning and questions of any bytes. A second forest
//! is replaced by what its snapshot gives now and then; both must say the same to the last bit, which
//! compares what was kept step by step with what is built anew. [`snapshot`] reads bytes as a
//! snapshot: as they are, with a checksum that fits, or as changes of a sound one.

use rcf::{Attribution, Fill, Forest, ForestSettings, PointError};

/// Takes numbers from bytes; zeros when there are none left.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    fn below(&mut self, end: u8) -> usize {
        usize::from(self.byte() % end)
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A number, of the kinds that are hard more often than others.
    fn number(&mut self) -> f32 {
        const HARD: [f32; 12] = [
            0.0,
            -0.0,
            1.0,
            1.0 + f32::EPSILON,
            f32::MAX,
            f32::MIN,
            f32::MIN_POSITIVE,
            f32::from_bits(1),
            -f32::from_bits(1),
            1e38,
            -1e-40,
            16_777_216.0,
        ];
        let kind = self.byte();
        match kind {
            0..=99 => f32::from(kind % 10),
            100..=159 => HARD[usize::from(kind) % HARD.len()],
            160..=219 => f32::from(self.byte().cast_signed()) / 16.0,
            _ => f32::from_bits(self.word()),
        }
    }

    fn numbers(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.number()).collect()
    }

    fn settings(&mut self) -> ForestSettings {
        let mut settings = ForestSettings::new([1, 1, 2, 3, 4, 9][self.below(6)]);
        settings.shingle_size = [1, 1, 2, 3][self.below(4)];
        settings.internal_shingling = self.below(4) > 0;
        settings.n_trees = 1 + self.below(6);
        settings.sample_size = [2, 3, 8, 17, 40][self.below(5)];
        settings.time_decay = [None, Some(0.0), Some(0.01), Some(0.3), Some(1.0)][self.below(5)];
        settings.initial_accept_fraction = [1.0, 0.125, 0.0, 0.5][self.below(4)];
        settings.output_after = [Some(0), Some(1), None, Some(5)][self.below(4)];
        settings.compact = self.below(2) == 1;
        settings.seed = u64::from(self.byte());
        settings
    }
}

/// The most steps of one stream.
const MOST_STEPS: usize = 500;

/// A stream of learning and questions; see the crate's description.
pub fn stream(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let settings = bytes.settings();
    let mut forest = settings.build().expect("settings within their ranges");
    let mut twin = forest.clone();
    let n_numbers =
        settings.n_dims * if settings.internal_shingling { 1 } else { settings.shingle_size };
    for _ in 0..MOST_STEPS {
        if bytes.0.is_empty() {
            break;
        }
        let kind = bytes.byte();
        let point = bytes.numbers(n_numbers);
        let is_finite = point.iter().all(|x| x.is_finite());
        if !is_finite {
            let before = forest.to_bytes();
            let refused = forest.update(&point).expect_err("not finite");
            assert!(matches!(refused, PointError::NotFinite { .. }));
            assert!(forest.score(&point).is_err() && forest.score_and_update(&point).is_err());
            assert_eq!(forest.to_bytes(), before, "a refused point changed the forest");
            continue;
        }
        match kind % 32 {
            0..=11 => both(&mut forest, &mut twin, |forest| {
                forest.update(&point).expect("finite");
            }),
            12..=20 => both(&mut forest, &mut twin, |forest| {
                let is_ready = forest.is_ready();
                let score = forest.score_and_update(&point).expect("finite");
                check_score(forest, is_ready, score);
                score.to_bits()
            }),
            21 => {
                twin = Forest::from_bytes(&twin.to_bytes()).expect("its own bytes");
            }
            22 => {
                let rate = f64::from(bytes.byte()) / 255.0;
                both(&mut forest, &mut twin, |forest| forest.set_time_decay(rate));
            }
            23 => {
                let n_missed = [1, 2, 3, 1000, u64::MAX][bytes.below(5)];
                let fill = fill(&mut bytes);
                both(&mut forest, &mut twin, |forest| {
                    forest.update_after_gap(n_missed, &point, fill)
                });
            }
            24 => {
                let missing = bytes.byte();
                let known = |at: usize| missing >> (at % 8) & 1 == 0;
                let observation: Vec<Option<f32>> =
                    (0..n_numbers).map(|at| Some(point[at]).filter(|_| known(at))).collect();
                let fill = fill(&mut bytes);
                both(&mut forest, &mut twin, |forest| forest.update_filling(&observation, fill));
            }
            kind => both(&mut forest, &mut twin, |forest| ask(forest, kind, &point)),
        }
    }
    assert_eq!(forest.to_bytes(), twin.to_bytes());
}

fn fill(bytes: &mut Bytes<'_>) -> Fill {
    [Fill::Skip, Fill::Zero, Fill::Previous, Fill::Linear, Fill::Forest][bytes.below(5)]
}

/// Does the same with two forests, which must come to the same.
fn both<R: PartialEq + std::fmt::Debug>(
    forest: &mut Forest,
    twin: &mut Forest,
    mut step: impl FnMut(&mut Forest) -> R,
) {
    let found = step(forest);
    assert_eq!(step(twin), found, "a restored forest differs");
}

#[expect(clippy::cast_precision_loss, reason = "at most 65 536")]
fn check_score(forest: &Forest, is_ready: bool, score: f64) {
    let most = (1.0 + forest.settings().sample_size as f64).log2() + 1e-9;
    assert!((0.0..=most).contains(&score), "score {score}");
    assert_eq!(score > 0.0, is_ready, "a score before the forest is ready, or none after");
}

fn check_parts(parts: &Attribution, score: f64) {
    let all = || parts.high.iter().chain(&parts.low);
    assert!(all().all(|part| part.is_finite() && *part >= 0.0), "{parts:?}");
    let sum: f64 = all().sum();
    assert!((sum - score).abs() < 1e-9, "parts add up to {sum}, the score is {score}");
}

/// Asks a forest something about a point; what it says, to the last bit.
fn ask(forest: &Forest, kind: u8, point: &[f32]) -> Vec<u64> {
    let score = forest.score(point).expect("finite");
    check_score(forest, forest.is_ready(), score);
    let mut said = vec![score];
    match kind {
        25 => {
            let parts = forest.attribution(point).expect("finite");
            check_parts(&parts, score);
            said.extend(parts.high.iter().chain(&parts.low));
        }
        26 => {
            for ignore_mass in [1, 3] {
                let score = forest.score_ignoring(point, ignore_mass).expect("finite");
                assert!(score.is_finite() && score >= 0.0);
                let parts = forest.attribution_ignoring(point, ignore_mass).expect("finite");
                check_parts(&parts, score);
                said.push(score);
            }
        }
        27 => {
            let displacement = forest.displacement(point).expect("finite");
            assert!((0.0..=1.0).contains(&displacement), "displacement {displacement}");
            said.push(displacement);
        }
        28 => {
            let density = forest.density(point).expect("finite");
            assert!(density.is_finite() && density >= 0.0, "density {density}");
            said.push(density);
        }
        29 => {
            if let Ok(estimate) = forest.impute(point, &[0]) {
                check_estimate(&estimate, &mut said);
            }
        }
        30 => {
            if let Ok(estimate) = forest.forecast(2) {
                check_estimate(&estimate, &mut said);
            }
        }
        _ => {
            for near in forest.near_neighbors(point, f64::INFINITY, 3).expect("finite") {
                assert!(near.distance.is_finite() && near.n_holders > 0);
                said.extend(near.point.iter().map(|x| f64::from(*x)));
                said.push(near.distance);
            }
        }
    }
    said.into_iter().map(f64::to_bits).collect()
}

fn check_estimate(estimate: &rcf::Estimate, said: &mut Vec<f64>) {
    for (at, median) in estimate.median.iter().enumerate() {
        let (lower, upper) = (estimate.lower[at], estimate.upper[at]);
        assert!(lower.is_finite() && upper.is_finite() && lower <= *median && *median <= upper);
        said.extend([lower, *median, upper].map(f64::from));
    }
}

/// A sound snapshot, of one of some settings.
fn sound(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut settings = bytes.settings();
    settings.internal_shingling = true;
    let mut forest = settings.build().expect("settings within their ranges");
    for n in 0..bytes.below(80) {
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let point: Vec<f32> = (0..settings.n_dims).map(|dim| (n * (n + dim) % 13) as f32).collect();
        forest.update(&point).expect("finite");
    }
    forest.to_bytes()
}

const SUM_BYTES: usize = 8;

/// Puts the checksum of a body behind it.
fn seal(mut body: Vec<u8>) -> Vec<u8> {
    let sum = body.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    body.extend_from_slice(&sum.to_le_bytes());
    body
}

/// A sound snapshot with some changes, and with a checksum that fits.
fn changed(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut body = sound(bytes);
    body.truncate(body.len() - SUM_BYTES);
    for _ in 0..=bytes.below(4) {
        let at = bytes.word() as usize % body.len();
        match bytes.below(6) {
            0 => body[at] = bytes.byte(),
            1 => body[at] ^= 1 << bytes.below(8),
            2 => body.insert(at, bytes.byte()),
            3 if body.len() > 1 => drop(body.remove(at)),
            4 => {
                let number = bytes.number().to_le_bytes();
                body.iter_mut().skip(at).zip(number).for_each(|(to, byte)| *to = byte);
            }
            _ => {
                let n_same = 1 + bytes.below(16);
                let byte = bytes.byte();
                body.iter_mut().skip(at).take(n_same).for_each(|to| *to = byte);
            }
        }
    }
    seal(body)
}

/// The most numbers in all trees' points at which a forest that was read is made to learn.
const MOST_NUMBERS: usize = 4096;

/// Reads bytes as a snapshot; see the crate's description.
pub fn snapshot(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let mode = bytes.byte();
    let (read, queries) = match mode % 4 {
        0 => (bytes.0.to_vec(), Bytes(&[])),
        1 => (seal([b"RCF\n\x01\0".as_slice(), bytes.0].concat()), Bytes(&[])),
        2 => (seal([b"RCF\n\x02\0".as_slice(), bytes.0].concat()), Bytes(&[])),
        _ => (changed(&mut bytes), bytes),
    };
    go_on(&read, queries);
}

fn go_on(read: &[u8], mut queries: Bytes<'_>) {
    let Ok(mut forest) = Forest::from_bytes(read) else { return };
    let settings = forest.settings().clone();
    let point_len = settings.n_dims * settings.shingle_size;
    // Points and boxes of every tree, beside what every forest of these settings has.
    let most = (8 << 20) + settings.n_trees * (read.len() * 64 + 4096) + 64 * point_len;
    assert!(forest.size_bytes() <= most, "{} from {}", forest.size_bytes(), read.len());
    // What was read is written as it is read again.
    let written = forest.to_bytes();
    let mut twin = Forest::from_bytes(&written).expect("its own bytes");
    assert_eq!(twin.to_bytes(), written);
    if point_len * settings.n_trees > MOST_NUMBERS {
        return;
    }
    let n_numbers = if settings.internal_shingling { settings.n_dims } else { point_len };
    for n in 0..48_u8 {
        let mut point = queries.numbers(n_numbers);
        if point.iter().any(|x| !x.is_finite()) || queries.0.is_empty() {
            point = vec![f32::from(n); n_numbers];
        }
        both(&mut forest, &mut twin, |forest| {
            let is_ready = forest.is_ready();
            let said = ask(forest, 25, &point);
            let score = forest.score_and_update(&point).expect("finite");
            check_score(forest, is_ready, score);
            (said, score.to_bits())
        });
    }
    assert_eq!(forest.to_bytes(), twin.to_bytes());
}
