//! Each command by itself: what version it says, and that it helps.

use super::context::Context;
use super::probe::{Checked, Finding, Job};
use super::tree::Part;
use crate::model::config::Package;

/// Commands without `--version`, in every version of Dagster.
const WITHOUT_VERSION: [&str; 1] = ["dagster-webserver-debug"];

/// Each command of a part by itself.
pub fn jobs<'a>(context: &'a Context<'_>, part: &'a Part) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    for package in &part.packages {
        for command in &package.commands {
            if !WITHOUT_VERSION.contains(&command.as_str()) {
                jobs.push(Job::one(format!("{command} --version"), move |name| {
                    version(context, part, package, command, name)
                }));
            }
            jobs.push(Job::one(format!("{command} --help"), move |name| {
                help(context, part, command, name)
            }));
        }
    }
    jobs
}

fn version(
    context: &Context<'_>,
    part: &Part,
    package: &Package,
    command: &str,
    name: &str,
) -> Checked {
    let sandbox = context.sandbox(name)?;
    let spec = sandbox.spec(&part.command(command), &["--version"]);
    let ended = match sandbox.run_well(&format!("`{name}`"), &spec)? {
        Ok(ended) => ended,
        Err(finding) => return Ok(Err(vec![finding])),
    };
    let expected = package.version_at(context.version());
    let checked = check_version(command, &expected, &ended.stdout);
    Ok(checked.map(|()| expected).map_err(|finding| vec![finding]))
}

fn help(context: &Context<'_>, part: &Part, command: &str, name: &str) -> Checked {
    let sandbox = context.sandbox(name)?;
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
}
