//! What is known of a release before anything is written.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result};
use semver::Version;
use serde::{Deserialize, Serialize};

use super::config::{Config, Package};
use super::peculiarities::Peculiarities;
use super::project::{self, Project};
use super::requirement::Requirement;
use super::sri::Sri;

/// A version that upstream finished: tagged, and every package of it on PyPI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub version: Version,
    pub tag: String,
    /// 40 hexadecimal digits.
    pub commit: String,
    /// Address of the source archive.
    pub archive: String,
    /// The files that the expressions take from PyPI.
    pub wheels: Vec<PypiPin>,
    /// What PyPI says of every package.
    pub distributions: Vec<Distribution>,
}

/// What PyPI has of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnIndex<W> {
    /// All of it.
    Whole(Vec<W>),
    /// `name==version` of the packages that are not there.
    Missing(Vec<String>),
    /// `name==version` of the packages that were taken back.
    Yanked(Vec<String>),
}

/// Is this how git writes a commit, in full? (Repositories with SHA-256 are not on GitHub.)
pub fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A release, the hash of its source, and what the source says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub release: Release,
    /// NAR hash of the unpacked archive, its top directory left out.
    pub source_hash: Sri,
    /// By normalised name: the packages of `release.toml` that are there.
    pub projects: BTreeMap<String, Project>,
    /// Directories of other Python projects beside those packages.
    pub other_projects: Vec<String>,
    pub peculiarities: Peculiarities,
}

impl Facts {
    /// Reads what a source says.
    ///
    /// # Errors
    /// For a file that cannot be read as what it is.
    pub fn new(
        config: &Config,
        release: Release,
        source_hash: Sri,
        description: &Description,
    ) -> Result<Self> {
        let mut projects = BTreeMap::new();
        for Package { name, module, path, .. } in &config.packages {
            let has_web_ui = description.web_uis.contains(path);
            let text = |path: &str| description.texts.get(path).map(String::as_str);
            if let Some(project) = project::read(path, module, has_web_ui, text)? {
                projects.insert(name.clone(), project);
            }
        }
        let is_other = |path: &&String| config.packages.iter().all(|it| it.path != **path);
        let other_projects = description.projects.iter().filter(is_other).cloned().collect();
        let peculiarities = description.peculiarities.clone();
        Ok(Self { release, source_hash, projects, other_projects, peculiarities })
    }

    /// What PyPI says of one package of the release.
    ///
    /// # Errors
    /// If it is not there.
    pub fn distribution(&self, name: &str) -> Result<&Distribution> {
        let mut all = self.release.distributions.iter();
        all.find(|distribution| distribution.name == name)
            .with_context(|| format!("expected metadata of `{name}`"))
    }
}

/// The files of a source that describe its packages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Directories of the packages that were looked for.
    pub packages: Vec<String>,
    /// By path.
    pub texts: BTreeMap<String, String>,
    /// Directories that hold a Python project, those of the packages and those beside them.
    pub projects: Vec<String>,
    /// Directories of the packages that carry a built web UI.
    pub web_uis: Vec<String>,
    pub peculiarities: Peculiarities,
}

/// What PyPI says of one package of a release: the metadata of its wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// Normalised name.
    pub name: String,
    pub version: String,
    /// `Requires-Dist`, as it is written.
    pub requirements: Vec<String>,
    /// `Requires-Python`.
    pub python: Option<String>,
}

impl Distribution {
    /// The requirements, those of extras too.
    ///
    /// # Errors
    /// For one that is none.
    pub fn parsed(&self) -> Result<Vec<Requirement>> {
        self.requirements
            .iter()
            .map(|text| Requirement::parse(text).with_context(|| format!("in the {self}")))
            .collect()
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metadata of {} {}", self.name, self.version)
    }
}

/// A file on PyPI that an expression fetches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PypiPin {
    /// Normalised name.
    pub name: String,
    pub version: String,
    /// The file's name, as `dagster_webserver-1.12.2-py3-none-any.whl`; `None` where no index was
    /// asked for it yet.
    pub file: Option<String>,
    /// SHA-256 of the file.
    pub hash: Sri,
}
