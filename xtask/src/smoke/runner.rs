//! Runs the probes of a tree, a few jobs at a time: what takes longest is started first, so that
//! nothing long is left for the end, and told in the order in which it was given. A run that is to
//! end with the first failure starts them in that order, too: it has what says most first.

use std::cmp::Reverse;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::budget::Budget;
use super::probe::{Job, Probe};
use crate::interrupt;
use crate::tools::pace;

/// Jobs that run at the same time on so many cores. Most of a job is Python starting up, on one
/// core; now and then it waits for a process to end, for a disk, or for an answer.
fn parallel(cores: usize) -> usize {
    (cores + 1).max(3)
}

/// Runs jobs a few at a time, and tells of each in the order given. None is started when the budget
/// is used up, nor, if it is to fail fast, after a probe that failed.
pub fn run_all(jobs: &[Job<'_>], budget: &Budget, fail_fast: bool) -> Vec<Probe> {
    let stop = AtomicBool::new(false);
    let next = AtomicUsize::new(0);
    let order = if fail_fast { (0..jobs.len()).collect() } else { longest_first(jobs) };
    let done: Mutex<Vec<Option<Vec<Probe>>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let told = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..parallel(pace::cores()).min(jobs.len()) {
            scope.spawn(|| {
                while let Some(&at) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let probes = if interrupt::is_set() {
                        jobs[at].skipped("the run was interrupted")
                    } else if stop.load(Ordering::Relaxed) {
                        Vec::new()
                    } else {
                        jobs[at].probes(budget)
                    };
                    if fail_fast && probes.iter().any(Probe::has_failed) {
                        stop.store(true, Ordering::Relaxed);
                    }
                    let Ok(mut done) = done.lock() else { return };
                    done[at] = Some(probes);
                    while let Some(Some(probes)) = done.get(told.load(Ordering::Relaxed)) {
                        probes.iter().for_each(Probe::tell);
                        told.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_default().into_iter().flatten().flatten().collect()
}

/// The places of jobs: those that cost nothing, then those that cost most.
fn longest_first(jobs: &[Job<'_>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|&at| match jobs[at].cost() {
        0 => (0, Reverse(0)),
        cost => (1, Reverse(cost)),
    });
    order
}

#[cfg(test)]
mod tests {
    use super::super::probe::{Finding, Outcome};
    use super::*;
    use crate::model::config;

    fn run(jobs: &[Job<'_>], seconds: u64, fail_fast: bool) -> Vec<Probe> {
        let dir = tempfile::tempdir().unwrap();
        let limits = config::Smoke { command_seconds: 60, seconds, ..config::Smoke::default() };
        run_all(jobs, &Budget::start(&limits, dir.path()), fail_fast)
    }

    #[test]
    fn what_does_not_get_its_turn_is_skipped() {
        let names = || ["start", "answer", "end"].map(str::to_owned).to_vec();
        let bad = || Ok(Err(vec![Finding::new("it", "more", "less")]));
        let job = Job::new(names(), move || vec![Probe::run("start", bad)]);
        let probes = run(&[job], 60, false);
        let outcomes: Vec<bool> =
            probes.iter().map(|probe| matches!(probe.outcome, Outcome::Skipped(_))).collect();
        assert_eq!(outcomes, [false, true, true]);
        assert_eq!(probes[2].outcome, Outcome::Skipped("it needs `start`".to_owned()));
    }

    #[test]
    fn the_longest_is_started_first_and_told_in_its_place() {
        let started = Mutex::new(Vec::new());
        let job = |name: &str, seconds| {
            Job::one(name, |name| {
                started.lock().unwrap().push(name.to_owned());
                Ok(Ok(String::new()))
            })
            .taking(seconds)
        };
        let jobs = [job("short", 1), job("long", 9), job("middle", 5), job("none", 0)];
        assert_eq!(longest_first(&jobs), [3, 1, 2, 0]);
        let told = run(&jobs, 60, false);
        let told: Vec<&str> = told.iter().map(|probe| probe.name.as_str()).collect();
        assert_eq!(told, ["short", "long", "middle", "none"]);
        assert_eq!(started.lock().unwrap().len(), 4);
    }

    #[test]
    fn failing_fast_starts_no_more() {
        let bad = || Job::one("x", |_| Ok(Err(vec![Finding::new("it", "more", "less")])));
        let jobs: Vec<Job<'_>> = (0..200).map(|_| bad()).collect();
        assert_eq!(run(&jobs, 60, false).len(), 200);
        assert!(run(&jobs, 60, true).len() <= parallel(pace::cores()));
    }

    #[test]
    fn nothing_starts_when_there_is_no_time_left() {
        let job = Job::one("x", |_| panic!("it ran"));
        let probes = run(&[job], 0, false);
        let Outcome::Skipped(why) = &probes[0].outcome else { panic!("{probes:?}") };
        assert!(why.starts_with("`smoke.seconds` of release.toml is used up (load"), "{why}");
    }
}
