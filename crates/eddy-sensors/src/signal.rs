//! Signals at work.

use std::f64::consts::TAU;
use std::sync::Arc;

use crate::draw::{Random, running_sums};
use crate::scene::{Field, Season, Signal};

const DAY_S: f64 = 86_400.0;

/// What a field reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell {
    Number(f64),
    /// The place among the signal's texts.
    Category(usize),
    Missing,
}

/// A signal with what it remembers.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    kind: Kind,
    offset: f64,
}

#[derive(Clone, Debug)]
enum Kind {
    Constant(f64),
    Uniform { min: f64, max: f64, whole: Option<(u64, u64)> },
    Normal { mean: f64, std_dev: f64 },
    Walk { now: f64, start: f64, step: f64, pull: f64, min: f64, max: f64 },
    Sine { mean: f64, noise: f64, weekend: f64, sines: Arc<[Season]> },
    Correlated { group_idx: usize, mean: f64, std_dev: f64, shared: f64, own: f64 },
    Counter { next: f64, step: f64, jitter: f64, wrap: f64 },
    Category(Arc<[f64]>),
}

/// What all signals of a moment share.
pub(crate) struct Moment<'a> {
    /// Seconds since 1970.
    pub(crate) now_s: f64,
    /// The factor of each group.
    pub(crate) factors: &'a [f64],
}

impl Course {
    /// A field's signal. The field and its group were checked.
    pub(crate) fn new(field: &Field, group_names: &[&str]) -> Self {
        let kind = match &field.signal {
            Signal::Constant { value } => Kind::Constant(*value),
            Signal::Uniform { min, max } => Kind::Uniform {
                min: *min,
                max: *max,
                whole: (field.decimals == 0).then(|| whole(*min, *max)).flatten(),
            },
            Signal::Normal { mean, std_dev } => Kind::Normal { mean: *mean, std_dev: *std_dev },
            Signal::RandomWalk { start, step, pull, min, max } => Kind::Walk {
                now: *start,
                start: *start,
                step: *step,
                pull: *pull,
                min: min.unwrap_or(f64::NEG_INFINITY),
                max: max.unwrap_or(f64::INFINITY),
            },
            Signal::Sine { mean, amplitude, period_s, phase_s, noise, seasons, weekend } => {
                let first =
                    Season { amplitude: *amplitude, period_s: *period_s, phase_s: *phase_s };
                let sines = std::iter::once(first).chain(seasons.iter().cloned()).collect();
                Kind::Sine { mean: *mean, noise: *noise, weekend: *weekend, sines }
            }
            Signal::Correlated { group, mean, std_dev, correlation } => Kind::Correlated {
                group_idx: group_names.iter().position(|name| name == group).unwrap_or(0),
                mean: *mean,
                std_dev: *std_dev,
                shared: *correlation,
                own: (1.0 - correlation * correlation).max(0.0).sqrt(),
            },
            Signal::Counter { start, step, jitter, wrap } => Kind::Counter {
                next: *start,
                step: *step,
                jitter: *jitter,
                wrap: wrap.unwrap_or(f64::INFINITY),
            },
            Signal::Category { values, weights } => {
                let sums = match weights.is_empty() {
                    true => running_sums(&vec![1.0; values.len()]),
                    false => running_sums(weights),
                };
                Kind::Category(sums.into())
            }
        };
        Self { kind, offset: 0.0 }
    }

    /// The signal of one sensor, which is off by so much.
    pub(crate) fn with_offset(&self, offset: f64) -> Self {
        Self { offset, ..self.clone() }
    }

    /// Whether a reading depends on the one before it, so that it is drawn even if a fault hides it.
    pub(crate) fn has_memory(&self) -> bool {
        matches!(self.kind, Kind::Walk { .. } | Kind::Counter { .. })
    }

    /// The next reading; `apart` where the signal has left its group.
    pub(crate) fn next(&mut self, moment: &Moment<'_>, apart: bool, random: &mut Random) -> Cell {
        let value = match &mut self.kind {
            Kind::Constant(value) => *value,
            #[expect(clippy::cast_precision_loss, reason = "the bounds came as doubles")]
            Kind::Uniform { min, whole: Some((least, most)), .. } => {
                *min + (random.within(*least, *most) - *least) as f64
            }
            Kind::Uniform { min, max, whole: None } => random.between(*min, *max),
            Kind::Normal { mean, std_dev } => *mean + *std_dev * random.normal(),
            Kind::Walk { now, start, step, pull, min, max } => {
                let value = *now;
                let next = value + *pull * (*start - value) + *step * random.normal();
                *now = reflected(next, *min, *max);
                value
            }
            Kind::Sine { mean, noise, weekend, sines } => {
                let day = (moment.now_s / DAY_S).floor();
                // 1970 began on a Thursday: Saturdays are 2, Sundays 3.
                let is_weekend = matches!(day.rem_euclid(7.0), 2.0..4.0);
                let factor = if is_weekend { *weekend } else { 1.0 };
                let wave = |sine: &Season| {
                    let turns = ((moment.now_s - sine.phase_s) / sine.period_s).rem_euclid(1.0);
                    sine.amplitude * libm::sin(turns * TAU)
                };
                let waves: f64 = sines.iter().map(wave).sum();
                let noise = if *noise > 0.0 { *noise * random.normal() } else { 0.0 };
                *mean + factor * waves + noise
            }
            Kind::Correlated { group_idx, mean, std_dev, shared, own } => {
                let factor = if apart { random.normal() } else { moment.factors[*group_idx] };
                *mean + *std_dev * (*shared * factor + *own * random.normal())
            }
            Kind::Counter { next, step, jitter, wrap } => {
                let value = *next;
                let more = if *jitter > 0.0 { *jitter * random.normal() } else { 0.0 };
                *next = value + (*step + more).max(0.0);
                if *next >= *wrap {
                    *next = 0.0;
                }
                value
            }
            Kind::Category(sums) => return Cell::Category(random.weighted(sums)),
        };
        Cell::Number(value + self.offset)
    }
}

/// A range as whole numbers above its least, where both ends are whole.
pub(crate) fn whole(min: f64, max: f64) -> Option<(u64, u64)> {
    let is_whole = min.fract() == 0.0 && max.fract() == 0.0 && max - min < 9e15;
    #[expect(clippy::cast_possible_truncation, reason = "below 2^53")]
    #[expect(clippy::cast_sign_loss, reason = "ranges are checked: max is not below min")]
    is_whole.then_some((0, (max - min) as u64))
}

fn reflected(value: f64, min: f64, max: f64) -> f64 {
    let value = if value < min { 2.0 * min - value } else { value };
    let value = if value > max { 2.0 * max - value } else { value };
    // A step wider than the corridor.
    value.clamp(min, max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Purpose;

    fn field(signal: &str, decimals: u8) -> Field {
        let text = format!("name = \"x\"\ndecimals = {decimals}\nsignal = {signal}");
        toml::from_str(&text).expect("a field")
    }

    fn readings(signal: &str, n: usize) -> Vec<f64> {
        let mut course = Course::new(&field(signal, 2), &["g"]);
        let mut random = Random::new(5, Purpose::Readings);
        let read = |reading_idx| {
            let now_s = f64::from(u32::try_from(reading_idx).expect("small"));
            match course.next(&Moment { now_s, factors: &[1.5] }, false, &mut random) {
                Cell::Number(value) => value,
                other => panic!("{other:?}"),
            }
        };
        (0..n).map(read).collect()
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn a_random_walk_stays_between_its_walls() {
        let values =
            readings("{ type = \"random_walk\", start = 5, step = 3, min = 0, max = 10 }", 10_000);
        assert!(values.iter().all(|value| (0.0..=10.0).contains(value)));
        assert_eq!(values[0], 5.0);
        assert!(values.iter().any(|value| *value > 9.0) && values.iter().any(|value| *value < 1.0));
    }

    #[test]
    fn a_sine_has_its_peaks_where_its_period_says_and_rests_at_weekends() {
        let sine = "{ type = \"sine\", mean = 10, amplitude = 2, period_s = 400, weekend = 0.5 }";
        let values = readings(sine, 300_000);
        assert!((values[100] - 12.0).abs() < 1e-9 && (values[300] - 8.0).abs() < 1e-9);
        // 1970-01-03 was a Saturday.
        let saturday = 2 * 86_400;
        let most = |from: usize| values[from..from + 400].iter().copied().fold(0.0, f64::max);
        assert!((most(saturday) - 11.0).abs() < 1e-3 && (most(saturday - 400) - 12.0).abs() < 1e-3);
    }

    #[test]
    fn seasons_are_added() {
        let with = "{ type = \"sine\", mean = 0, amplitude = 1, period_s = 400, seasons = [{ amplitude = 3, period_s = 800 }] }";
        let values = readings(with, 801);
        // Both at a quarter of 800: sin(pi) + 3 sin(pi / 2).
        assert!((values[200] - 3.0).abs() < 1e-9, "{}", values[200]);
    }

    #[test]
    fn a_correlated_signal_follows_its_group() {
        let values = readings(
            "{ type = \"correlated\", group = \"g\", mean = 100, std_dev = 10, correlation = 0.9 }",
            20_000,
        );
        // The group's factor is 1.5: 100 + 10 * 0.9 * 1.5.
        assert!((mean(&values) - 113.5).abs() < 0.2, "{}", mean(&values));
    }

    #[test]
    fn a_counter_never_goes_down_but_where_it_wraps() {
        let values =
            readings("{ type = \"counter\", start = 7, step = 2, jitter = 5, wrap = 1000 }", 5000);
        assert_eq!(values[0], 7.0);
        let falls: Vec<_> = values.windows(2).filter(|pair| pair[1] < pair[0]).collect();
        assert!(falls.len() > 3 && falls.iter().all(|pair| pair[1] == 0.0), "{falls:?}");
    }

    #[test]
    fn a_uniform_signal_without_decimals_draws_whole_numbers_with_both_ends() {
        let field = field("{ type = \"uniform\", min = -2, max = 2 }", 0);
        let mut course = Course::new(&field, &[]);
        let mut random = Random::new(5, Purpose::Readings);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            let moment = Moment { now_s: 0.0, factors: &[] };
            let Cell::Number(value) = course.next(&moment, false, &mut random) else { panic!() };
            seen.insert(format!("{value}"));
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["-1", "-2", "0", "1", "2"]);
    }
}
