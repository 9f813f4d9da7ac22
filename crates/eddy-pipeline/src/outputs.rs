//! Where a pipeline's rows and letters go, and what of them one step holds.

use std::collections::BTreeSet;
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
    /// Which rows go to which of them, where an SQL application makes rows of several streams.
    pub routes: Routes,
}

/// The streams that destinations want.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// One entry a sink, and then one an archive. `None`, or no entry: all streams.
    pub streams: Vec<Option<BTreeSet<String>>>,
}

impl Routes {
    /// Whether a destination wants less than everything.
    pub(crate) fn are_needed(&self) -> bool {
        self.streams.iter().any(Option::is_some)
    }

    /// Whether the destination wants rows of the stream; one without a name is wanted by all.
    pub(crate) fn take(&self, destination_idx: usize, stream: Option<&str>) -> bool {
        let wanted = self.streams.get(destination_idx).and_then(Option::as_ref);
        wanted.is_none_or(|wanted| stream.is_none_or(|stream| wanted.contains(stream)))
    }
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
    /// The stream of each row, where there are several.
    pub(crate) streams: Vec<Arc<str>>,
    pub(crate) origins: Vec<DeadLetter>,
    /// Given up before delivery.
    pub(crate) letters: Vec<DeadLetter>,
}

impl Step {
    /// A step a stream, in each the rows in order; payloads and letters stay with the first.
    pub(crate) fn by_stream(mut self) -> Vec<(Option<Arc<str>>, Self)> {
        if self.streams.is_empty() {
            return vec![(None, self)];
        }
        let mut steps: Vec<(Option<Arc<str>>, Self)> = Vec::new();
        let rows = self.rows.drain(..).zip(self.origins.drain(..));
        for ((row, origin), stream) in rows.zip(self.streams.drain(..)) {
            let known = steps.iter().position(|(of, _)| of.as_ref() == Some(&stream));
            let at = known.unwrap_or_else(|| {
                steps.push((Some(stream), Self::default()));
                steps.len() - 1
            });
            steps[at].1.rows.push(row);
            steps[at].1.origins.push(origin);
        }
        let first = &mut steps[0].1;
        (first.payloads, first.letters) = (self.payloads, self.letters);
        steps
    }
}
