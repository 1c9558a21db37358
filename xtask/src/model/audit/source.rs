//! Where a nixpkgs is: a path, or an address that Nix fetches an archive from.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// A nixpkgs, as Nix takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A directory, or a file that is the function.
    Path(PathBuf),
    /// Of an archive, or `channel:NAME`.
    Url(String),
}

const SCHEMES: [&str; 4] = ["https://", "http://", "file://", "channel:"];

impl Source {
    /// Reads what somebody typed; a relative path is below `here`.
    ///
    /// # Errors
    /// A usage error for a scheme that Nix fetches no archive by.
    pub fn parse(text: &str, here: &Path) -> Result<Self> {
        if SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
            return Ok(Self::Url(text.to_owned()));
        }
        if text.is_empty() || text.contains("://") || text.starts_with("github:") {
            return Err(Failure::usage(format!(
                "expected a path, `channel:NAME` or the address of an archive as nixpkgs, found \
                 `{text}`"
            ))
            .hint("an archive of a branch: https://github.com/OWNER/NAME/archive/BRANCH.tar.gz")
            .into());
        }
        Ok(Self::Path(here.join(text)))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(url),
        }
    }
}

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    packages: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    group: Option<String>,
    locked_url: Option<String>,
}

/// The nixpkgs that an environment's `manifest.lock` names, if it has a package of group
/// `toplevel`.
///
/// # Errors
/// For a lock that is none, and for an address of another form than flox's.
pub fn locked(lock: &str) -> Result<Option<Source>> {
    let lock: Lock = serde_json::from_str(lock).context("failed to read flox's lock")?;
    let mut toplevel = lock.packages.iter().filter(|it| it.group.as_deref() == Some("toplevel"));
    let Some(url) = toplevel.find_map(|it| it.locked_url.as_deref()) else { return Ok(None) };
    let form = "expected `https://…/nixpkgs?rev=COMMIT` as `locked_url` in flox's lock";
    let (repository, rev) =
        url.split_once("?rev=").with_context(|| format!("{form}, found `{url}`"))?;
    anyhow::ensure!(
        repository.starts_with("https://") && rev.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{form}, found `{url}`"
    );
    Ok(Some(Source::Url(format!("{repository}/archive/{rev}.tar.gz"))))
}
