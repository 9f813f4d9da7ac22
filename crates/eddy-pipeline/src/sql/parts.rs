//! What an SQL application is made of, read from its files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use eddy_aws::ConnectionSettings;
use eddy_record::{
    DeadLetter, PartitionId, Position, Schema, Stage, StreamIdentity, parse_timestamp_ms,
};
use eddy_sql::{
    Application, DefinedReference, Definition, ErrorRow, Options, ReferenceTable, Rowtime, Watched,
};
use eddy_stream::StreamError;

use super::derived::beside;
use super::reference::fetch_reference;
use crate::merging::MERGED;
use crate::settings::{ApplicationSettings, Settings, SettingsError, read};

/// The stream of rows at fault.
pub const ERROR_STREAM: &str = "error_stream";

/// An application that can be planned: its text, and what it is told beside it.
#[derive(Clone, Debug)]
pub struct ApplicationParts {
    // For messages.
    name: String,
    text: String,
    options: Options,
    pub(crate) rowtime: Rowtime,
    decoded: Schema,
    // Whether a sink wants the error stream that the application does not name.
    wants_errors: bool,
    // Shared by the engines that are made of these parts and whoever looks at them.
    watched: Option<Arc<Watched>>,
    // Tables that have no rows yet: they are in S3.
    in_buckets: Vec<DefinedReference>,
    buckets: ConnectionSettings,
}

fn invalid(reason: String) -> SettingsError {
    SettingsError::Invalid { reason }
}

impl ApplicationParts {
    /// As [`ApplicationParts::load`], and fetches the reference data that is in S3.
    ///
    /// # Errors
    /// As there, or the data cannot be read.
    pub async fn open(settings: &Settings, now_ms: i64) -> Result<Self, StreamError> {
        let mut parts = Self::load(settings, now_ms).map_err(|error| {
            StreamError::fatal("the SQL application cannot be run").with_source(error)
        })?;
        for reference in std::mem::take(&mut parts.in_buckets) {
            let table = fetch_reference(&reference, &parts.buckets).await?;
            parts.options.tables.push(table);
        }
        Ok(parts)
    }

    /// Reads the files that the settings name, and plans the application once. What is in S3 is left
    /// there.
    ///
    /// # Errors
    /// A file cannot be read, something in the text is wrong or not supported, or the parts do not
    /// fit together.
    pub fn load(settings: &Settings, now_ms: i64) -> Result<Self, SettingsError> {
        let application = settings
            .application
            .as_ref()
            .ok_or_else(|| invalid("there is no [application]".to_owned()))?;
        let path = application.path()?;
        let text = read(path)?;
        let name = path.display().to_string();
        let wrong = |problem: String| invalid(format!("{name}: {problem}"));
        let definition = match &application.definition {
            None => None,
            Some(_) => Some(Definition::read(&text).map_err(|error| wrong(error.to_string()))?),
        };
        if let Some(arn) = definition.as_ref().and_then(|it| it.preprocessing_arn.as_ref()) {
            return Err(wrong(format!(
                "records are pre-processed by {arn}, which a pipeline cannot call: let the \
                 producers write what it makes, or put it into the SQL, and take \
                 InputProcessingConfiguration out of the definition"
            )));
        }
        let schema = match &definition {
            Some(definition) if settings.schema.is_default() => definition.schema.clone(),
            _ => settings.schema.load()?,
        };
        let mut options = Options::new(schema.clone());
        options.has_ids = true;
        options.seed = application.seed;
        options.start_ms = match &application.start_time {
            None => now_ms,
            Some(text) => parse_timestamp_ms(text).ok_or_else(|| {
                invalid(format!("application.start_time is ISO 8601, found {text:?}"))
            })?,
        };
        for (table, file) in &application.reference {
            let known = definition.iter().flat_map(|it| &it.references);
            let known = known.filter(|it| it.table == *table).map(|it| &it.schema).next();
            options.tables.push(reference(table, file, known)?);
        }
        let mut text = text;
        let mut in_buckets = Vec::new();
        let mut buckets = application.connection.clone();
        if let Some(definition) = definition {
            let has_file = |it: &DefinedReference| application.reference.contains_key(&it.table);
            in_buckets.extend(definition.references.into_iter().filter(|it| !has_file(it)));
            if buckets.region.is_none() {
                buckets.region = beside(&definition.input_arn).region;
            }
            text = definition.code;
            options.source = definition.source;
            if !definition.outputs.is_empty() {
                let streams = definition.outputs.into_iter().map(|output| output.stream);
                options.outputs = Some(streams.collect());
            }
        }
        let mut decoded = schema.clone();
        let rowtime = Rowtime::new(&application.rowtime, &schema, &mut decoded)
            .map_err(|problem| invalid(format!("application.{problem}")))?;
        options.rowtime = rowtime.name(&schema);
        options.lateness_ms = rowtime
            .lateness_ms(application.lateness_ms)
            .map_err(|problem| invalid(format!("application.lateness_ms: {problem}")))?;
        let wants_errors = settings
            .sinks
            .iter()
            .any(|sink| sink.streams.iter().any(|it| it.eq_ignore_ascii_case(ERROR_STREAM)));
        let parts = Self {
            name,
            text,
            options,
            rowtime,
            decoded,
            wants_errors,
            watched: None,
            in_buckets,
            buckets,
        };
        let planned = parts.application()?;
        let streams: Vec<String> =
            parts.schemas(&planned).keys().map(|stream| stream.to_string()).collect();
        for wanted in settings.sinks.iter().flat_map(|sink| &sink.streams) {
            if !streams.iter().any(|it| it.eq_ignore_ascii_case(wanted)) {
                return Err(invalid(format!(
                    "a sink wants the stream {wanted}, which {} does not let out: it has {}",
                    parts.name,
                    streams.join(", ")
                )));
            }
        }
        Ok(parts)
    }

    /// The columns of the source.
    pub fn schema(&self) -> &Schema {
        &self.options.schema
    }

    /// Lets others see the application while it runs: what is returned is filled from then on.
    pub fn watch(&mut self) -> Arc<Watched> {
        Arc::clone(self.watched.get_or_insert_default())
    }

    /// The file that the application was read from, and its SQL.
    pub fn text(&self) -> (&str, &str) {
        (&self.name, &self.text)
    }

    fn seen(&self, mut application: Application) -> Application {
        if let Some(watched) = &self.watched {
            application.watch(watched);
        }
        application
    }

    /// What records are decoded to: the columns, and behind them the field that only is the time.
    pub(crate) fn decoded(&self) -> &Schema {
        &self.decoded
    }

    /// The application, planned.
    ///
    /// # Errors
    /// Something in the text is wrong or not supported.
    pub fn application(&self) -> Result<Application, SettingsError> {
        let mut options = self.options.clone();
        let unfetched = self.in_buckets.iter();
        options.tables.extend(unfetched.map(|it| ReferenceTable::new(&it.table, &it.schema, &[])));
        Application::new(&self.text, options)
            .map_err(|error| invalid(format!("{}: {error}", self.name)))
    }

    pub(crate) fn plan(&self) -> Result<Application, StreamError> {
        let planned = Application::new(&self.text, self.options.clone()).map_err(|error| {
            StreamError::fatal(format!("{} cannot be run", self.name)).with_source(error)
        })?;
        Ok(self.seen(planned))
    }

    pub(crate) fn restore(&self, saved: &Bytes) -> Result<Application, StreamError> {
        let restored = Application::restore(&self.text, self.options.clone(), saved);
        restored.map(|restored| self.seen(restored)).map_err(|error| {
            StreamError::fatal(
                "cannot read the saved windows, sorts and forests; restore the state, or set \
                 on_unreadable_model = \"restart\" to start them afresh where reading stopped",
            )
            .with_source(error)
        })
    }

    /// The columns of each stream whose rows leave.
    pub(crate) fn schemas(&self, application: &Application) -> BTreeMap<Arc<str>, Arc<Schema>> {
        let names = application.outputs().map(str::to_owned).collect::<Vec<_>>().into_iter();
        let mut schemas: BTreeMap<Arc<str>, Arc<Schema>> = names
            .filter_map(|name| {
                let schema = application.output_schema(&name)?;
                Some((name.into(), Arc::new(schema)))
            })
            .collect();
        if self.wants_errors || application.errors_leave() {
            schemas.insert(ERROR_STREAM.into(), Arc::new(ErrorRow::schema()));
        }
        schemas
    }

    /// What a refused row is told to come from before the first record.
    pub(crate) fn no_origin(&self, stream: &StreamIdentity) -> DeadLetter {
        DeadLetter {
            stream: stream.clone(),
            partition: PartitionId::new(MERGED),
            position: Position::new(0.into()),
            output_idx: 0,
            arrival_ms: 0,
            stage: Stage::Deliver,
            reason: String::new(),
            raw: Bytes::new(),
        }
    }
}

fn reference(
    table: &str,
    file: &Path,
    known: Option<&Schema>,
) -> Result<ReferenceTable, SettingsError> {
    let unreadable =
        |source| SettingsError::Unreadable { path: file.display().to_string(), source };
    let bytes = std::fs::read(file).map_err(unreadable)?;
    let is_csv = file.extension().is_some_and(|extension| extension == "csv");
    ReferenceTable::read(table, &bytes, is_csv, known)
        .map_err(|problem| invalid(format!("{}: {problem}", file.display())))
}

impl ApplicationSettings {
    fn path(&self) -> Result<&Path, SettingsError> {
        match (&self.sql, &self.definition) {
            (Some(path), None) | (None, Some(path)) => Ok(path),
            _ => Err(invalid("[application] needs sql or definition, one of them".to_owned())),
        }
    }
}
