//! What is smoked: the roots of a tree, what each promises, and what lies in its `bin/`.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use semver::Version;

use super::probe::{Checked, Finding};
use crate::failure::Failure;
use crate::model::config::{Config, Package, Variant};

/// What an imitation of Dagster has, and Dagster has not: the module says what it is.
const IMITATION: &str = "imitation.py";
/// Why an imitation is not asked.
pub const IMITATES: &str = "this Dagster is an imitation";

/// How a tree came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `flox build`, or an environment of flox.
    Flox,
    /// An output of Nix.
    Nix,
    /// A virtual environment of Python.
    Venv,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flox => "flox result",
            Self::Nix => "Nix result",
            Self::Venv => "virtual environment",
        })
    }
}

/// What is smoked as one.
#[derive(Debug)]
pub struct Tree {
    /// As people know it: the variant, or the directory.
    pub name: String,
    pub kind: Kind,
    pub version: Version,
    /// The Python that it must have, as `3.12`. `None`: any.
    pub python: Option<String>,
    pub parts: Vec<Part>,
    /// Commands of all packages of this version, in whatever part.
    pub known: BTreeSet<String>,
}

/// One root: a directory with its own `bin/`, whose commands see what they need by themselves.
#[derive(Debug, Clone)]
pub struct Part {
    /// The attribute; empty where the tree has no other part.
    pub name: String,
    pub root: PathBuf,
    /// In dependency order. None: a source, of which nothing is asked but to be there.
    pub packages: Vec<Package>,
}

impl Tree {
    /// The outputs of a variant: attributes, and where they were built to.
    pub fn of_outputs(
        config: &Config,
        variant: Variant,
        version: &Version,
        outputs: &[(&str, &Path)],
    ) -> Self {
        let packages: Vec<Package> = config.packages_of(version).cloned().collect();
        let parts: Vec<Part> = outputs
            .iter()
            .map(|&(attribute, path)| Part {
                name: if outputs.len() == 1 { String::new() } else { attribute.to_owned() },
                root: path.to_owned(),
                packages: match packages.iter().find(|package| package.name == attribute) {
                    Some(package) => vec![package.clone()],
                    None if variant == Variant::Combined => packages.clone(),
                    None => Vec::new(),
                },
            })
            .map(Part::with_declared_commands)
            .collect();
        let known = known_commands(&parts, &packages);
        Self {
            name: variant.to_string(),
            kind: Kind::Flox,
            version: version.clone(),
            python: python_of(config, Kind::Flox, version),
            parts,
            known,
        }
    }

    /// Any directory with Dagster in it.
    pub fn at(config: &Config, root: &Path, version: &Version, names: &[String]) -> Result<Self> {
        let kind = kind_of(root)?;
        let all: Vec<Package> = config.packages_of(version).cloned().collect();
        let packages = if names.is_empty() { all.clone() } else { chosen(&all, names, version)? };
        // Not resolved further: a virtual environment is known by the name of its interpreter.
        let absolute = std::path::absolute(root)
            .with_context(|| format!("failed to resolve `{}`", root.display()))?;
        let part = Part { name: String::new(), root: absolute, packages };
        let parts = vec![part.with_declared_commands()];
        let known = known_commands(&parts, &all);
        Ok(Self {
            name: root.display().to_string(),
            kind,
            version: version.clone(),
            python: python_of(config, kind, version),
            parts,
            known,
        })
    }

    /// Does the tree say itself that it only imitates Dagster?
    pub fn is_imitation(&self) -> bool {
        let part = self.part_of("dagster");
        part.is_some_and(|part| {
            let dagster = part.packages.iter().find(|package| package.name == "dagster");
            dagster.is_some_and(|dagster| {
                part.module_file(dagster).with_file_name(IMITATION).is_file()
            })
        })
    }

    /// Checks that something of any of its packages is there, whatever state it is in: a command, a
    /// module, a distribution.
    pub fn check_installed(&self) -> Result<(), Finding> {
        let is_there = |part: &Part| {
            part.packages.is_empty()
                || part.packages.iter().any(|package| {
                    package.commands.iter().any(|name| part.has_command(name))
                        || part.module_file(package).exists()
                        || metadata_of(&part.root, package).is_some()
                })
        };
        if self.parts.iter().any(is_there) {
            return Ok(());
        }
        let dir = self.parts.first().map(|part| part.root.display().to_string());
        let found = format!(
            "dagster is not installed here (no `dagster` distribution below `{}`)",
            dir.unwrap_or_default()
        );
        Err(Finding::new("tree", format!("dagster {}", self.version), found))
    }

    /// The last part that has a package, with the package: later ones see all earlier ones.
    pub fn part_of(&self, package: &str) -> Option<&Part> {
        self.parts.iter().rev().find(|part| part.packages.iter().any(|own| own.name == package))
    }
}

impl Part {
    /// A probe's name, told apart from those of other parts.
    pub fn label(&self, probe: &str) -> String {
        if self.name.is_empty() { probe.to_owned() } else { format!("{probe} of {}", self.name) }
    }

    pub fn has_commands(&self) -> bool {
        self.packages.iter().any(|package| !package.commands.is_empty())
    }

    pub fn command(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }

    /// Is there anything of that name, a link to nowhere included?
    fn has_command(&self, name: &str) -> bool {
        self.command(name).symlink_metadata().is_ok()
    }

    /// The file that importing a package of this part must come from. The directory's number is
    /// that of the tree, which an interpreter that stands in for another does not have.
    pub fn module_file(&self, package: &Package) -> PathBuf {
        let file = format!("site-packages/{}/__init__.py", package.module);
        let lib = self.root.join("lib");
        fs::read_dir(&lib)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path().join(&file)))
            .find(|path| path.is_file())
            .unwrap_or_else(|| lib.join("python3").join(&file))
    }

    /// The directory of the web UI's files, where the part has the web server.
    pub fn web_ui(&self) -> Option<PathBuf> {
        let is_server = |package: &&Package| package.name == "dagster-webserver";
        let server = self.packages.iter().find(is_server)?;
        Some(self.module_file(server).with_file_name("webapp").join("build"))
    }

    /// Puts the commands that the source declared, as its distributions recorded them, in the place
    /// of those that release.toml foresees. The latter stay where nothing was recorded.
    fn with_declared_commands(mut self) -> Self {
        for package in &mut self.packages {
            if let Some(commands) = declared_commands(&self.root, package) {
                package.commands = commands;
            }
        }
        self
    }

    /// Checks that a source is there.
    pub fn check_source(&self) -> Checked {
        let root = format!("`{}`", self.root.display());
        let count = fs::read_dir(&self.root).map_or(0, Iterator::count);
        Ok(match count {
            0 => Err(vec![Finding::new(root, "files", "none")]),
            count => Ok(format!("{count} entries")),
        })
    }

    /// Checks that `bin/` holds each of its packages' commands, no other, and none that dangles.
    pub fn check_commands(&self, tree: &Tree) -> Checked {
        let expected = commands(&self.packages);
        let bin = self.root.join("bin");
        let what = format!("`{}`", bin.display());
        let entries = entries(&bin)?;
        let mut findings: Vec<Finding> = expected
            .iter()
            .filter(|name| !entries.contains(*name))
            .map(|name| Finding::new(&what, format!("`{name}`"), "no such command"))
            .collect();
        for name in &entries {
            let is_foreign = match tree.kind {
                // Others may have commands there, but none that passes for one of Dagster's.
                Kind::Venv => name.starts_with("dagster") && !tree.known.contains(name),
                Kind::Flox | Kind::Nix => !expected.contains(name),
            };
            let path = bin.join(name);
            if is_foreign {
                findings.push(Finding::new(&what, "no foreign command", format!("`{name}`")));
            } else if !path.exists() {
                let to = fs::read_link(&path).unwrap_or_default();
                let found = format!("a link to `{}`, which is not there", to.display());
                findings.push(Finding::new(format!("`{}`", path.display()), "a command", found));
            }
        }
        if findings.is_empty() { Ok(Ok(said(&expected))) } else { Ok(Err(findings)) }
    }
}

/// The Python that a tree of ours is built with; a virtual environment is not ours.
fn python_of(config: &Config, kind: Kind, version: &Version) -> Option<String> {
    // A version that no entry covers has been refused where it was planned.
    let python = config.python_at(version).ok().filter(|_| kind != Kind::Venv);
    python.map(str::to_owned)
}

/// The console scripts that a distribution recorded, in `entry_points.txt` of its metadata
/// (packaging.python.org, "Entry points specification"). `None`: it is not there.
fn declared_commands(root: &Path, package: &Package) -> Option<Vec<String>> {
    let dir = metadata_of(root, package)?;
    // A distribution without any has no such file.
    let text = fs::read_to_string(dir.join("entry_points.txt")).unwrap_or_default();
    Some(console_scripts(&text))
}

/// The directory with the metadata of a distribution.
fn metadata_of(root: &Path, package: &Package) -> Option<PathBuf> {
    let prefix = format!("{}-", package.module);
    let metadata = |name: &str| name.starts_with(&prefix) && name.ends_with(".dist-info");
    fs::read_dir(root.join("lib"))
        .ok()?
        .filter_map(|entry| fs::read_dir(entry.ok()?.path().join("site-packages")).ok())
        .flatten()
        .filter_map(Result::ok)
        .find(|entry| metadata(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
}

fn console_scripts(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .skip_while(|line| *line != "[console_scripts]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned()))
        .collect()
}

/// Declared here or foreseen anywhere.
fn known_commands(parts: &[Part], foreseen: &[Package]) -> BTreeSet<String> {
    parts.iter().flat_map(|part| commands(&part.packages)).chain(commands(foreseen)).collect()
}

fn said(commands: &BTreeSet<String>) -> String {
    match commands.len() {
        0 => "none".to_owned(),
        _ => commands.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
    }
}

fn commands(packages: &[Package]) -> BTreeSet<String> {
    packages.iter().flat_map(|package| package.commands.iter().cloned()).collect()
}

/// What users see in `bin/`: hidden files are the wrapped halves of wrappers. No `bin/`: nothing.
fn entries(bin: &Path) -> Result<BTreeSet<String>> {
    let failed = || format!("failed to list `{}`", bin.display());
    let entries = match fs::read_dir(bin) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.with_context(failed)?,
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let name = entry.with_context(failed)?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.insert(name);
        }
    }
    Ok(names)
}

fn kind_of(root: &Path) -> Result<Kind> {
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    let is_link = root.is_symlink();
    if root.join("pyvenv.cfg").is_file() {
        Ok(Kind::Venv)
    } else if (is_link && name.starts_with("result-")) || root.join("manifest.lock").is_file() {
        Ok(Kind::Flox)
    } else if root.join("bin").is_dir() || root.join("lib").is_dir() {
        Ok(Kind::Nix)
    } else {
        Err(Failure::usage(format!(
            "expected a flox result, a Nix result or a virtual environment, found `{}`",
            root.display()
        ))
        .into())
    }
}

fn chosen(all: &[Package], names: &[String], version: &Version) -> Result<Vec<Package>> {
    for name in names {
        if all.iter().all(|package| package.name != *name) {
            let known: Vec<&str> = all.iter().map(|package| package.name.as_str()).collect();
            return Err(Failure::usage(format!("{version} has no package `{name}`"))
                .hint(format!("it has {}", known.join(", ")))
                .into());
        }
    }
    Ok(all.iter().filter(|package| names.contains(&package.name)).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_points_hold_more_than_commands() {
        let text = "[dagster_dg.plugin]\nx = y\n\n[console_scripts]\ndagster = dagster.cli:main\n\
                    dagster-daemon=dagster.daemon.cli:main\n\n[other]\nz = w\n";
        assert_eq!(console_scripts(text), ["dagster", "dagster-daemon"]);
        assert_eq!(console_scripts(""), [""; 0]);
    }
}
