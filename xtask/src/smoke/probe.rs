//! What a probe is: its name, what it runs, and what it found.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::budget::Budget;
use crate::interrupt;
use crate::ui;

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

/// Inside a probe that goes step by step, the first finding ends it like any other error.
impl std::error::Error for Finding {}

/// What a probe found that goes step by step.
pub fn checked(result: Result<String>) -> Checked {
    match result.map_err(|error| error.downcast::<Finding>()) {
        Ok(found) => Ok(Ok(found)),
        Err(Ok(finding)) => Ok(Err(vec![finding])),
        Err(Err(error)) => Err(error),
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
    /// This program was told to end while it ran.
    Interrupted,
}

/// The outcome of one probe.
#[derive(Debug)]
pub struct Probe {
    pub name: String,
    pub took: Duration,
    pub outcome: Outcome,
}

impl Probe {
    /// Runs and times a probe. What kept it from running is a finding, too, a fault of its own
    /// included, which must not cost what the others found; but not that this program was told to
    /// end: what is missing then is missing for that.
    pub fn run(name: impl Into<String>, probe: impl FnOnce() -> Checked) -> Self {
        let name = name.into();
        let start = Instant::now();
        let checked = catch_unwind(AssertUnwindSafe(probe));
        let outcome =
            match checked.unwrap_or_else(|panic| Err(anyhow!("a panic: {}", words(&*panic)))) {
                Ok(Ok(found)) => Outcome::Passed(found),
                _ if interrupt::is_set() => Outcome::Interrupted,
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

    pub fn has_failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }

    pub fn tell(&self) {
        let Self { name, took, outcome } = self;
        let seconds = took.as_secs_f64();
        match outcome {
            Outcome::Passed(found) => {
                ui::detail(format!("ok     {seconds:4.1} s  {name}: {found}"))
            }
            // The reports have them; people know why.
            Outcome::Skipped(_) if interrupt::is_set() => {}
            Outcome::Skipped(why) => ui::detail(format!("skipped        {name}: {why}")),
            Outcome::Interrupted => ui::detail(format!("interrupted    {name}")),
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
    cost: u32,
    run: Box<dyn Fn() -> Vec<Probe> + Send + Sync + 'a>,
}

impl<'a> Job<'a> {
    /// Probes of these names. `run` gives the first of them, up to one that did not pass.
    pub fn new(names: Vec<String>, run: impl Fn() -> Vec<Probe> + Send + Sync + 'a) -> Self {
        Self { names, cost: 2, run: Box::new(run) }
    }

    /// Says about how many seconds it takes, beside others on an idle machine; 0 where nothing is
    /// run. The order in which jobs are started follows from it, and nothing else.
    #[must_use]
    pub fn taking(mut self, seconds: u32) -> Self {
        self.cost = seconds;
        self
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub fn cost(&self) -> u32 {
        self.cost
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
    pub fn probes(&self, budget: &Budget) -> Vec<Probe> {
        if let Some(why) = budget.is_used_up() {
            return self.skipped(&why);
        }
        let mut probes = (self.run)();
        let why =
            probes.last().map_or_else(String::new, |last| format!("it needs `{}`", last.name));
        let rest = self.names.iter().skip(probes.len());
        let rest: Vec<Probe> = rest.map(|name| Probe::skipped(name, &why)).collect();
        probes.extend(rest);
        probes
    }

    /// All of its probes, none of which ran.
    pub fn skipped(&self, why: &str) -> Vec<Probe> {
        self.names.iter().map(|name| Probe::skipped(name, why)).collect()
    }
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_that_cannot_run_is_a_finding() {
        let probe = Probe::run("x", || anyhow::bail!("no such file"));
        let Outcome::Failed(findings) = probe.outcome else { panic!("it passed") };
        assert_eq!(findings[0].to_string(), "x: expected it to run, found no such file");
    }

    #[test]
    fn a_probe_that_panics_is_a_finding() {
        for (say, expected) in [(0, "a panic: no 7"), (1, "a panic: index out of bounds")] {
            let probe = Probe::run("x", || match say {
                0 => panic!("no {}", 7),
                _ => panic!("index out of bounds"),
            });
            let Outcome::Failed(findings) = probe.outcome else { panic!("it passed") };
            assert_eq!(findings[0].to_string(), format!("x: expected it to run, found {expected}"));
        }
    }

    #[test]
    fn a_finding_ends_a_probe_like_an_error() {
        let finding = || Finding::new("x", "1", "2");
        assert_eq!(checked(Err(finding().into())).unwrap(), Err(vec![finding()]));
        assert!(checked(Err(anyhow::anyhow!("no such file"))).is_err());
    }
}
