//! Drift: where what upstream became is not what the expressions were written for.
//!
//! Compared are the facts of a release with the lists of each package in each variant. What differs
//! is a [`Finding`], with the edits that answer it where there are any. What no edit changes, and
//! is worth knowing all the same, is a notice. Pure; nothing is written.

mod packages;
pub mod relaxed;
mod requirements;
#[cfg(test)]
mod tests;

use anyhow::Result;
use semver::Version;

use self::relaxed::Relaxed;
use crate::model::config::{Config, Package};
use crate::model::facts::{Distribution, Facts};
use crate::model::located::Located;
use crate::model::nix_edit::{Expression, ListChange, ListEdit, ListName};
use crate::model::nixpkgs::Recorded;
use crate::model::requirement::{Target, normalised};

/// Whether a release may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Not before a person decided.
    Hard,
    /// Worth knowing.
    Soft,
}

/// One difference between upstream and the expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    /// Upstream's package.
    pub package: String,
    /// The difference, as a sentence about the package.
    pub what: String,
    /// Place in upstream's source, or the metadata that says so.
    pub upstream: String,
    /// Places in the Nix files.
    pub expressions: Vec<String>,
    pub answer: Answer,
}

/// What there is to do about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Edits, and what they do in words.
    Edits(String, Vec<ListEdit>),
    /// Something that only a person can do.
    Person(String),
    /// To know it is enough.
    Nothing,
}

impl Finding {
    /// What the edits that answer this do.
    pub fn words(&self) -> Option<&str> {
        match &self.answer {
            Answer::Edits(words, _) => Some(words),
            _ => None,
        }
    }

    /// The edits that answer this.
    pub fn edits(&self) -> &[ListEdit] {
        match &self.answer {
            Answer::Edits(_, edits) => edits,
            _ => &[],
        }
    }
}

/// What is compared.
#[derive(Clone, Copy)]
pub struct Compared<'a> {
    pub config: &'a Config,
    pub nixpkgs: &'a Recorded,
    pub facts: &'a Facts,
    /// The distributions of the version that is pinned now, if they are known.
    pub before: Option<&'a [Distribution]>,
    /// The packages as they would be built.
    pub expressions: &'a [Expression],
    /// Each name of a Python in the files.
    pub pythons: &'a [Located<String>],
    pub relaxed: &'a [Relaxed],
}

/// What came of comparing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Where upstream is not what the expressions were written for; hard ones first.
    pub findings: Vec<Finding>,
    /// What is worth knowing of the release, and no difference: nothing answers it.
    pub notices: Vec<Finding>,
    /// Likewise: the bounds that no build checks, by package.
    pub relaxed: Vec<Finding>,
}

/// Compares a release with the expressions that would build it.
///
/// # Errors
/// For metadata that is none, and for a `release.toml` that names no real system or Python.
pub fn find(compared: Compared<'_>) -> Result<Found> {
    let Compared { config, nixpkgs, facts, before, relaxed, .. } = compared;
    let version = &facts.release.version;
    let (python, targets) = (config.python_at(version)?, targets(config, version)?);
    let mut search =
        Search { compared, config, facts, python, targets, found: Vec::new(), noticed: Vec::new() };
    search.named_python();
    for package in config.packages_of(version) {
        search.package(package, before)?;
    }
    search.commands();
    let mut found = Found {
        findings: search.found,
        notices: search.noticed,
        relaxed: relaxed::notices(config, nixpkgs, relaxed),
    };
    found.findings.sort_by_key(|finding| finding.severity);
    let Found { findings, notices, relaxed } = &mut found;
    for finding in findings.iter_mut().chain(notices).chain(relaxed) {
        // Upstream wrote parts of these, and a terminal would obey what is in them.
        finding.what = printable(&finding.what);
        finding.upstream = printable(&finding.upstream);
    }
    Ok(found)
}

/// The systems that a version is released for, with its Python.
fn targets(config: &Config, version: &Version) -> Result<Vec<Target>> {
    let python = config.python_at(version)?;
    config.catalog.systems.iter().map(|system| Target::new(system, python)).collect()
}

struct Search<'a> {
    compared: Compared<'a>,
    config: &'a Config,
    facts: &'a Facts,
    /// The Python that the release is built with.
    python: &'a str,
    targets: Vec<Target>,
    found: Vec<Finding>,
    noticed: Vec<Finding>,
}

impl Search<'_> {
    fn package(&mut self, package: &Package, before: Option<&[Distribution]>) -> Result<()> {
        let Some(project) = self.facts.projects.get(&package.name) else {
            self.add(Finding {
                severity: Severity::Hard,
                package: package.name.clone(),
                what: "is gone from upstream's source".to_owned(),
                upstream: format!("no project in {}", package.path),
                expressions: self.places(&package.name),
                answer: Answer::Person(format!(
                    "in release.toml: its new `path`, or `until` on `{}` with the last version \
                     that has it",
                    package.name
                )),
            });
            return Ok(());
        };
        let distribution = self.facts.distribution(&package.name)?;
        let requirements = distribution.parsed()?;
        self.missing_expressions(package);
        self.version(package, project);
        self.python(package, project, distribution)?;
        self.unversioned_python(package);
        self.web_ui(package, project);
        self.build_system(package, project)?;
        self.build_bounds(package, project)?;
        self.source_and_metadata(package, project, distribution, &requirements);
        let needs = self.needs(package, project, distribution, &requirements);
        self.dependencies(package, &needs);
        let before = before.and_then(|all| all.iter().find(|other| other.name == package.name));
        if let Some(before) = before {
            self.bounds(package, project, distribution, &requirements, &before.parsed()?);
            self.python_bounds(package, project, distribution, before);
        }
        Ok(())
    }

    fn add(&mut self, finding: Finding) {
        self.found.push(finding);
    }

    fn of<'s>(&'s self, package: &'s str) -> impl Iterator<Item = &'s Expression> + 's {
        self.compared.expressions.iter().filter(move |expression| expression.package == package)
    }

    fn places(&self, package: &str) -> Vec<String> {
        self.of(package)
            .map(|expression| format!("{}:{}", expression.path, expression.line))
            .collect()
    }
}

fn edit(expression: &Expression, list: ListName, change: ListChange) -> ListEdit {
    let Expression { path, package, .. } = expression;
    ListEdit { path: path.clone(), package: package.clone(), list, change }
}

fn is_in(expression: &Expression, list: ListName, name: &str) -> bool {
    let listing = expression.list(list);
    listing.is_some_and(|listing| {
        listing
            .items
            .iter()
            .any(|item| item.name.value == name || normalised(&item.name.value) == name)
    })
}

/// What edits do, each once.
fn words(edits: &[ListEdit]) -> String {
    let mut all: Vec<String> = Vec::new();
    for edit in edits {
        let list = edit.list.attribute();
        let text = match &edit.change {
            ListChange::Add(name, _) => format!("adds {name} to {list}"),
            ListChange::Remove(name) => format!("removes {name} from {list}"),
            ListChange::Replace(old, new) => format!("replaces {old} by {new} in {list}"),
        };
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all.join(", ")
}

fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { c.escape_unicode().to_string() } else { c.to_string() })
        .collect()
}

fn said<T: std::fmt::Display>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<String> = items.map(|item| format!("`{item}`")).collect();
    if items.is_empty() { "nothing".to_owned() } else { items.join(" and ") }
}
