//! PutRecordBatch.

use aws_sdk_firehose::Client;
use aws_sdk_firehose::primitives::Blob;
use aws_sdk_firehose::types::Record;
use eddy_aws::{CallError, SdkConfig};

use super::FirehoseSettings;
use super::request::Entry;

/// The entries that a request did not deliver, in order.
pub(super) struct Failed {
    pub(super) entries: Vec<Entry>,
    /// Why the last of them was not taken.
    pub(super) reason: String,
}

pub(super) struct Service {
    client: Client,
    delivery_stream: String,
}

impl Service {
    pub(super) fn over(settings: &FirehoseSettings, config: &SdkConfig) -> Self {
        Self { client: Client::new(config), delivery_stream: settings.delivery_stream.clone() }
    }

    /// Whether the delivery stream is there.
    pub(super) async fn describe(&self) -> Result<(), CallError> {
        let call = self.client.describe_delivery_stream();
        let call = call.delivery_stream_name(&self.delivery_stream);
        call.send().await.map(drop).map_err(CallError::new)
    }

    /// One request.
    pub(super) async fn put(&self, batch: &[Entry]) -> Result<Failed, CallError> {
        let records = batch.iter().map(|entry| {
            Record::builder().data(Blob::new(entry.line.to_vec())).build().expect("the data is set")
        });
        let call = self
            .client
            .put_record_batch()
            .delivery_stream_name(&self.delivery_stream)
            .set_records(Some(records.collect()));
        let answer = call.send().await.map_err(CallError::new)?;
        let mut results = answer.request_responses.into_iter();
        let mut failed = Failed { entries: Vec::new(), reason: String::new() };
        for entry in batch {
            // An answer that is too short acknowledges nothing.
            match results.next() {
                Some(result) if result.error_code.is_none() && result.record_id.is_some() => {}
                result => {
                    let (code, message) =
                        result.map(|r| (r.error_code, r.error_message)).unwrap_or_default();
                    failed.reason = format!(
                        "{}: {}",
                        code.as_deref().unwrap_or("no answer"),
                        message.as_deref().unwrap_or("no message")
                    );
                    failed.entries.push(entry.clone());
                }
            }
        }
        Ok(failed)
    }
}
