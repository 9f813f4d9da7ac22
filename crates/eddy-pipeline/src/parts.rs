//! From settings to a pipeline: the one file that names concrete sources and sinks.

use std::collections::BTreeSet;
use std::sync::Arc;

use eddy_index::{Index, IndexSettings, IndexSink};
use eddy_kinesis::{KinesisSink, KinesisSinkSettings, KinesisSource, client};
use eddy_record::RowText;
use eddy_sinks::{
    ArchiveFormat, ArchiveSink, ArchivedRecords, FirehoseSettings, FirehoseSink, OpenSearchSink,
};
use eddy_stream::{
    Archive, Clock, DeadLetterFile, FileSink, FileSource, InputSource, RowFormat, Sink, Source,
    StdoutSink, StreamError, SystemClock,
};
use tokio::io::BufReader;

use crate::making::{Making, making};
use crate::objects::open_objects;
use crate::settings::{
    RoutedSink, RowFormatSetting, Settings, SinkSettings, SourceSettings, StateSettings,
};
use crate::{Counters, Outputs, Pipeline, Routes, SlateStateStore};

/// What is read of standard input at a time, and so about the size of a batch of it.
const INPUT_BYTES: usize = 64 << 10;

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
    let Making { engine, schema, decoder, made } = making(settings, clock.now_ms()).await?;
    let mut index = None;
    let mut sinks: Vec<Arc<dyn Sink>> = Vec::new();
    let mut archives: Vec<Arc<dyn Archive>> = Vec::new();
    let mut pipeline_settings = settings.pipeline.clone();
    let (mut of_sinks, mut of_archives) = (Vec::new(), Vec::new());
    for RoutedSink { streams, sink } in &settings.sinks {
        let wanted = made.wanted(streams);
        if let Some(what) = of_one_kind(sink) {
            made.check_alike(what, streams)?;
        }
        let sink: Arc<dyn Sink> = match sink {
            SinkSettings::Index { path, keep_days, keep_bytes } => {
                let mut settings = IndexSettings::new(path);
                (settings.keep_days, settings.keep_bytes) = (*keep_days, *keep_bytes);
                let opened = open_index(settings)?;
                index = Some(Arc::clone(&opened));
                Arc::new(IndexSink::new(opened))
            }
            SinkSettings::Kinesis(settings) => {
                let sink = KinesisSink::open(settings).await;
                sink.check().await?;
                Arc::new(sink)
            }
            SinkSettings::Firehose(settings) => {
                let sink = FirehoseSink::open(settings).await;
                sink.check().await?;
                Arc::new(sink)
            }
            SinkSettings::OpenSearch(settings) => {
                let sink = OpenSearchSink::open(settings).await?;
                let schema = made.schema(streams)?;
                sink.install(&schema).await?;
                sink.check(&schema).await?;
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
                // Payloads are of no stream.
                let keeps_rows = archive.records == ArchivedRecords::Scored;
                of_archives.push(if keeps_rows { wanted } else { Some(BTreeSet::new()) });
                // A commit ends an object.
                let interval_ms = &mut pipeline_settings.commit_interval_ms;
                *interval_ms = (*interval_ms).max(archive.object_interval_ms);
                continue;
            }
        };
        sinks.push(sink);
        of_sinks.push(wanted);
    }
    of_sinks.extend(of_archives);
    made.tell_unwanted(&of_sinks);
    let pipeline = Pipeline {
        source,
        decoder,
        schema,
        engine,
        outputs: Outputs {
            sinks,
            archives,
            dead_letters: Arc::new(DeadLetterFile::open(&settings.dead_letters)?),
            routes: Routes { streams: of_sinks },
        },
        state: Arc::new(state(&settings.state).await?),
        clock,
        settings: pipeline_settings,
        counters: Arc::new(Counters::default()),
    };
    Ok(Built { pipeline, index })
}

/// What needs rows that have all the same columns.
fn of_one_kind(sink: &SinkSettings) -> Option<&'static str> {
    match sink {
        SinkSettings::File { format: RowFormatSetting::Csv, .. }
        | SinkSettings::Stdout { format: RowFormatSetting::Csv } => Some("CSV"),
        SinkSettings::Kinesis(KinesisSinkSettings { format: RowText::Csv, .. })
        | SinkSettings::Firehose(FirehoseSettings { format: RowText::Csv, .. }) => Some("CSV"),
        SinkSettings::Archive(archive)
            if archive.format == ArchiveFormat::Parquet
                && archive.records == ArchivedRecords::Scored =>
        {
            Some("Parquet")
        }
        _ => None,
    }
}

async fn state(settings: &StateSettings) -> Result<SlateStateStore, StreamError> {
    match &settings.url {
        Some(url) => SlateStateStore::in_bucket(url, &settings.connection).await,
        None => SlateStateStore::in_folder(&settings.path),
    }
}

/// Opens the embedded index.
pub(crate) fn open_index(settings: IndexSettings) -> Result<Arc<Index>, StreamError> {
    let path = settings.path.display().to_string();
    Index::open(settings).map_err(|error| {
        StreamError::fatal(format!("cannot open the index {path}")).with_source(error)
    })
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
            let input = BufReader::with_capacity(INPUT_BYTES, tokio::io::stdin());
            Arc::new(InputSource::new("stdin", input, *skip_header, clock))
        }
    }
}
