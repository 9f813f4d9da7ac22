//! HOTSPOTS: dense regions among the latest rows, by density-based clustering (Ester, Kriegel,
//! Sander, Xu: *A Density-Based Algorithm for Discovering Clusters*, KDD 1996).
//!
//! The original's algorithm is not published; its reference likens `scanRadius` to that paper's
//! radius. Distances are Euclidean over the columns as they are: the reference leaves it to the
//! application to scale them.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, StringBuilder};
use eddy_record::write_f64;

use super::errors::Errors;
use super::state::{Reader, Writer};
use super::{Chunk, Operator};
use crate::error::RunError;

/// The length of HOTSPOTS_RESULT.
pub(crate) const MAX_RESULT_CHARS: usize = 10_000;

/// What HOTSPOTS is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HotspotSettings {
    /// The rows that are looked at: the newest and those before it.
    pub(crate) window_rows: usize,
    /// Rows at most so far from each other are neighbours; more than 0.
    pub(crate) scan_radius: f64,
    /// A row with so many rows around it, itself among them, is the core of a hotspot.
    pub(crate) min_points: usize,
}

/// A hotspot for each dense region of the window, told with every row.
#[derive(Debug)]
pub(crate) struct Hotspots {
    // The columns of a point.
    columns: Vec<usize>,
    window: Window,
    // What was said of the window, until it changes.
    said: Option<String>,
}

impl Hotspots {
    pub(crate) fn new(settings: HotspotSettings, columns: Vec<usize>) -> Self {
        Self { columns, window: Window::new(settings), said: None }
    }
}

impl Operator for Hotspots {
    fn process(
        &mut self,
        mut inputs: Vec<Chunk>,
        errors: &mut Errors<'_>,
    ) -> Result<Chunk, RunError> {
        let mut chunk = inputs.remove(0);
        let numbers = chunk.doubles(self.columns.iter().copied())?;
        let mut texts = StringBuilder::new();
        for row in 0..chunk.n_rows() {
            if !numbers.iter().all(|it| it.is_valid(row) && it.value(row).is_finite()) {
                texts.append_null();
                errors.counters.unscored += 1;
                continue;
            }
            if self.window.push(numbers.iter().map(|it| it.value(row)).collect()) {
                self.said = None;
            }
            let window = &self.window;
            let said = self.said.get_or_insert_with(|| result(&window.hotspots()));
            errors.check_texts("HOTSPOTS_RESULT", texts.values_slice().len() + said.len())?;
            texts.append_value(said);
        }
        chunk.columns.push(Arc::new(texts.finish()));
        Ok(chunk)
    }

    fn save(&mut self) -> Result<Vec<u8>, RunError> {
        let mut writer = Writer::default();
        writer.count(self.window.points.len());
        for point in &self.window.points {
            for x in &point.at {
                writer.number(x.to_bits().cast_signed());
            }
        }
        Ok(writer.0)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), RunError> {
        let mut reader = Reader(state);
        for _ in 0..reader.count()? {
            let point: Result<Box<[f64]>, RunError> = self
                .columns
                .iter()
                .map(|_| Ok(f64::from_bits(reader.number()?.cast_unsigned())))
                .collect();
            self.window.push(point?);
        }
        reader.end()
    }
}

/// The latest points, and which are neighbours.
#[derive(Debug)]
struct Window {
    settings: HotspotSettings,
    points: VecDeque<Point>,
    // The number of the oldest point.
    first: u64,
}

#[derive(Debug)]
struct Point {
    at: Box<[f64]>,
    // The numbers of its neighbours, the oldest first.
    neighbours: VecDeque<u64>,
}

/// A dense region: how many points it has, and its smallest box.
#[derive(Clone, Debug, PartialEq)]
struct Hotspot {
    n_points: usize,
    min: Box<[f64]>,
    max: Box<[f64]>,
    density: f64,
}

impl Window {
    fn new(settings: HotspotSettings) -> Self {
        Self { settings, points: VecDeque::new(), first: 0 }
    }

    /// Takes a point, for which the oldest leaves if there are too many. Says whether hotspots may be
    /// other ones now: points without neighbours belong to none. Cost: a distance for each point of
    /// the window.
    fn push(&mut self, at: Box<[f64]>) -> bool {
        let mut changes = false;
        if self.points.len() == self.settings.window_rows
            && let Some(oldest) = self.points.pop_front()
        {
            self.first += 1;
            changes |= !oldest.neighbours.is_empty();
            for number in oldest.neighbours {
                // Of the neighbours of any point, the oldest in the window comes first.
                self.point(number).neighbours.pop_front();
            }
        }
        let number = self.first + self.points.len() as u64;
        let most = self.settings.scan_radius * self.settings.scan_radius;
        let mut neighbours = VecDeque::new();
        for (idx, other) in self.points.iter_mut().enumerate() {
            let distance = other.at.iter().zip(&at).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
            if distance <= most {
                other.neighbours.push_back(number);
                neighbours.push_back(self.first + idx as u64);
            }
        }
        changes |= !neighbours.is_empty();
        self.points.push_back(Point { at, neighbours });
        changes || self.points.len() == 1
    }

    fn idx(&self, number: u64) -> usize {
        usize::try_from(number - self.first).expect("the point is in the window")
    }

    fn point(&mut self, number: u64) -> &mut Point {
        let idx = self.idx(number);
        &mut self.points[idx]
    }

    fn is_core(&self, point: &Point) -> bool {
        point.neighbours.len() + 1 >= self.settings.min_points
    }

    /// The dense regions, the densest first, of equally dense ones the one with the oldest core. A
    /// point at the edge of two belongs to the one with the older core. Cost: a step for each pair of
    /// neighbours.
    fn hotspots(&self) -> Vec<Hotspot> {
        let mut is_taken = vec![false; self.points.len()];
        let mut found: Vec<Hotspot> = Vec::new();
        for (idx, point) in self.points.iter().enumerate() {
            if is_taken[idx] || !self.is_core(point) {
                continue;
            }
            is_taken[idx] = true;
            let mut members = vec![idx];
            let mut at = 0;
            while let Some(member) = members.get(at).map(|idx| &self.points[*idx]) {
                at += 1;
                if !self.is_core(member) {
                    continue;
                }
                for number in &member.neighbours {
                    let idx = self.idx(*number);
                    if !std::mem::replace(&mut is_taken[idx], true) {
                        members.push(idx);
                    }
                }
            }
            found.push(self.hotspot(&members));
        }
        found.sort_by(|a, b| b.density.total_cmp(&a.density));
        found
    }

    fn hotspot(&self, members: &[usize]) -> Hotspot {
        let mut min = self.points[members[0]].at.clone();
        let mut max = min.clone();
        for member in members {
            for (dim_idx, x) in self.points[*member].at.iter().enumerate() {
                min[dim_idx] = min[dim_idx].min(*x);
                max[dim_idx] = max[dim_idx].max(*x);
            }
        }
        // A side that is shorter than the radius counts as long as it: a box without extent has no
        // density.
        let sides =
            min.iter().zip(&max).map(|(min, max)| (max - min).max(self.settings.scan_radius));
        #[expect(clippy::cast_precision_loss, reason = "a window has at most a thousand points")]
        let density = (members.len() as f64 / sides.product::<f64>()).min(f64::MAX);
        Hotspot { n_points: members.len(), min, max, density }
    }
}

/// `{"hotspots":[{"density":..,"minValues":[..],"maxValues":[..]},..]}`: as many, the densest first,
/// as fit into the column.
fn result(hotspots: &[Hotspot]) -> String {
    let mut text = Vec::from(*b"{\"hotspots\":[");
    for (idx, hotspot) in hotspots.iter().enumerate() {
        let before = text.len();
        text.extend_from_slice(if idx > 0 { b",{\"density\":" } else { b"{\"density\":" });
        write_f64(hotspot.density, &mut text);
        for (name, values) in [("minValues", &hotspot.min), ("maxValues", &hotspot.max)] {
            text.extend_from_slice(format!(",\"{name}\":[").as_bytes());
            for (dim_idx, value) in values.iter().enumerate() {
                if dim_idx > 0 {
                    text.push(b',');
                }
                write_f64(*value, &mut text);
            }
            text.push(b']');
        }
        text.push(b'}');
        if text.len() + 2 > MAX_RESULT_CHARS {
            text.truncate(before);
            break;
        }
    }
    text.extend_from_slice(b"]}");
    String::from_utf8(text).expect("numbers are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: HotspotSettings =
        HotspotSettings { window_rows: 40, scan_radius: 1.0, min_points: 4 };

    fn filled(settings: HotspotSettings, points: &[[f64; 2]]) -> Window {
        let mut window = Window::new(settings);
        for point in points {
            window.push((*point).into());
        }
        window
    }

    /// Numbers of 0..1, the same at every call.
    fn random(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    /// The paper's definitions, word by word: cores, and what is reached from them, over all pairs.
    fn naive(settings: HotspotSettings, points: &[[f64; 2]]) -> Vec<Vec<usize>> {
        let near = |a: usize, b: usize| {
            let [x, y] = [0, 1].map(|dim: usize| points[a][dim] - points[b][dim]);
            x * x + y * y <= settings.scan_radius * settings.scan_radius
        };
        let n_points = points.len();
        let cores: Vec<usize> = (0..n_points)
            .filter(|a| (0..n_points).filter(|b| near(*a, *b)).count() >= settings.min_points)
            .collect();
        let mut cluster_of = vec![usize::MAX; n_points];
        // Cores that are near each other are of one cluster: spread the smallest number.
        for core in &cores {
            cluster_of[*core] = *core;
        }
        for _ in 0..n_points {
            for a in &cores {
                for b in &cores {
                    if near(*a, *b) {
                        let smaller = cluster_of[*a].min(cluster_of[*b]);
                        (cluster_of[*a], cluster_of[*b]) = (smaller, smaller);
                    }
                }
            }
        }
        for point in (0..n_points).filter(|point| !cores.contains(point)) {
            let reached = cores.iter().filter(|core| near(point, **core));
            cluster_of[point] = reached.map(|core| cluster_of[*core]).min().unwrap_or(usize::MAX);
        }
        let clusters = (0..n_points).map(|name| {
            (0..n_points).filter(|point| cluster_of[*point] == name).collect::<Vec<_>>()
        });
        clusters.filter(|members| !members.is_empty()).collect()
    }

    #[test]
    fn hotspots_are_those_of_the_papers_definitions_in_every_window() {
        for seed in 0..20 {
            let mut number = random(seed);
            let points: Vec<[f64; 2]> =
                (0..150).map(|_| [number() * 8.0, number() * 5.0]).collect();
            let mut window = Window::new(SETTINGS);
            let mut said = String::new();
            for end in 1..=points.len() {
                let changes = window.push(points[end - 1].into());
                let now = result(&window.hotspots());
                assert!(changes || now == said, "a change was not told");
                said = now;
                let begin = end.saturating_sub(SETTINGS.window_rows);
                let found = window.hotspots();
                let expected = naive(SETTINGS, &points[begin..end]);
                let mut counts: Vec<usize> = found.iter().map(|it| it.n_points).collect();
                let mut expected_counts: Vec<usize> = expected.iter().map(Vec::len).collect();
                counts.sort_unstable();
                expected_counts.sort_unstable();
                assert_eq!(counts, expected_counts, "seed {seed}, {begin}..{end}");
                for members in expected {
                    let of = |dim: usize, pick: fn(f64, f64) -> f64| {
                        let values = members.iter().map(|idx| points[begin + idx][dim]);
                        values.reduce(pick).expect("a cluster has members")
                    };
                    let min = [of(0, f64::min), of(1, f64::min)];
                    let max = [of(0, f64::max), of(1, f64::max)];
                    assert!(found.iter().any(|it| *it.min == min && *it.max == max));
                }
            }
        }
    }

    #[test]
    fn the_guides_example_finds_the_square_that_it_makes() {
        // A fifth of the points in a square with sides of 1, the rest anywhere in one of 10.
        let settings = HotspotSettings { window_rows: 1000, scan_radius: 0.2, min_points: 17 };
        let mut number = random(7);
        let mut window = Window::new(settings);
        for row in 0..2000 {
            let corner = if row < 1000 { [2.0, 3.0] } else { [6.5, 1.5] };
            let is_hot = number() < 0.2;
            let at = corner.map(|x| if is_hot { x + number() } else { 10.0 * number() });
            window.push(at.into());
            if row % 1000 < 999 {
                continue;
            }
            let found = window.hotspots();
            assert_eq!(found.len(), 1, "{found:?}");
            for (dim_idx, x) in corner.into_iter().enumerate() {
                assert!((found[0].min[dim_idx] - x).abs() < 0.25, "{found:?}");
                assert!((found[0].max[dim_idx] - (x + 1.0)).abs() < 0.25, "{found:?}");
            }
            // The guide's page shows hotspots of a density of at least 40.
            assert!((120.0..250.0).contains(&found[0].density), "{found:?}");
        }
    }

    #[test]
    fn a_hotspot_without_extent_has_a_density_all_the_same() {
        let window = filled(SETTINGS, &[[5.0, 5.0]; 6]);
        let expected = r#"{"hotspots":[{"density":6,"minValues":[5,5],"maxValues":[5,5]}]}"#;
        assert_eq!(result(&window.hotspots()), expected);
        assert_eq!(result(&filled(SETTINGS, &[[5.0, 5.0]; 3]).hotspots()), r#"{"hotspots":[]}"#);
    }

    #[test]
    fn of_more_than_fit_the_densest_are_told() {
        let settings = HotspotSettings { window_rows: 1000, scan_radius: 1e-9, min_points: 2 };
        let mut number = random(1);
        let points: Vec<[f64; 2]> = (0..400)
            .flat_map(|_| {
                let point = [number(), number()];
                [point; 2]
            })
            .collect();
        let hotspots = filled(settings, &points).hotspots();
        assert_eq!(hotspots.len(), 400);
        let text = result(&hotspots);
        assert!((9_800..=MAX_RESULT_CHARS).contains(&text.len()), "{}", text.len());
        let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert!(told["hotspots"].as_array().is_some_and(|it| it.len() > 50));
    }
}
