//! Where one probe's processes run: own home, own `$DAGSTER_HOME`, own temporary files, and an
//! environment that says nothing of ours. They write to these directories only, and read what a
//! tree needs (`access.rs`), as far as the system enforces that (`tools/confine`). What they leave
//! running is a finding.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::budget::{Budget, COMMAND, Deadline, FOLLOW, STOP};
use super::probe::{Checked, Finding};
use crate::interrupt;
use crate::tools::activity;
use crate::tools::confine::Access;
use crate::tools::descendants::Found;
use crate::tools::process::{Ended, Process, Spec, Wait, stderr_of, stdout_of};
use crate::ui;

/// Between two questions whether something is so by now.
const TICK: Duration = Duration::from_millis(50);
/// Lines that are looked at for an error: that many a stack may have.
const LAST: usize = 200;

/// The directories of one probe.
pub struct Sandbox {
    dir: PathBuf,
    /// A short path: Dagster's sockets are in it, whose paths may have 103 bytes.
    temporary: PathBuf,
    budget: Budget,
    access: Access,
    leaves_servers: bool,
}

impl Sandbox {
    /// Makes the directories of a probe, named after it, below a scratch directory, and below a
    /// second one its `$TMPDIR`. They are what its processes may reach beside what is given.
    pub fn create(
        scratch: &Path,
        temporary: &Path,
        probe: &str,
        budget: Budget,
        mut access: Access,
    ) -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let (dir, temporary) = (scratch.join(slug(probe)), temporary.join(count.to_string()));
        access.write.extend([dir.clone(), temporary.clone()]);
        let sandbox = Self { dir, temporary, budget, access, leaves_servers: false };
        let own = ["home", "dagster", "log"].map(|dir| sandbox.dir.join(dir));
        for dir in own.iter().chain([&sandbox.temporary]) {
            fs::create_dir_all(dir)
                .with_context(|| format!("failed to create `{}`", dir.display()))?;
        }
        sandbox.write("dagster/dagster.yaml", &sandbox.dagster_yaml())?;
        Ok(sandbox)
    }

    /// The same for a version whose servers leave their code servers running.
    #[must_use]
    pub fn leaving_servers(self, leaves_servers: bool) -> Self {
        Self { leaves_servers, ..self }
    }

    /// What all waits of the run are taken from.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The settings of its instance. A run that says so is tried once more, and all that run are
    /// watched. Dagster waits for a code server's start for 180 s by default, and 60 s for an
    /// answer (see `variables`): not long enough on every machine.
    fn dagster_yaml(&self) -> String {
        let runs = "run_retries:\n  enabled: true\nrun_monitoring:\n  enabled: true\n";
        let wait = self.ceiling().as_secs();
        let servers = format!("code_servers:\n  local_startup_timeout: {wait}\n");
        format!("telemetry:\n  enabled: false\n{runs}{servers}")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A path in `$TMPDIR`, short enough for a socket.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.temporary.join(name)
    }

    /// Starts a wait for something that takes so long at most on an idle machine.
    pub fn wait(&self, base: Duration) -> Deadline {
        self.budget.wait(base)
    }

    /// The longest that any wait may take.
    pub fn ceiling(&self) -> Duration {
        self.budget.ceiling()
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
            ("DAGSTER_GRPC_TIMEOUT_SECONDS", self.ceiling().as_secs().to_string()),
            ("DAGSTER_HOME", dir("dagster")),
            ("HOME", dir("home")),
            ("LANG", "C.UTF-8".to_owned()),
            ("PATH", "/usr/bin:/bin".to_owned()),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
            ("TMPDIR", self.temporary.display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// A process of this probe.
    pub fn spec<A: AsRef<OsStr>>(&self, program: &Path, args: &[A]) -> Spec {
        let words: Vec<String> = std::iter::once(program.file_name().unwrap_or_default())
            .chain(args.iter().map(AsRef::as_ref).take(1))
            .map(|word| Path::new(word).file_name().unwrap_or(word))
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
        let mut deadline = self.wait(COMMAND);
        let Wait::Ended(ended) = process.wait_until(|| deadline.is_over())? else {
            return Ok(Err(late(what, "an end", &deadline, &mut process)));
        };
        let mut deadline = self.wait(STOP);
        let left = process.wait_for_all(|| deadline.is_over())?;
        Ok(if left.is_empty() {
            Ok(ended)
        } else {
            let expected = deadline.expected("no process of it left");
            Err(Finding::new(what, expected, format!("{}; killed", words(&left))))
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
    match last_words(&ended.stderr).or_else(|| last_words(&ended.stdout)) {
        Some(line) => format!("{how}: {line}"),
        None => how,
    }
}

/// What did not come in time, of a process that runs: what that is doing, and how busy the machine.
pub fn late(what: &str, wanted: &str, deadline: &Deadline, process: &mut Process) -> Finding {
    let found = format!("none after {}; {}", deadline.found(), doing(process));
    Finding::new(what, deadline.expected(wanted), found)
}

/// What a process and all that it started are doing, what it wrote last, and its last error.
fn doing(process: &mut Process) -> String {
    let doing = activity::words(&process.running());
    let written = [stderr_of(process.log()), stdout_of(process.log())]
        .map(|log| String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned());
    let line = written.iter().find_map(|text| last_line(text));
    let error = written.iter().find_map(|text| last_error(text)).filter(|own| Some(*own) != line);
    let error = error.map_or_else(String::new, |error| format!("; its last error: {error}"));
    match line {
        Some(line) => format!("it is {doing}; it wrote last: {line}{error}"),
        None => format!("it is {doing}; it wrote nothing"),
    }
}

/// Waits before something is asked again that took so long: half of the time at most is spent on
/// asking.
///
/// # Errors
/// When this program was asked to stop.
pub fn pause(took: Duration) -> Result<()> {
    let until = Instant::now() + took.max(TICK);
    while Instant::now() < until {
        interrupt::check()?;
        std::thread::sleep(TICK);
    }
    Ok(())
}

/// Tells a server to end, and looks what it leaves: nothing may be left, but up to 1.9 its code
/// servers, which would go by themselves once they have missed the heartbeat for 45 seconds. As a
/// service manager does, those are told to end; they must obey.
pub fn stop(sandbox: &Sandbox, mut process: Process, what: &str) -> Checked {
    let mut deadline = sandbox.wait(STOP);
    process.terminate();
    let Wait::Ended(_) = process.wait_until(|| deadline.is_over())? else {
        return Ok(Err(vec![late(what, "an end after SIGTERM", &deadline, &mut process)]));
    };
    let mut deadline = sandbox.wait(if sandbox.leaves_servers { FOLLOW } else { STOP });
    let left = process.wait_for_all(|| deadline.is_over())?;
    if left.is_empty() {
        return Ok(Ok("no process left".to_owned()));
    }
    let found = |left: &[Found]| {
        let found = format!("{}; killed", words(left));
        Err(vec![Finding::new(format!("processes that {what} left"), "none", found)])
    };
    if !sandbox.leaves_servers {
        return Ok(found(&left));
    }
    let told = process.terminate_those(is_dagsters);
    let mut deadline = sandbox.wait(STOP);
    let left = process.wait_for_all(|| deadline.is_over())?;
    let others: Vec<Found> = left.iter().filter(|left| !is_dagsters(left)).cloned().collect();
    Ok(if !others.is_empty() {
        found(&others)
    } else if !left.is_empty() {
        let what = format!("{} that {what} left", ui::count(left.len(), "server"));
        Err(vec![late(&what, "an end after SIGTERM", &deadline, &mut process)])
    } else {
        let told = ui::count(told, "server");
        Ok(format!("no process left; {told} that it had started ended only when told to"))
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

/// What says most of why a process ended: its last error, which a stack may follow, or its last
/// line.
fn last_words(text: &str) -> Option<&str> {
    last_error(text).or_else(|| last_line(text))
}

/// The last error of Python's among the last lines. The commands' own `Error: words` says less:
/// that something failed.
fn last_error(text: &str) -> Option<&str> {
    let errors = || text.lines().rev().take(LAST).map(str::trim).filter(|line| is_error(line));
    errors().find(|line| !line.starts_with("Error: ")).or_else(|| errors().next())
}

/// Does a line read `SomeError: words`, with the module before it or not?
fn is_error(line: &str) -> bool {
    let Some((name, words)) = line.split_once(": ") else { return false };
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '.' || c == '_');
    let is_one = ["Error", "Exception"].iter().any(|end| name.ends_with(end));
    is_name && is_one && !words.trim().is_empty()
}

/// A file's name made of words; no longer than a file's name may be, wherever the words come from.
fn slug(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(100).collect()
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
    fn an_error_says_more_than_the_stack_behind_it() {
        for (text, expected) in [
            (
                "E\n  File \"x.py\", line 1\n    raise x\nx.y.OneError: no: 1\n",
                "x.y.OneError: no: 1",
            ),
            (
                "Exception: no\n\nStack Trace:\n  File \"x.py\", line 1\n    a = b: c\n",
                "Exception: no",
            ),
            ("AError: 1\nBError: 2\n(Background: x)\n", "BError: 2"),
            ("no Error: 1\nError:\nthe end\n", "the end"),
            ("x.OneError: 1\nError: Job failed.\n", "x.OneError: 1"),
            ("Usage: x\nError: No such command.\nthe end\n", "Error: No such command."),
        ] {
            assert_eq!(last_words(text), Some(expected), "{text}");
        }
        let far = format!("AError: 1\n{}", "x\n".repeat(LAST));
        assert_eq!(last_words(&far), Some("x"));
    }

    #[test]
    fn slugs_are_file_names() {
        assert_eq!(slug("dagster-graphql --version"), "dagster-graphql---version");
        assert_eq!(slug("../x"), "---x");
        assert_eq!(slug(&"/a long place".repeat(40)).len(), 100);
    }
}
