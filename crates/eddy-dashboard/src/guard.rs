//! Who may ask, and what answers tell the browser.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::Page;

/// Everything from here, nothing inline, no frames.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Adds the headers of every answer.
pub(crate) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With no referrer at all the login form would name no origin either.
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Refuses what a web page of another origin may have sent.
pub(crate) async fn requests(State(page): State<Page>, request: Request, next: Next) -> Response {
    match refusal(page.parts.address, &request) {
        None => next.run(request).await,
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
    }
}

/// Why a request is refused, if it is.
fn refusal(address: SocketAddr, request: &Request) -> Option<String> {
    let text =
        |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if address.ip().is_loopback() && !is_loopback_name(host) {
        return Some(format!("this page is served to this machine only, not as {host:?}\n"));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let foreign = text(header::ORIGIN)
        .is_some_and(|origin| origin.split_once("://").is_none_or(|(_, from)| from != host));
    (foreign && !reads).then(|| "the request comes from another origin\n".to_owned())
}

/// Whether a Host header names this machine: `localhost`, `127.0.0.1:8080`, `[::1]`.
fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_are_told_from_others() {
        for local in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "127.9.9.9", "[::1]:8080"] {
            assert!(is_loopback_name(local), "{local}");
        }
        for other in ["", "evil.example", "127.0.0.1.evil.example", "localhost.evil", "10.0.0.1"] {
            assert!(!is_loopback_name(other), "{other}");
        }
    }
}
