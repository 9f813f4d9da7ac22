//! Documents as they are committed, for whoever watches.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::limits::{MAX_LIVE_DOCUMENTS, MAX_LIVE_MESSAGES};

/// A document that has just become durable and searchable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveDocument {
    /// The index that holds it.
    pub index: Arc<str>,
    /// Its id.
    pub id: Arc<str>,
    /// Its source, a JSON object.
    pub source: Arc<str>,
}

/// Sends committed documents to all subscribers; without any it does nothing.
pub(crate) struct Live(broadcast::Sender<Arc<[LiveDocument]>>);

impl Live {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(MAX_LIVE_MESSAGES))
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<[LiveDocument]>> {
        self.0.subscribe()
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub(crate) fn send(&self, documents: &[LiveDocument]) {
        for chunk in documents.chunks(MAX_LIVE_DOCUMENTS) {
            // It fails only when the last subscriber has just left.
            let _ = self.0.send(chunk.into());
        }
    }
}
