//! The embedded default: sensors, a Kinesis endpoint in this process, the pipeline, the index.
//!
//! Every record goes through the real Kinesis client over loopback; what differs from production is
//! only the endpoint. The stream lives in memory: it is new at every start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use eddy_detect::DetectorSettings;
use eddy_index::Index;
use eddy_kinesis::{
    Acknowledged, Producer, ProducerCounts, ProducerSettings, ReadSettings, client,
};
use eddy_record::StreamIdentity;
use eddy_sensors::{SensorSettings, Sensors};
use eddy_stream::{Clock as _, Start, StreamError, SystemClock};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::in_process::{InProcessStream, connection};
pub use crate::in_process::{KinesisEndpoint, STREAM, serve_kinesis};
use crate::pipeline::last_identity;
use crate::settings::{
    OnUnreadableModel, PipelineSettings, SchemaSettings, Settings, SinkSettings, SourceSettings,
    StateSettings,
};
use crate::{Pipeline, SensorLabels, Stop, build};

/// Readings a second that the embedded sensors make: a forest of 256 samples scores after 64, which
/// come within five seconds.
pub const READINGS_PER_SECOND: u32 = 20;
/// Beyond this many readings a second a timer is of no use.
pub const MAX_RATE: u32 = 1_000_000;
/// The in-process server sets no limit on reads; this keeps rows fresh and an idle process quiet.
const POLL_INTERVAL_MS: u64 = 100;
const MIN_READ_INTERVAL_MS: u64 = 10;

/// What the embedded default is told.
#[derive(Clone, Debug)]
pub struct EmbeddedSettings {
    /// Whether the simulated sensors run.
    pub sensors: bool,
    /// Readings a second; `None` as fast as they go.
    pub rate: Option<u32>,
    /// The address of the Kinesis endpoint.
    pub kinesis_listen: SocketAddr,
    /// The folder for index, state and dead letters.
    pub data_dir: PathBuf,
    /// How records are scored.
    pub detector: DetectorSettings,
    /// What they look like.
    pub schema: SchemaSettings,
    /// The seed of the sensors.
    pub sensor_seed: u64,
}

impl Default for EmbeddedSettings {
    fn default() -> Self {
        Self {
            sensors: true,
            rate: Some(READINGS_PER_SECOND),
            kinesis_listen: ([127, 0, 0, 1], 4567).into(),
            data_dir: PathBuf::from("./eddy-data"),
            detector: DetectorSettings::default(),
            schema: SchemaSettings::default(),
            sensor_seed: 42,
        }
    }
}

impl EmbeddedSettings {
    /// The pipeline of the embedded default as a settings file would have it, reading from the
    /// Kinesis endpoint at `kinesis`.
    pub fn pipeline(&self, kinesis: SocketAddr) -> Settings {
        let data = |name: &str| self.data_dir.join(name);
        Settings {
            source: SourceSettings::Kinesis {
                stream: STREAM.to_owned(),
                start: Start::TrimHorizon,
                connection: connection(kinesis),
                read: ReadSettings {
                    poll_interval_ms: POLL_INTERVAL_MS,
                    min_read_interval_ms: MIN_READ_INTERVAL_MS,
                    ..ReadSettings::default()
                },
            },
            schema: self.schema.clone(),
            detector: self.detector.clone(),
            application: None,
            pipeline: PipelineSettings {
                on_unreadable_model: OnUnreadableModel::Restart,
                ..PipelineSettings::default()
            },
            sinks: vec![SinkSettings::Index { path: data("index") }.into()],
            state: StateSettings::in_folder(data("state")),
            dead_letters: data("dead-letters.ndjson"),
            page: None,
        }
    }
}

/// The embedded default, opened and not yet running.
pub struct Embedded {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// The index that it writes to.
    pub index: Arc<Index>,
    /// Where the Kinesis endpoint listens.
    pub kinesis: SocketAddr,
    /// What the sensors know of their records, where they run.
    pub labels: Option<Arc<SensorLabels>>,
    sensors: Option<JoinHandle<Result<ProducerCounts, StreamError>>>,
    sensors_stop: watch::Sender<bool>,
}

impl Embedded {
    /// Starts the endpoint and the sensors, and opens the pipeline.
    ///
    /// # Errors
    /// The address is taken, or a part cannot be opened.
    pub async fn start(settings: &EmbeddedSettings) -> Result<Self, StreamError> {
        let endpoint = serve_kinesis(settings.kinesis_listen).await?;
        let mut pipeline = build(&settings.pipeline(endpoint.address)).await?;
        let last = last_identity(pipeline.pipeline.state.as_ref(), STREAM).await?;
        let created_ms = last.map_or(0, |last| last.created_ms + 1).max(SystemClock.now_ms());
        let stream = pipeline.pipeline.source;
        pipeline.pipeline.source = Arc::new(InProcessStream { stream, created_ms });
        let counters = Arc::clone(&pipeline.pipeline.counters);
        let (store, turn) = endpoint.store();
        tokio::spawn(KinesisEndpoint::trim(store, turn, counters));

        let (sensors_stop, stopped) = watch::channel(false);
        let (mut sensors, mut labels) = (None, None);
        if settings.sensors {
            let client = client(&connection(endpoint.address)).await;
            let stream = StreamIdentity { name: STREAM.to_owned(), created_ms };
            let of_records = Arc::new(SensorLabels::new(stream));
            let told = Arc::clone(&of_records);
            let tell = move |record: Acknowledged<'_>| told.acknowledged(record);
            let producer = Producer::telling(client, ProducerSettings::unlimited(STREAM), tell);
            let known = Arc::clone(&of_records);
            let run = run_sensors(producer, settings.sensor_seed, settings.rate, known, stopped);
            sensors = Some(tokio::spawn(run));
            labels = Some(of_records);
        }
        Ok(Self {
            pipeline: pipeline.pipeline,
            index: pipeline.index.expect("an index sink was asked for"),
            kinesis: endpoint.address,
            labels,
            sensors,
            sensors_stop,
        })
    }

    /// Runs until `shutdown` is told: the sensors stop, what the stream holds is settled (it would
    /// be lost with the process), then everything is saved. [`Stop::Abort`] stops at once.
    ///
    /// # Errors
    /// A part failed for good, or the stop was at once.
    pub async fn run(self, mut shutdown: watch::Receiver<Stop>) -> Result<(), StreamError> {
        let (stop, stopped) = watch::channel(Stop::No);
        let mut pipeline = tokio::spawn(self.pipeline.run(stopped));
        let failed = |error| StreamError::fatal("the pipeline was interrupted").with_source(error);
        let sensors_stop = self.sensors_stop;
        let mut sensors = self.sensors;
        let drained = async {
            tokio::select! {
                // Sensors end before they are told only by an error.
                ended = joined(&mut sensors) => return ended.map(drop),
                _ = shutdown.wait_for(|stop| *stop != Stop::No) => {}
            }
            // Nobody listens once the sensors have ended.
            let _ = sensors_stop.send(true);
            let running = sensors.is_some();
            tokio::select! {
                ended = joined(&mut sensors), if running => {
                    let counts = ended?;
                    tracing::info!(
                        acknowledged = counts.acknowledged,
                        failed = counts.failed,
                        "the sensors have stopped"
                    );
                }
                () = aborted(shutdown.clone()), if running => {}
                else => {}
            }
            // Nobody listens once the pipeline has ended.
            let _ = stop.send(Stop::Drained);
            aborted(shutdown.clone()).await;
            let _ = stop.send(Stop::Abort);
            Ok(())
        };
        tokio::select! {
            ended = &mut pipeline => return ended.map_err(failed)?,
            told = drained => told?,
        }
        pipeline.await.map_err(failed)?
    }
}

/// Waits for [`Stop::Abort`]; for ever where nobody can tell it any more.
async fn aborted(mut shutdown: watch::Receiver<Stop>) {
    if shutdown.wait_for(|stop| *stop == Stop::Abort).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits for the sensors to end; for ever where there are none.
async fn joined(
    sensors: &mut Option<JoinHandle<Result<ProducerCounts, StreamError>>>,
) -> Result<ProducerCounts, StreamError> {
    match sensors {
        None => std::future::pending().await,
        Some(running) => running.await.map_err(|error| {
            StreamError::fatal("the sensors were interrupted").with_source(error)
        })?,
    }
}

/// Puts readings until told to stop, then waits for the last to be acknowledged.
async fn run_sensors(
    producer: Producer,
    seed: u64,
    rate: Option<u32>,
    labels: Arc<SensorLabels>,
    mut stop: watch::Receiver<bool>,
) -> Result<ProducerCounts, StreamError> {
    let settings = SensorSettings { seed, ..SensorSettings::default() };
    let sensors = Sensors::new(settings).map_err(|error| {
        StreamError::fatal("the sensors' settings are refused").with_source(error)
    })?;
    let mut ticks = rate.map(|rate| {
        let pause = Duration::from_secs(1) / rate.clamp(1, MAX_RATE);
        tokio::time::interval(pause)
    });
    for reading in sensors {
        if let Some(ticks) = &mut ticks {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        } else if *stop.borrow() {
            break;
        }
        labels.put(reading.anomaly);
        producer.put(&reading.name, reading.to_json().into()).await?;
    }
    Ok(producer.flush().await)
}
