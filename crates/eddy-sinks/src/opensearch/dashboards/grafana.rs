//! A dashboard of Grafana over its Elasticsearch data source.

use serde_json::{Value, json};

use super::{CREATED, Dashboards, SCORE, ranges};

/// The version of dashboards that Grafana 8 wrote; later ones migrate it.
const SCHEMA_VERSION: u32 = 36;
/// What the import asks for.
const INPUT: &str = "DS_EDDY";

pub(super) fn dashboard(of: &Dashboards) -> Value {
    let pattern = of.pattern();
    let max = json!({"id": "1", "type": "max", "field": SCORE});
    let filters: Vec<Value> = ranges().iter().map(filter).collect();
    let split = json!({"id": "2", "type": "filters", "settings": {"filters": filters}});
    let mut panels = vec![
        panel(
            1,
            "timeseries",
            "Rows a minute by score",
            [0, 0, 24, 8],
            &target(json!([{"id": "1", "type": "count"}]), json!([split, per_minute()])),
            json!({"drawStyle": "bars", "fillOpacity": 80, "stacking": {"mode": "normal", "group": "A"}}),
        ),
        panel(
            2,
            "timeseries",
            "Highest score a minute",
            [0, 8, if of.key().is_some() { 12 } else { 24 }, 8],
            &target(json!([max]), json!([per_minute()])),
            json!({"drawStyle": "line"}),
        ),
    ];
    if let Some(key) = of.key() {
        let terms = json!({
            "id": "2", "type": "terms", "field": key,
            "settings": {"size": "20", "order": "desc", "orderBy": "1", "min_doc_count": "1"},
        });
        let target = target(json!([max]), json!([terms, per_minute()]));
        let place = [12, 8, 12, 8];
        panels.push(panel(3, "timeseries", "Highest score by sensor", place, &target, json!({})));
    }
    let rows = json!([{"id": "1", "type": "raw_data", "settings": {"size": "100"}}]);
    let mut table = panel(4, "table", "Rows", [0, 16, 24, 10], &target(rows, json!([])), json!({}));
    table["options"] = json!({"sortBy": [{"displayName": SCORE, "desc": true}]});
    panels.push(table);
    json!({
        "__inputs": [{
            "name": INPUT, "label": pattern, "type": "datasource", "pluginId": "elasticsearch",
            "description": format!("an Elasticsearch data source: index {pattern}, time field {CREATED}"),
        }],
        "__requires": [
            {"type": "grafana", "id": "grafana", "name": "Grafana", "version": "8.5.0"},
            {"type": "datasource", "id": "elasticsearch", "name": "Elasticsearch", "version": "1.0.0"},
        ],
        "title": format!("Eddy: scored rows ({pattern})"),
        "tags": ["eddy"],
        "timezone": "browser",
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": true,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "panels": panels,
    })
}

/// A range of scores as a query.
fn filter(range: &Value) -> Value {
    let (query, label) = match &range["to"] {
        Value::Null => (format!("{SCORE}:>={}", range["from"]), format!("from {}", range["from"])),
        to => {
            (format!("{SCORE}:[{} TO {to}}}", range["from"]), format!("{} to {to}", range["from"]))
        }
    };
    json!({"query": query, "label": label})
}

fn per_minute() -> Value {
    json!({
        "id": "3", "type": "date_histogram", "field": CREATED,
        "settings": {"interval": "1m", "min_doc_count": "0"},
    })
}

fn source() -> Value {
    json!({"type": "elasticsearch", "uid": format!("${{{INPUT}}}")})
}

fn target(metrics: Value, buckets: Value) -> Value {
    json!({
        "refId": "A", "datasource": source(), "query": "", "timeField": CREATED,
        "metrics": metrics, "bucketAggs": buckets,
    })
}

fn panel(
    id: u32,
    kind: &str,
    title: &str,
    place: [u32; 4],
    target: &Value,
    custom: Value,
) -> Value {
    let [x, y, width, height] = place;
    json!({
        "id": id,
        "type": kind,
        "title": title,
        "datasource": source(),
        "gridPos": {"x": x, "y": y, "w": width, "h": height},
        "targets": [target],
        "fieldConfig": {"defaults": {"custom": custom}, "overrides": []},
        "options": {},
    })
}
