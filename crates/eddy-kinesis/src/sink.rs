//! Rows into a stream.

use async_trait::async_trait;
use bytes::Bytes;
use eddy_record::{RowText, ScoredRecord, Value};
use eddy_stream::{Rejected, Sink, Source as _, StreamError};
use serde::{Deserialize, Serialize};

use crate::limits::MAX_RECORD_BYTES;
use crate::{
    Client, ConnectionSettings, KinesisSource, Producer, ProducerSettings, ReadSettings, client,
};

/// How long rows are tried again before the partition starts again at its last commit.
const GIVE_UP_AFTER_MS: u64 = 300_000;

/// Settings of a [`KinesisSink`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KinesisSinkSettings {
    /// The stream's name or ARN; it must exist.
    pub stream: String,
    /// The column whose value is the partition key, so that rows of one value keep their order.
    /// Default: rows are spread over the shards by their ids.
    pub key: Option<String>,
    /// How a row is written: `json` (the default) or `csv`, which is the columns' values without a
    /// header. A record has no line end.
    #[serde(default)]
    pub format: RowText,
    /// How to reach Kinesis.
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

impl KinesisSinkSettings {
    /// The defaults.
    pub fn new(stream: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            key: None,
            format: RowText::default(),
            connection: ConnectionSettings::default(),
            give_up_after_ms: GIVE_UP_AFTER_MS,
        }
    }
}

/// Puts rows into a stream, a JSON object or a line of CSV a record.
///
/// A stream has no ids: what was put and not yet committed when the process died is put again.
pub struct KinesisSink {
    client: Client,
    settings: KinesisSinkSettings,
}

impl KinesisSink {
    /// Connects; nothing is sent yet.
    pub async fn open(settings: &KinesisSinkSettings) -> Self {
        Self::over(client(&settings.connection).await, settings)
    }

    /// The same over a client of the caller's.
    pub fn over(client: Client, settings: &KinesisSinkSettings) -> Self {
        Self { client, settings: settings.clone() }
    }

    /// Asks for the stream, so that a wrong name or wrong credentials are known at the start.
    ///
    /// # Errors
    /// The stream does not exist or cannot be asked.
    pub async fn check(&self) -> Result<(), StreamError> {
        let stream = &self.settings.stream;
        let source = KinesisSource::new(self.client.clone(), stream, ReadSettings::default());
        source.identity().await.map(drop)
    }

    fn partition_key(&self, row: &ScoredRecord) -> String {
        let key = self.settings.key.as_ref().and_then(|key| row.schema.column_idx(key));
        let value = key.map(|key_idx| &row.values[key_idx]);
        let text = match value {
            Some(Value::Text(text)) => text.to_string(),
            Some(Value::Integer(number)) => number.to_string(),
            Some(Value::Null) | None => row.id.to_string(),
            Some(other) => format!("{other:?}"),
        };
        // A key has 1 to 256 characters; one end of an id tells it from others.
        let skipped = text.chars().count().saturating_sub(MAX_KEY_CHARS);
        let key: String = text.chars().skip(skipped).collect();
        if key.is_empty() { "-".to_owned() } else { key }
    }
}

/// Characters of a partition key (PutRecords).
const MAX_KEY_CHARS: usize = 256;

#[async_trait]
impl Sink for KinesisSink {
    fn name(&self) -> &str {
        "kinesis"
    }

    async fn write(&self, rows: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        // A producer of its own, so that its counts are those of this write.
        let settings = ProducerSettings {
            linger_ms: 0,
            give_up_after_ms: self.settings.give_up_after_ms,
            ..ProducerSettings::new(&self.settings.stream)
        };
        let producer = Producer::new(self.client.clone(), settings);
        let mut rejected = Vec::new();
        for (row_idx, row) in rows.iter().enumerate() {
            let mut data = Vec::new();
            row.write_as(self.settings.format, &mut data);
            let key = self.partition_key(row);
            let n_bytes = key.len() + data.len();
            if n_bytes > MAX_RECORD_BYTES {
                let reason = format!(
                    "the row has {n_bytes} bytes, a stream takes at most {MAX_RECORD_BYTES}"
                );
                rejected.push(Rejected { row_idx, reason });
                continue;
            }
            producer.put(&key, Bytes::from(data)).await?;
        }
        let n_failed = producer.flush().await.failed;
        if n_failed > 0 {
            let stream = &self.settings.stream;
            let context = format!("the stream {stream} has not taken {n_failed} rows");
            let reason = producer.last_error().unwrap_or_default();
            return Err(StreamError::retry(context).with_source(reason));
        }
        Ok(rejected)
    }
}
