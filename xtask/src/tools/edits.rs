//! Edits of tracked files that can be taken back: all of them or none, whatever happens.
//!
//! Before the first file is touched, a journal with every file's text before and after is written
//! to git's own directory. Each file is then replaced by a rename, so it is whole at any moment.
//! The journal goes away when the edits are kept or taken back; one that is found later was left by
//! a run that was killed, and [`Edits::recover`] puts the files back, unless somebody edited them
//! since.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::model::plan::{Change, Plan};
use crate::ui;

const JOURNAL: &str = "xtask-edits.json";

#[derive(Serialize, Deserialize)]
struct Entry {
    path: String,
    before: String,
    after: String,
}

/// Edits that are in the working tree and not decided on. Dropped undecided, they are taken back.
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
        let journal = checkout.git().git_path(JOURNAL)?;
        let edits = Self { root: checkout.root.clone(), journal, entries };
        replace(&edits.journal, &serde_json::to_vec(&edits.entries)?)?;
        for entry in &edits.entries {
            replace(&edits.root.join(&entry.path), entry.after.as_bytes())?;
        }
        Ok(edits)
    }

    /// Keeps the edits.
    pub fn keep(mut self) -> Result<()> {
        self.entries.clear();
        fs::remove_file(&self.journal)
            .with_context(|| format!("failed to remove `{}`", self.journal.display()))
    }

    /// Takes back what a run that was killed had left; `true` if there was something.
    ///
    /// # Errors
    /// When one of the files is neither as it was before nor as it was written: somebody edited it.
    pub fn recover(checkout: &Checkout) -> Result<bool> {
        let journal = checkout.git().git_path(JOURNAL)?;
        let text = match fs::read(&journal) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            text => text.with_context(|| format!("failed to read `{}`", journal.display()))?,
        };
        let entries: Vec<Entry> = serde_json::from_slice(&text)
            .with_context(|| format!("failed to read `{}`", journal.display()))?;
        let paths = entries.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>();
        if !checkout.git().is_dirty(&paths)? {
            // Killed before the first file or after the commit, or put back by hand.
            for path in &paths {
                remove_if_there(&new_name(&checkout.root.join(path)))?;
            }
            fs::remove_file(&journal)?;
            return Ok(false);
        }
        for entry in &entries {
            let now = fs::read(checkout.root.join(&entry.path)).unwrap_or_default();
            if now != entry.before.as_bytes() && now != entry.after.as_bytes() {
                return Err(Failure::failed(format!(
                    "an earlier run was interrupted, and `{}` was edited since",
                    entry.path
                ))
                .hint(format!(
                    "bring the file to the state you want, then remove `{}`",
                    journal.display()
                ))
                .into());
            }
        }
        ui::warning(format!(
            "an earlier run was interrupted: putting {} files back",
            entries.len()
        ));
        Self { root: checkout.root.clone(), journal, entries }.restore()?;
        Ok(true)
    }

    fn restore(&mut self) -> Result<()> {
        for entry in self.entries.drain(..) {
            replace(&self.root.join(&entry.path), entry.before.as_bytes())?;
        }
        fs::remove_file(&self.journal)
            .with_context(|| format!("failed to remove `{}`", self.journal.display()))
    }
}

impl Drop for Edits {
    fn drop(&mut self) {
        if self.entries.is_empty() {
            return;
        }
        let count = self.entries.len();
        match self.restore() {
            Ok(()) => ui::step("Restored", format!("{count} files, as they were before")),
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

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}
