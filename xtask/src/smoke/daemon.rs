//! `dagster-daemon`: it starts, beats, says so when asked, and ends by SIGTERM.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::budget::COMMAND;
use super::definitions::Definitions;
use super::probe::{Checked, Finding};
use super::sandbox::{Sandbox, ended_badly, late, pause, stop};
use super::server::Front;
use super::tree::Part;
use crate::interrupt;
use crate::tools::process::Process;

/// Between two questions to a web server.
const PAUSE: Duration = Duration::from_millis(250);

const HEALTH: &str = "query { instance { daemonHealth { allDaemonStatuses { \
    required healthy } } } }";
const LIVENESS: &str = "`dagster-daemon liveness-check`";

const WHAT: &str = "`dagster-daemon run`";

/// The daemon of one `$DAGSTER_HOME`.
pub struct Daemon<'a> {
    sandbox: &'a Sandbox,
    part: &'a Part,
    definitions: Definitions,
    process: RefCell<Option<Process>>,
}

impl<'a> Daemon<'a> {
    /// One that does not run yet.
    pub fn new(sandbox: &'a Sandbox, part: &'a Part, definitions: Definitions) -> Self {
        Self { sandbox, part, definitions, process: RefCell::default() }
    }

    /// Starts it; it beats, or the finding says what it did instead.
    pub fn start(&self, server: Option<&Front>) -> Checked {
        let mut process = self.run()?;
        let alive = wait_until_alive(self.sandbox, self.part, &mut process, server, WHAT)?;
        self.process.replace(alive.is_ok().then_some(process));
        Ok(alive)
    }

    /// Ends it and starts it again, whatever is wrong with how it ended: others wait for it.
    pub fn restart(&self) -> Result<()> {
        let ended = self.end()?;
        self.process.replace(Some(self.run()?));
        ended
            .err()
            .and_then(|findings| findings.into_iter().next())
            .map_or(Ok(()), |one| bail!(one))
    }

    pub fn is_running(&self) -> bool {
        self.process.borrow().is_some()
    }

    /// Ends it, if it runs.
    pub fn end(&self) -> Checked {
        let process = self.process.take().context("no daemon runs")?;
        stop(self.sandbox, process, WHAT)
    }

    fn run(&self) -> Result<Process> {
        let args = ["run", "-f", self.definitions.write(self.sandbox)?];
        self.sandbox.spec(&self.part.command("dagster-daemon"), &args).start()
    }
}

/// Makes the database of a new `$DAGSTER_HOME`: two processes that do so at the same time get in
/// each other's way. What does it must say that no daemon runs.
pub fn prepare(sandbox: &Sandbox, part: &Part) -> Result<Result<(), Finding>> {
    let spec = sandbox.spec(&part.command("dagster-daemon"), &["liveness-check"]);
    Ok(match sandbox.run(LIVENESS, &spec)? {
        Ok(ended) if ended.status.code() == Some(1) => Ok(()),
        Ok(ended) => {
            let expected = "status 1 where no daemon runs";
            Err(Finding::new(LIVENESS, expected, ended_badly(&ended)))
        }
        Err(finding) => Err(finding),
    })
}

/// Does every daemon beat, as far as the web server knows? `None`: it cannot tell.
fn beats(server: &Front) -> Option<bool> {
    let answer = server.graphql(&json!({ "query": HEALTH })).ok()?;
    let daemons = answer["data"]["instance"]["daemonHealth"]["allDaemonStatuses"].as_array()?;
    let required = daemons.iter().filter(|daemon| daemon["required"] == true);
    required.map(|daemon| daemon["healthy"] == true).reduce(|all, one| all && one)
}

/// Asks `dagster-daemon liveness-check` until every daemon beats; not before the web server says
/// so, if there is one, which costs less to ask.
pub fn wait_until_alive(
    sandbox: &Sandbox,
    part: &Part,
    process: &mut Process,
    server: Option<&Front>,
    what: &str,
) -> Checked {
    let mut deadline = sandbox.wait(COMMAND);
    loop {
        if let Some(ended) = process.poll()? {
            return Ok(Err(vec![Finding::new(what, "it to run", ended_badly(&ended))]));
        }
        interrupt::check()?;
        let asked = Instant::now();
        if !deadline.is_over() && server.and_then(beats) == Some(false) {
            pause(PAUSE.max(asked.elapsed()))?;
            continue;
        }
        let spec = sandbox.spec(&part.command("dagster-daemon"), &["liveness-check"]);
        let ended = match sandbox.run(LIVENESS, &spec)? {
            Ok(ended) => ended,
            Err(finding) => return Ok(Err(vec![finding])),
        };
        if ended.status.success() {
            return Ok(Ok("beats".to_owned()));
        }
        if deadline.is_over() {
            let mut finding = late(LIVENESS, "status 0", &deadline, process);
            finding.found = format!("{}; {}", ended_badly(&ended), finding.found);
            return Ok(Err(vec![finding]));
        }
        pause(asked.elapsed())?;
    }
}
