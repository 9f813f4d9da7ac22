//! What a Firehose sink is told.

use eddy_aws::ConnectionSettings;
use serde::{Deserialize, Serialize};

use crate::limits::GIVE_UP_AFTER_MS;

/// Settings of a [`FirehoseSink`](crate::FirehoseSink).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirehoseSettings {
    /// The delivery stream's name; it must exist, with direct PUT as its source.
    pub delivery_stream: String,
    /// How to reach Firehose.
    #[serde(default)]
    pub connection: ConnectionSettings,
    /// How long rows are tried again before the partition starts again at its last commit, in
    /// milliseconds. Default: 300 000.
    #[serde(default = "give_up_after_ms")]
    pub give_up_after_ms: u64,
}

fn give_up_after_ms() -> u64 {
    GIVE_UP_AFTER_MS
}

impl FirehoseSettings {
    /// The defaults.
    pub fn new(delivery_stream: &str) -> Self {
        Self {
            delivery_stream: delivery_stream.to_owned(),
            connection: ConnectionSettings::default(),
            give_up_after_ms: GIVE_UP_AFTER_MS,
        }
    }
}
