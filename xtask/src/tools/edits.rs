//! Edits of tracked files that can be taken back: all of them or none, whatever happens.
//!
//! Before the first file is touched, a journal with every file's text before and after is written
//! to git's own directory. Each file is then replaced by a rename, so it is whole at any moment.
//! The journal goes away when the edits are kept or taken back; one that is found later was left by
//! a run that was killed, and [`Edits::recover`] puts the files back. What somebody edited
//! meanwhile is never written over, nor is what a commit has: it may have been made whatever was
//! heard of it.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::git::Git;
use super::{journal, moves};
use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::model::plan::{self, Change, Plan};
use crate::ui;

const JOURNAL: &str = "xtask-edits.json";

/// What the journal says.
#[derive(Serialize, Deserialize)]
struct Journal {
    /// The commit that the edits were made on.
    head: String,
    /// The first line of the commit that they are for.
    subject: String,
    entries: Vec<Entry>,
}

impl Journal {
    /// `None` for what says nothing. Until 2026-11 a journal was its entries alone.
    fn read(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok().or_else(|| {
            let entries = serde_json::from_slice(text).ok()?;
            Some(Self { head: String::new(), subject: String::new(), entries })
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Entry {
    path: String,
    before: String,
    after: String,
}

/// Edits that are in the working tree and not decided on. Dropped undecided, they are taken back,
/// unless they are committed.
#[must_use]
pub struct Edits {
    root: PathBuf,
    journal: PathBuf,
    entries: Vec<Entry>,
}

impl Edits {
    /// Writes a plan's changes.
    pub fn write(checkout: &Checkout, plan: &Plan) -> Result<Self> {
        let entries = plan
            .changes()
            .into_iter()
            .map(|Change { path, before, after }| Entry { path, before, after })
            .collect();
        let git = checkout.git();
        let journal = git.git_path(JOURNAL)?;
        let there = Journal {
            head: git.commit_of("HEAD")?,
            subject: plan::subject(&plan.facts.release.version),
            entries,
        };
        let text = serde_json::to_vec(&there)?;
        let edits = Self { root: checkout.root.clone(), journal, entries: there.entries };
        replace(&edits.journal, &text)?;
        for entry in &edits.entries {
            if edits.now(entry) != Now::Before {
                // Dropped here, the edits are taken back, this file stays.
                return Err(Failure::failed(format!(
                    "`{}` was edited since it was read, and was left as it is",
                    entry.path
                ))
                .hint("commit or drop that edit, then run the command again")
                .into());
            }
            replace(&edits.root.join(&entry.path), entry.after.as_bytes())?;
        }
        Ok(edits)
    }

    /// Keeps the edits.
    pub fn keep(mut self) -> Result<()> {
        self.entries.clear();
        journal::forget(&self.journal)
    }

    /// Takes back what a run that was killed had left; `true` if there was something.
    ///
    /// # Errors
    /// When one of the files is neither as it was before nor as it was written: somebody edited it.
    pub fn recover(checkout: &Checkout) -> Result<bool> {
        let git = checkout.git();
        let path = git.git_path(JOURNAL)?;
        journal::forget(&new_name(&path))?;
        let Some(text) = journal::read(&path)? else { return Ok(false) };
        let Some(Journal { head, subject, entries }) = Journal::read(&text) else {
            forget_unreadable(&path, &git.dirty()?)?;
            return Ok(false);
        };
        let edits = Self { root: checkout.root.clone(), journal: path, entries };
        for path in edits.paths() {
            journal::forget(&new_name(&checkout.root.join(path)))?;
        }
        match edits.commit(&git, &head, &subject)? {
            Commit::None => {}
            Commit::AsWritten => {
                // A git that is killed may not have written its index. What else differs from the
                // commit now is an edit like any other.
                let is_written = |entry: &&Entry| edits.now(entry) == Now::After;
                let written = edits.entries.iter().filter(is_written);
                let written: Vec<&str> = written.map(|entry| entry.path.as_str()).collect();
                if !written.is_empty() && git.is_dirty(&written)? {
                    git.unstage(&written)?;
                }
                edits.keep()?;
                return Ok(false);
            }
            Commit::Otherwise => {
                ui::warning("an earlier run was interrupted, and a hook had changed its commit");
                moves::move_to(&git, &head)?;
            }
        }
        if edits.are_in_git()? {
            // Killed before the first file or after the commit, or put back by hand.
            edits.keep()?;
            return Ok(false);
        }
        if let Some(entry) = edits.entries.iter().find(|entry| edits.now(entry) == Now::Edited) {
            let failure = Failure::failed(format!(
                "an earlier run was interrupted, and `{}` was edited since",
                entry.path
            ))
            .hint(format!(
                "bring the file to the state you want, then remove `{}`",
                edits.journal.display()
            ));
            edits.leave();
            return Err(failure.into());
        }
        let count = edits.entries.len();
        ui::warning(format!("an earlier run was interrupted: putting {count} files back"));
        edits.restore()?;
        Ok(true)
    }

    /// Is the last commit that of the run that was killed?
    fn commit(&self, git: &Git<'_>, head: &str, subject: &str) -> Result<Commit> {
        let is_next = !head.is_empty()
            && git.commit_of("HEAD")? != head
            && git.subject("HEAD")? == subject
            && git.commit_of("HEAD^")? == head;
        if !is_next {
            return Ok(Commit::None);
        }
        for Entry { path, after, .. } in &self.entries {
            if git.file_in("HEAD", path)?.trim_end() != after.trim_end() {
                return Ok(Commit::Otherwise);
            }
        }
        Ok(Commit::AsWritten)
    }

    fn paths(&self) -> Vec<&str> {
        self.entries.iter().map(|entry| entry.path.as_str()).collect()
    }

    /// Are the files as the last commit has them?
    fn are_in_git(&self) -> Result<bool> {
        Git::asked_at(&self.root, |git| Ok(!git.is_dirty(&self.paths())?))
    }

    /// What became of a file.
    fn now(&self, entry: &Entry) -> Now {
        match fs::read(self.root.join(&entry.path)) {
            Ok(now) if now == entry.before.as_bytes() => Now::Before,
            Ok(now) if now == entry.after.as_bytes() => Now::After,
            Err(error) if error.kind() == ErrorKind::NotFound => Now::Gone,
            _ => Now::Edited,
        }
    }

    /// Puts the files back, but those that somebody edited; returns the latter.
    fn restore(mut self) -> Result<Vec<String>> {
        let entries = std::mem::take(&mut self.entries);
        let mut edited = Vec::new();
        for entry in entries {
            match self.now(&entry) {
                Now::Before => {}
                Now::After | Now::Gone => {
                    replace(&self.root.join(&entry.path), entry.before.as_bytes())?;
                }
                Now::Edited => edited.push(entry.path),
            }
        }
        journal::forget(&self.journal)?;
        Ok(edited)
    }

    /// Leaves files and journal as they are.
    fn leave(mut self) {
        self.entries.clear();
    }
}

/// What became of the commit that the edits are for.
enum Commit {
    None,
    AsWritten,
    /// A hook of git's put something else into it. Nobody has tested that.
    Otherwise,
}

/// What a file is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    Before,
    After,
    /// It was removed: putting it back loses nothing.
    Gone,
    /// Somebody wrote something else.
    Edited,
}

/// A journal that a full disk or a crash of the system left says nothing. Where no tracked file
/// differs from the last commit, there is nothing to take back.
fn forget_unreadable(journal: &Path, dirty: &[String]) -> Result<()> {
    if dirty.is_empty() {
        ui::warning(format!("removing `{}`, which cannot be read", journal.display()));
        return journal::forget(journal);
    }
    Err(Failure::failed(format!(
        "an earlier run was interrupted and its journal cannot be read; changed: {}",
        dirty.join(", ")
    ))
    .hint(format!(
        "look at `git diff`; `git restore` what is not yours, then remove `{}`",
        journal.display()
    ))
    .into())
}

impl Drop for Edits {
    fn drop(&mut self) {
        if self.entries.is_empty() {
            return;
        }
        let edits = Self {
            root: self.root.clone(),
            journal: self.journal.clone(),
            entries: std::mem::take(&mut self.entries),
        };
        let count = edits.entries.len();
        match edits.are_in_git() {
            Ok(false) => {}
            Ok(true) => {
                if let Err(error) = edits.keep() {
                    ui::warning(format!("{error:#}"));
                }
                return;
            }
            Err(error) => {
                edits.leave();
                ui::warning(format!(
                    "failed to learn whether the Nix files are committed, and left them: \
                     {error:#}; the next run looks again"
                ));
                return;
            }
        }
        match edits.restore() {
            Ok(edited) if edited.is_empty() => {
                ui::step("Restored", format!("{count} files, as they were before"));
            }
            Ok(edited) => ui::warning(format!(
                "left as it is, since somebody edited it meanwhile: `{}`; the rest was put back",
                edited.join("`, `")
            )),
            Err(error) => ui::warning(format!(
                "failed to put the Nix files back: {error:#}; `git restore nix` does it"
            )),
        }
    }
}

/// Replaces a file's content in one step; its permissions stay.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let replaced = || -> Result<()> {
        let new = new_name(path);
        let mut file = fs::File::create(&new)?;
        file.write_all(content)?;
        if let Ok(metadata) = fs::metadata(path) {
            file.set_permissions(metadata.permissions())?;
        }
        file.sync_all()?;
        fs::rename(&new, path)?;
        Ok(())
    };
    replaced().with_context(|| format!("failed to write `{}`", path.display()))
}

/// Where a file's new content stands until it takes the file's place. Always the same name, so that
/// what a killed run left is found.
fn new_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}
