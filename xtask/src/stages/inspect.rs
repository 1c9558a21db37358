//! From a version to its facts: tag and commit on GitHub, wheels and their metadata on PyPI, the
//! hash of the source and what the source says of its packages.
//!
//! Writes nothing but the cache. A version that is not whole is refused here.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use semver::Version;

use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::model::config::{self, Config, Package};
use crate::model::facts::{Description, Distribution, Facts, OnIndex, PypiPin, Release};
use crate::model::project;
use crate::tools::archive::{self, Archive};
use crate::tools::github::GitHub;
use crate::tools::pip::{self, Found, Wheel};
use crate::tools::{cache, http};
use crate::ui;

/// Asks PyPI for every package of a version.
pub fn on_index(checkout: &Checkout, version: &Version) -> Result<OnIndex<Wheel>> {
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

/// Refuses a version that `release.toml` leaves out.
///
/// # Errors
/// Status 3, with the reason.
pub fn check_not_left_out(config: &Config, version: &Version) -> Result<()> {
    let Some(reason) = config.reason_to_leave_out(version) else { return Ok(()) };
    Err(Failure::decision(format!("{version} is left out: {reason}"))
        .hint(format!("that is said in `[[leave_out]]` of `{}`", config::FILE))
        .into())
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
        archive: github.archive_url(&commit),
        tag,
        commit,
        wheels: fetched(&checkout.config, version, &wheels),
        distributions: wheels.into_iter().map(distribution).collect(),
    })
}

/// Of all wheels, those that the expressions fetch.
pub fn fetched(config: &Config, version: &Version, wheels: &[Wheel]) -> Vec<PypiPin> {
    let is_fetched = |name: &str| {
        config.packages_of(version).any(|package| package.name == name && package.fetch.is_some())
    };
    wheels
        .iter()
        .filter(|wheel| is_fetched(&wheel.name))
        .map(|Wheel { name, version, file, hash, .. }| PypiPin {
            name: name.clone(),
            version: version.clone(),
            file: Some(file.clone()),
            hash: *hash,
        })
        .collect()
}

/// Hashes a release's source and reads what it says: one download for each commit and machine.
///
/// # Errors
/// Status 3 when the archive says that it is of another commit.
pub fn facts(checkout: &Checkout, release: Release) -> Result<Facts> {
    let config = &checkout.config;
    let Release { commit, tag, archive, .. } = &release;
    let packages: Vec<String> =
        config.packages.iter().map(|package| package.path.clone()).collect();
    if let Some(entry) = cache::load(commit, tag, archive, &packages) {
        ui::detail(format!("source {} (known from an earlier download)", entry.hash));
        return Facts::new(config, release, entry.hash, &entry.description);
    }
    let mut source = fetch(checkout, archive)?;
    let hash = source.nar_hash()?;
    if let Some(found) = source.commit().filter(|found| found != commit) {
        return Err(Failure::decision(format!(
            "expected the archive of commit {commit} (tag `{tag}`), found that of {found}"
        ))
        .hint("run the command again; if it stays, ask upstream which one is the release")
        .into());
    }
    let entry = cache::Entry {
        commit: commit.clone(),
        tag: tag.clone(),
        archive: archive.clone(),
        hash,
        description: describe(config, &mut source)?,
    };
    if let Err(error) = cache::store(&entry) {
        ui::warning(format!("failed to remember the hash: {error:#}"));
    }
    ui::detail(format!("source {hash}"));
    Facts::new(config, release, hash, &entry.description)
}

/// The files of a source that describe its packages.
fn describe(config: &Config, source: &mut Archive) -> Result<Description> {
    let peculiarities = source.peculiarities(project::LARGEST)?;
    let mut description = Description { peculiarities, ..Description::default() };
    let mut parents = BTreeSet::new();
    for Package { module, path, .. } in &config.packages {
        let version = project::version_file(path, module);
        let files = project::FILES.map(|file| format!("{path}/{file}"));
        for file in files.into_iter().chain([version]) {
            if source.has_file(&file) {
                let contents = source
                    .file(&file, project::LARGEST)?
                    .with_context(|| format!("expected `{file}` of upstream to be a small file"))?;
                let text = String::from_utf8(contents)
                    .map_err(|_| anyhow::anyhow!("expected text in `{file}` of upstream"))?;
                description.texts.insert(file, text);
            }
        }
        if source.has_file(&project::web_ui(path, module)) {
            description.web_uis.push(path.clone());
        }
        description.packages.push(path.clone());
        parents.extend(path.rsplit_once('/').map(|(parent, _)| parent));
    }
    for parent in parents {
        for name in source.directories(parent) {
            let path = format!("{parent}/{name}");
            if project::FILES.iter().any(|file| source.has_file(&format!("{path}/{file}"))) {
                description.projects.push(path);
            }
        }
    }
    Ok(description)
}

/// What PyPI says of the packages of a version; `None` if it does not have them all any more.
pub fn distributions(checkout: &Checkout, version: &Version) -> Result<Option<Vec<Distribution>>> {
    let found = on_index(checkout, version)?;
    Ok(match found {
        OnIndex::Whole(wheels) => Some(wheels.into_iter().map(distribution).collect()),
        OnIndex::Missing(_) | OnIndex::Yanked(_) => None,
    })
}

fn distribution(wheel: Wheel) -> Distribution {
    let Wheel { name, version, requirements, python, .. } = wheel;
    Distribution { name, version, requirements, python }
}

/// Downloads an archive and reads it to its end.
pub fn fetch(checkout: &Checkout, url: &str) -> Result<Archive> {
    ui::step("Hashing", url);
    let mut body = http::get(url)?;
    loop {
        match open(checkout, &mut body) {
            Err(error) if archive::is_cut_short(&error) && body.may_be_cut_short() => {
                body.start_over(error)?;
            }
            read => return read.with_context(|| format!("failed to read the archive `{url}`")),
        }
    }
}

/// Reads an archive within the limits of `release.toml`.
pub fn open(checkout: &Checkout, stream: impl std::io::Read) -> Result<Archive> {
    let limits = checkout.config.limits;
    let limits = archive::Limits {
        bytes: limits.archive_bytes,
        entries: limits.archive_entries,
        depth: limits.archive_depth,
        names: limits.archive_name_bytes,
    };
    archive::read(stream, &limits)
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
