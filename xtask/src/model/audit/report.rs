//! The rows of an audit: as JSON, as a table, and as the error of a release that would fail. What
//! is in them comes from `judge`.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::failure::Failure;

/// How a row came out; the worst last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    #[default]
    Ok,
    /// Beyond a bound that nothing checks.
    Relaxed,
    /// A release does not fail for it.
    Warning,
    Failed,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    System,
    Python,
    #[default]
    Package,
}

/// One thing of nixpkgs, and what was found about it. This is part of the JSON of `audit`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Row {
    pub kind: Kind,
    /// The attribute, or the system.
    pub name: String,
    /// Its versions; more than one where systems differ.
    pub versions: BTreeSet<String>,
    /// Upstream's packages that use it.
    pub packages: BTreeSet<String>,
    /// Where the expressions list it, as `nix/separate/dagster.nix:24`.
    pub places: BTreeSet<String>,
    /// What upstream asks for, as `dagster: <9.0,>=5.0`.
    pub bounds: BTreeSet<String>,
    pub outcome: Outcome,
    pub findings: Vec<Finding>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    pub outcome: Outcome,
    pub what: String,
    /// Where it is so.
    pub systems: BTreeSet<String>,
    /// What would have to be edited, as far as it is in the expressions.
    pub places: BTreeSet<String>,
}

/// All rows, in the order of kind and name. This is the JSON of `audit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Version of Dagster.
    pub version: String,
    /// Where nixpkgs is.
    pub nixpkgs: String,
    /// Its revision, else its version, else null.
    pub revision: Option<String>,
    pub rows: Vec<Row>,
}

impl Audit {
    /// The table that people read: a line for each finding, and for each row without any.
    pub fn text(&self) -> String {
        let revision = self.revision.as_deref().unwrap_or("of no known revision");
        let mut text = format!("dagster {} over {} ({revision})\n", self.version, self.nixpkgs);
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
        let mut line = |outcome: &str, name: &str, versions: &str, what: &str| {
            let line = format!("{outcome:<8} {name:<width$}  {versions:<8}  {what}");
            text.push_str(line.trim_end());
            text.push('\n');
        };
        for row in &self.rows {
            let versions = joined(&row.versions, ", ");
            if row.findings.is_empty() {
                line("ok", &row.name, &versions, &joined(&row.bounds, "; "));
            }
            for Finding { outcome, what, places, .. } in &row.findings {
                line(outcome.word(), &row.name, &versions, what);
                if *outcome == Outcome::Failed {
                    places.iter().for_each(|place| line("", "", "", place));
                }
            }
        }
        text
    }

    /// Refuses what a release would fail for.
    ///
    /// # Errors
    /// Status 3, with the first such finding and the number of others.
    pub fn check(&self) -> Result<(), Failure> {
        let failed = |finding: &&Finding| finding.outcome == Outcome::Failed;
        let mut all = self
            .rows
            .iter()
            .flat_map(|row| row.findings.iter().filter(failed).map(move |finding| (row, finding)));
        let Some((row, finding)) = all.next() else { return Ok(()) };
        let others = match all.count() {
            0 => String::new(),
            count => format!(", and {count} more"),
        };
        let versions = row.versions.iter().map(|version| format!(" {version}"));
        Err(Failure::decision(format!(
            "a release of {} would fail over this nixpkgs: `{}`{}: {}{others}",
            self.version,
            row.name,
            versions.collect::<String>(),
            finding.what,
        ))
        .hint(
            "see the rows that say `failed`; `cargo xtask bump` derives pythonRelaxDeps, a \
             dependency is edited in `nix/`, a system or a Python in `release.toml`",
        ))
    }
}

fn joined(items: &BTreeSet<String>, by: &str) -> String {
    items.iter().map(String::as_str).collect::<Vec<_>>().join(by)
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Relaxed => "relaxed",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}
