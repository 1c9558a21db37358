//! A command that serves the web UI, from its start on a port of its own to its end by SIGTERM; and
//! the probes of `dagster-webserver`.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use ureq::Agent;

use super::context::Context;
use super::definitions::Definitions;
use super::probe::Finding;
use super::sandbox::{Sandbox, ended_badly};
use super::tree::Part;
use crate::interrupt;
use crate::tools::process::{Ended, Process};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);
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

/// A server that answers.
pub struct Server {
    pub sandbox: Sandbox,
    pub process: Process,
    pub url: String,
    agent: Agent,
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
    definitions: Definitions,
) -> Result<Result<Server, Vec<Finding>>> {
    let what = serving.what();
    let mut starts = 1;
    loop {
        let sandbox = context.sandbox(probe)?;
        let expected = format!("an answer within {} s", sandbox.deadline().as_secs_f64());
        match start_at(sandbox, part, serving, definitions)? {
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
    definitions: Definitions,
) -> Result<Result<Server, Option<Ended>>> {
    let file = definitions.write(&sandbox)?;
    let port = free_port()?.to_string();
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

impl Server {
    pub fn get(&self, path: &str) -> Result<Answer> {
        let url = format!("{}{path}", self.url);
        let response =
            self.agent.get(&url).call().with_context(|| format!("failed to get `{path}`"))?;
        Answer::read(response).with_context(|| format!("failed to read `{path}`"))
    }

    /// Posts a GraphQL request, an object with `query`; returns the answer as it is.
    pub fn graphql(&self, request: &Value) -> Result<Value> {
        let response = self
            .agent
            .post(format!("{}/graphql", self.url))
            .content_type("application/json")
            .send(request.to_string())
            .context("failed to post to `/graphql`")?;
        let answer = Answer::read(response).context("failed to read `/graphql`")?;
        match serde_json::from_str(&answer.body) {
            Ok(body) => Ok(body),
            Err(_) => {
                bail!("expected JSON from `/graphql`, found {} `{}`", answer.status, answer.kind)
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
