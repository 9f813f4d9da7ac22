//! Reading ahead: the next batches are fetched while the last one is scored and delivered.

use std::task::{Context, Poll};

use eddy_stream::{Batch, PartitionReader, StreamError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Batches that wait at most; a batch's bytes are bounded by its source.
pub(crate) const PREFETCH_BATCHES: usize = 2;

/// A partition being read, ahead of the worker or in step with it.
pub(crate) enum Reading {
    Ahead(Prefetch),
    InStep(Box<dyn PartitionReader>),
}

impl Reading {
    /// The next batch; `None` at the partition's end. Cancelling loses nothing that is read ahead.
    pub(crate) async fn next(&mut self) -> Result<Option<Batch>, StreamError> {
        match self {
            Self::Ahead(prefetch) => prefetch.batches.recv().await.transpose(),
            Self::InStep(reader) => reader.next().await,
        }
    }
}

/// A partition reader at work in a task of its own, which ends when this is dropped.
pub(crate) struct Prefetch {
    batches: mpsc::Receiver<Result<Batch, StreamError>>,
    task: JoinHandle<()>,
}

impl Prefetch {
    pub(crate) fn new(mut reader: Box<dyn PartitionReader>) -> Self {
        let (sender, batches) = mpsc::channel(PREFETCH_BATCHES);
        let task = tokio::spawn(async move {
            while let Some(batch) = reader.next().await.transpose() {
                let failed = batch.is_err();
                if sender.send(batch).await.is_err() || failed {
                    break;
                }
            }
        });
        Self { batches, task }
    }
}

impl Prefetch {
    /// The next batch, if it is there; `None` at the partition's end.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Batch>, StreamError>> {
        self.batches.poll_recv(cx).map(Option::transpose)
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
