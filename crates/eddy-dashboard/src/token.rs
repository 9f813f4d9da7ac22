//! The token that a page beyond this machine demands: in an `Authorization` header, or in the cookie
//! that the login form sets.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq as _;

use crate::{Page, assets, params};

const COOKIE: &str = "eddy_token";
/// Shorter ones can be guessed.
const MIN_TOKEN_CHARS: usize = 16;
/// Longer ones do not fit a cookie.
const MAX_TOKEN_CHARS: usize = 1_000;
/// What is open to everybody: the form and what it is drawn with.
const OPEN: [&str; 5] =
    ["/login", "/healthz", "/assets/login.css", "/assets/page.css", "/assets/icon.svg"];

/// What is wrong with a token, if anything is.
///
/// # Errors
/// It is too short to be safe, too long, or has characters that a cookie cannot have.
pub fn check_token(token: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"\";,\\".contains(&byte);
    if !(MIN_TOKEN_CHARS..=MAX_TOKEN_CHARS).contains(&token.len()) {
        return Err(format!("a token has {MIN_TOKEN_CHARS} to {MAX_TOKEN_CHARS} characters"));
    }
    if !token.bytes().all(fits) {
        return Err("a token has letters, digits and signs, no space, quote, comma, semicolon or \
                    backslash"
            .to_owned());
    }
    Ok(())
}

fn is_token(given: &str, token: &str) -> bool {
    given.as_bytes().ct_eq(token.as_bytes()).into()
}

/// Whether a request carries the token: `Bearer`, the password of `Basic` (for clients that know
/// nothing else), or the cookie.
fn is_known(headers: &HeaderMap, token: &str) -> bool {
    let texts =
        |name| headers.get_all(name).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
    let by_header = texts(header::AUTHORIZATION).any(|value| {
        let Some((scheme, rest)) = value.split_once(' ') else { return false };
        if scheme.eq_ignore_ascii_case("bearer") {
            return is_token(rest.trim(), token);
        }
        let decoded = BASE64_STANDARD.decode(rest.trim()).ok();
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        scheme.eq_ignore_ascii_case("basic")
            && text.is_some_and(|text| {
                text.split_once(':').is_some_and(|(_, password)| is_token(password, token))
            })
    });
    by_header
        || texts(header::COOKIE).flat_map(|value| value.split(';')).any(|pair| {
            pair.trim()
                .split_once('=')
                .is_some_and(|(name, value)| name == COOKIE && is_token(value, token))
        })
}

/// Refuses requests without the token, where one is demanded; a browser is led to the form.
pub(crate) async fn demand(State(page): State<Page>, request: Request, next: Next) -> Response {
    let Some(token) = &page.parts.token else { return next.run(request).await };
    if OPEN.contains(&request.uri().path()) || is_known(request.headers(), token) {
        return next.run(request).await;
    }
    let is_page = request.method() == Method::GET && request.uri().path() == "/";
    if is_page {
        let query = request.uri().query().unwrap_or_default();
        let next: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let login = format!("/login?next={next}");
        return (StatusCode::SEE_OTHER, [(header::LOCATION, login)]).into_response();
    }
    let how = [(header::WWW_AUTHENTICATE, "Bearer realm=\"eddy\"")];
    (StatusCode::UNAUTHORIZED, how, "this page demands its token\n").into_response()
}

/// `GET /login`.
pub(crate) async fn form(headers: HeaderMap) -> Response {
    assets::asset("login.html", &headers)
}

/// `POST /login`: the form's answer.
pub(crate) async fn login(State(page): State<Page>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let Ok(body) = axum::body::to_bytes(request.into_body(), 4_096).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let value = |text: &str, wanted: &str| {
        let found = params::pairs(text).into_iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value).unwrap_or_default()
    };
    let given = value(&String::from_utf8_lossy(&body), "token");
    let next = value(&query, "next");
    let Some(token) = &page.parts.token else {
        return (StatusCode::SEE_OTHER, [(header::LOCATION, "/")]).into_response();
    };
    if !is_token(&given, token) {
        let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let again = format!("/login?next={next}&wrong=1#wrong");
        return (StatusCode::SEE_OTHER, [(header::LOCATION, again)]).into_response();
    }
    let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000");
    // Only a query of this page, made anew: it leads nowhere else.
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(params::pairs(&next));
    let to = format!("/?{}", query.finish());
    (StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, to)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "correct-horse-battery";

    #[test]
    fn tokens_are_long_enough_and_fit_a_cookie() {
        assert_eq!(check_token(TOKEN), Ok(()));
        for bad in ["short", "with a space in it", "semicolon;semicolon", &"x".repeat(1_001)] {
            assert!(check_token(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_is_known_in_headers_and_cookie_alone() {
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("any:{TOKEN}")));
        let known = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().expect("a header"));
            is_known(&headers, TOKEN)
        };
        assert!(known("authorization", &format!("Bearer {TOKEN}")));
        assert!(known("authorization", &basic));
        assert!(known("cookie", &format!("a=b; eddy_token={TOKEN}")));
        for (name, value) in [
            ("authorization", TOKEN.to_owned()),
            ("authorization", format!("Bearer {TOKEN}x")),
            ("authorization", "Bearer ".to_owned()),
            ("cookie", format!("other={TOKEN}")),
            ("cookie", "eddy_token=".to_owned()),
            ("x-token", TOKEN.to_owned()),
        ] {
            assert!(!known(name, &value), "{name}: {value}");
        }
    }
}
