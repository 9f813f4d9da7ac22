//! Readings into a Kinesis stream.

use anyhow::{Context, Result, bail};
use eddy_kinesis::{
    Client, ConnectionSettings, KinesisSource, Producer, ReadSettings, client, ensure_stream,
};
use eddy_sensors::Reading;
use eddy_stream::Source;

use crate::options::Options;
use crate::report::Delivered;

/// A stream as a receiver of readings.
pub(crate) struct Stream {
    producer: Producer,
    created: bool,
}

impl Stream {
    /// Connects and sees to it that the stream exists.
    pub(crate) async fn open(options: &Options) -> Result<Self> {
        let settings = ConnectionSettings {
            region: options.region.clone(),
            endpoint_url: options.endpoint().map(str::to_owned),
        };
        let client = client(&settings).await;
        let created = if options.may_create_stream() {
            ensure_stream(&client, &options.stream, 1).await?
        } else {
            must_exist(&client, &options.stream).await?;
            false
        };
        Ok(Self { producer: Producer::new(client, options.producer_settings()), created })
    }

    /// Whether the stream did not exist before.
    pub(crate) fn created(&self) -> bool {
        self.created
    }

    /// Hands a reading over; waits while too many are under way.
    ///
    /// The producer has tried long and often before it gives a record up: the first one lost ends
    /// the work.
    pub(crate) async fn put(&self, reading: &Reading) -> Result<()> {
        if self.producer.counts().failed > 0 {
            let reason = self.producer.last_error().unwrap_or_default();
            bail!("readings could not be delivered: {reason}");
        }
        self.producer.put(&reading.name, reading.to_json().into()).await?;
        Ok(())
    }

    /// Waits for all readings handed over.
    pub(crate) async fn finish(&self) -> Delivered {
        let counts = self.producer.flush().await;
        Delivered {
            acknowledged: counts.acknowledged,
            failed: counts.failed,
            retried: counts.retried,
        }
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
