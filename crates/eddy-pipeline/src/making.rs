//! From settings to what makes rows, and the rows' columns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use eddy_detect::Detector;
use eddy_record::{Decoder, RecordFormat, Schema};
use eddy_stream::StreamError;

use crate::engine::EngineSettings;
use crate::settings::{Settings, SettingsError};

/// The middle of a pipeline.
pub(crate) struct Making {
    pub(crate) engine: EngineSettings,
    /// The schema that `decoder` decodes to.
    pub(crate) schema: Arc<Schema>,
    pub(crate) decoder: Arc<Decoder>,
    pub(crate) made: MadeRows,
}

/// The columns of rows.
pub(crate) enum MadeRows {
    /// All rows are alike.
    Alike(Arc<Schema>),
    /// Each stream of an application has its own.
    #[cfg_attr(not(feature = "sql"), expect(dead_code, reason = "of applications only"))]
    ByStream {
        schemas: BTreeMap<Arc<str>, Arc<Schema>>,
        /// A stream that only those get who name it: the error stream, where it is no output.
        on_request: Option<&'static str>,
    },
}

/// Opens what the settings say.
pub(crate) async fn making(settings: &Settings, now_ms: i64) -> Result<Making, StreamError> {
    #[cfg(feature = "sql")]
    if settings.application.is_some() {
        return of_application(settings, now_ms).await;
    }
    let _ = now_ms;
    let schema = settings.schema.load().map_err(refused_schema)?;
    let (schema, decoder) = decoder(schema, settings)?;
    let detector = Detector::new(&settings.detector, Arc::clone(&schema)).map_err(|error| {
        StreamError::fatal("the detector's settings are refused").with_source(error)
    })?;
    Ok(Making {
        engine: EngineSettings::Detector(settings.detector.clone()),
        schema,
        decoder,
        made: MadeRows::Alike(Arc::clone(detector.output_schema())),
    })
}

#[cfg(feature = "sql")]
async fn of_application(settings: &Settings, now_ms: i64) -> Result<Making, StreamError> {
    let refused =
        |error| StreamError::fatal("the SQL application cannot be run").with_source(error);
    let parts = crate::ApplicationParts::open(settings, now_ms).await?;
    let application = parts.application().map_err(refused)?;
    for warning in application.warnings() {
        tracing::warn!("{warning}");
    }
    let (schema, decoder) = decoder(parts.decoded().clone(), settings)?;
    let on_request = (!application.errors_leave()).then_some(crate::ERROR_STREAM);
    let made = MadeRows::ByStream { schemas: parts.schemas(&application), on_request };
    let engine = EngineSettings::Application(Arc::new(parts));
    Ok(Making { engine, schema, decoder, made })
}

fn refused_schema(error: SettingsError) -> StreamError {
    StreamError::fatal("the schema cannot be used").with_source(error)
}

fn decoder(
    schema: Schema,
    settings: &Settings,
) -> Result<(Arc<Schema>, Arc<Decoder>), StreamError> {
    let schema = Arc::new(schema);
    let decoder = Decoder::new(Arc::clone(&schema), settings.schema.limits())
        .map_err(|error| StreamError::fatal("the schema cannot be used").with_source(error))?;
    Ok((schema, Arc::new(decoder)))
}

impl MadeRows {
    /// What a sink wants that names these streams, or none; `None`: everything.
    pub(crate) fn wanted(&self, streams: &[String]) -> Option<BTreeSet<String>> {
        let Self::ByStream { schemas, on_request } = self else { return None };
        if !streams.is_empty() {
            // As the application has the name, which a definition may write otherwise.
            let known = |wanted: &String| {
                let exact = schemas.keys().find(|it| it.as_ref() == wanted);
                exact.or_else(|| schemas.keys().find(|it| it.eq_ignore_ascii_case(wanted)))
            };
            return Some(streams.iter().filter_map(known).map(ToString::to_string).collect());
        }
        let on_request = on_request.as_ref()?;
        let others = schemas.keys().filter(|stream| stream.as_ref() != *on_request);
        schemas.contains_key(*on_request).then(|| others.map(ToString::to_string).collect())
    }

    /// The columns of what a sink gets.
    ///
    /// # Errors
    /// Two streams have a column of one name and several types.
    pub(crate) fn schema(&self, streams: &[String]) -> Result<Arc<Schema>, StreamError> {
        let by_stream = match self {
            Self::Alike(schema) => return Ok(Arc::clone(schema)),
            Self::ByStream { schemas, .. } => schemas,
        };
        let mut all = Schema { columns: Vec::new(), format: RecordFormat::json() };
        let wanted = self.wanted(streams);
        let is_wanted = |stream: &str| wanted.as_ref().is_none_or(|it| it.contains(stream));
        for (stream, schema) in by_stream.iter().filter(|(stream, _)| is_wanted(stream)) {
            for column in &schema.columns {
                match all.columns.iter().find(|known| known.name == column.name) {
                    None => all.columns.push(column.clone()),
                    Some(known) if known.sql_type == column.sql_type => {}
                    Some(known) => {
                        return Err(StreamError::fatal(format!(
                            "one index cannot have the column {} as {} and, of {stream}, as {}: \
                             give the streams sinks of their own, with `streams = [\"{stream}\"]`",
                            column.name, known.sql_type, column.sql_type
                        )));
                    }
                }
            }
        }
        Ok(Arc::new(all))
    }

    /// Whether a destination whose rows need the same columns can take those of these streams.
    ///
    /// # Errors
    /// They are of several streams.
    pub(crate) fn check_alike(&self, what: &str, streams: &[String]) -> Result<(), StreamError> {
        let Self::ByStream { schemas, .. } = self else { return Ok(()) };
        let wanted = self.wanted(streams);
        let names = schemas.keys().map(ToString::to_string);
        let names: Vec<String> =
            names.filter(|it| wanted.as_ref().is_none_or(|wanted| wanted.contains(it))).collect();
        if names.len() > 1 {
            return Err(StreamError::fatal(format!(
                "{what} needs rows with the same columns, and those of {} differ: name one, such as \
                 `streams = [\"{}\"]`, or write NDJSON",
                names.join(", "),
                names[0]
            )));
        }
        Ok(())
    }

    /// Says which streams no sink gets.
    pub(crate) fn tell_unwanted(&self, wanted: &[Option<BTreeSet<String>>]) {
        let Self::ByStream { schemas, .. } = self else { return };
        for stream in schemas.keys() {
            let is_wanted = |it: &Option<BTreeSet<String>>| {
                it.as_ref().is_none_or(|streams| streams.contains(stream.as_ref()))
            };
            if !wanted.iter().any(is_wanted) {
                tracing::warn!(%stream, "no sink wants the rows of this stream: they are only counted");
            }
        }
    }
}
