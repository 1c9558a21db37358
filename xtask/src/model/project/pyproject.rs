//! `pyproject.toml`: build system (PEP 518) and metadata (PEP 621).

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Deserialize;
use toml::Spanned;

use super::stated::{Build, Stated, line_of};
use crate::model::located::Located;

/// The two parts that matter.
pub(super) struct Pyproject {
    pub build: Option<Build>,
    /// `None` without a `[project]`: the metadata stands elsewhere.
    pub stated: Option<Stated>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    build_system: Option<BuildSystem>,
    project: Option<Project>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct BuildSystem {
    #[serde(default)]
    requires: Vec<Spanned<String>>,
    build_backend: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Project {
    version: Option<Spanned<String>>,
    #[serde(default)]
    dynamic: Vec<String>,
    dependencies: Option<Vec<Spanned<String>>>,
    optional_dependencies: Option<BTreeMap<String, Vec<Spanned<String>>>>,
    scripts: Option<BTreeMap<Spanned<String>, String>>,
    requires_python: Option<Spanned<String>>,
}

pub(super) fn read(path: &str, text: &str) -> Result<Pyproject> {
    let file: File = toml::from_str(text)?;
    let located = |stated: Spanned<String>| Located {
        line: line_of(text, stated.span().start),
        value: stated.into_inner(),
        path: path.to_owned(),
    };
    let build = file.build_system.map(|build| Build {
        backend: build.build_backend.map(located).unwrap_or_else(|| Located {
            // What PEP 517 says for a build system without one.
            value: "setuptools.build_meta".to_owned(),
            path: path.to_owned(),
            line: 1,
        }),
        requirements: build.requires.into_iter().map(located).collect(),
    });
    let stated = file.project.map(|project| {
        // What is left out is empty, unless something else computes it.
        let is_static = |key: &str| !project.dynamic.iter().any(|dynamic| dynamic == key);
        Stated {
            requirements: is_static("dependencies").then(|| {
                project.dependencies.unwrap_or_default().into_iter().map(located).collect()
            }),
            optional: is_static("optional-dependencies").then(|| {
                let optional = project.optional_dependencies.unwrap_or_default().into_iter();
                optional
                    .map(|(extra, list)| (extra, list.into_iter().map(located).collect()))
                    .collect()
            }),
            commands: is_static("scripts")
                .then(|| project.scripts.unwrap_or_default().into_keys().map(located).collect()),
            python: project.requires_python.map(located),
            version: project.version.map(located),
        }
    });
    Ok(Pyproject { build, stated })
}
