//! The Kinesis endpoint in this process, and its stream as a source.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use eddy_kinesis::{ConnectionSettings, client, ensure_stream};
use eddy_record::{PartitionId, StreamIdentity};
use eddy_stream::{Partition, PartitionReader, Source, Start, StreamError};
use ferrokinesis::sequence::shard_ix_to_hex;
use ferrokinesis::store::{Store, StoreOptions};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::Counters;

/// The stream of the embedded default.
pub const STREAM: &str = "RawStreamData";
/// Memory that the in-process stream may hold before it refuses records.
const MAX_STREAM_BYTES: u64 = 1 << 30;
/// From here on, settled records are dropped, the oldest first, down to half of it. (The server's
/// own retention is a day at least.)
const TRIM_FROM_BYTES: u64 = 512 << 20;
const TRIM_INTERVAL: Duration = Duration::from_secs(2);
/// Records dropped at a time, so that puts get their turn.
const TRIM_RECORDS: usize = 5_000;
/// Bytes of a request: what Kinesis takes in a PutRecords, in base64, and some room.
const MAX_BODY_BYTES: usize = 16 << 20;

/// A Kinesis endpoint that listens.
pub struct KinesisEndpoint {
    /// Where it listens.
    pub address: SocketAddr,
    store: Store,
    turn: Turn,
}

/// Whose turn it is at the server's store. Version 0.7 of the server holds a lock of its own over a
/// point where it waits, so requests at once may wait for each other for ever.
pub(crate) type Turn = Arc<Mutex<()>>;

/// The settings of a client of that endpoint.
pub(crate) fn connection(address: SocketAddr) -> ConnectionSettings {
    ConnectionSettings::local(&format!("http://{address}"))
}

/// Serves a Kinesis endpoint in this process, with the stream [`STREAM`] of one shard.
///
/// Any credentials do, but nothing that a web page sends: a browser names the page's origin.
///
/// # Errors
/// The address is taken.
pub async fn serve_kinesis(listen: SocketAddr) -> Result<KinesisEndpoint, StreamError> {
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        StreamError::fatal(format!(
            "cannot listen on {listen}; choose another address with --kinesis-listen"
        ))
        .with_source(error)
    })?;
    let address = listener
        .local_addr()
        .map_err(|error| StreamError::fatal("the endpoint has no address").with_source(error))?;
    let (app, store) = ferrokinesis::create_app(StoreOptions {
        create_stream_ms: 0,
        update_stream_ms: 0,
        delete_stream_ms: 0,
        shard_limit: 1000,
        retention_check_interval_secs: 60,
        max_retained_bytes: Some(MAX_STREAM_BYTES),
        ..StoreOptions::default()
    });
    let turn = Turn::default();
    let app = guarded(app.layer(middleware::from_fn_with_state(Arc::clone(&turn), one_at_a_time)));
    tokio::spawn(async move { axum::serve(listener, app).await });
    ensure_stream(&client(&connection(address)).await, STREAM, 1).await?;
    Ok(KinesisEndpoint { address, store, turn })
}

fn guarded(app: Router) -> Router {
    app.layer(DefaultBodyLimit::max(MAX_BODY_BYTES)).layer(middleware::from_fn(refuse_pages))
}

async fn one_at_a_time(State(turn): State<Turn>, request: Request, next: Next) -> Response {
    let _turn = turn.lock().await;
    next.run(request).await
}

async fn refuse_pages(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "requests of web pages are refused\n").into_response();
    }
    next.run(request).await
}

impl KinesisEndpoint {
    /// Drops settled records of [`STREAM`] whenever it has grown large; runs until it is dropped.
    pub(crate) async fn trim(store: Store, turn: Turn, counters: Arc<Counters>) {
        loop {
            tokio::time::sleep(TRIM_INTERVAL).await;
            if store.metrics().retained_bytes() < TRIM_FROM_BYTES {
                continue;
            }
            for (partition, status) in counters.partitions() {
                let Some(settled) = status.settled else { continue };
                while store.metrics().retained_bytes() > TRIM_FROM_BYTES / 2 {
                    let _turn = turn.lock().await;
                    if !trim_shard(&store, &partition, settled.sequence.as_str()).await {
                        break;
                    }
                }
            }
        }
    }

    /// The stream's records and whose turn it is at them, for [`KinesisEndpoint::trim`].
    pub(crate) fn store(&self) -> (Store, Turn) {
        (self.store.clone(), Arc::clone(&self.turn))
    }
}

/// Drops the oldest settled records of a shard; says whether there were any.
async fn trim_shard(store: &Store, shard: &PartitionId, settled: &str) -> bool {
    let number = shard.as_str().rsplit('-').next().and_then(|digits| digits.parse::<i64>().ok());
    let Some(shard_idx) = number else { return false };
    // A key is the shard's number and the sequence number; the settled record itself stays, so
    // that a reader can go on behind it.
    let (from, to) = (shard_ix_to_hex(shard_idx) + "/", shard_ix_to_hex(shard_idx) + "/" + settled);
    let oldest = store.get_records_range_limited(STREAM, &from, &to, TRIM_RECORDS).await;
    let keys: Vec<String> = oldest.into_iter().map(|(key, _)| key).collect();
    store.delete_record_keys(STREAM, &keys).await;
    !keys.is_empty()
}

/// The in-process stream. It is new at every start, also where two starts fall into the one second
/// by which the server tells creation times: its identity is the moment given here.
pub(crate) struct InProcessStream {
    pub(crate) stream: Arc<dyn Source>,
    pub(crate) created_ms: i64,
}

#[async_trait]
impl Source for InProcessStream {
    async fn identity(&self) -> Result<StreamIdentity, StreamError> {
        let identity = self.stream.identity().await?;
        Ok(StreamIdentity { created_ms: self.created_ms, ..identity })
    }

    async fn partitions(&self) -> Result<Vec<Partition>, StreamError> {
        self.stream.partitions().await
    }

    async fn open(
        &self,
        partition: &PartitionId,
        start: &Start,
    ) -> Result<Box<dyn PartitionReader>, StreamError> {
        self.stream.open(partition, start).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eddy_kinesis::{Producer, ProducerSettings};
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn a_request_of_a_web_page_is_refused() {
        let (app, _) = ferrokinesis::create_app(StoreOptions::default());
        let request = |origin: bool| {
            let mut request = axum::http::Request::post("/")
                .header("x-amz-target", "Kinesis_20131202.ListStreams")
                .header("content-type", "application/x-amz-json-1.1")
                .header("authorization", "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=0")
                .header("x-amz-date", "20260101T000000Z");
            if origin {
                request = request.header("origin", "http://evil.example");
            }
            request.body(axum::body::Body::from("{}")).expect("a request")
        };
        let app = guarded(app);
        let status = async |origin| {
            app.clone().oneshot(request(origin)).await.expect("answers").status().as_u16()
        };
        assert_eq!(status(false).await, 200);
        assert_eq!(status(true).await, 403);
    }

    #[tokio::test]
    async fn settled_records_are_dropped_and_reading_goes_on_behind_them() {
        let endpoint = serve_kinesis(([127, 0, 0, 1], 0).into()).await.expect("starts");
        let client = client(&connection(endpoint.address)).await;
        // Larger than what the server takes by default.
        let producer = Producer::new(client.clone(), ProducerSettings::unlimited(STREAM));
        for n in 0..8_u8 {
            producer.put("k", vec![n; 1_000_000].into()).await.expect("accepted");
        }
        assert_eq!(producer.flush().await.acknowledged, 8);
        let source = eddy_kinesis::KinesisSource::new(client, STREAM, Default::default());
        let shard = source.partitions().await.expect("listed").remove(0).id;
        let mut reader = source.open(&shard, &Start::TrimHorizon).await.expect("opens");
        let mut records = Vec::new();
        while records.len() < 8 {
            records.extend(reader.next().await.expect("reads").expect("open").records);
        }
        let settled = &records[5].position;
        assert!(trim_shard(&endpoint.store, &shard, settled.sequence.as_str()).await);
        assert!(!trim_shard(&endpoint.store, &shard, settled.sequence.as_str()).await);
        let read = async |start: &Start| {
            let mut reader = source.open(&shard, start).await.expect("opens");
            let batch = reader.next().await.expect("reads").expect("open");
            batch.records.iter().map(|record| record.data[0]).collect::<Vec<u8>>()
        };
        assert_eq!(read(&Start::TrimHorizon).await, [5, 6, 7]);
        assert_eq!(read(&Start::After(settled.clone())).await, [6, 7]);
    }
}
