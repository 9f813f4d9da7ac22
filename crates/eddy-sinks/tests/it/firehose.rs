//! Amazon Data Firehose.

use eddy_aws::ConnectionSettings;
use eddy_harness::{Fault, FirehoseDouble, serve};
use eddy_record::{RowText, Value};
use eddy_sinks::{FirehoseSettings, FirehoseSink};
use eddy_stream::{ErrorKind, Sink as _};

use crate::json;
use crate::support::{rows, rows_named};

const NAME: &str = "scored";

async fn sink_to(double: &FirehoseDouble, stream: &str, give_up_after_ms: u64) -> FirehoseSink {
    let address = serve(double.router()).await;
    let settings = FirehoseSettings {
        connection: ConnectionSettings::local(&format!("http://{address}")),
        give_up_after_ms,
        ..FirehoseSettings::new(stream)
    };
    FirehoseSink::open(&settings).await
}

#[tokio::test]
async fn rows_arrive_once_and_in_order_as_lines_within_the_service_s_limits() {
    let double = FirehoseDouble::new(NAME);
    let sink = sink_to(&double, NAME, 60_000).await;
    let rows = rows(1200);
    assert_eq!(sink.write(&rows).await.expect("delivered"), []);
    let lines: Vec<String> = rows.iter().map(|row| format!("{}\n", json(row))).collect();
    assert_eq!(double.records(), lines);
    assert_eq!(double.request_sizes(), [500, 500, 200]);
}

#[tokio::test]
async fn rows_as_csv_are_lines_with_quotes_where_a_field_needs_them() {
    let double = FirehoseDouble::new(NAME);
    let address = serve(double.router()).await;
    let settings = FirehoseSettings {
        connection: ConnectionSettings::local(&format!("http://{address}")),
        format: RowText::Csv,
        ..FirehoseSettings::new(NAME)
    };
    let mut rows = rows(2);
    rows[0].values[0] = Value::Text("a \"b\", c\nd".into());
    rows[0].values[1] = Value::Null;
    let sink = FirehoseSink::open(&settings).await;
    assert_eq!(sink.write(&rows).await.expect("delivered"), []);
    let mut expected = Vec::new();
    rows[1].write_csv_row(&mut expected);
    expected.push(b'\n');
    let found = double.records();
    let first = String::from_utf8(found[0].to_vec()).expect("UTF-8");
    assert!(first.starts_with("\"a \"\"b\"\", c\nd\",,"), "{first:?}");
    assert!(first.ends_with('\n') && !first.contains('{'), "{first:?}");
    assert_eq!(found[1], expected);
}

#[tokio::test]
async fn large_rows_are_cut_into_requests_by_their_bytes() {
    let double = FirehoseDouble::new(NAME);
    let sink = sink_to(&double, NAME, 60_000).await;
    assert_eq!(sink.write(&rows_named(9, 1_000_000)).await.expect("delivered"), []);
    assert_eq!(double.request_sizes(), [4, 4, 1]);
}

#[tokio::test]
async fn exactly_the_entries_that_failed_are_put_again_before_later_rows() {
    let double = FirehoseDouble::new(NAME);
    let kind = "ServiceUnavailableException";
    let entries = |at: Vec<usize>| Fault::Entries { at, status: 500, kind };
    double.faults.then(entries(vec![0, 7, 499])).then(entries(vec![1]));
    let sink = sink_to(&double, NAME, 60_000).await;
    let rows = rows(600);
    assert_eq!(sink.write(&rows).await.expect("delivered"), []);
    assert_eq!(double.request_sizes(), [500, 3, 1, 100]);
    let mut records = double.records();
    assert_eq!(records[498], format!("{}\n", json(&rows[499])), "put again before row 500");
    records.sort();
    let mut lines: Vec<String> = rows.iter().map(|row| format!("{}\n", json(row))).collect();
    lines.sort();
    assert_eq!(records, lines, "each once");
}

#[tokio::test]
async fn a_service_that_is_away_or_slow_is_waited_for() {
    let double = FirehoseDouble::new(NAME);
    double.faults.then(Fault::Status(503)).then(Fault::Status(500));
    let sink = sink_to(&double, NAME, 60_000).await;
    assert_eq!(sink.write(&rows(3)).await.expect("delivered"), []);
    assert_eq!((double.records().len(), double.request_sizes().len()), (3, 3));
}

#[tokio::test]
async fn a_lost_answer_delivers_again_as_firehose_has_no_ids() {
    let double = FirehoseDouble::new(NAME);
    double.faults.then(Fault::AnswerLost);
    let sink = sink_to(&double, NAME, 60_000).await;
    assert_eq!(sink.write(&rows(2)).await.expect("delivered"), []);
    let lines: Vec<String> = rows(2).iter().map(|row| format!("{}\n", json(row))).collect();
    assert_eq!(double.records(), [lines.clone(), lines].concat());
}

#[tokio::test]
async fn a_row_that_no_request_can_hold_is_refused_alone() {
    let double = FirehoseDouble::new(NAME);
    let sink = sink_to(&double, NAME, 60_000).await;
    let mut rows = rows(3);
    rows[1] = rows_named(1, 1_024_000).remove(0);
    let refused = sink.write(&rows).await.expect("the others are delivered");
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].row_idx, 1);
    assert!(refused[0].reason.contains("at most 1024000"), "{}", refused[0].reason);
    assert_eq!(double.records().len(), 2);
}

#[tokio::test]
async fn what_no_retry_can_mend_is_fatal_and_says_what_to_do() {
    let double = FirehoseDouble::new(NAME);
    double.faults.then(Fault::Status(400));
    let sink = sink_to(&double, NAME, 60_000).await;
    let denied = sink.write(&rows(1)).await.expect_err("denied");
    assert_eq!(denied.kind(), ErrorKind::Fatal);
    assert!(denied.to_string().contains("firehose:PutRecordBatch"), "{denied}");
    let nowhere = sink_to(&double, "nowhere", 60_000).await;
    let missing = nowhere.check().await.expect_err("known at the start");
    assert!(missing.to_string().contains("the delivery stream nowhere"), "{missing}");
    sink.check().await.expect("this one is there");
    let missing = nowhere.write(&rows(1)).await.expect_err("missing");
    assert_eq!(missing.kind(), ErrorKind::Fatal);
    assert!(missing.to_string().contains("the delivery stream nowhere"), "{missing}");
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("http://{}", listener.local_addr().expect("bound"))
}

#[tokio::test]
async fn an_address_where_nobody_answers_is_an_error_at_the_start_that_says_what_to_change() {
    let settings = FirehoseSettings {
        connection: ConnectionSettings::local(&nobody().await),
        answer_within_ms: 300,
        ..FirehoseSettings::new(NAME)
    };
    let error = FirehoseSink::open(&settings).await.check().await.expect_err("unreachable");
    assert_eq!(error.kind(), ErrorKind::Fatal);
    let text = error.to_string();
    assert!(text.contains("endpoint_url") && text.contains("answer_within_ms"), "{text}");
    let cause = std::error::Error::source(&error).expect("a cause").to_string();
    assert!(cause.contains("onnection refused"), "{cause}");
}

#[tokio::test]
async fn a_firehose_that_comes_up_after_the_start_is_waited_for() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let settings = FirehoseSettings {
        connection: ConnectionSettings::local(&format!("http://{address}")),
        ..FirehoseSettings::new(NAME)
    };
    let sink = FirehoseSink::open(&settings).await;
    let mut check = std::pin::pin!(sink.check());
    // The first attempts find nobody.
    assert!(tokio::time::timeout(std::time::Duration::from_millis(100), &mut check).await.is_err());
    let listener = tokio::net::TcpListener::bind(address).await.expect("still free");
    let router = FirehoseDouble::new(NAME).router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    check.await.expect("it is there now");
}

#[tokio::test]
async fn patience_has_an_end_and_the_partition_starts_again() {
    let double = FirehoseDouble::new(NAME);
    for _ in 0..1000 {
        double.faults.then(Fault::Entries { at: vec![0], status: 500, kind: "InternalFailure" });
    }
    let sink = sink_to(&double, NAME, 300).await;
    let error = sink.write(&rows(1)).await.expect_err("given up");
    assert_eq!(error.kind(), ErrorKind::Retry);
    let cause = std::error::Error::source(&error).expect("a cause").to_string();
    assert!(cause.contains("InternalFailure: Slow down."), "{cause}");
}
