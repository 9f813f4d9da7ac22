//! What a browser shows.

use std::net::SocketAddr;

use axum::body::Body;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::browser::Browser;
use crate::support::{Reading, Server, Site, now_ms, reading, request, text};

const MINUTE_MS: i64 = 60_000;
const SCRIPT: &str = "<script>alert(1)</script>";

/// A page on an index, and a browser that looks at it.
struct Visit {
    runtime: Runtime,
    site: Site,
    // None while it is away.
    server: Option<Server>,
    address: SocketAddr,
    browser: Browser,
}

impl Visit {
    /// Fills an index, serves it and opens the page; `None` where there is no browser.
    fn of(readings: &[Reading], status: serde_json::Value) -> Option<Self> {
        let mut browser = Browser::start()?;
        let runtime = Runtime::new().expect("a runtime");
        let site = Site::new();
        site.say(status);
        let server = runtime.block_on(async {
            site.write(readings).await;
            site.serve(0).await
        });
        browser.resize(1400, 1000);
        browser.open(&format!("http://{}/", server.address));
        let address = server.address;
        Some(Self { runtime, site, server: Some(server), address, browser })
    }

    fn write(&self, readings: &[Reading]) {
        self.runtime.block_on(self.site.write(readings));
    }

    fn put(&self, id: &str, document: &serde_json::Value) {
        let put = request("PUT", &format!("/es/anomalies/_doc/{id}"))
            .body(Body::from(document.to_string()))
            .expect("a request");
        let answer = self.runtime.block_on(self.site.ask(put));
        let status = answer.status();
        let said = self.runtime.block_on(text(answer));
        assert!(status.is_success(), "{document}: {said}");
    }

    fn until_state(&mut self, text: &str) {
        let what = format!("the state is {text:?}");
        self.browser
            .until(&what, &format!("document.getElementById('state').textContent === {text:?}"));
    }

    fn until_text(&mut self, id: &str, text: &str) {
        let what = format!("{id} is {text:?}");
        self.browser
            .until(&what, &format!("document.getElementById({id:?}).textContent === {text:?}"));
    }

    fn until_row(&mut self, name: &str) {
        let cells = "[...document.querySelectorAll('#top .name')]";
        let what = format!("{name:?} is in the table");
        self.browser
            .until(&what, &format!("{cells}.some((cell) => cell.textContent === {name:?})"));
    }

    /// Waits until a chart shows at least so many pixels of a colour of the style sheet.
    fn until_drawn(&mut self, chart: &str, colour: &str, n_pixels: u32) {
        let pixels = format!(
            "(() => {{ const canvas = document.querySelector('#{chart} canvas'); \
             if (!canvas || !canvas.width) return 0; \
             const style = getComputedStyle(document.documentElement); \
             const wanted = style.getPropertyValue('{colour}').trim().slice(1).match(/../g) \
             .map((part) => parseInt(part, 16)); \
             const copy = new OffscreenCanvas(canvas.width, canvas.height) \
             .getContext('2d', {{ willReadFrequently: true }}); \
             copy.drawImage(canvas, 0, 0); \
             const {{ data }} = copy.getImageData(0, 0, canvas.width, canvas.height); \
             let found = 0; for (let i = 0; i < data.length; i += 4) {{ if (data[i + 3] > 200 && \
             wanted.every((part, which) => Math.abs(data[i + which] - part) < 8)) found++; }} \
             return found; }})()"
        );
        let what = format!("{chart} has {n_pixels} pixels of {colour}");
        self.browser.until(&what, &format!("{pixels} >= {n_pixels}"));
    }

    /// Ends everything; the page must not have complained of anything.
    fn end(mut self) {
        assert_eq!(self.browser.complaints(), [""; 0]);
        self.end_server();
    }

    fn end_server(&mut self) {
        let server = self.server.take().expect("it is served");
        self.runtime.block_on(server.end());
    }
}

/// Twenty minutes of a sensor that is read each second, with four anomalies.
fn history(now_ms: i64) -> Vec<Reading> {
    let mut readings: Vec<Reading> = (1..=1200)
        .map(|n| reading(now_ms - n * 1000, "DemoSensor", 15.0, if n % 5 == 0 { 1.2 } else { 0.8 }))
        .collect();
    for (n, value, score) in [(20, 110.0, 3.11), (40, 104.0, 2.55), (70, 119.0, 3.52)] {
        readings.push(reading(now_ms - n * 1000 - 500, "DemoSensor", value, score));
    }
    readings.push(reading(now_ms - 90_500, SCRIPT, 101.0, 1.7));
    readings
}

#[test]
fn readings_scores_bars_and_the_highest_scores_are_shown() {
    let status = json!({"models": 2, "dead_lettered": 4, "behind_ms": 90});
    let Some(mut visit) = Visit::of(&history(now_ms()), status) else { return };
    visit.until_state("live");
    visit.until_text("n-delivered", "1,204");
    visit.until_text("n-anomalies", "3");
    visit.until_text("n-dead", "4");
    visit.until_text("n-models", "2");
    visit.until_text("n-behind", "0 s");
    visit.until_text("n-rate", "0");
    visit.until_text("threshold", "2");

    for chart in ["readings", "scores"] {
        visit.until_drawn(chart, "--normal", 50);
        visit.until_drawn(chart, "--anomaly", 50);
    }
    for range in [0, 1, 2, 3, 4] {
        let part = format!("#bars rect.s{range}");
        visit.browser.until(
            &format!("{part} is visible"),
            &format!("[...document.querySelectorAll('{part}')].some((part) => part.getBoundingClientRect().height >= 2)"),
        );
    }
    let minutes = visit.browser.value("document.querySelectorAll('#bars g').length");
    assert!((20..=22).contains(&minutes.as_u64().expect("a count")), "{minutes}");

    visit.until_row("DemoSensor");
    let scores = visit.browser.value(
        "[...document.querySelectorAll('#top .score')].map((cell) => Number(cell.textContent))",
    );
    let scores: Vec<f64> = serde_json::from_value(scores).expect("numbers");
    assert_eq!(scores[..5], [3.52, 3.11, 2.55, 1.7, 1.2]);
    assert_eq!(scores.len(), 20);
    assert!(scores.is_sorted_by(|a, b| a >= b));
    let first = visit.browser.text("#top tr:first-child");
    assert!(first.contains("DemoSensor") && first.contains("119"), "{first}");
    // High, as the usual readings have it, though the model sets it off from a higher anomaly.
    let because = "document.querySelector('#top tr:first-child .because')";
    let expected = format!("{because}.textContent === 'iotValue is high, usually 15'");
    visit.browser.until("the first is explained", &expected);
    let parts = visit.browser.value(&format!("{because}.title"));
    assert_eq!(parts, "iotValue: high 0.35, low 3.17");
    assert_eq!(visit.browser.value("document.querySelectorAll('#top tr.anomaly').length"), 3);

    // A name is a text, whatever it looks like.
    assert_eq!(visit.browser.text("#top tr:nth-child(4) .name"), SCRIPT);
    let offered = format!(
        "[...document.querySelectorAll('#sensor option')].some((option) => option.value === {SCRIPT:?})"
    );
    visit.browser.until("the name can be chosen", &offered);
    assert_eq!(visit.browser.value("document.querySelectorAll('#top script').length"), 0);

    visit.browser.choose("#sensor", SCRIPT);
    visit.browser.until("one sensor is left", "document.querySelectorAll('#top tr').length === 1");
    visit.browser.choose("#sensor", "");
    visit.browser.choose("#range", "15");
    visit.browser.until("all are there", "document.querySelectorAll('#top tr').length === 20");

    let own = format!("http://{}/", visit.address);
    let foreign: Vec<&String> =
        visit.browser.requests().iter().filter(|url| !url.starts_with(&own)).collect();
    assert!(foreign.is_empty() && visit.browser.requests().len() > 10, "{foreign:?}");
    visit.end();
}

#[test]
fn rows_appear_while_the_page_is_open_and_a_pause_holds_it() {
    let Some(mut visit) = Visit::of(&[], json!({})) else { return };
    visit.until_state("waiting for the first record");
    visit.browser.until("it says how to put one", "!document.getElementById('empty').hidden");
    visit.browser.value("window.opened = true");
    visit.write(&[reading(now_ms(), "first", 15.0, 0.8), reading(now_ms(), "first", 115.0, 3.3)]);
    visit.until_state("live");
    visit.until_text("n-anomalies", "1");
    visit.until_drawn("readings", "--normal", 5);
    visit.until_drawn("readings", "--anomaly", 20);
    visit.browser.until("the hint is gone", "document.getElementById('empty').hidden");
    visit.until_row("first");

    visit.browser.click("#pause");
    visit.until_state("paused");
    assert_eq!(visit.browser.text("#pause"), "Resume");
    visit.write(&[reading(now_ms(), "second", 118.0, 3.9)]);
    // Its name is offered when its event has come; what is shown stays.
    let offered = "[...document.querySelectorAll('#sensor option')].length === 3";
    visit.browser.until("the row has come", offered);
    let n_asked = "performance.getEntriesByType('resource').length";
    visit.browser.value(&format!("window.before = {n_asked}"));
    visit.browser.choose("#range", "15");
    visit.browser.until("four answers came", &format!("{n_asked} >= window.before + 4"));
    assert_eq!(visit.browser.text("#n-anomalies"), "1");
    assert_eq!(visit.browser.value("document.querySelectorAll('#top tr').length"), 2);
    visit.until_state("paused");

    visit.browser.click("#pause");
    visit.until_row("second");
    visit.until_text("n-anomalies", "2");
    visit.until_state("live");
    assert_eq!(visit.browser.value("window.opened"), true);
    visit.end();
}

#[test]
fn a_narrow_and_a_dark_page_show_the_same() {
    let Some(mut visit) = Visit::of(&history(now_ms()), json!({})) else { return };
    visit.until_state("live");
    let light = visit.browser.value("getComputedStyle(document.body).backgroundColor");
    visit.browser.prefer("dark");
    let dark = visit.browser.value("getComputedStyle(document.body).backgroundColor");
    assert_ne!(light, dark);
    visit.until_drawn("readings", "--anomaly", 50);
    visit.until_row("DemoSensor");
    for width in [400, 320] {
        visit.browser.resize(width, 900);
        visit.browser.until(
            "nothing is wider than the window",
            "document.documentElement.scrollWidth <= innerWidth",
        );
        visit.browser.until(
            "the charts fit",
            "[...document.querySelectorAll('canvas, #bars svg')].every((chart) => chart.getBoundingClientRect().right <= innerWidth)",
        );
        visit.until_drawn("readings", "--normal", 20);
    }
    visit.browser.prefer("light");
    visit.until_drawn("scores", "--normal", 20);
    visit.end();
}

#[test]
fn whatever_the_index_holds_the_page_goes_on() {
    let status = json!({"key": null, "columns": [], "threshold": null, "models": null});
    let Some(mut visit) = Visit::of(&[], status) else { return };
    visit.until_state("waiting for the first record");
    let at = |ms_ago: i64| now_ms() - ms_ago;
    let odd = [
        json!({"created": at(1000), "iotValue": 1e300, "iotName": "huge", "ANOMALY_SCORE": 1e300,
               "ANOMALY_EXPLANATION": {"other": {"high": 1, "low": 0.5},
                                       "iotValue": {"high": 5, "low": 1}}}),
        json!({"created": at(1100), "iotValue": -1e300, "iotName": ["a", "b"], "ANOMALY_SCORE": 0}),
        json!({"created": at(1200), "iotValue": "text", "iotName": 7, "ANOMALY_SCORE": null}),
        json!({"created": at(1300), "iotValue": null, "iotName": null, "ANOMALY_SCORE": 2.5,
               "ANOMALY_EXPLANATION": {"iotValue": {"high": null}}}),
        json!({"created": at(1400), "iotValue": {"deep": 1}, "ANOMALY_SCORE": 2.25,
               "ANOMALY_EXPLANATION": "none"}),
        json!({"created": at(-900 * MINUTE_MS), "iotValue": 1, "ANOMALY_SCORE": 1}),
        json!({"created": at(1500)}),
    ];
    for (id, document) in odd.iter().enumerate() {
        visit.put(&id.to_string(), document);
    }
    visit.until_state("live");
    visit
        .browser
        .until("the scores are there", "document.querySelectorAll('#top .score').length === 4");
    assert_eq!(visit.browser.text("#top tr:first-child .score"), "1e+300");
    assert_eq!(visit.browser.text("#top tr:first-child .because span"), "iotValue is high");
    assert_eq!(visit.browser.value("document.querySelectorAll('.because rect').length"), 2);
    assert_eq!(visit.browser.value("document.querySelectorAll('#top tr.anomaly').length"), 0);
    visit.until_text("n-models", "–");

    // The pipeline says more: columns and a key appear.
    visit.site.say(json!({"key": "iotName", "columns": ["iotValue", "other"], "threshold": 2}));
    visit.until_text("h-value", "iotValue, other");
    visit
        .browser
        .until("anomalies are marked", "document.querySelectorAll('#top tr.anomaly').length === 3");
    visit.until_drawn("readings", "--anomaly", 20);
    visit.browser.choose("#column", "other");
    visit.write(&[reading(now_ms(), "sound", 15.0, 0.9)]);
    visit.until_row("sound");
    visit.until_state("live");
    visit.end();
}

#[test]
fn dates_without_a_zone_are_utc() {
    let Some(mut visit) = Visit::of(&[], json!({})) else { return };
    visit.browser.call("Emulation.setTimezoneOverride", json!({"timezoneId": "Asia/Kolkata"}));
    let created = eddy_record::format_timestamp_ms(now_ms() - 1000);
    let created = created.trim_end_matches('Z').replace(' ', "T");
    visit
        .put("1", &json!({"created": created, "iotName": "a", "iotValue": 15, "ANOMALY_SCORE": 3}));
    visit.until_row("a");
    visit.until_state("live");
    visit.until_drawn("readings", "--anomaly", 20);
    visit.end();
}

#[test]
fn thousands_of_sensors_leave_a_choice_of_some() {
    let now_ms = now_ms();
    let readings: Vec<Reading> =
        (0..3000).map(|n| reading(now_ms - n * 50, &format!("sensor-{n:04}"), 15.0, 0.8)).collect();
    let Some(mut visit) = Visit::of(&readings, json!({})) else { return };
    visit.until_state("live");
    visit
        .browser
        .until("a bounded choice", "document.querySelectorAll('#sensor option').length === 502");
    let names = visit.browser.value(
        "[...document.querySelectorAll('#sensor option')].slice(1, -1).map((option) => option.value)",
    );
    let names: Vec<String> = serde_json::from_value(names).expect("texts");
    assert!(names.is_sorted());
    visit.end();
}

#[test]
fn a_page_that_lost_its_server_finds_it_again() {
    let Some(mut visit) = Visit::of(&history(now_ms()), json!({})) else { return };
    visit.until_state("live");
    let port = visit.address.port();
    visit.end_server();
    visit.until_state("connection lost, trying again");
    visit.write(&[reading(now_ms(), "meanwhile", 117.0, 3.8)]);
    visit.server = Some(visit.runtime.block_on(visit.site.serve(port)));
    visit.until_state("live");
    visit.until_row("meanwhile");
    visit.write(&[reading(now_ms(), "after", 116.0, 3.7)]);
    visit.until_row("after");
    // That the server could not be reached is on the console, as it should be.
    let complaints = visit.browser.complaints();
    assert!(complaints.iter().all(|one| one.contains("net::ERR_")), "{complaints:?}");
    visit.end();
}
