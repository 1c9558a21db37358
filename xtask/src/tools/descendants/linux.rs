//! The tree of processes in `/proc` (proc(5)), and the marks on them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal};

use super::found::{Before, Found, KILLED, send};
use super::mark::{Mark, Run, VARIABLE};

/// The limit that is the mark.
const LIMIT: Resource = Resource::Rttime;
/// What `/proc/PID/limits` calls it.
const LIMIT_NAME: &str = "Max realtime timeout";
const TICK: Duration = Duration::from_millis(20);

/// One process as `/proc/PID/stat` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    pid: i32,
    parent: i32,
    group: i32,
    is_dead: bool,
    /// In ticks since the machine's start.
    started: u64,
}

/// Makes this program the parent of what its descendants orphan.
pub fn adopt_orphans() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    });
}

/// Has what `start` starts inherit the limit that is the mark. One at a time: the limit is that of
/// this whole process while it lasts.
pub fn marking<T>(mark: Mark, start: impl FnOnce() -> T) -> T {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = rustix::process::getrlimit(LIMIT);
    let limit = Rlimit { current: Some(mark.limit()), maximum: before.maximum };
    // Where the most that is allowed is less, there is no such mark.
    let is_marked = rustix::process::setrlimit(LIMIT, limit).is_ok();
    let started = start();
    if is_marked {
        let _ = rustix::process::setrlimit(LIMIT, before);
    }
    started
}

/// Every process that runs and is of the group, has the mark, or was started by one that is or has.
pub fn of(group: Pid, mark: Mark) -> Vec<Found> {
    let all = all();
    let ours = below(own_pid(), &all);
    let is_its = |entry: &Entry| {
        ours.contains(&entry.pid)
            && (entry.group == group.as_raw_nonzero().get() || has_mark(entry.pid, mark))
    };
    let its = with_all_below(all.iter().filter(|entry| is_its(entry)), &all);
    found(&all, |entry| its.contains(&entry.pid))
}

/// Every process that runs and was started by one, or by one of those.
pub fn all_below(pid: Pid) -> Vec<Found> {
    let all = all();
    let below = below(pid.as_raw_nonzero().get(), &all);
    found(&all, |entry| below.contains(&entry.pid))
}

/// The processes that are this program's now.
pub fn now() -> Before {
    let all = all();
    let ours = below(own_pid(), &all);
    let ours = all.iter().filter(|entry| ours.contains(&entry.pid));
    Before(ours.map(|entry| (entry.pid, entry.started)).collect())
}

/// Every process of this program that runs and that nobody looks after. Not those that were there
/// before, nor what this program started in its own group, nor what either started.
pub fn since(Before(before): &Before) -> Vec<Found> {
    let all = all();
    let in_use = Mark::all_in_use();
    let own_group = rustix::process::getpgrp().as_raw_nonzero().get();
    let is_known = |entry: &Entry| {
        before.contains(&(entry.pid, entry.started))
            || entry.group == own_group
            || in_use.iter().any(|mark| has_mark(entry.pid, *mark))
    };
    let ours = below(own_pid(), &all);
    let ours: Vec<Entry> = all.iter().filter(|entry| ours.contains(&entry.pid)).copied().collect();
    let known = with_all_below(ours.iter().filter(|entry| is_known(entry)), &all);
    found(&ours, |entry| !known.contains(&entry.pid))
}

/// Kills every process of a run of this program that is no more, until there is none or it is given
/// up.
pub fn end_run(run: Run) {
    let variable = format!("{VARIABLE}={run}-");
    let until = Instant::now() + KILLED;
    while Instant::now() < until {
        let left = found(&all(), |entry| {
            has_variable(entry.pid, &variable)
                || limit_of(entry.pid).is_some_and(|limit| run.has_limit(limit))
        });
        if left.is_empty() {
            return;
        }
        left.iter().for_each(|found| send(found.pid, Signal::KILL));
        std::thread::sleep(TICK);
    }
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// Every process of this machine that can be seen.
fn all() -> Vec<Entry> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: i32| entry_of(&fs::read_to_string(dir(pid).join("stat")).ok()?))
        .collect()
}

/// `PID (NAME) STATE PPID PGRP … STARTTIME`, the 22nd; a name may hold anything.
fn entry_of(stat: &str) -> Option<Entry> {
    let (before, after) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_ascii_whitespace().collect();
    Some(Entry {
        pid: before.split_once(' ')?.0.parse().ok()?,
        is_dead: ["Z", "X"].contains(fields.first()?),
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// The processes below one, it itself aside.
fn below(root: i32, all: &[Entry]) -> BTreeSet<i32> {
    let mut below = BTreeSet::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for entry in all.iter().filter(|entry| entry.parent == parent) {
            if below.insert(entry.pid) {
                parents.push(entry.pid);
            }
        }
    }
    below
}

fn with_all_below<'a>(roots: impl Iterator<Item = &'a Entry>, all: &[Entry]) -> BTreeSet<i32> {
    let roots: BTreeSet<i32> = roots.map(|entry| entry.pid).collect();
    let below = roots.iter().flat_map(|&root| below(root, all)).collect::<BTreeSet<i32>>();
    roots.into_iter().chain(below).collect()
}

fn found(all: &[Entry], is_meant: impl Fn(&Entry) -> bool) -> Vec<Found> {
    all.iter()
        .filter(|entry| !entry.is_dead && is_meant(entry))
        .filter_map(|entry| {
            Some(Found { pid: Pid::from_raw(entry.pid)?, command: command_of(entry.pid) })
        })
        .collect()
}

fn dir(pid: i32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

fn has_mark(pid: i32, mark: Mark) -> bool {
    limit_of(pid) == Some(mark.limit())
        || has_variable(pid, &format!("{VARIABLE}={}", mark.value()))
}

fn has_variable(pid: i32, start: &str) -> bool {
    fs::read(dir(pid).join("environ")).is_ok_and(|environ| {
        environ.split(|&byte| byte == 0).any(|variable| variable.starts_with(start.as_bytes()))
    })
}

fn limit_of(pid: i32) -> Option<u64> {
    soft_limit(&fs::read_to_string(dir(pid).join("limits")).ok()?)
}

/// `Max realtime timeout  SOFT  HARD  us`.
fn soft_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(LIMIT_NAME))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// In words: what it runs, and where.
fn command_of(pid: i32) -> String {
    let line = fs::read(dir(pid).join("cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&line).replace('\0', " ");
    let words = match words.trim().char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &words.trim()[..end]),
        None => words.trim().to_owned(),
    };
    match fs::read_link(dir(pid).join("cwd")) {
        Ok(cwd) => format!("`{words}` in `{}`", cwd.display()),
        Err(_) => format!("`{words}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_anything() {
        let stat = "7 (a) b (c) S 1 5 5 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        let entry = Entry { pid: 7, parent: 1, group: 5, is_dead: false, started: 4242 };
        assert_eq!(entry_of(stat), Some(entry));
        assert_eq!(entry_of("7"), None);
    }

    #[test]
    fn the_tree_is_followed_down() {
        let entry = |pid, parent| Entry { pid, parent, group: 0, is_dead: false, started: 0 };
        let all = [entry(1, 0), entry(2, 1), entry(3, 2), entry(4, 3), entry(5, 1)];
        assert_eq!(below(2, &all), BTreeSet::from([3, 4]));
        assert_eq!(below(4, &all), BTreeSet::new());
    }

    #[test]
    fn limits_are_read() {
        let line = "Max realtime timeout      4611686018427387905  unlimited            us\n";
        assert_eq!(soft_limit(line), Some(4_611_686_018_427_387_905));
        let none = "Max realtime timeout      unlimited            unlimited            us\n";
        assert_eq!(soft_limit(none), None);
    }
}
