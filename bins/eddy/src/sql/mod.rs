//! `eddy run app.sql --source - --sink -`: an SQL application as a filter, and `eddy check app.sql`.

mod lines;
mod load;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, IsTerminal as _, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;
use eddy_pipeline::{ApplicationArgs, Settings, Stop, is_service};
use eddy_record::{Decoder, Record};
use eddy_sql::{Application, Arrival, Emission, InputBatch, Rowtime, Watched};

use lines::LineReader;
use load::Loaded;

use crate::files::each_has_one_use;
use crate::serve::{self, Shown, Told, application_view, memory_bytes};
use crate::signals::{is_broken_pipe, on_signals};

/// Rows that are pushed together at most.
const MAX_BATCH_ROWS: usize = 8192;
/// How often time passes without a line, and how soon a signal is seen.
const TICK: Duration = Duration::from_millis(100);

/// The arguments of an SQL application.
#[derive(Args, Debug)]
pub(crate) struct SqlArgs {
    /// SQL: where records come from, `-` for NDJSON on standard input, or a file of it;
    /// `kinesis:STREAM` or an ARN for a pipeline with state [default: what a definition says]
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// SQL: where rows go, `-` for NDJSON on standard output, or a file of it; `firehose:STREAM`,
    /// `kinesis:STREAM`, an ARN or the URL of OpenSearch for a pipeline with state [default: what a
    /// definition says]
    #[arg(long, value_name = "SINK")]
    sink: Option<String>,
    /// SQL: the source's columns, as an input schema in JSON (`eddy discover` prints one) [default:
    /// what the first lines show]
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// SQL: what a record's ROWTIME is: `@arrival` (when it is read), `@clock`, or the name of a field
    /// with ISO 8601 or milliseconds since 1970, which makes a run repeatable
    #[arg(long, value_name = "@WHAT|FIELD", default_value = "@arrival")]
    rowtime: String,
    /// SQL: event time. How far behind the latest a record's time may be, with --rowtime FIELD: records
    /// wait for so long and go on in the order of their times, later ones go to the error stream
    /// [default: a record's time is moved up to the latest]
    #[arg(long, value_name = "MS")]
    lateness_ms: Option<u64>,
    /// SQL: where the error stream goes, as NDJSON [default: standard error]
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    /// SQL: the seed of every forest
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// SQL: the application's start, what CURRENT_TIMESTAMP is, as ISO 8601 [default: now]
    #[arg(long, value_name = "TIME")]
    start_time: Option<String>,
    /// SQL: reference data, a file of CSV or JSON for a table that the application joins with
    #[arg(long, value_name = "TABLE=FILE")]
    reference: Vec<String>,
    /// SQL: a command that every record passes through before it is read, NDJSON in and out: what a
    /// pre-processing Lambda did
    #[arg(long, value_name = "CMD")]
    preprocess: Option<String>,
}

/// Whether the file is an SQL application or the definition of one.
pub(crate) fn is_application(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|it| ["sql", "json", "yaml", "yml", "template"].contains(&it))
}

/// The settings of a pipeline, where a service is named, or nothing and a definition says it all.
pub(crate) fn as_pipeline(path: &Path, args: &SqlArgs) -> Result<Option<Settings>> {
    let named = [&args.source, &args.sink];
    let is_defined = named.iter().all(|it| it.is_none())
        && path.extension().is_some_and(|extension| extension != "sql");
    if !is_defined && !named.iter().any(|it| it.as_deref().is_some_and(is_service)) {
        return Ok(None);
    }
    for (name, is_given) in
        [("--preprocess", args.preprocess.is_some()), ("--errors", args.errors.is_some())]
    {
        if is_given {
            bail!(
                "{name} is for the filter (--source and --sink `-` or files); a pipeline's error \
                 stream goes to a sink with streams = [\"error_stream\"] in a settings file"
            );
        }
    }
    let mut reference = BTreeMap::new();
    for argument in &args.reference {
        let (table, file) = argument
            .split_once('=')
            .with_context(|| format!("--reference {argument}: write TABLE=FILE"))?;
        reference.insert(table.to_owned(), PathBuf::from(file));
    }
    let args = ApplicationArgs {
        path: path.to_owned(),
        source: args.source.clone(),
        sink: args.sink.clone(),
        schema: args.schema.clone(),
        rowtime: args.rowtime.clone(),
        lateness_ms: args.lateness_ms,
        seed: args.seed,
        start_time: args.start_time.clone(),
        reference,
    };
    let settings = Settings::of_application(&args)?;
    eddy_pipeline::ApplicationParts::load(&settings, now_ms())?;
    Ok(Some(settings))
}

/// Runs an application over its source to the end, or to Ctrl-C: then open windows leave as they are.
/// `page` is where the page listens, if it shall, and its token.
pub(crate) fn run(
    path: &Path,
    args: &SqlArgs,
    page: Option<(SocketAddr, Option<String>)>,
) -> Result<()> {
    match filter(path, args, page) {
        // Whoever reads the rows has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        other => other,
    }
}

/// The file that a source or a sink is, if it is one.
fn file_of(named: &str) -> Option<&Path> {
    (named != "-").then(|| Path::new(named))
}

fn filter(path: &Path, args: &SqlArgs, page: Option<(SocketAddr, Option<String>)>) -> Result<()> {
    let (Some(source), Some(sink)) = (&args.source, &args.sink) else {
        bail!(
            "an SQL application needs --source and --sink: `-` is standard input and output, \
             kinesis:STREAM and firehose:STREAM are services; or name it in a settings file"
        );
    };
    each_has_one_use([
        ("--source", file_of(source)),
        ("--sink", file_of(sink)),
        ("--errors", args.errors.as_deref()),
    ])?;
    let mut lines = LineReader::open(source, args.preprocess.as_deref())?;
    let sample = |lines: &mut LineReader| lines.sample();
    let loaded = load::load(path, args, Some(&mut || sample(&mut lines)))?;
    for warning in loaded.application.warnings() {
        eprintln!("eddy: {warning}");
    }
    let out = match sink.as_str() {
        "-" => Output { to: Box::new(std::io::stdout().lock()), name: None },
        file => Output::file(Path::new(file))?,
    };
    let errors = match &args.errors {
        None => {
            let name = Some("standard error".to_owned());
            Output { to: Box::new(std::io::stderr()), name }
        }
        Some(file) => Output::file(file)?,
    };
    let Loaded { mut application, sql, decoder, rowtime } = loaded;
    let watched = Arc::new(Watched::default());
    if page.is_some() {
        application.watch(&watched);
    }
    let batch = application.batch();
    let mut running = Running {
        application,
        decoder,
        rowtime,
        batch,
        records: Vec::new(),
        out,
        errors,
        text: Vec::new(),
    };
    // Signals come by a runtime of their own: the rest here waits for lines.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let stop = runtime.block_on(async { on_signals() })?;
    if let Some(at) = page {
        let name = path.display().to_string();
        let view = application_view((&name, &sql), Arc::clone(&watched));
        let shown = Shown { application: Some(view), ..Shown::default() };
        let address = runtime.block_on(serve::page(at, shown, told(&watched), stop.clone()))?;
        eprintln!("page: http://{address}");
    }
    let has_ended = running.run(&mut lines, &|| *stop.borrow() != Stop::No)?;
    if has_ended {
        lines.finish()?;
    }
    let counters = running.application.counters();
    if counters.shifted_columns > 0 {
        let n_forests = counters.shifted_columns;
        eprintln!(
            "eddy: {n_forests} forests subtract a column's first value, which is beyond 2^24: points are f32"
        );
    }
    if counters.forgotten_models > 0 {
        let n_models = counters.forgotten_models;
        eprintln!("eddy: {n_models} models of a forest's PARTITION BY were forgotten for others");
    }
    if counters.late > 0 {
        let n_rows = counters.late;
        eprintln!("eddy: {n_rows} rows came too late, and are in the error stream");
    }
    if counters.unscored > 0 {
        let n_rows = counters.unscored;
        eprintln!("eddy: {n_rows} rows have no score: a column was NULL or beyond f32");
    }
    if std::io::stderr().is_terminal() {
        eprintln!(
            "{} records in, {} rows out, {} errors",
            counters.rows_in + counters.rejected,
            counters.rows_out,
            counters.failed + counters.late + counters.rejected,
        );
    }
    Ok(())
}

/// What the page says of an application that is no pipeline: it has no sinks and commits nothing.
fn told(watched: &Arc<Watched>) -> Told {
    let started = std::time::Instant::now();
    let (of_status, of_metrics) = (Arc::clone(watched), Arc::clone(watched));
    Told {
        status: Arc::new(move || {
            let counters = of_status.counters();
            let uptime_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            serde_json::json!({
                "is_application": true, "has_index": false, "is_filter": true,
                "memory_bytes": memory_bytes(), "uptime_ms": uptime_ms,
                "totals": {
                    "records": counters.rows_in + counters.rejected,
                    "rows_in": counters.rows_in, "rows_out": counters.rows_out,
                    "delivered": counters.rows_out, "filtered": counters.filtered,
                    "aggregated": counters.aggregated, "clamped": counters.clamped,
                    "failed": counters.failed + counters.late + counters.rejected,
                },
            })
        }),
        metrics: Arc::new(move || {
            let counters = of_metrics.counters();
            format!(
                "# TYPE eddy_rows_in_total counter\neddy_rows_in_total {}\n\
                 # TYPE eddy_rows_out_total counter\neddy_rows_out_total {}\n",
                counters.rows_in, counters.rows_out
            )
        }),
    }
}

struct Running {
    application: Application,
    decoder: Decoder,
    rowtime: Rowtime,
    batch: InputBatch,
    records: Vec<std::result::Result<Record, eddy_record::DecodeError>>,
    out: Output,
    errors: Output,
    text: Vec<u8>,
}

/// Where rows go.
struct Output {
    to: Box<dyn Write>,
    // Standard output has none: whoever reads it may end, which is no error.
    name: Option<String>,
}

impl Output {
    fn file(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::create(path).with_context(|| format!("cannot write {name}"))?;
        Ok(Self { to: Box::new(BufWriter::new(file)), name: Some(name) })
    }

    fn write(&mut self, text: &[u8]) -> Result<()> {
        let written = self.to.write_all(text);
        self.named(written)
    }

    fn flush(&mut self) -> Result<()> {
        let flushed = self.to.flush();
        self.named(flushed)
    }

    fn named(&self, done: std::io::Result<()>) -> Result<()> {
        match (done, &self.name) {
            (Err(error), Some(name)) => bail!("cannot write {name}: {error}"),
            (done, _) => Ok(done?),
        }
    }
}

impl Running {
    /// Runs until the source has ended, and says so, or until it shall stop; open windows leave.
    fn run(&mut self, lines: &mut LineReader, stops: &dyn Fn() -> bool) -> Result<bool> {
        let has_ended = loop {
            if stops() {
                break false;
            }
            match lines.next(TICK) {
                Ok(block) => {
                    let block = block?;
                    for line in block.lines() {
                        self.line(line)?;
                    }
                    // What was read leaves before the next read can wait.
                    self.push()?;
                    // Time passes also while only records come that do not fit.
                    if self.rowtime.passes_alone() {
                        let emission = self.application.advance_watermark(now_ms())?;
                        self.write(&emission)?;
                    }
                    self.flush()?;
                }
                Err(RecvTimeoutError::Timeout) => {
                    if self.rowtime.passes_alone() {
                        let emission = self.application.advance_watermark(now_ms())?;
                        self.write(&emission)?;
                        self.flush()?;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break true,
            }
        };
        self.push()?;
        let emission = self.application.finish_part()?;
        self.write(&emission)?;
        self.write_rest()?;
        self.flush()?;
        Ok(has_ended)
    }

    fn line(&mut self, line: &[u8]) -> Result<()> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let read_ms = now_ms();
        self.decoder.decode(line, &mut self.records);
        let raw = || String::from_utf8_lossy(line);
        for record in std::mem::take(&mut self.records) {
            let with_time = record.map_err(|error| error.to_string()).and_then(|mut record| {
                let time_ms = self.rowtime.of(&mut record, read_ms)?;
                Ok((record, time_ms))
            });
            match with_time {
                Ok((record, time_ms)) => {
                    // With times of the records' own a run is the same at every repetition.
                    let arrival_ms = if self.rowtime.passes_alone() { read_ms } else { time_ms };
                    let arrival = Arrival { time_ms, arrival_ms, ..Arrival::default() };
                    self.batch.push(&record, &arrival);
                    if self.batch.len() >= MAX_BATCH_ROWS {
                        self.push()?;
                    }
                }
                Err(reason) => {
                    // Rows before it go first.
                    self.push()?;
                    let time_ms = if self.rowtime.passes_alone() {
                        read_ms
                    } else {
                        self.application.watermark_ms().unwrap_or(0)
                    };
                    let emission = self.application.reject(time_ms, &raw(), &reason);
                    self.write(&emission)?;
                }
            }
        }
        Ok(())
    }

    fn push(&mut self) -> Result<()> {
        let emission = self.application.push_part(&mut self.batch)?;
        self.write(&emission)?;
        self.write_rest()
    }

    fn write_rest(&mut self) -> Result<()> {
        while let Some(emission) = self.application.rest()? {
            self.write(&emission)?;
        }
        Ok(())
    }

    fn write(&mut self, emission: &Emission) -> Result<()> {
        self.text.clear();
        emission.write_ndjson(&mut self.text);
        self.out.write(&self.text)?;
        if !emission.errors_leave() && !emission.errors.is_empty() {
            self.text.clear();
            emission.write_errors_ndjson(&mut self.text);
            self.errors.write(&self.text)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.out.flush()?;
        self.errors.flush()
    }
}

/// The time on the machine's clock.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Says whether an application can be run, and prints its graph.
pub(crate) fn check(path: &Path, args: &SqlArgs, dot: bool) -> Result<()> {
    let Loaded { application, .. } = load::load(path, args, None)?;
    for warning in application.warnings() {
        eprintln!("eddy: {warning}");
    }
    if dot {
        print!("{}", application.graph_dot());
        return Ok(());
    }
    println!("{}: good", path.display());
    print!("{}", application.graph_text());
    Ok(())
}
