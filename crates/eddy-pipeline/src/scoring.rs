//! A detector as the engine of a partition.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use eddy_detect::{Detector, RestoreError};
use eddy_record::{DeadLetter, Decoder, DocumentId, Record, ScoredRecord, Stage, StreamIdentity};
use eddy_stream::{PartitionState, StateChange, StreamError};
use tokio::time::Instant;

use crate::checkpoint::model_key;
use crate::engine::{Engine, Made};
use crate::input::Timed;
use crate::settings::{OnUnreadableModel, PipelineSettings};
use crate::worker::nanoseconds;

/// Records decoded and scored before other tasks of the thread get their turn: a few milliseconds.
const RECORDS_A_TURN: usize = 256;

/// Decodes records and scores them, one by one.
pub(crate) struct Scoring {
    detector: Detector,
    decoder: Arc<Decoder>,
    stream: StreamIdentity,
    threshold: f64,
    on_unreadable_model: OnUnreadableModel,
}

impl Scoring {
    pub(crate) fn new(
        detector: Detector,
        decoder: Arc<Decoder>,
        stream: StreamIdentity,
        settings: &PipelineSettings,
    ) -> Self {
        let (threshold, on_unreadable_model) = (settings.threshold, settings.on_unreadable_model);
        Self { detector, decoder, stream, threshold, on_unreadable_model }
    }
}

/// A letter of a record, without its reason.
pub(crate) fn letter_of(
    stream: &StreamIdentity,
    timed: &Timed,
    output_idx: u32,
    stage: Stage,
) -> DeadLetter {
    DeadLetter {
        stream: stream.clone(),
        partition: timed.partition.clone(),
        position: timed.raw.position.clone(),
        output_idx,
        arrival_ms: timed.raw.arrival_ms,
        stage,
        reason: String::new(),
        raw: Bytes::new(),
    }
}

/// Decodes a payload; an empty array holds no record, and still must not be silently gone.
pub(crate) fn decode(
    decoder: &Decoder,
    stream: &StreamIdentity,
    timed: &Timed,
    made: &mut Made,
) -> Vec<Result<Record, eddy_record::DecodeError>> {
    let mut decoded = Vec::new();
    let start = Instant::now();
    decoder.decode(&timed.raw.data, &mut decoded);
    made.totals.decode_ns += nanoseconds(start);
    made.totals.clamped += u64::from(timed.clamped);
    if decoded.is_empty() {
        made.step.letters.push(DeadLetter {
            reason: "the payload holds no record".to_owned(),
            raw: timed.raw.data.clone(),
            ..letter_of(stream, timed, 0, Stage::Decode)
        });
    }
    decoded
}

#[async_trait]
impl Engine for Scoring {
    fn fingerprint(&self) -> String {
        self.detector.fingerprint()
    }

    async fn restore(&mut self, _: &dyn PartitionState) -> Result<(), StreamError> {
        // Each model is read back with its first record.
        Ok(())
    }

    fn records_a_turn(&self) -> usize {
        RECORDS_A_TURN
    }

    async fn take(
        &mut self,
        timed: &Timed,
        state: &dyn PartitionState,
        made: &mut Made,
    ) -> Result<(), StreamError> {
        let n_letters = made.step.letters.len();
        let decoded = decode(&self.decoder, &self.stream, timed, made);
        for (output_idx, record) in decoded.into_iter().enumerate() {
            let output_idx = u32::try_from(output_idx).unwrap_or(u32::MAX);
            let letter = |stage, reason: String, made: &Made| DeadLetter {
                reason,
                // One payload may make very many letters: only its first carries it.
                raw: if made.step.letters.len() > n_letters {
                    Bytes::new()
                } else {
                    timed.raw.data.clone()
                },
                ..letter_of(&self.stream, timed, output_idx, stage)
            };
            let record: Record = match record {
                Ok(record) => record,
                Err(error) => {
                    let letter = letter(Stage::Decode, error.to_string(), made);
                    made.step.letters.push(letter);
                    continue;
                }
            };
            restore_model(&mut self.detector, state, &record, self.on_unreadable_model).await?;
            let start = Instant::now();
            let scored = self.detector.score(&record);
            made.totals.score_ns += nanoseconds(start);
            let scored = match scored {
                Ok(scored) => scored,
                Err(error) => {
                    let letter = letter(Stage::Detect, error.to_string(), made);
                    made.step.letters.push(letter);
                    continue;
                }
            };
            match scored.score {
                None => made.totals.unscored += 1,
                Some(0.0) => made.totals.warming_up += 1,
                Some(score) => {
                    made.totals.scored += 1;
                    made.totals.anomalies += u64::from(score >= self.threshold);
                }
            }
            let position = &timed.raw.position;
            let row = ScoredRecord {
                id: DocumentId::new(&self.stream, &timed.partition, position, output_idx),
                created_ms: timed.rowtime_ms,
                schema: Arc::clone(self.detector.output_schema()),
                values: self.detector.output_values(record, &scored, timed.rowtime_ms),
            };
            made.row(row, letter_of(&self.stream, timed, output_idx, Stage::Deliver));
        }
        Ok(())
    }

    fn is_crowded(&self) -> bool {
        self.detector.is_crowded()
    }

    fn score_idx(&self) -> Option<usize> {
        Some(self.detector.score_idx())
    }

    fn changes(&mut self) -> Result<Vec<StateChange>, StreamError> {
        let changed = self.detector.take_changed().into_iter();
        let change = |(key, saved): (_, Vec<u8>)| StateChange {
            key: model_key(&key),
            value: Some(saved.into()),
        };
        Ok(changed.map(change).collect())
    }

    fn saved(&mut self) {
        self.detector.evict();
    }

    fn n_models(&self) -> usize {
        self.detector.n_models()
    }

    fn size_bytes(&self) -> usize {
        self.detector.size_bytes()
    }
}

/// Reads the model of a record back where it is not in memory.
async fn restore_model(
    detector: &mut Detector,
    state: &dyn PartitionState,
    record: &Record,
    on_unreadable: OnUnreadableModel,
) -> Result<(), StreamError> {
    let Some(key) = detector.absent_model(record) else { return Ok(()) };
    let Some(saved) = state.get(&model_key(&key)).await? else { return Ok(()) };
    match (detector.restore(key.clone(), &saved), on_unreadable) {
        (Ok(()), _) => Ok(()),
        (Err(error), OnUnreadableModel::Restart) => {
            tracing::warn!(?key, error = %error, "a saved model cannot be used and starts afresh");
            Ok(())
        }
        (Err(error @ RestoreError::OtherSettings), OnUnreadableModel::Refuse) => {
            Err(StreamError::fatal("cannot go on with the saved models").with_source(error))
        }
        (Err(error), OnUnreadableModel::Refuse) => Err(StreamError::fatal(
            "cannot read a saved model; restore the state or set on_unreadable_model = \"restart\"",
        )
        .with_source(error)),
    }
}
