//! What a tree's processes may read, whichever probe starts them: the tree, the store that it is
//! in, the Pythons behind it, the other Pythons of this machine, and the probes' own files.
//!
//! Which Python a tree runs on is read from its files, and not asked, since it could not be run
//! before this is known: from the links of its interpreter, and from the `home` in the `pyvenv.cfg`
//! of a virtual environment, which a double of nixpkgs has in its store, too. Where an editable
//! install leads is not followed: no tree of ours has one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::second;
use super::tree::Tree;
use crate::tools::confine::Access;
use crate::tools::store::directory_around;

/// What of an interpreter's prefix is its own: other things may lie beside it.
const OF_A_PREFIX: [&str; 6] = ["bin", "lib", "lib32", "lib64", "include", "pyvenv.cfg"];

/// What processes may reach beside their own sandbox.
pub fn of(tree: &Tree, scratch: &Path) -> Access {
    let mut read = BTreeSet::from([scratch.to_owned()]);
    let mut pythons: Vec<PathBuf> = second::all_on_path();
    for part in &tree.parts {
        let root = part.root.canonicalize().unwrap_or_else(|_| part.root.clone());
        pythons.extend(["python", "python3"].map(|name| root.join("bin").join(name)));
        pythons.extend(home_of(&root));
        if let Some(store) = directory_around(&root) {
            pythons.extend(homes_in(&store));
            read.insert(store);
        }
        read.extend([part.root.clone(), root]);
    }
    let prefixes: BTreeSet<PathBuf> = pythons.iter().flat_map(|python| prefixes(python)).collect();
    read.extend(prefixes.iter().flat_map(|prefix| OF_A_PREFIX.map(|name| prefix.join(name))));
    Access { read: read.into_iter().collect(), ..Access::default() }
}

/// The interpreter that a virtual environment is of.
fn home_of(root: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(root.join("pyvenv.cfg")).ok()?;
    let (_, home) = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| name.trim() == "home")?;
    Some(Path::new(home.trim()).join("python3"))
}

/// The interpreters that a store's are virtual environments of.
fn homes_in(store: &Path) -> Vec<PathBuf> {
    fs::read_dir(store)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().contains("-python3"))
        .filter_map(|entry| home_of(&entry.path()))
        .collect()
}

/// Where an interpreter was installed, by the directory that it is in and by what it is a link to.
/// None where no Python lies there.
fn prefixes(python: &Path) -> Vec<PathBuf> {
    let files = [Some(python.to_owned()), python.canonicalize().ok()];
    files
        .iter()
        .flatten()
        .filter_map(|file| file.parent()?.parent())
        .filter(|prefix| has_library(prefix))
        .map(Path::to_owned)
        .collect()
}

/// Is there a `lib/python3.12`, or the like?
fn has_library(prefix: &Path) -> bool {
    fs::read_dir(prefix.join("lib")).into_iter().flatten().any(|entry| {
        entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("python3"))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn an_interpreter_is_found_through_links_and_environments() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        write(&dir.join("py/bin/python3.12"), "");
        write(&dir.join("py/lib/python3.12/os.py"), "");
        let venv = dir.join("venv");
        write(
            &venv.join("pyvenv.cfg"),
            &format!("home = {}\nversion = 3\n", dir.join("py/bin").display()),
        );
        assert_eq!(home_of(&venv), Some(dir.join("py/bin/python3")));
        assert_eq!(prefixes(&dir.join("py/bin/python3")), [dir.join("py")]);
        fs::create_dir_all(dir.join("links/bin")).unwrap();
        symlink(dir.join("py/bin/python3.12"), dir.join("links/bin/python3")).unwrap();
        assert_eq!(prefixes(&dir.join("links/bin/python3")), [dir.join("py")]);
        // A directory of somebody's is no prefix.
        write(&dir.join("me/bin/python3"), "");
        assert!(prefixes(&dir.join("me/bin/python3")).is_empty());
        assert_eq!(home_of(&dir), None);
    }
}
