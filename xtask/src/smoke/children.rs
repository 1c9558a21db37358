//! What the processes see that Dagster starts: by `sys.executable` all that the tree has, with a
//! Python of the user's own nothing of it.
//!
//! One run, with a step in a process of its own, starts a child through `sys.executable`, a plain
//! one, and one by Dagster Pipes; a code location has its own `executable_path`. The latter three
//! are started with a second Python of another version (`second.rs`), which has packages of its
//! own under names that the tree has, too, one of them compiled. Each child writes down where it
//! finds them, its `sys.path`, and the variables in its environment that an interpreter or a
//! loader reads; that is compared with what the second Python sees by itself. Where a machine has
//! no second Python, the variables are all that can be looked at, and the probes say so.
//!
//! The location's executable is a script: it has the second Python write its report, then serves
//! with the tree's own, since a second Dagster is not to be had here.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::json;

use super::context::Context;
use super::definitions;
use super::interpreter::{Python, whereabouts};
use super::probe::{Checked, Finding, Job, Probe};
use super::sandbox::{Sandbox, ended_badly};
use super::second::{Second, Seen, modules, write_child};
use super::tree::Part;

const CHILDREN: &str = include_str!("python/children.py");

/// What came of each child, as `python/children.py` writes it: nothing, or what went wrong.
#[derive(Deserialize)]
struct CameOf {
    own: Option<String>,
    plain: Option<String>,
    pipes: Option<String>,
    /// The version that the child of Dagster Pipes reported.
    reported: Option<String>,
}

/// The tree's Python, and the other one if there is any.
pub struct Pythons {
    own: Python,
    second: Option<Second>,
}

/// The probes of one run's children, and of a code location's.
pub fn job<'a>(context: &'a Context<'_>, part: &'a Part) -> Job<'a> {
    let names = ["sys.executable", "subprocess", "pipes", "code location"].map(str::to_owned);
    Job::new(names.to_vec(), move || run(context, part)).taking(13)
}

fn run(context: &Context<'_>, part: &Part) -> Vec<Probe> {
    let mut started = None;
    let mut found = vec![Probe::run("sys.executable", || {
        let pythons = match Pythons::find(context, part)? {
            Ok(pythons) => pythons,
            Err(findings) => return Ok(Err(findings)),
        };
        let sandbox = context.sandbox("children")?;
        let came_of = match start_children(&sandbox, part, &pythons)? {
            Ok(came_of) => came_of,
            Err(finding) => return Ok(Err(vec![finding])),
        };
        let modules = own_modules(part);
        let checked = match &came_of.own {
            None => Ok(format!("imports {}", modules.join(" "))),
            Some(words) => {
                let what = format!("`sys.executable -c 'import {}'` in a run", modules.join(", "));
                Err(vec![Finding::new(what, "status 0", words)])
            }
        };
        started = Some((pythons, sandbox, came_of));
        Ok(checked)
    })];
    let Some((pythons, sandbox, came_of)) = started else { return found };
    found.push(Probe::run("subprocess", || {
        pythons.check(&sandbox, "a `subprocess` of a run", &came_of.plain, "plain.json")
    }));
    found.push(Probe::run("pipes", || {
        let checked = pythons.check(&sandbox, "a child of Pipes", &came_of.pipes, "pipes.json")?;
        let version = pythons.child_version();
        Ok(checked.and_then(|found| match came_of.reported.as_deref() {
            Some(reported) if reported == version => Ok(format!("reports back; {found}")),
            reported => {
                let found = format!("`{}`", reported.unwrap_or_default());
                let what = "materialization that Pipes reported";
                Err(vec![Finding::new(what, format!("`{version}`"), found)])
            }
        }))
    }));
    found.push(Probe::run("code location", || code_location(context, part, &pythons)));
    found
}

/// The modules of a part's packages.
fn own_modules(part: &Part) -> Vec<&str> {
    part.packages.iter().map(|package| package.module.as_str()).collect()
}

/// Runs the job whose step starts children.
fn start_children(
    sandbox: &Sandbox,
    part: &Part,
    pythons: &Pythons,
) -> Result<Result<CameOf, Finding>> {
    let task = json!({
        "own": own_modules(part),
        "python": pythons.second.as_ref().map(|second| &second.python),
        "modules": modules(),
    });
    sandbox.write("task.json", &task.to_string())?;
    sandbox.write("children_of_a_run.py", CHILDREN)?;
    write_child(sandbox)?;
    let args = ["job", "execute", "-f", "children_of_a_run.py", "-j", "children_job"];
    let spec = sandbox.spec(&part.command("dagster"), &args);
    let what = "`dagster job execute` of an asset that starts processes";
    let ended = match sandbox.run(what, &spec)? {
        Ok(ended) => ended,
        Err(finding) => return Ok(Err(finding)),
    };
    let path = sandbox.path("children.json");
    let Ok(text) = std::fs::read(&path) else {
        let found = ended_badly(&ended);
        return Ok(Err(Finding::new(what, "what came of them in `children.json`", found)));
    };
    let failed = || format!("failed to read `{}`", path.display());
    Ok(Ok(serde_json::from_slice(&text).with_context(failed)?))
}

/// Loads a code location whose `executable_path` is a script around the second Python.
fn code_location(context: &Context<'_>, part: &Part, pythons: &Pythons) -> Checked {
    let sandbox = context.sandbox("code location")?;
    let report = sandbox.path("location.json");
    let child = write_child(&sandbox)?;
    let python = pythons.second.as_ref().map_or(&pythons.own.executable, |second| &second.python);
    let words: Vec<String> = [python.as_path(), &child, &report]
        .iter()
        .map(|path| quoted(path))
        .chain(modules().map(str::to_owned))
        .collect();
    let own = quoted(&pythons.own.executable);
    let script = format!("#!/bin/sh -e\n{}\nexec {own} \"$@\"\n", words.join(" "));
    let script = sandbox.write_executable("python", &script)?;
    let workspace = json!({ "load_from": [{ "python_file": {
        "relative_path": definitions::write(&sandbox)?,
        "executable_path": script,
    } }] });
    // JSON is YAML.
    sandbox.write("workspace.yaml", &workspace.to_string())?;
    let args = ["definitions", "validate", "-w", "workspace.yaml"];
    let what = "`dagster definitions validate -w`";
    let spec = sandbox.spec(&part.command("dagster"), &args);
    let came_of = match sandbox.run_well(what, &spec)? {
        Ok(_) => None,
        Err(finding) if report.is_file() => Some(finding.found),
        Err(finding) => return Ok(Err(vec![finding])),
    };
    pythons.check(&sandbox, "a code location of its own", &came_of, "location.json")
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

impl Pythons {
    fn find(context: &Context<'_>, part: &Part) -> Result<Result<Self, Vec<Finding>>> {
        let sandbox = context.sandbox("Python of children")?;
        let own = match whereabouts(&sandbox, &part.command("dagster"), &["dagster_pipes"])? {
            Ok(own) => own,
            Err(findings) => return Ok(Err(findings)),
        };
        let pipes = own.modules.get("dagster_pipes").and_then(Option::as_deref);
        let Some(pipes) = pipes.and_then(Path::parent) else {
            let what = "`import dagster_pipes` in `dagster`";
            return Ok(Err(vec![Finding::new(what, "no error", "no module of that name")]));
        };
        let second = Second::make(context, own.minor(), pipes)?;
        Ok(Ok(Self { own, second }))
    }

    /// The version of the Python that runs the children.
    fn child_version(&self) -> &str {
        self.second.as_ref().map_or(&self.own.version, |second| &second.version)
    }

    /// Checks what a child wrote to a file.
    fn check(
        &self,
        sandbox: &Sandbox,
        who: &str,
        came_of: &Option<String>,
        report: &str,
    ) -> Checked {
        let mut findings = Vec::new();
        let report = sandbox.path(report);
        if report.is_file() {
            let seen = Seen::read(&report)?;
            findings = match &self.second {
                Some(second) => second.compare(who, &seen),
                None => seen.foreign_variables(who, &sandbox.variables()).into_iter().collect(),
            };
        } else if came_of.is_none() {
            anyhow::bail!("{who} wrote no `{}`", report.display());
        }
        if let Some(words) = came_of {
            findings.push(Finding::new(who, "status 0", words));
        }
        Ok(match (&self.second, findings.is_empty()) {
            (_, false) => Err(findings),
            (Some(second), true) => Ok(format!("{} sees nothing of ours", second.words())),
            (None, true) => Ok("no variable of ours; no other Python here: looked at the \
                                environment only"
                .to_owned()),
        })
    }
}
