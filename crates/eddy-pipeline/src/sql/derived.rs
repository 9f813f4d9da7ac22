//! Settings of an application that is given without a settings file: by its definition, or by a
//! source and a sink on the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eddy_kinesis::{ConnectionSettings, KinesisSinkSettings, ReadSettings};
use eddy_record::RowText;
use eddy_sinks::{FirehoseSettings, OpenSearchSettings};
use eddy_sql::{DefinedOutput, Definition};
use eddy_stream::Start;

use crate::settings::{
    ApplicationSettings, PipelineSettings, RoutedSink, RowFormatSetting, SchemaSettings, Settings,
    SettingsError, SinkSettings, SourceSettings, StateSettings, default_dead_letters, read,
};

/// What is said of an application beside its file.
#[derive(Clone, Debug, Default)]
pub struct ApplicationArgs {
    /// The file of its SQL, or of its definition.
    pub path: PathBuf,
    /// `kinesis:STREAM`, an ARN, `-` or a file. Default: what the definition says.
    pub source: Option<String>,
    /// `firehose:STREAM`, `kinesis:STREAM`, an ARN, the URL of OpenSearch, `-` or a file. Default:
    /// what the definition says.
    pub sink: Option<String>,
    /// A file with the input schema.
    pub schema: Option<PathBuf>,
    /// As [`ApplicationSettings::rowtime`].
    pub rowtime: String,
    /// As [`ApplicationSettings::lateness_ms`].
    pub lateness_ms: Option<u64>,
    /// The seed of every forest.
    pub seed: u64,
    /// As [`ApplicationSettings::start_time`].
    pub start_time: Option<String>,
    /// The file of each table of reference data.
    pub reference: BTreeMap<String, PathBuf>,
}

fn invalid(reason: String) -> SettingsError {
    SettingsError::Invalid { reason }
}

/// Whether a source or sink is a service: such a run is a pipeline with state.
pub fn is_service(name: &str) -> bool {
    ["kinesis:", "firehose:", "arn:", "http://", "https://"].iter().any(|it| name.starts_with(it))
}

impl Settings {
    /// The settings of an application without a settings file.
    ///
    /// # Errors
    /// The definition cannot be read or does not say enough, or names what a pipeline cannot read
    /// or write.
    pub fn of_application(args: &ApplicationArgs) -> Result<Self, SettingsError> {
        let name = args.path.display();
        let is_sql = args.path.extension().is_some_and(|extension| extension == "sql");
        let definition = if is_sql {
            None
        } else {
            let text = read(&args.path)?;
            let read = Definition::read(&text);
            Some(read.map_err(|error| invalid(format!("{name}: {error}")))?)
        };
        let source = match (&args.source, &definition) {
            (Some(source), _) => source_of(source)?,
            (None, Some(definition)) => defined_source(definition, &args.path)?,
            (None, None) => {
                return Err(invalid(format!("{name}: give --source kinesis:STREAM")));
            }
        };
        let sinks = match (&args.sink, &definition) {
            (Some(sink), _) => vec![sink_of(sink)?.into()],
            (None, Some(definition)) if !definition.outputs.is_empty() => {
                let outputs = definition.outputs.iter();
                outputs.map(|output| defined_sink(output, &args.path)).collect::<Result<_, _>>()?
            }
            (None, _) => return Err(invalid(format!("{name}: it has no outputs; give --sink"))),
        };
        let (sql, file) = (is_sql.then(|| args.path.clone()), (!is_sql).then(|| args.path.clone()));
        let start = match &source {
            SourceSettings::Kinesis { start, .. } => start.clone(),
            _ => Start::TrimHorizon,
        };
        let settings = Self {
            source,
            schema: SchemaSettings { input_schema: args.schema.clone(), ..Default::default() },
            detector: Default::default(),
            application: Some(ApplicationSettings {
                sql,
                definition: file,
                rowtime: args.rowtime.clone(),
                lateness_ms: args.lateness_ms,
                seed: args.seed,
                start_time: args.start_time.clone(),
                reference: args.reference.clone(),
                connection: ConnectionSettings::default(),
            }),
            pipeline: PipelineSettings { start, ..PipelineSettings::default() },
            sinks,
            state: StateSettings::default(),
            dead_letters: default_dead_letters(),
            page: None,
        };
        match settings.problem().or_else(|| settings.missing_file()) {
            None => Ok(settings),
            Some(problem) => Err(invalid(format!("{name}: {problem}"))),
        }
    }
}

/// `arn:aws:kinesis:eu-west-1:123456789012:stream/readings`: service, region, name.
fn parts_of(arn: &str) -> Option<(&str, &str, &str)> {
    let mut parts = arn.strip_prefix("arn:")?.splitn(5, ':').skip(1);
    let (service, region, _account) = (parts.next()?, parts.next()?, parts.next()?);
    let resource = parts.next()?;
    Some((service, region, resource.split_once('/').map_or(resource, |(_, name)| name)))
}

/// How to reach what is in the region of an ARN, or in that of the environment if it names none.
pub fn beside(arn: &str) -> ConnectionSettings {
    in_region(parts_of(arn).map_or("", |(_, region, _)| region))
}

fn in_region(region: &str) -> ConnectionSettings {
    let region = (!region.is_empty()).then(|| region.to_owned());
    ConnectionSettings { region, endpoint_url: None }
}

fn kinesis_source(stream: &str, start: Start, connection: ConnectionSettings) -> SourceSettings {
    let (stream, read) = (stream.to_owned(), ReadSettings::default());
    SourceSettings::Kinesis { stream, start, connection, read }
}

fn source_of(text: &str) -> Result<SourceSettings, SettingsError> {
    if let Some(stream) = text.strip_prefix("kinesis:") {
        return Ok(kinesis_source(stream, Start::TrimHorizon, ConnectionSettings::default()));
    }
    if text == "-" {
        return Ok(SourceSettings::Stdin { skip_header: false });
    }
    if !is_service(text) {
        return Ok(SourceSettings::File { path: text.into(), skip_header: false });
    }
    match parts_of(text) {
        Some(("kinesis", region, _)) => {
            Ok(kinesis_source(text, Start::TrimHorizon, in_region(region)))
        }
        _ => Err(invalid(format!(
            "--source {text}: write kinesis:STREAM, the ARN of a Kinesis stream, `-` or a file"
        ))),
    }
}

fn sink_of(text: &str) -> Result<SinkSettings, SettingsError> {
    if let Some(stream) = text.strip_prefix("kinesis:") {
        return Ok(SinkSettings::Kinesis(KinesisSinkSettings::new(stream)));
    }
    if let Some(stream) = text.strip_prefix("firehose:") {
        return Ok(SinkSettings::Firehose(FirehoseSettings::new(stream)));
    }
    if text.starts_with("http") && is_service(text) {
        return Ok(SinkSettings::OpenSearch(OpenSearchSettings::new(text)));
    }
    if text == "-" {
        return Ok(SinkSettings::Stdout { format: RowFormatSetting::Ndjson });
    }
    if !is_service(text) {
        return Ok(SinkSettings::File { path: text.into(), format: RowFormatSetting::Ndjson });
    }
    of_arn(text).ok_or_else(|| {
        invalid(format!(
            "--sink {text}: write firehose:STREAM, kinesis:STREAM, the ARN of one, the URL of \
             OpenSearch, `-` or a file"
        ))
    })
}

/// The sink that an ARN names.
fn of_arn(arn: &str) -> Option<SinkSettings> {
    match parts_of(arn)? {
        ("kinesis", region, name) => Some(SinkSettings::Kinesis(KinesisSinkSettings {
            connection: in_region(region),
            ..KinesisSinkSettings::new(name)
        })),
        ("firehose", region, name) => Some(SinkSettings::Firehose(FirehoseSettings {
            connection: in_region(region),
            ..FirehoseSettings::new(name)
        })),
        _ => None,
    }
}

fn defined_source(definition: &Definition, path: &Path) -> Result<SourceSettings, SettingsError> {
    let (name, arn) = (path.display(), &definition.input_arn);
    match parts_of(arn) {
        // An application's streams were in its own account: the name is enough.
        Some(("kinesis", region, stream)) => {
            let start = match definition.starting_position.as_deref() {
                Some("NOW") => Start::Latest,
                _ => Start::TrimHorizon,
            };
            Ok(kinesis_source(stream, start, in_region(region)))
        }
        Some(("firehose", ..)) => Err(invalid(format!(
            "{name}: its input is the delivery stream {arn}, which only Firehose itself reads: let \
             the producers write to a Kinesis stream, and give it with --source kinesis:STREAM"
        ))),
        _ => Err(invalid(format!(
            "{name}: it does not say which stream it reads ({arn:?}): give --source kinesis:STREAM"
        ))),
    }
}

fn defined_sink(output: &DefinedOutput, path: &Path) -> Result<RoutedSink, SettingsError> {
    let (name, DefinedOutput { stream, arn, format }) = (path.display(), output);
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let instead = |sink: &str| {
        format!(
            "write a settings file with\n[application]\ndefinition = \"{file}\"\n[[sinks]]\n{sink}\n\
             streams = [\"{stream}\"]\nand run that, or give --sink"
        )
    };
    let text = if format.eq_ignore_ascii_case("JSON") {
        RowText::Json
    } else if format.eq_ignore_ascii_case("CSV") {
        RowText::Csv
    } else {
        return Err(invalid(format!(
            "{name}: the output {stream} is {format}, and rows go out as JSON or CSV; {}",
            instead("type = \"firehose\"\ndelivery_stream = \"..\"")
        )));
    };
    match parts_of(arn) {
        Some(("lambda", ..)) => Err(invalid(format!(
            "{name}: the output {stream} is the function {arn}, which a pipeline does not call: let \
             a Kinesis stream trigger it; {}",
            instead("type = \"kinesis\"\nstream = \"..\"")
        ))),
        Some(_) | None => {
            let mut sink = of_arn(arn).ok_or_else(|| {
                invalid(format!(
                    "{name}: it does not say where the output {stream} goes ({arn:?}); {}",
                    instead("type = \"firehose\"\ndelivery_stream = \"..\"")
                ))
            })?;
            match &mut sink {
                SinkSettings::Kinesis(sink) => sink.format = text,
                SinkSettings::Firehose(sink) => sink.format = text,
                _ => {}
            }
            Ok(RoutedSink { streams: vec![stream.clone()], sink })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(input: &str, output: &str, format: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("application.json");
        let text = format!(
            r#"{{"ApplicationDetail":{{"ApplicationName":"app","ApplicationCode":"CREATE ..;",
            "InputDescriptions":[{{"NamePrefix":"SOURCE_SQL_STREAM",
              "InputStartingPositionConfiguration":{{"InputStartingPosition":"NOW"}},
              "KinesisStreamsInputDescription":{{"ResourceARN":"{input}"}},
              "InputSchema":{{"RecordColumns":[{{"Name":"v","SqlType":"DOUBLE","Mapping":"$.v"}}],
                "RecordFormat":{{"RecordFormatType":"JSON"}}}}}}],
            "OutputDescriptions":[{{"Name":"OUT","KinesisFirehoseOutputDescription":
              {{"ResourceARN":"{output}"}},"DestinationSchema":{{"RecordFormatType":"{format}"}}}}]}}}}"#
        );
        std::fs::write(&path, text).expect("written");
        let args = ApplicationArgs { path, rowtime: "@arrival".to_owned(), ..Default::default() };
        Settings::of_application(&args).map_err(|error| error.to_string())
    }

    const STREAM: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/readings";
    const FIREHOSE: &str = "arn:aws:firehose:eu-central-1:123456789012:deliverystream/scored";

    #[test]
    fn a_definition_that_says_enough_is_a_pipeline() {
        let settings = of(STREAM, FIREHOSE, "JSON").expect("enough");
        let SourceSettings::Kinesis { stream, start, connection, .. } = &settings.source else {
            panic!("{:?}", settings.source)
        };
        assert_eq!((stream.as_str(), start), ("readings", &Start::Latest));
        assert_eq!(settings.pipeline.start, Start::Latest);
        assert_eq!(connection.region.as_deref(), Some("eu-west-1"));
        let [RoutedSink { streams, sink: SinkSettings::Firehose(sink) }] = &settings.sinks[..]
        else {
            panic!("{:?}", settings.sinks)
        };
        assert_eq!(streams[..], ["OUT"]);
        assert_eq!(sink.delivery_stream, "scored");
        assert_eq!(sink.connection.region.as_deref(), Some("eu-central-1"));
        assert_eq!(sink.format, RowText::Json);
        let csv = of(STREAM, FIREHOSE, "CSV").expect("enough");
        let SinkSettings::Firehose(sink) = &csv.sinks[0].sink else { panic!("{:?}", csv.sinks) };
        assert_eq!(sink.format, RowText::Csv);
        let back = of(STREAM, &STREAM.replace("readings", "scores"), "JSON").expect("enough");
        assert!(matches!(&back.sinks[0].sink, SinkSettings::Kinesis(_)), "{:?}", back.sinks);
    }

    #[test]
    fn what_a_pipeline_cannot_read_or_write_is_refused_with_what_to_write() {
        let lambda = "arn:aws:lambda:eu-west-1:123456789012:function:alert";
        for (input, output, format, words) in [
            (STREAM, lambda, "JSON", ["function:alert", "type = \"kinesis\""]),
            (STREAM, FIREHOSE, "XML", ["OUT is XML", "[application]"]),
            (FIREHOSE, FIREHOSE, "JSON", ["only Firehose itself reads", "--source kinesis:"]),
            ("", FIREHOSE, "JSON", ["which stream it reads", "--source kinesis:"]),
            (STREAM, "", "JSON", ["where the output OUT goes", "streams = [\"OUT\"]"]),
            (STREAM, STREAM, "JSON", ["read and written", "readings"]),
        ] {
            let error = of(input, output, format).expect_err("refused");
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }
}
