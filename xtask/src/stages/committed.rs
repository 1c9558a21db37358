//! A version that is committed already, on whichever branch, stays of the source it was committed
//! with: some of it may be published.

use anyhow::{Context as _, Result};
use semver::Version;

use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::model::config::Variant;
use crate::model::nix_edit::{self, NixFile, Pinned};
use crate::model::plan::subject;
use crate::model::source::Source;

/// Refuses to release another source under a version that was released, from whichever machine.
///
/// # Errors
/// Status 3, with what is there and what is now.
pub fn check(checkout: &Checkout, version: &Version, source: &Source) -> Result<()> {
    for commit in checkout.git().commits_of(&subject(version))? {
        let pinned = pinned_in(checkout, &commit)
            .with_context(|| format!("failed to read what commit {commit} pins"))?;
        if pinned.version.value != *version {
            continue;
        }
        if let Some(difference) = source.difference(&Source::from(&pinned)) {
            return Err(other_source(version, &difference)
                .caused_by(anyhow::anyhow!("there is commit {commit}"))
                .into());
        }
    }
    Ok(())
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
    Err(other_source(version, &difference).into())
}

fn other_source(version: &Version, difference: &str) -> Failure {
    Failure::decision(format!("{version} is committed already, and {difference}"))
        .hint("find out from upstream which one is the release; what users have stays as it is")
}

/// What the Nix files of a commit say.
fn pinned_in(checkout: &Checkout, commit: &str) -> Result<Pinned> {
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
