//! Findings about a package as a whole: that it is there, which version and Python it is for, how
//! it is built, which commands it has.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};

use super::finding::{Answer, Finding, Severity, quoted};
use super::search::{Compared, Search};
use crate::model::config::{Package, Variant};
use crate::model::facts::Distribution;
use crate::model::located::Located;
use crate::model::nix_edit::{Expression, ListChange, ListEdit, ListName};
use crate::model::project::Project;
use crate::model::requirement::{self, Requirement, normalised};

impl Search<'_> {
    pub(super) fn missing_expressions(&mut self, package: &Package) {
        for variant in [Variant::Separate, Variant::Combined] {
            let directory = &self.config.variant(variant).files;
            let below = format!("{directory}/");
            if self
                .expressions_of(&package.name)
                .any(|expression| expression.path.starts_with(&below))
            {
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
    pub(super) fn version(&mut self, package: &Package, project: &Project) {
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

    pub(super) fn python(
        &mut self,
        package: &Package,
        project: &Project,
        distribution: &Distribution,
    ) -> Result<()> {
        let ours = self.python;
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
                "in release.toml: a [[python]] that it allows for this version, by `since` and \
                 `until`"
                    .to_owned(),
            ),
        });
        Ok(())
    }

    /// The Python of the release: that each variant names one, and that nixpkgs builds for it.
    pub(super) fn named_python(&mut self) {
        let Compared { nixpkgs, expressions, pythons, .. } = self.compared;
        let finding = |severity, what, upstream, expressions, answer| Finding {
            severity,
            package: self.config.repo().to_owned(),
            what,
            upstream,
            expressions,
            answer,
        };
        let policy = format!("a [[python]] of release.toml, {}", self.python);
        let mut found = Vec::new();
        for variant in [Variant::Separate, Variant::Combined] {
            let directory = &self.config.variant(variant).files;
            let is_below = |path: &String| path.starts_with(&format!("{directory}/"));
            let built: Vec<_> = expressions.iter().filter(|it| is_below(&it.path)).collect();
            let is_named = pythons.iter().any(|python| is_below(&python.path))
                || built.iter().any(|it| it.unversioned_python.is_some());
            let Some(first) = built.first().filter(|_| !is_named) else { continue };
            found.push(finding(
                Severity::Hard,
                format!("is built in {directory} with a Python that no file there names"),
                policy.clone(),
                vec![format!("{}:{}", first.path, first.line)],
                Answer::Person(format!("name `{}` in a file there", self.python_attribute())),
            ));
        }
        if !nixpkgs.builds(self.python) {
            let known: Vec<&str> = nixpkgs.pythons.iter().map(String::as_str).collect();
            self.noticed.push(finding(
                Severity::Soft,
                format!(
                    "is built with Python {}, whose packages nixpkgs does not build: it has {}",
                    self.python,
                    known.join(" and ")
                ),
                format!("nixpkgs.toml, {}", nixpkgs.recorded),
                Vec::new(),
                Answer::Nothing,
            ));
        }
        self.found.extend(found);
    }

    /// A package whose file names a Python, and leaves to nixpkgs which one that is.
    pub(super) fn unversioned_python(&mut self, package: &Package) {
        let named: Vec<&Located<String>> = self
            .expressions_of(&package.name)
            .filter_map(|it| it.unversioned_python.as_ref())
            .collect();
        let Some(first) = named.first() else { return };
        self.add(Finding {
            severity: Severity::Hard,
            package: package.name.clone(),
            what: format!("is built with `{}`, whichever Python nixpkgs takes for it", first.value),
            upstream: format!("a [[python]] of release.toml, {}", self.python),
            expressions: named.iter().map(|python| python.place().to_string()).collect(),
            answer: Answer::Person(format!("name `{}` there", self.python_attribute())),
        });
    }

    fn python_attribute(&self) -> String {
        format!("python{}", self.python.replace('.', ""))
    }

    /// A package that is fetched because of its web UI, and built from a source without one.
    pub(super) fn web_ui(&mut self, package: &Package, project: &Project) {
        if package.fetch.is_none() || project.has_web_ui {
            return;
        }
        let built: Vec<String> = self
            .expressions_of(&package.name)
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

    pub(super) fn build_system(&mut self, package: &Package, project: &Project) -> Result<()> {
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
        for expression in
            self.expressions_of(&package.name).filter(|expression| !expression.is_wheel)
        {
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
                edits.push(ListEdit::new(expression, ListName::BuildSystem, change));
                surplus.remove(0);
                missing.remove(0);
            }
            let add = missing.into_iter().map(|name| ListChange::Add(name, None));
            let remove = surplus.into_iter().map(ListChange::Remove);
            edits.extend(
                add.chain(remove).map(|it| ListEdit::new(expression, ListName::BuildSystem, it)),
            );
            listed_names.extend(listed);
        }
        if edits.is_empty() {
            return Ok(());
        }
        self.add(Finding {
            severity: if is_missing { Severity::Hard } else { Severity::Soft },
            package: package.name.clone(),
            what: format!(
                "is built by `{}` with {}; the expressions have {}",
                build.backend.value,
                quoted(wanted.iter()),
                quoted(listed_names.iter()),
            ),
            upstream: build.backend.place().to_string(),
            expressions: places,
            answer: Answer::edits(edits),
        });
        Ok(())
    }

    /// Versions that the build system wants. The build refuses others, whatever is relaxed.
    pub(super) fn build_bounds(&mut self, package: &Package, project: &Project) -> Result<()> {
        let checked: Vec<String> = self
            .expressions_of(&package.name)
            .filter(|expression| !expression.is_wheel && !expression.skips_build_check)
            .map(|expression| format!("{}:{}", expression.path, expression.line))
            .collect();
        if checked.is_empty() {
            return Ok(());
        }
        for stated in &project.build.requirements {
            let requirement = Requirement::parse(&stated.value)
                .with_context(|| format!("in `{}` of upstream", stated.place()))?;
            if requirement.systems(&self.targets).is_empty() {
                continue;
            }
            let version = self.compared.nixpkgs.version(&self.config.attribute(&requirement.name));
            let is_met = version.is_none_or(|version| requirement.allows(version));
            if is_met && !requirement.has_upper_bound() {
                continue;
            }
            let has = match version {
                Some(version) => format!("nixpkgs has {version}"),
                None => "what nixpkgs has is not recorded".to_owned(),
            };
            let finding = Finding {
                severity: if is_met { Severity::Soft } else { Severity::Hard },
                package: package.name.clone(),
                what: format!("is built with `{}`, and {has}", requirement.without_marker()),
                upstream: stated.place().to_string(),
                expressions: checked.clone(),
                answer: Answer::Nothing,
            };
            if is_met {
                self.noticed.push(finding);
                continue;
            }
            let answer = Answer::Person(
                "`pypaBuildFlags = [ \"--skip-dependency-check\" ];` there, if it builds with that"
                    .to_owned(),
            );
            self.found.push(Finding { answer, ..finding });
        }
        Ok(())
    }

    pub(super) fn python_bounds(
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
    pub(super) fn commands(&mut self) {
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
        for expression in self.compared.expressions {
            let Some(listing) = expression.list(ListName::Commands) else { continue };
            let place = format!("{}:{}", listing.path, listing.line);
            for (command, (package, upstream)) in &declared {
                if is_linked(expression, command) {
                    continue;
                }
                let change = ListChange::Add(command.clone(), None);
                let edits = vec![ListEdit::new(expression, ListName::Commands, change)];
                let answer = if is_command(command) {
                    Answer::edits(edits)
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
                let edits = vec![ListEdit::new(expression, ListName::Commands, change)];
                found.push(Finding {
                    severity: Severity::Hard,
                    package: expression.package.clone(),
                    what: format!("links the command `{command}`, which upstream does not have"),
                    upstream: "no console script of that name".to_owned(),
                    expressions: vec![item.name.place().to_string()],
                    answer: Answer::edits(edits),
                });
            }
        }
        self.found.extend(found);
    }
}

/// Is a command in the list of those that an expression links?
fn is_linked(expression: &Expression, command: &str) -> bool {
    let mut items = expression.list(ListName::Commands).into_iter().flat_map(|list| &list.items);
    items.any(|item| item.name.value == command || normalised(&item.name.value) == command)
}

/// Is this a name that a command may have? It is written into a Nix string.
fn is_command(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.starts_with(['-', '.']) && name.bytes().all(is_plain)
}
