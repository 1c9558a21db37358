//! A browser of the Chromium family without a window, told what to do over its DevTools protocol
//! (chromedevtools.github.io/devtools-protocol): JSON messages, each with a zero byte at its end,
//! on two pipes.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::process::{Process, Spec};
use super::{activity, pace};
use crate::interrupt;

/// What it is called on `PATH`, and where macOS has it.
const NAMES: [&str; 5] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
const APPLICATIONS: [&str; 2] = [
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
/// Debian's command reads the first two; its processes look at themselves in the third. What runs
/// on a page reads no file.
const CONFIGURATION: [&str; 3] = ["/etc/chromium", "/etc/chromium.d", "/proc"];
/// The protocol's pipes are the files 3 and 4; a shell puts them there.
const SCRIPT: &str = "exec \"$@\" 3<&0 4>&1 </dev/null >&2";
/// What it says of a page that was left meanwhile.
const BETWEEN_PAGES: [&str; 3] =
    ["Inspected target navigated", "Cannot find context", "Execution context was destroyed"];
const TICK: Duration = Duration::from_millis(50);

/// The browser of this machine, if there is one.
pub fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let on_path = NAMES.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name)));
    on_path.chain(APPLICATIONS.map(PathBuf::from)).find(|file| file.is_file())
}

/// What a browser reads of a system, beside what every program does.
pub fn files(browser: &Path) -> Vec<PathBuf> {
    let own = browser.canonicalize().ok().and_then(|file| Some(file.parent()?.to_owned()));
    CONFIGURATION.map(PathBuf::from).into_iter().chain(own).collect()
}

/// What to run, and how, so that it reaches no host but this one; its files go to a directory.
pub fn command(browser: &Path, profile: &Path) -> (PathBuf, Vec<String>) {
    let mut args: Vec<String> = ["-c", SCRIPT, "sh"].map(str::to_owned).to_vec();
    args.push(browser.display().to_string());
    args.extend(
        [
            "--headless",
            "--remote-debugging-pipe",
            // It has ours, and root has none of its own.
            "--no-sandbox",
            // Else its service for the network is ended by its own checks, where the protocol's
            // pipes are open.
            "--enable-features=NetworkServiceInProcess2",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-breakpad",
            "--disable-crashpad-for-testing",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-default-apps",
            "--disable-extensions",
            "--disable-sync",
            "--no-first-run",
            "--no-proxy-server",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--window-size=1600,1200",
        ]
        .map(str::to_owned),
    );
    args.push(format!("--user-data-dir={}", profile.display()));
    (PathBuf::from("/bin/sh"), args)
}

/// A running browser with one open page.
pub struct Browser {
    process: Process,
    started: Instant,
    to: ChildStdin,
    from: Receiver<Value>,
    calls: u64,
    /// The session of the page; empty: the browser itself is meant.
    session: String,
    /// The addresses that the page asked for, by the ids of the requests.
    requests: BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Browser {
    /// Starts it, as made by [`command`], and opens an empty page.
    ///
    /// # Errors
    /// When it does not start, or is not there in time.
    pub fn start(spec: &Spec, is_over: &mut dyn FnMut() -> bool) -> Result<Self> {
        let (process, to, stdout) = spec.start_with_pipes()?;
        let mut browser = Self {
            process,
            started: Instant::now(),
            to,
            from: messages(stdout),
            calls: 0,
            session: String::new(),
            requests: BTreeMap::new(),
            problems: Vec::new(),
        };
        let target =
            browser.call("Target.createTarget", json!({ "url": "about:blank" }), is_over)?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach, is_over)?;
        browser.session = attached["sessionId"].as_str().unwrap_or_default().to_owned();
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}), is_over)?;
        }
        Ok(browser)
    }

    /// Goes to an address, without waiting for what is there.
    ///
    /// # Errors
    /// When the browser does not answer in time, or cannot go there.
    pub fn go(&mut self, url: &str, is_over: &mut dyn FnMut() -> bool) -> Result<()> {
        let answer = self.call("Page.navigate", json!({ "url": url }), is_over)?;
        match answer["errorText"].as_str() {
            Some(error) => bail!("the browser cannot go to `{url}`: {error}"),
            None => Ok(()),
        }
    }

    /// The value of an expression of JavaScript on the page; null while it goes to another one.
    ///
    /// # Errors
    /// When the browser does not answer in time.
    pub fn evaluate(
        &mut self,
        expression: &str,
        is_over: &mut dyn FnMut() -> bool,
    ) -> Result<Value> {
        let params = json!({ "expression": expression, "returnByValue": true });
        match self.call("Runtime.evaluate", params, is_over) {
            Ok(mut answer) => Ok(answer["result"]["value"].take()),
            Err(error) if BETWEEN_PAGES.iter().any(|text| format!("{error:#}").contains(text)) => {
                Ok(Value::Null)
            }
            Err(error) => Err(error),
        }
    }

    /// What went wrong on the page so far: what it wrote to its console as errors, exceptions that
    /// nobody caught, and requests that failed.
    pub fn problems(&mut self) -> &[String] {
        while let Ok(message) = self.from.try_recv() {
            self.note(&message);
        }
        &self.problems
    }

    /// How many requests the page has made.
    pub fn requests(&self) -> usize {
        self.requests.len()
    }

    /// The browser's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Tells it to end; it and all that it started is in the process that is returned.
    pub fn close(mut self) -> Process {
        self.session.clear();
        // It may end before it answers.
        let _ = self.send("Browser.close", &json!({}));
        self.process
    }

    fn send(&mut self, method: &str, params: &Value) -> Result<u64> {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).with_context(|| format!("failed to tell it `{method}`"))?;
        Ok(self.calls)
    }

    fn call(
        &mut self,
        method: &str,
        params: Value,
        is_over: &mut dyn FnMut() -> bool,
    ) -> Result<Value> {
        let id = self.send(method, &params)?;
        let asked = Instant::now();
        loop {
            match self.from.recv_timeout(TICK) {
                Ok(mut message) if message["id"] == id => {
                    if let Some(error) = message["error"]["message"].as_str() {
                        bail!("the browser refuses `{method}`: {error}");
                    }
                    return Ok(message["result"].take());
                }
                Ok(message) => self.note(&message),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("the browser ended before it answered `{method}`")
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            interrupt::check()?;
            if is_over() {
                let (asked, started) =
                    (asked.elapsed().as_secs(), self.started.elapsed().as_secs());
                bail!(
                    "the browser did not answer `{method}` in time: asked {asked} s ago, {started} \
                     s after its start; {}; it is {}",
                    pace::words(),
                    activity::words(&self.process.running())
                );
            }
        }
    }

    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        let id = params["requestId"].as_str().unwrap_or_default();
        if event["method"] == "Network.requestWillBeSent" {
            let url = params["request"]["url"].as_str().unwrap_or_default();
            self.requests.insert(id.to_owned(), url.to_owned());
        }
        let url = self.requests.get(id).map_or("", String::as_str);
        self.problems.extend(problem(event, url));
    }
}

/// Reads messages as they come, up to the end of the pipe.
fn messages(stdout: ChildStdout) -> Receiver<Value> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut bytes = Vec::new();
        while reader.read_until(0, &mut bytes).is_ok_and(|length| length > 0) {
            let message = serde_json::from_slice(bytes.strip_suffix(&[0]).unwrap_or(&bytes));
            if message.is_ok_and(|message| sender.send(message).is_err()) {
                return;
            }
            bytes.clear();
        }
    });
    receiver
}

/// What an event says that went wrong; it may be about a request for an address.
fn problem(event: &Value, url: &str) -> Option<String> {
    let params = &event["params"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => {
            let details = &params["exceptionDetails"];
            let words = details["exception"]["description"].as_str();
            Some(format!("exception: {}", words.unwrap_or(&text(&details["text"]))))
        }
        "Runtime.consoleAPICalled" if ["error", "assert"].contains(&params["type"].as_str()?) => {
            let words = params["args"].as_array()?.iter().map(words_of);
            Some(format!("console: {}", words.collect::<Vec<_>>().join(" ")))
        }
        "Log.entryAdded" if params["entry"]["level"] == "error" => {
            let (words, url) = (text(&params["entry"]["text"]), text(&params["entry"]["url"]));
            Some(format!("log: {words} {url}").trim_end().to_owned())
        }
        // A page that is left gives up what it waits for.
        "Network.loadingFailed" if params["canceled"] != true => {
            Some(format!("request: {} for {url}", text(&params["errorText"])))
        }
        "Network.responseReceived" if params["response"]["status"].as_f64()? >= 400.0 => {
            Some(format!("request: {} for {url}", params["response"]["status"]))
        }
        _ => None,
    }
}

/// An object of a script in words: its value, or what it has.
fn words_of(object: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if !object["value"].is_null() {
        return text(&object["value"]);
    }
    let properties = object["preview"]["properties"].as_array().into_iter().flatten();
    let properties: Vec<String> = properties
        .filter(|property| property["type"] == "string")
        .map(|property| format!("{}: {}", text(&property["name"]), text(&property["value"])))
        .collect();
    if properties.is_empty() { text(&object["description"]) } else { properties.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::super::confine::Access;
    use super::super::process::stderr_of;
    use super::*;

    /// The smoke test of real versions has this, too, and does not pass in CI without a browser.
    #[test]
    fn a_page_is_opened_by_a_confined_browser() {
        let Some(browser) = find() else {
            eprintln!("skipped: no Chromium or Chrome is on PATH");
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let (program, args) = command(&browser, &dir.path().join("profile"));
        let spec = Spec {
            program,
            args: args.into_iter().map(Into::into).collect(),
            env: [
                ("PATH", "/usr/bin:/bin"),
                ("HOME", &dir.path().display().to_string()),
                ("TMPDIR", &dir.path().display().to_string()),
            ]
            .map(|(name, value)| (name.into(), value.into()))
            .to_vec(),
            dir: dir.path().to_owned(),
            log: dir.path().join("log"),
            access: Some(Access {
                read: files(&browser),
                write: vec![dir.path().to_owned()],
                ports: Vec::new(),
            }),
        };
        let until = Instant::now() + Duration::from_secs(60);
        let mut is_over = || Instant::now() >= until;
        let opened = Browser::start(&spec, &mut is_over);
        let said = || std::fs::read_to_string(stderr_of(&spec.log)).unwrap_or_default();
        let mut browser = opened.unwrap_or_else(|error| panic!("{error:#}\n{}", said()));
        browser.go("data:text/html,<p>text", &mut is_over).unwrap();
        while browser.evaluate("document.body.innerText", &mut is_over).unwrap() != "text" {}
        assert!(browser.problems().is_empty(), "{:?}", browser.problems());
        // Nobody listens there, and nothing there may be reached.
        let text = "fetch('http://127.0.0.1:9/').catch(() => 0)";
        browser.evaluate(text, &mut is_over).unwrap();
        while browser.problems().is_empty() && !is_over() {
            browser.evaluate("1", &mut is_over).unwrap();
        }
        assert!(
            browser.problems()[0].starts_with("request: net::ERR_"),
            "{:?}",
            browser.problems()
        );
        let mut process = browser.close();
        process.wait_for_all(&mut is_over).unwrap();
    }

    #[test]
    fn one_that_does_not_answer_is_late() {
        let dir = tempfile::tempdir().unwrap();
        let spec = Spec {
            program: "/bin/sh".into(),
            args: ["-c", "exec sleep 1000"].map(Into::into).to_vec(),
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            dir: dir.path().to_owned(),
            log: dir.path().join("log"),
            access: None,
        };
        let error = Browser::start(&spec, &mut || true).err().unwrap().to_string();
        let begins = "the browser did not answer `Target.createTarget` in time: asked 0 s ago, 0 s";
        assert!(error.starts_with(begins), "{error}");
        assert!(error.contains(" than an idle reference machine; it is "), "{error}");
    }

    #[test]
    fn events_are_problems_or_not() {
        let check = |method: &str, params: Value| {
            let event = json!({ "method": method, "params": params });
            problem(&event, "http://127.0.0.1/x").unwrap_or_default()
        };
        let called = |kind: &str, args: Value| {
            check("Runtime.consoleAPICalled", json!({ "type": kind, "args": args }))
        };
        let args = json!([{ "value": "no" }, { "value": 1 }, { "description": "Error: x" }]);
        assert_eq!(called("error", args.clone()), "console: no 1 Error: x");
        assert_eq!(called("log", args), "");
        let property = json!({ "name": "message", "type": "string", "value": "no" });
        let object = json!({ "description": "Object", "preview": { "properties": [property] } });
        assert_eq!(called("error", json!([object])), "console: message: no");
        let thrown = json!({ "exceptionDetails": { "text": "Uncaught" } });
        assert_eq!(check("Runtime.exceptionThrown", thrown), "exception: Uncaught");
        let answered = |status: u16| {
            let response = json!({ "status": status });
            check("Network.responseReceived", json!({ "response": response }))
        };
        assert_eq!(answered(200), "");
        assert_eq!(answered(404), "request: 404 for http://127.0.0.1/x");
        let failed = |canceled: bool| {
            let params = json!({ "errorText": "net::ERR_FAILED", "canceled": canceled });
            check("Network.loadingFailed", params)
        };
        assert_eq!(failed(false), "request: net::ERR_FAILED for http://127.0.0.1/x");
        assert_eq!(failed(true), "");
        assert_eq!(check("Page.loadEventFired", json!({})), "");
    }
}
