//! From settings to a pipeline: the one file that names concrete sources and sinks.

use std::sync::Arc;

use eddy_detect::Detector;
use eddy_index::{Index, IndexSettings, IndexSink};
use eddy_kinesis::{KinesisSource, client};
use eddy_record::{Decoder, Schema};
use eddy_sinks::{ArchiveSink, FirehoseSink, OpenSearchSink};
use eddy_stream::{
    Archive, Clock, DeadLetterFile, FileSink, FileSource, InputSource, RowFormat, Sink, Source,
    StdoutSink, StreamError, SystemClock,
};
use tokio::io::BufReader;

use crate::objects::open_objects;
use crate::settings::{RowFormatSetting, Settings, SinkSettings, SourceSettings, StateSettings};
use crate::{Counters, Outputs, Pipeline, SlateStateStore};

/// A pipeline and what others may want of it.
pub struct Built {
    /// The pipeline, ready to run.
    pub pipeline: Pipeline,
    /// The embedded index, where a sink is one.
    pub index: Option<Arc<Index>>,
}

/// Opens every part that the settings name.
///
/// # Errors
/// A part cannot be opened, or the settings do not fit together.
pub async fn build(settings: &Settings) -> Result<Built, StreamError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let source = source(&settings.source, &clock).await;
    build_on(settings, source, clock).await
}

/// Opens every part that the settings name but the source.
pub(crate) async fn build_on(
    settings: &Settings,
    source: Arc<dyn Source>,
    clock: Arc<dyn Clock>,
) -> Result<Built, StreamError> {
    let schema = settings
        .schema
        .load()
        .map_err(|error| StreamError::fatal("the schema cannot be used").with_source(error))?;
    let (schema, decoder) = decoder(schema, settings)?;
    let detector = Detector::new(&settings.detector, Arc::clone(&schema)).map_err(|error| {
        StreamError::fatal("the detector's settings are refused").with_source(error)
    })?;
    let scored_schema = Arc::clone(detector.output_schema());
    let mut index = None;
    let mut sinks: Vec<Arc<dyn Sink>> = Vec::new();
    let mut archives: Vec<Arc<dyn Archive>> = Vec::new();
    let mut pipeline_settings = settings.pipeline.clone();
    for sink in &settings.sinks {
        let sink: Arc<dyn Sink> = match sink {
            SinkSettings::Index { path } => {
                let opened = open_index(path)?;
                index = Some(Arc::clone(&opened));
                Arc::new(IndexSink::new(opened))
            }
            SinkSettings::Firehose(settings) => {
                let sink = FirehoseSink::open(settings).await;
                sink.check().await?;
                Arc::new(sink)
            }
            SinkSettings::OpenSearch(settings) => {
                let sink = OpenSearchSink::open(settings).await?;
                sink.install(&scored_schema).await?;
                sink.check(&scored_schema).await?;
                Arc::new(sink)
            }
            SinkSettings::File { path, format } => Arc::new(FileSink::open(path, row(*format))?),
            SinkSettings::Stdout { format } => Arc::new(StdoutSink::new(row(*format))),
            SinkSettings::Archive(archive) => {
                if settings.pipeline.order.is_per_second() {
                    tracing::warn!(
                        url = archive.url,
                        "order = \"score_per_second\" commits, and so ends an object of the archive, \
                         as often as a quiet shard passes a second"
                    );
                }
                let store = open_objects(&archive.url, &archive.connection).await?;
                archives.push(Arc::new(ArchiveSink::open(store, archive).await?));
                // A commit ends an object.
                let interval_ms = &mut pipeline_settings.commit_interval_ms;
                *interval_ms = (*interval_ms).max(archive.object_interval_ms);
                continue;
            }
        };
        sinks.push(sink);
    }
    let pipeline = Pipeline {
        source,
        decoder,
        schema,
        detector: settings.detector.clone(),
        outputs: Outputs {
            sinks,
            archives,
            dead_letters: Arc::new(DeadLetterFile::open(&settings.dead_letters)?),
        },
        state: Arc::new(state(&settings.state).await?),
        clock,
        settings: pipeline_settings,
        counters: Arc::new(Counters::default()),
    };
    Ok(Built { pipeline, index })
}

async fn state(settings: &StateSettings) -> Result<SlateStateStore, StreamError> {
    match &settings.url {
        Some(url) => SlateStateStore::in_bucket(url, &settings.connection).await,
        None => SlateStateStore::in_folder(&settings.path),
    }
}

/// Opens the embedded index.
pub(crate) fn open_index(path: &std::path::Path) -> Result<Arc<Index>, StreamError> {
    Index::open(IndexSettings::new(path)).map_err(|error| {
        StreamError::fatal(format!("cannot open the index {}", path.display())).with_source(error)
    })
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

fn row(format: RowFormatSetting) -> RowFormat {
    match format {
        RowFormatSetting::Ndjson => RowFormat::Ndjson,
        RowFormatSetting::Csv => RowFormat::Csv,
    }
}

/// Opens the source.
pub(crate) async fn source(settings: &SourceSettings, clock: &Arc<dyn Clock>) -> Arc<dyn Source> {
    let clock = Arc::clone(clock);
    match settings {
        SourceSettings::Kinesis { stream, connection, read, .. } => {
            Arc::new(KinesisSource::new(client(connection).await, stream, read.clone()))
        }
        SourceSettings::File { path, skip_header } => {
            Arc::new(FileSource::new(path, *skip_header, clock))
        }
        SourceSettings::Stdin { skip_header } => {
            let input = BufReader::new(tokio::io::stdin());
            Arc::new(InputSource::new("stdin", input, *skip_header, clock))
        }
    }
}
