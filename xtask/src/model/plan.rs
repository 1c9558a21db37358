//! The edits that bring the Nix files from what they say to what the facts say. Pure; prints as a
//! patch.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;
use similar::TextDiff;

use super::config::Config;
use super::drift::{self, Finding, Severity};
use super::facts::{Distribution, Facts};
use super::nix_edit::{self, ListEdit, NixFile, Pinned, Pins, Scope};

/// What changes, from where to where.
pub struct Plan {
    pub from: Pinned,
    pub facts: Facts,
    /// Where upstream is not what the expressions were written for.
    pub findings: Vec<Finding>,
    /// Do the edits that answer the findings belong to the plan?
    pub accepts_drift: bool,
    /// New versions and hashes.
    pins: Vec<Change>,
    /// On top of those: the edits that answer the findings.
    drift: Vec<Change>,
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
    ///
    /// `before`: the distributions of the version that is pinned now, if they are known.
    ///
    /// # Errors
    /// For files that are not understood; with `accepts_drift` also for an edit that cannot be
    /// written.
    pub fn new(
        config: &Config,
        scope: &Scope,
        files: &[NixFile],
        facts: Facts,
        before: Option<&[Distribution]>,
        accepts_drift: bool,
    ) -> Result<Self> {
        let from = nix_edit::read(files, scope)?;
        let release = &facts.release;
        let pins = Pins {
            version: release.version.clone(),
            tag: release.tag.clone(),
            source_hash: facts.source_hash,
            pypi: release.wheels.clone(),
        };
        let pinned = nix_edit::repin(files, scope, &pins)?;
        let expressions = nix_edit::expressions(&pinned, scope)?;
        let findings = drift::find(config, &facts, before, &expressions)?;
        let edits: Vec<ListEdit> = findings.iter().flat_map(Finding::edits).cloned().collect();
        let adapted = match nix_edit::edit_lists(&pinned, scope, &edits) {
            Ok(adapted) => adapted,
            Err(error) if accepts_drift => return Err(error.into()),
            // The findings are told, and that they must be accepted; then this error is.
            Err(_) => pinned.clone(),
        };
        let (pins, drift) = (changes(files, &pinned), changes(&pinned, &adapted));
        Ok(Self { from, facts, findings, accepts_drift, pins, drift })
    }

    /// No change of any file.
    pub fn is_empty(&self) -> bool {
        self.changes().is_empty()
    }

    /// What is to be written.
    pub fn changes(&self) -> Vec<Change> {
        let drift = if self.accepts_drift { self.drift.as_slice() } else { &[] };
        let mut all: BTreeMap<&str, Change> = BTreeMap::new();
        for change in self.pins.iter().chain(drift) {
            all.entry(&change.path)
                .and_modify(|earlier| earlier.after.clone_from(&change.after))
                .or_insert_with(|| change.clone());
        }
        all.into_values().collect()
    }

    /// The paths of the files that change.
    pub fn paths(&self) -> Vec<String> {
        self.changes().into_iter().map(|change| change.path).collect()
    }

    /// The findings that need a decision that nobody took yet.
    pub fn undecided(&self) -> Vec<&Finding> {
        let is_hard = |finding: &&Finding| finding.severity == Severity::Hard;
        let findings = self.findings.iter().filter(is_hard).collect();
        if self.accepts_drift { Vec::new() } else { findings }
    }

    /// One patch over all files, as `git apply` takes it: the new versions and hashes, and apart
    /// from them the edits that answer the findings, if those are accepted or must be.
    pub fn patch(&self) -> String {
        let mut text: String = self.pins.iter().map(Change::patch).collect();
        if (self.accepts_drift || !self.undecided().is_empty()) && !self.drift.is_empty() {
            // `git apply` leaves out what stands in front of a `diff` line.
            text += "\nDrift, on top of the new versions and hashes:\n\n";
            text.extend(self.drift.iter().map(Change::patch));
        }
        text
    }

    /// The message of the commit that holds the edits.
    pub fn commit_message(&self) -> String {
        let Facts { release, source_hash, .. } = &self.facts;
        let mut text = format!(
            "dagster {}\n\nFrom {}.\n\n\
             source  tag {}, commit {}\n        {source_hash}\n",
            release.version, self.from.version.value, release.tag, release.commit
        );
        for wheel in &release.wheels {
            let _ =
                write!(text, "wheel   {} {}\n        {}\n", wheel.name, wheel.version, wheel.hash);
        }
        if !self.accepts_drift {
            return text;
        }
        let accepted = self
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Hard || !finding.edits().is_empty());
        for (index, finding) in accepted.enumerate() {
            let heading =
                if index == 0 { "\nDrift, accepted by whoever released this:\n" } else { "" };
            let Finding { package, what, upstream, .. } = finding;
            let _ = write!(text, "{heading}- {package} {what} ({upstream})");
            if let Some(words) = finding.words() {
                let _ = write!(text, ": {words}");
            }
            text.push('\n');
        }
        text
    }
}

fn changes(before: &[NixFile], after: &[NixFile]) -> Vec<Change> {
    before
        .iter()
        .zip(after)
        .filter(|(before, after)| before.text != after.text)
        .map(|(before, after)| Change {
            path: before.path.clone(),
            before: before.text.clone(),
            after: after.text.clone(),
        })
        .collect()
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
