//! The page's one query: chart, bars, heatmap, table and what would alert, all of the same rows.
//!
//! Everything in an answer comes from one [`Snapshot`](eddy_index::Snapshot) of the index and one
//! pair of bounds, so that its parts agree to the row.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use eddy_index::{Index, IndexError, ScanRequest, Snapshot};
use serde_json::{Value, json};

use crate::gather::Gathered;
use crate::params::{BadRequest, MAX_POINTS, Params};
use crate::points::{MAX_SERIES, Points};
use crate::{Labels, Page};

/// Labelled anomalies that are looked up for one answer.
const MAX_LABELLED: usize = 5_000;
/// The highest alerts whose labels are looked up.
const MAX_JUDGED: usize = 2_000;

/// What the pipeline says that a query needs.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) index: Arc<Index>,
    pub(crate) key: Option<Arc<str>>,
    column: Option<String>,
    threshold: f64,
    labels: Option<Arc<dyn Labels>>,
}

impl Subject {
    /// As the status is now; `None` where the page shows no index.
    pub(crate) fn of(page: &Page) -> Option<Self> {
        let status = (page.parts.status)();
        Some(Self {
            index: Arc::clone(page.parts.index.as_ref()?),
            key: status["key"].as_str().map(Arc::from),
            column: status["columns"][0].as_str().map(str::to_owned),
            threshold: status["threshold"].as_f64().unwrap_or(f64::INFINITY),
            labels: page.parts.labels.clone(),
        })
    }
}

/// The server's clock: it dates the rows.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Why there is no answer.
pub(crate) struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

pub(crate) fn refused(status: StatusCode, reason: &str) -> Refusal {
    Refusal(status, reason.to_owned())
}

impl From<BadRequest> for Refusal {
    fn from(BadRequest(reason): BadRequest) -> Self {
        refused(StatusCode::BAD_REQUEST, &reason)
    }
}

pub(crate) fn failed(error: &IndexError) -> Refusal {
    let status = StatusCode::from_u16(error.status());
    refused(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &error.reason())
}

/// Reads the parameters, where there is an index to ask.
pub(crate) fn asked(page: &Page, query: Option<&str>) -> Result<(Subject, Params), Refusal> {
    let subject = Subject::of(page)
        .ok_or_else(|| refused(StatusCode::NOT_FOUND, "this pipeline keeps no index"))?;
    Ok((subject, Params::read(query.unwrap_or_default(), now_ms())?))
}

/// Runs what blocks; one at a time for each processor is not exceeded by a page that is impatient.
pub(crate) async fn blocking<T: Send + 'static>(
    page: &Page,
    work: impl FnOnce() -> Result<T, IndexError> + Send + 'static,
) -> Result<T, Refusal> {
    let permit = Arc::clone(&page.turns).acquire_owned().await;
    let done = tokio::task::spawn_blocking(move || {
        // Given back when the work is done, also when nobody waits for it any more.
        let _permit = permit;
        work()
    });
    let broken = |_| refused(StatusCode::INTERNAL_SERVER_ERROR, "the query was given up");
    done.await.map_err(broken)?.map_err(|error| failed(&error))
}

/// `GET /api/query`.
pub(crate) async fn query(
    State(page): State<Page>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let (subject, params) = asked(&page, query.as_deref())?;
    let answer = blocking(&page, move || answer(&subject, &params)).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// `GET /api/heat`: more rows of a heatmap whose bounds are fixed.
pub(crate) async fn heat(
    State(page): State<Page>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let (subject, params) = asked(&page, query.as_deref())?;
    let work = move || {
        let snapshot = subject.index.snapshot(subject.index.alias())?;
        let (gathered, names) = gather(&subject, &params, &snapshot)?;
        Ok(gathered.heat_json(&names, params.heat))
    };
    let answer = blocking(&page, work).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

fn gather(
    subject: &Subject,
    params: &Params,
    snapshot: &Snapshot,
) -> Result<(Gathered, Vec<String>), IndexError> {
    let threshold = params.threshold.unwrap_or(subject.threshold);
    let query = params.query(subject.key.as_ref(), &[]);
    let request = ScanRequest { query: &query, key: subject.key.as_deref(), value: None };
    let mut gathered = Gathered::new(params.from_ms, params.to_ms, threshold);
    let names = snapshot.scan(&request, &mut |row| gathered.add(row))?;
    Ok((gathered, names))
}

fn answer(subject: &Subject, params: &Params) -> Result<Value, IndexError> {
    let start = Instant::now();
    let threshold = params.threshold.unwrap_or(subject.threshold);
    let column = params.column.as_ref().or(subject.column.as_ref());
    let key = subject.key.as_ref();
    let snapshot = subject.index.snapshot(subject.index.alias())?;
    let (gathered, names) = gather(subject, params, &snapshot)?;
    let query = params.query(key, &[]);

    // A second pass, now that it is known how many rows and sensors there are.
    let present = gathered.present();
    let is_apart = !params.sensors.is_empty() || present.len() <= MAX_SERIES;
    let series = is_apart.then_some(present.as_slice());
    let few = params.points.max(4 * params.pixels);
    let keep_all = usize::try_from(gathered.total).is_ok_and(|total| total <= few);
    let bounds = (params.from_ms, params.to_ms);
    // Each series keeps three points of a column.
    let n_series = series.map_or(1, <[u32]>::len).max(1);
    let n_columns = params.pixels.min(MAX_POINTS / (3 * n_series)).max(1);
    let mut points = Points::new(bounds, n_columns, keep_all, series);
    let request = ScanRequest {
        query: &query,
        key: subject.key.as_deref(),
        value: column.map(String::as_str),
    };
    let again = snapshot.scan(&request, &mut |row| points.add(row))?;
    debug_assert_eq!(again, names, "a snapshot does not change");
    let of_series = series.unwrap_or_default().iter().map(|idx| &names[*idx as usize]);
    let mut chart = points.into_json();
    chart["series"] =
        if is_apart { of_series.map(String::as_str).collect() } else { json!([null]) };

    let (total, places) = snapshot.ranked(&query, &params.sort, params.size)?;
    let rows = places.into_iter().map(|place| snapshot.read(place)).map(|read| {
        let (id, source) = read?;
        Ok(json!({"_id": id, "_source": parsed(&source)}))
    });
    let rows = rows.collect::<Result<Vec<Value>, IndexError>>()?;
    let labels = judged(subject, params, &snapshot, threshold, gathered.alerts)?;
    Ok(json!({
        "now_ms": params.now_ms, "from_ms": params.from_ms, "to_ms": params.to_ms,
        "newest_ms": gathered.newest_ms, "column": column, "total": gathered.total,
        "threshold": threshold.is_finite().then_some(threshold),
        "chart": chart,
        "bars": gathered.bars_json(),
        "heat": gathered.heat_json(&names, params.heat),
        "scores": gathered.scores_json(),
        "labels": labels,
        "table": {"total": total, "rows": rows},
        "took_ms": u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    }))
}

/// What was written is JSON; whatever is not is shown as the text that it is.
pub(crate) fn parsed(source: &str) -> Value {
    serde_json::from_str(source).unwrap_or_else(|_| json!({"_raw": source}))
}

/// How alerts at the threshold compare with what is known of the rows in the bounds.
fn judged(
    subject: &Subject,
    params: &Params,
    snapshot: &Snapshot,
    threshold: f64,
    n_alerts: u64,
) -> Result<Value, IndexError> {
    let Some(labels) = &subject.labels else { return Ok(Value::Null) };
    let mut anomalies = labels.anomalies(params.from_ms, params.to_ms);
    let is_cut = anomalies.len() > MAX_LABELLED;
    anomalies.drain(..anomalies.len().saturating_sub(MAX_LABELLED));
    let key = subject.key.as_ref();
    let ids = json!({"ids": {"values": anomalies}});
    // What a model that learns lets pass cannot alert at any threshold, and is told apart.
    let scored = json!({"range": {"ANOMALY_SCORE": {"gt": 0}}});
    let high = json!({"range": {"ANOMALY_SCORE": {"gte": threshold.min(f64::MAX)}}});
    let count = |more: &[Value]| {
        let query = params.query(key, more);
        snapshot.ranked(&query, &json!("_doc"), 0).map(|(total, _)| total)
    };
    let there = count(std::slice::from_ref(&ids))?;
    let could = count(&[ids.clone(), scored.clone()])?;
    let found = count(&[ids, high.clone(), scored.clone()])?;

    let anomalies: HashSet<String> = anomalies.into_iter().collect();
    let query = params.query(key, &[high, scored]);
    let by_score = json!([{"ANOMALY_SCORE": "desc"}]);
    let (_, places) = snapshot.ranked(&query, &by_score, MAX_JUDGED)?;
    let (mut right, mut wrong, mut unknown) = (0_u64, 0_u64, 0_u64);
    for place in places {
        let (id, _) = snapshot.read(place)?;
        match labels.label(&id) {
            _ if anomalies.contains(&id) => right += 1,
            Some(true) => right += 1,
            Some(false) => wrong += 1,
            None => unknown += 1,
        }
    }
    let share = |part: u64, whole: u64| {
        #[expect(clippy::cast_precision_loss, reason = "counts of rows on a page")]
        let share = part as f64 / whole as f64;
        (whole > 0).then_some(share)
    };
    Ok(json!({
        "anomalies": there, "could": could, "found": found, "recall": share(found, could),
        "right": right, "wrong": wrong, "unknown": unknown,
        "precision": share(right, right + wrong),
        "judged": right + wrong + unknown, "alerts": n_alerts, "cut": is_cut,
    }))
}
