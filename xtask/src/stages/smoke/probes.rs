//! The probes that run a command once: what is there, what version it says, what it can load.

use std::fs;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Smoke;
use super::report::{Checked, Finding, Job};
use super::sandbox::{Sandbox, ended_badly};
use super::tree::Part;
use crate::model::config::Package;

/// Commands without `--version`, in every version of Dagster.
const WITHOUT_VERSION: [&str; 1] = ["dagster-webserver-debug"];

const DEFINITIONS: &str = include_str!("python/definitions.py");

/// Each command of a part by itself.
pub fn commands<'a>(smoke: &'a Smoke<'_>, part: &'a Part) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    for package in &part.packages {
        for command in &package.commands {
            if !WITHOUT_VERSION.contains(&command.as_str()) {
                jobs.push(Job::one(format!("{command} --version"), move |name| {
                    version(smoke, part, package, command, name)
                }));
            }
            jobs.push(Job::one(format!("{command} --help"), move |name| {
                help(smoke, part, command, name)
            }));
        }
    }
    jobs
}

fn version(
    smoke: &Smoke<'_>,
    part: &Part,
    package: &Package,
    command: &str,
    name: &str,
) -> Checked {
    let sandbox = smoke.sandbox(name)?;
    let spec = sandbox.spec(&part.command(command), &["--version"]);
    let ended = match sandbox.run_well(&format!("`{name}`"), &spec)? {
        Ok(ended) => ended,
        Err(finding) => return Ok(Err(vec![finding])),
    };
    let expected = package.version_at(smoke.version());
    let checked = check_version(command, &expected, &ended.stdout);
    Ok(checked.map(|()| expected).map_err(|finding| vec![finding]))
}

fn help(smoke: &Smoke<'_>, part: &Part, command: &str, name: &str) -> Checked {
    let sandbox = smoke.sandbox(name)?;
    let spec = sandbox.spec(&part.command(command), &["--help"]);
    let what = format!("`{name}`");
    Ok(match sandbox.run_well(&what, &spec)? {
        Ok(ended) if ended.stdout.contains("Usage:") => Ok("usage".to_owned()),
        Ok(_) => Err(vec![Finding::new(what, "`Usage:`", "none")]),
        Err(finding) => Err(vec![finding]),
    })
}

/// Checks what `--version` prints: `PROGRAM, version VERSION` and nothing else.
fn check_version(program: &str, expected: &str, stdout: &str) -> Result<(), Finding> {
    let text = stdout.trim_end_matches('\n');
    let prefix = format!("{program}, version ");
    let what = format!("`{program} --version`");
    match text.strip_prefix(&prefix) {
        Some(version) if version == expected => Ok(()),
        Some(version) => Err(Finding::new(what, format!("`{expected}`"), format!("`{version}`"))),
        None => {
            let line = text.lines().next().unwrap_or_default();
            Err(Finding::new(what, format!("`{prefix}{expected}`"), format!("`{line}`")))
        }
    }
}

/// `dagster` loads definitions, and an asset leaves its value: by itself, and by a job, which runs
/// its steps in processes of their own.
pub fn dagster<'a>(smoke: &'a Smoke<'_>, part: &'a Part) -> Vec<Job<'a>> {
    vec![
        Job::one("definitions validate", move |name| {
            let sandbox = smoke.sandbox(name)?;
            let args = ["definitions", "validate", "-f"];
            Ok(load(&sandbox, part, &args, &[])?.map(|()| "status 0".to_owned()))
        }),
        Job::one("asset materialize", move |name| {
            let sandbox = smoke.sandbox(name)?;
            let args = ["asset", "materialize", "-f"];
            match load(&sandbox, part, &args, &["--select", "answer"])? {
                Ok(()) => check_value(&sandbox),
                Err(findings) => Ok(Err(findings)),
            }
        }),
        Job::one("job execute", move |name| {
            let sandbox = smoke.sandbox(name)?;
            let args = ["job", "execute", "-f"];
            match load(&sandbox, part, &args, &["-j", "answer_job"])? {
                Ok(()) => check_value(&sandbox),
                Err(findings) => Ok(Err(findings)),
            }
        }),
    ]
}

/// `dagster-graphql` answers a query about the definitions, without a server.
pub fn graphql<'a>(smoke: &'a Smoke<'_>, part: &'a Part) -> Job<'a> {
    Job::one("dagster-graphql --text", move |name| {
        let sandbox = smoke.sandbox(name)?;
        let file = write_definitions(&sandbox)?;
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
        let version = smoke.version().to_string();
        let found = found["data"]["version"].as_str().unwrap_or(answer);
        Ok(if found == version {
            Ok(version)
        } else {
            let what = "GraphQL `version`";
            Err(vec![Finding::new(what, format!("`{version}`"), format!("`{found}`"))])
        })
    })
}

/// Writes the definitions that probes load; returns the file's name.
pub fn write_definitions(sandbox: &Sandbox) -> Result<&'static str> {
    sandbox.write("definitions.py", DEFINITIONS)?;
    Ok("definitions.py")
}

fn load(
    sandbox: &Sandbox,
    part: &Part,
    before: &[&str],
    after: &[&str],
) -> Result<Result<(), Vec<Finding>>> {
    let file = write_definitions(sandbox)?;
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
    fn versions() {
        let check = |stdout: &str| {
            check_version("dagster", "1.9.12", stdout).map_err(|finding| finding.to_string())
        };
        assert_eq!(check("dagster, version 1.9.12\n"), Ok(()));
        let wrong = |text: &str| Err(format!("`dagster --version`: expected {text}"));
        assert_eq!(check("dagster, version 1!0+dev\n"), wrong("`1.9.12`, found `1!0+dev`"));
        assert_eq!(check("dagster, version 1.9.120"), wrong("`1.9.12`, found `1.9.120`"));
        let line = "`dagster, version 1.9.12`, found";
        assert_eq!(check("python 1.9.12\n"), wrong(&format!("{line} `python 1.9.12`")));
        assert_eq!(check(""), wrong(&format!("{line} ``")));
    }

    #[test]
    fn pickles() {
        assert!(is_pickled_42(b"\x80\x04K*."));
        assert!(!is_pickled_42(b"\x80\x04K+."));
    }
}
