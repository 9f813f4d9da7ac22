//! An index with scored rows in it, and the page that shows it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use eddy_dashboard::{DashboardParts, Labels, router, serve};
use eddy_index::{Index, IndexSettings, IndexSink};
use eddy_record::{
    Column, DocumentId, PartitionId, Position, RecordFormat, Schema, ScoredRecord, SqlType,
    StreamIdentity, Value as Cell,
};
use eddy_stream::Sink as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

/// Scores from here are anomalies.
pub(crate) const THRESHOLD: f64 = 2.0;

/// A reading with its score.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) created_ms: i64,
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) score: Option<f64>,
}

pub(crate) fn reading(created_ms: i64, name: &str, value: f64, score: f64) -> Reading {
    Reading { created_ms, name: name.to_owned(), value, score: Some(score) }
}

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("an i64")
}

/// What a page is made of, in a folder of its own.
pub(crate) struct Site {
    folder: TempDir,
    pub(crate) index: Arc<Index>,
    sink: IndexSink,
    next_position: AtomicU64,
    status: Arc<Mutex<Value>>,
    /// An SQL application, where there is one.
    pub(crate) application: Arc<Mutex<Option<Value>>>,
    labels: Arc<Known>,
    has_labels: bool,
    /// What requests must carry.
    pub(crate) token: Option<String>,
}

/// Labels that a test has given.
#[derive(Default)]
pub(crate) struct Known(Mutex<BTreeMap<String, bool>>);

impl Labels for Known {
    fn label(&self, id: &str) -> Option<bool> {
        self.0.lock().expect("not poisoned").get(id).copied()
    }

    fn anomalies(&self, _: i64, _: i64) -> Vec<String> {
        let known = self.0.lock().expect("not poisoned");
        known.iter().filter(|(_, anomaly)| **anomaly).map(|(id, _)| id.clone()).collect()
    }
}

impl Site {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let index = Index::open(IndexSettings::new(folder.path())).expect("opens");
        let status = json!({
            "key": "iotName", "columns": ["iotValue"], "threshold": THRESHOLD,
            "totals": {"records": 0, "delivered": 0, "scored": 0, "warming_up": 0, "anomalies": 0},
            "dead_lettered": 0, "behind_ms": null, "models": 0,
        });
        Self {
            sink: IndexSink::new(Arc::clone(&index)),
            index,
            folder,
            next_position: AtomicU64::new(1),
            status: Arc::new(Mutex::new(status)),
            application: Arc::default(),
            labels: Arc::default(),
            has_labels: false,
            token: None,
        }
    }

    /// Sets what the status says; the members that are not named stay.
    pub(crate) fn say(&self, members: Value) {
        let mut status = self.status.lock().expect("not poisoned");
        for (name, value) in members.as_object().expect("an object") {
            status[name] = value.clone();
        }
    }

    /// Labels the rows that are written next, as simulated sensors do: those from 100 on.
    pub(crate) fn label_rows(&mut self) {
        self.has_labels = true;
    }

    /// The file of the dead letters.
    pub(crate) fn letters(&self) -> PathBuf {
        self.folder.path().join("dead-letters.ndjson")
    }

    /// Writes readings as the pipeline does, and counts them in the status.
    pub(crate) async fn write(&self, readings: &[Reading]) {
        let rows: Vec<ScoredRecord> = readings.iter().map(|reading| self.row(reading)).collect();
        assert_eq!(self.sink.write(&rows).await.expect("written"), []);
        if self.has_labels {
            let mut known = self.labels.0.lock().expect("not poisoned");
            known.extend(
                rows.iter()
                    .zip(readings)
                    .map(|(row, reading)| (row.id.as_str().to_owned(), reading.value >= 100.0)),
            );
        }
        let n_anomalies =
            readings.iter().filter(|row| row.score.is_some_and(|score| score >= THRESHOLD)).count();
        let mut status = self.status.lock().expect("not poisoned");
        for (name, n) in [
            ("records", rows.len()),
            ("delivered", rows.len()),
            ("scored", rows.len()),
            ("anomalies", n_anomalies),
        ] {
            let total = status["totals"][name].as_u64().unwrap_or(0) + n as u64;
            status["totals"][name] = json!(total);
        }
    }

    fn row(&self, reading: &Reading) -> ScoredRecord {
        let column = |name: &str, sql_type| Column {
            name: name.to_owned(),
            sql_type,
            mapping: None,
            nullable: true,
        };
        let schema = Schema {
            columns: vec![
                column("iotName", SqlType::Varchar { max_chars: 64 }),
                column("iotValue", SqlType::Double),
                column("ANOMALY_SCORE", SqlType::Double),
                column("created", SqlType::Timestamp),
                column("ANOMALY_EXPLANATION", SqlType::Json),
            ],
            format: RecordFormat::Json { row_path: "$".to_owned() },
        };
        let explanation = reading.score.filter(|score| *score >= THRESHOLD).map(|score| {
            // What sets a reading off from an earlier anomaly that was higher.
            let (high, low) = (score * 0.1, score * 0.9);
            json!({"iotValue": {"high": high, "low": low}}).to_string()
        });
        let position = Position::new(self.next_position.fetch_add(1, Ordering::Relaxed).into());
        let stream = StreamIdentity { name: "RawStreamData".to_owned(), created_ms: 1 };
        ScoredRecord {
            id: DocumentId::new(&stream, &PartitionId::new("shard"), &position, 0),
            created_ms: reading.created_ms,
            schema: Arc::new(schema),
            values: vec![
                Cell::Text(reading.name.as_str().into()),
                Cell::Double(reading.value),
                reading.score.map_or(Cell::Null, Cell::Double),
                Cell::TimestampMs(reading.created_ms),
                explanation.map_or(Cell::Null, |text| Cell::Json(text.into())),
            ]
            .into(),
        }
    }

    pub(crate) fn parts(&self, address: SocketAddr) -> DashboardParts {
        let status = Arc::clone(&self.status);
        let application = Arc::clone(&self.application);
        let is_application = application.lock().expect("not poisoned").is_some();
        DashboardParts {
            index: Some(Arc::clone(&self.index)),
            application: is_application.then(|| {
                let view = move || application.lock().expect("not poisoned").clone();
                Arc::new(move || view().unwrap_or_default()) as _
            }),
            letters: Some(self.letters().into()),
            labels: self.has_labels.then(|| Arc::clone(&self.labels) as _),
            token: self.token.clone(),
            status: Arc::new(move || status.lock().expect("not poisoned").clone()),
            metrics: Arc::new(|| "eddy_records_total 7\n".to_owned()),
            address,
        }
    }

    /// The routes, and what ends the event streams.
    pub(crate) fn routes(&self) -> (Router, watch::Sender<bool>) {
        let (end, ending) = watch::channel(false);
        (router(self.parts(([127, 0, 0, 1], 8080).into()), ending), end)
    }

    /// Asks the routes.
    pub(crate) async fn ask(&self, request: Request<Body>) -> Response<Body> {
        let (routes, _end) = self.routes();
        routes.oneshot(request).await.expect("answers")
    }

    /// Serves the page; on a port of its own where it is 0.
    pub(crate) async fn serve(&self, port: u16) -> Server {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (end, ended) = oneshot::channel::<()>();
        let ended = async move {
            // A sender that is gone ends it too.
            let _ = ended.await;
        };
        let task = tokio::spawn(serve(listener, self.parts(address), ended));
        Server { address, end, task }
    }
}

/// A page being served.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    end: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Tells it to end and waits until it has.
    pub(crate) async fn end(self) {
        self.end.send(()).expect("it is listening");
        self.task.await.expect("no panic").expect("no error");
    }
}

/// A request as this machine's browser sends it.
pub(crate) fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header("host", "127.0.0.1:8080")
}

pub(crate) fn get(path: &str) -> Request<Body> {
    request("GET", path).body(Body::empty()).expect("a request")
}

pub(crate) async fn text(response: Response<Body>) -> String {
    let bytes = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    String::from_utf8(bytes.to_vec()).expect("text")
}

pub(crate) async fn json_of(response: Response<Body>) -> Value {
    serde_json::from_str(&text(response).await).expect("JSON")
}
