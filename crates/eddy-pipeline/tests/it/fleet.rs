//! A process of a fleet, driven as Amazon's MultiLangDaemon drives it: whatever comes in between,
//! rows are those of one process that reads everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eddy_kcl::{Connection, KclSource};
use eddy_pipeline::{OnLostState, Order, PipelineSettings, Stop, fleet};
use eddy_record::{PartitionId, Position, RawRecord, ScoredRecord};
use eddy_stream::{MemorySource, Rejected, Sink, StateStore as _, StreamError};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, duplex};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::{World, partition, raw, readings, run, stream};

const SHARD: &str = "shardId-000000000000";

fn eager() -> PipelineSettings {
    PipelineSettings { commit_records: 1, ..PipelineSettings::default() }
}

/// Commits only when it must.
fn late() -> PipelineSettings {
    PipelineSettings { commit_records: 1 << 40, commit_interval_ms: 1 << 40, ..eager() }
}

/// A stream whose shards are listed with their parents.
fn listing(shards: &[(&str, &[&str])]) -> MemorySource {
    shards.iter().fold(MemorySource::new(stream(1), 100), |stream, (id, parents)| {
        stream.with_partition(partition(id, parents), Vec::new())
    })
}

/// What one process makes of the same shards.
async fn rows_of_one_process(shards: Vec<(&str, &[&str], Vec<RawRecord>)>) -> World {
    let world = World::default();
    let source = shards
        .into_iter()
        .fold(MemorySource::new(stream(1), 100), |stream, (id, parents, records)| {
            stream.with_partition(partition(id, parents), records)
        });
    run(world.pipeline(Arc::new(source), eager())).await.expect("runs");
    world
}

/// The daemon's side of a process.
struct Daemon {
    to: DuplexStream,
    from: Lines<BufReader<DuplexStream>>,
    process: JoinHandle<Result<(), StreamError>>,
    stop: watch::Sender<Stop>,
}

impl Daemon {
    /// Starts a process for a shard.
    async fn start(world: &World, settings: PipelineSettings, listing: MemorySource) -> Self {
        let sink = Arc::clone(&world.rows) as Arc<dyn Sink>;
        Self::start_to(world, settings, listing, sink).await
    }

    async fn start_to(
        world: &World,
        settings: PipelineSettings,
        listing: MemorySource,
        sink: Arc<dyn Sink>,
    ) -> Self {
        let (to, input) = duplex(1 << 16);
        let (output, from) = duplex(1 << 16);
        let world = world.clone();
        let (tell, stop) = watch::channel(Stop::No);
        let process = tokio::spawn(async move {
            let Some((connection, lease)) = Connection::accept(input, output).await? else {
                return Ok(());
            };
            let source = KclSource::new(Arc::new(listing), connection.clone(), lease);
            let pipeline = world.pipeline_to(Arc::new(source), sink, settings);
            fleet::work(pipeline, &connection, stop).await
        });
        Self { to, from: BufReader::new(from).lines(), process, stop: tell }
    }

    async fn say(&mut self, line: &str) {
        // A process that has ended does not listen.
        let _ = self.to.write_all(format!("{line}\n").as_bytes()).await;
    }

    async fn hear(&mut self) -> Option<Value> {
        let line = self.from.next_line().await.expect("readable")?;
        Some(serde_json::from_str(&line).expect("nothing but messages"))
    }

    async fn initialize(&mut self, shard: &str, sequence_number: &str, sub_sequence: u64) {
        let message = json!({
            "action": "initialize", "shardId": shard,
            "sequenceNumber": sequence_number, "subSequenceNumber": sub_sequence,
        });
        self.say(&message.to_string()).await;
        assert_eq!(self.asked("initialize").await, Asked::none());
    }

    async fn give(&mut self, records: &[RawRecord]) {
        let records: Vec<Value> = records
            .iter()
            .map(|record| {
                json!({
                    "data": STANDARD.encode(&record.data),
                    "partitionKey": &*record.partition_key,
                    "sequenceNumber": record.position.sequence.as_str(),
                    "subSequenceNumber": record.position.sub_sequence,
                    "approximateArrivalTimestamp": record.arrival_ms,
                    "action": "record",
                })
            })
            .collect();
        let message =
            json!({"action": "processRecords", "records": records, "millisBehindLatest": 0});
        self.say(&message.to_string()).await;
    }

    async fn acknowledge(&mut self, checkpoint: &Value, error: Option<&str>) {
        let mut answer = checkpoint.clone();
        answer["error"] = json!(error);
        self.say(&answer.to_string()).await;
    }

    /// Waits for the status of `action`; every checkpoint before it is granted.
    async fn asked(&mut self, action: &str) -> Asked {
        self.asked_refusing(action, &[]).await
    }

    /// The same, the first checkpoints being refused for these reasons.
    async fn asked_refusing(&mut self, action: &str, refusals: &[&str]) -> Asked {
        let mut asked = Asked::none();
        loop {
            let heard = self.hear().await.expect("the process is there");
            if heard["action"] == "status" {
                assert_eq!(heard["responseFor"], action);
                return asked;
            }
            assert_eq!(heard["action"], "checkpoint", "{heard}");
            let refusal = refusals.get(asked.0.len()).copied();
            let sequence = heard["sequenceNumber"].as_str();
            let sub_sequence = heard["subSequenceNumber"].as_u64();
            asked.0.push(sequence.map(|s| (s.to_owned(), sub_sequence.expect("has both"))));
            self.acknowledge(&heard, refusal).await;
        }
    }

    /// Takes the whole of a shard through a process, from its beginning.
    async fn whole(
        world: &World,
        listing: MemorySource,
        (shard, records): (&str, &[RawRecord]),
    ) -> Result<(), StreamError> {
        let mut daemon = Self::start(world, eager(), listing).await;
        daemon.initialize(shard, "TRIM_HORIZON", 0).await;
        for records in records.chunks(64) {
            daemon.give(records).await;
            daemon.asked("processRecords").await;
        }
        daemon.say(r#"{"action":"shardEnded"}"#).await;
        assert_eq!(daemon.asked("shardEnded").await, Asked(vec![None]));
        daemon.close().await
    }

    /// Closes standard input and waits for the end of the process.
    async fn close(mut self) -> Result<(), StreamError> {
        self.to.shutdown().await.expect("closes");
        assert_eq!(self.hear().await, None, "nothing is said unasked");
        self.process.await.expect("no panic")
    }

    /// Kills process and daemon.
    async fn kill(self) {
        self.process.abort();
        assert!(self.process.await.expect_err("killed").is_cancelled());
    }
}

/// The checkpoints asked for; `None` is the shard's end.
#[derive(Debug, PartialEq, Eq)]
struct Asked(Vec<Option<(String, u64)>>);

impl Asked {
    fn none() -> Self {
        Self(Vec::new())
    }

    fn at(sequence: u64) -> Self {
        Self(vec![Some((sequence.to_string(), 0))])
    }
}

#[tokio::test]
async fn a_shard_is_worked_on_from_its_beginning_to_its_end() {
    let all = readings(0..500);
    let whole = rows_of_one_process(vec![(SHARD, &[], all.clone())]).await;
    let world = World::default();
    let mut daemon = Daemon::start(&world, eager(), listing(&[(SHARD, &[])])).await;
    daemon.initialize(SHARD, "TRIM_HORIZON", 0).await;
    for records in all.chunks(100) {
        daemon.give(records).await;
        let last = records.last().expect("some").position.sequence.as_str().parse();
        assert_eq!(daemon.asked("processRecords").await, Asked::at(last.expect("a number")));
    }
    daemon.give(&[]).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::none());
    daemon.say(r#"{"action":"shardEnded"}"#).await;
    assert_eq!(daemon.asked("shardEnded").await, Asked(vec![None]));
    daemon.close().await.expect("ends well");
    assert_eq!(world.json(), whole.json());
    assert_eq!(world.rows.writes().len(), 500);

    // The daemon died before it could note the end: all is skipped, and the end is told again.
    let mut daemon = Daemon::start(&world, eager(), listing(&[(SHARD, &[])])).await;
    daemon.initialize(SHARD, "399", 0).await;
    daemon.give(&all[400..]).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::at(499));
    daemon.say(r#"{"action":"shardEnded"}"#).await;
    assert_eq!(daemon.asked("shardEnded").await, Asked(vec![None]));
    daemon.close().await.expect("ends well");
    assert_eq!(world.rows.writes().len(), 500);
}

#[tokio::test]
async fn killed_between_commit_and_checkpoint_it_goes_on_behind_its_own_commit() {
    let all = readings(0..500);
    let whole = rows_of_one_process(vec![(SHARD, &[], all.clone())]).await;
    let world = World::default();
    let mut daemon = Daemon::start(&world, eager(), listing(&[(SHARD, &[])])).await;
    daemon.initialize(SHARD, "TRIM_HORIZON", 0).await;
    daemon.give(&all[..100]).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::at(99));
    daemon.give(&all[100..200]).await;
    let asked = daemon.hear().await.expect("a checkpoint");
    assert_eq!(asked["sequenceNumber"], "199");
    daemon.kill().await;

    // The lease says 99, the state 199. The daemon reads in other steps.
    let mut daemon = Daemon::start(&world, eager(), listing(&[(SHARD, &[])])).await;
    daemon.initialize(SHARD, "99", 0).await;
    daemon.give(&all[100..150]).await;
    // Skipped; a checkpoint beyond what the daemon has sent would be refused.
    assert_eq!(daemon.asked("processRecords").await, Asked::at(149));
    daemon.give(&all[150..250]).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::at(249));
    daemon.give(&all[250..]).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::at(499));
    daemon.close().await.expect("ends well");
    assert_eq!(world.json(), whole.json());
    assert_eq!(world.rows.writes().len(), 500);
}

#[tokio::test]
async fn killed_anywhere_it_makes_the_same_rows_of_what_comes_again() {
    let all = readings(0..400);
    let whole = rows_of_one_process(vec![(SHARD, &[], all.clone())]).await;
    let world = World::default();
    let mut lease: Option<usize> = None;
    // Rows delivered, nothing committed; then commits, and a lease that is behind.
    for (settings, checkpoint, until) in
        [(late(), false, 120), (eager(), true, 170), (eager(), false, 260), (late(), false, 300)]
    {
        let mut daemon = Daemon::start(&world, settings, listing(&[(SHARD, &[])])).await;
        let at = lease.map_or("TRIM_HORIZON".to_owned(), |at| at.to_string());
        daemon.initialize(SHARD, &at, 0).await;
        let from = lease.map_or(0, |at| at + 1);
        for records in all[from..until].chunks(50) {
            daemon.give(records).await;
            let heard = daemon.hear().await.expect("an answer");
            if heard["action"] == "checkpoint" {
                let refusal = if checkpoint { None } else { Some("IllegalArgumentException") };
                daemon.acknowledge(&heard, refusal).await;
                daemon.asked("processRecords").await;
            }
        }
        if checkpoint {
            lease = Some(until - 1);
        }
        daemon.kill().await;
    }
    let from = lease.expect("one was made") + 1;
    let mut daemon = Daemon::start(&world, eager(), listing(&[(SHARD, &[])])).await;
    daemon.initialize(SHARD, &(from - 1).to_string(), 0).await;
    daemon.give(&all[from..]).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::at(399));
    daemon.close().await.expect("ends well");
    assert_eq!(world.json(), whole.json());
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_is_refused_is_tried_again_or_left_to_the_next_commit() {
    let all = readings(0..500);
    let world = World::default();
    let mut daemon = Daemon::start(&world, eager(), listing(&[(SHARD, &[])])).await;
    daemon.initialize(SHARD, "TRIM_HORIZON", 0).await;
    daemon.give(&all[..100]).await;
    let passing = ["ThrottlingException", "KinesisClientLibDependencyException"];
    let asked = daemon.asked_refusing("processRecords", &passing).await;
    assert_eq!(asked.0.len(), 3);
    assert!(asked.0.iter().all(|at| *at == Some(("99".to_owned(), 0))), "{asked:?}");

    daemon.give(&all[100..200]).await;
    let refused = ["IllegalArgumentException"];
    assert_eq!(daemon.asked_refusing("processRecords", &refused).await, Asked::at(199));
    // It stays behind until there is occasion to move it again.
    daemon.give(&[]).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::at(199));

    // One that is throttled for long holds the shard up for a bounded time.
    daemon.give(&all[200..300]).await;
    let asked = daemon.asked_refusing("processRecords", &["ThrottlingException"; 1000]).await;
    assert!((3..1000).contains(&asked.0.len()), "{}", asked.0.len());
    daemon.give(&all[300..400]).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::at(399));

    // The end of the shard must be told.
    daemon.say(r#"{"action":"shardEnded"}"#).await;
    for _ in 0..2 {
        let asked = daemon.hear().await.expect("a checkpoint");
        assert_eq!(
            (&asked["action"], &asked["sequenceNumber"]),
            (&json!("checkpoint"), &json!(null))
        );
        daemon.acknowledge(&asked, Some("InvalidStateException")).await;
    }
    let asked = daemon.hear().await.expect("a checkpoint");
    daemon.acknowledge(&asked, Some("IllegalArgumentException")).await;
    let error = daemon.process.await.expect("no panic").expect_err("no status without it");
    assert!(error.to_string().contains("IllegalArgumentException"), "{error}");
    assert_eq!(world.json().len(), 400);
}

#[tokio::test]
async fn a_checkpoint_refused_because_the_lease_is_lost_ends_the_work() {
    let all = readings(0..300);
    let world = World::default();
    let mut daemon = Daemon::start(&world, eager(), listing(&[(SHARD, &[])])).await;
    daemon.initialize(SHARD, "TRIM_HORIZON", 0).await;
    daemon.give(&all[..100]).await;
    let refused = ["ShutdownException"];
    assert_eq!(daemon.asked_refusing("processRecords", &refused).await, Asked::at(99));
    // Whatever still comes is not worked on, and the daemon is not left waiting.
    daemon.give(&all[100..200]).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::none());
    daemon.say(r#"{"action":"leaseLost"}"#).await;
    assert_eq!(daemon.asked("leaseLost").await, Asked::none());
    daemon.close().await.expect("a lost lease is no error");
    assert_eq!(world.json().len(), 100);
}

#[tokio::test]
async fn a_lost_lease_ends_the_work_without_a_commit() {
    let all = readings(0..300);
    let whole = rows_of_one_process(vec![(SHARD, &[], all.clone())]).await;
    let world = World::default();
    let mut daemon = Daemon::start(&world, late(), listing(&[(SHARD, &[])])).await;
    daemon.initialize(SHARD, "TRIM_HORIZON", 0).await;
    daemon.give(&all[..200]).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::none());
    let commits = world.counters.totals().commits;
    daemon.say(r#"{"action":"leaseLost"}"#).await;
    assert_eq!(daemon.asked("leaseLost").await, Asked::none());
    daemon.close().await.expect("a lost lease is no error");
    assert_eq!(world.counters.totals().commits, commits);

    let mut daemon = Daemon::start(&world, eager(), listing(&[(SHARD, &[])])).await;
    daemon.initialize(SHARD, "TRIM_HORIZON", 0).await;
    daemon.give(&all).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::at(299));
    daemon.close().await.expect("ends well");
    assert_eq!(world.json(), whole.json());
}

#[tokio::test]
async fn a_shard_that_is_given_up_is_settled_committed_and_checkpointed() {
    let all = readings(0..300);
    let world = World::default();
    let mut daemon = Daemon::start(&world, late(), listing(&[(SHARD, &[])])).await;
    daemon.initialize(SHARD, "TRIM_HORIZON", 0).await;
    daemon.give(&all[..200]).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::none());
    daemon.say(r#"{"action":"shutdownRequested"}"#).await;
    assert_eq!(daemon.asked("shutdownRequested").await, Asked::at(199));
    // The daemon says this too when the lease goes, and needs an answer.
    daemon.say(r#"{"action":"leaseLost"}"#).await;
    assert_eq!(daemon.asked("leaseLost").await, Asked::none());
    daemon.close().await.expect("ends well");

    let mut daemon = Daemon::start(&world, eager(), listing(&[(SHARD, &[])])).await;
    daemon.initialize(SHARD, "199", 0).await;
    daemon.give(&all[200..]).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::at(299));
    daemon.close().await.expect("ends well");
    assert_eq!(world.rows.writes().len(), 300);
    let whole = rows_of_one_process(vec![(SHARD, &[], all)]).await;
    assert_eq!(world.json(), whole.json());
}

#[tokio::test]
async fn when_the_daemon_is_gone_what_was_read_is_committed() {
    let all = readings(0..200);
    let world = World::default();
    let mut daemon = Daemon::start(&world, late(), listing(&[(SHARD, &[])])).await;
    daemon.initialize(SHARD, "TRIM_HORIZON", 0).await;
    daemon.give(&all[..150]).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::none());
    daemon.close().await.expect("the next owner goes on");

    let mut daemon = Daemon::start(&world, eager(), listing(&[(SHARD, &[])])).await;
    daemon.initialize(SHARD, "TRIM_HORIZON", 0).await;
    daemon.give(&all).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::at(199));
    daemon.close().await.expect("ends well");
    assert_eq!(world.rows.writes().len(), 200);

    // Gone before it has given anything.
    let daemon = Daemon::start(&world, eager(), listing(&[(SHARD, &[])])).await;
    daemon.close().await.expect("there was nothing to do");
}

#[tokio::test]
async fn lines_that_are_no_messages_are_skipped_and_huge_ones_are_read() {
    let world = World::default();
    let mut daemon = Daemon::start(&world, eager(), listing(&[(SHARD, &[])])).await;
    for line in ["", "Listening for transport dt_socket", "{\"action\":\"leaseLo", "[1]", "null"] {
        daemon.say(line).await;
    }
    daemon.initialize(SHARD, "TRIM_HORIZON", 0).await;
    daemon.say("{\"action\":\"sing\",\"what\":[{}]}").await;
    daemon.say("\u{0}\u{fffd}").await;
    daemon.give(&readings(0..10)).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::at(9));
    // The largest record that a stream may allow, and one behind it.
    let huge = raw(10, &"x".repeat(10 << 20));
    daemon.give(&[huge, readings(11..12).remove(0)]).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::at(11));
    daemon.close().await.expect("ends well");
    assert_eq!(world.json().len(), 11);
    let letters = world.letters.letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].raw.len(), 10 << 20);
}

#[tokio::test]
async fn records_that_cannot_be_read_end_the_process_instead_of_being_lost() {
    let world = World::default();
    let mut daemon = Daemon::start(&world, eager(), listing(&[(SHARD, &[])])).await;
    daemon.initialize(SHARD, "TRIM_HORIZON", 0).await;
    daemon
        .say(r#"{"action":"processRecords","records":[{"data":"%","sequenceNumber":"1"}]}"#)
        .await;
    assert_eq!(daemon.hear().await, None);
    let error = daemon.process.await.expect("no panic").expect_err("unreadable");
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

#[tokio::test]
async fn places_inside_an_aggregate_are_kept() {
    let inside = |n: u64, sub_sequence: u64| {
        let mut record = readings(n * 10 + sub_sequence..n * 10 + sub_sequence + 1).remove(0);
        record.position = Position { sequence: n.into(), sub_sequence };
        record
    };
    let all: Vec<RawRecord> =
        (0..20).flat_map(|n| (0..10).map(move |sub| inside(n, sub))).collect();
    let whole = rows_of_one_process(vec![(SHARD, &[], all.clone())]).await;
    let world = World::default();
    let mut daemon = Daemon::start(&world, eager(), listing(&[(SHARD, &[])])).await;
    daemon.initialize(SHARD, "TRIM_HORIZON", 0).await;
    daemon.give(&all[..105]).await;
    assert_eq!(daemon.asked("processRecords").await, Asked(vec![Some(("10".to_owned(), 4))]));
    daemon.kill().await;
    let mut daemon = Daemon::start(&world, eager(), listing(&[(SHARD, &[])])).await;
    daemon.initialize(SHARD, "10", 4).await;
    daemon.give(&all[100..]).await;
    assert_eq!(daemon.asked("processRecords").await, Asked(vec![Some(("19".to_owned(), 9))]));
    daemon.close().await.expect("ends well");
    assert_eq!(world.json(), whole.json());
    assert_eq!(world.rows.writes().len(), 200);
}

#[tokio::test]
async fn children_of_a_split_and_of_a_merge_go_on_with_their_parents_models() {
    let all = readings(0..900);
    let of = |from: usize, to: usize, keys: &[u64]| -> Vec<RawRecord> {
        let key = |record: &&RawRecord| {
            let n: u64 = record.position.sequence.as_str().parse().expect("a number");
            keys.contains(&(n % 3))
        };
        all[from..to].iter().filter(key).cloned().collect()
    };
    let shards: [(&str, &[&str], Vec<RawRecord>); 4] = [
        ("shardId-0", &[], of(0, 300, &[0, 1, 2])),
        ("shardId-1", &["shardId-0"], of(300, 600, &[0])),
        ("shardId-2", &["shardId-0"], of(300, 600, &[1, 2])),
        ("shardId-3", &["shardId-1", "shardId-2"], of(600, 900, &[0, 1, 2])),
    ];
    let whole = rows_of_one_process(shards.to_vec()).await;
    let lists: Vec<(&str, &[&str])> =
        shards.iter().map(|(id, parents, _)| (*id, *parents)).collect();

    // Each shard in a process of its own; the children of the split at the same time.
    let world = World::default();
    let work = |at: usize| {
        let (id, _, records) = &shards[at];
        Daemon::whole(&world, listing(&lists), (id, records))
    };
    work(0).await.expect("ends well");
    let (left, right) = tokio::join!(work(1), work(2));
    left.and(right).expect("end well");
    work(3).await.expect("ends well");
    assert_eq!(world.json(), whole.json());
}

#[tokio::test]
async fn a_state_behind_its_lease_is_refused_or_starts_afresh_as_the_settings_say() {
    let all = readings(0..300);
    let world = World::default();
    let old = World::default();
    for (world, until) in [(&old, 100), (&world, 100)] {
        let mut daemon = Daemon::start(world, eager(), listing(&[(SHARD, &[])])).await;
        daemon.initialize(SHARD, "TRIM_HORIZON", 0).await;
        daemon.give(&all[..until]).await;
        assert_eq!(daemon.asked("processRecords").await, Asked::at(99));
        daemon.close().await.expect("ends well");
    }
    for (world, knows) in [(&World::default(), "has nothing settled"), (&old, "up to 99:0")] {
        let mut daemon = Daemon::start(world, eager(), listing(&[(SHARD, &[])])).await;
        let message = json!({"action": "initialize", "shardId": SHARD, "sequenceNumber": "199"});
        daemon.say(&message.to_string()).await;
        assert_eq!(daemon.hear().await, None, "no status");
        let error = daemon.process.await.expect("no panic").expect_err("refused").to_string();
        for part in [SHARD, knows, "the lease says 199:0", "on_lost_state"] {
            assert!(error.contains(part), "{error}");
        }
        let restart = PipelineSettings { on_lost_state: OnLostState::Restart, ..eager() };
        let mut daemon = Daemon::start(world, restart, listing(&[(SHARD, &[])])).await;
        daemon.initialize(SHARD, "199", 0).await;
        daemon.give(&all[200..]).await;
        assert_eq!(daemon.asked("processRecords").await, Asked::at(299));
        daemon.close().await.expect("ends well");
        // The models have started afresh: they learn before they score.
        let rows = world.json();
        let first = rows.get("readings:1:shardId-000000000000:200:0:0").expect("delivered");
        assert!(first.contains("\"ANOMALY_SCORE\":0,"), "{first}");
    }
}

#[tokio::test]
async fn a_child_whose_parent_is_not_finished_has_lost_its_parents_state() {
    let shards: &[(&str, &[&str])] = &[("shardId-0", &[]), ("shardId-1", &["shardId-0"])];
    let world = World::default();
    let mut daemon = Daemon::start(&world, eager(), listing(shards)).await;
    daemon.initialize("shardId-0", "TRIM_HORIZON", 0).await;
    daemon.give(&readings(0..100)).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::at(99));
    daemon.close().await.expect("ends well");

    let mut daemon = Daemon::start(&world, eager(), listing(shards)).await;
    let message =
        json!({"action": "initialize", "shardId": "shardId-1", "sequenceNumber": "TRIM_HORIZON"});
    daemon.say(&message.to_string()).await;
    assert_eq!(daemon.hear().await, None, "no status");
    let error = daemon.process.await.expect("no panic").expect_err("refused").to_string();
    assert!(error.contains("shardId-0 ends before"), "{error}");
    // The parent's owner was not disturbed.
    let mut daemon = Daemon::start(&world, eager(), listing(shards)).await;
    daemon.initialize("shardId-0", "99", 0).await;
    daemon.close().await.expect("ends well");
}

#[tokio::test]
async fn a_shard_that_the_stream_does_not_have_is_said_plainly() {
    let world = World::default();
    let mut daemon = Daemon::start(&world, eager(), listing(&[("shardId-9", &[])])).await;
    let message = json!({"action": "initialize", "shardId": SHARD, "sequenceNumber": "LATEST"});
    daemon.say(&message.to_string()).await;
    assert_eq!(daemon.hear().await, None);
    let error = daemon.process.await.expect("no panic").expect_err("another stream").to_string();
    assert!(error.contains(SHARD) && error.contains("source.stream"), "{error}");
}

/// Fails every other time, after it has written half.
struct Flaky {
    to: Arc<dyn Sink>,
    fails: AtomicBool,
}

#[async_trait]
impl Sink for Flaky {
    fn name(&self) -> &str {
        "flaky"
    }

    async fn write(&self, rows: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        if self.fails.fetch_xor(true, Ordering::SeqCst) {
            self.to.write(&rows[..rows.len() / 2]).await?;
            return Err(StreamError::retry("on command"));
        }
        self.to.write(rows).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_for_a_while_gets_every_row_without_the_daemon_s_help() {
    let all = readings(0..600);
    let whole = rows_of_one_process(vec![(SHARD, &[], all.clone())]).await;
    for settings in [eager(), late()] {
        let world = World::default();
        let to = Arc::clone(&world.rows) as Arc<dyn Sink>;
        let sink = Arc::new(Flaky { to, fails: AtomicBool::new(true) });
        let mut daemon = Daemon::start_to(&world, settings, listing(&[(SHARD, &[])]), sink).await;
        daemon.initialize(SHARD, "TRIM_HORIZON", 0).await;
        for records in all.chunks(100) {
            daemon.give(records).await;
            daemon.asked("processRecords").await;
        }
        daemon.say(r#"{"action":"shutdownRequested"}"#).await;
        daemon.asked("shutdownRequested").await;
        daemon.close().await.expect("ends well");
        assert_eq!(world.json(), whole.json());
        assert!(world.counters.totals().restarts > 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_settled_is_committed_although_nothing_comes_any_more() {
    let world = World::default();
    let settings = PipelineSettings { commit_records: 1 << 40, ..PipelineSettings::default() };
    let mut daemon = Daemon::start(&world, settings, listing(&[(SHARD, &[])])).await;
    daemon.initialize(SHARD, "TRIM_HORIZON", 0).await;
    daemon.give(&readings(0..100)).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::none());
    tokio::time::sleep(std::time::Duration::from_secs(7)).await;
    let settled = world.counters.partitions().remove(&PartitionId::new(SHARD)).expect("at work");
    assert_eq!(settled.settled, Some(Position::new(99.into())));
    // The lease follows at the next occasion.
    daemon.give(&[]).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::at(99));
    daemon.close().await.expect("ends well");
}

#[tokio::test(start_paused = true)]
async fn an_owner_whose_state_was_taken_over_writes_nothing_and_waits_for_the_lease_to_go() {
    let all = readings(0..300);
    for noticed in [true, false] {
        let world = World::default();
        let mut daemon = Daemon::start(&world, eager(), listing(&[(SHARD, &[])])).await;
        daemon.initialize(SHARD, "TRIM_HORIZON", 0).await;
        daemon.give(&all[..100]).await;
        assert_eq!(daemon.asked("processRecords").await, Asked::at(99));
        // The shard's next owner opens its state before this one knows.
        let shard = PartitionId::new(SHARD);
        world.state.open("readings", &shard).await.expect("opens");
        daemon.give(&all[100..200]).await;
        assert_eq!(daemon.asked("processRecords").await, Asked::none());
        daemon.give(&all[200..]).await;
        assert_eq!(daemon.asked("processRecords").await, Asked::none());
        if noticed {
            daemon.say(r#"{"action":"leaseLost"}"#).await;
            assert_eq!(daemon.asked("leaseLost").await, Asked::none());
            daemon.close().await.expect("a lost lease is no error");
        } else {
            // A shard must not stand still for ever because two have its state.
            assert_eq!(daemon.hear().await, None);
            let error = daemon.process.await.expect("no panic").expect_err("two owners");
            assert!(error.to_string().contains("still has the lease"), "{error}");
        }
        assert_eq!(world.json().len(), 200);
    }
}

/// Fails as many writes as it is told to.
#[derive(Clone)]
struct OnCommand {
    to: Arc<dyn Sink>,
    failures: Arc<AtomicUsize>,
}

impl OnCommand {
    fn new(world: &World) -> Self {
        Self { to: Arc::clone(&world.rows) as Arc<dyn Sink>, failures: Arc::default() }
    }

    fn fail(&self, times: usize) {
        self.failures.store(times, Ordering::SeqCst);
    }
}

#[async_trait]
impl Sink for OnCommand {
    fn name(&self) -> &str {
        "on_command"
    }

    async fn write(&self, rows: &[ScoredRecord]) -> Result<Vec<Rejected>, StreamError> {
        let left = self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(_) => Err(StreamError::retry("on command")),
            Err(_) => self.to.write(rows).await,
        }
    }
}

/// The last second waits for the shard's end.
fn per_second() -> PipelineSettings {
    PipelineSettings { order: Order::ScorePerSecond, ..eager() }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_at_the_end_of_a_shard_does_not_cost_the_lease_its_end() {
    let all = readings(0..105);
    let world = World::default();
    let sink = OnCommand::new(&world);
    let to = Arc::new(sink.clone());
    let mut daemon = Daemon::start_to(&world, per_second(), listing(&[(SHARD, &[])]), to).await;
    daemon.initialize(SHARD, "TRIM_HORIZON", 0).await;
    daemon.give(&all).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::at(99));
    sink.fail(1);
    daemon.say(r#"{"action":"shardEnded"}"#).await;
    assert_eq!(daemon.asked("shardEnded").await, Asked(vec![None]));
    daemon.close().await.expect("ends well");
    assert_eq!(world.json().len(), 105);
    assert_eq!(world.counters.totals().restarts, 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_shard_is_not_told_while_some_of_it_is_not_settled() {
    let all = readings(0..105);
    let world = World::default();
    let sink = OnCommand::new(&world);
    let to = Arc::new(sink.clone());
    let mut daemon = Daemon::start_to(&world, per_second(), listing(&[(SHARD, &[])]), to).await;
    daemon.initialize(SHARD, "TRIM_HORIZON", 0).await;
    daemon.give(&all).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::at(99));
    sink.fail(usize::MAX);
    daemon.say(r#"{"action":"shardEnded"}"#).await;
    // Told to stop while it waits to start again.
    while world.counters.totals().restarts == 0 {
        tokio::task::yield_now().await;
    }
    daemon.stop.send_replace(Stop::Now);
    assert_eq!(daemon.hear().await, None, "no checkpoint, no status");
    let error = daemon.process.await.expect("no panic").expect_err("not settled");
    assert!(error.to_string().contains("before the shard was settled"), "{error}");

    // The daemon gives it again, and the children get what they need.
    let mut daemon = Daemon::start(&world, per_second(), listing(&[(SHARD, &[])])).await;
    daemon.initialize(SHARD, "99", 0).await;
    daemon.give(&all[100..]).await;
    assert_eq!(daemon.asked("processRecords").await, Asked::none());
    daemon.say(r#"{"action":"shardEnded"}"#).await;
    assert_eq!(daemon.asked("shardEnded").await, Asked(vec![None]));
    daemon.close().await.expect("ends well");
    assert_eq!(world.json().len(), 105);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_starts_again_does_not_take_the_state_back_from_the_next_one() {
    let all = readings(0..200);
    let world = World::default();
    let sink = OnCommand::new(&world);
    let to = Arc::new(sink.clone());
    let mut old = Daemon::start_to(&world, eager(), listing(&[(SHARD, &[])]), to).await;
    old.initialize(SHARD, "TRIM_HORIZON", 0).await;
    sink.fail(usize::MAX);
    old.give(&all[..100]).await;
    while world.counters.totals().restarts == 0 {
        tokio::task::yield_now().await;
    }
    // Its sink is away, and the lease goes to a process whose sink is not.
    let mut new = Daemon::start(&world, eager(), listing(&[(SHARD, &[])])).await;
    new.initialize(SHARD, "TRIM_HORIZON", 0).await;
    new.give(&all[..100]).await;
    assert_eq!(new.asked("processRecords").await, Asked::at(99));

    // The old one's next start finds that, leaves the state alone and lets its daemon go on.
    assert_eq!(old.asked("processRecords").await, Asked::none());
    new.give(&all[100..]).await;
    assert_eq!(new.asked("processRecords").await, Asked::at(199));
    old.say(r#"{"action":"leaseLost"}"#).await;
    assert_eq!(old.asked("leaseLost").await, Asked::none());
    old.close().await.expect("a lost lease is no error");
    new.close().await.expect("ends well");
    assert_eq!(world.json().len(), 200);
}
