//! What users do with the command `dagster`, beside starting servers: they look at an instance and
//! migrate it, list what there is, start a project and load it, export a run and look at it
//! elsewhere, launch, materialize, wipe, start, stop and delete.
//!
//! A job is executed as ever, in a `$DAGSTER_HOME` of its own; the commands on that run in forks of
//! one interpreter (`python/commands.py`). The database that is migrated is the same one, after its
//! last migrations were undone by themselves.

mod checks;
mod effects;
mod home;
mod migrated;
mod previews;
mod said;
mod upkeep;

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use self::checks::{STEPS, prepare};
use self::home::{Done, Home};
use self::said::EXPORT;
use super::api::{ask_for, words};
use super::context::Context;
use super::definitions::Definitions;
use super::interpreter::{follow, start_in_place_of};
use super::probe::{Checked, Job, Probe, checked};
use super::runs;
use super::sandbox::{ended_badly, stop};
use super::server::{Served, Serving, start};
use super::tree::{IMITATES, Part};

const COMMANDS: &str = include_str!("../python/commands.py");
const EXECUTE: &str = "job execute";
const DEBUG: &str = "debug webserver";
const SERVING: Serving = Serving { command: "dagster-webserver-debug", args: &[] };

const RUN: &str = "query ($id: ID!) { runOrError(runId: $id) { __typename \
    ... on Run { status } ... on Error { message } } }";

/// Probes that only Dagster itself can answer.
pub fn names() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|(name, ..)| *name).chain([DEBUG])
}

/// The probes of a part; `server` has `dagster-webserver-debug`.
pub fn job<'a>(context: &'a Context<'_>, part: &'a Part, server: Option<&'a Part>) -> Job<'a> {
    let mut all = vec![EXECUTE.to_owned()];
    all.extend(names().filter(|name| *name != DEBUG || server.is_some()).map(str::to_owned));
    let names = all.clone();
    let run = move || {
        let mut probes = vec![Probe::run(EXECUTE, || runs::execute(context, part, EXECUTE))];
        if context.tree.is_imitation() {
            probes.extend(names[1..].iter().map(|name| Probe::skipped(name, IMITATES)));
        } else if probes[0].has_passed() {
            probes.extend(after_run(context, part, server));
        }
        probes
    };
    Job::new(all, run).taking(45)
}

/// The probes of a home with a run in it.
fn after_run(context: &Context<'_>, part: &Part, server: Option<&Part>) -> Vec<Probe> {
    let mut came_of = None;
    let start = Probe::run(STEPS[0].0, || {
        checked(context.sandbox(EXECUTE).and_then(Home::after_run).and_then(|home| {
            let done = run_steps(&home, part)?;
            came_of = Some((home, done));
            Ok(String::new())
        }))
    });
    let Some((home, (done, otherwise))) = came_of else { return vec![start] };
    let mut done = done.into_iter();
    let mut probes = Vec::new();
    for (name, commands, check) in STEPS {
        let commands = commands(&home);
        let done: Vec<Done> = done.by_ref().take(commands.len()).collect();
        let has_ended = done.len() == commands.len();
        let took = Duration::from_secs_f64(done.iter().map(|done| done.seconds).sum());
        let probe = Probe::run(name, || {
            checked(
                home.said(name, &commands, &done, &otherwise).and_then(|said| check(&home, &said)),
            )
        });
        probes.push(Probe { took, ..probe });
        if !has_ended {
            return probes;
        }
    }
    if let Some(server) = server {
        let is_there = home.sandbox.path(EXPORT).is_file();
        probes.push(if is_there {
            Probe::run(DEBUG, || debug_webserver(context, server, &home))
        } else {
            Probe::skipped(DEBUG, "it needs `debug export`")
        });
    }
    probes
}

/// Runs the commands of all steps. What came of each, and how the last one failed to end, if so.
fn run_steps(home: &Home, part: &Part) -> Result<(Vec<Done>, String)> {
    let sandbox = &home.sandbox;
    Definitions::Users.write(sandbox)?;
    prepare(home)?;
    let file = sandbox.write("commands.py", COMMANDS)?;
    let mut steps = Vec::new();
    for (name, commands, _) in STEPS {
        for (at, mut command) in commands(home).into_iter().enumerate() {
            command["log"] = json!(home.log(name, at));
            steps.push(command);
        }
    }
    sandbox.write("steps.json", &json!(steps).to_string())?;
    let mut process = start_in_place_of(&part.command("dagster"), sandbox, &file)?;
    let (done, ended) = follow(sandbox, &mut process, "done.json", Vec::len)?;
    let otherwise = match ended {
        Ok(ended) => ended_badly(&ended),
        Err(deadline) => format!("it hanging for {}; it was killed", deadline.found()),
    };
    Ok((done, otherwise))
}

/// Has the exported run shown, where nobody has its home.
fn debug_webserver(context: &Context<'_>, part: &Part, home: &Home) -> Checked {
    let export = home.sandbox.path(EXPORT);
    let server = match start(context, DEBUG, part, &SERVING, &Served::Export(export))? {
        Ok(server) => server,
        Err(findings) => return Ok(Err(findings)),
    };
    let shown = checked(
        ask_for(&server, ("runOrError", "Run"), RUN, &json!({ "id": home.run }))
            .map(|run| format!("shows the run, a `{}`", words(&run["status"]))),
    )?;
    let ended = stop(&server.sandbox, server.process, &SERVING.what())?;
    Ok(shown.and_then(|shown| ended.map(|_| shown)))
}
