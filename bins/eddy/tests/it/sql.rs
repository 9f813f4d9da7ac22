//! `eddy run app.sql` and `eddy check app.sql`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{complaint, eddy, get, stdout};

const TEXT: &str = r#"CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" ("iotName" VARCHAR(40), high DOUBLE);
CREATE OR REPLACE PUMP "P" AS INSERT INTO "DESTINATION_SQL_STREAM"
SELECT STREAM "iotName", MAX("iotValue") FROM "SOURCE_SQL_STREAM_001" s GROUP BY "iotName", FLOOR(s.ROWTIME TO MINUTE)"#;

const INPUT: &str = "{\"at\":\"2026-11-23T12:00:00Z\",\"iotName\":\"a\",\"iotValue\":1}\n\
    {\"at\":1795435230000,\"iotName\":\"a\",\"iotValue\":2.5}\n\
    {\"at\":\"2026-11-23T12:01:10Z\",\"iotName\":\"b\",\"iotValue\":3}\n";

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

const FILTER: [&str; 6] = ["--source", "-", "--sink", "-", "--rowtime", "at"];

#[test]
fn an_application_is_a_filter_and_a_field_makes_it_repeatable() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = file(folder.path(), "app.sql", TEXT);
    let found = stdout(&[&["run", app.as_str()], &FILTER[..]].concat(), INPUT);
    assert_eq!(
        found,
        "{\"stream\":\"DESTINATION_SQL_STREAM\",\"rowtime\":\"2026-11-23T12:01:00.000Z\",\"row\":{\"iotName\":\"a\",\"HIGH\":2.5}}\n\
         {\"stream\":\"DESTINATION_SQL_STREAM\",\"rowtime\":\"2026-11-23T12:02:00.000Z\",\"row\":{\"iotName\":\"b\",\"HIGH\":3}}\n"
    );
}

#[test]
fn the_error_stream_goes_to_standard_error_or_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = file(folder.path(), "app.sql", TEXT);
    let schema = r#"{"RecordColumns":[{"Name":"iotName","SqlType":"VARCHAR(40)","Mapping":"$.iotName"},
        {"Name":"iotValue","SqlType":"DOUBLE","Mapping":"$.iotValue"}],"RecordFormat":{"RecordFormatType":"JSON"}}"#;
    let schema = file(folder.path(), "schema.json", schema);
    let input = format!("{INPUT}{{\"at\":\"never\",\"iotName\":\"c\",\"iotValue\":1}}\n");
    let args = [&["run", app.as_str(), "--schema", &schema], &FILTER[..]].concat();
    let output = eddy(&args, &input);
    assert!(output.status.success());
    let errors = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(errors.contains("\"stream\":\"error_stream\""), "{errors}");
    assert!(errors.contains("field at: no time for ROWTIME"), "{errors}");
    let kept = folder.path().join("errors.ndjson");
    let output = eddy(&[&args[..], &["--errors", kept.to_str().expect("UTF-8")]].concat(), &input);
    assert!(output.status.success() && output.stderr.is_empty());
    assert_eq!(std::fs::read_to_string(kept).expect("written"), errors);
}

#[test]
fn a_definition_has_code_schema_and_outputs_and_preprocessing_is_a_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let definition = |processing: &str| {
        serde_json::json!({"ApplicationDetail": {
            "ApplicationName": "app", "ApplicationCode": TEXT,
            "InputDescriptions": [{"NamePrefix": "SOURCE_SQL_STREAM",
                "InputProcessingConfigurationDescription": serde_json::from_str::<serde_json::Value>(processing).expect("JSON"),
                "InputSchema": {"RecordColumns": [
                    {"Name": "iotName", "SqlType": "VARCHAR(40)", "Mapping": "$.iotName"},
                    {"Name": "iotValue", "SqlType": "DOUBLE", "Mapping": "$.iotValue"}],
                    "RecordFormat": {"RecordFormatType": "JSON"}}}],
            "OutputDescriptions": [{"Name": "DESTINATION_SQL_STREAM"}]}})
        .to_string()
    };
    let plain = file(folder.path(), "plain.json", &definition("null"));
    let found = stdout(&[&["run", plain.as_str()], &FILTER[..]].concat(), INPUT);
    assert_eq!(found.lines().count(), 2);
    let lambda = r#"{"InputLambdaProcessorDescription":{"ResourceARN":"arn:aws:lambda:x"}}"#;
    let lambda = file(folder.path(), "lambda.json", &definition(lambda));
    let args = [&["run", lambda.as_str()], &FILTER[..]].concat();
    let refused = complaint(&args, INPUT);
    assert!(refused.contains("arn:aws:lambda:x") && refused.contains("--preprocess"), "{refused}");
    let found = stdout(&[&args[..], &["--preprocess", "sed s/:3}/:30}/"]].concat(), INPUT);
    assert!(found.contains("\"HIGH\":30"), "{found}");
}

#[test]
fn reference_data_is_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = r#"CREATE STREAM "OUT" (n VARCHAR(16));
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM t."place" FROM "SOURCE_SQL_STREAM_001" s
        JOIN "PLACES" t ON s."iotName" = t."name""#;
    let app = file(folder.path(), "app.sql", text);
    let table = file(folder.path(), "places.csv", "name,place\na,attic\nc,cellar\n");
    let reference = format!("PLACES={table}");
    let args = [&["run", app.as_str(), "--reference", &reference], &FILTER[..]].concat();
    let found = stdout(&args, INPUT);
    assert_eq!(found.matches("attic").count(), 2, "{found}");
}

#[test]
fn check_says_what_is_wrong_where_and_prints_the_graph() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = file(folder.path(), "app.sql", TEXT);
    let found = stdout(&["check", &app], "");
    assert!(found.contains("SOURCE_SQL_STREAM_001 -> [P] -> DESTINATION_SQL_STREAM ->"), "{found}");
    let dot = stdout(&["check", &app, "--dot"], "");
    assert!(dot.starts_with("digraph") && dot.contains("label=\"P\""), "{dot}");
    let wrong = file(folder.path(), "wrong.sql", &TEXT.replace("MAX(", "MEDIAN("));
    let refused = complaint(&["check", &wrong], "");
    assert!(refused.contains("line 3, column 26: function MEDIAN: not known"), "{refused}");
}

#[test]
fn a_time_beyond_the_calendar_is_an_error_of_its_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = file(folder.path(), "app.sql", TEXT);
    let args = [&["run", app.as_str()], &FILTER[..]].concat();
    let poison = format!("{{\"at\":{},\"iotName\":\"c\",\"iotValue\":9}}\n", i64::MAX);
    let (first, rest) = INPUT.split_once('\n').expect("lines");
    assert_eq!(stdout(&args, format!("{first}\n{poison}{rest}")), stdout(&args, INPUT));
}

#[test]
fn reference_data_may_be_larger_than_a_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = r#"CREATE STREAM "OUT" (n VARCHAR(16));
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM t."place" FROM "SOURCE_SQL_STREAM_001" s
        JOIN "PLACES" t ON s."iotName" = t."name""#;
    let app = file(folder.path(), "app.sql", text);
    let rows = |idx: usize| format!("{{\"name\":\"n{idx}\",\"place\":\"p{idx}\"}}\n");
    let mut table: String = (0..20_000).map(rows).collect();
    assert!(table.len() > 512 << 10);
    table.push_str("{\"name\":\"a\",\"place\":\"attic\"}\n");
    let table = file(folder.path(), "places.ndjson", &table);
    let reference = format!("PLACES={table}");
    let args = [&["run", app.as_str(), "--reference", &reference], &FILTER[..]].concat();
    assert_eq!(stdout(&args, INPUT).matches("attic").count(), 2);
}

#[test]
fn a_fields_time_is_the_arrival_too_and_keeps_its_mapping() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = r#"CREATE STREAM "OUT" (t TIMESTAMP, k VARCHAR(8), v DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT"
        SELECT STREAM APPROXIMATE_ARRIVAL_TIME, PARTITION_KEY, "v" FROM "SOURCE_SQL_STREAM_001""#;
    let app = file(folder.path(), "app.sql", text);
    let input = "{\"meta\":{\"at\":\"2026-11-23T12:00:00Z\"},\"v\":1.5}\n";
    let args = ["run", app.as_str(), "--source", "-", "--sink", "-", "--rowtime", "meta_at"];
    assert_eq!(
        stdout(&args, input),
        "{\"stream\":\"OUT\",\"rowtime\":\"2026-11-23T12:00:00.000Z\",\"row\":{\"T\":\"2026-11-23T12:00:00.000Z\",\"K\":null,\"V\":1.5}}\n"
    );
}

#[test]
fn an_application_between_pipes_has_a_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = file(folder.path(), "app.sql", TEXT);
    // With a schema nothing waits for the first lines to say what records look like.
    let schema = r#"{"RecordColumns":[{"Name":"iotName","SqlType":"VARCHAR(40)","Mapping":"$.iotName"},
        {"Name":"iotValue","SqlType":"DOUBLE","Mapping":"$.iotValue"}],"RecordFormat":{"RecordFormatType":"JSON"}}"#;
    let schema = file(folder.path(), "schema.json", schema);
    let page = ["run", app.as_str(), "--page", "127.0.0.1:0", "--schema", schema.as_str()];
    let mut child = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args([&page[..], &FILTER[..]].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(INPUT.as_bytes()).expect("written");
    let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
    let mut said = String::new();
    while !said.contains("page: http://") {
        assert!(stderr.read_line(&mut said).expect("readable") > 0, "it ended: {said}");
    }
    let page = said.split("page: http://").nth(1).expect("there").trim().to_owned();
    let until = |path: &str, is_there: &dyn Fn(&Value) -> bool| {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let found = get(&page, path);
            if is_there(&found) {
                return found;
            }
            assert!(Instant::now() < deadline, "{path}: {found}");
            std::thread::yield_now();
        }
    };
    let seen = until("/api/application", &|seen| seen["streams"][0]["rows"] == 3);
    assert_eq!(seen["sql"], TEXT);
    assert_eq!(seen["streams"][0]["latest"][0]["values"][0], "b", "{seen}");
    assert_eq!(seen["streams"][1]["rows"], 1, "{seen}");
    assert_eq!(seen["pumps"][0]["into"], "DESTINATION_SQL_STREAM");
    let status = get(&page, "/api/status");
    assert_eq!((&status["has_index"], &status["totals"]["rows_in"]), (&false.into(), &3.into()));
    drop(stdin);
    assert!(child.wait().expect("ends").success());
}

#[test]
fn a_page_beyond_this_machine_is_refused_without_a_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = file(folder.path(), "app.sql", TEXT);
    let run = [&["run", app.as_str(), "--page", "0.0.0.0:0"], &FILTER[..]].concat();
    assert!(complaint(&run, INPUT).contains("--page-token"));
    let weak = [run.as_slice(), &["--page-token", "short"]].concat();
    assert!(complaint(&weak, INPUT).contains("16 to 1000"));
}
