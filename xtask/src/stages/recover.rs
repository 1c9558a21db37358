//! The start of whatever writes in a checkout: the lock, and then everything back in its place that
//! a run that was killed left elsewhere.

use anyhow::Result;

use super::branch::There;
use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::tools::edits::Edits;
use crate::tools::git::LockFile;
use crate::tools::lock::Lock;
use crate::tools::moves;
use crate::ui;

/// Takes the lock for a command, as `release 1.9.12`, and puts right what an earlier run left.
///
/// # Errors
/// When another run has the lock, and when a person must look first.
pub fn start(checkout: &Checkout, command: &str) -> Result<Lock> {
    let mut lock = Lock::take(checkout, command)?;
    let git = checkout.git();
    for file in git.lock_files()? {
        unlock(checkout, &file, lock.killed_since())?;
    }
    lock.put_right();
    git.remove_scratch()?;
    moves::recover(&git)?;
    Edits::recover(checkout)?;
    There::recover(checkout)?;
    Ok(lock)
}

/// Removes a lock of git's own that the git of a killed run left. Any other may be somebody's.
fn unlock(checkout: &Checkout, file: &LockFile, killed_since: Option<u64>) -> Result<()> {
    let LockFile { path, since, .. } = file;
    let is_ours = killed_since.is_some_and(|start| *since >= start);
    let runs = checkout.git().runs();
    if is_ours && runs == Some(false) {
        ui::warning(format!("removing `{}`, which a killed run left", path.display()));
        return file.remove();
    }
    let age = file.age();
    Err(Failure::failed(format!(
        "git's own lock `{}` is there, for {age}{}",
        path.display(),
        match runs {
            Some(true) => ", and git is at work in this repository",
            Some(false) => ", and no git is at work in this repository",
            None => "",
        }
    ))
    .hint(match runs {
        Some(true) => "wait until it has ended".to_owned(),
        _ => format!("if no git runs, it was left by one that was killed: `rm {}`", path.display()),
    })
    .into())
}
