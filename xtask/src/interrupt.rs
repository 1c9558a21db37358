//! SIGINT and SIGTERM: the first asks the running step to stop and clean up, the second ends at
//! once, and what has a process group of its own with it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::Failure;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A process group that a second signal ends, for as long as the value lives.
#[must_use]
pub struct Group(Pid);

/// Takes over the two signals. Without it they end the process, as they do by default.
pub fn init() {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    thread::spawn(move || {
        for signal in signals.forever() {
            if INTERRUPTED.swap(true, Ordering::SeqCst) {
                for group in GROUPS.lock().iter().flat_map(|groups| groups.iter()) {
                    let _ = kill_process_group(*group, Signal::KILL);
                }
                std::process::exit(128 + signal);
            }
        }
    });
}

/// Was one of the signals seen?
pub fn is_set() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Fails when one of the signals was seen.
pub fn check() -> Result<()> {
    if is_set() { Err(Failure::failed("interrupted").into()) } else { Ok(()) }
}

impl Group {
    pub fn new(leader: Pid) -> Self {
        if let Ok(mut groups) = GROUPS.lock() {
            groups.push(leader);
        }
        Self(leader)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Ok(mut groups) = GROUPS.lock() {
            groups.retain(|group| *group != self.0);
        }
    }
}
