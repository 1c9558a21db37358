//! `release.toml`: what is released, from where and as what. Typed; unknown keys are errors.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use semver::Version;
use serde::{Deserialize, Serialize};

use super::requirement::{Target, normalised};
use super::upstreams_faults::{BrokenOperation, EmptyField, ForeignCode, PageError};
use crate::failure::Failure;

/// The file's name, at the top of the repository.
pub const FILE: &str = "release.toml";

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub upstream: Upstream,
    #[serde(default, rename = "leave_out")]
    left_out: Vec<LeftOut>,
    #[serde(rename = "python")]
    pythons: Vec<PythonEntry>,
    pub limits: Limits,
    pub smoke: Smoke,
    pub catalog: Catalog,
    pub git: Git,
    pub nixpkgs: Nixpkgs,
    #[serde(rename = "package")]
    pub packages: Vec<Package>,
    #[serde(rename = "variant")]
    variants: BTreeMap<Variant, VariantFiles>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// `owner/name` on GitHub.
    pub repository: String,
    /// What the expressions pin of it.
    #[serde(default)]
    pub pin: Pin,
}

/// A version that is not released, or whose changes upstream are known. Decided by people.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeftOut {
    version: Version,
    reason: String,
}

/// What a fetch of upstream's source names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pin {
    /// A tag or a commit, as it is written; both are kept.
    #[default]
    AsWritten,
    /// The commit: a tag that follows the version becomes one with the next version.
    Commit,
}

/// The Python that a range of versions of Dagster is built with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PythonEntry {
    /// As `3.12`.
    version: String,
    /// First version of Dagster; none for all before `until`.
    since: Option<Version>,
    /// Last version of Dagster; none for all from `since` on.
    until: Option<Version>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes that a source may unpack to.
    pub archive_bytes: u64,
    /// Entries that a source archive may hold, and directories that they are in.
    pub archive_entries: u64,
    /// Directories that an entry of it may be below.
    #[serde(default = "archive_depth")]
    pub archive_depth: usize,
    /// Bytes that the names in it, and what links point to, may have together.
    #[serde(default = "archive_name_bytes")]
    pub archive_name_bytes: u64,
}

/// For a `release.toml` from before there was this limit, of a branch for maintenance.
fn archive_depth() -> usize {
    100
}

/// As [`archive_depth`].
fn archive_name_bytes() -> u64 {
    64_000_000
}

/// Budgets of the smoke test, and what it lets through.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smoke {
    /// Seconds that one wait may take on the slowest machine.
    pub command_seconds: u64,
    /// Seconds after which no probe is started.
    pub seconds: u64,
    /// Percent that a closure may grow or shrink by, from one release to the next.
    pub closure_percent: u8,
    /// Operations of the web UI that upstream ships broken.
    #[serde(default)]
    pub broken_operations: Vec<BrokenOperation>,
    /// Errors that its pages say in a browser.
    #[serde(default)]
    pub page_errors: Vec<PageError>,
    /// Fields of the API that tell nothing of what there is.
    #[serde(default)]
    pub empty_fields: Vec<EmptyField>,
    /// Code that the web UI may load from another host.
    #[serde(default)]
    pub foreign_code: Vec<ForeignCode>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// FloxHub organization that is published to.
    pub org: String,
    /// Nix systems that the packages are offered for.
    pub systems: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Git {
    /// Branch that newer versions are released on.
    pub branch: String,
    /// Branch of older versions; `{major}` and `{minor}` are filled in.
    pub maintenance: String,
    pub remote: String,
}

/// How PyPI's names and versions relate to nixpkgs. Reviewed by people, never guessed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nixpkgs {
    /// Attributes that are not called like the distribution, by normalised name.
    attributes: BTreeMap<String, String>,
    /// What extras pull in, as normalised names, by `name[extra]`.
    pub extras: BTreeMap<String, Vec<String>>,
}

/// One of upstream's Python packages.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Normalised PyPI name, which is also the attribute in the separate variant.
    pub name: String,
    /// Top-level Python module.
    pub module: String,
    /// Directory in upstream's repository.
    pub path: String,
    /// Console scripts.
    #[serde(default)]
    pub commands: Vec<String>,
    /// First version of Dagster that has this package.
    pub since: Option<Version>,
    /// Last version of Dagster that has this package.
    pub until: Option<Version>,
    /// Versions of Dagster at which this package is numbered otherwise.
    #[serde(default, rename = "versions")]
    numbering: Vec<Numbering>,
    /// What the expressions take from PyPI instead of from the source.
    pub fetch: Option<Fetch>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Numbering {
    since: Version,
    until: Version,
    version: String,
}

/// A file that is fetched from PyPI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fetch {
    Wheel,
}

/// The two ways in which Dagster is packaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    Separate,
    Combined,
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Separate => "separate",
            Self::Combined => "combined",
        })
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariantFiles {
    /// Directory of the variant's `.nix` files, from the top of the repository.
    pub files: String,
    /// Attributes that are built and published, in order.
    pub attributes: Vec<String>,
}

impl Config {
    /// Reads the text of `release.toml`.
    ///
    /// # Errors
    /// A usage error that names the file, the place and what is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text)
            .map_err(|error| Failure::usage(format!("failed to read `{FILE}`")).caused_by(error))?;
        config
            .check()
            .map_err(|error| Failure::usage(format!("failed to read `{FILE}`")).caused_by(error))?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        self.owner_and_name().context("in `upstream.repository`")?;
        self.check_left_out().context("in `[[leave_out]]`")?;
        self.check_pythons().context("in `[[python]]`")?;
        for variant in [Variant::Separate, Variant::Combined] {
            anyhow::ensure!(self.variants.contains_key(&variant), "expected `[variant.{variant}]`");
        }
        anyhow::ensure!(is_catalog_name(&self.catalog.org), catalog_name_error(&self.catalog.org));
        BrokenOperation::check(&self.smoke.broken_operations)
            .context("in `[[smoke.broken_operations]]`")?;
        PageError::check(&self.smoke.page_errors).context("in `[[smoke.page_errors]]`")?;
        EmptyField::check(&self.smoke.empty_fields).context("in `[[smoke.empty_fields]]`")?;
        ForeignCode::check(&self.smoke.foreign_code).context("in `[[smoke.foreign_code]]`")?;
        self.check_systems().context("in `catalog.systems`")?;
        self.check_names().context("in `nixpkgs`")?;
        for placeholder in ["{major}", "{minor}"] {
            anyhow::ensure!(
                self.git.maintenance.contains(placeholder),
                "expected `{placeholder}` in `git.maintenance`, found `{}`",
                self.git.maintenance
            );
        }
        Ok(())
    }

    fn check_left_out(&self) -> Result<()> {
        for (index, LeftOut { version, reason }) in self.left_out.iter().enumerate() {
            anyhow::ensure!(!reason.trim().is_empty(), "expected a reason for {version}");
            anyhow::ensure!(
                self.left_out[..index].iter().all(|other| other.version != *version),
                "expected {version} once, found it twice"
            );
        }
        Ok(())
    }

    fn check_pythons(&self) -> Result<()> {
        for (index, entry) in self.pythons.iter().enumerate() {
            anyhow::ensure!(
                is_python(&entry.version),
                "expected a Python as `3.12`, found `{}`",
                entry.version
            );
            if let (Some(since), Some(until)) = (&entry.since, &entry.until) {
                anyhow::ensure!(
                    since <= until,
                    "expected `since` of {} before its `until`, found {since} and {until}",
                    entry.version
                );
            }
            if let Some(other) = self.pythons[..index].iter().find(|other| other.overlaps(entry)) {
                anyhow::bail!(
                    "expected one Python for each version of Dagster, found {} and {} for the same",
                    other.version,
                    entry.version
                );
            }
        }
        Ok(())
    }

    fn check_systems(&self) -> Result<()> {
        let systems = &self.catalog.systems;
        anyhow::ensure!(!systems.is_empty(), "expected a Nix system, found none");
        for (i, system) in systems.iter().enumerate() {
            anyhow::ensure!(
                !systems[..i].contains(system),
                "expected `{system}` once, found it twice"
            );
        }
        Ok(())
    }

    fn check_names(&self) -> Result<()> {
        let Nixpkgs { attributes, extras } = &self.nixpkgs;
        for name in attributes.keys().chain(extras.values().flatten()) {
            anyhow::ensure!(
                !name.is_empty() && normalised(name) == *name,
                "expected the normalised name of a distribution, found `{name}`"
            );
        }
        for attribute in attributes.values() {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_'".contains(&byte);
            anyhow::ensure!(
                !attribute.is_empty() && attribute.bytes().all(is_part),
                "expected the name of an attribute, found `{attribute}`"
            );
        }
        Ok(())
    }

    fn owner_and_name(&self) -> Result<(&str, &str)> {
        let text = &self.upstream.repository;
        text.split_once('/')
            .filter(|(owner, name)| [owner, name].iter().all(|part| is_repository_part(part)))
            .with_context(|| format!("expected `owner/name`, found `{text}`"))
    }

    /// Owner of upstream's repository on GitHub.
    pub fn owner(&self) -> &str {
        self.owner_and_name().map_or("", |(owner, _)| owner)
    }

    /// Name of upstream's repository on GitHub.
    pub fn repo(&self) -> &str {
        self.owner_and_name().map_or("", |(_, name)| name)
    }

    /// Why a version is left out, if it is.
    pub fn reason_to_leave_out(&self, version: &Version) -> Option<&str> {
        let found = self.left_out.iter().find(|left_out| left_out.version == *version)?;
        Some(&found.reason)
    }

    /// The files and attributes of a variant.
    pub fn variant(&self, variant: Variant) -> &VariantFiles {
        // `check` refused a file that lacks one.
        &self.variants[&variant]
    }

    /// The packages that a version of Dagster consists of, in dependency order.
    pub fn packages_of<'a>(&'a self, version: &'a Version) -> impl Iterator<Item = &'a Package> {
        self.packages.iter().filter(|package| package.exists_at(version))
    }

    /// The attributes of a variant that exist at a version of Dagster.
    pub fn attributes_of<'a>(
        &'a self,
        variant: Variant,
        version: &'a Version,
    ) -> impl Iterator<Item = &'a str> {
        self.variant(variant).attributes.iter().map(String::as_str).filter(|attribute| {
            self.packages
                .iter()
                .all(|package| package.name != *attribute || package.exists_at(version))
        })
    }

    /// Every Python that some version of Dagster is built with, as `3.12`.
    pub fn pythons(&self) -> impl Iterator<Item = &str> {
        self.pythons.iter().map(|entry| entry.version.as_str())
    }

    /// The Python that a version of Dagster is built with, as `3.12`.
    ///
    /// # Errors
    /// A usage error where no entry covers the version.
    pub fn python_at(&self, version: &Version) -> Result<&str> {
        let entry = self.pythons.iter().find(|entry| entry.covers(version)).ok_or_else(|| {
            Failure::usage(format!(
                "expected a `[[python]]` of `{FILE}` that covers {version}, found none"
            ))
            .hint("move a `since` or an `until`; upstream's `Requires-Python` says what it allows")
        })?;
        Ok(&entry.version)
    }

    /// The systems that a version of Dagster is released for, with its Python.
    ///
    /// # Errors
    /// Those of [`Self::python_at`], and for a system or a Python that is none.
    pub fn targets_at(&self, version: &Version) -> Result<Vec<Target>> {
        let python = self.python_at(version)?;
        self.catalog.systems.iter().map(|system| Target::new(system, python)).collect()
    }

    /// What the package of an attribute calls itself at a version of Dagster.
    pub fn version_of(&self, attribute: &str, version: &Version) -> String {
        self.packages
            .iter()
            .find(|package| package.name == attribute)
            .map_or_else(|| version.to_string(), |package| package.version_at(version))
    }

    /// The attribute of a distribution: one of ours, or one of nixpkgs' Python packages.
    pub fn attribute(&self, name: &str) -> String {
        self.nixpkgs.attributes.get(name).map_or(name, String::as_str).to_owned()
    }

    /// The maintenance branch of a version, as `release/1.9`.
    pub fn maintenance_branch(&self, version: &Version) -> String {
        self.git
            .maintenance
            .replace("{major}", &version.major.to_string())
            .replace("{minor}", &version.minor.to_string())
    }

    /// Is a branch called like the maintenance branch of some version?
    pub fn is_maintenance_branch(&self, name: &str) -> bool {
        let numbers = name.split(|c: char| !c.is_ascii_digit());
        let numbers: Vec<u64> = numbers.filter_map(|number| number.parse().ok()).collect();
        let is_of = |major, minor| self.maintenance_branch(&Version::new(major, minor, 0)) == name;
        numbers.iter().any(|&major| numbers.iter().any(|&minor| is_of(major, minor)))
    }
}

impl PythonEntry {
    fn covers(&self, version: &Version) -> bool {
        self.since.as_ref().is_none_or(|since| version >= since)
            && self.until.as_ref().is_none_or(|until| version <= until)
    }

    fn overlaps(&self, other: &Self) -> bool {
        let begins_within = |a: &Self, b: &Self| match &a.since {
            Some(since) => b.covers(since),
            None => b.since.is_none(),
        };
        begins_within(self, other) || begins_within(other, self)
    }
}

impl Package {
    /// Is this package part of that version of Dagster?
    pub fn exists_at(&self, version: &Version) -> bool {
        self.since.as_ref().is_none_or(|since| version >= since)
            && self.until.as_ref().is_none_or(|until| version <= until)
    }

    /// The number that this package has at a version of Dagster.
    pub fn version_at(&self, version: &Version) -> String {
        self.numbering
            .iter()
            .find(|numbering| (&numbering.since..=&numbering.until).contains(&version))
            .map_or_else(
                || version.to_string(),
                |numbering| {
                    numbering
                        .version
                        .replace("{major}", &version.major.to_string())
                        .replace("{minor}", &version.minor.to_string())
                        .replace("{patch}", &version.patch.to_string())
                },
            )
    }
}

/// Is this a version of Python as `3.12`, without a patch?
pub fn is_python(text: &str) -> bool {
    let is_number = |part: &str| {
        !part.is_empty() && part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit())
    };
    text.split_once('.').is_some_and(|(major, minor)| major == "3" && is_number(minor))
}

/// Is this a name that FloxHub takes for an organization? (`^[a-zA-Z0-9\-_]{3,63}$`, its API.)
pub fn is_catalog_name(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && !name.starts_with('-')
}

/// Says what a catalog name must look like.
pub fn catalog_name_error(name: &str) -> String {
    format!("expected an organization of 3 to 63 letters, digits, `-` or `_`, found `{name}`")
}

fn is_repository_part(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with(['.', '-'])
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> Config {
        Config::parse(include_str!("../../../release.toml")).unwrap()
    }

    #[test]
    fn packages_follow_since() {
        let config = repository();
        let count = |version: &str| config.packages_of(&version.parse().unwrap()).count();
        assert_eq!((count("1.9.12"), count("1.10.5"), count("1.10.6")), (4, 4, 5));
        let old = "1.9.12".parse().unwrap();
        assert!(config.attributes_of(Variant::Separate, &old).all(|name| name != "dagster-shared"));
    }

    #[test]
    fn dagster_shared_was_numbered_on_its_own() {
        let config = repository();
        let shared = config.packages.iter().find(|p| p.name == "dagster-shared").unwrap();
        for (version, expected) in
            [("1.10.6", "0.26.6"), ("1.10.17", "0.26.17"), ("1.10.18", "1.10.18")]
        {
            let version = version.parse().unwrap();
            assert_eq!(shared.version_at(&version), expected);
            assert_eq!(config.version_of("dagster-shared", &version), expected);
            assert_eq!(config.version_of("dagster-complete", &version), version.to_string());
        }
    }

    #[test]
    fn python_follows_the_version() {
        let config = repository();
        for (version, expected) in [
            ("1.9.12", "3.12"),
            ("1.10.21", "3.12"),
            ("1.11.2", "3.12"),
            ("1.11.3", "3.13"),
            ("1.12.1", "3.13"),
            ("1.12.8", "3.13"),
            ("1.12.9", "3.14"),
            ("1.13.27", "3.14"),
            ("2.0.0", "3.14"),
        ] {
            assert_eq!(config.python_at(&version.parse().unwrap()).unwrap(), expected, "{version}");
        }
        let text = include_str!("../../../release.toml");
        let gap = text.replacen("since = \"1.11.3\"", "since = \"1.11.5\"", 1);
        let error = Config::parse(&gap).unwrap().python_at(&"1.11.3".parse().unwrap()).unwrap_err();
        let text = crate::failure::render(&error);
        assert!(text.starts_with("error: expected a `[[python]]`") && text.contains("1.11.3"));
    }

    #[test]
    fn mistakes_are_named() {
        let text = include_str!("../../../release.toml");
        for (from, to, expected) in [
            ("[upstream]", "[upstream]\ntypo = 1", "typo"),
            ("\"dagster-io/dagster\"", "\"../x\"", "owner/name"),
            ("version = \"3.12\"", "version = \"3.12.1\"", "a Python as `3.12`"),
            ("until = \"1.11.2\"", "until = \"1.11.3\"", "found 3.12 and 3.13 for the same"),
            ("until = \"1.11.2\"", "", "found 3.12 and 3.13 for the same"),
            ("since = \"1.12.9\"", "", "found 3.12 and 3.14 for the same"),
            ("until = \"1.12.8\"", "until = \"1.11.1\"", "found 1.11.3 and 1.11.1"),
            ("until = \"1.11.2\"", "upto = \"1.11.2\"", "unknown field `upto`"),
            ("org = \"dagster-flox\"", "org = \"a b\"", "organization"),
            ("{major}.{minor}", "x", "{major}"),
            ("systems = [", "systems = [\"x86_64-linux\", ", "once"),
            ("attributes = {}", "attributes = { Jinja2 = \"jinja2\" }", "normalised name"),
            ("attributes = {}", "attributes = { a = \"b; c\" }", "name of an attribute"),
        ] {
            let error = Config::parse(&text.replacen(from, to, 1)).unwrap_err();
            assert!(crate::failure::render(&error).contains(expected), "{error:?}");
            assert_eq!(crate::failure::exit_of(&error), crate::failure::Exit::Usage);
        }
    }
}
