//! The checkout that a command works on: found from the current directory, with its `release.toml`
//! and `nixpkgs.toml`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use semver::Version;
use xshell::{Shell, cmd};

use crate::failure::Failure;
use crate::model::config::{self, Config, Variant};
use crate::model::nix_edit::{self, NixFile, Pinned};
use crate::model::nixpkgs::{self, Recorded};
use crate::tools::command;
use crate::tools::git::Git;

/// A checkout of this repository. Never the place the binary was built from: the current directory.
pub struct Checkout {
    pub root: PathBuf,
    pub config: Config,
    /// What is known of nixpkgs; nothing where there is no `nixpkgs.toml`.
    pub nixpkgs: Recorded,
    pub sh: Shell,
}

impl Checkout {
    /// Finds the checkout around the current directory and reads its configuration.
    pub fn find() -> Result<Self> {
        let sh = Shell::new()?;
        let here = sh.current_dir();
        let not_here = || {
            Failure::usage(format!(
                "expected a checkout with `{}` around `{}`",
                config::FILE,
                here.display()
            ))
            .hint("run the command inside a clone of this repository")
        };
        let top = command::read(cmd!(sh, "git rev-parse --show-toplevel"))
            .map_err(|error| not_here().caused_by(error))?;
        let root = PathBuf::from(top);
        if !root.join(config::FILE).is_file() {
            return Err(not_here().into());
        }
        Self::open(&root)
    }

    /// Opens the checkout at a directory.
    pub fn open(root: &Path) -> Result<Self> {
        let sh = Shell::new()?;
        sh.change_dir(root);
        let config = Config::parse(&sh.read_file(config::FILE)?)?;
        let nixpkgs = match sh.path_exists(nixpkgs::FILE) {
            true => Recorded::parse(&sh.read_file(nixpkgs::FILE)?)?,
            false => Recorded::default(),
        };
        Ok(Self { root: root.to_owned(), config, nixpkgs, sh })
    }

    pub fn git(&self) -> Git<'_> {
        Git::new(&self.sh, &self.root)
    }

    /// The Nix files that name a version or a hash of upstream: those of both variants, sorted.
    pub fn nix_files(&self) -> Result<Vec<NixFile>> {
        let mut files = Vec::new();
        for variant in [Variant::Separate, Variant::Combined] {
            let dir = &self.config.variant(variant).files;
            let entries =
                self.sh.read_dir(dir).with_context(|| format!("failed to list `{dir}`"))?;
            for path in entries {
                if path.extension().is_none_or(|extension| extension != "nix") {
                    continue;
                }
                let name = path.strip_prefix(&self.root).unwrap_or(&path).display().to_string();
                let text = self.sh.read_file(&path)?;
                files.push(NixFile { path: name, text });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// What the Nix files say now.
    pub fn pinned(&self) -> Result<Pinned> {
        Ok(nix_edit::read(&self.nix_files()?, &self.scope())?)
    }

    /// The version that the Nix files are pinned at.
    pub fn pinned_version(&self) -> Result<Version> {
        Ok(self.pinned()?.version.value)
    }

    /// Whose fetches the Nix edit looks for.
    pub fn scope(&self) -> nix_edit::Scope {
        nix_edit::Scope {
            owner: self.config.owner().to_owned(),
            repo: self.config.repo().to_owned(),
            packages: self.config.packages.iter().map(|package| package.name.clone()).collect(),
        }
    }
}
