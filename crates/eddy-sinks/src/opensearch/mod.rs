//! Rows into OpenSearch or Elasticsearch by `_bulk`.

mod answer;
mod auth;
mod index_name;
mod request;
mod service;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use eddy_record::ScoredRecord;
use eddy_stream::{Backoff, FailureLog, Rejected, Sink, StreamError};

use answer::{Answer, Item};
use request::Document;
use service::Service;
pub use service::Transport;
pub use settings::{Auth, OpenSearchSettings, Rotation, WriteAs};

/// Writes rows to an index, under ids made of their positions: a replay overwrites.
///
/// Of each request exactly the documents that failed with 429 or 5xx are tried again; those that
/// the service refuses for another reason are answered with it. A request that is too large for
/// the service is cut in half.
pub struct OpenSearchSink {
    service: Service,
    settings: OpenSearchSettings,
}

impl OpenSearchSink {
    /// Checks the settings and connects; nothing is sent yet.
    ///
    /// # Errors
    /// The URL, the certificate or a variable of the environment cannot be used.
    pub async fn open(settings: &OpenSearchSettings) -> Result<Self, StreamError> {
        Ok(Self { service: Service::connect(settings).await?, settings: settings.clone() })
    }

    /// The same over a transport of the caller's: a proxy, a double.
    ///
    /// # Errors
    /// As [`OpenSearchSink::open`].
    pub async fn over(
        settings: &OpenSearchSettings,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, StreamError> {
        let service = Service::over(settings, transport).await?;
        Ok(Self { service, settings: settings.clone() })
    }

    /// Sends a batch until each of its documents is stored or refused.
    async fn settle(
        &self,
        batch: Vec<Document>,
        rejected: &mut Vec<Rejected>,
    ) -> Result<(), StreamError> {
        let give_up_after = Duration::from_millis(self.settings.give_up_after_ms);
        let mut pause =
            Backoff::new(Duration::from_millis(100), Duration::from_secs(10), &self.settings.url);
        let mut failures = FailureLog::default();
        // What is left, the next last.
        let mut work = vec![batch];
        while let Some(mut batch) = work.pop() {
            let reason = match self.service.bulk(&batch).await {
                Answer::Items(items) => {
                    let n_sent = batch.len();
                    let (left, reason) = sort_out(batch, items, rejected);
                    if left.len() < n_sent {
                        pause.reset();
                    }
                    if left.is_empty() {
                        continue;
                    }
                    work.push(left);
                    reason
                }
                Answer::TooLarge if batch.len() == 1 => {
                    let reason = "413: the document is too large for the service".to_owned();
                    rejected.push(Rejected { row_idx: batch[0].row_idx, reason });
                    continue;
                }
                Answer::TooLarge => {
                    let second = batch.split_off(batch.len() / 2);
                    work.extend([second, batch]);
                    continue;
                }
                Answer::Later(reason) => {
                    work.push(batch);
                    reason
                }
                Answer::Fatal(error) => return Err(error),
            };
            if pause.failing_for() >= give_up_after {
                let context = format!("{} keeps failing", self.settings.url);
                return Err(StreamError::retry(context).with_source(reason));
            }
            if let Some(failing_for) = failures.failed() {
                let n_left = work.last().map_or(0, Vec::len);
                tracing::warn!(
                    url = self.settings.url,
                    n_left,
                    reason,
                    ?failing_for,
                    "sending again"
                );
            }
            pause.wait().await;
        }
        Ok(())
    }
}

/// The documents to send again, with the reason of the last, while refused ones join `rejected`.
fn sort_out(
    batch: Vec<Document>,
    items: Vec<Item>,
    rejected: &mut Vec<Rejected>,
) -> (Vec<Document>, String) {
    let mut left = Vec::new();
    let mut last_reason = String::new();
    for (document, item) in batch.into_iter().zip(items) {
        match item {
            Item::Stored => {}
            Item::Later(reason) => {
                left.push(document);
                last_reason = reason;
            }
            Item::Refused(reason) => rejected.push(Rejected { row_idx: document.row_idx, reason }),
        }
    }
    (left, last_reason)
}

#[async_trait]
impl Sink for OpenSearchSink {
    fn name(&self) -> &str {
        "opensearch"
    }

    async fn write(&self, rows: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        let mut rejected = Vec::new();
        for batch in request::batches(&self.settings, rows) {
            self.settle(batch, &mut rejected).await?;
        }
        rejected.sort_unstable_by_key(|rejected| rejected.row_idx);
        Ok(rejected)
    }
}
