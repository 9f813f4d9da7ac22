//! What has been said so far, and what is owed.

use std::collections::VecDeque;
use std::time::Duration;

use eddy_record::{Position, RawRecord};
use eddy_stream::{Backoff, StreamError};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use crate::messages::{Answer, Lease, Message};

/// Records that are not settled yet are kept for a partition that starts again: this many bytes at
/// most. Beyond it, a restart is left to the daemon.
const MAX_KEPT_BYTES: usize = 64 << 20;
/// What a record takes beside its payload.
const RECORD_BYTES: usize = size_of::<RawRecord>() + 64;

/// How the work on the shard ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The shard has ended.
    Shard,
    /// The daemon wants to give it up.
    Asked,
    /// Another process has it.
    Lost,
}

/// Why a checkpoint was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another process has the lease.
    Lost,
    /// The daemon is gone.
    Closed,
    /// Something else, for longer than it was tried again: an exception's name.
    Failed(String),
}

/// The state of the conversation.
pub(crate) struct Session {
    messages: mpsc::Receiver<Result<Message, StreamError>>,
    output: Box<dyn AsyncWrite + Send + Unpin>,
    // The message that the daemon waits for the status of.
    owed: Option<&'static str>,
    // The last record that came. The daemon refuses checkpoints beyond it.
    received: Option<Position>,
    // The lease's checkpoint, as far as we know.
    checkpointed: Option<Position>,
    kept: VecDeque<RawRecord>,
    kept_bytes: usize,
    // The last record that is not kept although it was not settled.
    given_up: Option<Position>,
    end: Option<End>,
    pub(crate) behind_ms: Option<i64>,
}

impl Session {
    pub(crate) fn new(
        messages: mpsc::Receiver<Result<Message, StreamError>>,
        output: Box<dyn AsyncWrite + Send + Unpin>,
    ) -> Self {
        Self {
            messages,
            output,
            owed: None,
            received: None,
            checkpointed: None,
            kept: VecDeque::new(),
            kept_bytes: 0,
            given_up: None,
            end: None,
            behind_ms: None,
        }
    }

    pub(crate) fn begin(&mut self, lease: &Lease) {
        self.checkpointed.clone_from(&lease.checkpoint);
    }

    /// How the work ends, once that is known.
    pub(crate) fn end(&self) -> Option<End> {
        self.end
    }

    /// The next message; its status is owed from here on. `None`: the daemon is gone.
    pub(crate) async fn receive(&mut self) -> Result<Option<Message>, StreamError> {
        let Some(message) = self.messages.recv().await.transpose()? else { return Ok(None) };
        self.owed = message.action().or(self.owed);
        match &message {
            Message::Records { records, behind_ms } => {
                self.behind_ms = *behind_ms;
                if let Some(last) = records.last() {
                    self.received = Some(last.position.clone());
                }
            }
            Message::LeaseLost => self.end = Some(End::Lost),
            Message::ShardEnded => self.end = Some(End::Shard),
            Message::ShutdownRequested => self.end = Some(End::Asked),
            Message::Initialize(_) | Message::Checkpoint { .. } => {}
        }
        Ok(Some(message))
    }

    /// Sends the status that is owed. That the daemon is gone is seen by the next
    /// [`Session::receive`].
    pub(crate) async fn answer(&mut self) {
        if let Some(response_for) = self.owed.take() {
            // The end of the input says it too.
            let _ = self.send(&Answer::Status { response_for }).await;
        }
    }

    /// Makes a checkpoint where the pipeline's commits have come further than the lease says, as far
    /// as the daemon takes one now.
    pub(crate) async fn checkpoint_up_to(
        &mut self,
        committed: Option<&Position>,
        within: Duration,
    ) -> Result<(), Refusal> {
        let at = committed.min(self.received.as_ref()).cloned();
        let takes = matches!(self.owed, Some("processRecords" | "shutdownRequested"));
        if !takes || at <= self.checkpointed {
            return Ok(());
        }
        self.checkpoint(at.as_ref(), within).await?;
        self.checkpointed = at;
        Ok(())
    }

    /// The checkpoint at the end of the work: the shard's end, or what is committed.
    pub(crate) async fn last_checkpoint(
        &mut self,
        committed: Option<&Position>,
        within: Duration,
    ) -> Result<(), Refusal> {
        match self.end {
            Some(End::Shard) => self.checkpoint(None, within).await,
            Some(End::Asked) => self.checkpoint_up_to(committed, within).await,
            Some(End::Lost) | None => Ok(()),
        }
    }

    /// Asks for a checkpoint, again with back-off where the daemon could not make it; `None` is the
    /// shard's end.
    async fn checkpoint(&mut self, at: Option<&Position>, within: Duration) -> Result<(), Refusal> {
        let mut pause = Backoff::new(Duration::from_millis(200), Duration::from_secs(5), "kcl");
        loop {
            self.send(&Answer::checkpoint(at)).await?;
            let error = self.acknowledgement().await?;
            let Some(name) = error else { return Ok(()) };
            let may_pass = matches!(
                name.as_str(),
                "ThrottlingException"
                    | "KinesisClientLibDependencyException"
                    | "InvalidStateException"
            );
            if name == "ShutdownException" {
                return Err(Refusal::Lost);
            }
            if !may_pass || pause.failing_for() > within {
                tracing::warn!(
                    error = name,
                    "the lease's checkpoint stays behind ours: what is settled would be read again \
                     by its next owner, and skipped",
                );
                return Err(Refusal::Failed(name));
            }
            tracing::debug!(error = name, "the checkpoint is tried again");
            pause.wait().await;
        }
    }

    /// What became of a checkpoint: an exception's name, or nothing.
    async fn acknowledgement(&mut self) -> Result<Option<String>, Refusal> {
        loop {
            match self.messages.recv().await {
                Some(Ok(Message::Checkpoint { error })) => return Ok(error),
                Some(Ok(message)) => {
                    tracing::warn!(?message, "skipped a message instead of an acknowledgement");
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "the daemon's answer to a checkpoint is unreadable");
                    return Err(Refusal::Closed);
                }
                None => return Err(Refusal::Closed),
            }
        }
    }

    async fn send(&mut self, answer: &Answer<'_>) -> Result<(), Refusal> {
        let line = answer.to_line();
        let sent = async {
            self.output.write_all(&line).await?;
            self.output.flush().await
        };
        sent.await.map_err(|error| {
            tracing::debug!(%error, "the daemon does not read any more");
            Refusal::Closed
        })
    }

    /// Keeps records until they are settled.
    pub(crate) fn keep(&mut self, records: &[RawRecord]) {
        self.kept_bytes += records.iter().map(bytes_of).sum::<usize>();
        self.kept.extend(records.iter().cloned());
        if self.kept_bytes > MAX_KEPT_BYTES {
            self.given_up = self.kept.back().map(|record| record.position.clone());
            self.kept = VecDeque::new();
            self.kept_bytes = 0;
        }
    }

    /// Lets go of what is settled.
    pub(crate) fn let_go(&mut self, committed: Option<&Position>) {
        while let Some(first) = self.kept.pop_front_if(|record| Some(&record.position) <= committed)
        {
            self.kept_bytes -= bytes_of(&first);
        }
        self.given_up.take_if(|given_up| Some(&*given_up) <= committed);
    }

    /// What came behind `after`, for a partition that starts again.
    ///
    /// # Errors
    /// Some of it is no longer kept.
    pub(crate) fn again(&self, after: Option<&Position>) -> Result<Vec<RawRecord>, StreamError> {
        if self.given_up.as_ref() > after {
            return Err(StreamError::fatal(
                "more records wait to be settled than are kept; the shard is read again from its \
                 last checkpoint when the daemon starts again",
            ));
        }
        let behind = self.kept.iter().filter(|record| Some(&record.position) > after);
        Ok(behind.cloned().collect())
    }
}

fn bytes_of(record: &RawRecord) -> usize {
    RECORD_BYTES + record.data.len() + record.partition_key.len()
}
