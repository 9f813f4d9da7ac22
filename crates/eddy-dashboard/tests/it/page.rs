//! What a browser shows.

use serde_json::json;

use crate::support::{Reading, now_ms, reading};
use crate::visit::{SCRIPT, Visit, history};

const MINUTE_MS: i64 = 60_000;

#[test]
fn readings_scores_bars_heatmap_and_table_are_shown() {
    let status = json!({"models": 2, "dead_lettered": 4, "behind_ms": 90});
    let query = "?from=now-30m&sort=ANOMALY_SCORE:desc";
    let Some(mut visit) = Visit::at(query, &history(now_ms()), status) else { return };
    visit.until_state("live");
    for (id, text) in [
        ("n-total", "1,204"),
        ("n-alerts", "3"),
        ("n-highest", "3.5"),
        ("n-dead", "4"),
        ("n-behind", "0 s"),
        ("n-rate", "0"),
    ] {
        visit.until_text(id, text);
    }
    visit.until_drawn("readings", "--h0", 50);
    visit.until_drawn("readings", "--h1", 4);
    visit.until_drawn("scores", "--h0", 50);
    for chart in ["readings", "scores"] {
        visit.until_drawn(chart, "--anomaly", 50);
    }
    for range in [1, 2, 3, 4, 5] {
        let part = format!("#bars rect.r{range}");
        visit.browser.until(
            &format!("{part} is visible"),
            &format!("[...document.querySelectorAll('{part}')].some((part) => part.getBoundingClientRect().height >= 2)"),
        );
    }
    let minutes = visit.browser.value("document.querySelectorAll('#bars g').length");
    assert!((20..=22).contains(&minutes.as_u64().expect("a count")), "{minutes}");
    assert_eq!(visit.browser.text("#h-bars"), "Records a minute, by score");

    let scores = visit.scores();
    assert_eq!(scores[..5], [3.52, 3.11, 2.55, 1.7, 1.2]);
    assert_eq!(scores.len(), 50);
    assert!(scores.is_sorted_by(|a, b| a >= b));
    let first = visit.browser.text("#table-body tr:first-child");
    assert!(first.contains("DemoSensor") && first.contains("119"), "{first}");
    // High, as the usual readings have it, though the model sets it off from a higher anomaly.
    let because = "document.querySelector('#table-body tr:first-child .because').textContent";
    visit.until(&format!("{because} === 'iotValue high, usually 15'"));
    assert_eq!(
        visit.browser.value("document.querySelectorAll('#table-body tr.anomaly').length"),
        3
    );

    // A name is a text, whatever it looks like: in the table, the heatmap and the choice.
    assert_eq!(visit.browser.text("#table-body tr:nth-child(4) .name"), SCRIPT);
    assert_eq!(visit.browser.text("#heat .heat-row:nth-child(2) button"), SCRIPT);
    visit.until(&format!(
        "[...document.querySelectorAll('#sensors option')].some((option) => option.value === {SCRIPT:?})"
    ));
    assert_eq!(visit.browser.value("document.querySelectorAll('main script').length"), 0);
    visit.browser.enter("#sensor", SCRIPT);
    visit.until("document.querySelectorAll('#table-body tr').length === 1");
    assert_eq!(visit.browser.text("#chosen"), format!("{SCRIPT} ×"));
    visit.browser.click("#table-body tr");
    visit.until("document.querySelector('.detail .fields')");
    assert!(visit.browser.text(".detail").contains(SCRIPT));
    assert_eq!(visit.browser.value("document.querySelectorAll('main script').length"), 0);

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
    visit.until("!document.getElementById('empty').hidden");
    visit.browser.value("window.opened = true");
    visit.write(&[reading(now_ms(), "first", 15.0, 0.8), reading(now_ms(), "first", 115.0, 3.3)]);
    visit.until_state("live");
    visit.until_text("n-alerts", "1");
    visit.until_drawn("readings", "--h0", 5);
    visit.until_drawn("readings", "--anomaly", 20);
    visit.until("document.getElementById('empty').hidden");
    visit.until_row("first");

    visit.browser.click("#pause");
    visit.until_state("paused");
    assert_eq!(visit.browser.text("#pause"), "Resume");
    let held = visit.address_says();
    assert!(held.starts_with("?from=20") && held.contains("&to=20"), "{held}");
    visit.browser.value("window.asked = eddy.data.answer");
    visit.write(&[reading(now_ms() + 1, "second", 118.0, 3.9)]);
    // Another sort asks again: the answer is of the time that was held.
    visit.browser.click("#table-head button[data-field=iotValue]");
    visit.until("eddy.data.answer !== window.asked");
    assert_eq!(visit.browser.value("document.querySelectorAll('#table-body tr').length"), 2);
    assert_eq!(visit.browser.text("#n-alerts"), "1");
    visit.until_state("paused");

    visit.browser.click("#pause");
    visit.until_row("second");
    visit.until_text("n-alerts", "2");
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
        for view in ["readings", "pipeline"] {
            visit.browser.click(&format!("[data-view={view}]"));
            visit.browser.until(
                &format!("nothing of {view} is wider than {width}"),
                "document.documentElement.scrollWidth <= innerWidth",
            );
        }
        visit.browser.click("[data-view=readings]");
        visit.browser.until(
            "the charts fit",
            "[...document.querySelectorAll('#readings canvas, #bars svg, #heat canvas')].every((chart) => chart.getBoundingClientRect().right <= innerWidth)",
        );
        visit.until_drawn("readings", "--h0", 20);
    }
    visit.browser.prefer("light");
    visit.until_drawn("scores", "--h0", 20);
    visit.end();
}

/// The contrast of every text with what is behind it, as the guideline computes it.
const CONTRASTS: &str = "(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((part) => { const c = part / 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; }); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
  const behind = (element) => { for (let at = element; at; at = at.parentElement) { const colour = rgb(getComputedStyle(at).backgroundColor); if (colour[3] > 250) return colour; } return [255, 255, 255, 255]; };
  const poor = [];
  for (const element of document.querySelectorAll('body *')) {
    if (!element.checkVisibility() || element.closest(':disabled') || ![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
    const style = getComputedStyle(element), svg = element instanceof SVGElement;
    const [a, b] = [light(rgb(svg ? style.fill : style.color)), light(behind(svg ? element.closest('svg').parentElement : element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) poor.push(`${element.tagName} ${element.className?.baseVal ?? element.className} ${element.textContent.trim().slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return poor;
})()";

#[test]
fn every_text_has_the_contrast_that_the_guideline_wants() {
    let status = json!({"models": 2, "dead_lettered": 4, "behind_ms": 90_000});
    let Some(mut visit) = Visit::of(&history(now_ms()), status) else { return };
    visit.until_state("live");
    visit.until_row("DemoSensor");
    visit.browser.click("#table-body tr");
    visit.until("document.querySelector('.detail')");
    for scheme in ["light", "dark"] {
        visit.browser.prefer(scheme);
        for view in ["pipeline", "readings"] {
            visit.browser.click(&format!("[data-view={view}]"));
            let poor = visit.browser.value(CONTRASTS);
            assert_eq!(poor, json!([]), "{scheme} {view}");
        }
    }
    visit.end();
}

#[test]
fn whatever_the_index_holds_the_page_goes_on() {
    let status = json!({"key": null, "columns": [], "threshold": null, "models": null});
    let query = "?sort=ANOMALY_SCORE:desc";
    let Some(mut visit) = Visit::at(query, &[], status) else { return };
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
    visit.until("document.querySelectorAll('#table-body .score').length === 6");
    assert_eq!(visit.browser.text("#table-body tr:first-child .score"), "1e+300");
    assert_eq!(visit.browser.text("#table-body tr:first-child .because"), "iotValue high");
    assert_eq!(
        visit.browser.value("document.querySelectorAll('#table-body tr.anomaly').length"),
        0
    );

    // The pipeline says more: columns and a key appear.
    visit.site.say(json!({"key": "iotName", "columns": ["iotValue", "other"], "threshold": 2}));
    visit.until("document.querySelectorAll('#table-body tr.anomaly').length === 3");
    visit.until("[...document.querySelectorAll('#column option')].map((it) => it.value).join() === 'iotValue,other'");
    visit.until_drawn("scores", "--anomaly", 20);
    visit.browser.choose("#column", "other");
    visit.until_text("h-column", "of other");
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
fn every_one_of_thousands_of_sensors_can_be_reached_in_the_heatmap() {
    let now_ms = now_ms();
    let readings: Vec<Reading> = (0..3000)
        .map(|n| {
            let score = 0.5 + f64::from(u32::try_from(3000 - n).expect("small")) / 10_000.0;
            reading(now_ms - n * 50, &format!("sensor-{n:04}"), 15.0, score)
        })
        .collect();
    let Some(mut visit) = Visit::of(&readings, json!({})) else { return };
    visit.until_state("live");
    visit.browser.click("#pause");
    visit.until_text("heat-note", "3,000 sensors; the highest first");
    assert_eq!(visit.browser.text("#heat .heat-row button"), "sensor-0000");
    visit.browser.value("document.querySelector('.heat-scroll').scrollTop = 1e9");
    let names =
        "[...document.querySelectorAll('#heat .heat-row button')].map((it) => it.textContent)";
    visit.until(&format!("{names}.includes('sensor-2999')"));
    let n_rows = visit.browser.value("document.querySelectorAll('#heat .heat-row').length");
    assert!(n_rows.as_u64().is_some_and(|n_rows| n_rows < 40), "{n_rows}");
    // A press opens the sensor.
    visit.browser.value(
        "[...document.querySelectorAll('#heat .heat-row')].find((row) => row.dataset.name === 'sensor-2999').querySelector('canvas').click()",
    );
    visit.until_text("n-total", "1");
    assert!(visit.address_says().contains("sensor=sensor-2999"));
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
