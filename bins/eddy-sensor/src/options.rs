//! The command line.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Parser;
use eddy_kinesis::{ConnectionSettings, ProducerSettings};
use eddy_sensors::{Format, FormatKind, Output, Rate, SCENES, Scene};

/// Simulates sensors: sends records with known faults into a Kinesis stream, to Firehose, into a
/// file or to standard output.
///
/// Without a scene or a template it is the original walkthrough's sensor:
/// {"iotName":"DemoSensor","iotValue":n}, n uniform in 10..=20, an anomaly uniform in 100..=120. The
/// partition key is the sensor's name. The same scene, seed and start give the same bytes.
#[derive(Clone, Debug, Parser)]
#[command(version, after_help = "Exit codes: 0 done, 1 a record could not be delivered, 2 usage.")]
#[command(group = clap::ArgGroup::new("output").args(["stream", "firehose", "file", "stdout"]))]
pub(crate) struct Options {
    /// One of the scenes that ship (see --list-scenes), or a scene file (TOML)
    #[arg(long, default_value = "walkthrough", value_name = "NAME|FILE")]
    scene: String,

    /// A template of the Kinesis Data Generator in place of a scene; each record has a random
    /// partition key, or that of --key-field
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scene", "sensors", "anomaly_rate", "format"])]
    template: Option<PathBuf>,

    /// The field of a template's JSON records whose value is the partition key
    #[arg(long, value_name = "FIELD")]
    key_field: Option<String>,

    /// List the scenes that ship
    #[arg(long)]
    pub(crate) list_scenes: bool,

    /// Print a scene that ships as TOML, to begin one's own with
    #[arg(long, value_name = "NAME")]
    pub(crate) show_scene: Option<String>,

    /// The Kinesis stream to put records into [default: RawStreamData]
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,

    /// The Firehose delivery stream to put records into
    #[arg(long, value_name = "NAME")]
    firehose: Option<String>,

    /// The file to write records to, one a line
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Write the records to standard output, one a line
    #[arg(long)]
    stdout: bool,

    /// The file to write labels to: a line of JSON for each record that was sent and has a fault, or
    /// is late, a duplicate or out of order
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,

    /// JSON or CSV, in place of the scene's format
    #[arg(long, value_enum)]
    format: Option<TextFormat>,

    /// Records a second, of all sensors together, in place of the scene's rate; 0 for the scene's
    /// records as fast as possible
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,

    /// Stop after so many records [default: at Ctrl-C]
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,

    /// How many sensors there are, in place of the scene's number
    #[arg(long, value_name = "N")]
    sensors: Option<u32>,

    /// The probability that the scene's fault begins at a reading; for scenes with one kind of fault
    #[arg(long, value_name = "P")]
    anomaly_rate: Option<f64>,

    /// What everything is drawn from [default: the scene's, else 42]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// The time of the first record: now, or such as 2026-01-05T00:00:00Z [default: the scene's;
    /// else now, or 2026-01-05T00:00:00Z with --rate 0]
    #[arg(long, value_name = "TIME")]
    start: Option<String>,

    /// Another endpoint than that of AWS, such as http://127.0.0.1:4567; there a stream that does
    /// not exist is created [env: AWS_ENDPOINT_URL_KINESIS, AWS_ENDPOINT_URL_FIREHOSE,
    /// AWS_ENDPOINT_URL]
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,

    /// The stream's region [default: that of the AWS configuration]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,

    /// Create the stream, with one shard, if it does not exist on AWS; this costs money
    #[arg(long, conflicts_with_all = ["stdout", "file", "firehose"])]
    create_stream: bool,

    /// Put readings of one sensor that wait together as one record of the stream, in the format of
    /// Amazon's Kinesis Producer Library (eddy and Amazon's KCL take it apart again): a shard takes
    /// 1000 records a second, and so many more readings
    #[arg(long, conflicts_with_all = ["stdout", "file", "firehose"])]
    aggregate: bool,

    /// Whether no shard is sent more than the service lets it take: 1000 records and 1 MiB a second,
    /// after a burst of as much [default: true on AWS, false at other endpoints]
    #[arg(long, value_name = "BOOL", conflicts_with_all = ["stdout", "file", "firehose"])]
    shard_limits: Option<bool>,

    /// Print nothing but errors and the counts at the end
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum TextFormat {
    /// An object a record
    Json,
    /// Values with commas between them; a file and standard output have a header
    Csv,
}

impl Options {
    /// Reads the command line; where it makes no sense, says so and exits with 2.
    pub(crate) fn read() -> Self {
        Self::parse()
    }

    /// Records and labels written to one file would overwrite each other.
    pub(crate) fn check_files(&self) -> Result<()> {
        let files = [("--file", &self.file), ("--labels", &self.labels)];
        let files = files.into_iter().filter_map(|(option, file)| Some((option, file.as_deref()?)));
        if let Some((one, other, path)) = eddy_stream::named_twice(files) {
            bail!("{one} and {other} are both {}: give each a file of its own", path.display());
        }
        Ok(())
    }

    /// The scene with what the command line changes of it. `now_ms` is the time of the first record
    /// where neither says one and records come at the scene's pace.
    pub(crate) fn scene(&self, now_ms: i64) -> Result<Scene> {
        let mut scene = self.base_scene()?;
        if let Some(seed) = self.seed {
            scene.seed = seed;
        }
        if let Some(per_second) = self.rate.filter(|rate| *rate > 0.0) {
            scene.rate = Rate::Constant { per_second };
        }
        if let Some(n_sensors) = self.sensors {
            match &mut scene.sensors[..] {
                [group] => group.count = n_sensors,
                groups => bail!(
                    "--sensors changes the one group of a scene, {} has {}: set count in its file",
                    scene.name,
                    groups.len()
                ),
            }
        }
        if let Some(probability) = self.anomaly_rate {
            if !(0.0..=1.0).contains(&probability) {
                bail!("--anomaly-rate must be 0 to 1, found {probability}");
            }
            match &mut scene.faults[..] {
                [_] if probability == 0.0 => scene.faults.clear(),
                [fault] => fault.probability = probability,
                faults => bail!(
                    "--anomaly-rate changes the one fault of a scene, {} has {}: set probability \
                     in its file",
                    scene.name,
                    faults.len()
                ),
            }
        }
        match self.format {
            Some(TextFormat::Json) => scene.format.kind = FormatKind::Json,
            Some(TextFormat::Csv) => scene.format.kind = FormatKind::Csv,
            None => {}
        }
        if self.format.is_some() {
            scene.format = Format { template: None, key_field: None, ..scene.format };
        }
        if self.key_field.is_some() {
            scene.format.key_field.clone_from(&self.key_field);
        }
        let now = || DateTime::<Utc>::from_timestamp_millis(now_ms).unwrap_or_default();
        match self.start.as_deref() {
            Some("now") => scene.start = Some(now().to_rfc3339_opts(SecondsFormat::Millis, true)),
            Some(start) => scene.start = Some(start.to_owned()),
            None if scene.start.is_none() && self.is_paced() => {
                scene.start = Some(now().to_rfc3339_opts(SecondsFormat::Millis, true));
            }
            None => {}
        }
        scene.validate()?;
        Ok(scene)
    }

    fn base_scene(&self) -> Result<Scene> {
        if let Some(path) = &self.template {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the template {}", path.display()))?;
            return Scene::of_template(&text).with_context(|| path.display().to_string());
        }
        if let Some(scene) = Scene::named(&self.scene) {
            return Ok(scene);
        }
        let text = std::fs::read_to_string(&self.scene).with_context(|| {
            let names: Vec<&str> = SCENES.iter().map(|(name, _)| *name).collect();
            format!(
                "{} is neither a scene that ships ({}) nor a file",
                self.scene,
                names.join(", ")
            )
        })?;
        let mut scene = Scene::from_toml(&text).with_context(|| self.scene.clone())?;
        if scene.name.is_empty() {
            scene.name.clone_from(&self.scene);
        }
        Ok(scene)
    }

    /// Whether records come at the scene's pace.
    pub(crate) fn is_paced(&self) -> bool {
        self.rate != Some(0.0)
    }

    /// Where records go.
    pub(crate) fn output(&self, scene: &Scene) -> Output {
        match (&self.stream, &self.firehose, &self.file) {
            _ if self.stdout => Output::Stdout,
            (Some(stream), ..) => Output::Kinesis { stream: stream.clone() },
            (_, Some(name), _) => Output::Firehose { delivery_stream: name.clone() },
            (.., Some(path)) => Output::File { path: path.display().to_string() },
            _ => {
                let default = || Output::Kinesis { stream: "RawStreamData".to_owned() };
                scene.output.clone().unwrap_or_else(default)
            }
        }
    }

    /// How the service is reached: by the flag, or by the environment; else that of AWS.
    pub(crate) fn connection(&self, output: &Output) -> ConnectionSettings {
        let variable = match output {
            Output::Firehose { .. } => "AWS_ENDPOINT_URL_FIREHOSE",
            _ => "AWS_ENDPOINT_URL_KINESIS",
        };
        let of_environment = || {
            let set = |variable| std::env::var(variable).ok().filter(|url| !url.is_empty());
            set(variable).or_else(|| set("AWS_ENDPOINT_URL"))
        };
        ConnectionSettings {
            region: self.region.clone(),
            endpoint_url: self.endpoint_url.clone().or_else(of_environment),
        }
    }

    /// Whether a stream that does not exist is created: at endpoints other than AWS's, or if asked.
    pub(crate) fn may_create_stream(&self, connection: &ConnectionSettings) -> bool {
        self.create_stream || !is_on_aws(connection)
    }

    /// How records are put: the defaults, but for what the command line says.
    pub(crate) fn producer_settings(
        &self,
        stream: &str,
        connection: &ConnectionSettings,
    ) -> ProducerSettings {
        let settings = if self.shard_limits.unwrap_or(is_on_aws(connection)) {
            ProducerSettings::new(stream)
        } else {
            ProducerSettings::unlimited(stream)
        };
        ProducerSettings {
            max_buffered_bytes: MAX_BUFFERED_BYTES,
            aggregate: self.aggregate,
            // The longer a reading waits, the more go together.
            linger_ms: if self.aggregate { AGGREGATE_LINGER_MS } else { settings.linger_ms },
            ..settings
        }
    }

    /// Where records go, for a person.
    pub(crate) fn target(&self, output: &Output, connection: &ConnectionSettings) -> String {
        let name = match output {
            Output::Stdout => return "standard output".to_owned(),
            Output::File { path } => return format!("file {path}"),
            Output::Kinesis { stream } => format!("stream {stream}"),
            Output::Firehose { delivery_stream } => format!("delivery stream {delivery_stream}"),
        };
        match (&connection.endpoint_url, &self.region) {
            (Some(endpoint), _) => format!("{name} at {endpoint}"),
            (None, Some(region)) => format!("{name} in {region}"),
            (None, None) => name,
        }
    }
}

fn is_on_aws(connection: &ConnectionSettings) -> bool {
    connection.endpoint_url.as_ref().is_none_or(|url| url.contains(".amazonaws.com"))
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && (rate == 0.0 || rate >= MIN_RATE) => Ok(rate),
        _ => Err(format!("expected 0 or at least {MIN_RATE}")),
    }
}

/// What waits for the stream at most: at Ctrl-C all of it is still sent.
const MAX_BUFFERED_BYTES: u32 = 4 * 1024 * 1024;

/// The producer library's default.
const AGGREGATE_LINGER_MS: u64 = 100;

/// One record a day: slower is a mistake.
const MIN_RATE: f64 = 1.0 / 86_400.0;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn options(arguments: &[&str]) -> Options {
        Options::parse_from([&["eddy-sensor"][..], arguments].concat())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_the_walkthroughs() {
        let scene = options(&["--rate", "0"]).scene(0).expect("valid");
        assert_eq!(Some(&scene), Scene::named("walkthrough").as_ref());
        let output = options(&[]).output(&scene);
        assert_eq!(output, Output::Kinesis { stream: "RawStreamData".to_owned() });
    }

    #[test]
    fn records_at_their_pace_begin_now_and_others_where_the_scene_does() {
        let start = |arguments: &[&str]| options(arguments).scene(1_000).expect("valid").start;
        assert_eq!(start(&[]).as_deref(), Some("1970-01-01T00:00:01.000Z"));
        assert_eq!(start(&["--rate", "0"]), None);
        assert_eq!(
            start(&["--rate", "0", "--start", "now"]).as_deref(),
            Some("1970-01-01T00:00:01.000Z")
        );
        let given = "2026-02-01T00:00:00Z";
        assert_eq!(start(&["--start", given]).as_deref(), Some(given));
    }

    #[test]
    fn streams_are_created_on_first_use_but_on_aws_only_if_asked() {
        let creates = |arguments: &[&str]| {
            let options = options(arguments);
            let output = Output::Kinesis { stream: "s".to_owned() };
            options.may_create_stream(&options.connection(&output))
        };
        assert!(creates(&["--endpoint-url", "http://127.0.0.1:4567"]));
        let aws = ["--endpoint-url", "https://kinesis.eu-west-1.amazonaws.com"];
        assert!(!creates(&aws));
        assert!(creates(&[&aws[..], &["--create-stream"]].concat()));
    }

    #[test]
    fn shards_are_spared_on_aws_or_if_asked() {
        let limited = |arguments: &[&str]| {
            let options = options(arguments);
            let connection = options.connection(&Output::Kinesis { stream: "s".to_owned() });
            options.producer_settings("s", &connection).shard_limits.is_some()
        };
        let aws = ["--endpoint-url", "https://kinesis.eu-west-1.amazonaws.com"];
        let local = ["--endpoint-url", "http://127.0.0.1:4567"];
        assert!(limited(&aws) && !limited(&local));
        assert!(limited(&[&local[..], &["--shard-limits", "true"]].concat()));
        assert!(!limited(&[&aws[..], &["--shard-limits", "false"]].concat()));
    }

    #[test]
    fn rates_are_zero_or_more() {
        assert_eq!(rate("0"), Ok(0.0));
        assert_eq!(rate("0.5"), Ok(0.5));
        for bad in ["-1", "NaN", "inf", "1e-9", "ten", ""] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }
}
