//! The token that a page beyond this machine demands.

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{Site, get, now_ms, reading, request};
use crate::visit::Visit;

const TOKEN: &str = "correct-horse-battery";

fn guarded() -> Site {
    let mut site = Site::new();
    site.token = Some(TOKEN.to_owned());
    site
}

#[tokio::test]
async fn nothing_is_answered_without_the_token() {
    let site = guarded();
    for path in [
        "/api/query",
        "/api/status",
        "/api/live",
        "/api/export",
        "/api/letters",
        "/metrics",
        "/es/anomalies/_search",
        "/assets/page.js",
        "/none",
    ] {
        assert_eq!(site.ask(get(path)).await.status(), StatusCode::UNAUTHORIZED, "{path}");
        let wrong = request("GET", path).header("authorization", "Bearer correct-horse-batterx");
        let wrong = site.ask(wrong.body(Body::empty()).expect("a request")).await;
        assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let page = site.ask(get("/?sensor=a%26b")).await;
    assert_eq!(page.status(), StatusCode::SEE_OTHER);
    assert_eq!(page.headers()["location"], "/login?next=sensor%3Da%2526b");
    for open in ["/login", "/healthz"] {
        assert_eq!(site.ask(get(open)).await.status(), StatusCode::OK, "{open}");
    }
    let known = request("GET", "/api/query").header("authorization", format!("Bearer {TOKEN}"));
    let known = site.ask(known.body(Body::empty()).expect("a request")).await;
    assert_eq!(known.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_login_leads_to_this_page_and_nowhere_else() {
    let site = guarded();
    let login = |next: &str, token: &str| {
        request("POST", &format!("/login?next={next}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(format!("token={token}")))
            .expect("a request")
    };
    let wrong = site.ask(login("", "nothing-of-the-kind")).await;
    assert!(!wrong.headers().contains_key("set-cookie"));
    assert!(wrong.headers()["location"].to_str().expect("text").ends_with("#wrong"));
    let right = site.ask(login("%2F%2Fevil.example%2F%0d%0aX%3A1", TOKEN)).await;
    let to = right.headers()["location"].to_str().expect("text");
    assert!(to.starts_with("/?"), "{to}");
    let cookie = right.headers()["set-cookie"].to_str().expect("text");
    for part in ["HttpOnly", "SameSite=Strict"] {
        assert!(cookie.contains(part), "{cookie}");
    }
}

#[tokio::test]
async fn an_address_beyond_this_machine_is_not_served_without_a_token() {
    let site = Site::new();
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
    let parts = site.parts(listener.local_addr().expect("an address"));
    let refused = eddy_dashboard::serve(listener, parts, std::future::pending()).await;
    assert!(refused.expect_err("refused").to_string().contains("demands a token"));
}

#[test]
fn a_browser_gets_in_by_the_form() {
    let rows = [reading(now_ms(), "a", 15.0, 0.8)];
    let Some(mut visit) = Visit::to(guarded(), "?sensor=a&from=now-5m", &rows) else { return };
    visit.until("location.pathname === '/login'");
    visit.browser.enter("#token", "nothing-of-the-kind");
    visit.until("document.getElementById('wrong')?.checkVisibility()");
    visit.browser.enter("#token", TOKEN);
    visit.until("location.pathname === '/'");
    visit.until_state("live");
    visit.until_row("a");
    assert_eq!(visit.address_says(), "?sensor=a&from=now-5m");
    assert_eq!(visit.browser.value("document.cookie"), json!(""));
    // The form asks for the focus again, and the browser may look for an icon of its own.
    let complaints = visit.browser.complaints();
    assert!(
        complaints.iter().all(|one| one.contains("favicon.ico") || one.contains("Autofocus")),
        "{complaints:?}"
    );
    visit.end();
}
