//! `dagster dev`, which brings up the webserver and the daemon from one tree.

use super::context::Context;
use super::daemon;
use super::definitions::Definitions;
use super::probe::{Job, Probe, checked};
use super::sandbox::stop;
use super::server::{Served, Serving, start};
use super::tree::{IMITATES, Part};
use super::users::location;

const RELOAD: &str = "dagster dev reload";

const DEV: Serving = Serving { command: "dagster", args: &["dev"] };

/// The probes of `dagster dev`, which brings up the webserver and the daemon from one tree.
pub fn job<'a>(context: &'a Context<'_>, part: Part, label: impl Fn(&str) -> String) -> Job<'a> {
    let names = ["dagster dev", "dagster dev daemon", RELOAD, "dagster dev end"].map(label);
    Job::new(names.to_vec(), move || probes(context, &names, &part)).taking(10)
}

fn probes(context: &Context<'_>, names: &[String; 4], part: &Part) -> Vec<Probe> {
    let [name, daemon, reload, end] = names;
    let mut started = None;
    let mut probes = vec![Probe::run(name, || {
        if let Err(finding) = daemon::prepare(&context.sandbox(name)?, part)? {
            return Ok(Err(vec![finding]));
        }
        Ok(start(context, name, part, &DEV, &Served::Definitions(Definitions::Plain))?.map(
            |server| {
                let found = format!("answers at {}", server.url);
                started = Some(server);
                found
            },
        ))
    })];
    let Some(mut server) = started else { return probes };
    probes.push(Probe::run(daemon, || {
        let front = server.front().clone();
        let asked = Some(&front);
        daemon::wait_until_alive(&server.sandbox, part, &mut server.process, asked, &DEV.what())
    }));
    // A later one needs all before it: the end of what did not come up says nothing.
    if !probes.iter().all(Probe::has_passed) {
        return probes;
    }
    // Here, and not where users' other probes are: with Python 3.13 a web server that has loaded a
    // location anew twice never ends (`CodeLocation.__del__` waits for a daemon thread when the
    // interpreter is finalized; seen with 1.12.1), which would say nothing of a release.
    probes.push(if context.tree.is_imitation() {
        Probe::skipped(reload, IMITATES)
    } else {
        Probe::run(reload, || {
            let reloaded = location::reload_workspace(&server, Definitions::Plain);
            checked(reloaded.map(|()| "the workspace, with a job that was added".to_owned()))
        })
    });
    probes.push(Probe::run(end, || stop(&server.sandbox, server.process, &DEV.what())));
    probes
}
