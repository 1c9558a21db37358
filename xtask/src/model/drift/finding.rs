//! A difference between upstream and the expressions, what answers it, and the words for both.
//! Looking for differences is for `packages` and `requirements`.

use std::fmt::Display;

use crate::model::nix_edit::{ListChange, ListEdit};

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

impl Answer {
    /// Edits, and the words for them.
    pub(super) fn edits(edits: Vec<ListEdit>) -> Self {
        Self::Edits(in_words(&edits), edits)
    }
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

/// What came of comparing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Where upstream is not what the expressions were written for; hard ones first.
    pub findings: Vec<Finding>,
    /// What is worth knowing of the release, and no difference: nothing answers it.
    pub notices: Vec<Finding>,
    /// Likewise: the bounds that no build checks, by package.
    pub relaxed: Vec<Finding>,
}

/// What edits do, each once.
fn in_words(edits: &[ListEdit]) -> String {
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

/// Items as a message lists them: in backticks, joined by `and`.
pub(super) fn quoted<T: Display>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<String> = items.map(|item| format!("`{item}`")).collect();
    if items.is_empty() { "nothing".to_owned() } else { items.join(" and ") }
}
