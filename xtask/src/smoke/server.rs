//! A command that serves the web UI, from its start on a port of its own to its end by SIGTERM; and
//! the probes of `dagster-webserver`.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use ureq::Agent;

use super::budget::{ANSWER, Budget, COMMAND};
use super::context::Context;
use super::definitions::Definitions;
use super::probe::Finding;
use super::sandbox::{Sandbox, ended_badly, late};
use super::tree::Part;
use crate::interrupt;
use crate::tools::process::{Ended, Process};

const TICK: Duration = Duration::from_millis(100);
/// Somebody else may take the port between our asking for a free one and the server's binding it.
const STARTS: usize = 3;

/// A command that serves the web UI.
pub struct Serving {
    pub command: &'static str,
    /// What comes before the options.
    pub args: &'static [&'static str],
}

impl Serving {
    /// The command in words.
    pub fn what(&self) -> String {
        let words: Vec<&str> = std::iter::once(&self.command).chain(self.args).copied().collect();
        format!("`{}`", words.join(" "))
    }
}

/// What a command serves.
pub enum Served {
    Definitions(Definitions),
    /// A run that was exported to a file.
    Export(PathBuf),
}

impl Served {
    fn options(&self, sandbox: &Sandbox, port: u16) -> Result<Vec<String>> {
        let port = port.to_string();
        let options = match self {
            Self::Definitions(definitions) => {
                vec!["-h", "127.0.0.1", "-p", &port, "-f", definitions.write(sandbox)?]
            }
            Self::Export(_) => vec!["-p", &port],
        };
        let mut options: Vec<String> = options.into_iter().map(str::to_owned).collect();
        if let Self::Export(file) = self {
            options.push(file.display().to_string());
        }
        Ok(options)
    }
}

/// A server that answers.
pub struct Server {
    pub sandbox: Sandbox,
    pub process: Process,
    pub url: String,
    front: Front,
}

/// Where a server is asked.
#[derive(Clone)]
pub struct Front {
    url: String,
    agent: Agent,
    budget: Budget,
}

/// One answer.
pub struct Answer {
    pub status: u16,
    /// `Content-Type`.
    pub kind: String,
    pub body: String,
}

/// Starts a server; it answers, or the finding says what it did instead.
pub fn start(
    context: &Context<'_>,
    probe: &str,
    part: &Part,
    serving: &Serving,
    served: &Served,
) -> Result<Result<Server, Vec<Finding>>> {
    let what = serving.what();
    let mut starts = 1;
    loop {
        let sandbox = context.sandbox(probe)?;
        match start_at(sandbox, part, serving, served)? {
            Err(Silent::Ended(ended)) if starts < STARTS && is_clash(&ended) => starts += 1,
            Err(Silent::Ended(ended)) => {
                return Ok(Err(vec![Finding::new(what, "it to run", ended_badly(&ended))]));
            }
            Err(Silent::Late(finding)) => return Ok(Err(vec![finding])),
            Ok(server) => return Ok(Ok(server)),
        }
    }
}

/// Why a server gave no answer.
enum Silent {
    Ended(Ended),
    Late(Finding),
}

/// Starts the server and waits until it answers.
fn start_at(
    mut sandbox: Sandbox,
    part: &Part,
    serving: &Serving,
    served: &Served,
) -> Result<Result<Server, Silent>> {
    let port = free_port()?;
    sandbox.allow_port(port);
    let mut args: Vec<String> = serving.args.iter().map(|&arg| arg.to_owned()).collect();
    args.extend(served.options(&sandbox, port)?);
    let process = sandbox.spec(&part.command(serving.command), &args).start()?;
    let mut deadline = sandbox.wait(COMMAND);
    let agent = Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        // After an error the server may close a connection that looks good for one more request.
        .max_idle_connections(0)
        // Whoever asks waits less long than that: see `in_time`.
        .timeout_global(Some(sandbox.ceiling()))
        .build()
        .into();
    let url = format!("http://127.0.0.1:{port}");
    let front = Front { url: url.clone(), agent, budget: sandbox.budget().clone() };
    let mut server = Server { sandbox, process, url, front };
    loop {
        if let Some(ended) = server.process.poll()? {
            return Ok(Err(Silent::Ended(ended)));
        }
        interrupt::check()?;
        if server.get("/server_info").is_ok_and(|answer| answer.status == 200) {
            return Ok(Ok(server));
        }
        if deadline.is_over() {
            let finding = late(&serving.what(), "an answer", &deadline, &mut server.process);
            return Ok(Err(Silent::Late(finding)));
        }
        std::thread::sleep(TICK);
    }
}

/// A port that was free just now. (`-p 0` means 3000 to Dagster.)
fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to find a free port")?;
    Ok(listener.local_addr()?.port())
}

fn is_clash(ended: &Ended) -> bool {
    let said = |text: &str| text.to_lowercase().contains("address already in use");
    said(&ended.stderr) || said(&ended.stdout)
}

impl Server {
    pub fn front(&self) -> &Front {
        &self.front
    }

    pub fn get(&self, path: &str) -> Result<Answer> {
        self.front.get(path)
    }

    /// Posts a GraphQL request, an object with `query`; returns the answer as it is.
    pub fn graphql(&self, request: &Value) -> Result<Value> {
        self.front.graphql(request)
    }
}

impl Front {
    fn get(&self, path: &str) -> Result<Answer> {
        let request = self.agent.get(format!("{}{path}", self.url));
        self.in_time(move || Answer::read(request.call()?))
            .with_context(|| format!("failed to get `{path}`"))
    }

    /// Posts a GraphQL request, an object with `query`; returns the answer as it is.
    pub fn graphql(&self, request: &Value) -> Result<Value> {
        let post =
            self.agent.post(format!("{}/graphql", self.url)).content_type("application/json");
        let body = request.to_string();
        let answer = self
            .in_time(move || Answer::read(post.send(body)?))
            .context("failed to post to `/graphql`")?;
        match serde_json::from_str(&answer.body) {
            Ok(body) => Ok(body),
            Err(_) => {
                bail!("expected JSON from `/graphql`, found {} `{}`", answer.status, answer.kind)
            }
        }
    }

    /// Makes a request beside, since it cannot be left while it waits; one that is given up ends
    /// with its server.
    fn in_time(&self, request: impl FnOnce() -> Result<Answer> + Send + 'static) -> Result<Answer> {
        let (sender, receiver) = channel();
        std::thread::spawn(move || sender.send(request()));
        let mut deadline = self.budget.wait(ANSWER);
        loop {
            match receiver.recv_timeout(TICK) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Disconnected) => bail!("the request came to nothing"),
                Err(RecvTimeoutError::Timeout) => {}
            }
            interrupt::check()?;
            if deadline.is_over() {
                let expected = deadline.expected("an answer");
                bail!("expected {expected}, found none after {}", deadline.found());
            }
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free() {
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, free_port().unwrap())).is_ok());
    }
}
