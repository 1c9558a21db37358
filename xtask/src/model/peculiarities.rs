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

/// How many names of a kind are kept: an archive may have as many as it has entries.
const KEPT: usize = 100;

/// Names of one kind: the first of them, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    pub first: Vec<String>,
    pub count: usize,
}

impl Names {
    pub fn add(&mut self, name: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < KEPT {
            self.first.push(name());
        }
    }
}

/// Paths are from the top of the source, with what is no text escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peculiarities {
    /// Patterns with `export-subst`, each with its file and line: git writes into these files what
    /// depends on when the archive is made.
    pub substituted: Names,
    /// Patterns with `export-ignore`: a checkout has these files, the archive has not.
    pub left_out: Names,
    /// Files that are pointers of Git LFS.
    pub lfs_pointers: Names,
    /// Directories that are submodules: empty in an archive.
    pub submodules: Names,
    /// Names in one directory that a file system which ignores case, or how a letter is put
    /// together, takes for one: two paths each.
    pub colliding: Names,
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
                found.add(|| format!("`{pattern}` ({path}:{})", index + 1));
            }
        }
    }

    /// Reads the list of submodules.
    pub fn add_modules(&mut self, text: &str) {
        let path = |line: &str| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == "path").then(|| value.trim().trim_matches('"').to_owned())
        };
        for path in text.lines().filter_map(path) {
            self.submodules.add(|| path);
        }
    }

    /// Looks at the names of one directory, whose path ends with a slash or is empty.
    pub fn add_names<'n>(&mut self, directory: &[u8], names: impl Iterator<Item = &'n [u8]>) {
        let mut known: BTreeMap<String, &[u8]> = BTreeMap::new();
        for name in names {
            let Ok(text) = std::str::from_utf8(name) else { continue };
            if let Some(other) = known.insert(folded(text), name) {
                let path = |name: &[u8]| shown(&[directory, name]);
                self.colliding.add(|| format!("{} and {}", path(other), path(name)));
            }
        }
    }
}

/// A path in parts, as people are told it.
pub fn shown(parts: &[&[u8]]) -> String {
    parts.concat().escape_ascii().to_string()
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
            found.substituted.first,
            ["`_version.py` (a/.gitattributes:4)", "`z` (a/.gitattributes:8)"]
        );
        assert_eq!(found.left_out.first, ["`tests/**` (a/.gitattributes:5)"]);
    }

    #[test]
    fn submodules_are_listed_with_their_paths() {
        let mut found = Peculiarities::default();
        found.add_modules("[submodule \"a\"]\n\tpath = libs/a\n\turl = ../a\n\tupdate=none\n");
        assert_eq!(found.submodules.first, ["libs/a"]);
    }

    #[test]
    fn names_that_are_one_on_some_file_systems() {
        let collide = |names: &[&str]| {
            let mut found = Peculiarities::default();
            found.add_names(b"d/", names.iter().map(|name| name.as_bytes()));
            found.colliding
        };
        assert_eq!(collide(&["Readme", "README2", "readme.md"]), Names::default());
        assert_eq!(collide(&["README", "Readme"]).first, ["d/README and d/Readme"]);
        for names in [["caf\u{e9}", "cafe\u{301}"], ["\u{c9}t\u{e9}", "e\u{301}te\u{301}"]] {
            assert_eq!(collide(&names).count, 1, "{names:?}");
        }
    }

    #[test]
    fn of_many_names_the_first_are_kept() {
        let mut names = Names::default();
        (0..1000).for_each(|name| names.add(|| name.to_string()));
        assert_eq!((names.count, names.first.len()), (1000, KEPT));
    }
}
