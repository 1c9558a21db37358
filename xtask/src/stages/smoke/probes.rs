//! The probes that run a command once: what is there, what version it says, what it can load.

use std::fs;

use anyhow::{Context as _, Result};

use super::Smoke;
use super::report::{Finding, Job, Probe};
use super::sandbox::{Sandbox, ended_badly};
use super::tree::Part;
use crate::model::config::Package;

/// Commands without `--version`, in every version of Dagster.
const WITHOUT_VERSION: [&str; 1] = ["dagster-webserver-debug"];

const DEFINITIONS: &str = include_str!("python/definitions.py");

/// `bin/` of a part, then each command of it by itself.
pub fn commands<'a>(smoke: &'a Smoke<'_>, part: &'a Part) -> Vec<Job<'a>> {
    let mut jobs: Vec<Job<'a>> = vec![Box::new(move || {
        vec![Probe::run(part.label("commands"), || part.check_commands(smoke.tree))]
    })];
    for package in &part.packages {
        for command in &package.commands {
            jobs.push(Box::new(move || vec![answers(smoke, part, package, command)]));
        }
    }
    jobs
}

fn answers(smoke: &Smoke<'_>, part: &Part, package: &Package, command: &str) -> Probe {
    let flag = if WITHOUT_VERSION.contains(&command) { "--help" } else { "--version" };
    let name = format!("{command} {flag}");
    Probe::run(&name, || {
        let sandbox = smoke.sandbox(&name)?;
        let what = format!("`{name}`");
        let spec = sandbox.spec(&part.command(command), &[flag]);
        let ended = match sandbox.run_well(&what, &spec)? {
            Ok(ended) => ended,
            Err(finding) => return Ok(Err(vec![finding])),
        };
        if flag == "--help" {
            return Ok(Ok("status 0".to_owned()));
        }
        let expected = package.version_at(smoke.version());
        Ok(check_version(command, &expected, &ended.stdout)
            .map(|()| expected)
            .map_err(|found| vec![found]))
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

/// `dagster` loads definitions, and an asset leaves its value.
pub fn dagster<'a>(smoke: &'a Smoke<'_>, part: &'a Part) -> Vec<Job<'a>> {
    vec![
        Box::new(move || {
            let name = "definitions validate";
            vec![Probe::run(name, || {
                let sandbox = smoke.sandbox(name)?;
                let args = ["definitions", "validate", "-f"];
                Ok(load(&sandbox, part, &args, &[])?.map(|()| "status 0".to_owned()))
            })]
        }),
        Box::new(move || {
            let name = "asset materialize";
            vec![Probe::run(name, || {
                let sandbox = smoke.sandbox(name)?;
                let args = ["asset", "materialize", "-f"];
                match load(&sandbox, part, &args, &["--select", "answer"])? {
                    Ok(()) => check_value(&sandbox),
                    Err(findings) => Ok(Err(findings)),
                }
            })]
        }),
    ]
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
fn check_value(sandbox: &Sandbox) -> Result<Result<String, Vec<Finding>>> {
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
