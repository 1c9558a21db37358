//! Findings about what packages require: of the source against the distribution, of upstream
//! against the expressions, of one version against the next.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Answer, Finding, Severity, quoted};
use super::search::Search;
use crate::model::config::Package;
use crate::model::facts::Distribution;
use crate::model::located::Located;
use crate::model::nix_edit::{ListChange, ListEdit, ListName};
use crate::model::project::{COMPUTED, Project};
use crate::model::requirement::{Requirement, normalised, spelling};

/// Something that a package needs to run.
pub(super) struct Need {
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
    /// The requirements that the source states against those of the distribution on PyPI.
    pub(super) fn source_and_metadata(
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
            let is_known = stated.iter().all(|(item, _)| !item.value.contains(COMPUTED));
            let is_same = theirs.len() == stated.len()
                && stated.iter().all(|(_, ours)| {
                    ours.as_ref().is_some_and(|ours| theirs.iter().any(|r| r.is_same(ours)))
                });
            if is_known && !is_same {
                let what = format!(
                    "requires {} in its source, and {} as a distribution",
                    quoted(stated.iter().map(|(item, _)| &item.value)),
                    quoted(theirs.iter().map(|r| r.to_string())),
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
    pub(super) fn needs(
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

    pub(super) fn dependencies(&mut self, package: &Package, needs: &BTreeMap<String, Need>) {
        let extras = &self.config.nixpkgs.extras;
        let mut missing: BTreeMap<&String, (Vec<String>, Vec<ListEdit>)> = BTreeMap::new();
        let mut surplus: BTreeMap<String, (Vec<String>, Vec<ListEdit>)> = BTreeMap::new();
        for expression in self.expressions_of(&package.name) {
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
                edits.push(ListEdit::new(expression, ListName::Dependencies, change));
            }
            for item in items.iter().filter(|item| item.is_certain) {
                let name = &item.name.value;
                if needs.contains_key(name) || extras.contains_key(name) {
                    continue;
                }
                let (places, edits) = surplus.entry(name.clone()).or_default();
                places.push(item.name.place().to_string());
                let change = ListChange::Remove(name.clone());
                edits.push(ListEdit::new(expression, ListName::Dependencies, change));
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
                    Answer::edits(edits)
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
                answer: Answer::edits(edits),
            });
        }
        self.found.extend(found);
    }

    /// Bounds of the requirements that stayed.
    pub(super) fn bounds(
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
                what: format!(
                    "requires {} now, before {}",
                    quoted(bounds.iter()),
                    quoted(old.iter())
                ),
                upstream: place_of(project, &name).unwrap_or_else(|| distribution.to_string()),
                expressions: Vec::new(),
                answer: Answer::Nothing,
            });
        }
    }
}

/// The name that a stated requirement is of; one whose name runs into something computed is of the
/// required distribution that it begins like.
fn name_of(stated: &str, requirements: &[Requirement]) -> String {
    if let Ok(requirement) = Requirement::parse(stated) {
        return requirement.name;
    }
    let prefix = normalised(spelling(stated));
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
    let is_it = |item: &&Located<String>| normalised(spelling(&item.value)) == name;
    project.requirements.as_ref()?.iter().find(is_it).map(|item| item.place().to_string())
}
