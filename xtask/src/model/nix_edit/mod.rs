//! Edits of Nix expressions through a lossless syntax tree: what is pinned, and pinning it anew.
//!
//! Edits are made by meaning. A `fetchFromGitHub` of upstream's repository gets its `rev` (or
//! `tag`) and its `hash` (or `sha256`) together: a commit, with the version that stands beside it,
//! or a tag, which stays one unless it is to become a commit ([`Pins::by_commit`]). A `fetchPypi`
//! of one of upstream's packages gets its version and hash, and `version = "…"` and
//! `name = "…-<version>"` follow. A value may be a literal, or whatever leads to one: `let`, `rec`,
//! `inherit`, `finalAttrs`, `"refs/tags/${version}"`, an attribute of another package's file (see
//! `scope`). Only characters between the quotes of such literals ever change, the digits of
//! `python312` and its like (see `python`), and what stands for something else: a tag that becomes
//! a commit, `lib.fakeHash`.
//!
//! What is not understood is refused by file and line, and then nothing is edited: a branch as
//! `rev`, a condition, a call; a hash that would stay while what it belongs to changes; the old
//! version left anywhere in the code. Thresholds (`lib.versionAtLeast version "1.10.6"`) and
//! comments may name it.

mod agreement;
mod derived;
mod edit_lists;
mod file;
mod hash;
mod list_literal;
mod lists;
mod pins;
mod python;
mod repin;
mod scope;
mod sources;
mod survey;
mod syntax;
#[cfg(test)]
mod tests;

use self::sources::Sources;
use self::survey::Survey;
use super::located::Located;
use crate::failure::Failure;

pub use edit_lists::{ListChange, ListEdit, edit_lists};
pub use file::{NixFile, Scope};
pub use lists::{Expression, Item, ListName, Listing, expressions};
pub use pins::{Pinned, PinnedPypi, Pins};

/// Reads what a set of files pins.
///
/// # Errors
/// A syntax error; no `fetchFromGitHub` of the repository; a value that is not understood; two
/// places that contradict each other, or name two Pythons.
pub fn read(files: &[NixFile], scope: &Scope) -> Result<Pinned, Failure> {
    let sources = Sources::parse(files)?;
    Survey::take(&sources, scope)?.pinned()
}

/// Every name of a Python of a version, as `python312Packages`, with that version.
///
/// # Errors
/// For a syntax error.
pub fn pythons(files: &[NixFile]) -> Result<Vec<Located<String>>, Failure> {
    let sources = Sources::parse(files)?;
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
