//! Records into a Kinesis stream.

use anyhow::{Context, Result, bail};
use eddy_kinesis::{
    Client, ConnectionSettings, KinesisSource, Producer, ReadSettings, client, ensure_stream,
};
use eddy_sensors::SceneRecord;
use eddy_stream::Source;

use crate::options::Options;
use crate::report::Counts;

/// A stream as a receiver of records.
pub(crate) struct Stream {
    producer: Producer,
    created: bool,
}

impl Stream {
    /// Connects and sees to it that the stream exists.
    pub(crate) async fn open(
        options: &Options,
        stream: &str,
        connection: &ConnectionSettings,
    ) -> Result<Self> {
        let client = client(connection).await;
        let created = if options.may_create_stream(connection) {
            ensure_stream(&client, stream, 1).await?
        } else {
            must_exist(&client, stream).await?;
            false
        };
        let settings = options.producer_settings(stream, connection);
        Ok(Self { producer: Producer::new(client, settings), created })
    }

    /// Whether the stream did not exist before.
    pub(crate) fn created(&self) -> bool {
        self.created
    }

    /// Hands a record over; waits while too many are under way.
    ///
    /// The producer has tried long and often before it gives a record up: the first one lost ends
    /// the work.
    pub(crate) async fn put(&self, record: &SceneRecord) -> Result<()> {
        if self.producer.counts().failed > 0 {
            let reason = self.producer.last_error().unwrap_or_default();
            bail!("records could not be delivered: {reason}");
        }
        self.producer.put(&record.key, record.data.clone().into()).await?;
        Ok(())
    }

    /// Waits for all records handed over.
    pub(crate) async fn flush(&self) {
        self.producer.flush().await;
    }

    /// The numbers of those that were given up since this was asked last.
    pub(crate) fn take_failed(&self) -> Vec<u64> {
        self.producer.take_failed()
    }

    pub(crate) fn counts(&self) -> Counts {
        let counts = self.producer.counts();
        Counts { acknowledged: counts.acknowledged, failed: counts.failed, retried: counts.retried }
    }

    /// Why the last record that failed did.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.producer.last_error()
    }
}

async fn must_exist(client: &Client, stream: &str) -> Result<()> {
    let source = KinesisSource::new(client.clone(), stream, ReadSettings::default());
    source.identity().await.map(drop).with_context(|| {
        format!(
            "not sending to {stream} (on AWS a stream costs money: --create-stream creates it, as \
             does `aws kinesis create-stream --stream-name {stream} --shard-count 1`)"
        )
    })
}
