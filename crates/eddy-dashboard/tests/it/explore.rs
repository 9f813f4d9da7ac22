//! What is looked at: the state in the address, and the ways to change it.

use serde_json::json;

use crate::support::{Reading, Site, now_ms, reading};
use crate::visit::{Visit, history};

fn iso(ms: i64) -> String {
    eddy_record::format_timestamp_ms(ms).replace(' ', "T")
}

#[test]
fn a_link_opens_all_that_it_says() {
    let now_ms = now_ms();
    let mut rows = history(now_ms);
    rows.push(reading(now_ms - 45_000, "other", 300.0, 2.1));
    let (from, to) = (iso(now_ms - 100_000), iso(now_ms - 10_000));
    let query = format!(
        "?from={from}&to={to}&sensor=DemoSensor&q=iotValue:%3E100&threshold=3&sort=iotValue:asc"
    );
    let Some(mut visit) = Visit::at(&query, &rows, json!({})) else { return };
    visit.until_state("paused");
    visit.until_text("n-total", "3");
    visit.until_text("n-alerts", "2");
    visit.until_text("threshold-value", "3.00");
    assert_eq!(visit.scores(), [2.55, 3.11, 3.52]);
    assert_eq!(visit.browser.value("document.getElementById('filter').value"), "iotValue:>100");
    assert_eq!(visit.browser.text("#chosen"), "DemoSensor ×");
    assert_eq!(
        visit.browser.value("document.querySelector('th[aria-sort=ascending]').textContent"),
        "iotValue ▴"
    );
    // An opened row is part of the link.
    visit.browser.click("#table-body tr:nth-child(2)");
    visit.until("document.querySelector('.detail')");
    let link = visit.browser.value("location.href");
    visit.browser.open("about:blank");
    visit.browser.open(link.as_str().expect("a text"));
    visit.until("document.querySelector('.detail')");
    assert!(visit.browser.text("tr.is-open").contains("110"));
    // And so is everything that the browser goes back to.
    visit.browser.enter("#filter", "iotValue:<100");
    visit.until_text("n-total", "91");
    visit.browser.value("history.back()");
    visit.until_text("n-total", "3");
    assert_eq!(visit.browser.value("document.getElementById('filter').value"), "iotValue:>100");
    visit.end();
}

#[test]
fn a_row_that_is_linked_and_far_down_is_shown() {
    let rows: Vec<Reading> =
        (0..300).map(|n| reading(now_ms() - n * 100, "a", n as f64, 0.8)).collect();
    let site = Site::new();
    let Some(mut visit) = Visit::to(site, "", &rows) else { return };
    let found = visit
        .site
        .index
        .search("anomalies", &json!({"query": {"term": {"iotValue": 290}}}))
        .expect("found");
    let id = found["hits"]["hits"][0]["_id"].as_str().expect("an id").to_owned();
    let address = visit.address;
    visit.browser.open("about:blank");
    visit.browser.open(&format!("http://{address}/?row={}", id.replace(':', "%3A")));
    visit.until("document.querySelector('.detail')");
    assert!(visit.browser.text("tr.is-open").contains("290"));
    visit.end();
}

#[test]
fn a_time_is_chosen_relative_absolute_and_with_a_brush() {
    let now_ms = now_ms();
    let Some(mut visit) = Visit::at("?from=now-1h", &history(now_ms), json!({})) else { return };
    visit.until_text("n-total", "1,204");
    assert_eq!(visit.browser.text("#range"), "Last 1 hour");
    visit.browser.click("#range");
    visit.until("!document.getElementById('times').hidden");
    visit.browser.click("#quick [data-from=now-5m]");
    visit.until_text("range", "Last 5 min");
    visit.until("Number(document.getElementById('n-total').textContent) < 306");
    assert!(visit.address_says().contains("from=now-5m"));

    visit.until("eddy.scale()[1] - eddy.scale()[0] < 301");
    // A brush over the middle third of the chart.
    let (left, top, width, height) = visit.box_of("#readings .u-over");
    let y = top + height / 2.0;
    visit.browser.drag((left + width / 3.0, y), (left + width * 2.0 / 3.0, y));
    visit.until_state("paused");
    let span = visit.browser.value("eddy.data.answer.to_ms - eddy.data.answer.from_ms");
    visit.until("eddy.data.answer.to_ms - eddy.data.answer.from_ms < 103_000");
    visit.until("eddy.data.answer.to_ms - eddy.data.answer.from_ms > 97_000");
    assert!(span.is_number());
    visit.browser.value("history.back()");
    visit.until_state("live");

    // Absolute, in local time, which is UTC here.
    visit.browser.press("t");
    visit.until("!document.getElementById('times').hidden");
    let field = |ms: i64| iso(ms)[..19].to_owned();
    let (from, to) = (field(now_ms - 600_000), field(now_ms - 300_000));
    let set = |id: &str, value: &str| format!("document.getElementById('{id}').value = '{value}'");
    visit.browser.value(&set("from", &to));
    visit.browser.value(&set("to", &from));
    visit.browser.click("#apply");
    visit.until_text("time-wrong", "It ends before it begins.");
    visit.browser.value(&set("from", &from));
    visit.browser.value(&set("to", &to));
    visit.browser.click("#apply");
    visit.until_state("paused");
    visit.until("['299', '300', '301'].includes(document.getElementById('n-total').textContent)");
    // Later until now, from where it follows again.
    for _ in 0..3 {
        visit.browser.press("]");
    }
    visit.until_state("live");
    visit.until_text("range", "Last 5 min");
    visit.end();
}

#[test]
fn the_table_is_sorted_by_any_column_and_filtered_by_what_a_row_holds() {
    let now_ms = now_ms();
    let rows: Vec<Reading> = (0..120)
        .map(|n| {
            let name = ["b", "a", "c"][usize::try_from(n % 3).expect("small")];
            reading(now_ms - n * 1000, name, (n * 7 % 120) as f64, 0.5 + (n % 10) as f64 / 10.0)
        })
        .collect();
    let Some(mut visit) = Visit::at("?from=now-1h", &rows, json!({})) else { return };
    visit.until_text("table-note", "50 of 120");
    let column = |n: u32| {
        format!(
            "[...document.querySelectorAll('#table-body tr[data-id] td:nth-child({n})')].map((it) => it.textContent)"
        )
    };
    for (field, n, numeric) in [("iotValue", 3, true), ("iotName", 2, false), ("created", 1, false)]
    {
        let button = format!("#table-head button[data-field={field}]");
        for _ in 0..2 {
            visit.browser.click(&button);
            let is = format!("document.querySelector('th:nth-child({n})').ariaSort");
            visit.until(&format!(
                "(() => {{ const column = {}, down = {is} === 'descending'; \
                 const sorted = [...column].sort({}); if (down) sorted.reverse(); \
                 return {is} !== 'none' && JSON.stringify(sorted) === JSON.stringify(column); }})()",
                column(n),
                if numeric { "(a, b) => a - b" } else { "undefined" },
            ));
        }
    }
    visit.browser.click("#more");
    visit.until_text("table-note", "120 of 120");
    visit.until("document.getElementById('more').hidden");
    // Only what has the row's name, then what has not its value.
    visit.browser.click("#table-body tr");
    visit.until("document.querySelector('.detail')");
    visit.browser.click(".fields button[aria-label^='Only iotName']");
    visit.until_text("n-total", "40");
    visit.browser.click(".fields button[aria-label^='Without iotValue']");
    visit.until_text("n-total", "39");
    assert!(visit.address_says().contains("q=iotName:\""), "{}", visit.address_says());
    // Clauses side by side are joined by OR, and what is added must hold beside them.
    visit.browser.enter("#filter", "iotValue:<1 iotValue:>=1");
    visit.until_text("n-total", "120");
    visit.browser.click(".fields button[aria-label^='Only iotName']");
    visit.until_text("n-total", "40");
    // What cannot be understood is said, and what was there stays.
    visit.browser.enter("#filter", "iotValue");
    visit.until("!document.getElementById('filter-wrong').hidden");
    assert!(visit.browser.text("#filter-wrong").contains("without a field"));
    visit.browser.press("Escape");
    visit.browser.press("x");
    visit.until_text("n-total", "120");
    let complaints = visit.browser.complaints();
    assert!(complaints.iter().all(|one| one.contains("400")), "{complaints:?}");
    visit.end();
}

#[test]
fn an_opened_row_explains_its_score_with_bars() {
    let query = "?sort=ANOMALY_SCORE:desc";
    let Some(mut visit) = Visit::at(query, &history(now_ms()), json!({})) else { return };
    visit.until("document.querySelector('#table-body tr.anomaly')");
    visit.browser.click("#table-body tr");
    visit.until("document.querySelector('.why')");
    let why = visit.browser.value("[...document.querySelectorAll('.why tbody td, .why tbody th')].map((it) => it.textContent).join('|')");
    // 3.52: a tenth of it high, the rest low.
    assert_eq!(why, "iotValue|119|3.17||0.35");
    let widths = visit.browser.value(
        "['low', 'high'].map((side) => document.querySelector(`.why rect.${side}`).getBBox().width)",
    );
    let [low, high]: [f64; 2] = serde_json::from_value(widths).expect("widths");
    assert!((low / high - 9.0).abs() < 0.1, "{low} {high}");
    assert_eq!(
        visit.browser.value(
            "[...document.querySelectorAll('.fields dt')].map((it) => it.textContent).join()"
        ),
        "ANOMALY_SCORE,created,iotName,iotValue,_id"
    );
    visit.end();
}

#[test]
fn the_threshold_shows_what_would_alert_and_how_right_that_is() {
    let now_ms = now_ms();
    let mut site = Site::new();
    site.label_rows();
    // Of ten anomalies three score 2.4 only; two normal readings score 2.2.
    let mut rows: Vec<Reading> =
        (0..200).map(|n| reading(now_ms - n * 500, "a", 15.0, 0.8)).collect();
    for n in 0..10 {
        let score = if n < 3 { 2.4 } else { 3.4 };
        rows.push(reading(now_ms - n * 1000 - 250, "a", 110.0, score));
    }
    rows.extend((0..2).map(|n| reading(now_ms - n * 1000 - 125, "a", 20.0, 2.2)));
    let Some(mut visit) = Visit::to(site, "", &rows) else { return };
    visit.until_text("would", "12 of 212 scored records would have alerted (5.66 %).");
    let judged = "document.getElementById('judged').innerText.replace(/\\s+/g, ' ').trim()";
    visit.until(&format!("{judged} === 'Precision 83.3 % 10 of 12 alerts were anomalies Recall 100.0 % 10 of 10 anomalies alerted'"));
    let slide = |value: f64| {
        format!(
            "{{ const slider = document.getElementById('threshold'); slider.value = {value}; slider.dispatchEvent(new Event('input', {{ bubbles: true }})); }}"
        )
    };
    visit.browser.value(&slide(2.3));
    visit.until_text("would", "10 of 212 scored records would have alerted (4.72 %).");
    visit.until(&format!("{judged} === 'Precision 100.0 % 10 of 10 alerts were anomalies Recall 100.0 % 10 of 10 anomalies alerted'"));
    visit.browser.value(&slide(3.0));
    visit.until(&format!("{judged}.includes('Recall 70.0 % 7 of 10 anomalies alerted')"));
    visit.until_text("n-alerts", "7");
    visit.until("document.querySelectorAll('#table-body tr.anomaly').length === 7 || location.search.includes('threshold=3')");
    assert!(visit.address_says().contains("threshold=3"));
    visit.browser.click("#threshold-reset");
    visit.until_text("n-alerts", "12");
    assert!(!visit.address_says().contains("threshold"));
    visit.end();
}

#[test]
fn all_can_be_done_by_keys() {
    let Some(mut visit) = Visit::of(&history(now_ms()), json!({})) else { return };
    visit.until_row("DemoSensor");
    visit.browser.press("2");
    visit.until("!document.getElementById('view-pipeline').hidden");
    visit.browser.press("1");
    visit.until("!document.getElementById('view-readings').hidden");
    visit.browser.press("p");
    visit.until_state("paused");
    visit.browser.press("+");
    visit.until("eddy.data.answer.to_ms - eddy.data.answer.from_ms < 460_000");
    visit.browser.press("p");
    visit.until_state("live");
    visit.browser.press("/");
    visit.until("document.activeElement.id === 'filter'");
    visit.browser.press("Escape");
    visit.browser.press("?");
    visit.until("document.getElementById('keys').open");
    visit.browser.press("Escape");
    visit.until("!document.getElementById('keys').open");
    // From row to row, and one opened.
    visit.browser.press("p");
    visit.until_state("paused");
    // No answer is to come that would draw the rows anew.
    visit.until("eddy.settled()");
    visit.browser.value("document.querySelector('#table-body .open').focus()");
    visit.browser.press("ArrowDown");
    visit.browser.press("Enter");
    visit.until("document.querySelector('#table-body tr:nth-child(2).is-open')");
    visit.browser.press("Escape");
    visit.until("!document.querySelector('.is-open') && eddy.settled()");
    // From sensor to sensor.
    visit.browser.value("document.querySelector('#heat .heat-row button').focus()");
    visit.browser.press("ArrowDown");
    visit.browser.press("Enter");
    visit.until_text("n-total", "1");
    // Whatever can be pressed has a name.
    let nameless = visit.browser.value(
        "[...document.querySelectorAll('button, input, select, a, [tabindex=\"0\"]')].filter((it) => it.checkVisibility() && !(it.textContent.trim() || it.ariaLabel || it.labels?.length || it.getAttribute('aria-labelledby'))).map((it) => it.outerHTML)",
    );
    assert_eq!(nameless, json!([]));
    assert!(visit.address_says().contains("sensor="));
    visit.end();
}
