//! Where one probe's processes run: own home, own `$DAGSTER_HOME`, own temporary files, and an
//! environment that says nothing of ours. They write to these directories only, and read what a
//! tree needs (`access.rs`), as far as the system enforces that (`tools/confine`). What they leave
//! running is a finding.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::probe::{Checked, Finding};
use crate::tools::confine::Access;
use crate::tools::descendants::Found;
use crate::tools::process::{Ended, Process, Spec, Wait};
use crate::ui;

/// How long a server may take to end, then what it started, then what it left and was told to.
const STOP: Duration = Duration::from_secs(8);

const DAGSTER_YAML: &str = "telemetry:\n  enabled: false\n";

/// The directories of one probe.
pub struct Sandbox {
    dir: PathBuf,
    deadline: Duration,
    access: Access,
}

impl Sandbox {
    /// Makes the directories below a scratch directory, named after the probe. They are what its
    /// processes may reach beside what is given.
    pub fn create(
        scratch: &Path,
        probe: &str,
        deadline: Duration,
        mut access: Access,
    ) -> Result<Self> {
        let dir = scratch.join(slug(probe));
        access.write.push(dir.clone());
        let sandbox = Self { dir, deadline, access };
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

    /// Lets processes that are started from now on listen on a port and connect to it.
    pub fn allow_port(&mut self, port: u16) {
        self.access.ports.push(port);
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
            access: Some(self.access.clone()),
        }
    }

    /// Runs a process to its end; a finding when it did not end in time, or left another one.
    pub fn run(&self, what: &str, spec: &Spec) -> Result<Result<Ended, Finding>> {
        let mut process = spec.start()?;
        let Wait::Ended(ended) = process.wait(self.deadline)? else {
            return Ok(Err(Finding::new(
                what,
                format!("an end within {} s", self.deadline.as_secs_f64()),
                "it hanging; it was killed",
            )));
        };
        let left = process.wait_for_all(self.deadline)?;
        Ok(if left.is_empty() { Ok(ended) } else { Err(self.survivors(what, &left)) })
    }

    /// The finding that a process left others, which ran at the deadline.
    fn survivors(&self, what: &str, left: &[Found]) -> Finding {
        let expected = format!("no process left {} s after its end", self.deadline.as_secs_f64());
        Finding::new(what, expected, format!("{}; killed", words(left)))
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
/// obey. Anything else that is left is a finding.
pub fn stop(mut process: Process, what: &str) -> Checked {
    let expected = format!("an end within {} s of SIGTERM", STOP.as_secs());
    process.terminate();
    let Wait::Ended(_) = process.wait(STOP)? else {
        return Ok(Err(vec![Finding::new(what, expected, "it running; it was killed")]));
    };
    let left = process.wait_for_all(STOP)?;
    if left.is_empty() {
        return Ok(Ok("no process left".to_owned()));
    }
    process.terminate_all();
    let deaf = process.wait_for_all(STOP)?;
    let bad: Vec<Found> = left.iter().filter(|left| !is_dagsters(left)).cloned().collect();
    let what = format!("processes that {what} left");
    Ok(if !bad.is_empty() {
        Err(vec![Finding::new(what, "none but Dagster's own", format!("{}; killed", words(&bad)))])
    } else if !deaf.is_empty() {
        Err(vec![Finding::new(what, expected, format!("{}; killed", words(&deaf)))])
    } else {
        let count = ui::count(left.len(), "process");
        Ok(format!("no process left; {count} of Dagster's ended by a SIGTERM of their own"))
    })
}

/// Is it one of the servers that Dagster starts, `python -m dagster…`?
fn is_dagsters(found: &Found) -> bool {
    found.command.contains(" -m dagster")
}

/// Processes in words.
pub fn words(found: &[Found]) -> String {
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
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
