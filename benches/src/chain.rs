//! A stream in this process, the settings of a pipeline on it, and readings of many sensors.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use eddy_harness::Random;
use eddy_kinesis::{Client, ConnectionSettings, client, ensure_stream};
use ferrokinesis::sequence::shard_ix_to_hex;
use ferrokinesis::store::{Store, StoreOptions};

use crate::receiver::{DELIVERY_STREAM, Receiver};

/// Sensors whose readings come where nothing else is said, each with a model.
pub const N_SENSORS: u64 = 400;
/// The stream's name.
pub const STREAM: &str = "readings";
/// Records of the in-process stream dropped at a time.
const TRIM_RECORDS: usize = 5_000;

/// The services that the chain meets.
pub struct Services {
    /// The stream's server.
    pub kinesis: SocketAddr,
    /// What is behind the sinks.
    pub receiver: SocketAddr,
    store: Store,
    turn: Turn,
}

/// Whose turn it is at the stream's server. Version 0.7 of it holds a lock of its own over a point
/// where it waits: two requests at once on one thread may wait for each other for ever.
type Turn = Arc<tokio::sync::Mutex<()>>;
type Storm = Arc<Mutex<(Random, u64)>>;

impl Services {
    /// Serves a new stream, of whose requests one in `one_in` fails (none where it is 0), and the
    /// receiver, on this runtime.
    ///
    /// # Errors
    /// There is no port, or the stream does not come up.
    pub async fn start(n_shards: i32, receiver: &Receiver, seed: u64, one_in: u64) -> Result<Self> {
        let (app, store) = ferrokinesis::create_app(StoreOptions {
            create_stream_ms: 0,
            shard_limit: 1000,
            max_retained_bytes: Some(2 << 30),
            ..StoreOptions::default()
        });
        let storm: Storm = Arc::new(Mutex::new((Random::new(seed), one_in)));
        let turn = Turn::default();
        let app = app
            .layer(from_fn_with_state(Arc::clone(&turn), one_at_a_time))
            .layer(from_fn_with_state(storm, fail_now_and_then))
            .layer(axum::extract::DefaultBodyLimit::max(16 << 20));
        let kinesis = eddy_harness::serve(app).await;
        let receiver = eddy_harness::serve(receiver.router()).await;
        let services = Self { kinesis, receiver, store, turn };
        ensure_stream(&services.client().await, STREAM, n_shards).await?;
        Ok(services)
    }

    /// A client of the stream's server.
    pub async fn client(&self) -> Client {
        client(&ConnectionSettings::local(&format!("http://{}", self.kinesis))).await
    }

    /// Writes a pipeline's settings as `eddy run` reads them into the folder, where its state will be
    /// too: a model a sensor, `_bulk` and Firehose.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_settings(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join("settings.toml");
        let folder = folder.display();
        let text = format!(
            r#"
            dead_letters = "{folder}/dead-letters.ndjson"
            source = {{ type = "kinesis", stream = "{STREAM}", connection = {{ endpoint_url = "http://{}" }} }}
            detector = {{ key = "iotName", columns = ["iotValue"] }}
            state = {{ path = "{folder}/state" }}

            [schema.inline]
            format = "json"
            columns = [
                {{ name = "iotName", type = "VARCHAR(64)" }},
                {{ name = "iotValue", type = "DOUBLE" }},
                {{ name = "n", type = "BIGINT" }},
            ]

            [[sinks]]
            type = "opensearch"
            url = "http://{receiver}"
            index = "anomalies"

            [[sinks]]
            type = "firehose"
            delivery_stream = "{DELIVERY_STREAM}"
            connection = {{ endpoint_url = "http://{receiver}" }}
            "#,
            self.kinesis,
            receiver = self.receiver,
        );
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Drops the oldest settled records, of each shard, while the stream holds more than `max_bytes`.
    pub async fn trim(&self, settled: &BTreeMap<String, String>, max_bytes: u64) {
        for (shard, sequence) in settled {
            let number = shard.rsplit('-').next().and_then(|n| n.parse::<i64>().ok());
            let Some(shard_idx) = number else { continue };
            // A key is the shard's number and the sequence number.
            let from = shard_ix_to_hex(shard_idx) + "/";
            let to = shard_ix_to_hex(shard_idx) + "/" + sequence;
            while self.store.metrics().retained_bytes() > max_bytes {
                let _turn = self.turn.lock().await;
                let oldest =
                    self.store.get_records_range_limited(STREAM, &from, &to, TRIM_RECORDS).await;
                if oldest.is_empty() {
                    break;
                }
                let keys: Vec<String> = oldest.into_iter().map(|(key, _)| key).collect();
                self.store.delete_record_keys(STREAM, &keys).await;
            }
        }
    }
}

async fn one_at_a_time(State(turn): State<Turn>, request: Request, next: Next) -> Response {
    let _turn = turn.lock().await;
    next.run(request).await
}

/// Refuses a request, or loses the answer to one that changes nothing.
async fn fail_now_and_then(State(storm): State<Storm>, request: Request, next: Next) -> Response {
    let fails = {
        let mut storm = storm.lock().unwrap_or_else(PoisonError::into_inner);
        let one_in = storm.1;
        storm.0.one_in(one_in).then(|| storm.0.below(3))
    };
    let answer = |status: StatusCode, kind: &str| {
        (status, format!("{{\"__type\":\"{kind}\",\"message\":\"on command\"}}")).into_response()
    };
    let throttled = "ProvisionedThroughputExceededException";
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok());
    let reads = target.is_some_and(|target| target.ends_with("GetRecords"));
    match fails {
        None => next.run(request).await,
        Some(0) => answer(StatusCode::BAD_REQUEST, throttled),
        Some(1) if reads => {
            let _lost = next.run(request).await;
            answer(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure")
        }
        Some(_) => answer(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure"),
    }
}

/// Readings of many sensors that take turns, one in a hundred an anomaly, about `bytes` each.
pub struct Readings {
    random: Random,
    n_sensors: u64,
    padding: String,
    n: u64,
}

impl Readings {
    /// From the first on.
    pub fn new(seed: u64, n_sensors: u64, bytes: usize) -> Self {
        // What a reading has without it.
        let padding = "x".repeat(bytes.saturating_sub(64));
        Self { random: Random::new(seed), n_sensors, padding, n: 0 }
    }
}

impl Iterator for Readings {
    type Item = (String, Bytes);

    fn next(&mut self) -> Option<Self::Item> {
        let n = self.n;
        self.n += 1;
        let anomaly = self.random.one_in(100);
        let value = if anomaly { 100 + self.random.below(21) } else { 10 + self.random.below(11) };
        let name = format!("sensor-{}", n % self.n_sensors);
        let padding = &self.padding;
        let text =
            format!(r#"{{"iotName":"{name}","iotValue":{value},"n":{n},"padding":"{padding}"}}"#);
        Some((name, text.into()))
    }
}
