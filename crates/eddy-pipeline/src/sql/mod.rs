//! An SQL application as the engine of a pipeline.

mod derived;
mod parts;
mod reference;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use eddy_record::{DeadLetter, Decoder, DocumentId, Schema, ScoredRecord, Stage, StreamIdentity};
use eddy_sql::{
    Application, Arrival, Counters, Emission, ErrorRow, InputBatch, OutputRow, RunError,
};
use eddy_stream::{FailureLog, PartitionState, StateChange, StreamError};
use tokio::time::Instant;

use crate::checkpoint::APPLICATION_KEY;
use crate::counters::Totals;
use crate::engine::{Engine, Made};
use crate::input::Timed;
use crate::models::APPLICATION;
use crate::scoring::{decode, letter_of};
use crate::settings::OnUnreadableModel;
use crate::worker::nanoseconds;

pub use derived::{ApplicationArgs, beside, is_service};
pub use parts::{ApplicationParts, ERROR_STREAM};
pub use reference::fetch_reference;

/// Records pushed together: enough for work on columns to pay, a few milliseconds of a forest.
const RECORDS_A_TURN: usize = 1024;

/// An application at work.
pub(crate) struct Running {
    parts: Arc<ApplicationParts>,
    application: Application,
    decoder: Arc<Decoder>,
    stream: StreamIdentity,
    // What an id begins with: the stream, and the application's fingerprint.
    ids_of: String,
    schemas: BTreeMap<Arc<str>, Arc<Schema>>,
    batch: InputBatch,
    // What a row that no single record made is told to come from: the last record.
    last: Option<DeadLetter>,
    // As far as they are in the totals.
    counted: Counters,
    saved_bytes: usize,
    on_unreadable_model: OnUnreadableModel,
    errors: FailureLog,
    n_errors: u64,
}

impl Running {
    /// An application at its start.
    pub(crate) fn new(
        parts: &Arc<ApplicationParts>,
        decoder: Arc<Decoder>,
        stream: StreamIdentity,
        on_unreadable_model: OnUnreadableModel,
    ) -> Result<Self, StreamError> {
        let application = parts.plan()?;
        let schemas = parts.schemas(&application);
        let ids_of = format!("{stream}:{:016x}", application.fingerprint());
        Ok(Self {
            parts: Arc::clone(parts),
            batch: application.batch(),
            application,
            decoder,
            stream,
            ids_of,
            schemas,
            last: None,
            counted: Counters::default(),
            saved_bytes: 0,
            on_unreadable_model,
            errors: FailureLog::default(),
            n_errors: 0,
        })
    }

    /// Pushes what was taken.
    fn push(&mut self, made: &mut Made) -> Result<(), StreamError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let start = Instant::now();
        let emission = self.application.push_part(&mut self.batch).map_err(stopped)?;
        self.emit(emission, made);
        made.totals.score_ns += nanoseconds(start);
        Ok(())
    }

    /// Turns what leaves into rows.
    fn emit(&mut self, emission: Emission, made: &mut Made) {
        let mut ordinals: HashMap<String, u32> = HashMap::new();
        for OutputRow { stream, rowtime_ms, id, values } in emission.rows() {
            let Some(schema) = self.schemas.get(&stream) else { continue };
            let id = format!("{}:{stream}:{}", self.ids_of, id.unwrap_or_default());
            let row = ScoredRecord {
                id: numbered(id, &mut ordinals),
                created_ms: rowtime_ms,
                schema: Arc::clone(schema),
                values,
            };
            self.leave(stream, row, made);
        }
        for error in &emission.errors {
            self.error(error, None, &mut ordinals, made);
        }
        self.count(&mut made.totals);
    }

    /// A row of the error stream: it leaves where somebody wants it, and is counted and logged where
    /// nobody does.
    fn error(
        &mut self,
        error: &ErrorRow,
        record_id: Option<String>,
        ordinals: &mut HashMap<String, u32>,
        made: &mut Made,
    ) {
        self.n_errors += 1;
        let Some((stream, schema)) = self.schemas.get_key_value(ERROR_STREAM) else {
            if let Some(failing_for) = self.errors.failed() {
                let (n_errors, pump, message) = (self.n_errors, &error.pump_name, &error.message);
                tracing::warn!(
                    n_errors,
                    pump,
                    message,
                    ?failing_for,
                    "rows go to the error stream, which no sink wants",
                );
            }
            return;
        };
        let (stream, schema) = (Arc::clone(stream), Arc::clone(schema));
        let made_of = record_id.unwrap_or_else(|| error.made_of());
        let id = format!("{}:{stream}:{}:{made_of}", self.ids_of, error.pump_name);
        let row = ScoredRecord {
            id: numbered(id, ordinals),
            created_ms: error.error_time_ms,
            schema,
            values: error.values(),
        };
        self.leave(stream, row, made);
    }

    fn leave(&self, stream: Arc<str>, row: ScoredRecord, made: &mut Made) {
        made.totals.rows_out += 1;
        match made.totals.rows_out_by_stream.get_mut(stream.as_ref()) {
            Some(n_rows) => *n_rows += 1,
            None => _ = made.totals.rows_out_by_stream.insert(stream.to_string(), 1),
        }
        let origin = self.last.clone().unwrap_or_else(|| self.parts.no_origin(&self.stream));
        made.step.streams.push(stream);
        made.row(row, origin);
    }

    /// Adds what the application has counted since the last time.
    fn count(&mut self, totals: &mut Totals) {
        let (now, before) = (*self.application.counters(), self.counted);
        totals.rows_in += now.rows_in - before.rows_in;
        totals.filtered += now.filtered - before.filtered;
        totals.aggregated += now.aggregated - before.aggregated;
        totals.failed += now.failed - before.failed;
        totals.late += now.late - before.late;
        totals.clamped += now.clamped - before.clamped;
        totals.unscored += now.unscored - before.unscored;
        self.counted = now;
    }
}

/// The id, with its number among those of one moment that are made of the same.
fn numbered(id: String, ordinals: &mut HashMap<String, u32>) -> DocumentId {
    let ordinal = ordinals.entry(id.clone()).or_default();
    *ordinal += 1;
    DocumentId::of_text(format!("{id}:{}", *ordinal - 1))
}

/// The application cannot go on, and trying again would end alike.
fn stopped(error: RunError) -> StreamError {
    StreamError::fatal("the SQL application cannot go on").with_source(error)
}

#[async_trait]
impl Engine for Running {
    fn fingerprint(&self) -> String {
        format!("{APPLICATION}{:016x}", self.application.fingerprint())
    }

    async fn restore(&mut self, state: &dyn PartitionState) -> Result<(), StreamError> {
        let Some(saved) = state.get(APPLICATION_KEY).await? else { return Ok(()) };
        self.application = match (self.parts.restore(&saved), self.on_unreadable_model) {
            (Ok(application), _) => application,
            (Err(error), OnUnreadableModel::Restart) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "windows, sorts and forests start afresh");
                return Ok(());
            }
            (Err(error), OnUnreadableModel::Refuse) => return Err(error),
        };
        self.batch = self.application.batch();
        self.counted = *self.application.counters();
        self.saved_bytes = saved.len();
        Ok(())
    }

    fn records_a_turn(&self) -> usize {
        RECORDS_A_TURN
    }

    async fn take(
        &mut self,
        timed: &Timed,
        _: &dyn PartitionState,
        made: &mut Made,
    ) -> Result<(), StreamError> {
        let n_letters = made.step.letters.len();
        let decoded = decode(&self.decoder, &self.stream, timed, made);
        let position = &timed.raw.position;
        self.last = Some(letter_of(&self.stream, timed, 0, Stage::Deliver));
        for (output_idx, record) in decoded.into_iter().enumerate() {
            let output_idx = u32::try_from(output_idx).unwrap_or(u32::MAX);
            let id = format!("{}:{position}:{output_idx}", timed.partition);
            let with_time = record.map_err(|error| error.to_string()).and_then(|mut record| {
                let time_ms = self.parts.rowtime.of(&mut record, timed.rowtime_ms)?;
                Ok((record, time_ms))
            });
            match with_time {
                Ok((record, time_ms)) => self.batch.push(
                    &record,
                    &Arrival {
                        time_ms,
                        arrival_ms: timed.raw.arrival_ms,
                        partition_key: &timed.raw.partition_key,
                        sequence_number: position.sequence.as_str(),
                        shard_id: timed.partition.as_str(),
                        id: &id,
                    },
                ),
                Err(reason) => {
                    // Rows before it go first.
                    self.push(made)?;
                    while self.more(made)? {}
                    let time_ms = if self.parts.rowtime.passes_alone() {
                        timed.rowtime_ms
                    } else {
                        self.application.watermark_ms().unwrap_or(0)
                    };
                    let raw = String::from_utf8_lossy(&timed.raw.data);
                    let emission = self.application.reject(time_ms, &raw, &reason);
                    for error in &emission.errors {
                        self.error(error, Some(id.clone()), &mut HashMap::new(), made);
                    }
                    self.count(&mut made.totals);
                    // One payload may make very many letters: only its first carries it.
                    let has_letter = made.step.letters.len() > n_letters;
                    let raw = if has_letter { Bytes::new() } else { timed.raw.data.clone() };
                    let letter = letter_of(&self.stream, timed, output_idx, Stage::Decode);
                    made.step.letters.push(DeadLetter { reason, raw, ..letter });
                }
            }
        }
        Ok(())
    }

    fn end_turn(&mut self, made: &mut Made) -> Result<(), StreamError> {
        self.push(made)
    }

    fn more(&mut self, made: &mut Made) -> Result<bool, StreamError> {
        let start = Instant::now();
        let Some(emission) = self.application.rest().map_err(stopped)? else { return Ok(false) };
        self.emit(emission, made);
        made.totals.score_ns += nanoseconds(start);
        Ok(true)
    }

    fn due_ms(&self) -> Option<i64> {
        // Where a field is the time, that of arrival says nothing.
        if self.parts.rowtime.passes_alone() { self.application.due_ms() } else { None }
    }

    fn pass(&mut self, watermark_ms: i64, made: &mut Made) -> Result<(), StreamError> {
        let emission = self.application.advance_watermark_part(watermark_ms).map_err(stopped)?;
        self.emit(emission, made);
        Ok(())
    }

    fn holds_rows(&self) -> bool {
        true
    }

    fn finish(&mut self, made: &mut Made) -> Result<(), StreamError> {
        let emission = self.application.finish_part().map_err(stopped)?;
        self.emit(emission, made);
        Ok(())
    }

    fn changes(&mut self) -> Result<Vec<StateChange>, StreamError> {
        let snapshot = self.application.snapshot().map_err(stopped)?;
        self.saved_bytes = snapshot.len();
        let key = Bytes::from_static(APPLICATION_KEY);
        Ok(vec![StateChange { key, value: Some(snapshot.into()) }])
    }

    fn n_models(&self) -> usize {
        0
    }

    fn size_bytes(&self) -> usize {
        self.saved_bytes
    }
}
