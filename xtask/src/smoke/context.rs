//! What all probes of one run share.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Result;
use semver::Version;

use super::budget::Budget;
use super::environment::Together;
use super::sandbox::Sandbox;
use super::tree::Tree;
use crate::model::closure::Closure;
use crate::model::config;
use crate::tools::confine::Access;

/// What the closure is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Last {
    pub closure: Closure,
    /// A further distance than this is a jump.
    pub percent: u8,
}

/// One run over one tree.
pub struct Context<'a> {
    pub tree: &'a Tree,
    /// What `release.toml` says of the smoke test.
    pub limits: &'a config::Smoke,
    pub scratch: PathBuf,
    /// What processes may reach, whichever probe starts them.
    pub access: Access,
    /// A directory with a short path, for the probes' `$TMPDIR`.
    pub temporary: PathBuf,
    pub budget: Budget,
    /// The checkout that the tree was built from.
    pub checkout: Option<&'a Path>,
    pub last: Option<Last>,
    /// The parts merged, where there are several.
    pub together: Option<Together>,
    /// Two of them merged.
    pub pair: Option<Together>,
    /// What one of the probes measures.
    pub closure: Mutex<Option<Closure>>,
}

impl Context<'_> {
    pub fn version(&self) -> &Version {
        &self.tree.version
    }

    pub fn sandbox(&self, probe: &str) -> Result<Sandbox> {
        let access = self.access.clone();
        Sandbox::create(&self.scratch, &self.temporary, probe, self.budget.clone(), access)
    }
}
