//! Where a pipeline's rows and letters go, and what of them one step holds.

use std::sync::Arc;

use eddy_record::{DeadLetter, RawRecord, ScoredRecord};
use eddy_stream::{Archive, DeadLetterSink, Sink};

/// The destinations of a pipeline. Every partition has a queue to each of them.
#[derive(Clone)]
pub struct Outputs {
    /// Every row goes to each of them.
    pub sinks: Vec<Arc<dyn Sink>>,
    /// Every row, or every payload, goes to each of them.
    pub archives: Vec<Arc<dyn Archive>>,
    /// Where records go that cannot go on.
    pub dead_letters: Arc<dyn DeadLetterSink>,
}

impl Outputs {
    /// Whether an archive keeps payloads.
    pub(crate) fn keeps_payloads(&self) -> bool {
        self.archives.iter().any(|archive| archive.keeps_payloads())
    }
}

/// The records of one step, decoded and scored.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// The payloads that the step is made of, where an archive keeps them.
    pub(crate) payloads: Vec<RawRecord>,
    /// The rows to deliver, each with the letter it becomes when a sink refuses it (whose reason
    /// and payload are filled in then).
    pub(crate) rows: Vec<ScoredRecord>,
    pub(crate) origins: Vec<DeadLetter>,
    /// Given up before delivery.
    pub(crate) letters: Vec<DeadLetter>,
}
