//! What the source of one Python package says about it: `pyproject.toml`, `setup.py` and
//! `version.py`, read and never run.
//!
//! What a file computes is not known from reading it: such a value is `None`, and in a text
//! [`COMPUTED`] stands in the place of such a part. The metadata of the distribution has it then.

mod pyproject;
mod setup_py;
mod stated;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use self::stated::Stated;
use super::located::Located;

pub use stated::{Build, COMPUTED};

/// The files of a project that are read; their paths are from the project's directory.
pub const FILES: [&str; 2] = ["pyproject.toml", "setup.py"];

/// Larger than this is no file that describes a package, in bytes.
pub const LARGEST: u64 = 1 << 17;

/// What a source says about one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// `__version__` of the module's `version.py`, and what describes the package if that says one.
    pub versions: Vec<Located<String>>,
    pub requirements: Option<Vec<Located<String>>>,
    /// By extra.
    pub optional: Option<BTreeMap<String, Vec<Located<String>>>>,
    /// Names of the console scripts.
    pub commands: Option<Vec<Located<String>>>,
    /// The range of Python, as `>=3.9,<3.14`.
    pub python: Option<Located<String>>,
    pub build: Build,
    /// Are the assets of a web UI below the module?
    pub has_web_ui: bool,
}

/// Reads the project in a directory. `text` gives a file of upstream's by its path.
///
/// `None`: there is no project.
///
/// # Errors
/// For a file that is not TOML or not Python, by its path and line.
pub fn read<'a>(
    directory: &str,
    module: &str,
    has_web_ui: bool,
    text: impl Fn(&str) -> Option<&'a str>,
) -> Result<Option<Project>> {
    let [toml_path, setup_path] = FILES.map(|file| format!("{directory}/{file}"));
    let toml = text(&toml_path)
        .map(|text| pyproject::read(&toml_path, text))
        .transpose()
        .with_context(|| format!("failed to read `{toml_path}` of upstream"))?;
    let setup = text(&setup_path)
        .map(|text| setup_py::read(&setup_path, text))
        .transpose()
        .with_context(|| format!("failed to read `{setup_path}` of upstream"))?;
    if toml.is_none() && setup.is_none() {
        return Ok(None);
    }
    let version_path = version_file(directory, module);
    let version = text(&version_path)
        .map(|text| setup_py::constant(&version_path, text, "__version__"))
        .transpose()
        .with_context(|| format!("failed to read `{version_path}` of upstream"))?
        .flatten();
    let (build, from_toml) = match toml {
        Some(pyproject::Pyproject { build, stated }) => (build, stated),
        None => (None, None),
    };
    // Without a build system, or without the file, PEP 517 says what `setup.py` is built with.
    let build = build.unwrap_or_else(|| {
        let at =
            |value: &str| Located { value: value.to_owned(), path: setup_path.clone(), line: 1 };
        Build { backend: at("setuptools.build_meta"), requirements: vec![at("setuptools>=40.8.0")] }
    });
    let Stated { requirements, optional, commands, python, version: stated } =
        from_toml.or(setup).unwrap_or_default();
    let versions = version.into_iter().chain(stated).collect();
    Ok(Some(Project { versions, requirements, optional, commands, python, build, has_web_ui }))
}

/// Where a module says its version.
pub fn version_file(directory: &str, module: &str) -> String {
    format!("{directory}/{module}/version.py")
}

/// The first page of a module's web UI, where a distribution has one.
pub fn web_ui(directory: &str, module: &str) -> String {
    format!("{directory}/{module}/webapp/build/index.html")
}
