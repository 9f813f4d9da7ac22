//! Golden cases: folders with `app.sql`, `schema.json`, `input.ndjson` and `expected.ndjson`, or
//! with `refused.txt` for applications that must be refused.
//!
//! An input line is a record, with its arrival time in `ROWTIME` and, where a case needs them,
//! `PARTITION_KEY`, `SEQUENCE_NUMBER` and `SHARD_ID`; or `{"WATERMARK":".."}`. `options.json` may
//! name outputs, a seed, a start, an allowed lateness and reference tables. At the end of the input the time goes to its
//! end. Where the expectation comes from stands in a comment of `app.sql`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eddy_record::{DecodeLimits, Decoder, Record, Schema, parse_timestamp_ms};
use eddy_sql::{Application, Arrival, Emission, Options, ReferenceTable};
use serde_json::Value as Json;

/// One case.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) options: Options,
    pub(crate) steps: Vec<Step>,
    pub(crate) expected: Option<String>,
    pub(crate) expected_errors: Option<String>,
    pub(crate) refused: Option<String>,
}

/// A line of the input.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Record { record: Record, time_ms: i64, key: String, sequence: String, shard: String },
    Reject { time_ms: i64, raw: String, reason: String },
    Watermark(i64),
}

pub(crate) fn all() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut folders: Vec<PathBuf> = fs::read_dir(&root)
        .expect("the cases are there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders.iter().map(|folder| load(folder)).collect()
}

fn load(folder: &Path) -> Case {
    let read = |file: &str| fs::read_to_string(folder.join(file)).ok();
    let name = folder.file_name().expect("a folder").to_string_lossy().into_owned();
    let schema = match read("schema.json") {
        Some(text) => Schema::from_input_schema_json(&text)
            .unwrap_or_else(|error| panic!("{name}: schema.json: {error}")),
        None => Schema::walkthrough(),
    };
    let mut options = Options::new(schema.clone());
    let told: Json = read("options.json")
        .map_or(Json::Null, |text| serde_json::from_str(&text).expect("options are JSON"));
    if let Some(outputs) = told["outputs"].as_array() {
        let names = outputs.iter().map(|it| it.as_str().expect("a name").to_owned());
        options.outputs = Some(names.collect());
    }
    options.seed = told["seed"].as_u64().unwrap_or(1);
    options.lateness_ms = told["lateness_ms"].as_i64();
    options.has_ids = told["ids"].as_bool().unwrap_or(false);
    if let Some(start) = told["start"].as_str() {
        options.start_ms = parse_timestamp_ms(start).expect("a time");
    }
    for table in told["tables"].as_array().into_iter().flatten() {
        let schema = Schema::from_input_schema_value(&table["schema"]).expect("a schema");
        let rows = table["rows"].as_array().expect("rows");
        let records: Vec<Record> =
            rows.iter().map(|row| decode(&schema, &row.to_string()).expect("a row")).collect();
        let name = table["name"].as_str().expect("a name");
        options.tables.push(ReferenceTable::new(name, &schema, &records));
    }
    let steps = read("input.ndjson").unwrap_or_default();
    let steps = steps.lines().filter(|line| !line.trim().is_empty());
    let steps = steps.map(|line| step(&schema, line)).collect();
    Case {
        text: read("app.sql").unwrap_or_else(|| panic!("{name} has an app.sql")),
        name,
        options,
        steps,
        expected: read("expected.ndjson"),
        expected_errors: read("errors.ndjson"),
        refused: read("refused.txt"),
    }
}

fn decode(schema: &Schema, line: &str) -> Result<Record, String> {
    let decoder = Decoder::new(Arc::new(schema.clone()), DecodeLimits::default()).expect("valid");
    let mut records = Vec::new();
    decoder.decode(line.as_bytes(), &mut records);
    records.remove(0).map_err(|error| error.to_string())
}

fn step(schema: &Schema, line: &str) -> Step {
    let json: Json = serde_json::from_str(line).unwrap_or_else(|_| panic!("JSON: {line}"));
    let time = |name: &str| {
        let text = json[name].as_str();
        text.map(|text| parse_timestamp_ms(text).unwrap_or_else(|| panic!("no time: {text}")))
    };
    if let Some(watermark) = time("WATERMARK") {
        return Step::Watermark(watermark);
    }
    let time_ms = time("ROWTIME").unwrap_or_else(|| panic!("without ROWTIME: {line}"));
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    match decode(schema, line) {
        Ok(record) => Step::Record {
            record,
            time_ms,
            key: text("PARTITION_KEY"),
            sequence: text("SEQUENCE_NUMBER"),
            shard: text("SHARD_ID"),
        },
        Err(reason) => Step::Reject { time_ms, raw: line.to_owned(), reason },
    }
}

impl Case {
    pub(crate) fn application(&self) -> Application {
        Application::new(&self.text, self.options.clone())
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(&self.name)
    }

    /// Writes what the case gives where something else is expected.
    pub(crate) fn write(&self, rows: &str, errors: &str) {
        if self.expected.as_deref() != Some(rows) {
            fs::write(self.folder().join("expected.ndjson"), rows).expect("written");
        }
        let is_expected = self.expected_errors.as_deref() == Some(errors);
        if !errors.is_empty() && !is_expected && self.options.outputs.is_none() {
            fs::write(self.folder().join("errors.ndjson"), errors).expect("written");
        }
    }

    /// Writes why the case is refused where another reason is expected.
    pub(crate) fn write_refused(&self, reason: &str) {
        if self.refused.as_deref().map(str::trim_end) != Some(reason) {
            fs::write(self.folder().join("refused.txt"), format!("{reason}\n")).expect("written");
        }
    }

    /// What comes out, and the error stream, in batches of at most so many rows.
    pub(crate) fn run(&self, most: usize) -> (String, String) {
        let mut application = self.application();
        let mut out = Lines::default();
        feed(&mut application, &self.steps, most, &mut out);
        out.take(application.finish().expect("it ends"));
        out.text()
    }
}

/// Lines that came out.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    rows: Vec<u8>,
    errors: Vec<u8>,
}

impl Lines {
    pub(crate) fn take(&mut self, emission: Emission) {
        emission.write_ndjson(&mut self.rows);
        emission.write_errors_ndjson(&mut self.errors);
    }

    pub(crate) fn text(self) -> (String, String) {
        let text = |bytes| String::from_utf8(bytes).expect("JSON is UTF-8");
        (text(self.rows), text(self.errors))
    }
}

/// Gives an application its input in batches.
pub(crate) fn feed(application: &mut Application, steps: &[Step], most: usize, out: &mut Lines) {
    let mut batch = application.batch();
    for (step_idx, step) in steps.iter().enumerate() {
        match step {
            Step::Record { record, time_ms, key, sequence, shard } => {
                let id = format!("record{step_idx}");
                let arrival = Arrival {
                    time_ms: *time_ms,
                    arrival_ms: *time_ms,
                    partition_key: key,
                    sequence_number: sequence,
                    shard_id: shard,
                    id: &id,
                };
                batch.push(record, &arrival);
            }
            Step::Reject { .. } | Step::Watermark(_) => {}
        }
        let is_record = matches!(step, Step::Record { .. });
        if batch.len() >= most || (!is_record && !batch.is_empty()) {
            out.take(application.push(&mut batch).expect("it goes on"));
        }
        match step {
            Step::Record { .. } => {}
            Step::Reject { time_ms, raw, reason } => {
                out.take(application.reject(*time_ms, raw, reason));
            }
            Step::Watermark(ms) => {
                out.take(application.advance_watermark(*ms).expect("it goes on"));
            }
        }
    }
    if !batch.is_empty() {
        out.take(application.push(&mut batch).expect("it goes on"));
    }
}
