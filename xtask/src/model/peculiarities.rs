//! What of a source is not only its commit, or not the same on every file system: attributes that
//! change what `git archive` writes (gitattributes(5)), pointers of Git LFS in place of files,
//! submodules, names that are one name on macOS.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

/// The name of the file with git's attributes, in any directory.
pub const ATTRIBUTES: &str = ".gitattributes";
/// The name of the file that lists submodules, at the top.
pub const MODULES: &str = ".gitmodules";
/// How a pointer of Git LFS begins (its specification, version 1).
pub const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";
/// No pointer has more bytes (the same).
pub const LONGEST_LFS_POINTER: u64 = 1024;

/// Paths are from the top of the source, with what is no text escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peculiarities {
    /// Patterns with `export-subst`, each with its file and line: git writes into these files what
    /// depends on when the archive is made.
    pub substituted: Vec<String>,
    /// Patterns with `export-ignore`: a checkout has these files, the archive has not.
    pub left_out: Vec<String>,
    /// Files that are pointers of Git LFS.
    pub lfs_pointers: Vec<String>,
    /// Directories that are submodules: empty in an archive.
    pub submodules: Vec<String>,
    /// Names in one directory that a file system which ignores case, or how a letter is put
    /// together, takes for one: two paths each.
    pub colliding: Vec<[String; 2]>,
}

impl Peculiarities {
    /// Reads a file with attributes; `path` is its own. A pattern without one of the two, or with
    /// the attribute taken away again (`-export-subst`, `!export-subst`), is none.
    pub fn add_attributes(&mut self, path: &str, text: &str) {
        for (index, line) in text.lines().enumerate() {
            let mut words = line.split_whitespace();
            let Some(pattern) = words.next().filter(|word| !word.starts_with('#')) else {
                continue;
            };
            for word in words {
                let found = match word.split_once('=').map_or(word, |(name, _)| name) {
                    "export-subst" => &mut self.substituted,
                    "export-ignore" => &mut self.left_out,
                    _ => continue,
                };
                found.push(format!("`{pattern}` ({path}:{})", index + 1));
            }
        }
    }

    /// Reads the list of submodules.
    pub fn add_modules(&mut self, text: &str) {
        let path = |line: &str| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == "path").then(|| value.trim().trim_matches('"').to_owned())
        };
        self.submodules.extend(text.lines().filter_map(path));
    }

    /// Looks at the names of one directory, whose path ends with a slash or is empty.
    pub fn add_names<'n>(&mut self, directory: &str, names: impl Iterator<Item = &'n [u8]>) {
        let mut known: BTreeMap<String, &[u8]> = BTreeMap::new();
        for name in names {
            let Ok(text) = std::str::from_utf8(name) else { continue };
            if let Some(other) = known.insert(folded(text), name) {
                let path = |name: &[u8]| format!("{directory}{}", name.escape_ascii());
                self.colliding.push([path(other), path(name)]);
            }
        }
    }
}

/// What two names have in common that such a file system takes for one.
fn folded(name: &str) -> String {
    name.nfd().flat_map(char::to_lowercase).nfd().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_that_change_an_archive() {
        let mut found = Peculiarities::default();
        found.add_attributes(
            "a/.gitattributes",
            "# *.py export-subst\n\n*.py text eol=lf\n_version.py export-subst\n\
             tests/** export-ignore text\nx -export-subst\ny !export-ignore\nz export-subst=1\n",
        );
        assert_eq!(
            found.substituted,
            ["`_version.py` (a/.gitattributes:4)", "`z` (a/.gitattributes:8)"]
        );
        assert_eq!(found.left_out, ["`tests/**` (a/.gitattributes:5)"]);
    }

    #[test]
    fn submodules_are_listed_with_their_paths() {
        let mut found = Peculiarities::default();
        found.add_modules("[submodule \"a\"]\n\tpath = libs/a\n\turl = ../a\n\tupdate=none\n");
        assert_eq!(found.submodules, ["libs/a"]);
    }

    #[test]
    fn names_that_are_one_on_some_file_systems() {
        let collide = |names: &[&str]| {
            let mut found = Peculiarities::default();
            found.add_names("d/", names.iter().map(|name| name.as_bytes()));
            found.colliding
        };
        assert_eq!(collide(&["Readme", "README2", "readme.md"]), <[[String; 2]; 0]>::default());
        assert_eq!(
            collide(&["README", "Readme"]),
            [["d/README".to_owned(), "d/Readme".to_owned()]]
        );
        for names in [["caf\u{e9}", "cafe\u{301}"], ["\u{c9}t\u{e9}", "e\u{301}te\u{301}"]] {
            assert_eq!(collide(&names).len(), 1, "{names:?}");
        }
    }
}
