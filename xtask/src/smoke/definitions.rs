//! The definitions that probes load.

use std::fs;

use anyhow::{Context as _, Result};

use super::sandbox::Sandbox;

/// A file of definitions.
#[derive(Clone, Copy)]
pub enum Definitions {
    /// An asset and a job of it, which an imitation of Dagster can load, too.
    Plain,
    /// Something of everything that users have.
    Users,
}

/// Writes the plain definitions; returns the file's name.
pub fn write(sandbox: &Sandbox) -> Result<&'static str> {
    Definitions::Plain.write(sandbox)
}

impl Definitions {
    /// The name of the file, which is also that of the code location.
    pub fn file(self) -> &'static str {
        match self {
            Self::Plain => "definitions.py",
            Self::Users => "users.py",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Plain => include_str!("python/definitions.py"),
            Self::Users => include_str!("python/users.py"),
        }
    }

    /// Writes the definitions; returns the file's name.
    pub fn write(self, sandbox: &Sandbox) -> Result<&'static str> {
        self.replace(sandbox, self.text())
    }

    /// The same with one more job in them.
    pub fn write_with_job(self, sandbox: &Sandbox, name: &str) -> Result<&'static str> {
        self.replace(sandbox, &self.text_with_job(name))
    }

    /// Puts a whole file in the place of one that somebody may be reading.
    fn replace(self, sandbox: &Sandbox, text: &str) -> Result<&'static str> {
        let name = self.file();
        let whole = sandbox.write(&format!("{name}.whole"), text)?;
        let failed = || format!("failed to write `{}`", sandbox.path(name).display());
        fs::rename(&whole, sandbox.path(name)).with_context(failed)?;
        Ok(name)
    }

    fn text_with_job(self, name: &str) -> String {
        let job = format!("jobs=[define_asset_job(\"{name}\", \"answer\"), ");
        self.text().replacen("jobs=[", &job, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_can_be_added() {
        for definitions in [Definitions::Plain, Definitions::Users] {
            assert!(definitions.text_with_job("x").contains("define_asset_job(\"x\", "));
        }
    }
}
