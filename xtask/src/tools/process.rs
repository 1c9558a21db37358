//! Child processes that cannot outlive us: each with a deadline, its own logs and environment.
//!
//! A process is the leader of a group of its own. It ends by itself, at its deadline, when this
//! program is asked to stop, or when its value is dropped; what it started ends with it, wherever
//! that went (`descendants`).
//!
//! Nothing of our own environment is handed down.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, WaitOptions};

use super::confine::{self, Access};
use super::descendants::{self, Found, KILLED, Mark, send};
use super::pace;
use crate::interrupt;

/// How long an idle machine gives a process that is dropped to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(3);
const TICK: Duration = Duration::from_millis(20);

/// What to run. The environment is this one and nothing else.
#[derive(Debug, Clone)]
pub struct Spec {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub env: Vec<(OsString, OsString)>,
    /// The working directory.
    pub dir: PathBuf,
    /// `LOG.out` and `LOG.err` get stdout and stderr.
    pub log: PathBuf,
    /// All that it may reach; `None`: whatever we may.
    pub access: Option<Access>,
}

/// How a process ended by itself.
#[derive(Debug, Clone)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// How a process ended, or did not.
#[derive(Debug, Clone)]
pub enum Wait {
    Ended(Ended),
    /// It ran at the deadline.
    Running,
}

/// A running process. Dropping it kills it and all that it started.
pub struct Process {
    child: Child,
    group: Pid,
    mark: Mark,
    status: Option<ExitStatus>,
    /// Descendants that ran when last looked at.
    seen: Vec<Pid>,
    log: PathBuf,
}

impl Spec {
    /// Starts the process.
    pub fn start(&self) -> Result<Process> {
        let stdout = create(&stdout_of(&self.log))?;
        self.start_between(Stdio::null(), stdout.into())
    }

    /// Starts the process with pipes in the place of its stdin and stdout; the log of the latter is
    /// empty.
    pub fn start_with_pipes(&self) -> Result<(Process, ChildStdin, ChildStdout)> {
        create(&stdout_of(&self.log))?;
        let mut process = self.start_between(Stdio::piped(), Stdio::piped())?;
        let stdin = process.child.stdin.take().context("it has no stdin")?;
        let stdout = process.child.stdout.take().context("it has no stdout")?;
        Ok((process, stdin, stdout))
    }

    fn start_between(&self, stdin: Stdio, stdout: Stdio) -> Result<Process> {
        descendants::adopt_orphans();
        let mark = Mark::next();
        let mut command = match &self.access {
            Some(access) => confine::command(&self.program, access),
            None => Command::new(&self.program),
        };
        command
            .args(&self.args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env(descendants::VARIABLE, mark.value())
            .current_dir(&self.dir)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(create(&stderr_of(&self.log))?);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        interrupt::before_start();
        let child = descendants::marking(mark, || match &self.access {
            Some(access) => confine::spawn(&mut command, access),
            None => Ok(command.spawn()?),
        });
        if child.is_err() {
            mark.release();
        }
        let child = child.with_context(|| format!("failed to run `{}`", self.program.display()))?;
        let group = Pid::from_child(&child);
        Ok(Process { child, group, mark, status: None, seen: Vec::new(), log: self.log.clone() })
    }

    /// Runs the process to its end. At the deadline, and whatever it left behind, is killed.
    pub fn run(&self, deadline: Duration) -> Result<Wait> {
        self.start()?.wait(deadline)
    }
}

impl Process {
    /// Waits until the process itself ends, its descendants aside.
    ///
    /// # Errors
    /// When this program was asked to stop.
    pub fn wait(&mut self, deadline: Duration) -> Result<Wait> {
        let until = Instant::now() + deadline;
        self.wait_until(|| Instant::now() >= until)
    }

    /// The same, up to when somebody says that it took too long.
    pub fn wait_until(&mut self, mut is_over: impl FnMut() -> bool) -> Result<Wait> {
        loop {
            if let Some(ended) = self.poll()? {
                return Ok(Wait::Ended(ended));
            }
            interrupt::check()?;
            if is_over() {
                return Ok(Wait::Running);
            }
            std::thread::sleep(TICK);
        }
    }

    /// Has the process ended?
    pub fn poll(&mut self) -> Result<Option<Ended>> {
        if self.status.is_none() {
            self.status = self.child.try_wait().context("failed to wait for a process")?;
        }
        let Some(status) = self.status else { return Ok(None) };
        let read = |path: PathBuf| {
            fs::read(&path)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .with_context(|| format!("failed to read `{}`", path.display()))
        };
        let (stdout, stderr) = (read(stdout_of(&self.log))?, read(stderr_of(&self.log))?);
        Ok(Some(Ended { status, stdout, stderr }))
    }

    /// Asks the process itself, and nothing that it started, with SIGTERM to end.
    pub fn terminate(&mut self) {
        if self.status.is_none() {
            let _ = rustix::process::kill_process(self.group, Signal::TERM);
        }
    }

    /// Asks some of what runs of it with SIGTERM to end; returns how many.
    pub fn terminate_those(&mut self, is_meant: impl Fn(&Found) -> bool) -> usize {
        let meant: Vec<Found> = self.left().into_iter().filter(is_meant).collect();
        meant.iter().for_each(|found| send(found.pid, Signal::TERM));
        meant.len()
    }

    /// Waits for it and all that it started; returns what still ran at the deadline.
    ///
    /// # Errors
    /// When this program was asked to stop.
    pub fn wait_for_all(&mut self, mut is_over: impl FnMut() -> bool) -> Result<Vec<Found>> {
        loop {
            let left = self.left();
            if left.is_empty() || is_over() {
                return Ok(left);
            }
            interrupt::check()?;
            std::thread::sleep(TICK);
        }
    }

    /// The processes of this one that run, itself first.
    pub fn running(&mut self) -> Vec<Pid> {
        let mut left: Vec<Pid> = self.left().into_iter().map(|found| found.pid).collect();
        left.sort_by_key(|pid| *pid != self.group);
        left
    }

    /// Where its output goes: see [`stdout_of`] and [`stderr_of`].
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The processes of this one that run, itself included.
    fn left(&mut self) -> Vec<Found> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        // Not before the leader was waited for: its status would be taken from `child`.
        if self.status.is_some() {
            while let Ok(Some(_)) = rustix::process::waitpgid(self.group, WaitOptions::NOHANG) {}
        }
        let left = descendants::of(self.group, self.mark);
        let pids: Vec<Pid> = left.iter().map(|found| found.pid).collect();
        let leader = self.group;
        // The adopted of other groups. Once only: the number may be that of another child by then.
        for &pid in self.seen.iter().filter(|&pid| *pid != leader && !pids.contains(pid)) {
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
        }
        self.seen = pids;
        left
    }

    /// Signals all that runs, until nothing does or it is given up.
    fn end(&mut self, signal: Signal, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        let mut signalled: Vec<Pid> = Vec::new();
        loop {
            let left = self.left();
            for &Found { pid, .. } in &left {
                // What a process starts while it is being ended gets its signal in the next round.
                if !signalled.contains(&pid) {
                    send(pid, signal);
                    signalled.push(pid);
                }
            }
            if left.is_empty() {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(TICK);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.end(Signal::TERM, GRACE.mul_f64(pace::last())) {
            self.end(Signal::KILL, KILLED);
        }
        let _ = self.child.try_wait();
        self.mark.release();
    }
}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("failed to write `{}`", path.display()))
}

/// Where the stdout of a log goes.
pub fn stdout_of(log: &Path) -> PathBuf {
    log.with_extension("out")
}

/// Where the stderr of a log goes.
pub fn stderr_of(log: &Path) -> PathBuf {
    log.with_extension("err")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(dir: &Path, script: &str) -> Spec {
        Spec {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            dir: dir.to_owned(),
            log: dir.join("log"),
            access: None,
        }
    }

    /// Waits for the script to have written its pids, and returns them.
    fn pids(dir: &Path) -> Vec<Pid> {
        let until = Instant::now() + Duration::from_secs(20);
        while !dir.join("ready").exists() {
            assert!(Instant::now() < until, "the script did not start");
            std::thread::sleep(TICK);
        }
        let text = fs::read_to_string(dir.join("pids")).unwrap();
        text.lines().map(|line| Pid::from_raw(line.parse().unwrap()).unwrap()).collect()
    }

    fn exists(pid: Pid) -> bool {
        rustix::process::test_kill_process(pid).is_ok()
    }

    #[test]
    fn nothing_of_our_environment_is_handed_down() {
        let dir = tempfile::tempdir().unwrap();
        let wait = shell(dir.path(), "env").run(Duration::from_secs(20)).unwrap();
        let Wait::Ended(ended) = wait else { panic!("it hangs") };
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        assert!(!ended.stdout.contains("CARGO"), "{}", ended.stdout);
        assert!(ended.stdout.contains("PATH=/usr/bin:/bin\n"), "{}", ended.stdout);
    }

    #[test]
    fn output_and_status_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let spec = shell(dir.path(), "echo out; echo err >&2; exit 3");
        let Wait::Ended(ended) = spec.run(Duration::from_secs(20)).unwrap() else {
            panic!("it hangs")
        };
        assert_eq!(
            (ended.status.code(), &*ended.stdout, &*ended.stderr),
            (Some(3), "out\n", "err\n")
        );
        assert_eq!(fs::read_to_string(stderr_of(&spec.log)).unwrap(), "err\n");
    }

    #[test]
    fn dropping_kills_what_ignores_sigterm() {
        let dir = tempfile::tempdir().unwrap();
        let script = "trap '' TERM; sleep 1000 & echo $! >pids; echo $$ >>pids; >ready; wait";
        let process = shell(dir.path(), script).start().unwrap();
        let pids = pids(dir.path());
        drop(process);
        assert!(pids.iter().all(|&pid| !exists(pid)));
    }

    #[test]
    fn a_deadline_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let script = "sleep 1000 & echo $! >pids; >ready; sleep 1000";
        let wait = shell(dir.path(), script).run(Duration::from_millis(500)).unwrap();
        assert!(matches!(wait, Wait::Running));
        assert!(pids(dir.path()).iter().all(|&pid| !exists(pid)));
    }

    /// A process that left its group, its session and its parent and cleared its environment.
    #[cfg(target_os = "linux")]
    const ESCAPE: &str = "(env -i setsid sh -c 'echo $$ >pids; >ready; exec sleep 1000' &) & \
        while ! test -e ready; do sleep 0.1; done";

    #[cfg(target_os = "linux")]
    #[test]
    fn what_left_and_cleared_everything_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = shell(dir.path(), ESCAPE).start().unwrap();
        let wait = process.wait(Duration::from_secs(20)).unwrap();
        assert!(matches!(wait, Wait::Ended(ended) if ended.status.success()));
        let pids = pids(dir.path());
        assert!(pids.iter().all(|&pid| exists(pid)));
        let left = process.wait_for_all(|| true).unwrap();
        let [Found { pid, command }] = &left[..] else { panic!("expected one, found {left:?}") };
        assert_eq!([*pid], pids[..]);
        assert_eq!(*command, format!("`sleep 1000` in `{}`", dir.path().display()));
        assert_eq!(process.terminate_those(|_| true), 1);
        assert!(process.wait_for_all(|| false).unwrap().is_empty());
        assert!(pids.iter().all(|&pid| !exists(pid)));
    }

    /// One that has lost its mark, too, is nobody's, and still ours.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_has_no_mark_is_found_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let before = descendants::now();
        let script = format!("ulimit -R unlimited 2>/dev/null; {ESCAPE}");
        let mut spec = shell(dir.path(), &script);
        spec.program = "/bin/bash".into();
        let mut process = spec.start().unwrap();
        assert!(matches!(process.wait(Duration::from_secs(20)).unwrap(), Wait::Ended(_)));
        let pids = pids(dir.path());
        drop(process);
        assert!(pids.iter().all(|&pid| exists(pid)));
        // Other tests of this program start processes at the same time.
        let all = descendants::since(&before);
        let found: Vec<&Found> = all.iter().filter(|found| pids.contains(&found.pid)).collect();
        assert_eq!(found.len(), 1, "{all:?}");
        descendants::kill(found[0].pid);
        assert!(pids.iter().all(|&pid| !exists(pid)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_not_allowed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own");
        fs::create_dir(&own).unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        let script = "cat ../secret; ls ..; echo x >../new; echo x >new; cat new; \
            cat /proc/$PPID/environ; kill -0 $PPID";
        let mut spec = shell(&own, script);
        spec.access = Some(Access { write: vec![own.clone()], ..Access::default() });
        let Wait::Ended(ended) = spec.run(Duration::from_secs(20)).unwrap() else {
            panic!("it hangs")
        };
        assert_eq!(ended.stdout, "x\n", "{}", ended.stderr);
        let refused = confine::enforced().unwrap().areas.len();
        assert!(refused == 0 || ended.stderr.matches("ermission denied").count() >= 4);
        assert!(refused == 0 || !dir.path().join("new").exists());
    }
}
