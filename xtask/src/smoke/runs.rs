//! Runs from the command line: definitions load, an asset and a job leave what they must, and a
//! query is answered without a server.

use std::fs;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::context::Context;
use super::definitions;
use super::each::{self, Script};
use super::probe::{Checked, Finding, Job, Probe};
use super::sandbox::{Sandbox, ended_badly};
use super::tree::{IMITATES, Part};

pub const LIBRARY: &str = "python api";

/// `dagster` loads definitions, and an asset leaves its value: by itself, and by a job, which runs
/// its steps in processes of their own.
pub fn dagster<'a>(context: &'a Context<'_>, part: &'a Part) -> Vec<Job<'a>> {
    vec![
        Job::one("definitions validate", move |name| {
            let sandbox = context.sandbox(name)?;
            let args = ["definitions", "validate", "-f"];
            Ok(load(&sandbox, part, &args, &[])?.map(|()| "status 0".to_owned()))
        }),
        Job::one("asset materialize", move |name| {
            let sandbox = context.sandbox(name)?;
            let args = ["asset", "materialize", "-f"];
            match load(&sandbox, part, &args, &["--select", "answer"])? {
                Ok(()) => check_value(&sandbox),
                Err(findings) => Ok(Err(findings)),
            }
        })
        .taking(5),
    ]
}

/// What users write, executed by the library itself.
pub fn library<'a>(context: &'a Context<'_>, part: &'a Part) -> Job<'a> {
    let run = move || {
        if context.tree.is_imitation() {
            return vec![Probe::skipped(LIBRARY, IMITATES)];
        }
        let text = include_str!("python/library.py");
        let script = Script { name: "library.py", text };
        vec![Probe::run(LIBRARY, || {
            each::run(&context.sandbox(LIBRARY)?, &part.command("dagster"), &script, LIBRARY)
        })]
    };
    Job::new(vec![LIBRARY.to_owned()], run).taking(5)
}

/// A job leaves the value of its asset, too, by a step in a process of its own.
pub fn execute(context: &Context<'_>, part: &Part, name: &str) -> Checked {
    let sandbox = context.sandbox(name)?;
    let args = ["job", "execute", "-f"];
    match load(&sandbox, part, &args, &["-j", "answer_job"])? {
        Ok(()) => check_value(&sandbox),
        Err(findings) => Ok(Err(findings)),
    }
}

/// `dagster-graphql` answers a query about the definitions, without a server.
pub fn graphql<'a>(context: &'a Context<'_>, part: &'a Part) -> Job<'a> {
    Job::one("dagster-graphql --text", move |name| {
        let sandbox = context.sandbox(name)?;
        let file = definitions::write(&sandbox)?;
        let args = ["--text", "{ version }", "-f", file];
        let spec = sandbox.spec(&part.command("dagster-graphql"), &args);
        let ended = match sandbox.run_well(&format!("`{name}`"), &spec)? {
            Ok(ended) => ended,
            Err(finding) => return Ok(Err(vec![finding])),
        };
        // It may say other things before its answer.
        let answer = ended.stdout.lines().rev().find(|line| line.trim_start().starts_with('{'));
        let answer = answer.unwrap_or_default();
        let found: Value = serde_json::from_str(answer).unwrap_or_default();
        let version = context.version().to_string();
        let found = found["data"]["version"].as_str().unwrap_or(answer);
        Ok(if found == version {
            Ok(version)
        } else {
            let what = "GraphQL `version`";
            Err(vec![Finding::new(what, format!("`{version}`"), format!("`{found}`"))])
        })
    })
    .taking(5)
}

fn load(
    sandbox: &Sandbox,
    part: &Part,
    before: &[&str],
    after: &[&str],
) -> Result<Result<(), Vec<Finding>>> {
    let file = definitions::write(sandbox)?;
    let args: Vec<&str> = before.iter().chain([&file]).chain(after).copied().collect();
    let what = format!("`dagster {} {}`", before[0], before[1]);
    let spec = sandbox.spec(&part.command("dagster"), &args);
    Ok(match sandbox.run(&what, &spec)? {
        Ok(ended) if ended.status.success() => Ok(()),
        Ok(ended) => Err(vec![Finding::new(what, "status 0", ended_badly(&ended))]),
        Err(finding) => Err(vec![finding]),
    })
}

/// The value of `answer`, where Dagster's default IO manager leaves it: 42, pickled.
fn check_value(sandbox: &Sandbox) -> Checked {
    let path = sandbox.path("dagster/storage/answer");
    let what = "value of asset `answer`";
    if !path.is_file() {
        let found = "no file at `$DAGSTER_HOME/storage/answer`";
        return Ok(Err(vec![Finding::new(what, "42", found)]));
    }
    let value = fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
    Ok(if is_pickled_42(&value) {
        Ok("`answer` is 42".to_owned())
    } else {
        Err(vec![Finding::new(what, "42", format!("{value:x?}"))])
    })
}

/// BININT1 42, STOP (Python's `pickletools`); what comes before depends on the protocol.
fn is_pickled_42(bytes: &[u8]) -> bool {
    bytes.ends_with(b"K\x2a.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pickles() {
        assert!(is_pickled_42(b"\x80\x04K*."));
        assert!(!is_pickled_42(b"\x80\x04K+."));
    }
}
