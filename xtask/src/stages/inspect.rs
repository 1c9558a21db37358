//! From a version to its facts: tag and commit on GitHub, wheels on PyPI, the hash of the source.
//!
//! Writes nothing but the cache. A version that is not whole is refused here.

use anyhow::{Context as _, Result};
use semver::Version;

use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::model::config::Config;
use crate::model::facts::{Facts, PypiPin, Release};
use crate::model::sri::Sri;
use crate::tools::archive::{self, Archive};
use crate::tools::github::GitHub;
use crate::tools::pip::{self, Found, Wheel};
use crate::tools::{cache, http};
use crate::ui;

/// What PyPI has of a version.
pub enum OnIndex {
    Whole(Vec<Wheel>),
    /// `name==version` of the packages that are not there.
    Missing(Vec<String>),
    /// `name==version` of the packages that were taken back.
    Yanked(Vec<String>),
}

/// Asks PyPI for every package of a version.
pub fn on_index(checkout: &Checkout, version: &Version) -> Result<OnIndex> {
    let packages = checkout.config.packages_of(version);
    let wanted: Vec<(&str, String)> =
        packages.map(|package| (package.name.as_str(), package.version_at(version))).collect();
    let wheels = match pip::find(&checkout.sh, &wanted)? {
        Found::Missing(missing) => return Ok(OnIndex::Missing(missing)),
        Found::All(wheels) => wheels,
    };
    let yanked: Vec<String> = wheels
        .iter()
        .filter(|wheel| wheel.yanked)
        .map(|wheel| format!("{}=={}", wheel.name, wheel.version))
        .collect();
    Ok(if yanked.is_empty() { OnIndex::Whole(wheels) } else { OnIndex::Yanked(yanked) })
}

/// Finds a release.
///
/// # Errors
/// Status 1 when there is no such tag; 3 when upstream has not finished the version or took it
/// back.
pub fn release(checkout: &Checkout, version: &Version) -> Result<Release> {
    let tag = version.to_string();
    ui::step("Inspecting", format!("{} {version}", checkout.config.upstream.repository));
    let github = GitHub::of_upstream(&checkout.config);
    let Some(commit) = github.commit_of_tag(&tag)? else {
        let repository = &checkout.config.upstream.repository;
        return Err(Failure::failed(format!("expected tag `{tag}` in `{repository}`, found none"))
            .hint("see what upstream has: `cargo xtask watch --once`")
            .into());
    };
    let wheels = match on_index(checkout, version)? {
        OnIndex::Whole(wheels) => wheels,
        OnIndex::Missing(missing) => {
            return Err(Failure::decision(format!(
                "upstream has not finished {version}: PyPI does not have {}",
                quoted(&missing)
            ))
            .hint("wait until every package is there, or release another version")
            .into());
        }
        OnIndex::Yanked(yanked) => {
            return Err(Failure::decision(format!(
                "upstream took {version} back: {} yanked on PyPI",
                quoted(&yanked)
            ))
            .hint("release another version")
            .into());
        }
    };
    Ok(Release {
        version: version.clone(),
        archive: github.archive_url(&tag),
        tag,
        commit,
        wheels: fetched(&checkout.config, version, wheels),
    })
}

/// Of all wheels, those that the expressions fetch.
fn fetched(config: &Config, version: &Version, wheels: Vec<Wheel>) -> Vec<PypiPin> {
    let is_fetched = |name: &str| {
        config.packages_of(version).any(|package| package.name == name && package.fetch.is_some())
    };
    wheels
        .into_iter()
        .filter(|wheel| is_fetched(&wheel.name))
        .map(|Wheel { name, version, hash, .. }| PypiPin { name, version, hash })
        .collect()
}

/// Hashes a release's source: one download for each commit and machine.
///
/// # Errors
/// Status 3 when the archive is of another commit than the tag was when it was looked up.
pub fn facts(checkout: &Checkout, release: Release) -> Result<Facts> {
    let Release { commit, tag, archive, .. } = &release;
    if let Some(entry) = cache::load(commit, tag, archive) {
        ui::detail(format!("source {} (known from an earlier download)", entry.hash));
        return Ok(Facts { source_hash: entry.hash, release });
    }
    let (source_hash, found) = hash_url(checkout, archive)?;
    if found.as_deref().is_some_and(|found| found != commit) {
        return Err(Failure::decision(format!(
            "tag `{tag}` moved: expected commit {commit}, found {} in its archive",
            found.as_deref().unwrap_or_default()
        ))
        .hint("find out from upstream which one is the release, then run the command again")
        .into());
    }
    let entry = cache::Entry {
        commit: commit.clone(),
        tag: tag.clone(),
        archive: archive.clone(),
        hash: source_hash,
    };
    if let Err(error) = cache::store(&entry) {
        ui::warning(format!("failed to remember the hash: {error:#}"));
    }
    ui::detail(format!("source {source_hash}"));
    Ok(Facts { release, source_hash })
}

/// Downloads and hashes an archive; also gives the commit that the archive says it is of.
pub fn hash_url(checkout: &Checkout, url: &str) -> Result<(Sri, Option<String>)> {
    ui::step("Hashing", url);
    let mut archive = open(checkout, http::get(url)?)
        .with_context(|| format!("failed to read the archive `{url}`"))?;
    Ok((archive.nar_hash()?, archive.commit().map(str::to_owned)))
}

/// Reads an archive within the limits of `release.toml`.
pub fn open(checkout: &Checkout, stream: impl std::io::Read) -> Result<Archive> {
    let limits = checkout.config.limits;
    archive::read(
        stream,
        &archive::Limits { bytes: limits.archive_bytes, entries: limits.archive_entries },
    )
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
