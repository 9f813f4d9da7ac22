//! A daemon on standard input and output, from its first message to its last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eddy_record::Position;
use eddy_stream::{ErrorKind, StreamError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::{Instant, timeout_at};

use crate::lines::read_messages;
use crate::messages::{Lease, Message};
use crate::session::{End, Refusal, Session};

/// How long the checkpoint at a shard's end, or before a shutdown, is tried again.
const LAST_CHECKPOINT_WITHIN: Duration = Duration::from_secs(60);
/// How long the daemon may take to notice that the lease is lost, after the state was taken over.
/// It renews its leases several times in `failoverTimeMillis`, 10 s by default.
const LOST_WITHIN: Duration = Duration::from_secs(60);

/// Why the pipeline has to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It has not.
    No,
    /// The daemon wants to give the shard up and waits until everything read is settled.
    Asked,
    /// The daemon is gone.
    Closed,
}

/// The daemon's end of standard input and output. Cloning is cheap.
#[derive(Clone)]
pub struct Connection {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    // Held by the reader as long as it waits for records, afterwards by `finish`.
    pub(crate) session: Mutex<Session>,
    // What the pipeline has committed.
    pub(crate) committed: watch::Sender<Option<Position>>,
    // Whether the pipeline's state says that the shard has ended.
    pub(crate) finished: AtomicBool,
    pub(crate) ending: watch::Sender<Ending>,
}

impl Connection {
    /// Waits until the daemon says which shard this process is to work on; `None` where it ends
    /// before. The daemon waits in turn until [`KclSource`](crate::KclSource)'s reader is asked for
    /// records.
    ///
    /// # Errors
    /// Standard input cannot be read, or holds what no daemon sends.
    pub async fn accept(
        input: impl AsyncRead + Send + Unpin + 'static,
        output: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Option<(Self, Lease)>, StreamError> {
        let (sender, messages) = mpsc::channel(1);
        let ending = watch::Sender::new(Ending::No);
        tokio::spawn(read_messages(input, sender, ending.clone()));
        let mut session = Session::new(messages, Box::new(output));
        loop {
            match session.receive().await? {
                None => return Ok(None),
                Some(Message::Initialize(lease)) => {
                    session.begin(&lease);
                    let session = Mutex::new(session);
                    let shared = Shared {
                        session,
                        committed: watch::Sender::new(None),
                        finished: AtomicBool::new(false),
                        ending,
                    };
                    return Ok(Some((Self { shared: Arc::new(shared) }, lease)));
                }
                Some(message) => {
                    tracing::warn!(?message, "skipped a message that came before the first");
                }
            }
        }
    }

    /// Says when the pipeline has to stop, and why.
    pub fn ending(&self) -> watch::Receiver<Ending> {
        self.shared.ending.subscribe()
    }

    /// Ends the work on the shard, the pipeline having come to rest as `outcome` says: makes the
    /// last checkpoint, answers what the daemon waits for, and waits until it closes standard input.
    /// A lost lease is no error: the shard is another process's.
    ///
    /// # Errors
    /// The pipeline's own but for a lost lease; a shard's end that the lease cannot be told.
    pub async fn finish(&self, outcome: Result<(), StreamError>) -> Result<(), StreamError> {
        let mut session = self.shared.session.lock().await;
        let mut lost = None;
        match outcome {
            Err(error) if error.kind() == ErrorKind::Lost => {
                tracing::info!(reason = %error, "the shard is another process's from here on");
                if session.end() != Some(End::Lost) {
                    lost = Some((error, Instant::now() + LOST_WITHIN));
                }
            }
            Err(error) => return Err(error),
            Ok(())
                if session.end() == Some(End::Shard)
                    && !self.shared.finished.load(Ordering::Acquire) =>
            {
                // Its end would give up what is not settled, and start its children without it.
                return Err(StreamError::fatal(
                    "stopped before the shard was settled to its end; the rest is read again when \
                     the daemon starts again",
                ));
            }
            Ok(()) => {
                let committed = self.shared.committed.borrow().clone();
                match session.last_checkpoint(committed.as_ref(), LAST_CHECKPOINT_WITHIN).await {
                    Ok(()) | Err(Refusal::Lost) => {}
                    Err(Refusal::Closed) => return Ok(()),
                    Err(Refusal::Failed(name)) if session.end() == Some(End::Shard) => {
                        return Err(StreamError::fatal(format!(
                            "the lease cannot be told that the shard has ended: {name}"
                        )));
                    }
                    // What is settled is in our state; the next owner skips it.
                    Err(Refusal::Failed(_)) => {}
                }
                if session.end().is_none() {
                    return Ok(());
                }
            }
        }
        session.answer().await;
        loop {
            let received = match &lost {
                Some((_, deadline)) => timeout_at(*deadline, session.receive()).await,
                None => Ok(session.receive().await),
            };
            let Ok(message) = received else {
                let (error, _) = lost.expect("only a lost state has a deadline");
                return Err(StreamError::fatal(format!(
                    "another process has taken the shard's state over, and {} s later the daemon \
                     still has the lease: does something else work on this state?",
                    LOST_WITHIN.as_secs()
                ))
                .with_source(error));
            };
            match message? {
                None => return Ok(()),
                Some(Message::ShardEnded) => {
                    return Err(StreamError::fatal(
                        "the shard has ended, and its state is another process's",
                    ));
                }
                Some(Message::LeaseLost | Message::ShutdownRequested) => lost = None,
                // Not ours any more: nothing of it is settled, nothing is checkpointed.
                Some(_) => {}
            }
            session.answer().await;
        }
    }
}
