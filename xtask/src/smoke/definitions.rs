//! The definitions that probes load.

use anyhow::Result;

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
    /// Writes the definitions; returns the file's name, which is also that of the code location.
    pub fn write(self, sandbox: &Sandbox) -> Result<&'static str> {
        let (name, text) = match self {
            Self::Plain => ("definitions.py", include_str!("python/definitions.py")),
            Self::Users => ("users.py", include_str!("python/users.py")),
        };
        sandbox.write(name, text)?;
        Ok(name)
    }
}
