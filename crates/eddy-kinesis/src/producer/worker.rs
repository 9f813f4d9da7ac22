//! The task that puts what it is handed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::PutRecordsResultEntry;
use eddy_aws::{CallError, Failure};
use eddy_stream::{Backoff, FailureLog};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::lanes::{Entry, Lanes, Pack, Packing};
use super::{Acknowledged, Handed, Listener, Message, ProducerSettings, Told, locked};
use crate::counters::ProducerCounts;
use crate::shards::open_shards;
use crate::source::{named, resource};

/// The least time between two listings of shards: an endpoint whose answers name other shards than
/// its list must not be asked before every request.
const MIN_LIST_INTERVAL: Duration = Duration::from_secs(1);
/// The time until shards are listed again where that was denied.
const DENIED_LIST_INTERVAL: Duration = Duration::from_secs(300);

pub(super) struct Worker {
    client: Client,
    settings: ProducerSettings,
    queue: mpsc::UnboundedReceiver<Message>,
    // Whether the producer is there and may hand more over.
    is_open: bool,
    told: Arc<Mutex<Told>>,
    listener: Option<Listener>,
    lanes: Lanes,
    n_handed: u64,
    // Each waits for all records handed over before that many had been.
    flushes: Vec<(u64, oneshot::Sender<()>)>,
    // Entries of the next request: fewer after one that was too large for an endpoint.
    max_entries: usize,
    // When to list the shards, if they must be, and when that was done last.
    list_at: Option<Instant>,
    listed_at: Instant,
    // Of requests refused as a whole.
    pause: Backoff,
    failures: FailureLog,
}

impl Worker {
    pub(super) fn new(
        client: Client,
        settings: ProducerSettings,
        queue: mpsc::UnboundedReceiver<Message>,
        told: Arc<Mutex<Told>>,
        listener: Option<Listener>,
    ) -> Self {
        let now = Instant::now();
        let pause =
            Backoff::new(Duration::from_millis(50), Duration::from_secs(5), &settings.stream);
        Self {
            client,
            queue,
            is_open: true,
            told,
            listener,
            lanes: Lanes::new(settings.shard_limits, now),
            n_handed: 0,
            flushes: Vec::new(),
            max_entries: usize::MAX,
            list_at: settings.shard_limits.map(|_| now),
            listed_at: now,
            pause,
            failures: FailureLog::default(),
            settings,
        }
    }

    /// Puts until the producer is gone and nothing waits any more.
    pub(super) async fn run(mut self) {
        while self.is_open || !self.lanes.is_empty() {
            while self.is_open {
                match self.queue.try_recv() {
                    Ok(message) => self.take(message),
                    Err(mpsc::error::TryRecvError::Empty) => break,
                    Err(mpsc::error::TryRecvError::Disconnected) => self.is_open = false,
                }
            }
            self.answer_flushes();
            let now = Instant::now();
            if !self.lanes.is_empty() && self.list_at.is_some_and(|at| at <= now) {
                self.list_shards().await;
            }
            match self.wake_at() {
                Some(at) if at <= Instant::now() => self.request().await,
                wake_at => self.wait(wake_at).await,
            }
        }
        self.answer_flushes();
    }

    fn wake_at(&self) -> Option<Instant> {
        let hurry = !self.is_open
            || !self.flushes.is_empty()
            || self.lanes.fills_a_request(self.max_entries, self.settings.aggregate);
        self.lanes.wake_at(hurry)
    }

    /// Waits for something to do.
    async fn wait(&mut self, wake_at: Option<Instant>) {
        let wake = async {
            match wake_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = self.queue.recv(), if self.is_open => match message {
                Some(message) => self.take(message),
                None => self.is_open = false,
            },
            () = wake, if wake_at.is_some() => {}
            else => {}
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Put(Handed { partition_key, data, room }) => {
                let ordinal = self.n_handed;
                self.n_handed += 1;
                let due = Instant::now() + Duration::from_millis(self.settings.linger_ms);
                self.lanes.push(Entry { partition_key, data, ordinal, due, _room: room });
            }
            Message::Flush(done) => self.flushes.push((self.n_handed, done)),
        }
    }

    /// Tells those whose records are all settled. No request is under way.
    fn answer_flushes(&mut self) {
        let oldest = self.lanes.oldest().unwrap_or(u64::MAX);
        for (_, done) in self.flushes.extract_if(.., |(n_handed, _)| *n_handed <= oldest) {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
    }

    async fn list_shards(&mut self) {
        let stream = &self.settings.stream;
        let listed = open_shards(&self.client, stream).await;
        let now = Instant::now();
        self.listed_at = now;
        self.list_at = match listed {
            Ok(Some(shards)) => {
                self.lanes.reshard(shards, now);
                None
            }
            Ok(None) => Some(now + MIN_LIST_INTERVAL),
            Err(error) if error.failure == Failure::Denied => {
                tracing::warn!(
                    stream, reason = %error,
                    "cannot list the shards, so they are not kept from being written to too fast \
                     (allow kinesis:ListShards)",
                );
                Some(now + DENIED_LIST_INTERVAL)
            }
            // Putting tells whether it matters.
            Err(error) => {
                tracing::debug!(stream, %error, "cannot list the shards");
                Some(now + MIN_LIST_INTERVAL)
            }
        };
    }

    /// Puts what may go now.
    async fn request(&mut self) {
        let packing = Packing {
            aggregate: self.settings.aggregate,
            pause: Duration::from_millis(self.settings.linger_ms),
            max_entries: self.max_entries,
        };
        let packs = self.lanes.take_request(Instant::now(), packing);
        if packs.is_empty() {
            // No shard has tokens; each says when it will.
            return;
        }
        let (name, arn) = named(&self.settings.stream);
        let call = self
            .client
            .put_records()
            .set_stream_name(name)
            .set_stream_arn(arn)
            .set_records(Some(packs.iter().map(Pack::to_request_entry).collect()));
        match call.send().await {
            Ok(answer) => self.settle(packs, answer.records),
            Err(error) => self.refused(packs, CallError::new(error)).await,
        }
    }

    /// The request was refused as a whole.
    async fn refused(&mut self, packs: Vec<Pack>, error: CallError) {
        let n_entries: usize = packs.iter().map(|pack| pack.entries.len()).sum();
        let failure = error.failure;
        self.note(error);
        let n = n_entries as u64;
        if failure == Failure::Throttled {
            self.count(|counts| counts.throttled += n);
        }
        if failure == Failure::TooLarge && n_entries > 1 {
            // An endpoint with a smaller limit than the service's.
            self.max_entries = n_entries.div_ceil(2);
            self.count(|counts| counts.retried += n);
            self.lanes.put_back(packs);
            return;
        }
        let passing = matches!(failure, Failure::Passing | Failure::Throttled);
        if !passing || self.pause.failing_for() >= self.give_up_after() {
            let entries = packs.iter().flat_map(|pack| &pack.entries);
            locked(&self.told).give_up(entries.map(|entry| entry.ordinal));
            return;
        }
        self.count(|counts| counts.retried += n);
        self.lanes.put_back(packs);
        if let Some(failing_for) = self.failures.failed() {
            self.warn(n, failing_for);
        }
        self.pause.wait().await;
    }

    /// What became of each record of a request.
    ///
    /// When an entry fails, later entries of its key in the same request may have been taken: the
    /// service has no answer that undoes them. They keep their order among themselves.
    fn settle(&mut self, packs: Vec<Pack>, results: Vec<PutRecordsResultEntry>) {
        self.pause.reset();
        self.max_entries = self.max_entries.saturating_mul(2);
        if let Some(failed_for) = self.failures.succeeded() {
            let stream = &self.settings.stream;
            tracing::info!(stream, ?failed_for, "the stream takes records again");
        }
        let mut of_lanes: Vec<OfLane> = Vec::new();
        let mut results = results.into_iter();
        let mut counts = ProducerCounts::default();
        let mut reason = None;
        let mut is_resharded = false;
        for pack in packs {
            // The packs of a lane follow one another.
            if of_lanes.last().is_none_or(|of_lane| of_lane.lane_idx != pack.lane_idx) {
                of_lanes.push(OfLane {
                    lane_idx: pack.lane_idx,
                    progress: false,
                    left: Vec::new(),
                });
            }
            let Some(of_lane) = of_lanes.last_mut() else { continue };
            // An answer that is too short acknowledges nothing.
            match results.next() {
                Some(result) if result.error_code.is_none() && result.sequence_number.is_some() => {
                    counts.acknowledged += pack.entries.len() as u64;
                    counts.stream_records += 1;
                    counts.bytes += pack.entries.iter().map(|e| e.data.len() as u64).sum::<u64>();
                    of_lane.progress = true;
                    // The parts of an aggregate have no numbers of their own.
                    if let (Some(listener), [entry]) = (&self.listener, pack.entries.as_slice())
                        && let (Some(shard_id), Some(sequence_number)) =
                            (result.shard_id.as_deref(), result.sequence_number.as_deref())
                    {
                        listener(Acknowledged { nth: entry.ordinal, shard_id, sequence_number });
                    }
                    let expected = self.lanes.lane(pack.lane_idx).shard_id();
                    is_resharded |= expected.is_some() && result.shard_id.as_deref() != expected;
                }
                other => {
                    let code = other.as_ref().and_then(|result| result.error_code.as_deref());
                    if code == Some("ProvisionedThroughputExceededException") {
                        counts.throttled += pack.entries.len() as u64;
                    }
                    reason = other.and_then(|result| result.error_message).or(reason);
                    of_lane.left.extend(pack.entries);
                }
            }
        }
        self.count(|all| {
            all.acknowledged += counts.acknowledged;
            all.stream_records += counts.stream_records;
            all.bytes += counts.bytes;
            all.throttled += counts.throttled;
        });
        if let Some(reason) = reason {
            locked(&self.told).last_error = Some(reason);
        }
        if is_resharded && self.list_at.is_none() {
            self.list_at = Some(self.listed_at + MIN_LIST_INTERVAL);
        }
        for of_lane in of_lanes {
            self.settle_lane(of_lane);
        }
    }

    fn settle_lane(&mut self, OfLane { lane_idx, progress, left }: OfLane) {
        let give_up_after = self.give_up_after();
        let lane = self.lanes.lane(lane_idx);
        if progress {
            lane.pause.reset();
            if let Some(failed_for) = lane.failures.succeeded() {
                let (stream, shard) = (&self.settings.stream, lane.shard_id());
                tracing::info!(stream, shard, ?failed_for, "the shard takes records again");
            }
        }
        if left.is_empty() {
            return;
        }
        let n_left = left.len() as u64;
        if lane.pause.failing_for() >= give_up_after {
            locked(&self.told).give_up(left.iter().map(|entry| entry.ordinal));
            return;
        }
        lane.back_off(Instant::now());
        let failing_for = lane.failures.failed();
        self.lanes.put_back_into(lane_idx, left);
        self.count(|counts| counts.retried += n_left);
        if let Some(failing_for) = failing_for {
            self.warn(n_left, failing_for);
        }
    }

    fn give_up_after(&self) -> Duration {
        Duration::from_millis(self.settings.give_up_after_ms)
    }

    fn warn(&self, n_records: u64, failing_for: Duration) {
        let reason = locked(&self.told).last_error.clone().unwrap_or_default();
        let stream = &self.settings.stream;
        tracing::warn!(
            stream,
            n_records,
            reason,
            ?failing_for,
            "putting records keeps failing; it is tried again",
        );
    }

    /// Keeps why a request failed.
    fn note(&self, error: CallError) {
        let text = error.into_stream_error("PutRecords", &resource(&self.settings.stream));
        let text = match std::error::Error::source(&text) {
            Some(source) => format!("{text}: {source}"),
            None => text.to_string(),
        };
        tracing::debug!(error = text, "records were not taken");
        locked(&self.told).last_error = Some(text);
    }

    fn count(&self, change: impl FnOnce(&mut ProducerCounts)) {
        change(&mut locked(&self.told).counts);
    }
}

/// What became of one lane's share of a request.
struct OfLane {
    lane_idx: usize,
    progress: bool,
    left: Vec<Entry>,
}
