//! What a person sees while readings go out, on standard error.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use eddy_sensors::Reading;
use indicatif::{ProgressBar, ProgressStyle};

use crate::options::Options;

/// Up to this rate, in records a second, each record has its line.
const MAX_RATE_OF_LINES: f64 = 20.0;

/// Counts readings and shows them.
pub(crate) struct Report {
    shown: Shown,
    n_sent: u64,
    n_anomalies: u64,
}

enum Shown {
    Nothing,
    /// A line a record, or an anomaly only.
    Lines {
        normal: bool,
    },
    Bar(ProgressBar),
}

impl Report {
    /// Says what is going to happen and prepares to show it.
    pub(crate) fn start(options: &Options) -> Self {
        let to_terminal = options.stdout && std::io::stdout().is_terminal();
        let shown = if options.quiet {
            Shown::Nothing
        } else if options.rate > 0.0 && options.rate <= MAX_RATE_OF_LINES {
            // On a terminal the readings themselves are there to be seen.
            Shown::Lines { normal: !to_terminal }
        } else if to_terminal {
            Shown::Nothing
        } else {
            Shown::Bar(bar(options.count))
        };
        if !options.quiet {
            let rate = match options.rate {
                0.0 => "unthrottled".to_owned(),
                rate => format!("{rate} records/s"),
            };
            let Options { sensors, anomaly_rate, seed, .. } = options;
            line(&format!(
                "to {}: sensors {sensors}, {rate}, anomaly rate {anomaly_rate}, seed {seed}",
                options.target()
            ));
        }
        Self { shown, n_sent: 0, n_anomalies: 0 }
    }

    /// Counts and shows a reading that is on its way.
    pub(crate) fn sent(&mut self, reading: &Reading) {
        self.n_sent += 1;
        self.n_anomalies += u64::from(reading.anomaly);
        match &self.shown {
            Shown::Lines { .. } if reading.anomaly => {
                line(&format!("{} {}  <- anomaly", reading.name, reading.value));
            }
            Shown::Lines { normal: true } => line(&format!("{} {}", reading.name, reading.value)),
            Shown::Bar(bar) => {
                bar.inc(1);
                if reading.anomaly {
                    bar.set_message(format!("{} anomalies", self.n_anomalies));
                }
            }
            Shown::Nothing | Shown::Lines { .. } => {}
        }
    }

    /// Says something between the readings.
    pub(crate) fn say(&self, text: &str) {
        match &self.shown {
            Shown::Bar(bar) => bar.suspend(|| line(text)),
            Shown::Lines { .. } | Shown::Nothing => line(text),
        }
    }

    /// Takes the bar away and prints the counts.
    pub(crate) fn finish(&self, delivered: Delivered) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
        let Self { n_sent, n_anomalies, .. } = self;
        let Delivered { acknowledged, failed, retried } = delivered;
        line(&format!(
            "sent {n_sent}, acknowledged {acknowledged}, failed {failed}, retried {retried}, \
             anomalies {n_anomalies}"
        ));
    }
}

/// What became of the readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
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
