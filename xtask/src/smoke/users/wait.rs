//! Waiting for what an instance does by itself, by asking again and again.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::super::api::{ask, innermost, words};
use super::super::budget::{Deadline, ROUND};
use super::super::probe::Finding;
use super::super::sandbox::pause;
use super::super::server::Server;
use crate::interrupt;

/// Between two looks: what is asked has to see to what is waited for, too.
const PAUSE: Duration = Duration::from_millis(250);

const DAEMONS: &str = "query { instance { daemonHealth { allDaemonStatuses { \
    daemonType required healthy lastHeartbeatTime \
    lastHeartbeatErrors { message causes { message } } } } } }";

/// Things that began at the same time, so that the time for one of them is that for each.
pub struct Wait<'a> {
    pub server: &'a Server,
    deadline: RefCell<Deadline>,
}

impl<'a> Wait<'a> {
    pub fn start(server: &'a Server) -> Self {
        Self { server, deadline: RefCell::new(server.sandbox.wait(ROUND)) }
    }

    /// Looks until a look says that it is done, up to the deadline; before, it says what it saw.
    pub fn until<T>(
        &self,
        what: &str,
        expected: &str,
        mut look: impl FnMut() -> Result<ControlFlow<T, String>>,
    ) -> Result<T> {
        let mut deadline = self.deadline.borrow_mut();
        loop {
            let asked = Instant::now();
            let seen = match look()? {
                ControlFlow::Break(done) => return Ok(done),
                ControlFlow::Continue(seen) => seen,
            };
            interrupt::check()?;
            if deadline.is_over() {
                let expected = deadline.expected(expected);
                let errors = errors_of_daemons(self.server)?;
                let found = format!("{seen}{errors}; {}", deadline.found());
                bail!(Finding::new(what, expected, found));
            }
            pause(PAUSE.max(asked.elapsed() * 4))?;
        }
    }
}

/// What daemons say went wrong, to be added to a sentence.
fn errors_of_daemons(server: &Server) -> Result<String> {
    let statuses = statuses(server)?;
    let first = statuses.iter().find_map(error_of);
    Ok(first.map_or(String::new(), |error| format!("; {error}")))
}

/// Daemons beat when they start and every 30 seconds, and say then what went wrong before. A beat
/// so many seconds after a start is the second one.
const SECOND_BEAT: f64 = 15.0;
/// This one sleeps until the full minute, and beats then only. What goes wrong in it, the ticks of
/// a schedule say.
const SCHEDULER: &str = "SCHEDULER";

/// Waits until every daemon that must run has said twice since `started`, in seconds since
/// 1970, that it is well: some do what nobody waits for. Says how many there are.
pub fn check_daemons(wait: &Wait<'_>, started: f64) -> Result<usize> {
    let expected = "all healthy, without an error";
    wait.until("daemons", expected, || {
        let statuses = statuses(wait.server)?;
        if let Some(error) = statuses.iter().find_map(error_of) {
            bail!(Finding::new("daemons", expected, error));
        }
        let is_late = |status: &&Value| {
            let beat = status["lastHeartbeatTime"].as_f64().unwrap_or_default();
            let is_second = beat >= started + SECOND_BEAT || status["daemonType"] == SCHEDULER;
            status["required"] == true && (status["healthy"] != true || !is_second)
        };
        Ok(match statuses.iter().find(is_late) {
            Some(late) => ControlFlow::Continue(format!("{} to beat", words(&late["daemonType"]))),
            None => ControlFlow::Break(statuses.len()),
        })
    })
}

fn statuses(server: &Server) -> Result<Vec<Value>> {
    let data = ask(server, "health of the daemons", DAEMONS, &json!({}))?;
    let statuses = &data["instance"]["daemonHealth"]["allDaemonStatuses"];
    Ok(statuses.as_array().cloned().unwrap_or_default())
}

/// The last error of a daemon.
fn error_of(status: &Value) -> Option<String> {
    let error = status["lastHeartbeatErrors"].get(0)?;
    Some(format!("daemon {}: {}", words(&status["daemonType"]), innermost(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_says_what_went_wrong() {
        let status =
            |errors: Value| json!({ "daemonType": "ASSET", "lastHeartbeatErrors": errors });
        assert_eq!(error_of(&status(json!([]))), None);
        let error = json!({ "message": "outer", "causes": [{ "message": "no\nmemory" }] });
        let found = error_of(&status(json!([error])));
        assert_eq!(found.as_deref(), Some("daemon ASSET: no memory"));
    }
}
