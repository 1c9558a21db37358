//! What the probes of one tree found, and the one error that is made of it.

use std::path::Path;
use std::time::Duration;

use semver::Version;

use super::probe::{Outcome, Probe};
use crate::failure::Failure;
use crate::model::closure::Closure;

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
    use super::super::probe::Finding;
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
}
