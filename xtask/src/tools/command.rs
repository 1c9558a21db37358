//! Outside programs run to their end, with their words kept for the error.
//!
//! None is waited for without an end: each has a limit, and the first signal that asks this program
//! to stop ends what it waits for. A program that is ended gets SIGTERM first, in which git removes
//! its lock files. It stays in this program's process group: git asks a person for a password on
//! the terminal.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal};
use xshell::Cmd;

use super::descendants;
use super::surroundings::{self, Program};
use crate::failure::Failure;
use crate::interrupt;

/// How long a program may take that is given no limit of its own. Hooks run in a commit and a push,
/// and a person may have to find a password.
pub const LIMIT: Duration = Duration::from_secs(600);
/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
/// How much later a signal may be noticed here than by a program that it ended.
const SIGNAL_LAG: Duration = Duration::from_millis(50);
/// How long what a program left behind may keep its output open.
const AFTER_THE_END: Duration = Duration::from_secs(2);

/// What a program said and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// `None`: ended by a signal.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    pub fn success(&self) -> bool {
        self.status == Some(0)
    }

    /// The status in words, as `status 1`.
    pub fn status_text(&self) -> String {
        self.status.map_or_else(|| "a signal".to_owned(), |status| format!("status {status}"))
    }
}

/// Runs a command to its end whatever its status, in the environment that its program is given
/// ([`surroundings`]).
///
/// # Errors
/// When it does not run, or did not end within [`LIMIT`], or this program is asked to stop.
pub fn output(cmd: Cmd<'_>) -> Result<Output> {
    run(cmd, None, LIMIT)
}

/// Runs a command that must succeed and returns its stdout without the trailing newline.
///
/// # Errors
/// As [`output`], and when its status is not 0.
pub fn read(cmd: Cmd<'_>) -> Result<String> {
    must_succeed(cmd, None, LIMIT)
}

/// [`read`], of a command that has a status for "there is none": `None` then. Any other failure is
/// no such answer; nor is status 1 with words about it, with which every program fails.
pub fn read_if_any(cmd: Cmd<'_>, nothing: i32) -> Result<Option<String>> {
    let text = cmd.to_string();
    let output = run(cmd, None, LIMIT)?;
    if output.status == Some(nothing) && (nothing != 1 || output.stderr.trim().is_empty()) {
        return Ok(None);
    }
    succeeded(&text, output).map(Some)
}

/// [`read`], with a limit of its own.
pub fn read_within(cmd: Cmd<'_>, limit: Duration) -> Result<String> {
    must_succeed(cmd, None, limit)
}

/// [`read`], with a text on stdin.
pub fn read_from(cmd: Cmd<'_>, stdin: &str) -> Result<String> {
    must_succeed(cmd, Some(stdin), LIMIT)
}

fn must_succeed(cmd: Cmd<'_>, stdin: Option<&str>, limit: Duration) -> Result<String> {
    let text = cmd.to_string();
    succeeded(&text, run(cmd, stdin, limit)?)
}

fn succeeded(text: &str, output: Output) -> Result<String> {
    if !output.success() {
        let error = Failure::failed(format!("`{text}` exited with {}", output.status_text()));
        let words = output.stderr.trim();
        return Err(match words {
            "" => error.into(),
            words => error.caused_by(anyhow::anyhow!("{words}")).into(),
        });
    }
    Ok(output.stdout.trim_end().to_owned())
}

fn run(cmd: Cmd<'_>, stdin: Option<&str>, limit: Duration) -> Result<Output> {
    let text = cmd.to_string();
    let mut command = Command::from(cmd);
    let program = Program::of(&command);
    surroundings::give(&mut command, program);
    command
        .env("LC_ALL", "C.UTF-8")
        .stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    interrupt::before_start();
    let mut child = command.spawn().with_context(|| format!("failed to run `{text}`"))?;
    let _known = interrupt::Child::Process(Pid::from_child(&child)).known();
    let stdout = Collected::of(child.stdout.take(), |_| {});
    let stderr = Collected::of(child.stderr.take(), |_| {});
    if let (Some(mut pipe), Some(words)) = (child.stdin.take(), stdin) {
        // A program that does not read to the end says why itself.
        let words = words.to_owned();
        thread::spawn(move || pipe.write_all(words.as_bytes()));
    }
    let status = wait(&mut child, &text, limit)?;
    Ok(Output { status: status.code(), stdout: stdout.text(), stderr: stderr.text() })
}

/// Waits for the end of a program, and sees to it.
fn wait(child: &mut Child, text: &str, limit: Duration) -> Result<ExitStatus> {
    // What runs after the signal puts things back: that is not to be cut off.
    let is_cleanup = interrupt::is_set();
    let start = Instant::now();
    let mut tick = Duration::from_millis(1);
    loop {
        let ended = child.try_wait().with_context(|| format!("failed to wait for `{text}`"))?;
        if ended.is_some_and(|status| status.code().is_none()) {
            // What a terminal sends reaches both, in any order.
            thread::sleep(SIGNAL_LAG);
        }
        let is_interrupted = !is_cleanup && interrupt::is_set();
        match ended {
            // A signal from a terminal reaches it as well; what it has done by then is done.
            Some(status) if status.success() || !is_interrupted => return Ok(status),
            None if !is_interrupted && start.elapsed() < limit => {
                thread::sleep(tick);
                tick = (tick * 2).min(Duration::from_millis(20));
            }
            _ if is_interrupted => {
                end(child);
                return Err(Failure::failed(format!("interrupted: `{text}` was ended")).into());
            }
            _ => {
                end(child);
                return Err(Failure::failed(format!(
                    "expected an end of `{text}` within {} s, found none: it was ended",
                    limit.as_secs()
                ))
                .hint("is the network there? does it wait for a person?")
                .into());
            }
        }
    }
}

/// Ends a program and what it started.
fn end(child: &mut Child) {
    let pid = Pid::from_child(child);
    let below = descendants::all_below(pid);
    let killed = Instant::now() + GRACE;
    let _ = rustix::process::kill_process(pid, Signal::TERM);
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < killed {
        thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    below.iter().for_each(|found| descendants::send(found.pid, Signal::KILL));
}

/// What comes out of a pipe, read as it comes, line by line.
pub struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    end: Receiver<()>,
}

impl Collected {
    /// Reads a pipe to its end; each line is shown to somebody as well, its end included.
    pub fn of(
        pipe: Option<impl Read + Send + 'static>,
        mut show: impl FnMut(&[u8]) + Send + 'static,
    ) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (at_end, end) = mpsc::channel();
        let collected = Arc::clone(&bytes);
        thread::spawn(move || {
            let mut pipe = pipe.map(BufReader::new);
            let mut line = Vec::new();
            let mut next = |line: &mut Vec<u8>| pipe.as_mut()?.read_until(b'\n', line).ok();
            while next(&mut line).is_some_and(|count| count > 0) {
                show(&line);
                if let Ok(mut bytes) = collected.lock() {
                    bytes.append(&mut line);
                }
                line.clear();
            }
            let _ = at_end.send(());
        });
        Self { bytes, end }
    }

    /// All of it, once the program has ended; of a pipe that something else keeps open, what came
    /// so far.
    pub fn text(self) -> String {
        let _ = self.end.recv_timeout(AFTER_THE_END);
        let bytes = self.bytes.lock().map(|bytes| bytes.clone()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use xshell::{Shell, cmd};

    use super::*;

    #[test]
    fn a_failure_is_no_absence() {
        let sh = Shell::new().unwrap();
        let ask = |script: &str, nothing| read_if_any(cmd!(sh, "sh -c {script}"), nothing);
        assert_eq!(ask("echo main", 1).unwrap().as_deref(), Some("main"));
        assert_eq!(ask("exit 1", 1).unwrap(), None);
        assert_eq!(ask("echo no such >&2; exit 128", 128).unwrap(), None);
        for script in ["echo a fault >&2; exit 1", "exit 3", "kill -9 $$"] {
            assert!(ask(script, 1).is_err(), "{script}");
        }
    }
}
