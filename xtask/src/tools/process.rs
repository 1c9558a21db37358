//! Child processes that cannot outlive us: each with a deadline, its own logs and environment.
//!
//! A process is the leader of a group of its own. It ends by itself, at its deadline, when this
//! program is asked to stop, or when its value is dropped; what it started ends with it. A
//! descendant that left the group is found by a variable that only this process's environment has
//! (Linux: in `/proc`; elsewhere the group is all that is looked at). On Linux this program adopts
//! what they orphan, so that none is left as a zombie.
//!
//! Nothing of our own environment is handed down. A descendant that both leaves the group and
//! clears its environment is not found.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, WaitOptions};

use super::pace;
use crate::interrupt;

/// The variable that tells the descendants of one process from all others.
const MARKER: &str = "XTASK_PROCESS";
/// How long an idle machine gives a process that is dropped to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(3);
/// How long SIGKILL may take, which nothing can refuse: a process may be waiting for a disk.
const KILLED: Duration = Duration::from_secs(60);
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
    marker: String,
    status: Option<ExitStatus>,
    /// Descendants that ran when last looked at.
    seen: Vec<Pid>,
    log: PathBuf,
}

impl Spec {
    /// Starts the process.
    pub fn start(&self) -> Result<Process> {
        adopt_orphans();
        let create = |path: PathBuf| {
            File::create(&path).with_context(|| format!("failed to write `{}`", path.display()))
        };
        let marker = marker();
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env(MARKER, &marker)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(create(stdout_of(&self.log))?)
            .stderr(create(stderr_of(&self.log))?);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command
            .spawn()
            .with_context(|| format!("failed to run `{}`", self.program.display()))?;
        let group = Pid::from_child(&child);
        Ok(Process { child, group, marker, status: None, seen: Vec::new(), log: self.log.clone() })
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

    /// Asks all that runs of it with SIGTERM to end.
    pub fn terminate_all(&mut self) {
        for pid in self.left() {
            send(pid, Signal::TERM);
        }
    }

    /// Waits for it and all that it started; returns how many were still there at the deadline.
    ///
    /// # Errors
    /// When this program was asked to stop.
    pub fn wait_for_all(&mut self, mut is_over: impl FnMut() -> bool) -> Result<usize> {
        loop {
            let left = self.left();
            if left.is_empty() || is_over() {
                return Ok(left.len());
            }
            interrupt::check()?;
            std::thread::sleep(TICK);
        }
    }

    /// The processes of this one that run, itself first.
    pub fn running(&mut self) -> Vec<Pid> {
        let mut left = self.left();
        left.sort_by_key(|pid| *pid != self.group);
        left
    }

    /// Where its output goes: see [`stdout_of`] and [`stderr_of`].
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The processes of this one that run, itself included.
    fn left(&mut self) -> Vec<Pid> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        // Not before the leader was waited for: its status would be taken from `child`.
        if self.status.is_some() {
            while let Ok(Some(_)) = rustix::process::waitpgid(self.group, WaitOptions::NOHANG) {}
        }
        let left = survivors(Some(self.group), &self.marker);
        let leader = self.group;
        // The adopted of other groups. Once only: the number may be that of another child by then.
        for &pid in self.seen.iter().filter(|&pid| *pid != leader && !left.contains(pid)) {
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
        }
        self.seen.clone_from(&left);
        left
    }

    /// Signals all that runs, until nothing does or it is given up.
    fn end(&mut self, signal: Signal, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        let mut signalled: Vec<Pid> = Vec::new();
        loop {
            let left = self.left();
            for &pid in &left {
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
    }
}

/// Where the stdout of a log goes.
pub fn stdout_of(log: &Path) -> PathBuf {
    log.with_extension("out")
}

/// Where the stderr of a log goes.
pub fn stderr_of(log: &Path) -> PathBuf {
    log.with_extension("err")
}

/// Signals one survivor; where those are not told apart, the group.
fn send(pid: Pid, signal: Signal) {
    let _ = if cfg!(target_os = "linux") {
        rustix::process::kill_process(pid, signal)
    } else {
        rustix::process::kill_process_group(pid, signal)
    };
}

/// What the variable of every process of this program starts with, and of no other.
pub fn markers() -> &'static str {
    static MARKERS: OnceLock<String> = OnceLock::new();
    MARKERS.get_or_init(|| {
        let nanos = std::time::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_nanos());
        format!("{}-{nanos}-", std::process::id())
    })
}

fn marker() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{}{}-", markers(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Kills every process of a program that is no more, until there is none or it is given up.
pub fn end_marked(markers: &str) {
    let until = Instant::now() + KILLED;
    while Instant::now() < until {
        let left = survivors(None, markers);
        if left.is_empty() {
            return;
        }
        left.into_iter().for_each(|pid| send(pid, Signal::KILL));
        std::thread::sleep(TICK);
    }
}

fn adopt_orphans() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(target_os = "linux")]
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    });
}

/// Every process, zombies aside, that is in the group or whose variable starts with a marker.
#[cfg(target_os = "linux")]
fn survivors(group: Option<Pid>, marker: &str) -> Vec<Pid> {
    let marker = format!("{MARKER}={marker}");
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().and_then(Pid::from_raw))
        .filter(|pid| {
            let dir = Path::new("/proc").join(pid.as_raw_nonzero().to_string());
            let Some((state, of)) =
                fs::read_to_string(dir.join("stat")).ok().and_then(|stat| state_and_group(&stat))
            else {
                return false;
            };
            let is_marked = || {
                fs::read(dir.join("environ")).is_ok_and(|environ| {
                    environ
                        .split(|&byte| byte == 0)
                        .any(|variable| variable.starts_with(marker.as_bytes()))
                })
            };
            !matches!(state, 'Z' | 'X')
                && (Pid::from_raw(of).is_some_and(|of| Some(of) == group) || is_marked())
        })
        .collect()
}

/// State and process group in `/proc/PID/stat`: `PID (NAME) STATE PPID PGRP …`, and a name may
/// hold anything (proc(5)).
#[cfg(target_os = "linux")]
fn state_and_group(stat: &str) -> Option<(char, i32)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(1)?.parse().ok()?))
}

/// The group as one, as long as it has a member.
#[cfg(not(target_os = "linux"))]
fn survivors(group: Option<Pid>, _: &str) -> Vec<Pid> {
    let is_there = |group: &Pid| rustix::process::test_kill_process_group(*group).is_ok();
    group.filter(is_there).into_iter().collect()
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

    #[cfg(target_os = "linux")]
    #[test]
    fn what_left_the_group_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let script = "setsid sh -c 'echo $$ >pids; >ready; exec sleep 1000' & \
            while ! test -e ready; do sleep 0.1; done";
        let mut process = shell(dir.path(), script).start().unwrap();
        let wait = process.wait(Duration::from_secs(20)).unwrap();
        assert!(matches!(wait, Wait::Ended(ended) if ended.status.success()));
        let pids = pids(dir.path());
        assert!(pids.iter().all(|&pid| exists(pid)));
        assert_eq!(process.wait_for_all(|| true).unwrap(), 1);
        process.terminate_all();
        assert_eq!(process.wait_for_all(|| false).unwrap(), 0);
        assert!(pids.iter().all(|&pid| !exists(pid)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn names_may_hold_anything() {
        assert_eq!(state_and_group("7 (a) b (c) S 1 5 5 0"), Some(('S', 5)));
        assert_eq!(state_and_group("7"), None);
    }
}
