//! What to say where Nix fetched something else than the hash in an expression is of. Upstream is
//! asked once more, whatever was known: the same command again must not come to the same hash, and
//! fail the same way, for ever.

use anyhow::{Context as _, Error, Result};

use super::inspect;
use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::model::facts::is_commit;
use crate::model::nix_edit::Pinned;
use crate::model::sri::Sri;
use crate::tools::cache;
use crate::tools::github::GitHub;
use crate::ui;

/// A failed build, with what there is to know of a hash that Nix contradicts.
pub fn explained(checkout: &Checkout, error: Error) -> Error {
    let Some((specified, got)) = mismatch(&format!("{error:#}")) else { return error };
    let Ok(pinned) = checkout.pinned() else { return error };
    if let Some((name, _)) = pinned.pypi.iter().find(|(_, it)| it.hash.value == specified) {
        return Failure::failed(format!(
            "the wheel of `{name}` is {specified} to pip and {got} to Nix"
        ))
        .caused_by(error)
        .hint(
            "an index beside PyPI? See `python3 -m pip config list`: Nix fetches from PyPI itself",
        )
        .into();
    }
    if pinned.source_hash.value != specified {
        return Failure::failed(format!(
            "{specified} is the hash of a fetch that this tool does not write, and Nix got {got}"
        ))
        .caused_by(error)
        .hint("mend it in the expression by hand")
        .into();
    }
    match hashed_anew(checkout, &pinned) {
        Ok(again) if again == got => Failure::failed(format!(
            "the source was {specified} when it was hashed first, and is {got} now, to Nix and to \
             this tool"
        ))
        .caused_by(error)
        .hint("what was known of it is forgotten: run the same command again, it is hashed anew"),
        Ok(again) if again == specified => {
            let words = format!("the source is {again} to this tool, again, and {got} to Nix");
            Failure::decision(words).caused_by(error).hint(
                "the two are given different files: is there a proxy or a mirror that only one of \
                 them asks? `nix-prefetch-url --unpack` with the address above shows Nix's",
            )
        }
        Ok(again) => Failure::decision(format!(
            "the source was {specified}, is {again} now, and {got} to Nix: each download is another"
        ))
        .caused_by(error)
        .hint("`git archive` may write what changes (`export-subst`): ask upstream"),
        Err(again) => Failure::failed(format!(
            "the source is {specified} to this tool and {got} to Nix, and could not be hashed \
             anew: {again:#}"
        ))
        .caused_by(error)
        .hint("what was known of it is forgotten: run the same command again"),
    }
    .into()
}

/// Forgets what is known of the source that is pinned, and hashes it.
fn hashed_anew(checkout: &Checkout, pinned: &Pinned) -> Result<Sri> {
    ui::warning("Nix fetched another source than the hash is of: it is hashed once more");
    let github = GitHub::of_upstream(&checkout.config);
    let rev = &pinned.rev.value;
    let commit = if is_commit(rev) {
        rev.clone()
    } else {
        let tag = pinned.version.value.to_string();
        github.commit_of_tag(&tag)?.with_context(|| format!("found no tag `{tag}`"))?
    };
    cache::forget(&commit)?;
    inspect::fetch(checkout, &github.archive_url(&commit))?.nar_hash()
}

/// What Nix says of a fixed-output derivation: the hash that was specified, and the one it got.
fn mismatch(text: &str) -> Option<(Sri, Sri)> {
    let (_, block) = text.split_once("hash mismatch in fixed-output derivation")?;
    let hash = |key: &str| -> Option<Sri> {
        let line = block.lines().find_map(|line| line.trim().strip_prefix(key))?;
        line.trim().parse().ok()
    };
    Some((hash("specified:")?, hash("got:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_hashes_are_read() {
        let (a, b) = (Sri::from_digest([1; 32]), Sri::from_digest([2; 32]));
        let text = format!(
            "Build failed\nerror: hash mismatch in fixed-output derivation '/nix/store/x.drv':\n\
             \u{20}        specified: {a}\n            got:    {b}\nmake: *** Error 1"
        );
        assert_eq!(mismatch(&text), Some((a, b)));
        assert_eq!(mismatch(&text.replace("got:", "want:")), None);
        assert_eq!(mismatch("error: builder failed"), None);
    }
}
