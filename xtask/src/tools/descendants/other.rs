//! Where there is no `/proc`: the process group as one, as long as it has a member.

use rustix::process::Pid;

use super::found::{Before, Found};
use super::mark::{Mark, Run};

pub fn adopt_orphans() {}

/// Runs it; there is no mark.
pub fn marking<T>(_: Mark, start: impl FnOnce() -> T) -> T {
    start()
}

/// The group, while it has a member.
pub fn of(group: Pid, _: Mark) -> Vec<Found> {
    let is_there = rustix::process::test_kill_process_group(group).is_ok();
    let found = Found { pid: group, command: "a process of its group".to_owned() };
    if is_there { vec![found] } else { Vec::new() }
}

/// They are not known here.
pub fn all_below(_: Pid) -> Vec<Found> {
    Vec::new()
}

pub fn now() -> Before {
    Before::default()
}

pub fn since(_: &Before) -> Vec<Found> {
    Vec::new()
}

pub fn end_run(_: Run) {}
