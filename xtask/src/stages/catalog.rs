//! What the catalog has of a version: each package under the number that it calls itself by, for
//! which systems. An answer that cannot be had is an error, never an absence.

use std::fmt;

use anyhow::Result;
use semver::Version;
use serde::Serialize;

use crate::checkout::Checkout;
use crate::failure::Failure;
use crate::model::config::{Config, Variant};
use crate::tools::flox::{Flox, Listed};
use crate::ui;

/// One package of a version of Dagster, as the catalog names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    pub org: String,
    pub attribute: String,
    /// What the package calls itself: not always the version of Dagster.
    pub version: String,
}

/// A package, and what the catalog lists of it at its version.
#[derive(Debug, Clone)]
pub struct Entry {
    pub package: Package,
    listed: Vec<Listed>,
}

/// What some systems lack of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    pub systems: Vec<String>,
    /// `ORG/PACKAGE@VERSION`.
    pub packages: Vec<String>,
    /// Is nothing of the version there for these systems?
    pub is_all: bool,
}

impl Package {
    pub fn new(config: &Config, org: &str, attribute: &str, version: &Version) -> Self {
        Self {
            org: org.to_owned(),
            attribute: attribute.to_owned(),
            version: config.version_of(attribute, version),
        }
    }

    /// `ORG/PACKAGE`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.org, self.attribute)
    }

    /// Asks the catalog for this package.
    pub fn ask(&self, flox: &Flox<'_>) -> Result<Entry> {
        let mut listed = flox.show(&self.org, &self.attribute)?;
        listed.retain(|listed| listed.version == self.version);
        Ok(Entry { package: self.clone(), listed })
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.org, self.attribute, self.version)
    }
}

impl Entry {
    /// Is the package there for this system?
    pub fn is_for(&self, system: &str) -> bool {
        self.listed.iter().any(|listed| listed.is_for(&self.package.version, system))
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.packages.as_slice() {
            packages @ [_, _, ..] if self.is_all => write!(f, "all {} packages", packages.len())?,
            packages => write!(f, "`{}`", packages.join("`, `"))?,
        }
        write!(f, " for {}", self.systems.join(", "))
    }
}

/// The packages that some variants of a version publish.
pub fn packages(
    config: &Config,
    org: &str,
    variants: &[Variant],
    version: &Version,
) -> Vec<Package> {
    variants
        .iter()
        .flat_map(|&variant| config.attributes_of(variant, version))
        .map(|attribute| Package::new(config, org, attribute, version))
        .collect()
}

/// Asks the catalog for every package that some variants of a version publish.
pub fn ask(
    checkout: &Checkout,
    org: &str,
    variants: &[Variant],
    version: &Version,
) -> Result<Vec<Entry>> {
    let flox = flox(checkout)?;
    let packages = packages(&checkout.config, org, variants, version);
    packages.iter().map(|package| package.ask(&flox)).collect()
}

/// The flox that asks the catalog; it needs no login for that.
pub fn flox(checkout: &Checkout) -> Result<Flox<'_>> {
    let flox = Flox::new(&checkout.root);
    match flox.version()? {
        Some(_) => Ok(flox),
        None => Err(Failure::failed("command not found: `flox`")
            .hint("install flox: it asks the catalog")
            .into()),
    }
}

/// What is missing, the most first: systems that lack the same are one gap.
pub fn gaps(entries: &[Entry], systems: &[String]) -> Vec<Gap> {
    let mut gaps: Vec<Gap> = Vec::new();
    for system in systems {
        let missing = entries.iter().filter(|entry| !entry.is_for(system));
        let packages: Vec<String> = missing.map(|entry| entry.package.to_string()).collect();
        if let Some(gap) = gaps.iter_mut().find(|gap| gap.packages == packages) {
            gap.systems.push(system.clone());
        } else if !packages.is_empty() {
            let is_all = packages.len() == entries.len();
            gaps.push(Gap { systems: vec![system.clone()], packages, is_all });
        }
    }
    gaps.sort_by_key(|gap| std::cmp::Reverse(gap.packages.len()));
    gaps
}

/// Tells people what the systems of `release.toml` lack, and how it comes.
pub fn report_gaps(entries: &[Entry], systems: &[String]) {
    let gaps = gaps(entries, systems);
    for gap in &gaps {
        ui::step("Missing", gap);
    }
    if !gaps.is_empty() {
        ui::detail("the same command on a machine of each of these systems adds it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(attribute: &str, version: &str, systems: Option<&[&str]>) -> Entry {
        let systems = systems.map(|all| all.iter().map(|&system| system.to_owned()).collect());
        Entry {
            package: Package {
                org: "acme".to_owned(),
                attribute: attribute.to_owned(),
                version: version.to_owned(),
            },
            listed: vec![Listed { version: version.to_owned(), systems }],
        }
    }

    #[test]
    fn gaps_name_what_is_missing() {
        let systems = ["a-linux", "b-linux", "c-darwin", "d-linux", "e-darwin"].map(str::to_owned);
        let entries = [
            entry("dagster", "1.10.6", Some(&["a-linux", "b-linux"])),
            entry("dagster-shared", "0.26.6", Some(&["a-linux"])),
            entry("dagster-src", "1.10.6", Some(&["a-linux", "b-linux", "d-linux"])),
        ];
        let said = |entries: &[Entry]| -> Vec<String> {
            gaps(entries, &systems).iter().map(Gap::to_string).collect()
        };
        assert_eq!(
            said(&entries),
            [
                "all 3 packages for c-darwin, e-darwin",
                "`acme/dagster@1.10.6`, `acme/dagster-shared@0.26.6` for d-linux",
                "`acme/dagster-shared@0.26.6` for b-linux",
            ]
        );
        assert_eq!(
            said(&entries[1..2]),
            ["`acme/dagster-shared@0.26.6` for b-linux, c-darwin, d-linux, e-darwin"]
        );
        assert!(said(&[entry("dagster", "1.12.1", None)]).is_empty(), "no list: every system");
    }
}
