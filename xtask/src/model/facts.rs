//! What is known of a release before anything is written.

use semver::Version;

use super::sri::Sri;

/// A version that upstream finished: tagged, and every package of it on PyPI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub version: Version,
    pub tag: String,
    /// 40 hexadecimal digits.
    pub commit: String,
    /// Address of the source archive.
    pub archive: String,
    /// The files that the expressions take from PyPI.
    pub wheels: Vec<PypiPin>,
}

/// A release, and the hash of its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub release: Release,
    /// NAR hash of the unpacked archive, its top directory left out.
    pub source_hash: Sri,
}

/// A file on PyPI that an expression fetches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PypiPin {
    /// Normalised name.
    pub name: String,
    pub version: String,
    /// SHA-256 of the file.
    pub hash: Sri,
}
