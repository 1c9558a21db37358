//! How upstream departs from a version that is pinned: its tag is at another commit or gone, a
//! wheel is another file, gone or taken back. Compared, not looked for.

use std::fmt;

use serde::Serialize;

use super::facts::{OnIndex, PypiPin, is_commit};
use super::nix_edit::Pinned;
use super::sri::Sri;

/// What upstream has of a version now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Now {
    /// Of its tag; `None` where the tag is gone.
    pub commit: Option<String>,
    /// Of the wheels, those that the expressions fetch.
    pub files: OnIndex<PypiPin>,
}

/// One thing that is not any more what is pinned. In JSON, `kind` says what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Departure {
    TagMoved { pinned: String, now: String },
    TagGone,
    OtherFile { package: String, pinned: Sri, now: Sri },
    FileGone { package: String },
    Yanked { package: String },
}

impl Departure {
    /// All of them. Where a tag is pinned, its commit is not known; a hash that nobody filled in is
    /// of anything.
    pub fn find(pinned: &Pinned, now: &Now) -> Vec<Self> {
        let mut found = Vec::new();
        let rev = &pinned.rev.value;
        match &now.commit {
            None => found.push(Self::TagGone),
            Some(now) if is_commit(rev) && !now.eq_ignore_ascii_case(rev) => {
                found.push(Self::TagMoved { pinned: rev.to_ascii_lowercase(), now: now.clone() });
            }
            Some(_) => {}
        }
        match &now.files {
            OnIndex::Missing(all) => {
                found.extend(all.iter().cloned().map(|package| Self::FileGone { package }));
            }
            OnIndex::Yanked(all) => {
                found.extend(all.iter().cloned().map(|package| Self::Yanked { package }));
            }
            OnIndex::Whole(wheels) => found.extend(wheels.iter().filter_map(|wheel| {
                let (pinned, now) = (pinned.pypi.get(&wheel.name)?.hash.value, wheel.hash);
                let package = format!("{}=={}", wheel.name, wheel.version);
                (pinned != now && pinned != Sri::FAKE).then_some(Self::OtherFile {
                    package,
                    pinned,
                    now,
                })
            })),
        }
        found
    }
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TagMoved { pinned, now } => {
                write!(f, "its tag is at commit {now} now, pinned is {pinned}")
            }
            Self::TagGone => write!(f, "its tag is gone"),
            Self::OtherFile { package, pinned, now } => {
                write!(f, "the wheel of `{package}` on PyPI is {now} now, pinned is {pinned}")
            }
            Self::FileGone { package } => write!(f, "`{package}` is gone from PyPI"),
            Self::Yanked { package } => write!(f, "`{package}` is yanked on PyPI"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::nix_edit::{NixFile, Scope, read};

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn wheel(byte: u8) -> PypiPin {
        let (name, version) = ("dagster-webserver".to_owned(), "1.12.1".to_owned());
        let file = format!("dagster_webserver-{version}-py3-none-any.whl");
        PypiPin { name, version, file: Some(file), hash: Sri::from_digest([byte; 32]) }
    }

    fn pinned(rev: &str) -> Pinned {
        let text = format!(
            "{{ fetchFromGitHub, fetchPypi }}: let version = \"1.12.1\"; in [ (fetchFromGitHub {{ \
             owner = \"dagster-io\"; repo = \"dagster\"; {rev} hash = \"{}\"; }}) (fetchPypi {{ \
             pname = \"dagster_webserver\"; inherit version; format = \"wheel\"; dist = \"py3\"; \
             python = \"py3\"; hash = \"{}\"; }}) ]",
            Sri::from_digest([1; 32]),
            wheel(2).hash
        );
        let scope = Scope {
            owner: "dagster-io".to_owned(),
            repo: "dagster".to_owned(),
            packages: vec!["dagster-webserver".to_owned()],
        };
        read(&[NixFile { path: "a.nix".to_owned(), text }], &scope).unwrap()
    }

    #[test]
    fn each_kind_is_told() {
        let other = COMMIT.replace('0', "f");
        let words = |rev: &str, commit: Option<&str>, files| -> Vec<String> {
            let now = Now { commit: commit.map(str::to_owned), files };
            Departure::find(&pinned(rev), &now).iter().map(Departure::to_string).collect()
        };
        let none: [&str; 0] = [];
        let whole = || OnIndex::Whole(vec![wheel(2)]);
        let (by_tag, by_commit) = ("tag = version;", format!("rev = \"{COMMIT}\";"));
        assert_eq!(words(&by_commit, Some(COMMIT), whole()), none);
        assert_eq!(words(by_tag, Some(&other), whole()), none);
        assert_eq!(
            words(&by_commit, Some(&other), whole()),
            [format!("its tag is at commit {other} now, pinned is {COMMIT}")]
        );
        assert_eq!(words(by_tag, None, whole()), ["its tag is gone"]);
        let changed = words(by_tag, Some(COMMIT), OnIndex::Whole(vec![wheel(3)]));
        assert!(changed[0].starts_with("the wheel of `dagster-webserver==1.12.1` on PyPI is sha"));
        let yanked = OnIndex::Yanked(vec!["dagster==1.12.1".to_owned()]);
        assert_eq!(
            words(&by_commit, None, yanked),
            ["its tag is gone", "`dagster==1.12.1` is yanked on PyPI"]
        );
        let gone = OnIndex::Missing(vec!["dagster==1.12.1".to_owned()]);
        assert_eq!(words(by_tag, Some(&other), gone), ["`dagster==1.12.1` is gone from PyPI"]);
    }
}
