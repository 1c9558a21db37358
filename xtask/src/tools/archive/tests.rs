//! What is accepted, and hashed as Nix does, and what is refused, in which words.

use std::io::Write as _;

use expect_test::expect;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const LIMITS: Limits = Limits { bytes: 1 << 20, entries: 100, depth: 10, names: 10_000 };

/// A tar, built block by block: a test can write what no library would.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn entry(mut self, kind: u8, mode: u32, path: &[u8], link: &[u8], data: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path);
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link);
        header.set_entry_type(EntryType::new(kind));
        header.set_mode(mode);
        header.set_size(data.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }

    fn dir(self, path: &[u8]) -> Self {
        self.entry(b'5', 0o755, path, b"", b"")
    }

    fn file(self, path: &[u8], data: &[u8]) -> Self {
        self.entry(b'0', 0o644, path, b"", data)
    }

    fn symlink(self, path: &[u8], target: &[u8]) -> Self {
        self.entry(b'2', 0o777, path, target, b"")
    }

    fn pax(self, kind: u8, fields: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in fields {
            // The length counts itself.
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length += 1;
            }
            data.extend_from_slice(format!("{length} {key}=").as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.entry(kind, 0o644, b"pax_header", b"", &data)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        gzip(&self.0)
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn hash(archive: &[u8]) -> String {
    read(archive, &LIMITS).unwrap().nar_hash().unwrap().to_string()
}

/// Every oddity that a good archive may have.
fn odd() -> Tar {
    let long = [&b"top/"[..], &[b'l'; 120], b"/", &[b'm'; 120]].concat();
    let commit = b"0123456789abcdef0123456789abcdef01234567";
    Tar::default()
        .pax(b'g', &[("comment", commit)])
        .dir(b"top/")
        .file(b"top/a/c", b"git sorts this after `a.b`, Nix before\n")
        .file(b"top/a.b", b"")
        .file(b"top/a-b", b"12345678")
        .dir(b"top/empty/")
        .entry(b'0', 0o755, b"top/run.sh", b"", b"#!/bin/sh\n")
        .symlink(b"top/link", b"a/c")
        .symlink(b"top/nowhere", b"../../\xff")
        .file(b"top/not-utf-8-\xff", b"x")
        .pax(b'x', &[("path", &[&long[..], b"-pax"].concat()), ("mtime", b"1.5")])
        .file(b"top/short", b"long by pax")
        .entry(b'L', 0o644, b"././@LongLink", b"", &[&long[..], b"-gnu\0"].concat())
        .file(b"top/short", b"long by GNU")
        .entry(b'K', 0o644, b"././@LongLink", b"", &[&[b't'; 150][..], b"\0"].concat())
        .symlink(b"top/long-target", b"short")
        .entry(b'1', 0o644, b"top/hard", b"top/run.sh", b"")
        .dir(b"top/a/")
        .file(b"./top/dotted", b"d")
}

#[test]
fn an_odd_archive_hashes_as_nix_says() {
    let bytes = odd().end();
    let mut archive = read(&*bytes, &LIMITS).unwrap();
    assert_eq!(archive.commit(), Some("0123456789abcdef0123456789abcdef01234567"));
    // `nix hash path` (Nix 2.8) of what GNU tar unpacks from these bytes.
    expect!["sha256-p5A+I43lAHpdDklXufabtUwcaRPe1/2MJtdmvM2nb7Y="]
        .assert_eq(&archive.nar_hash().unwrap().to_string());
    // Several gzip members are one stream.
    let tar = Tar(odd().0).end();
    assert_eq!(hash(&tar), hash(&bytes));
    let mut tar = odd().0;
    tar.resize(tar.len() + 2 * BLOCK, 0);
    let (one, other) = tar.split_at(3000);
    assert_eq!(hash(&[gzip(one), gzip(other)].concat()), hash(&bytes));
}

#[test]
fn the_order_of_entries_does_not_matter() {
    let one = Tar::default().dir(b"t/").file(b"t/a", b"1").file(b"t/b/c", b"2").end();
    let other = Tar::default().file(b"t/b/c", b"2").dir(b"t/b/").file(b"t/a", b"1").end();
    assert_eq!(hash(&one), hash(&other));
}

#[track_caller]
fn refused(archive: &[u8], expected: &expect_test::Expect) {
    expected.assert_eq(&format!("{:#}", read(archive, &LIMITS).unwrap_err()));
}

#[test]
fn broken_streams_are_refused() {
    let whole = odd().end();
    for length in [0, 1, 12, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
        refused(&whole[..length], &expect!["the archive is cut short"]);
    }
    let mut corrupt = whole.clone();
    let at = corrupt.len() - 6;
    corrupt[at] ^= 1; // in the checksum
    refused(
        &corrupt,
        &expect![
            "the archive is not valid gzip: corrupt gzip stream does not have a matching checksum"
        ],
    );
    refused(
        b"<html>not found</html>",
        &expect!["the archive is not valid gzip: invalid gzip header"],
    );
    refused(&[&whole[..], b"and more"].concat(), &expect!["the archive is cut short"]);
    // A tar that ends between two entries, in a whole gzip.
    refused(&gzip(&odd().0), &expect!["the archive is cut short"]);
    refused(
        &gzip(&[b'x'; 1024]),
        &expect!["the archive is corrupt: a header does not match its checksum"],
    );
}

#[test]
fn entries_that_are_no_part_of_one_tree_are_refused() {
    let top = || Tar::default().dir(b"top/").file(b"top/a", b"1");
    refused(
        &top().file(b"top/../../etc/passwd", b"").end(),
        &expect!["entry `top/../../etc/passwd` escapes the archive's top directory"],
    );
    refused(
        &top().file(b"/etc/passwd", b"").end(),
        &expect!["entry `/etc/passwd` escapes the archive's top directory"],
    );
    refused(&top().file(b"top/a", b"2").end(), &expect!["entry `top/a` is there twice"]);
    refused(&top().dir(b"top/").end(), &expect!["entry `top/` is there twice"]);
    refused(&top().dir(b"top/a").end(), &expect!["entry `top/a` is there twice"]);
    refused(
        &top().file(b"top/a/b", b"2").end(),
        &expect!["entry `top/a/b` passes through `a`, which is no directory"],
    );
    refused(
        &top().symlink(b"top/s", b"/etc").file(b"top/s/b", b"2").end(),
        &expect!["entry `top/s/b` passes through `s`, which is no directory"],
    );
    refused(
        &top().symlink(b"top/s", b"").end(),
        &expect!["entry `top/s` is a symbolic link to nowhere"],
    );
    refused(
        &top().entry(b'1', 0, b"top/h", b"top/none", b"").end(),
        &expect!["entry `top/h` is a link to `top/none`, which no earlier entry is"],
    );
    refused(
        &top().entry(b'1', 0, b"top/h", b"/etc/passwd", b"").end(),
        &expect!["entry `top/h` is a link to `/etc/passwd`, which no earlier entry is"],
    );
    refused(
        &top().entry(b'3', 0, b"top/null", b"", b"").end(),
        &expect![
            "entry `top/null` is a character device: expected files, directories and symbolic links"
        ],
    );
    refused(
        &top().entry(b'4', 0, b"top/sda", b"", b"").end(),
        &expect![
            "entry `top/sda` is a block device: expected files, directories and symbolic links"
        ],
    );
    refused(
        &top().entry(b'6', 0, b"top/pipe", b"", b"").end(),
        &expect![
            "entry `top/pipe` is a named pipe: expected files, directories and symbolic links"
        ],
    );
    refused(
        &top().file(b"other/a", b"").end(),
        &expect!["expected one top directory, found `top` and `other`"],
    );
    refused(
        &Tar::default().file(b"file", b"").end(),
        &expect!["expected a directory at the top, found `file`, which is none"],
    );
    refused(&Tar::default().end(), &expect!["the archive is empty"]);
    let nul = Tar::default().pax(b'x', &[("path", b"top/a\0b")]).file(b"top/a", b"");
    refused(&nul.end(), &expect![[r#"entry `top/a\x00b` has an impossible name"#]]);
}

#[test]
fn limits_hold_while_reading() {
    let mut many = Tar::default();
    for i in 0..100 {
        many = many.file(format!("top/{i}").as_bytes(), b"");
    }
    refused(
        &many.file(b"top/one-more", b"").end(),
        &expect!["the archive has more than 100 entries, the limit of `release.toml`"],
    );
    refused(
        &Tar::default().file(b"top/zeros", &[0; 2 << 20]).end(),
        &expect!["the archive unpacks to more than 1048576 bytes, the limit of `release.toml`"],
    );
    let header = Tar::default().entry(b'L', 0, b"long", b"", &[b'x'; (1 << 20) + 1]).end();
    let limits = Limits { bytes: 1 << 30, ..LIMITS };
    expect!["the archive has an extended header of 1048577 bytes"]
        .assert_eq(&read(&*header, &limits).unwrap_err().to_string());
}

#[test]
fn what_is_kept_of_names_is_bounded() {
    let deep = |depth: usize| {
        let path = ["top/", &"d/".repeat(depth - 1), "file"].concat();
        Tar::default().pax(b'x', &[("path", path.as_bytes())]).file(b"top/short", b"").end()
    };
    assert!(read(&*deep(10), &LIMITS).is_ok());
    refused(
        &deep(11),
        &expect![
            "entry `top/d/d/d/d/d/d/d/d/d/d/file` is below 11 directories: expected at most 10, the limit of `release.toml`"
        ],
    );
    refused(
        &deep(10_000),
        &expect![
            "the archive has a path of 20006 bytes, `top/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/…`: expected at most 4095"
        ],
    );
    let long = Tar::default().entry(b'K', 0, b"long", b"", &[b'x'; 5000]).symlink(b"top/link", b"");
    refused(
        &long.end(),
        &expect![
            "the archive has a path of 5000 bytes, `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…`: expected at most 4095"
        ],
    );
    let name = [&b"top/"[..], &[b'n'; 256]].concat();
    let refusal =
        read(&*Tar::default().pax(b'x', &[("path", &name)]).file(b"x", b"").end(), &LIMITS);
    expect![" has a name of more than 255 bytes, which no file system has"]
        .assert_eq(refusal.unwrap_err().to_string().rsplit('`').next().unwrap());

    let mut names = Tar::default();
    let mut links = Tar::default();
    let mut ways = Tar::default();
    for i in 0..50 {
        let name = format!("top/{i:0250}");
        names = names.pax(b'x', &[("path", name.as_bytes())]).file(b"x", b"");
        links = links
            .pax(b'x', &[("linkpath", name.as_bytes())])
            .symlink(format!("top/{i}").as_bytes(), b"");
        ways = ways.file(format!("top/{i}/b/c").as_bytes(), b"");
    }
    let many =
        expect!["the names in the archive have more than 10000 bytes, the limit of `release.toml`"];
    refused(&names.end(), &many);
    refused(&links.end(), &many);
    refused(
        &ways.end(),
        &expect!["the archive has more than 100 entries, the limit of `release.toml`"],
    );

    // As deep as a path can be, for those who set their own limit.
    let deepest = Limits { depth: 5000, entries: 5000, ..LIMITS };
    assert!(read(&*deep(2044), &deepest).unwrap().nar_hash().is_ok());
}

#[test]
fn extended_headers_that_change_what_an_entry_is_are_refused() {
    let sparse = |kind, key| Tar::default().pax(kind, &[(key, b"1")]).file(b"top/a", b"1").end();
    let one = expect!["an extended header is of a sparse file: expected whole ones"];
    refused(&sparse(b'x', "GNU.sparse.major"), &one);
    refused(&sparse(b'x', "GNU.sparse.map"), &one);
    refused(&sparse(b'x', "SUN.holesdata"), &one);
    refused(
        &sparse(b'g', "GNU.sparse.size"),
        &expect!["a global extended header has a `GNU.sparse.size` for all entries"],
    );
    refused(
        &sparse(b'g', "path"),
        &expect!["a global extended header has a `path` for all entries"],
    );
    refused(
        &sparse(b'g', "linkpath"),
        &expect!["a global extended header has a `linkpath` for all entries"],
    );
    refused(
        &sparse(b'g', "size"),
        &expect!["a global extended header has a `size` for all entries"],
    );
}

#[test]
fn what_is_not_only_the_commits() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n";
    let archive = Tar::default()
        .dir(b"r/")
        .file(b"r/.gitattributes", b"*.txt export-subst\n")
        .file("r/caf\u{e9}/.gitattributes".as_bytes(), b"x export-ignore\n")
        .file(b"r/.gitmodules", b"[submodule \"s\"]\n\tpath = libs/s\n")
        .file(b"r/data.bin", pointer)
        .file(b"r/short", b"version")
        .file(b"r/no-pointer", &[&pointer[..], &[b' '; 1024]].concat())
        .dir(b"r/d/")
        .file(b"r/d/Makefile", b"")
        .file(b"r/d/makefile", b"")
        .end();
    let mut read = read(&*archive, &LIMITS).unwrap();
    expect![[r#"
        Peculiarities {
            substituted: Names {
                first: [
                    "`*.txt` (.gitattributes:1)",
                ],
                count: 1,
            },
            left_out: Names {
                first: [
                    "`x` (caf\\xc3\\xa9/.gitattributes:1)",
                ],
                count: 1,
            },
            lfs_pointers: Names {
                first: [
                    "data.bin",
                ],
                count: 1,
            },
            submodules: Names {
                first: [
                    "libs/s",
                ],
                count: 1,
            },
            colliding: Names {
                first: [
                    "d/Makefile and d/makefile",
                ],
                count: 1,
            },
        }
    "#]]
    .assert_debug_eq(&read.peculiarities(1000).unwrap());
    assert_eq!(read.file("data.bin", 1000).unwrap().unwrap(), pointer);
    let error = read.peculiarities(10).unwrap_err().to_string();
    assert!(error.contains("`.gitattributes` of upstream to be a small file"), "{error}");
}
