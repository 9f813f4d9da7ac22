//! Rows as they become durable, as server-sent events.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use eddy_index::LiveDocument;
use futures::stream::unfold;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::Page;
use crate::gather::alerts;
use crate::query::refused;

/// Rows of this time make one event.
const EVENT_INTERVAL: Duration = Duration::from_millis(200);
/// Rows in one event at most: a browser draws no more. What is left out is counted, and in the
/// index.
const MAX_EVENT_ROWS: usize = 400;
/// Rows of one interval at most, which bounds the memory of a reader; more make the next event.
const MAX_PENDING_ROWS: usize = 50_000;

struct Feed {
    rows: Receiver<Arc<[LiveDocument]>>,
    ending: watch::Receiver<bool>,
    threshold: f64,
}

/// The events of one reader.
pub(crate) async fn events(State(page): State<Page>) -> Response {
    let Some(index) = &page.parts.index else {
        return refused(StatusCode::NOT_FOUND, "this pipeline keeps no index").into_response();
    };
    let threshold = (page.parts.status)()["threshold"].as_f64().unwrap_or(f64::INFINITY);
    let feed = Feed { rows: index.subscribe(), ending: page.ending.clone(), threshold };
    let events = unfold(feed, |mut feed| async move {
        let data = feed.next().await?;
        Some((Ok::<_, Infallible>(Event::default().event("rows").data(data)), feed))
    });
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(10));
    Sse::new(events).keep_alive(keep_alive).into_response()
}

/// The rows of an interval.
#[derive(Default)]
struct Pending {
    documents: Vec<LiveDocument>,
    // At least: how many rows a message held that was lost is not known.
    n_left_out: u64,
}

impl Pending {
    /// Takes a message in; false when there will be no more.
    fn take(&mut self, message: Result<Arc<[LiveDocument]>, RecvError>) -> bool {
        match message {
            Ok(documents) => self.documents.extend_from_slice(&documents),
            Err(RecvError::Lagged(n_messages)) => self.n_left_out += n_messages,
            Err(RecvError::Closed) => return false,
        }
        true
    }

    /// As JSON, the rows as the hits of a search have them.
    fn into_json(self, threshold: f64) -> String {
        let n_rows = self.documents.len();
        let kept = thin_out(self.documents, threshold);
        let n_left_out = self.n_left_out + (n_rows - kept.len()) as u64;
        let mut json = format!("{{\"left_out\":{n_left_out},\"rows\":[");
        for (row_idx, row) in kept.iter().enumerate() {
            let before = if row_idx == 0 { "" } else { "," };
            let id = serde_json::Value::from(&*row.id);
            // A source may have line ends between its values; an event's data has none.
            let source = row.source.replace(['\n', '\r'], " ");
            json.push_str(&format!("{before}{{\"_id\":{id},\"_source\":{source}}}"));
        }
        json.push_str("]}");
        json
    }
}

impl Feed {
    /// The rows of the next interval in which there are any, as JSON; `None` at the page's end.
    async fn next(&mut self) -> Option<String> {
        let mut pending = Pending::default();
        tokio::select! {
            biased;
            _ = self.ending.wait_for(|ending| *ending) => return None,
            first = self.rows.recv() => if !pending.take(first) { return None },
        }
        let deadline = Instant::now() + EVENT_INTERVAL;
        while pending.documents.len() < MAX_PENDING_ROWS {
            let Ok(message) = timeout_at(deadline, self.rows.recv()).await else { break };
            if !pending.take(message) {
                break;
            }
        }
        let threshold = self.threshold;
        // Of very many rows each is read for its score.
        tokio::task::spawn_blocking(move || pending.into_json(threshold)).await.ok()
    }
}

/// The highest anomalies, and of the others as many as there is room for, evenly; in their order.
fn thin_out(rows: Vec<LiveDocument>, threshold: f64) -> Vec<LiveDocument> {
    if rows.len() <= MAX_EVENT_ROWS {
        return rows;
    }
    let mut anomalies: Vec<(f64, usize)> = rows
        .iter()
        .enumerate()
        .filter_map(|(row_idx, row)| Some((score(row)?, row_idx)))
        .filter(|(score, _)| alerts(*score, threshold))
        .collect();
    anomalies.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    anomalies.truncate(MAX_EVENT_ROWS / 2);
    let anomalies: BTreeSet<usize> = anomalies.into_iter().map(|(_, row_idx)| row_idx).collect();
    let step = rows.len().div_ceil(MAX_EVENT_ROWS / 2);
    rows.into_iter()
        .enumerate()
        .filter(|(row_idx, _)| row_idx % step == 0 || anomalies.contains(row_idx))
        .map(|(_, row)| row)
        .collect()
}

/// A row's score, where it has one.
fn score(row: &LiveDocument) -> Option<f64> {
    let source: serde_json::Value = serde_json::from_str(&row.source).ok()?;
    source["ANOMALY_SCORE"].as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: usize, score: &str) -> LiveDocument {
        LiveDocument {
            index: "anomalies-2026.11.23".into(),
            id: n.to_string().into(),
            source: format!("{{\"n\":{n},\"ANOMALY_SCORE\":{score}}}").into(),
        }
    }

    #[test]
    fn the_highest_anomalies_are_kept_when_rows_are_thinned_out() {
        let score = |n: usize| match n {
            4321 => "9.5",
            _ if n > 9000 => "3.0",
            _ if n.is_multiple_of(7) => "null",
            _ => "0.8",
        };
        let rows: Vec<_> = (0..10_000).map(|n| row(n, score(n))).collect();
        let kept = thin_out(rows.clone(), 2.0);
        assert!(kept.len() <= MAX_EVENT_ROWS);
        assert!(kept.contains(&rows[4321]));
        assert!(kept.is_sorted_by_key(|row| row.id.parse::<usize>().expect("a number")));
        assert_eq!(thin_out(rows[..10].to_vec(), 2.0), rows[..10]);
    }

    #[test]
    fn an_event_is_one_line_of_json() {
        let mut pending = Pending::default();
        let mut spread = row(7, "2.5");
        spread.source = "{\r\n \"n\": 7\n}".into();
        assert!(pending.take(Ok([spread, row(8, "null")].into())));
        assert!(pending.take(Err(RecvError::Lagged(3))));
        assert!(!pending.take(Err(RecvError::Closed)));
        let json = pending.into_json(2.0);
        assert!(!json.contains(['\n', '\r']), "{json}");
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["left_out"], 3);
        assert_eq!(json["rows"][0], serde_json::json!({"_id": "7", "_source": {"n": 7}}));
        assert_eq!(json["rows"][1]["_source"]["ANOMALY_SCORE"], serde_json::Value::Null);
    }
}
