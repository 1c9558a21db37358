//! The separate packages as a user has them: merged into one directory of links, as `buildEnv`
//! makes the environment of Flox out of what was installed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::report::Finding;
use super::tree::{Part, Tree};

/// The parts of a tree as one.
pub struct Together {
    pub part: Part,
    /// How the merge went.
    pub merged: Result<String, Vec<Finding>>,
}

/// The parts of a tree as one, where there are several.
pub fn of(tree: &Tree, dir: &Path) -> Result<Option<Together>> {
    if tree.parts.len() < 2 {
        return Ok(None);
    }
    let packages = tree.parts.iter().flat_map(|part| part.packages.iter().cloned()).collect();
    let part = Part { name: "environment".to_owned(), root: dir.to_owned(), packages };
    Ok(Some(Together { part, merged: merge(&tree.parts, dir)? }))
}

/// Merges the parts that have packages into a directory. A file that two of them have is a finding,
/// unless it is the same file.
fn merge(parts: &[Part], dir: &Path) -> Result<Result<String, Vec<Finding>>> {
    let mut findings = Vec::new();
    let mut count = 0;
    for part in parts.iter().filter(|part| !part.packages.is_empty()) {
        merge_into(&part.root, dir, &mut count, &mut findings)?;
    }
    Ok(if findings.is_empty() { Ok(format!("{count} files")) } else { Err(findings) })
}

fn merge_into(
    from: &Path,
    to: &Path,
    count: &mut usize,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let failed = |path: &Path| format!("failed to merge `{}`", path.display());
    fs::create_dir_all(to).with_context(|| failed(to))?;
    for entry in fs::read_dir(from).with_context(|| failed(from))? {
        let entry = entry.with_context(|| failed(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        // For Nix, not for users: each package has its own.
        if entry.file_name() == "nix-support" {
            continue;
        }
        if source.is_dir() {
            merge_into(&source, &target, count, findings)?;
        } else if !target.is_symlink() {
            symlink(&source, &target).with_context(|| failed(&source))?;
            *count += 1;
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
        let config = Config::parse(include_str!("../../../../release.toml")).unwrap();
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
        let parts = [
            part(dir.path(), "dagster", &[("bin/a", "1"), same, ("nix-support/b", "1")]),
            part(dir.path(), "dagster-graphql", &[("bin/c", "1"), same, ("nix-support/b", "2")]),
            part(dir.path(), "dagster-src", &[("README.md", "no package")]),
        ];
        assert_eq!(merge(&parts, &dir.path().join("one")).unwrap(), Ok("3 files".to_owned()));
        assert!(dir.path().join("one/bin/c").is_file());

        fs::write(dir.path().join("dagster-graphql/bin/a"), "2").unwrap();
        let findings = merge(&parts, &dir.path().join("two")).unwrap().unwrap_err();
        assert_eq!(findings.len(), 1);
        assert!(findings[0].found.ends_with("/dagster/bin/a`"), "{}", findings[0]);
    }
}
