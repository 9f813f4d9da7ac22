//! Settling records: rows into every sink, everything else into the dead letters.

use std::collections::BTreeMap;
use std::sync::Arc;

use eddy_record::{DeadLetter, ScoredRecord, Stage};
use eddy_stream::{DeadLetterSink, Sink, StreamError};
use futures::future::join_all;

/// Letters written at once: each may carry a whole payload.
const MAX_LETTERS_A_WRITE: usize = 100;

/// The sinks of a pipeline and its dead letters.
#[derive(Clone)]
pub struct Outputs {
    /// Every row goes to each of them.
    pub sinks: Vec<Arc<dyn Sink>>,
    /// Where records go that cannot go on.
    pub dead_letters: Arc<dyn DeadLetterSink>,
}

/// The records of one step, decoded and scored.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// The rows to deliver, each with the letter it becomes when a sink refuses it (whose reason
    /// and payload are filled in then).
    pub(crate) rows: Vec<ScoredRecord>,
    pub(crate) origins: Vec<DeadLetter>,
    /// Given up before delivery.
    pub(crate) letters: Vec<DeadLetter>,
}

/// How the records of a step ended.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) delivered: u64,
    pub(crate) dead: Vec<Stage>,
}

impl Outputs {
    /// Returns when every row of the step is durable in every sink or is, like all its letters,
    /// durable in the dead letters.
    pub(crate) async fn settle(&self, step: Step) -> Result<Settled, StreamError> {
        let Step { rows, origins, mut letters } = step;
        let mut refused: BTreeMap<usize, String> = BTreeMap::new();
        if !rows.is_empty() {
            // All answers are waited for: what one sink is still writing while another has failed
            // must not overlap with the replay.
            let answers = join_all(self.sinks.iter().map(|sink| sink.write(&rows))).await;
            let answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
            for (sink, rejected) in self.sinks.iter().zip(answers) {
                for rejected in rejected {
                    let reasons = refused.entry(rejected.row_idx).or_default();
                    let separator = if reasons.is_empty() { "" } else { "; " };
                    reasons.push_str(&format!("{separator}{}: {}", sink.name(), rejected.reason));
                }
            }
        }
        let delivered = (rows.len() - refused.len()) as u64;
        for (row_idx, reason) in refused {
            let mut raw = Vec::new();
            rows[row_idx].write_json(&mut raw);
            letters.push(DeadLetter { reason, raw: raw.into(), ..origins[row_idx].clone() });
        }
        for some in letters.chunks(MAX_LETTERS_A_WRITE) {
            self.dead_letters.write(some).await?;
        }
        let dead = letters.iter().map(|letter| letter.stage).collect();
        Ok(Settled { delivered, dead })
    }
}
