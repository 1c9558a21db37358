//! Drift: where what upstream became is not what the expressions were written for.
//!
//! Compared are the facts of a release with the lists of each package in each variant. What differs
//! is a [`Finding`], with the edits that answer it where there are any. Pure; nothing is written.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};

use crate::model::config::{Config, Package, Variant};
use crate::model::facts::{Distribution, Facts};
use crate::model::located::Located;
use crate::model::nix_edit::{Expression, ListChange, ListEdit, ListName};
use crate::model::project::{HOLE, Project};
use crate::model::requirement::{self, Requirement, Target, normalised};

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
    let python = &config.upstream.python;
    let targets: Vec<Target> = config
        .catalog
        .systems
        .iter()
        .map(|system| Target::new(system, python))
        .collect::<Result<_>>()?;
    let mut search = Search { config, facts, targets, expressions, found: Vec::new() };
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
    targets: Vec<Target>,
    expressions: &'a [Expression],
    found: Vec<Finding>,
}

/// Something that a package needs to run.
struct Need {
    /// Normalised name on PyPI.
    name: String,
    requirements: Vec<Requirement>,
    systems: BTreeSet<String>,
    /// `gql[requests]`, if it is that which pulls it in.
    of_extra: Option<String>,
    upstream: String,
}

impl Need {
    fn stated(&self) -> String {
        match &self.of_extra {
            Some(extra) => format!("`{}` (of `{extra}`)", self.name),
            None => {
                let all: BTreeSet<String> =
                    self.requirements.iter().map(|r| format!("`{}`", r.without_marker())).collect();
                all.into_iter().collect::<Vec<_>>().join(" and ")
            }
        }
    }
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
        self.relaxed(package, &needs);
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

    fn missing_expressions(&mut self, package: &Package) {
        for variant in [Variant::Separate, Variant::Combined] {
            let directory = &self.config.variant(variant).files;
            let below = format!("{directory}/");
            if self.of(&package.name).any(|expression| expression.path.starts_with(&below)) {
                continue;
            }
            self.add(Finding {
                severity: Severity::Hard,
                package: package.name.clone(),
                what: format!("is built by nothing in {directory}"),
                upstream: format!("a project in {}", package.path),
                expressions: Vec::new(),
                answer: Answer::Person(format!("write its expression in {directory}")),
            });
        }
    }

    /// The version in the source: at a release it is the release.
    fn version(&mut self, package: &Package, project: &Project) {
        let expected = package.version_at(&self.facts.release.version);
        for found in project.versions.iter().filter(|found| found.value != expected) {
            self.found.push(Finding {
                severity: Severity::Hard,
                package: package.name.clone(),
                what: format!("calls itself `{}` in its source, not `{expected}`", found.value),
                upstream: found.place().to_string(),
                expressions: Vec::new(),
                answer: Answer::Person("find out from upstream what this tag is".to_owned()),
            });
        }
    }

    fn python(
        &mut self,
        package: &Package,
        project: &Project,
        distribution: &Distribution,
    ) -> Result<()> {
        let ours = &self.config.upstream.python;
        let stated = project.python.as_ref();
        let Some(range) = distribution.python.as_ref().or(stated.map(|range| &range.value)) else {
            return Ok(());
        };
        if requirement::includes_python(range, ours)? {
            return Ok(());
        }
        self.add(Finding {
            severity: Severity::Hard,
            package: package.name.clone(),
            what: format!("excludes Python {ours}: it wants `{range}`"),
            upstream: stated
                .map_or_else(|| distribution.to_string(), |range| range.place().to_string()),
            expressions: self.places(&package.name),
            answer: Answer::Person(
                "move the expressions, and `upstream.python` in release.toml, to a Python that it \
                 allows"
                    .to_owned(),
            ),
        });
        Ok(())
    }

    /// A package that is fetched because of its web UI, and built from a source without one.
    fn web_ui(&mut self, package: &Package, project: &Project) {
        if package.fetch.is_none() || project.has_web_ui {
            return;
        }
        let built: Vec<String> = self
            .of(&package.name)
            .filter(|expression| !expression.is_wheel)
            .map(|expression| format!("{}:{}", expression.path, expression.line))
            .collect();
        if built.is_empty() {
            return;
        }
        self.add(Finding {
            severity: Severity::Hard,
            package: package.name.clone(),
            what: "is built from a source that has no web UI".to_owned(),
            upstream: format!("no built assets in {}", package.path),
            expressions: built,
            answer: Answer::Person("build it from its wheel on PyPI".to_owned()),
        });
    }

    fn build_system(&mut self, package: &Package, project: &Project) -> Result<()> {
        let build = &project.build;
        let mut wanted = BTreeSet::new();
        for stated in &build.requirements {
            let requirement = Requirement::parse(&stated.value)
                .with_context(|| format!("in `{}` of upstream", stated.place()))?;
            wanted.insert(self.config.attribute(&requirement.name));
        }
        // setuptools brings its own since 70.1, and nixpkgs has a newer one.
        if wanted.contains("setuptools") {
            wanted.remove("wheel");
        }
        let (mut edits, mut places, mut listed_names) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut is_missing = false;
        for expression in self.of(&package.name).filter(|expression| !expression.is_wheel) {
            let listing = expression.list(ListName::BuildSystem);
            let listed: BTreeSet<String> = listing
                .into_iter()
                .flat_map(|listing| &listing.items)
                .map(|item| item.name.value.clone())
                .collect();
            let mut missing: Vec<String> = wanted.difference(&listed).cloned().collect();
            let mut surplus: Vec<String> = listed.difference(&wanted).cloned().collect();
            if missing.is_empty() && surplus.is_empty() {
                continue;
            }
            is_missing |= !missing.is_empty();
            places.push(listing.map_or_else(
                || format!("{}:{}", expression.path, expression.line),
                |listing| format!("{}:{}", listing.path, listing.line),
            ));
            while let (Some(old), Some(new)) = (surplus.first(), missing.first()) {
                let change = ListChange::Replace(old.clone(), new.clone());
                edits.push(edit(expression, ListName::BuildSystem, change));
                surplus.remove(0);
                missing.remove(0);
            }
            let add = missing.into_iter().map(|name| ListChange::Add(name, None));
            let remove = surplus.into_iter().map(ListChange::Remove);
            edits.extend(add.chain(remove).map(|it| edit(expression, ListName::BuildSystem, it)));
            listed_names.extend(listed);
        }
        if edits.is_empty() {
            return Ok(());
        }
        let words = words(&edits);
        self.add(Finding {
            severity: if is_missing { Severity::Hard } else { Severity::Soft },
            package: package.name.clone(),
            what: format!(
                "is built by `{}` with {}; the expressions have {}",
                build.backend.value,
                said(wanted.iter()),
                said(listed_names.iter()),
            ),
            upstream: build.backend.place().to_string(),
            expressions: places,
            answer: Answer::Edits(words, edits),
        });
        Ok(())
    }

    /// The requirements that the source states against those of the distribution on PyPI.
    fn source_and_metadata(
        &mut self,
        package: &Package,
        project: &Project,
        distribution: &Distribution,
        requirements: &[Requirement],
    ) {
        let Some(stated) = &project.requirements else { return };
        type Stated<'a> = Vec<(&'a Located<String>, Option<Requirement>)>;
        let mut by_name: BTreeMap<String, Stated<'_>> = BTreeMap::new();
        for item in stated {
            let name = name_of(&item.value, requirements);
            by_name.entry(name).or_default().push((item, Requirement::parse(&item.value).ok()));
        }
        let required: Vec<&Requirement> =
            requirements.iter().filter(|requirement| !requirement.is_optional()).collect();
        let finding = |severity, what, upstream| Finding {
            severity,
            package: package.name.clone(),
            what,
            upstream,
            expressions: Vec::new(),
            answer: Answer::Person(
                "find out which is the release; the expressions follow the distribution".to_owned(),
            ),
        };
        let mut found = Vec::new();
        for (name, stated) in &by_name {
            let place = stated[0].0.place().to_string();
            let theirs: Vec<&&Requirement> = required.iter().filter(|r| r.name == *name).collect();
            if theirs.is_empty() {
                let what =
                    format!("requires `{}` in its source, and its distribution does not", name);
                found.push(finding(Severity::Hard, what, place));
                continue;
            }
            let is_known = stated.iter().all(|(item, _)| !item.value.contains(HOLE));
            let is_same = theirs.len() == stated.len()
                && stated.iter().all(|(_, ours)| {
                    ours.as_ref().is_some_and(|ours| theirs.iter().any(|r| r.is_same(ours)))
                });
            if is_known && !is_same {
                let what = format!(
                    "requires {} in its source, and {} as a distribution",
                    said(stated.iter().map(|(item, _)| &item.value)),
                    said(theirs.iter().map(|r| r.to_string())),
                );
                let finding = finding(Severity::Soft, what, place);
                found.push(Finding { answer: Answer::Nothing, ..finding });
            }
        }
        for requirement in required {
            if !by_name.contains_key(&requirement.name) {
                let what =
                    format!("requires `{requirement}` as a distribution, and not in its source");
                found.push(finding(Severity::Hard, what, distribution.to_string()));
            }
        }
        found.dedup();
        self.found.extend(found);
    }

    /// What a package needs to run, by attribute. What nothing here has an attribute for, or a
    /// content, is a finding.
    fn needs(
        &mut self,
        package: &Package,
        project: &Project,
        distribution: &Distribution,
        requirements: &[Requirement],
    ) -> BTreeMap<String, Need> {
        let mut needs: BTreeMap<String, Need> = BTreeMap::new();
        for requirement in requirements {
            let systems: Vec<String> =
                requirement.systems(&self.targets).into_iter().map(str::to_owned).collect();
            if systems.is_empty() {
                continue;
            }
            let upstream =
                place_of(project, &requirement.name).unwrap_or_else(|| distribution.to_string());
            if self.is_unforeseen(package, requirement, &upstream) {
                continue;
            }
            let mut add = |name: &str, of_extra: Option<String>| {
                let need = needs.entry(self.config.attribute(name)).or_insert_with(|| Need {
                    name: name.to_owned(),
                    requirements: Vec::new(),
                    systems: BTreeSet::new(),
                    of_extra: of_extra.clone(),
                    upstream: upstream.clone(),
                });
                need.systems.extend(systems.iter().cloned());
                if of_extra.is_none() {
                    need.of_extra = None;
                    need.requirements.push(requirement.clone());
                }
            };
            add(&requirement.name, None);
            for extra in &requirement.extras {
                let whole = format!("{}[{extra}]", requirement.name);
                if let Some(contents) = self.config.nixpkgs.extras.get(&whole) {
                    for name in contents {
                        add(name, Some(whole.clone()));
                    }
                    continue;
                }
                self.found.push(Finding {
                    severity: Severity::Hard,
                    package: package.name.clone(),
                    what: format!("requires `{whole}`, and what that pulls in is not known"),
                    upstream: upstream.clone(),
                    expressions: Vec::new(),
                    answer: Answer::Person(format!(
                        "list it in release.toml: \"{whole}\" under [nixpkgs.extras]"
                    )),
                });
            }
        }
        needs
    }

    /// Is a requirement a package of upstream's own that is not in `release.toml`? Nobody wrote an
    /// expression for it, and nixpkgs' package of that name would be something else.
    fn is_unforeseen(
        &mut self,
        package: &Package,
        requirement: &Requirement,
        upstream: &str,
    ) -> bool {
        let version = &self.facts.release.version;
        if self.config.packages_of(version).any(|package| package.name == requirement.name) {
            return false;
        }
        let directory =
            self.facts.other_projects.iter().find(|path| {
                normalised(path.rsplit('/').next().unwrap_or(path)) == requirement.name
            });
        let is_own = self.config.packages.iter().any(|package| package.name == requirement.name);
        let upstream = match directory {
            Some(directory) => format!("{upstream}, {directory}"),
            None if is_own => upstream.to_owned(),
            None => return false,
        };
        self.add(Finding {
            severity: Severity::Hard,
            package: package.name.clone(),
            what: format!(
                "requires `{}`, a package of upstream's that release.toml does not have at \
                 {version}",
                requirement.name
            ),
            upstream,
            expressions: Vec::new(),
            answer: Answer::Person(format!(
                "a [[package]] `{}` in release.toml with `since`, and its expressions",
                requirement.name
            )),
        });
        true
    }

    fn dependencies(&mut self, package: &Package, needs: &BTreeMap<String, Need>) {
        let extras = &self.config.nixpkgs.extras;
        let mut missing: BTreeMap<&String, (Vec<String>, Vec<ListEdit>)> = BTreeMap::new();
        let mut surplus: BTreeMap<String, (Vec<String>, Vec<ListEdit>)> = BTreeMap::new();
        for expression in self.of(&package.name) {
            let listing = expression.list(ListName::Dependencies);
            let items = listing.map_or(&[][..], |listing| &listing.items);
            let place = listing.map_or_else(
                || format!("{}:{}", expression.path, expression.line),
                |listing| format!("{}:{}", listing.path, listing.line),
            );
            let is_listed = |attribute: &str, need: &Need| {
                items.iter().any(|item| item.name.value == attribute)
                    || need
                        .of_extra
                        .as_ref()
                        .is_some_and(|extra| items.iter().any(|item| item.name.value == *extra))
            };
            for (attribute, need) in needs {
                if is_listed(attribute, need) {
                    continue;
                }
                let comment = need.of_extra.as_ref().map(|extra| format!("of {extra}"));
                let change = ListChange::Add(attribute.clone(), comment);
                let (places, edits) = missing.entry(attribute).or_default();
                places.push(place.clone());
                edits.push(edit(expression, ListName::Dependencies, change));
            }
            for item in items.iter().filter(|item| item.is_certain) {
                let name = &item.name.value;
                if needs.contains_key(name) || extras.contains_key(name) {
                    continue;
                }
                let (places, edits) = surplus.entry(name.clone()).or_default();
                places.push(item.name.place().to_string());
                let change = ListChange::Remove(name.clone());
                edits.push(edit(expression, ListName::Dependencies, change.clone()));
                if is_in(expression, ListName::RelaxDeps, name) {
                    edits.push(edit(expression, ListName::RelaxDeps, change));
                }
            }
        }
        let mut found = Vec::new();
        for (attribute, (places, edits)) in missing {
            let need = &needs[attribute];
            let everywhere = need.systems.len() == self.targets.len();
            let systems: Vec<&str> = need.systems.iter().map(String::as_str).collect();
            found.push(Finding {
                severity: Severity::Hard,
                package: package.name.clone(),
                what: format!("requires {}, and its expressions lack it", need.stated()),
                upstream: need.upstream.clone(),
                expressions: places,
                answer: if everywhere {
                    Answer::Edits(words(&edits), edits)
                } else {
                    Answer::Person(format!(
                        "add `{attribute}` under a condition: it is required on {} only",
                        systems.join(", ")
                    ))
                },
            });
        }
        for (name, (places, edits)) in surplus {
            let distribution = format!("not in the metadata of {} {}", package.name, {
                package.version_at(&self.facts.release.version)
            });
            found.push(Finding {
                severity: Severity::Soft,
                package: package.name.clone(),
                what: format!("does not require `{name}`, which its expressions list"),
                upstream: distribution,
                expressions: places,
                answer: Answer::Edits(words(&edits), edits),
            });
        }
        self.found.extend(found);
    }

    /// Bounds that the version in nixpkgs is known to exceed.
    fn relaxed(&mut self, package: &Package, needs: &BTreeMap<String, Need>) {
        let mut found = Vec::new();
        for need in needs.values() {
            let Some(version) = self.config.nixpkgs.versions.get(&need.name) else { continue };
            if need.requirements.iter().all(|requirement| requirement.allows(version)) {
                continue;
            }
            let lacking: Vec<&Expression> = self
                .of(&package.name)
                .filter(|expression| !is_in(expression, ListName::RelaxDeps, &need.name))
                .collect();
            if lacking.is_empty() {
                continue;
            }
            let change = ListChange::Add(need.name.clone(), None);
            let edits: Vec<ListEdit> = lacking
                .iter()
                .map(|expression| edit(expression, ListName::RelaxDeps, change.clone()))
                .collect();
            found.push(Finding {
                severity: Severity::Soft,
                package: package.name.clone(),
                what: format!("requires {}, and nixpkgs has {version}", need.stated()),
                upstream: need.upstream.clone(),
                expressions: lacking.iter().map(|it| format!("{}:{}", it.path, it.line)).collect(),
                answer: Answer::Edits(words(&edits), edits),
            });
        }
        self.found.extend(found);
    }

    /// Bounds of the requirements that stayed.
    fn bounds(
        &mut self,
        package: &Package,
        project: &Project,
        distribution: &Distribution,
        now: &[Requirement],
        before: &[Requirement],
    ) {
        let by_name = |requirements: &[Requirement]| {
            let mut map: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for requirement in requirements {
                if !requirement.systems(&self.targets).is_empty() {
                    let text = requirement.without_marker();
                    map.entry(requirement.name.clone()).or_default().insert(text);
                }
            }
            map
        };
        let (now, before) = (by_name(now), by_name(before));
        for (name, bounds) in now {
            let is_own = self.config.packages.iter().any(|package| package.name == name);
            let Some(old) = before.get(&name).filter(|old| **old != bounds && !is_own) else {
                continue;
            };
            self.add(Finding {
                severity: Severity::Soft,
                package: package.name.clone(),
                what: format!("requires {} now, before {}", said(bounds.iter()), said(old.iter())),
                upstream: place_of(project, &name).unwrap_or_else(|| distribution.to_string()),
                expressions: Vec::new(),
                answer: Answer::Nothing,
            });
        }
    }

    fn python_bounds(
        &mut self,
        package: &Package,
        project: &Project,
        distribution: &Distribution,
        before: &Distribution,
    ) {
        let range = |range: &Option<String>| match range {
            Some(range) => requirement::ordered_range(range),
            None => "any".to_owned(),
        };
        let (now, before) = (range(&distribution.python), range(&before.python));
        if now == before {
            return;
        }
        self.add(Finding {
            severity: Severity::Soft,
            package: package.name.clone(),
            what: format!("runs on Python `{now}` now, before `{before}`"),
            upstream: project
                .python
                .as_ref()
                .map_or_else(|| distribution.to_string(), |range| range.place().to_string()),
            expressions: Vec::new(),
            answer: Answer::Nothing,
        });
    }

    /// The commands of all packages against those that one package of everything links.
    fn commands(&mut self) {
        let packages: Vec<&Package> =
            self.config.packages_of(&self.facts.release.version).collect();
        let mut declared: BTreeMap<String, (&Package, String)> = BTreeMap::new();
        for package in &packages {
            let Some(project) = self.facts.projects.get(&package.name) else { return };
            let Some(commands) = &project.commands else {
                self.found.push(Finding {
                    severity: Severity::Soft,
                    package: package.name.clone(),
                    what: "computes its commands: they are not compared".to_owned(),
                    upstream: package.path.clone(),
                    expressions: Vec::new(),
                    answer: Answer::Nothing,
                });
                return;
            };
            for command in commands {
                let place = command.place().to_string();
                declared.insert(command.value.clone(), (package, place));
            }
        }
        let mut found = Vec::new();
        for expression in self.expressions {
            let Some(listing) = expression.list(ListName::Commands) else { continue };
            let place = format!("{}:{}", listing.path, listing.line);
            for (command, (package, upstream)) in &declared {
                if is_in(expression, ListName::Commands, command) {
                    continue;
                }
                let change = ListChange::Add(command.clone(), None);
                let edits = vec![edit(expression, ListName::Commands, change)];
                let answer = if is_command(command) {
                    Answer::Edits(words(&edits), edits)
                } else {
                    Answer::Person("find out from upstream what this name is".to_owned())
                };
                found.push(Finding {
                    severity: Severity::Hard,
                    package: package.name.clone(),
                    what: format!(
                        "has the command `{command}`, and {} does not link it",
                        expression.package
                    ),
                    upstream: upstream.clone(),
                    expressions: vec![place.clone()],
                    answer,
                });
            }
            for item in listing.items.iter().filter(|item| item.is_certain) {
                let command = &item.name.value;
                if declared.contains_key(command) {
                    continue;
                }
                let change = ListChange::Remove(command.clone());
                let edits = vec![edit(expression, ListName::Commands, change)];
                found.push(Finding {
                    severity: Severity::Hard,
                    package: expression.package.clone(),
                    what: format!("links the command `{command}`, which upstream does not have"),
                    upstream: "no console script of that name".to_owned(),
                    expressions: vec![item.name.place().to_string()],
                    answer: Answer::Edits(words(&edits), edits),
                });
            }
        }
        self.found.extend(found);
    }
}

/// The name that a stated requirement is of; one whose name runs into something computed is of the
/// required distribution that it begins like.
fn name_of(stated: &str, requirements: &[Requirement]) -> String {
    if let Ok(requirement) = Requirement::parse(stated) {
        return requirement.name;
    }
    let is_name = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
    let name: String = stated.chars().take_while(is_name).collect();
    let prefix = normalised(&name);
    requirements
        .iter()
        .map(|requirement| &requirement.name)
        .filter(|name| name.starts_with(&prefix))
        .min_by_key(|name| name.len())
        .cloned()
        .unwrap_or(prefix)
}

/// Where a project's source states a requirement.
fn place_of(project: &Project, name: &str) -> Option<String> {
    let is_it = |item: &&Located<String>| {
        let end = item.value.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
        normalised(&item.value[..end.unwrap_or(item.value.len())]) == name
    };
    project.requirements.as_ref()?.iter().find(is_it).map(|item| item.place().to_string())
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

/// Is this a name that a command may have? It is written into a Nix string.
fn is_command(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.starts_with(['-', '.']) && name.bytes().all(is_plain)
}

fn said<T: std::fmt::Display>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<String> = items.map(|item| format!("`{item}`")).collect();
    if items.is_empty() { "nothing".to_owned() } else { items.join(" and ") }
}
