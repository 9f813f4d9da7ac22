//! Amazon Kinesis Data Streams by a clock of the caller's.

mod api;
mod stream;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::routing::post;
use bytes::Bytes;

use crate::Faults;
pub use stream::Stored;
use stream::Stream;

type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Streams with shards that split and merge.
///
/// Unlike a server for development it is the same every time: arrival times and the answers' Date
/// come from the caller's clock, and nothing is random. It knows the calls of a consumer by polling
/// and of a producer, pages its listings, keeps the service's limits on requests, and lets iterators
/// expire.
#[derive(Clone)]
pub struct KinesisDouble {
    /// What happens to the next requests.
    pub faults: Faults,
    /// How long an iterator can be used. Default: the service's five minutes.
    pub iterator_life_ms: i64,
    now_ms: Clock,
    page: usize,
    kept: Arc<Mutex<BTreeMap<String, Stream>>>,
}

impl KinesisDouble {
    /// No stream yet; listings have pages of `page` shards.
    pub fn new(page: usize, now_ms: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self {
            faults: Faults::default(),
            iterator_life_ms: 300_000,
            now_ms: Arc::new(now_ms),
            page,
            kept: Arc::default(),
        }
    }

    /// Creates a stream anew; one of the same name is gone.
    pub fn create(&self, name: &str, n_shards: usize) {
        let stream = Stream::new((self.now_ms)(), n_shards);
        self.lock().insert(name.to_owned(), stream);
    }

    /// Puts a record and says where it went: its shard and sequence number.
    ///
    /// # Panics
    /// There is no such stream.
    pub fn put(&self, stream: &str, key: &str, data: impl Into<Bytes>) -> (String, String) {
        let now_ms = (self.now_ms)();
        self.stream(stream, |stream| stream.put(now_ms, key, data.into()))
    }

    /// Splits an open shard in its middle. Says whether it could.
    ///
    /// # Panics
    /// There is no such stream.
    pub fn split(&self, stream: &str, shard: &str) -> bool {
        self.stream(stream, |stream| stream.split(shard, None).is_ok())
    }

    /// Merges two open shards that lie side by side. Says whether it could.
    ///
    /// # Panics
    /// There is no such stream.
    pub fn merge(&self, stream: &str, shard: &str, adjacent: &str) -> bool {
        self.stream(stream, |stream| stream.merge(shard, adjacent).is_ok())
    }

    /// The open shards by their hash ranges.
    ///
    /// # Panics
    /// There is no such stream.
    pub fn open_shards(&self, stream: &str) -> Vec<String> {
        self.stream(stream, |stream| stream.open_shards())
    }

    /// Every record of a stream, shard by shard.
    ///
    /// # Panics
    /// There is no such stream.
    pub fn records(&self, stream: &str) -> Vec<Stored> {
        self.stream(stream, |stream| stream.records())
    }

    /// The double's routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", post(api::answer))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(self.clone())
    }

    fn stream<T>(&self, name: &str, act: impl FnOnce(&mut Stream) -> T) -> T {
        act(self.lock().get_mut(name).unwrap_or_else(|| panic!("there is no stream {name}")))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Stream>> {
        // Streams are whole between statements, whatever a panicking holder did.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
