//! The live page: readings and scores as they arrive, the anomalies standing out.
//!
//! It stands at the end of the flow and shows what the embedded index holds, and how the pipeline
//! is. Everything that it shows of the rows is one query, whose state is the page's address: chart,
//! bars, heatmap and table come from one snapshot of the index and one pair of bounds, so that they
//! agree. Live rows are those that the index has just made durable.
//!
//! - [`router`] makes the page from its [`DashboardParts`]: the assets in the binary, that query
//!   under `/api/query` (more rows of the heatmap under `/api/heat`, the table as a file under
//!   `/api/export`), live rows as server-sent events under `/api/live`, the pipeline's state under
//!   `/api/status`, an SQL application's under `/api/application`, dead letters under
//!   `/api/letters`, metrics under `/metrics`, the Elasticsearch-compatible endpoint under `/es/`.
//! - [`serve`] runs it until it is told to stop.
//! - [`Labels`] is what is known of simulated rows.
//!
//! Answers carry a strict content security policy; the page asks no other host for anything. On a
//! loopback address only requests to a loopback host name are answered, so that no foreign web page
//! can reach it by a name of its own; and writes from pages of another origin are refused. On any
//! other address it demands a token.
//!
//! It does not decide what an anomaly is: the threshold comes with the status.

mod assets;
mod export;
mod gather;
mod guard;
mod letters;
mod live;
mod params;
mod points;
mod query;
mod token;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router, middleware};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// The index that a page shows.
pub use eddy_index::Index;
pub use token::check_token;

/// Queries that run at once: more would only slow each other.
const MAX_QUERIES: usize = 2;

/// What is known of rows beforehand, where sensors are simulated.
pub trait Labels: Send + Sync {
    /// Whether the row of that id is an anomaly; `None` where it is not known.
    fn label(&self, id: &str) -> Option<bool>;
    /// The ids of the anomalies that were made about that time, the oldest first.
    fn anomalies(&self, from_ms: i64, to_ms: i64) -> Vec<String>;
}

/// What the page is made of.
#[derive(Clone)]
pub struct DashboardParts {
    /// Where rows come from, where the pipeline keeps an index.
    pub index: Option<Arc<Index>>,
    /// The pipeline's state as the page reads it: `key`, `columns`, `threshold`, `totals`,
    /// `dead_lettered`, `behind_ms`, `models`. What is missing or null the page does without.
    pub status: Arc<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// The metrics as Prometheus reads them.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// An SQL application as the page shows it; `None` where there is none.
    pub application: Option<Arc<dyn Fn() -> serde_json::Value + Send + Sync>>,
    /// The file of the dead letters, where there is one.
    pub letters: Option<Arc<Path>>,
    /// What is known of simulated rows.
    pub labels: Option<Arc<dyn Labels>>,
    /// The address that the page listens on.
    pub address: SocketAddr,
    /// What requests must carry; demanded on an address beyond this machine.
    pub token: Option<String>,
}

/// A page at work: its parts, and when it ends.
#[derive(Clone)]
struct Page {
    parts: DashboardParts,
    // True when the page is ending: event streams end with it.
    ending: watch::Receiver<bool>,
    turns: Arc<Semaphore>,
    exports: Arc<Semaphore>,
}

/// The page's routes. Event streams end when the sender of `ending` says true or is gone.
pub fn router(parts: DashboardParts, ending: watch::Receiver<bool>) -> Router {
    let es = parts.index.as_ref().map(|index| eddy_index::router(Arc::clone(index)));
    let page = Page {
        parts,
        ending,
        turns: Arc::new(Semaphore::new(MAX_QUERIES)),
        exports: Arc::new(Semaphore::new(export::MAX_EXPORTS)),
    };
    let routes = Router::new()
        .route("/", get(assets::page))
        .route("/login", get(token::form).post(token::login))
        .route("/assets/{*path}", get(assets::serve))
        .route("/api/query", get(query::query))
        .route("/api/heat", get(query::heat))
        .route("/api/export", get(export::export))
        .route("/api/letters", get(letters::letters))
        .route("/api/live", get(live::events))
        .route("/api/status", get(status))
        .route("/api/application", get(application))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(page.clone());
    let routes = match es {
        Some(es) => routes.nest_service("/es", es),
        None => routes,
    };
    routes
        .layer(middleware::from_fn_with_state(page.clone(), token::demand))
        .layer(middleware::from_fn_with_state(page, guard::requests))
        .layer(middleware::from_fn(guard::headers))
}

/// Serves the page on a listener until `ended` completes.
///
/// # Errors
/// The listener failed, or the address is beyond this machine and there is no token.
pub async fn serve(
    listener: TcpListener,
    parts: DashboardParts,
    ended: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    if !parts.address.ip().is_loopback() && parts.token.is_none() {
        let reason = "a page beyond this machine demands a token";
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, reason));
    }
    let (end, ending) = watch::channel(false);
    let graceful = async move {
        ended.await;
        // Event streams that are gone already need no word.
        let _ = end.send(true);
    };
    axum::serve(listener, router(parts, ending)).with_graceful_shutdown(graceful).await
}

async fn status(State(page): State<Page>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json((page.parts.status)()))
}

async fn application(State(page): State<Page>) -> axum::response::Response {
    match &page.parts.application {
        Some(state) => ([(header::CACHE_CONTROL, "no-store")], Json(state())).into_response(),
        None => {
            let reason = "this pipeline runs no SQL application";
            query::refused(StatusCode::NOT_FOUND, reason).into_response()
        }
    }
}

async fn metrics(State(page): State<Page>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], (page.parts.metrics)())
}
