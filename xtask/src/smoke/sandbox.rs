//! Where one probe's processes run: own home, own `$DAGSTER_HOME`, own temporary files, and an
//! environment that says nothing of ours.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::probe::{Checked, Finding};
use crate::tools::process::{Ended, Process, Spec, Wait};

/// How long a server may take to end, then what it started, then what it left and was told to.
const STOP: Duration = Duration::from_secs(8);

const DAGSTER_YAML: &str = "telemetry:\n  enabled: false\n";

/// The directories of one probe.
pub struct Sandbox {
    dir: PathBuf,
    deadline: Duration,
}

impl Sandbox {
    /// Makes the directories below a scratch directory, named after the probe.
    pub fn create(scratch: &Path, probe: &str, deadline: Duration) -> Result<Self> {
        let sandbox = Self { dir: scratch.join(slug(probe)), deadline };
        for dir in ["home", "dagster", "t", "log"] {
            let dir = sandbox.dir.join(dir);
            fs::create_dir_all(&dir)
                .with_context(|| format!("failed to create `{}`", dir.display()))?;
        }
        sandbox.write("dagster/dagster.yaml", DAGSTER_YAML)?;
        Ok(sandbox)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
        Ok(path)
    }

    /// The same for what is run.
    pub fn write_executable(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.write(name, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("failed to write `{}`", path.display()))?;
        Ok(path)
    }

    /// The environment of a process of this probe.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let dir = |name: &str| self.path(name).display().to_string();
        [
            ("DAGSTER_HOME", dir("dagster")),
            ("HOME", dir("home")),
            ("LANG", "C.UTF-8".to_owned()),
            ("PATH", "/usr/bin:/bin".to_owned()),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
            ("TMPDIR", dir("t")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// A process of this probe.
    pub fn spec<A: AsRef<OsStr>>(&self, program: &Path, args: &[A]) -> Spec {
        let words: Vec<String> = std::iter::once(program.file_name().unwrap_or_default())
            .chain(args.iter().map(AsRef::as_ref).take(1))
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        Spec {
            program: program.to_owned(),
            args: args.iter().map(|arg| arg.as_ref().to_owned()).collect(),
            env: self
                .variables()
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            dir: self.dir.clone(),
            log: self.path("log").join(slug(&words.join(" "))),
        }
    }

    /// Runs a process to its end; a finding when it did not end in time.
    pub fn run(&self, what: &str, spec: &Spec) -> Result<Result<Ended, Finding>> {
        Ok(match spec.run(self.deadline)? {
            Wait::Ended(ended) => Ok(ended),
            Wait::Running => Err(Finding::new(
                what,
                format!("an end within {} s", self.deadline.as_secs_f64()),
                "it hanging; it was killed",
            )),
        })
    }

    /// Runs a process that must end with status 0.
    pub fn run_well(&self, what: &str, spec: &Spec) -> Result<Result<Ended, Finding>> {
        Ok(self.run(what, spec)?.and_then(|ended| {
            if ended.status.success() {
                Ok(ended)
            } else {
                Err(Finding::new(what, "status 0", ended_badly(&ended)))
            }
        }))
    }
}

/// How a process ended, with its last words.
pub fn ended_badly(ended: &Ended) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    let how = match (ended.status.code(), ended.status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_owned(),
    };
    match last_line(&ended.stderr).or_else(|| last_line(&ended.stdout)) {
        Some(line) => format!("{how}: {line}"),
        None => how,
    }
}

/// Up to 1.9 the server does not end its code server, which would go by itself once it has missed
/// the heartbeat for 45 seconds. As a service manager does, what is left is told to end; it must
/// obey.
pub fn stop(mut process: Process, what: &str) -> Checked {
    let expected = format!("an end within {} s of SIGTERM", STOP.as_secs());
    process.terminate();
    let Wait::Ended(_) = process.wait(STOP)? else {
        return Ok(Err(vec![Finding::new(what, expected, "it running; it was killed")]));
    };
    let told = process.wait_for_all(STOP)?;
    if told == 0 {
        return Ok(Ok("no process left".to_owned()));
    }
    process.terminate_all();
    Ok(match process.wait_for_all(STOP)? {
        0 => Ok(format!("no process left, {told} of them told by itself")),
        left => Err(vec![Finding::new(
            format!("{left} processes that {what} left"),
            expected,
            "them running; they were killed",
        )]),
    })
}

/// The last line that says something: frames and rules around it are not words.
fn last_line(text: &str) -> Option<&str> {
    text.lines().rev().map(str::trim).find(|line| line.chars().any(char::is_alphanumeric))
}

fn slug(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_words() {
        assert_eq!(last_line("Traceback\n| Error: no |\n\n+-----+\n"), Some("| Error: no |"));
        assert_eq!(last_line("\n--\n"), None);
    }

    #[test]
    fn slugs_are_file_names() {
        assert_eq!(slug("dagster-graphql --version"), "dagster-graphql---version");
        assert_eq!(slug("../x"), "---x");
    }
}
