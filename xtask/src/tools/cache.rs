//! What earlier downloads taught, by upstream commit, in `$XDG_CACHE_HOME/dagster-flox/sources`.
//!
//! One small JSON file per commit. It carries a SHA-256 over its own fields, and is believed only
//! when that, the commit, the tag, the archive's address and the packages that were looked for all
//! fit; anything else is as if it were not there.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::credentials;
use crate::model::facts::{Description, is_commit};
use crate::model::sri::Sri;

/// The NAR hash of one source, and the files that describe its packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub commit: String,
    pub tag: String,
    /// Without what it logs in with.
    pub archive: String,
    pub hash: Sri,
    pub description: Description,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    entry: Entry,
    checksum: Sri,
}

/// The entry of a commit, if there is one that fits.
pub fn load(commit: &str, tag: &str, archive: &str, packages: &[String]) -> Option<Entry> {
    let text = std::fs::read(path(commit).ok()?).ok()?;
    let Stored { entry, checksum } = serde_json::from_slice(&text).ok()?;
    let fits = entry.commit == commit
        && entry.tag == tag
        && entry.archive == credentials::hide_in_address(archive)
        && entry.description.packages == packages;
    (fits && checksum == checksum_of(&entry).ok()?).then_some(entry)
}

/// Stores an entry; replaces what was there.
pub fn store(entry: &Entry) -> Result<()> {
    let archive = credentials::hide_in_address(&entry.archive);
    let entry = &Entry { archive, ..entry.clone() };
    let path = path(&entry.commit)?;
    let dir = path.parent().context("expected a cache directory")?;
    std::fs::create_dir_all(dir)
        .with_context(|| format!("failed to create `{}`", dir.display()))?;
    let stored = Stored { entry: entry.clone(), checksum: checksum_of(entry)? };
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(serde_json::to_string_pretty(&stored)?.as_bytes())?;
    file.persist(&path).with_context(|| format!("failed to write `{}`", path.display()))?;
    Ok(())
}

/// Forgets a commit.
pub fn forget(commit: &str) -> Result<()> {
    let path = path(commit)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("failed to remove `{}`", path.display())),
    }
}

fn checksum_of(entry: &Entry) -> Result<Sri> {
    Ok(Sri::from_digest(Sha256::digest(serde_json::to_vec(entry)?).into()))
}

/// The file of a commit; only 40 hexadecimal digits make a file name.
fn path(commit: &str) -> Result<PathBuf> {
    anyhow::ensure!(
        is_commit(commit),
        "expected a commit of 40 hexadecimal digits, found `{}`",
        commit.escape_debug()
    );
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .context("expected `HOME` or `XDG_CACHE_HOME` to be set")?;
    Ok(base.join("dagster-flox/sources").join(format!("{commit}.json")))
}
