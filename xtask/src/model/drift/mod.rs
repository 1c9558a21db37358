//! Drift: where what upstream became is not what the expressions were written for.
//!
//! Compared are the facts of a release with the lists of each package in each variant. What differs
//! is a [`Finding`], with the edits that answer it where there are any. Pure; nothing is written.

mod packages;
mod requirements;
#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result};

use crate::model::config::{Config, Package};
use crate::model::facts::{Distribution, Facts};
use crate::model::nix_edit::{Expression, ListChange, ListEdit, ListName};
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

/// Compares a release with the expressions that would build it; hard findings first.
///
/// `before`: the distributions of the version that is pinned now, if they are known.
///
/// # Errors
/// For metadata that is none, and for a `release.toml` that names no real system or Python.
pub fn find(
    config: &Config,
    facts: &Facts,
    before: Option<&[Distribution]>,
    expressions: &[Expression],
) -> Result<Vec<Finding>> {
    let python = config.python_at(&facts.release.version)?;
    let targets: Vec<Target> = config
        .catalog
        .systems
        .iter()
        .map(|system| Target::new(system, python))
        .collect::<Result<_>>()?;
    let mut search = Search { config, facts, python, targets, expressions, found: Vec::new() };
    for package in config.packages_of(&facts.release.version) {
        search.package(package, before)?;
    }
    search.commands();
    let mut found = search.found;
    found.sort_by_key(|finding| finding.severity);
    for finding in &mut found {
        // Upstream wrote parts of these, and a terminal would obey what is in them.
        finding.what = printable(&finding.what);
        finding.upstream = printable(&finding.upstream);
    }
    Ok(found)
}

struct Search<'a> {
    config: &'a Config,
    facts: &'a Facts,
    /// The Python that the release is built with.
    python: &'a str,
    targets: Vec<Target>,
    expressions: &'a [Expression],
    found: Vec<Finding>,
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
        let distributions = &self.facts.release.distributions;
        let distribution = distributions
            .iter()
            .find(|distribution| distribution.name == package.name)
            .with_context(|| format!("expected metadata of `{}`", package.name))?;
        let requirements = distribution.parsed()?;
        self.missing_expressions(package);
        self.version(package, project);
        self.python(package, project, distribution)?;
        self.web_ui(package, project);
        self.build_system(package, project)?;
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
        self.expressions.iter().filter(move |expression| expression.package == package)
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
