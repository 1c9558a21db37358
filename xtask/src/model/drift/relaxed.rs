//! Bounds that no build checks: `pythonRelaxDeps`, derived from what upstream requires.
//!
//! nixpkgs moves on without asking upstream, so a bound that it meets today stops a build some day.
//! Relaxed is every requirement that has an upper bound or an exact pin, outside upstream's own
//! packages; whether that holds is for the smoke test to say.
//!
//! The hook of nixpkgs edits the metadata of the built wheel by a pattern:
//!
//! ```text
//! s/(Requires-Dist: $name\s*(\[[^]]+\])?)[^;]*(;.*)?/\1\3/i
//! ```
//!
//! So a name is spelled as that metadata spells it, apart from case: `_` is not `-`. And a name
//! that another requirement's begins with changes that one too, so both are relaxed or none:
//! `grpcio` takes `grpcio-health-checking` along.

use std::collections::BTreeSet;

use anyhow::Result;

use super::finding::{Answer, Finding, Severity};
use crate::failure::Failure;
use crate::model::config::{Config, Package};
use crate::model::facts::Facts;
use crate::model::nix_edit::{Expression, ListChange, ListEdit, ListName};
use crate::model::nixpkgs::Recorded;
use crate::model::requirement::{Requirement, normalised, spelling};

/// What one package relaxes.
#[derive(Debug, Clone, PartialEq)]
pub struct Relaxed {
    /// Upstream's package.
    pub package: String,
    /// The metadata that the bounds stand in.
    pub upstream: String,
    pub bounds: Vec<Bound>,
}

/// The requirements of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// Normalised.
    pub name: String,
    /// As the metadata on PyPI spells it.
    pub spellings: BTreeSet<String>,
    /// As the source spells it, where that differs: a wheel built anew may keep it.
    pub source_spellings: BTreeSet<String>,
    /// What has an upper bound; nothing where a shorter name takes this along.
    pub requirements: Vec<Requirement>,
}

/// Derives what each package of a release relaxes, on any of the systems.
///
/// # Errors
/// For metadata that is none, and for a `release.toml` that has no Python for the version.
pub fn derive(config: &Config, facts: &Facts) -> Result<Vec<Relaxed>> {
    let targets = config.targets_at(&facts.release.version)?;
    let packages = config.packages_of(&facts.release.version);
    packages
        .map(|package| {
            let distribution = facts.distribution(&package.name)?;
            let applying: Vec<Requirement> = distribution
                .parsed()?
                .into_iter()
                .filter(|requirement| !requirement.systems(&targets).is_empty())
                .collect();
            let bounds = bounds(config, facts, package, &applying);
            let upstream = distribution.to_string();
            Ok(Relaxed { package: package.name.clone(), upstream, bounds })
        })
        .collect()
}

fn bounds(
    config: &Config,
    facts: &Facts,
    package: &Package,
    applying: &[Requirement],
) -> Vec<Bound> {
    let bounded = applying
        .iter()
        .filter(|it| it.has_upper_bound() && !is_own(config, facts, &it.name))
        .map(|it| it.name.as_str());
    let mut names: BTreeSet<&str> = bounded.collect();
    loop {
        let taken_along = applying.iter().filter(|longer| {
            let begins = |it: &Requirement| {
                names.contains(it.name.as_str()) && is_beginning(&it.spelling, &longer.spelling)
            };
            applying.iter().any(begins)
        });
        let all: BTreeSet<&str> =
            names.iter().copied().chain(taken_along.map(|it| it.name.as_str())).collect();
        if all == names {
            break;
        }
        names = all;
    }
    let of_name = |name: &str| {
        let lines = || applying.iter().filter(|it| it.name == name);
        let spellings = each_once(lines().map(|it| it.spelling.as_str()));
        let project = facts.projects.get(&package.name);
        let stated = project.and_then(|project| project.requirements.as_ref());
        let stated = stated.into_iter().flatten().map(|stated| spelling(&stated.value));
        let is_new = |it: &&str| {
            normalised(it) == name && !spellings.iter().any(|known| known.eq_ignore_ascii_case(it))
        };
        Bound {
            name: name.to_owned(),
            source_spellings: each_once(stated.filter(is_new)),
            requirements: lines().filter(|it| it.has_upper_bound()).cloned().collect(),
            spellings,
        }
    };
    names.into_iter().map(of_name).collect()
}

/// Is this one of upstream's own packages, in `release.toml` or beside those?
fn is_own(config: &Config, facts: &Facts, name: &str) -> bool {
    let directory = |path: &String| normalised(path.rsplit('/').next().unwrap_or(path));
    config.packages.iter().any(|package| package.name == name)
        || facts.other_projects.iter().any(|path| directory(path) == name)
}

/// Would the hook, given the shorter name, find the longer one?
fn is_beginning(shorter: &str, longer: &str) -> bool {
    let (shorter, longer) = (shorter.to_ascii_lowercase(), longer.to_ascii_lowercase());
    longer.starts_with(&shorter)
}

/// Spellings that differ by more than case.
fn each_once<'a>(spellings: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for spelling in spellings {
        if !all.iter().any(|known: &String| known.eq_ignore_ascii_case(spelling)) {
            all.insert(spelling.to_owned());
        }
    }
    all
}

/// The edits after which every list holds what its package relaxes, and nothing else.
pub fn edits(relaxed: &[Relaxed], expressions: &[Expression]) -> Vec<ListEdit> {
    let mut edits = Vec::new();
    for Relaxed { package, bounds, .. } in relaxed {
        for expression in expressions.iter().filter(|it| it.package == *package) {
            let of = |bound: &Bound| {
                let built = (!expression.is_wheel).then_some(&bound.source_spellings);
                let all = bound.spellings.iter().chain(built.into_iter().flatten());
                all.cloned().collect::<Vec<_>>()
            };
            let wanted: BTreeSet<String> = bounds.iter().flat_map(of).collect();
            let listing = expression.list(ListName::RelaxDeps);
            let items = listing.map_or(&[][..], |listing| &listing.items);
            let is_listed = |name: &String| {
                items.iter().any(|item| item.is_certain && item.name.value == *name)
            };
            let add = wanted.iter().filter(|name| !is_listed(name)).cloned();
            // What stands under a condition that only Nix can decide is replaced by what does not.
            let surplus: BTreeSet<&String> = items
                .iter()
                .map(|item| &item.name.value)
                .filter(|name| !wanted.contains(*name) || !is_listed(name))
                .collect();
            let changes = surplus
                .iter()
                .filter(|name| wanted.contains(**name))
                .map(|name| ListChange::Remove((*name).clone()))
                .chain(add.map(|name| ListChange::Add(name, None)))
                .chain(
                    surplus
                        .iter()
                        .filter(|name| !wanted.contains(**name))
                        .map(|name| ListChange::Remove((*name).clone())),
                );
            edits.extend(
                changes.map(|change| ListEdit::new(expression, ListName::RelaxDeps, change)),
            );
        }
    }
    edits
}

/// Refuses lists that hold something else after their edits.
///
/// # Errors
/// Status 3: two packages share a list, or an element is no name that is written out.
pub fn check(relaxed: &[Relaxed], expressions: &[Expression]) -> Result<(), Failure> {
    let Some(ListEdit { path, package, .. }) = edits(relaxed, expressions).into_iter().next()
    else {
        return Ok(());
    };
    Err(Failure::decision(format!(
        "cannot make `pythonRelaxDeps` of `{package}` in `{path}` say what upstream bounds: the \
         edits of it, or of a list that it shares, undo each other"
    ))
    .hint("write a list of names for each package, then run the command again"))
}

/// What a person should know of each package that relaxes something.
pub(super) fn notices(config: &Config, nixpkgs: &Recorded, relaxed: &[Relaxed]) -> Vec<Finding> {
    let with_bounds = relaxed.iter().filter(|relaxed| !relaxed.bounds.is_empty());
    with_bounds
        .map(|Relaxed { package, upstream, bounds }| {
            let (mut exceeded, mut others) = (Vec::new(), Vec::new());
            for bound in bounds {
                let version = nixpkgs.version(&config.attribute(&bound.name));
                let outside = version.and_then(|version| {
                    let excludes = |it: &&Requirement| !it.allows(version);
                    bound.requirements.iter().find(excludes).map(|it| (it, version))
                });
                match outside {
                    Some((requirement, version)) => exceeded.push(format!(
                        "`{}{}` (nixpkgs has {version})",
                        bound.name,
                        requirement.upper_bounds()
                    )),
                    None => others.push(bound.name.clone()),
                }
            }
            let what = match (exceeded.as_slice(), others.as_slice()) {
                ([], others) => format!("relaxes {}", others.join(", ")),
                (exceeded, []) => format!("relaxes {}", exceeded.join(", ")),
                (exceeded, others) => format!(
                    "relaxes {}, and {} more: {}",
                    exceeded.join(", "),
                    others.len(),
                    others.join(", ")
                ),
            };
            Finding {
                severity: Severity::Soft,
                package: package.clone(),
                what,
                upstream: upstream.clone(),
                expressions: Vec::new(),
                answer: Answer::Nothing,
            }
        })
        .collect()
}
