//! What upstream did to versions that are pinned: asked for one that is committed or published
//! again, and for all that any branch of releases is at.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use semver::Version;
use serde::Serialize;

use super::committed;
use super::inspect;
use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::model::config;
use crate::model::departure::{Departure, Now};
use crate::model::facts::OnIndex;
use crate::model::nix_edit::Pinned;
use crate::model::source::Source;
use crate::tools::github::GitHub;
use crate::ui;

/// A branch whose version is not any more what it is pinned at.
#[derive(Debug, Clone, Serialize)]
pub struct Departed {
    pub version: Version,
    pub branch: String,
    #[serde(flatten)]
    pub departure: Departure,
}

impl fmt::Display for Departed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, branch, departure } = self;
        write!(f, "{version} on `{branch}`: {departure}")
    }
}

/// Asks upstream for what it has of a version.
fn ask(checkout: &Checkout, version: &Version) -> Result<Now> {
    let commit = GitHub::of_upstream(&checkout.config).commit_of_tag(&version.to_string())?;
    let files = match inspect::on_index(checkout, version)? {
        OnIndex::Whole(wheels) => {
            OnIndex::Whole(inspect::fetched(&checkout.config, version, &wheels))
        }
        OnIndex::Missing(missing) => OnIndex::Missing(missing),
        OnIndex::Yanked(yanked) => OnIndex::Yanked(yanked),
    };
    Ok(Now { commit, files })
}

/// Refuses a version of which upstream has not any more what is pinned. Upstream is asked only
/// where something is.
///
/// # Errors
/// Status 3, with all that is different.
pub fn check(
    checkout: &Checkout,
    version: &Version,
    pinned: &[&Pinned],
    accepts_moved_tag: bool,
) -> Result<()> {
    if pinned.is_empty() {
        return Ok(());
    }
    let now = ask(checkout, version)?;
    let mut found: Vec<Departure> =
        pinned.iter().flat_map(|pinned| Departure::find(pinned, &now)).collect();
    found.retain(|it| !(accepts_moved_tag && matches!(it, Departure::TagMoved { .. })));
    found.dedup();
    if found.is_empty() {
        return Ok(());
    }
    let words: Vec<String> = found.iter().map(Departure::to_string).collect();
    let failure = committed::other_source(version, &words.join("; "));
    let is_tag_alone = found.iter().all(|it| matches!(it, Departure::TagMoved { .. }));
    Err(if is_tag_alone { failure.hint(committed::how_to_accept(version)) } else { failure }.into())
}

/// Asks upstream for the version that is pinned here and for that of every other branch of
/// releases, as it was fetched last. Of one that is left out, its changes are known.
pub fn look(checkout: &Checkout) -> Result<Vec<Departed>> {
    let mut answers: BTreeMap<Version, Now> = BTreeMap::new();
    let mut known: Vec<(Version, Source)> = Vec::new();
    let mut found = Vec::new();
    for (branch, pinned) in everywhere(checkout)? {
        let version = pinned.version.value.clone();
        let source = (version.clone(), Source::from(&pinned));
        let is_left_out = checkout.config.reason_to_leave_out(&version).is_some();
        if is_left_out || known.contains(&source) {
            continue;
        }
        known.push(source);
        let now = match answers.get(&version) {
            Some(now) => now,
            None => answers.entry(version.clone()).or_insert(ask(checkout, &version)?),
        };
        found.extend(Departure::find(&pinned, now).into_iter().map(|departure| Departed {
            version: version.clone(),
            branch: branch.clone(),
            departure,
        }));
    }
    Ok(found)
}

/// Refuses to end well over what was found.
///
/// # Errors
/// Status 3.
pub fn decide(found: &[Departed]) -> Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    let words: Vec<String> = found.iter().map(Departed::to_string).collect();
    Err(Failure::decision(format!("upstream changed what is released: {}", words.join("; ")))
        .hint(committed::ASK_UPSTREAM)
        .hint(format!(
            "once that is decided, `[[leave_out]]` of `{}` with the version and the reason",
            config::FILE
        ))
        .into())
}

/// What the working tree pins, and every other branch of releases.
fn everywhere(checkout: &Checkout) -> Result<Vec<(String, Pinned)>> {
    let git = checkout.git();
    let here = git.branch()?.unwrap_or_else(|| "HEAD".to_owned());
    let mut found = vec![(here.clone(), checkout.pinned()?)];
    let config = &checkout.config;
    for (branch, name) in git.branches(&config.git.remote)? {
        let is_of_releases = branch == config.git.branch || config.is_maintenance_branch(&branch);
        if branch == here || !is_of_releases {
            continue;
        }
        match git.commit_of(&name).and_then(|commit| committed::pinned_in(checkout, &commit)) {
            Ok(pinned) => found.push((branch, pinned)),
            Err(error) => {
                ui::warning(format!("failed to read what `{branch}` pins, left out: {error:#}"));
            }
        }
    }
    Ok(found)
}
