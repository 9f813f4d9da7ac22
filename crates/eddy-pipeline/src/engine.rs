//! What turns records into rows, as the worker sees it: a detector, or an SQL application.

use std::sync::Arc;

use async_trait::async_trait;
use eddy_detect::{Detector, DetectorSettings};
use eddy_record::{DeadLetter, Decoder, Schema, StreamIdentity};
use eddy_stream::{PartitionState, StateChange, StreamError};

use crate::counters::Totals;
use crate::input::Timed;
use crate::outputs::Step;
use crate::scoring::Scoring;
use crate::settings::PipelineSettings;
#[cfg(feature = "sql")]
use crate::sql::{ApplicationParts, Running};

/// What makes rows of a pipeline's records.
#[derive(Clone)]
#[non_exhaustive]
pub enum EngineSettings {
    /// A forest, or one a key.
    Detector(DetectorSettings),
    /// An SQL application. It makes one partition of all shards.
    #[cfg(feature = "sql")]
    Application(Arc<ApplicationParts>),
}

impl EngineSettings {
    /// Whether all shards are one partition, whatever the settings say.
    pub(crate) fn merges(&self) -> bool {
        match self {
            Self::Detector(_) => false,
            #[cfg(feature = "sql")]
            Self::Application(_) => true,
        }
    }

    /// An engine that has seen nothing.
    pub(crate) fn open(
        &self,
        stream: &StreamIdentity,
        decoder: &Arc<Decoder>,
        schema: &Arc<Schema>,
        settings: &PipelineSettings,
    ) -> Result<Box<dyn Engine>, StreamError> {
        match self {
            Self::Detector(detector) => {
                let detector = Detector::new(detector, Arc::clone(schema)).map_err(|error| {
                    StreamError::fatal("the detector's settings are refused").with_source(error)
                })?;
                let decoder = Arc::clone(decoder);
                Ok(Box::new(Scoring::new(detector, decoder, stream.clone(), settings)))
            }
            #[cfg(feature = "sql")]
            Self::Application(parts) => {
                let on_unreadable_model = settings.on_unreadable_model;
                let decoder = Arc::clone(decoder);
                let stream = stream.clone();
                Ok(Box::new(Running::new(parts, decoder, stream, on_unreadable_model)?))
            }
        }
    }
}

/// What an engine has made and the worker has still to hand over.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) step: Step,
    pub(crate) totals: Totals,
}

impl Made {
    pub(crate) fn len(&self) -> usize {
        self.step.rows.len() + self.step.letters.len()
    }

    pub(crate) fn row(&mut self, row: eddy_record::ScoredRecord, origin: DeadLetter) {
        self.step.rows.push(row);
        self.step.origins.push(origin);
    }
}

/// Takes records in order and makes rows of them. The same records and watermarks make the same
/// rows, however they come in turns.
#[async_trait]
pub(crate) trait Engine: Send {
    /// The same exactly for engines whose saved states mean the same.
    fn fingerprint(&self) -> String;

    /// Reads back what [`Engine::changes`] saved, as far as it is not read when it is needed.
    async fn restore(&mut self, state: &dyn PartitionState) -> Result<(), StreamError>;

    /// How many records are taken before other tasks of the thread get their turn: a few
    /// milliseconds.
    fn records_a_turn(&self) -> usize;

    /// Takes a payload. What becomes of it is in `made` when the turn ends.
    async fn take(
        &mut self,
        timed: &Timed,
        state: &dyn PartitionState,
        made: &mut Made,
    ) -> Result<(), StreamError>;

    /// Nothing of what was taken waits for other records of the turn any longer. What that lets go
    /// leaves by [`Engine::more`] as well; so it is with `pass` and `finish`.
    fn end_turn(&mut self, made: &mut Made) -> Result<(), StreamError> {
        let _ = made;
        Ok(())
    }

    /// More of what a call has let go, a bounded part at a time. Says whether there was any.
    fn more(&mut self, made: &mut Made) -> Result<bool, StreamError> {
        let _ = made;
        Ok(false)
    }

    /// The earliest watermark that lets something go, where time alone does.
    fn due_ms(&self) -> Option<i64> {
        None
    }

    /// Time has passed without records.
    fn pass(&mut self, watermark_ms: i64, made: &mut Made) -> Result<(), StreamError> {
        let _ = (watermark_ms, made);
        Ok(())
    }

    /// Whether rows may wait here for the input's end.
    fn holds_rows(&self) -> bool {
        false
    }

    /// The input has ended: whatever waits leaves. Nothing is saved behind it.
    fn finish(&mut self, made: &mut Made) -> Result<(), StreamError> {
        let _ = made;
        Ok(())
    }

    /// Whether so much has changed that it should be saved now, not at the next chance.
    fn is_crowded(&self) -> bool {
        false
    }

    /// The index of the score among a row's values, where rows are ordered by it.
    fn score_idx(&self) -> Option<usize> {
        None
    }

    /// What has to be saved of the engine as it is now.
    fn changes(&mut self) -> Result<Vec<StateChange>, StreamError>;

    /// What [`Engine::changes`] returned is durable.
    fn saved(&mut self) {}

    /// Models in memory, and at a commit their bytes.
    fn n_models(&self) -> usize;

    /// Memory of what is saved, in bytes.
    fn size_bytes(&self) -> usize;
}
