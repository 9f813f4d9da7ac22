//! The page's files, in the binary, compressed once for browsers that take that.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{LazyLock, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

/// By name, and only names of files: it grows no further.
static COMPRESSED: LazyLock<Mutex<HashMap<String, Bytes>>> = LazyLock::new(Mutex::default);

/// The page itself.
pub(crate) async fn page(headers: HeaderMap) -> Response {
    asset("index.html", &headers)
}

/// A file by its path below `assets/`.
pub(crate) async fn serve(Path(path): Path<String>, headers: HeaderMap) -> Response {
    asset(&path, &headers)
}

/// A file; without its content where the reader has it already.
pub(crate) fn asset(path: &str, headers: &HeaderMap) -> Response {
    let Some(file) = Assets::get(path) else {
        return (StatusCode::NOT_FOUND, "not found\n").into_response();
    };
    let hash = file.metadata.sha256_hash();
    let tag: String = hash[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{tag}\"");
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|tags| is_among(&tag, tags));
    let caching = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::VARY, "accept-encoding".to_owned()),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let kind = [(header::CONTENT_TYPE, file.metadata.mimetype().to_owned())];
    let takes_gzip = headers.get_all(header::ACCEPT_ENCODING).iter().any(takes_gzip);
    if takes_gzip {
        let encoding = [(header::CONTENT_ENCODING, "gzip")];
        return (caching, kind, encoding, compressed(path, &file.data)).into_response();
    }
    (caching, kind, file.data.into_owned()).into_response()
}

fn compressed(path: &str, data: &[u8]) -> Bytes {
    let mut all = COMPRESSED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = all.get(path) {
        return known.clone();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let made = encoder.write_all(data).and_then(|()| encoder.finish());
    let made = Bytes::from(made.expect("memory takes everything"));
    all.insert(path.to_owned(), made.clone());
    made
}

fn takes_gzip(value: &HeaderValue) -> bool {
    let encodings = value.to_str().unwrap_or_default().split(',');
    encodings.map(str::trim).any(|one| {
        let (name, quality) = one.split_once(';').unwrap_or((one, ""));
        name.trim().eq_ignore_ascii_case("gzip") && quality.trim() != "q=0"
    })
}

/// Whether an If-None-Match names the tag: `"a"`, `W/"a", "b"` or `*`.
fn is_among(tag: &str, tags: &HeaderValue) -> bool {
    let tags = tags.to_str().unwrap_or_default();
    tags.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}
