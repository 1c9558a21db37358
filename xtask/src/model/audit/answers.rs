//! What a nixpkgs is asked, and what it answers. What the answers mean for a release is for
//! `judge`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::source::Source;

/// What `tools/nix/audit.nix` is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Question {
    pub source: Source,
    pub systems: Vec<String>,
    /// The attribute of the Python whose packages are looked at, as `python313`.
    pub python: String,
    pub pythons: BTreeSet<String>,
    /// Attributes of a Python package set.
    pub names: BTreeSet<String>,
}

/// One thing that nixpkgs refuses, to be evaluated alone for its words: a system, a Python, or a
/// package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Why {
    pub system: String,
    pub python: Option<String>,
    pub name: Option<String>,
}

/// The words of what nixpkgs refuses.
pub type Reasons = BTreeMap<Why, String>;

/// What a nixpkgs says, by system.
pub type Answers = BTreeMap<String, OnSystem>;

/// What a nixpkgs says for one system.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct OnSystem {
    /// Is there no package set for this system?
    pub throws: bool,
    /// By attribute, as `python313`.
    #[serde(default)]
    pub pythons: BTreeMap<String, Answer>,
    /// Of the Python that was asked for.
    #[serde(default)]
    pub packages: BTreeMap<String, Answer>,
    /// Revision of nixpkgs, where it knows its own.
    #[serde(default)]
    pub revision: Option<String>,
    /// Version of nixpkgs, as `26.11pre-git`.
    #[serde(default)]
    pub release: Option<String>,
}

/// What a nixpkgs says of one package.
#[derive(Debug, Clone, Deserialize)]
pub struct Answer {
    pub state: State,
    /// `None` where it has none, or throws.
    #[serde(default)]
    pub version: Option<String>,
    #[serde(default)]
    pub is_broken: bool,
    #[serde(default)]
    pub is_unsupported: bool,
    /// Does its derivation throw, for what it is or for what it needs?
    #[serde(default)]
    pub is_refused: bool,
    /// Of a Python: is its package set built there?
    #[serde(default)]
    pub is_built: bool,
}

impl Answer {
    /// Does nixpkgs refuse it, for a reason that the answer does not hold?
    pub(super) fn is_unexplained(&self) -> bool {
        let is_told = self.is_broken || self.is_unsupported;
        self.state == State::Throws || (self.is_refused && !is_told)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    There,
    Missing,
    Throws,
}

/// What nixpkgs refuses without having said why; a Python or a package on its first system only.
pub fn refused(answers: &Answers) -> BTreeSet<Why> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for (system, on) in answers {
        let why = |python: Option<&String>, name: Option<&String>| Why {
            system: system.clone(),
            python: python.cloned(),
            name: name.cloned(),
        };
        if on.throws {
            found.insert(why(None, None));
        }
        for (python, answer) in &on.pythons {
            if answer.is_unexplained() && seen.insert(python) {
                found.insert(why(Some(python), None));
            }
        }
        for (name, answer) in &on.packages {
            if answer.is_unexplained() && seen.insert(name) {
                found.insert(why(None, Some(name)));
            }
        }
    }
    found
}
