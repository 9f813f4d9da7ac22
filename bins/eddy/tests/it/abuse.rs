//! What users do to `eddy run` that is not in its manual: readers that go, disks that are full,
//! records that are none, applications of any size.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{complaint, eddy, stdout};

const PASS: &str = r#"CREATE STREAM "OUT" ("iotName" VARCHAR(40), "iotValue" DOUBLE);
CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM "iotName", "iotValue" FROM "SOURCE_SQL_STREAM_001""#;
const SCHEMA: &str = r#"{"RecordColumns":[{"Name":"iotName","SqlType":"VARCHAR(40)","Mapping":"$.iotName"},
    {"Name":"iotValue","SqlType":"DOUBLE","Mapping":"$.iotValue"}],"RecordFormat":{"RecordFormatType":"JSON"}}"#;
const READING: &str = "{\"at\":1795435200000,\"iotName\":\"a\",\"iotValue\":1}\n";

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

/// The arguments of a filter.
fn filter<'a>(app: &'a str, schema: &'a str) -> Vec<&'a str> {
    let options = ["--source", "-", "--sink", "-", "--rowtime", "at", "--schema", schema];
    [&["run", app], &options[..]].concat()
}

/// Takes the first line of what a run prints, and closes it; returns what the run says, and whether
/// it ends well.
fn head(args: &[&str]) -> (String, String, bool) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut stdin = child.stdin.take().expect("piped");
    // Until the run ends.
    let feeding = std::thread::spawn(move || while stdin.write_all(READING.as_bytes()).is_ok() {});
    let mut first = String::new();
    let mut rows = BufReader::new(child.stdout.take().expect("piped"));
    rows.read_line(&mut first).expect("readable");
    drop(rows);
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("readable");
    let ended = child.wait().expect("ends").success();
    feeding.join().expect("no panic");
    (first, said, ended)
}

#[test]
fn a_reader_that_has_seen_enough_ends_a_filter_and_a_pipeline_without_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = file(folder.path(), "app.sql", PASS);
    let schema = file(folder.path(), "schema.json", SCHEMA);
    let at = folder.path().display();
    let settings = file(
        folder.path(),
        "settings.toml",
        &format!(
            "dead_letters = \"{at}/dead.ndjson\"\nstate = {{ path = \"{at}/state\" }}\n\
             [source]\ntype = \"stdin\"\n[[sinks]]\ntype = \"stdout\"\n"
        ),
    );
    for args in [filter(&app, &schema), vec!["run", &settings]] {
        let (first, said, ended_well) = head(&args);
        assert!(first.contains("\"iotName\":\"a\""), "{first}");
        assert!(ended_well && !said.contains("eddy:") && !said.contains("output"), "{said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = file(folder.path(), "app.sql", PASS);
    let schema = file(folder.path(), "schema.json", SCHEMA);
    let args = filter(&app, &schema);
    let with_errors = [&args[..], &["--errors", "/dev/full"]].concat();
    let said = complaint(&with_errors, "no record\n");
    assert!(said.contains("cannot write /dev/full") && said.contains("space"), "{said}");
    let mut to_file = args.clone();
    to_file[5] = "/dev/full";
    let said = complaint(&to_file, READING);
    assert!(said.contains("cannot write /dev/full"), "{said}");
}

#[test]
fn what_is_no_record_goes_to_the_error_stream_and_takes_no_other_along() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = file(folder.path(), "app.sql", PASS);
    let schema = file(folder.path(), "schema.json", SCHEMA);
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let deep = format!("{{\"iotName\":{},\"iotValue\":1}}", nested(100_000));
    let huge = format!("{{\"iotName\":\"{}\"}}", "x".repeat(3 << 20));
    let keys = (0..10_000).fold(String::new(), |mut text, n| {
        write!(text, "\"k{n}\":{n},").expect("a String");
        text
    });
    let wide = format!("{{{keys}\"at\":1795435200000,\"iotName\":\"wide\",\"iotValue\":2}}");
    let bad: [&[u8]; 11] = [
        b"{\"iotName\":\"a\"",
        b"}{",
        b"null",
        b"[1,2",
        b"\xff\xfe\x00\x01binary\x80",
        b"\x00\x00\x00",
        b"{\"at\":1795435200000,\"iotName\":\"a\",\"iotValue\":1e999}",
        b"{\"at\":1795435200000,\"iotName\":\"a\",\"iotValue\":\"NaN\"}",
        b"{\"at\":99999999999999999999,\"iotName\":\"a\",\"iotValue\":1}",
        deep.as_bytes(),
        huge.as_bytes(),
    ];
    let mut input = READING.as_bytes().to_vec();
    for line in bad {
        input.extend_from_slice(line);
        input.push(b'\n');
        input.extend_from_slice(READING.as_bytes());
    }
    input.extend_from_slice(wide.as_bytes());
    // NULL everywhere is a record.
    input.extend_from_slice(b"\n{\"at\":1795435200000,\"iotName\":null,\"iotValue\":null}\n");
    let output = eddy(&filter(&app, &schema), input);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let rows = String::from_utf8(output.stdout).expect("UTF-8");
    let shown = |row: &str| rows.lines().filter(|line| line.contains(row)).count();
    assert_eq!(shown("{\"iotName\":\"a\",\"iotValue\":1}"), 1 + bad.len(), "{said}");
    assert_eq!(shown("\"wide\"") + shown("{\"iotName\":null,\"iotValue\":null}"), 2);
    assert_eq!(rows.lines().count(), 3 + bad.len());
    let errors: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("an error row")).collect();
    assert_eq!(errors.len(), bad.len(), "{said}");
}

#[test]
fn of_ten_thousand_columns_the_first_thousand_are_found_which_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = file(
        folder.path(),
        "app.sql",
        r#"CREATE STREAM "OUT" (a DOUBLE, z DOUBLE);
        CREATE PUMP "P" AS INSERT INTO "OUT" SELECT STREAM "k0", "k999" FROM "SOURCE_SQL_STREAM_001""#,
    );
    let record = |by: usize| {
        let keys = (0..10_000).map(|n| format!("\"k{n}\":{}", n * by)).collect::<Vec<_>>();
        format!("{{{}}}\n", keys.join(","))
    };
    let input: String = (1..4).map(record).collect();
    let output = eddy(&["run", &app, "--source", "-", "--sink", "-"], input);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("only the first 1000 of 10000 columns"), "{said}");
    let found = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(found.matches("\"A\":0,\"Z\":").count(), 3, "{found}");
    assert!(found.contains("\"Z\":1998}"), "{found}");
}

#[test]
fn an_application_of_a_mebibyte_runs_or_is_refused_at_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let schema = file(folder.path(), "schema.json", SCHEMA);
    let comments = format!("{}{PASS}", "-- a comment of a long history\n".repeat(34_000));
    let app = file(folder.path(), "comments.sql", &comments);
    assert_eq!(stdout(&filter(&app, &schema), READING).lines().count(), 1);
    let terms = format!("{PASS} WHERE {}", vec!["\"iotValue\" > 0"; 60_000].join(" AND "));
    let app = file(folder.path(), "terms.sql", &terms);
    let output = eddy(&filter(&app, &schema), READING);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() || said.contains("line 2, column"),
        "{:?} {said}",
        output.status
    );
    let brackets = format!("{PASS} WHERE {}1=1{}", "(".repeat(400_000), ")".repeat(400_000));
    let app = file(folder.path(), "brackets.sql", &brackets);
    let said = complaint(&filter(&app, &schema), READING);
    assert!(said.contains("brackets.sql: line 2, column"), "{said}");
}

/// Kinesis that takes connections and says nothing.
#[cfg(unix)]
#[test]
fn a_run_whose_stream_does_not_answer_ends_at_the_first_signal() {
    let folder = tempfile::tempdir().expect("a folder");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("bound");
    let settings = file(
        folder.path(),
        "settings.toml",
        &format!(
            "[source]\ntype = \"kinesis\"\nstream = \"x\"\n[source.connection]\nregion = \"us-east-1\"\n\
             endpoint_url = \"http://{address}\"\n[[sinks]]\ntype = \"stdout\"\n"
        ),
    );
    let mut child = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(["run", &settings])
        .current_dir(folder.path())
        .env("AWS_ACCESS_KEY_ID", "a")
        .env("AWS_SECRET_ACCESS_KEY", "b")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let connection = silent.accept().expect("it asks");
    let told = std::time::Instant::now();
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status().expect("there is a kill");
    assert!(sent.success());
    child.wait().expect("ends");
    // Its own time-outs end it after a minute.
    assert!(told.elapsed() < std::time::Duration::from_secs(20), "{:?}", told.elapsed());
    drop(connection);
}

#[test]
fn a_command_that_fails_before_its_first_line_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = file(folder.path(), "app.sql", PASS);
    let said = complaint(
        &["run", &app, "--source", "-", "--sink", "-", "--preprocess", "exit 3"],
        READING,
    );
    assert!(said.contains("--preprocess ended with exit status: 3"), "{said}");
}

#[test]
fn a_file_that_is_read_is_not_written_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = file(folder.path(), "app.sql", PASS);
    let schema = file(folder.path(), "schema.json", SCHEMA);
    let readings = file(folder.path(), "readings", READING);
    let new = folder.path().join("new").display().to_string();
    let options = ["run", &app, "--schema", &schema, "--rowtime", "at"];
    for more in [
        &["--source", &readings, "--sink", &readings][..],
        &["--source", &readings, "--sink", "-", "--errors", &readings],
        &["--source", &readings, "--sink", &new, "--errors", &new],
    ] {
        let said = complaint(&[&options[..], more].concat(), "");
        assert!(said.contains("give each a file of its own"), "{said}");
    }
    let said = complaint(&["score", "--format", "ndjson", "--save", &readings, &readings], "");
    assert!(said.contains("--save and the input are both"), "{said}");
    assert_eq!(std::fs::read_to_string(&readings).expect("it is still there"), READING);
}
