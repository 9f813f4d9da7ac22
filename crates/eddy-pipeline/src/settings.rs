//! The settings file of `eddy run`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eddy_detect::DetectorSettings;
use eddy_kinesis::{ConnectionSettings, KinesisSinkSettings, ReadSettings};
use eddy_record::{DecodeLimits, Schema, parse_timestamp_ms};
use eddy_sinks::{ArchiveSettings, FirehoseSettings, OpenSearchSettings};
use eddy_stream::Start;
use serde::{Deserialize, Deserializer};

/// Everything that `eddy run SETTINGS.toml` is told. Unknown fields are refused; docs/settings.md
/// lists them all.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where records come from.
    pub source: SourceSettings,
    /// What they look like. Default: the original walkthrough's schema, `iotName` and `iotValue`.
    #[serde(default)]
    pub schema: SchemaSettings,
    /// How they are scored.
    #[serde(default)]
    pub detector: DetectorSettings,
    /// An SQL application in the detector's place.
    #[serde(default)]
    pub application: Option<ApplicationSettings>,
    /// The pipeline between.
    #[serde(default)]
    pub pipeline: PipelineSettings,
    /// Where rows go, at least one.
    pub sinks: Vec<RoutedSink>,
    /// Where positions and models are kept.
    #[serde(default)]
    pub state: StateSettings,
    /// Where records go that cannot go on: a file of NDJSON. Default: `./eddy-data/dead-letters.ndjson`.
    #[serde(default = "default_dead_letters")]
    pub dead_letters: PathBuf,
    /// The live page. Default: none. It shows what an `index` sink holds.
    pub page: Option<PageSettings>,
}

pub(crate) fn default_dead_letters() -> PathBuf {
    PathBuf::from("./eddy-data/dead-letters.ndjson")
}

/// A source.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum SourceSettings {
    /// A Kinesis stream.
    Kinesis {
        /// Its name or ARN.
        stream: String,
        /// Where reading starts the first time: `trim_horizon` (the default), `latest`, or a moment
        /// such as `2026-11-24T12:00:00Z`. Later runs go on where the last one stopped.
        #[serde(default = "trim_horizon", deserialize_with = "start")]
        start: Start,
        /// How to reach it.
        #[serde(default)]
        connection: ConnectionSettings,
        /// How its shards are read.
        #[serde(default)]
        read: ReadSettings,
    },
    /// A file, one record a line.
    File {
        /// Its path.
        path: PathBuf,
        /// Whether its first line is a header. Default: false.
        #[serde(default)]
        skip_header: bool,
    },
    /// Standard input, one record a line.
    Stdin {
        /// Whether its first line is a header. Default: false.
        #[serde(default)]
        skip_header: bool,
    },
}

fn trim_horizon() -> Start {
    Start::TrimHorizon
}

fn start<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Start, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "trim_horizon" => Ok(Start::TrimHorizon),
        "latest" => Ok(Start::Latest),
        moment => parse_timestamp_ms(moment).map(Start::AtTimestamp).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "start is trim_horizon, latest or a moment such as 2026-11-24T12:00:00Z, found {moment:?}"
            ))
        }),
    }
}

/// A schema: its columns, or the file of a Kinesis Analytics input schema.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SchemaSettings {
    /// The schema itself: `format` and `columns`.
    pub inline: Option<Schema>,
    /// A file with the JSON of an input schema, as `eddy discover` prints it.
    pub input_schema: Option<PathBuf>,
    /// The largest payload in bytes. Default: 524 288.
    pub max_record_bytes: Option<usize>,
}

impl SchemaSettings {
    /// The schema.
    ///
    /// # Errors
    /// The file cannot be read or is no schema.
    pub fn load(&self) -> Result<Schema, SettingsError> {
        match (&self.inline, &self.input_schema) {
            (Some(_), Some(_)) => Err(SettingsError::Invalid {
                reason: "schema has both inline and input_schema: keep one".to_owned(),
            }),
            (Some(schema), None) => Ok(schema.clone()),
            (None, Some(path)) => {
                let text = read(path)?;
                Schema::from_input_schema_json(&text).map_err(|error| SettingsError::Invalid {
                    reason: format!("{}: {error}", path.display()),
                })
            }
            (None, None) => Ok(Schema::walkthrough()),
        }
    }

    /// Whether neither is given.
    #[cfg_attr(not(feature = "sql"), expect(dead_code, reason = "only applications ask"))]
    pub(crate) fn is_default(&self) -> bool {
        self.inline.is_none() && self.input_schema.is_none()
    }

    /// The bounds of decoding.
    pub fn limits(&self) -> DecodeLimits {
        let mut limits = DecodeLimits::default();
        if let Some(max_record_bytes) = self.max_record_bytes {
            limits.max_record_bytes = max_record_bytes;
        }
        limits
    }
}

/// An SQL application of Kinesis Data Analytics.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplicationSettings {
    /// The file of its SQL. Relative paths are so to the settings file. This or `definition`.
    pub sql: Option<PathBuf>,
    /// The file of its definition, as the service, CloudFormation or Terraform has it.
    pub definition: Option<PathBuf>,
    /// What a record's ROWTIME is: `@arrival`, or the name of a field with ISO 8601 or milliseconds
    /// since 1970. Default: `@arrival`.
    #[serde(default = "at_arrival")]
    pub rowtime: String,
    /// Event time: how far behind the latest a record's time may be, with a field as `rowtime`. Records
    /// wait for so long and go on in the order of their times; later ones go to the error stream.
    /// Default: none, a record's time is moved up to the latest.
    pub lateness_ms: Option<u64>,
    /// The seed of every forest. Default: 1.
    #[serde(default = "first_seed")]
    pub seed: u64,
    /// The application's start, what CURRENT_TIMESTAMP is, as ISO 8601. Default: its first start.
    pub start_time: Option<String>,
    /// Reference data: the file of each table, CSV or JSON. What a definition says is in S3 is read
    /// from there where no file is named.
    #[serde(default)]
    pub reference: BTreeMap<String, PathBuf>,
    /// How to reach the bucket of reference data. Default: the region of the definition's input.
    #[serde(default)]
    pub connection: ConnectionSettings,
}

fn at_arrival() -> String {
    "@arrival".to_owned()
}

fn first_seed() -> u64 {
    1
}

impl ApplicationSettings {
    /// Puts relative paths into a folder.
    fn resolve(&mut self, folder: &Path) {
        let files = self.sql.iter_mut().chain(&mut self.definition);
        for path in files.chain(self.reference.values_mut()) {
            *path = folder.join(&*path);
        }
    }
}

/// The order in which rows leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// As the records came.
    #[default]
    Arrival,
    /// By descending score within each second, as the walkthrough's last query had it. Rows wait
    /// until their second has passed.
    ScorePerSecond,
}

impl Order {
    /// Whether rows wait for their second.
    pub(crate) fn is_per_second(self) -> bool {
        self == Self::ScorePerSecond
    }
}

/// What becomes of saved models that do not fit the settings or cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnreadableModel {
    /// The pipeline does not start, and says why.
    #[default]
    Refuse,
    /// The model starts afresh, and a line says so.
    Restart,
}

/// What becomes of a partition of a fleet whose state is behind its lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLostState {
    /// The process ends, and says why.
    #[default]
    Refuse,
    /// It goes on where the lease says, with models that start afresh, and a line says so.
    Restart,
}

/// Settings of the pipeline itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineSettings {
    /// The order in which rows leave. Default: `arrival`.
    pub order: Order,
    /// Whether all shards are one partition, in one order, on this machine: a detector without a key
    /// has one model then. Default: false. An SQL application always has it so.
    pub merge: bool,
    /// Scores from here on count as anomalies in the counters and on the page. Default: 2.
    pub threshold: f64,
    /// Positions and models are saved at least this often while records come, in milliseconds.
    /// Default: 5000.
    pub commit_interval_ms: u64,
    /// And after this many records. Default: 50 000.
    pub commit_records: u64,
    /// What becomes of saved models that do not fit the settings. Default: `refuse`.
    pub on_unreadable_model: OnUnreadableModel,
    /// What becomes of a fleet's partition whose state is behind its lease. Default: `refuse`.
    pub on_lost_state: OnLostState,
    /// Where partitions start that were never read. Taken from the source.
    #[serde(skip, default = "trim_horizon")]
    pub start: Start,
}

impl Default for PipelineSettings {
    fn default() -> Self {
        Self {
            order: Order::Arrival,
            merge: false,
            threshold: 2.0,
            commit_interval_ms: 5000,
            commit_records: 50_000,
            on_unreadable_model: OnUnreadableModel::Refuse,
            on_lost_state: OnLostState::Refuse,
            start: Start::TrimHorizon,
        }
    }
}

/// Where state is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StateSettings {
    /// A local folder. Default: `./eddy-data/state`.
    pub path: PathBuf,
    /// A bucket in its place: `s3://bucket` or `s3://bucket/path`. It must know conditional writes.
    pub url: Option<String>,
    /// How to reach the bucket.
    pub connection: ConnectionSettings,
}

impl Default for StateSettings {
    fn default() -> Self {
        Self::in_folder("./eddy-data/state")
    }
}

impl StateSettings {
    /// State in a local folder.
    pub fn in_folder(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), url: None, connection: ConnectionSettings::default() }
    }
}

/// The live page.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageSettings {
    /// The address that it listens on. Default: `127.0.0.1:8080`.
    #[serde(default = "default_listen")]
    pub listen: std::net::SocketAddr,
    /// What requests must carry. Default: none on a loopback address; demanded on any other.
    pub token: Option<String>,
}

fn default_listen() -> std::net::SocketAddr {
    ([127, 0, 0, 1], 8080).into()
}

/// A sink, and which rows it gets.
#[derive(Clone, Debug, Deserialize)]
pub struct RoutedSink {
    /// The streams of an SQL application whose rows it gets, `error_stream` among them if it wants
    /// that. Default: those of all outputs.
    #[serde(default)]
    pub streams: Vec<String>,
    /// The sink.
    #[serde(flatten)]
    pub sink: SinkSettings,
}

impl From<SinkSettings> for RoutedSink {
    fn from(sink: SinkSettings) -> Self {
        Self { streams: Vec::new(), sink }
    }
}

/// A sink.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum SinkSettings {
    /// The embedded index.
    Index {
        /// Its folder. Default: `./eddy-data/index`.
        #[serde(default = "default_index")]
        path: PathBuf,
        /// Days that are kept, today included. Default: all.
        #[serde(default)]
        keep_days: Option<u32>,
        /// Bytes that all days may take. Default: no bound.
        #[serde(default)]
        keep_bytes: Option<u64>,
    },
    /// A Kinesis stream.
    Kinesis(KinesisSinkSettings),
    /// A delivery stream of Amazon Data Firehose.
    Firehose(FirehoseSettings),
    /// OpenSearch or Elasticsearch.
    #[serde(rename = "opensearch", alias = "elasticsearch")]
    OpenSearch(OpenSearchSettings),
    /// Objects of an S3 bucket or files of a local folder, by hour.
    Archive(ArchiveSettings),
    /// A file, appended to.
    File {
        /// Its path.
        path: PathBuf,
        /// `ndjson` (the default) or `csv`.
        #[serde(default)]
        format: RowFormatSetting,
    },
    /// Standard output.
    Stdout {
        /// `ndjson` (the default) or `csv`.
        #[serde(default)]
        format: RowFormatSetting,
    },
}

impl SinkSettings {
    /// What `type` says.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Index { .. } => "index",
            Self::Kinesis(_) => "kinesis",
            Self::Firehose(_) => "firehose",
            Self::OpenSearch(_) => "opensearch",
            Self::Archive(_) => "archive",
            Self::File { .. } => "file",
            Self::Stdout { .. } => "stdout",
        }
    }
}

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowFormatSetting {
    /// One JSON object a line.
    #[default]
    Ndjson,
    /// Comma-separated values with a header.
    Csv,
}

fn default_index() -> PathBuf {
    PathBuf::from("./eddy-data/index")
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or has a field that is unknown or of the wrong type.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong, with line and column.
        reason: String,
    },
    /// The settings do not fit together.
    #[error("{reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
}

pub(crate) fn read(path: &Path) -> Result<String, SettingsError> {
    std::fs::read_to_string(path)
        .map_err(|source| SettingsError::Unreadable { path: path.display().to_string(), source })
}

impl Settings {
    /// Reads a settings file.
    ///
    /// # Errors
    /// The file cannot be read or is not such a file.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let mut settings = Self::parse(&read(path)?, &path.display().to_string())?;
        if let (Some(application), Some(folder)) = (&mut settings.application, path.parent()) {
            application.resolve(folder);
        }
        match settings.missing_file() {
            None => Ok(settings),
            Some(reason) => Err(SettingsError::Invalid { reason }),
        }
    }

    /// Reads the text of a settings file; `path` is named in errors.
    ///
    /// # Errors
    /// The text is not such a file.
    pub fn parse(text: &str, path: &str) -> Result<Self, SettingsError> {
        let malformed = |reason| SettingsError::Malformed { path: path.to_owned(), reason };
        // The parser's own text shows the line, in which a secret may stand.
        let mut settings: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
            malformed(format!("line {line}: {}", error.message()))
        })?;
        if settings.sinks.is_empty() {
            return Err(malformed("[[sinks]] must name at least one sink".to_owned()));
        }
        if let SourceSettings::Kinesis { start, .. } = &settings.source {
            settings.pipeline.start = start.clone();
        }
        if let Some(problem) = settings.problem() {
            return Err(malformed(problem));
        }
        Ok(settings)
    }
}
