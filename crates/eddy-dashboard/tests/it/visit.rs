//! A browser that looks at a page.

use std::net::SocketAddr;

use axum::body::Body;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::browser::Browser;
use crate::support::{Reading, Server, Site, reading, request, text};

pub(crate) const SCRIPT: &str = "<script>alert(1)</script>";

/// A page on an index, and a browser that looks at it.
pub(crate) struct Visit {
    pub(crate) runtime: Runtime,
    pub(crate) site: Site,
    // None while it is away.
    pub(crate) server: Option<Server>,
    pub(crate) address: SocketAddr,
    pub(crate) browser: Browser,
}

impl Visit {
    /// Fills an index, serves it and opens the page; `None` where there is no browser.
    pub(crate) fn of(readings: &[Reading], status: Value) -> Option<Self> {
        Self::at("", readings, status)
    }

    /// The same with a query in the address.
    pub(crate) fn at(query: &str, readings: &[Reading], status: Value) -> Option<Self> {
        let site = Site::new();
        site.say(status);
        Self::to(site, query, readings)
    }

    pub(crate) fn to(site: Site, query: &str, readings: &[Reading]) -> Option<Self> {
        let mut browser = Browser::start()?;
        let runtime = Runtime::new().expect("a runtime");
        let server = runtime.block_on(async {
            for some in readings.chunks(20_000) {
                site.write(some).await;
            }
            site.serve(0).await
        });
        browser.resize(1400, 1000);
        browser.open(&format!("http://{}/{query}", server.address));
        let address = server.address;
        Some(Self { runtime, site, server: Some(server), address, browser })
    }

    pub(crate) fn write(&self, readings: &[Reading]) {
        self.runtime.block_on(self.site.write(readings));
    }

    pub(crate) fn put(&self, id: &str, document: &Value) {
        let put = request("PUT", &format!("/es/anomalies/_doc/{id}"))
            .body(Body::from(document.to_string()))
            .expect("a request");
        let answer = self.runtime.block_on(self.site.ask(put));
        let status = answer.status();
        let said = self.runtime.block_on(text(answer));
        assert!(status.is_success(), "{document}: {said}");
    }

    pub(crate) fn until_state(&mut self, text: &str) {
        self.until_text("state", text);
    }

    pub(crate) fn until_text(&mut self, id: &str, text: &str) {
        let what = format!("{id} is {text:?}");
        self.browser
            .until(&what, &format!("document.getElementById({id:?})?.textContent === {text:?}"));
    }

    /// Waits until an expression holds, which also says what is waited for.
    pub(crate) fn until(&mut self, expression: &str) {
        self.browser.until(expression, expression);
    }

    pub(crate) fn until_row(&mut self, name: &str) {
        let cells = "[...document.querySelectorAll('#table-body .name')]";
        let what = format!("{name:?} is in the table");
        self.browser
            .until(&what, &format!("{cells}.some((cell) => cell.textContent === {name:?})"));
    }

    /// Waits until a chart shows at least so many pixels of a colour of the style sheet.
    pub(crate) fn until_drawn(&mut self, chart: &str, colour: &str, n_pixels: u32) {
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

    /// The page's query in its address.
    pub(crate) fn address_says(&mut self) -> String {
        let search = self.browser.value("decodeURIComponent(location.search)");
        search.as_str().expect("a text").to_owned()
    }

    /// The scores of the table, from the top.
    pub(crate) fn scores(&mut self) -> Vec<f64> {
        let cells = "[...document.querySelectorAll('#table-body tr[data-id] .score')]";
        let scores =
            self.browser.value(&format!("{cells}.map((cell) => Number(cell.textContent))"));
        serde_json::from_value(scores).expect("numbers")
    }

    /// The middle of an element, in pixels of the window.
    pub(crate) fn box_of(&mut self, selector: &str) -> (f64, f64, f64, f64) {
        let found = self.browser.value(&format!(
            "(() => {{ const element = document.querySelector({selector:?}); \
             element.scrollIntoView({{ block: 'center' }}); \
             const {{ left, top, width, height }} = element.getBoundingClientRect(); \
             return [left, top, width, height]; }})()"
        ));
        let [left, top, width, height]: [f64; 4] = serde_json::from_value(found).expect("a box");
        (left, top, width, height)
    }

    /// Ends everything; the page must not have complained of anything.
    pub(crate) fn end(mut self) {
        assert_eq!(self.browser.complaints(), [""; 0]);
        self.end_server();
    }

    pub(crate) fn end_server(&mut self) {
        let server = self.server.take().expect("it is served");
        self.runtime.block_on(server.end());
    }
}

/// Twenty minutes of a sensor that is read each second, with four anomalies.
pub(crate) fn history(now_ms: i64) -> Vec<Reading> {
    let mut readings: Vec<Reading> = (1..=1200)
        .map(|n| reading(now_ms - n * 1000, "DemoSensor", 15.0, if n % 5 == 0 { 1.2 } else { 0.8 }))
        .collect();
    for (n, value, score) in [(20, 110.0, 3.11), (40, 104.0, 2.55), (70, 119.0, 3.52)] {
        readings.push(reading(now_ms - n * 1000 - 500, "DemoSensor", value, score));
    }
    readings.push(reading(now_ms - 90_500, SCRIPT, 101.0, 1.7));
    readings
}
