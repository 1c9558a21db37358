//! An attestation: what was built and passed its smoke test on one system, as a file.
//!
//! It is written where nothing is worth taking, and read where credentials are and no code of
//! upstream's may run. Who reads it believes only what can be seen again: the same sources are in
//! git, and a build there comes to the same store paths with the same contents.

use std::collections::BTreeMap;
use std::fmt;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::closure::Closure;
use super::config::Variant;
use super::sri::Sri;

/// Files of other forms are refused.
const FORMAT: u32 = 1;

/// What passed, for one version on one system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    format: u32,
    version: Version,
    /// As Nix calls it, like `x86_64-linux`.
    system: String,
    variants: Vec<Passed>,
}

/// One variant that passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passed {
    pub variant: Variant,
    /// What was built: git's ids of the files and directories that a build and its smoke test
    /// depend on, by their paths.
    pub sources: BTreeMap<String, String>,
    pub outputs: Vec<Output>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closure: Option<Closure>,
}

/// One attribute, as it was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    pub attribute: String,
    /// The store path.
    pub path: String,
    /// Of the store path, as `nix path-info --json` has it.
    #[serde(rename = "narHash")]
    pub nar_hash: Sri,
}

impl Attestation {
    pub fn new(version: Version, system: String, variants: Vec<Passed>) -> Self {
        Self { format: FORMAT, version, system, variants }
    }

    /// A JSON text with a line break at its end.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("only strings are keys") + "\n"
    }

    /// Reads what [`Attestation::to_json`] wrote.
    ///
    /// # Errors
    /// A text of another form.
    pub fn from_json(text: &str) -> Result<Self, Refusal> {
        let attestation: Self =
            serde_json::from_str(text).map_err(|error| Refusal::Form(error.to_string()))?;
        match attestation.format {
            FORMAT => Ok(attestation),
            other => Err(Refusal::Form(format!("expected `format` to be {FORMAT}, found {other}"))),
        }
    }

    /// What it says of a variant.
    ///
    /// # Errors
    /// It is of another version or system, or does not name the variant.
    pub fn of(
        &self,
        variant: Variant,
        version: &Version,
        system: &str,
    ) -> Result<&Passed, Refusal> {
        if self.version != *version || self.system != system {
            return Err(Refusal::Other {
                expected: format!("{version} on {system}"),
                found: format!("{} on {}", self.version, self.system),
            });
        }
        let mut passed = self.variants.iter().filter(|passed| passed.variant == variant);
        match (passed.next(), passed.next()) {
            (Some(passed), None) => Ok(passed),
            (None, _) => Err(Refusal::Lacks(variant)),
            (Some(_), Some(_)) => {
                Err(Refusal::Form(format!("`{variant}` is there more than once")))
            }
        }
    }
}

impl Passed {
    /// The paths whose contents are others than those that passed, or were not there.
    pub fn other_sources(&self, sources: &BTreeMap<String, String>) -> Vec<String> {
        let paths = self.sources.keys().chain(sources.keys());
        let mut other: Vec<String> =
            paths.filter(|path| self.sources.get(*path) != sources.get(*path)).cloned().collect();
        other.sort_unstable();
        other.dedup();
        other
    }

    /// The first way in which a build came to something else: expected and found.
    pub fn other_output(&self, outputs: &[Output]) -> Option<(String, String)> {
        let names = |outputs: &[Output]| -> Vec<String> {
            let mut names: Vec<String> =
                outputs.iter().map(|output| output.attribute.clone()).collect();
            names.sort_unstable();
            names
        };
        let (expected, found) = (names(&self.outputs), names(outputs));
        if expected != found {
            return Some((expected.join(" "), found.join(" ")));
        }
        let of =
            |attribute: &str| self.outputs.iter().find(move |output| output.attribute == attribute);
        outputs.iter().find_map(|found| {
            let expected = of(&found.attribute).filter(|expected| *expected != found)?;
            Some((expected.to_string(), found.to_string()))
        })
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` with {}", self.path, self.nar_hash)
    }
}

/// Why an attestation is not gone by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    Form(String),
    Other { expected: String, found: String },
    Lacks(Variant),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(error) => write!(f, "it is no attestation: {error}"),
            Self::Other { expected, found } => {
                write!(f, "it is of another build: expected {expected}, found {found}")
            }
            Self::Lacks(variant) => write!(f, "it does not say that `{variant}` passed"),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(attribute: &str, hash: u8) -> Output {
        Output {
            attribute: attribute.to_owned(),
            path: format!("/nix/store/{}-{attribute}", "0".repeat(32)),
            nar_hash: Sri::from_digest([hash; 32]),
        }
    }

    fn passed(variant: Variant) -> Passed {
        let sources = [("nix", "a"), ("release.toml", "b")];
        Passed {
            variant,
            sources: sources.map(|(path, id)| (path.to_owned(), id.to_owned())).into(),
            outputs: vec![output("dagster-src", 1), output("dagster", 2)],
            closure: Some(Closure { paths: 3, bytes: 4 }),
        }
    }

    fn attestation(variants: &[Variant]) -> Attestation {
        let variants = variants.iter().map(|&variant| passed(variant)).collect();
        Attestation::new(Version::new(1, 9, 12), "x86_64-linux".to_owned(), variants)
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let written = attestation(&[Variant::Separate, Variant::Combined]);
        assert_eq!(Attestation::from_json(&written.to_json()), Ok(written));
        for (text, error) in [
            ("", "EOF"),
            ("{}", "missing field `format`"),
            (r#"{"format": 2, "version": "1.9.12", "system": "x", "variants": []}"#, "found 2"),
            (r#"{"format": 1, "version": "1", "system": "x", "variants": []}"#, "unexpected end"),
            (
                r#"{"format": 1, "version": "1.9.12", "system": "x", "variants": [], "x": 1}"#,
                "unknown field `x`",
            ),
        ] {
            let found = Attestation::from_json(text).unwrap_err().to_string();
            assert!(
                found.starts_with("it is no attestation: ") && found.contains(error),
                "{found}"
            );
        }
    }

    #[test]
    fn it_speaks_for_one_version_on_one_system() {
        let version = Version::new(1, 9, 12);
        let one = attestation(&[Variant::Separate]);
        let found = one.of(Variant::Separate, &version, "x86_64-linux");
        assert_eq!(found, Ok(&passed(Variant::Separate)));
        for (variant, version, system, error) in [
            (Variant::Combined, version.clone(), "x86_64-linux", "that `combined` passed"),
            (Variant::Separate, version.clone(), "aarch64-linux", "found 1.9.12 on x86_64-linux"),
            (Variant::Separate, Version::new(1, 9, 13), "x86_64-linux", "expected 1.9.13 on"),
        ] {
            let found = one.of(variant, &version, system).unwrap_err().to_string();
            assert!(found.contains(error), "{found}");
        }
        let twice = attestation(&[Variant::Separate; 2]);
        assert!(twice.of(Variant::Separate, &version, "x86_64-linux").is_err());
    }

    #[test]
    fn whatever_differs_is_named() {
        let passed = passed(Variant::Separate);
        assert_eq!(passed.other_sources(&passed.sources), Vec::<String>::new());
        let mut sources = passed.sources.clone();
        sources.insert("nix".to_owned(), "c".to_owned());
        sources.insert("flox".to_owned(), "d".to_owned());
        sources.remove("release.toml");
        assert_eq!(passed.other_sources(&sources), ["flox", "nix", "release.toml"]);

        let (src, dagster) = (output("dagster-src", 1), output("dagster", 2));
        let found = |outputs: &[Output]| passed.other_output(outputs);
        assert_eq!(found(&[dagster.clone(), src.clone()]), None);
        let fewer = found(std::slice::from_ref(&src));
        assert_eq!(fewer, Some(("dagster dagster-src".to_owned(), "dagster-src".to_owned())));
        let other_hash = output("dagster", 9);
        let (expected, other) = found(&[src.clone(), other_hash.clone()]).unwrap();
        assert_eq!((expected, other), (dagster.to_string(), other_hash.to_string()));
        let other_path = Output { path: "/nix/store/x".to_owned(), ..dagster };
        assert!(found(&[src, other_path]).is_some());
    }
}
