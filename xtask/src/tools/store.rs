//! The Nix store, read as files: which path a directory belongs to, and what a path refers to.
//!
//! Nix finds references by the hashes of store paths in the bytes of files and the targets of
//! symbolic links (Dolstra, *The Purely Functional Software Deployment Model*, 5.2.2), and so do
//! we: that needs neither Nix nor its database.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context as _, Result};
use memchr::memmem;

use crate::interrupt;
use crate::model::closure::Closure;
use crate::model::nar::{self, Mode};
use crate::model::sri::Sri;

/// Characters of a hash in the name of a store path.
const HASH: usize = 32;
/// Nix's base 32.
const ALPHABET: &[u8] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// A store directory with what lies in it.
pub struct Store {
    dir: PathBuf,
    by_hash: HashMap<Vec<u8>, PathBuf>,
}

impl Store {
    /// The store that a directory lies in, links resolved. `None`: in none.
    pub fn around(path: &Path) -> Result<Option<Self>> {
        let path = path
            .canonicalize()
            .with_context(|| format!("failed to resolve `{}`", path.display()))?;
        let Some(dir) = directory_around(&path) else { return Ok(None) };
        let failed = || format!("failed to list `{}`", dir.display());
        let mut by_hash = HashMap::new();
        for entry in fs::read_dir(&dir).with_context(failed)? {
            let path = entry.with_context(failed)?.path();
            if let Some(hash) = hash_of(&path) {
                by_hash.insert(hash.to_vec(), path);
            }
        }
        Ok(Some(Self { dir, by_hash }))
    }

    /// The store path that a path below the store's directory belongs to.
    pub fn path_of(&self, path: &Path) -> Option<PathBuf> {
        let name = path.strip_prefix(&self.dir).ok()?.components().next()?;
        Some(self.dir.join(name))
    }

    pub fn contains(&self, path: &Path) -> bool {
        path.starts_with(&self.dir)
    }

    /// Paths and bytes of everything that some paths need at run time, themselves included.
    pub fn closure<'p>(&self, roots: impl IntoIterator<Item = &'p Path>) -> Result<Closure> {
        let mut todo: Vec<PathBuf> = roots
            .into_iter()
            .map(|root| {
                let root = root
                    .canonicalize()
                    .with_context(|| format!("failed to resolve `{}`", root.display()))?;
                self.path_of(&root)
                    .with_context(|| format!("`{}` is not in the store", root.display()))
            })
            .collect::<Result<_>>()?;
        let mut seen: BTreeSet<PathBuf> = todo.iter().cloned().collect();
        let mut bytes = 0;
        while let Some(path) = todo.pop() {
            each_file(&path, &mut |_, content| {
                bytes += content.len() as u64;
                for path in self.references(content) {
                    if seen.insert(path.clone()) {
                        todo.push(path.clone());
                    }
                }
            })?;
        }
        Ok(Closure { paths: seen.len() as u64, bytes })
    }

    fn references<'s>(&'s self, content: &[u8]) -> Vec<&'s PathBuf> {
        let mut start = self.dir.as_os_str().as_bytes().to_vec();
        start.push(b'/');
        let mut found: Vec<&PathBuf> = memmem::find_iter(content, &start)
            .filter_map(|at| self.by_hash.get(content.get(at + start.len()..)?.get(..HASH)?))
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Every regular file below a path with its content, and every symbolic link with its target. A
/// path may be either itself.
pub fn each_file(path: &Path, see: &mut impl FnMut(&Path, &[u8])) -> Result<()> {
    interrupt::check()?;
    let failed = || format!("failed to read `{}`", path.display());
    let kind = fs::symlink_metadata(path).with_context(failed)?.file_type();
    if kind.is_symlink() {
        see(path, &fs::read_link(path).with_context(failed)?.into_os_string().into_vec());
    } else if kind.is_dir() {
        let entries: Vec<_> =
            fs::read_dir(path).and_then(Iterator::collect).with_context(failed)?;
        let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
        paths.sort_unstable();
        for path in paths {
            each_file(&path, see)?;
        }
    } else if kind.is_file() {
        see(path, &fs::read(path).with_context(failed)?);
    }
    Ok(())
}

/// The NAR hash of a store path, which Nix keeps in its database, computed from the files.
pub fn nar_hash(path: &Path) -> Result<Sri> {
    nar::hash(|node| write(path, node))
        .with_context(|| format!("failed to hash `{}`", path.display()))
}

fn write<W: io::Write>(path: &Path, node: nar::Node<'_, W>) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return node.symlink(fs::read_link(path)?.as_os_str().as_bytes());
    }
    if metadata.is_file() {
        let is_executable = metadata.permissions().mode() & 0o100 != 0;
        let mode = if is_executable { Mode::Executable } else { Mode::Regular };
        return node.file(mode, metadata.len(), fs::File::open(path)?);
    }
    let entries: Vec<_> = fs::read_dir(path)?.collect::<io::Result<_>>()?;
    let mut names: Vec<OsString> = entries.iter().map(fs::DirEntry::file_name).collect();
    names.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    node.directory(|directory| {
        names.iter().try_for_each(|name| {
            directory.entry(name.as_bytes(), |node| write(&path.join(name), node))
        })
    })
}

/// The directory of the store that a path is in, no link in it. `None`: in none.
pub fn directory_around(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|path| hash_of(path).is_some())?.parent().map(Path::to_owned)
}

/// The hash in the name of a store path, `HASH-NAME`.
fn hash_of(path: &Path) -> Option<&[u8]> {
    let name = path.file_name()?.as_bytes();
    let (hash, rest) = name.split_at_checked(HASH)?;
    let is_hash = hash.iter().all(|byte| ALPHABET.contains(byte));
    (is_hash && rest.len() > 1 && rest[0] == b'-').then_some(hash)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const A: &str = "0123456789abcdfghijklmnpqrsvwxyz-a";
    const B: &str = "1123456789abcdfghijklmnpqrsvwxyz-b-1.0";
    const C: &str = "2123456789abcdfghijklmnpqrsvwxyz-c.drv";
    const D: &str = "3123456789abcdfghijklmnpqrsvwxyz-d";

    #[test]
    fn references_are_followed_once() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        fs::create_dir_all(dir.join(A).join("bin")).unwrap();
        let refers = |to: &str| format!("\0x:{}/{to}/lib:", dir.display());
        fs::write(dir.join(A).join("bin/run"), refers(B) + &refers(B) + &refers("gone")).unwrap();
        fs::create_dir(dir.join(B)).unwrap();
        symlink(dir.join(C).join("x"), dir.join(B).join("link")).unwrap();
        fs::write(dir.join(C), refers(A)).unwrap();
        fs::write(dir.join(D), "nobody needs this").unwrap();
        symlink(dir.join(A), dir.join("result")).unwrap();

        let store = Store::around(&dir.join("result/bin")).unwrap().unwrap();
        let closure = store.closure([dir.join("result").as_path()]).unwrap();
        assert_eq!(closure.paths, 3);
        let sizes = [dir.join(A).join("bin/run"), dir.join(C)];
        let bytes: u64 = sizes.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert_eq!(closure.bytes, bytes + dir.join(C).join("x").as_os_str().len() as u64);
        assert!(store.contains(&dir.join(D)));
        assert_eq!(store.path_of(&dir.join(A).join("bin/run")), Some(dir.join(A)));
    }

    #[test]
    fn a_path_hashes_as_its_archive_does() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join(A);
        fs::create_dir_all(root.join("b/empty")).unwrap();
        fs::write(root.join("b/run"), "#!").unwrap();
        fs::set_permissions(root.join("b/run"), fs::Permissions::from_mode(0o555)).unwrap();
        fs::write(root.join("b-a"), "text").unwrap();
        symlink("b/run", root.join("link")).unwrap();
        let expected = nar::hash(|node| {
            node.directory(|dir| {
                dir.entry(b"b", |node| {
                    node.directory(|dir| {
                        dir.entry(b"empty", |node| node.directory(|_| Ok(())))?;
                        dir.entry(b"run", |node| node.file(Mode::Executable, 2, &b"#!"[..]))
                    })
                })?;
                dir.entry(b"b-a", |node| node.file(Mode::Regular, 4, &b"text"[..]))?;
                dir.entry(b"link", |node| node.symlink(b"b/run"))
            })
        });
        assert_eq!(nar_hash(&root).unwrap(), expected.unwrap());
        assert!(nar_hash(&root.join("gone")).is_err());
    }

    #[test]
    fn other_directories_are_in_no_store() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Store::around(dir.path()).unwrap().is_none());
        assert_eq!(hash_of(Path::new("/nix/store/0123456789abcdefghijklmnpqrsvwxyz-e")), None);
    }
}
