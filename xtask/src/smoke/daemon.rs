//! `dagster-daemon`: it starts, beats, says so when asked, and ends by SIGTERM.

use std::time::Instant;

use anyhow::Result;

use super::budget::COMMAND;
use super::context::Context;
use super::definitions;
use super::probe::{Checked, Finding, Job, Probe};
use super::sandbox::{Sandbox, ended_badly, late, pause, stop};
use super::tree::Part;
use crate::interrupt;
use crate::tools::process::Process;

const LIVENESS: &str = "`dagster-daemon liveness-check`";

pub fn job<'a>(context: &'a Context<'_>, part: &'a Part) -> Job<'a> {
    let names = ["daemon", "daemon end"].map(str::to_owned);
    Job::new(names.to_vec(), move || probes(context, part)).taking(11)
}

fn probes(context: &Context<'_>, part: &Part) -> Vec<Probe> {
    let what = "`dagster-daemon run`";
    let mut started = None;
    let mut probes = vec![Probe::run("daemon", || {
        let sandbox = context.sandbox("daemon")?;
        if let Err(finding) = prepare(&sandbox, part)? {
            return Ok(Err(vec![finding]));
        }
        let file = definitions::write(&sandbox)?;
        let args = ["run", "-f", file];
        let mut process = sandbox.spec(&part.command("dagster-daemon"), &args).start()?;
        let alive = wait_until_alive(&sandbox, part, &mut process, what)?;
        started = Some((sandbox, process));
        Ok(alive)
    })];
    if let Some((sandbox, process)) = started.filter(|_| probes[0].has_passed()) {
        probes.push(Probe::run("daemon end", || stop(&sandbox, process, what)));
    }
    probes
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

/// Asks `dagster-daemon liveness-check` until every daemon beats.
pub fn wait_until_alive(
    sandbox: &Sandbox,
    part: &Part,
    process: &mut Process,
    what: &str,
) -> Checked {
    let mut deadline = sandbox.wait(COMMAND);
    loop {
        if let Some(ended) = process.poll()? {
            return Ok(Err(vec![Finding::new(what, "it to run", ended_badly(&ended))]));
        }
        interrupt::check()?;
        let spec = sandbox.spec(&part.command("dagster-daemon"), &["liveness-check"]);
        let asked = Instant::now();
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
