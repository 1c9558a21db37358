//! `audit`: what the expressions take from a nixpkgs, and what upstream asks of it, against what
//! that nixpkgs has.
//!
//! Pure. The tool asks ([`Question`]) and nixpkgs answers ([`Answers`], by `tools/nix`); here the
//! answers become rows, one for each system, Python and attribute. A row fails where a release
//! would:
//!
//! * nixpkgs does not have the system, the Python or the package, or refuses it: it is marked
//!   broken or not for the system, or needs something that is;
//! * upstream's bounds exclude the version, and `pythonRelaxDeps` does not take them away;
//! * a name in `pythonRelaxDeps` is the beginning of another bounded requirement that is not in it
//!   (the hook's pattern has no end, so it renames that one);
//! * the version of a build system is not what upstream's source wants.

mod judge;
mod recorded;
mod source;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::facts::Facts;
use super::nix_edit::{Expression, ListName};
use crate::failure::Failure;

pub use judge::judge;
pub use recorded::{day, recorded};
pub use source::{Source, locked};

/// What is audited: a release, and the expressions that would build it.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub config: &'a Config,
    pub facts: &'a Facts,
    pub expressions: &'a [Expression],
    /// The Pythons that the expressions name, as `3.13`.
    pub named: &'a BTreeSet<String>,
}

/// What `tools/nix/audit.nix` is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Question {
    pub source: Source,
    pub systems: Vec<String>,
    /// The attribute of the Python whose packages are looked at, as `python313`.
    pub python: String,
    pub pythons: BTreeSet<String>,
    /// Attributes of a Python package set.
    pub names: BTreeSet<String>,
}

/// One thing that nixpkgs refuses, to be evaluated alone for its words: a system, a Python, or a
/// package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Why {
    pub system: String,
    pub python: Option<String>,
    pub name: Option<String>,
}

/// The words of what nixpkgs refuses.
pub type Reasons = BTreeMap<Why, String>;

/// What a nixpkgs says, by system.
pub type Answers = BTreeMap<String, OnSystem>;

/// What a nixpkgs says for one system.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct OnSystem {
    /// Is there no package set for this system?
    pub throws: bool,
    /// By attribute, as `python313`.
    #[serde(default)]
    pub pythons: BTreeMap<String, Answer>,
    /// Of the Python that was asked for.
    #[serde(default)]
    pub packages: BTreeMap<String, Answer>,
    /// Revision of nixpkgs, where it knows its own.
    #[serde(default)]
    pub revision: Option<String>,
    /// Version of nixpkgs, as `26.11pre-git`.
    #[serde(default)]
    pub release: Option<String>,
}

/// What a nixpkgs says of one package.
#[derive(Debug, Clone, Deserialize)]
pub struct Answer {
    pub state: State,
    /// `None` where it has none, or throws.
    #[serde(default)]
    pub version: Option<String>,
    #[serde(default)]
    pub is_broken: bool,
    #[serde(default)]
    pub is_unsupported: bool,
    /// Does its derivation throw, for what it is or for what it needs?
    #[serde(default)]
    pub is_refused: bool,
    /// Of a Python: is its package set built there?
    #[serde(default)]
    pub is_built: bool,
}

impl Answer {
    /// Does nixpkgs refuse it, for a reason that the answer does not hold?
    fn is_unexplained(&self) -> bool {
        let is_told = self.is_broken || self.is_unsupported;
        self.state == State::Throws || (self.is_refused && !is_told)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    There,
    Missing,
    Throws,
}

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

impl Subject<'_> {
    /// The attribute of the Python that the release is built with, as `python313`.
    ///
    /// # Errors
    /// A usage error where `release.toml` has none for the version.
    pub fn python(&self) -> Result<String> {
        Ok(attribute_of(self.config.python_at(&self.facts.release.version)?))
    }

    /// The attributes of nixpkgs' Python packages that the expressions use.
    pub fn names(&self) -> BTreeSet<String> {
        let lists = [ListName::Dependencies, ListName::BuildSystem];
        let all = self.expressions.iter().flat_map(|it| lists.map(|list| self.listed(it, list)));
        all.flat_map(BTreeMap::into_keys).collect()
    }

    /// The attributes in a list of one package, each with its place, without upstream's own
    /// packages. A wheel is not built.
    fn listed(&self, expression: &Expression, list: ListName) -> BTreeMap<String, String> {
        if expression.is_wheel && list == ListName::BuildSystem {
            return BTreeMap::new();
        }
        let listing = expression.list(list);
        let names = listing.into_iter().flat_map(|listing| &listing.items).map(|item| {
            // `uvicorn[standard]`: what the extra pulls in is nixpkgs' to say
            let name = item.name.value.split('[').next().unwrap_or_default();
            (name.to_owned(), item.name.place().to_string())
        });
        names.filter(|(name, _)| !self.is_own(name)).collect()
    }

    fn is_own(&self, name: &str) -> bool {
        self.config.packages.iter().any(|package| package.name == name)
    }
}

/// `python313` of `3.13`.
pub fn attribute_of(python: &str) -> String {
    format!("python{}", python.replace('.', ""))
}

/// What nixpkgs refuses without having said why; a Python or a package on its first system only.
pub fn refused(answers: &Answers) -> BTreeSet<Why> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for (system, on) in answers {
        let why = |python: Option<&String>, name: Option<&String>| Why {
            system: system.clone(),
            python: python.cloned(),
            name: name.cloned(),
        };
        if on.throws {
            found.insert(why(None, None));
        }
        for (python, answer) in &on.pythons {
            if answer.is_unexplained() && seen.insert(python) {
                found.insert(why(Some(python), None));
            }
        }
        for (name, answer) in &on.packages {
            if answer.is_unexplained() && seen.insert(name) {
                found.insert(why(None, Some(name)));
            }
        }
    }
    found
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
