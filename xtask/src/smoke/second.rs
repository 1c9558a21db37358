//! A second Python of another version than the tree's, as users bring one for code of their own.
//!
//! It is looked for on PATH; where there is none, only the environment of children can be looked
//! at. What is found is run before it is believed, and gets packages of its own under names that
//! the tree has, too (see `python/second.py`), in a virtual environment among the probes' files.
//! One that cannot do that is passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::context::Context;
use super::probe::Finding;
use super::sandbox::Sandbox;
use crate::interrupt;

const SECOND: &str = include_str!("python/second.py");
const CHILD: &str = include_str!("python/child.py");
/// The oldest that Dagster Pipes of the oldest line runs on, and far beyond the newest.
const MINORS: std::ops::Range<u32> = 9..30;
const ASK: &str = "import sys; print('%d.%d' % sys.version_info[:2])";

/// A Python of another version, and what it sees by itself.
pub struct Second {
    pub python: PathBuf,
    /// As `3.13.0`.
    pub version: String,
    compiled: bool,
    alone: Seen,
}

/// What a child saw, as `python/child.py` writes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Seen {
    version: String,
    path: Vec<String>,
    environment: BTreeMap<String, String>,
    /// Where a module came from, or why it did not.
    modules: BTreeMap<String, Option<String>>,
}

/// What `python/second.py` made.
#[derive(Deserialize)]
struct Made {
    python: PathBuf,
    version: String,
    compiled: bool,
}

impl Second {
    /// Makes one of a version that is not this one, as `3.12`; `None`: this machine has none.
    /// `pipes` is the tree's `dagster_pipes`.
    pub fn make(context: &Context<'_>, not: &str, pipes: &Path) -> Result<Option<Self>> {
        let sandbox = context.sandbox("second Python")?;
        let candidates = directories().into_iter().flat_map(|dir| candidates(&dir, not));
        for (number, python) in candidates.enumerate() {
            interrupt::check()?;
            if is_of_another_version(&sandbox, &python, not) {
                let venv = sandbox.path(&format!("venv-{number}"));
                if let Some(second) = Self::make_of(&sandbox, &python, &venv, pipes)? {
                    return Ok(Some(second));
                }
            }
        }
        Ok(None)
    }

    fn make_of(
        sandbox: &Sandbox,
        python: &Path,
        venv: &Path,
        pipes: &Path,
    ) -> Result<Option<Self>> {
        let script = sandbox.write("second.py", SECOND)?;
        let args = ["-IB".as_ref(), script.as_os_str(), venv.as_os_str(), pipes.as_os_str()];
        let Ok(ended) = sandbox.run_well("second Python", &sandbox.spec(python, &args))? else {
            return Ok(None);
        };
        let line = ended.stdout.lines().last().unwrap_or_default();
        let Made { python, version, compiled } =
            serde_json::from_str(line).with_context(|| format!("failed to read `{line}`"))?;
        let report = sandbox.path("alone.json");
        let args: Vec<OsString> = [write_child(sandbox)?, report.clone()]
            .map(PathBuf::into_os_string)
            .into_iter()
            .chain(modules().map(OsString::from))
            .collect();
        if sandbox.run_well("second Python", &sandbox.spec(&python, &args))?.is_err() {
            return Ok(None);
        }
        let alone = Seen::read(&report)?;
        let is_own = |file: &Option<String>| {
            file.as_ref().is_some_and(|file| Path::new(file).starts_with(venv))
        };
        let is_usable = alone.modules.values().all(is_own);
        Ok(is_usable.then_some(Self { python, version, compiled, alone }))
    }

    /// As a probe's line has it.
    pub fn words(&self) -> String {
        let kind = if self.compiled { "a compiled package" } else { "packages" };
        format!("Python {} with {kind} of its own", self.version)
    }

    /// Everything that a child of this Python saw and would not have seen by itself.
    pub fn compare(&self, who: &str, seen: &Seen) -> Vec<Finding> {
        let foreign = seen.foreign_variables(who, &self.alone.environment);
        let mut findings: Vec<Finding> = foreign.into_iter().collect();
        let own: BTreeSet<&String> = self.alone.path.iter().skip(1).collect();
        // The first is where the script lies.
        let path: Vec<&String> = seen.path.iter().skip(1).collect();
        let foreign: Vec<&&String> = path.iter().filter(|entry| !own.contains(*entry)).collect();
        if let Some(first) = foreign.first() {
            let found = format!("`{first}`, {} of them", foreign.len());
            findings.push(Finding::new(format!("`sys.path` of {who}"), "its own only", found));
        } else if path.len() != own.len() || seen.version != self.version {
            let found = format!("Python {}, `{}`", seen.version, seen.path.join(":"));
            let expected = format!("Python {}, `{}`", self.version, self.alone.path.join(":"));
            findings.push(Finding::new(format!("`sys.path` of {who}"), expected, found));
        }
        for (name, own) in &self.alone.modules {
            let found = seen.modules.get(name).cloned().flatten();
            if found != *own {
                let words =
                    |found: &Option<String>| format!("`{}`", found.as_deref().unwrap_or_default());
                let what = format!("`import {name}` in {who}");
                findings.push(Finding::new(what, words(own), words(&found)));
            }
        }
        findings
    }
}

impl Seen {
    pub fn read(path: &Path) -> Result<Self> {
        let failed = || format!("failed to read `{}`", path.display());
        serde_json::from_slice(&fs::read(path).with_context(failed)?).with_context(failed)
    }

    /// What an interpreter or a loader would read, and nobody but a command of the tree has set.
    pub fn foreign_variables(&self, who: &str, own: &BTreeMap<String, String>) -> Option<Finding> {
        let foreign: Vec<String> = self
            .environment
            .iter()
            .filter(|(name, value)| own.get(*name) != Some(value))
            .map(|(name, value)| format!("`{name}={}`", shortened(value)))
            .collect();
        let expected = "no variable for interpreters that was not set before";
        let what = format!("environment of {who}");
        (!foreign.is_empty()).then(|| Finding::new(what, expected, foreign.join(", ")))
    }
}

/// The beginning of what may be a path with sixty entries.
fn shortened(value: &str) -> String {
    match value.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

/// The modules that the second Python has of its own and the tree has, too.
pub fn modules() -> [&'static str; 2] {
    ["dagster_pipes", "pydantic_core"]
}

/// Writes what children run.
pub fn write_child(sandbox: &Sandbox) -> Result<PathBuf> {
    sandbox.write("child.py", CHILD)
}

/// The interpreters on PATH, of whatever version.
pub fn all_on_path() -> Vec<PathBuf> {
    directories().iter().flat_map(|dir| candidates(dir, "")).collect()
}

fn directories() -> Vec<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect()
}

fn is_of_another_version(sandbox: &Sandbox, python: &Path, not: &str) -> bool {
    let spec = sandbox.spec(python, &["-IBc", ASK]);
    // One that cannot say its version is none for this.
    let Ok(Ok(ended)) = sandbox.run("second Python", &spec) else { return false };
    let version = ended.stdout.trim();
    let minor = version.strip_prefix("3.").and_then(|minor| minor.parse().ok());
    version != not && minor.is_some_and(|minor| MINORS.contains(&minor))
}

/// The interpreters in a directory, newest first. Those of pyenv stand behind scripts that run the
/// one that is switched on, and no other.
fn candidates(dir: &Path, not: &str) -> Vec<PathBuf> {
    let versions = dir.parent().map(|parent| parent.join("versions"));
    let dirs: Vec<PathBuf> = match versions.filter(|_| dir.ends_with("shims")) {
        Some(versions) => fs::read_dir(versions)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
            .collect(),
        None => vec![dir.to_owned()],
    };
    MINORS
        .rev()
        .map(|minor| format!("python3.{minor}"))
        .filter(|name| name.strip_prefix("python") != Some(not))
        .chain(["python3".to_owned()])
        .flat_map(|name| dirs.iter().map(move |dir| dir.join(&name)).collect::<Vec<_>>())
        .filter(|python| python.is_file())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(path: &[&str], variables: &[(&str, &str)], modules: &[(&str, &str)]) -> Seen {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Seen {
            version: "3.13.0".to_owned(),
            path: path.iter().map(|entry| (*entry).to_owned()).collect(),
            environment: variables.iter().map(owned).collect(),
            modules: modules.iter().map(owned).map(|(name, file)| (name, Some(file))).collect(),
        }
    }

    #[test]
    fn a_leak_is_named_where_it_shows() {
        let set = ("PYTHONDONTWRITEBYTECODE", "1");
        let own = ("pydantic_core", "/site/pydantic_core/__init__.py");
        let second = Second {
            python: "/venv/bin/python3".into(),
            version: "3.13.0".to_owned(),
            compiled: true,
            alone: seen(&["/a", "/lib", "/site"], &[set], &[own]),
        };
        let check = |seen: Seen| {
            let findings = second.compare("a child", &seen);
            findings
                .iter()
                .map(|Finding { what, expected, found }| {
                    format!("{what}\n  expected {expected}\n  found {found}\n")
                })
                .collect::<String>()
        };
        // The script's own directory is not the interpreter's.
        assert_eq!(check(seen(&["/b", "/lib", "/site"], &[set], &[own])), "");
        let leaked = "ImportError: cannot import name 'validate_core_schema'";
        let path = ("PYTHONPATH", "/nix/store/x:/nix/store/y");
        expect_test::expect![[r#"
            environment of a child
              expected no variable for interpreters that was not set before
              found `PYTHONPATH=/nix/store/x:/nix/store/y`
            `sys.path` of a child
              expected its own only
              found `/nix/store/x`, 2 of them
            `import pydantic_core` in a child
              expected `/site/pydantic_core/__init__.py`
              found `ImportError: cannot import name 'validate_core_schema'`
        "#]]
        .assert_eq(&check(seen(
            &["/b", "/nix/store/x", "/nix/store/y", "/lib", "/site"],
            &[set, path],
            &[("pydantic_core", leaked)],
        )));
        // Neither an empty path nor another interpreter shows in what is foreign.
        expect_test::expect![[r#"
            `sys.path` of a child
              expected Python 3.13.0, `/a:/lib:/site`
              found Python 3.13.0, `/b:/lib`
        "#]]
        .assert_eq(&check(seen(&["/b", "/lib"], &[set], &[own])));
    }

    #[test]
    fn the_tree_s_version_is_no_candidate_and_shims_are_looked_behind() {
        let dir = tempfile::tempdir().unwrap();
        for file in [
            "bin/python3",
            "bin/python3.11",
            "bin/python3.12",
            "bin/python3.9",
            "bin/python3.8",
            "pyenv/shims/python3.13",
            "pyenv/versions/3.13.0/bin/python3.13",
        ] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = |at: &str| {
            candidates(&dir.path().join(at), "3.12")
                .iter()
                .map(|path| path.strip_prefix(dir.path()).unwrap().display().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(found("bin"), ["bin/python3.11", "bin/python3.9", "bin/python3"]);
        assert_eq!(found("pyenv/shims"), ["pyenv/versions/3.13.0/bin/python3.13"]);
    }
}
