//! When records are due.

use crate::check::{Checked, refused};
use crate::draw::{Purpose, Random};
use crate::scene::Rate;

const SECOND_US: i64 = 1_000_000;
const HOUR_S: i64 = 3600;
/// One record a day: slower is a mistake, as the times between are gone through second by second.
const MIN_PER_SECOND: f64 = 1.0 / 86_400.0;
/// The shortest burst and gap between bursts, in seconds.
const MIN_BURST_S: f64 = 0.001;

/// Whether a rate is one at which records come.
pub(crate) fn check_rate(rate: &Rate) -> Checked {
    let positive = |name: &str, value: f64| match value > 0.0 && value <= 1e9 {
        true => Ok(()),
        false => refused("rate", format!("{name} must be above 0 and at most 1e9, found {value}")),
    };
    let often = |name: &str, value: f64| {
        positive(name, value)?;
        match value >= MIN_PER_SECOND {
            true => Ok(()),
            false => {
                let problem = format!("{name} must be at least 1 a day (1/86400), found {value}");
                refused("rate", problem)
            }
        }
    };
    match rate {
        Rate::Constant { per_second } => often("per_second", *per_second),
        Rate::Bursty { per_second, times, every_s, lasts_s } => {
            often("per_second", *per_second)?;
            positive("times", *times)?;
            often("per_second times times", (per_second * times).min(1e9))?;
            for (name, value) in [("every_s", every_s), ("lasts_s", lasts_s)] {
                positive(name, *value)?;
                if *value < MIN_BURST_S {
                    let problem = format!("{name} must be at least {MIN_BURST_S}, found {value}");
                    return refused("rate", problem);
                }
            }
            Ok(())
        }
        Rate::Periodic { per_second, std_dev, hours, weekdays, means, std_devs, .. } => {
            often("per_second", *per_second)?;
            for (name, factors, expected) in [("hours", hours, 24), ("weekdays", weekdays, 7)] {
                if !factors.is_empty() && factors.len() != expected {
                    let found = factors.len();
                    return refused(
                        "rate",
                        format!("{name} needs {expected} factors, found {found}"),
                    );
                }
            }
            for (name, table) in [("means", means), ("std_devs", std_devs)] {
                let whole = table.len() == 7 && table.iter().all(|row| row.len() == 24);
                if !table.is_empty() && !whole {
                    return refused(
                        "rate",
                        format!("{name} needs seven rows (Monday first) of 24"),
                    );
                }
            }
            let all = [std_dev].into_iter().chain(hours).chain(weekdays);
            let all = all.chain(means.iter().flatten()).chain(std_devs.iter().flatten());
            if all.clone().any(|number| !(*number >= 0.0 && *number <= 1e9)) {
                return refused("rate", "no number may be below 0 or above 1e9");
            }
            let sends = |numbers: &[f64]| numbers.is_empty() || numbers.iter().any(|n| *n > 0.0);
            let table: Vec<f64> = means.iter().flatten().copied().collect();
            if !(sends(hours) && sends(weekdays) && sends(&table)) {
                return refused("rate", "all factors or means are 0: nothing would ever be sent");
            }
            let most = |numbers: &[f64], of_none| match numbers.is_empty() {
                true => of_none,
                false => numbers.iter().copied().fold(0.0, f64::max),
            };
            let of_factors = per_second * most(hours, 1.0) * most(weekdays, 1.0);
            often("the busiest hour's mean", most(&table, of_factors).min(1e9))
        }
    }
}

/// The times of a scene's records, in microseconds since its start, never falling.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    rate: Rate,
    random: Random,
    // The scene's start, in seconds since 1970.
    start_s: i64,
    n_before: u64,
    second: i64,
    n_in_second: u64,
    n_done: u64,
    // What the seconds so far have left over of a record.
    carry: f64,
    burst_start_s: f64,
}

impl Timeline {
    pub(crate) fn new(rate: &Rate, seed: u64, start_ms: i64) -> Self {
        let mut timeline = Self {
            rate: rate.clone(),
            random: Random::new(seed, Purpose::Rate),
            start_s: start_ms.div_euclid(1000),
            n_before: 0,
            second: -1,
            n_in_second: 0,
            n_done: 0,
            carry: 0.0,
            burst_start_s: 0.0,
        };
        if let Rate::Bursty { every_s, .. } = rate {
            timeline.burst_start_s = timeline.gap(*every_s);
        }
        timeline
    }

    /// When the next record is due.
    pub(crate) fn next_us(&mut self) -> i64 {
        if let Rate::Constant { per_second } = self.rate {
            #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 records")]
            let due_s = self.n_before as f64 / per_second;
            self.n_before += 1;
            #[expect(clippy::cast_possible_truncation, reason = "saturates after 292 000 years")]
            let due_us = (due_s * 1e6) as i64;
            return due_us;
        }
        while self.n_done == self.n_in_second {
            self.second += 1;
            self.n_done = 0;
            self.n_in_second = self.count();
        }
        let within = SECOND_US.cast_unsigned() * self.n_done / self.n_in_second;
        self.n_done += 1;
        self.second * SECOND_US + within.cast_signed()
    }

    /// How many records the current second has.
    fn count(&mut self) -> u64 {
        let (mean, std_dev) = self.mean();
        let drawn = if std_dev > 0.0 { mean + std_dev * self.random.normal() } else { mean };
        let exact = drawn.max(0.0) + self.carry;
        self.carry = exact.fract();
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        #[expect(clippy::cast_sign_loss, reason = "not below 0")]
        let count = exact as u64;
        count
    }

    fn mean(&mut self) -> (f64, f64) {
        #[expect(clippy::cast_precision_loss, reason = "exact for any time of use")]
        let now_s = self.second as f64;
        if let Rate::Bursty { per_second, times, every_s, lasts_s } = self.rate {
            while now_s >= self.burst_start_s + lasts_s {
                self.burst_start_s += lasts_s + self.gap(every_s);
            }
            let is_burst = now_s >= self.burst_start_s;
            return (if is_burst { per_second * times } else { per_second }, 0.0);
        }
        let now_s = self.start_s + self.second;
        let Rate::Periodic { smooth, .. } = self.rate else { return (1.0, 0.0) };
        let (mean, std_dev) = self.of_hour(now_s.div_euclid(HOUR_S));
        if !smooth {
            return (mean, std_dev);
        }
        let (next_mean, next_std_dev) = self.of_hour(now_s.div_euclid(HOUR_S) + 1);
        #[expect(clippy::cast_precision_loss, reason = "below 3600")]
        let share = now_s.rem_euclid(HOUR_S) as f64 / 3600.0;
        (mean + (next_mean - mean) * share, std_dev + (next_std_dev - std_dev) * share)
    }

    /// Mean and standard deviation at the beginning of an hour since 1970.
    fn of_hour(&self, hour: i64) -> (f64, f64) {
        let Rate::Periodic { per_second, std_dev, hours, weekdays, means, std_devs, .. } =
            &self.rate
        else {
            return (1.0, 0.0);
        };
        let index = |number: i64| usize::try_from(number).unwrap_or(0);
        let hour_of_day = index(hour.rem_euclid(24));
        // 1970 began on a Thursday.
        let weekday = index((hour.div_euclid(24) + 3).rem_euclid(7));
        let of_table = |table: &[Vec<f64>]| Some(*table.get(weekday)?.get(hour_of_day)?);
        let factor = |factors: &[f64], idx: usize| factors.get(idx).copied().unwrap_or(1.0);
        let mean = of_table(means)
            .unwrap_or_else(|| per_second * factor(hours, hour_of_day) * factor(weekdays, weekday));
        (mean, of_table(std_devs).unwrap_or(*std_dev))
    }

    fn gap(&mut self, mean_s: f64) -> f64 {
        -libm::log(1.0 - self.random.unit()) * mean_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(rate: &Rate, start_ms: i64, n: usize) -> Vec<i64> {
        let mut timeline = Timeline::new(rate, 1, start_ms);
        (0..n).map(|_| timeline.next_us()).collect()
    }

    /// 2026-01-05, a Monday.
    const MONDAY_MS: i64 = 1_767_571_200_000;

    #[test]
    fn a_constant_rate_keeps_its_intervals_for_ever() {
        let due = times(&Rate::Constant { per_second: 3.0 }, 0, 3_000_001);
        assert_eq!(due[..4], [0, 333_333, 666_666, 1_000_000]);
        assert_eq!(due[3_000_000], 1_000_000 * SECOND_US);
    }

    #[test]
    fn a_periodic_rate_follows_hour_and_weekday() {
        let mut hours = vec![0.5; 24];
        hours[9] = 2.0;
        let mut weekdays = vec![1.0; 7];
        weekdays[5] = 0.1;
        let rate = Rate::Periodic {
            per_second: 10.0,
            std_dev: 0.0,
            hours,
            weekdays,
            means: Vec::new(),
            std_devs: Vec::new(),
            smooth: false,
        };
        let first_hour = |start_ms| {
            let due = times(&rate, start_ms, 100_000);
            due.iter().filter(|due| **due < HOUR_S * SECOND_US).count()
        };
        assert_eq!(first_hour(MONDAY_MS), 18_000);
        assert_eq!(first_hour(MONDAY_MS + 9 * HOUR_S * 1000), 72_000);
        let saturday = first_hour(MONDAY_MS + (5 * 24 + 9) * HOUR_S * 1000);
        assert!((7_199..=7_201).contains(&saturday), "{saturday}");
    }

    #[test]
    fn a_smooth_rate_moves_in_a_line_and_a_table_has_every_hour_of_the_week() {
        let mut means = vec![vec![10.0; 24]; 7];
        means[0][1] = 30.0;
        let rate = Rate::Periodic {
            per_second: 1.0,
            std_dev: 0.0,
            hours: Vec::new(),
            weekdays: Vec::new(),
            means,
            std_devs: Vec::new(),
            smooth: true,
        };
        let due = times(&rate, MONDAY_MS, 72_000);
        // From 10 to 30 a second: 20 on average, 15 in the first half.
        let n_in = |from: i64, to: i64| {
            due.iter().filter(|due| (from * SECOND_US..to * SECOND_US).contains(*due)).count()
        };
        assert!((71_900..=72_000).contains(&n_in(0, 3600)), "{}", n_in(0, 3600));
        assert!((26_900..=27_100).contains(&n_in(0, 1800)), "{}", n_in(0, 1800));
    }

    #[test]
    fn deviation_makes_seconds_differ_around_the_mean() {
        let rate = Rate::Periodic {
            per_second: 100.0,
            std_dev: 10.0,
            hours: Vec::new(),
            weekdays: Vec::new(),
            means: Vec::new(),
            std_devs: Vec::new(),
            smooth: true,
        };
        let due = times(&rate, MONDAY_MS, 100_000);
        let mut counts = vec![0.0; 2000];
        for due in due {
            counts[usize::try_from(due / SECOND_US).expect("positive")] += 1.0;
        }
        let counts = &counts[..900];
        let mean = counts.iter().sum::<f64>() / 900.0;
        let deviation = counts.iter().map(|c| (c - mean) * (c - mean)).sum::<f64>() / 900.0;
        assert!((mean - 100.0).abs() < 2.0, "{mean}");
        assert!((8.5..11.5).contains(&deviation.sqrt()), "{deviation}");
    }

    #[test]
    fn bursts_come_and_go() {
        let rate = Rate::Bursty { per_second: 2.0, times: 50.0, every_s: 60.0, lasts_s: 5.0 };
        let due = times(&rate, 0, 200_000);
        assert!(due.is_sorted());
        let n_seconds = usize::try_from(due[due.len() - 1] / SECOND_US).expect("positive");
        let mut counts = vec![0; n_seconds + 1];
        for due in &due {
            counts[usize::try_from(due / SECOND_US).expect("positive")] += 1;
        }
        let n_burst_seconds = counts[..n_seconds].iter().filter(|n| **n == 100).count();
        let n_quiet_seconds = counts[..n_seconds].iter().filter(|n| **n == 2).count();
        assert_eq!(n_burst_seconds + n_quiet_seconds, n_seconds);
        // 5 of 65 seconds on average, some 370 bursts.
        let share = n_burst_seconds as f64 / n_seconds as f64;
        assert!((0.06..0.10).contains(&share), "{share}");
    }
}
