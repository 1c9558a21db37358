//! The Python behind a tree's commands, learned by running one of them: which interpreter, and what
//! is on its path. Wrappers are not parsed; a `sitecustomize` that reports is put on their path.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::budget::{COMMAND, Deadline};
use super::context::Context;
use super::probe::Finding;
use super::sandbox::{Sandbox, ended_badly};
use super::tree::Part;
use crate::interrupt;
use crate::tools::process::{Ended, Process, Spec};

const SITECUSTOMIZE: &str = include_str!("python/sitecustomize.py");

/// Between two looks at how far a process came.
const TICK: Duration = Duration::from_millis(50);

/// What runs a command of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Python {
    pub executable: PathBuf,
    /// As `3.12.11`.
    pub version: String,
    /// Where this interpreter was installed, behind virtual environments of it.
    base_prefix: PathBuf,
    pub path: Vec<String>,
    /// Where modules lie that were asked for; `None`: they are not found.
    #[serde(default)]
    pub modules: BTreeMap<String, Option<PathBuf>>,
    /// The same, as a child through `sys.executable` finds them.
    #[serde(default)]
    pub modules_of_child: BTreeMap<String, Option<PathBuf>>,
}

/// What a double of nixpkgs leaves below the prefix of an interpreter that it passes off as another
/// one's: that one's version.
const STANDS_IN_FOR: &str = "nix-support/stands-in-for";

impl Python {
    /// As `3.12`.
    pub fn minor(&self) -> &str {
        self.version.rsplit_once('.').map_or(&*self.version, |(minor, _)| minor)
    }

    /// Says which Python it is; a finding where another one is expected, unless it says itself that
    /// it stands in for that.
    pub fn check_version(&self, expected: Option<&str>) -> Result<String, Finding> {
        let found = format!("Python {} at `{}`", self.version, self.executable.display());
        let Some(expected) = expected.filter(|expected| *expected != self.minor()) else {
            return Ok(found);
        };
        let other = fs::read_to_string(self.base_prefix.join(STANDS_IN_FOR)).unwrap_or_default();
        match other.trim() {
            other if other == expected => Ok(format!("{found}, standing in for {other}")),
            "" => Err(Finding::new("interpreter", format!("Python {expected}"), found)),
            other => {
                let found = format!("{found}, standing in for {other}");
                Err(Finding::new("interpreter", format!("Python {expected}"), found))
            }
        }
    }
}

/// Runs the last package's command, which has all others on its path, as far as its first import of
/// Dagster: its path is complete by then.
pub fn learn(context: &Context<'_>, part: &Part) -> Result<Result<Python, Vec<Finding>>> {
    let sandbox = context.sandbox(&part.label("interpreter"))?;
    let Some(command) = part.packages.iter().rev().find_map(|package| package.commands.first())
    else {
        anyhow::bail!("expected a command in `{}`, found none", part.root.display());
    };
    let spec = sandbox.spec(&part.command(command), &["--version"]);
    reported(&sandbox, spec, &format!("`{command} --version`"), &["dagster"])
}

/// Starts a command as far as its first import of Dagster, and learns where modules lie by then.
pub fn whereabouts(
    sandbox: &Sandbox,
    command: &Path,
    modules: &[&str],
) -> Result<Result<Python, Vec<Finding>>> {
    let spec = sandbox.spec(command, &["--version"]);
    reported(sandbox, spec, &format!("`{} --version`", command.display()), modules)
}

/// Runs a script of ours in the bare interpreter. It is given a JSON file, to which the path of the
/// command is added, and the last line that it prints is its answer.
pub fn ask<T: DeserializeOwned>(
    sandbox: &Sandbox,
    python: &Python,
    script: &str,
    mut task: Map<String, Value>,
    what: &str,
) -> Result<Result<T, Finding>> {
    let script = sandbox.write("probe.py", script)?;
    task.insert("path".to_owned(), json!(python.path));
    let task = sandbox.write("task.json", &Value::from(task).to_string())?;
    let args = [OsString::from("-IB"), script.into_os_string(), task.into_os_string()];
    let spec = sandbox.spec(&python.executable, &args);
    let ended = match sandbox.run_well(what, &spec)? {
        Ok(ended) => ended,
        Err(finding) => return Ok(Err(finding)),
    };
    // Whatever is imported may print on its way.
    let line = ended.stdout.lines().last().unwrap_or_default();
    serde_json::from_str(line).map(Ok).with_context(|| format!("failed to read `{line}`"))
}

/// Runs a command of the tree with a `sitecustomize` of ours, which writes the report.
pub fn reported(
    sandbox: &Sandbox,
    mut spec: Spec,
    what: &str,
    modules: &[&str],
) -> Result<Result<Python, Vec<Finding>>> {
    sandbox.write("path/sitecustomize.py", SITECUSTOMIZE)?;
    let report = sandbox.path("report.json");
    for (name, value) in [
        ("PYTHONPATH", sandbox.path("path").into_os_string()),
        ("XTASK_SMOKE_REPORT", report.clone().into_os_string()),
        ("XTASK_SMOKE_MODULES", modules.join(",").into()),
    ] {
        spec.env.push((OsString::from(name), value));
    }
    let ended = match sandbox.run(what, &spec)? {
        Ok(ended) => ended,
        Err(finding) => return Ok(Err(vec![finding])),
    };
    let Ok(text) = fs::read(&report) else {
        return Ok(Err(vec![Finding::new(
            what,
            "it to run Python with our `sitecustomize` on its path",
            ended_badly(&ended),
        )]));
    };
    Ok(Ok(serde_json::from_slice(&text).context("failed to read the report of `sitecustomize`")?))
}

/// Starts a file of Python in the place of a command of the tree, with all that the command has.
pub fn start_in_place_of(command: &Path, sandbox: &Sandbox, file: &Path) -> Result<Process> {
    sandbox.write("path/sitecustomize.py", SITECUSTOMIZE)?;
    let mut spec = sandbox.spec(command, &["--version"]);
    for (name, value) in [
        ("PYTHONPATH", sandbox.path("path").into_os_string()),
        ("XTASK_SMOKE_RUN", file.as_os_str().to_owned()),
    ] {
        spec.env.push((OsString::from(name), value));
    }
    spec.start()
}

/// Follows a process that writes how far it came, as JSON, into a file of its sandbox. What it
/// wrote last, and how it ended; `Err`: it did not, and had come no further for as long as a
/// command may take. `count` says how many steps are done.
pub fn follow<T: DeserializeOwned + Default>(
    sandbox: &Sandbox,
    process: &mut Process,
    file: &str,
    count: impl Fn(&T) -> usize,
) -> Result<(T, Result<Ended, Deadline>)> {
    let (mut deadline, mut before) = (sandbox.wait(COMMAND), 0);
    loop {
        let ended = process.poll()?;
        let found: T = match fs::read(sandbox.path(file)) {
            Ok(text) => {
                serde_json::from_slice(&text).with_context(|| format!("failed to read `{file}`"))?
            }
            Err(_) => T::default(),
        };
        if let Some(ended) = ended {
            return Ok((found, Ok(ended)));
        }
        if count(&found) > before {
            (deadline, before) = (sandbox.wait(COMMAND), count(&found));
        }
        if deadline.is_over() {
            return Ok((found, Err(deadline)));
        }
        interrupt::check()?;
        std::thread::sleep(TICK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_python_says_what_it_stands_in_for() {
        let dir = tempfile::tempdir().unwrap();
        let python = Python {
            executable: "/x/bin/python3".into(),
            version: "3.11.2".to_owned(),
            base_prefix: dir.path().to_owned(),
            path: Vec::new(),
            modules: BTreeMap::new(),
            modules_of_child: BTreeMap::new(),
        };
        let check = |expected| match python.check_version(expected) {
            Ok(found) => found,
            Err(finding) => finding.to_string(),
        };
        assert_eq!(check(None), "Python 3.11.2 at `/x/bin/python3`");
        assert_eq!(check(Some("3.11")), "Python 3.11.2 at `/x/bin/python3`");
        let finding = "interpreter: expected Python 3.12, found Python 3.11.2 at `/x/bin/python3`";
        assert_eq!(check(Some("3.12")), finding);
        fs::create_dir(dir.path().join("nix-support")).unwrap();
        fs::write(dir.path().join(STANDS_IN_FOR), "3.12\n").unwrap();
        assert_eq!(check(Some("3.12")), "Python 3.11.2 at `/x/bin/python3`, standing in for 3.12");
        assert_eq!(check(Some("3.11")), "Python 3.11.2 at `/x/bin/python3`");
        let other = "interpreter: expected Python 3.13, found Python 3.11.2 at `/x/bin/python3`, \
                     standing in for 3.12";
        assert_eq!(check(Some("3.13")), other);
    }
}
