//! Runs the probes of a tree, a few jobs at a time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use super::probe::{Job, Probe};
use crate::interrupt;

/// Jobs that run at the same time. Most of a job is Python starting up.
const PARALLEL: usize = 3;

/// Runs jobs a few at a time, and tells of each in the order given. None is started after `end`,
/// nor, if it is to fail fast, after a probe that failed.
pub fn run_all(jobs: &[Job<'_>], end: Instant, fail_fast: bool) -> Vec<Probe> {
    let stop = AtomicBool::new(false);
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<Vec<Probe>>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let told = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL.min(jobs.len()) {
            scope.spawn(|| {
                while let Some((at, job)) = take(&next, jobs) {
                    let is_over = interrupt::is_set() || stop.load(Ordering::Relaxed);
                    let probes = if is_over { Vec::new() } else { job.probes(end) };
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

fn take<'j, 'a>(next: &AtomicUsize, jobs: &'j [Job<'a>]) -> Option<(usize, &'j Job<'a>)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    Some((at, jobs.get(at)?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::probe::{Finding, Outcome};
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn what_does_not_get_its_turn_is_skipped() {
        let names = || ["start", "answer", "end"].map(str::to_owned).to_vec();
        let bad = || Ok(Err(vec![Finding::new("it", "more", "less")]));
        let job = Job::new(names(), move || vec![Probe::run("start", bad)]);
        let probes = run_all(&[job], soon(), false);
        let outcomes: Vec<bool> =
            probes.iter().map(|probe| matches!(probe.outcome, Outcome::Skipped(_))).collect();
        assert_eq!(outcomes, [false, true, true]);
        assert_eq!(probes[2].outcome, Outcome::Skipped("it needs `start`".to_owned()));
    }

    #[test]
    fn failing_fast_starts_no_more() {
        let bad = || Job::one("x", |_| Ok(Err(vec![Finding::new("it", "more", "less")])));
        let jobs: Vec<Job<'_>> = (0..20).map(|_| bad()).collect();
        assert_eq!(run_all(&jobs, soon(), false).len(), 20);
        assert!(run_all(&jobs, soon(), true).len() <= PARALLEL);
    }

    #[test]
    fn nothing_starts_when_there_is_no_time_left() {
        let job = Job::one("x", |_| panic!("it ran"));
        let probes = run_all(&[job], Instant::now(), false);
        let why = "there is no time left for it";
        assert_eq!(probes[0].outcome, Outcome::Skipped(why.to_owned()));
    }
}
