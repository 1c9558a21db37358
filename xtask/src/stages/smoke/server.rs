//! What serves the web UI, `dagster-webserver` and `dagster dev`: from its start on a port of its
//! own to its end by SIGTERM.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use ureq::Agent;

use super::probes::write_definitions;
use super::report::{Checked, Finding, Job, Probe};
use super::sandbox::{Sandbox, ended_badly};
use super::tree::Part;
use super::{Smoke, daemon};
use crate::interrupt;
use crate::tools::process::{Ended, Process, Wait};

/// How long the server may take to end, then what it started, then what it left and was told to.
const STOP: Duration = Duration::from_secs(8);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(100);
/// Somebody else may take the port between our asking for a free one and the server's binding it.
const STARTS: usize = 3;
/// What `/server_info` says of which package.
const SERVER_INFO: [(&str, &str); 3] = [
    ("dagster_webserver_version", "dagster-webserver"),
    ("dagster_version", "dagster"),
    ("dagster_graphql_version", "dagster-graphql"),
];
const QUERY: &str = "{ version repositoriesOrError { __typename ... on RepositoryConnection { \
    nodes { name jobs { name } assetNodes { assetKey { path } } } } } }";

/// A command that serves the web UI.
struct Serving {
    command: &'static str,
    /// What comes before the options.
    args: &'static [&'static str],
}

const WEBSERVER: Serving = Serving { command: "dagster-webserver", args: &[] };
const DEV: Serving = Serving { command: "dagster", args: &["dev"] };

impl Serving {
    /// The command in words.
    fn what(&self) -> String {
        let words: Vec<&str> = std::iter::once(&self.command).chain(self.args).copied().collect();
        format!("`{}`", words.join(" "))
    }
}

/// A server that answers.
struct Server {
    sandbox: Sandbox,
    process: Process,
    url: String,
    agent: Agent,
}

/// One answer.
struct Answer {
    status: u16,
    kind: String,
    body: String,
}

/// The probes of the server; the later ones need the first.
pub fn job<'a>(smoke: &'a Smoke<'_>, part: &'a Part) -> Job<'a> {
    let names = ["webserver", "server_info", "web page", "graphql", "webserver end"];
    Job::new(names.map(str::to_owned).to_vec(), move || probes(smoke, part))
}

/// The probes of `dagster dev`, which brings up the webserver and the daemon from one tree.
pub fn dev_job<'a>(smoke: &'a Smoke<'_>, part: Part, label: impl Fn(&str) -> String) -> Job<'a> {
    let names = ["dagster dev", "dagster dev daemon", "dagster dev end"].map(label);
    Job::new(names.to_vec(), move || dev_probes(smoke, &names, &part))
}

fn probes(smoke: &Smoke<'_>, part: &Part) -> Vec<Probe> {
    let mut started = None;
    let mut probes = vec![Probe::run("webserver", || {
        Ok(start(smoke, "webserver", part, &WEBSERVER)?.map(|server| {
            let found = format!("answers at {}", server.url);
            started = Some(server);
            found
        }))
    })];
    let Some(server) = started else { return probes };
    probes.push(Probe::run("server_info", || server.check_info(smoke)));
    probes.push(Probe::run("web page", || server.check_page()));
    probes.push(Probe::run("graphql", || server.check_graphql(smoke)));
    probes.push(Probe::run("webserver end", || stop(server.process, &WEBSERVER.what())));
    probes
}

fn dev_probes(smoke: &Smoke<'_>, names: &[String; 3], part: &Part) -> Vec<Probe> {
    let [name, daemon, end] = names;
    let mut started = None;
    let mut probes = vec![Probe::run(name, || {
        if let Err(finding) = daemon::prepare(&smoke.sandbox(name)?, part)? {
            return Ok(Err(vec![finding]));
        }
        Ok(start(smoke, name, part, &DEV)?.map(|server| {
            let found = format!("answers at {}", server.url);
            started = Some(server);
            found
        }))
    })];
    let Some(mut server) = started else { return probes };
    probes.push(Probe::run(daemon, || {
        daemon::wait_until_alive(&server.sandbox, part, &mut server.process, &DEV.what())
    }));
    // A later one needs all before it: the end of what did not come up says nothing.
    if !probes.iter().all(Probe::has_passed) {
        return probes;
    }
    probes.push(Probe::run(end, || stop(server.process, &DEV.what())));
    probes
}

fn start(
    smoke: &Smoke<'_>,
    probe: &str,
    part: &Part,
    serving: &Serving,
) -> Result<Result<Server, Vec<Finding>>> {
    let what = serving.what();
    let mut starts = 1;
    loop {
        let sandbox = smoke.sandbox(probe)?;
        let expected = format!("an answer within {} s", sandbox.deadline().as_secs_f64());
        match start_at(sandbox, part, serving, free_port()?)? {
            Err(ended) if starts < STARTS && is_clash(&ended) => starts += 1,
            Err(Some(ended)) => {
                return Ok(Err(vec![Finding::new(what, "it to run", ended_badly(&ended))]));
            }
            Err(None) => return Ok(Err(vec![Finding::new(what, expected, "none")])),
            Ok(server) => return Ok(Ok(server)),
        }
    }
}

/// Starts the server and waits until it answers. `Err`: how it ended, `None` when it still ran.
fn start_at(
    sandbox: Sandbox,
    part: &Part,
    serving: &Serving,
    port: u16,
) -> Result<Result<Server, Option<Ended>>> {
    let file = write_definitions(&sandbox)?;
    let port = port.to_string();
    let options = ["-h", "127.0.0.1", "-p", &port, "-f", file];
    let args: Vec<&str> = serving.args.iter().chain(&options).copied().collect();
    let process = sandbox.spec(&part.command(serving.command), &args).start()?;
    let deadline = sandbox.deadline();
    let agent = Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        // After an error the server may close a connection that looks good for one more request.
        .max_idle_connections(0)
        .timeout_global(Some(ANSWER))
        .build()
        .into();
    let url = format!("http://127.0.0.1:{port}");
    let mut server = Server { sandbox, process, url, agent };
    let until = Instant::now() + deadline;
    while Instant::now() < until {
        if let Some(ended) = server.process.poll()? {
            return Ok(Err(Some(ended)));
        }
        interrupt::check()?;
        if server.get("/server_info").is_ok_and(|answer| answer.status == 200) {
            return Ok(Ok(server));
        }
        std::thread::sleep(TICK);
    }
    Ok(Err(None))
}

/// A port that was free just now. (`-p 0` means 3000 to Dagster.)
fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to find a free port")?;
    Ok(listener.local_addr()?.port())
}

fn is_clash(ended: &Option<Ended>) -> bool {
    let said = |text: &str| text.to_lowercase().contains("address already in use");
    ended.as_ref().is_some_and(|ended| said(&ended.stderr) || said(&ended.stdout))
}

/// Up to 1.9 the server does not end its code server, which would go by itself once it has missed
/// the heartbeat for 45 seconds. As a service manager does, what is left is told to end; it must
/// obey.
pub fn stop(mut process: Process, what: &str) -> Checked {
    let expected = format!("an end within {} s of SIGTERM", STOP.as_secs());
    process.terminate();
    let Wait::Ended(_) = process.wait(STOP)? else {
        return Ok(Err(vec![Finding::new(what, expected, "it running; it was killed")]));
    };
    let told = process.wait_for_all(STOP)?;
    if told == 0 {
        return Ok(Ok("no process left".to_owned()));
    }
    process.terminate_all();
    Ok(match process.wait_for_all(STOP)? {
        0 => Ok(format!("no process left, {told} of them told by itself")),
        left => Err(vec![Finding::new(
            format!("{left} processes that {what} left"),
            expected,
            "them running; they were killed",
        )]),
    })
}

impl Server {
    fn get(&self, path: &str) -> Result<Answer> {
        let url = format!("{}{path}", self.url);
        let response =
            self.agent.get(&url).call().with_context(|| format!("failed to get `{path}`"))?;
        Answer::read(response).with_context(|| format!("failed to read `{path}`"))
    }

    fn check_info(&self, smoke: &Smoke<'_>) -> Checked {
        let answer = self.get("/server_info")?;
        let info: Value = serde_json::from_str(&answer.body)
            .with_context(|| format!("failed to read `{}`", answer.body))?;
        let version = smoke.version().to_string();
        let findings: Vec<Finding> = SERVER_INFO
            .into_iter()
            .filter(|(key, _)| info[*key] != json!(version))
            .map(|(key, package)| {
                let found = format!("`{}`", words(&info[key]));
                Finding::new(format!("`/server_info` on {package}"), format!("`{version}`"), found)
            })
            .collect();
        Ok(if findings.is_empty() { Ok(version) } else { Err(findings) })
    }

    fn check_page(&self) -> Checked {
        let page = self.get("/")?;
        if page.status != 200 || !page.is_html() {
            let found = format!("{} `{}`", page.status, page.kind);
            return Ok(Err(vec![Finding::new("`/`", "200 `text/html`", found)]));
        }
        let paths = references(&page.body);
        if !paths.iter().any(|path| path_of(path).ends_with(".js")) {
            return Ok(Err(vec![Finding::new("`/`", "a page with scripts", "none")]));
        }
        let mut findings = Vec::new();
        for path in &paths {
            interrupt::check()?;
            // The server answers a file it does not have with the page and 200.
            match self.get(path) {
                Ok(answer)
                    if answer.status == 200
                        && !answer.body.is_empty()
                        && has_type(path, &answer.kind) => {}
                Ok(answer) => findings.push(Finding::new(
                    format!("`{path}`"),
                    format!("200 and {}", type_of(path)),
                    format!("{} `{}`, {} bytes", answer.status, answer.kind, answer.body.len()),
                )),
                Err(error) => {
                    findings.push(Finding::new(format!("`{path}`"), "200", format!("{error:#}")));
                }
            }
        }
        Ok(if findings.is_empty() { Ok(format!("{} files", paths.len())) } else { Err(findings) })
    }

    fn check_graphql(&self, smoke: &Smoke<'_>) -> Checked {
        let response = self
            .agent
            .post(format!("{}/graphql", self.url))
            .content_type("application/json")
            .send(json!({ "query": QUERY }).to_string())
            .context("failed to post to `/graphql`")?;
        let answer = Answer::read(response)?;
        let Ok(body) = serde_json::from_str::<Value>(&answer.body) else {
            bail!("expected JSON from `/graphql`, found {} `{}`", answer.status, answer.kind);
        };
        Ok(check_data(&body, &smoke.version().to_string()))
    }
}

impl Answer {
    fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Self> {
        let status = response.status().as_u16();
        let kind = response.headers().get("content-type");
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        let bytes = response.body_mut().with_config().limit(64 << 20).read_to_vec()?;
        Ok(Self { status, kind, body: String::from_utf8_lossy(&bytes).into_owned() })
    }

    fn is_html(&self) -> bool {
        self.kind.starts_with("text/html")
    }
}

/// Checks the version, the job and the asset in an answer to [`QUERY`].
fn check_data(body: &Value, version: &str) -> Result<String, Vec<Finding>> {
    let data = &body["data"];
    let mut findings = Vec::new();
    if data["version"] != version {
        let found = format!("`{}`", words(&data["version"]));
        findings.push(Finding::new("GraphQL `version`", format!("`{version}`"), found));
    }
    let nodes = data["repositoriesOrError"]["nodes"].as_array().cloned().unwrap_or_default();
    let has = |of: &str, pointer: &str, name: &str| {
        nodes
            .iter()
            .flat_map(|node| node[of].as_array().into_iter().flatten())
            .any(|item| item.pointer(pointer).is_some_and(|value| value == name))
    };
    for (of, pointer, name) in
        [("jobs", "/name", "answer_job"), ("assetNodes", "/assetKey/path/0", "answer")]
    {
        if !has(of, pointer, name) {
            let found = format!("`{}`", words(body));
            findings.push(Finding::new(format!("GraphQL `{of}`"), format!("`{name}`"), found));
        }
    }
    if findings.is_empty() {
        Ok(format!("{version}, lists `answer` and `answer_job`"))
    } else {
        Err(findings)
    }
}

/// The files of the server that a page refers to: paths in `src` and `href`.
fn references(html: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for attribute in ["src=", "href="] {
        for (at, _) in html.match_indices(attribute) {
            let before = html[..at].chars().next_back();
            let rest = &html[at + attribute.len()..];
            let Some(quote) = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))
            else {
                continue;
            };
            let Some((value, _)) = rest[1..].split_once(quote) else { continue };
            let is_attribute = before.is_some_and(char::is_whitespace);
            if is_attribute && value.starts_with('/') && !value.starts_with("//") {
                paths.insert(value.replace("&amp;", "&"));
            }
        }
    }
    paths
}

/// Does a content type fit the name of a file? Lenient: the server asks the system's table.
fn has_type(path: &str, kind: &str) -> bool {
    match type_of(path) {
        "a script" => kind.contains("javascript"),
        "a style sheet" => kind.starts_with("text/css"),
        "an image" => kind.starts_with("image/"),
        _ => !kind.starts_with("text/html"),
    }
}

/// What a file must be, by its name.
fn type_of(path: &str) -> &'static str {
    match path_of(path).rsplit_once('.').map_or("", |(_, extension)| extension) {
        "js" | "mjs" => "a script",
        "css" => "a style sheet",
        "gif" | "ico" | "jpg" | "png" | "svg" | "webp" => "an image",
        _ => "no page",
    }
}

fn path_of(reference: &str) -> &str {
    reference.split(['?', '#']).next().unwrap_or(reference)
}

/// A JSON value in few words.
fn words(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_refer_to_files() {
        let html = r#"<link rel="x" href="/_next/a.css"/><script src='/_next/b.js?x=1&amp;y' async>
            <a href="https://example.invalid/">x</a><a href="//example.invalid/c.js">
            <img data-src="/no.png" src="/icon.png"><script src=/unquoted.js>"#;
        let paths: Vec<String> = references(html).into_iter().collect();
        assert_eq!(paths, ["/_next/a.css", "/_next/b.js?x=1&y", "/icon.png"]);
        assert!(path_of(&paths[1]).ends_with(".js"));
        assert!(has_type(&paths[1], "text/javascript; charset=utf-8"));
        assert!(has_type("/a.webmanifest", "application/octet-stream"));
        for (path, kind) in [("/a.js", "text/plain"), ("/a.png", "text/html"), ("/a", "text/html")]
        {
            assert!(!has_type(path, kind), "{path} {kind}");
        }
    }

    #[test]
    fn graphql_answers() {
        let body = json!({ "data": { "version": "1.9.12", "repositoriesOrError": { "nodes": [{
            "jobs": [{ "name": "__ASSET_JOB" }, { "name": "answer_job" }],
            "assetNodes": [{ "assetKey": { "path": ["answer"] } }],
        }] } } });
        assert!(check_data(&body, "1.9.12").is_ok());
        assert_eq!(check_data(&body, "1.9.13").unwrap_err().len(), 1);
        assert_eq!(check_data(&json!({ "errors": [] }), "1.9.12").unwrap_err().len(), 3);
    }

    #[test]
    fn ports_are_free() {
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, free_port().unwrap())).is_ok());
    }
}
