//! Edits of Nix expressions through a lossless syntax tree: what is pinned, and pinning it anew.
//!
//! Edits are made by meaning. A `fetchFromGitHub` of upstream's repository gets its `rev` (or
//! `tag`) and its `hash` (or `sha256`) together, a `fetchPypi` of one of upstream's packages its
//! version and hash, and `version = "…"` and `name = "…-<version>"` follow. A value may be a
//! literal, or whatever leads to one: `let`, `rec`, `inherit`, `finalAttrs`,
//! `"refs/tags/${version}"`, an attribute of another package's file (see `scope`). Only characters
//! between the quotes of such literals ever change, and the digits of `python312` and its like (see
//! `python`).
//!
//! What is not understood is refused by file and line, and then nothing is edited: a commit as
//! `rev`, a condition, a call; a hash that would stay while what it belongs to changes; the old
//! version left anywhere in the code. Thresholds (`lib.versionAtLeast version "1.10.6"`) and
//! comments may name it.

mod list_edit;
mod lists;
mod python;
mod repin;
mod scope;
mod survey;
mod syntax;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use semver::Version;

use super::facts::PypiPin;
use super::located::Located;
use super::requirement::normalised;
use super::sri::Sri;
use crate::failure::Failure;

pub use lists::{
    Expression, Item, ListChange, ListEdit, ListName, Listing, edit_lists, expressions,
};

/// A file's path, as messages name it, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NixFile {
    pub path: String,
    pub text: String,
}

/// Whose fetches and versions are edited.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Owner of upstream's repository.
    pub owner: String,
    /// Name of upstream's repository.
    pub repo: String,
    /// Normalised names of all of upstream's packages.
    pub packages: Vec<String>,
}

/// What must be true of all files after the edit.
#[derive(Debug, Clone)]
pub struct Pins {
    /// Version of Dagster.
    pub version: Version,
    /// Tag of that version: the version itself, or `v` and the version.
    pub tag: String,
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
    /// The whole `rev` or `tag`, as Nix would see it.
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

/// Reads what a set of files pins.
///
/// # Errors
/// A syntax error; no `fetchFromGitHub` of the repository; a value that is not understood; two
/// places that contradict each other, or name two Pythons.
pub fn read(files: &[NixFile], scope: &Scope) -> Result<Pinned, Failure> {
    let sources = scope::Sources::parse(files)?;
    survey::Survey::take(&sources, scope)?.pinned()
}

/// Every name of a Python of a version, as `python312Packages`, with that version.
///
/// # Errors
/// For a syntax error.
pub fn pythons(files: &[NixFile]) -> Result<Vec<Located<String>>, Failure> {
    let sources = scope::Sources::parse(files)?;
    Ok(python::names(&sources).iter().map(|name| name.located(&sources)).collect())
}

/// Edits a set of files to say what `pins` says; returns all of them, in order.
///
/// # Errors
/// Those of [`read`]; a call that `pins` has no value for; a hash that would not change with its
/// version; one literal that would have to say two things; the old version left in the code, or the
/// old Python; a tag or version that does not belong into a Nix string.
pub fn repin(files: &[NixFile], scope: &Scope, pins: &Pins) -> Result<Vec<NixFile>, Failure> {
    repin::repin(files, scope, pins)
}
