//! What is installed behind a part's commands: their interpreter, and whether the distributions
//! that it sees are whole, fit each other and this system, and can be imported.
//!
//! One command of the part is run to learn the interpreter and its path. The rest is asked by
//! scripts of ours in one start of the bare interpreter on that path (`python/xtask_installed`), a
//! probe for each check. What two parts have is looked at closely in the first of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::budget::COMMAND;
use super::context::Context;
use super::declared;
use super::interpreter::{Python, learn};
use super::probe::{Finding, Job, Outcome, Probe};
use super::sandbox::{Sandbox, ended_badly, late};
use super::tree::{IMITATES, Kind, Part, Tree};
use super::ui_operations;
use crate::model::config::Package;
use crate::tools::process::{Process, Wait};

/// The scripts, by the names of their files.
const SCRIPTS: [(&str, &str); 9] = [
    ("bounds.py", include_str!("python/xtask_installed/bounds.py")),
    ("compiled.py", include_str!("python/xtask_installed/compiled.py")),
    ("imports.py", include_str!("python/xtask_installed/imports.py")),
    ("migrations.py", include_str!("python/xtask_installed/migrations.py")),
    ("modules.py", include_str!("python/xtask_installed/modules.py")),
    ("records.py", include_str!("python/xtask_installed/records.py")),
    ("requirements.py", include_str!("python/xtask_installed/requirements.py")),
    ("run.py", include_str!("python/xtask_installed/run.py")),
    ("syntax.py", include_str!("python/xtask_installed/syntax.py")),
];

/// The checks, in their order: nothing of the tree is run before `imports`.
const CHECKS: [&str; 9] = [
    "requirements",
    "distributions",
    "files",
    "bounds",
    "compiled modules",
    "syntax",
    "imports",
    MIGRATIONS,
    "lazy imports",
];

/// Dagster's own, which an imitation has not.
const MIGRATIONS: &str = "migrations";

/// What a check found, as `run.py` writes it.
#[derive(Debug, Deserialize)]
struct Answer {
    name: String,
    seconds: f64,
    found: Option<String>,
    /// What, expected, found.
    problems: Vec<(String, String, String)>,
}

/// The probes of one part's Python. Parts without commands are looked at through those that need
/// them.
pub fn job<'a>(context: &'a Context<'_>, part: &'a Part) -> Job<'a> {
    let names = std::iter::once("interpreter").chain(checks(part)).map(|name| part.label(name));
    let ui = part.web_ui().map(|_| ui_operations::NAME.to_owned());
    Job::new(names.chain(ui).collect(), move || probes(context, part)).taking(12)
}

fn checks(part: &Part) -> impl Iterator<Item = &'static str> {
    let is_dagster = part.packages.iter().any(|package| package.name == "dagster");
    CHECKS.into_iter().filter(move |name| is_dagster || *name != MIGRATIONS)
}

fn probes(context: &Context<'_>, part: &Part) -> Vec<Probe> {
    let mut learned = None;
    let mut probes = vec![Probe::run(part.label("interpreter"), || {
        Ok(match learn(context, part)? {
            Ok(python) => {
                let checked = python.check_version(context.tree.python.as_deref());
                learned = Some(python);
                checked.map_err(|finding| vec![finding])
            }
            Err(findings) => Err(findings),
        })
    })];
    if let Some(python) = learned {
        let looked = look(context, part, &python);
        let has_ended = looked.len() == checks(part).count();
        probes.extend(looked);
        if let Some(ui) = part.web_ui().filter(|_| has_ended) {
            probes.push(ui_operations::probe(context, &ui, &python));
        }
    }
    probes
}

/// One probe for each check, up to the first that did not end.
fn look(context: &Context<'_>, part: &Part, python: &Python) -> Vec<Probe> {
    let is_left_out = |name: &str| name == MIGRATIONS && context.tree.is_imitation();
    let names: Vec<&str> = checks(part).filter(|name| !is_left_out(name)).collect();
    let (mut answers, problem) = match run(context, part, python, &names) {
        Ok(Ran { answers, problem }) => (answers, Ok(problem)),
        Err(error) => (BTreeMap::new(), Err(error)),
    };
    let mut probes = Vec::new();
    for name in checks(part) {
        let label = part.label(name);
        if is_left_out(name) {
            probes.push(Probe::skipped(label, IMITATES));
        } else if let Some(answer) = answers.remove(name) {
            probes.push(answer.into_probe(label));
        } else {
            probes.push(Probe::run(label, || Ok(Err(vec![problem?]))));
            break;
        }
    }
    probes
}

/// What came of the scripts.
struct Ran {
    /// By the name of the check.
    answers: BTreeMap<String, Answer>,
    /// Why there is none of the others, if there are others.
    problem: Finding,
}

/// Runs the scripts in the bare interpreter, on the commands' path.
fn run(context: &Context<'_>, part: &Part, python: &Python, names: &[&str]) -> Result<Ran> {
    let sandbox = context.sandbox(&part.label("installed"))?;
    for (name, text) in SCRIPTS {
        sandbox.write(&format!("xtask_installed/{name}"), text)?;
    }
    let file = sandbox.path("answers");
    let task = task(context.tree, part, python, names, &file)?;
    let task = sandbox.write("task.json", &task.to_string())?;
    let script = sandbox.path("xtask_installed/run.py");
    let args = [OsString::from("-IB"), script.into_os_string(), task.into_os_string()];
    let process = sandbox.spec(&python.executable, &args).start()?;
    let problem = wait(&sandbox, process, &file)?;
    Ok(Ran { answers: parse(&answered(&file))?, problem })
}

/// Waits for the scripts' end as long as answers come; says why there may be none of some checks.
fn wait(sandbox: &Sandbox, mut process: Process, answers: &Path) -> Result<Finding> {
    let what = "the checks of what is installed";
    let mut count = 0;
    loop {
        // Each of them has the time of a command.
        let mut deadline = sandbox.wait(COMMAND);
        match process.wait_until(|| deadline.is_over())? {
            Wait::Ended(ended) => {
                return Ok(Finding::new(what, "an answer of each", ended_badly(&ended)));
            }
            Wait::Running if answered(answers).lines().count() > count => {
                count = answered(answers).lines().count();
            }
            Wait::Running => return Ok(late(what, "an answer", &deadline, &mut process)),
        }
    }
}

fn answered(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// What was answered, by the name of the check. A line without an end is none.
fn parse(text: &str) -> Result<BTreeMap<String, Answer>> {
    let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
    whole
        .lines()
        .map(|line| {
            let answer: Answer =
                serde_json::from_str(line).with_context(|| format!("failed to read `{line}`"))?;
            Ok((answer.name.clone(), answer))
        })
        .collect()
}

/// What `run.py` is told.
fn task(
    tree: &Tree,
    part: &Part,
    python: &Python,
    names: &[&str],
    answers: &Path,
) -> Result<Value> {
    let reached = reached(tree, part);
    let versions: BTreeMap<&str, String> = reached
        .iter()
        .map(|(_, package)| (&*package.name, package.version_at(&tree.version).to_string()))
        .collect();
    let modules: BTreeMap<&str, PathBuf> = reached
        .iter()
        .map(|(part, package)| (&*package.module, part.module_file(package)))
        .collect();
    let before = earlier(tree, part).map_or(0, |earlier| reached_parts(tree, earlier).len());
    let own: Vec<&Package> =
        reached_parts(tree, part)[before..].iter().flat_map(|part| &part.packages).collect();
    // The metadata in a virtual environment is upstream's.
    let upstream = declared::requirements(tree, &own)?
        .or_else(|| (tree.kind == Kind::Venv).then(BTreeMap::new));
    let own: BTreeMap<&str, &str> =
        own.iter().map(|package| (&*package.name, &*package.module)).collect();
    Ok(json!({
        "path": python.path,
        "versions": versions,
        "modules": modules,
        "own": own,
        "upstream": upstream,
        "checks": names,
        "answers": answers,
    }))
}

/// The parts up to one: packages are in dependency order, and each one with commands depends on all
/// before it.
fn reached_parts<'t>(tree: &'t Tree, part: &Part) -> &'t [Part] {
    let end = tree.parts.iter().position(|other| std::ptr::eq(other, part)).unwrap_or_default();
    &tree.parts[..=end]
}

/// The last part before one that is looked at, too.
fn earlier<'t>(tree: &'t Tree, part: &Part) -> Option<&'t Part> {
    let before = reached_parts(tree, part).split_last()?.1;
    before.iter().rev().find(|part| part.has_commands())
}

/// The packages that a part's commands can see, each with the part it must come from.
fn reached<'t>(tree: &'t Tree, part: &Part) -> Vec<(&'t Part, &'t Package)> {
    reached_parts(tree, part)
        .iter()
        .flat_map(|part| part.packages.iter().map(move |package| (part, package)))
        .collect()
}

impl Answer {
    fn into_probe(self, name: String) -> Probe {
        let findings: Vec<Finding> = self
            .problems
            .into_iter()
            .map(|(what, expected, found)| Finding::new(what, expected, found))
            .collect();
        Probe {
            name,
            took: Duration::try_from_secs_f64(self.seconds).unwrap_or_default(),
            outcome: if findings.is_empty() {
                Outcome::Passed(self.found.unwrap_or_default())
            } else {
                Outcome::Failed(findings)
            },
        }
    }
}

#[cfg(test)]
mod tests;
