//! The saved objects of Kibana and OpenSearch Dashboards.

use serde_json::{Value, json};

use super::{CREATED, Dashboards, SCORE, ranges};

/// Versions that Kibana 7.10 and later and OpenSearch Dashboards migrate from.
const INDEX_PATTERN_VERSION: &str = "7.6.0";
const SEARCH_VERSION: &str = "7.9.3";
const VISUALIZATION_VERSION: &str = "7.10.0";
const DASHBOARD_VERSION: &str = "7.9.3";
/// Where a search source names its index pattern.
const INDEX_REF: &str = "kibanaSavedObjectMeta.searchSourceJSON.index";
/// Sensors in the chart of the highest scores.
const MAX_SENSORS: u32 = 20;

/// All objects, each behind those that it refers to.
pub(super) fn all(of: &Dashboards) -> Vec<Value> {
    let pattern = of.pattern();
    let title = |what: &str| format!("{what} ({pattern})");
    let index_pattern = object(
        "index-pattern",
        &of.id("rows"),
        INDEX_PATTERN_VERSION,
        json!({"title": pattern, "timeFieldName": CREATED}),
        json!([]),
    );
    let index_ref = json!([{"name": INDEX_REF, "type": "index-pattern", "id": of.id("rows")}]);
    let search = object(
        "search",
        &of.id("by-score"),
        SEARCH_VERSION,
        json!({
            "title": title("Rows by score"),
            "description": "Scored rows, the highest score first",
            "hits": 0,
            "version": 1,
            "columns": of.shown_columns(),
            "sort": [[SCORE, "desc"]],
            "kibanaSavedObjectMeta": {"searchSourceJSON": search_source(true)},
        }),
        index_ref.clone(),
    );
    let mut objects = vec![index_pattern, search];
    let mut charts = vec![("per-minute", per_minute(&title("Rows a minute by score")))];
    charts.push(("score-over-time", score_over_time(&title("Highest score a minute"))));
    if let Some(key) = of.key() {
        charts.push(("by-sensor", by_sensor(&title("Highest score by sensor"), key)));
    }
    for (id, state) in &charts {
        let attributes = json!({
            "title": state["title"],
            "visState": state.to_string(),
            "uiStateJSON": "{}",
            "description": "",
            "version": 1,
            "kibanaSavedObjectMeta": {"searchSourceJSON": search_source(false)},
        });
        let id = of.id(id);
        objects.push(object(
            "visualization",
            &id,
            VISUALIZATION_VERSION,
            attributes,
            index_ref.clone(),
        ));
    }
    objects.push(dashboard(of, &title("Eddy: scored rows"), charts.len() > 2));
    objects
}

fn object(kind: &str, id: &str, version: &str, attributes: Value, references: Value) -> Value {
    json!({
        "type": kind,
        "id": id,
        "attributes": attributes,
        "references": references,
        "migrationVersion": {kind: version},
    })
}

/// Everything of the index pattern; searches highlight what was found.
fn search_source(highlight: bool) -> String {
    let mut source = json!({
        "query": {"query": "", "language": "kuery"},
        "filter": [],
        "indexRefName": INDEX_REF,
    });
    if highlight {
        source["highlightAll"] = true.into();
        source["version"] = true.into();
    }
    source.to_string()
}

/// Bars of rows a minute, split by ranges of the score.
fn per_minute(title: &str) -> Value {
    let split = json!({
        "id": "3", "enabled": true, "type": "range", "schema": "group",
        "params": {"field": SCORE, "ranges": ranges()},
    });
    let aggs = json!([count(), per_minute_buckets(), split]);
    json!({
        "title": title,
        "type": "histogram",
        "aggs": aggs,
        "params": xy("histogram", "stacked", "Rows", "bottom"),
    })
}

/// A line of the highest score of each minute.
fn score_over_time(title: &str) -> Value {
    let aggs = json!([max_score(), per_minute_buckets()]);
    json!({
        "title": title,
        "type": "line",
        "aggs": aggs,
        "params": xy("line", "normal", "Highest score", "bottom"),
    })
}

/// Bars of the highest score of each sensor.
fn by_sensor(title: &str, key: &str) -> Value {
    let terms = json!({
        "id": "2", "enabled": true, "type": "terms", "schema": "segment",
        "params": {
            "field": key, "orderBy": "1", "order": "desc", "size": MAX_SENSORS,
            "otherBucket": false, "otherBucketLabel": "Other",
            "missingBucket": false, "missingBucketLabel": "Missing",
        },
    });
    let aggs = json!([max_score(), terms]);
    json!({
        "title": title,
        "type": "horizontal_bar",
        "aggs": aggs,
        "params": xy("histogram", "normal", "Highest score", "left"),
    })
}

fn count() -> Value {
    json!({"id": "1", "enabled": true, "type": "count", "schema": "metric", "params": {}})
}

fn max_score() -> Value {
    json!({
        "id": "1", "enabled": true, "type": "max", "schema": "metric",
        "params": {"field": SCORE, "customLabel": "Highest score"},
    })
}

fn per_minute_buckets() -> Value {
    json!({
        "id": "2", "enabled": true, "type": "date_histogram", "schema": "segment",
        "params": {
            "field": CREATED, "interval": "m", "drop_partials": false, "min_doc_count": 1,
            "extended_bounds": {},
        },
    })
}

/// The parameters of a chart with two axes; categories are at the `bottom` or at the `left`.
fn xy(series: &str, mode: &str, label: &str, categories: &str) -> Value {
    let values = if categories == "bottom" { "left" } else { "bottom" };
    let kind = if series == "line" { "line" } else { "histogram" };
    json!({
        "type": kind,
        "grid": {"categoryLines": false},
        "categoryAxes": [{
            "id": "CategoryAxis-1", "type": "category", "position": categories, "show": true,
            "style": {}, "scale": {"type": "linear"},
            "labels": {"show": true, "filter": true, "truncate": 100}, "title": {},
        }],
        "valueAxes": [{
            "id": "ValueAxis-1", "name": "ValueAxis-1", "type": "value", "position": values,
            "show": true, "style": {}, "scale": {"type": "linear", "mode": "normal"},
            "labels": {"show": true, "rotate": 0, "filter": false, "truncate": 100},
            "title": {"text": label},
        }],
        "seriesParams": [{
            "show": true, "type": series, "mode": mode, "data": {"label": label, "id": "1"},
            "valueAxis": "ValueAxis-1", "drawLinesBetweenPoints": true, "lineWidth": 2,
            "showCircles": true,
        }],
        "addTooltip": true,
        "addLegend": true,
        "legendPosition": "right",
        "times": [],
        "addTimeMarker": false,
        "labels": {"show": false},
        "thresholdLine": {
            "show": false, "value": 10, "width": 1, "style": "full", "color": "#E7664C",
        },
    })
}

fn dashboard(of: &Dashboards, title: &str, has_sensors: bool) -> Value {
    let mut parts = vec![
        ("visualization", "per-minute", [0, 0, 48, 12]),
        ("visualization", "score-over-time", [0, 12, if has_sensors { 24 } else { 48 }, 14]),
    ];
    if has_sensors {
        parts.push(("visualization", "by-sensor", [24, 12, 24, 14]));
    }
    parts.push(("search", "by-score", [0, 26, 48, 18]));
    let (mut panels, mut references) = (Vec::new(), Vec::new());
    for (idx, (kind, id, [x, y, width, height])) in parts.into_iter().enumerate() {
        let (panel, reference) = ((idx + 1).to_string(), format!("panel_{idx}"));
        references.push(json!({"name": reference, "type": kind, "id": of.id(id)}));
        panels.push(json!({
            "version": DASHBOARD_VERSION,
            "gridData": {"x": x, "y": y, "w": width, "h": height, "i": panel},
            "panelIndex": panel,
            "embeddableConfig": {},
            "panelRefName": reference,
        }));
    }
    let source = json!({"query": {"query": "", "language": "kuery"}, "filter": []});
    let attributes = json!({
        "title": title,
        "description": "Rows a minute by score, the highest scores, the rows themselves",
        "hits": 0,
        "version": 1,
        "timeRestore": true,
        "timeFrom": "now-1h",
        "timeTo": "now",
        "refreshInterval": {"pause": false, "value": 10_000},
        "optionsJSON": json!({"useMargins": true, "hidePanelTitles": false}).to_string(),
        "panelsJSON": Value::from(panels).to_string(),
        "kibanaSavedObjectMeta": {"searchSourceJSON": source.to_string()},
    });
    object("dashboard", &of.id("dashboard"), DASHBOARD_VERSION, attributes, references.into())
}
