//! What the probes of one tree found, and the one error that is made of it.

use std::path::PathBuf;
use std::time::Duration;

use semver::Version;

use super::probe::{Finding, Outcome, Probe};
use crate::failure::Failure;
use crate::model::closure::Closure;
use crate::ui;

/// Why there is nothing to say of a probe that was cut off.
pub const INTERRUPTED: &str = "this program was told to end";

/// Why a probe did not run where others were named.
pub const NOT_ASKED_FOR: &str = "others were asked for";

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
    /// Was this program told to end meanwhile?
    pub is_interrupted: bool,
    /// Where what each command wrote was kept.
    pub logs: Option<PathBuf>,
}

impl Report {
    pub fn has_passed(&self) -> bool {
        !self.is_interrupted && self.problems().is_empty()
    }

    /// In a word.
    pub fn outcome(&self) -> &'static str {
        match (self.is_interrupted, self.has_passed()) {
            (true, _) => "interrupted",
            (false, true) => "passed",
            (false, false) => "failed",
        }
    }

    /// Everything that is wrong, most telling first: a probe that is skipped is, too, unless that
    /// was allowed, or this program was told to end.
    fn problems(&self) -> Vec<String> {
        let failed = self.probes.iter().filter_map(|probe| match &probe.outcome {
            Outcome::Failed(findings) => Some(findings),
            _ => None,
        });
        let skipped = self.probes.iter().filter_map(|probe| match &probe.outcome {
            Outcome::Skipped(why) if self.had_to_run(probe) => {
                Some(format!("`{}` was skipped: {why}", probe.name))
            }
            _ => None,
        });
        let left_out = match self.probes.iter().filter(|probe| is_left_out(probe)).count() {
            0 => None,
            count => Some(format!("{} not asked for", ui::count(count, "probe"))),
        };
        failed.flatten().map(ToString::to_string).chain(skipped).chain(left_out).collect()
    }

    /// Is it a problem that a probe was skipped?
    pub fn had_to_run(&self, probe: &Probe) -> bool {
        !self.is_interrupted && !self.may_skip.contains(&probe.name) && !is_left_out(probe)
    }

    /// The error of a tree whose probes did not all pass, or not all run.
    pub fn failure(&self) -> Option<Failure> {
        let problems = self.problems();
        let failure = if self.is_interrupted {
            let passed = self.probes.iter().filter(|probe| probe.has_passed()).count();
            let failure = Failure::failed(format!(
                "smoke test of `{}` was interrupted: {passed} of {} probes had passed",
                self.tree,
                self.probes.len()
            ));
            with_list(failure, "had failed", &problems)
        } else {
            let (first, rest) = problems.split_first()?;
            let failure = Failure::failed(format!("smoke test of `{}` failed: {first}", self.tree));
            with_list(failure, "more", rest)
        };
        Some(match &self.logs {
            Some(logs) => {
                failure.hint(format!("what each command wrote is in `{}`", logs.display()))
            }
            None => failure,
        })
    }
}

fn is_left_out(probe: &Probe) -> bool {
    matches!(&probe.outcome, Outcome::Skipped(why) if why == NOT_ASKED_FOR)
}

/// Findings, a line each.
pub fn lines(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A failure with further problems, a line each.
fn with_list(failure: Failure, which: &str, problems: &[String]) -> Failure {
    if problems.is_empty() {
        return failure;
    }
    let lines: Vec<String> = problems.iter().map(|problem| format!("- {problem}")).collect();
    failure.caused_by(anyhow::anyhow!("{} {which}:\n{}", problems.len(), lines.join("\n")))
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
            is_interrupted: false,
            logs: Some("/tmp/x".into()),
        }
    }

    #[test]
    fn the_first_finding_is_the_headline() {
        let probe = |name: &str, outcome| Probe {
            name: name.to_owned(),
            took: Duration::from_secs(1),
            outcome,
        };
        let wrong = |found: &str| Finding::new("`dagster --version`", "`1.9.12`", found);
        let good = || probe("a", Outcome::Passed(String::new()));
        assert!(report(vec![good()]).failure().is_none());
        let mut report = report(vec![
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
        .assert_eq(&crate::failure::render(&report.failure().unwrap().into()));
        report.probes = vec![good(), Probe::skipped("b", NOT_ASKED_FOR)];
        let failure = crate::failure::render(&report.failure().unwrap().into());
        assert!(failure.contains("`combined` failed: 1 probe not asked for"), "{failure}");
        report.probes = vec![
            good(),
            Probe::skipped("closure", "no store"),
            Probe::skipped("web page", "it needs `webserver`"),
            probe("b", Outcome::Failed(vec![wrong("`1!0+dev`"), wrong("`2`")])),
        ];
        report.is_interrupted = true;
        report.logs = None;
        report.probes.push(probe("c", Outcome::Interrupted));
        expect_test::expect![[r#"
            error: smoke test of `combined` was interrupted: 1 of 5 probes had passed
              Caused by: 2 had failed:
                - `dagster --version`: expected `1.9.12`, found `1!0+dev`
                - `dagster --version`: expected `1.9.12`, found `2`
        "#]]
        .assert_eq(&crate::failure::render(&report.failure().unwrap().into()));
    }
}
