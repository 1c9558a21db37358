//! `dagster-daemon`: it starts, beats, and says so when asked.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::definitions::Definitions;
use super::probe::{Checked, Finding};
use super::sandbox::{Sandbox, ended_badly};
use super::tree::Part;
use crate::interrupt;
use crate::tools::process::Process;

/// Between two questions: each one starts a Python.
const PAUSE: Duration = Duration::from_millis(500);

const LIVENESS: &str = "`dagster-daemon liveness-check`";

/// The command in words.
pub const WHAT: &str = "`dagster-daemon run`";

/// Starts the daemon over a file of definitions; it beats, or the finding says what it did instead.
pub fn start(
    sandbox: &Sandbox,
    part: &Part,
    definitions: Definitions,
) -> Result<Result<Process, Vec<Finding>>> {
    let args = ["run", "-f", definitions.write(sandbox)?];
    let mut process = sandbox.spec(&part.command("dagster-daemon"), &args).start()?;
    Ok(wait_until_alive(sandbox, part, &mut process, WHAT)?.map(|_| process))
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
    let start = Instant::now();
    loop {
        if let Some(ended) = process.poll()? {
            return Ok(Err(vec![Finding::new(what, "it to run", ended_badly(&ended))]));
        }
        interrupt::check()?;
        let spec = sandbox.spec(&part.command("dagster-daemon"), &["liveness-check"]);
        let ended = match sandbox.run(LIVENESS, &spec)? {
            Ok(ended) => ended,
            Err(finding) => return Ok(Err(vec![finding])),
        };
        if ended.status.success() {
            return Ok(Ok("beats".to_owned()));
        }
        if start.elapsed() > sandbox.deadline() {
            let expected = format!("status 0 within {} s", sandbox.deadline().as_secs_f64());
            return Ok(Err(vec![Finding::new(LIVENESS, expected, ended_badly(&ended))]));
        }
        std::thread::sleep(PAUSE);
    }
}
