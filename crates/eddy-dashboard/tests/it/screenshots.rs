//! The pictures of the page in `docs/images`: `.ci/screenshots` makes them anew, of a real run.
//!
//! With `EDDY_SCREENSHOTS=FOLDER` alone the pictures are of made-up rows, for whoever works on the
//! page: also dark, narrow and empty. `EDDY_PAGE` and `EDDY_SQL_PAGE` name pages that run.

use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::runtime::Runtime;

use crate::browser::Browser;
use crate::support::{Reading, Site, now_ms, reading};

/// A small generator, so that the pictures differ by the time alone.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % bound
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        let part = u32::try_from(self.below(1_000_000)).expect("small");
        low + (high - low) * f64::from(part) / 1e6
    }
}

/// The walkthrough's sensor over the last minutes: 10 to 20, one in a hundred 100 to 120.
fn walkthrough(now_ms: i64) -> Vec<Reading> {
    let mut numbers = Numbers(7);
    let mut readings = Vec::new();
    let mut created_ms = now_ms - 24 * 60_000;
    while created_ms < now_ms {
        let is_anomaly = numbers.below(100) == 0;
        let (from, n_values) = if is_anomaly { (100, 21) } else { (10, 11) };
        let value = u32::try_from(from + numbers.below(n_values)).expect("small");
        let score = if is_anomaly {
            numbers.between(2.5, 3.5)
        } else if value == 10 || value == 20 {
            numbers.between(0.92, 1.08)
        } else {
            numbers.between(0.72, 0.95)
        };
        readings.push(reading(created_ms, "DemoSensor", f64::from(value), score));
        created_ms += 100 + i64::try_from(numbers.below(300)).expect("small");
    }
    readings
}

/// The folder, from the workspace's root as the command is given there.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("EDDY_SCREENSHOTS")?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    std::fs::create_dir_all(&folder).expect("a folder for the pictures");
    Some(folder)
}

/// Pictures of pages that run.
fn of_a_run(browser: &mut Browser, page: &str, folder: &Path) {
    let is_live = "document.getElementById('state').textContent === 'live'";
    let has_rate = "!['0', '–'].includes(document.getElementById('n-rate').textContent)";
    let is_full = "document.querySelectorAll('#table-body tr').length >= 50";
    browser.resize(1400, 1640);
    browser.open(&format!("{page}/?from=now-10m&sort=ANOMALY_SCORE:desc"));
    for ready in [is_live, has_rate, is_full] {
        browser.until(ready, ready);
    }
    browser.click("#table-body tr");
    browser.until("a row is open", "document.querySelector('.why')");
    browser.screenshot(&folder.join("page.png"));
    browser.resize(1400, 900);
    browser.prefer("dark");
    browser.open(&format!("{page}/?view=pipeline"));
    let is_seen = "document.querySelectorAll('#rate polyline').length === 1 && document.querySelector('#partitions tr')";
    browser.until("the pipeline is seen", is_seen);
    let is_long =
        "(document.querySelector('#rate polyline').getAttribute('points').split(' ').length > 20)";
    browser.until("it was seen for a while", is_long);
    browser.screenshot(&folder.join("pipeline.png"));
    browser.resize(400, 1500);
    browser.open(&format!("{page}/?from=now-10m&sort=ANOMALY_SCORE:desc"));
    for ready in [is_live, has_rate, is_full] {
        browser.until(ready, ready);
    }
    browser.screenshot(&folder.join("narrow.png"));
    let Ok(page) = std::env::var("EDDY_SQL_PAGE") else { return };
    browser.prefer("light");
    browser.resize(1400, 860);
    browser.open(&page);
    let has_rates =
        "/^[1-9]/.test(document.querySelector('#graph .output .rate')?.textContent ?? '')";
    let has_rates = format!(
        "{has_rates} || /^0\\.[1-9]/.test(document.querySelector('#graph .output .rate')?.textContent ?? '')"
    );
    browser.until("rates", &has_rates);
    browser.screenshot(&folder.join("sql.png"));
}

#[test]
fn screenshots() {
    let Some(folder) = folder() else { return };
    let mut browser = Browser::start().expect("pictures need Chromium");
    if let Ok(page) = std::env::var("EDDY_PAGE") {
        of_a_run(&mut browser, &page, &folder);
        return;
    }
    let runtime = Runtime::new().expect("a runtime");
    let site = Site::new();
    site.say(json!({"models": 1, "behind_ms": 40, "dead_lettered": 0}));
    let server = runtime.block_on(async {
        site.write(&walkthrough(now_ms())).await;
        site.serve(0).await
    });
    let query = "?from=now-20m&sort=ANOMALY_SCORE:desc";
    browser.resize(1400, 1600);
    browser.open(&format!("http://{}/{query}", server.address));
    browser.until("live", "document.getElementById('state').textContent === 'live'");
    browser.until("the table is full", "document.querySelectorAll('#table-body tr').length === 50");
    let explained =
        "document.getElementById('table-body').textContent.includes('usually 10 to 20')";
    browser.until("the scores are explained", explained);
    browser.until("the bars are there", "document.querySelectorAll('#bars g').length > 15");
    // Records while it looks, so that there is a rate.
    let mut more = walkthrough(now_ms());
    more.truncate(4);
    for (n, row) in more.iter_mut().enumerate() {
        row.created_ms = now_ms() - i64::try_from(n).expect("small") * 250;
    }
    runtime.block_on(site.write(&more));
    browser.until("a rate", "!['0', '–'].includes(document.getElementById('n-rate').textContent)");
    browser.screenshot(&folder.join("page.png"));
    browser.prefer("dark");
    browser.screenshot(&folder.join("page-dark.png"));
    browser.resize(400, 2600);
    browser.screenshot(&folder.join("page-narrow-dark.png"));
    browser.prefer("light");
    browser.screenshot(&folder.join("page-narrow.png"));
    let empty = Site::new();
    let other = runtime.block_on(empty.serve(0));
    browser.resize(1400, 1000);
    browser.open(&format!("http://{}/", other.address));
    browser.until("waiting", "document.querySelector('#state.waiting')");
    browser.until("asked", "!document.getElementById('empty').hidden");
    browser.screenshot(&folder.join("page-empty.png"));
    runtime.block_on(other.end());
    drop(browser);
    runtime.block_on(server.end());
}
