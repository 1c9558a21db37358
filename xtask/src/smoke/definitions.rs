//! The definitions that probes load.

use anyhow::Result;

use super::sandbox::Sandbox;

const DEFINITIONS: &str = include_str!("python/definitions.py");

/// Writes the definitions that probes load; returns the file's name.
pub fn write(sandbox: &Sandbox) -> Result<&'static str> {
    sandbox.write("definitions.py", DEFINITIONS)?;
    Ok("definitions.py")
}
