//! A process with its state on S3, killed and started again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use eddy_pipeline::{Settings, build};

use crate::support::run;

/// Longer than anything takes, so that a test that hangs ends.
const PATIENCE: Duration = Duration::from_secs(120);
const N_READINGS: usize = 20_000;

fn readings(n_rows: usize) -> String {
    (0..n_rows).fold(String::new(), |mut text, row| {
        let value = if row % 97 == 96 { 110 } else { 10 + row * 7 % 11 };
        writeln!(text, "{{\"iotName\":\"s{}\",\"iotValue\":{value}}}", row % 3).expect("a String");
        text
    })
}

/// A settings file that archives into the folder, with its state at the given place.
fn settings(folder: &Path, state: &str) -> String {
    let at = folder.display();
    std::fs::write(folder.join("readings.ndjson"), readings(N_READINGS)).expect("written");
    let text = format!(
        "dead_letters = \"{at}/dead-letters.ndjson\"\nstate = {{ {state} }}\n\
         [source]\ntype = \"file\"\npath = \"{at}/readings.ndjson\"\n\
         [detector]\nkey = \"iotName\"\ntrees = 20\n\
         [pipeline]\ncommit_records = 2000\n\
         [[sinks]]\ntype = \"archive\"\nurl = \"{at}/archive\"\nmax_object_bytes = 50000\n"
    );
    let file = folder.join("settings.toml");
    std::fs::write(&file, text).expect("written");
    file.to_str().expect("UTF-8").to_owned()
}

/// Names the settings file to the process that [`start`] starts.
const SETTINGS: &str = "EDDY_KILLED_SETTINGS";

/// This test program in a process of its own, at work on a settings file.
fn start(settings: &str) -> Child {
    Command::new(std::env::current_exe().expect("known"))
        .args(["--exact", "kills::a_pipeline_that_may_be_killed"])
        .env(SETTINGS, settings)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("starts")
}

/// What the other process does; here, without settings, nothing.
#[tokio::test]
async fn a_pipeline_that_may_be_killed() {
    let Ok(path) = std::env::var(SETTINGS) else { return };
    let settings = Settings::load(Path::new(&path)).expect("good settings");
    run(build(&settings).await.expect("opens").pipeline).await.expect("runs");
}

/// The lines of all objects below a folder, by the objects' names.
fn objects(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(objects(&path));
        } else if path.extension().is_some_and(|extension| extension == "gz") {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let mut text = String::new();
            // One that is being replaced is gone by now.
            let Ok(file) = std::fs::File::open(&path) else { continue };
            flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
            found.insert(name, text.lines().map(str::to_owned).collect());
        }
    }
    found
}

/// The rows of an archive without their time, which is when a line was read.
fn rows(folder: &Path) -> Vec<String> {
    let mut rows: Vec<String> = objects(&folder.join("archive")).into_values().flatten().collect();
    for row in &mut rows {
        let at = row.find("\"created\":\"").expect("a time");
        row.replace_range(at + 11..at + 35, "");
    }
    rows.sort();
    rows
}

#[test]
fn kills_with_the_state_on_s3_lose_nothing_and_archive_nothing_twice() {
    let url = std::env::var("MINISTACK_URL").expect("MINISTACK_URL is set: run .ci/servers");
    let whole = tempfile::tempdir().expect("a folder");
    let state = format!("path = \"{}/state\"", whole.path().display());
    let ended = start(&settings(whole.path(), &state)).wait().expect("ends");
    assert!(ended.success());

    let killed = tempfile::tempdir().expect("a folder");
    let state =
        format!("url = \"s3://eddy-tests/killed\", connection = {{ endpoint_url = \"{url}\" }}");
    let file = settings(killed.path(), &state);
    for n_objects in [3, 9, 15] {
        let mut child = start(&file);
        let begun = Instant::now();
        while objects(&killed.path().join("archive")).len() < n_objects {
            let ended = child.try_wait().expect("asked");
            assert!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "{n_objects} objects: {ended:?}"
            );
        }
        child.kill().expect("running");
        child.wait().expect("ends");
    }
    assert!(start(&file).wait().expect("ends").success());
    let rows_of_killed = rows(killed.path());
    assert_eq!(rows_of_killed.len(), N_READINGS);
    assert_eq!(rows_of_killed, rows(whole.path()));
    let owners = objects(&killed.path().join("archive"));
    let owner = |name: &String| name.rsplit('-').nth(1).map(str::to_owned);
    let owners: BTreeSet<_> = owners.keys().map(owner).collect();
    assert!(owners.len() > 1, "several runs have committed: {owners:?}");
}
