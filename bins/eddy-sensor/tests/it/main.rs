//! The binary as a person or a script starts it.

mod outputs;
mod stream;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Output, Stdio};

use eddy_sensors::{SensorSettings, Sensors};

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eddy-sensor"));
    // Whatever the machine is set up for, nothing leaves it.
    command.args(arguments);
    for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL_FIREHOSE"] {
        command.env_remove(variable);
    }
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the binary starts")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Generated, acknowledged, failed, retried and labelled.
pub(crate) fn counts_of(text: &str) -> [u64; 5] {
    let counts = text.lines().find(|line| line.starts_with("generated ")).expect(text);
    let numbers: Vec<u64> =
        counts.split(", ").filter_map(|part| part.rsplit(' ').next()?.parse().ok()).collect();
    numbers.try_into().expect("five numbers")
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
    let arguments = ["--stdout", "--rate", "0", "--count", "5000", "--seed"];
    let output = |seed: &str| run(&[&arguments[..], &[seed]].concat());
    let first = output("7");
    assert!(first.status.success());
    assert_eq!(first.stdout, output("7").stdout);
    assert_ne!(first.stdout, output("8").stdout);
}

#[test]
fn standard_output_holds_the_librarys_readings_and_nothing_else() {
    let output = run(&["--stdout", "--rate", "0", "--count", "1000", "--sensors", "3"]);
    let settings = SensorSettings { n_sensors: 3, ..SensorSettings::default() };
    let mut expected = Vec::new();
    for reading in Sensors::new(settings).expect("valid settings").take(1000) {
        reading.write_json(&mut expected);
        expected.push(b'\n');
    }
    assert_eq!(output.stdout, expected);
}

#[test]
fn anomalies_are_marked_and_counted_and_the_seed_is_told() {
    let output = run(&["--stdout", "--rate", "20", "--count", "3", "--anomaly-rate", "1"]);
    let text = stderr(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("scene walkthrough") && lines[0].contains("seed 42"), "{text}");
    assert!(lines[1..4].iter().all(|line| line.ends_with("<- spike")), "{text}");
    assert_eq!(lines[4], "generated 3, acknowledged 3, failed 0, retried 0, labelled 3");
}

#[test]
fn quiet_leaves_only_the_counts() {
    let output = run(&["--stdout", "--rate", "20", "--count", "2", "--quiet"]);
    assert_eq!(stderr(&output), "generated 2, acknowledged 2, failed 0, retried 0, labelled 0\n");
}

#[test]
fn a_reader_that_leaves_ends_it_with_the_counts_alone() {
    let mut child = command(&["--stdout", "--rate", "0", "--quiet"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    stdout.read_line(&mut line).expect("a line");
    assert!(line.starts_with(r#"{"iotName":"DemoSensor","iotValue":"#), "{line}");
    drop(stdout);
    let mut text = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut text).expect("text");
    assert!(child.wait().expect("an end").success());
    let counts = counts_of(&text);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert_eq!(counts[0], counts[1] + counts[2], "{text}");
}

#[test]
fn what_makes_no_sense_is_usage_and_exits_with_two() {
    for arguments in [
        &["--stdout", "--sensors", "0"][..],
        &["--stdout", "--anomaly-rate", "1.5"],
        &["--stdout", "--rate", "-1"],
        &["--stdout", "--rate", "NaN"],
        &["--stdout", "--create-stream"],
        &["--stdout", "--file", "x"],
        &["--file", "x", "--labels", "x"],
        &["--stdout", "--scene", "no-such-scene"],
        &["--stdout", "--template", "no-such-file"],
        &["--stdout", "--scene", "pumps", "--anomaly-rate", "0.5"],
        &["--stdout", "--start", "noon"],
        &["--colour"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains("error:"), "{arguments:?}");
    }
}
