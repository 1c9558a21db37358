//! What all probes of one run share.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use semver::Version;

use super::budget::Budget;
use super::documents::Documents;
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
    /// The probes that were asked for; none: all.
    pub only: &'a [String],
    /// What one of the probes measures.
    pub closure: Mutex<Option<Closure>>,
    /// What the scripts of the web UI ask for, once they were read.
    pub documents: Mutex<Option<Arc<Documents>>>,
}

/// Do a version's servers end without their code servers?
fn leaves_servers(version: &Version) -> bool {
    (version.major, version.minor) < (1, 10)
}

impl Context<'_> {
    pub fn version(&self) -> &Version {
        &self.tree.version
    }

    /// Was a probe asked for?
    pub fn is_asked_for(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|own| own == name)
    }

    /// What the scripts of the web UI below a directory ask for. A tree has one UI.
    pub fn documents(&self, dir: &Path) -> Result<Arc<Documents>> {
        let mut known = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(documents) = &*known {
            return Ok(Arc::clone(documents));
        }
        let documents = Arc::new(Documents::read(dir)?);
        *known = Some(Arc::clone(&documents));
        Ok(documents)
    }

    /// Operations of the web UI that upstream ships broken in this version.
    pub fn broken_operations(&self) -> Vec<&str> {
        let entries = self.limits.broken_operations.iter();
        let of_this = entries.filter(|entry| entry.covers(self.version()));
        of_this.map(|entry| &*entry.operation).collect()
    }

    /// Fields of the API, as `Type.field`, that tell nothing in this version.
    pub fn empty_fields(&self) -> Vec<&str> {
        let entries = self.limits.empty_fields.iter();
        let of_this = entries.filter(|entry| entry.covers(self.version()));
        of_this.map(|entry| &*entry.field).collect()
    }

    pub fn sandbox(&self, probe: &str) -> Result<Sandbox> {
        let access = self.access.clone();
        Sandbox::create(&self.scratch, &self.temporary, probe, self.budget.clone(), access)
            .map(|sandbox| sandbox.leaving_servers(leaves_servers(self.version())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_servers_end_what_they_started() {
        for (version, expected) in [("1.9.12", true), ("1.9.13", true), ("1.10.0", false)] {
            assert_eq!(leaves_servers(&version.parse().unwrap()), expected, "{version}");
        }
    }
}
