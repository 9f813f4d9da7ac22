//! An application at work.

use std::sync::Arc;

use arrow::array::{ArrayRef, TimestampMillisecondArray};
use arrow::datatypes::SchemaRef;
use eddy_detect::RowClock;
use eddy_record::{Column, RecordFormat, Schema};
use serde::{Deserialize, Serialize};

use crate::error::{RunError, SqlError};
use crate::expr::arrow_schema;
use crate::input::METADATA;
use crate::options::Options;
use crate::parse::parse;
use crate::plan::{Graph, StreamPlan, parallel, plan};
use crate::run::{Chunk, ErrorRow, Errors, EventTime, Operator, Reader, StreamRows, Writer};
use crate::types::Type;
use crate::{Emission, InputBatch, Watched};

/// What became of the rows. Every row of the source is in one of `rows_in` and `rejected`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Rows of the source that were pushed.
    pub rows_in: u64,
    /// Records that did not fit the schema.
    pub rejected: u64,
    /// Rows that left, of all destination streams.
    pub rows_out: u64,
    /// Rows that a WHERE or HAVING left out.
    pub filtered: u64,
    /// Rows that became part of a group.
    pub aggregated: u64,
    /// Rows that went to the error stream because an expression failed.
    pub failed: u64,
    /// Rows later than WITHIN INTERVAL or [`Options::lateness_ms`] allows, in the error stream as
    /// well.
    pub late: u64,
    /// Rows whose time was moved up to the stream's.
    pub clamped: u64,
    /// Rows that a forest did not score because a column was NULL or beyond f32.
    pub unscored: u64,
    /// Forests that subtract the first value of a column because it is too large for f32.
    pub shifted_columns: u64,
    /// Models of a forest with PARTITION BY that were forgotten for others: their keys had not come
    /// for the longest, and learn anew when they come.
    #[serde(default)]
    pub forgotten_models: u64,
}

/// A Kinesis Data Analytics application: rows in, rows out, no clock and no I/O.
///
/// The same rows give the same rows, however they are put into batches.
#[derive(Debug)]
pub struct Application {
    options: Options,
    graph: Graph,
    clock: RowClock,
    // Where rows have event time, they pass through it first.
    event_time: Option<EventTime>,
    counters: Counters,
    // Of the text and everything that its state depends on.
    fingerprint: u64,
    has_metadata: bool,
    watched: Option<Arc<Watched>>,
}

/// What a snapshot begins with; the version stands behind it.
const MAGIC: &[u8; 7] = b"EDDYSQL";
/// The format of snapshots. Version 1 had other states of SUM, and no grades.
const VERSION: u8 = 3;
/// As [`VERSION`], without the checksum behind the version; it is still read.
const WITHOUT_CHECKSUM: u8 = 2;

/// The checksum of a snapshot of [`VERSION`] with what stands behind the checksum.
fn checksum(body: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(MAGIC);
    hasher.update(&[VERSION]);
    hasher.update(body);
    hasher.finalize().to_le_bytes()
}

/// What a snapshot says. Its bytes are checked before anything in them is believed: readers of
/// Arrow may panic on damaged ones.
fn unsealed(snapshot: &[u8]) -> Result<&[u8], RunError> {
    let wrong = |reason: String| RunError::Snapshot { reason };
    let rest = snapshot.strip_prefix(MAGIC).ok_or_else(|| wrong("unknown format".to_owned()))?;
    match rest.split_first() {
        Some((&VERSION, rest)) => match rest.split_first_chunk::<4>() {
            Some((sum, body)) if *sum == checksum(body) => Ok(body),
            _ => Err(wrong("it is cut short or damaged: its checksum differs".to_owned())),
        },
        Some((&WITHOUT_CHECKSUM, body)) => Ok(body),
        Some((version, _)) => Err(wrong(format!(
            "it has version {version} of the format, this program reads {WITHOUT_CHECKSUM} and \
             {VERSION}: start the application afresh, or go on with the program that wrote it"
        ))),
        None => Err(wrong("it is cut short".to_owned())),
    }
}

impl Application {
    /// Reads and plans an application.
    ///
    /// # Errors
    /// Something in the text is wrong or not supported; nothing of it is run.
    pub fn new(text: &str, options: Options) -> Result<Self, SqlError> {
        let statements = parse(text)?;
        let upper = text.to_uppercase();
        let has_metadata = METADATA.iter().any(|(name, _)| upper.contains(name));
        let graph = plan(statements, &options, has_metadata, parallel(&upper, &options.source))?;
        let fingerprint = options.fingerprint(text);
        let event_time = options.lateness_ms.map(|lateness_ms| {
            EventTime::new(lateness_ms.max(0), stream_schema(&graph.streams[0]), options.has_ids)
        });
        Ok(Self {
            options,
            graph,
            clock: RowClock::default(),
            event_time,
            counters: Counters::default(),
            fingerprint,
            has_metadata,
            watched: None,
        })
    }

    /// The application as it was when the snapshot was taken; the start is the one that it had then.
    ///
    /// # Errors
    /// The text or the options have changed, or the bytes are damaged: then it cannot go on where
    /// it was, and has to be started anew.
    pub fn restore(text: &str, mut options: Options, snapshot: &[u8]) -> Result<Self, RunError> {
        let wrong = |reason: &str| RunError::Snapshot { reason: reason.to_owned() };
        let mut reader = Reader(unsealed(snapshot)?);
        let fingerprint = reader.number()?;
        options.start_ms = reader.number()?;
        let now_ms = reader.number()?;
        let counters = serde_json::from_slice(reader.bytes()?)
            .map_err(|error| RunError::Snapshot { reason: error.to_string() })?;
        let mut application = Self::new(text, options)
            .map_err(|error| RunError::Snapshot { reason: error.to_string() })?;
        if application.fingerprint.cast_signed() != fingerprint {
            return Err(wrong(
                "it is of another application: its text, schema, outputs, reference data, seed, rowtime \
                 or allowed lateness differ",
            ));
        }
        application.clock = RowClock::resume((now_ms != i64::MIN).then_some(now_ms));
        application.counters = counters;
        if let Some(event_time) = &mut application.event_time {
            event_time.restore(&mut reader)?;
        }
        application.visit(&mut |operator| operator.restore(reader.bytes()?))?;
        reader.end()?;
        Ok(application)
    }

    /// Everything that the application's future depends on.
    ///
    /// # Errors
    /// An aggregate cannot be written.
    pub fn snapshot(&mut self) -> Result<Vec<u8>, RunError> {
        let mut writer = Writer([MAGIC.as_slice(), &[VERSION], &[0; 4]].concat());
        writer.number(self.fingerprint.cast_signed());
        writer.number(self.options.start_ms);
        writer.number(self.clock.now_ms().unwrap_or(i64::MIN));
        writer.bytes(&serde_json::to_vec(&self.counters).expect("numbers are JSON"));
        if let Some(event_time) = &self.event_time {
            event_time.save(&mut writer)?;
        }
        self.visit(&mut |operator| {
            writer.bytes(&operator.save()?);
            Ok(())
        })?;
        let mut snapshot = writer.0;
        let (head, body) = snapshot.split_at_mut(MAGIC.len() + 5);
        head[MAGIC.len() + 1..].copy_from_slice(&checksum(body));
        Ok(snapshot)
    }

    fn visit(
        &mut self,
        each: &mut dyn FnMut(&mut dyn Operator) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        self.graph.pumps.iter_mut().try_for_each(|pump| pump.node.visit(each))
    }

    /// The schema of the source.
    pub fn input_schema(&self) -> &Schema {
        &self.options.schema
    }

    /// The names of the streams whose rows leave.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        let streams = self.graph.streams.iter().filter(|stream| stream.is_output);
        streams.map(|stream| stream.name.as_str())
    }

    /// The columns of a stream whose rows leave, as declared.
    pub fn output_schema(&self, stream: &str) -> Option<Schema> {
        let found = self.graph.streams.iter().find(|it| it.is_output && it.name == stream)?;
        let columns = found.fields.iter().filter(|field| !field.hidden).map(|field| Column {
            name: field.name.clone(),
            sql_type: field.sql_type.to_sql(),
            mapping: None,
            nullable: true,
        });
        Some(Schema { columns: columns.collect(), format: RecordFormat::json() })
    }

    /// Whether the error stream is an output.
    pub fn errors_leave(&self) -> bool {
        self.graph.errors_leave
    }

    /// The same exactly for applications whose snapshots mean the same: made of the text and of the
    /// options that it depends on.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The earliest watermark at which something that is held may leave; `None` where nothing waits
    /// for time alone. What is behind a sort may wait for longer.
    pub fn due_ms(&self) -> Option<i64> {
        let due = self.graph.pumps.iter().map(|pump| pump.node.due_ms()).min();
        due.filter(|due| *due != i64::MAX)
    }

    /// What may not be meant as it is written.
    pub fn warnings(&self) -> &[String] {
        &self.graph.warnings
    }

    /// The graph of streams and pumps, a line a pump; `->` at a line's end marks a destination.
    pub fn graph_text(&self) -> String {
        self.graph.text()
    }

    /// The graph in Graphviz' language.
    pub fn graph_dot(&self) -> String {
        self.graph.dot()
    }

    /// What became of the rows so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Lets others see the application.
    pub fn watch(&mut self, watched: &Arc<Watched>) {
        watched.begin(&self.graph);
        self.watched = Some(Arc::clone(watched));
    }

    /// How far the stream's time is, in milliseconds; `None` before the first row.
    pub fn watermark_ms(&self) -> Option<i64> {
        self.clock.now_ms()
    }

    /// An empty batch for [`Application::push`].
    pub fn batch(&self) -> InputBatch {
        InputBatch::new(&self.options.schema, self.has_metadata, self.options.has_ids)
    }

    /// Takes rows of the source, and empties the batch.
    ///
    /// A row's ROWTIME is its time, or the stream's where that is later already; with
    /// [`Options::lateness_ms`] it is always its time, and the row leaves when the watermark is there.
    ///
    /// # Errors
    /// More is held than fits; the application cannot go on.
    pub fn push(&mut self, batch: &mut InputBatch) -> Result<Emission, RunError> {
        let emission = self.push_part(batch)?;
        self.with_rest(emission)
    }

    /// As [`Application::push`], but of what event time lets go only so much leaves as is bounded
    /// ([`Limits::released_rows`](crate::Limits::released_rows)): the others by
    /// [`Application::rest`], or before what the next call lets go.
    ///
    /// # Errors
    /// As [`Application::push`].
    pub fn push_part(&mut self, batch: &mut InputBatch) -> Result<Emission, RunError> {
        let mut emission = self.with_rest(Emission::default())?;
        let times = std::mem::take(&mut batch.times);
        self.counters.rows_in += times.len() as u64;
        let (columns, ids) = batch.take();
        if let Some(event_time) = &mut self.event_time {
            event_time.arrive(columns, ids, times);
            emission.append(self.part()?);
            return Ok(emission);
        }
        let rowtimes: Vec<i64> = times
            .iter()
            .map(|time| {
                let (rowtime, clamped) = self.clock.rowtime(*time);
                self.counters.clamped += u64::from(clamped);
                rowtime
            })
            .collect();
        let watermarks: Arc<[i64]> = rowtimes.as_slice().into();
        let n_rows = u32::try_from(rowtimes.len()).expect("a batch has fewer rows");
        let rowtimes: ArrayRef = Arc::new(TimestampMillisecondArray::from(rowtimes));
        let ticks = (0..n_rows).collect();
        self.run(Chunk { columns, rowtimes, ids, ticks, watermarks }, Vec::new())
    }

    /// More of what a call of [`Application::push_part`] and its like let go; `None` when all has
    /// left.
    ///
    /// # Errors
    /// As [`Application::push`].
    pub fn rest(&mut self) -> Result<Option<Emission>, RunError> {
        let has_more = self.event_time.as_ref().is_some_and(EventTime::has_more);
        if has_more { self.part().map(Some) } else { Ok(None) }
    }

    fn with_rest(&mut self, mut emission: Emission) -> Result<Emission, RunError> {
        while let Some(more) = self.rest()? {
            emission.append(more);
        }
        Ok(emission)
    }

    /// The next of what event time lets go.
    fn part(&mut self) -> Result<Emission, RunError> {
        let Some(event_time) = &mut self.event_time else { return Ok(Emission::default()) };
        let mut rows = Vec::new();
        let (counters, limits) = (&mut self.counters, &self.options.limits);
        let mut errors = Errors { pump: "", limits, rows: &mut rows, counters, operator_idx: 0 };
        let source = event_time.next(&mut errors)?;
        self.clock.advance(event_time.watermark());
        self.run(source, rows)
    }

    /// Reports a record that does not fit the schema: it goes to the error stream.
    pub fn reject(&mut self, time_ms: i64, raw: &str, reason: &str) -> Emission {
        let rowtime_ms = match (&self.event_time, self.clock.now_ms()) {
            // Only rows move event time.
            (Some(_), Some(now_ms)) => now_ms,
            (Some(_), None) => time_ms,
            (None, _) => self.clock.rowtime(time_ms).0,
        };
        self.counters.rejected += 1;
        self.watched.iter().for_each(|watched| watched.count(&self.counters));
        let error = ErrorRow {
            error_time_ms: rowtime_ms,
            error_name: "Record does not fit the schema".to_owned(),
            message: crate::expr::cut(reason, 4096).to_owned(),
            data_rowtime_ms: rowtime_ms,
            data_row: raw.to_owned(),
            pump_name: String::new(),
            id: None,
            tick: 0,
        };
        Emission::new(Vec::new(), vec![error], self.graph.errors_leave, 1)
    }

    /// Time has passed without a row: whatever ends before `watermark_ms` leaves.
    ///
    /// # Errors
    /// As [`Application::push`].
    pub fn advance_watermark(&mut self, watermark_ms: i64) -> Result<Emission, RunError> {
        let emission = self.advance_watermark_part(watermark_ms)?;
        self.with_rest(emission)
    }

    /// As [`Application::advance_watermark`], in parts as [`Application::push_part`].
    ///
    /// # Errors
    /// As [`Application::push`].
    pub fn advance_watermark_part(&mut self, watermark_ms: i64) -> Result<Emission, RunError> {
        let mut emission = self.with_rest(Emission::default())?;
        self.clock.advance(watermark_ms);
        emission.append(self.pass(self.clock.now_ms().unwrap_or(i64::MIN))?);
        Ok(emission)
    }

    /// The input has ended: every open window and every sort leaves. Nothing may be pushed behind.
    ///
    /// # Errors
    /// As [`Application::push`].
    pub fn finish(&mut self) -> Result<Emission, RunError> {
        let emission = self.finish_part()?;
        self.with_rest(emission)
    }

    /// As [`Application::finish`], in parts as [`Application::push_part`].
    ///
    /// # Errors
    /// As [`Application::push`].
    pub fn finish_part(&mut self) -> Result<Emission, RunError> {
        let mut emission = self.with_rest(Emission::default())?;
        emission.append(self.pass(i64::MAX)?);
        Ok(emission)
    }

    fn pass(&mut self, time: i64) -> Result<Emission, RunError> {
        if let Some(event_time) = &mut self.event_time {
            event_time.advance(time);
            return self.part();
        }
        let schema = stream_schema(&self.graph.streams[0]);
        self.run(Chunk::empty(&schema, self.options.has_ids, Arc::from([time])), Vec::new())
    }

    fn run(&mut self, source: Chunk, mut errors: Vec<ErrorRow>) -> Result<Emission, RunError> {
        let Self { graph, counters, options, watched, .. } = self;
        let n_ticks = source.watermarks.len();
        let empty = |stream: usize| {
            let schema = stream_schema(&graph.streams[stream]);
            Chunk::empty(&schema, options.has_ids, Arc::clone(&source.watermarks))
        };
        // What pumps put into streams, and the streams that are complete.
        let mut streams: Vec<Chunk> = (0..graph.streams.len()).map(empty).collect();
        streams[0] = source;
        let mut filled: Vec<Vec<Chunk>> = vec![Vec::new(); streams.len()];
        let mut pumped = Vec::with_capacity(graph.pumps.len());
        for pump in &mut graph.pumps {
            for read in &pump.reads {
                complete(&mut streams[*read], &mut filled[*read])?;
            }
            let (pump_name, limits, rows) = (pump.name.as_str(), &options.limits, &mut errors);
            let mut reporter = Errors { pump: pump_name, limits, rows, counters, operator_idx: 0 };
            let mut chunk = pump.node.run(&streams, &mut reporter)?;
            if pump.shares {
                chunk = chunk.branch(&pump.name);
            }
            pumped.push(chunk.n_rows());
            filled[pump.into].push(chunk);
        }
        let mut leaving = Vec::new();
        for (stream_idx, stream) in graph.streams.iter().enumerate() {
            if !stream.is_output {
                continue;
            }
            complete(&mut streams[stream_idx], &mut filled[stream_idx])?;
            let chunk = streams[stream_idx].clone();
            if chunk.n_rows() == 0 {
                continue;
            }
            counters.rows_out += chunk.n_rows() as u64;
            let columns = stream.fields.iter().filter(|field| !field.hidden);
            leaving.push(StreamRows {
                stream: stream.name.as_str().into(),
                columns: columns.map(|field| (field.name.clone(), field.sql_type)).collect(),
                chunk,
            });
        }
        if let Some(watched) = watched {
            // What nobody reads is complete as well.
            for (stream, filled) in streams.iter_mut().zip(&mut filled) {
                complete(stream, filled)?;
            }
            watched.step(counters, &pumped, &streams);
        }
        errors.sort_by_key(|row| row.tick);
        Ok(Emission::new(leaving, errors, graph.errors_leave, n_ticks))
    }
}

/// The columns of a stream, then ROWTIME.
fn stream_schema(stream: &StreamPlan) -> SchemaRef {
    let types = stream.fields.iter().map(|field| field.sql_type);
    arrow_schema(types.chain([Type::Timestamp]))
}

/// All pumps into a stream have run: its rows are theirs.
fn complete(stream: &mut Chunk, filled: &mut Vec<Chunk>) -> Result<(), RunError> {
    if !filled.is_empty() {
        *stream = Chunk::merge(std::mem::take(filled))?;
    }
    Ok(())
}

/// The columns that an application declares for its streams, each name once: a guess at what the
/// source has, for checking an application without its schema.
///
/// # Errors
/// The text cannot be read.
pub fn declared_columns(text: &str) -> Result<Schema, SqlError> {
    let mut columns: Vec<Column> = Vec::new();
    for statement in parse(text)? {
        let crate::parse::Statement::Stream(stream) = statement else { continue };
        for (name, sql_type) in stream.columns {
            if !columns.iter().any(|column| column.name.eq_ignore_ascii_case(&name.text)) {
                let sql_type = sql_type.to_sql();
                let name = name.text;
                columns.push(Column { name, sql_type, mapping: None, nullable: true });
            }
        }
    }
    Ok(Schema { columns, format: RecordFormat::json() })
}
