//! One instance of Dagster, as its users have it: a `$DAGSTER_HOME`, and over it a web server and a
//! daemon of one tree that load the same definitions. All that needs a server runs on this one.

use super::context::Context;
use super::daemon;
use super::definitions::Definitions;
use super::probe::{Checked, Job, Probe};
use super::sandbox::{Sandbox, stop};
use super::server::{Server, start};
use super::tree::Part;
use super::webserver::{WEBSERVER, check_graphql, check_info};
use super::{ui_files, ui_page};
use crate::tools::process::Process;

const SERVER: [&str; 5] = ["webserver", "server_info", "web page", "ui files", "graphql"];
const SERVER_END: &str = "webserver end";
const DAEMON: &str = "daemon";
const DAEMON_END: &str = "daemon end";

/// The probes of the instance of a part; each needs those before it.
pub fn job<'a>(context: &'a Context<'_>, part: &'a Part) -> Option<Job<'a>> {
    let has = |name: &str| part.packages.iter().any(|package| package.name == name);
    let (has_server, has_daemon) = (has("dagster-webserver"), has("dagster"));
    let mut names: Vec<&str> = Vec::new();
    names.extend(SERVER.iter().filter(|_| has_server));
    names.extend([DAEMON, DAEMON_END].iter().filter(|_| has_daemon));
    names.extend([SERVER_END].iter().filter(|_| has_server));
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    match (has_server, has_daemon) {
        (true, true) => Some(Job::new(names, move || both(context, part))),
        (true, false) => Some(Job::new(names, move || server_alone(context, part))),
        (false, true) => Some(Job::new(names, move || daemon_alone(context, part))),
        (false, false) => None,
    }
}

fn both(context: &Context<'_>, part: &Part) -> Vec<Probe> {
    let definitions =
        if context.tree.is_imitation() { Definitions::Plain } else { Definitions::Users };
    let (mut probes, server) = start_server(context, part, definitions);
    let Some(server) = server else { return probes };
    let mut started = None;
    probes.push(Probe::run(DAEMON, || {
        start_daemon(&server.sandbox, part, definitions, &mut started)
    }));
    let Some(process) = started else { return probes };
    probes.push(Probe::run(DAEMON_END, || stop(process, daemon::WHAT)));
    probes.push(Probe::run(SERVER_END, || stop(server.process, &WEBSERVER.what())));
    probes
}

/// Where there is no daemon.
fn server_alone(context: &Context<'_>, part: &Part) -> Vec<Probe> {
    let (mut probes, server) = start_server(context, part, Definitions::Plain);
    if let Some(server) = server {
        probes.push(Probe::run(SERVER_END, || stop(server.process, &WEBSERVER.what())));
    }
    probes
}

/// Where there is no web server.
fn daemon_alone(context: &Context<'_>, part: &Part) -> Vec<Probe> {
    let mut started = None;
    let mut probes = vec![Probe::run(DAEMON, || {
        let sandbox = context.sandbox(DAEMON)?;
        if let Err(finding) = daemon::prepare(&sandbox, part)? {
            return Ok(Err(vec![finding]));
        }
        start_daemon(&sandbox, part, Definitions::Plain, &mut started)
    })];
    if let Some(process) = started {
        probes.push(Probe::run(DAEMON_END, || stop(process, daemon::WHAT)));
    }
    probes
}

/// The probes of the web server by itself, and the server if it answers.
fn start_server(
    context: &Context<'_>,
    part: &Part,
    definitions: Definitions,
) -> (Vec<Probe>, Option<Server>) {
    let [name, info, page, files, graphql] = SERVER;
    let mut started = None;
    let mut probes = vec![Probe::run(name, || {
        let can_prepare = part.packages.iter().any(|package| package.name == "dagster");
        if can_prepare && let Err(finding) = daemon::prepare(&context.sandbox(name)?, part)? {
            return Ok(Err(vec![finding]));
        }
        Ok(start(context, name, part, &WEBSERVER, definitions)?.map(|server| {
            let found = format!("answers at {}", server.url);
            started = Some(server);
            found
        }))
    })];
    if let Some(server) = &started {
        probes.push(Probe::run(info, || check_info(server, context)));
        probes.push(Probe::run(page, || ui_page::check(server, part, context)));
        probes.push(Probe::run(files, || ui_files::check(server, part, context)));
        probes.push(Probe::run(graphql, || check_graphql(server, context)));
    }
    (probes, started)
}

fn start_daemon(
    sandbox: &Sandbox,
    part: &Part,
    definitions: Definitions,
    started: &mut Option<Process>,
) -> Checked {
    Ok(daemon::start(sandbox, part, definitions)?.map(|process| {
        *started = Some(process);
        "beats".to_owned()
    }))
}
