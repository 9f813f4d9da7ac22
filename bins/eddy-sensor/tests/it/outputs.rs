//! Scenes, templates, labels, files and Firehose.

use std::sync::mpsc;

use eddy_harness::{Fault, FirehoseDouble, serve};
use eddy_sensors::{Player, SCENES, Scene, SceneRecord};
use serde_json::Value;

use crate::{command, counts_of, run, stderr};

fn lines(text: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(text).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Serves a delivery stream on a thread of its own, so that tests may wait for the binary.
fn serve_firehose(double: &FirehoseDouble) -> String {
    let (ready, address) = mpsc::channel();
    let router = double.router();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async move {
            ready.send(serve(router).await).expect("the test waits");
            std::future::pending::<()>().await;
        });
    });
    format!("http://{}", address.recv().expect("the server starts"))
}

#[test]
fn a_scene_goes_into_a_file_with_its_labels_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (file, labels) = (path("records"), path("labels"));
    let output = run(&[
        "--scene", "shop", "--rate", "0", "--count", "5000", "--file", &file, "--labels", &labels,
    ]);
    let text = stderr(&output);
    assert!(output.status.success(), "{text}");

    let mut player = Player::new(&Scene::named("shop").expect("it ships")).expect("valid");
    let mut record = SceneRecord::default();
    let (mut expected, mut expected_labels) = (Vec::new(), Vec::new());
    for n_record in 0..5000 {
        player.next(&mut record);
        expected.extend_from_slice(&record.data);
        expected.push(b'\n');
        if record.is_labelled() {
            record.write_label(n_record, &mut expected_labels);
            expected_labels.push(b'\n');
        }
    }
    assert_eq!(std::fs::read(&file).expect("written"), expected);
    let found = std::fs::read(&labels).expect("written");
    assert_eq!(found, expected_labels);
    let n_labels = lines(&found).len();
    assert!(n_labels > 50);
    let counts =
        format!("generated 5000, acknowledged 5000, failed 0, retried 0, labelled {n_labels}");
    assert_eq!(text.lines().last(), Some(counts.as_str()));
}

#[test]
fn csv_has_a_header_and_other_formats_can_be_asked_for() {
    let output = run(&["--stdout", "--scene", "meters", "--rate", "0", "--count", "2"]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(
        text.starts_with("meter,time,kwh,volts,watts\nmeter-1,1767571200000,1000.000,"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 3);
    let output =
        run(&["--stdout", "--scene", "meters", "--rate", "0", "--count", "2", "--format", "json"]);
    assert_eq!(lines(&output.stdout)[1]["meter"], "meter-2");
}

#[test]
fn a_saved_template_of_the_kinesis_data_generator_runs_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("template.txt");
    let template =
        "{\n  \"id\": {{random.number(50)}},\n  \"at\": \"{{date.utc(\"YYYY-MM-DD\")}}\"\n}";
    std::fs::write(&path, template).expect("written");
    let path = path.display().to_string();
    let arguments = ["--stdout", "--template", &path, "--rate", "0", "--count", "100"];
    let output = run(&arguments);
    let records = lines(&output.stdout);
    assert_eq!(records.len(), 100);
    assert!(records.iter().all(|record| record["at"] == "2026-01-05"));
    assert_eq!(output.stdout, run(&arguments).stdout);

    std::fs::write(&path, "{\n{{internet.ipv7}}}").expect("written");
    let output = run(&arguments);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("line 2, column 3: there is no function internet.ipv7"), "{text}");
}

#[test]
fn a_scene_file_names_its_output_and_mistakes_are_said_with_their_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (scene, out) = (path("scene.toml"), path("out"));
    let text = String::from_utf8(run(&["--show-scene", "ward"]).stdout).expect("text");
    let with_output = format!("{text}\n[output]\ntype = \"file\"\npath = {out:?}\n");
    std::fs::write(&scene, &with_output).expect("written");
    let output = run(&["--scene", &scene, "--rate", "0", "--count", "10", "--seed", "3"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(lines(&std::fs::read(&out).expect("written")).len(), 10);

    std::fs::write(&scene, text.replace("step = 1.5", "stepp = 1.5")).expect("written");
    let output = run(&["--stdout", "--scene", &scene]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("stepp") && text.contains(&scene), "{text}");
}

#[test]
fn the_scenes_that_ship_are_listed() {
    let text = String::from_utf8(run(&["--list-scenes"]).stdout).expect("text");
    assert_eq!(text.lines().count(), 6);
    for ((name, _), line) in SCENES.iter().zip(text.lines()) {
        assert!(line.starts_with(name) && line.ends_with('.'), "{line}");
    }
}

#[test]
fn firehose_gets_lines_and_exactly_those_that_it_refused_again() {
    let double = FirehoseDouble::new("readings");
    let kind = "ServiceUnavailableException";
    double.faults.then_well().then(Fault::Entries { at: vec![0, 7, 499], status: 500, kind });
    let endpoint = serve_firehose(&double);
    let output = run(&[
        "--firehose",
        "readings",
        "--endpoint-url",
        &endpoint,
        "--rate",
        "0",
        "--count",
        "1200",
    ]);
    let text = stderr(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("generated 1200, acknowledged 1200, failed 0, retried 3"), "{text}");
    let mut player = Player::new(&Scene::named("walkthrough").expect("it ships")).expect("valid");
    let mut record = SceneRecord::default();
    let mut expected: Vec<Vec<u8>> = Vec::new();
    for _ in 0..1200 {
        player.next(&mut record);
        expected.push([&record.data[..], b"\n"].concat());
    }
    let mut found: Vec<Vec<u8>> = double.records().iter().map(|record| record.to_vec()).collect();
    assert_eq!(found.len(), 1200);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn what_firehose_does_not_take_is_counted_and_has_no_labels() {
    let double = FirehoseDouble::new("readings");
    let folder = tempfile::tempdir().expect("a folder");
    let labels = folder.path().join("labels");
    // The first request is taken, the second is refused for good.
    let refused = Fault::Refused { status: 400, kind: "InvalidArgumentException" };
    double.faults.then_well().then(refused);
    let endpoint = serve_firehose(&double);
    let output = command(&[
        "--firehose",
        "readings",
        "--endpoint-url",
        &endpoint,
        "--rate",
        "0",
        "--count",
        "2000",
        "--anomaly-rate",
        "1",
    ])
    .args(["--labels", &labels.display().to_string()])
    .output()
    .expect("the binary starts");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let [generated, acknowledged, failed, _, labelled] = counts_of(&text);
    assert_eq!(generated, acknowledged + failed, "{text}");
    assert_eq!((acknowledged, failed, labelled), (500, 500, 500), "{text}");
    let records: Vec<u64> = lines(&std::fs::read(labels).expect("written"))
        .iter()
        .map(|label| label["record"].as_u64().expect("a number"))
        .collect();
    assert_eq!(records, (0..500).collect::<Vec<_>>());
    assert_eq!(double.records().len(), 500);
}

#[test]
fn nothing_is_sent_to_firehose_behind_records_that_are_lost() {
    let double = FirehoseDouble::new("readings");
    let refused = Fault::Refused { status: 400, kind: "InvalidArgumentException" };
    double.faults.then_well().then(refused);
    let endpoint = serve_firehose(&double);
    let to = ["--firehose", "readings", "--endpoint-url", &endpoint];
    // Without labels only a full request sends anything.
    let output =
        run(&[&to[..], &["--rate", "0", "--count", "2000", "--anomaly-rate", "0"]].concat());
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(counts_of(&text), [1000, 500, 500, 0, 0], "{text}");
    assert_eq!(double.records().len(), 500);
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_that_takes_nothing_leaves_every_record_failed_and_no_label() {
    let folder = tempfile::tempdir().expect("a folder");
    let labels = folder.path().join("labels");
    let path = labels.display().to_string();
    let more = ["--rate", "0", "--anomaly-rate", "1", "--labels", &path];
    let output = run(&[&["--file", "/dev/full"][..], &more].concat());
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let [generated, acknowledged, failed, _, labelled] = counts_of(&text);
    assert_eq!((acknowledged, failed, labelled), (0, generated, 0), "{text}");
    assert_eq!(std::fs::read(labels).expect("written"), b"");
}

#[test]
fn labels_of_records_that_were_read_are_kept_when_the_reader_leaves() {
    let folder = tempfile::tempdir().expect("a folder");
    let labels = folder.path().join("labels");
    let path = labels.display().to_string();
    let more = ["--rate", "0", "--anomaly-rate", "0.01", "--labels", &path];
    let mut child = command(&[&["--stdout", "--quiet"][..], &more].concat())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    let mut expected = Vec::new();
    let mut player = Player::new(&Scene::named("walkthrough").expect("it ships")).expect("valid");
    let mut record = SceneRecord::default();
    for n_record in 0..500 {
        std::io::BufRead::read_line(&mut stdout, &mut line).expect("a line");
        player.next(&mut record);
        if record.is_labelled() {
            record.write_label(n_record, &mut expected);
            expected.push(b'\n');
        }
    }
    drop(stdout);
    let output = child.wait_with_output().expect("an end");
    let text = stderr(&output);
    assert!(output.status.success(), "{text}");
    let [generated, acknowledged, failed, _, labelled] = counts_of(&text);
    assert_eq!(generated, acknowledged + failed, "{text}");
    let mut found = labelled_records(&std::fs::read(labels).expect("written"));
    assert_eq!(found.len() as u64, labelled);
    let expected = labelled_records(&expected);
    assert!(!expected.is_empty());
    found.truncate(expected.len());
    assert_eq!(found, expected);
}

/// The numbers of the records that have labels.
fn labelled_records(labels: &[u8]) -> Vec<u64> {
    lines(labels).iter().map(|label| label["record"].as_u64().expect("a number")).collect()
}

#[test]
fn a_delivery_stream_that_does_not_exist_is_said_at_once() {
    let endpoint = serve_firehose(&FirehoseDouble::new("readings"));
    let output = run(&["--firehose", "raedings", "--endpoint-url", &endpoint, "--count", "1"]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("raedings"), "{text}");
}
