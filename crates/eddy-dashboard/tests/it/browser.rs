//! Headless Chromium, driven by the DevTools protocol over two pipes: JSON messages that end with a
//! NUL.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(60);
const FLAGS: &str = "--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage \
     --no-first-run --disable-background-networking --disable-component-update --disable-sync \
     --disable-extensions --mute-audio --remote-debugging-pipe";

/// One browser at a time: a machine that builds and tests has better things to do.
static ONE: Mutex<()> = Mutex::new(());

/// A browser with one page open.
pub(crate) struct Browser {
    process: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    next_id: u64,
    session: Option<String>,
    /// What the page complained of: exceptions, errors on the console, violations of its policy.
    complaints: Vec<String>,
    /// Every address that was asked for.
    requests: Vec<String>,
    profile: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// Starts Chromium; `None`, with the reason printed, where there is none and `CI` is not
    /// `true`.
    pub(crate) fn start() -> Option<Self> {
        let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
        let found = names.into_iter().find(|name| {
            let version = Command::new(name).arg("--version").stdin(Stdio::null()).output();
            version.is_ok_and(|output| output.status.success())
        });
        let Some(name) = found else {
            let required = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(!required, "no Chromium, and CI=true: apt-get install chromium");
            println!("not tested: there is no Chromium here (apt-get install chromium)");
            return None;
        };
        let turn = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = tempfile::tempdir().expect("a folder");
        // The shell hands its standard input and output on as the descriptors 3 and 4.
        let start = format!(
            "exec {name} {FLAGS} --user-data-dir=\"$0\" about:blank 3<&0 4>&1 0</dev/null 1>/dev/null"
        );
        let log = File::create(profile.path().join("log")).expect("a file");
        let mut process = Command::new("sh")
            .args(["-c", &start])
            .arg(profile.path().join("profile"))
            .env("TZ", "UTC")
            .env("LANG", "en_GB.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("a shell");
        let to = process.stdin.take().expect("a pipe");
        let mut pipe = BufReader::new(process.stdout.take().expect("a pipe"));
        let (sender, from) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while pipe.read_until(0, &mut message).is_ok_and(|n_bytes| n_bytes > 0) {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else { return };
                if sender.send(value).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let mut browser = Self {
            process,
            to,
            from,
            next_id: 1,
            session: None,
            complaints: Vec::new(),
            requests: Vec::new(),
            profile,
            _turn: turn,
        };
        browser.attach();
        Some(browser)
    }

    fn attach(&mut self) {
        let target = self.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached = self.call(
            "Target.attachToTarget",
            json!({"targetId": target["targetId"], "flatten": true}),
        );
        self.session = Some(attached["sessionId"].as_str().expect("a session").to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
        self.call("Emulation.setLocaleOverride", json!({"locale": "en-GB"}));
    }

    /// Calls a method of the protocol and returns its result.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.ask(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The same, where what is asked may end in between.
    fn ask(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.next_id;
        self.next_id += 1;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        if let Err(error) = self.to.write_all(&bytes) {
            panic!("Chromium is gone: {error}\n{}", self.log());
        }
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.from.recv_timeout(left) {
                Ok(answer) if answer["id"] == id => {
                    let error = &answer["error"];
                    return if error.is_null() {
                        Ok(answer["result"].clone())
                    } else {
                        Err(error.clone())
                    };
                }
                Ok(event) => self.note(&event),
                Err(RecvTimeoutError::Timeout) => panic!("{method}: no answer\n{}", self.log()),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{method}: Chromium has ended\n{}", self.log())
                }
            }
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.profile.path().join("log")).unwrap_or_default()
    }

    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => {
                self.complaints.push(params["exceptionDetails"].to_string());
            }
            "Runtime.consoleAPICalled" if params["type"] != "log" => {
                self.complaints.push(params.to_string());
            }
            "Log.entryAdded" if params["entry"]["level"] != "verbose" => {
                self.complaints.push(params["entry"].to_string());
            }
            "Network.requestWillBeSent" => {
                let url = params["request"]["url"].as_str().unwrap_or_default();
                self.requests.push(url.to_owned());
            }
            _ => {}
        }
    }

    /// Opens an address; returns when the document is loaded.
    pub(crate) fn open(&mut self, url: &str) {
        let opened = self.call("Page.navigate", json!({"url": url}));
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
        self.until("the document is loaded", "document.readyState === 'complete'");
    }

    /// The value of an expression; a promise is waited for.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", params);
        let failed = &answer["exceptionDetails"];
        assert!(failed.is_null(), "{expression}: {failed}");
        answer["result"]["value"].clone()
    }

    pub(crate) fn text(&mut self, selector: &str) -> String {
        let found = self.value(&format!("document.querySelector({selector:?}).textContent"));
        found.as_str().expect("a text").to_owned()
    }

    /// Waits until an expression is true; the page polls it.
    pub(crate) fn until(&mut self, what: &str, expression: &str) {
        let deadline = Instant::now() + DEADLINE;
        let mut holds = false;
        while !holds && Instant::now() < deadline {
            let poll = format!(
                "(async () => {{ const end = Date.now() + 5000; for (;;) {{ if ({expression}) \
                 return true; if (Date.now() > end) return false; \
                 await new Promise((next) => setTimeout(next, 20)); }} }})()"
            );
            let params = json!({"expression": poll, "returnByValue": true, "awaitPromise": true});
            // A page that goes elsewhere takes the question with it.
            let Ok(answer) = self.ask("Runtime.evaluate", params) else { continue };
            let failed = &answer["exceptionDetails"];
            assert!(failed.is_null(), "{expression}: {failed}");
            holds = answer["result"]["value"] == json!(true);
        }
        if !holds {
            let page = self.value("document.body.innerText");
            panic!("not so: {what}\n{}\n{}", page.as_str().unwrap_or_default(), {
                self.complaints.join("\n")
            });
        }
    }

    pub(crate) fn click(&mut self, selector: &str) {
        self.value(&format!("document.querySelector({selector:?}).click()"));
    }

    /// Chooses an option of a select.
    pub(crate) fn choose(&mut self, selector: &str, value: &str) {
        self.value(&format!(
            "{{ const select = document.querySelector({selector:?}); select.value = {value:?}; \
             select.dispatchEvent(new Event('change')); select.value }}"
        ));
    }

    /// Types into a field and leaves it by Enter, as a hand does.
    pub(crate) fn enter(&mut self, selector: &str, text: &str) {
        self.value(&format!("document.querySelector({selector:?}).select()"));
        self.call("Input.insertText", json!({"text": text}));
        self.press("Enter");
    }

    /// Presses a key: a character, or a name as `Enter`.
    pub(crate) fn press(&mut self, key: &str) {
        let text = match key {
            "Enter" => "\r",
            one if one.chars().count() == 1 => one,
            _ => "",
        };
        let codes =
            [("Enter", 13), ("Escape", 27), ("ArrowLeft", 37), ("ArrowUp", 38), ("ArrowDown", 40)];
        let code = codes.iter().find(|(name, _)| *name == key).map_or(0, |(_, code)| *code);
        let kind = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        let down = json!({"type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code});
        self.call("Input.dispatchKeyEvent", down);
        self.call("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": key}));
    }

    /// Draws a line with the mouse, the button down.
    pub(crate) fn drag(&mut self, from: (f64, f64), to: (f64, f64)) {
        let mut mouse = |kind: &str, (x, y): (f64, f64), buttons: u32| {
            let event = json!({"type": kind, "x": x, "y": y, "button": "left", "buttons": buttons,
                "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event);
        };
        mouse("mouseMoved", from, 0);
        mouse("mousePressed", from, 1);
        mouse("mouseMoved", ((from.0 + to.0) / 2.0, to.1), 1);
        mouse("mouseMoved", to, 1);
        mouse("mouseReleased", to, 0);
    }

    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    pub(crate) fn prefer(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Writes the visible part of the page as a PNG.
    pub(crate) fn screenshot(&mut self, path: &Path) {
        // Two frames, so that what was said last is drawn.
        self.value(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))",
        );
        let shot = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let png = BASE64_STANDARD.decode(shot["data"].as_str().expect("data")).expect("base64");
        std::fs::write(path, png).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// What the page complained of since the last time.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        // Whatever was sent before the answer to this has arrived with it.
        self.value("0");
        std::mem::take(&mut self.complaints)
    }

    pub(crate) fn requests(&self) -> &[String] {
        &self.requests
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // One that has ended already cannot be ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
