//! S3 as far as an object is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;

/// Buckets of objects, to be read by path (`/bucket/key`).
#[derive(Clone, Debug, Default)]
pub struct S3Double {
    buckets: BTreeMap<String, BTreeMap<String, Bytes>>,
    denied: BTreeSet<String>,
}

impl S3Double {
    /// The same with an object, and its bucket.
    #[must_use]
    pub fn with(mut self, bucket: &str, key: &str, bytes: &str) -> Self {
        let bucket = self.buckets.entry(bucket.to_owned()).or_default();
        bucket.insert(key.to_owned(), Bytes::copy_from_slice(bytes.as_bytes()));
        self
    }

    /// The same with a bucket that nobody may read.
    #[must_use]
    pub fn denying(mut self, bucket: &str) -> Self {
        self.denied.insert(bucket.to_owned());
        self
    }

    /// The service.
    pub fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(Arc::new(self.clone()))
    }
}

async fn answer(State(s3): State<Arc<S3Double>>, method: Method, uri: Uri) -> Response {
    let error = |status: StatusCode, code: &str| {
        let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
        (status, [(header::CONTENT_TYPE, "application/xml")], text).into_response()
    };
    let path = uri.path().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    if method != Method::GET {
        return error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed");
    }
    if s3.denied.contains(bucket) {
        return error(StatusCode::FORBIDDEN, "AccessDenied");
    }
    let Some(objects) = s3.buckets.get(bucket) else {
        return error(StatusCode::NOT_FOUND, "NoSuchBucket");
    };
    match objects.get(key) {
        None => error(StatusCode::NOT_FOUND, "NoSuchKey"),
        Some(bytes) => {
            let headers =
                [(header::ETAG, "\"1\""), (header::LAST_MODIFIED, "Mon, 23 Nov 2026 12:00:00 GMT")];
            (headers, bytes.clone()).into_response()
        }
    }
}
