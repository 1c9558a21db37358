//! The branch that a release is made on: the one that is checked out, or the maintenance branch of
//! an older version, which is checked out for that time.
//!
//! Before it is, git's own directory gets a file that says where the checkout came from. One that
//! is found later was left by a run that was killed, and [`There::recover`] goes back.

use std::path::PathBuf;

use anyhow::Result;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::tools::git::BranchAt;
use crate::tools::journal;
use crate::ui;

const FILE: &str = "xtask-away.json";

/// Where a release is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On the branch that is checked out.
    Here,
    /// On the maintenance branch of an older version.
    Maintenance { branch: String, at: BranchAt },
}

/// Decides where a version is released: a version older than the one here never moves this branch
/// back.
pub fn place(checkout: &Checkout, branch: &str, version: &Version) -> Result<Place> {
    let config = &checkout.config;
    let maintenance = config.maintenance_branch(version);
    if branch == maintenance {
        return Ok(Place::Here);
    }
    if branch != config.git.branch {
        return Err(Failure::failed(format!(
            "expected branch `{}` or `{maintenance}`, found `{branch}`",
            config.git.branch
        ))
        .hint(format!("`git switch {}`", config.git.branch))
        .into());
    }
    if *version >= checkout.pinned_version()? {
        return Ok(Place::Here);
    }
    let at = checkout.git().find_branch(&maintenance, &config.git.remote)?;
    Ok(Place::Maintenance { branch: maintenance, at })
}

/// A branch that is checked out for the time of a release.
pub struct There<'a> {
    checkout: &'a Checkout,
    away: Option<Away>,
    branch: String,
}

/// What git's directory says while another branch is checked out.
#[derive(Debug, Serialize, Deserialize)]
struct Away {
    /// The branch to go back to.
    home: String,
    /// The branch that is checked out.
    branch: String,
    /// Did this run make that branch?
    made: bool,
}

impl<'a> There<'a> {
    pub fn go(checkout: &'a Checkout, home: &str, place: &Place) -> Result<Self> {
        let git = checkout.git();
        let Place::Maintenance { branch, at } = place else {
            return Ok(Self { checkout, away: None, branch: home.to_owned() });
        };
        ui::step(
            "Switching",
            format!("to `{branch}`: a maintenance release, `{home}` stays as it is"),
        );
        let away =
            Away { home: home.to_owned(), branch: branch.clone(), made: *at == BranchAt::Nowhere };
        away.write(checkout)?;
        // From here on dropping it goes back.
        let there = Self { checkout, away: Some(away), branch: branch.clone() };
        match at {
            BranchAt::Local => git.switch(branch)?,
            BranchAt::Remote => git.switch_to_remote(branch, &checkout.config.git.remote)?,
            BranchAt::Nowhere => git.switch_to_new(branch)?,
        }
        Ok(there)
    }

    pub fn branch(&self) -> &str {
        &self.branch
    }

    /// Did this run make the branch?
    pub fn is_new(&self) -> bool {
        self.away.as_ref().is_some_and(|away| away.made)
    }

    pub fn come_back(mut self) -> Result<()> {
        self.away.take().map_or(Ok(()), |away| away.come_back(self.checkout))
    }

    /// Goes back to where a run that was killed came from.
    pub fn recover(checkout: &Checkout) -> Result<()> {
        let file = Away::file(checkout)?;
        let Some(text) = journal::read(&file)? else { return Ok(()) };
        let Ok(away) = serde_json::from_slice::<Away>(&text) else {
            // Of 0 bytes, or half: killed before the branch was left. Or it was damaged since.
            let home = &checkout.config.git.branch;
            let now = checkout.git().branch()?.unwrap_or_else(|| "no branch".to_owned());
            if now != *home {
                ui::warning(format!(
                    "`{}` cannot be read: where an earlier run came from is not known, and `{now}` \
                     stays checked out; `git switch {home}`",
                    file.display()
                ));
            }
            return Away::forget(checkout);
        };
        away.come_back(checkout).map_err(|error| {
            let Away { home, branch, .. } = &away;
            Failure::failed(format!(
                "an earlier run left `{branch}` checked out, and the way back to `{home}` fails"
            ))
            .caused_by(error)
            .hint("`git switch` to the branch that you want, then run the command again")
            .into()
        })
    }
}

impl Drop for There<'_> {
    fn drop(&mut self) {
        let Some(away) = self.away.take() else { return };
        if let Err(error) = away.come_back(self.checkout) {
            let home = &away.home;
            ui::warning(format!("failed to switch back: {error:#}; `git switch {home}`"));
        }
    }
}

impl Away {
    fn file(checkout: &Checkout) -> Result<PathBuf> {
        checkout.git().git_path(FILE)
    }

    fn write(&self, checkout: &Checkout) -> Result<()> {
        let file = Self::file(checkout)?;
        std::fs::write(&file, serde_json::to_vec(self)?)
            .map_err(|error| journal::in_the_way("write", &file, error))
    }

    fn forget(checkout: &Checkout) -> Result<()> {
        journal::forget(&Self::file(checkout)?)
    }

    /// Goes back, unless somebody has gone elsewhere. A branch that the run made and put no commit
    /// on is as if it had never been.
    fn come_back(&self, checkout: &Checkout) -> Result<()> {
        let Self { home, branch, made } = self;
        let git = checkout.git();
        let remote = &checkout.config.git.remote;
        let now = git.branch()?;
        if now.as_ref() == Some(branch) {
            // A git that was ended half way is in its own way.
            git.switch(home).or_else(|error| match git.undo_half_switch(home) {
                Ok(true) => git.switch(home),
                _ => Err(error),
            })?;
            ui::step("Switching", format!("back to `{home}`"));
        }
        let at = git.find_branch(branch, remote)?;
        if now.as_ref() == Some(home) {
            match at {
                BranchAt::Local => git.undo_half_switch(branch)?,
                BranchAt::Remote => git.undo_half_switch(&format!("{remote}/{branch}"))?,
                BranchAt::Nowhere => true,
            };
        }
        let is_there = *made && at == BranchAt::Local;
        if is_there && git.commit_of(branch)? == git.commit_of(home)? {
            git.delete_merged_branch(branch)?;
        }
        Self::forget(checkout)
    }
}
