//! The binary, its input and its output.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything takes, so that a test that hangs ends.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs `eddy` to its end.
pub(crate) fn eddy(args: &[&str], input: impl AsRef<[u8]>) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.as_ref().to_vec();
    // The child may stop reading before the end: that is its answer, not a failure here.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("ends");
    let _ = writer.join().expect("no panic");
    output
}

/// What a run that succeeds prints.
pub(crate) fn stdout(args: &[&str], input: impl AsRef<[u8]>) -> String {
    let output = eddy(args, input);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What a run that fails says.
pub(crate) fn complaint(args: &[&str], input: impl AsRef<[u8]>) -> String {
    let output = eddy(args, input);
    assert!(!output.status.success(), "{args:?} succeeded");
    String::from_utf8(output.stderr).expect("UTF-8")
}

/// Asks a page for JSON.
pub(crate) fn get(page: &str, path: &str) -> Value {
    let mut stream = TcpStream::connect(page).expect("the page is there");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {page}\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
    assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    serde_json::from_str(body).expect("JSON")
}

/// The embedded default at work in a folder; killed when dropped.
pub(crate) struct Embedded {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// `127.0.0.1:8080`
    pub(crate) page: String,
    /// `http://127.0.0.1:4567`
    pub(crate) kinesis: String,
}

impl Embedded {
    /// Starts it on free ports and waits until it says where it is.
    pub(crate) fn start(folder: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_eddy"))
            .args(["--listen", "127.0.0.1:0", "--kinesis-listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder)
            .args(args)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        // From here on the child ends with this value, also where an assertion fails.
        let mut eddy = Self { child, stderr, page: String::new(), kinesis: String::new() };
        let mut said = String::new();
        let after = |text: &str, what: &str| {
            let rest = text.split(what).nth(1)?;
            rest.split([' ', '\n']).next().map(str::to_owned)
        };
        loop {
            assert!(eddy.stderr.read_line(&mut said).expect("readable") > 0, "it ended: {said}");
            let page = after(&said, "page: http://");
            let kinesis = after(&said, "Kinesis endpoint: ");
            if let (Some(page), Some(kinesis)) = (page, kinesis) {
                (eddy.page, eddy.kinesis) = (page, kinesis);
                return eddy;
            }
        }
    }

    /// Asks the page.
    pub(crate) fn get(&self, path: &str) -> Value {
        get(&self.page, path)
    }

    /// Documents in the index.
    pub(crate) fn count(&self) -> u64 {
        self.get("/es/anomalies/_count")["count"].as_u64().expect("a count")
    }

    /// Waits until the index holds that many documents.
    pub(crate) fn wait_for(&self, n_documents: u64) {
        let start = Instant::now();
        while self.count() < n_documents {
            assert!(start.elapsed() < PATIENCE, "{} of {n_documents}", self.count());
            std::thread::yield_now();
        }
    }

    /// As `kill -9` does it.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("running");
        self.child.wait().expect("ends");
    }

    /// As Ctrl-C does it; returns what it says until it has ended.
    pub(crate) fn interrupt(mut self) -> String {
        let id = self.child.id().to_string();
        let told = Command::new("kill").args(["-INT", &id]).status().expect("there is a kill");
        assert!(told.success());
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).expect("readable");
        assert!(self.child.wait().expect("ends").success(), "{said}");
        said
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
