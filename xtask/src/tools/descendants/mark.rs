//! What marks a process of this program: a variable, and a number that is a resource limit.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::UNIX_EPOCH;

/// The variable that marks a process.
pub const VARIABLE: &str = "XTASK_PROCESS";

/// One run of this program, as `PID-NUMBER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pid: u32,
    number: u64,
}

/// What marks one process of a run, and what it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    run: Run,
    number: u64,
}

/// Bits of a limit that tell processes of a run apart, and those that tell runs apart.
const NUMBER_BITS: u32 = 18;
const RUN_BITS: u32 = 43;

impl Run {
    /// This one.
    pub fn this() -> Self {
        static THIS: OnceLock<Run> = OnceLock::new();
        *THIS.get_or_init(|| {
            let nanos = UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_nanos());
            let pid = std::process::id();
            let number = nanos as u64 ^ (u64::from(pid) << (RUN_BITS / 2));
            Self { pid, number: number & ((1 << RUN_BITS) - 1) }
        })
    }

    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (pid, number) = text.split_once('-')?;
        Some(Self { pid: pid.parse().ok()?, number: number.parse().ok()? })
    }

    /// What the limit of each of its processes is above or at.
    fn first_limit(self) -> u64 {
        1 << (RUN_BITS + NUMBER_BITS) | self.number << NUMBER_BITS
    }

    /// Is a limit that of one of its processes?
    pub fn has_limit(self, limit: u64) -> bool {
        limit >> NUMBER_BITS == self.first_limit() >> NUMBER_BITS
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.pid, self.number)
    }
}

/// The marks of processes that are still looked after.
static IN_USE: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

fn in_use() -> MutexGuard<'static, BTreeSet<u64>> {
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mark {
    /// One that no other process of this run has.
    pub fn next() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        in_use().insert(number);
        Self { run: Run::this(), number }
    }

    /// Says that nobody looks after its process any more.
    pub fn release(self) {
        in_use().remove(&self.number);
    }

    /// All that somebody looks after.
    pub fn all_in_use() -> Vec<Self> {
        let run = Run::this();
        in_use().iter().map(|&number| Self { run, number }).collect()
    }

    /// The value of its variable.
    pub fn value(self) -> String {
        format!("{}-{}-", self.run, self.number)
    }

    /// The limit that it is.
    pub fn limit(self) -> u64 {
        self.run.first_limit() | (self.number & ((1 << NUMBER_BITS) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_belong_to_their_run() {
        let (one, two) = (Mark::next(), Mark::next());
        assert_ne!(one.limit(), two.limit());
        assert_ne!(one.value(), two.value());
        assert!(one.limit() < i64::MAX as u64);
        assert_eq!(Run::parse(&Run::this().to_string()), Some(Run::this()));
        assert!(Run::this().has_limit(one.limit()) && Run::this().has_limit(two.limit()));
        assert!(one.value().starts_with(&format!("{}-", Run::this())));
        for limit in [0, 1, u64::MAX, one.limit() + (1 << NUMBER_BITS)] {
            assert!(!Run::this().has_limit(limit), "{limit}");
        }
        assert_eq!(Run::parse("7"), None);
    }
}
