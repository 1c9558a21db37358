//! Waiting for what an instance does by itself, by asking again and again.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;

use super::super::api::{ask, one_line, words};
use super::super::budget::{Deadline, ROUND};
use super::super::probe::Finding;
use super::super::sandbox::pause;
use super::super::server::Server;
use crate::interrupt;

/// Between two looks: what is asked has to see to what is waited for, too.
const PAUSE: Duration = Duration::from_millis(250);

const DAEMONS: &str = "query { instance { daemonHealth { allDaemonStatuses { \
    daemonType lastHeartbeatErrors { message } } } } }";

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
    let data = ask(server, "health of the daemons", DAEMONS, &json!({}))?;
    let daemons = &data["instance"]["daemonHealth"]["allDaemonStatuses"];
    let first = daemons.as_array().into_iter().flatten().find_map(|daemon| {
        let error = daemon["lastHeartbeatErrors"].get(0)?;
        let message = one_line(&words(&error["message"]));
        Some(format!("; daemon {}: {message}", words(&daemon["daemonType"])))
    });
    Ok(first.unwrap_or_default())
}
