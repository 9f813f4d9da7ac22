//! The chart's points: each row where they are few, else the lowest, the highest and the
//! highest-scored one of each sensor and column of pixels, at their own times.

use std::collections::HashMap;

use eddy_index::ScanRow;
use serde_json::{Value, json};

/// Sensors with a colour of their own where none is chosen.
pub(crate) const MAX_SERIES: usize = 8;
/// Beyond this an axis loses its marks.
const MAX_VALUE: f64 = 1e15;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    at_ms: i64,
    series: u32,
    value: Option<f64>,
    score: Option<f64>,
}

/// The points that stand for one column of pixels of a series.
#[derive(Clone, Copy, Debug)]
struct Column {
    lowest: Point,
    highest: Point,
    scored: Point,
}

/// Takes rows and keeps points.
pub(crate) struct Points {
    from_ms: i64,
    span_ms: i64,
    // By number of the name: the series, where all are not one.
    series: Option<HashMap<u32, u32>>,
    kept: Kept,
}

enum Kept {
    All(Vec<Point>),
    Columns { n_columns: i64, columns: HashMap<(u32, i64), Column> },
}

impl Points {
    /// `names` are the numbers of the names that each make a series; `None` for all in one.
    pub(crate) fn new(
        (from_ms, to_ms): (i64, i64),
        n_columns: usize,
        keep_all: bool,
        names: Option<&[u32]>,
    ) -> Self {
        let series = names.map(|names| names.iter().copied().zip(0..).collect());
        let kept = if keep_all {
            Kept::All(Vec::new())
        } else {
            let n_columns = i64::try_from(n_columns).unwrap_or(1).max(1);
            Kept::Columns { n_columns, columns: HashMap::new() }
        };
        Self { from_ms, span_ms: (to_ms - from_ms).max(1), series, kept }
    }

    pub(crate) fn add(&mut self, row: &ScanRow) {
        let series = match &self.series {
            None => 0,
            Some(series) => series.get(&row.name_idx).copied().unwrap_or(0),
        };
        let bounded = |number: f64| number.clamp(-MAX_VALUE, MAX_VALUE);
        let (value, score) = (row.value.map(bounded), row.score.map(bounded));
        let point = Point { at_ms: row.created_ms, series, value, score };
        match &mut self.kept {
            Kept::All(points) => points.push(point),
            Kept::Columns { n_columns, columns } => {
                let place = i128::from(row.created_ms - self.from_ms) * i128::from(*n_columns);
                let place = i64::try_from(place / i128::from(self.span_ms)).unwrap_or(0);
                let column = columns.entry((series, place));
                let column =
                    column.or_insert(Column { lowest: point, highest: point, scored: point });
                column.add(point);
            }
        }
    }

    /// In the order of time, as columns of numbers; times are milliseconds after the first bound.
    pub(crate) fn into_json(self) -> Value {
        let is_thinned = matches!(self.kept, Kept::Columns { .. });
        let mut points = match self.kept {
            Kept::All(points) => points,
            Kept::Columns { columns, .. } => {
                columns.into_values().flat_map(Column::into_points).collect()
            }
        };
        points.sort_by_key(|point| (point.at_ms, point.series));
        let each = |of: &dyn Fn(&Point) -> Value| points.iter().map(of).collect::<Value>();
        json!({
            "thinned": is_thinned,
            "t": each(&|point| json!(point.at_ms - self.from_ms)),
            "v": each(&|point| json!(point.value)),
            "s": each(&|point| json!(point.score)),
            "k": each(&|point| json!(point.series)),
        })
    }
}

impl Column {
    fn add(&mut self, point: Point) {
        // NULL is below all and never the highest.
        if point.value.is_some() {
            if self.lowest.value.is_none_or(|value| point.value < Some(value)) {
                self.lowest = point;
            }
            if point.value > self.highest.value {
                self.highest = point;
            }
        }
        if point.score > self.scored.score {
            self.scored = point;
        }
    }

    fn into_points(self) -> Vec<Point> {
        let mut points = vec![self.lowest, self.highest, self.scored];
        points.dedup();
        if points.len() > 2 && points[0] == points[2] {
            points.pop();
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(created_ms: i64, value: f64, score: f64, name_idx: u32) -> ScanRow {
        ScanRow { created_ms, value: Some(value), score: Some(score), name_idx }
    }

    fn numbers(json: &Value, name: &str) -> Vec<f64> {
        serde_json::from_value(json[name].clone()).expect("numbers")
    }

    #[test]
    fn few_rows_are_points_in_the_order_of_time() {
        let mut points = Points::new((1_000, 2_000), 10, true, Some(&[4, 7]));
        points.add(&row(1_500, 2.0, 0.5, 7));
        points.add(&row(1_100, 1.0, 0.6, 4));
        let json = points.into_json();
        assert_eq!((&json["t"], &json["k"]), (&json!([100, 500]), &json!([0, 1])));
        assert_eq!((&json["v"], &json["thinned"]), (&json!([1.0, 2.0]), &json!(false)));
    }

    proptest! {
        #[test]
        fn thinning_keeps_the_extremes_of_every_column(
            rows in prop::collection::vec((0_i64..1_000, -50.0..50.0_f64, 0.0..5.0_f64), 1..400),
        ) {
            let mut points = Points::new((0, 1_000), 20, false, None);
            rows.iter().for_each(|(at, value, score)| points.add(&row(*at, *value, *score, 0)));
            let json = points.into_json();
            let (t, v, s) = (numbers(&json, "t"), numbers(&json, "v"), numbers(&json, "s"));
            prop_assert!(t.is_sorted() && t.len() <= 60);
            let times: Vec<i64> = serde_json::from_value(json["t"].clone()).expect("whole");
            for column in 0..20 {
                let is_in = |at: i64| at / 50 == column;
                let of = |pick: &dyn Fn(&(i64, f64, f64)) -> f64| {
                    rows.iter().filter(|row| is_in(row.0)).map(pick).collect::<Vec<f64>>()
                };
                let kept = |values: &[f64]| {
                    times.iter().zip(values).filter(|(at, _)| is_in(**at)).map(|(_, v)| *v)
                        .collect::<Vec<f64>>()
                };
                let extreme = |values: &[f64], f: fn(f64, f64) -> f64| values.iter().copied().reduce(f);
                let (all, some) = (of(&|row| row.1), kept(&v));
                prop_assert_eq!(extreme(&all, f64::min), extreme(&some, f64::min));
                prop_assert_eq!(extreme(&all, f64::max), extreme(&some, f64::max));
                prop_assert_eq!(extreme(&of(&|row| row.2), f64::max), extreme(&kept(&s), f64::max));
            }
        }
    }
}
