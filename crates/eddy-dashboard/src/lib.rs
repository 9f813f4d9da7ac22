//! The live page: readings and scores as they arrive, the anomalies standing out.
//!
//! It stands at the end of the flow and shows what the embedded index holds: live rows are those
//! that the index has just made durable, and everything else on the page is a query of the index,
//! so that chart, bars and table agree.
//!
//! - [`router`] makes the page from its [`DashboardParts`]: the assets in the binary, the
//!   Elasticsearch-compatible endpoint under `/es/`, the live rows as server-sent events under
//!   `/api/live`, the pipeline's state under `/api/status`, metrics under `/metrics`.
//! - [`serve`] runs it until it is told to stop.
//!
//! Answers carry a strict content security policy; the page asks no other host for anything. On a
//! loopback address only requests to a loopback host name are answered, so that no foreign web page
//! can reach it by a name of its own; and writes from pages of another origin are refused.
//!
//! It does not decide what an anomaly is: the threshold comes with the status.

mod assets;
mod guard;
mod live;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router, middleware};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The index that a page shows.
pub use eddy_index::Index;

/// What the page is made of.
#[derive(Clone)]
pub struct DashboardParts {
    /// Where rows come from.
    pub index: Arc<Index>,
    /// The pipeline's state as the page reads it: `key`, `columns`, `threshold`, `totals`,
    /// `dead_lettered`, `behind_ms`, `models`. What is missing or null the page does without.
    pub status: Arc<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// The metrics as Prometheus reads them.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The address that the page listens on.
    pub address: SocketAddr,
}

/// A page at work: its parts, and when it ends.
#[derive(Clone)]
struct Page {
    parts: DashboardParts,
    // True when the page is ending: event streams end with it.
    ending: watch::Receiver<bool>,
}

/// The page's routes. Event streams end when the sender of `ending` says true or is gone.
pub fn router(parts: DashboardParts, ending: watch::Receiver<bool>) -> Router {
    let es = eddy_index::router(Arc::clone(&parts.index));
    let address = parts.address;
    Router::new()
        .route("/", get(assets::page))
        .route("/assets/{*path}", get(assets::serve))
        .route("/api/live", get(live::events))
        .route("/api/status", get(status))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(Page { parts, ending })
        .nest_service("/es", es)
        .layer(middleware::from_fn_with_state(address, guard::requests))
        .layer(middleware::from_fn(guard::headers))
}

/// Serves the page on a listener until `ended` completes.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    parts: DashboardParts,
    ended: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
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

async fn metrics(State(page): State<Page>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], (page.parts.metrics)())
}
