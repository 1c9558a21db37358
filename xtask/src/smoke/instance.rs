//! One instance of Dagster, as its users have it: a `$DAGSTER_HOME`, and over it a web server and a
//! daemon of one tree that load the same definitions. All that needs a server runs on this one.

use super::context::Context;
use super::daemon::{self, Daemon};
use super::definitions::Definitions;
use super::probe::{Job, Probe};
use super::report::NOT_ASKED_FOR;
use super::sandbox::stop;
use super::server::{Served, Server, start};
use super::tree::{IMITATES, Part};
use super::users::{self, Users};
use super::webserver::{WEBSERVER, check_graphql, check_info};
use super::{ui_files, ui_page};

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
    names.extend([DAEMON].iter().filter(|_| has_daemon));
    names.extend(users::names().filter(|_| has_server && has_daemon));
    names.extend([DAEMON_END].iter().filter(|_| has_daemon));
    names.extend([SERVER_END].iter().filter(|_| has_server));
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    match (has_server, has_daemon) {
        (true, true) => Some(Job::new(names, move || both(context, part)).taking(60)),
        (true, false) => Some(Job::new(names, move || server_alone(context, part))),
        (false, true) => Some(Job::new(names, move || daemon_alone(context, part))),
        (false, false) => None,
    }
}

fn both(context: &Context<'_>, part: &Part) -> Vec<Probe> {
    let is_imitation = context.tree.is_imitation();
    let definitions = if is_imitation { Definitions::Plain } else { Definitions::Users };
    let (mut probes, server) = start_server(context, part, definitions);
    let Some(server) = server else { return probes };
    let why_not = match probes.last() {
        _ if is_imitation => Some(IMITATES.to_owned()),
        Some(last) if !last.has_passed() => Some(format!("it needs `{}`", last.name)),
        _ => None,
    };
    let of_daemon: Vec<&str> =
        [DAEMON].into_iter().chain(users::names()).chain([DAEMON_END]).collect();
    if of_daemon.iter().any(|name| context.is_asked_for(name)) {
        probes.extend(with_daemon(context, &server, part, definitions, why_not));
    } else {
        probes.extend(of_daemon.into_iter().map(|name| Probe::skipped(name, NOT_ASKED_FOR)));
    }
    probes
        .push(Probe::run(SERVER_END, || stop(&server.sandbox, server.process, &WEBSERVER.what())));
    probes
}

/// The probes of the daemon, and those of users unless there is a reason to skip them.
fn with_daemon(
    context: &Context<'_>,
    server: &Server,
    part: &Part,
    definitions: Definitions,
    why_not: Option<String>,
) -> Vec<Probe> {
    let daemon = Daemon::new(&server.sandbox, part, definitions);
    let restart = || daemon.restart();
    let users = why_not.is_none().then(|| Users::ask(context, part, server, &restart));
    let mut probes = vec![Probe::run(DAEMON, || daemon.start(Some(server.front())))];
    match users.filter(|_| probes[0].has_passed()) {
        Some(users) => probes.extend(users.probes()),
        None => {
            let why = why_not.unwrap_or_else(|| format!("it needs `{DAEMON}`"));
            probes.extend(users::names().map(|name| Probe::skipped(name, &why)));
        }
    }
    probes.push(if daemon.is_running() {
        Probe::run(DAEMON_END, || daemon.end())
    } else {
        Probe::skipped(DAEMON_END, "no daemon runs")
    });
    probes
}

/// Where there is no daemon.
fn server_alone(context: &Context<'_>, part: &Part) -> Vec<Probe> {
    let (mut probes, server) = start_server(context, part, Definitions::Plain);
    if let Some(server) = server {
        probes.push(Probe::run(SERVER_END, || {
            stop(&server.sandbox, server.process, &WEBSERVER.what())
        }));
    }
    probes
}

/// Where there is no web server.
fn daemon_alone(context: &Context<'_>, part: &Part) -> Vec<Probe> {
    let mut made = None;
    let prepared = Probe::run(DAEMON, || {
        let sandbox = context.sandbox(DAEMON)?;
        let prepared = daemon::prepare(&sandbox, part)?;
        made = Some(sandbox);
        Ok(prepared.map(|()| String::new()).map_err(|finding| vec![finding]))
    });
    let Some(sandbox) = made.filter(|_| prepared.has_passed()) else { return vec![prepared] };
    let daemon = Daemon::new(&sandbox, part, Definitions::Plain);
    let mut probes = vec![Probe::run(DAEMON, || daemon.start(None))];
    if daemon.is_running() {
        probes.push(Probe::run(DAEMON_END, || daemon.end()));
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
        Ok(start(context, name, part, &WEBSERVER, &Served::Definitions(definitions))?.map(
            |server| {
                let found = format!("answers at {}", server.url);
                started = Some(server);
                found
            },
        ))
    })];
    if let Some(server) = &started {
        probes.push(Probe::run(info, || check_info(server, context)));
        probes.push(Probe::run(page, || ui_page::check(server, part, context)));
        probes.push(Probe::run(files, || ui_files::check(server, part, context)));
        probes.push(Probe::run(graphql, || check_graphql(server, context)));
    }
    (probes, started)
}
