//! Where the files of one run are, and what is kept of them when a tree does not pass.
//!
//! ```text
//! $TMPDIR/smoke-XXXXXX/PROBE/log      what each command wrote
//! $TMPDIR/smoke-XXXXXX/PROBE/dagster  its `$DAGSTER_HOME`
//! $TMPDIR/smoke-XXXXXX/PROBE/home     its `$HOME`
//! /tmp/xtask-PID-XXXXXX/N             its `$TMPDIR`
//! ```
//!
//! The last is short, whatever our own `$TMPDIR` is: Dagster makes sockets in it, and the path of a
//! socket may have 103 bytes (macOS; 107 on Linux). Beyond that Dagster tries again for 3 minutes.
//! The others are below `/tmp` too where `$TMPDIR` is so long that SQLite, whose paths may have 512
//! bytes (`MAX_PATHNAME` of its `os_unix.c`), could not open Dagster's databases.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::{Builder, TempDir};

use crate::ui;

const SHORT: &str = "/tmp";
/// The longest path, in bytes, below which databases are made. A probe's name, Dagster's
/// directories, a run's id and `-journal` come to 150 bytes more, and names may be longer some day.
const LONGEST: usize = 250;
/// How often a directory's removal is tried, with a pause after each.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_millis(100);
/// What a probe's directory holds that explains a failure. The rest is made of links, or large.
const TELLING: [&str; 2] = ["log", "dagster"];

/// The directories of one run. They are removed with this value.
pub struct Places {
    scratch: Place,
    /// `None`: it could not be made, and is below the scratch directory.
    short: Option<Place>,
}

/// A temporary directory that is removed with this value. What a probe started may write to it to
/// the last, and a disk has bad moments: it is tried again, and said where it stays.
struct Place(PathBuf);

impl Place {
    fn of(dir: TempDir) -> Self {
        Self(dir.keep())
    }

    fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.as_os_str().is_empty() {
            return;
        }
        let mut tries = 0;
        while let Err(error) = fs::remove_dir_all(&self.0) {
            tries += 1;
            if error.kind() == ErrorKind::NotFound {
                return;
            }
            if tries == TRIES {
                ui::warning(format!("failed to remove `{}`: {error}", self.0.display()));
                return;
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Places {
    pub fn make() -> Result<Self> {
        Self::make_below(&std::env::temp_dir(), Path::new(SHORT))
    }

    /// The same with our own directory for temporary files, and one that is short.
    fn make_below(own: &Path, dir: &Path) -> Result<Self> {
        let scratch = scratch_below(own, dir)?;
        let prefix = format!("xtask-{}-", std::process::id());
        let short = Builder::new().prefix(&prefix).tempdir_in(dir);
        if let Err(error) = &short {
            ui::warning(format!(
                "failed to make a directory in `{}` ({error}): sockets are made below `{}`, \
                 which may be too long for them",
                dir.display(),
                scratch.path().display()
            ));
        }
        Ok(Self { scratch: Place::of(scratch), short: short.ok().map(Place::of) })
    }

    /// All directories: what must not be left.
    pub fn all(&self) -> Vec<&Path> {
        self.short.iter().chain([&self.scratch]).map(|place| place.0.as_path()).collect()
    }

    /// The scratch directory. Processes get to see its resolved path: a link on the way is not
    /// theirs to compare.
    pub fn scratch(&self) -> Result<PathBuf> {
        resolved(&self.scratch.0)
    }

    /// The directory for the probes' temporary files.
    pub fn temporary(&self) -> Result<PathBuf> {
        match &self.short {
            Some(short) => resolved(&short.0),
            None => Ok(self.scratch()?.join("t")),
        }
    }

    /// Keeps what explains a failure, and returns where it is: in a directory of its own below
    /// `logs`, named after the tree, else where it is.
    pub fn keep(self, logs: Option<&Path>, tree: &str) -> PathBuf {
        match logs.map(|logs| keep_in(logs, tree, &self.scratch.0)) {
            Some(Ok(kept)) => return kept,
            Some(Err(error)) => ui::warning(format!("{error:#}")),
            None => {}
        }
        self.scratch.keep()
    }
}

/// Makes the scratch directory in our own directory for temporary files, if databases can be opened
/// there, else in the short one.
fn scratch_below(own: &Path, short: &Path) -> Result<TempDir> {
    let scratch = |dir: &Path| Builder::new().prefix("smoke-").tempdir_in(dir);
    let failed = || format!("failed to make a temporary directory in `{}`", own.display());
    let length = resolved(own)?.as_os_str().len();
    if length <= LONGEST {
        return scratch(own).with_context(failed);
    }
    let too_long = format!("`{}` has {length} bytes, too many for databases", own.display());
    match scratch(short) {
        Ok(scratch) => {
            ui::detail(format!("{too_long}: they are in `{}`", short.display()));
            Ok(scratch)
        }
        Err(error) => {
            let short = short.display();
            ui::warning(format!("{too_long}, and no directory can be made in `{short}` ({error})"));
            scratch(own).with_context(failed)
        }
    }
}

fn resolved(path: &Path) -> Result<PathBuf> {
    path.canonicalize().with_context(|| format!("failed to resolve `{}`", path.display()))
}

fn keep_in(logs: &Path, tree: &str, scratch: &Path) -> Result<PathBuf> {
    let failed = || format!("failed to keep the logs in `{}`", logs.display());
    fs::create_dir_all(logs).with_context(failed)?;
    let logs = logs.canonicalize().with_context(failed)?;
    let name: String =
        tree.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = name.trim_matches('-');
    // What an earlier run left stays.
    let names = std::iter::once(name.to_owned()).chain((2..).map(|n| format!("{name}-{n}")));
    let mut free = names.map(|name| logs.join(name)).skip_while(|dir| dir.exists());
    let kept = free.next().with_context(failed)?;
    fs::create_dir(&kept).with_context(failed)?;
    for probe in directories(scratch) {
        let to = kept.join(probe.file_name().unwrap_or_default());
        copy_files(&probe, &to).with_context(failed)?;
        for name in TELLING {
            copy_all(&probe.join(name), &to.join(name)).with_context(failed)?;
        }
    }
    Ok(kept)
}

/// The directories in a directory, links to some aside.
fn directories(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    entries.map(|entry| entry.path()).collect()
}

fn copy_all(from: &Path, to: &Path) -> std::io::Result<()> {
    copy_files(from, to)?;
    for dir in directories(from) {
        copy_all(&dir, &to.join(dir.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

/// Copies the regular files of a directory that is there.
fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            fs::create_dir_all(to)?;
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_fit_whatever_our_own_directory_is() {
        let places = Places::make().unwrap();
        let socket = places.temporary().unwrap().join("999/tmpabcdefgh");
        assert!(socket.as_os_str().len() <= 103, "{}", socket.display());
        let all: Vec<PathBuf> = places.all().into_iter().map(Path::to_owned).collect();
        drop(places);
        assert!(all.iter().all(|dir| !dir.exists()));
    }

    #[test]
    fn where_tmp_cannot_be_written_to_the_scratch_directory_does() {
        let places = Places::make_below(&std::env::temp_dir(), Path::new("/nowhere")).unwrap();
        assert!(places.temporary().unwrap().starts_with(places.scratch().unwrap()));
        assert_eq!(places.all().len(), 1);
    }

    #[test]
    fn databases_can_be_opened_whatever_our_own_directory_is() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        for length in [100, LONGEST, LONGEST + 1, 450] {
            let mut own = dir.clone();
            while own.as_os_str().len() < length {
                let missing = length - own.as_os_str().len();
                // a name of at least one byte and `/`; one byte alone cannot be added
                own.push("d".repeat(if missing <= 201 { missing - 1 } else { 150 }));
            }
            fs::create_dir_all(&own).unwrap();
            assert_eq!(own.as_os_str().len(), length);
            let places = Places::make_below(&own, Path::new(SHORT)).unwrap();
            let scratch = places.scratch().unwrap();
            assert_eq!(scratch.starts_with(&own), length <= LONGEST, "{}", scratch.display());
            let database = scratch
                .join("a".repeat(60))
                .join(".tmp_dagster_home_12345678/history/runs")
                .join(format!("{}.db-journal", "0".repeat(36)));
            assert!(database.as_os_str().len() < 512, "{}", database.display());
            // Where there is no short one, it is said, and tried all the same.
            let places = Places::make_below(&own, Path::new("/nowhere")).unwrap();
            assert!(places.scratch().unwrap().starts_with(&own));
        }
    }

    #[test]
    fn logs_are_kept_and_links_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("kept");
        for expected in ["-x-1-12-1", "-x-1-12-1-2"].map(|name| name.trim_start_matches('-')) {
            let places = Places::make().unwrap();
            let probe = places.scratch().unwrap().join("web-page");
            for file in ["task.json", "log/dagster.err", "dagster/a/b.db", "home/c", "t/d"] {
                let path = probe.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, file).unwrap();
            }
            std::os::unix::fs::symlink("/", probe.join("log/link")).unwrap();
            let all: Vec<PathBuf> = places.all().into_iter().map(Path::to_owned).collect();
            let kept = places.keep(Some(&logs), "/x/1.12.1");
            assert_eq!(kept, logs.canonicalize().unwrap().join(expected));
            assert!(all.iter().all(|dir| !dir.exists()));
            let kept = kept.join("web-page");
            let there =
                ["task.json", "log/dagster.err", "dagster/a/b.db"].map(|file| kept.join(file));
            assert!(there.iter().all(|path| path.is_file()));
            assert_eq!(fs::read_dir(&kept).unwrap().count(), 3);
            assert_eq!(fs::read_dir(kept.join("log")).unwrap().count(), 1);
        }
    }
}
