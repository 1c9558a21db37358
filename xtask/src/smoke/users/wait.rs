//! Waiting for what an instance does by itself, by asking again and again.

use std::ops::ControlFlow;
use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::json;

use super::super::api::{ask, one_line, words};
use super::super::budget::ROUND;
use super::super::probe::Finding;
use super::super::sandbox::pause;
use super::super::server::Server;
use crate::interrupt;

const DAEMONS: &str = "query { instance { daemonHealth { allDaemonStatuses { \
    daemonType lastHeartbeatErrors { message } } } } }";

/// Looks until a look says that it is done, up to the deadline; before, a look says what it saw.
pub fn until<T>(
    server: &Server,
    what: &str,
    expected: &str,
    mut look: impl FnMut() -> Result<ControlFlow<T, String>>,
) -> Result<T> {
    let mut deadline = server.sandbox.wait(ROUND);
    loop {
        let asked = Instant::now();
        let seen = match look()? {
            ControlFlow::Break(done) => return Ok(done),
            ControlFlow::Continue(seen) => seen,
        };
        interrupt::check()?;
        if deadline.is_over() {
            let expected = deadline.expected(expected);
            let found = format!("{seen}{}; {}", errors_of_daemons(server)?, deadline.found());
            bail!(Finding::new(what, expected, found));
        }
        pause(asked.elapsed())?;
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
