//! One run at a time in a checkout, whichever command writes there.
//!
//! The lock is the kernel's (`flock`) on a file in git's own directory, the same for all worktrees
//! of a repository. It ends with the run that holds it, however that ends: what a killed run left
//! locks nothing. The file says who holds it, for those who find it locked.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::git::Git;
use super::journal;
use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::{interrupt, ui};

/// Not named like a lock of git's.
const FILE: &str = "xtask-running.json";

/// The right to write to a checkout, for as long as the value lives.
#[must_use]
pub struct Lock {
    file: Arc<File>,
    path: PathBuf,
    root: PathBuf,
    /// Seconds since 1970 (UTC).
    since: u64,
    killed_since: Option<u64>,
    is_put_right: bool,
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    user: String,
    /// As `release 1.9.12`.
    command: String,
    /// Seconds since 1970 (UTC).
    since: u64,
    /// The last line of progress.
    step: String,
    /// When a run before this one started that was killed, as long as what it left is there.
    #[serde(default)]
    killed_since: Option<u64>,
}

impl Lock {
    /// Takes the lock for a command, as `release 1.9.12`.
    ///
    /// # Errors
    /// When another run has it: who, since when and at which step.
    pub fn take(checkout: &Checkout, command: &str) -> Result<Self> {
        let path = checkout.git().common_dir()?.join(FILE);
        let (file, killed) = locked(&path)?;
        let file = Arc::new(file);
        let killed_since = killed.map(|killed| killed.killed_since.unwrap_or(killed.since));
        let holder = Holder {
            pid: std::process::id(),
            user: std::env::var("USER").unwrap_or_default(),
            command: command.to_owned(),
            since: now(),
            step: String::new(),
            killed_since,
        };
        let (root, since) = (checkout.root.clone(), holder.since);
        write(&file, &holder).with_context(|| format!("failed to write `{}`", path.display()))?;
        let of_steps = Arc::clone(&file);
        ui::on_step(move |step| {
            // It only tells others; a full disk stops something else.
            let _ = write(&of_steps, &Holder { step: step.to_owned(), ..holder.clone() });
        });
        let is_put_right = killed_since.is_none();
        Ok(Self { file, path, root, since, killed_since, is_put_right })
    }

    /// When the run before this one started (seconds since 1970), if it was killed.
    pub fn killed_since(&self) -> Option<u64> {
        self.killed_since
    }

    /// Says that nothing is left of a run that was killed. Before that the next run is told of it,
    /// as this one was.
    pub fn put_right(&mut self) {
        self.is_put_right = true;
    }

    /// A git that is ended while it has a lock of its own leaves it: removes those of this run.
    pub fn remove_those_of_git(&self) -> Result<()> {
        Git::asked_at(&self.root, |git| {
            let left = git.lock_files()?.into_iter().filter(|file| file.since >= self.since);
            let mut left = left.filter(|_| git.runs() == Some(false));
            left.try_for_each(|file| file.remove())
        })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        ui::on_step(|_| {});
        if interrupt::is_set()
            && let Err(error) = self.remove_those_of_git()
        {
            ui::warning(format!("failed to look for what git left: {error:#}"));
        }
        // In this order: whoever has opened the file by now sees that it is no longer that one.
        if self.is_put_right {
            let _ = std::fs::remove_file(&self.path);
        }
        let _ = self.file.unlock();
    }
}

/// The file of the lock, locked, and who had it and did not give it back.
fn locked(path: &Path) -> Result<(File, Option<Holder>)> {
    loop {
        let opened =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path);
        let file = opened.map_err(|error| journal::in_the_way("open", path, error))?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => {
                let killed = holder(&file);
                return Ok((file, killed));
            }
            // The run that had it removed it between the two.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(held(holder(&file), now()).into());
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("failed to lock `{}`", path.display()));
            }
        }
    }
}

fn holder(mut file: &File) -> Option<Holder> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn is_at(file: &File, path: &Path) -> bool {
    let id = |metadata: std::io::Result<std::fs::Metadata>| {
        metadata.ok().map(|metadata| (metadata.dev(), metadata.ino()))
    };
    id(file.metadata()) == id(std::fs::metadata(path))
}

fn write(file: &File, holder: &Holder) -> Result<()> {
    let text = serde_json::to_vec(holder)?;
    file.write_all_at(&text, 0)?;
    file.set_len(text.len() as u64)?;
    (&*file).flush()?;
    Ok(())
}

fn held(holder: Option<Holder>, now: u64) -> Failure {
    let failure = Failure::failed("another run of this tool is at work in this repository");
    let Some(Holder { pid, user, command, since, step, .. }) = holder else {
        return failure.hint("wait until it has ended");
    };
    let seconds = now.saturating_sub(since);
    let age = match seconds {
        0..120 => format!("{seconds} s"),
        _ => format!("{} min", seconds / 60),
    };
    let user = if user.is_empty() { user } else { format!(" of {user}") };
    let step = if step.is_empty() { step } else { format!(", now at: {step}") };
    failure
        .caused_by(anyhow::anyhow!("`{command}` (process {pid}{user}), for {age}{step}"))
        .hint("wait until it has ended; this run has touched nothing")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_told() {
        let holder = Holder {
            pid: 7,
            user: "me".to_owned(),
            command: "release 1.9.12".to_owned(),
            since: 1_000,
            step: "Building combined".to_owned(),
            killed_since: None,
        };
        let told = |holder, now| crate::failure::render(&held(holder, now).into());
        expect_test::expect![[r#"
            error: another run of this tool is at work in this repository
              Caused by: `release 1.9.12` (process 7 of me), for 12 min, now at: Building combined
            hint: wait until it has ended; this run has touched nothing
        "#]]
        .assert_eq(&told(Some(holder), 1_720));
        assert!(told(None, 0).ends_with("hint: wait until it has ended\n"));
    }

    #[test]
    fn a_file_that_was_left_locks_nothing_and_one_that_is_held_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        std::fs::write(&path, "left").unwrap();
        let (held, _) = locked(&path).unwrap();
        assert!(locked(&path).is_err());
        // Removed while it is held, as at the end of a run: the next is another file.
        std::fs::remove_file(&path).unwrap();
        assert!(!is_at(&held, &path));
        assert!(locked(&path).is_ok());
    }
}
