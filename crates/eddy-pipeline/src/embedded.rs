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
    ConnectionSettings, Producer, ProducerCounts, ProducerSettings, ReadSettings, client,
    ensure_stream,
};
use eddy_sensors::{SensorSettings, Sensors};
use eddy_stream::{Start, StreamError};
use ferrokinesis::store::StoreOptions;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::settings::{
    OnUnreadableModel, PipelineSettings, SchemaSettings, Settings, SinkSettings, SourceSettings,
    StateSettings,
};
use crate::{Pipeline, Stop, build};

/// The stream of the embedded default.
pub const STREAM: &str = "RawStreamData";
/// Readings a second that the embedded sensors make: a forest of 256 samples scores after 64, which
/// come within five seconds.
pub const READINGS_PER_SECOND: u32 = 20;
/// The in-process server sets no limit on reads; this keeps rows fresh and an idle process quiet.
const POLL_INTERVAL_MS: u64 = 100;
const MIN_READ_INTERVAL_MS: u64 = 10;
/// Memory that the in-process stream may hold before it refuses records.
const MAX_STREAM_BYTES: u64 = 1 << 30;

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
                connection: endpoint(kinesis),
                read: ReadSettings {
                    poll_interval_ms: POLL_INTERVAL_MS,
                    min_read_interval_ms: MIN_READ_INTERVAL_MS,
                    ..ReadSettings::default()
                },
            },
            schema: self.schema.clone(),
            detector: self.detector.clone(),
            pipeline: PipelineSettings {
                on_unreadable_model: OnUnreadableModel::Restart,
                ..PipelineSettings::default()
            },
            sinks: vec![SinkSettings::Index { path: data("index") }],
            state: StateSettings { path: data("state") },
            dead_letters: data("dead-letters.ndjson"),
            page: None,
        }
    }
}

fn endpoint(kinesis: SocketAddr) -> ConnectionSettings {
    ConnectionSettings::local(&format!("http://{kinesis}"))
}

/// Serves a Kinesis endpoint in this process, with the stream [`STREAM`] of one shard; returns its
/// address.
///
/// # Errors
/// The address is taken.
pub async fn serve_kinesis(listen: SocketAddr) -> Result<SocketAddr, StreamError> {
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        StreamError::fatal(format!(
            "cannot listen on {listen}; choose another address with --kinesis-listen"
        ))
        .with_source(error)
    })?;
    let address = listener
        .local_addr()
        .map_err(|error| StreamError::fatal("the endpoint has no address").with_source(error))?;
    let (app, _) = ferrokinesis::create_app(StoreOptions {
        create_stream_ms: 0,
        update_stream_ms: 0,
        delete_stream_ms: 0,
        shard_limit: 1000,
        retention_check_interval_secs: 60,
        max_retained_bytes: Some(MAX_STREAM_BYTES),
        ..StoreOptions::default()
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    ensure_stream(&client(&endpoint(address)).await, STREAM, 1).await?;
    Ok(address)
}

/// The embedded default, opened and not yet running.
pub struct Embedded {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// The index that it writes to.
    pub index: Arc<Index>,
    /// Where the Kinesis endpoint listens.
    pub kinesis: SocketAddr,
    sensors: Option<JoinHandle<Result<ProducerCounts, StreamError>>>,
    sensors_stop: watch::Sender<bool>,
}

impl Embedded {
    /// Starts the endpoint and the sensors, and opens the pipeline.
    ///
    /// # Errors
    /// The address is taken, or a part cannot be opened.
    pub async fn start(settings: &EmbeddedSettings) -> Result<Self, StreamError> {
        let kinesis = serve_kinesis(settings.kinesis_listen).await?;
        let built = build(&settings.pipeline(kinesis)).await?;
        let (sensors_stop, stopped) = watch::channel(false);
        let mut sensors = None;
        if settings.sensors {
            let client = client(&endpoint(kinesis)).await;
            let producer = Producer::new(client, ProducerSettings::new(STREAM));
            let run = run_sensors(producer, settings.sensor_seed, settings.rate, stopped);
            sensors = Some(tokio::spawn(run));
        }
        Ok(Self {
            pipeline: built.pipeline,
            index: built.index.expect("an index sink was asked for"),
            kinesis,
            sensors,
            sensors_stop,
        })
    }

    /// Runs until `shutdown` is told: the sensors stop, what the stream holds is settled (it would
    /// be lost with the process), then everything is saved. A second word stops at once, settling
    /// what was read.
    ///
    /// # Errors
    /// A part failed for good.
    pub async fn run(self, mut shutdown: watch::Receiver<Stop>) -> Result<(), StreamError> {
        let (stop, stopped) = watch::channel(Stop::No);
        let mut pipeline = tokio::spawn(self.pipeline.run(stopped));
        let failed = |error| StreamError::fatal("the pipeline was interrupted").with_source(error);
        tokio::select! {
            ended = &mut pipeline => return ended.map_err(failed)?,
            _ = shutdown.wait_for(|stop| *stop != Stop::No) => {}
        }
        // Nobody listens once the sensors have ended.
        let _ = self.sensors_stop.send(true);
        if let Some(sensors) = self.sensors {
            let counts = sensors.await.map_err(failed)??;
            tracing::info!(
                acknowledged = counts.acknowledged,
                failed = counts.failed,
                "the sensors have stopped"
            );
        }
        let _ = stop.send(Stop::Drained);
        tokio::select! {
            ended = &mut pipeline => return ended.map_err(failed)?,
            _ = shutdown.wait_for(|stop| *stop == Stop::Now) => {}
        }
        let _ = stop.send(Stop::Now);
        pipeline.await.map_err(failed)?
    }
}

/// Puts readings until told to stop, then waits for the last to be acknowledged.
async fn run_sensors(
    producer: Producer,
    seed: u64,
    rate: Option<u32>,
    mut stop: watch::Receiver<bool>,
) -> Result<ProducerCounts, StreamError> {
    let settings = SensorSettings { seed, ..SensorSettings::default() };
    let sensors = Sensors::new(settings).map_err(|error| {
        StreamError::fatal("the sensors' settings are refused").with_source(error)
    })?;
    let mut ticks = rate.map(|rate| tokio::time::interval(Duration::from_secs(1) / rate.max(1)));
    for reading in sensors {
        if let Some(ticks) = &mut ticks {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        } else if *stop.borrow() {
            break;
        }
        producer.put(&reading.name, reading.to_json().into()).await?;
    }
    Ok(producer.flush().await)
}
