//! From the answers of a nixpkgs to the rows of an audit.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};

use super::answers::{Answer, Answers, OnSystem, Reasons, State, Why};
use super::report::{Audit, Finding, Kind, Outcome, Row};
use super::source::Source;
use super::subject::{Subject, attribute_of};
use crate::model::facts::Distribution;
use crate::model::nix_edit::{Expression, ListName};
use crate::model::requirement::{self, Requirement, Target};

/// Judges what a nixpkgs answered; `reasons` are the words of what it refuses.
///
/// # Errors
/// For metadata that is none, and for a `release.toml` that names no real system or Python.
pub fn judge(
    subject: &Subject<'_>,
    source: &Source,
    answers: &Answers,
    reasons: &Reasons,
) -> Result<Audit> {
    let version = &subject.facts.release.version;
    let chosen = subject.config.python_at(version)?;
    let present =
        subject.config.catalog.systems.iter().filter_map(|system| {
            Some((system.as_str(), answers.get(system).filter(|on| !on.throws)?))
        });
    let targets = present
        .clone()
        .map(|(system, _)| Target::new(system, chosen))
        .collect::<Result<Vec<_>>>()?;
    let mut judge = Judge {
        subject,
        answers,
        reasons,
        chosen,
        systems: present.clone().map(|(system, _)| system.to_owned()).collect(),
        targets,
        rows: BTreeMap::new(),
    };
    judge.systems();
    judge.pythons()?;
    judge.packages();
    for expression in subject.expressions {
        judge.bounds(expression)?;
        judge.build_system(expression)?;
    }
    let revision = answers
        .values()
        .find_map(|on| on.revision.clone())
        .or_else(|| answers.values().find_map(|on| on.release.clone()));
    Ok(Audit {
        version: version.to_string(),
        nixpkgs: source.to_string(),
        revision,
        rows: judge.rows.into_values().map(Row::ended).collect(),
    })
}

struct Judge<'a> {
    subject: &'a Subject<'a>,
    answers: &'a Answers,
    reasons: &'a Reasons,
    /// The Python of the release, as `3.13`.
    chosen: &'a str,
    /// Those that nixpkgs has packages for.
    systems: BTreeSet<String>,
    targets: Vec<Target>,
    /// In the order that they are shown in.
    rows: BTreeMap<(u8, String), Row>,
}

impl<'a> Judge<'a> {
    fn row(&mut self, kind: Kind, name: &str) -> &mut Row {
        let row = self.rows.entry((kind as u8, name.to_owned())).or_default();
        (row.kind, row.name) = (kind, name.to_owned());
        row
    }

    fn systems(&mut self) {
        for system in &self.subject.config.catalog.systems {
            self.row(Kind::System, system);
            if self.answers.get(system).is_none_or(|on| on.throws) {
                let words = self.reason(system, None, None);
                let systems = BTreeSet::from([system.clone()]);
                self.row(Kind::System, system).add(Outcome::Failed, words, systems);
            }
        }
    }

    /// The Python of the release, and another that the expressions name.
    fn pythons(&mut self) -> Result<()> {
        let (chosen, version) = (self.chosen, &self.subject.facts.release.version);
        let attribute = attribute_of(chosen);
        self.existence(Kind::Python, &attribute, |on| on.pythons.get(&attribute));
        let found = self.on_systems(|on| {
            on.pythons.get(&attribute).filter(|python| python.state == State::There)
        });
        let unbuilt = systems_of(&found, |python| !python.is_built);
        let words = format!("its packages are not built there{}", self.on(&unbuilt));
        self.row(Kind::Python, &attribute).add(Outcome::Warning, words, unbuilt);
        for Distribution { name, python, .. } in &self.subject.facts.release.distributions {
            let Some(range) = python else { continue };
            let mut excluded = BTreeSet::new();
            for (system, answer) in &found {
                let exact = answer.version.as_deref().filter(|version| is_release(version));
                if !requirement::includes_python(range, exact.unwrap_or(chosen))? {
                    excluded.insert(system.clone());
                }
            }
            let words = format!("{name} excludes it: {}", requirement::ordered_range(range));
            let words = words + &self.on(&excluded);
            self.row(Kind::Python, &attribute).add(Outcome::Failed, words, excluded);
        }
        for named in self.subject.named.iter().filter(|named| *named != chosen) {
            let words = format!(
                "the expressions name it; release.toml has {chosen} for {version}, and `bump` \
                 writes that"
            );
            let systems = self.systems.clone();
            self.row(Kind::Python, &attribute_of(named)).add(Outcome::Warning, words, systems);
        }
        Ok(())
    }

    fn packages(&mut self) {
        let lists = [ListName::Dependencies, ListName::BuildSystem];
        for expression in self.subject.expressions {
            for (name, place) in lists.iter().flat_map(|it| self.subject.listed(expression, *it)) {
                let row = self.row(Kind::Package, &name);
                row.packages.insert(expression.package.clone());
                row.places.insert(place);
            }
        }
        for name in self.subject.names() {
            self.existence(Kind::Package, &name, |on| on.packages.get(&name));
            let answers = self.answers;
            let is_unanswered = |system: &&String| {
                answers.get(*system).is_none_or(|on| !on.packages.contains_key(&name))
            };
            let unanswered: BTreeSet<String> =
                self.systems.iter().filter(is_unanswered).cloned().collect();
            let python = attribute_of(self.chosen);
            let words = format!("not looked at, for want of {python}{}", self.on(&unanswered));
            self.row(Kind::Package, &name).add(Outcome::Warning, words, unanswered);
        }
    }

    /// Findings that need no knowledge of upstream: is it there, and is it fit for each system?
    fn existence(
        &mut self,
        kind: Kind,
        name: &str,
        answer: impl Fn(&'a OnSystem) -> Option<&'a Answer>,
    ) {
        let found = self.on_systems(answer);
        type IsSo = fn(&Answer) -> bool;
        let states: [(&str, Outcome, IsSo); 4] = [
            ("there is none in this nixpkgs", Outcome::Failed, |it| it.state == State::Missing),
            ("marked broken", Outcome::Failed, |it| it.is_broken),
            ("not supported", Outcome::Failed, |it| it.is_unsupported),
            ("its version cannot be evaluated", Outcome::Warning, |it| {
                it.state == State::There && it.version.is_none()
            }),
        ];
        for (words, outcome, is_so) in states {
            let systems = systems_of(&found, is_so);
            let words = format!("{words}{}", self.on(&systems));
            self.row(kind, name).add(outcome, words, systems);
        }
        let refused = systems_of(&found, Answer::is_unexplained);
        if let Some(first) = refused.iter().next() {
            let words = match kind {
                Kind::Python => self.reason(first, Some(name), None),
                _ => self.reason(first, None, Some(name)),
            };
            let words = words + &self.on(&refused);
            self.row(kind, name).add(Outcome::Failed, words, refused);
        }
        let versions = found.into_iter().filter_map(|(_, answer)| answer.version.as_deref());
        let versions = versions.map(printable);
        self.row(kind, name).versions.extend(versions);
    }

    /// Upstream's bounds on what a package needs to run.
    fn bounds(&mut self, expression: &Expression) -> Result<()> {
        let Expression { package, .. } = expression;
        let mut distributions = self.subject.facts.release.distributions.iter();
        let Some(distribution) = distributions.find(|it| it.name == *package) else {
            return Ok(());
        };
        let listed = self.subject.listed(expression, ListName::Dependencies);
        let relaxed = relaxed(expression);
        let place = place_of(expression, ListName::RelaxDeps);
        for text in &distribution.requirements {
            let requirement =
                Requirement::parse(text).with_context(|| format!("in the {distribution}"))?;
            let attribute = self.subject.config.attribute(&requirement.name);
            let systems = self.required_on(&requirement);
            if requirement.bounds().is_empty()
                || systems.is_empty()
                || !listed.contains_key(&attribute)
            {
                continue;
            }
            let stated = format!("{package}: {}", requirement.bounds());
            let spelling = requirement.spelling.as_str();
            let exceeded = self.exceeded(&attribute, &requirement, &systems);
            let found = format!("{stated}{}", self.on(&exceeded));
            let (outcome, words) = if relaxed.iter().any(|name| relaxes(name, spelling)) {
                (Outcome::Relaxed, found)
            } else {
                (Outcome::Failed, format!("{found}, not relaxed"))
            };
            let row = self.row(Kind::Package, &attribute);
            row.bounds.insert(stated);
            row.add_at(outcome, words, exceeded, &place);
            if let Some(shorter) = renamed_by(&relaxed, spelling) {
                let words = format!(
                    "{package}: pythonRelaxDeps has `{shorter}`, which renames this: relax both or \
                     none"
                );
                row.add_at(Outcome::Failed, words, systems, &place);
            }
        }
        Ok(())
    }

    /// Upstream's bounds on what a package is built by.
    fn build_system(&mut self, expression: &Expression) -> Result<()> {
        let Expression { package, skips_build_check, .. } = expression;
        let Some(project) = self.subject.facts.projects.get(package) else { return Ok(()) };
        let listed = self.subject.listed(expression, ListName::BuildSystem);
        let place = place_of(expression, ListName::BuildSystem);
        for stated in &project.build.requirements {
            let requirement = Requirement::parse(&stated.value)
                .with_context(|| format!("in `{}` of upstream", stated.place()))?;
            let attribute = self.subject.config.attribute(&requirement.name);
            let systems = self.required_on(&requirement);
            if requirement.bounds().is_empty() || !listed.contains_key(&attribute) {
                continue;
            }
            let exceeded = self.exceeded(&attribute, &requirement, &systems);
            let words = format!("build of {package}: {}", requirement.bounds());
            let outcome = if *skips_build_check { Outcome::Relaxed } else { Outcome::Failed };
            let (found, on) = (words.clone(), self.on(&exceeded));
            let row = self.row(Kind::Package, &attribute);
            row.bounds.insert(words);
            row.add_at(outcome, found + &on, exceeded, &place);
        }
        Ok(())
    }

    fn required_on(&self, requirement: &Requirement) -> BTreeSet<String> {
        requirement.systems(&self.targets).into_iter().map(str::to_owned).collect()
    }

    /// Of some systems, those whose version of an attribute a requirement excludes.
    fn exceeded(
        &self,
        attribute: &str,
        requirement: &Requirement,
        systems: &BTreeSet<String>,
    ) -> BTreeSet<String> {
        let excludes = |system: &&String| {
            let package = self.answers.get(*system).and_then(|on| on.packages.get(attribute));
            let version = package.and_then(|package| package.version.as_deref());
            version.is_some_and(|version| !requirement.allows(version))
        };
        systems.iter().filter(excludes).cloned().collect()
    }

    /// What is known of something, by system.
    fn on_systems(
        &self,
        answer: impl Fn(&'a OnSystem) -> Option<&'a Answer>,
    ) -> Vec<(String, &'a Answer)> {
        let answers = self.answers;
        let all = self.systems.iter();
        all.filter_map(|system| Some((system.clone(), answer(answers.get(system)?)?))).collect()
    }

    /// ` on …`, unless it is all of them.
    fn on(&self, systems: &BTreeSet<String>) -> String {
        if *systems == self.systems {
            return String::new();
        }
        format!(" on {}", systems.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
    }

    fn reason(&self, system: &str, python: Option<&str>, name: Option<&str>) -> String {
        let why = Why {
            system: system.to_owned(),
            python: python.map(str::to_owned),
            name: name.map(str::to_owned),
        };
        self.reasons.get(&why).map_or_else(|| "nixpkgs refuses it".to_owned(), Clone::clone)
    }
}

impl Row {
    /// Adds what is so on some system, wherever the expressions use this.
    fn add(&mut self, outcome: Outcome, what: String, systems: BTreeSet<String>) {
        let places = self.places.clone();
        self.add_finding(Finding { outcome, what: printable(&what), systems, places });
    }

    /// The same of one place.
    fn add_at(&mut self, outcome: Outcome, what: String, systems: BTreeSet<String>, place: &str) {
        let places = BTreeSet::from([place.to_owned()]);
        self.add_finding(Finding { outcome, what: printable(&what), systems, places });
    }

    fn add_finding(&mut self, finding: Finding) {
        if finding.systems.is_empty() {
            return;
        }
        let is_same = |other: &&mut Finding| {
            (other.outcome, &other.what, &other.systems)
                == (finding.outcome, &finding.what, &finding.systems)
        };
        match self.findings.iter_mut().find(is_same) {
            Some(other) => other.places.extend(finding.places),
            None => self.findings.push(finding),
        }
    }

    /// The worst first.
    fn ended(mut self) -> Self {
        self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.outcome));
        self.outcome = self.findings.first().map_or(Outcome::Ok, |finding| finding.outcome);
        self
    }
}

fn systems_of(found: &[(String, &Answer)], is_so: impl Fn(&Answer) -> bool) -> BTreeSet<String> {
    let those = found.iter().filter(|(_, answer)| is_so(answer));
    those.map(|(system, _)| system.clone()).collect()
}

/// Where a list is, or the package that lacks it.
fn place_of(expression: &Expression, list: ListName) -> String {
    match expression.list(list) {
        Some(listing) => format!("{}:{}", listing.path, listing.line),
        None => format!("{}:{}", expression.path, expression.line),
    }
}

/// The names in `pythonRelaxDeps` that surely are there.
fn relaxed(expression: &Expression) -> Vec<&str> {
    let listing = expression.list(ListName::RelaxDeps);
    let items = listing.into_iter().flat_map(|listing| &listing.items);
    items.filter(|item| item.is_certain).map(|item| item.name.value.as_str()).collect()
}

/// Does the hook of nixpkgs find a requirement by a name? It does where the requirement begins with
/// it, in any case: `s/(Requires-Dist: $name\s*(\[[^]]+\])?)[^;]*(;.*)?/\1\3/i`.
fn relaxes(name: &str, spelling: &str) -> bool {
    spelling.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

/// A name that is the beginning of a requirement, where the whole of it is not in the list.
fn renamed_by<'a>(relaxed: &[&'a str], spelling: &str) -> Option<&'a str> {
    if relaxed.iter().any(|name| name.eq_ignore_ascii_case(spelling)) {
        return None;
    }
    relaxed.iter().copied().find(|name| relaxes(name, spelling))
}

/// Digits and dots: no pre-release.
fn is_release(version: &str) -> bool {
    version.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

/// nixpkgs wrote parts of these, and a terminal would obey what is in them.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { c.escape_unicode().to_string() } else { c.to_string() })
        .collect()
}
