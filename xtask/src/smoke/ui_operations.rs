//! The web UI against the API: both come from upstream, on different ways, and the GraphQL
//! operations of the one must be valid against the schema of the other. None is run here.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::context::Context;
use super::documents::Documents;
use super::interpreter::{Python, ask};
use super::probe::{Checked, Finding, Probe};
use super::tree::IMITATES;

pub const NAME: &str = "ui operations";

const SCRIPT: &str = include_str!("python/ui_operations.py");

/// What the script prints.
#[derive(Debug, Deserialize)]
struct Answer {
    count: usize,
    /// What, expected, found.
    problems: Vec<(String, String, String)>,
    /// Operations, each with the reason.
    unchecked: Vec<String>,
    /// Names in `release.toml` that are broken no more.
    mended: Vec<String>,
}

/// Validates every operation in the scripts below the UI's directory.
pub fn probe(context: &Context<'_>, dir: &Path, python: &Python) -> Probe {
    if context.tree.is_imitation() {
        return Probe::skipped(NAME, IMITATES);
    }
    Probe::run(NAME, || check(context, dir, python))
}

fn check(context: &Context<'_>, dir: &Path, python: &Python) -> Checked {
    if !dir.is_dir() {
        let found = "no such directory";
        return Ok(Err(vec![Finding::new(format!("`{}`", dir.display()), "the web UI", found)]));
    }
    let documents = context.documents(dir)?;
    if documents.operations.is_empty() {
        let what = format!("{} scripts of the web UI", documents.scripts);
        return Ok(Err(vec![Finding::new(what, "GraphQL operations", "none")]));
    }
    let broken = context.broken_operations();
    let sandbox = context.sandbox(NAME)?;
    let (operations, mut unchecked) = resolved(&documents);
    let fragments: BTreeMap<&str, &str> =
        documents.fragments.iter().map(|(name, own)| (&**name, &*own.text)).collect();
    let task = [
        ("operations", Value::from(operations)),
        ("fragments", json!(fragments)),
        ("broken", json!(broken)),
    ];
    let task = task.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    let answer: Answer = match ask(&sandbox, python, SCRIPT, task, NAME)? {
        Ok(answer) => answer,
        Err(finding) => return Ok(Err(vec![finding])),
    };
    unchecked.extend(answer.unchecked);
    unchecked.extend(documents.unread.iter().cloned());
    // What cannot be read here is refused by the server, and breaks the page as it is loaded.
    let is_allowed = |text: &&String| broken.iter().any(|name| text.contains(&format!("`{name}`")));
    let (allowed, unknown): (Vec<&String>, Vec<&String>) = unchecked.iter().partition(is_allowed);
    let mut problems: Vec<Finding> = answer
        .problems
        .into_iter()
        .map(|(what, expected, found)| Finding::new(what, expected, found))
        .collect();
    problems.extend(unknown.into_iter().map(|text| {
        Finding::new("an operation of the web UI", "GraphQL that can be checked", text.clone())
    }));
    Ok(if problems.is_empty() {
        Ok(words(answer.count, broken.len(), &allowed, &answer.mended))
    } else {
        Err(problems)
    })
}

/// The operations with the names of their fragments, and those that cannot be resolved.
fn resolved(documents: &Documents) -> (Vec<Value>, Vec<String>) {
    let (mut operations, mut unchecked) = (Vec::new(), Vec::new());
    for own in &documents.operations {
        match documents.needed_by(own) {
            Ok(needed) => {
                let names: Vec<&str> = needed.iter().map(|fragment| &*fragment.name).collect();
                let (name, script, text) = (&own.name, &own.script, &own.text);
                operations.push(
                    json!({ "name": name, "script": script, "text": text, "fragments": names }),
                );
            }
            Err(missing) => unchecked.push(format!(
                "`{}` of `{}`: fragment `{missing}` is in no script",
                own.name, own.script
            )),
        }
    }
    (operations, unchecked)
}

fn words(count: usize, allowed: usize, unchecked: &[&String], mended: &[String]) -> String {
    let mut words = vec![format!("{count} operations are valid")];
    words.push(format!("{} could not be checked", unchecked.len()));
    words.extend(unchecked.iter().map(|text| (*text).clone()));
    if allowed > 0 {
        words.push(format!("{allowed} may be broken"));
    }
    words.extend(mended.iter().map(|name| format!("`{name}` needs no entry in release.toml")));
    words.join(", ")
}
