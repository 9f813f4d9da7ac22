//! A folder, an index in it, and requests to its routes.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use eddy_index::{Index, IndexSettings, router};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

pub(crate) struct Endpoint {
    pub(crate) folder: TempDir,
    pub(crate) index: Arc<Index>,
}

impl Endpoint {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = IndexSettings::new(folder.path());
        Self::open(folder, settings)
    }

    pub(crate) fn open(folder: TempDir, settings: IndexSettings) -> Self {
        let index = Index::open(settings).expect("opens");
        Self { folder, index }
    }

    pub(crate) fn reopened(self) -> Self {
        let settings = IndexSettings::new(self.folder.path());
        self.reopened_with(settings)
    }

    pub(crate) fn reopened_with(self, settings: IndexSettings) -> Self {
        let Self { folder, index } = self;
        drop(index);
        Self::open(folder, settings)
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        self.call_with(method, path, &[], body.as_bytes().to_vec()).await
    }

    pub(crate) async fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> (u16, Value) {
        let mut request =
            Request::builder().method(method).uri(path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).expect("a request");
        let response = router(Arc::clone(&self.index)).oneshot(request).await.expect("answers");
        assert_eq!(response.headers()["x-elastic-product"], "Elasticsearch");
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// Writes documents to the alias under the ids 0, 1, 2 and so on.
    pub(crate) async fn fill(&self, documents: &[Value]) {
        let mut body = String::new();
        for (id, document) in documents.iter().enumerate() {
            body.push_str(&format!("{}\n{document}\n", json!({"index": {"_id": id.to_string()}})));
        }
        let (status, answer) = self.call("POST", "/anomalies/_bulk", &body).await;
        assert_eq!((status, &answer["errors"]), (200, &json!(false)), "{answer}");
    }

    pub(crate) async fn search(&self, body: Value) -> Value {
        let (status, answer) = self.call("POST", "/anomalies/_search", &body.to_string()).await;
        assert_eq!(status, 200, "{body}: {answer}");
        answer
    }

    /// The ids that a query finds, in the order of the answer.
    pub(crate) async fn ids(&self, query: Value) -> Vec<String> {
        let answer = self.search(json!({"query": query, "size": 1000})).await;
        ids_of(&answer)
    }
}

pub(crate) fn ids_of(answer: &Value) -> Vec<String> {
    let hits = answer["hits"]["hits"].as_array().expect("hits");
    hits.iter().map(|hit| hit["_id"].as_str().expect("an id").to_owned()).collect()
}

pub(crate) fn reading(created: &str, name: &str, value: f64, score: f64) -> Value {
    json!({"created": created, "iotName": name, "iotValue": value, "ANOMALY_SCORE": score})
}
