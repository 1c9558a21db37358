//! Drift: where what upstream became is not what the expressions were written for.
//!
//! Compared are the facts of a release with the lists of each package in each variant. What differs
//! is a [`Finding`], with the edits that answer it where there are any. What no edit changes, and
//! is worth knowing all the same, is a notice. Pure; nothing is written.

mod finding;
mod packages;
pub mod relaxed;
mod requirements;
mod search;
#[cfg(test)]
mod tests;
mod tree;

use anyhow::Result;

use self::search::Search;
use crate::model::config::Package;
use crate::model::facts::Distribution;

pub use finding::{Answer, Finding, Found, Severity};
pub use search::Compared;

/// Compares a release with the expressions that would build it.
///
/// # Errors
/// For metadata that is none, and for a `release.toml` that names no real system or Python.
pub fn find(compared: Compared<'_>) -> Result<Found> {
    let Compared { config, nixpkgs, facts, before, relaxed, .. } = compared;
    let version = &facts.release.version;
    let (python, targets) = (config.python_at(version)?, config.targets_at(version)?);
    let mut search =
        Search { compared, config, facts, python, targets, found: Vec::new(), noticed: Vec::new() };
    search.tree();
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
}

fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { c.escape_unicode().to_string() } else { c.to_string() })
        .collect()
}
