//! `_bulk` of OpenSearch and Elasticsearch.

use std::collections::BTreeSet;
use std::sync::Arc;

use eddy_harness::{BulkDouble, Fault, serve};
use eddy_index::{Index, IndexSettings};
use eddy_sinks::{Auth, InstallSettings, OpenSearchSettings, OpenSearchSink, Rotation, WriteAs};
use eddy_stream::{ErrorKind, Sink as _};
use proptest::prelude::{any, prop};

use crate::json;
use crate::support::{rows, rows_named};

async fn sink_to(
    double: &BulkDouble,
    change: impl FnOnce(&mut OpenSearchSettings),
) -> OpenSearchSink {
    let address = serve(double.router()).await;
    let mut settings = OpenSearchSettings::new(&format!("http://{address}"));
    change(&mut settings);
    OpenSearchSink::open(&settings).await.expect("good settings")
}

fn ids(rows: &[eddy_record::ScoredRecord]) -> Vec<String> {
    rows.iter().map(|row| row.id.as_str().to_owned()).collect()
}

#[tokio::test]
async fn rows_are_stored_under_their_ids_in_the_index_of_their_day_and_a_replay_changes_nothing() {
    let double = BulkDouble::default();
    let sink = sink_to(&double, |_| {}).await;
    // From noon on, a second each: into the next day.
    let rows = rows(43_300);
    assert_eq!(sink.write(&rows).await.expect("stored"), []);
    let stored = double.documents();
    assert_eq!(stored.len(), 43_300);
    let first = stored[&("anomalies-2026-11-23".to_owned(), rows[0].id.to_string())].clone();
    assert_eq!(first, serde_json::from_str::<serde_json::Value>(&json(&rows[0])).expect("JSON"));
    let next_day = stored.keys().filter(|(index, _)| index == "anomalies-2026-11-24").count();
    assert_eq!(next_day, 100);
    assert!(double.requests().iter().all(|request| request.len() <= 5000));
    assert_eq!(sink.write(&rows).await.expect("stored"), []);
    assert_eq!(double.documents(), stored);
}

#[tokio::test]
async fn exactly_the_documents_that_failed_are_sent_again() {
    let double = BulkDouble::default();
    let busy = |at| Fault::Entries { at, status: 429, kind: "es_rejected_execution_exception" };
    double.faults.then(busy(vec![2, 5])).then(busy(vec![1]));
    let sink = sink_to(&double, |_| {}).await;
    let rows = rows(8);
    assert_eq!(sink.write(&rows).await.expect("stored"), []);
    let id = |n: usize| rows[n].id.to_string();
    assert_eq!(double.requests(), [ids(&rows), vec![id(2), id(5)], vec![id(5)]]);
    assert_eq!(double.documents().len(), 8);
}

#[tokio::test]
async fn a_document_that_does_not_fit_the_index_is_refused_with_the_reason() {
    let double = BulkDouble::default();
    let kind = "mapper_parsing_exception";
    double.faults.then(Fault::Entries { at: vec![1], status: 400, kind });
    let sink = sink_to(&double, |_| {}).await;
    let refused = sink.write(&rows(3)).await.expect("the others are stored");
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].row_idx, double.documents().len()), (1, 2));
    assert_eq!(refused[0].reason, "400: mapper_parsing_exception: on command");
    assert_eq!(double.requests().len(), 1);
}

#[tokio::test]
async fn a_request_too_large_for_the_service_is_cut_until_it_fits() {
    let double = BulkDouble::taking_at_most(2000);
    let sink = sink_to(&double, |_| {}).await;
    let mut rows = rows(100);
    rows[40].values = rows_named(1, 3000).remove(0).values;
    let refused = sink.write(&rows).await.expect("the others are stored");
    assert_eq!(refused.iter().map(|r| r.row_idx).collect::<Vec<_>>(), [40]);
    assert!(refused[0].reason.starts_with("413"), "{}", refused[0].reason);
    assert_eq!(double.documents().len(), 99);
    let order: Vec<String> = double.requests().concat();
    let expected: Vec<String> = ids(&rows).into_iter().filter(|id| *id != ids(&rows)[40]).collect();
    assert_eq!(order, expected, "in the rows' order");
}

#[tokio::test]
async fn whatever_happens_to_a_request_its_documents_are_stored_once() {
    for fault in [Fault::Status(503), Fault::Status(429), Fault::AnswerLost, Fault::Hang] {
        let double = BulkDouble::default();
        double.faults.then(fault.clone()).then_well();
        let sink = sink_to(&double, |settings| settings.request_timeout_ms = 300).await;
        assert_eq!(sink.write(&rows(5)).await.expect("stored"), [], "{fault:?}");
        assert_eq!(double.documents().len(), 5, "{fault:?}");
        assert_eq!(double.faults.n_left(), 0);
    }
}

#[tokio::test]
async fn what_a_data_stream_holds_already_is_delivered() {
    let double = BulkDouble::default();
    let sink = sink_to(&double, |settings| {
        settings.write_as = WriteAs::Create;
        settings.rotation = Rotation::NoRotation;
    })
    .await;
    assert_eq!(sink.write(&rows(3)).await.expect("stored"), []);
    assert_eq!(sink.write(&rows(5)).await.expect("stored"), []);
    let indices: BTreeSet<String> = double.documents().into_keys().map(|key| key.0).collect();
    assert_eq!((double.documents().len(), indices.len()), (5, 1));
}

#[tokio::test]
async fn what_no_retry_can_mend_is_fatal_and_says_what_to_do() {
    for (fault, says) in [
        (Fault::Status(401), "check auth"),
        (Fault::Status(404), "check url"),
        (
            Fault::Entries { at: vec![0], status: 404, kind: "index_not_found_exception" },
            "create it",
        ),
    ] {
        let double = BulkDouble::default();
        double.faults.then(fault.clone());
        let sink = sink_to(&double, |_| {}).await;
        let error = sink.write(&rows(2)).await.expect_err("fatal");
        assert_eq!(error.kind(), ErrorKind::Fatal, "{fault:?}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn patience_has_an_end_and_the_partition_starts_again() {
    let settings = OpenSearchSettings {
        give_up_after_ms: 200,
        // Nothing listens there: the port is reserved.
        ..OpenSearchSettings::new("http://127.0.0.1:1")
    };
    let sink = OpenSearchSink::open(&settings).await.expect("good settings");
    let error = sink.write(&rows(1)).await.expect_err("away");
    assert_eq!(error.kind(), ErrorKind::Retry);
    assert!(error.to_string().contains("http://127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn a_password_of_the_environment_goes_into_the_header() {
    let double = BulkDouble::default();
    let sink = sink_to(&double, |settings| {
        // cargo sets this one for every test.
        let password_env = "CARGO_PKG_NAME".to_owned();
        settings.auth = Auth::Basic { username: "ed".to_owned(), password_env };
    })
    .await;
    sink.write(&rows(1)).await.expect("stored");
    // base64 of "ed:eddy-sinks".
    assert_eq!(double.authorization().as_deref(), Some("Basic ZWQ6ZWRkeS1zaW5rcw=="));
}

#[tokio::test]
async fn a_template_maps_each_column_of_a_row_and_no_other() {
    let double = BulkDouble::default();
    let install = Some(InstallSettings::default());
    let sink = sink_to(&double, |settings| settings.install = install).await;
    let rows = rows(1);
    for _ in 0..2 {
        sink.install(&rows[0].schema).await.expect("installed");
    }
    let installed = double.installed();
    assert_eq!(installed.keys().collect::<Vec<_>>(), ["/_index_template/eddy-anomalies"]);
    let template = &installed["/_index_template/eddy-anomalies"].0;
    assert_eq!(template["index_patterns"], serde_json::json!(["anomalies-2*"]));
    let mappings = &template["template"]["mappings"];
    assert_eq!(mappings["dynamic"], false);
    let kinds = ["iotName", "iotValue", "ANOMALY_SCORE", "created"]
        .map(|column| mappings["properties"][column]["type"].as_str().expect("mapped").to_owned());
    assert_eq!(kinds, ["keyword", "long", "double", "date"]);
}

#[tokio::test]
async fn a_policy_deletes_old_indices_and_is_replaced_only_by_another() {
    let policy = |days: u32| {
        move |settings: &mut OpenSearchSettings| {
            settings.install = Some(InstallSettings { retention_days: Some(days) });
        }
    };
    let schema = &rows(1)[0].schema;
    let double = BulkDouble::default();
    let path = "/_plugins/_ism/policies/eddy-anomalies";
    for (days, n_puts) in [(30, 1), (30, 1), (7, 2)] {
        sink_to(&double, policy(days)).await.install(schema).await.expect("installed");
        let installed = double.installed();
        let (body, n) = &installed[path];
        let age = &body["policy"]["states"][0]["transitions"][0]["conditions"]["min_index_age"];
        assert_eq!((age, *n), (&serde_json::json!(format!("{days}d")), n_puts));
        let patterns = &body["policy"]["ism_template"][0]["index_patterns"];
        assert_eq!(*patterns, serde_json::json!(["anomalies-2*"]));
    }
    let double = BulkDouble::elasticsearch();
    sink_to(&double, policy(30)).await.install(schema).await.expect("installed");
    let installed = double.installed();
    let age = &installed["/_ilm/policy/eddy-anomalies"].0["policy"]["phases"]["delete"]["min_age"];
    assert_eq!(age, "30d");
    let template = &installed["/_index_template/eddy-anomalies"].0["template"];
    assert_eq!(template["settings"]["index.lifecycle.name"], "eddy-anomalies");
}

#[tokio::test]
async fn an_installation_waits_for_a_busy_service_and_says_what_a_refusal_needs() {
    let double = BulkDouble::default();
    let schema = &rows(1)[0].schema;
    let install = Some(InstallSettings { retention_days: Some(1) });
    let sink = sink_to(&double, |settings| settings.install = install).await;
    double.faults.then(Fault::Status(503)).then(Fault::Status(429));
    sink.install(schema).await.expect("installed in the end");
    for (n_well, status, says) in [
        (0, 401, "manage_index_templates"),
        (2, 403, "install = false"),
        (0, 404, "correct url"),
        (1, 400, "retention_days"),
        (2, 400, "7.8"),
    ] {
        for _ in 0..n_well {
            double.faults.then_well();
        }
        double.faults.then(Fault::Status(status));
        let error = sink.install(schema).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Fatal);
        assert!(error.to_string().contains(says), "{says}: {error}");
    }
}

#[tokio::test]
async fn credentials_that_are_not_accepted_are_known_at_the_start() {
    let double = BulkDouble::default();
    let schema = &rows(1)[0].schema;
    let sink = sink_to(&double, |_| {}).await;
    sink.check(schema).await.expect("the index is not there yet");
    double.faults.then(Fault::Status(401));
    let error = sink.check(schema).await.expect_err("not accepted");
    assert_eq!(error.kind(), ErrorKind::Fatal);
    assert!(error.to_string().contains("check auth"), "{error}");
    // Writing may be allowed where looking is not, and a busy service is asked again by the rows.
    for status in [403, 503] {
        double.faults.then(Fault::Status(status));
        sink.check(schema).await.expect("the rows will tell");
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_by_name() {
    let with = |change: fn(&mut OpenSearchSettings)| {
        let mut settings = OpenSearchSettings::new("http://127.0.0.1:9200");
        change(&mut settings);
        settings
    };
    for (settings, field) in [
        (with(|s| s.url = "ftp://x".to_owned()), "url"),
        (with(|s| s.url = "search.example.com".to_owned()), "url"),
        (with(|s| s.url = "http://user:hunter2@127.0.0.1".to_owned()), "use auth"),
        (with(|s| s.index = "Upper".to_owned()), "index"),
        (with(|s| s.index = String::new()), "index"),
        (with(|s| s.max_request_bytes = 0), "max_request_bytes"),
        (with(|s| s.request_timeout_ms = 0), "request_timeout_ms"),
        (
            with(|s| s.install = Some(InstallSettings { retention_days: Some(0) })),
            "install.retention_days",
        ),
        (
            with(|s| {
                s.install = Some(InstallSettings { retention_days: Some(1) });
                s.rotation = Rotation::NoRotation;
            }),
            "choose a rotation",
        ),
        (with(|s| s.ca_certificate = Some("/no/such/file".into())), "/no/such/file"),
        (
            with(|s| s.auth = Auth::Aws { region: "x".to_owned(), service: "s3".to_owned() }),
            "service",
        ),
    ] {
        let error = OpenSearchSink::open(&settings).await.err().expect("refused");
        assert_eq!(error.kind(), ErrorKind::Fatal);
        assert!(error.to_string().contains(field), "{field}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn the_embedded_index_is_such_a_service() {
    let folder = tempfile::tempdir().expect("a folder");
    let index = Index::open(IndexSettings::new(folder.path())).expect("opens");
    let address = serve(eddy_index::router(Arc::clone(&index))).await;
    let settings = OpenSearchSettings::new(&format!("http://{address}/"));
    let sink = OpenSearchSink::open(&settings).await.expect("good settings");
    for _ in 0..2 {
        assert_eq!(sink.write(&rows(500)).await.expect("stored"), []);
        let count = index.count("anomalies-2026-11-23", &serde_json::json!({})).expect("counts");
        assert_eq!(count, 500);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

    /// Any pattern of passing failures, whole or in part, stores every document once.
    #[test]
    fn any_run_of_faults_stores_every_document(
        faults in prop::collection::vec((any::<u8>(), prop::collection::vec(0_usize..20, 0..8)), 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let double = BulkDouble::default();
            for (which, at) in faults {
                double.faults.then(match which % 4 {
                    0 => Fault::Status(503),
                    1 => Fault::AnswerLost,
                    _ => Fault::Entries { at, status: 429, kind: "busy" },
                });
            }
            let sink = sink_to(&double, |settings| settings.max_request_bytes = 1500).await;
            assert_eq!(sink.write(&rows(20)).await.expect("stored"), []);
            assert_eq!(double.documents().len(), 20);
        });
    }
}
