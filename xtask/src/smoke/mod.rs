//! The gate: runs what was built, as its users will, and lets nothing through that does not work.
//!
//! A tree (`tree.rs`) is a variant's outputs or any directory with Dagster in it. Its probes
//! (`probe.rs`) are independent and all of them run (`runner.rs`), a file of this directory for
//! each subject; each says what it expected and found, and any that fails fails the tree
//! (`report.rs`). They see no variable of ours, no home of ours, and no network but loopback is
//! needed (`sandbox.rs`). Nothing is built here, and nothing in a tree is written to.

mod access;
mod api;
mod budget;
mod children;
mod closure;
mod command_line;
mod commands;
mod context;
mod daemon;
mod declared;
mod definitions;
mod dev;
mod documents;
mod each;
mod environment;
mod foreign;
pub mod formats;
mod installed;
mod instance;
mod interpreter;
mod isolation;
mod javascript;
mod junit;
mod neighbours;
pub mod places;
mod probe;
pub mod report;
mod runner;
mod runs;
mod sandbox;
mod second;
mod server;
mod survivors;
pub mod tree;
mod ui_chunks;
mod ui_files;
mod ui_operations;
mod ui_page;
mod users;
mod webserver;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::Result;

use self::budget::Budget;
use self::context::Context;
pub use self::context::Last;
use self::environment::Together;
use self::places::Places;
use self::probe::{Job, Probe};
use self::report::{NOT_ASKED_FOR, Report};
use self::tree::Tree;
use crate::failure::Failure;
use crate::interrupt;
use crate::model::config;
use crate::tools::descendants;
use crate::ui;

/// The probes that only Dagster itself can answer. An imitation that says what it is skips them,
/// and whoever has it tested must allow that by these names.
pub const ONLY_OF_DAGSTER: [&str; 58] = [
    "migrations",
    "migrations of dagster",
    ui_operations::NAME,
    "instance info",
    "run list",
    "debug export",
    "project scaffold",
    "workspace",
    "temporary instance",
    "job list",
    "asset list",
    "job print",
    "code server",
    "schedule preview",
    "sensor preview",
    "job backfill",
    "sensor cursor",
    "instance concurrency",
    "run wipe",
    "schedule list",
    "sensor list",
    "debug import",
    "asset wipe",
    "asset materialize --partition",
    "asset wipe-partitions-status-cache",
    "job launch",
    "run migrate-repository",
    "schedule start",
    "sensor start",
    "schedule restart",
    "daemon heartbeats",
    "run delete",
    "instance migrate",
    "instance reindex",
    "debug webserver",
    "launch a run",
    "run events",
    "captured logs",
    "terminate a run",
    "failing run",
    "materialize an asset",
    "materialize a partition",
    "sensor",
    "schedule",
    "backfill",
    "automation",
    "run status sensor",
    "run retry",
    "ui queries",
    "ui mutations",
    users::CLIENTS,
    runs::LIBRARY,
    users::BROWSER,
    "wipe an asset",
    "reload",
    "daemon health",
    "dagster dev reload",
    "dagster dev reload of pair",
];

/// What every command that smokes takes.
#[derive(clap::Args, Clone, Default)]
pub struct Options {
    /// A probe that may be skipped; may be given more than once
    #[arg(
        long = "allow-skip",
        value_name = "PROBE",
        env = "XTASK_ALLOW_SKIP",
        value_delimiter = ','
    )]
    pub may_skip: Vec<String>,
    /// Run this probe only, with those that it needs; may be given more than once. Such a test does
    /// not pass
    #[arg(long = "only", value_name = "PROBE")]
    pub only: Vec<String>,
    /// Start no probe after one that failed
    #[arg(long)]
    pub fail_fast: bool,
    /// Write the smoke report as json, junit or markdown (added to the file); may be given more
    /// than once
    #[arg(long = "report", value_name = "KIND=FILE")]
    pub reports: Vec<formats::Target>,
    /// Where to keep what each command wrote, if a tree does not pass; else that stays where it was
    /// written, below $TMPDIR
    #[arg(long, value_name = "DIR")]
    pub logs: Option<PathBuf>,
}

/// Runs all probes of a tree. The failure is there when it did not pass, or not all of them ran
/// because this program was told to end; then the logs are kept.
///
/// # Errors
/// What kept it from starting.
pub fn smoke(
    tree: &Tree,
    places: Places,
    limits: &config::Smoke,
    checkout: Option<&Path>,
    last: Option<Last>,
    options: &Options,
) -> Result<(Report, Option<Failure>)> {
    ui::step("Smoking", format!("`{}` {}, a {}", tree.name, tree.version, tree.kind));
    let start = Instant::now();
    let dir = places.scratch()?;
    let context = Context {
        tree,
        together: environment::of(tree, &dir.join("together"))?,
        pair: environment::pair(tree, &dir.join("pair"))?,
        access: access::of(tree, &dir),
        temporary: places.temporary()?,
        limits,
        budget: Budget::start(limits, &dir),
        scratch: dir,
        checkout,
        last,
        only: &options.only,
        closure: Mutex::new(None),
        documents: Mutex::new(None),
    };
    let before = descendants::now();
    let run = |jobs: &[Job<'_>]| runner::run_all(jobs, &context.budget, options.fail_fast);
    let probes = match tree.check_installed() {
        Ok(()) => {
            let jobs = jobs(&context);
            anyhow::ensure!(!jobs.is_empty(), "no probe fits `{}`", tree.name);
            let (jobs, others) = selected(jobs, &options.only)?;
            let mut probes = run(&jobs);
            probes.extend(others.iter().flat_map(|job| job.skipped(NOT_ASKED_FOR)));
            probes.push(survivors::probe(&before, &context.budget));
            probes
        }
        // Every other finding would say the same.
        Err(finding) => {
            run(&[Job::one("installed", move |_| Ok(Err(vec![finding.clone()]))).taking(0)])
        }
    };
    let closure = context.closure.lock().ok().and_then(|closure| *closure);
    let mut report = Report {
        tree: tree.name.clone(),
        kind: tree.kind.to_string(),
        version: tree.version.clone(),
        took: start.elapsed(),
        probes,
        closure,
        // Not every machine has one. The report says so.
        may_skip: options.may_skip.iter().cloned().chain([users::BROWSER.to_owned()]).collect(),
        is_interrupted: interrupt::is_set(),
        logs: None,
    };
    if report.has_passed() {
        let seconds = report.took.as_secs_f64();
        let (passed, skipped): (Vec<&Probe>, Vec<&Probe>) =
            report.probes.iter().partition(|probe| probe.has_passed());
        let passed = passed.len();
        let skipped = match &skipped[..] {
            [] => String::new(),
            [one] => format!(", `{}` skipped", one.name),
            some => format!(", {} skipped", some.len()),
        };
        ui::step("Passed", format!("`{}`: {passed} probes in {seconds:.1} s{skipped}", tree.name));
    } else if !report.is_interrupted || options.logs.is_some() {
        report.logs = Some(places.keep(options.logs.as_deref(), &tree.name));
    }
    let failure = report.failure();
    Ok((report, failure))
}

/// The jobs with probes of some names, and the others. All, where no name is given.
///
/// # Errors
/// When no probe has a name.
fn selected<'a>(jobs: Vec<Job<'a>>, only: &[String]) -> Result<(Vec<Job<'a>>, Vec<Job<'a>>)> {
    let has = |name: &String| jobs.iter().any(|job| job.names().contains(name));
    if let Some(name) = only.iter().find(|name| !has(name)) {
        let names = jobs.iter().flat_map(Job::names).map(|name| format!("`{name}`"));
        let names = names.collect::<Vec<_>>().join(", ");
        return Err(Failure::usage(format!("there is no probe `{name}`"))
            .hint(format!("there are {names}"))
            .into());
    }
    let is_asked_for =
        |job: &Job<'_>| only.is_empty() || job.names().iter().any(|name| only.contains(name));
    Ok(jobs.into_iter().partition(is_asked_for))
}

/// All probes; what says most about what is wrong comes first, and is the headline.
fn jobs<'a>(context: &'a Context<'_>) -> Vec<Job<'a>> {
    let mut jobs: Vec<Job<'a>> = Vec::new();
    for part in &context.tree.parts {
        if part.packages.is_empty() {
            jobs.push(Job::one(part.label("source"), |_| part.check_source()).taking(0));
        } else {
            jobs.push(
                Job::one(part.label("commands"), |_| part.check_commands(context.tree)).taking(0),
            );
        }
    }
    for part in &context.tree.parts {
        if part.has_commands() {
            jobs.push(installed::job(context, part));
        }
    }
    for part in &context.tree.parts {
        jobs.extend(commands::jobs(context, part));
    }
    if let Some(Together { part, merged, .. }) = &context.together {
        jobs.push(Job::one(part.name.as_str(), |_| Ok(merged.clone())).taking(0));
        jobs.push(
            Job::one(part.label("commands"), |_| part.check_commands(context.tree)).taking(0),
        );
    }
    if let Some(part) = context.tree.part_of("dagster") {
        jobs.push(isolation::job(context, part));
        jobs.extend(runs::dagster(context, part));
        jobs.push(runs::library(context, part));
        let merged = context.together.as_ref().map(|together| &together.part);
        let server = context.tree.part_of("dagster-webserver").map(|own| merged.unwrap_or(own));
        jobs.push(command_line::job(context, part, server));
    }
    if let Some(part) = context.tree.part_of("dagster-graphql") {
        jobs.push(runs::graphql(context, part));
    }
    // As users have them: among the others.
    let merged = context.together.as_ref().map(|together| &together.part);
    if let Some(part) = context.tree.part_of("dagster") {
        jobs.push(children::job(context, merged.unwrap_or(part)));
    }
    let last = context.tree.part_of("dagster-webserver").or(context.tree.part_of("dagster"));
    jobs.extend(merged.or(last).and_then(|part| instance::job(context, part)));
    if let Some(part) = context.tree.part_of("dagster-webserver") {
        let part = merged.unwrap_or(part);
        // `dagster` starts the other.
        if part.packages.iter().any(|package| package.name == "dagster") {
            jobs.push(dev::job(context, part.clone(), str::to_owned));
        }
    }
    if let Some(pair) = &context.pair {
        jobs.push(neighbours::job(context, pair));
        let part = pair.through_links();
        jobs.push(dev::job(context, part, |name| pair.part.label(name)));
    }
    jobs.extend(closure::jobs(context));
    if cfg!(feature = "one-probe") {
        ui::warning("this build of the tool is for tests/faults: it runs one probe");
        jobs.truncate(1);
    }
    jobs
}

#[cfg(test)]
mod tests;
