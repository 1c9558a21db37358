//! The edits that bring the Nix files from what they say to what the facts say. Pure; prints as a
//! patch.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;
use semver::Version;
use similar::TextDiff;

use super::config::{Config, Pin};
use super::drift::relaxed::{self, Relaxed};
use super::drift::{self, Compared, Finding, Found, Severity};
use super::facts::{Distribution, Facts};
use super::nix_edit::{self, Expression, ListEdit, NixFile, Pinned, Pins, Scope};
use super::nixpkgs::Recorded;

/// What changes, from where to where.
pub struct Plan {
    pub from: Pinned,
    pub facts: Facts,
    /// The Python that the release is built with, as `3.13`.
    pub python: String,
    /// Where upstream is not what the expressions were written for.
    pub findings: Vec<Finding>,
    /// What is worth knowing of the release, whatever is edited.
    pub notices: Vec<Finding>,
    /// Likewise: the bounds that no build checks.
    pub relaxed: Vec<Finding>,
    /// Do the edits that answer the findings belong to the plan?
    pub accepts_drift: bool,
    /// New versions and hashes, the Python, and lists that are derived.
    pins: Vec<Change>,
    /// On top of those: the edits that answer the findings.
    drift: Vec<Change>,
}

/// What is decided once for every release, and what is known of nixpkgs.
#[derive(Clone, Copy)]
pub struct Policy<'a> {
    pub config: &'a Config,
    pub nixpkgs: &'a Recorded,
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
    /// For files that are not understood, for a list that cannot be made to say what is derived;
    /// with `accepts_drift` also for another edit that cannot be written.
    pub fn new(
        policy: Policy<'_>,
        scope: &Scope,
        files: &[NixFile],
        facts: Facts,
        before: Option<&[Distribution]>,
        accepts_drift: bool,
    ) -> Result<Self> {
        let Policy { config, nixpkgs } = policy;
        let from = nix_edit::read(files, scope)?;
        let release = &facts.release;
        let python = config.python_at(&release.version)?.to_owned();
        let pins = Pins {
            version: release.version.clone(),
            tag: release.tag.clone(),
            commit: release.commit.clone(),
            by_commit: config.upstream.pin == Pin::Commit,
            source_hash: facts.source_hash,
            pypi: release.wheels.clone(),
            python: python.clone(),
        };
        let relaxed = relaxed::derive(config, &facts)?;
        let pinned = nix_edit::repin(files, scope, &pins)?;
        // Places are told as they are on disk: this edit moves no line, those of lists do.
        let (expressions, pythons) =
            (nix_edit::expressions(&pinned, scope)?, nix_edit::pythons(&pinned)?);
        let pinned = derive_lists(&pinned, scope, &expressions, &relaxed)?;
        let Found { findings, notices, relaxed } = drift::find(Compared {
            config,
            nixpkgs,
            facts: &facts,
            before,
            expressions: &expressions,
            pythons: &pythons,
            relaxed: &relaxed,
        })?;
        let edits: Vec<ListEdit> = findings.iter().flat_map(Finding::edits).cloned().collect();
        let adapted = match nix_edit::edit_lists(&pinned, scope, &edits) {
            Ok(adapted) => adapted,
            Err(error) if accepts_drift => return Err(error.into()),
            // The findings are told, and that they must be accepted; then this error is.
            Err(_) => pinned.clone(),
        };
        let (pins, drift) = (changes(files, &pinned), changes(&pinned, &adapted));
        Ok(Self { from, facts, python, findings, notices, relaxed, accepts_drift, pins, drift })
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

    /// The Python before and after, if the edits change it.
    pub fn new_python(&self) -> Option<(&str, &str)> {
        let before = self.from.python.as_ref()?;
        (before.value != self.python).then_some((before.value.as_str(), self.python.as_str()))
    }

    /// One patch over all files, as `git apply` takes it: the new pins and what is derived from the
    /// release, and apart from them the edits that answer the findings, if those are accepted or
    /// must be.
    pub fn patch(&self) -> String {
        let mut text: String = self.pins.iter().map(Change::patch).collect();
        if (self.accepts_drift || !self.undecided().is_empty()) && !self.drift.is_empty() {
            // `git apply` leaves out what stands in front of a `diff` line.
            text += "\nDrift, on top of the new pins:\n\n";
            text.extend(self.drift.iter().map(Change::patch));
        }
        text
    }

    /// The message of the commit that holds the edits.
    pub fn commit_message(&self) -> String {
        let Facts { release, source_hash, .. } = &self.facts;
        let mut text = format!(
            "{}\n\nFrom {}.\n\n\
             source  tag {}, commit {}\n        {source_hash}\n",
            subject(&release.version),
            self.from.version.value,
            release.tag,
            release.commit
        );
        for wheel in &release.wheels {
            let _ =
                write!(text, "wheel   {} {}\n        {}\n", wheel.name, wheel.version, wheel.hash);
        }
        let _ = writeln!(text, "python  {}", self.python);
        list(&mut text, "Relaxed, so that no bound of upstream's stops a build", &self.relaxed);
        list(&mut text, "Noticed", &self.notices);
        if self.accepts_drift {
            let accepted = self.findings.iter().filter(|finding| {
                finding.severity == Severity::Hard || !finding.edits().is_empty()
            });
            list(&mut text, "Drift, accepted by whoever released this", accepted);
        }
        text
    }
}

/// The first line of a release's commit.
pub fn subject(version: &Version) -> String {
    format!("dagster {version}")
}

/// Findings of a commit message, below a heading; nothing if there are none.
fn list<'a>(text: &mut String, heading: &str, findings: impl IntoIterator<Item = &'a Finding>) {
    for (index, finding) in findings.into_iter().enumerate() {
        if index == 0 {
            let _ = write!(text, "\n{heading}:\n");
        }
        let Finding { package, what, upstream, .. } = finding;
        let _ = write!(text, "- {package} {what} ({upstream})");
        if let Some(words) = finding.words() {
            let _ = write!(text, ": {words}");
        }
        text.push('\n');
    }
}

/// The files with every list that is derived from the release.
fn derive_lists(
    files: &[NixFile],
    scope: &Scope,
    expressions: &[Expression],
    relaxed: &[Relaxed],
) -> Result<Vec<NixFile>> {
    let files = nix_edit::edit_lists(files, scope, &relaxed::edits(relaxed, expressions))?;
    relaxed::check(relaxed, &nix_edit::expressions(&files, scope)?)?;
    Ok(files)
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
