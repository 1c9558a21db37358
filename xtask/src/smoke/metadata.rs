//! What a tree's interpreter is, what its distributions declare, and what of it can be imported:
//! asked in the bare interpreter, on the path of the part's commands.

use anyhow::Result;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::context::Context;
use super::interpreter::{Python, ask, learn};
use super::probe::{Checked, Finding, Job, Probe};
use super::sandbox::Sandbox;
use super::tree::{Part, Tree};
use super::ui_operations;
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
    let ui = part.web_ui().map(|_| ui_operations::NAME.to_owned());
    Job::new(names.into_iter().chain(ui).collect(), move || probes(context, part)).taking(8)
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
        if let Some(ui) = part.web_ui() {
            probes.push(ui_operations::probe(context, &ui, &python));
        }
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

/// Has a script of ours look at what `key` says.
fn script(
    sandbox: &Sandbox,
    python: &Python,
    text: &str,
    key: &str,
    value: Value,
    name: &str,
) -> Result<Result<usize, Vec<Finding>>> {
    let task = [(key.to_owned(), value)].into_iter().collect();
    let checked: Answer = match ask(sandbox, python, text, task, name)? {
        Ok(checked) => checked,
        Err(finding) => return Ok(Err(vec![finding])),
    };
    if checked.problems.is_empty() {
        return Ok(Ok(checked.count));
    }
    Ok(Err(checked
        .problems
        .into_iter()
        .map(|(what, expected, found)| Finding::new(what, expected, found))
        .collect()))
}
