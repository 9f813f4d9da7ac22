//! Rows into OpenSearch or Elasticsearch by `_bulk`.

mod answer;
mod auth;
mod check;
mod dashboards;
mod index_name;
mod install;
mod request;
mod service;
mod settings;
mod template;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use eddy_record::{Schema, ScoredRecord};
use eddy_stream::{Backoff, FailureLog, Rejected, Sink, StreamError};
use serde_json::Value;

use answer::{Answer, Item};
pub use dashboards::{Dashboards, Imported};
use index_name::index_name;
use request::Document;
use service::Service;
pub use service::Transport;
pub use settings::{Auth, InstallSettings, OpenSearchSettings, Rotation, WriteAs};

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

    /// Puts index template and lifecycle policy for rows of that schema, where the settings ask for
    /// it. Doing it again changes nothing.
    ///
    /// # Errors
    /// The service refuses or denies it, does not know it, or keeps failing.
    pub async fn install(&self, schema: &Schema) -> Result<(), StreamError> {
        match self.settings.install {
            Some(wanted) => install::install(&self.service, &self.settings, wanted, schema).await,
            None => Ok(()),
        }
    }

    /// Looks at the index that rows of this moment go to, so that wrong credentials, and a mapping
    /// that would refuse every row, are known at the start. An index that is not there yet is well;
    /// where looking is not allowed or fails, the first rows will tell.
    ///
    /// # Errors
    /// The service does not know who asks, or the index refuses a column whatever its value.
    pub async fn check(&self, schema: &Schema) -> Result<(), StreamError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let index = index_name(&self.settings.index, self.settings.rotation, now_ms);
        let url = &self.settings.url;
        let (status, body) =
            match self.service.call("GET", &format!("{index}/_mapping"), Vec::new()).await {
                Ok(answer) => answer,
                Err(reason) => {
                    tracing::warn!(url, reason, "cannot look at the index before the start");
                    return Ok(());
                }
            };
        let text = String::from_utf8_lossy(&body);
        let signed = matches!(self.settings.auth, Auth::Aws { .. });
        if status == 401 || status == 403 && signed && check::names_credentials(&text) {
            return Err(StreamError::fatal(format!(
                "{url} does not accept the credentials: check auth and what its variables hold"
            ))
            .with_source(format!("{status}: {}", answer::reason_of(&body))));
        }
        let indices: Value = serde_json::from_slice(&body).unwrap_or_default();
        // An alias answers with all indices behind it, and does not say which of them is written to.
        let found = indices.as_object().filter(|found| status == 200 && found.len() == 1);
        for (name, mapping) in found.into_iter().flatten() {
            if let Some(conflict) = check::conflict(&mapping["mappings"], schema) {
                return Err(StreamError::fatal(format!(
                    "the index {name} of {url} would refuse rows: {conflict}. Write to \
                     another index, or change its mapping or the schema"
                )));
            }
        }
        Ok(())
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
