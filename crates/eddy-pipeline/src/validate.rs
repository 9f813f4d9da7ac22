//! What is wrong with settings that read well, each by its field.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use eddy_detect::DetectorSettings;
use eddy_kinesis::ConnectionSettings;

use crate::objects::{bucket_of, url_problem};
use crate::settings::{Settings, SinkSettings, SourceSettings};

impl Settings {
    /// The first thing that cannot work, if there is one.
    pub(crate) fn problem(&self) -> Option<String> {
        self.source_problem()
            .or_else(|| self.pipeline_problem())
            .or_else(|| self.sinks.iter().find_map(|sink| sink_problem(&sink.sink)))
            .or_else(|| self.state_problem())
            .or_else(|| self.shared_file())
            .or_else(|| self.shared_archive())
            .or_else(|| self.circle())
            .or_else(|| self.application_problem())
    }

    /// A file that must be there and is not.
    pub(crate) fn missing_file(&self) -> Option<String> {
        match &self.source {
            SourceSettings::File { path, .. } if !path.exists() => {
                Some(format!("source.path: there is no file {}", path.display()))
            }
            _ => None,
        }
    }

    fn source_problem(&self) -> Option<String> {
        match &self.source {
            SourceSettings::Kinesis { stream, connection, read, .. } => {
                if stream.is_empty() {
                    return Some("source.stream is empty: name a stream or its ARN".to_owned());
                }
                if !(1..=10_000).contains(&read.max_records) {
                    let found = read.max_records;
                    return Some(format!(
                        "source.read.max_records must be within 1..=10000, found {found}"
                    ));
                }
                if read.watermark_slack_ms < 0 {
                    let found = read.watermark_slack_ms;
                    return Some(format!(
                        "source.read.watermark_slack_ms must be at least 0, found {found}"
                    ));
                }
                endpoint_problem("source", connection)
            }
            SourceSettings::File { .. } | SourceSettings::Stdin { .. } => None,
        }
    }

    fn pipeline_problem(&self) -> Option<String> {
        let threshold = self.pipeline.threshold;
        if !(threshold.is_finite() && threshold > 0.0) {
            return Some(format!("pipeline.threshold must be above 0, found {threshold}"));
        }
        if self.pipeline.merge && self.pipeline.order.is_per_second() {
            return Some(
                "pipeline.merge and order = \"score_per_second\" are not for each other: an SQL \
                 application's ORDER BY orders the rows of all shards by second and score"
                    .to_owned(),
            );
        }
        for (field, value) in [
            ("pipeline.commit_records", self.pipeline.commit_records),
            ("pipeline.commit_interval_ms", self.pipeline.commit_interval_ms),
            ("schema.max_record_bytes", self.schema.max_record_bytes.unwrap_or(1) as u64),
        ] {
            if value == 0 {
                return Some(format!("{field} must be at least 1, found 0"));
            }
        }
        let keeps_nothing = self.sinks.iter().any(|sink| {
            let SinkSettings::Index { keep_days, keep_bytes, .. } = &sink.sink else {
                return false;
            };
            *keep_days == Some(0) || *keep_bytes == Some(0)
        });
        keeps_nothing.then(|| {
            "an index sink's keep_days and keep_bytes must be at least 1; without them it keeps all"
                .to_owned()
        })
    }

    /// A file that two parts would write, or that is read and written.
    fn shared_file(&self) -> Option<String> {
        let sinks = self.sinks.iter().filter_map(|sink| match &sink.sink {
            SinkSettings::File { path, .. } | SinkSettings::Index { path, .. } => Some(path),
            _ => None,
        });
        let source = match &self.source {
            SourceSettings::File { path, .. } => Some(path),
            _ => None,
        };
        let all = sinks.chain([&self.dead_letters, &self.state.path]).chain(source);
        let (_, _, path) = eddy_stream::named_twice(all.map(|path| ((), path.as_path())))?;
        Some(format!(
            "{} has two uses: source, sinks, dead_letters and state need files of their own",
            path.display()
        ))
    }

    fn state_problem(&self) -> Option<String> {
        let state = &self.state;
        let url = state.url.as_ref()?;
        if bucket_of(url).is_none() {
            return Some(format!(
                "state.url must be such as s3://bucket/path, found {url:?}; a folder is state.path"
            ));
        }
        url_problem(url)
            .map(|problem| format!("state.url {problem}"))
            .or_else(|| endpoint_problem("state", &state.connection))
    }

    /// Two archives at one place: their objects would have the same names.
    fn shared_archive(&self) -> Option<String> {
        let mut urls = HashSet::new();
        self.sinks.iter().find_map(|sink| match &sink.sink {
            SinkSettings::Archive(archive) => {
                let url = archive.url.trim_end_matches('/');
                let place = match bucket_of(url) {
                    Some(_) => PathBuf::from(url),
                    None => eddy_stream::resolved(Path::new(url)),
                };
                (!urls.insert(place)).then(|| {
                    format!(
                        "two archive sinks have the url {}: each needs one of its own",
                        archive.url
                    )
                })
            }
            _ => None,
        })
    }

    /// What an SQL application cannot be beside, and what is nothing without one.
    fn application_problem(&self) -> Option<String> {
        let Some(application) = &self.application else {
            let routed = self.sinks.iter().any(|sink| !sink.streams.is_empty());
            return routed
                .then(|| "a sink's streams are those of an SQL application: [application]".into());
        };
        if cfg!(not(feature = "sql")) {
            return Some("[application]: this program was built without the feature sql".into());
        }
        if application.sql.is_some() == application.definition.is_some() {
            return Some("[application] needs sql or definition, one of them".to_owned());
        }
        if self.detector != DetectorSettings::default() {
            return Some(
                "[application] and [detector]: keep one; the SQL says how records are scored"
                    .to_owned(),
            );
        }
        if self.pipeline.order.is_per_second() {
            return Some(
                "pipeline.order is of a detector: the application's ORDER BY orders rows".into(),
            );
        }
        None
    }

    /// A stream that is read and written: the rows would come in as records.
    fn circle(&self) -> Option<String> {
        let SourceSettings::Kinesis { stream, .. } = &self.source else { return None };
        let name = |stream: &str| stream.rsplit('/').next().unwrap_or_default().to_owned();
        self.sinks.iter().find_map(|sink| match &sink.sink {
            SinkSettings::Kinesis(sink) if name(&sink.stream) == name(stream) => {
                Some(format!("the stream {stream} is read and written: its rows would come again"))
            }
            _ => None,
        })
    }
}

fn sink_problem(sink: &SinkSettings) -> Option<String> {
    match sink {
        SinkSettings::OpenSearch(sink) => {
            sink.validate().err().map(|error| format!("opensearch sink: {error}"))
        }
        SinkSettings::Firehose(sink) if sink.delivery_stream.is_empty() => {
            Some("firehose sink: delivery_stream is empty".to_owned())
        }
        SinkSettings::Kinesis(sink) if sink.stream.is_empty() => {
            Some("kinesis sink: stream is empty".to_owned())
        }
        SinkSettings::Kinesis(sink) => endpoint_problem("kinesis sink", &sink.connection),
        SinkSettings::Firehose(sink) => endpoint_problem("firehose sink", &sink.connection),
        SinkSettings::Archive(sink) => url_problem(&sink.url)
            .map(|problem| format!("archive sink: url {problem}"))
            .or_else(|| sink.validate().err().map(|error| format!("archive sink: {error}")))
            .or_else(|| endpoint_problem("archive sink", &sink.connection)),
        _ => None,
    }
}

fn endpoint_problem(part: &str, connection: &ConnectionSettings) -> Option<String> {
    let url = connection.endpoint_url.as_ref()?;
    let good = ["http://", "https://"].iter().any(|scheme| {
        url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
    });
    (!good).then(|| format!("{part}: endpoint_url must be such as http://127.0.0.1:4567"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_archives_at_one_place_are_refused_however_it_is_written() {
        let problem = |one: &str, other: &str| {
            let sink = |url: &str| format!("[[sinks]]\ntype = \"archive\"\nurl = \"{url}\"\n");
            let text = format!("[source]\ntype = \"stdin\"\n{}{}", sink(one), sink(other));
            Settings::parse(&text, "settings.toml").err().map(|error| error.to_string())
        };
        for (one, other) in [("out", "./out"), ("out/", "out"), ("s3://b/a", "s3://b/a/")] {
            let problem = problem(one, other).expect("refused");
            assert!(problem.contains("two archive sinks"), "{problem}");
        }
        for (one, other) in [("out", "out2"), ("s3://b/a", "s3://b/b")] {
            assert_eq!(problem(one, other), None);
        }
    }
}
