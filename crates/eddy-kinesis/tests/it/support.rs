//! A Kinesis in this process, and helpers to read from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use eddy_kinesis::{Client, ConnectionSettings, Producer, ProducerSettings, ReadSettings, client};
use eddy_record::RawRecord;
use eddy_stream::PartitionReader;
use ferrokinesis::store::StoreOptions;
use tokio::net::TcpListener;

/// Longer than any test needs, so that one that hangs ends.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    pub(crate) client: Client,
    app: axum::Router,
}

impl Server {
    pub(crate) async fn start(change: impl FnOnce(&mut StoreOptions)) -> Self {
        let mut options =
            StoreOptions { create_stream_ms: 0, shard_limit: 50, ..Default::default() };
        change(&mut options);
        let (app, _) = ferrokinesis::create_app(options);
        let url = serve(app.clone()).await;
        Self { client: client(&ConnectionSettings::local(&url)).await, app }
    }

    pub(crate) async fn put(&self, stream: &str, key: &str, data: impl IntoIterator<Item = Bytes>) {
        let producer = Producer::new(self.client.clone(), ProducerSettings::new(stream));
        for data in data {
            producer.put(key, data).await.expect("accepted");
        }
        assert_eq!(producer.flush().await.failed, 0);
    }

    pub(crate) async fn split(&self, stream: &str, shard: &str) {
        let middle = "170141183460469231731687303715884105728";
        let call = self.client.split_shard().stream_name(stream).shard_to_split(shard);
        call.new_starting_hash_key(middle).send().await.expect("split");
        eddy_kinesis::ensure_stream(&self.client, stream, 1).await.expect("active again");
        // The shards are listed once the split is done.
        tokio::time::timeout(PATIENCE, async {
            loop {
                let listed = self.client.list_shards().stream_name(stream).send().await;
                if listed.expect("listed").shards().len() == 3 {
                    break;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the split is done");
    }
}

async fn serve(app: axum::Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// A server that answers every `every`th request of one action with an error, `n_failures` times,
/// and passes all others on.
pub(crate) async fn flaky(
    server: &Server,
    action: &'static str,
    failure: (StatusCode, &'static str),
    every: usize,
    n_failures: usize,
) -> String {
    flaky_while(server, action, failure, every, n_failures, || std::future::ready(())).await
}

/// [`flaky`], with something that happens before each failure is answered.
pub(crate) async fn flaky_while<F>(
    server: &Server,
    action: &'static str,
    failure: (StatusCode, &'static str),
    every: usize,
    n_failures: usize,
    meanwhile: impl Fn() -> F + Clone + Send + Sync + 'static,
) -> String
where
    F: Future<Output = ()> + Send,
{
    let n_calls = Arc::new(AtomicUsize::new(0));
    let answer = move |State(n_calls): State<Arc<AtomicUsize>>, request: Request, next: Next| {
        let meanwhile = meanwhile.clone();
        async move {
            let target =
                request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
            if target.is_some_and(|target| target.ends_with(action)) {
                let n_calls = n_calls.fetch_add(1, Ordering::SeqCst) + 1;
                if n_calls % every == 0 && n_calls / every <= n_failures {
                    meanwhile().await;
                    let body =
                        format!("{{\"__type\":\"{}\",\"message\":\"on command\"}}", failure.1);
                    let response: Response = (failure.0, body).into_response();
                    return response;
                }
            }
            next.run(request).await
        }
    };
    serve(server.app.clone().layer(axum::middleware::from_fn_with_state(n_calls, answer))).await
}

/// A server behind one that refuses requests of more than `max_bytes`, as proxies do.
pub(crate) async fn behind_a_proxy(server: &Server, max_bytes: usize) -> String {
    let refuse = move |request: Request, next: Next| async move {
        let length = request.headers().get("content-length").and_then(|n| n.to_str().ok());
        if length.and_then(|n| n.parse().ok()).is_none_or(|n: usize| n > max_bytes) {
            return (StatusCode::PAYLOAD_TOO_LARGE, "<h1>Too large</h1>").into_response();
        }
        next.run(request).await
    };
    serve(server.app.clone().layer(axum::middleware::from_fn(refuse))).await
}

pub(crate) fn reading(n: u64) -> Bytes {
    n.to_string().into()
}

/// No pause between reads: the server in this process sets no limit.
pub(crate) fn fast() -> ReadSettings {
    ReadSettings { poll_interval_ms: 1, min_read_interval_ms: 0, ..ReadSettings::default() }
}

/// Reads until the shard is caught up or has ended.
pub(crate) async fn drain(mut reader: Box<dyn PartitionReader>) -> Vec<RawRecord> {
    let mut records = Vec::new();
    let read = async {
        while let Some(batch) = reader.next().await.expect("readable") {
            let caught_up = batch.behind_ms == Some(0);
            records.extend(batch.records);
            if caught_up {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the shard is caught up");
    records
}

/// Reads until that many records have come.
pub(crate) async fn next_records(
    reader: &mut Box<dyn PartitionReader>,
    n_records: usize,
) -> Vec<RawRecord> {
    let mut records = Vec::new();
    let read = async {
        while records.len() < n_records {
            records.extend(reader.next().await.expect("readable").expect("open").records);
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the records come");
    records
}

/// An aggregate of three records, as the producer library makes them.
pub(crate) fn aggregate() -> Bytes {
    let hex = "f3899ac20a056465762d310a056465762d3212273137303134313138333436303436393233313733313638373330333731353838343130353732381a0b08001a077b2276223a317d1a0d080110001a077b2276223a327d1a0b08001a077b2276223a337d3ff033bb70aa693d112df8fbe8aa0039";
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(digit).collect()
}
