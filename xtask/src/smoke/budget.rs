//! How long one thing may take: a budget in the time of an idle reference machine, not of a clock.
//!
//! Each wait has a base, which is many times what the thing takes on that machine. When the run
//! starts, and again after every third of a base, the machine is measured (`tools/pace.rs`); time
//! in which it was `n` times slower counts as an `n`th. So a wait that runs out has been given as
//! much of the machine as it was promised, also where others took most of it in the meantime. What
//! nothing extends are the ceilings of `release.toml`: `command_seconds` for one wait, `seconds`
//! for the start of the last probe.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::model::config;
use crate::tools::pace;

/// A command, from its start to its end. The slowest takes 6 s on the reference machine.
pub const COMMAND: Duration = Duration::from_secs(60);
/// What an instance does by itself. The slowest is a schedule's tick, which waits for the clock's
/// next full minute, and the run that it launches.
pub const ROUND: Duration = Duration::from_secs(120);
/// A server's answer to one request, which takes less than 1 s.
pub const ANSWER: Duration = Duration::from_secs(10);
/// The end of a server after SIGTERM, which takes 2 s.
pub const STOP: Duration = Duration::from_secs(10);
/// The end of what a server started, once that has ended, without being told to, where that may be
/// never: less than 1 s.
pub const FOLLOW: Duration = Duration::from_secs(3);

/// The budgets of one run.
#[derive(Debug, Clone)]
pub struct Budget {
    ceiling: Duration,
    end: Instant,
    /// Where the machine is measured.
    dir: PathBuf,
}

impl Budget {
    /// Starts the clock, and measures the machine, which writes to a directory for that.
    pub fn start(limits: &config::Smoke, dir: &Path) -> Self {
        pace::measure(dir);
        Self {
            ceiling: Duration::from_secs(limits.command_seconds),
            end: Instant::now() + Duration::from_secs(limits.seconds),
            dir: dir.to_owned(),
        }
    }

    /// Why no further probe may be started; `None`: there is time left.
    pub fn is_used_up(&self) -> Option<String> {
        (Instant::now() >= self.end).then(|| {
            let words = pace::words();
            format!("`smoke.seconds` of release.toml is used up ({words})")
        })
    }

    /// The longest that anything may take.
    pub fn ceiling(&self) -> Duration {
        self.ceiling
    }

    /// Starts a wait.
    pub fn wait(&self, base: Duration) -> Deadline {
        let base = base.min(self.ceiling);
        let mut deadline = Deadline {
            dir: self.dir.clone(),
            ceiling: self.ceiling,
            base,
            begun: Instant::now(),
            spent: Duration::ZERO,
            factor: pace::last(),
            looked: Instant::now(),
            step: Duration::ZERO,
        };
        deadline.plan();
        deadline
    }
}

/// One wait. Whoever waits asks it again and again whether it is over.
#[derive(Debug)]
pub struct Deadline {
    dir: PathBuf,
    ceiling: Duration,
    base: Duration,
    begun: Instant,
    /// How much of the base is used up, up to when the machine was looked at last.
    spent: Duration,
    /// What was found then.
    factor: f64,
    looked: Instant,
    /// From then to the next look.
    step: Duration,
}

impl Deadline {
    /// Is the budget used up? This measures the machine first.
    pub fn is_over(&mut self) -> bool {
        if self.begun.elapsed() >= self.ceiling || self.spent >= self.base {
            return true;
        }
        let since = self.looked.elapsed();
        if since < self.step {
            return false;
        }
        let factor = pace::measure(&self.dir);
        // Where nobody asked for long, this program did not run either: a laptop was closed.
        let counted = since.min(self.step * 2);
        self.spent += counted.div_f64(self.factor.max(factor));
        self.factor = factor;
        self.looked = Instant::now();
        self.plan();
        self.spent >= self.base
    }

    /// When to look next: when the rest is used up, at the pace of now; after a third of the base
    /// at the latest.
    fn plan(&mut self) {
        let rest = self.base.saturating_sub(self.spent).max(Duration::from_millis(1));
        self.step = rest.mul_f64(self.factor).min(self.base / 3);
    }

    /// What was waited for, for a finding: `an end within 60 s`.
    pub fn expected(&self, what: &str) -> String {
        let seconds = self.base.as_secs_f64();
        let took = self.begun.elapsed();
        // Then the clock on the wall says something else.
        let slow = took > self.base.mul_f64(1.2);
        format!("{what} within {seconds} s{}", if slow { " of an idle machine" } else { "" })
    }

    /// How long it was waited, and how busy the machine was.
    pub fn found(&self) -> String {
        let took = self.begun.elapsed();
        let ceiling = if took >= self.ceiling && self.base < self.ceiling {
            ", the most that `smoke.command_seconds` of release.toml allows"
        } else {
            ""
        };
        format!("{:.0} s{ceiling}; {}", took.as_secs_f64(), pace::words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(ceiling: u64) -> (tempfile::TempDir, Budget) {
        let dir = tempfile::tempdir().unwrap();
        let limits =
            config::Smoke { command_seconds: ceiling, seconds: 600, ..config::Smoke::default() };
        let budget = Budget::start(&limits, dir.path());
        (dir, budget)
    }

    fn ago(seconds: u64) -> Instant {
        Instant::now() - Duration::from_secs(seconds)
    }

    #[test]
    fn slow_time_counts_less() {
        let (_dir, budget) = budget(600);
        let mut deadline = budget.wait(Duration::from_secs(30));
        assert!(!deadline.is_over());
        // The first ten seconds were 5 times slower.
        (deadline.factor, deadline.looked) = (5.0, ago(10));
        deadline.step = Duration::from_secs(10);
        assert!(!deadline.is_over());
        assert!(deadline.spent < Duration::from_millis(2200), "{deadline:?}");
    }

    #[test]
    fn a_pause_of_everything_counts_little() {
        let (_dir, budget) = budget(6000);
        let mut deadline = budget.wait(Duration::from_secs(30));
        (deadline.factor, deadline.looked) = (1.0, ago(3000));
        deadline.step = Duration::from_secs(10);
        assert!(!deadline.is_over());
        assert!(deadline.spent <= Duration::from_secs(20), "{deadline:?}");
    }

    #[test]
    fn nothing_is_longer_than_the_ceiling() {
        let (_dir, budget) = budget(20);
        let mut deadline = budget.wait(Duration::from_secs(5));
        (deadline.factor, deadline.begun) = (50.0, ago(21));
        assert!(deadline.is_over());
        assert_eq!(deadline.expected("an end"), "an end within 5 s of an idle machine");
        let found = deadline.found();
        assert!(found.starts_with("21 s, the most that `smoke.command_seconds`"), "{found}");
    }
}
