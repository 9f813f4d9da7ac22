//! What a person sees while records go out, on standard error.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use eddy_kinesis::ConnectionSettings;
use eddy_sensors::{Output, Player, Rate, Scene, SceneRecord};
use indicatif::{ProgressBar, ProgressStyle};

use crate::options::Options;

/// Up to this rate, in records a second, each record has its line.
const MAX_RATE_OF_LINES: f64 = 20.0;

/// Counts records and shows them.
pub(crate) struct Report {
    shown: Shown,
    target: String,
    n_generated: u64,
    n_faults: u64,
}

enum Shown {
    Nothing,
    /// A line a record, or one with a fault only.
    Lines {
        normal: bool,
    },
    Bar(ProgressBar),
}

impl Report {
    /// Says what is going to happen and prepares to show it.
    pub(crate) fn start(
        options: &Options,
        scene: &Scene,
        player: &Player,
        output: &Output,
        connection: &ConnectionSettings,
    ) -> Self {
        let to_terminal = *output == Output::Stdout && std::io::stdout().is_terminal();
        let is_slow = matches!(
            scene.rate,
            Rate::Constant { per_second } if per_second <= MAX_RATE_OF_LINES
        );
        let shown = if options.quiet {
            Shown::Nothing
        } else if options.is_paced() && is_slow {
            // On a terminal the records themselves are there to be seen.
            Shown::Lines { normal: !to_terminal }
        } else if to_terminal {
            Shown::Nothing
        } else {
            Shown::Bar(bar(options.count))
        };
        let target = options.target(output, connection);
        if !options.quiet {
            let rate = match &scene.rate {
                _ if !options.is_paced() => "unthrottled".to_owned(),
                Rate::Constant { per_second } => format!("{per_second} records/s"),
                Rate::Periodic { .. } => "by hour and weekday".to_owned(),
                Rate::Bursty { per_second, times, .. } => {
                    format!("{per_second} records/s, {times} times as many in bursts")
                }
            };
            let start = scene.start.as_deref().unwrap_or("2026-01-05T00:00:00Z");
            line(&format!(
                "to {target}: scene {}, sensors {}, {rate}, seed {}, start {start}",
                scene.name,
                player.n_sensors(),
                scene.seed
            ));
        }
        Self { shown, target, n_generated: 0, n_faults: 0 }
    }

    /// Where records go.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// Counts and shows a record that is on its way.
    pub(crate) fn sent(&mut self, record: &SceneRecord) {
        self.n_generated += 1;
        let fault = record.label.as_ref().map(|label| label.fault.as_str());
        self.n_faults += u64::from(fault.is_some());
        match (&self.shown, fault) {
            (Shown::Lines { .. }, Some(fault)) => {
                line(&format!("{}  <- {fault}", String::from_utf8_lossy(&record.data)));
            }
            (Shown::Lines { normal: true }, None) => {
                line(&String::from_utf8_lossy(&record.data));
            }
            (Shown::Bar(bar), fault) => {
                bar.inc(1);
                if fault.is_some() {
                    bar.set_message(format!("{} with a fault", self.n_faults));
                }
            }
            (Shown::Nothing | Shown::Lines { normal: false }, _) => {}
        }
    }

    /// Says something between the records.
    pub(crate) fn say(&self, text: &str) {
        match &self.shown {
            Shown::Bar(bar) => bar.suspend(|| line(text)),
            Shown::Lines { .. } | Shown::Nothing => line(text),
        }
    }

    /// Takes the bar away and prints the counts.
    pub(crate) fn finish(&self, counts: Counts, n_labels: u64) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
        let Self { n_generated, .. } = self;
        let Counts { acknowledged, failed, retried } = counts;
        line(&format!(
            "generated {n_generated}, acknowledged {acknowledged}, failed {failed}, retried \
             {retried}, labelled {n_labels}"
        ));
    }
}

/// What became of the records: each is acknowledged or failed in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// The receiver has them.
    pub(crate) acknowledged: u64,
    /// Given up.
    pub(crate) failed: u64,
    /// Sent again; some of them more than once.
    pub(crate) retried: u64,
}

fn bar(count: Option<u64>) -> ProgressBar {
    let (bar, template) = match count {
        Some(count) => {
            (ProgressBar::new(count), "{wide_bar} {human_pos}/{human_len} {per_sec} {msg} {eta}")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {human_pos} {per_sec} {msg}"),
    };
    bar.enable_steady_tick(Duration::from_millis(200));
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Writes a line to standard error; when nobody listens there, nothing is to be done.
fn line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
