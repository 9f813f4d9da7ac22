//! Ctrl-C, once and twice, while Firehose does not answer.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use eddy_harness::{Fault, FirehoseDouble, serve};

/// Longer than anything here takes unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// `eddy run` at work; killed when dropped.
struct Eddy(Child);

impl Eddy {
    fn interrupt(&self) {
        let id = self.0.id().to_string();
        let told = Command::new("kill").args(["-INT", &id]).status().expect("there is a kill");
        assert!(told.success());
    }
}

impl Drop for Eddy {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_ctrl_c_waits_for_firehose_and_the_second_does_not() {
    let firehose = FirehoseDouble::new("scored");
    for _ in 0..100 {
        firehose.faults.then(Fault::Hang);
    }
    let address = serve(firehose.router()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let at = |file: &str| folder.path().join(file);
    std::fs::write(at("in.ndjson"), "{\"iotName\":\"a\",\"iotValue\":1}\n").expect("written");
    let settings = format!(
        "dead_letters = {:?}\nstate = {{ path = {:?} }}\n\
         source = {{ type = \"file\", path = {:?} }}\n\
         [[sinks]]\ntype = \"firehose\"\ndelivery_stream = \"scored\"\n\
         connection = {{ endpoint_url = \"http://{address}\" }}\n",
        at("dead-letters.ndjson"),
        at("state"),
        at("in.ndjson"),
    );
    std::fs::write(at("settings.toml"), settings).expect("written");
    let child = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .arg("run")
        .arg(at("settings.toml"))
        .envs([("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")])
        .env("AWS_REGION", "us-east-1")
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut eddy = Eddy(child);
    let mut stderr = BufReader::new(eddy.0.stderr.take().expect("piped"));
    let start = Instant::now();
    while firehose.request_sizes().is_empty() {
        assert!(start.elapsed() < PATIENCE, "no request comes");
        tokio::task::yield_now().await;
    }

    eddy.interrupt();
    let mut said = String::new();
    while !said.contains("once more to stop at once") {
        assert!(stderr.read_line(&mut said).expect("readable") > 0, "it ended: {said}");
    }
    assert_eq!(eddy.0.try_wait().expect("known"), None, "the request is still in flight");

    eddy.interrupt();
    let ended = tokio::task::spawn_blocking(move || {
        stderr.read_to_string(&mut said).expect("readable");
        (eddy.0.wait().expect("ends"), said)
    });
    // The request's own time is 15 s.
    let ended = tokio::time::timeout(Duration::from_secs(12), ended).await;
    let (status, said) = ended.expect("it ends").expect("no panic");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("the rest is read again at the next start"), "{said}");
    assert!(firehose.records().is_empty());
}
