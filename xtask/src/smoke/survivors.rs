//! What is left when all probes have ended: a process that nobody looks after. Most are found where
//! they were left, by the probe that started them; this finds those of which that cannot be told.

use std::time::Duration;

use super::budget::{Budget, STOP};
use super::probe::{Finding, Probe};
use super::sandbox::words;
use crate::interrupt;
use crate::tools::descendants::{self, Before};

const TICK: Duration = Duration::from_millis(20);

/// The probe that everything has ended which was started since. What has not is killed.
pub fn probe(before: &Before, budget: &Budget) -> Probe {
    let probe = Probe::run("survivors", || {
        let mut deadline = budget.wait(STOP);
        let mut left = descendants::since(before);
        while !left.is_empty() && !deadline.is_over() && !interrupt::is_set() {
            std::thread::sleep(TICK);
            left = descendants::since(before);
        }
        if left.is_empty() {
            return Ok(Ok("none".to_owned()));
        }
        left.iter().for_each(|found| descendants::kill(found.pid));
        let what = "processes that upstream's code left";
        let found = format!("{}; killed", words(&left));
        Ok(Err(vec![Finding::new(what, deadline.expected("none"), found)]))
    });
    probe.tell();
    probe
}
