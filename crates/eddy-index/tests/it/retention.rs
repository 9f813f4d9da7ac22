//! Old days go, whole.

use eddy_index::{Index, IndexError, IndexSettings, IndexSink};
use eddy_stream::{Clock as _, Sink as _, SystemClock};
use serde_json::json;

use crate::sink::rows;
use crate::support::{Endpoint, reading};

#[tokio::test]
async fn days_beyond_those_kept_go_at_the_start_and_when_a_day_begins() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = IndexSettings::new(folder.path());
    let now_ms = SystemClock.now_ms();
    {
        let endpoint = Endpoint::open(folder, settings.clone());
        let old = reading("2020-01-01T00:00:00Z", "a", 1.0, 1.0);
        endpoint.fill(&[old, json!({"created": now_ms})]).await;
        endpoint.call("PUT", "/other-2020.01.01/_doc/1", "{}").await;
        assert_eq!(endpoint.call("GET", "/_count", "").await.1["count"], 3);
        let keeping = IndexSettings { keep_days: Some(2), ..settings };
        let endpoint = endpoint.reopened_with(keeping);
        assert_eq!(endpoint.call("GET", "/anomalies/_count", "").await.1["count"], 1);
        assert_eq!(endpoint.call("GET", "/other-2020.01.01/_count", "").await.1["count"], 1);
        assert!(!endpoint.folder.path().join("anomalies-2020.01.01").exists());
        // A replay of old days is acknowledged; they are gone as soon as they are made.
        let sink = IndexSink::new(std::sync::Arc::clone(&endpoint.index));
        assert_eq!(sink.write(&rows(10, 1_577_836_800_000)).await.expect("written"), []);
        assert_eq!(endpoint.call("GET", "/anomalies/_count", "").await.1["count"], 1);
        assert_eq!(sink.write(&rows(10, now_ms)).await.expect("written"), []);
        assert_eq!(endpoint.call("GET", "/anomalies/_count", "").await.1["count"], 11);
    }
}

#[tokio::test]
async fn the_oldest_days_go_when_all_take_too_much() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = IndexSettings { keep_bytes: Some(1), ..IndexSettings::new(folder.path()) };
    let endpoint = Endpoint::open(folder, settings);
    for day in 20..25 {
        let at = format!("2026-11-{day}T00:00:00Z");
        endpoint.fill(&[reading(&at, "a", 1.0, 1.0)]).await;
        // The newest stays, however large.
        let (_, indices) = endpoint.call("GET", "/_cat/indices?format=json", "").await;
        assert_eq!(indices.as_array().map(Vec::len), Some(1));
        assert_eq!(indices[0]["index"], format!("anomalies-2026.11.{day}"));
    }
}

#[test]
fn keeping_nothing_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for settings in [
        IndexSettings { keep_days: Some(0), ..IndexSettings::new(folder.path()) },
        IndexSettings { keep_bytes: Some(0), ..IndexSettings::new(folder.path()) },
    ] {
        assert!(matches!(Index::open(settings), Err(IndexError::Settings { .. })));
    }
}
