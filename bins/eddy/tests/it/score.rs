//! `eddy score`.

use std::fmt::Write as _;

use rcf::ForestSettings;
use serde_json::Value;

use crate::support::{complaint, stdout};

/// A header and readings of two columns, an anomaly at row 500.
fn readings(n_rows: usize) -> String {
    let mut csv = String::from("timestamp,name,celsius,percent\n");
    for row in 0..n_rows {
        let celsius = if row == 500 { 90.0 } else { 20.0 + (row % 7) as f64 / 4.0 };
        writeln!(csv, "2026-11-23T12:00:00Z,a,{celsius},{}", 40 + row % 11).expect("a String");
    }
    csv
}

fn scores(text: &str) -> Vec<f64> {
    text.lines().map(|line| line.parse().expect("a number")).collect()
}

#[test]
fn every_line_gets_the_score_of_a_forest_that_has_learnt_the_lines_before_it() {
    let text = stdout(&["score"], readings(800));
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("timestamp,name,celsius,percent,ANOMALY_SCORE"));
    let mut settings = ForestSettings::new(2);
    settings.n_trees = 100;
    settings.seed = 1;
    let mut forest = settings.build().expect("valid");
    let input = readings(800);
    for (row, (line, given)) in lines.by_ref().zip(input.lines().skip(1)).enumerate() {
        let score = line.strip_prefix(given).and_then(|rest| rest.strip_prefix(','));
        let score: f64 = score.expect("the line, then the score").parse().expect("a number");
        let fields: Vec<&str> = given.split(',').collect();
        let point = [fields[2].parse().expect("a number"), fields[3].parse().expect("a number")];
        let expected = forest.score_and_update(&point).expect("finite");
        assert_eq!(score.to_bits(), expected.to_bits(), "row {row}");
        assert_eq!(score == 0.0, row < 64, "row {row}");
        assert_eq!(score > 2.0, row == 500, "row {row}: {score}");
    }
    assert_eq!(text.lines().count(), 801);
}

#[test]
fn columns_are_the_numeric_ones_or_those_asked_for() {
    let both = stdout(&["score", "--score-only"], readings(600));
    assert_eq!(both.lines().count(), 600, "no header");
    let named = ["score", "--score-only", "--columns", "celsius,percent"];
    assert_eq!(stdout(&named, readings(600)), both);
    let one = stdout(&["score", "--score-only", "--columns", "celsius"], readings(600));
    assert_ne!(one, both);
    // An index is no reading.
    let mut indexed = String::from("index,x\n");
    (0..200).for_each(|row| writeln!(indexed, "{row},{}", row % 5).expect("a String"));
    let x = stdout(&["score", "--score-only", "--columns", "x"], &indexed);
    assert_eq!(stdout(&["score", "--score-only"], &indexed), x);
}

#[test]
fn a_line_without_a_value_scores_0_and_is_not_learnt() {
    let whole = scores(&stdout(&["score", "--score-only"], readings(400)));
    for bad in
        ["2026,a,,41", "2026,a,nan,41", "2026,a,inf,41", "2026,a,1e400,41", "2026,a", "", ",,,"]
    {
        let mut lines: Vec<String> = readings(400).lines().map(str::to_owned).collect();
        lines.insert(301, bad.to_owned());
        let found = scores(&stdout(&["score", "--score-only"], lines.join("\n")));
        assert_eq!(found.len(), 401, "{bad:?}");
        assert_eq!(found[300], 0.0, "{bad:?}");
        let others: Vec<f64> = [&found[..300], &found[301..]].concat();
        assert_eq!(others, whole, "{bad:?}");
    }
}

#[test]
fn whatever_the_line_ends_and_quotes_the_scores_are_the_same() {
    let plain = stdout(&["score", "--score-only"], readings(200));
    let crlf = readings(200).replace('\n', "\r\n");
    let marked = format!("\u{feff}{}", readings(200));
    let quoted = readings(200).replace(",a,", ",\"a, or \"\"b\"\"\",");
    let open_end = readings(200).trim_end().to_owned();
    for input in [crlf, marked, quoted, open_end] {
        assert_eq!(stdout(&["score", "--score-only"], input), plain);
    }
}

#[test]
fn attribution_adds_up_to_the_score_and_names_the_column() {
    for shingle in ["1", "4"] {
        let text = stdout(&["score", "--attribution", "--shingle-size", shingle], readings(600));
        let mut lines = text.lines();
        let header = "timestamp,name,celsius,percent,ANOMALY_SCORE,ATTR_HIGH_celsius,\
                      ATTR_LOW_celsius,ATTR_HIGH_percent,ATTR_LOW_percent";
        assert_eq!(lines.next(), Some(header));
        for (row, line) in lines.enumerate() {
            let fields: Vec<f64> = line.split(',').skip(4).map(|f| f.parse().expect("f")).collect();
            let sum: f64 = fields[1..].iter().sum();
            assert!((sum - fields[0]).abs() < 1e-9, "row {row}: {line}");
            assert!(fields.iter().all(|field| *field >= 0.0), "row {row}: {line}");
            if row == 500 {
                assert!(fields[1] > fields[2..].iter().copied().fold(0.0, f64::max), "{line}");
            }
        }
    }
}

#[test]
fn a_saved_model_goes_on_as_though_it_had_never_been_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("model");
    let model = model.to_str().expect("UTF-8");
    let flags = ["score", "--score-only", "--shingle-size", "3", "--seed", "9"];
    let whole = stdout(&flags, readings(700));
    let lines: Vec<String> = readings(700).lines().map(str::to_owned).collect();
    let (first, rest) = (lines[..401].join("\n"), lines[401..].join("\n"));
    let first = stdout(&[&flags[..], &["--save", model]].concat(), first);
    let rest = format!("{}\n{rest}", lines[0]);
    let rest = stdout(&["score", "--score-only", "--load", model], rest);
    assert_eq!(format!("{first}{rest}"), whole);
    let torn = &std::fs::read(model).expect("saved")[..100];
    std::fs::write(model, torn).expect("written");
    let said = complaint(&["score", "--load", model], readings(3));
    assert!(said.contains(model) && said.contains("is no model"), "{said}");
}

#[test]
fn ndjson_has_the_scores_of_csv() {
    let csv = scores(&stdout(&["score", "--score-only"], readings(300)));
    let mut ndjson = String::new();
    for line in readings(300).lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let (celsius, percent) = (fields[2], fields[3]);
        writeln!(ndjson, "{{\"celsius\": {celsius}, \"name\": \"a\", \"percent\": {percent}}}")
            .expect("a String");
    }
    ndjson.push_str("{\"celsius\": null, \"percent\": 41}\nnot json\n");
    let text = stdout(&["score", "--format", "ndjson"], &ndjson);
    let rows: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rows.len(), 302);
    let found: Vec<f64> =
        rows.iter().map(|row| row["ANOMALY_SCORE"].as_f64().expect("a score")).collect();
    assert_eq!(found[..300], csv);
    assert_eq!(found[300..], [0.0, 0.0]);
    assert_eq!(rows[0]["name"], "a");
    assert_eq!(rows[301]["unreadable"], "not json");
}

#[test]
fn a_column_without_any_value_does_not_hold_the_scores_back() {
    // Two columns of which one never has a value: decided after a thousand lines, not at the end.
    let mut csv = String::from("a,b\n");
    (0..3000).for_each(|row| writeln!(csv, "{},", row % 7).expect("a String"));
    let alone = stdout(&["score", "--score-only", "--columns", "a"], &csv);
    assert_eq!(stdout(&["score", "--score-only"], &csv), alone);
    // A value that comes later than that is not a reading any more.
    csv.push_str("1,5\n");
    assert_eq!(stdout(&["score", "--score-only"], &csv).lines().count(), 3001);
}

#[test]
fn scores_of_an_earlier_run_are_no_readings() {
    let once = stdout(&["score", "--attribution"], readings(300));
    let again = stdout(&["score", "--score-only"], once);
    assert_eq!(again, stdout(&["score", "--score-only"], readings(300)));
}

#[test]
fn a_quote_that_is_never_closed_keeps_the_score_in_its_column() {
    let text = stdout(&["score"], "a,b\n1,2\n\"1,2\n3,4\n");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> =
        reader.records().collect::<Result<_, _>>().expect("rows of three fields");
    assert_eq!(rows.len(), 3, "{text}");
    assert_eq!(rows[1], ["\"1,2", "", "0"][..]);
    // A mark inside a field opens nothing: the line is a row like any other.
    let inches = stdout(&["score", "--columns", "b"], "a,b\n5\" pipe,90\n");
    assert_eq!(inches.lines().nth(1), Some("5\" pipe,90,0"));
}

#[test]
fn an_empty_object_stays_json() {
    let text = stdout(&["score", "--format", "ndjson", "--columns", "x"], "{ }\n{}\n{\"x\":1 }\n");
    let rows: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rows[0]["ANOMALY_SCORE"], 0);
    assert_eq!((&rows[2]["x"], rows.len()), (&Value::from(1), 3));
}

#[cfg(unix)]
#[test]
fn saving_behind_a_link_keeps_the_link() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, link) = (folder.path().join("model"), folder.path().join("link"));
    std::fs::write(&file, "old").expect("written");
    std::os::unix::fs::symlink(&file, &link).expect("linked");
    stdout(&["score", "--save", link.to_str().expect("UTF-8")], readings(100));
    assert!(link.symlink_metadata().expect("there").is_symlink());
    assert_ne!(std::fs::read(&file).expect("there"), b"old");
    std::fs::remove_file(&file).expect("removed");
    stdout(&["score", "--save", link.to_str().expect("UTF-8")], readings(100));
    assert!(link.symlink_metadata().expect("there").is_symlink() && file.is_file());
    stdout(&["score", "--load", link.to_str().expect("UTF-8")], readings(3));
}

#[test]
fn a_line_without_an_end_is_refused_by_its_number() {
    let mut input = b"a\n1\n".to_vec();
    input.resize(input.len() + (64 << 20) + 1, b'1');
    let said = complaint(&["score"], input);
    assert!(said.contains("line 3 is longer than"), "{said}");
}

#[test]
fn what_cannot_be_scored_is_said() {
    for (args, input, says) in [
        (&["score"][..], "", "the input is empty"),
        (&["score"], "a,b\nx,y\n", "no column holds numbers"),
        (&["score", "--columns", "c"], "a,b\n1,2\n", "no column \"c\""),
        (&["score", "--trees", "0"], "a\n1\n", "n_trees"),
        (&["score", "--sample-size", "1"], "a\n1\n", "sample_size"),
        (&["score", "--time-decay", "-1"], "a\n1\n", "time_decay"),
        (&["score", "--shingle-size", "0"], "a\n1\n", "shingle_size"),
        (&["score", "--initial-accept-fraction", "2"], "a\n1\n", "initial_accept_fraction"),
        (&["score", "no-such-file.csv"], "", "no-such-file.csv"),
        (&["score", "--load", "no-such-model"], "a\n1\n", "no-such-model"),
        (&["score"], &format!("a,b\n{}1,2\n", "\n".repeat(1000)), "name the columns"),
    ] {
        let said = complaint(args, input);
        assert!(said.contains(says), "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{args:?}: {said}");
    }
    assert_eq!(stdout(&["score"], "a,b\n"), "a,b,ANOMALY_SCORE\n", "a header and nothing else");
}
