//! The separate packages as a user has them: merged into one directory of links, as `buildEnv`
//! makes the environment of Flox out of what was installed. Nothing comes along with a package:
//! what it depends on is not in the environment.
//!
//! ```text
//! DIR/profile      what was installed, merged
//! DIR/run/profile  a link to it: users are given a link, which leads elsewhere after an update
//! DIR/home/bin     the user's own links to its commands
//! ```

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::probe::Finding;
use super::tree::{Part, Tree};

/// The packages that start each other: `dagster dev` is a command of the one and serves the other.
pub const PAIR: [&str; 2] = ["dagster", "dagster-webserver"];

/// Parts of a tree as one. The root is the link to the profile.
pub struct Together {
    pub part: Part,
    /// How the merge went.
    pub merged: Result<String, Vec<Finding>>,
    pub dir: PathBuf,
}

/// The parts of a tree as one, where there are several.
pub fn of(tree: &Tree, dir: &Path) -> Result<Option<Together>> {
    if tree.parts.len() < 2 {
        return Ok(None);
    }
    Together::make(&tree.parts.iter().collect::<Vec<_>>(), "environment", dir).map(Some)
}

/// The two packages that start each other and no other, where they are parts of their own.
pub fn pair(tree: &Tree, dir: &Path) -> Result<Option<Together>> {
    let parts: Vec<&Part> = tree.parts.iter().filter(|part| PAIR.contains(&&*part.name)).collect();
    if parts.len() < PAIR.len() {
        return Ok(None);
    }
    Together::make(&parts, "pair", dir).map(Some)
}

impl Together {
    fn make(parts: &[&Part], name: &str, dir: &Path) -> Result<Self> {
        let packages = parts.iter().flat_map(|part| part.packages.iter().cloned()).collect();
        let (profile, root) = (dir.join("profile"), dir.join("run/profile"));
        let merged = merge(parts, &profile)?;
        let failed = || format!("failed to link `{}`", profile.display());
        fs::create_dir_all(dir.join("run")).with_context(failed)?;
        symlink(&profile, &root).with_context(failed)?;
        let part = Part { name: name.to_owned(), root, packages };
        let home = dir.join("home/bin");
        fs::create_dir_all(&home).with_context(failed)?;
        for command in part.packages.iter().flat_map(|package| &package.commands) {
            symlink(part.command(command), home.join(command)).with_context(failed)?;
        }
        Ok(Self { part, merged, dir: dir.to_owned() })
    }

    /// The same commands as links in a directory of the user's.
    pub fn through_links(&self) -> Part {
        let Part { name, packages, .. } = &self.part;
        Part { name: name.clone(), root: self.dir.join("home"), packages: packages.clone() }
    }
}

/// Merges the parts that have packages into a directory. A file that two of them have is a finding,
/// unless it is the same file.
fn merge(parts: &[&Part], dir: &Path) -> Result<Result<String, Vec<Finding>>> {
    let mut findings = Vec::new();
    let mut count = 0;
    fs::create_dir_all(dir).with_context(|| format!("failed to merge `{}`", dir.display()))?;
    for part in parts.iter().filter(|part| !part.packages.is_empty()) {
        let root = part.root.canonicalize()?;
        merge_into(&root, dir, &mut count, &mut findings)?;
    }
    Ok(if findings.is_empty() { Ok(format!("{count} links")) } else { Err(findings) })
}

/// As `buildEnv`: a directory that one package has is a link, and becomes a directory of links when
/// another has it, too.
fn merge_into(
    from: &Path,
    to: &Path,
    count: &mut usize,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let failed = |path: &Path| format!("failed to merge `{}`", path.display());
    for entry in fs::read_dir(from).with_context(|| failed(from))? {
        let entry = entry.with_context(|| failed(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        // For Nix, not for users: each package has its own.
        if entry.file_name() == "nix-support" {
            continue;
        }
        if !target.is_symlink() && !target.exists() {
            symlink(&source, &target).with_context(|| failed(&source))?;
            *count += 1;
        } else if source.is_dir() && target.is_dir() {
            if target.is_symlink() {
                let first = fs::read_link(&target).with_context(|| failed(&target))?;
                fs::remove_file(&target).with_context(|| failed(&target))?;
                fs::create_dir(&target).with_context(|| failed(&target))?;
                *count -= 1;
                merge_into(&first, &target, count, findings)?;
            }
            merge_into(&source, &target, count, findings)?;
        } else if !is_same(&source, &target)? {
            let first = target.canonicalize().unwrap_or_default();
            findings.push(Finding::new(
                format!("`{}`", source.display()),
                "a file of this package only",
                format!("`{}`", first.display()),
            ));
        }
    }
    Ok(())
}

/// Files that Nix would not call a collision: the same path, or the same content.
fn is_same(one: &Path, other: &Path) -> Result<bool> {
    let read = |path: &Path| {
        fs::read(path).with_context(|| format!("failed to read `{}`", path.display()))
    };
    Ok(one.canonicalize().ok() == other.canonicalize().ok() || read(one)? == read(other)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::Config;

    fn part(root: &Path, name: &str, files: &[(&str, &str)]) -> Part {
        let config = Config::parse(include_str!("../../../release.toml")).unwrap();
        let root = root.join(name);
        for (file, text) in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let packages = config.packages.iter().filter(|package| package.name == name);
        Part { name: name.to_owned(), root, packages: packages.cloned().collect() }
    }

    #[test]
    fn a_file_of_two_packages_is_a_finding() {
        let dir = tempfile::tempdir().unwrap();
        let same = ("lib/x/__init__.py", "");
        let own = ("lib/y/deep/z.py", "");
        let parts = [
            part(dir.path(), "dagster", &[("bin/a", "1"), same, own, ("nix-support/b", "1")]),
            part(dir.path(), "dagster-graphql", &[("bin/c", "1"), same, ("nix-support/b", "2")]),
            part(dir.path(), "dagster-src", &[("README.md", "no package")]),
        ];
        let parts: Vec<&Part> = parts.iter().collect();
        let one = dir.path().join("one");
        // `bin/a`, `bin/c`, `lib/x/__init__.py`, which both have, and the whole of `lib/y`.
        assert_eq!(merge(&parts, &one).unwrap(), Ok("4 links".to_owned()));
        assert!(one.join("lib/y").is_symlink() && !one.join("lib/x").is_symlink());
        assert!(one.join("bin/c").is_file());
        assert!(!one.join("nix-support").exists());

        fs::write(dir.path().join("dagster-graphql/bin/a"), "2").unwrap();
        let findings = merge(&parts, &dir.path().join("two")).unwrap().unwrap_err();
        assert_eq!(findings.len(), 1);
        assert!(findings[0].found.ends_with("/dagster/bin/a`"), "{}", findings[0]);
    }
}
