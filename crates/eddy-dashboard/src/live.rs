//! Rows as they become durable, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use eddy_index::LiveDocument;
use futures::Stream;
use futures::stream::unfold;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::Page;

/// Rows of this time make one event.
const EVENT_INTERVAL: Duration = Duration::from_millis(200);
/// Rows in one event at most: a browser draws no more. What is left out is counted, and in the
/// index.
const MAX_EVENT_ROWS: usize = 400;

struct Feed {
    rows: Receiver<Arc<[LiveDocument]>>,
    ending: watch::Receiver<bool>,
    threshold: f64,
}

/// The events of one reader.
pub(crate) async fn events(
    State(page): State<Page>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let threshold = (page.parts.status)()["threshold"].as_f64().unwrap_or(f64::INFINITY);
    let feed = Feed { rows: page.parts.index.subscribe(), ending: page.ending, threshold };
    let events = unfold(feed, |mut feed| async move {
        let data = feed.next().await?;
        Some((Ok(Event::default().event("rows").data(data)), feed))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(10)))
}

impl Feed {
    /// The rows of the next interval in which there are any, as JSON; `None` at the page's end.
    async fn next(&mut self) -> Option<String> {
        let mut rows: Vec<Arc<str>> = Vec::new();
        let mut n_left_out = 0;
        tokio::select! {
            biased;
            _ = self.ending.wait_for(|ending| *ending) => return None,
            first = self.rows.recv() => match first {
                Ok(documents) => rows.extend(documents.iter().map(|row| Arc::clone(&row.source))),
                Err(RecvError::Lagged(n_messages)) => n_left_out += n_messages,
                Err(RecvError::Closed) => return None,
            },
        }
        let deadline = Instant::now() + EVENT_INTERVAL;
        loop {
            match timeout_at(deadline, self.rows.recv()).await {
                Ok(Ok(documents)) => {
                    rows.extend(documents.iter().map(|row| Arc::clone(&row.source)));
                }
                Ok(Err(RecvError::Lagged(n_messages))) => n_left_out += n_messages,
                Ok(Err(RecvError::Closed)) | Err(_) => break,
            }
        }
        let n_rows = rows.len();
        let rows = thin_out(rows, self.threshold);
        n_left_out += (n_rows - rows.len()) as u64;
        Some(format!("{{\"left_out\":{n_left_out},\"rows\":[{}]}}", rows.join(",")))
    }
}

/// Every anomaly, and of the others as many as there is room for, evenly.
fn thin_out(rows: Vec<Arc<str>>, threshold: f64) -> Vec<Arc<str>> {
    if rows.len() <= MAX_EVENT_ROWS {
        return rows;
    }
    let is_anomaly = |row: &Arc<str>| {
        let row: Option<serde_json::Value> = serde_json::from_str(row).ok();
        row.and_then(|row| row["ANOMALY_SCORE"].as_f64()).is_some_and(|score| score >= threshold)
    };
    let step = rows.len().div_ceil(MAX_EVENT_ROWS / 2);
    let mut n_anomalies = 0;
    let mut kept = Vec::new();
    for (row_idx, row) in rows.into_iter().enumerate() {
        let anomaly = n_anomalies < MAX_EVENT_ROWS / 2 && is_anomaly(&row);
        n_anomalies += usize::from(anomaly);
        if anomaly || row_idx % step == 0 {
            kept.push(row);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anomalies_are_kept_when_rows_are_thinned_out() {
        let row = |n: usize| {
            let score = if n == 4321 { 3.0 } else { 0.8 };
            Arc::from(format!("{{\"n\":{n},\"ANOMALY_SCORE\":{score}}}"))
        };
        let kept = thin_out((0..10_000).map(row).collect(), 2.0);
        assert!(kept.len() <= MAX_EVENT_ROWS);
        assert!(kept.contains(&row(4321)));
        assert_eq!(thin_out((0..10).map(row).collect(), 2.0).len(), 10);
    }
}
