//! SIGINT, SIGTERM and SIGHUP: the first asks the running step to stop and clean up, the second
//! ends at once, and every process of this program's with it.
//!
//! A terminal that closes may send SIGHUP more than once, from the shell and from the system: it
//! is never the second signal. It is left alone where it was ignored at the start (`nohup`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::Failure;
use crate::tools::descendants;

/// How long SIGKILL is waited for: a process may be waiting for a disk.
const KILLED: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(10);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Whether the second signal came.
static ENDED: AtomicBool = AtomicBool::new(false);
static CHILDREN: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// A process that this program started, for as long as the value lives, and what a second signal
/// does to it.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child {
    /// Killed, with all below it.
    Process(Pid),
    /// Killed, with its group and all below it.
    Group(Pid),
    /// Left alone: it cleans up after this program's end.
    Spared(Pid),
}

/// A [`Child`] that is known here.
#[must_use]
pub struct Known(Child);

/// Takes over the signals. Without it they end the process, as they do by default.
pub fn init() {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    if !is_hangup_ignored() {
        let _ = signals.add_signal(SIGHUP);
    }
    thread::spawn(move || {
        for signal in signals.forever() {
            if INTERRUPTED.swap(true, Ordering::SeqCst) && signal != SIGHUP {
                ENDED.store(true, Ordering::SeqCst);
                kill_all();
                std::process::exit(128 + signal);
            }
        }
    });
}

/// Is SIGHUP ignored, as `nohup` has it? Only Linux tells; elsewhere it is left as it is.
fn is_hangup_ignored() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return true };
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_none_or(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}

/// Kills every process of this program, until there is none, or it is given up.
fn kill_all() {
    // What loses its parent meanwhile stays below.
    descendants::adopt_orphans();
    let until = Instant::now() + KILLED;
    // One that a thread is starting may be missed once.
    let mut empty = 0;
    while empty < 2 && Instant::now() < until {
        let children = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_spared = |pid: Pid| children.contains(&Child::Spared(pid));
        let mut below = descendants::all_below(rustix::process::getpid());
        below.retain(|found| !is_spared(found.pid));
        for found in &below {
            let _ = kill_process(found.pid, Signal::KILL);
        }
        for child in children {
            let _ = match child {
                Child::Process(pid) => kill_process(pid, Signal::KILL),
                Child::Group(leader) => kill_process_group(leader, Signal::KILL),
                Child::Spared(_) => Ok(()),
            };
        }
        empty = if below.is_empty() { empty + 1 } else { 0 };
        thread::sleep(TICK);
    }
}

/// Comes back unless the second signal came: then nothing is started any more.
pub fn before_start() {
    while ENDED.load(Ordering::SeqCst) {
        thread::park();
    }
}

/// Was one of the signals seen?
pub fn is_set() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Fails when one of the signals was seen.
pub fn check() -> Result<()> {
    if is_set() { Err(Failure::failed("interrupted").into()) } else { Ok(()) }
}

impl Child {
    pub fn known(self) -> Known {
        CHILDREN.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        Known(self)
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        let mut children = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
        children.retain(|child| *child != self.0);
    }
}
