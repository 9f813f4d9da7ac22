//! What a page shows of the rows in its bounds, gathered in one pass over their columns: totals,
//! bars by score range, the heatmap, and how many would alert.

use eddy_index::ScanRow;
use serde_json::{Value, json};

/// Where score ranges begin; each ends at the next. Rows without a score are before all.
pub(crate) const RANGES: [f64; 5] = [0.0, 1.0, 1.5, 2.0, 3.0];
/// A bar's rows: without a score, then by range.
type Bar = [u64; RANGES.len() + 1];
/// Bars of one answer at most.
const MAX_BARS: i64 = 200;
/// Columns of the heatmap at most.
const MAX_CELLS: i64 = 96;
/// Memory of the heatmap's cells; sensors beyond it are counted and listed, without cells.
const MAX_CELL_BYTES: usize = 64 << 20;
/// Bins of the scores, and how wide they are: what the slider shows behind it.
const SCORE_BINS: usize = 160;
const SCORE_BIN: f64 = 0.05;
/// Lengths of bars and cells that people like, in milliseconds.
const STEPS_MS: [i64; 17] = [
    100,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    15_000,
    30_000,
    60_000,
    300_000,
    900_000,
    3_600_000,
    10_800_000,
    43_200_000,
    86_400_000,
    604_800_000,
    2_592_000_000,
];

/// Equal stretches of time that cover a range, at round times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretches {
    pub(crate) start_ms: i64,
    pub(crate) step_ms: i64,
    pub(crate) n: usize,
}

impl Stretches {
    /// The shortest that are at most `most`, and at least `least_ms` long.
    fn of(from_ms: i64, to_ms: i64, most: i64, least_ms: i64) -> Self {
        let fits = |step: i64| to_ms.div_euclid(step) - from_ms.div_euclid(step) < most;
        let mut step_ms =
            STEPS_MS.into_iter().find(|step| *step >= least_ms && fits(*step)).unwrap_or(0);
        if step_ms == 0 {
            step_ms = (to_ms.saturating_sub(from_ms) / (most - 1)).max(1) + 1;
        }
        let first = from_ms.div_euclid(step_ms);
        let n = to_ms.div_euclid(step_ms) - first + 1;
        Self { start_ms: first * step_ms, step_ms, n: usize::try_from(n).unwrap_or(1) }
    }

    fn idx(&self, at_ms: i64) -> usize {
        let idx = (at_ms - self.start_ms).div_euclid(self.step_ms);
        usize::try_from(idx).unwrap_or(0).min(self.n - 1)
    }
}

/// The number of a score's range; 0 without a score.
pub(crate) fn range_of(score: Option<f64>) -> usize {
    // Scores below 0 do not exist; whatever came from elsewhere is in the first.
    score.map_or(0, |score| RANGES.iter().filter(|from| score >= **from).count().max(1))
}

/// Whether a score would alert. A model that learns gives 0, which never does.
pub(crate) fn alerts(score: f64, threshold: f64) -> bool {
    score > 0.0 && score >= threshold
}

/// A sensor in the heatmap.
#[derive(Clone, Debug, Default)]
struct Sensor {
    n_rows: u64,
    highest: Option<f64>,
    // By column: 0 where there is no row, else the highest range and one.
    cells: Box<[u8]>,
}

/// What was gathered.
#[derive(Debug)]
pub(crate) struct Gathered {
    threshold: f64,
    pub(crate) total: u64,
    pub(crate) scored: u64,
    pub(crate) alerts: u64,
    pub(crate) highest: Option<f64>,
    bars: (Stretches, Vec<Bar>),
    score_bins: Vec<u64>,
    cells: Stretches,
    cell_bytes: usize,
    sensors: Vec<Sensor>,
    // By number of the name, for the chart.
    pub(crate) newest_ms: Option<i64>,
}

impl Gathered {
    pub(crate) fn new(from_ms: i64, to_ms: i64, threshold: f64) -> Self {
        // A minute where that is possible: it is what one compares.
        let span_ms = to_ms.saturating_sub(from_ms);
        let least_ms = if span_ms < 240_000 { 1_000 } else { 60_000 };
        let bars = Stretches::of(from_ms, to_ms, MAX_BARS, least_ms);
        Self {
            threshold,
            total: 0,
            scored: 0,
            alerts: 0,
            highest: None,
            bars: (bars, vec![Bar::default(); bars.n]),
            score_bins: vec![0; SCORE_BINS],
            cells: Stretches::of(from_ms, to_ms, MAX_CELLS, 1_000),
            cell_bytes: 0,
            sensors: Vec::new(),
            newest_ms: None,
        }
    }

    pub(crate) fn add(&mut self, row: &ScanRow) {
        let range = range_of(row.score);
        self.total += 1;
        self.bars.1[self.bars.0.idx(row.created_ms)][range] += 1;
        self.newest_ms = self.newest_ms.max(Some(row.created_ms));
        let is_higher = |highest: Option<f64>| match (row.score, highest) {
            (Some(score), Some(highest)) => score > highest,
            (score, _) => score.is_some(),
        };
        if let Some(score) = row.score {
            self.scored += u64::from(score > 0.0);
            self.alerts += u64::from(alerts(score, self.threshold));
            if is_higher(self.highest) {
                self.highest = Some(score);
            }
            if score > 0.0 {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "above 0, and what is too large saturates"
                )]
                let bin = (score / SCORE_BIN) as usize;
                self.score_bins[bin.min(SCORE_BINS - 1)] += 1;
            }
        }
        let name_idx = row.name_idx as usize;
        if self.sensors.len() <= name_idx {
            self.sensors.resize_with(name_idx + 1, Sensor::default);
        }
        let sensor = &mut self.sensors[name_idx];
        if sensor.cells.is_empty() && self.cell_bytes < MAX_CELL_BYTES {
            self.cell_bytes += self.cells.n;
            sensor.cells = vec![0; self.cells.n].into();
        }
        sensor.n_rows += 1;
        if is_higher(sensor.highest) {
            sensor.highest = row.score;
        }
        if let Some(cell) = sensor.cells.get_mut(self.cells.idx(row.created_ms)) {
            // There are few ranges.
            *cell = (*cell).max(u8::try_from(range + 1).unwrap_or(u8::MAX));
        }
    }

    /// The names that have rows, by their numbers.
    pub(crate) fn present(&self) -> Vec<u32> {
        let with_rows = self.sensors.iter().zip(0..).filter(|(sensor, _)| sensor.n_rows > 0);
        with_rows.map(|(_, idx)| idx).collect()
    }

    pub(crate) fn bars_json(&self) -> Value {
        let (stretches, bars) = &self.bars;
        json!({
            "start_ms": stretches.start_ms, "step_ms": stretches.step_ms, "from": RANGES,
            "counts": bars,
        })
    }

    pub(crate) fn scores_json(&self) -> Value {
        json!({
            "scored": self.scored, "alerts": self.alerts, "highest": self.highest,
            "bin": SCORE_BIN, "bins": self.score_bins,
        })
    }

    /// Sensors from `first` on, the highest scores first. A cell is `.` where there is no row, else
    /// its range from 0.
    pub(crate) fn heat_json(&self, names: &[String], (first, n): (usize, usize)) -> Value {
        let mut order: Vec<(&Sensor, &String)> = self.sensors.iter().zip(names).collect();
        order.retain(|(sensor, _)| sensor.n_rows > 0);
        let score = |sensor: &Sensor| sensor.highest.unwrap_or(f64::NEG_INFINITY);
        order.sort_by(|(a, a_name), (b, b_name)| {
            score(b).total_cmp(&score(a)).then_with(|| a_name.cmp(b_name))
        });
        let row = |(sensor, name): &(&Sensor, &String)| {
            let cells: String =
                sensor.cells.iter().map(|cell| b".012345"[usize::from(*cell)] as char).collect();
            json!({"name": name, "n": sensor.n_rows, "highest": sensor.highest, "cells": cells})
        };
        let rows: Vec<Value> = order.iter().skip(first).take(n).map(row).collect();
        json!({
            "start_ms": self.cells.start_ms, "step_ms": self.cells.step_ms, "n_cells": self.cells.n,
            "n_sensors": order.len(), "first": first, "rows": rows,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_round_and_cover_the_range() {
        let hour = 3_600_000;
        let bars = Stretches::of(90_000, 90_000 + hour, MAX_BARS, 60_000);
        assert_eq!((bars.start_ms, bars.step_ms, bars.n), (60_000, 60_000, 61));
        assert_eq!((bars.idx(90_000), bars.idx(119_999), bars.idx(120_000)), (0, 0, 1));
        assert_eq!(bars.idx(90_000 + hour), 60);
        for span in [1, 999, 60_000, 86_400_000, 400 * 86_400_000, 100_000 * 86_400_000] {
            let bars = Stretches::of(-5, span - 5, MAX_CELLS, 1_000);
            assert!(bars.n <= 96 && bars.start_ms <= -5, "{span}: {bars:?}");
            assert!(bars.start_ms + bars.step_ms * i64::try_from(bars.n).unwrap() > span - 5);
        }
    }

    #[test]
    fn every_row_is_in_one_bar_and_in_one_cell() {
        let mut gathered = Gathered::new(0, 600_000, 2.0);
        let scores = [None, Some(0.0), Some(0.99), Some(1.0), Some(1.5), Some(2.0), Some(7.5)];
        for (n, score) in (0..).zip(scores) {
            let (created_ms, name_idx) = (n * 1_000, u32::from(n % 2 == 1));
            gathered.add(&ScanRow { created_ms, score, value: None, name_idx });
        }
        assert_eq!((gathered.total, gathered.scored, gathered.alerts), (7, 5, 2));
        assert_eq!(gathered.bars_json()["counts"][0], json!([1, 2, 1, 1, 1, 1]));
        let names = ["".to_owned(), "b".to_owned()];
        let heat = gathered.heat_json(&names, (0, 10));
        assert_eq!(heat["n_sensors"], 2);
        assert_eq!((&heat["rows"][0]["name"], &heat["rows"][0]["n"]), (&json!(""), &json!(4)));
        assert_eq!(heat["rows"][0]["highest"], 7.5);
        assert!(heat["rows"][0]["cells"].as_str().is_some_and(|cells| cells.starts_with('5')));
        assert_eq!(gathered.heat_json(&names, (1, 10))["rows"][0]["name"], "b");
    }
}
