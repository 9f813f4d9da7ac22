//! The sinks against doubles of the services that fail on command, and against the embedded index.

mod archive;
mod dashboards;
mod firehose;
mod opensearch;
mod support;

use eddy_record::ScoredRecord;

/// What a row is as JSON.
fn json(row: &ScoredRecord) -> String {
    let mut out = Vec::new();
    row.write_json(&mut out);
    String::from_utf8(out).expect("UTF-8")
}
