//! Processes that were found, and signals to them.

use std::fmt;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions};

/// How long SIGKILL may take, which nothing can refuse: a process may be waiting for a disk.
pub const KILLED: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(20);

/// A process that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub pid: Pid,
    /// Its command line, and where it runs if that can be told.
    pub command: String,
}

/// Processes that were there at some time.
#[derive(Debug, Clone, Default)]
pub struct Before(pub Vec<(i32, u64)>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.command, self.pid)
    }
}

/// Signals a process; where those are not told apart, its group.
pub fn send(pid: Pid, signal: Signal) {
    let _ = if cfg!(target_os = "linux") {
        rustix::process::kill_process(pid, signal)
    } else {
        rustix::process::kill_process_group(pid, signal)
    };
}

/// Kills a process that this program adopted, and waits for its end.
pub fn kill(pid: Pid) {
    send(pid, Signal::KILL);
    let until = Instant::now() + KILLED;
    while matches!(rustix::process::waitpid(Some(pid), WaitOptions::NOHANG), Ok(None))
        && Instant::now() < until
    {
        std::thread::sleep(TICK);
    }
}
