//! What a Firehose sink is told.

use eddy_aws::ConnectionSettings;
use eddy_record::RowText;
use serde::{Deserialize, Serialize};

use crate::limits::{ANSWER_WITHIN_MS, GIVE_UP_AFTER_MS};

/// Settings of a [`FirehoseSink`](crate::FirehoseSink).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirehoseSettings {
    /// The delivery stream's name; it must exist, with direct PUT as its source.
    pub delivery_stream: String,
    /// How a row is written: `json` (the default) or `csv`, which is the columns' values without a
    /// header. Either way a record is a line with its end.
    #[serde(default)]
    pub format: RowText,
    /// How to reach Firehose.
    #[serde(default)]
    pub connection: ConnectionSettings,
    /// How long rows are tried again before the partition starts again at its last commit, in
    /// milliseconds. Default: 300 000.
    #[serde(default = "give_up_after_ms")]
    pub give_up_after_ms: u64,
    /// How long Firehose may give no answer at the start before that is an error, in milliseconds.
    /// Default: 30 000.
    #[serde(default = "answer_within_ms")]
    pub answer_within_ms: u64,
}

fn give_up_after_ms() -> u64 {
    GIVE_UP_AFTER_MS
}

fn answer_within_ms() -> u64 {
    ANSWER_WITHIN_MS
}

impl FirehoseSettings {
    /// The defaults.
    pub fn new(delivery_stream: &str) -> Self {
        Self {
            delivery_stream: delivery_stream.to_owned(),
            format: RowText::default(),
            connection: ConnectionSettings::default(),
            give_up_after_ms: GIVE_UP_AFTER_MS,
            answer_within_ms: ANSWER_WITHIN_MS,
        }
    }
}
