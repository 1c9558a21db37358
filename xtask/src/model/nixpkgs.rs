//! `nixpkgs.toml`: what nixpkgs has, as it was looked up last.
//!
//! It is compared with upstream's bounds, so that people read beforehand what they will meet. It is
//! never a condition for building, and a checkout without the file knows nothing of nixpkgs.
//!
//! ```text
//! recorded = "2026-11-24"              # a date
//! revision = "8f3a…"                   # of nixpkgs, or words for where the versions come from
//! pythons = ["3.13", "3.14"]           # whose package sets are built there
//! [versions]
//! click = "8.3.1"                      # by attribute of a Python package set
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::Result;
use serde::Deserialize;

use super::config::is_python;
use crate::failure::Failure;

/// The file's name, at the top of the repository.
pub const FILE: &str = "nixpkgs.toml";

const HEADER: &str = "\
# What nixpkgs has, as it was looked up last. It decides nothing: no build depends on it, and what
# is relaxed does not either. It is compared with upstream's bounds, so that people read beforehand
# what they will meet; `cargo xtask doctor` and `bump` speak of it. `recorded` is a date, `revision`
# that of nixpkgs, or words for where the versions come from.
";

/// What was recorded of nixpkgs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// The day, as `2026-11-24`.
    pub recorded: String,
    /// Revision of nixpkgs, or words for where the versions come from.
    pub revision: String,
    /// The Pythons, as `3.13`, whose package sets are built there.
    pub pythons: BTreeSet<String>,
    /// Versions by attribute of a Python package set.
    pub versions: BTreeMap<String, String>,
}

impl Recorded {
    /// Reads the text of `nixpkgs.toml`.
    ///
    /// # Errors
    /// A usage error that names the file, the place and what is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let failure = || Failure::usage(format!("failed to read `{FILE}`"));
        let recorded: Self = toml::from_str(text).map_err(|error| failure().caused_by(error))?;
        recorded.check().map_err(|error| failure().caused_by(error))?;
        Ok(recorded)
    }

    fn check(&self) -> Result<()> {
        anyhow::ensure!(
            is_date(&self.recorded),
            "expected a day like `2026-11-24` as `recorded`, found `{}`",
            self.recorded
        );
        anyhow::ensure!(is_plain(&self.revision), "expected one line as `revision`");
        for python in &self.pythons {
            anyhow::ensure!(is_python(python), "expected a Python as `3.13`, found `{python}`");
        }
        for (attribute, version) in &self.versions {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            anyhow::ensure!(
                !attribute.is_empty() && attribute.bytes().all(is_part),
                "expected the name of an attribute, found `{attribute}`"
            );
            anyhow::ensure!(
                is_plain(version) && !version.contains(' '),
                "expected a version of `{attribute}`, found `{version}`"
            );
        }
        Ok(())
    }

    /// The version of an attribute, if it is known.
    pub fn version(&self, attribute: &str) -> Option<&str> {
        self.versions.get(attribute).map(String::as_str)
    }

    /// Is the package set of a Python built there? What nobody recorded is taken to be.
    pub fn builds(&self, python: &str) -> bool {
        self.pythons.is_empty() || self.pythons.contains(python)
    }

    /// The text of the file that says this.
    pub fn render(&self) -> String {
        let Self { recorded, revision, pythons, versions } = self;
        let pythons: Vec<String> = pythons.iter().map(|python| format!("\"{python}\"")).collect();
        let mut text = format!(
            "{HEADER}recorded = \"{recorded}\"\nrevision = \"{revision}\"\n\n\
             # Whose package sets are built there, so that they come from a cache.\n\
             pythons = [{}]\n\n\
             # Attributes of a Python package set.\n[versions]\n",
            pythons.join(", ")
        );
        for (attribute, version) in versions {
            let _ = writeln!(text, "{attribute} = \"{version}\"");
        }
        text
    }
}

/// Does a text mean itself between the quotes of TOML?
fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c.is_control() || matches!(c, '"' | '\\'))
}

fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../../../nixpkgs.toml");

    #[test]
    fn what_is_recorded_is_written_as_it_is_read() {
        let recorded = Recorded::parse(TEXT).unwrap();
        assert_eq!(recorded.render(), TEXT);
        assert_eq!(recorded.version("click"), Some("8.3.1"));
        assert!(recorded.builds("3.13") && !recorded.builds("3.12"));
        assert!(Recorded::default().builds("3.12"));
    }

    #[test]
    fn mistakes_are_named() {
        for (from, to, expected) in [
            ("revision =", "typo = 1\nrevision =", "unknown field `typo`"),
            ("recorded = \"2026-11-24\"", "recorded = \"today\"", "a day like"),
            ("[\"3.13\"", "[\"313\"", "a Python as `3.13`, found `313`"),
            ("click = \"8.3.1\"", "click = \"8 3\"", "a version of `click`"),
            ("click = \"8.3.1\"", "\"a b\" = \"1\"", "the name of an attribute"),
        ] {
            let error = Recorded::parse(&TEXT.replacen(from, to, 1)).unwrap_err();
            assert!(crate::failure::render(&error).contains(expected), "{error:?}");
            assert_eq!(crate::failure::exit_of(&error), crate::failure::Exit::Usage);
        }
    }
}
