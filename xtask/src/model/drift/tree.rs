//! Findings about the source as a tree of files: what would make the archive another one than the
//! commit, or than it was.

use std::path::Path;

use super::finding::{Answer, Finding, Severity};
use super::search::Search;
use crate::model::peculiarities::{ATTRIBUTES, MODULES, Names, Peculiarities};

/// How many names a finding tells.
const TOLD: usize = 3;

impl Search<'_> {
    pub(super) fn tree(&mut self) {
        let Peculiarities { substituted, left_out, lfs_pointers, submodules, colliding } =
            &self.facts.peculiarities;
        let mut found = Vec::new();
        let mut add = |severity, names: &Names, what: &str, upstream: &str, answer: &str| {
            if names.count > 0 {
                found.push(Finding {
                    severity,
                    package: self.config.repo().to_owned(),
                    what: format!("{what} {}", told(names)),
                    upstream: upstream.to_owned(),
                    expressions: Vec::new(),
                    answer: match severity {
                        Severity::Hard => Answer::Person(answer.to_owned()),
                        Severity::Soft => Answer::Nothing,
                    },
                });
            }
        };
        add(
            Severity::Hard,
            substituted,
            "writes into its archive what changes with time (`export-subst`):",
            ATTRIBUTES,
            "see whether what is written there can change: the hash would not hold",
        );
        add(
            Severity::Soft,
            left_out,
            "leaves out of its archive what a checkout has (`export-ignore`):",
            ATTRIBUTES,
            "",
        );
        let is_ours = |path: &String| {
            self.config.packages.iter().any(|package| Path::new(path).starts_with(&package.path))
        };
        for (names, what, upstream) in [
            (lfs_pointers, "has pointers of Git LFS in place of files:", "the archive"),
            (submodules, "has submodules, which are empty in its archive:", MODULES),
        ] {
            let answer = "see whether the packages need what is not in the archive";
            if names.count > names.first.len() {
                // Whose the others are is not known.
                add(Severity::Hard, names, what, upstream, answer);
                continue;
            }
            let (ours, others): (Vec<String>, Vec<String>) =
                names.first.iter().cloned().partition(is_ours);
            let of = |first: Vec<String>| Names { count: first.len(), first };
            add(Severity::Hard, &of(ours), what, upstream, answer);
            add(Severity::Soft, &of(others), what, upstream, "");
        }
        if self.config.catalog.systems.iter().any(|system| system.ends_with("-darwin")) {
            add(
                Severity::Hard,
                colliding,
                "has names that are one file on macOS:",
                "the archive",
                "no Mac unpacks that whole: ask upstream, or leave the system out",
            );
        }
        for finding in found {
            match finding.severity {
                Severity::Hard => self.found.push(finding),
                Severity::Soft => self.noticed.push(finding),
            }
        }
    }
}

/// The first of some names, and how many there are besides.
fn told(names: &Names) -> String {
    let first = names.first.iter().take(TOLD).cloned().collect::<Vec<_>>().join(", ");
    match names.count.saturating_sub(TOLD) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
