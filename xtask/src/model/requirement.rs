//! Requirements of Python packages (PEP 508, through the crates that implement it) on the systems
//! that the packages are released for.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use anyhow::{Context as _, Result};
use pep440_rs::{Operator, Version, VersionSpecifiers};
use pep508_rs::{MarkerEnvironment, MarkerEnvironmentBuilder, VersionOrUrl};

/// A requirement as it is stated, markers and all.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    /// Normalised name.
    pub name: String,
    /// The name as it was written.
    pub spelling: String,
    /// Normalised.
    pub extras: Vec<String>,
    inner: pep508_rs::Requirement,
}

impl Requirement {
    /// # Errors
    /// For anything that PEP 508 does not allow.
    pub fn parse(text: &str) -> Result<Self> {
        let inner = pep508_rs::Requirement::from_str(text)
            .with_context(|| format!("expected a requirement as in PEP 508, found `{text}`"))?;
        let extras = inner.extras.iter().map(ToString::to_string).collect();
        let spelling = spelling(text).to_owned();
        Ok(Self { name: inner.name.to_string(), spelling, extras, inner })
    }

    /// The bounds, in the order of their versions; empty for any version.
    pub fn bounds(&self) -> String {
        match &self.inner.version_or_url {
            Some(VersionOrUrl::VersionSpecifier(bounds)) => bounds.to_string().replace(", ", ","),
            Some(VersionOrUrl::Url(url)) => format!("@ {url}"),
            None => String::new(),
        }
    }

    /// Name, extras and bounds, without markers.
    pub fn without_marker(&self) -> String {
        let extras = match self.extras.as_slice() {
            [] => String::new(),
            extras => format!("[{}]", extras.join(",")),
        };
        format!("{}{extras}{}", self.name, self.bounds())
    }

    /// Is there a version that is too new: an upper bound, or an exact pin?
    pub fn has_upper_bound(&self) -> bool {
        !self.upper_bounds().is_empty()
    }

    /// Of the bounds, those that a newer version exceeds.
    pub fn upper_bounds(&self) -> String {
        use Operator::{Equal, EqualStar, ExactEqual, LessThan, LessThanEqual, TildeEqual};
        let is_upper = |operator: &Operator| {
            matches!(
                operator,
                LessThan | LessThanEqual | Equal | EqualStar | ExactEqual | TildeEqual
            )
        };
        let Some(VersionOrUrl::VersionSpecifier(bounds)) = &self.inner.version_or_url else {
            return String::new();
        };
        let upper = bounds.iter().filter(|bound| is_upper(bound.operator()));
        upper.map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    /// Do the bounds let in a version? A version that is none is let in: nothing is known of it.
    pub fn allows(&self, version: &str) -> bool {
        match (&self.inner.version_or_url, Version::from_str(version)) {
            (Some(VersionOrUrl::VersionSpecifier(bounds)), Ok(version)) => {
                bounds.contains(&version)
            }
            _ => true,
        }
    }

    /// Of some systems, those that this is required on. That of an extra is required on none.
    pub fn systems<'a>(&self, targets: &'a [Target]) -> BTreeSet<&'a str> {
        targets
            .iter()
            .filter(|target| self.inner.marker.evaluate(&target.environment, &[]))
            .map(|target| target.system.as_str())
            .collect()
    }

    /// Is it required by an extra only?
    pub fn is_optional(&self) -> bool {
        !self.inner.marker.evaluate_extras(&[])
    }

    /// The same requirement, however it is spelt.
    pub fn is_same(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

/// A Python on a Nix system.
#[derive(Debug, Clone)]
pub struct Target {
    /// As `aarch64-darwin`.
    pub system: String,
    environment: MarkerEnvironment,
}

impl Target {
    /// What markers are evaluated against: CPython, as `3.12`, on a Nix system.
    ///
    /// # Errors
    /// For a system or a Python that is unknown here.
    pub fn new(system: &str, python: &str) -> Result<Self> {
        let (machine, kernel) = system
            .split_once('-')
            .with_context(|| format!("expected a Nix system, found `{system}`"))?;
        // What `platform` and `sys` of Python say there.
        let (sys_platform, platform_system) = match kernel {
            "linux" => ("linux", "Linux"),
            "darwin" => ("darwin", "Darwin"),
            _ => anyhow::bail!("expected a system of Linux or Darwin, found `{system}`"),
        };
        let platform_machine = if system == "aarch64-darwin" { "arm64" } else { machine };
        let full = format!("{python}.0");
        let environment = MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
            implementation_name: "cpython",
            implementation_version: &full,
            os_name: "posix",
            platform_machine,
            platform_python_implementation: "CPython",
            platform_release: "",
            platform_system,
            platform_version: "",
            python_full_version: &full,
            python_version: python,
            sys_platform,
        })
        .with_context(|| format!("expected a version of Python, found `{python}`"))?;
        Ok(Self { system: system.to_owned(), environment })
    }
}

/// Does a range as `>=3.9,<3.14` let in any release of a Python as `3.12`?
///
/// # Errors
/// For a range that PEP 440 does not allow.
pub fn includes_python(range: &str, python: &str) -> Result<bool> {
    let range = VersionSpecifiers::from_str(range)
        .with_context(|| format!("expected a range of versions of Python, found `{range}`"))?;
    let releases =
        (0..100).filter_map(|patch| Version::from_str(&format!("{python}.{patch}")).ok());
    Ok(releases.into_iter().any(|release| range.contains(&release)))
}

/// A range with its bounds in order, however it was written.
pub fn ordered_range(range: &str) -> String {
    match VersionSpecifiers::from_str(range) {
        Ok(range) => range.to_string().replace(", ", ","),
        Err(_) => range.to_owned(),
    }
}

/// The name that a requirement begins with, as it is written there.
pub fn spelling(text: &str) -> &str {
    let text = text.trim_start();
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
    &text[..end.unwrap_or(text.len())]
}

/// A name as PEP 503 compares it: lower case, runs of `-`, `_` and `.` as one `-`.
pub fn normalised(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if text.ends_with('-') => {}
            '-' | '_' | '.' => text.push('-'),
            c => text.push(c.to_ascii_lowercase()),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> Vec<Target> {
        ["aarch64-darwin", "aarch64-linux", "x86_64-darwin", "x86_64-linux"]
            .map(|system| Target::new(system, "3.12").unwrap())
            .to_vec()
    }

    #[test]
    fn markers_are_those_of_the_systems() {
        let targets = targets();
        for (text, expected) in [
            ("tzdata; platform_system==\"Windows\"", 0),
            ("universal_pathlib>=0.2.0; python_version>='3.12'", 4),
            ("universal_pathlib; python_version<'3.12'", 0),
            ("uvloop; sys_platform == 'darwin'", 2),
            ("x; platform_machine == 'arm64'", 1),
            ("x; platform_machine == 'aarch64' and sys_platform == 'linux'", 1),
            ("pytest>=8 ; extra == 'test'", 0),
        ] {
            let requirement = Requirement::parse(text).unwrap();
            assert_eq!(requirement.systems(&targets).len(), expected, "{text}");
        }
    }

    #[test]
    fn spelling_makes_no_difference() {
        let parse = |text| Requirement::parse(text).unwrap();
        assert!(
            parse("typing_extensions <5,>=4.11.0").is_same(&parse("Typing-Extensions>=4.11.0,<5"))
        );
        assert!(parse("a; python_version<\"3.13\"").is_same(&parse("a ; python_version < '3.13'")));
        assert!(!parse("a>=1").is_same(&parse("a>=2")));
        assert_eq!(parse("gql[Requests] >=3, <5").without_marker(), "gql[requests]>=3,<5");
    }

    #[test]
    fn upper_bounds_are_what_can_be_exceeded() {
        for text in ["a<2", "a>=1,<=2", "a==1", "a==1.*", "a===1", "a~=1.4", "A_b[x]<2; extra=='y'"]
        {
            assert!(Requirement::parse(text).unwrap().has_upper_bound(), "{text}");
        }
        for text in ["a", "a>=1", "a>1", "a!=1.6.3", "a!=1.*,>=1.2"] {
            assert!(!Requirement::parse(text).unwrap().has_upper_bound(), "{text}");
        }
        let spelling = |text| Requirement::parse(text).unwrap().spelling;
        assert_eq!(spelling("typing_extensions<5,>=4"), "typing_extensions");
        assert_eq!(spelling("ruamel.YAML [x] <5"), "ruamel.YAML");
    }

    #[test]
    fn bounds_are_compared_as_pep_440_says() {
        let click = Requirement::parse("click>=5.0,<8.2").unwrap();
        assert!(click.allows("8.1.8") && !click.allows("8.2") && click.allows("unknown"));
        assert!(includes_python(">=3.9,<3.13", "3.12").unwrap());
        assert!(includes_python(">=3.12.4", "3.12").unwrap());
        assert!(!includes_python("<3.15,>=3.13", "3.12").unwrap());
        assert!(includes_python("three", "3.12").is_err());
        assert_eq!(ordered_range("<3.15,>=3.10"), ordered_range(">=3.10, <3.15"));
    }

    #[test]
    fn names_are_compared_as_pep_503_says() {
        for name in ["dagster_webserver", "Dagster-WebServer", "dagster.-_webserver"] {
            assert_eq!(normalised(name), "dagster-webserver");
        }
    }
}
