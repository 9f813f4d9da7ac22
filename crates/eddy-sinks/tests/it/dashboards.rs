//! Saved objects: what both products accept, and their import.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::post;
use eddy_harness::serve;
use eddy_sinks::{Auth, Dashboards, InstallSettings, OpenSearchSettings};
use serde_json::{Value, json};

use crate::support::rows;

fn settings(change: impl FnOnce(&mut OpenSearchSettings)) -> OpenSearchSettings {
    let mut settings = OpenSearchSettings::new("http://127.0.0.1:1");
    change(&mut settings);
    settings
}

fn dashboards() -> Dashboards {
    let settings = settings(|settings| {
        settings.install = Some(InstallSettings { retention_days: Some(30) });
    });
    Dashboards::new(&settings, &rows(1)[0].schema, None).expect("good")
}

/// The attributes of each type that both products know, with the versions that both migrate from.
const KNOWN: [(&str, &str, &[&str]); 4] = [
    ("index-pattern", "7.6.0", &["title", "timeFieldName"]),
    (
        "search",
        "7.9.3",
        &["title", "description", "hits", "version", "columns", "sort", "kibanaSavedObjectMeta"],
    ),
    (
        "visualization",
        "7.10.0",
        &["title", "visState", "uiStateJSON", "description", "version", "kibanaSavedObjectMeta"],
    ),
    (
        "dashboard",
        "7.9.3",
        &[
            "title",
            "description",
            "hits",
            "version",
            "timeRestore",
            "timeFrom",
            "timeTo",
            "refreshInterval",
            "optionsJSON",
            "panelsJSON",
            "kibanaSavedObjectMeta",
        ],
    ),
];

/// The fields of a nested text of JSON.
fn nested(value: &Value) -> Value {
    serde_json::from_str(value.as_str().expect("a text")).expect("JSON in the text")
}

#[test]
fn objects_have_the_versions_and_fields_that_both_products_know() {
    let ndjson = dashboards().to_ndjson();
    let mut types = BTreeMap::new();
    for line in ndjson.lines() {
        let object: Value = serde_json::from_str(line).expect("a line of JSON");
        let kind = object["type"].as_str().expect("a type");
        *types.entry(kind.to_owned()).or_insert(0) += 1;
        let (_, version, fields) =
            KNOWN.iter().find(|(known, ..)| *known == kind).expect("a type that both know");
        assert_eq!(object["migrationVersion"], json!({ kind: version }));
        let outer: BTreeSet<&String> = object.as_object().expect("an object").keys().collect();
        let known = ["attributes", "id", "migrationVersion", "references", "type"];
        assert!(outer.iter().all(|name| known.contains(&name.as_str())), "{outer:?}");
        let found = object["attributes"].as_object().expect("attributes").keys();
        let unknown: Vec<_> = found.filter(|name| !fields.contains(&name.as_str())).collect();
        assert!(unknown.is_empty(), "{kind}: {unknown:?}");
    }
    let expected = [("dashboard", 1), ("index-pattern", 1), ("search", 1), ("visualization", 3)];
    assert_eq!(types, expected.map(|(kind, n)| (kind.to_owned(), n)).into());
}

#[test]
fn every_reference_resolves_and_every_reference_is_used() {
    let objects = dashboards().saved_objects();
    let ids: BTreeSet<(&str, &str)> = objects
        .iter()
        .map(|object| (object["type"].as_str().expect("type"), object["id"].as_str().expect("id")))
        .collect();
    assert_eq!(ids.len(), objects.len(), "ids are unique");
    for object in &objects {
        let mut named = BTreeSet::new();
        for reference in object["references"].as_array().expect("references") {
            let target =
                (reference["type"].as_str().expect("type"), reference["id"].as_str().expect("id"));
            assert!(ids.contains(&target), "{target:?} of {}", object["id"]);
            named.insert(reference["name"].as_str().expect("name").to_owned());
        }
        let attributes = &object["attributes"];
        let mut used = BTreeSet::new();
        if let meta @ Value::Object(_) = &attributes["kibanaSavedObjectMeta"] {
            let source = nested(&meta["searchSourceJSON"]);
            used.extend(source["indexRefName"].as_str().map(str::to_owned));
            assert!(source["index"].is_null(), "an index is named by a reference");
        }
        if attributes["panelsJSON"].is_string() {
            for panel in nested(&attributes["panelsJSON"]).as_array().expect("panels") {
                used.insert(panel["panelRefName"].as_str().expect("a reference").to_owned());
                assert_eq!(panel["gridData"]["i"], panel["panelIndex"]);
                let place = &panel["gridData"];
                let right = place["x"].as_u64().expect("x") + place["w"].as_u64().expect("w");
                assert!(right <= 48, "{place}");
            }
            nested(&attributes["optionsJSON"]);
        }
        assert_eq!(named, used, "{}", object["id"]);
    }
}

#[test]
fn charts_aggregate_fields_that_rows_have() {
    let schema = &rows(1)[0].schema;
    let mut kinds = Vec::new();
    for object in dashboards().saved_objects() {
        if object["type"] != "visualization" {
            continue;
        }
        let state = nested(&object["attributes"]["visState"]);
        nested(&object["attributes"]["uiStateJSON"]);
        assert_eq!(state["title"], object["attributes"]["title"]);
        let aggs = state["aggs"].as_array().expect("aggregations");
        for agg in aggs {
            if let Some(field) = agg["params"]["field"].as_str() {
                assert!(schema.column_idx(field).is_some(), "{field}");
            }
        }
        let of_agg = |agg: &Value| format!("{}:{}", agg["schema"], agg["type"]).replace('"', "");
        kinds.push((state["type"].clone(), aggs.iter().map(of_agg).collect::<Vec<_>>().join(" ")));
    }
    let expected = [
        ("histogram", "metric:count segment:date_histogram group:range"),
        ("line", "metric:max segment:date_histogram"),
        ("horizontal_bar", "metric:max segment:terms"),
    ];
    assert_eq!(kinds, expected.map(|(kind, aggs)| (json!(kind), aggs.to_owned())));
}

#[test]
fn the_search_shows_columns_of_the_rows_by_score() {
    let objects = dashboards().saved_objects();
    let search = objects.iter().find(|object| object["type"] == "search").expect("a search");
    assert_eq!(search["attributes"]["sort"], json!([["ANOMALY_SCORE", "desc"]]));
    assert_eq!(search["attributes"]["columns"], json!(["iotName", "iotValue", "ANOMALY_SCORE"]));
}

#[test]
fn other_indices_have_other_objects_and_columns_that_rows_lack_are_refused() {
    let schema = &rows(1)[0].schema;
    let other = settings(|settings| settings.index = "other".to_owned());
    let other = Dashboards::new(&other, schema, Some("iotName")).expect("good");
    assert_eq!(other.pattern(), "other-2*");
    let ids = |objects: &Dashboards| {
        let ids = objects.saved_objects();
        ids.iter().map(|object| object["id"].to_string()).collect::<BTreeSet<_>>()
    };
    assert!(ids(&other).is_disjoint(&ids(&dashboards())));
    let error = Dashboards::new(&settings(|_| ()), schema, Some("iotNam")).expect_err("refused");
    assert!(error.to_string().contains("no column iotNam"), "{error}");
}

#[test]
fn grafana_and_the_templates_are_whole() {
    let dashboards = dashboards();
    let names: Vec<&str> = dashboards.files().iter().map(|(name, _)| *name).collect();
    let expected = [
        "saved-objects.ndjson",
        "grafana.json",
        "index-template.json",
        "ism-policy.json",
        "ilm-policy.json",
        "index-template-ilm.json",
    ];
    assert_eq!(names, expected);
    let grafana = dashboards.grafana();
    let panels = grafana["panels"].as_array().expect("panels");
    let ids: BTreeSet<String> = panels.iter().map(|panel| panel["id"].to_string()).collect();
    assert_eq!(ids.len(), 4);
    for panel in panels {
        let target = &panel["targets"][0];
        assert_eq!(target["datasource"]["uid"], "${DS_EDDY}");
        assert_eq!(target["timeField"], "created");
        let parts = ["metrics", "bucketAggs"].map(|part| target[part].as_array().expect("a list"));
        let n_parts = parts.iter().map(|part| part.len()).sum::<usize>();
        let ids: BTreeSet<String> =
            parts.into_iter().flatten().map(|part| part["id"].to_string()).collect();
        assert_eq!(ids.len(), n_parts, "{target}");
    }
    assert_eq!(grafana["__inputs"][0]["pluginId"], "elasticsearch");
}

/// What the double was sent.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(String, HeaderMap, String)>>>);

async fn import_to(answer: (u16, Value), auth: Auth) -> (Seen, Result<u64, String>) {
    let seen = Seen::default();
    let (status, body) = answer;
    let import = move |State(seen): State<Seen>, uri: Uri, headers: HeaderMap, sent: Bytes| async move {
        let text = String::from_utf8(sent.to_vec()).expect("text");
        seen.0.lock().expect("whole").push((uri.to_string(), headers, text));
        (StatusCode::from_u16(status).expect("a status"), axum::Json(body))
    };
    let router = Router::new()
        .route("/base/api/saved_objects/_import", post(import))
        .with_state(seen.clone());
    let url = format!("http://{}/base", serve(router).await);
    let to = OpenSearchSettings { auth, ..OpenSearchSettings::new(&url) };
    let imported = dashboards().import(&to).await;
    let said = |error: eddy_stream::StreamError| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", source.unwrap_or_default())
    };
    (seen, imported.map(|imported| imported.n_objects).map_err(said))
}

#[tokio::test]
async fn an_import_is_a_file_with_the_headers_that_both_products_want() {
    let answer = (200, json!({"success": true, "successCount": 6}));
    let (seen, imported) = import_to(answer, Auth::None).await;
    assert_eq!(imported, Ok(6));
    let seen = seen.0.lock().expect("whole");
    let (uri, headers, body) = &seen[0];
    assert!(uri.ends_with("/_import?overwrite=true"), "{uri}");
    assert!(headers["osd-xsrf"] == "true" && headers["kbn-xsrf"] == "true");
    let kind = headers["content-type"].to_str().expect("text");
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").expect("multipart");
    let parts: Vec<&str> = body.split(&format!("--{boundary}")).collect();
    assert_eq!((parts[0], parts[2]), ("", "--\r\n"));
    let (head, file) = parts[1].split_once("\r\n\r\n").expect("head and file");
    assert!(head.contains("name=\"file\"") && head.contains(".ndjson\""), "{head}");
    assert_eq!(file.trim_end_matches("\r\n"), dashboards().to_ndjson());
}

#[tokio::test]
async fn failed_imports_say_what_to_change() {
    let refused = json!({"success": false, "successCount": 5, "errors": [
        {"id": "eddy-anomalies-rows", "type": "index-pattern", "error": {"type": "conflict"}}]});
    for (status, body, expected) in [
        (401, json!({"message": "no"}), "check --username"),
        (302, json!({}), "for a login"),
        (404, json!({"error": "no handler"}), "not that of the search cluster"),
        (503, json!({}), "try again"),
        (200, refused, "index-pattern eddy-anomalies-rows: conflict"),
    ] {
        let (_, imported) = import_to((status, body), Auth::None).await;
        let error = imported.expect_err("refused");
        assert!(error.contains(expected), "{status}: {error}");
    }
    let nowhere = OpenSearchSettings::new("http://127.0.0.1:1");
    let error = dashboards().import(&nowhere).await.expect_err("nobody there").to_string();
    assert!(error.contains("cannot be reached: check --url"), "{error}");
}
