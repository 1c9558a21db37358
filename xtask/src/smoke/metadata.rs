//! What a tree's interpreter is, what its distributions declare, and what of it can be imported:
//! asked in the bare interpreter, on the path of the part's commands.

use std::ffi::OsString;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::context::Context;
use super::interpreter::{Python, learn};
use super::probe::{Checked, Finding, Job, Probe};
use super::sandbox::Sandbox;
use super::tree::{Part, Tree};
use crate::model::config::Package;

const REQUIREMENTS: &str = include_str!("python/requirements.py");
const IMPORTS: &str = include_str!("python/imports.py");

/// What a script of ours prints.
#[derive(Debug, Deserialize)]
struct Answer {
    count: usize,
    /// What, expected, found.
    problems: Vec<(String, String, String)>,
}

/// The probes of one part's Python. Parts without commands are looked at through those that need
/// them.
pub fn job<'a>(context: &'a Context<'_>, part: &'a Part) -> Job<'a> {
    let names = ["interpreter", "requirements", "imports"].map(|name| part.label(name));
    Job::new(names.to_vec(), move || probes(context, part)).taking(4)
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
        let name = part.label("requirements");
        probes.push(Probe::run(&name, || requirements(context, part, &python, &name)));
        let name = part.label("imports");
        probes.push(Probe::run(&name, || imports(context, part, &python, &name)));
    }
    probes
}

fn requirements(context: &Context<'_>, part: &Part, python: &Python, name: &str) -> Checked {
    let versions: Map<String, Value> = reached(context.tree, part)
        .into_iter()
        .map(|(_, package)| (package.name.clone(), package.version_at(context.version()).into()))
        .collect();
    let sandbox = context.sandbox(name)?;
    let checked = script(&sandbox, python, REQUIREMENTS, "versions", versions.into(), name)?;
    Ok(checked.map(|count| format!("{count} distributions have what they need")))
}

fn imports(context: &Context<'_>, part: &Part, python: &Python, name: &str) -> Checked {
    let modules: Map<String, Value> = reached(context.tree, part)
        .into_iter()
        .map(|(part, package)| {
            (package.module.clone(), part.module_file(package).to_string_lossy().into())
        })
        .collect();
    let names: Vec<String> = modules.keys().cloned().collect();
    let sandbox = context.sandbox(name)?;
    let checked = script(&sandbox, python, IMPORTS, "modules", modules.into(), name)?;
    Ok(checked.map(|_| names.join(" ")))
}

/// The packages that a part's commands can see, each with the part it must come from: packages are
/// in dependency order, and each one with commands depends on all before it.
fn reached<'t>(tree: &'t Tree, part: &Part) -> Vec<(&'t Part, &'t Package)> {
    let end = tree.parts.iter().position(|other| std::ptr::eq(other, part)).unwrap_or_default();
    tree.parts[..=end]
        .iter()
        .flat_map(|part| part.packages.iter().map(move |package| (part, package)))
        .collect()
}

/// Runs a script of ours in the bare interpreter, on the command's path.
fn script(
    sandbox: &Sandbox,
    python: &Python,
    text: &str,
    key: &str,
    value: Value,
    name: &str,
) -> Result<Result<usize, Vec<Finding>>> {
    let script = sandbox.write("probe.py", text)?;
    let mut task = Map::new();
    task.insert("path".to_owned(), json!(python.path));
    task.insert(key.to_owned(), value);
    let task = sandbox.write("task.json", &Value::from(task).to_string())?;
    let args = [OsString::from("-IB"), script.into_os_string(), task.into_os_string()];
    let spec = sandbox.spec(&python.executable, &args);
    let ended = match sandbox.run_well(name, &spec)? {
        Ok(ended) => ended,
        Err(finding) => return Ok(Err(vec![finding])),
    };
    // Whatever is imported may print on its way.
    let line = ended.stdout.lines().last().unwrap_or_default();
    let checked: Answer =
        serde_json::from_str(line).with_context(|| format!("failed to read `{line}`"))?;
    if checked.problems.is_empty() {
        return Ok(Ok(checked.count));
    }
    Ok(Err(checked
        .problems
        .into_iter()
        .map(|(what, expected, found)| Finding::new(what, expected, found))
        .collect()))
}
