//! What the calls of a survey pin together. Files that contradict each other are refused, and which
//! of them is meant is not guessed.

use std::collections::BTreeMap;

use super::file::Scope;
use super::pins::{Pinned, PinnedPypi};
use super::sources::{Literal, Sources};
use super::survey::{HashPin, SourceCall, Survey};
use crate::failure::Failure;
use crate::model::located::Located;
use crate::model::requirement::normalised;
use crate::model::sri::Sri;

impl<'a> Survey<'a> {
    /// Finds every call and checks that they agree.
    pub fn take(sources: &'a Sources, scope: &'a Scope) -> Result<Self, Failure> {
        let survey = Self::find(sources, scope)?;
        survey.check_agreement()?;
        Ok(survey)
    }

    /// What the files pin. There is at least one call, and all agree: `take` checked.
    pub fn pinned(&self) -> Result<Pinned, Failure> {
        let first = self.first()?;
        let located =
            |literal: &Literal| (self.sources.0[literal.file].path.clone(), self.line(literal));
        let named = first.version_of_commit.as_ref().or_else(|| first.rev.literals().next());
        let (path, line) = located(named.unwrap_or(&first.hash.literal));
        let (rev_file, rev_offset) = first.rev_place;
        let source = &self.sources.0[rev_file];
        let rev = Located {
            value: first.rev.value(),
            path: source.path.clone(),
            line: source.line(rev_offset),
        };
        let hash = |hash: &HashPin| {
            let (path, line) = located(&hash.literal);
            Located { value: hash.value, path, line }
        };
        let known = self.upstream.iter().find(|call| call.hash.value != Sri::FAKE);
        let source_hash = hash(&known.unwrap_or(first).hash);
        let mut pypi = BTreeMap::new();
        for call in self.pypi.iter().rev() {
            let (path, line) = located(&call.version);
            let version = Located { value: call.version.text.clone(), path, line };
            pypi.insert(call.name.clone(), PinnedPypi { version, hash: hash(&call.hash) });
        }
        let version = Located { value: first.version.clone(), path, line };
        let python = self.python.clone();
        Ok(Pinned { version, rev, source_hash, pypi, python })
    }

    fn line(&self, literal: &Literal) -> usize {
        self.sources.0[literal.file].line(literal.start)
    }

    /// Refuses files that contradict each other: what they pin would depend on who reads them.
    fn check_agreement(&self) -> Result<(), Failure> {
        let first = self.first()?;
        let repository = self.scope.repository();
        for call in &self.upstream[1..] {
            if call.version != first.version {
                let (a, b) = (first.version.to_string(), call.version.to_string());
                return Err(disagreement(
                    "version",
                    &repository,
                    (&a, &first.place),
                    (&b, &call.place),
                ));
            }
            let are_commits = [first, call].iter().all(|call| call.version_of_commit.is_some());
            if are_commits && call.rev.value() != first.rev.value() {
                let (a, b) = (first.rev.value(), call.rev.value());
                return Err(disagreement(
                    "commit",
                    &repository,
                    (&a, &first.place),
                    (&b, &call.place),
                ));
            }
            self.check_hashes(&repository, &first.hash, &call.hash)?;
        }
        let version = first.version.to_string();
        for (i, call) in self.pypi.iter().enumerate() {
            let place = self.sources.place_of(&call.version);
            if let Some(other) = self.pypi[..i].iter().find(|other| other.name == call.name) {
                let other_place = self.sources.place_of(&other.version);
                if other.version.text != call.version.text {
                    let (a, b) = (&other.version.text, &call.version.text);
                    return Err(disagreement(
                        "version",
                        &call.name,
                        (a, &other_place),
                        (b, &place),
                    ));
                }
                self.check_hashes(&call.name, &other.hash, &call.hash)?;
            }
            self.check_version(first, &call.name, &call.version)?;
        }
        for binding in &self.versions {
            let fetched = self.pypi.iter().any(|call| call.version == binding.literal);
            let Some(name) = &binding.name else { continue };
            let listed = self.scope.packages.contains(&normalised(name));
            if listed && !fetched && binding.literal.text != version {
                let place = self.sources.place_of(&binding.literal);
                let (a, b) = (&version, &binding.literal.text);
                return Err(disagreement("version", name, (a, &first.place), (b, &place)));
            }
            self.check_version(first, name, &binding.literal)?;
        }
        Ok(())
    }

    fn check_hashes(&self, what: &str, a: &HashPin, b: &HashPin) -> Result<(), Failure> {
        if a.value == b.value || [a.value, b.value].contains(&Sri::FAKE) {
            return Ok(());
        }
        let places = (self.sources.place_of(&a.literal), self.sources.place_of(&b.literal));
        let values = (a.value.to_string(), b.value.to_string());
        Err(disagreement("hash", what, (&values.0, &places.0), (&values.1, &places.1)))
    }

    /// Packages may be numbered on their own (`0.26.6`), but not by another release of Dagster.
    fn check_version(
        &self,
        first: &SourceCall,
        name: &str,
        found: &Literal,
    ) -> Result<(), Failure> {
        let same_major = |other: &str| {
            other.split('.').next().and_then(|major| major.parse().ok())
                == Some(first.version.major)
        };
        let expected = first.version.to_string();
        if found.text == expected || !same_major(&found.text) {
            return Ok(());
        }
        let place = self.sources.place_of(found);
        Err(disagreement("version", name, (&expected, &first.place), (&found.text, &place)))
    }
}

fn disagreement(attribute: &str, what: &str, first: (&str, &str), second: (&str, &str)) -> Failure {
    Failure::failed(format!(
        "expected one {attribute} of `{what}`, found `{}` at `{}` and `{}` at `{}`",
        first.0, first.1, second.0, second.1
    ))
    .hint("make both say the same; the tool does not guess which one is meant")
}
