//! The daemon's shard as a source.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use eddy_record::{PartitionId, Position, RawRecord, StreamIdentity};
use eddy_stream::{
    Assignment, Batch, ErrorKind, Partition, PartitionReader, Source, Start, StreamError,
};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::connection::{Connection, Ending, Shared};
use crate::messages::{Lease, Message};
use crate::session::{End, Refusal};

/// A wait without records ends with an empty batch, so that what is settled is committed in time.
const IDLE: Duration = Duration::from_secs(1);
/// How long a checkpoint is tried again before records go on without it.
const CHECKPOINT_WITHIN: Duration = Duration::from_secs(10);

/// The one shard that a daemon has given to this process.
///
/// Records come from the daemon, in step with the pipeline: it is asked for more when the
/// sinks have everything before. Where the shard starts is the lease's to say; records up to the pipeline's own
/// position are left out.
pub struct KclSource {
    stream: Arc<dyn Source>,
    connection: Connection,
    lease: Lease,
    partition: OnceCell<Partition>,
}

impl KclSource {
    /// The shard of `lease`; `stream` is asked which stream it belongs to and which its parents are.
    pub fn new(stream: Arc<dyn Source>, connection: Connection, lease: Lease) -> Self {
        Self { stream, connection, lease, partition: OnceCell::new() }
    }
}

#[async_trait]
impl Source for KclSource {
    async fn identity(&self) -> Result<StreamIdentity, StreamError> {
        self.stream.identity().await
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StreamError> {
        let partition = self.partition.get_or_try_init(|| async {
            let listed = self.stream.partitions().await?;
            let found = listed.into_iter().find(|partition| partition.id == self.lease.shard);
            found.ok_or_else(|| {
                StreamError::fatal(format!(
                    "the stream has no shard {}: do the daemon and source.stream name the same \
                     stream?",
                    self.lease.shard
                ))
            })
        });
        Ok(vec![partition.await?.clone()])
    }

    fn assignment(&self) -> Option<Assignment> {
        Some(Assignment { settled: self.lease.checkpoint.clone() })
    }

    fn committed(&self, _partition: &PartitionId, position: &Position) {
        self.connection.shared.committed.send_replace(Some(position.clone()));
    }

    fn finished(&self, _partition: &PartitionId) {
        self.connection.shared.finished.store(true, Ordering::Release);
    }

    async fn open(
        &self,
        _partition: &PartitionId,
        start: &Start,
    ) -> Result<Box<dyn PartitionReader>, StreamError> {
        let shared = Arc::clone(&self.connection.shared);
        let after = match start {
            Start::After(position) => Some(position.clone()),
            Start::TrimHorizon | Start::Latest | Start::AtTimestamp(_) => None,
        };
        let again = shared.session.lock().await.again(after.as_ref())?;
        Ok(Box::new(LeaseReader { shared, after, again }))
    }
}

struct LeaseReader {
    shared: Arc<Shared>,
    after: Option<Position>,
    // Not settled when the partition started again.
    again: Vec<RawRecord>,
}

#[async_trait]
impl PartitionReader for LeaseReader {
    async fn next(&mut self) -> Result<Option<Batch>, StreamError> {
        let mut session = self.shared.session.lock().await;
        let behind_ms = session.behind_ms;
        if !self.again.is_empty() {
            let records = std::mem::take(&mut self.again);
            return Ok(Some(Batch { records, behind_ms, ..Batch::default() }));
        }
        if session.end() == Some(End::Shard) {
            // Said before the partition started again. It is answered when the lease knows the end.
            return Ok(None);
        }
        let committed = self.shared.committed.borrow().clone();
        session.let_go(committed.as_ref());
        match session.checkpoint_up_to(committed.as_ref(), CHECKPOINT_WITHIN).await {
            Ok(()) | Err(Refusal::Failed(_) | Refusal::Closed) => {}
            Err(Refusal::Lost) => {
                return Err(StreamError::new(ErrorKind::Lost, "the lease is another process's"));
            }
        }
        session.answer().await;
        loop {
            // A message that has been received is dealt with before anything waits.
            let Ok(message) = timeout(IDLE, session.receive()).await else {
                return Ok(Some(Batch { behind_ms, ..Batch::default() }));
            };
            match message? {
                Some(Message::Records { mut records, behind_ms }) => {
                    if let Some(after) = &self.after {
                        records.retain(|record| record.position > *after);
                    }
                    session.keep(&records);
                    return Ok(Some(Batch { records, behind_ms, ..Batch::default() }));
                }
                Some(Message::ShardEnded) => return Ok(None),
                Some(Message::LeaseLost) => {
                    return Err(StreamError::new(ErrorKind::Lost, "the lease was lost"));
                }
                Some(Message::ShutdownRequested) => {
                    // A daemon that is gone by now is so for good.
                    self.shared.ending.send_if_modified(|ending| {
                        let asked = *ending == Ending::No;
                        if asked {
                            *ending = Ending::Asked;
                        }
                        asked
                    });
                    // The pipeline is told to stop, and drops this.
                    std::future::pending::<()>().await;
                }
                // `ending` has told the pipeline to stop.
                None => std::future::pending().await,
                Some(message @ (Message::Initialize(_) | Message::Checkpoint { .. })) => {
                    tracing::warn!(?message, "skipped a message that should not come now");
                }
            }
        }
    }
}
