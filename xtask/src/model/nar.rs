//! NAR, the Nix archive format: how Nix serialises a file tree before it hashes it.
//!
//! ```text
//! archive   = str("nix-archive-1") node
//! node      = str("(") str("type") body str(")")
//! body      = str("symlink") str("target") str(TARGET)
//!           | str("regular") [ str("executable") str("") ] str("contents") str(CONTENTS)
//!           | str("directory") *entry
//! entry     = str("entry") str("(") str("name") str(NAME) str("node") node str(")")
//! str(s)    = length of s as 64-bit little-endian, s, zeros up to a multiple of 8 bytes
//! ```
//!
//! Entries of a directory are in ascending order of their names as bytes, each name once; a name is
//! not empty, not `.` or `..`, and has no `/` and no NUL. [`Directory`] enforces all of that. No
//! owners, no times, of the mode only whether the owner may execute: the same tree always gives the
//! same bytes. (Source: the Nix manual, "Nix Archive (NAR) format".)
//!
//! Writes only; where file contents come from is the caller's business.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use super::sri::Sri;

/// What every archive begins with.
const MAGIC: &[u8] = b"nix-archive-1";

/// May a file be executed by its owner?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Regular,
    Executable,
}

/// Writes an archive to `sink`: the caller writes its one root node in `root`.
pub fn write<W: Write>(
    sink: &mut W,
    root: impl FnOnce(Node<'_, W>) -> io::Result<()>,
) -> io::Result<()> {
    write_str(sink, MAGIC)?;
    root(Node { sink })
}

/// The hash of an archive: the caller writes its one root node in `root`.
pub fn hash(root: impl FnOnce(Node<'_, Hashing>) -> io::Result<()>) -> io::Result<Sri> {
    let mut sink = Hashing(Sha256::new());
    write(&mut sink, root)?;
    Ok(Sri::from_digest(sink.0.finalize().into()))
}

/// Keeps nothing of what is written but its digest.
pub struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The place for one node. Each of its methods writes that node and uses the place up.
pub struct Node<'a, W> {
    sink: &'a mut W,
}

impl<W: Write> Node<'_, W> {
    pub fn symlink(self, target: &[u8]) -> io::Result<()> {
        write_strs(self.sink, &[b"(", b"type", b"symlink", b"target", target, b")"])
    }

    /// Writes a regular file of `size` bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` when `contents` ends before that; more is not read.
    pub fn file(self, mode: Mode, size: u64, contents: impl Read) -> io::Result<()> {
        write_strs(self.sink, &[b"(", b"type", b"regular"])?;
        if mode == Mode::Executable {
            write_strs(self.sink, &[b"executable", b""])?;
        }
        write_str(self.sink, b"contents")?;
        self.sink.write_all(&size.to_le_bytes())?;
        if io::copy(&mut contents.take(size), self.sink)? != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        write_padding(self.sink, size)?;
        write_str(self.sink, b")")
    }

    /// Writes a directory: the caller adds its entries in `entries`.
    pub fn directory(
        self,
        entries: impl FnOnce(&mut Directory<'_, W>) -> io::Result<()>,
    ) -> io::Result<()> {
        write_strs(self.sink, &[b"(", b"type", b"directory"])?;
        entries(&mut Directory { sink: self.sink, last: Vec::new() })?;
        write_str(self.sink, b")")
    }
}

/// A directory that is being written.
pub struct Directory<'a, W> {
    sink: &'a mut W,
    last: Vec<u8>,
}

impl<W: Write> Directory<'_, W> {
    /// Adds an entry, whose node is written in `node`.
    ///
    /// # Errors
    /// `InvalidInput` for a name that cannot be, or that does not come after the one before.
    pub fn entry(
        &mut self,
        name: &[u8],
        node: impl FnOnce(Node<'_, W>) -> io::Result<()>,
    ) -> io::Result<()> {
        // The empty name that `last` begins with comes before every legal one.
        if !is_name(name) || name <= &*self.last {
            let name = name.escape_ascii();
            let error = format!("`{name}` cannot be the next name of a directory");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        self.last = name.to_vec();
        write_strs(self.sink, &[b"entry", b"(", b"name", name, b"node"])?;
        node(Node { sink: self.sink })?;
        write_str(self.sink, b")")
    }
}

/// May an entry of a directory have this name?
pub fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}

fn write_strs(sink: &mut impl Write, strs: &[&[u8]]) -> io::Result<()> {
    strs.iter().try_for_each(|str| write_str(sink, str))
}

fn write_str(sink: &mut impl Write, str: &[u8]) -> io::Result<()> {
    let length = str.len() as u64;
    sink.write_all(&length.to_le_bytes())?;
    sink.write_all(str)?;
    write_padding(sink, length)
}

fn write_padding(sink: &mut impl Write, length: u64) -> io::Result<()> {
    let count = length.wrapping_neg() % 8;
    sink.write_all(&[0; 8][..count as usize])
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::model::sri::Sri;

    type Root = Box<dyn FnOnce(Node<'_, Vec<u8>>) -> io::Result<()>>;

    fn nar(root: Root) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        write(&mut bytes, root)?;
        assert_eq!(bytes.len() % 8, 0);
        Ok(bytes)
    }

    /// The hashes are what `nix hash path` (Nix 2.8) prints for the same trees.
    #[test]
    fn hashes_are_those_of_nix() {
        let file = |mode, text: &'static [u8]| -> Root {
            Box::new(move |node| node.file(mode, text.len() as u64, text))
        };
        let cases: Vec<(&str, Root, &str)> = vec![
            ("an empty directory", Box::new(|node| node.directory(|_| Ok(()))), EMPTY_DIRECTORY),
            ("an empty file", file(Mode::Regular, b""), EMPTY_FILE),
            ("eight bytes", file(Mode::Regular, b"12345678"), EIGHT_BYTES),
            ("nine bytes, executable", file(Mode::Executable, b"123456789"), NINE_BYTES),
            ("a symlink", Box::new(|node| node.symlink(b"to/no\xffwhere")), SYMLINK),
            (
                "a tree",
                Box::new(|node| {
                    node.directory(|dir| {
                        dir.entry(b"a", |node| {
                            node.directory(|dir| {
                                dir.entry(b"c", |node| node.file(Mode::Regular, 2, &b"c\n"[..]))
                            })
                        })?;
                        dir.entry(b"a.b", |node| node.file(Mode::Regular, 0, io::empty()))?;
                        dir.entry(b"z\xff", |node| node.symlink(b"a"))
                    })
                }),
                TREE,
            ),
        ];
        for (name, root, expected) in cases {
            let found = Sri::from_digest(Sha256::digest(nar(root).unwrap()).into());
            assert_eq!(found.to_string(), expected, "{name}");
        }
    }

    const EMPTY_DIRECTORY: &str = "sha256-pQpattmS9VmO3ZIQUFn66az8GSmB4IvYhTTCFn6SUmo=";
    const EMPTY_FILE: &str = "sha256-d6xi4mKdjkX2JFicDIv5niSzpyI0m/Hnm8GGAIU04kY=";
    const EIGHT_BYTES: &str = "sha256-ItYyI0JkR+ZKog121Qaz4GKi0kK7eXU22/PuaBvj9Tw=";
    const NINE_BYTES: &str = "sha256-WHqQpzhl+05tQ3vxscfHKv3zp6zVSuowLhwEPWD8vik=";
    const SYMLINK: &str = "sha256-pRBQls8YqRv9Q4Q+/rZWl0xi0I1hTNvGwKJA9pnHdBY=";
    const TREE: &str = "sha256-eTFBX3Wfux0+lfT0UnuV8BmuvUIixjIjiYkgYg/eFGg=";

    #[test]
    fn names_are_legal_and_ascend() {
        for names in [
            &[&b""[..]][..],
            &[b"."],
            &[b".."],
            &[b"a/b"],
            &[b"a\0"],
            &[b"a", b"a"],
            &[b"b", b"a"],
            &[b"a.b", b"a"],
        ] {
            let names: Vec<Vec<u8>> = names.iter().map(|name| name.to_vec()).collect();
            let root: Root = Box::new(move |node| {
                node.directory(|dir| {
                    names.iter().try_for_each(|name| dir.entry(name, |node| node.symlink(b"x")))
                })
            });
            assert_eq!(nar(root).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn contents_that_end_early_are_an_error() {
        let root: Root = Box::new(|node| node.file(Mode::Regular, 3, &b"12"[..]));
        assert_eq!(nar(root).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
