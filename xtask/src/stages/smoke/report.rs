//! What probes found, how they are run, and how it is told: a line each, in order, then one error.

use std::fmt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use semver::Version;

use super::closure::Closure;
use crate::failure::Failure;
use crate::interrupt;
use crate::ui;

/// Jobs that run at the same time. Most of a job is Python starting up.
const PARALLEL: usize = 3;

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub what: String,
    pub expected: String,
    pub found: String,
}

impl Finding {
    pub fn new(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), expected: expected.into(), found: found.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.what, self.expected, self.found)
    }
}

/// What a probe found, in a few words, or everything that is wrong. The outer error is for what
/// kept it from looking.
pub type Checked = Result<Result<String, Vec<Finding>>>;

#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed(String),
    /// At least one.
    Failed(Vec<Finding>),
    /// Why it did not run.
    Skipped(String),
}

/// The outcome of one probe.
#[derive(Debug)]
pub struct Probe {
    pub name: String,
    pub took: Duration,
    pub outcome: Outcome,
}

impl Probe {
    /// Runs and times a probe. What kept it from running is a finding, too.
    pub fn run(name: impl Into<String>, probe: impl FnOnce() -> Checked) -> Self {
        let name = name.into();
        let start = Instant::now();
        let outcome = match probe() {
            Ok(Ok(found)) => Outcome::Passed(found),
            Ok(Err(findings)) => Outcome::Failed(findings),
            Err(error) => {
                Outcome::Failed(vec![Finding::new(&name, "it to run", format!("{error:#}"))])
            }
        };
        Self { name, took: start.elapsed(), outcome }
    }

    pub fn skipped(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), took: Duration::ZERO, outcome: Outcome::Skipped(why.into()) }
    }

    pub fn has_passed(&self) -> bool {
        matches!(self.outcome, Outcome::Passed(_))
    }

    fn has_failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }

    fn tell(&self) {
        let Self { name, took, outcome } = self;
        let seconds = took.as_secs_f64();
        match outcome {
            Outcome::Passed(found) => {
                ui::detail(format!("ok     {seconds:4.1} s  {name}: {found}"))
            }
            Outcome::Skipped(why) => ui::detail(format!("skipped        {name}: {why}")),
            Outcome::Failed(findings) => {
                for finding in findings {
                    ui::detail(format!("FAILED {seconds:4.1} s  {name}: {finding}"));
                }
            }
        }
    }
}

/// Probes in an order: each needs those before it. Jobs do not depend on each other.
pub struct Job<'a> {
    names: Vec<String>,
    run: Box<dyn Fn() -> Vec<Probe> + Send + Sync + 'a>,
}

impl<'a> Job<'a> {
    /// Probes of these names. `run` gives the first of them, up to one that did not pass.
    pub fn new(names: Vec<String>, run: impl Fn() -> Vec<Probe> + Send + Sync + 'a) -> Self {
        Self { names, run: Box::new(run) }
    }

    /// A single probe.
    pub fn one(
        name: impl Into<String>,
        probe: impl Fn(&str) -> Checked + Send + Sync + 'a,
    ) -> Self {
        let name = name.into();
        Self::new(vec![name.clone()], move || vec![Probe::run(&name, || probe(&name))])
    }

    /// Runs the probes; those that did not get their turn are skipped.
    fn probes(&self, end: Instant) -> Vec<Probe> {
        let mut probes = Vec::new();
        let mut why = "there is no time left for it".to_owned();
        if Instant::now() < end {
            probes = (self.run)();
            if let Some(last) = probes.last() {
                why = format!("it needs `{}`", last.name);
            }
        }
        let rest = self.names.iter().skip(probes.len());
        let rest: Vec<Probe> = rest.map(|name| Probe::skipped(name, &why)).collect();
        probes.extend(rest);
        probes
    }
}

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

/// Everything about one tree.
#[derive(Debug)]
pub struct Report {
    pub tree: String,
    /// What the tree was taken for.
    pub kind: String,
    pub version: Version,
    pub took: Duration,
    pub probes: Vec<Probe>,
    /// `None` where the tree is not in a store.
    pub closure: Option<Closure>,
    /// Probes that may be skipped.
    pub may_skip: Vec<String>,
}

impl Report {
    pub fn has_passed(&self) -> bool {
        self.problems().is_empty()
    }

    /// Everything that is wrong, most telling first: a probe that is skipped is, too, unless that
    /// was allowed.
    fn problems(&self) -> Vec<String> {
        let failed = self.probes.iter().filter_map(|probe| match &probe.outcome {
            Outcome::Failed(findings) => Some(findings),
            _ => None,
        });
        let skipped = self.probes.iter().filter_map(|probe| match &probe.outcome {
            Outcome::Skipped(why) if !self.may_skip.contains(&probe.name) => {
                Some(format!("`{}` was skipped: {why}", probe.name))
            }
            _ => None,
        });
        failed.flatten().map(ToString::to_string).chain(skipped).collect()
    }

    /// The error of a tree whose probes did not all pass.
    pub fn failure(&self, logs: &Path) -> Option<Failure> {
        let problems = self.problems();
        let (first, rest) = problems.split_first()?;
        let mut failure = Failure::failed(format!("smoke test of `{}` failed: {first}", self.tree));
        if !rest.is_empty() {
            let lines: Vec<String> = rest.iter().map(|problem| format!("- {problem}")).collect();
            failure =
                failure.caused_by(anyhow::anyhow!("{} more:\n{}", rest.len(), lines.join("\n")));
        }
        Some(failure.hint(format!("what each command wrote is in `{}`", logs.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(probes: Vec<Probe>) -> Report {
        Report {
            tree: "combined".to_owned(),
            kind: "flox result".to_owned(),
            version: Version::new(1, 9, 12),
            took: Duration::from_secs(3),
            probes,
            closure: None,
            may_skip: vec!["closure".to_owned()],
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn the_first_finding_is_the_headline() {
        let probe = |name: &str, outcome| Probe {
            name: name.to_owned(),
            took: Duration::from_secs(1),
            outcome,
        };
        let wrong = |found: &str| Finding::new("`dagster --version`", "`1.9.12`", found);
        let logs = Path::new("/tmp/x");
        let good = || probe("a", Outcome::Passed(String::new()));
        assert!(report(vec![good()]).failure(logs).is_none());
        let report = report(vec![
            good(),
            Probe::skipped("closure", "no store"),
            Probe::skipped("web page", "it needs `webserver`"),
            probe("b", Outcome::Failed(vec![wrong("`1!0+dev`"), wrong("`2`")])),
        ]);
        expect_test::expect![[r#"
            error: smoke test of `combined` failed: `dagster --version`: expected `1.9.12`, found `1!0+dev`
              Caused by: 2 more:
                - `dagster --version`: expected `1.9.12`, found `2`
                - `web page` was skipped: it needs `webserver`
            hint: what each command wrote is in `/tmp/x`
        "#]]
        .assert_eq(&crate::failure::render(&report.failure(logs).unwrap().into()));
    }

    #[test]
    fn a_probe_that_cannot_run_is_a_finding() {
        let probe = Probe::run("x", || anyhow::bail!("no such file"));
        let Outcome::Failed(findings) = probe.outcome else { panic!("it passed") };
        assert_eq!(findings[0].to_string(), "x: expected it to run, found no such file");
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
