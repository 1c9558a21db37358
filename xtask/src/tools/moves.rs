//! Moving the branch that is checked out from one commit to another, its files included, whatever
//! happens meanwhile.
//!
//! git's own ways to do that leave a rebase in progress, or files of one commit below another, when
//! they are killed. Here a journal in git's directory says from where to where before anything is
//! touched, and [`recover`] ends what a killed run began. What somebody edited stays as it is.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::git::Git;
use super::journal;
use crate::ui;

const JOURNAL: &str = "xtask-moving.json";

#[derive(Debug, Serialize, Deserialize)]
struct Move {
    branch: Option<String>,
    from: String,
    to: String,
}

/// Moves the current branch to a commit: the branch, the index, and of the files those that are as
/// they were committed.
pub fn move_to(git: &Git<'_>, to: &str) -> Result<()> {
    let there =
        Move { branch: git.branch()?, from: git.commit_of("HEAD")?, to: git.commit_of(to)? };
    let path = git.git_path(JOURNAL)?;
    std::fs::write(&path, serde_json::to_vec(&there)?)
        .map_err(|error| journal::in_the_way("write", &path, error))?;
    git.carry(&there.from, &there.to)?;
    forget(git)
}

/// Ends a move that a killed run began.
pub fn recover(git: &Git<'_>) -> Result<()> {
    let there = git.git_path(JOURNAL)?;
    let Some(text) = journal::read(&there)? else { return Ok(()) };
    // Of 0 bytes, or half: killed before anything was moved.
    let Ok(Move { branch, from, to }) = serde_json::from_slice(&text) else { return forget(git) };
    let head = git.commit_of("HEAD")?;
    if git.branch()? == branch && (head == from || head == to) {
        ui::warning("an earlier run was interrupted while it moved its commit: ending that");
        git.carry(&from, &to)?;
    }
    forget(git)
}

fn forget(git: &Git<'_>) -> Result<()> {
    journal::forget(&git.git_path(JOURNAL)?)
}
