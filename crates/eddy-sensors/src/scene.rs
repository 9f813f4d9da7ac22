//! What a scene is made of, as a file says it.

use serde::{Deserialize, Serialize};

/// Sensors, what they read, when they fail, how fast they send and in which form.
///
/// A scene and its seed decide every byte. It is written in TOML; docs/sensors.md has all fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    /// What it is called.
    #[serde(default)]
    pub name: String,
    /// What it shows, in a sentence.
    #[serde(default)]
    pub description: String,
    /// The same seed gives the same bytes. Default: 42.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// The time of the first reading, such as `2026-01-05T00:00:00Z` (the default, a Monday).
    pub start: Option<String>,
    /// How many records a second all sensors send together. Default: 10.
    #[serde(default)]
    pub rate: Rate,
    /// What a record looks like.
    #[serde(default)]
    pub format: Format,
    /// What correlated signals have in common.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// The sensors, which take turns.
    #[serde(default)]
    pub sensors: Vec<SensorGroup>,
    /// When and how they fail.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// Records that come late, twice or in another order.
    #[serde(default)]
    pub delivery: Delivery,
    /// How its records are best scored.
    #[serde(default)]
    pub detector: DetectorHint,
    /// Where records go, unless the command line says it.
    pub output: Option<Output>,
}

fn default_seed() -> u64 {
    42
}

/// How fast records come, of all sensors together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Rate {
    /// Always the same.
    Constant {
        /// Records a second, above 0.
        per_second: f64,
    },
    /// By the hour of the day and the day of the week (UTC); how many come in a second is drawn
    /// from a normal distribution.
    Periodic {
        /// The mean, in records a second.
        #[serde(default = "one")]
        per_second: f64,
        /// The standard deviation, in records a second. Default: 0.
        #[serde(default)]
        std_dev: f64,
        /// 24 factors of the mean, from midnight on. Default: all 1.
        #[serde(default)]
        hours: Vec<f64>,
        /// Seven factors of the mean, from Monday on. Default: all 1.
        #[serde(default)]
        weekdays: Vec<f64>,
        /// Seven rows of 24 means, in records a second, from Monday on, in place of the factors.
        #[serde(default)]
        means: Vec<Vec<f64>>,
        /// Seven rows of 24 standard deviations, in place of `std_dev`.
        #[serde(default)]
        std_devs: Vec<Vec<f64>>,
        /// Whether mean and deviation move in a line from one hour's to the next one's. Default:
        /// true.
        #[serde(default = "yes")]
        smooth: bool,
    },
    /// A constant rate with bursts.
    Bursty {
        /// Between bursts, in records a second.
        per_second: f64,
        /// How many times as much in a burst.
        times: f64,
        /// The mean time between two bursts, in seconds; it is drawn from an exponential
        /// distribution.
        every_s: f64,
        /// How long a burst lasts, in seconds.
        lasts_s: f64,
    },
}

impl Default for Rate {
    fn default() -> Self {
        Self::Constant { per_second: 10.0 }
    }
}

fn one() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

/// What a record looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Format {
    /// JSON (the default), CSV or a template.
    #[serde(rename = "type")]
    pub kind: FormatKind,
    /// The field that has the sensor's name. Default: `sensor`.
    pub name_field: String,
    /// The field that has the time. Default: none, a record has no time.
    pub time_field: Option<String>,
    /// How the time is written. Default: `iso8601`.
    pub time_format: TimeFormat,
    /// The template, for `type = "template"`, with the functions of the Kinesis Data Generator.
    pub template: Option<String>,
    /// The field of a template's JSON record that has the partition key. Default: the sensor's
    /// name, or a random key where a scene has no sensors.
    pub key_field: Option<String>,
}

impl Default for Format {
    fn default() -> Self {
        Self {
            kind: FormatKind::default(),
            name_field: "sensor".to_owned(),
            time_field: None,
            time_format: TimeFormat::default(),
            template: None,
            key_field: None,
        }
    }
}

/// How a record is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FormatKind {
    /// An object a record.
    #[default]
    Json,
    /// Values with commas between them.
    Csv,
    /// A text with functions in it.
    Template,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeFormat {
    /// `2026-01-05T00:00:00.000Z`.
    #[default]
    Iso8601,
    /// Milliseconds since 1970.
    EpochMs,
    /// Seconds since 1970, whole.
    EpochS,
}

/// What correlated signals have in common: a factor that moves around 0 with a standard deviation
/// of 1 and has a new value each time that all sensors have had their turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What signals call it.
    pub name: String,
    /// How much of the factor stays from one turn to the next, 0 to below 1. Default: 0.95.
    #[serde(default = "default_memory")]
    pub memory: f64,
}

fn default_memory() -> f64 {
    0.95
}

/// Sensors that read the same things.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SensorGroup {
    /// The name of a single one; of several it is followed by `-1`, `-2` and so on.
    pub name: String,
    /// How many there are. Default: 1.
    #[serde(default = "one_sensor")]
    pub count: u32,
    /// What they read.
    pub fields: Vec<Field>,
}

fn one_sensor() -> u32 {
    1
}

/// One thing that a sensor reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The field's name in the record.
    pub name: String,
    /// What it reads.
    pub signal: Signal,
    /// Digits after the point, 0 to 9. Default: 2. With 0, a `uniform` signal draws whole numbers.
    #[serde(default = "default_decimals")]
    pub decimals: u8,
    /// The standard deviation of a constant that is added for each sensor of the group, so that no
    /// two of them are alike. Default: 0.
    #[serde(default)]
    pub spread: f64,
}

fn default_decimals() -> u8 {
    2
}

/// The ordinary course of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Signal {
    /// Always the same.
    Constant {
        /// The value.
        value: f64,
    },
    /// Every value from `min` to `max` with the same probability.
    Uniform {
        /// The least.
        min: f64,
        /// The greatest.
        max: f64,
    },
    /// Normally distributed.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std_dev: f64,
    },
    /// Each value is the one before it and a normally distributed step.
    RandomWalk {
        /// The first value.
        start: f64,
        /// The step's standard deviation.
        step: f64,
        /// How much of the distance to `start` is taken back at each step, 0 to 1. Default: 0.
        #[serde(default)]
        pull: f64,
        /// A wall from which it is thrown back.
        min: Option<f64>,
        /// The same above.
        max: Option<f64>,
    },
    /// A sine by the time, with seasons.
    Sine {
        /// The middle.
        mean: f64,
        /// The distance of its peaks from the middle.
        amplitude: f64,
        /// From one peak to the next, in seconds.
        period_s: f64,
        /// How much later than at the scene's midnight it begins, in seconds. Default: 0.
        #[serde(default)]
        phase_s: f64,
        /// The standard deviation of what is added to each reading. Default: 0.
        #[serde(default)]
        noise: f64,
        /// More sines that are added, such as a day's.
        #[serde(default)]
        seasons: Vec<Season>,
        /// The factor of all amplitudes on Saturday and Sunday. Default: 1.
        #[serde(default = "one")]
        weekend: f64,
    },
    /// Normally distributed, and correlated with all other signals of its group.
    Correlated {
        /// The group's name.
        group: String,
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std_dev: f64,
        /// The correlation with the group's factor, -1 to 1.
        correlation: f64,
    },
    /// A counter that only goes up.
    Counter {
        /// The first value. Default: 0.
        #[serde(default)]
        start: f64,
        /// How much it goes up at each reading.
        step: f64,
        /// The standard deviation of that, which never makes it go down. Default: 0.
        #[serde(default)]
        jitter: f64,
        /// Where it begins again at 0. Default: never.
        wrap: Option<f64>,
    },
    /// One of several texts.
    Category {
        /// The texts.
        values: Vec<String>,
        /// How often each comes in relation to the others. Default: all alike.
        #[serde(default)]
        weights: Vec<f64>,
    },
}

/// One more sine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Season {
    /// The distance of its peaks from the middle.
    pub amplitude: f64,
    /// From one peak to the next, in seconds.
    pub period_s: f64,
    /// How much later it begins, in seconds. Default: 0.
    #[serde(default)]
    pub phase_s: f64,
}

/// A way in which sensors fail. One sensor has one fault at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// The sensors that may have it; `pump-*` stands for all that begin so. Default: all.
    #[serde(default)]
    pub sensors: Vec<String>,
    /// The field that fails. Default: the first that is a number; a dropout's and swapped
    /// sensors' are all fields.
    pub field: Option<String>,
    /// The probability with which it begins at a reading, 0 to 1. Default: 0.
    #[serde(default)]
    pub probability: f64,
    /// The readings of each sensor, counted from 0, at which it begins.
    #[serde(default)]
    pub at: Vec<u64>,
    /// How many readings it lasts: a number, or `[10, 20]` for a number drawn each time. Default: 1
    /// for spike, dip and correlated break, 20 for all others.
    pub lasts: Option<Span>,
    /// How much it adds (spike, level shift), takes away (dip) or has added at its end (drift), or
    /// the standard deviation of a noise burst.
    pub by: Option<Span>,
    /// What the field reads instead: spike, dip and dropout.
    pub to: Option<Span>,
}

/// A number, or a range from which one is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Span {
    /// Always this.
    One(f64),
    /// From the first to the second.
    Range([f64; 2]),
}

impl Span {
    /// The least and the greatest.
    pub fn bounds(self) -> (f64, f64) {
        match self {
            Self::One(value) => (value, value),
            Self::Range([min, max]) => (min, max),
        }
    }
}

/// What may happen to a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A value far above the ordinary.
    Spike,
    /// A value far below.
    Dip,
    /// A slow departure.
    Drift,
    /// A sudden one that stays for a while.
    LevelShift,
    /// The same value again and again.
    Stuck,
    /// Much more noise.
    NoiseBurst,
    /// No records, or a dead value.
    Dropout,
    /// Two sensors that answer for each other.
    Swapped,
    /// A signal that leaves its correlated group.
    CorrelatedBreak,
}

impl FaultKind {
    /// Its name in scenes and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spike => "spike",
            Self::Dip => "dip",
            Self::Drift => "drift",
            Self::LevelShift => "level_shift",
            Self::Stuck => "stuck",
            Self::NoiseBurst => "noise_burst",
            Self::Dropout => "dropout",
            Self::Swapped => "swapped",
            Self::CorrelatedBreak => "correlated_break",
        }
    }
}

/// Records that do not come once, in time and in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// Records that are sent long after the time in them.
    pub late: Option<Held>,
    /// Records that are sent once more.
    pub duplicate: Option<Held>,
    /// Records that some later ones overtake.
    pub out_of_order: Option<Overtaken>,
}

/// Records that are held back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The probability that one is, 0 to 1.
    pub probability: f64,
    /// For how long, in seconds.
    pub by_s: Span,
}

/// Records that are overtaken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overtaken {
    /// The probability that one is, 0 to 1.
    pub probability: f64,
    /// By how many records.
    pub by_records: Span,
}

/// How a scene's records are best scored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DetectorHint {
    /// The columns that make the point.
    pub columns: Vec<String>,
    /// The column that chooses the model.
    pub key: Option<String>,
    /// Consecutive records that make one point; 0 or 1 for one.
    pub shingle_size: usize,
}

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Output {
    /// A Kinesis stream.
    Kinesis {
        /// Its name.
        stream: String,
    },
    /// A delivery stream of Amazon Data Firehose.
    Firehose {
        /// Its name.
        delivery_stream: String,
    },
    /// A file, one record a line.
    File {
        /// Its path.
        path: String,
    },
    /// Standard output, one record a line.
    Stdout,
}
