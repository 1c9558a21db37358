//! A version that is committed already, on whichever branch, stays of the source it was committed
//! with: some of it may be published.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use semver::Version;

use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::model::config::Variant;
use crate::model::nix_edit::{self, NixFile, Pinned};
use crate::model::plan::subject;
use crate::model::source::Source;

/// What to do about another source.
pub const ASK_UPSTREAM: &str =
    "find out from upstream which one is the release; what users have stays as it is";
/// The trailer of a commit whose source takes the place of that of another commit, which it names.
const GIVEN_UP: &str = "Moved-tag";

/// A commit that released a version, and what it pins.
pub struct Committed {
    commit: String,
    pub pinned: Pinned,
}

/// The commits of a version, on all branches, but those whose source was given up later on.
pub fn of(checkout: &Checkout, version: &Version) -> Result<Vec<Committed>> {
    let git = checkout.git();
    let (mut found, mut given_up) = (Vec::new(), BTreeSet::new());
    for commit in git.commits_of(&subject(version))? {
        let pinned = pinned_in(checkout, &commit)
            .with_context(|| format!("failed to read what commit {commit} pins"))?;
        let is_given_up = given_up.contains(&commit);
        given_up.extend(git.trailers(&commit, GIVEN_UP)?);
        if pinned.version.value == *version && !is_given_up {
            found.push(Committed { commit, pinned });
        }
    }
    Ok(found)
}

/// Refuses to release another source under a version that was released, from whichever machine.
/// Returns the commits whose sources are given up, if a moved tag is accepted.
///
/// # Errors
/// Status 3, with what is there and what is now.
pub fn check<'c>(
    committed: &'c [Committed],
    version: &Version,
    source: &Source,
    accepts_moved_tag: bool,
) -> Result<Vec<&'c Committed>> {
    let mut given_up = Vec::new();
    for committed in committed {
        let Committed { commit, pinned } = committed;
        let Some(difference) = source.difference(&Source::from(pinned)) else { continue };
        if !accepts_moved_tag {
            return Err(other_source(version, &difference)
                .caused_by(anyhow::anyhow!("there is commit {commit}"))
                .hint(how_to_accept(version))
                .into());
        }
        given_up.push(committed);
    }
    Ok(given_up)
}

/// Refuses when the files here are pinned at the version and at another source than upstream has,
/// once it is committed: whatever was published may be of either.
///
/// # Errors
/// As [`check`].
pub fn check_here(checkout: &Checkout, pinned: &Pinned, source: &Source) -> Result<()> {
    let version = &pinned.version.value;
    let Some(difference) = source.difference(&Source::from(pinned)) else { return Ok(()) };
    if checkout.git().commits_of(&subject(version))?.is_empty() {
        return Ok(());
    }
    Err(other_source(version, &difference).hint(how_to_accept(version)).into())
}

pub fn other_source(version: &Version, difference: &str) -> Failure {
    Failure::decision(format!("{version} is committed already, and {difference}"))
        .hint(ASK_UPSTREAM)
}

pub fn how_to_accept(version: &Version) -> String {
    format!("`cargo xtask release {version} --accept-moved-tag` commits what upstream has now")
}

/// What the message of a commit says of those whose sources it gives up: words, and trailers.
pub fn message_of(given_up: &[&Committed]) -> (String, String) {
    let (mut words, mut trailers) = (String::new(), String::new());
    for Committed { commit, pinned } in given_up {
        let (rev, hash) = (&pinned.rev.value, pinned.source_hash.value);
        words += "\nMoved, accepted by whoever released this: the tag was\n";
        words += &format!("        {rev}\n        {hash}\n");
        trailers += &format!("{GIVEN_UP}: {commit}\n");
    }
    (words, trailers)
}

/// What the Nix files of a commit say.
pub fn pinned_in(checkout: &Checkout, commit: &str) -> Result<Pinned> {
    let dirs = [Variant::Separate, Variant::Combined]
        .map(|variant| checkout.config.variant(variant).files.as_str());
    let files = checkout.git().files_in(commit, &dirs)?;
    let files: Vec<NixFile> = files
        .into_iter()
        .filter(|(path, _)| path.ends_with(".nix"))
        .map(|(path, text)| NixFile { path, text })
        .collect();
    Ok(nix_edit::read(&files, &checkout.scope())?)
}
