//! From scores to grades: a threshold that follows the scores of one model.
//!
//! A score ranks rows, but where "high" begins depends on the data. A [`Grader`] keeps a discounted
//! mean and deviation of the scores and puts the threshold some deviations above the mean. High
//! scores are cut before they count, so that an anomaly hardly raises the threshold, while scores
//! that stay high become the new normal within a hundred rows.

/// The standing of one score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grade {
    /// How much of an anomaly the score is, 0..1: 0 up to the threshold; above it, the part of the
    /// score's distance from the mean that lies above the threshold, so 0.5 for a score twice as
    /// far from the mean as the threshold.
    pub grade: f64,
    /// The score above which the grade was more than 0.
    pub threshold: f64,
}

/// Turns the scores of one model, in order, into grades.
#[derive(Clone, Debug, PartialEq)]
pub struct Grader {
    // Of scores that were cut before they counted, discounted; finite and below the threshold.
    mean: f64,
    // As the mean, at least 0.
    variance: f64,
    // Scores since the last one with a grade above 0, and that one's score.
    since_anomaly: u64,
    peak: f64,
}

/// Deviations between the mean and the threshold. Scores of ordinary points are skewed to the right,
/// and the deviation is that of cut scores: with seven, one row of a hundred of normal noise has a
/// grade.
const Z_FACTOR: f64 = 7.0;
/// A score counts for no more than so many deviations above the mean.
const CUT: f64 = 3.0;
/// The weight of the newest score: about a hundred scores count.
const DISCOUNT: f64 = 0.01;
/// The mean and the deviation to begin with, those of ordinary points: the threshold is 1.5.
const FIRST_MEAN: f64 = 0.8;
const FIRST_DEVIATION: f64 = 0.1;
/// No threshold is lower: a score of 1 says that a point is as far from the others as they are from
/// each other, however even the scores have been.
const LOWEST_THRESHOLD: f64 = 1.0;
/// No deviation is taken for smaller: it is what the forest's own randomness makes.
const SMALLEST_DEVIATION: f64 = 0.05;

/// The version of a [`Grader`] as bytes, and how long it is with it.
const VERSION: u8 = 1;
const N_BYTES: usize = 33;

impl Default for Grader {
    fn default() -> Self {
        Self {
            mean: FIRST_MEAN,
            variance: FIRST_DEVIATION * FIRST_DEVIATION,
            since_anomaly: u64::MAX,
            peak: 0.0,
        }
    }
}

impl Grader {
    /// The score above which the next grade is more than 0.
    pub fn threshold(&self) -> f64 {
        (self.mean + Z_FACTOR * self.deviation()).max(LOWEST_THRESHOLD)
    }

    fn deviation(&self) -> f64 {
        self.variance.sqrt().max(SMALLEST_DEVIATION)
    }

    /// Grades a score, at least 0 and finite, then counts it. A score of 0 is that of a model that
    /// learns: its grade is 0 and it does not count.
    ///
    /// A reading stays in the shingles of `shingle_size` rows: rows that near behind an anomaly whose
    /// scores are no higher are the same one, and have the grade 0.
    pub fn grade(&mut self, score: f64, shingle_size: usize) -> Grade {
        let threshold = self.threshold();
        if score <= 0.0 {
            return Grade { grade: 0.0, threshold };
        }
        self.since_anomaly = self.since_anomaly.saturating_add(1);
        let is_same = self.since_anomaly < shingle_size as u64 && score <= self.peak;
        let mut grade = 0.0;
        if score > threshold && !is_same {
            grade = (score - threshold) / (score - self.mean);
            (self.since_anomaly, self.peak) = (0, score);
        }
        let off = score.min(self.mean + CUT * self.deviation()) - self.mean;
        self.mean += DISCOUNT * off;
        self.variance = (1.0 - DISCOUNT) * (self.variance + DISCOUNT * off * off);
        Grade { grade, threshold }
    }

    /// Everything that later grades depend on.
    pub fn to_bytes(&self) -> [u8; N_BYTES] {
        let parts =
            [self.mean.to_bits(), self.variance.to_bits(), self.since_anomaly, self.peak.to_bits()];
        let mut bytes = [VERSION; N_BYTES];
        for (place, part) in bytes[1..].chunks_exact_mut(8).zip(parts) {
            place.copy_from_slice(&part.to_le_bytes());
        }
        bytes
    }

    /// What [`Grader::to_bytes`] wrote; `None` if it did not write these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (_, parts) = bytes.split_first().filter(|(version, _)| **version == VERSION)?;
        if bytes.len() != N_BYTES {
            return None;
        }
        let part = |idx: usize| parts[8 * idx..8 * idx + 8].try_into().map(u64::from_le_bytes).ok();
        let number = |idx: usize| {
            let number = f64::from_bits(part(idx)?);
            (number.is_finite() && number >= 0.0).then_some(number)
        };
        Some(Self {
            mean: number(0)?,
            variance: number(1)?,
            since_anomaly: part(2)?,
            peak: number(3)?,
        })
    }

    /// Takes what [`Grader::to_bytes`] wrote from the front of `bytes`; the rest follows it.
    pub fn split_bytes(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (own, rest) = bytes.split_at_checked(N_BYTES)?;
        Some((Self::from_bytes(own)?, rest))
    }
}

#[cfg(test)]
mod tests {
    use rcf::ForestSettings;

    use super::*;

    /// Scores about 0.9 that jump about, the same at every call.
    fn ordinary(row: u64) -> f64 {
        0.8 + 0.2 * ((row.wrapping_mul(2_654_435_761) % 1000) as f64 / 1000.0)
    }

    fn settled() -> Grader {
        let mut grader = Grader::default();
        for row in 0..300 {
            assert!(grader.grade(ordinary(row), 1).grade.abs() < 1e-12, "row {row}");
        }
        grader
    }

    #[test]
    fn ordinary_scores_have_no_grade_and_a_high_one_has() {
        let mut grader = settled();
        let threshold = grader.threshold();
        assert!((1.2..1.4).contains(&threshold), "{threshold}");
        let found = grader.grade(3.0, 1);
        assert!((found.threshold - threshold).abs() < 1e-12);
        assert!((0.75..0.9).contains(&found.grade), "{found:?}");
        // One anomaly hardly moves the threshold.
        assert!(grader.threshold() - threshold < 0.02, "{} {threshold}", grader.threshold());
    }

    #[test]
    fn a_grade_is_the_part_of_the_distance_from_the_mean_above_the_threshold() {
        let grader = settled();
        let (mean, threshold) = (grader.mean, grader.threshold());
        let twice_as_far = threshold + (threshold - mean);
        assert!((grader.clone().grade(twice_as_far, 1).grade - 0.5).abs() < 1e-12);
        assert!(grader.clone().grade(threshold, 1).grade.abs() < 1e-12);
        let mut before = 0.0;
        for score in [threshold + 0.01, threshold + 0.1, threshold + 1.0, 8.0] {
            let grade = grader.clone().grade(score, 1).grade;
            assert!(before < grade && grade < 1.0, "{score}: {grade}");
            before = grade;
        }
    }

    #[test]
    fn scores_that_stay_high_become_normal() {
        let mut grader = settled();
        let grades: Vec<f64> =
            (0..400).map(|row| grader.grade(1.2 + ordinary(row), 1).grade).collect();
        assert!(grades[..5].iter().all(|grade| *grade > 0.5), "{:?}", &grades[..5]);
        assert!(grades[100..].iter().all(|grade| *grade < 1e-12), "{:?}", &grades[100..]);
    }

    #[test]
    fn a_model_that_learns_has_the_first_threshold_and_no_grade() {
        let mut grader = Grader::default();
        for _ in 0..100 {
            let found = grader.grade(0.0, 1);
            assert!(
                found.grade.abs() < 1e-12 && (found.threshold - 1.5).abs() < 1e-12,
                "{found:?}"
            );
        }
        assert_eq!(grader, Grader::default());
        assert!(grader.grade(2.0, 1).grade > 0.0);
    }

    #[test]
    fn an_anomaly_counts_once_while_it_is_in_the_shingle() {
        let mut grader = settled();
        let grades: Vec<f64> = [3.0, 2.9, 3.0, 3.4, 2.5, 2.5, 2.5, 2.5]
            .map(|score| grader.grade(score, 4).grade)
            .into();
        let is_graded: Vec<bool> = grades.iter().map(|grade| *grade > 0.0).collect();
        // 3.4 is higher than the first: another one; what comes three rows behind it is its own.
        assert_eq!(is_graded, [true, false, false, true, false, false, false, true]);
    }

    #[test]
    fn a_grader_read_back_goes_on_as_before() {
        let mut grader = settled();
        grader.grade(3.0, 8);
        let mut read = Grader::from_bytes(&grader.to_bytes()).expect("its own");
        for row in 0..50 {
            assert_eq!(read.grade(ordinary(row) * 2.0, 8), grader.grade(ordinary(row) * 2.0, 8));
        }
        let mut damaged = grader.to_bytes();
        damaged[1..9].copy_from_slice(&f64::NAN.to_le_bytes());
        assert_eq!(Grader::from_bytes(&damaged), None);
        assert_eq!(Grader::from_bytes(&damaged[1..]), None);
    }

    #[test]
    fn of_a_forest_over_noise_few_rows_have_a_grade_and_every_spike_has() {
        let mut settings = ForestSettings::new(1);
        settings.seed = 3;
        let mut forest = settings.build().expect("valid settings");
        let mut grader = Grader::default();
        let mut random = 1_u64;
        let mut noise = || {
            // Twelve uniform numbers: near enough to a normal one.
            (0..12).fold(-6.0_f32, |sum, _| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                sum + (random >> 40) as f32 / (1 << 24) as f32
            })
        };
        let (mut n_false, mut n_found) = (0, 0);
        for row in 0..5000 {
            let is_spike = row % 500 == 499;
            let value = noise() + if is_spike { 12.0 } else { 0.0 };
            let score = forest.score_and_update(&[value]).expect("finite");
            let is_graded = grader.grade(score, 1).grade > 0.0;
            n_found += i32::from(is_spike && is_graded);
            n_false += i32::from(!is_spike && is_graded);
        }
        assert_eq!(n_found, 10);
        assert!(n_false < 70, "{n_false} of 4990");
    }
}
