//! Source archives (`.tar.gz`), read as they stream in. Nothing is ever unpacked by name.
//!
//! gunzip → tar → a tree of names in memory and one nameless spool of contents → NAR → SHA-256. The
//! hash is that of the tree below the archive's one top directory, which is what `fetchFromGitHub`
//! calls `hash`. The spool is needed because a NAR is sorted by name and an archive is not.
//!
//! Headers are those of POSIX.1-2001 ("pax Interchange Format") and of GNU tar (long names). What
//! an honest archive of a repository does not have is refused: see the tests.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fmt;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use anyhow::{Context as _, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use tar::{EntryType, Header, PaxExtensions};
use tempfile::SpooledTempFile;

use crate::model::nar::{self, Mode};
use crate::model::peculiarities::{
    ATTRIBUTES, LFS_POINTER, LONGEST_LFS_POINTER, MODULES, Peculiarities, shown,
};
use crate::model::sri::Sri;

const BLOCK: usize = 512;
/// More than this in one extended header is no file name.
const LONGEST_HEADER: u64 = 1 << 20;
/// Bytes of a path, or of what a link points to: `PATH_MAX` of Linux, less its NUL.
const LONGEST_PATH: usize = 4095;
/// Bytes of one name that file systems have room for (`NAME_MAX`).
const LONGEST_NAME: usize = 255;
/// More `.gitattributes` than this are not read.
const MOST_OF_GITS_OWN: usize = 1000;
/// Contents up to this many bytes stay in memory.
const IN_MEMORY: usize = 32 << 20;

/// What an archive may come to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes, unpacked.
    pub bytes: u64,
    /// Headers, and directories that are only on the way to others.
    pub entries: u64,
    /// Directories within each other.
    pub depth: usize,
    /// Bytes of all names, and of all that links point to.
    pub names: u64,
}

/// An archive that was read to its end.
#[derive(Debug)]
pub struct Archive {
    tree: Directory,
    contents: SpooledTempFile,
    commit: Option<String>,
}

type Directory = BTreeMap<Vec<u8>, Item>;

/// What one name stands for.
#[derive(Debug)]
enum Item {
    Directory {
        items: Directory,
        /// Has it an entry of its own, or is it only on the way to others?
        is_named: bool,
    },
    File(File),
    Symlink(Vec<u8>),
}

#[derive(Debug, Clone, Copy)]
struct File {
    mode: Mode,
    /// Where its contents begin in the spool.
    offset: u64,
    size: u64,
    is_lfs_pointer: bool,
}

/// Reads an archive to the last byte of the stream.
///
/// # Errors
/// For a stream that is cut short or corrupt, for an archive beyond the limits, and for every entry
/// that could be anything else than a part of one directory tree; the message names the entry.
pub fn read(stream: impl Read, limits: &Limits) -> Result<Archive> {
    let stream = MultiGzDecoder::new(BufReader::with_capacity(1 << 16, stream));
    let mut reader = Reader {
        stream: Limited { inner: stream, left: limits.bytes, limit: limits.bytes },
        tree: Directory::new(),
        contents: SpooledTempFile::new(IN_MEMORY),
        written: 0,
        commit: None,
        limits: *limits,
        kept: Kept::default(),
    };
    let mut extended = Extended::default();
    while let Some(header) = reader.header()? {
        reader.kept.entry(limits)?;
        if !reader.extension(&header, &mut extended)? {
            reader.entry(&header, std::mem::take(&mut extended))?;
        }
    }
    // The rest is padding; reading it checks the checksum at its end.
    io::copy(&mut reader.stream, &mut io::sink()).map_err(broken)?;

    let Reader { mut tree, contents, commit, .. } = reader;
    match tree.pop_first() {
        Some((_, Item::Directory { items, .. })) => Ok(Archive { tree: items, contents, commit }),
        // `Reader::place` lets nothing else be at the top.
        _ => bail!("the archive is empty"),
    }
}

impl Archive {
    /// The SRI hash of the tree below the top directory.
    pub fn nar_hash(&mut self) -> Result<Sri> {
        let contents = &mut self.contents;
        nar::hash(|node| node.directory(|dir| write(&self.tree, contents, dir)))
            .context("failed to hash the archive's contents")
    }

    /// The contents of a file, by its path below the top directory; `None` for anything else than
    /// a file, and for one that is larger than `limit` bytes.
    pub fn file(&mut self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = names(path.as_bytes()).ok().and_then(|names| find(&self.tree, &names))
        else {
            return Ok(None);
        };
        if file.size > limit {
            return Ok(None);
        }
        self.contents_of(file).map(Some)
    }

    fn contents_of(&mut self, file: File) -> Result<Vec<u8>> {
        let mut contents = vec![0; file.size as usize];
        self.contents.seek(SeekFrom::Start(file.offset))?;
        self.contents.read_exact(&mut contents)?;
        Ok(contents)
    }

    /// Is there a file, by its path below the top directory?
    pub fn has_file(&self, path: &str) -> bool {
        names(path.as_bytes()).is_ok_and(|names| find(&self.tree, &names).is_some())
    }

    /// What is not only the commit's, or not the same on every file system.
    ///
    /// # Errors
    /// For a file of git's own that is larger than `limit` bytes.
    pub fn peculiarities(&mut self, limit: u64) -> Result<Peculiarities> {
        let (mut found, mut own) = (Peculiarities::default(), Vec::new());
        look(&self.tree, &mut Vec::new(), &mut found, &mut own);
        ensure!(
            own.len() <= MOST_OF_GITS_OWN,
            "expected at most {MOST_OF_GITS_OWN} files with git's attributes in upstream's source"
        );
        for (path, file) in own {
            ensure!(file.size <= limit, "expected `{path}` of upstream to be a small file");
            let contents = self.contents_of(file)?;
            let text = String::from_utf8_lossy(&contents);
            match path.as_str() {
                MODULES => found.add_modules(&text),
                path => found.add_attributes(path, &text),
            }
        }
        Ok(found)
    }

    /// The names of the directories in a directory.
    pub fn directories(&self, path: &str) -> Vec<String> {
        let mut items = &self.tree;
        for name in path.split('/') {
            let Some(Item::Directory { items: below, .. }) = items.get(name.as_bytes()) else {
                return Vec::new();
            };
            items = below;
        }
        let is_directory = |item: &Item| matches!(item, Item::Directory { .. });
        items
            .iter()
            .filter(|(_, item)| is_directory(item))
            .filter_map(|(name, _)| String::from_utf8(name.clone()).ok())
            .collect()
    }

    /// The commit that `git archive` says the archive is of: 40 or 64 hexadecimal digits, the
    /// comment of its global extended header.
    pub fn commit(&self) -> Option<&str> {
        self.commit.as_deref()
    }
}

/// Collects what is peculiar below a directory, whose path ends with a slash or is empty, and the
/// files of git's own there.
fn look(
    items: &Directory,
    path: &mut Vec<u8>,
    found: &mut Peculiarities,
    own: &mut Vec<(String, File)>,
) {
    found.add_names(path, items.keys().map(Vec::as_slice));
    for (name, item) in items {
        match item {
            Item::Directory { items, .. } => {
                let length = path.len();
                path.extend_from_slice(name);
                path.push(b'/');
                look(items, path, found, own);
                path.truncate(length);
            }
            Item::File(file) => {
                if file.is_lfs_pointer {
                    found.lfs_pointers.add(|| shown(&[path, name]));
                }
                let is_own =
                    name == ATTRIBUTES.as_bytes() || path.is_empty() && name == MODULES.as_bytes();
                if is_own && own.len() <= MOST_OF_GITS_OWN {
                    own.push((shown(&[path, name]), *file));
                }
            }
            Item::Symlink(_) => {}
        }
    }
}

fn write<W: Write>(
    items: &Directory,
    contents: &mut SpooledTempFile,
    dir: &mut nar::Directory<'_, W>,
) -> io::Result<()> {
    for (name, item) in items {
        dir.entry(name, |node| match item {
            Item::Directory { items, .. } => node.directory(|dir| write(items, contents, dir)),
            Item::Symlink(target) => node.symlink(target),
            Item::File(file) => {
                contents.seek(SeekFrom::Start(file.offset))?;
                node.file(file.mode, file.size, &mut *contents)
            }
        })?;
    }
    Ok(())
}

/// What extended headers say about the entry that follows them.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

struct Reader<R> {
    stream: Limited<R>,
    tree: Directory,
    contents: SpooledTempFile,
    /// Bytes in `contents`.
    written: u64,
    commit: Option<String>,
    limits: Limits,
    kept: Kept,
}

/// How much of an archive is kept in memory.
#[derive(Default)]
struct Kept {
    entries: u64,
    names: u64,
}

impl Kept {
    fn entry(&mut self, limits: &Limits) -> Result<()> {
        self.entries += 1;
        ensure!(
            self.entries <= limits.entries,
            "the archive has more than {} entries, the limit of `release.toml`",
            limits.entries
        );
        Ok(())
    }

    fn name(&mut self, name: &[u8], limits: &Limits) -> Result<()> {
        self.names += name.len() as u64;
        ensure!(
            self.names <= limits.names,
            "the names in the archive have more than {} bytes, the limit of `release.toml`",
            limits.names
        );
        Ok(())
    }
}

impl<R: Read> Reader<R> {
    /// The next header; none at the block of zeros that ends the archive.
    fn header(&mut self) -> Result<Option<Header>> {
        let mut block = [0; BLOCK];
        self.stream.read_exact(&mut block).map_err(broken)?;
        if block == [0; BLOCK] {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block);
        // The checksum counts its own field as eight spaces.
        let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
        let found = sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..]);
        ensure!(
            header.cksum().is_ok_and(|expected| expected == found),
            "the archive is corrupt: a header does not match its checksum"
        );
        Ok(Some(header.clone()))
    }

    /// Reads an extended header; `false` when it is an ordinary one.
    fn extension(&mut self, header: &Header, extended: &mut Extended) -> Result<bool> {
        match header.entry_type() {
            EntryType::GNULongName => extended.path = Some(self.long_name(header)?),
            EntryType::GNULongLink => extended.link = Some(self.long_name(header)?),
            EntryType::XHeader => {
                let data = self.data(header)?;
                for field in PaxExtensions::new(&data) {
                    let field = field.context("the archive has a malformed extended header")?;
                    match field.key_bytes() {
                        key if is_of_sparse_files(key) => {
                            bail!("an extended header is of a sparse file: expected whole ones")
                        }
                        b"path" => extended.path = Some(field.value_bytes().to_vec()),
                        b"linkpath" => extended.link = Some(field.value_bytes().to_vec()),
                        b"size" => {
                            let size = field.value().ok().and_then(|value| value.parse().ok());
                            extended.size = Some(size.context("an extended header has no size")?);
                        }
                        _ => {}
                    }
                }
            }
            EntryType::XGlobalHeader => {
                let data = self.data(header)?;
                for field in PaxExtensions::new(&data) {
                    let field = field.context("the archive has a malformed extended header")?;
                    match field.key_bytes() {
                        b"comment" => {
                            self.commit =
                                field.value().ok().filter(|text| is_commit(text)).map(Into::into);
                        }
                        // What holds for every entry from here on, which no archive of git's says
                        // and not every reader heeds.
                        key if matches!(key, b"path" | b"linkpath" | b"size")
                            || is_of_sparse_files(key) =>
                        {
                            let key = key.escape_ascii();
                            bail!("a global extended header has a `{key}` for all entries")
                        }
                        _ => {}
                    }
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Reads one entry and puts it into the tree.
    fn entry(&mut self, header: &Header, extended: Extended) -> Result<()> {
        let path = extended.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = extended.link.or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        for path in [Some(&path), link.as_ref()].into_iter().flatten() {
            let (length, start) = (path.len(), path[..path.len().min(60)].escape_ascii());
            ensure!(
                length <= LONGEST_PATH,
                "the archive has a path of {length} bytes, `{start}…`: expected at most \
                 {LONGEST_PATH}"
            );
        }
        let shown = path.escape_ascii().to_string();
        let header_size = || header.entry_size().context("a header has no size");
        let item = match header.entry_type() {
            // Archives from before POSIX mark a directory by the slash alone.
            EntryType::Regular if path.ends_with(b"/") => directory(),
            EntryType::Directory => directory(),
            EntryType::Regular => {
                let size = extended.size.map_or_else(header_size, Ok)?;
                let mode = header.mode().with_context(|| format!("entry `{shown}` has no mode"))?;
                let mode = if mode & 0o100 == 0 { Mode::Regular } else { Mode::Executable };
                Item::File(self.spool(mode, size)?)
            }
            EntryType::Symlink => match link {
                Some(target) if !target.is_empty() && !target.contains(&0) => {
                    self.kept.name(&target, &self.limits)?;
                    Item::Symlink(target)
                }
                _ => bail!("entry `{shown}` is a symbolic link to nowhere"),
            },
            EntryType::Link => {
                let target = link.unwrap_or_default();
                let found = names(&target).ok().and_then(|names| find(&self.tree, &names));
                let file = found.with_context(|| {
                    let target = target.escape_ascii();
                    format!("entry `{shown}` is a link to `{target}`, which no earlier entry is")
                })?;
                Item::File(file)
            }
            other => bail!(
                "entry `{shown}` is {}: expected files, directories and symbolic links",
                kind_name(other)
            ),
        };
        self.place(&path, item)
    }

    /// Puts an item where its path says.
    fn place(&mut self, path: &[u8], item: Item) -> Result<()> {
        let shown = path.escape_ascii();
        let names = names(path)?;
        let Some((name, parents)) = names.split_last() else {
            ensure!(matches!(item, Item::Directory { .. }), "entry `{shown}` has no name");
            return Ok(());
        };
        if let Some(top) = self.tree.keys().next()
            && top != names[0]
        {
            let (one, other) = (top.escape_ascii(), names[0].escape_ascii());
            bail!("expected one top directory, found `{one}` and `{other}`");
        }
        let is_top = parents.is_empty();
        ensure!(
            !is_top || matches!(item, Item::Directory { .. }),
            "expected a directory at the top, found `{shown}`, which is none"
        );
        ensure!(
            parents.len() <= self.limits.depth,
            "entry `{shown}` is below {} directories: expected at most {}, the limit of \
             `release.toml`",
            parents.len(),
            self.limits.depth
        );
        let mut items = &mut self.tree;
        for parent in parents {
            let next = match items.entry(parent.to_vec()) {
                Slot::Occupied(slot) => slot.into_mut(),
                Slot::Vacant(slot) => {
                    self.kept.entry(&self.limits)?;
                    self.kept.name(parent, &self.limits)?;
                    slot.insert(unnamed_directory())
                }
            };
            let Item::Directory { items: below, .. } = next else {
                bail!(
                    "entry `{shown}` passes through `{}`, which is no directory",
                    parent.escape_ascii()
                );
            };
            items = below;
        }
        match (items.entry(name.to_vec()), item) {
            (Slot::Vacant(slot), item) => {
                self.kept.name(name, &self.limits)?;
                slot.insert(item);
            }
            (Slot::Occupied(mut slot), Item::Directory { .. }) => match slot.get_mut() {
                Item::Directory { is_named: is_named @ false, .. } => *is_named = true,
                _ => bail!("entry `{shown}` is there twice"),
            },
            (Slot::Occupied(_), _) => bail!("entry `{shown}` is there twice"),
        }
        Ok(())
    }

    /// Copies the contents of a file to the spool.
    fn spool(&mut self, mode: Mode, size: u64) -> Result<File> {
        let offset = self.written;
        let mut start = Vec::new();
        if size <= LONGEST_LFS_POINTER {
            let looked_at = size.min(LFS_POINTER.len() as u64);
            (&mut self.stream).take(looked_at).read_to_end(&mut start).map_err(broken)?;
        }
        let file = File { mode, offset, size, is_lfs_pointer: start == LFS_POINTER };
        let rest = size - start.len() as u64;
        let mut contents = start.as_slice().chain((&mut self.stream).take(rest));
        let copied = io::copy(&mut contents, &mut self.contents).map_err(broken)?;
        if copied != size {
            return Err(broken(io::ErrorKind::UnexpectedEof.into()));
        }
        self.written += size;
        self.skip_padding(size)?;
        Ok(file)
    }

    /// The data of an extended header.
    fn data(&mut self, header: &Header) -> Result<Vec<u8>> {
        let size = header.entry_size().context("a header has no size")?;
        ensure!(size <= LONGEST_HEADER, "the archive has an extended header of {size} bytes");
        let mut data = vec![0; size as usize];
        self.stream.read_exact(&mut data).map_err(broken)?;
        self.skip_padding(size)?;
        Ok(data)
    }

    /// A name in GNU tar's form: its bytes and a NUL.
    fn long_name(&mut self, header: &Header) -> Result<Vec<u8>> {
        let mut name = self.data(header)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    fn skip_padding(&mut self, size: u64) -> Result<()> {
        let count = (size.wrapping_neg() % BLOCK as u64) as usize;
        self.stream.read_exact(&mut [0; BLOCK][..count]).map_err(broken)
    }
}

fn directory() -> Item {
    Item::Directory { items: Directory::new(), is_named: true }
}

fn unnamed_directory() -> Item {
    Item::Directory { items: Directory::new(), is_named: false }
}

/// The names of a path, without `.`.
fn names(path: &[u8]) -> Result<Vec<&[u8]>> {
    let shown = path.escape_ascii();
    let names: Vec<&[u8]> =
        path.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    ensure!(
        !path.starts_with(b"/") && !names.contains(&&b".."[..]),
        "entry `{shown}` escapes the archive's top directory"
    );
    ensure!(names.iter().all(|name| nar::is_name(name)), "entry `{shown}` has an impossible name");
    ensure!(
        names.iter().all(|name| name.len() <= LONGEST_NAME),
        "entry `{shown}` has a name of more than {LONGEST_NAME} bytes, which no file system has"
    );
    Ok(names)
}

fn find(tree: &Directory, names: &[&[u8]]) -> Option<File> {
    let (name, parents) = names.split_last()?;
    let mut items = tree;
    for parent in parents {
        let Item::Directory { items: below, .. } = items.get(*parent)? else { return None };
        items = below;
    }
    match items.get(*name)? {
        Item::File(file) => Some(*file),
        _ => None,
    }
}

/// Has a key of an extended header to do with how GNU tar (`GNU.sparse.major`, …) or Solaris' tar
/// leaves out what a file has zeros for?
fn is_of_sparse_files(key: &[u8]) -> bool {
    key.starts_with(b"GNU.sparse.") || key.starts_with(b"SUN.holesdata")
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn kind_name(kind: EntryType) -> String {
    match kind {
        EntryType::Char => "a character device".to_owned(),
        EntryType::Block => "a block device".to_owned(),
        EntryType::Fifo => "a named pipe".to_owned(),
        EntryType::GNUSparse => "a sparse file".to_owned(),
        other => format!("of type `{}`", other.as_byte().escape_ascii()),
    }
}

/// A stream that may give so many bytes and no more.
struct Limited<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::other(format!(
                "the archive unpacks to more than {} bytes, the limit of `release.toml`",
                self.limit
            ))
        })?;
        Ok(count)
    }
}

/// The stream ended before the archive did.
#[derive(Debug)]
struct CutShort;

impl fmt::Display for CutShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the archive is cut short")
    }
}

impl std::error::Error for CutShort {}

/// Is it an error of [`read`] that another reading of the stream may not have?
pub fn is_cut_short(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<CutShort>())
}

/// What an error of the stream means.
fn broken(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => CutShort.into(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            anyhow::anyhow!("the archive is not valid gzip: {error}")
        }
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests;
