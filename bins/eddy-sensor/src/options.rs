//! The command line.

use clap::Parser;
use clap::error::ErrorKind;
use eddy_kinesis::ProducerSettings;
use eddy_sensors::SensorSettings;

/// Simulates sensors: puts readings with known anomalies into a Kinesis stream.
///
/// A reading is {"iotName":"DemoSensor","iotValue":n}, n uniform in 10..=20, an anomaly uniform in
/// 100..=120; its partition key is the sensor's name. The same seed gives the same bytes.
#[derive(Clone, Debug, Parser)]
#[command(version, after_help = "Exit codes: 0 done, 1 a reading could not be delivered, 2 usage.")]
pub(crate) struct Options {
    /// The stream to put readings into.
    #[arg(long, default_value = "RawStreamData", value_name = "NAME")]
    pub(crate) stream: String,

    /// Records a second, of all sensors together; 0 for as fast as possible.
    #[arg(long, default_value_t = 10.0, value_name = "N", value_parser = rate)]
    pub(crate) rate: f64,

    /// Stop after so many records [default: at Ctrl-C].
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,

    /// How many sensors take turns: DemoSensor, or DemoSensor-1, DemoSensor-2 and so on.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) sensors: u32,

    /// The probability that a reading is an anomaly.
    #[arg(long, default_value_t = 0.01, value_name = "P")]
    pub(crate) anomaly_rate: f64,

    /// What the readings are drawn from.
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub(crate) seed: u64,

    /// Another endpoint than that of AWS, such as http://127.0.0.1:4567; there a stream that does
    /// not exist is created.
    #[arg(long, env = "AWS_ENDPOINT_URL_KINESIS", value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,

    // What the SDK takes for all services; a command line has the flag above.
    #[arg(long, env = "AWS_ENDPOINT_URL", hide = true)]
    endpoint_of_all: Option<String>,

    /// The stream's region [default: that of the AWS configuration].
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,

    /// Create the stream, with one shard, if it does not exist on AWS; this costs money.
    #[arg(long, conflicts_with = "stdout")]
    pub(crate) create_stream: bool,

    /// Put readings of one sensor that wait together as one record of the stream, in the format of
    /// Amazon's Kinesis Producer Library (eddy and Amazon's KCL take it apart again): a shard takes
    /// 1000 records a second, and so many more readings.
    #[arg(long, conflicts_with = "stdout")]
    pub(crate) aggregate: bool,

    /// Whether no shard is sent more than the service lets it take: 1000 records and 1 MiB a second,
    /// after a burst of as much [default: true on AWS, false at other endpoints].
    #[arg(long, value_name = "BOOL", conflicts_with = "stdout")]
    pub(crate) shard_limits: Option<bool>,

    /// Write the readings to standard output, one a line, and to no stream.
    #[arg(long)]
    pub(crate) stdout: bool,

    /// Print nothing but errors and the counts at the end.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl Options {
    /// Reads the command line; where it makes no sense, says so and exits with 2.
    pub(crate) fn read() -> Self {
        let options = Self::parse();
        if let Err(error) = options.sensor_settings().validate() {
            use clap::CommandFactory;
            Self::command().error(ErrorKind::ValueValidation, error).exit();
        }
        options
    }

    /// The endpoint asked for, by the flag or by the environment; `None` for that of AWS.
    pub(crate) fn endpoint(&self) -> Option<&str> {
        self.endpoint_url.as_deref().or(self.endpoint_of_all.as_deref())
    }

    /// Whether a stream that does not exist is created: at endpoints other than AWS's, or if asked.
    pub(crate) fn may_create_stream(&self) -> bool {
        self.create_stream || !self.is_on_aws()
    }

    fn is_on_aws(&self) -> bool {
        self.endpoint().is_none_or(|url| url.contains(".amazonaws.com"))
    }

    /// How readings are put: the defaults, but for what the command line says.
    pub(crate) fn producer_settings(&self) -> ProducerSettings {
        let settings = if self.shard_limits.unwrap_or(self.is_on_aws()) {
            ProducerSettings::new(&self.stream)
        } else {
            ProducerSettings::unlimited(&self.stream)
        };
        ProducerSettings {
            max_buffered_bytes: MAX_BUFFERED_BYTES,
            aggregate: self.aggregate,
            // The longer a reading waits, the more go together.
            linger_ms: if self.aggregate { AGGREGATE_LINGER_MS } else { settings.linger_ms },
            ..settings
        }
    }

    /// Where readings go, for a person.
    pub(crate) fn target(&self) -> String {
        match (self.stdout, self.endpoint(), &self.region) {
            (true, ..) => "standard output".to_owned(),
            (_, Some(endpoint), _) => format!("stream {} at {endpoint}", self.stream),
            (_, None, Some(region)) => format!("stream {} in {region}", self.stream),
            (_, None, None) => format!("stream {}", self.stream),
        }
    }

    pub(crate) fn sensor_settings(&self) -> SensorSettings {
        SensorSettings {
            n_sensors: self.sensors,
            anomaly_rate: self.anomaly_rate,
            seed: self.seed,
            names: Vec::new(),
        }
    }
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

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_the_walkthroughs() {
        let options = Options::parse_from(["eddy-sensor"]);
        assert_eq!(options.stream, "RawStreamData");
        assert_eq!(options.sensor_settings(), SensorSettings::default());
    }

    #[test]
    fn streams_are_created_on_first_use_but_on_aws_only_if_asked() {
        let creates = |arguments: &[&str]| {
            Options::parse_from([&["eddy-sensor"][..], arguments].concat()).may_create_stream()
        };
        assert!(creates(&["--endpoint-url", "http://127.0.0.1:4567"]));
        assert!(!creates(&["--endpoint-url", "https://kinesis.eu-west-1.amazonaws.com"]));
        assert!(creates(&[
            "--endpoint-url",
            "https://kinesis.eu-west-1.amazonaws.com",
            "--create-stream",
        ]));
    }

    #[test]
    fn shards_are_spared_on_aws_or_if_asked() {
        let limited = |arguments: &[&str]| {
            let options = Options::parse_from([&["eddy-sensor"][..], arguments].concat());
            options.producer_settings().shard_limits.is_some()
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
