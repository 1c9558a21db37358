//! What a set of files pins, and what it shall pin. Reading and writing that is for `agreement` and
//! `repin`.

use std::collections::BTreeMap;

use semver::Version;

use crate::model::facts::PypiPin;
use crate::model::located::Located;
use crate::model::sri::Sri;

/// What must be true of all files after the edit.
#[derive(Debug, Clone)]
pub struct Pins {
    /// Version of Dagster.
    pub version: Version,
    /// Tag of that version: the version itself, or `v` and the version.
    pub tag: String,
    /// Commit of that tag: 40 hexadecimal digits.
    pub commit: String,
    /// Is a `tag` that follows a version written elsewhere to become the commit?
    pub by_commit: bool,
    /// Hash of the source as `fetchFromGitHub` unpacks it.
    pub source_hash: Sri,
    /// The wheels that the expressions take from PyPI.
    pub pypi: Vec<PypiPin>,
    /// The Python that the packages are built with, as `3.13`.
    pub python: String,
}

/// What one set of files says.
#[derive(Debug, Clone)]
pub struct Pinned {
    /// Version of Dagster, at the literal that it is read from.
    pub version: Located<Version>,
    /// The whole `rev` or `tag`, as Nix would see it: a tag or a commit.
    pub rev: Located<String>,
    pub source_hash: Located<Sri>,
    /// By normalised name.
    pub pypi: BTreeMap<String, PinnedPypi>,
    /// The Python that the files name, as `3.12`; `None` if they name none of a version.
    pub python: Option<Located<String>>,
}

/// What is fetched from PyPI for one package.
#[derive(Debug, Clone)]
pub struct PinnedPypi {
    pub version: Located<String>,
    pub hash: Located<Sri>,
}
