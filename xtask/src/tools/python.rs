//! The Pythons of this machine: the one that is first on PATH, and those of a given version.
//!
//! An interpreter counts when it runs and says its version: pyenv's shims stand on PATH for every
//! version that it ever installed, and run only those that are chosen.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::surroundings::{self, Program};

/// An interpreter that runs here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// As `3.12`.
    pub version: String,
    /// What it says of itself, with the links on the way to it resolved.
    pub path: PathBuf,
}

/// The `python3` that is first on PATH.
///
/// # Errors
/// When there is none, or it does not run.
pub fn first() -> Result<Interpreter> {
    ask(Path::new("python3")).context("expected a Python on PATH: `python3` does not run")
}

/// The interpreter of a version, as `3.12`: one on PATH, or one of pyenv's.
pub fn installed(version: &str) -> Option<Interpreter> {
    let name = format!("python{version}");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> =
        std::env::split_paths(&path).map(|directory| directory.join(&name)).collect();
    on_path
        .into_iter()
        .filter(|candidate| candidate.is_file())
        .chain(of_pyenv(&name))
        .filter_map(|candidate| ask(&candidate))
        .chain(ask(Path::new("python3")))
        .find(|found| found.version == version)
}

/// The interpreter to take for a version: its own, else the nearest older one that is here, else
/// the first on PATH.
///
/// # Errors
/// When no Python runs here.
pub fn nearest(version: &str) -> Result<Interpreter> {
    if let Some(found) = installed(version) {
        return Ok(found);
    }
    let minor = version.strip_prefix("3.").and_then(|minor| minor.parse::<u32>().ok());
    let older = (OLDEST_MINOR..minor.unwrap_or_default().min(UNKNOWN_MINOR)).rev();
    match older.map(|minor| format!("3.{minor}")).find_map(|version| installed(&version)) {
        Some(found) => Ok(found),
        None => first(),
    }
}

/// The oldest Python that any packaged version of Dagster runs on is 3.9.
const OLDEST_MINOR: u32 = 9;
/// None from here on is looked for.
const UNKNOWN_MINOR: u32 = 16;

const QUESTION: &str = "import os, sys; print('%d.%d' % sys.version_info[:2]); \
    print(os.path.realpath(getattr(sys, '_base_executable', None) or sys.executable))";

fn ask(program: &Path) -> Option<Interpreter> {
    let mut command = Command::new(program);
    surroundings::give(&mut command, Program::Pip);
    let output = command
        .args(["-I", "-c", QUESTION])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (version, path) = text.trim_end().split_once('\n')?;
    Some(Interpreter { version: version.to_owned(), path: PathBuf::from(path) })
}

/// What pyenv installed under a name, newest last there, first here.
fn of_pyenv(name: &str) -> Vec<PathBuf> {
    let mut command = Command::new("pyenv");
    surroundings::give(&mut command, Program::Pip);
    let output = command
        .args(["whence", "--path", name])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().rev().map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_python_is_found_by_its_version() {
        let first = first().unwrap();
        assert!(first.path.is_absolute() && first.version.starts_with("3."), "{first:?}");
        assert_eq!(installed(&first.version).unwrap().version, first.version);
        assert_eq!(installed("3.999"), None);
        assert!(nearest("3.999").is_ok());
    }
}
