//! What a version is made of: the same for ever, once it is committed. Compared, not looked for.

use std::collections::BTreeMap;

use super::facts::{Facts, is_commit};
use super::nix_edit::Pinned;
use super::sri::Sri;

/// What a version is built from, as it is pinned or as upstream has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `None` where a tag is pinned.
    commit: Option<String>,
    hash: Sri,
    /// Of the wheels from PyPI, by package.
    wheels: BTreeMap<String, Sri>,
}

impl From<&Facts> for Source {
    fn from(facts: &Facts) -> Self {
        let wheels = facts.release.wheels.iter().map(|wheel| (wheel.name.clone(), wheel.hash));
        Self {
            commit: Some(facts.release.commit.clone()),
            hash: facts.source_hash,
            wheels: wheels.collect(),
        }
    }
}

impl From<&Pinned> for Source {
    fn from(pinned: &Pinned) -> Self {
        let rev = &pinned.rev.value;
        let wheels = pinned.pypi.iter().map(|(name, pypi)| (name.clone(), pypi.hash.value));
        Self {
            commit: is_commit(rev).then(|| rev.to_ascii_lowercase()),
            hash: pinned.source_hash.value,
            wheels: wheels.collect(),
        }
    }
}

impl Source {
    /// In words, how this one is another than the one that is committed. A hash that nobody filled
    /// in yet is of anything.
    pub fn difference(&self, committed: &Self) -> Option<String> {
        if let (Some(now), Some(then)) = (&self.commit, &committed.commit)
            && now != then
        {
            return Some(format!("its commit is {then} there and {now} now"));
        }
        let differ = |now: Sri, then: Sri| now != then && ![now, then].contains(&Sri::FAKE);
        if differ(self.hash, committed.hash) {
            return Some(format!("its source is {} there and {} now", committed.hash, self.hash));
        }
        self.wheels.iter().find_map(|(name, &now)| {
            let then = *committed.wheels.get(name)?;
            let words = || format!("its wheel of `{name}` is {then} there and {now} now");
            differ(now, then).then(words)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_another_by_its_commit_its_hash_or_a_wheel() {
        let sri = |byte| Sri::from_digest([byte; 32]);
        let source = |commit: Option<&str>, hash, wheel| Source {
            commit: commit.map(str::to_owned),
            hash: sri(hash),
            wheels: [("dagster-webserver".to_owned(), sri(wheel))].into(),
        };
        let committed = source(Some("a"), 1, 2);
        let differs = |other: Source| other.difference(&committed);
        assert_eq!(differs(source(Some("a"), 1, 2)), None);
        assert_eq!(differs(source(None, 1, 2)), None);
        assert_eq!(differs(source(Some("a"), 0, 0)), None, "nobody filled it in");
        assert!(differs(source(Some("b"), 1, 2)).unwrap().starts_with("its commit is a there"));
        assert!(differs(source(None, 3, 2)).unwrap().starts_with("its source is sha256-AQ"));
        assert!(differs(source(None, 1, 3)).unwrap().starts_with("its wheel of `dagster-web"));
    }
}
