//! What probes found, how they are run, and how it is told: a line each, in order, then one error.

use std::fmt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

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

/// The outcome of one probe.
#[derive(Debug)]
pub struct Probe {
    pub name: String,
    pub took: Duration,
    /// A few words on what was found, or everything that is wrong.
    pub outcome: Result<String, Vec<Finding>>,
}

impl Probe {
    /// Runs and times a probe. What kept it from running is a finding, too.
    pub fn run(
        name: impl Into<String>,
        probe: impl FnOnce() -> Result<Result<String, Vec<Finding>>>,
    ) -> Self {
        let name = name.into();
        let start = Instant::now();
        let outcome = probe().unwrap_or_else(|error| {
            Err(vec![Finding::new(&name, "it to run", format!("{error:#}"))])
        });
        Self { name, took: start.elapsed(), outcome }
    }

    fn tell(&self) {
        let Self { name, took, outcome } = self;
        let seconds = took.as_secs_f64();
        match outcome {
            Ok(found) => ui::detail(format!("ok     {seconds:4.1} s  {name}: {found}")),
            Err(findings) => {
                for finding in findings {
                    ui::detail(format!("FAILED {seconds:4.1} s  {name}: {finding}"));
                }
            }
        }
    }
}

/// Probes that depend on each other; jobs do not.
pub type Job<'a> = Box<dyn Fn() -> Vec<Probe> + Send + Sync + 'a>;

/// Runs jobs a few at a time, and tells of each in the order given.
pub fn run_all(jobs: &[Job<'_>]) -> Vec<Probe> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<Vec<Probe>>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let told = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL.min(jobs.len()) {
            scope.spawn(|| {
                while let Some((at, job)) = take(&next, jobs) {
                    let probes = if interrupt::is_set() { Vec::new() } else { job() };
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

/// The error of a tree whose probes did not all pass.
pub fn failure(tree: &str, probes: &[Probe], logs: &Path) -> Option<Failure> {
    let findings: Vec<&Finding> =
        probes.iter().filter_map(|probe| probe.outcome.as_ref().err()).flatten().collect();
    let (first, rest) = findings.split_first()?;
    let mut failure = Failure::failed(format!("smoke test of `{tree}` failed: {first}"));
    if !rest.is_empty() {
        let lines: Vec<String> = rest.iter().map(|finding| format!("- {finding}")).collect();
        failure = failure.caused_by(anyhow::anyhow!("{} more:\n{}", rest.len(), lines.join("\n")));
    }
    Some(failure.hint(format!("what each command wrote is in `{}`", logs.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_finding_is_the_headline() {
        let probe = |name: &str, outcome| Probe {
            name: name.to_owned(),
            took: Duration::from_secs(1),
            outcome,
        };
        let wrong = |found: &str| Finding::new("`dagster --version`", "`1.9.12`", found);
        let logs = Path::new("/tmp/x");
        assert!(failure("combined", &[probe("a", Ok(String::new()))], logs).is_none());
        let probes = [
            probe("a", Ok(String::new())),
            probe("b", Err(vec![wrong("`1!0+dev`"), wrong("`2`")])),
        ];
        expect_test::expect![[r#"
            error: smoke test of `combined` failed: `dagster --version`: expected `1.9.12`, found `1!0+dev`
              Caused by: 1 more:
                - `dagster --version`: expected `1.9.12`, found `2`
            hint: what each command wrote is in `/tmp/x`
        "#]]
        .assert_eq(&crate::failure::render(&failure("combined", &probes, logs).unwrap().into()));
    }

    #[test]
    fn a_probe_that_cannot_run_is_a_finding() {
        let probe = Probe::run("x", || anyhow::bail!("no such file"));
        assert_eq!(
            probe.outcome.unwrap_err()[0].to_string(),
            "x: expected it to run, found no such file"
        );
    }
}
