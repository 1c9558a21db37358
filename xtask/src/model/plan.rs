//! The edits that bring the Nix files from what they say to what the facts say. Pure; prints as a
//! patch.

use std::fmt::Write as _;

use similar::TextDiff;

use super::facts::Facts;
use super::nix_edit::{self, NixFile, Pinned, Pins, Scope};
use crate::failure::Failure;

/// What changes, from where to where.
pub struct Plan {
    pub from: Pinned,
    pub facts: Facts,
    pub changes: Vec<Change>,
}

/// One file's text before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// From the top of the repository, with `/`.
    pub path: String,
    pub before: String,
    pub after: String,
}

impl Plan {
    /// Plans the edits of all files. No edit at all is a plan with no changes.
    pub fn new(scope: &Scope, files: &[NixFile], facts: Facts) -> Result<Self, Failure> {
        let from = nix_edit::read(files, scope)?;
        let pins = Pins {
            version: facts.release.version.clone(),
            tag: facts.release.tag.clone(),
            source_hash: facts.source_hash,
            pypi: facts.release.wheels.clone(),
        };
        let edited = nix_edit::repin(files, scope, &pins)?;
        let changes = files
            .iter()
            .zip(edited)
            .filter(|(before, after)| before.text != after.text)
            .map(|(before, after)| Change {
                path: before.path.clone(),
                before: before.text.clone(),
                after: after.text,
            })
            .collect();
        Ok(Self { from, facts, changes })
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The paths of the files that change.
    pub fn paths(&self) -> Vec<&str> {
        self.changes.iter().map(|change| change.path.as_str()).collect()
    }

    /// One patch over all files, as `git apply` takes it.
    pub fn patch(&self) -> String {
        self.changes.iter().map(Change::patch).collect()
    }

    /// The message of the commit that holds the edits.
    pub fn commit_message(&self) -> String {
        let Facts { release, source_hash } = &self.facts;
        let mut text = format!(
            "dagster {}\n\nFrom {}.\n\n\
             source  tag {}, commit {}\n        {source_hash}\n",
            release.version, self.from.version.value, release.tag, release.commit
        );
        for wheel in &release.wheels {
            let _ =
                write!(text, "wheel   {} {}\n        {}\n", wheel.name, wheel.version, wheel.hash);
        }
        text
    }
}

impl Change {
    fn patch(&self) -> String {
        let Self { path, before, after } = self;
        let diff = TextDiff::from_lines(before.as_str(), after.as_str());
        let body = diff
            .unified_diff()
            .context_radius(3)
            .header(&format!("a/{path}"), &format!("b/{path}"))
            .to_string();
        format!("diff --git a/{path} b/{path}\n{body}")
    }
}
